"""The correlation flow of many neurons side by side: `_correlation` on Gaussian data by Hermite terms, in lanes.

The rows of the state are m (P) and R, those of the parameters a, b and the decay, a and decay times ξ_w.
"""

from typing import NamedTuple

import numpy as np

from odesim._jit import kernel
from odesim.activations._moments_lanes import Q, moments_lanes
from odesim.integrate._lanes import integrate_lanes

TINY = 1e-30
"""A variance below this counts as this: moments divide by it."""

A, B, DECAY, PARAMETERS = 0, 1, 2, 3

# rows of the work array after those of the moments; from PREFIX on products of the first factors of a term
SUFFIX, CURVATURE, PREFIX = 5, 6, 7


class Problem(NamedTuple):
    """Everything the right-hand side reads; the coordinates of a term, repeated for powers, stand one after another."""

    code: int
    slope: float  # of leaky ReLU
    table: np.ndarray  # of a polynomial
    sphere: int
    biased: int
    offsets: np.ndarray  # (terms + 1)
    coordinates: np.ndarray  # (degrees of all terms)
    coefficients: np.ndarray  # (terms)
    work: np.ndarray  # (PREFIX + degree + 1, LANES)
    c: np.ndarray  # (degree + 3, LANES)


@kernel(inline="always", counted=False)
def add_terms(offsets, coordinates, coefficients, y, c, work, G):
    """Add all terms to G = ∂C/∂m, q fixed, and to e = 2 ∂C/∂q: products of all factors but one from both sides."""
    lanes = y.shape[1]
    for term in range(coefficients.size):
        first, degree, coefficient = offsets[term], offsets[term + 1] - offsets[term], coefficients[term]
        for lane in range(lanes):
            work[PREFIX, lane] = coefficient
            work[SUFFIX, lane] = 1.0
        for i in range(degree):
            r = coordinates[first + i]
            for lane in range(lanes):
                work[PREFIX + i + 1, lane] = work[PREFIX + i, lane] * y[r, lane]
        for lane in range(lanes):
            work[CURVATURE, lane] += work[PREFIX + degree, lane] * c[degree + 2, lane]
        for back in range(degree):
            i = degree - 1 - back
            r = coordinates[first + i]
            for lane in range(lanes):
                G[r, lane] += work[PREFIX + i, lane] * work[SUFFIX, lane] * c[degree, lane]
                work[SUFFIX, lane] *= y[r, lane]


@kernel(inline="always", counted=False)
def sum_of_squares(y, work, dy):
    """Fill q, at least TINY, and clear what is summed up next."""
    P, lanes = y.shape[0] - 1, y.shape[1]
    for lane in range(lanes):
        work[Q, lane] = y[P, lane]
        work[CURVATURE, lane] = 0.0
    for r in range(P):
        for lane in range(lanes):
            work[Q, lane] += y[r, lane] * y[r, lane]
            dy[r, lane] = 0.0
    for lane in range(lanes):
        work[Q, lane] = work[Q, lane] if work[Q, lane] > TINY else TINY


@kernel(inline="always", counted=False)
def slopes(sphere, parameters, y, work, dy):
    """Turn G in dy into the flow: the gradient is (G + e m, e v), on the sphere less κ w with κ = (m·G)/q + e."""
    P, lanes = y.shape[0] - 1, y.shape[1]
    if sphere:
        for lane in range(lanes):
            work[SUFFIX, lane] = 0.0
        for r in range(P):
            for lane in range(lanes):
                work[SUFFIX, lane] += y[r, lane] * dy[r, lane]
        for lane in range(lanes):
            work[CURVATURE, lane] = -work[SUFFIX, lane] / work[Q, lane]
    for lane in range(lanes):
        work[CURVATURE, lane] = parameters[A, lane] * work[CURVATURE, lane] - parameters[DECAY, lane]
        dy[P, lane] = 2.0 * work[CURVATURE, lane] * y[P, lane]
    for r in range(P):
        for lane in range(lanes):
            dy[r, lane] = parameters[A, lane] * dy[r, lane] + work[CURVATURE, lane] * y[r, lane]


@kernel(counted=False)
def rhs_lanes(problem, parameters, y, dy):
    """Fill dy/dt of every lane; see `rhs_correlation`."""
    work, c = problem.work, problem.c
    sum_of_squares(y, work, dy)
    moments_lanes(problem.code, problem.slope, problem.table, problem.biased, B, parameters, work, c)
    add_terms(problem.offsets, problem.coordinates, problem.coefficients, y, c, work, dy)
    slopes(problem.sphere, parameters, y, work, dy)


@kernel(counted=False)
def solve_lanes(problem, tableau, rules, members, lanes, rounds):
    """Advance an ensemble of neurons; see `integrate_lanes`."""
    return integrate_lanes(rhs_lanes, problem, tableau, rules, members, lanes, rounds)
