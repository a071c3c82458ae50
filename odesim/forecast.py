"""resolvability: before a run, what will be learned, by whom, when, and with which steps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from odesim.complexity import LeapPath, leap_path
from odesim.escapes import Growth, grow
from odesim.network import Network
from odesim.outlook import GroupOutlook, Resolvability
from odesim.resolve import BlockedTerm, blocked_terms, second_moments, stable_step
from odesim.symmetry import stuck
from odesim.targets.series import Target
from odesim.training import Training

CALM, RANDOM = 0.1, 1.0
"""Noise gauge below which the ODE's escape is SGD's, and above which escapes are random."""

LARGE_OUTPUT = 0.1
"""E[f²]/E[h²] at the start above which the neurons are not alone from the beginning."""

MOST_TERMS, MOST_WORK = 100, 20_000
"""Terms listed by name; terms times neurons up to which escapes are computed."""


def resolvability(target: Any, network: Network, training: Training, *, path: LeapPath | None = None) -> Resolvability:
    """Say before a run which terms can be learned, by which neurons, about when, and with which steps.

    A term h_S reaches the network through c_|S|(q, b) = E[σ^(|S|)] alone, so that a vanishing moment keeps it out
    for ever (`blocked_terms`), and the groups of the leap path are those of what is left. Each group is followed
    neuron by neuron in the leading order of the correlation flow from this start (see `escapes`),
    m' = a ĥ_S c_|S| ∂m^S/√S! until |m| = ½ there, which takes O(1) for leap 1, log d for leap 2 and d^{(k−2)/2} for
    leap k ≥ 3. That is what happens while the output is small, as under the correlation loss. Beyond the first group
    it is an order of magnitude, the earlier overlaps held at ½. The risk itself passes
    the middle to the next level when enough neurons have sorted themselves out. In overlap flows of eight erf neurons,
    d = 100 to 1600, that took 0.6 times as long for z1 and 5 to 7 times for z1*z2*z3 after it (second layer trained),
    1.1 to 1.8 times for z1*z2*z3 alone (frozen at ±½; trained, it died at d = 400 and nothing was learned).
    The noise gauge ν = d Σ η_w² Γ_jj/B over those steps takes Γ_jj of the start.

    Parameters
    ----------
    target : Target or TeacherTarget
        A teacher network has no leap path: then only the stable step is told.
    network : Network
    training : Training
    path : LeapPath, optional
        The target's, to save finding it again.

    Raises
    ------
    InputError
        If the target is constant.
    """
    step = stable_step(network, target, training)
    eta = step if math.isfinite(step) else None
    eta_d = None if eta is None else eta * network.dim
    value, slope = second_moments(network)
    share = _output(network, value) / max(target.energy + target.constant**2, 1e-300)
    if not isinstance(target, Target):
        return Resolvability((), (), 0.0, None, None, (), share, eta, eta_d, ())
    path = path or leap_path(target)
    blocked = blocked_terms(target, network, training)
    left = _without(target, blocked) if blocked else target
    reachable = leap_path(left) if blocked else path
    groups: tuple[GroupOutlook, ...] = ()
    if training.trains("w") and len(left.series) * network.width <= MOST_WORK:
        rate = _noise(target, network, training, value, slope)
        with np.errstate(all="ignore"):  # weights of length 0 have moments without bound
            growths = grow(left, network, reachable, sphere=training.geometry != "free")
        groups = tuple(_outlook(one, k, rate, network, training) for k, one in enumerate(growths))
    return Resolvability(
        blocked=tuple(blocked),
        terms=_terms(target, blocked),
        floor=math.fsum(_coefficient(target, one) ** 2 for one in blocked) / 2,
        leap=path.leap,
        reachable_leap=reachable.leap,
        groups=groups,
        output_share=share,
        eta=eta,
        eta_d=eta_d,
        notes=tuple(_notes(target, left, path, reachable, network, training, share)),
    )


def _without(target: Target, blocked: list[BlockedTerm]) -> Target:
    """The target's terms that are not blocked."""
    out = {one.term for one in blocked}
    return Target(
        target.data, target.P, tuple((key, c) for key, c in target.series if target.exponents(key) not in out)
    )


def _coefficient(target: Target, one: BlockedTerm) -> float:
    return target.terms[one.term]


def _terms(target: Target, blocked: list[BlockedTerm]) -> tuple[tuple[str, bool], ...]:
    out = {one.label for one in blocked}
    labels = [target.label(target.exponents(key)) for key, _ in target.series[:MOST_TERMS]]
    return tuple((label, label not in out) for label in labels)


