"""How stiff a problem is: the largest rate, from the last two stages of a step or by power iteration."""

import math

from odesim._jit import kernel
from odesim.integrate._rock import DIRECTION

SAFETY = 1.1
"""The estimate of a power iteration is from below."""

MOST, CLOSE = 50, 0.02
"""Power iterations at most, and the relative change at which they end."""


@kernel
def rate_of_stages(tableau, k):
    """Return h times the rate |f(u) − f(v)| / |u − v| of the last two stages, both at the end of a step h.

    Source: Hairer & Wanner II, IV.2.
    """
    last = tableau.error.size - 1
    rise, run = 0.0, 0.0
    for j in range(k.shape[1]):
        moved = 0.0
        for i in range(last):
            moved += (tableau.a[last, i] - tableau.a[last - 1, i]) * k[i, j]
        run += moved * moved
        rise += (k[last, j] - k[last - 1, j]) ** 2
    return math.sqrt(rise / run) if run > 0.0 else 0.0


@kernel
def length(x):
    """Euclidean norm."""
    total = 0.0
    for i in range(x.size):
        total += x[i] * x[i]
    return math.sqrt(total)


@kernel
def turn(v, slope):
    """Add the direction of the slope to v: it holds what v may have missed."""
    size = length(slope)
    if size > 0.0:
        for i in range(v.size):
            v[i] += slope[i] / size


@kernel(inline="always")
def spectral_radius(rhs, problem, t, y, work, counts, evaluations):
    """Return the spectral radius of the Jacobian at y, by a nonlinear power iteration from the last direction.

    Needs the slope at y in row 0 of work.k, keeps the direction in row DIRECTION, overwrites rows 1 and 2. The
    right-hand side is differenced over 1e-8 of the state's size. Source: Sommeijer, Shampine & Verwer, *RKC*,
    J. Comput. Appl. Math. 88 (1998) 315–326.
    """
    v, z, f = work.k[DIRECTION], work.k[1], work.k[2]
    turn(v, work.k[0])
    size = length(v)
    step = 1e-8 * max(length(y), 1e-8)
    rate, found = 0.0, 0
    for i in range(MOST):
        if found == 0 and size > 0.0:
            for j in range(y.size):
                z[j] = y[j] + step / size * v[j]
            rhs(problem, t, z, f)
            counts[evaluations] += 1
            for j in range(y.size):
                v[j] = f[j] - work.k[0, j]
            size = length(v)
            before, rate = rate, size / step
            if i > 0 and abs(rate - before) <= CLOSE * rate:
                found = 1
    return SAFETY * rate
