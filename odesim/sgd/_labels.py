"""The target's side of online SGD: labels of a group of four samples."""

import math
from typing import NamedTuple

import numpy as np

from odesim._jit import kernel
from odesim.activations._act import Act
from odesim.sgd._full import activate
from odesim.sgd._random import GROUP, LABELS, draw_group


class Source(NamedTuple):
    """Where samples and labels come from: a series, or a teacher network where that has any unit."""

    boolean: int  # whether x is uniform on {±1}^d, else N(0, I)
    noise: float  # variance of the label noise
    offsets: np.ndarray  # of a series, as a Target gives them
    coordinates: np.ndarray
    powers: np.ndarray
    coefficients: np.ndarray
    weights: np.ndarray  # (K, P) of a teacher
    second_layer: np.ndarray  # (K)
    act: Act  # the teacher's own


@kernel
def hermite_table(z, He):
    """He[i, k] = He_k(z_i), unnormalised."""
    for i in range(He.shape[0]):
        He[i, 0] = 1.0
        if He.shape[1] > 1:
            He[i, 1] = z[i]
        for k in range(2, He.shape[1]):
            He[i, k] = z[i] * He[i, k - 1] - (k - 1.0) * He[i, k - 2]


@kernel
def target_value(offsets, coordinates, powers, coefficients, He):
    """h(z) = Σ_t coefficients_t Π He_power(z_coordinate)."""
    total = 0.0
    for t in range(coefficients.size):
        product = coefficients[t]
        for i in range(offsets[t], offsets[t + 1]):
            product *= He[coordinates[i], powers[i]]
        total += product
    return total


@kernel
def teacher_value(source, x, units):
    """h(x) = Σ_k v_k σ(<w_k, x_:P>); units (3, K) is scratch."""
    lam, s, ds = units[0], units[1], units[2]
    for k in range(lam.size):
        w, total = source.weights[k], 0.0
        for r in range(w.size):
            total += w[r] * x[r]
        lam[k] = total
    activate(source.act, lam, s, ds)
    total = 0.0
    for k in range(lam.size):
        total += source.second_layer[k] * s[k]
    return total


@kernel
def labels(seed, group, source, x, He, units, y):
    """Fill y (4,) with h(z) + √noise ξ for the samples x (4, n) of a group; He and units are scratch."""
    for t in range(GROUP):
        if units.shape[1] > 0:
            y[t] = teacher_value(source, x[t], units)
        else:
            hermite_table(x[t], He)
            y[t] = target_value(source.offsets, source.coordinates, source.powers, source.coefficients, He)
    if source.noise > 0.0:
        scratch, xi = np.empty((2 * GROUP, 1), np.uint32), np.empty((GROUP, 1))
        draw_group(seed, LABELS, group, scratch, xi)
        for t in range(GROUP):
            y[t] += math.sqrt(source.noise) * xi[t, 0]


@kernel
def hermite_scratch(source):
    """Return the array that `labels` fills with He_k, no larger than the series needs."""
    support = source.coordinates.max() + 1 if source.coordinates.size else 0
    degree = source.powers.max() if source.powers.size else 0
    return np.ones((support, degree + 1))
