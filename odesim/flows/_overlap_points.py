"""The overlap flow's expectations by points: sums over z, <v_j, x> given z Gaussian of covariance R.

With u_j = b_j + <m_j, z> every expectation over λ given z is a moment or a pair kernel of covariance R and biases u:
c_k(R_jj, u_j), K(R_jj, R_jk, R_kk; u_j, u_k). Boolean data sums over {±1}^P, Gaussian over a Gauss–Hermite grid.
"""

from typing import NamedTuple

import numpy as np

from odesim._jit import kernel
from odesim.activations._moments import moments
from odesim.activations._pairs import pair_sums

FLOOR, TINY = 1e-8, 1e-30
"""A variance R_jj counts as at least this share of |m_j|² + b_j², or as TINY.

Once a neuron has no residual left, a kink of the activation can hold some z at its edge, <m, z> + b = 0, where the
flow relaxes at the rate 1/√variance; the floor bounds that rate and moves the edge by 1e-4 of the argument's size.
"""


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
def sums_over_points(act, crowd, grid, m, R, w, b, C, by_m, by_q, by_b, ka, k1, kb, k12):
    """Fill C_j = E[h σ_j], ∂C/∂b, ∂C/∂q = ½E[h σ''_j], the sums over pairs, and E[(h − f) σ'_j z] in ``by_m``."""
    q, u, t, of_a, of_1, of_b = grid.lanes[0], grid.lanes[1], grid.lanes[2], grid.lanes[3], grid.lanes[4], grid.lanes[5]
    c, pairs, n = grid.c, grid.k12, w.size
    floored(m, R, b, grid.cov, q)
    C[:], by_q[:], by_b[:], ka[:], k1[:], kb[:] = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    by_m[:] = 0.0
    k12[:] = 0.0
    of_b[:] = 0.0
    for i in range(grid.h.size):
        z, p, h = grid.z[i], grid.weights[i], grid.h[i]
        for j in range(n):
            u[j] = b[j]
            for r in range(z.size):
                u[j] += m[j, r] * z[r]
        moments(act, q, u, c)
        if crowd:
            pair_sums(act, 1, grid.cov, w, u, t, of_a, of_1, of_b, pairs)
            for j in range(n):
                ka[j] += p * of_a[j]
                k1[j] += p * of_1[j]
                kb[j] += p * of_b[j]
                for k in range(n):
                    k12[j, k] += p * pairs[j, k]
        for j in range(n):
            C[j] += p * h * c[0, j]
            by_b[j] += p * h * c[1, j]
            by_q[j] += 0.5 * p * h * c[2, j]
            slope = p * (h * c[1, j] - of_b[j])
            for r in range(z.size):
                by_m[j, r] += slope * z[r]
