"""Overlap flow: the population gradient flow in (m, R, a, b) at finite width, and its map of discrete steps.

The flat state is m (N·P), R (N·N), a (N), b (N) of f = Σ_j a_j σ_j, R the residuals' Gram matrix, Q = m mᵀ + R.
Gaussian data, by terms: with A_jr = a_j ∂C_j/∂m_r and the symmetric B_jk = −a_j a_k ∂K_jk/∂q12, whose diagonal gains
2a_j ∂C_j/∂q − 2a_j Σ_l a_l ∂K_jl/∂q1: m' = ξ(A + Bm − λm), R' = ξ(BR + RB − 2λR), a' = κ_a (C − Ka − λ_a a),
b' = κ_b a (∂C/∂b − Σ_l a_l ∂K_jl/∂b1). By points the sums over z of `_overlap_points` stand for A + Bm, B, C, K.
The finite-step term adds (ηd/B) Γ to R'.

A teacher network is K more neurons that stay where they are, with −v as their second layer: the target is then
Σ_k v_k σ_k and the residual minus the joint network's output. Under the correlation loss the residual is the target
alone: the weights w of the neurons in it are 0 for the student, and a only stands in front.
"""

from typing import NamedTuple

import numpy as np

from odesim._jit import NO, YES, kernel
from odesim.activations._act import ERF, Act
from odesim.activations._moments import moments
from odesim.activations._pairs import pair_sums, pairs_erf
from odesim.flows._expectation import Series, correlation
from odesim.flows._noise_erf import Closure, Tilt, noise_erf
from odesim.flows._noise_points import Points, noise_points
from odesim.flows._overlap_points import Grid, Sums, sums_over_points
from odesim.integrate._explicit import explicit, largest

NOISE_ERF, NOISE_POINTS = 1, 2


class Scratch(NamedTuple):
    """Work arrays of one right-hand side, M = N + K rows with the teacher's."""

    q: np.ndarray  # (M)
    t: np.ndarray  # (M)
    mt: np.ndarray  # (P, M) mᵀ
    c: np.ndarray  # (degree + 3, M)
    sums: Sums
    Q: np.ndarray  # (M, M)
    S: np.ndarray  # (N, N)
    gamma: np.ndarray  # (N, N)


class Joint(NamedTuple):
    """Student and teacher in one, the student first; the teacher's rows never change."""

    m: np.ndarray  # (M, P)
    R: np.ndarray  # (M, M), zero but for the student's
    b: np.ndarray  # (M)
    w: np.ndarray  # (M) the weights in the residual


class Gamma(NamedTuple):
    """What the finite-step term reads."""

    act: Act
    biased: int
    crowd: int
    method: int
    noise: float
    table: Closure
    table2: Closure  # of h²
    tilt: Tilt
    points: Points


class Problem(NamedTuple):
    """Everything the right-hand side reads, in arrays.

    It is handed on in parts: numba counts the references of every array in a tuple that a call passes, which costs
    as much as a right-hand side of eight neurons computes.
    """

    act: Act
    biased: int  # whether any bias is, or can become, non-zero
    by_points: int  # sums over the grid's z in place of Hermite terms
    joined: int  # whether the residual's neurons are those of ``joint``, not just the student with its a
    alone: int  # correlation loss: the student is not in its own residual
    crowd: int  # whether any neuron is in the residual
    xi_w: float
    kappa_a: float
    kappa_b: float
    decay_w: float
    decay_a: float
    eta_d: float  # the factor of Γ in R'
    share: float  # 1/B, which the map of discrete steps needs beside
    energy: float  # E[h²], the constant included; 0 for a teacher
    series: Series
    gamma: Gamma
    grid: Grid
    joint: Joint
    scratch: Scratch


@kernel(inline="always")
def views(n, p, y):
    """Split a flat state into m (N, P), R (N, N), a (N), b (N)."""
    end_m = n * p
    end_R = end_m + n * n
    return y[:end_m].reshape(n, p), y[end_m:end_R].reshape(n, n), y[end_R : end_R + n], y[end_R + n :]


