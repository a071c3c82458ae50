"""A Rosenbrock method of order 4 for stiff problems small enough for a Jacobian: RODAS, stiffly accurate and L-stable.

Source: E. Hairer & G. Wanner, *Solving Ordinary Differential Equations II*, 2nd edition 1996, IV.7 and its code RODAS.
With E = I/(hγ) − J each stage solves E u_i = f(y + Σ A_ij u_j) + Σ (C_ij/h) u_j + h g_i ∂f/∂t. The last two stages
are at the end of the step, and the last u is the error estimate. The Jacobian is differenced once a step.
"""

import math
from typing import NamedTuple

import numpy as np

from odesim._jit import kernel
from odesim.integrate._explicit import combine, copy

ORDER = 4
END = 7  # the row of `work.k` with the slope at the end; rows 1 to 6 hold the u_i
TILT = 8  # the row with ∂f/∂t
ROWS = 9


class Rosenbrock(NamedTuple):
    """The method as data."""

    gamma: float
    c: np.ndarray  # (6)
    g: np.ndarray  # (6)
    A: np.ndarray  # (6, 6); the last row and a last u of weight 1 give the solution
    C: np.ndarray  # (6, 6)
    dense: np.ndarray  # (2, 6)


@kernel(counted=False)
def factor(a, pivot):
    """Replace a by its LU factors with row exchanges; a pivot of 0 gives infinities, which the step control meets."""
    n = pivot.size
    for k in range(n):
        best = k
        for i in range(k + 1, n):
            if abs(a[i, k]) > abs(a[best, k]):
                best = i
        pivot[k] = best
        if best != k:
            for j in range(n):
                a[k, j], a[best, j] = a[best, j], a[k, j]
        top = a[k]
        for i in range(k + 1, n):
            row = a[i]
            row[k] /= top[k]
            share = row[k]
            if share != 0.0:
                for j in range(k + 1, n):
                    row[j] -= share * top[j]


@kernel(counted=False)
def substitute(a, pivot, x):
    """Solve in place with the factors of `factor`."""
    n = pivot.size
    for k in range(n):
        p = pivot[k]
        x[k], x[p] = x[p], x[k]
    for i in range(n):
        total = x[i]
        for j in range(i):
            total -= a[i, j] * x[j]
        x[i] = total
    for i in range(n - 1, -1, -1):
        total = x[i]
        for j in range(i + 1, n):
            total -= a[i, j] * x[j]
        x[i] = total / a[i, i]


@kernel(counted=False)
def row_sum_norm(a):
    """Largest row sum of |a|: no eigenvalue is larger."""
    top = 0.0
    for i in range(a.shape[0]):
        total = 0.0
        for j in range(a.shape[1]):
            total += abs(a[i, j])
        top = max(top, total)
    return top


@kernel(counted=False)
def shift(y, j):
    """Return by how much entry j is moved for a difference."""
    size = 0.0
    for i in range(y.size):
        size = max(size, abs(y[i]))
    return 1.5e-8 * max(abs(y[j]), 0.01 * size, 1e-8)


@kernel(counted=False)
def jacobian_argument(e, t, y, work):
    """Put the argument of evaluation e of n + 1 into work.y; return its time and the row of its slope."""
    if e == y.size:
        return t + 1.5e-8 * max(abs(t), 1e-3), TILT
    if e == 0:
        copy(y, work.y)
    work.y[e] = y[e] + shift(y, e)
    return t, 1


@kernel(counted=False)
def jacobian_take(e, t, y, work):
    """Difference: evaluation e gives column e of work.jacobian, the last one ∂f/∂t in row TILT."""
    if e == y.size:
        step = 1.5e-8 * max(abs(t), 1e-3)
        for i in range(y.size):
            work.k[TILT, i] = (work.k[TILT, i] - work.k[0, i]) / step
    else:
        step = work.y[e] - y[e]
        work.y[e] = y[e]
        for i in range(y.size):
            work.jacobian[i, e] = (work.k[1, i] - work.k[0, i]) / step


@kernel(counted=False)
def finish_stage(method, i, h, work):
    """Turn the slope in the place of u_i into u_i."""
    u = work.k[1:]
    for j in range(work.y.size):
        u[i, j] += h * method.g[i] * work.k[TILT, j]
    combine(u[i], u, method.C[i], i, 1.0 / h, u[i])
    substitute(work.factors, work.pivot, u[i])


@kernel(counted=False)
def rosenbrock_argument(method, e, t, h, y, work):
    """Put the argument of evaluation e of 6 into work.y; return its time and the row of its slope.

    Needs the slope at y and the Jacobian there. In the end work.y is the trial state, rows 1 to 6 the u_i.
    """
    n = y.size
    if e == 0:
        for i in range(n):
            for j in range(n):
                work.factors[i, j] = -work.jacobian[i, j]
            work.factors[i, i] += 1.0 / (h * method.gamma)
        factor(work.factors, work.pivot)
        copy(work.k[0], work.k[1])
        finish_stage(method, e, h, work)
    if e < 5:
        combine(y, work.k[1:], method.A[e + 1], e + 1, 1.0, work.y)
        return t + method.c[e + 1] * h, e + 2
    for j in range(n):
        work.y[j] += work.k[6, j]
    return t + h, END


@kernel(counted=False)
def rosenbrock_error(y, work, rtol, atol):
    """Scaled norm of the error estimate of the trial step."""
    total = 0.0
    for j in range(y.size):
        total += (work.k[6, j] / (atol + rtol * max(abs(y[j]), abs(work.y[j])))) ** 2
    return math.sqrt(total / y.size)


@kernel(counted=False)
def rosenbrock_dense(method, y, end, k, theta, out):
    """Dense output of order 3: (1−θ) y + θ (y₁ + (1−θ)(d₀ + θ d₁))."""
    for j in range(out.size):
        first, second = 0.0, 0.0
        for i in range(6):
            first += method.dense[0, i] * k[i + 1, j]
            second += method.dense[1, i] * k[i + 1, j]
        out[j] = (1.0 - theta) * y[j] + theta * (end[j] + (1.0 - theta) * (first + theta * second))
