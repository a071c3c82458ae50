"""What can be known before a run: terms that no start can learn, and a step size that is stable."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odesim.activations.activation import Activation
from odesim.activations.catalogue import CATALOGUE
from odesim.network import Network
from odesim.targets.series import Target
from odesim.training import Training

SAFETY = 4.0
"""How far below the edge of stability the suggested step stays: curvature grows as the network learns."""


@dataclass(frozen=True)
class BlockedTerm:
    """A term of the target that the network can never have, because a Gaussian moment vanishes.

    Attributes
    ----------
    term : tuple of int
        The exponents S.
    label : str
        The term in words, such as ``z1*z2``.
    degree : int
        |S|: the term enters with the moment c_degree = E[sigma^(degree)].
    activation : str
        Whose moment it is.
    """

    term: tuple[int, ...]
    label: str
    degree: int
    activation: str

    @property
    def message(self) -> str:
        """One line: the term, the moment, what frees it."""
        return blocked_messages([self])[0]


def blocked_messages(blocked: Sequence[BlockedTerm]) -> list[str]:
    """Return one line for each moment that vanishes: the terms that need it, and what frees them."""
    return [_message(degree, list(terms)) for degree, terms in groupby(blocked, key=lambda one: one.degree)]


def _message(degree: int, terms: list[BlockedTerm], most: int = 3) -> str:
    named = ", ".join(one.label for one in terms[:most])
    rest = f" and {len(terms) - most} more of degree {degree}" if len(terms) > most else ""
    others = [name for name, kind in CATALOGUE.items() if not _vanishes(kind, degree, False)]
    swap = f", or another activation ({', '.join(others[:4])})" if others else ""
    return (
        f"{named}{rest} cannot be learned: the moment c_{degree} vanishes for {terms[0].activation} without biases; "
        f"give biases (--biases 1, Network.random(biases=1.0)){swap}"
    )


def blocked_terms(target: Target, network: Network, training: Training) -> list[BlockedTerm]:
    """Return the terms of the target that the network cannot represent at any time of the run.

    A term h_S reaches neuron j through coefficient_S * prod_r m_jr^S_r * c_|S|(q_j, b_j) alone. While all
    biases are zero and frozen, c_k vanishes for every q at each k >= 2 of one parity: even for erf, which is
    odd and so lacks the constant as well, odd for ReLU. Neither gradient nor network ever holds such a term.
    Terms of degree 1 are never blocked.
    """
    biased, kind = network.has_biases or training.trains("b"), network.activation
    sphere = training.geometry == "sphere"
    return [
        BlockedTerm(term, target.label(term), sum(term), kind.name)
        for term in sorted(target.terms, key=lambda term: (sum(term), term))
        if _vanishes(kind, sum(term), biased, sphere)
    ]


def stable_step(network: Network, target: Any, training: Training | None = None) -> float:
    """Return a step size eta at which SGD from this start is stable, on the safe side; inf where every one is.

    One step on a sample changes the network's output there by -error · K, with K = η_w |x|² Σ_j a_j² σ'_j²
    + η_a Σ_j σ_j² + η_b Σ_j a_j² σ'_j² in the plain network, and contracts while K < 2. K is averaged at the start
    with |x|² = d, enlarged by E[h²]/(Σ_j |a_j| E[σ_j²]^½)² where the second layer has to grow for even aligned
    neurons to give E[h²], and divided by ``SAFETY``.
    In a batch of B each sample counts 1/B, and the others together act as the exact gradient does, whose first-layer
    part is at most η_w Σ_j a_j² max(E[σ'_j²], E[σ'_j² G²]). Weight decay adds η·decay. The rates' ratios are those of
    ``training`` (batch 1, eta_a = eta without it), in the largest of its phases. The correlation loss feeds nothing
    back, so that only decay can then be unstable.
    """
    training = training or Training(eta=1.0)
    value, slope, spread = _moments(network)
    a = network.plain_a
    energy, output = target.energy + target.constant**2, float(np.abs(a) @ np.sqrt(value)) ** 2
    growth = max(1.0, energy / output) if output > 0 else 1.0
    batch = float(training.batch)
    first = network.dim / batch * float(a**2 @ slope) + (1 - 1 / batch) * float(a**2 @ np.maximum(slope, spread))
    worst = 0.0
    for row in training.rates(network):
        feedback = growth * row.w * first + row.a * float(value.sum()) + row.b * float(a**2 @ slope)
        decay = max(row.w * row.decay_w, row.a * row.decay_a)
        worst = max(worst, decay + (feedback if training.loss == "square" else 0.0))
    return 2.0 * training.eta / (SAFETY * worst) if worst > 0 else math.inf


def stable_eta_d(network: Network, target: Any, training: Training) -> float:
    """Return eta * dim to try after ``training`` diverged: stable, at most a quarter of it, two digits."""
    eta = min(stable_step(network, target, training), training.eta / 4)
    return float(f"{eta * network.dim:.1e}")


def _vanishes(kind: Activation, degree: int, biased: bool, sphere: bool = False) -> bool:
    """Whether c_degree(q, b) = 0 for all q (q = 1 on the ``sphere``), and for all b where ``biased``."""
    if hasattr(kind, "vanishes"):
        return bool(kind.vanishes(degree, biased, sphere))
    if biased:
        return False
    if degree > 0:
        return kind.blocks(degree)
    points = np.array([0.7, 1.9])
    return bool(np.allclose(kind.function(-points), -kind.function(points), rtol=1e-12))


def second_moments(network: Network) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """E[sigma^2] and E[sigma'^2] of every neuron at the start."""
    return _moments(network)[:2]


def _moments(network: Network) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """E[sigma^2], E[sigma'^2] and E[sigma'^2 G^2] of every neuron, by the trapezoid rule in G on [-8, 8].

    An even number of nodes keeps them off 0, where ReLU has its kink.
    """
    nodes = np.linspace(-8.0, 8.0, 256)
    weights = np.exp(-(nodes**2) / 2)
    weights /= weights.sum()
    scale = np.sqrt((network.m**2).sum(axis=1) + network.residual_norms)
    x = network.b[:, None] + scale[:, None] * nodes
    kind = network.activation
    squares = kind.derivative(x) ** 2
    return kind.function(x) ** 2 @ weights, squares @ weights, squares @ (weights * nodes**2)
