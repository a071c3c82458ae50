"""The correlation flow of many neurons side by side: `_correlation` on Gaussian data by Hermite terms, in lanes.

The rows of the state are m (P) and R, those of the parameters a, b and the decay, a and decay times ξ_w.
"""

from typing import NamedTuple

import numpy as np

from odesim._jit import kernel
from odesim._packs import WIDTH, choose, filled, load, store
from odesim.activations._moments_lanes import moments_pack
from odesim.integrate._lanes import integrate_lanes

TINY = 1e-30
"""A variance below this counts as this: moments divide by it."""

A, B, DECAY, PARAMETERS = 0, 1, 2, 3


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
    work: np.ndarray  # (degree + 1, WIDTH) products of the first factors of a term
    c: np.ndarray  # (degree + 3, WIDTH); degree + 1 on the sphere, but at least 3


@kernel(inline="always", counted=False)
def add_terms(problem, y, lane, G):
    """Add all terms to G = ∂C/∂m, q fixed, by products of all factors but one from both sides; return e = 2 ∂C/∂q.

    On the sphere e, which has no effect there, is left out.
    """
    offsets, coordinates, coefficients = problem.offsets, problem.coordinates, problem.coefficients
    work, c, e = problem.work, problem.c, filled(0.0)
    for term in range(coefficients.size):
        first, degree, before = offsets[term], offsets[term + 1] - offsets[term], filled(coefficients[term])
        for i in range(degree):
            store(work, (i, 0), before)
            before *= load(y, (coordinates[first + i], lane))
        if not problem.sphere:
            e += before * load(c, (degree + 2, 0))
        behind = load(c, (degree, 0))
        for i in range(degree - 1, -1, -1):
            r = coordinates[first + i]
            store(G, (r, lane), load(G, (r, lane)) + load(work, (i, 0)) * behind)
            behind *= load(y, (r, lane))
    return e


@kernel(counted=False)
def rhs_lanes(problem, parameters, y, dy):
    """Fill dy/dt of every lane; see `rhs_correlation`.

    The gradient is (G + e m, e v), on the sphere less κ w with κ = (m·G)/q + e.
    """
    P = y.shape[0] - 1
    for lane in range(0, y.shape[1], WIDTH):
        a, b, R = load(parameters, (A, lane)), load(parameters, (B, lane)), load(y, (P, lane))
        q = R
        for r in range(P):
            q += load(y, (r, lane)) * load(y, (r, lane))
            store(dy, (r, lane), filled(0.0))
        q = choose(q > TINY, q, filled(TINY))
        moments_pack(problem.code, problem.slope, problem.table, problem.biased, q, b, problem.c)
        e = add_terms(problem, y, lane, dy)
        if problem.sphere:
            radial = filled(0.0)
            for r in range(P):
                radial += load(y, (r, lane)) * load(dy, (r, lane))
            e = -radial / q
        e = a * e - load(parameters, (DECAY, lane))
        for r in range(P):
            store(dy, (r, lane), a * load(dy, (r, lane)) + e * load(y, (r, lane)))
        store(dy, (P, lane), 2.0 * e * R)


@kernel(counted=False)
def solve_lanes(problem, tableau, rules, members, lanes, rounds):
    """Advance an ensemble of neurons; see `integrate_lanes`."""
    return integrate_lanes(rhs_lanes, problem, tableau, rules, members, lanes, rounds)
