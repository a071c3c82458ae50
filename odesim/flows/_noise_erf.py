"""The finite-step term in closed form for erf: Γ_jk = a_j a_k E[Δ² σ'_j σ'_k], Δ = h + √noise ξ − f.

The product of slopes σ'_j σ'_k is a Gaussian in (λ_j, λ_k), so it tilts the law of (z, λ) to another Gaussian:
with det = (1+Q_jj)(1+Q_kk) − Q_jk² and ⟨X, Y⟩ the form of the inverse matrix of the pair, the tilted covariance
subtracts ⟨·, ·⟩ and the tilted means are μ_r = −⟨m_·r, b⟩ and b̃_l = b_l − ⟨Q_l·, b⟩. Under it E[h²], E[h σ_l]
follow by lowering Hermite indices and E[σ_l σ_n] is the erf pair kernel. (Saad & Solla 1995 give the case
without z and b.)
"""

import math
from typing import NamedTuple

import numpy as np

from odesim._jit import kernel
from odesim.activations._moments import moments_erf
from odesim.activations._normal import arcsine
from odesim.activations._pairs import TWO_OVER_PI, pair_erf_value


class Closure(NamedTuple):
    """Hermite indices in graded order with their recursion; see `closure_of`."""

    degree: np.ndarray
    parent: np.ndarray
    lowered: np.ndarray
    edges: np.ndarray
    edge_u: np.ndarray
    edge_to: np.ndarray
    edge_times: np.ndarray
    coefficients: np.ndarray


class Tilt(NamedTuple):
    """Scratch of one pair: lanes run over the neurons l."""

    alpha: np.ndarray  # (N) and (N): ⟨Q_l·, Q_n·⟩ = Q_lj alpha_n + Q_lk beta_n
    beta: np.ndarray
    m: np.ndarray  # (P, N) tilted covariance of z_r and λ_l
    D: np.ndarray  # (P, P) tilted covariance of z minus the identity
    mu: np.ndarray  # (P) tilted mean of z
    b: np.ndarray  # (N) tilted mean of λ + b
    q: np.ndarray  # (N) tilted variance of λ
    t: np.ndarray  # (N) (1 + q)^{−1/2}
    F: np.ndarray  # (entries, degree + 1, N) the recursion for E[h σ_l]
    G: np.ndarray  # (entries of h²) the recursion for E[h²]
    u: np.ndarray  # (N (N+1)/2) arguments of the arcsines
    w: np.ndarray  # the same, their weights
    sums: np.ndarray  # (N) sums over l in lanes


@kernel
def tilt(j, k, m, Q, b, s):
    """Fill the tilted means and covariances of pair (j, k); return (2/π) det^{−1/2} exp(−⟨b, b⟩/2)."""
    qj, qk, qjk = 1.0 + Q[j, j], 1.0 + Q[k, k], Q[j, k]
    det = qj * qk - qjk * qjk
    bj, bk = (qk * b[j] - qjk * b[k]) / det, (qj * b[k] - qjk * b[j]) / det
    for n in range(Q.shape[0]):
        x, y = Q[j, n], Q[k, n]
        s.alpha[n] = (qk * x - qjk * y) / det
        s.beta[n] = (qj * y - qjk * x) / det
        s.q[n] = Q[n, n] - x * s.alpha[n] - y * s.beta[n]
        s.t[n] = 1.0 / math.sqrt(1.0 + s.q[n])
        s.b[n] = b[n] - x * bj - y * bk
    for r in range(m.shape[1]):
        x, y = m[j, r], m[k, r]
        s.mu[r] = -(x * bj + y * bk)
        for n in range(Q.shape[0]):
            s.m[r, n] = m[n, r] - x * s.alpha[n] - y * s.beta[n]
        for p in range(m.shape[1]):
            s.D[r, p] = -(x * (qk * m[j, p] - qjk * m[k, p]) + y * (qj * m[k, p] - qjk * m[j, p])) / det
    return TWO_OVER_PI / math.sqrt(det) * math.exp(-0.5 * (b[j] * bj + b[k] * bk))


