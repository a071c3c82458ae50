"""Pair sums by Mehler's series: K = Σ_k u_k(1) u_k(2) ρ^k, u_k = E[σ h_k(G)], h_k the normalised Hermite polynomials.

With v_k = E[σ' h_k] and w_k = E[σ'' h_k], ∂K/∂q12 = Σ v_k v_k ρ^k, ∂K/∂q1 = ½Σ w_k(1) u_k(2) ρ^k and ∂K/∂b1 =
Σ v_k(1) u_k(2) ρ^k: all sums over l but the second partials share S_k = Σ_l a_l u_k(l) ρ^k.
"""

import math

import numpy as np

from odesim._jit import kernel
from odesim.activations._moments import moments_polynomial
from odesim.activations._pairs_table import MOST, conditioned, diagonal
from odesim.activations._quadrature import REACH, fill_rows, moments_smooth, rule, step_for, weighted_sum
from odesim.activations._table import fill_line

FIRST_TERMS = 16
TOLERANCE = 1e-12  # of what the series leaves out, relative to √(E σ'_1² E σ'_2²)
FEW = 8  # terms of a neuron with s < SMALL·step, whose coefficients fall as s^k
SMALL = 1.0 / 16.0


@kernel
def series_row(j, terms, ratio, p, a, u, v, w, ka, k1, kb, k12):
    """Add the series of row j: ratio (N) is ρ or q12, p (N) starts as 1, or 0 where a pair is left out."""
    value, by_q, by_b, row = 0.0, 0.0, 0.0, k12[j]
    for k in range(terms):
        uk, vk, mine, total = u[k], v[k], v[k, j], 0.0
        for l in range(p.size):
            total += a[l] * uk[l] * p[l]
            row[l] += mine * vk[l] * p[l]
            p[l] *= ratio[l]
        value += uk[j] * total
        by_q += w[k, j] * total
        by_b += mine * total
    ka[j] += value
    k1[j] += 0.5 * by_q
    kb[j] += by_b


@kernel
def pairs_polynomial(act, Q, a, b, ka, k1, kb, k12):
    """Fill the sums of a polynomial: the series ends; here u_k = c_k/√k! and q12^k stands in place of ρ^k."""
    n, terms = a.size, act.table.shape[1]
    c, p, q = np.zeros((terms + 2, n)), np.empty(n), np.empty(n)
    for j in range(n):
        q[j] = Q[j, j]
    moments_polynomial(act, q, b, c)
    u, v, w = np.empty((terms, n)), np.empty((terms, n)), np.empty((terms, n))
    scale = 1.0
    for k in range(terms):
        scale = scale / math.sqrt(k) if k > 0 else 1.0
        for j in range(n):
            u[k, j], v[k, j], w[k, j] = scale * c[k, j], scale * c[k + 1, j], scale * c[k + 2, j]
    for j in range(n):
        p[:] = 1.0
        series_row(j, terms, Q[j], p, a, u, v, w, ka, k1, kb, k12)


@kernel
def tails(act, x, H, s, b, u, v, first, terms, value, slope, size, rest):
    """Fill u[0] and v[first:terms]; size = E σ'², rest = what Σ v_k² lacks of it."""
    for j in range(s.size):
        fill_line(act.table, act.grid, b[j], s[j], x, value, slope)
        if first == 0:
            u[0, j] = weighted_sum(H[0], value)
            size[j] = 0.0
            for i in range(x.size):
                size[j] += H[0, i] * slope[i] * slope[i]
            rest[j] = size[j]
        for k in range(first, terms):
            v[k, j] = weighted_sum(H[k], slope)
            rest[j] -= v[k, j] * v[k, j]


