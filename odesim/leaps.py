"""Every leap that is known of a target, side by side: Leap, isoLeap, generative leap, SQ-leap; groups by name."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from odesim import laws
from odesim.checks import InputError
from odesim.complexity import LeapPath, leap_path
from odesim.generative import GenerativeLeap, generative_leap, sq_leap
from odesim.isotropy import IsoLeapPath, isoleap_path
from odesim.targets.series import Target

QUICK = 40_000
"""Products of terms that the powers of a target may cost here: a tenth of a second."""


@dataclass(frozen=True)
class Leaps:
    """What is known of a target's leaps; what is beyond a bound is None, with the reason in ``warnings``."""

    target: Target
    path: LeapPath
    isotropic: IsoLeapPath | None
    generative: GenerativeLeap | None
    sq: int | None
    warnings: tuple[str, ...]

    @property
    def effective(self) -> int:
        """The leap that governs SGD: isoLeap on Gaussian data where it is known, else the leap."""
        return self.path.leap if self.isotropic is None else self.isotropic.isoleap

    @property
    def degree(self) -> int:
        """Largest degree of a term that counts."""
        return max((laws.degree(key) for step in self.path.steps for key in step.keys), default=0)

    @cached_property
    def rotated(self) -> bool:
        """Whether the isotropic recursion takes other steps than the path along the axes."""
        if self.isotropic is None:
            return False
        mine = [(step.leap, len(step.coordinates)) for step in self.path.steps]
        return mine != [(step.leap, len(step.axes)) for step in self.isotropic.steps]

    @cached_property
    def groups(self) -> list[tuple[int, str]]:
        """Leap and name of each group that SGD enters, in order."""
        if self.isotropic is None or not self.rotated:
            return [(step.leap, coordinates_text(i + 1 for i in step.coordinates)) for step in self.path.steps]
        return [(step.leap, _joined(map(direction_text, step.directions))) for step in self.isotropic.steps]

    @cached_property
    def covered(self) -> bool:
        """Whether the theorems cover the target: Gaussian, nested products of He_k, one a step, increasing leaps."""
        steps = self.path.steps
        if self.target.data != "gaussian" or self.isotropic is None or self.rotated:
            return False
        if any(len(step.keys) > 1 for step in steps):
            return False
        keys = [set(step.keys[0]) for step in steps]
        nested = all(first < second for first, second in itertools.pairwise(keys))
        return nested and self.increasing

    @cached_property
    def increasing(self) -> bool:
        """Whether every group's leap is above that of the one before."""
        return all(first[0] < second[0] for first, second in itertools.pairwise(self.groups))


def leaps(target: Target, powers: int = 4) -> Leaps:
    """Compute every leap that is within its bounds; ``powers`` goes down where the expansion would explode."""
    warnings: list[str] = []
    isotropic: IsoLeapPath | None = None
    generative: GenerativeLeap | None = None
    sq: int | None = None
    if target.data == "gaussian":
        isotropic = _attempt(lambda: isoleap_path(target), "isoLeap", warnings)
        generative = _generative(target, powers, warnings) if isotropic is not None else None
        warnings.extend(getattr(isotropic, "warnings", ()))
    else:
        sq = _attempt(lambda: sq_leap(target), "SQ-leap", warnings)
    return Leaps(target, leap_path(target), isotropic, generative, sq, tuple(warnings))


Result = TypeVar("Result")


def _attempt(compute: Callable[[], Result], name: str, warnings: list[str]) -> Result | None:
    """Return the result, or None with the reason noted."""
    try:
        return compute()
    except InputError as error:
        warnings.append(f"{name} not computed: {error}")
        return None


def _generative(target: Target, powers: int, warnings: list[str]) -> GenerativeLeap | None:
    """Bound with as many powers as are affordable."""
    for p in range(powers, 0, -1):
        try:
            return generative_leap(target, p, products=QUICK)
        except InputError as error:
            reason = str(error)
    warnings.append(f"generative leap not computed: {reason}")
    return None


def direction_text(direction: Iterable[float]) -> str:
    """Text of a unit vector, ``z2`` for an axis, else such as ``0.707*z1 - 0.707*z2``."""
    entries = [(i, float(x)) for i, x in enumerate(direction) if abs(x) > 5e-7]
    if len(entries) == 1:
        return f"z{entries[0][0] + 1}"
    if entries and entries[0][1] < 0:
        entries = [(i, -x) for i, x in entries]
    text = " + ".join(f"{x:.3g}*z{i + 1}" for i, x in entries)
    return text.replace("+ -", "- ")


def coordinates_text(coordinates: Iterable[int], limit: int = 5) -> str:
    """Coordinates counted from 1 as text, three or more in a row as a range: ``z1, z3..z7``."""
    runs: list[list[int]] = []
    for i in coordinates:
        if runs and i == runs[-1][-1] + 1:
            runs[-1].append(i)
        else:
            runs.append([i])
    parts = [f"z{run[0]}..z{run[-1]}" if len(run) > 2 else ", ".join(f"z{i}" for i in run) for run in runs]
    return _joined(parts, limit)


def _joined(names: Iterable[str], limit: int = 5) -> str:
    """Names joined by commas, those beyond the limit counted."""
    words = list(names)
    if len(words) > limit:
        words = [*words[: limit - 1], f"... {len(words) - limit + 1} more"]
    return ", ".join(words)