@kernel
def mean_square(table, s):
    """Tilted E[h²] = Σ_S coefficient_S E[He_S(z)]."""
    s.G[0] = 1.0
    total = table.coefficients[0]
    for n in range(1, table.degree.size):
        value = s.mu[table.lowered[n]] * s.G[table.parent[n]]
        for e in range(table.edges[n], table.edges[n + 1]):
            value += s.D[table.lowered[n], table.edge_u[e]] * table.edge_times[e] * s.G[table.edge_to[e]]
        s.G[n] = value
        total += table.coefficients[n] * value
    return total


@kernel
def mean_product(table, a, s):
    """Tilted Σ_l a_l E[h σ_l], from F(0, i) = c_i and F(S, i) in terms of lower S; see the module's source."""
    top = s.F.shape[1] - 1
    moments_erf(s.q, s.b, s.F[0])
    s.sums[:] = 0.0
    for n in range(table.degree.size):
        r = table.lowered[n]
        if n > 0:
            for i in range(top - table.degree[n] + 1):
                out, raised, same = s.F[n, i], s.F[table.parent[n], i + 1], s.F[table.parent[n], i]
                mu, cov = s.mu[r], s.m[r]
                for l in range(a.size):
                    out[l] = cov[l] * raised[l] + mu * same[l]
                for e in range(table.edges[n], table.edges[n + 1]):
                    weight, lower = s.D[r, table.edge_u[e]] * table.edge_times[e], s.F[table.edge_to[e], i]
                    for l in range(a.size):
                        out[l] += weight * lower[l]
        if table.coefficients[n] != 0.0:
            out, weight = s.F[n, 0], table.coefficients[n]
            for l in range(a.size):
                s.sums[l] += weight * out[l]
    total = 0.0
    for l in range(a.size):
        total += a[l] * s.sums[l]
    return total


@kernel
def mean_output(j, k, Q, a, s):
    """Tilted E[f²] without biases: one arcsine a pair of neurons, gathered in one array so that they vectorise."""
    i = 0
    for l in range(a.size):
        x, y, tl, al, row = Q[j, l], Q[k, l], s.t[l], a[l], Q[l]
        for n in range(l):
            s.u[i + n] = (row[n] - x * s.alpha[n] - y * s.beta[n]) * (tl * s.t[n])
            s.w[i + n] = 2.0 * al * a[n]
        s.u[i + l] = s.q[l] * tl * tl
        s.w[i + l] = al * al
        i += l + 1
    total = 0.0
    for i in range(s.u.size):
        total += s.w[i] * arcsine(s.u[i])
    return TWO_OVER_PI * total


@kernel
def mean_output_biased(j, k, Q, a, s):
    """Tilted E[f²] with biases."""
    total = 0.0
    for l in range(a.size):
        for n in range(l + 1):
            cov = Q[l, n] - Q[j, l] * s.alpha[n] - Q[k, l] * s.beta[n]
            value = a[l] * a[n] * pair_erf_value(s.q[l], cov, s.q[n], s.b[l], s.b[n])
            total += value if l == n else 2.0 * value
    return total


@kernel
def noise_erf(biased, crowd, diagonal, noise, table, table2, m, Q, a, w, b, s, out):
    """Fill Γ (N, N) of the first N rows, or its diagonal alone (``diagonal``), symmetric.

    ``w`` are the weights of all rows in the residual, ``crowd`` whether any of them counts.
    """
    for j in range(a.size):
        for k in range(j if diagonal else 0, j + 1):
            front = tilt(j, k, m, Q, b, s)
            error = noise + mean_square(table2, s)
            if crowd and biased:
                error += mean_output_biased(j, k, Q, w, s)
            elif crowd:
                error += mean_output(j, k, Q, w, s)
            if crowd:
                error -= 2.0 * mean_product(table, w, s)
            out[j, k] = a[j] * a[k] * front * error
            out[k, j] = out[j, k]
