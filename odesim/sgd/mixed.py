"""Population risk of SGD's network, also where the teacher has another activation, which SGD alone runs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from odesim.activations._moments import moments
from odesim.activations._pairs import pair_sums
from odesim.activations.activation import RELU, Activation
from odesim.activations.handed import act_of
from odesim.job import Job
from odesim.targets.teacher import TeacherTarget

Array = NDArray[np.float64]

EDGES, NODES = (-9.0, -6.0, -4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0, 6.0, 9.0), 16
"""Panels of the teacher's preactivation in standard deviations, split at a kink at 0, and nodes in each."""

SMALLEST_SHARE = 1e-12
"""Least share of a neuron's variance that is left when a teacher unit is known; ReLU's moments need some."""

LEAST = 1e-40
"""Squared length that ReLU's moments take for 0: they divide by the length, though the risk has its limit there."""


def risk(job: Job, m: Array, Q: Array, a: Array, b: Array) -> Array:
    """Population risk from overlaps with any leading axes, ``a`` in the network's scaling."""
    from odesim.flows.overlap import risk_of

    target, activation = job.target, job.network.activation
    Q = _away_from_zero(activation, Q)
    if isinstance(target, TeacherTarget) and differs(target, activation):
        return mixed_risk(target, activation, m, Q, job.network.unit * a, b)
    return risk_of(target, activation, m, Q, job.network.unit * a, b)


def differs(teacher: TeacherTarget, activation: Activation) -> bool:
    """Whether the teacher's units are not those of the student."""
    pairs = zip(teacher.activation.arrays(), activation.arrays(), strict=True)
    return not all(np.array_equal(np.asarray(one), np.asarray(other)) for one, other in pairs)


def _away_from_zero(activation: Activation, Q: Array) -> Array:
    """Q, of ReLU with the least squared length where a neuron's weights are 0."""
    if activation.code != RELU or not (np.einsum("...jj->...j", Q) < LEAST).any():
        return Q
    Q = Q.copy()
    squares = np.einsum("...jj->...j", Q)
    np.maximum(squares, LEAST, out=squares)
    return Q


def mixed_risk(teacher: TeacherTarget, activation: Activation, m: Array, Q: Array, a: Array, b: Array) -> Array:
    """½E[(h − f)²] = ½E[h²] − a·C + ½ aᵀKa with C_j = Σ_k v_k E[σ_T(<w_k, x>) σ(λ_j + b_j)], f = Σ_j a_j σ_j.

    Given u = <w_k, x>, λ_j is Gaussian of mean <w_k, m_j> u/q_k and variance Q_jj − <w_k, m_j>²/q_k, so that C is an
    integral over u alone of σ_T(u) c_0(variance, mean + b_j): right to 1e-12 for a smooth student, and to 1e-4 where a
    ReLU neuron with a bias comes to coincide with a unit.

    Parameters
    ----------
    m, Q, a, b : arrays (…, N, P), (…, N, N), (…, N), (…, N)
        Overlaps, W Wᵀ, plain second layer and biases; rows that hold NaN give NaN.
    """
    lead = a.shape[:-1]
    out = np.full(lead, np.nan)
    act = act_of(activation)
    power = 0.5 * (teacher.energy + teacher.constant**2)
    for row in np.ndindex(lead):
        parts = m[row], Q[row], a[row], b[row]
        if not any(np.isnan(part).any() for part in parts):
            C = _correlations(teacher, act, m[row], np.diagonal(Q[row]), b[row])
            out[row] = power - a[row] @ C + 0.5 * _square(act, Q[row], a[row], b[row])
    return out


def _correlations(teacher: TeacherTarget, act: Any, m: Array, q: Array, b: Array) -> Array:
    """Return C (N,)."""
    g, weights = _rule()
    size = np.sqrt((teacher.weights**2).sum(axis=1))  # (K,)
    along = m @ (teacher.weights / size[:, None]).T  # (N, K)
    variance = np.maximum(q[:, None] - along**2, SMALLEST_SHARE * q[:, None])
    shift = b[:, None, None] + along[:, :, None] * g  # (N, K, nodes)
    c = np.empty((3, shift.size))
    moments(act, np.repeat(variance.ravel(), g.size), np.ascontiguousarray(shift.ravel()), c)
    of_teacher = teacher.activation.function(size[:, None] * g) * weights * teacher.second_layer[:, None]
    return np.einsum("jkn,kn->j", c[0].reshape(shift.shape), of_teacher)


def _square(act: Any, Q: Array, a: Array, b: Array) -> float:
    """E[f²] = aᵀKa."""
    n = a.size
    t, ka, k1, kb = np.zeros((4, n))
    biased = int(b.any())
    pair_sums(act, biased, *map(np.ascontiguousarray, (Q, a, b)), t, ka, k1, kb, np.zeros((n, n)))
    return float(a @ ka)


def _rule() -> tuple[Array, Array]:
    """Nodes and weights for averages over a standard normal variable."""
    x, w = np.polynomial.legendre.leggauss(NODES)
    low, high = np.array(EDGES[:-1])[:, None], np.array(EDGES[1:])[:, None]
    g = (0.5 * (low + high) + 0.5 * (high - low) * x).ravel()
    density = np.exp(-0.5 * g * g) / np.sqrt(2 * np.pi)
    return g, (0.5 * (high - low) * w).ravel() * density
