"""When a group of coordinates escapes, to leading order: every neuron alone, from the overlaps it starts with.

As long as the network's output is small and its overlaps are, neuron j feels
m' = ξ_w a ∂/∂m Σ_S (ĥ_S/√(S!)) m^S c_|S|(q, b), with q and b of the start (Abbe, Boix-Adserà & Misiakiewicz 2023, the
first phase of Algorithm 1). The groups of the leap path are taken one after the other: the coordinates of earlier
ones rest where they ended, those of later ones where they started.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from odesim.complexity import LeapPath, LeapStep
from odesim.network import Network
from odesim.targets.series import Target

Floats = NDArray[np.float64]

SIZE = 0.5
"""Length of a neuron's overlaps with a group at which it counts as escaped; the root of their start above ¼."""

STRIDE, STRIDES = 0.2, 1000
"""Share of the time in which its speed changes that a neuron goes in one step of the integration; steps allowed."""


TINY = 1e-9
"""Length from which overlaps of 0 set out."""


@dataclass(frozen=True, eq=False)
class Growth:
    """How one group grows, neuron by neuron.

    Attributes
    ----------
    step : LeapStep
        The group.
    start : float
        When the coordinates it builds on have escaped, in the time of `grow`.
    times : array (N,)
        When each neuron escapes, inf where it does not.
    at_once : array (N,) of bool
        Whether a ĥ_S c_|S| m^S summed over the group is positive at its start, which then grows from the first
        moment; a group of leap 1 grows from any sign.
    """

    step: LeapStep
    start: float
    times: Floats
    at_once: NDArray[np.bool_]

    @property
    def first(self) -> float:
        """Escape of the first neuron."""
        return float(self.times.min(initial=np.inf))

    @property
    def typical(self) -> float:
        """Median escape of the neurons that grow; inf if none does."""
        grown = self.times[np.isfinite(self.times)]
        return float(np.median(grown)) if grown.size else float("inf")


def grow(target: Target, network: Network, path: LeapPath, *, sphere: bool = False) -> list[Growth]:
    """Return how each group of the path grows, in units of time in which m' = a ∂C/∂m of the plain network."""
    from odesim.activations._moments import moments
    from odesim.activations.handed import act_of

    m, q = network.m.copy(), (network.m**2).sum(axis=1) + network.residual_norms
    if sphere:
        m, q = m / np.sqrt(q)[:, None], np.ones_like(q)
    c = np.zeros((target.degree + 3, network.width))
    moments(act_of(network.activation), np.maximum(q, 1e-300), network.b, c)
    ended: dict[int, float] = {}
    signs = np.ones(network.width, dtype=bool)
    out = []
    for step in path.steps:
        field = _Field(_part(target, step), network.plain_a, c, step.coordinates)
        start = max((ended[r] for r in _seen(step)), default=0.0)
        signs = signs & ((field.value(m) > 0) | (step.leap == 1))
        m, spent = field.follow(m)
        growth = Growth(step, start, start + spent, signs)
        ended |= dict.fromkeys(step.coordinates, growth.typical)
        out.append(growth)
    return out


def _part(target: Target, step: LeapStep) -> Target:
    """The terms of one group alone."""
    series = dict(target.series)
    return Target(target.data, target.P, tuple((key, series[key]) for key in step.keys))


def _seen(step: LeapStep) -> set[int]:
    """Coordinates of earlier groups that this one's terms hold."""
    return {i for key in step.keys for i, _ in key} - set(step.coordinates)


class _Field:
    """The drift of the coordinates of one group, all neurons at once."""

    def __init__(self, part: Target, a: Floats, c: Floats, coordinates: tuple[int, ...]) -> None:
        from odesim.flows._expectation import Series

        self.series, self.a, self.c = Series(*part.arrays()), a, c
        self.moving = np.array(coordinates)

    def _correlation(self, m: Floats) -> tuple[Floats, Floats]:
        from odesim.flows._expectation import correlation

        C, by_q, by_b = np.zeros((3, self.a.size))
        by_m = np.zeros_like(m)
        correlation(self.series, np.ascontiguousarray(m), self.c, C, by_m, by_q, by_b)
        return C, by_m

    def value(self, m: Floats) -> Floats:
        """Return a times the group's part of C (N)."""
        return self.a * self._correlation(m)[0]

    def drift(self, m: Floats) -> Floats:
        """Return m' (N, P), 0 for coordinates outside the group."""
        out = np.zeros_like(m)
        out[:, self.moving] = self.a[:, None] * self._correlation(m)[1][:, self.moving]
        return out

    def follow(self, m: Floats) -> tuple[Floats, Floats]:
        """Integrate until the group's overlaps have length ``SIZE``; return where neurons are, and when (inf: never).

        Runge and Kutta's fourth order, each neuron with steps of its own, of ``STRIDE`` times what its speed takes to
        change and at most twice its length, which lets it pass through 0. Neurons that do not get there keep their
        start.
        """
        start, m, time = m, m.copy(), np.zeros(self.a.size)
        size = np.maximum(SIZE, np.sqrt(np.linalg.norm(m[:, self.moving], axis=1)))
        for _ in range(STRIDES):
            length = np.linalg.norm(m[:, self.moving], axis=1)
            k1 = self.drift(m)
            speed = np.linalg.norm(k1, axis=1)
            going = (length < size) & (speed > 0)
            if not going.any():
                break
            h = np.where(going, self._reach(m, k1, length, speed) / np.where(speed > 0, speed, 1.0), 0.0)[:, None]
            k2 = self.drift(m + h / 2 * k1)
            k3 = self.drift(m + h / 2 * k2)
            m = m + h / 6 * (k1 + 2 * k2 + 2 * k3 + self.drift(m + h * k3))
            time += h[:, 0] * _inside(length, np.linalg.norm(m[:, self.moving], axis=1), size)
        done = np.linalg.norm(m[:, self.moving], axis=1) >= size
        return np.where(done[:, None], m, start), np.where(done, time, np.inf)

    def _reach(self, m: Floats, k1: Floats, length: Floats, speed: Floats) -> Floats:
        """How far each neuron may move in one step."""
        length = np.where(length > 0, length, TINY)
        probe = 1e-4 * length / np.where(speed > 0, speed, 1.0)
        change = np.linalg.norm(self.drift(m + probe[:, None] * k1) - k1, axis=1) / probe
        straight = STRIDE * speed**2 / np.maximum(change, 1e-300)
        return np.minimum(np.minimum(STRIDE * SIZE, 2 * length), straight)


def _inside(before: Floats, after: Floats, size: Floats) -> Floats:
    """Share of a step up to length ``size``, the length taken as linear in it."""
    over = (after > size) & (before < size)
    return np.where(over, (size - before) / np.where(over, after - before, 1.0), 1.0)
