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
from odesim.activations._act import Act
from odesim.flows._expectation import Series
from odesim.flows._noise_erf import Closure, Tilt, noise_erf
from odesim.flows._noise_points import Points, noise_points
from odesim.flows._overlap_points import Grid, Sums, sums_over_points
from odesim.flows._overlap_terms import fill_Q, inner_products, sums_over_terms
from odesim.integrate._explicit import explicit, largest

NOISE_ERF, NOISE_POINTS = 1, 2


class Scratch(NamedTuple):
    """Work arrays of one right-hand side, M = N + K rows with the teacher's; few, for each is passed in seven words."""

    lanes: np.ndarray  # (8, M): q, t, and the vectors of `Sums`
    c: np.ndarray  # (degree + 3, M)
    mt: np.ndarray  # (P, M) mᵀ
    by_m: np.ndarray  # (M, P)
    Q: np.ndarray  # (M, M)
    B: np.ndarray  # (M, M)
    S: np.ndarray  # (N, N) B R
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
def join(joint, alone, m, R, a, b):
    """Put the student into the joint network."""
    for j in range(a.size):
        for r in range(m.shape[1]):
            joint.m[j, r] = m[j, r]
        for k in range(a.size):
            joint.R[j, k] = R[j, k]
        joint.b[j] = b[j]
        joint.w[j] = 0.0 if alone else a[j]


@kernel(inline="always")
def sums_in(s):
    """Return the expectations as views into the scratch."""
    x = s.lanes
    return Sums(x[2], s.by_m, x[3], x[4], x[5], x[6], x[7], s.B)


@kernel
def fill_gamma(g, diagonal, m, R, Q, a, w, b, out):
    """Fill Γ (N, N) by the chosen method; needs Q."""
    if g.method == NOISE_ERF:
        noise_erf(g.biased, g.crowd, diagonal, g.noise, g.table, g.table2, m, Q, a, w, b, g.tilt, out)
    else:
        noise_points(g.act, diagonal, g.noise, m, R, w, b, g.points, a, out)


@kernel(counted=False)
def sums_by_points(act, joined, alone, crowd, grid, joint, s, y):
    """Fill the expectations by sums over z."""
    m, R, a, b = views(s.gamma.shape[0], s.by_m.shape[1], y)
    w = a
    if joined:
        join(joint, alone, m, R, a, b)
        m, R, b, w = joint.m, joint.R, joint.b, joint.w
    sums_over_points(act, crowd, grid, m, R, w, b, sums_in(s))


@kernel(counted=False)
def sums_by_terms(act, biased, joined, alone, crowd, rows, values, series, joint, s, y):
    """Fill the expectations by Hermite terms; see `sums_over_terms`."""
    m, R, a, b = views(s.gamma.shape[0], s.by_m.shape[1], y)
    w = a
    if joined:
        join(joint, alone, m, R, a, b)
        m, R, b, w = joint.m, joint.R, joint.b, joint.w
    x, e = s.lanes, sums_in(s)
    sums_over_terms(act, biased, crowd, rows, values, series, m, R, w, b, s.mt, s.Q, x[0], x[1], s.c, e)


@kernel(counted=False)
def gradient(by_points, joined, xi, kappa_a, kappa_b, decay, decay_a, joint, s, y, dy):
    """Fill dy/dt without the finite-step term from the expectations; turn them into B."""
    e = sums_in(s)
    n, p = s.gamma.shape[0], e.by_m.shape[1]
    m, R, a, b = views(n, p, y)
    dm, dR, da, db = views(n, p, dy)
    w = joint.w if joined else a
    for j in range(n):
        row, aj = e.B[j], -a[j]
        for k in range(w.size):
            row[k] *= aj * w[k]
        row[j] += 2.0 * a[j] * (e.by_q[j] - e.k1[j])
        da[j] = kappa_a * (e.C[j] - e.ka[j] - decay_a * a[j])
        db[j] = kappa_b * a[j] * (e.by_b[j] - e.kb[j])
    # by points the sums over z have B m in them
    inner_products(0 if by_points else w.size, e.B, s.mt, dm)
    inner_products(n, e.B, R, s.S)
    for j in range(n):
        for r in range(p):
            dm[j, r] = xi * (dm[j, r] + a[j] * e.by_m[j, r] - decay * m[j, r])
        for k in range(j + 1):
            dR[j, k] = xi * (s.S[j, k] + s.S[k, j] - 2.0 * decay * R[j, k])
            dR[k, j] = dR[j, k]


