"""Explicit Runge–Kutta methods as data: stages, error estimate, dense output; what all methods count and report."""

import math
from typing import NamedTuple

import numpy as np

from odesim._jit import kernel

DONE, DIVERGED, NOT_FINITE, STEP_TOO_SMALL = 0, 1, 2, 3
RUNNING = -1

# places in `control` (float64) and `counts` (int64), which hold everything a later call needs to go on
TIME, STEP, LAST_ERROR, RTOL, ATOL, BOUND, CONTROL_SIZE = 0, 1, 2, 3, 4, 5, 6
NEXT, ACCEPTED, REJECTED, EVALUATIONS, COUNTS_SIZE = 0, 1, 2, 3, 4


class Tableau(NamedTuple):
    """A method as data, first stage = last of the step before; the last row of ``a`` is the solution's weights."""

    c: np.ndarray  # (s)
    a: np.ndarray  # (s, s)
    error: np.ndarray  # (s) solution minus embedded solution
    dense: np.ndarray  # (s, p): b_i(θ) = Σ_k dense[i, k] θ^{k+1}
    order: int  # of the embedded solution plus one: the exponent of the step control is 1/order
    coarse: np.ndarray  # (s) a second error estimate, of lower order, or none (0): see `error_norm`
    bound: float  # |R(−x)| <= 1 on [0, bound]


@kernel(counted=False)
def scaled_norm(x, y, z, rtol, atol):
    """Root mean square of x / (atol + rtol max(|y|, |z|))."""
    total = 0.0
    for i in range(x.size):
        total += (x[i] / (atol + rtol * max(abs(y[i]), abs(z[i])))) ** 2
    return math.sqrt(total / x.size)


@kernel(counted=False)
def copy(x, out):
    """out = x."""
    for j in range(out.size):
        out[j] = x[j]


@kernel(counted=False)
def combine(y, k, weights, count, h, out):
    """out = y + h Σ_i weights_i k_i over the first ``count`` stages, as few passes over the state as that takes."""
    first = count % 3
    if first == 0:
        copy(y, out)
    elif first == 1:
        w0, k0 = h * weights[0], k[0]
        for j in range(out.size):
            out[j] = y[j] + w0 * k0[j]
    else:
        w0, w1, k0, k1 = h * weights[0], h * weights[1], k[0], k[1]
        for j in range(out.size):
            out[j] = y[j] + w0 * k0[j] + w1 * k1[j]
    for i in range(first, count, 3):
        w0, w1, w2 = h * weights[i], h * weights[i + 1], h * weights[i + 2]
        k0, k1, k2 = k[i], k[i + 1], k[i + 2]
        for j in range(out.size):
            out[j] += w0 * k0[j] + w1 * k1[j] + w2 * k2[j]


@kernel(counted=False)
def scaled_square(weights, y, work, h, rtol, atol):
    """Sum of the squares of h Σ_i weights_i k_i in units of the tolerance; overwrites work.z."""
    total, error, end = 0.0, work.z, work.y
    for j in range(y.size):
        error[j] = 0.0
    combine(error, work.k, weights, weights.size, h, error)
    for j in range(y.size):
        total += (error[j] / (atol + rtol * max(abs(y[j]), abs(end[j])))) ** 2
    return total


@kernel(counted=False)
def error_norm(tableau, y, work, h, rtol, atol):
    """Scaled norm of the embedded error estimate of the trial step.

    With a second, coarser estimate it is |e|²/√(|e|² + 0.01 |coarse|²) (Hairer, Nørsett & Wanner I, II.10).
    """
    total = scaled_square(tableau.error, y, work, h, rtol, atol)
    coarse = scaled_square(tableau.coarse, y, work, h, rtol, atol) if tableau.coarse.size > 0 else 0.0
    if coarse > 0.0:
        total *= total / (total + 0.01 * coarse)
    return math.sqrt(total / y.size)


@kernel(counted=False)
def interpolate(tableau, y, k, h, theta, out):
    """Dense output: the state at t + θh, from the state at t and the stages of the step."""
    copy(y, out)
    for i in range(tableau.dense.shape[0]):
        weight, power = 0.0, 1.0
        for p in range(tableau.dense.shape[1]):
            power *= theta
            weight += tableau.dense[i, p] * power
        for j in range(out.size):
            out[j] += h * weight * k[i, j]


@kernel(counted=False)
def largest(y):
    """Return max |y_i|, NaN if any entry is not a number."""
    top = 0.0
    for i in range(y.size):
        if not abs(y[i]) <= top:
            top = abs(y[i])
            if math.isnan(top):
                return top
    return top