def _output(network: Network, value: Any) -> float:
    """E[f²] at the start, neurons taken as independent but for their means."""
    from odesim.activations._moments import moments
    from odesim.activations.handed import act_of

    q = np.maximum((network.m**2).sum(axis=1) + network.residual_norms, 1e-300)
    c = np.zeros((3, network.width))
    moments(act_of(network.activation), q, network.b, c)
    a = network.plain_a
    return float(a**2 @ np.maximum(value - c[0] ** 2, 0.0) + (a @ c[0]) ** 2)


def _noise(target: Target, network: Network, training: Training, value: Any, slope: Any) -> float:
    """d Γ_jj/B of the start, the largest over the neurons, with Γ_jj ≈ a_j² E[Δ²] E[σ'²]."""
    error = target.energy + target.constant**2 + training.noise
    if training.loss == "square":
        error += _output(network, value)
    return float(network.dim * error * (network.plain_a**2 * slope).max() / training.batch)


def _outlook(growth: Growth, index: int, rate: float, network: Network, training: Training) -> GroupOutlook:
    k, steps = growth.step.leap, _steps(growth.typical, network, training)
    first = _steps(growth.first, network, training)
    nu = _finite(rate * _squares(steps, network, training)) if math.isfinite(steps) else None
    calm = k == 1 or (nu is not None and nu < CALM)
    return GroupOutlook(
        label=growth.step.label,
        leap=k,
        law="1" if k == 1 else "log d" if k == 2 else f"d^{(k - 2) / 2:g}",
        neurons=float(np.isfinite(growth.times).mean()),
        at_once=float(growth.at_once.mean()),
        first_time=_time(first, training),
        time=_time(steps, training),
        first_step=_finite(first),
        step=_finite(steps),
        status="leading order" if index == 0 else "order of magnitude",
        noise_gauge=nu,
        trust="ode" if calm else "medians" if nu is not None and nu < RANDOM else "chain",
    )


def _steps(path: float, network: Network, training: Training) -> float:
    """SGD steps until the step sizes of w, of the plain network, sum to ``path``; inf: never."""
    for row in training.rates(network):
        here = row.w * (row.stop - row.start)
        if path <= here:
            return row.start + (path / row.w if row.w else 0.0)
        path -= here
    return math.inf


def _squares(steps: float, network: Network, training: Training) -> float:
    """Σ (step size of w)² over that many steps."""
    return math.fsum(
        row.w**2 * min(max(steps - row.start, 0.0), row.stop - row.start) for row in training.rates(network)
    )


def _time(steps: float, training: Training) -> float | None:
    return float(training.time_at(steps)) if math.isfinite(steps) else None


def _finite(value: float) -> float | None:
    """None for what never happens or is not known."""
    return value if math.isfinite(value) else None


def _notes(
    target: Target,
    left: Target,
    path: LeapPath,
    reachable: LeapPath,
    network: Network,
    training: Training,
    share: float,
) -> list[str]:
    """What else is known, one sentence each."""
    notes = []
    if training.reuse != "none":
        notes.append(f"these times leave out reuse={training.reuse!r}, which can shorten a leap of 2 or more by far")
    if training.normalised:
        notes.append(
            "these times and the stable step are those of the gradient as it is: with normalised=True a step of W has "
            "length eta, whatever the gradient's"
        )
    if reachable.leap > path.leap:
        notes.append(f"without the terms never learned the leap is {reachable.leap}, not {path.leap}")
    if not reachable.steps:
        notes.append("no term is left that the network could learn")
    directions = _directions(left, network.width)
    if directions > network.width:
        notes.append(
            f"{network.width} neurons see as many directions, the target varies along {directions}: "
            "the risk cannot reach 0"
        )
    if target.data == "boolean" and path.leap == 1:
        found = stuck(target)
        if found.verdict != "free":
            floor = f", risk at least {found.floor:.4g}" if found.floor else ""
            notes.append(f"in the mean-field limit from zero overlaps: {found.verdict}{floor}")
    first = reachable.steps[0].leap if reachable.steps else 0
    if training.loss == "square" and share > LARGE_OUTPUT and first > 1:
        notes.append(
            f"the start's output is not small (E f^2 / E h^2 = {share:.2g}) and is unlearned before all else: "
            "escapes can come later, or never if the second layer is trained"
        )
    return notes


def _directions(target: Target, width: int) -> int:
    """Directions along which a Gaussian target varies, looked for only where the width may be below them.

    Boolean data are told apart by a single direction, so that nothing follows there.
    """
    if target.data != "gaussian" or width >= target.P or not target.energy > 0:
        return 0
    if target.P > 10 or target.degree > 8:
        return 0
    from odesim.isotropy import relevant_directions

    return int(np.asarray(relevant_directions(target)).shape[0])