@kernel
def fill_small(act, s, b, terms, u, v, w, rest):
    """Overwrite the coefficients of neurons with a small s: E[σ^(i) h_k] = c_{k+i} s^k/√k!, at most FEW of them."""
    for j in range(s.size):
        if s[j] < SMALL * act.step:
            q, shift, c = np.empty(1), np.empty(1), np.empty((FEW + 2, 1))
            q[0], shift[0] = s[j] * s[j], b[j]
            moments_smooth(act, q, shift, c)
            scale, rest[j] = 1.0, 0.0
            for k in range(terms):
                scale = scale * s[j] / math.sqrt(k) if k > 0 else 1.0
                if k >= FEW:
                    u[k, j], v[k, j], w[k, j] = 0.0, 0.0, 0.0
                else:
                    u[k, j], v[k, j], w[k, j] = scale * c[k, 0], scale * c[k + 1, 0], scale * c[k + 2, 0]


@kernel
def correlation_of(Q, j, l):
    """ρ in [−1, 1], exactly 1 on the diagonal."""
    return 1.0 if j == l else max(-1.0, min(1.0, Q[j, l] / math.sqrt(Q[j, j] * Q[l, l])))


@kernel
def left_out(rho, terms, rest, size, j, l):
    """Whether the series of ``terms`` (a power of 2) terms does not serve the pair."""
    power, count = rho, 1
    while count < terms:
        power *= power
        count *= 2
    bound = abs(power) * math.sqrt(max(rest[j], 0.0) * max(rest[l], 0.0))
    return bound > TOLERANCE * math.sqrt(size[j] * size[l])  # False for NaN: a diverging run must not size rules


@kernel
def pairs_smooth(act, Q, a, b, ka, k1, kb, k12):
    """Fill the sums of a table without kinks: the series as long as its measured tail asks, up to MOST terms.

    Pairs that need more (large norms or a sharp σ, |ρ| near 1) are averaged one given the other instead, and
    the diagonal over one Gaussian.
    """
    n = a.size
    s, largest, closest = np.empty(n), 0.0, 0.0
    for j in range(n):
        s[j] = math.sqrt(Q[j, j])
        largest = s[j] if s[j] > largest else largest
        for l in range(j):
            closest = max(closest, abs(correlation_of(Q, j, l)))
    h = step_for(act, largest, MOST)
    x = rule(h, REACH)
    H, value, slope = np.empty((MOST, x.size)), np.empty(x.size), np.empty(x.size)
    u, v, w = np.empty((MOST, n)), np.empty((MOST, n)), np.empty((MOST, n))
    size, rest = np.empty(n), np.empty(n)
    done, terms = 0, FIRST_TERMS
    while True:
        fill_rows(x, h, done, terms, H)
        tails(act, x, H, s, b, u, v, done, terms, value, slope, size, rest)
        worst = 0.0
        for j in range(n):
            share = max(rest[j], 0.0) / size[j]
            worst = share if share > worst and s[j] >= SMALL * act.step else worst
        if 2 * terms > MOST or not worst * closest**terms > TOLERANCE:
            break
        done, terms = terms, 2 * terms
    for k in range(terms):
        for j in range(n):
            if k > 0:
                u[k, j] = s[j] * v[k - 1, j] / math.sqrt(k)
            w[k, j] = math.sqrt(k + 1.0) * v[k + 1, j] / s[j] if k + 1 < terms else 0.0
    fill_small(act, s, b, terms, u, v, w, rest)
    p, ratio = np.empty(n), np.empty(n)
    for j in range(n):
        for l in range(n):
            ratio[l] = correlation_of(Q, j, l)
            p[l] = 0.0 if left_out(ratio[l], terms, rest, size, j, l) else 1.0
        for l in range(j + 1):
            if p[l] == 0.0:
                if l == j:
                    K, by_12, by_q1, by_b1 = diagonal(act, s[j], b[j])
                    by_q2, by_b2 = 0.0, 0.0
                else:
                    K, by_12, by_q1, by_q2, by_b1, by_b2 = conditioned(act, s[j], s[l], ratio[l], b[j], b[l])
                    ka[l] += a[j] * K
                    k1[l] += a[j] * by_q2
                    kb[l] += a[j] * by_b2
                    k12[l, j] += by_12
                ka[j] += a[l] * K
                k1[j] += a[l] * by_q1
                kb[j] += a[l] * by_b1
                k12[j, l] += by_12
        series_row(j, terms, ratio, p, a, u, v, w, ka, k1, kb, k12)
