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

from typing import Any, NamedTuple

import numpy as np

from odesim._jit import NO, YES, kernel
from odesim.activations._act import Act
from odesim.flows._expectation import Series
from odesim.flows._noise_erf import Closure, Tilt, noise_erf
from odesim.flows._noise_points import Points, noise_points
from odesim.flows._overlap_points import Grid, Sums
from odesim.flows._overlap_terms import fill_Q, inner_products, sums_over_terms
from odesim.integrate._explicit import largest
from odesim.integrate._loop import integrate


class Scratch(NamedTuple):
    """Work arrays of one right-hand side, M = N + K rows with the teacher's; few, for each is passed in seven words."""

    lanes: np.ndarray  # (8, M): q, t, and the vectors of `Sums`
    c: np.ndarray  # (degree + 3, M)
    by_m: np.ndarray  # (M, P)
    Q: np.ndarray  # (M, M)
    B: np.ndarray  # (M, M)
    S: np.ndarray  # (N, N) B R
    Bm: np.ndarray  # (N, P)
    gamma: np.ndarray  # (N, N)


class Joint(NamedTuple):
    """The student, and behind it the teacher, whose rows never change."""

    m: np.ndarray  # (M, P)
    mt: np.ndarray  # (P, M) mᵀ
    R: np.ndarray  # (M, M), zero but for the student's
    b: np.ndarray  # (M)
    w: np.ndarray  # (M) the weights in the residual


class Gamma(NamedTuple):
    """What the finite-step term reads beside the activation, which is in ``Problem`` alone: handing it over costs."""

    biased: int
    crowd: int
    noise: float
    table: Closure
    table2: Closure  # of h²
    tilt: Tilt
    points: Points


class Problem(NamedTuple):
    """Everything the right-hand side reads, in arrays, and pointers to what not every run needs.

    It is handed on in parts: numba counts the references of every array in a tuple that a call passes, which costs
    as much as a right-hand side of eight neurons computes.
    """

    act: Act
    biased: int  # whether any bias is, or can become, non-zero
    by_points: int  # sums over the grid's z in place of Hermite terms
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
    points: Any  # sums_over_points(act, crowd, grid, m, R, w, b, e)
    pairs: Any  # pair_sums(act, biased, Q, a, b, t, ka, k1, kb, k12), for all but erf without biases
    noise: Any  # one of the two kernels that fill Γ


@kernel(inline="always")
def views(n, p, y):
    """Split a flat state into m (N, P), R (N, N), a (N), b (N); noise gauges may follow."""
    end_m = n * p
    end_R = end_m + n * n
    return y[:end_m].reshape(n, p), y[end_m:end_R].reshape(n, n), y[end_R : end_R + n], y[end_R + n : end_R + 2 * n]


@kernel(inline="always")
def join(alone, y, n, joint):
    """Put the student's flat state into the joint network."""
    p = joint.m.shape[1]
    R, a, b = n * p, n * (p + n), n * (p + n + 1)
    for j in range(n):
        # slices, for a sum as an index might be negative, which would make every load a gather
        m, row = y[j * p : (j + 1) * p], y[R + j * n : R + (j + 1) * n]
        for r in range(p):
            joint.m[j, r] = m[r]
            joint.mt[r, j] = m[r]
        for k in range(n):
            joint.R[j, k] = row[k]
        joint.b[j] = y[b + j]
        joint.w[j] = 0.0 if alone else y[a + j]


@kernel(inline="always")
def sums_in(s):
    """Return the expectations as views into the scratch."""
    x = s.lanes
    return Sums(x[2], s.by_m, x[3], x[4], x[5], x[6], x[7], s.B)


@kernel
def gamma_closed(act, g, diagonal, m, R, Q, a, w, b, out):
    """Fill Γ (N, N) in closed form; needs Q."""
    noise_erf(g.biased, g.crowd, diagonal, g.noise, g.table, g.table2, m, Q, a, w, b, g.tilt, out)


@kernel
def gamma_by_points(act, g, diagonal, m, R, Q, a, w, b, out):
    """Fill Γ (N, N) by points."""
    noise_points(act, diagonal, g.noise, m, R, w, b, g.points, a, out)


@kernel(counted=False)
def sums_by_points(points, act, alone, crowd, grid, joint, s, y):
    """Fill the joint network and its expectations by sums over z."""
    join(alone, y, s.S.shape[0], joint)
    points(act, crowd, grid, joint.m, joint.R, joint.w, joint.b, sums_in(s))


@kernel(inline="always")
def sums_by_terms(pairs, act, biased, alone, crowd, rows, values, series, joint, s, y):
    """Fill the joint network and its expectations by Hermite terms; see `sums_over_terms`."""
    join(alone, y, s.S.shape[0], joint)
    x, e = s.lanes, sums_in(s)
    m, R, w, b = joint.m, joint.R, joint.w, joint.b
    sums_over_terms(pairs, act, biased, crowd, rows, values, series, m, R, w, b, s.Q, x[0], x[1], s.c, e)


