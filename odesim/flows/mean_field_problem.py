"""What the mean-field flow's kernels read, laid out once a run: the points, the activation, weights and rates."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from odesim.activations.activation import Activation
from odesim.activations.handed import act_of
from odesim.flows import _mean_field as kernels
from odesim.flows.points import Points
from odesim.network import Network
from odesim.training import Training

Array = NDArray[np.float64]


class Pace(NamedTuple):
    """Rates ξ and decays λ of one phase, in units of which the state, with f = Σ_j w_j a_j V_j, moves."""

    xi_w: float
    xi_a: float
    xi_b: float
    decay_w: float
    decay_a: float


UNIT = Pace(1.0, 1.0, 1.0, 0.0, 0.0)
"""All layers at the speed of time, without decay."""


def paces(training: Training, network: Network) -> list[Pace]:
    """Return the pace of every phase, per unit of the network's time.

    A plain network moves by w' = r_w (p E[eσ'x] − d_w w), p' = r_a (E[eσ] − d_a p), b' = r_b p E[eσ'] a step; in
    a = N p, with f = (1/N) Σ a σ, that is w' = (r_w/N)(a E[eσ'x] − N d_w w), a' = N r_a (E[eσ] − (d_a/N) a).
    """
    N = network.width
    return [
        Pace(row.w / (N * row.clock), N * row.a / row.clock, row.b / (N * row.clock), N * row.decay_w, row.decay_a / N)
        for row in training.rates(network)
    ]


def problem_of(
    rule: Points,
    activation: Activation,
    weights: Array,
    pace: Pace = UNIT,
    *,
    smoothing: float = 0.0,
    subspace: Array | None = None,
    alone: bool = False,
) -> kernels.Problem:
    """Lay out what the kernels read; ``subspace`` is an orthonormal basis (k, P) for m', ``alone`` means e = h."""
    P, n = rule.z.shape[0], weights.size
    value, slope, spread = np.zeros((3, n, kernels.BLOCK))
    u, error = np.zeros((2, kernels.BLOCK))
    basis = np.zeros((0, P)) if subspace is None else subspace
    return kernels.Problem(
        act=act_of(activation),
        smoothing=float(smoothing),
        held=int(subspace is not None),
        alone=int(alone),
        **pace._asdict(),
        weights=np.ascontiguousarray(weights),
        z=rule.z,
        p=rule.p,
        h=rule.h,
        projector=basis.T @ basis,
        scratch=kernels.Scratch(value, slope, spread, u, error, np.zeros(P)),
    )
