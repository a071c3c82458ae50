"""Second moments of the neurons, K_jl = E[σ_j σ_l], and the solution of symmetric positive equations."""

import math

import numpy as np

from odesim._jit import YES, kernel
from odesim.activations._pairs import pair_sums
from odesim.flows._overlap_points import floored


@kernel
def add_second_moments(act, Q, b, weight, K):
    """K += weight · E[σ(λ_j + b_j) σ(λ_l + b_l)], λ of covariance Q (N, N), two neurons at a time."""
    two, bias, second = np.empty((2, 2)), np.empty(2), np.array([0.0, 1.0])
    t, ka, k1, kb, k12 = np.empty(2), np.empty(2), np.empty(2), np.empty(2), np.empty((2, 2))
    for j in range(b.size):
        for l in range(j, b.size):
            two[0, 0], two[0, 1], two[1, 0], two[1, 1] = Q[j, j], Q[j, l], Q[l, j], Q[l, l]
            bias[0], bias[1] = b[j], b[l]
            pair_sums(act, YES, two, second, bias, t, ka, k1, kb, k12)
            K[j, l] += weight * ka[0]
            if j < l:
                K[l, j] += weight * ka[0]


@kernel
def add_second_moments_at_points(act, z, weights, m, R, b, K):
    """The same where λ_j = <m_j, z> + a Gaussian of covariance R, over points z (n, P) with their weights."""
    cov, q, u = np.empty(R.shape), np.empty(b.size), np.empty(b.size)
    floored(m, R, b, cov, q)
    for i in range(weights.size):
        for j in range(b.size):
            u[j] = b[j]
            for r in range(m.shape[1]):
                u[j] += m[j, r] * z[i, r]
        add_second_moments(act, cov, u, weights[i], K)


@kernel
def solve_positive(A, x, floor):
    """Solve (A + floor) y = x in place of x by Cholesky's factors, which are left in A; whether they exist.

    In plain loops: what a LAPACK gives depends in its last bits on the number of its threads.
    """
    n = x.size
    for j in range(n):
        row = A[j]
        for l in range(j + 1):
            other, total = A[l], row[l] + (floor if l == j else 0.0)
            for k in range(l):
                total -= row[k] * other[k]
            if l < j:
                row[l] = total / other[l]
            elif total > 0.0:
                row[j] = math.sqrt(total)
            else:
                return False
    for j in range(n):
        total = x[j]
        for k in range(j):
            total -= A[j, k] * x[k]
        x[j] = total / A[j, j]
    for j in range(n - 1, -1, -1):
        total = x[j]
        for k in range(j + 1, n):
            total -= A[k, j] * x[k]
        x[j] = total / A[j, j]
    return True
