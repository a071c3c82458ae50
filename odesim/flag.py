"""The flag of subspaces along which isoLeap is found: its steps, its frame, its plateau levels, the target in it."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import numpy as np

from odesim import complexity
from odesim.entries import Floats, Ints, Series
from odesim.targets.series import Target
from odesim.turns import Turn, carried

_VISIBLE = 1e-9


@dataclass(frozen=True)
class IsoLeapStep:
    """Directions that are learned at once, after those before.

    Attributes
    ----------
    leap : int
        k(U): the order at which they enter.
    axes : tuple of int
        Their places in the frame.
    """

    leap: int
    axes: tuple[int, ...]
    frame: Frame = field(repr=False)

    @property
    def directions(self) -> Floats:
        """Orthonormal rows (n_i, P)."""
        return self.frame.rows(self.axes)

    @property
    def label(self) -> str:
        """The directions as text, such as ``0.707*z1 + 0.707*z2, z3``."""
        return ", ".join(map(_text, self.directions))


class Frame:
    """An orthonormal frame of R^P, kept as the rotations that made it from the coordinates.

    Attributes
    ----------
    P : int
    turns : list of (axes, turns, signs)
        In the order they were made.
    """

    def __init__(self, P: int) -> None:
        self.P = P
        self.turns: list[tuple[Ints, list[Turn], Floats]] = []

    def rows(self, axes: tuple[int, ...]) -> Floats:
        """Return some axes as rows (n, P)."""
        out = np.zeros((len(axes), self.P))
        out[np.arange(len(axes)), list(axes)] = 1.0
        for turned_axes, turns, signs in reversed(self.turns):
            out[:, turned_axes] = carried(out[:, turned_axes], turns, signs)
        return out


def _text(direction: Floats) -> str:
    """Return a direction as text."""
    held = np.flatnonzero(np.abs(direction) > _VISIBLE).tolist()
    if len(held) == 1:
        return f"z{held[0] + 1}"
    return " + ".join(f"{direction[i]:.3g}*z{i + 1}" for i in held).replace("+ -", "- ")


@dataclass(frozen=True)
class IsoLeapPath:
    """The flag of subspaces by which isoLeap is found, which is the order in which SGD learns.

    Attributes
    ----------
    steps : tuple of IsoLeapStep
        Empty for a constant.
    plateau_levels : tuple of float
        Risk ½ E Var(h | z_U) before each step and after the last (0).
    warnings : tuple of str
        Decisions that were close: a singular value kept within 1e3 of its tolerance.
    tolerance : float
        The last tolerance on singular values, relative to ‖h‖.
    """

    steps: tuple[IsoLeapStep, ...]
    plateau_levels: tuple[float, ...]
    warnings: tuple[str, ...]
    tolerance: float
    _frame: Frame = field(repr=False)
    _series: Series = field(repr=False)

    @property
    def isoleap(self) -> int:
        """The largest leap of a step, 0 for a constant."""
        return max((step.leap for step in self.steps), default=0)

    @property
    def labels(self) -> tuple[str, ...]:
        """One text a step: its directions."""
        return tuple(step.label for step in self.steps)

    @property
    def axes(self) -> tuple[int, ...]:
        """The frame's axes in the order of the flag, those without relevance last."""
        entered = [axis for step in self.steps for axis in step.axes]
        return (*entered, *sorted(set(range(self._frame.P)) - set(entered)))

    @property
    def rotates(self) -> bool:
        """Whether the flag leaves the coordinates' directions."""
        return bool(self._frame.turns)

    @functools.cached_property
    def basis(self) -> Floats:
        """Orthogonal (P, P) whose rows span the flag: g(z) = h(z @ basis) has Leap(g) = isoLeap(h)."""
        return self._frame.rows(self.axes)

    @functools.cached_property
    def target_in_basis(self) -> Target:
        """The target h(z @ basis), of mean 0, without what lies below the tolerance."""
        names = np.empty(self._frame.P, dtype=np.int64)
        names[list(self.axes)] = np.arange(self._frame.P)
        series = self._series
        if series.coefficients.size:
            floor = self.tolerance * np.linalg.norm(series.coefficients)
            series = series.take(np.abs(series.coefficients) > floor).renamed(names)
        return Target.from_arrays(series.owner, series.coordinate, series.power, series.coefficients, self._frame.P)

    @property
    def leap_in_basis(self) -> int:
        """Leap of the target in the basis, which equals isoLeap."""
        return complexity.leap(self.target_in_basis, tol=0.0)
