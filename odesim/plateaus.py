"""Plateaus: where the risk of a run stays put on the scale of ln(step), and which predicted level that is.

A plateau is a maximal stretch [s, e] of steps on which the slope of the risk L against ln(step) stays within
``slope``·L(0). The slope is that of a least-squares line over a window of a factor ``window`` in steps,
centred geometrically and cut off at the ends of the curve. Between output points L is a straight line in
ln(step), so the answer does not hang on the output grid. Two readings of that definition are choices of ours:

- Between step 0 and the first positive output step, where ln(step) has no end, L is a straight line in the
  step itself. If L has changed by ``drop``·L(0) by then (possible on a coarse linear grid), nothing is known
  of an initial plateau and none is reported.
- The horizon of a run that ended early is its last finite risk.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from odesim import checks
from odesim.trajectory import Trajectory

if TYPE_CHECKING:
    from odesim.complexity import LeapPath

Floats = NDArray[np.float64]
NODES_A_WINDOW = 32
"""Points on which the least-squares line of one window is fitted."""


def _threshold(default: float, text: str, **bounds: Any) -> Any:
    """Declare a field with its help and its bounds."""
    return field(default=default, metadata={"help": text, **bounds})


@dataclass(frozen=True)
class PlateauRule:
    """What counts as a plateau. Thresholds on the risk are shares of its start value L(0).

    Parameters
    ----------
    slope : float
        Largest |dL/d ln(step)| / L(0) on a plateau (> 0).
    window : float
        Factor in steps over which the slope is measured (>= 1.01).
    length : float
        An interior plateau [s, e] needs e >= ``length``·s (>= 1).
    drop : float
        Drop of L / L(0) that an interior plateau needs on either side, a final one before it (> 0).
    match : float
        A plateau matches the nearest predicted level within this share of the gap to the next one on that
        side (in [0, 0.5]).

    Raises
    ------
    InputError
        If a value is not finite or outside its bound.
    """

    slope: float = _threshold(0.02, "largest |dL/d ln(step)| / L(0) on a plateau", low=0.0, strict=True)
    window: float = _threshold(1.5, "factor in steps over which that slope is measured", low=1.01)
    length: float = _threshold(2.0, "an interior plateau ends at least this factor after it starts", low=1.0)
    drop: float = _threshold(0.05, "drop of L / L(0) that bounds a plateau", low=0.0, strict=True)
    match: float = _threshold(0.25, "share of the gap between levels within which one matches", low=0.0)

    def __post_init__(self) -> None:
        for one in fields(self):
            bounds = {key: one.metadata[key] for key in ("low", "strict") if key in one.metadata}
            checks.real(f"plateaus.{one.name}", getattr(self, one.name), **bounds)
        if self.match > 0.5:
            raise checks.InputError(f"plateaus.match={self.match} must be at most 0.5; levels would overlap")


@dataclass(frozen=True)
class Plateau:
    """One plateau of a risk curve.

    Attributes
    ----------
    level : float
        Median of the risk over it, uniformly in ln(step).
    start_step, end_step : int
        Where it begins and ends, in SGD steps.
    start_time, end_time : float
        The same in flow time.
    kind : {"initial", "interior", "final"}
        From step 0; between two drops; up to the horizon after a drop.
    matched : int or None
        Index of the predicted level it sits at; None if no prediction is near.
    """

    level: float
    start_step: int
    end_step: int
    start_time: float
    end_time: float
    kind: str
    matched: int | None = None


def find_plateaus(
    trajectory: Trajectory, path: LeapPath | None = None, *, rule: PlateauRule | None = None
) -> list[Plateau]:
    """Find the plateaus of the risk, of an ensemble those of the pointwise median of its runs.

    Parameters
    ----------
    trajectory : Trajectory
        One run or an ensemble.
    path : LeapPath, optional
        Its ``plateau_levels`` are what plateaus are matched with. One that none matches is real all the
        same, and kept with ``matched`` None. A start network adds its own variance to the risk, so the
        initial plateau may lie above the first level by up to L(0) minus that level.
    rule : PlateauRule, optional
        The thresholds.

    Returns
    -------
    list of Plateau
        In the order of steps.
    """
    rule = rule or PlateauRule()
    curve = _Curve.of(trajectory, rule)
    if curve is None:
        return []
    found = [_plateau(curve, stretch, rule) for stretch in _stretches(curve, rule)]
    levels = () if path is None else path.plateau_levels
    return [_matched(one, levels, curve.start, rule) for one in found if one is not None]


@dataclass(frozen=True)
class _Curve:
    """The risk on a uniform grid of x = ln(step), with what is needed to speak of steps and times again."""

    x: Floats
    L: Floats
    start: float  # L(0)
    from_zero: bool  # whether the first x stands for everything since step 0
    steps: NDArray[np.int64]
    time: Floats

    @classmethod
    def of(cls, trajectory: Trajectory, rule: PlateauRule) -> _Curve | None:
        """Cut the curve at its first value that is not finite; None if nothing of it is left after step 0."""
        risk = trajectory.median("risk")
        ended = np.flatnonzero(~np.isfinite(risk))
        stop = ended[0] if ended.size else risk.size
        steps, risk = trajectory.steps[:stop], risk[:stop]
        if stop < 2 or risk[0] <= 0:
            return None
        from_zero = bool(abs(risk[1] - risk[0]) < rule.drop * risk[0])
        if stop == 2 and not from_zero:
            return None
        knots = np.log(steps[1:])
        # This far down, a line to L(0) in the step is flat in ln(step) whatever its slope.
        first = knots[0] - from_zero * np.log(max(rule.window, 2 * rule.drop / rule.slope))
        count = int(np.ceil((knots[-1] - first) / np.log(rule.window) * NODES_A_WINDOW)) + 1
        x = np.linspace(first, knots[-1], count)
        L = np.interp(x, knots, risk[1:])
        early = x < knots[0]
        L[early] = np.interp(np.exp(x[early]), steps[:2], risk[:2])
        return cls(x, L, float(risk[0]), from_zero, steps, trajectory.time[:stop])

    def slopes(self, rule: PlateauRule) -> Floats:
        """Least-squares slope dL/dx about each point, over a window cut off at the ends."""
        n = self.x.size
        half = NODES_A_WINDOW // 2
        low, high = np.maximum(np.arange(n) - half, 0), np.minimum(np.arange(n) + half, n - 1)
        sum_L = np.concatenate([[0.0], np.cumsum(self.L)])
        sum_iL = np.concatenate([[0.0], np.cumsum(np.arange(n) * self.L)])
        count = high - low + 1
        covariance = sum_iL[high + 1] - sum_iL[low] - (low + high) / 2 * (sum_L[high + 1] - sum_L[low])
        # The indices low..high have the sum of squared deviations (count^3 - count) / 12.
        return covariance / ((count**3 - count) / 12) / (self.x[1] - self.x[0])


def _stretches(curve: _Curve, rule: PlateauRule) -> list[tuple[int, int]]:
    """Maximal flat stretches as (first, last) index."""
    flat = np.abs(curve.slopes(rule)) <= rule.slope * curve.start
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat, [False]]).astype(np.int8)))
    return [(int(first), int(after) - 1) for first, after in edges.reshape(-1, 2)]


def _plateau(curve: _Curve, stretch: tuple[int, int], rule: PlateauRule) -> Plateau | None:
    """Turn a stretch into a plateau if it is long enough and has its drops."""
    first, last = stretch
    level = float(np.median(curve.L[first : last + 1]))
    drop, end = rule.drop * curve.start, round(float(np.exp(curve.x[last])))
    falls_before = max(curve.start, curve.L[: first + 1].max()) - level >= drop
    falls_after = level - curve.L[last:].min() >= drop
    long = curve.x[last] - curve.x[first] >= np.log(rule.length) - 1e-12
    start = round(float(np.exp(curve.x[first])))
    if first == 0 and curve.from_zero and end > 0:
        kind, start = "initial", 0
    elif last == curve.x.size - 1 and falls_before:
        kind = "final"
    elif long and falls_before and falls_after and end > 0:
        kind = "interior"
    else:
        return None
    start_time, end_time = np.interp([start, end], curve.steps, curve.time)
    return Plateau(level, start, end, float(start_time), float(end_time), kind)


def _matched(plateau: Plateau, levels: tuple[float, ...], start: float, rule: PlateauRule) -> Plateau:
    """Give the plateau the index of the nearest predicted level, if that is near enough."""
    if not levels:
        return plateau
    index = int(np.argmin(np.abs(np.asarray(levels) - plateau.level)))
    allowed = rule.match * _gap(levels, index, above=plateau.level > levels[index], start=start)
    if plateau.kind == "initial" and index == 0 and plateau.level > levels[0]:
        # What is flat is known to within the slope bound.
        allowed = max(allowed, start - levels[0] + rule.slope * start)
    if abs(plateau.level - levels[index]) > allowed:
        return plateau
    values = {one.name: getattr(plateau, one.name) for one in fields(plateau)}
    return Plateau(**values | {"matched": index})


def _gap(levels: tuple[float, ...], index: int, *, above: bool, start: float) -> float:
    """Distance to the next predicted level on that side, at an end of the list to the only neighbour."""
    neighbour = index - 1 if above else index + 1
    if not 0 <= neighbour < len(levels):
        neighbour = index + 1 if above else index - 1
    if not 0 <= neighbour < len(levels):
        return start
    return abs(levels[neighbour] - levels[index])
