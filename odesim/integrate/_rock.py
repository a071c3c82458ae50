"""The stabilised explicit method of order 4 for large real negative spectra (ROCK4).

Source: A. Abdulle, *Fourth order Chebyshev methods with recurrence relation*, SIAM J. Sci. Comput. 23 (2002)
2041–2054. With s stages it is stable on about [−0.3 s², 0], where s steps of an explicit method reach −3.3 s. The
first s − 4 stages follow a three-term recurrence; the last four give order 4. Tables: `methods.rock4`.
"""

import math
from typing import NamedTuple

import numpy as np

from odesim._jit import kernel
from odesim.integrate._explicit import copy

ORDER = 4
ENDING = 3  # the row of `work.k` with the first of the last four stages' slopes
END = 7  # the row with the slope at the end of a step
DIRECTION = 8  # the row with the direction of the largest eigenvalue
ROWS = 9


class Stabilised(NamedTuple):
    """One method a degree, in ascending order."""

    degree: np.ndarray  # (D) int64, stages s
    length: np.ndarray  # (D) stable on [−length, 0]
    start: np.ndarray  # (D) int64, where the recurrence begins in the next three
    mu: np.ndarray  # s − 4 numbers a degree
    kappa: np.ndarray
    time: np.ndarray  # c of the stages
    ending: np.ndarray  # (D, 4, 4) a21; a31, a32; a41, a42, a43; b
    late: np.ndarray  # (D, 4) c of the last three stages and of the end
    error: np.ndarray  # (D, 5) of what the recurrence reached beyond y, and of h times the last four slopes


@kernel
def recurrence(zeros, length, damping, mu, kappa, time):
    """Fill μ, κ and c of P_j = (μ_j z + 1 + κ_j) P_{j−1} − κ_j P_{j−2}, by the Stieltjes procedure.

    P_j is orthogonal on [−length, −damping] for w²/√((z + length)(−damping − z)), w of the zeros −α ± iβ, −γ ± iδ in
    ``zeros``, and 1 at 0. Gauss–Chebyshev sums over degree + 4 points are exact for it.
    """
    points = mu.size + 8
    half = 0.5 * (length - damping)
    x, weight = np.zeros(points), np.zeros(points)
    before, now = np.zeros(points), np.ones(points)
    total = 0.0
    for i in range(points):
        x[i] = math.cos((2 * i + 1) * math.pi / (2 * points))
        z = half * (x[i] - 1.0) - damping
        w = ((z + zeros[0]) ** 2 + zeros[1] ** 2) * ((z + zeros[2]) ** 2 + zeros[3] ** 2)
        weight[i] = (w / length**4) ** 2
        total += weight[i]
    weight /= total
    at_zero = 1.0 + damping / half  # the x of z = 0
    norm, ratio, c_before, c = 0.0, 1.0, 0.0, 0.0
    for j in range(mu.size):
        centre, square = 0.0, 0.0
        for i in range(points):
            centre += weight[i] * x[i] * now[i] * now[i]
        for i in range(points):
            new = (x[i] - centre) * now[i] - norm * before[i]
            before[i], now[i] = now[i], new
            square += weight[i] * new * new
        value = at_zero - centre - norm * norm / ratio  # of the monic P_{j+1} / P_j
        mu[j] = 1.0 / (value * half)
        kappa[j] = norm * norm / (value * ratio)
        c_before, c = c, mu[j] + (1.0 + kappa[j]) * c - kappa[j] * c_before
        time[j] = c
        norm, ratio = math.sqrt(square), value
        now /= norm


@kernel(counted=False)
def degree_for(table, x):
    """Return the row of the smallest degree stable at −x, the last one if there is none."""
    low, high = 0, table.length.size - 1
    while low < high:
        middle = (low + high) // 2
        if table.length[middle] >= x:
            high = middle
        else:
            low = middle + 1
    return low


@kernel(counted=False)
def stabilised_error(table, row, y, work, h, rtol, atol):
    """Scaled norm of the error estimate of the trial step.

    It leaves out the slope at the end, so that it stays bounded where the step is far beyond the fastest rate.
    """
    total = 0.0
    for j in range(y.size):
        error = 0.0
        for i in range(4):
            error += table.error[row, i + 1] * work.k[ENDING + i, j]
        error = h * error + table.error[row, 0] * (work.z[j] - y[j])
        total += (error / (atol + rtol * max(abs(y[j]), abs(work.y[j])))) ** 2
    return math.sqrt(total / y.size)


@kernel(counted=False)
def stabilised_argument(table, row, e, t, h, y, work):
    """Put the argument of evaluation e into work.y, up to the first of the last four stages; return its time.

    Slopes go into row ENDING. From that stage on `combine` serves, from what the recurrence reached, kept in work.z,
    and the slopes from row ENDING on; that at the end goes into row END.
    """
    first, count = table.start[row], table.degree[row] - 4
    if e == 0:
        copy(y, work.k[1])
        for j in range(y.size):
            work.y[j] = y[j] + h * table.mu[first] * work.k[0, j]
    else:
        mu, kappa = h * table.mu[first + e], table.kappa[first + e]
        old, now = work.k[1], work.y
        for j in range(now.size):
            new = mu * work.k[ENDING, j] + (1.0 + kappa) * now[j] - kappa * old[j]
            old[j], now[j] = now[j], new
    if e == count - 1:
        copy(work.y, work.z)
    return t + h * table.time[first + e]


@kernel(counted=False)
def hermite(y, end, k, h, theta, out):
    """Dense output: the cubic through both ends with their slopes, rows 0 and END of k."""
    u = 1.0 - theta
    a, b, c, d = (
        u * u * (1.0 + 2.0 * theta),
        theta * theta * (3.0 - 2.0 * theta),
        h * theta * u * u,
        h * theta * theta * u,
    )
    for j in range(out.size):
        out[j] = a * y[j] + b * end[j] + c * k[0, j] - d * k[END, j]
