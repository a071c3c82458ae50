"""Correlation flow: one neuron alone in the field of the target, for Gaussian and Boolean data.

The flat state of a neuron is m (P) and R = |v|², v its residual. With C = E[h(z) σ(<w, x> + b)], G = ∂C/∂m at fixed
v and e = E[h σ''] = 2 ∂C/∂R, the gradient of C is (G, e v) in weight space. Free: m' = aG, R' = 2aeR. On the
sphere the radial part κ = (m·G + eR)/(|m|² + R) is taken off: m' = a(G − κm), R' = 2a(e − κ)R.
"""

from typing import NamedTuple

import numpy as np

from odesim._jit import kernel
from odesim.activations._act import Act
from odesim.activations._moments import moments
from odesim.activations._pairs import pair_sums
from odesim.flows._expectation import Series, correlation
from odesim.integrate._explicit import explicit

TINY = 1e-30
"""A variance below this counts as this: moments divide by it."""

FLOOR = 1e-8
"""By points, a variance below this share of |m|² + b² counts as this share.

Once a neuron has no residual left, a kink of the activation can hold some z at its edge, <m, z> + b = 0, where the
flow relaxes at the rate 1/√variance; the floor bounds that rate and moves the edge by 1e-4 of the argument's size.
"""


class Scratch(NamedTuple):
    """Work arrays of one right-hand side: n = 1 and k = degree + 3 by terms, n points and k = 3 by points."""

    q: np.ndarray  # (n)
    b: np.ndarray  # (n)
    c: np.ndarray  # (k, n)
    C: np.ndarray  # (1)
    G: np.ndarray  # (1, P)
    by_q: np.ndarray  # (1)
    by_b: np.ndarray  # (1)


class Problem(NamedTuple):
    """Everything the right-hand side reads, in arrays; a and b are those of the neuron."""

    act: Act
    sphere: int
    by_points: int
    a: float
    b: float
    series: Series
    z: np.ndarray  # (n, P); none by terms
    weighted: np.ndarray  # (n) weight · h(z)
    scratch: Scratch


@kernel
def field_by_terms(problem, m, R):
    """Fill C and G from the Hermite terms; return e."""
    s = problem.scratch
    q = R
    for r in range(m.size):
        q += m[r] * m[r]
    s.q[0], s.b[0] = max(q, TINY), problem.b
    moments(problem.act, s.q, s.b, s.c)
    correlation(problem.series, m.reshape(1, m.size), s.c, s.C, s.G, s.by_q, s.by_b)
    curvature = 2.0 * s.by_q[0]
    for r in range(m.size):
        # ∂C/∂m above holds q = |m|² + R fixed
        s.G[0, r] += curvature * m[r]
    return curvature


@kernel
def field_by_points(problem, m, R):
    """Fill C and G from sums over z, <v, x> a Gaussian of variance R; return e."""
    s = problem.scratch
    size = problem.b * problem.b
    for r in range(m.size):
        size += m[r] * m[r]
    variance = max(R, FLOOR * size, TINY)
    for i in range(s.q.size):
        s.q[i], s.b[i] = variance, problem.b
        for r in range(m.size):
            s.b[i] += m[r] * problem.z[i, r]
    moments(problem.act, s.q, s.b, s.c)
    s.C[0], curvature = 0.0, 0.0
    s.G[:] = 0.0
    for i in range(s.q.size):
        s.C[0] += problem.weighted[i] * s.c[0, i]
        curvature += problem.weighted[i] * s.c[2, i]
        for r in range(m.size):
            s.G[0, r] += problem.weighted[i] * s.c[1, i] * problem.z[i, r]
    return curvature


@kernel
def field(problem, m, R):
    """Fill C and G by the problem's method; return e."""
    if problem.by_points:
        return field_by_points(problem, m, R)
    return field_by_terms(problem, m, R)


@kernel
def rhs_correlation(problem, t, y, dy):
    """Fill dy/dt, t = η · steps."""
    last = y.size - 1
    m, R = y[:last], y[last]
    curvature = field(problem, m, R)
    G = problem.scratch.G[0]
    radial = 0.0
    if problem.sphere:
        q, radial = R, R * curvature
        for r in range(last):
            q += m[r] * m[r]
            radial += m[r] * G[r]
        radial /= q
    for r in range(last):
        dy[r] = problem.a * (G[r] - radial * m[r])
    dy[last] = 2.0 * problem.a * (curvature - radial) * R


@kernel
def value_and_slope(problem, y, dy):
    """Give Python the correlation C, and the right-hand side in ``dy``."""
    rhs_correlation(problem, 0.0, y, dy)
    return problem.scratch.C[0]


@kernel
def solve_neuron(problem, tableau, y, control, counts, t_out, out, work, budget):
    """Advance the integration by at most ``budget`` steps; see `explicit`."""
    return explicit(rhs_correlation, problem, tableau, y, control, counts, t_out, out, work, budget)


@kernel
def risks_by_points(act, z, weights, h, m, R, a, b, out):
    """Fill ½E[(h − f)²] of every row of m (T, N, P), R (T, N, N): given z, <v, x> is Gaussian of covariance R."""
    n = a.size
    u, q, t, ka, k1, kb = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    k12, c, cov = np.zeros((n, n)), np.zeros((3, n)), np.zeros((n, n))
    for row in range(out.size):
        cov[:] = R[row]
        for j in range(n):
            cov[j, j] = max(cov[j, j], TINY)
            q[j] = cov[j, j]
        total = 0.0
        for i in range(h.size):
            for j in range(n):
                u[j] = b[j]
                for r in range(z.shape[1]):
                    u[j] += m[row, j, r] * z[i, r]
            moments(act, q, u, c)
            pair_sums(act, 1, cov, a, u, t, ka, k1, kb, k12)
            inner = 0.5 * h[i] * h[i]
            for j in range(n):
                inner += a[j] * (0.5 * ka[j] - h[i] * c[0, j])
            total += weights[i] * inner
        out[row] = total
