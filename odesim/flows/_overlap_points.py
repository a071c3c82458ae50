"""The overlap flow's expectations by points: sums over z, <v_j, x> given z Gaussian of covariance R.

With u_j = b_j + <m_j, z> every expectation over λ given z is a moment or a pair kernel of covariance R and biases u:
c_k(R_jj, u_j), K(R_jj, R_jk, R_kk; u_j, u_k). Boolean data sums over {±1}^P, Gaussian over a Gauss–Hermite grid.
"""

from typing import NamedTuple

import numpy as np

from odesim._jit import YES, kernel
from odesim.activations._moments import moments
from odesim.activations._pairs import pair_sums

FLOOR, TINY = 1e-8, 1e-30
"""A variance R_jj counts as at least this share of |m_j|² + b_j², or as TINY.

Once a neuron has no residual left, a kink of the activation can hold some z at its edge, <m, z> + b = 0, where the
flow relaxes at the rate 1/√variance; the floor bounds that rate and moves the edge by 1e-4 of the argument's size.
"""


class Sums(NamedTuple):
    """Expectations of every neuron, M rows."""

    C: np.ndarray  # (M) E[h σ_j]
    by_m: np.ndarray  # (M, P) ∂C/∂m by terms; E[(h − f) σ'_j z] by points
    by_q: np.ndarray  # (M) ∂C/∂q = ½E[h σ''_j]
    by_b: np.ndarray  # (M) ∂C/∂b = E[h σ'_j]
    ka: np.ndarray  # (M) Σ_l w_l K_jl and its partials by q_j and b_j
    k1: np.ndarray  # (M)
    kb: np.ndarray  # (M)
    B: np.ndarray  # (M, M) E[σ'_j σ'_l]; in the right-hand side then B itself


class Grid(NamedTuple):
    """A rule for the law of z, and scratch."""

    z: np.ndarray  # (n, P)
    weights: np.ndarray  # (n), of sum 1
    h: np.ndarray  # (n) the target at the points
    lanes: np.ndarray  # (6, N): variances, u, and the sums of one point
    c: np.ndarray  # (3, N) moments of one point
    cov: np.ndarray  # (N, N) R with its floor
    k12: np.ndarray  # (N, N) of one point


@kernel
def floored(m, R, b, cov, q):
    """Fill cov = R with its diagonal raised to the floor, and the diagonal q."""
    for j in range(q.size):
        size = b[j] * b[j]
        for r in range(m.shape[1]):
            size += m[j, r] * m[j, r]
        cov[j] = R[j]
        q[j] = max(R[j, j], FLOOR * size, TINY)
        cov[j, j] = q[j]


@kernel
def sums_over_points(act, crowd, grid, m, R, w, b, e):
    """Fill the expectations, h − f that of the neurons' weights w; without them (``crowd`` 0) of h alone."""
    q, u, t, of_a, of_1, of_b = grid.lanes[0], grid.lanes[1], grid.lanes[2], grid.lanes[3], grid.lanes[4], grid.lanes[5]
    c, pairs, n = grid.c, grid.k12, w.size
    floored(m, R, b, grid.cov, q)
    for out in (e.C, e.by_q, e.by_b, e.ka, e.k1, e.kb, of_b):
        out[:] = 0.0
    e.by_m[:] = 0.0
    e.B[:] = 0.0
    for i in range(grid.h.size):
        z, p, h = grid.z[i], grid.weights[i], grid.h[i]
        for j in range(n):
            u[j] = b[j]
            for r in range(z.size):
                u[j] += m[j, r] * z[r]
        moments(act, q, u, c)
        if crowd:
            pair_sums(act, YES, grid.cov, w, u, t, of_a, of_1, of_b, pairs)
            for j in range(n):
                e.ka[j] += p * of_a[j]
                e.k1[j] += p * of_1[j]
                e.kb[j] += p * of_b[j]
                for k in range(n):
                    e.B[j, k] += p * pairs[j, k]
        for j in range(n):
            e.C[j] += p * h * c[0, j]
            e.by_b[j] += p * h * c[1, j]
            e.by_q[j] += 0.5 * p * h * c[2, j]
            slope = p * (h * c[1, j] - of_b[j])
            for r in range(z.size):
                e.by_m[j, r] += slope * z[r]
