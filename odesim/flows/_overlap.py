"""Overlap flow: the exact gradient flow of the population risk in (m, R, a, b), for Gaussian data.

The flat state is m (N·P), R (N·N), a (N), b (N), R the residuals' Gram matrix, Q = m mᵀ + R. With
A_jr = a_j ∂C_j/∂m_r and the symmetric B_jk = −a_j a_k ∂K_jk/∂q12, whose diagonal gains
2a_j ∂C_j/∂q − 2a_j Σ_l a_l ∂K_jl/∂q1: m' = A + Bm, R' = BR + RB, a' = κ_a (C − Ka),
b' = κ_b a (∂C/∂b − Σ_l a_l ∂K_jl/∂b1). The finite-step term adds (ηd) Γ to R'.
"""

from typing import NamedTuple

import numpy as np

from odesim._jit import kernel
from odesim.activations._act import Act
from odesim.activations._moments import moments
from odesim.activations._pairs import pair_sums
from odesim.flows._expectation import Series, correlation
from odesim.flows._noise_erf import Closure, Tilt, noise_erf
from odesim.flows._noise_points import Points, noise_points
from odesim.integrate._explicit import explicit

NO_NOISE, NOISE_ERF, NOISE_POINTS = 0, 1, 2


class Scratch(NamedTuple):
    """Work arrays of one right-hand side."""

    q: np.ndarray  # (N)
    t: np.ndarray  # (N)
    c: np.ndarray  # (degree + 3, N)
    C: np.ndarray  # (N)
    by_m: np.ndarray  # (N, P)
    by_q: np.ndarray  # (N)
    by_b: np.ndarray  # (N)
    ka: np.ndarray  # (N)
    k1: np.ndarray  # (N)
    kb: np.ndarray  # (N)
    B: np.ndarray  # (N, N)
    Q: np.ndarray  # (N, N)
    S: np.ndarray  # (N, N)
    gamma: np.ndarray  # (N, N)


class Problem(NamedTuple):
    """Everything the right-hand side reads, in arrays."""

    act: Act
    biased: int  # whether any bias is, or can become, non-zero
    method: int  # of the finite-step term
    kappa_a: float
    kappa_b: float
    eta_d: float
    noise: float
    energy: float  # Σ ĥ_S², the constant included
    series: Series
    table: Closure
    table2: Closure  # of h²
    tilt: Tilt
    points: Points
    scratch: Scratch


@kernel
def views(problem, y):
    """Split a flat state into m (N, P), R (N, N), a (N), b (N)."""
    n, p = problem.scratch.by_m.shape
    end_m = n * p
    end_R = end_m + n * n
    return y[:end_m].reshape(n, p), y[end_m:end_R].reshape(n, n), y[end_R : end_R + n], y[end_R + n :]


@kernel
def fill_Q(m, R, Q, q):  # noqa: N802
    """Q = m mᵀ + R and its diagonal."""
    for j in range(q.size):
        for k in range(q.size):
            total = R[j, k]
            for r in range(m.shape[1]):
                total += m[j, r] * m[k, r]
            Q[j, k] = total
        q[j] = Q[j, j]


@kernel
def fill_gamma(problem, diagonal, m, R, Q, a, b, out):
    """Γ (N, N) by the problem's method; needs Q."""
    if problem.method == NOISE_ERF:
        noise_erf(
            problem.biased,
            diagonal,
            problem.noise,
            problem.table,
            problem.table2,
            m,
            Q,
            a,
            b,
            problem.tilt,
            out,
        )
    else:
        noise_points(problem.act, diagonal, problem.noise, m, R, a, b, problem.points, out)


@kernel
def fill_expectations(problem, m, R, a, b):
    """Q, the moments, C and its partials, and the sums over pairs, all in the scratch."""
    s = problem.scratch
    fill_Q(m, R, s.Q, s.q)
    moments(problem.act, s.q, b, s.c)
    correlation(problem.series, m, s.c, s.C, s.by_m, s.by_q, s.by_b)
    pair_sums(problem.act, problem.biased, s.Q, a, b, s.t, s.ka, s.k1, s.kb, s.B)


@kernel
def rhs_overlap(problem, t, y, dy):
    """Fill dy/dt, t = η · steps."""
    s = problem.scratch
    m, R, a, b = views(problem, y)
    dm, dR, da, db = views(problem, dy)
    fill_expectations(problem, m, R, a, b)
    for j in range(a.size):
        row = s.B[j]
        for k in range(a.size):
            row[k] *= -a[j] * a[k]
        row[j] += 2.0 * a[j] * (s.by_q[j] - s.k1[j])
        da[j] = problem.kappa_a * (s.C[j] - s.ka[j])
        db[j] = problem.kappa_b * a[j] * (s.by_b[j] - s.kb[j])
    for j in range(a.size):
        out = s.S[j]
        out[:] = 0.0
        for r in range(m.shape[1]):
            dm[j, r] = a[j] * s.by_m[j, r]
        for k in range(a.size):
            weight, row = s.B[j, k], R[k]
            for r in range(m.shape[1]):
                dm[j, r] += weight * m[k, r]
            for l in range(a.size):
                out[l] += weight * row[l]
    for j in range(a.size):
        for k in range(a.size):
            dR[j, k] = s.S[j, k] + s.S[k, j]
    if problem.eta_d > 0.0:
        fill_gamma(problem, 0, m, R, s.Q, a, b, s.gamma)
        for j in range(a.size):
            for k in range(a.size):
                dR[j, k] += problem.eta_d * s.gamma[j, k]


@kernel
def risk_overlap(problem, y):
    """Return the population risk ½ Σ ĥ_S² − a·C + ½ aᵀKa."""
    s = problem.scratch
    m, R, a, b = views(problem, y)
    fill_expectations(problem, m, R, a, b)
    total = 0.5 * problem.energy
    for j in range(a.size):
        total += a[j] * (0.5 * s.ka[j] - s.C[j])
    return total


@kernel
def risks(problem, states, out):
    """Fill the risk of every row of ``states``."""
    for i in range(out.size):
        out[i] = risk_overlap(problem, states[i])


@kernel
def noise_rates(problem, states, out):
    """Fill Γ_jj (rows, N) of every row of ``states``."""
    s = problem.scratch
    for i in range(out.shape[0]):
        m, R, a, b = views(problem, states[i])
        fill_Q(m, R, s.Q, s.q)
        fill_gamma(problem, 1, m, R, s.Q, a, b, s.gamma)
        for j in range(a.size):
            out[i, j] = s.gamma[j, j]


@kernel
def derivative(problem, t, y, dy):
    """Give Python the right-hand side."""
    rhs_overlap(problem, t, y, dy)


@kernel
def solve_overlap(problem, tableau, y, control, counts, t_out, out, work, budget):
    """Advance the integration by at most ``budget`` steps; see `explicit`."""
    return explicit(rhs_overlap, problem, tableau, y, control, counts, t_out, out, work, budget)
