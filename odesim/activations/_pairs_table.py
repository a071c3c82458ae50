"""One pair of tabulated neurons by quadrature: on the diagonal, one given the other, or on panels at the kinks."""

import math

import numpy as np

from odesim._jit import kernel
from odesim.activations._normal import density
from odesim.activations._quadrature import (
    EDGE,
    panel_length,
    panel_node,
    panels,
    rule,
    segment_edges,
    step_for,
)
from odesim.activations._table import JUMP, START, curvature, fill_line, value_slope

MOST = 256
"""Terms of Mehler's series at most."""

NARROW = 0.25
"""s/δ up to which seven Gauss–Hermite nodes are exact to rounding."""

_G, _W = np.polynomial.hermite_e.hermegauss(7)
G7, W7 = _G.copy(), _W / _W.sum()


@kernel
def diagonal(act, s, b):
    """Return E σ², E σ'², ½E[σ''σ] and E[σ'σ]; s E[σ''σ] = E[σσ'G] − s E σ'²."""
    h = step_for(act, s, 2)
    x = rule(h, EDGE)
    table, grid = act.table, act.grid
    K, by_12, cross, by_b = 0.0, 0.0, 0.0, 0.0
    for i in range(x.size):
        weight = h * density(x[i])
        value, slope = value_slope(table, grid, s * x[i] + b)
        K += weight * value * value
        by_12 += weight * slope * slope
        cross += weight * value * slope * x[i]
        by_b += weight * value * slope
    return K, by_12, 0.5 * (cross / s - by_12), by_b


@kernel
def normal_rule(h):
    """Return the nodes of step h and their weights h φ."""
    x = rule(h, EDGE)
    weights = np.empty(x.size)
    for i in range(x.size):
        weights[i] = h * density(x[i])
    return x, weights


@kernel
def narrow_rule(act, s):
    """Return nodes and weights for σ(u + sG): Gauss–Hermite where s is below the scale of σ, else trapezoid."""
    if s <= NARROW * act.step:
        return G7, W7
    return normal_rule(step_for(act, s, 2))


@kernel
def conditioned(act, s1, s2, rho, b1, b2):
    """Return K, ∂K/∂q12, ∂K/∂q1, ∂K/∂q2, ∂K/∂b1, ∂K/∂b2 of a pair, averaging the second given the first.

    λ2 = s2(ρ G1 + √(1−ρ²) G2): near |ρ| = 1 the inner average is over a narrow Gaussian. E[σ''σ] by parts:
    E[λ1 σ'_1 σ_2] = q1 E[σ''_1 σ_2] + q12 E[σ'_1 σ'_2].
    """
    table, grid = act.table, act.grid
    own = s2 * math.sqrt((1.0 - rho) * (1.0 + rho))
    x, weights = normal_rule(step_for(act, max(s1, s2), 2))
    y, weights2 = narrow_rule(act, own)
    value, slope = np.empty(x.size), np.empty(x.size)
    fill_line(table, grid, b1, s1, x, value, slope)
    K, by_12, one, two, by_b1, by_b2 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(x.size):
        mean, f, d = s2 * rho * x[i], weights[i] * value[i], weights[i] * slope[i]
        V, by_u, spread = 0.0, 0.0, 0.0
        for k in range(y.size):
            v, dv = value_slope(table, grid, b2 + mean + own * y[k])
            V += weights2[k] * v
            by_u += weights2[k] * dv
            spread += weights2[k] * dv * y[k]
        K += f * V
        by_12 += d * by_u
        by_b1 += d * V
        by_b2 += f * by_u
        one += s1 * x[i] * d * V
        two += f * (mean * by_u + own * spread)
    q12 = rho * s1 * s2
    by_q1, by_q2 = 0.5 * (one - q12 * by_12) / (s1 * s1), 0.5 * (two - q12 * by_12) / (s2 * s2)
    return K, by_12, by_q1, by_q2, by_b1, by_b2