@kernel(counted=False)
def fill_Q(m, R, mt, Q, q):  # noqa: N802
    """Q = m mᵀ + R and its diagonal, and mᵀ."""
    n, p = m.shape
    for j in range(n):
        for r in range(p):
            mt[r, j] = m[j, r]
    for j in range(n):
        row, old = Q[j], R[j]
        for k in range(n):
            row[k] = old[k]
        for r in range(p):
            x, column = m[j, r], mt[r]
            for k in range(n):
                row[k] += x * column[k]
        q[j] = row[j]


@kernel(counted=False)
def join(joint, alone, m, R, a, b):
    """Put the student into the joint network."""
    for j in range(a.size):
        for r in range(m.shape[1]):
            joint.m[j, r] = m[j, r]
        for k in range(a.size):
            joint.R[j, k] = R[j, k]
        joint.b[j] = b[j]
        joint.w[j] = 0.0 if alone else a[j]


@kernel(counted=False)
def sums_over_terms(act, biased, crowd, rows, values, series, m, R, w, b, s):
    """Fill Q, the moments, C and its partials, and the sums over pairs, for Gaussian data.

    The sums are right for the first ``rows`` neurons, those of C and K themselves only where ``values`` is set.
    """
    fill_Q(m, R, s.mt, s.Q, s.q)
    e = s.sums
    if series.coefficients.size > 0 or values:
        moments(act, s.q, b, s.c)
    correlation(series, m, s.c, e.C, e.by_m, e.by_q, e.by_b)
    if crowd and act.code == ERF and not biased:
        pairs_erf(rows, values, s.Q, w, s.t, e.ka, e.k1, e.B)
        for j in range(w.size):
            e.kb[j] = 0.0
    elif crowd:
        pair_sums(act, biased, s.Q, w, b, s.t, e.ka, e.k1, e.kb, e.B)
    else:
        for j in range(w.size):
            e.ka[j], e.k1[j], e.kb[j] = 0.0, 0.0, 0.0
            for k in range(w.size):
                e.B[j, k] = 0.0


@kernel
def fill_gamma(g, diagonal, m, R, Q, a, w, b, out):
    """Fill Γ (N, N) by the chosen method; needs Q."""
    if g.method == NOISE_ERF:
        noise_erf(g.biased, g.crowd, diagonal, g.noise, g.table, g.table2, m, Q, a, w, b, g.tilt, out)
    else:
        noise_points(g.act, diagonal, g.noise, m, R, w, b, g.points, a, out)


@kernel(counted=False)
def product(B, R, S):
    """S = B R over the first N columns of B, four rows of R at a time."""
    n = S.shape[0]
    whole = n - n % 4
    for j in range(n):
        out, weights = S[j], B[j]
        for l in range(n):
            out[l] = 0.0
        for k in range(0, whole, 4):
            b0, b1, b2, b3 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
            r0, r1, r2, r3 = R[k], R[k + 1], R[k + 2], R[k + 3]
            for l in range(n):
                out[l] += b0 * r0[l] + b1 * r1[l] + b2 * r2[l] + b3 * r3[l]
        for k in range(whole, n):
            b0, r0 = weights[k], R[k]
            for l in range(n):
                out[l] += b0 * r0[l]


