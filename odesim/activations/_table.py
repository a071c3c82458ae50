"""A function as piecewise polynomials of degree 7, split at its kinks and continued linearly beyond the last piece.

Row r of ``table`` holds the coefficients of one piece in its own variable u, −½ <= u <= ½ inside it; the first and
the last row are the two linear tails. Row i of ``grid`` describes a segment between kinks: its start, the pieces
in a unit of length, its first row, the lowest and the highest row it may use (a tail included), and the jump of
the slope at its start.
"""

import math

from odesim._jit import kernel
from odesim.activations._act import POLYNOMIAL

START, SCALE, FIRST, LOW, HIGH, JUMP = 0, 1, 2, 3, 4, 5


@kernel
def locate(grid, x):
    """Return the row for x and the variable u in it; NaN and infinity stay inside the table."""
    segment = 0
    for i in range(1, grid.shape[0]):
        segment += x >= grid[i, START]
    t = (x - grid[segment, START]) * grid[segment, SCALE]
    first, low, high = grid[segment, FIRST], grid[segment, LOW], grid[segment, HIGH]
    row = t + first
    row = row if row > low else low  # by comparison: NaN falls to low
    row = row if row < high else high
    r = int(row)
    return r, t - (r - first) - 0.5, grid[segment, SCALE]


@kernel
def value_slope(table, grid, x):
    """Return σ(x), σ'(x)."""
    r, u, scale = locate(grid, x)
    p = table[r]
    value = p[4] + u * (p[5] + u * (p[6] + u * p[7]))
    value = p[0] + u * (p[1] + u * (p[2] + u * (p[3] + u * value)))
    slope = 4.0 * p[4] + u * (5.0 * p[5] + u * (6.0 * p[6] + u * (7.0 * p[7])))
    slope = p[1] + u * (2.0 * p[2] + u * (3.0 * p[3] + u * slope))
    return value, scale * slope


@kernel
def curvature(table, grid, x):
    """Return σ''(x)."""
    r, u, scale = locate(grid, x)
    p = table[r]
    total = 20.0 * p[5] + u * (30.0 * p[6] + u * (42.0 * p[7]))
    return scale * scale * (2.0 * p[2] + u * (6.0 * p[3] + u * (12.0 * p[4] + u * total)))


@kernel
def activate_table(act, x, value, slope):
    """Fill σ and σ' at the points x."""
    for i in range(x.size):
        value[i], slope[i] = value_slope(act.table, act.grid, x[i])


@kernel
def activate_polynomial(act, x, value, slope):
    """Fill σ = Σ_n s_n h_n and σ' = Σ_n √(n+1) s_{n+1} h_n at the points x, h_n the normalised Hermite polynomials."""
    terms = act.table.shape[1]
    for i in range(x.size):
        before, now, total, by_x = 0.0, 1.0, 0.0, 0.0
        for n in range(terms):
            total += act.table[0, n] * now
            by_x += act.table[1, n] * now
            before, now = now, (x[i] * now - math.sqrt(n) * before) / math.sqrt(n + 1.0)
        value[i], slope[i] = total, by_x


@kernel
def activate_other(act, x, value, slope):
    """Fill σ and σ' at the points x, for GELU, a polynomial or a table."""
    if act.code == POLYNOMIAL:
        activate_polynomial(act, x, value, slope)
    else:
        activate_table(act, x, value, slope)
