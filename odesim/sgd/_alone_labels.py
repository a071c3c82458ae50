"""Labels of a block of samples at once, from their normals; the formulas of `_labels`."""

import math
from typing import NamedTuple

import numpy as np

from odesim._jit import kernel
from odesim.sgd._full import activate


class Scratch(NamedTuple):
    """What `label_block` writes to, a column a sample: He_k(z_i); a term, or a unit's λ, σ, σ'."""

    He: np.ndarray  # (P, degree + 1, samples)
    rows: np.ndarray  # (3, samples)


@kernel
def scratch_for(source, P, samples):
    """Return arrays."""
    degree = source.powers.max() if source.powers.size else 0
    return Scratch(np.ones((P, degree + 1, samples)), np.zeros((3, samples)))


@kernel
def hermite(x, He):
    """Fill He[k] = He_k(x), k >= 1, unnormalised."""
    if He.shape[0] > 1:
        now = He[1]
        for n in range(x.size):
            now[n] = x[n]
    for k in range(2, He.shape[0]):
        before, last, now = He[k - 2], He[k - 1], He[k]
        for n in range(x.size):
            now[n] = np.float64(x[n]) * last[n] - (k - 1.0) * before[n]


@kernel
def add_term(source, t, He, product, y):
    """y += coefficient_t Π He_power(z_coordinate)."""
    product[:] = source.coefficients[t]
    for i in range(source.offsets[t], source.offsets[t + 1]):
        factor = He[source.coordinates[i], source.powers[i]]
        for n in range(y.size):
            product[n] *= factor[n]
    for n in range(y.size):
        y[n] += product[n]


@kernel
def add_unit(source, k, x, rows, y):
    """y += v_k σ(<w_k, x>)."""
    lam, s, ds = rows[0], rows[1], rows[2]
    lam[:] = 0.0
    for i in range(x.shape[0]):
        z, w = x[i], source.weights[k, i]
        for n in range(y.size):
            lam[n] += w * np.float64(z[n])
    activate(source.act, lam, s, ds)
    v = source.second_layer[k]
    for n in range(y.size):
        y[n] += v * s[n]


@kernel
def label_block(source, x, noise, scratch, y):
    """Fill y (samples) from x (P, samples) float32, and the normals of the label noise."""
    y[:] = 0.0
    if source.second_layer.size > 0:
        for k in range(source.second_layer.size):
            add_unit(source, k, x, scratch.rows, y)
    else:
        for i in range(x.shape[0]):
            hermite(x[i], scratch.He[i])
        for t in range(source.coefficients.size):
            add_term(source, t, scratch.He, scratch.rows[0], y)
    if source.noise > 0.0:
        size = math.sqrt(source.noise)
        for n in range(y.size):
            y[n] += size * np.float64(noise[n])
