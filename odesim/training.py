"""Training: by which rule and at which rates the network learns."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from odesim import checks
from odesim.network import Network

GEOMETRIES = ("free", "sphere")
LOSSES = ("square", "correlation")
INNER = {"extragradient": 1.0, "sam": -1.0}
"""Re-uses of a sample with an inner step, and its sign."""
REUSES = ("none", "twice", *INNER)
FOREVER = 2**62


@dataclass(frozen=True)
class TwoRadii:
    """The layerwise geometry: a coordinate is released, for ever, when |w_i| first reaches ``r``.

    Those not released stay on the unit sphere together; released ones move freely, clipped at ±``delta``.
    (Abbe, Boix-Adserà & Misiakiewicz 2023, Algorithm 1, phase 1.)

    Raises
    ------
    InputError
        Unless 0 < r < delta, and r < 1.
    """

    r: float
    delta: float

    def __post_init__(self) -> None:
        checks.real("geometry.r", self.r, low=0.0, strict=True, remedy="it is below delta and below 1")
        checks.real("geometry.delta", self.delta, low=0.0, strict=True, remedy="it is above r")
        if not self.r < min(self.delta, 1.0):
            raise checks.InputError(f"geometry.r={self.r:g} is not below delta={self.delta:g} and 1; lower r")


@dataclass(frozen=True)
class Phase:
    """One stretch of a schedule: factors of the step sizes until a step.

    Parameters
    ----------
    until : int, optional
        First step that is no longer in it; None for the last phase.
    rate : float
        Factor of all step sizes, and so of the time that a step takes (> 0).
    w, a, b : float
        Further factors of one layer's step size; 0 freezes that layer while time goes on.

    Raises
    ------
    InputError
        For a negative factor, a rate of 0, or ``until`` below 1.
    """

    until: int | None = None
    rate: float = 1.0
    w: float = 1.0
    a: float = 1.0
    b: float = 1.0

    def __post_init__(self) -> None:
        if self.until is not None:
            checks.integer("phase.until", self.until, low=1, remedy="it is a step number")
        checks.real("phase.rate", self.rate, low=0.0, strict=True, remedy="freeze layers by w=0, a=0, b=0")
        for name in ("w", "a", "b"):
            checks.real(f"phase.{name}", getattr(self, name), low=0.0, remedy="0 freezes the layer")


class Rates(NamedTuple):
    """What one step does from step ``start`` until ``stop``, for f = Σ_j a_j σ_j without 1/N.

    One step takes ``clock`` units of time, in the scaling that the network names; w, a, b and their decays are
    step sizes of the plain network: w += w_rate · (…) − w_rate · decay_w · w. ``inner`` is the step size of the first
    of two passes on one sample, positive for the extragradient, negative for SAM, 0 without such a pass.
    """

    start: int
    stop: int
    clock: float
    w: float
    a: float
    b: float
    decay_w: float
    decay_a: float
    inner: float = 0.0


@dataclass(frozen=True)
class Training:
    """Online SGD, ``batch`` fresh samples a step.

    With f = Σ_j a_j σ_j (scaling "plain") a step moves each layer by its step size times minus the gradient of the
    batch's mean loss, and by −step size · decay · weight. With f = (1/N) Σ_j a_j σ_j (scaling "mean_field" of the
    network) the gradient is that of N times the loss, so that steps carry no 1/N. Time is the sum of eta over the
    steps in either scaling.

    Parameters
    ----------
    eta : float
        Step size of the first-layer weights w (> 0). Flow time is t = eta * steps.
    eta_a : float, optional
        Step size of the second layer a; default ``eta``; 0 freezes it.
    eta_b : float
        Step size of the biases b; 0 (the default) freezes them.
    noise : float
        Variance of the label noise, y = h(z) + sqrt(noise) xi.
    geometry : {"free", "sphere"} or TwoRadii
        Whether the weights move freely, stay on the unit sphere, or obey the layerwise rule; a dynamics refuses
        what it does not know.
    batch : int or inf
        Fresh samples a step; ``math.inf`` is the exact gradient in every step (flows only).
    loss : {"square", "correlation"}
        ½(y − f)², or −y f, whose residual is y alone: neurons then do not see each other.
    decay_w, decay_a : float
        Weight decay of w and of a.
    schedule : tuple of Phase
        Factors of the step sizes by stretches of steps; empty for constant ones.
    reuse : {"none", "twice", "extragradient", "sam"}
        Whether a step looks at its samples again, which flows cannot follow. "twice": two whole steps on the same
        samples, counted as one. "extragradient": the gradient of every layer is taken where the first layer stands
        after an inner step of size ``rho`` down the same samples' loss. "sam": after one up (not normalised). For one
        sample all of these move w_j along x as ever, with the preactivations λ̃_j = λ_j ± rho Δ a_j σ'_j ‖x‖² in the
        place of λ_j. (Dandi et al. 2024, arXiv 2402.03220; Arnaboldi et al. 2024, arXiv 2405.15459.)
    rho : float, optional
        Step size of that inner step (> 0), default the step size of w; the same in every phase of a schedule.
    normalised : bool
        Whether the first layer's gradient, over all neurons, is divided by its norm (Frobenius): its step then has the
        length of its step size, in either scaling. Inner steps, decay, a and b stay as they are; flows cannot follow.

    Raises
    ------
    InputError
        For a step size or a noise that is negative, NaN or infinite, ``eta`` = 0, a batch below 1, an unknown
        loss, geometry or re-use, a ``rho`` without an inner step, or a schedule whose phases do not follow each other.
    """

    eta: float
    eta_a: float | None = None
    eta_b: float = 0.0
    noise: float = 0.0
    geometry: str | TwoRadii = "free"
    batch: float = 1
    loss: str = "square"
    decay_w: float = 0.0
    decay_a: float = 0.0
    schedule: tuple[Phase, ...] = ()
    reuse: str = "none"
    rho: float | None = None
    normalised: bool = False

    def __post_init__(self) -> None:
        checks.real(
            "training.eta",
            self.eta,
            low=0.0,
            strict=True,
            remedy="give a positive step size, such as 0.1 / dim",
        )
        if self.eta_a is not None:
            checks.real("training.eta_a", self.eta_a, low=0.0, remedy="0 freezes the second layer")
        checks.real("training.eta_b", self.eta_b, low=0.0, remedy="0 freezes the biases")
        if not isinstance(self.geometry, TwoRadii):
            checks.choice("training.geometry", self.geometry, GEOMETRIES)
        checks.real("training.noise", self.noise, low=0.0, remedy="it is a variance")
        if self.batch != math.inf:
            checks.integer("training.batch", self.batch, low=1, remedy="math.inf is the exact gradient")
        checks.choice("training.loss", self.loss, LOSSES)
        checks.real("training.decay_w", self.decay_w, low=0.0, remedy="0 is no decay")
        checks.real("training.decay_a", self.decay_a, low=0.0, remedy="0 is no decay")
        object.__setattr__(self, "schedule", tuple(self.schedule))
        _check_schedule(self.schedule)
        checks.choice("training.reuse", self.reuse, REUSES)
        if self.rho is not None:
            checks.real("training.rho", self.rho, low=0.0, strict=True, remedy="leave it out for the step size of w")
            if self.reuse not in INNER:
                raise checks.InputError(
                    f"training.rho={self.rho:g} has no inner step in reuse={self.reuse!r}; use {' or '.join(INNER)}"
                )

        if not isinstance(self.normalised, bool):
            raise checks.InputError(f"training.normalised={self.normalised!r} is not true or false; give one")

    @property
    def rate_a(self) -> float:
        """Step size of the second layer, the default resolved."""
        return self.eta if self.eta_a is None else self.eta_a

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The schedule, one phase for ever where there is none; the last one never ends."""
        return self.schedule or (Phase(),)

    def trains(self, layer: str) -> bool:
        """Whether the ``layer`` ("w", "a" or "b") moves at any time."""
        size = {"w": self.eta, "a": self.rate_a, "b": self.eta_b}[layer]
        return size > 0 and any(getattr(phase, layer) > 0 for phase in self.phases)

    def rates(self, network: Network) -> tuple[Rates, ...]:
        """Return the rates of the plain network, one row for each phase of the schedule, ``stop`` of the last huge.

        In mean-field scaling the plain network has a/N and the steps N·eta, eta_a/N, N·eta_b; a normalised gradient
        knows no scaling, and its step is eta.
        """
        n = float(network.width) if network.scaling == "mean_field" else 1.0
        n_w = 1.0 if self.normalised else n
        sign = INNER.get(self.reuse, 0.0) * n
        ends = [0, *(phase.until or FOREVER for phase in self.phases)]
        return tuple(
            Rates(
                start,
                stop,
                clock=self.eta * phase.rate,
                w=self.eta * phase.rate * phase.w * n_w,
                a=self.rate_a * phase.rate * phase.a / n,
                b=self.eta_b * phase.rate * phase.b * n,
                decay_w=self.decay_w / n_w,
                decay_a=self.decay_a * n,
                inner=sign * (self.eta * phase.rate * phase.w if self.rho is None else self.rho),
            )
            for (start, stop), phase in zip(pairwise(ends), self.phases, strict=True)
        )

    def time_at(self, steps: ArrayLike) -> NDArray[np.float64]:
        """Return the time Σ eta · rate of the first ``steps`` steps."""
        count, total = np.asarray(steps), np.zeros(np.shape(steps))
        start = 0
        for phase in self.phases:
            stop = phase.until or FOREVER
            total += self.eta * phase.rate * np.clip(count - start, 0, stop - start)
            start = stop
        return total

    def steps_before(self, times: ArrayLike) -> NDArray[np.float64]:
        """Return how many steps, and parts of one, take the given times."""
        left, total = np.array(times, dtype=np.float64), np.zeros(np.shape(times))
        start = 0
        for phase in self.phases:
            stop, clock = phase.until or FOREVER, self.eta * phase.rate
            here = np.clip(left / clock, 0.0, stop - start)
            total, left, start = total + here, left - here * clock, stop
        return total

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values; an infinite batch is the text ``"inf"``."""
        values = asdict(self)
        return values | {"batch": "inf" if self.batch == math.inf else self.batch}

    def need(self, who: str, **known: tuple[Any, ...]) -> None:
        """Refuse values outside those that the dynamics ``who`` knows, as in ``need("X", loss=("square",))``.

        Raises
        ------
        InputError
            Naming the first field with another value, and what is known.
        """
        for name, choices in known.items():
            value = getattr(self, name)
            if value not in choices:
                listed = " or ".join(repr(choice) for choice in choices)
                raise checks.InputError(f"training.{name}={value!r} is unknown to {who}; use {listed}")


def _check_schedule(schedule: tuple[Phase, ...]) -> None:
    """Phases follow each other, and the last one never ends."""
    if not schedule:
        return
    if not all(isinstance(phase, Phase) for phase in schedule):
        raise checks.InputError("training.schedule holds something else than phases; give Phase(until=..., ...)")
    if schedule[-1].until is not None or any(phase.until is None for phase in schedule[:-1]):
        raise checks.InputError("training.schedule must end with its only Phase(until=None); add or move it")
    ends = [0, *(phase.until or 0 for phase in schedule[:-1])]
    if any(later <= sooner for sooner, later in pairwise(ends)):
        raise checks.InputError(f"training.schedule has until={ends[1:]}, which does not increase; sort the phases")
