"""The second layer that minimises the risk plus a ridge penalty, from the neurons' population moments or from samples.

½E[(h − f)²] + (λ/2)‖a‖² with f = Σ_j a_j σ_j is ½E[h²] − a·C + ½aᵀ(K + λ)a, C_j = E[h σ_j], K_jl = E[σ_j σ_l].
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from odesim import checks
from odesim.activations.activation import Activation
from odesim.activations.handed import act_of
from odesim.sgd import _second_layer as kernels
from odesim.targets.series import Target
from odesim.targets.teacher import TeacherTarget

Array = NDArray[np.float64]

FLOOR = 1e-13
"""Least eigenvalue, as a share of K's trace, that the equations are given: K is known to about as much."""


class Moments(NamedTuple):
    """C (N,), K (N, N) and the energy E[h²]."""

    C: Array
    K: Array
    energy: float

    def risk(self, a: Array) -> float:
        """½E[(h − f)²] of f = Σ_j a_j σ_j."""
        return max(float(0.5 * self.energy - a @ self.C + 0.5 * a @ self.K @ a), 0.0)


class Best(NamedTuple):
    """A second layer (N,) of the plain network, and its population risk."""

    a: Array
    risk: float


def best_second_layer(
    target: Target | TeacherTarget, activation: Activation, m: Array, Q: Array, b: Array, decay: float
) -> Best:
    """Return the minimum for overlaps m (N, P), Q (N, N) and biases b (N).

    Raises
    ------
    InputError
        If the moments cannot be had, or K is not positive to within its accuracy.
    """
    moments = population_moments(target, activation, m, Q, b)
    a = minimum(moments.K, moments.C, decay)
    return Best(a, moments.risk(a))


def minimum(K: Array, C: Array, decay: float) -> Array:
    """Return (K + decay)^{−1} C; where that is nearly singular, a little is added to the diagonal.

    Raises
    ------
    InputError
        If the matrix is not positive even so.
    """
    least = FLOOR * float(np.trace(K))
    for _ in range(5):
        factors, a = K.copy(), C.copy()
        if kernels.solve_positive(factors, a, max(decay, least)):
            return a
        least *= 10.0
    raise checks.InputError(f"ridge decay={decay:g} leaves equations that are not positive definite; raise it")


def population_moments(target: Target | TeacherTarget, activation: Activation, m: Array, Q: Array, b: Array) -> Moments:
    """Return C, K and E[h²], exact for Gaussian data and right to O(1/d) for Boolean data.

    Raises
    ------
    InputError
        If a Boolean target has too many coordinates.
    """
    from odesim.flows.corners import cube

    act, K = act_of(activation), np.zeros(Q.shape)
    m, Q, b = (np.ascontiguousarray(part, dtype=np.float64) for part in (m, Q, b))
    C = _correlations(target, activation, m, Q, b)  # refuses what is too much
    if target.data == "boolean":
        z, weights = cube(target.P)
        kernels.add_second_moments_at_points(act, z, weights, m, Q - m @ m.T, b, K)
    else:
        kernels.add_second_moments(act, Q, b, 1.0, K)
    return Moments(C, K, target.energy + target.constant**2)


def _correlations(target: Target | TeacherTarget, activation: Activation, m: Array, Q: Array, b: Array) -> Array:
    """C (N,): that of the overlap flow's risk at a = 0, whose sums run over the teacher's neurons as well."""
    from odesim.flows import _overlap as flow
    from odesim.flows.overlap_problem import problem_of
    from odesim.sgd import mixed

    if isinstance(target, TeacherTarget) and mixed.differs(target, activation):
        return mixed._correlations(target, act_of(activation), m, np.diagonal(Q).copy(), b)
    N = b.size
    problem = problem_of(target, activation, N, biased=bool(b.any()))
    flow.risk_overlap(problem, np.concatenate([m.ravel(), (Q - m @ m.T).ravel(), np.zeros(N), b]))
    sums = flow.sums_in(problem.scratch)
    return (sums.C - sums.ka)[:N]