@kernel(inline="always")
def gradient(by_points, xi, kappa_a, kappa_b, decay, decay_a, joint, s, y, dy):
    """Fill dy/dt without the finite-step term from the expectations; turn them into B."""
    e, m, R, w = sums_in(s), joint.m, joint.R, joint.w
    n, p = s.S.shape[0], m.shape[1]
    to_R, to_a, to_b = n * p, n * (p + n), n * (p + n + 1)
    for j in range(n):
        row, a = e.B[j], y[to_a + j]
        for k in range(w.size):
            row[k] *= -a * w[k]
        row[j] += 2.0 * a * (e.by_q[j] - e.k1[j])
        dy[to_a + j] = kappa_a * (e.C[j] - e.ka[j] - decay_a * a)
        dy[to_b + j] = kappa_b * a * (e.by_b[j] - e.kb[j])
    inner_products(n, 0 if by_points else w.size, e.B, joint.mt, s.Bm)  # by points the sums over z have B m in them
    inner_products(n, n, e.B, R, s.S)
    for j in range(n):
        a, dm, dR = y[to_a + j], dy[j * p : (j + 1) * p], dy[to_R + j * n : to_R + (j + 1) * n]
        for r in range(p):
            dm[r] = xi * (a * e.by_m[j, r] + s.Bm[j, r] - decay * m[j, r])
        for k in range(n):
            dR[k] = xi * (s.S[j, k] + s.S[k, j] - 2.0 * decay * R[j, k])
    for i in range(to_b + n, y.size):
        dy[i] = 0.0


@kernel(counted=False)
def add_noise(noise, act, g, eta_d, joint, s, y, dy):
    """Add the finite-step term to R'."""
    n = s.S.shape[0]
    to_R = n * joint.m.shape[1]
    to_a = to_R + n * n
    noise(act, g, NO, joint.m, joint.R, s.Q, y[to_a : to_a + n], joint.w, joint.b, s.gamma)
    for j in range(n):
        dR = dy[to_R + j * n : to_R + (j + 1) * n]
        for k in range(n):
            dR[k] += eta_d * s.gamma[j, k]
    gauges = to_a + 2 * n
    for i in range(gauges, y.size):
        dy[i] = eta_d * s.gamma[i - gauges, i - gauges]


@kernel(inline="always")
def rhs_overlap(problem, t, y, dy):
    """Fill dy/dt, t = η · steps in the scaling that the network names.

    It is put in place where it is called: passing a whole problem on takes as long as four neurons' sums.
    """
    s, joint = problem.scratch, problem.joint
    if problem.by_points:
        sums_by_points(problem.points, problem.act, problem.alone, problem.crowd, problem.grid, joint, s, y)
    else:
        rows = s.Q.shape[0] if problem.eta_d > 0.0 else s.S.shape[0]  # Γ reads all of Q
        values = YES if problem.kappa_a != 0.0 else NO
        sums_by_terms(
            problem.pairs,
            problem.act,
            problem.biased,
            problem.alone,
            problem.crowd,
            rows,
            values,
            problem.series,
            joint,
            s,
            y,
        )
    gradient(
        problem.by_points,
        problem.xi_w,
        problem.kappa_a,
        problem.kappa_b,
        problem.decay_w,
        problem.decay_a,
        joint,
        s,
        y,
        dy,
    )
    if problem.eta_d > 0.0:
        add_noise(problem.noise, problem.act, problem.gamma, problem.eta_d, joint, s, y, dy)


@kernel(counted=False)
def risk_overlap(problem, y):
    """Return the population risk ½ E[h²] − w·C + ½ wᵀKw over the joint network's weights w."""
    s, joint = problem.scratch, problem.joint
    if problem.by_points:
        sums_by_points(problem.points, problem.act, NO, YES, problem.grid, joint, s, y)
    else:
        sums_by_terms(
            problem.pairs, problem.act, problem.biased, NO, YES, joint.w.size, YES, problem.series, joint, s, y
        )
    e = sums_in(s)
    total = 0.5 * problem.energy
    for j in range(joint.w.size):
        total += joint.w[j] * (0.5 * e.ka[j] - e.C[j])
    return total


@kernel(counted=False)
def risks(problem, states, out):
    """Fill the risk of every row of ``states``."""
    for i in range(out.size):
        out[i] = risk_overlap(problem, states[i])


@kernel(counted=False)
def noise_rates(problem, states, out):
    """Fill Γ_jj (rows, N) of every row of ``states``."""
    s, joint = problem.scratch, problem.joint
    n = s.S.shape[0]
    for i in range(out.shape[0]):
        y, to_a = states[i], n * (n + joint.m.shape[1])
        join(problem.alone, y, n, joint)
        fill_Q(joint.w.size, joint.m, joint.R, s.Q, s.lanes[0])
        a = y[to_a : to_a + n]
        problem.noise(problem.act, problem.gamma, YES, joint.m, joint.R, s.Q, a, joint.w, joint.b, s.gamma)
        for j in range(n):
            out[i, j] = s.gamma[j, j]


@kernel(counted=False)
def derivative(problem, t, y, dy):
    """Give Python the right-hand side."""
    rhs_overlap(problem, t, y, dy)


@kernel(counted=False)
def derivatives(problem, y, dy, count):
    """Evaluate the right-hand side ``count`` times, for timing."""
    for _ in range(count):
        rhs_overlap(problem, 0.0, y, dy)


@kernel(counted=False)
def quantity(problem, kind, entry, y):
    """Return the risk, for events; the only kind beside components of the state."""
    return risk_overlap(problem, y)


@kernel(counted=False)
def solve_overlap(problem, method, y, control, counts, t_out, out, events, work, budget):
    """Advance the integration by at most ``budget`` steps; see `integrate`."""
    return integrate(rhs_overlap, quantity, problem, method, y, control, counts, t_out, out, events, work, budget)


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
