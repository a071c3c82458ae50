"""The moments c_k(q, b) of `_moments` for many neurons side by side: loops over lanes inside, free of branches."""

import math

import numpy as np

from odesim._jit import kernel
from odesim.activations._act import ERF, GELU, RELU
from odesim.activations._normal import ROOT_2PI, distribution

INVERSE_LN2, HIGH_LN2 = 1.0 / math.log(2.0), 6.93145751953125e-1
LOW_LN2 = 1.42860682030941723212e-6
X2, X3, X4, X5, X6, X7, X8, X9, X10, X11, X12 = (1.0 / math.factorial(n) for n in range(2, 13))
Q, X, T, BEFORE, NOW = 0, 1, 2, 3, 4
"""Rows of the work array: the variance, then what is computed from it."""

EXPONENT, ONE = np.int64(52), np.int64(1023)


@kernel(inline="always", counted=False)
def bell(x):
    """Return exp(−x²/2) to 4e-16, 1 at 0 exactly, without a branch; below 1e-300 it stays there."""
    u = -0.5 * x * x
    u = u if u > -690.0 else -690.0
    n = np.floor(u * INVERSE_LN2 + 0.5)
    f = (u - n * HIGH_LN2) - n * LOW_LN2
    p = X8 + f * (X9 + f * (X10 + f * (X11 + f * X12)))
    p = X4 + f * (X5 + f * (X6 + f * (X7 + f * p)))
    p = 1.0 + f * (1.0 + f * (X2 + f * (X3 + f * p)))
    return p * np.int64((np.int64(n) + ONE) << EXPONENT).view(np.float64)


@kernel(inline="always", counted=False)
def erf_lanes(biased, row, b, work, c):
    """Fill c[k], k >= 1, as `moments_erf`; c_0, which no slope needs, is left out."""
    front = math.sqrt(2.0 / math.pi)
    for j in range(c.shape[1]):
        work[T, j] = 1.0 / math.sqrt(1.0 + work[Q, j])
        work[X, j] = b[row, j] * work[T, j]
        c[1, j] = front * work[T, j]
    if biased:
        for j in range(c.shape[1]):
            c[1, j] *= bell(work[X, j])
    for j in range(c.shape[1]):
        c[2, j] = -work[T, j] * work[X, j] * c[1, j]
    for k in range(2, c.shape[0] - 1):
        step = k - 1.0
        for j in range(c.shape[1]):
            c[k + 1, j] = -work[T, j] * (work[X, j] * c[k, j] + step * work[T, j] * c[k - 1, j])


@kernel(inline="always", counted=False)
def relu_lanes(slope, biased, row, b, work, c):
    """Fill c[k], k >= 1, as `moments_relu`; t holds 1/s."""
    rest = 1.0 - slope
    for j in range(c.shape[1]):
        work[T, j] = 1.0 / math.sqrt(work[Q, j])
        work[X, j] = b[row, j] * work[T, j]
        c[1, j] = 0.5 * (1.0 + slope)
        c[2, j] = rest / ROOT_2PI * work[T, j]
    if biased:
        for j in range(c.shape[1]):
            c[1, j] = slope + rest * distribution(work[X, j])
        for j in range(c.shape[1]):
            c[2, j] *= bell(work[X, j])
    if c.shape[0] > 3:
        for j in range(c.shape[1]):
            c[3, j] = -work[T, j] * work[X, j] * c[2, j]
    for k in range(3, c.shape[0] - 1):
        step = k - 2.0
        for j in range(c.shape[1]):
            c[k + 1, j] = -work[T, j] * (work[X, j] * c[k, j] + step * work[T, j] * c[k - 1, j])


@kernel(inline="always", counted=False)
def gelu_lanes(biased, row, b, work, c):
    """Fill c[k], k >= 1, as `moments_gelu`; BEFORE and NOW hold g_{k−1} and g_k."""
    for j in range(c.shape[1]):
        t = 1.0 / math.sqrt(1.0 + work[Q, j])
        work[T, j], work[X, j] = t, b[row, j] * t
        work[BEFORE, j], work[NOW, j] = 0.5, t / ROOT_2PI
    if biased:
        for j in range(c.shape[1]):
            work[BEFORE, j] = distribution(work[X, j])
        for j in range(c.shape[1]):
            work[NOW, j] *= bell(work[X, j])
    for j in range(c.shape[1]):
        c[1, j] = work[T, j] * work[T, j] * b[row, j] * work[NOW, j] + work[BEFORE, j]
        g = work[NOW, j]
        work[BEFORE, j], work[NOW, j] = g, -work[T, j] * work[X, j] * g
    # g_1 = now t and g_2 = −t x g_1; from there on the recursion needs the two before
    for k in range(2, c.shape[0]):
        step = k - 1.0
        for j in range(c.shape[1]):
            t = work[T, j]
            c[k, j] = t * t * (b[row, j] * work[NOW, j] + (k + work[Q, j]) * work[BEFORE, j])
            g = -t * (work[X, j] * work[NOW, j] + t * step * work[BEFORE, j])
            work[BEFORE, j], work[NOW, j] = work[NOW, j], g


@kernel(inline="always", counted=False)
def polynomial_lanes(table, row, b, work, c):
    """Fill c[k], k >= 1, as `moments_polynomial`; BEFORE and NOW hold e_{n−1} and e_n."""
    last = min(table.shape[1], c.shape[0])
    for k in range(1, c.shape[0]):
        for j in range(c.shape[1]):
            c[k, j] = 0.0
    for j in range(c.shape[1]):
        work[BEFORE, j], work[NOW, j] = 0.0, 1.0
    for n in range(table.shape[1]):
        for k in range(1, last):
            weight = table[k, n]
            for j in range(c.shape[1]):
                c[k, j] += weight * work[NOW, j]
        root, inverse = math.sqrt(n), 1.0 / math.sqrt(n + 1.0)
        for j in range(c.shape[1]):
            e = (b[row, j] * work[NOW, j] - root * (1.0 - work[Q, j]) * work[BEFORE, j]) * inverse
            work[BEFORE, j], work[NOW, j] = work[NOW, j], e


@kernel(inline="always", counted=False)
def moments_lanes(code, slope, table, biased, row, b, work, c):
    """Fill c[k, j], 1 <= k < c.shape[0] >= 3, of erf, ReLU, GELU or a polynomial, biases b[row] and q = work[Q]."""
    if code == ERF:
        erf_lanes(biased, row, b, work, c)
    elif code == RELU:
        relu_lanes(slope, biased, row, b, work, c)
    elif code == GELU:
        gelu_lanes(biased, row, b, work, c)
    else:
        polynomial_lanes(table, row, b, work, c)
