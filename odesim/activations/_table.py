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


@kernel(inline="always")
def locate(grid, x):
    """Return the row for x, the variable u in it and du/dx; NaN and infinity stay inside the table."""
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


# Entries are read one by one: a view table[r] costs two atomic operations, more than the polynomial.
@kernel(inline="always")
def value_slope(p, grid, x):
    """Return σ(x), σ'(x) of the table p."""
    r, u, scale = locate(grid, x)
    p1, p2, p3, p4, p5, p6, p7 = p[r, 1], p[r, 2], p[r, 3], p[r, 4], p[r, 5], p[r, 6], p[r, 7]
    value = p4 + u * (p5 + u * (p6 + u * p7))
    value = p[r, 0] + u * (p1 + u * (p2 + u * (p3 + u * value)))
    slope = 4.0 * p4 + u * (5.0 * p5 + u * (6.0 * p6 + u * (7.0 * p7)))
    slope = p1 + u * (2.0 * p2 + u * (3.0 * p3 + u * slope))
    return value, scale * slope


@kernel(inline="always")
def curvature(p, grid, x):
    """Return σ''(x) of the table p."""
    r, u, scale = locate(grid, x)
    total = 20.0 * p[r, 5] + u * (30.0 * p[r, 6] + u * (42.0 * p[r, 7]))
    return scale * scale * (2.0 * p[r, 2] + u * (6.0 * p[r, 3] + u * (12.0 * p[r, 4] + u * total)))


@kernel
def fill_line(table, grid, shift, scale, x, value, slope):
    """Fill σ and σ' at shift + scale·x_i."""
    for i in range(x.size):
        value[i], slope[i] = value_slope(table, grid, shift + scale * x[i])


@kernel
def activate_table(act, x, value, slope):
    """Fill σ and σ' at the points x."""
    fill_line(act.table, act.grid, 0.0, 1.0, x, value, slope)


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