@kernel(counted=False)
def rhs_overlap(problem, t, y, dy):
    """Fill dy/dt, t = η · steps in the scaling that the network names."""
    s = problem.scratch
    e = s.sums
    n, p = s.gamma.shape[0], e.by_m.shape[1]
    m, R, a, b = views(n, p, y)
    dm, dR, da, db = views(n, p, dy)
    every_m, every_R, every_b, w = m, R, b, a
    if problem.joined:
        join(problem.joint, problem.alone, m, R, a, b)
        every_m, every_R, every_b, w = problem.joint.m, problem.joint.R, problem.joint.b, problem.joint.w
    if problem.by_points:
        sums_over_points(problem.act, problem.crowd, problem.grid, every_m, every_R, w, every_b, s.sums)
    else:
        values = YES if problem.kappa_a != 0.0 else NO
        sums_over_terms(
            problem.act, problem.biased, problem.crowd, n, values, problem.series, every_m, every_R, w, every_b, s
        )
    xi, decay = problem.xi_w, problem.decay_w
    for j in range(n):
        row, aj = e.B[j], -a[j]
        for k in range(w.size):
            row[k] *= aj * w[k]
        row[j] += 2.0 * a[j] * (e.by_q[j] - e.k1[j])
        da[j] = problem.kappa_a * (e.C[j] - e.ka[j] - problem.decay_a * a[j])
        db[j] = problem.kappa_b * a[j] * (e.by_b[j] - e.kb[j])
        for r in range(p):
            moved = a[j] * e.by_m[j, r] - decay * m[j, r]
            if not problem.by_points:
                column = s.mt[r]
                for k in range(w.size):
                    moved += row[k] * column[k]
            dm[j, r] = xi * moved
    product(e.B, R, s.S)
    for j in range(n):
        out, mine, old = dR[j], s.S[j], R[j]
        for k in range(n):
            out[k] = xi * (mine[k] + s.S[k, j] - 2.0 * decay * old[k])
    if problem.eta_d > 0.0:
        fill_gamma(problem.gamma, NO, every_m, every_R, s.Q, a, w, every_b, s.gamma)
        for j in range(n):
            for k in range(n):
                dR[j, k] += problem.eta_d * s.gamma[j, k]


@kernel(counted=False)
def risk_overlap(problem, y):
    """Return the population risk ½ E[h²] − w·C + ½ wᵀKw over the joint network's weights w."""
    s = problem.scratch
    e = s.sums
    n, p = s.gamma.shape[0], e.by_m.shape[1]
    m, R, a, b = views(n, p, y)
    w = a
    if problem.joined:
        join(problem.joint, NO, m, R, a, b)
        m, R, b, w = problem.joint.m, problem.joint.R, problem.joint.b, problem.joint.w
    if problem.by_points:
        sums_over_points(problem.act, YES, problem.grid, m, R, w, b, s.sums)
    else:
        sums_over_terms(problem.act, problem.biased, YES, w.size, YES, problem.series, m, R, w, b, s)
    total = 0.5 * problem.energy
    for j in range(w.size):
        total += w[j] * (0.5 * e.ka[j] - e.C[j])
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
        m, R, a, b = views(s.gamma.shape[0], s.sums.by_m.shape[1], states[i])
        w = a
        if problem.joined:
            join(problem.joint, problem.alone, m, R, a, b)
            m, R, b, w = problem.joint.m, problem.joint.R, problem.joint.b, problem.joint.w
        fill_Q(m, R, s.mt, s.Q, s.q)
        fill_gamma(problem.gamma, YES, m, R, s.Q, a, w, b, s.gamma)
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


@kernel
def iterate_overlap(problem, y, dy, count, bound):
    """Take up to ``count`` steps of SGD in the mean; return whether every entry stayed below ``bound``.

    The problem's rates are step sizes, and ``share`` is one over the samples in a step. Residuals move by
    M v = ξ(B − λ)v and by noise: R ← (I + M)R(I + M)ᵀ + ξ² share (dΓ − BRBᵀ), of which ``rhs_overlap`` has all but
    MRMᵀ and BRBᵀ.
    """
    s = problem.scratch
    e = s.sums
    n, p = s.gamma.shape[0], e.by_m.shape[1]
    R, dR = views(n, p, y)[1], views(n, p, dy)[1]
    for _ in range(count):
        rhs_overlap(problem, 0.0, y, dy)
        for j in range(n):
            for k in range(n):
                bare, whole = 0.0, 0.0
                for l in range(n):
                    bare += s.S[j, l] * e.B[k, l]
                    whole += (s.S[j, l] - problem.decay_w * R[j, l]) * e.B[k, l]
                whole -= problem.decay_w * (s.S[j, k] - problem.decay_w * R[j, k])
                dR[j, k] += problem.xi_w**2 * (whole - problem.share * bare)
        for i in range(y.size):
            y[i] += dy[i]
        if not largest(y) < bound:
            return False
    return True
