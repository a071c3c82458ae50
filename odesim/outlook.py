"""Resolvability: what can be expected of a run before it, group by group, as a value and as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from odesim.resolve import BlockedTerm, blocked_messages

MOST_LINES = 6
"""Groups shown as text."""

ADVICE = {"ode": "", "medians": " (compare medians)", "chain": " (escapes are random: compare medians)"}
"""What to lay beside SGD, as it is printed."""


@dataclass(frozen=True)
class GroupOutlook:
    """What to expect of one group of the leap path.

    Attributes
    ----------
    label : str
        Its terms.
    leap : int
        Its leap.
    law : str
        How its flow time grows with d: ``1``, ``log d`` or ``d^((k-2)/2)``.
    neurons : float
        Share of the neurons that escape in the correlation flow.
    at_once : float
        Share whose signs let them grow from the first moment, in this group and every one before.
    first_time, time : float or None
        Flow time at which the first of them, and their median, has overlaps of ½ with it; None: never.
    first_step, step : float or None
        The same in SGD steps.
    status : str
        ``leading order`` for the first group of all, ``order of magnitude`` for the others.
    noise_gauge : float or None
        ν expected at ``time``.
    trust : str
        What to lay beside SGD: ``ode``, ``medians`` or ``chain``.
    """

    label: str
    leap: int
    law: str
    neurons: float
    at_once: float
    first_time: float | None
    time: float | None
    first_step: float | None
    step: float | None
    status: str
    noise_gauge: float | None
    trust: str


@dataclass(frozen=True)
class Resolvability:
    """What `resolvability` found.

    Attributes
    ----------
    blocked : tuple of BlockedTerm
        Terms that a vanishing moment keeps out for ever.
    terms : tuple of (label, bool)
        Every term, the first hundred, and whether the network can represent it.
    floor : float
        Risk that the blocked terms alone leave: ½ Σ ĥ_S².
    leap, reachable_leap : int or None
        Leap of the target, and of what is left without the blocked terms; None for a teacher network.
    groups : tuple of GroupOutlook
        Along the leap path of what is left; empty where there is none, or it is too large to follow.
    output_share : float
        E[f²]/E[h²] at the start.
    eta, eta_d : float or None
        Largest stable step size, and times d; None where no step size is unstable.
    notes : tuple of str
        What else is known: width, traps, output.
    """

    blocked: tuple[BlockedTerm, ...]
    terms: tuple[tuple[str, bool], ...]
    floor: float
    leap: int | None
    reachable_leap: int | None
    groups: tuple[GroupOutlook, ...]
    output_share: float
    eta: float | None
    eta_d: float | None
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "terms": [{"term": label, "learnable": free} for label, free in self.terms],
            "blocked": blocked_messages(self.blocked),
            "floor": self.floor,
            "leap": self.leap,
            "reachable_leap": self.reachable_leap,
            "groups": [dict(vars(one)) for one in self.groups],
            "output_share": self.output_share,
            "stable_step": {"eta": self.eta, "eta_d": self.eta_d},
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """Return the findings as a few lines for a terminal."""
        lines = [*self._group_lines(), *self.notes]
        if self.blocked:
            terms = ", ".join(one.label for one in self.blocked[:3]) + (", ..." if len(self.blocked) > 3 else "")
            lines.append(f"never learned: {terms}; the risk stays above {self.floor:.4g}")
        if self.eta is not None:
            lines.append(f"largest stable step, on the safe side: eta {self.eta:.2g}, eta*d {self.eta_d:.2g}")
        return "\n".join(lines)

    def _group_lines(self) -> list[str]:
        if not self.groups:
            return []
        head = (
            "expected escapes from the network's start (each neuron alone, leading order; later groups are orders of "
            "magnitude):"
        )
        room = max(len(_short(one.label)) for one in self.groups[:MOST_LINES])
        lines = [head, *(_line(one, room) for one in self.groups[:MOST_LINES])]
        rest = len(self.groups) - MOST_LINES
        return [*lines, f"  and {rest} groups more"] if rest > 0 else lines


def _line(one: GroupOutlook, room: int) -> str:
    """One group as a line."""
    label = f"  {_short(one.label):<{room}}  leap {one.leap}, "
    if one.time is None or one.step is None or one.first_time is None:
        return label + "no neuron grows from these signs"
    share = f"{100 * one.neurons:.0f} % of the neurons"
    if one.at_once < one.neurons:
        share += f" ({100 * one.at_once:.0f} % at once)"
    when = f"t ~ {one.time:.3g} (first {one.first_time:.3g}), O({one.law}), step {_count(one.step)}"
    noise = (
        "" if one.noise_gauge is None or one.leap == 1 else f"; noise gauge {one.noise_gauge:.2g}{ADVICE[one.trust]}"
    )
    return f"{label}{share}: {when}{noise}"


def _short(label: str, most: int = 2, room: int = 40) -> str:
    """Keep the first terms of a long sum, and the beginning of a long term."""
    terms = label.split(" + ")
    text = label if len(terms) <= most else " + ".join(terms[:most]) + f" + {len(terms) - most} more"
    return text if len(text) <= room else text[: room - 3] + "..."


def _count(steps: float) -> str:
    return f"{steps:.3g}" if steps >= 1e6 else f"{steps:.0f}"
