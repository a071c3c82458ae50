"""How stiff a problem is: the largest rate, from the last two stages of a step or by power iteration."""

import math

from odesim._jit import kernel
from odesim.integrate._rock import DIRECTION

SAFETY = 1.1
"""The estimate of a power iteration is from below."""

MOST, CLOSE = 50, 0.02
"""Power iterations at most, and the relative change at which they end."""


@kernel(counted=False)
def rate_of_stages(tableau, k, moved):
    """Return h times the rate |f(u) − f(v)| / |u − v| of the last two stages, both at the end of a step h.

    Fills ``moved`` with (u − v)/h.

    Source: Hairer & Wanner II, IV.2.
    """
    last = tableau.error.size - 1
    rise, run, top, below = 0.0, 0.0, k[last], k[last - 1]
    for j in range(moved.size):
        moved[j] = 0.0
    for i in range(last):
        weight, slope = tableau.a[last, i] - tableau.a[last - 1, i], k[i]
        for j in range(moved.size):
            moved[j] += weight * slope[j]
    for j in range(moved.size):
        run += moved[j] * moved[j]
        rise += (top[j] - below[j]) ** 2
    return math.sqrt(rise / run) if run > 0.0 else 0.0


@kernel(counted=False)
def length(x):
    """Euclidean norm."""
    total = 0.0
    for i in range(x.size):
        total += x[i] * x[i]
    return math.sqrt(total)


@kernel(counted=False)
def turn(v, slope):
    """Add the direction of the slope to v: it holds what v may have missed."""
    size = length(slope)
    if size > 0.0:
        for i in range(v.size):
            v[i] += slope[i] / size


@kernel(counted=False)
def difference(y):
    """Return the distance over which a power iteration differences the right-hand side: 1e-8 of the state's size."""
    return 1e-8 * max(length(y), 1e-8)


@kernel(counted=False)
def radius_argument(e, y, work):
    """Put the argument of evaluation e of a nonlinear power iteration into work.y.

    Needs the slope at y in row 0 of work.k and keeps the direction in row DIRECTION; the slope goes into row 2.
    Source: Sommeijer, Shampine & Verwer, *RKC*, J. Comput. Appl. Math. 88 (1998) 315–326.
    """
    v = work.k[DIRECTION]
    if e == 0:
        turn(v, work.k[0])
    size = length(v)
    share = difference(y) / size if size > 0.0 else 0.0
    for j in range(y.size):
        work.y[j] = y[j] + share * v[j]


@kernel(counted=False)
def radius_take(e, y, work, rate):
    """Return the spectral radius found in evaluation e, and whether it is final; ``rate`` is that of the last one."""
    v = work.k[DIRECTION]
    for j in range(y.size):
        v[j] = work.k[2, j] - work.k[0, j]
    found = length(v) / difference(y)
    if found == 0.0 or e == MOST - 1 or (e > 0 and abs(found - rate) <= CLOSE * found):
        return SAFETY * found, True
    return found, False
