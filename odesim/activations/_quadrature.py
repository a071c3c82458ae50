"""Gaussian averages of tabulated activations: the trapezoid rule, or Gauss panels split at the kinks.

A trapezoid rule of step h in G is exact to rounding when 2π/h lies beyond the wave numbers of what it sums: about
s·2π/δ from σ(sG + b), δ = act.step, and √k + 8.3 from He_k(G) φ(G). So h = 1/(s/δ + (√k + 8.3)/2π).
"""

import math

import numpy as np

from odesim._jit import kernel
from odesim.activations._normal import density
from odesim.activations._table import JUMP, START, curvature, fill_line, value_slope

REACH = 12.0  # of the nodes: √φ(12) is 1e-16, what |h_k| φ leaves there at most
FINEST = 0.004
EXTRA = 24  # orders taken beyond the last one for moments at small q
SMALL = 0.6  # s/δ below which q is small: larger costs terms, smaller digits
ORDER = 12
_X, _W = np.polynomial.legendre.leggauss(ORDER)
NODES, WEIGHTS = _X.copy(), _W.copy()
EDGE = 9.0  # end of the panels in G


@kernel
def step_for(act, s, order):
    """Return the step of the rule for σ(sG + b) He_k(G), k <= order."""
    return max(FINEST, 1.0 / (s / act.step + (math.sqrt(order) + 8.3) / (2.0 * math.pi)))


@kernel
def rule(h, reach):
    """Return the nodes of step h on ±reach."""
    half = int(reach / h) + 1
    x = np.empty(2 * half + 1)
    for i in range(x.size):
        x[i] = (i - half) * h
    return x


@kernel
def fill_rows(x, h, first, last, H):
    """Fill H[k, i] = h φ(x_i) h_k(x_i), first <= k < last, h_k the normalised Hermite polynomials."""
    for k in range(first, last):
        row = H[k]
        if k == 0:
            for i in range(x.size):
                row[i] = h * density(x[i])
        elif k == 1:
            for i in range(x.size):
                row[i] = x[i] * H[0, i]
        else:
            one, two, back, scale = H[k - 1], H[k - 2], math.sqrt(k - 1.0), 1.0 / math.sqrt(k)
            for i in range(x.size):
                row[i] = scale * (x[i] * one[i] - back * two[i])


@kernel
def weighted_sum(row, values):
    """Σ_i row_i values_i."""
    total = 0.0
    for i in range(row.size):
        total += row[i] * values[i]
    return total


@kernel
def moments_smooth(act, q, b, c):
    """Fill c[k, j]: c_k = √(k−1)! E[σ'(sG + b) h_{k−1}(G)]/s^{k−1}, k >= 1.

    Below q0 = (SMALL δ)² the powers of s would cost the digits; there c_k(q) = Σ_n ((q − q0)/2)^n/n! c_{k+2n}(q0), the
    solution of ∂c_k/∂q = ½c_{k+2}, whose terms fall quickly since σ is smooth on the scale δ.
    """
    q0, orders, largest, below = (SMALL * act.step) ** 2, c.shape[0], 0.0, False
    for j in range(q.size):
        largest = q[j] if q[j] > largest else largest  # by comparison: NaN must not size the rule
        below = below or q[j] < q0
    if below:
        orders, largest = c.shape[0] + EXTRA, max(largest, q0)
    h = step_for(act, math.sqrt(largest), orders)
    x = rule(h, REACH)
    H, value, slope, c0 = np.empty((orders, x.size)), np.empty(x.size), np.empty(x.size), np.empty(orders)
    fill_rows(x, h, 0, orders, H)
    for j in range(q.size):
        s = math.sqrt(max(q[j], q0))
        fill_line(act.table, act.grid, b[j], s, x, value, slope)
        scale = 1.0
        c0[0] = weighted_sum(H[0], value)
        for k in range(1, c.shape[0] if q[j] >= q0 else orders):
            c0[k] = scale * weighted_sum(H[k - 1], slope)
            scale *= math.sqrt(k) / s
        if q[j] >= q0:
            for k in range(c.shape[0]):
                c[k, j] = c0[k]
        else:
            for k in range(c.shape[0]):
                total, factor = 0.0, 1.0
                for n in range((orders - k + 1) // 2):
                    total += factor * c0[k + 2 * n]
                    factor *= 0.5 * (q[j] - q0) / (n + 1.0)
                c[k, j] = total


@kernel
def panel_length(act, s):
    """Return the length in G of a panel on which ORDER Gauss points suffice."""
    return max(0.02, min(2.0, 5.0 * act.step / max(s, 1e-300)))


@kernel
def panels(start, end, length):
    """Return how many nodes the panels between two edges have, none if the edges coincide, and half a panel."""
    count = int((end - start) / length) + 1
    half = 0.5 * (end - start) / count
    return (count * ORDER if half > 0.0 else 0), half


@kernel
def panel_node(start, half, p):
    """Return node p of the panels from an edge on, and its weight times φ."""
    g = start + half * (1.0 + 2 * (p // ORDER) + NODES[p % ORDER])
    return g, half * WEIGHTS[p % ORDER] * density(g)


@kernel
def segment_edges(act, s, u):
    """Return −EDGE, the kinks of σ(u + sG) in between, and EDGE."""
    kinks = act.grid.shape[0] - 1
    edges = np.empty(kinks + 2)
    edges[0] = -EDGE
    for i in range(kinks):
        g = (act.grid[i + 1, START] - u) / max(s, 1e-300)
        edges[i + 1] = max(-EDGE, min(EDGE, g))
    edges[kinks + 1] = EDGE
    return edges


@kernel
def moments_kinked(act, q, b, c):
    """Fill c[k, j] from panels split at the kinks; the jumps of the slope enter in closed form where σ'' is used."""
    top, table, grid = c.shape[0], act.table, act.grid
    for j in range(q.size):
        s = math.sqrt(q[j])
        by_slope = s > 0.05  # else c_2 from σ'', which costs a power of s less
        c[:, j] = 0.0
        edges, length = segment_edges(act, s, b[j]), panel_length(act, s)
        for e in range(edges.size - 1):
            count, half = panels(edges[e], edges[e + 1], length)
            for p in range(count):
                g, weight = panel_node(edges[e], half, p)
                value, slope = value_slope(table, grid, b[j] + s * g)
                c[0, j] += weight * value
                c[1, j] += weight * slope
                if by_slope:  # σ' He_{k−1}/s^{k−1}
                    before, now, n, scale = 1.0, g, 1, weight * slope / s
                else:  # σ'' He_{k−2}/s^{k−2}
                    before, now, n = 0.0, 1.0, 0
                    scale = weight * curvature(table, grid, b[j] + s * g)
                for k in range(2, top):
                    c[k, j] += scale * now
                    before, now = now, g * now - n * before
                    n += 1
                    scale /= s
        if not by_slope:
            for i in range(1, act.grid.shape[0]):
                g = (act.grid[i, START] - b[j]) / s
                if abs(g) < 38.0:
                    before, now, scale = 0.0, 1.0, act.grid[i, JUMP] * density(g) / s
                    for k in range(2, top):
                        c[k, j] += scale * now
                        before, now = now, g * now - (k - 2) * before
                        scale /= s


@kernel
def moments_table(act, q, b, c):
    """Fill c[k, j] for a tabulated activation."""
    if act.grid.shape[0] > 1:
        moments_kinked(act, q, b, c)
    else:
        moments_smooth(act, q, b, c)