@kernel(counted=False)
def add_noise(g, joined, eta_d, joint, s, y, dy):
    """Add the finite-step term to R'."""
    n, p = s.gamma.shape[0], s.by_m.shape[1]
    m, R, a, b = views(n, p, y)
    if joined:
        fill_gamma(g, NO, joint.m, joint.R, s.Q, a, joint.w, joint.b, s.gamma)
    else:
        fill_gamma(g, NO, m, R, s.Q, a, a, b, s.gamma)
    dR = views(n, p, dy)[1]
    for j in range(n):
        for k in range(n):
            dR[j, k] += eta_d * s.gamma[j, k]


@kernel(inline="always")
def rhs_overlap(problem, t, y, dy):
    """Fill dy/dt, t = η · steps in the scaling that the network names.

    It is put in place where it is called: passing a whole problem on takes as long as four neurons' sums.
    """
    joined, s = problem.joined, problem.scratch
    if problem.by_points:
        sums_by_points(problem.act, joined, problem.alone, problem.crowd, problem.grid, problem.joint, s, y)
    else:
        sums_by_terms(
            problem.act,
            problem.biased,
            joined,
            problem.alone,
            problem.crowd,
            s.Q.shape[0] if problem.eta_d > 0.0 else s.gamma.shape[0],  # Γ reads all of Q
            YES if problem.kappa_a != 0.0 else NO,
            problem.series,
            problem.joint,
            s,
            y,
        )
    gradient(
        problem.by_points,
        joined,
        problem.xi_w,
        problem.kappa_a,
        problem.kappa_b,
        problem.decay_w,
        problem.decay_a,
        problem.joint,
        s,
        y,
        dy,
    )
    if problem.eta_d > 0.0:
        add_noise(problem.gamma, joined, problem.eta_d, problem.joint, s, y, dy)


@kernel(counted=False)
def risk_overlap(problem, y):
    """Return the population risk ½ E[h²] − w·C + ½ wᵀKw over the joint network's weights w."""
    s, joint = problem.scratch, problem.joint
    if problem.by_points:
        sums_by_points(problem.act, problem.joined, NO, YES, problem.grid, joint, s, y)
    else:
        rows = s.Q.shape[0]
        sums_by_terms(problem.act, problem.biased, problem.joined, NO, YES, rows, YES, problem.series, joint, s, y)
    e = sums_in(s)
    w = joint.w if problem.joined else views(s.gamma.shape[0], s.by_m.shape[1], y)[2]
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
        m, R, a, b = views(s.gamma.shape[0], s.by_m.shape[1], states[i])
        w = a
        if problem.joined:
            join(problem.joint, problem.alone, m, R, a, b)
            m, R, b, w = problem.joint.m, problem.joint.R, problem.joint.b, problem.joint.w
        fill_Q(w.size, m, R, s.mt, s.Q, s.lanes[0])
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
    n, p = s.gamma.shape[0], s.by_m.shape[1]
    R, dR = views(n, p, y)[1], views(n, p, dy)[1]
    for _ in range(count):
        rhs_overlap(problem, 0.0, y, dy)
        for j in range(n):
            for k in range(n):
                bare, whole = 0.0, 0.0
                for l in range(n):
                    bare += s.S[j, l] * s.B[k, l]
                    whole += (s.S[j, l] - problem.decay_w * R[j, l]) * s.B[k, l]
                whole -= problem.decay_w * (s.S[j, k] - problem.decay_w * R[j, k])
                dR[j, k] += problem.xi_w**2 * (whole - problem.share * bare)
        for i in range(y.size):
            y[i] += dy[i]
        if not largest(y) < bound:
            return False
    return True
