"""Adaptive explicit Runge–Kutta integration with dense output: one loop for every method and every flow."""

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


class Work(NamedTuple):
    """Stages and the trial state."""

    k: np.ndarray  # (s, n)
    y: np.ndarray  # (n)


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
def error_norm(tableau, y, work, h, rtol, atol):
    """Scaled norm of the embedded error estimate of the trial step.

    With a second, coarser estimate it is |e|²/√(|e|² + 0.01 |coarse|²) (Hairer, Nørsett & Wanner I, II.10).
    """
    total, coarse = 0.0, 0.0
    for j in range(y.size):
        error = 0.0
        for i in range(tableau.error.size):
            error += tableau.error[i] * work.k[i, j]
        scale = h / (atol + rtol * max(abs(y[j]), abs(work.y[j])))
        total += (scale * error) ** 2
        if tableau.coarse.size > 0:
            error = 0.0
            for i in range(tableau.coarse.size):
                error += tableau.coarse[i] * work.k[i, j]
            coarse += (scale * error) ** 2
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


@kernel(inline="always")
def explicit(rhs, problem, tableau, y, control, counts, t_out, out, work, budget):
    """Advance y by at most ``budget`` accepted or rejected steps, filling ``out`` (T, n) at the times ``t_out`` (T).

    Returns RUNNING while outputs are missing. ``control`` and ``counts`` carry the time, the step size and the
    rest from call to call, ``work`` the slope at y, so the result does not depend on the budget. Step sizes
    follow a PI controller (Gustafsson 1991); the first one Hairer, Nørsett & Wanner I, II.4. A state that is
    not finite, larger than control[BOUND], or a step below the spacing of floats ends the integration with its
    status.
    """
    rtol, atol = control[RTOL], control[ATOL]
    stages = tableau.c.size
    status = RUNNING
    if counts[EVALUATIONS] == 0:
        rhs(problem, control[TIME], y, work.k[0])
        counts[EVALUATIONS] += 1
    if control[STEP] == 0.0:
        speed = scaled_norm(work.k[0], y, y, rtol, atol)
        size = scaled_norm(y, y, y, rtol, atol)
        first = 0.01 * size / speed if size > 1e-5 and speed > 1e-5 else 1e-6
        for j in range(y.size):
            work.y[j] = y[j] + first * work.k[0, j]
        rhs(problem, control[TIME] + first, work.y, work.k[1])
        counts[EVALUATIONS] += 1
        for j in range(y.size):
            work.k[1, j] -= work.k[0, j]
        bend = max(speed, scaled_norm(work.k[1], y, y, rtol, atol) / first)
        guess = (0.01 / bend) ** (1.0 / tableau.order) if bend > 1e-15 else 1e-3
        control[STEP] = min(100.0 * first, guess)
        control[LAST_ERROR] = 1e-4
    while counts[NEXT] < t_out.size and t_out[counts[NEXT]] <= control[TIME]:
        copy(y, out[counts[NEXT]])
        counts[NEXT] += 1
    for _ in range(budget):
        if counts[NEXT] >= t_out.size:
            status = DONE
            break
        t, h = control[TIME], control[STEP]
        if not h > 1e-14 * max(t, 1e-6 * t_out[-1]):
            status = STEP_TOO_SMALL
            break
        for i in range(1, stages):
            combine(y, work.k, tableau.a[i], i, h, work.y)
            rhs(problem, t + tableau.c[i] * h, work.y, work.k[i])
        counts[EVALUATIONS] += stages - 1
        error = error_norm(tableau, y, work, h, rtol, atol)
        if error <= 1.0:
            while counts[NEXT] < t_out.size and t_out[counts[NEXT]] <= t + h:
                interpolate(tableau, y, work.k, h, (t_out[counts[NEXT]] - t) / h, out[counts[NEXT]])
                counts[NEXT] += 1
            copy(work.y, y)
            copy(work.k[stages - 1], work.k[0])
            counts[ACCEPTED] += 1
            control[TIME] = t + h
            error = max(error, 1e-10)
            grow = 0.9 * error ** (-0.7 / tableau.order) * control[LAST_ERROR] ** (0.4 / tableau.order)
            control[STEP] = h * min(8.0, max(0.2, grow))
            control[LAST_ERROR] = max(error, 1e-4)
            if not largest(y) < control[BOUND]:
                status = DIVERGED
                break
        else:
            counts[REJECTED] += 1
            # NaN compares false: shrink hard, until the status above ends it
            shrink = 0.9 * error ** (-1.0 / tableau.order) if error < 1e10 else 0.1
            control[STEP] = h * min(1.0, max(0.1, shrink))
    if status == RUNNING and counts[NEXT] >= t_out.size:
        status = DONE
    return status
