"""ridge: the best second layer on top of a given first layer."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from odesim import checks
from odesim.network import Network
from odesim.rebuild import network_at
from odesim.sgd.second_layer import minimum, population_moments
from odesim.targets.series import Target
from odesim.targets.teacher import TeacherTarget
from odesim.trajectory import Trajectory

Array = NDArray[np.float64]


class RidgeFit(NamedTuple):
    """The second layer that `ridge` found.

    Attributes
    ----------
    a : array (N,)
        In the network's scaling.
    risk : float
        Population risk ½E[(h − f)²] of the network with it, without the penalty.
    """

    a: Array
    risk: float


def ridge(
    target: Target | TeacherTarget,
    start: Network | Trajectory,
    decay: float,
    *,
    row: int = -1,
    network: Network | None = None,
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
) -> RidgeFit:
    """Return the second layer that minimises the risk plus a ridge penalty, first layer and biases as they are.

    For f = Σ_j a_j σ_j that is the minimum of ½E[(h − f)²] + (decay/2) ‖a‖², found from E[h σ_j] and E[σ_j σ_l] in
    closed form, or of the mean over given samples in place of E. It is where SGD on a alone with weight decay
    ``decay`` tends in the mean. In mean-field scaling, f = (1/N) Σ_j a_j σ_j with N times the gradient, that is the
    minimum of ½E[(h − f)²] + (decay/2N) ‖a‖². An eigenvalue of E[σ_j σ_l] below 1e-13 of its trace counts as that.

    Parameters
    ----------
    target : Target or TeacherTarget
    start : Network or Trajectory
        A network with its first layer, or a single run, of which the first layer at ``row`` is taken.
    decay : float
        Weight decay λ_a (≥ 0).
    row : int
        Row of the trajectory, by default the last.
    network : Network, optional
        What the trajectory's network is besides its overlaps, where its settings do not say it.
    x, y : arrays (n, d), (n,), optional
        Samples and their labels in place of the law of the data; the network must have its weights.

    Raises
    ------
    InputError
        For a decay below 0, an ensemble in place of a run, a row that is not there or has no values, samples without
        labels or of a wrong shape, or a Boolean target of too many coordinates.
    """
    number = checks.real("decay", decay, low=0.0, remedy="it is a weight decay")
    net = start if isinstance(start, Network) else _network_of(start, row, network)
    moments = population_moments(target, net.activation, net.m, net.m @ net.m.T + net.R, net.b)
    K, C = (moments.K, moments.C) if x is None and y is None else _sample_moments(net, x, y)
    a = minimum(K, C, number / net.unit)
    return RidgeFit(a / net.unit, moments.risk(a))


def _network_of(run: Trajectory, row: int, like: Network | None) -> Network:
    """The network of a single run at a row."""
    if run.ensemble:
        raise checks.InputError(f"start is an ensemble of {run.seeds} runs; give one of them, as in trajectory[0]")
    count = run.steps.size
    if not -count <= row < count or not np.isfinite(run.m[row]).all():
        raise checks.InputError(f"row={row} of {count} holds no values; give a row before the run's end")
    return network_at(run, row, like)


def _sample_moments(net: Network, x: ArrayLike | None, y: ArrayLike | None) -> tuple[Array, Array]:
    """Means of σ_j σ_l and of y σ_j over the samples."""
    if net.weights is None or x is None or y is None:
        raise checks.InputError("ridge from samples needs x, y and a network with its weights; give all three")
    inputs = checks.array("x", x, (len(np.asarray(x)), net.dim))
    labels = checks.array("y", y, (len(inputs),))
    s = net.activation.function(inputs @ net.weights.T + net.b)
    return s.T @ s / len(inputs), s.T @ labels / len(inputs)
