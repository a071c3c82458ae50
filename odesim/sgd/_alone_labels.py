"""Labels of a block of samples at once, from their normals; the formulas of `_labels`."""

import math
from typing import NamedTuple

import numpy as np

from odesim._jit import kernel
from odesim._packs import WIDTH, filled, fma, load, load_single, store
from odesim.sgd._full import activate


class Scratch(NamedTuple):
    """What `label_block` writes to: He_k(z_i) of a pack of samples; a unit's λ, σ, σ' of all."""

    He: np.ndarray  # (P · (degree + 1) · WIDTH)
    rows: np.ndarray  # (3, samples)
    columns: int  # degree + 1


@kernel
def scratch_for(source, P, samples):
    """Return arrays."""
    columns = 1 + (source.powers.max() if source.powers.size else 0)
    return Scratch(np.ones(P * columns * WIDTH), np.zeros((3, samples)), columns)


@kernel(inline="always", counted=False)
def hermite(x, i, at, columns, He):
    """Fill He with He_k(z_i), k >= 1, unnormalised, of the pack of samples that begins at ``at``."""
    z, row = load_single(x, (i, at)), i * columns
    before, now = filled(1.0), z
    for k in range(1, columns):
        store(He, ((row + k) * WIDTH,), now)
        before, now = now, fma(z, now, -(k * before))


@kernel(counted=False)
def series(source, x, scratch, y):
    """Fill y with Σ_t coefficient_t Π He_power(z_coordinate)."""
    columns = scratch.columns
    for at in range(0, y.size, WIDTH):
        for i in range(x.shape[0]):
            hermite(x, i, at, columns, scratch.He)
        total = filled(0.0)
        for t in range(source.coefficients.size):
            product = filled(source.coefficients[t])
            for f in range(source.offsets[t], source.offsets[t + 1]):
                place = source.coordinates[f] * columns + source.powers[f]
                product = product * load(scratch.He, (place * WIDTH,))
            total = total + product
        store(y, (at,), total)


@kernel(counted=False)
def add_unit(source, k, x, rows, y):
    """y += v_k σ(<w_k, x>)."""
    lam, s, ds = rows[0], rows[1], rows[2]
    for n in range(lam.size):
        lam[n] = 0.0
    for i in range(x.shape[0]):
        z, w = x[i], source.weights[k, i]
        for n in range(y.size):
            lam[n] += w * np.float64(z[n])
    activate(source.act, lam, s, ds)
    v = source.second_layer[k]
    for n in range(y.size):
        y[n] += v * s[n]


@kernel(counted=False)
def label_block(source, x, noise, scratch, y):
    """Fill y (samples) from x (P, samples) float32, and the normals of the label noise."""
    if source.second_layer.size > 0:
        for n in range(y.size):
            y[n] = 0.0
        for k in range(source.second_layer.size):
            add_unit(source, k, x, scratch.rows, y)
    else:
        series(source, x, scratch, y)
    if source.noise > 0.0:
        size = math.sqrt(source.noise)
        for n in range(y.size):
            y[n] += size * np.float64(noise[n])
