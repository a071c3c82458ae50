"""Labels of one sample of each of WIDTH replicas; the formulas of `_labels` in lanes."""

import math
from typing import NamedTuple

import numpy as np

from odesim._jit import kernel
from odesim._packs import filled, fma, load, load_single, store
from odesim.sgd._chi import FIRST, ONE, Words, lane_normals, lane_words, words_for
from odesim.sgd._full import activate
from odesim.sgd._random import GROUP, LABELS


class Scratch(NamedTuple):
    """What `lane_labels` needs: He_k(z_i), teacher units, label noise."""

    He: np.ndarray  # (P, degree + 1, WIDTH)
    lam: np.ndarray  # (K, WIDTH)
    s: np.ndarray
    flat: np.ndarray  # (3, K · WIDTH) λ, σ, σ' of the units
    noise: Words


@kernel
def scratch_of(source, P, width):
    """Return arrays for one source."""
    degree, K = 0, source.second_layer.size
    for power in source.powers:
        degree = max(degree, power)
    flat, shape = np.zeros((3, K * width)), (K, width)
    He = np.ones((P, degree + 1, width))
    return Scratch(He, flat[0].reshape(shape), flat[1].reshape(shape), flat, words_for(ONE, width))


@kernel(counted=False)
def series(source, x, He):
    """Return Σ_t coefficient_t Π He_power(x_coordinate)."""
    for i in range(He.shape[0]):
        z = load(x, (i, 0))
        if He.shape[1] > 1:
            store(He, (i, 1, 0), z)
        for k in range(2, He.shape[1]):
            store(He, (i, k, 0), fma(z, load(He, (i, k - 1, 0)), -(k - 1.0) * load(He, (i, k - 2, 0))))
    total = filled(0.0)
    for t in range(source.coefficients.size):
        product = filled(source.coefficients[t])
        for i in range(source.offsets[t], source.offsets[t + 1]):
            product *= load(He, (source.coordinates[i], source.powers[i], 0))
        total += product
    return total


@kernel(counted=False)
def teacher(source, x, scratch):
    """Return Σ_k v_k σ(<w_k, x_:P>)."""
    for k in range(source.second_layer.size):
        total = filled(0.0)
        for r in range(source.weights.shape[1]):
            total = fma(load(x, (r, 0)), source.weights[k, r], total)
        store(scratch.lam, (k, 0), total)
    activate(source.act, scratch.flat[0], scratch.flat[1], scratch.flat[2])
    total = filled(0.0)
    for k in range(source.second_layer.size):
        total = fma(load(scratch.s, (k, 0)), source.second_layer[k], total)
    return total


@kernel(inline="always", counted=False)
def lane_labels(keys, source, number, x, scratch, y):
    """Fill y (WIDTH) with the label of sample ``number``, x (coordinates, WIDTH)."""
    label = teacher(source, x, scratch) if source.second_layer.size > 0 else series(source, x, scratch.He)
    if source.noise > 0.0:
        lane_words(keys, LABELS, number // GROUP, FIRST, ONE, FIRST, scratch.noise.rows)
        lane_normals(ONE, scratch.noise)
        label = fma(load_single(scratch.noise.normals, (number % GROUP, 0)), math.sqrt(source.noise), label)
    store(y, (0,), label)