@kernel
def smoothed_panels(act, u, s):
    """Return V = E σ(u + sG), ∂V/∂u and ∂V/∂s = E[σ' G] on panels split at the kinks."""
    table, grid = act.table, act.grid
    V, slope, spread = 0.0, 0.0, 0.0
    edges, length = segment_edges(act, s, u), panel_length(act, s)
    for e in range(edges.size - 1):
        count, half = panels(edges[e], edges[e + 1], length)
        for p in range(count):
            g, weight = panel_node(edges[e], half, p)
            value, by_u = value_slope(table, grid, u + s * g)
            V += weight * value
            slope += weight * by_u
            spread += weight * by_u * g
    return V, slope, spread


@kernel
def pair_edges(act, s1, s2, rho, b1, b2):
    """Return where the panels in λ1 end: its own kinks, and around those of the second neuron, softened by r/|ρ|."""
    kinks = act.grid.shape[0] - 1
    edges = np.empty(2 + 8 * kinks)
    edges[0], edges[1] = -EDGE, EDGE
    soft = math.sqrt((1.0 - rho) * (1.0 + rho)) / max(abs(rho), 1e-3)
    for i in range(kinks):
        kink, at = act.grid[i + 1, START], 2 + 8 * i
        edges[at] = (kink - b1) / s1
        middle = (kink - b2) / (s2 * rho) if abs(rho) > 1e-3 else 2.0 * EDGE
        edges[at + 1], edges[at + 2], edges[at + 3] = middle, middle - soft, middle + soft
        edges[at + 4], edges[at + 5] = middle - 3.0 * soft, middle + 3.0 * soft
        edges[at + 6], edges[at + 7] = middle - 8.0 * soft, middle + 8.0 * soft
    for i in range(edges.size):
        edges[i] = max(-EDGE, min(EDGE, edges[i]))
    return np.sort(edges)


@kernel
def pair_kinked(act, s1, s2, rho, b1, b2):
    """Return K, ∂K/∂q12, ∂K/∂q1, ∂K/∂b1: an outer average over λ1 of σ(λ1) times the smoothed second neuron."""
    table, grid = act.table, act.grid
    K, by_12, by_q, by_b = 0.0, 0.0, 0.0, 0.0
    edges, length = pair_edges(act, s1, s2, rho, b1, b2), panel_length(act, max(s1, s2))
    own = s2 * math.sqrt((1.0 - rho) * (1.0 + rho))
    for e in range(edges.size - 1):
        count, half = panels(edges[e], edges[e + 1], length)
        for p in range(count):
            g, weight = panel_node(edges[e], half, p)
            value, slope = value_slope(table, grid, b1 + s1 * g)
            V, by_u, _ = smoothed_panels(act, b2 + s2 * rho * g, own)
            K += weight * value * V
            by_12 += weight * slope * by_u
            by_b += weight * slope * V
            by_q += weight * curvature(table, grid, b1 + s1 * g) * V
    for i in range(1, act.grid.shape[0]):
        g = (act.grid[i, START] - b1) / s1
        if abs(g) < EDGE:
            V, _, _ = smoothed_panels(act, b2 + s2 * rho * g, own)
            by_q += act.grid[i, JUMP] * density(g) / s1 * V
    return K, by_12, 0.5 * by_q, by_b


@kernel
def pairs_kinked(act, Q, a, b, ka, k1, kb, k12):
    """Fill the sums of a table with kinks."""
    for j in range(a.size):
        s1 = math.sqrt(Q[j, j])
        for l in range(a.size):
            s2 = math.sqrt(Q[l, l])
            rho = 1.0 if j == l else max(-1.0, min(1.0, Q[j, l] / math.sqrt(Q[j, j] * Q[l, l])))
            K, by_12, by_q, by_b = pair_kinked(act, s1, s2, rho, b[j], b[l])
            ka[j] += a[l] * K
            k1[j] += a[l] * by_q
            kb[j] += a[l] * by_b
            k12[j, l] = by_12
