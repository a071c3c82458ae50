"""Findings: what the risk of one run, or one ensemble, did: plateaus, escapes, floor, noise."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from odesim.gauges import noise_gauges
from odesim.passages import censored_quantile, first_passage
from odesim.plateaus import Plateau, PlateauRule, find_plateaus
from odesim.trajectory import Trajectory

if TYPE_CHECKING:
    from odesim.complexity import LeapPath


@dataclass(frozen=True, eq=False)
class Findings:
    """What `examine` found.

    Attributes
    ----------
    trajectory : Trajectory
        What was examined.
    path : LeapPath or None
        The predictions; None where the target has none.
    plateaus : list of Plateau
        Of an ensemble, those of the pointwise median of its runs.
    escape_steps : list of dict
        One a predicted escape: ``level`` that is left, ``terms`` learned by it, ``step`` of passing the midpoint
        to the next level (None: never; of an ensemble the median) and, for an ensemble, ``q25``, ``q75`` and
        ``censored``, the number of runs that never do.
    floor : float or None
        Last finite risk, of an ensemble its median.
    floor_se : float or None
        Standard error of a sampled risk at its last row, of an ensemble the median over its runs; None where the
        risk is computed.
    noise_gauge : float or None
        Largest ν_j up to the last escape, of flows that record it (see `gauges.noise_gauges`); of an ensemble the
        median of its runs.
    noise_gauge_by_escape : list
        The same up to each escape.
    """

    trajectory: Trajectory
    path: LeapPath | None
    plateaus: list[Plateau]
    escape_steps: list[dict[str, Any]]
    floor: float | None
    floor_se: float | None
    noise_gauge: float | None
    noise_gauge_by_escape: list[float | None]

    def summary(self) -> dict[str, Any]:
        """Return the findings as JSON values (None for what is unknown or never happens)."""
        return {
            "plateaus": [asdict(one) for one in self.plateaus],
            "escape_steps": self.escape_steps,
            "floor": self.floor,
            "floor_se": self.floor_se,
            "noise_gauge": self.noise_gauge,
            "noise_gauge_by_escape": self.noise_gauge_by_escape,
        }

    def text(self) -> str:
        """Return the findings as lines for a terminal."""
        lines = [*self._plateau_lines(), *self._escape_lines()]
        if self.noise_gauge is not None:
            lines.append(f"noise gauge up to the last escape, or the end: {self.noise_gauge:.2g}")
        error = "" if self.floor_se is None else f" (on test inputs, standard error {self.floor_se:.2g})"
        lines.append("risk at the end: " + ("unknown" if self.floor is None else f"{self.floor:.4g}{error}"))
        return "\n".join(lines)

    def _plateau_lines(self) -> list[str]:
        lines = [f"{'plateaus':<9} {'level':>7}  {'steps':<23} {'flow time':<17} predicted level"]
        levels = () if self.path is None else self.path.plateau_levels
        for one in self.plateaus:
            near = "none" if one.matched is None else f"{levels[one.matched]:.4g}"
            steps, times = f"{one.start_step} .. {one.end_step}", f"{one.start_time:.3g} .. {one.end_time:.3g}"
            lines.append(f"{one.kind:<9} {one.level:7.4f}  {steps:<23} {times:<17} {near}")
        return lines if self.plateaus else ["plateaus: none"]

    def _escape_lines(self) -> list[str]:
        lines = []
        for one in self.escape_steps:
            when = "never" if one["step"] is None else f"at step {one['step']:.0f}"
            if "censored" in one:
                when += f" (median; never in {one['censored']} of {self.trajectory.seeds} runs)"
            lines.append(f"escape from {one['level']:.4g} by {' + '.join(one['terms'])}: {when}")
        return lines


def examine(trajectory: Trajectory, path: LeapPath | None = None, *, rule: PlateauRule | None = None) -> Findings:
    """Say what the risk of one run, or one ensemble, did.

    Parameters
    ----------
    trajectory : Trajectory
    path : LeapPath, optional
        The predictions; without them no escapes are looked for, as for a teacher network.
    rule : PlateauRule, optional
        What counts as a plateau.
    """
    middles = [] if path is None else [(left + right) / 2 for left, right in pairwise(path.plateau_levels)]
    passages = [np.atleast_1d(first_passage(trajectory.steps, trajectory.risk, middle)) for middle in middles]
    gauges = _gauges(trajectory, passages)
    return Findings(
        trajectory=trajectory,
        path=path,
        plateaus=find_plateaus(trajectory, path, rule=rule),
        escape_steps=[
            {"level": float(path.plateau_levels[i]), "terms": path.labels[i].split(" + "), **_when(one, trajectory)}
            for i, one in enumerate(passages)
            if path is not None
        ],
        floor=_last(trajectory, "risk"),
        floor_se=None if trajectory.risk_se is None else _last(trajectory, "risk_se"),
        noise_gauge=gauges[-1],
        noise_gauge_by_escape=gauges[:-1],
    )


def _last(trajectory: Trajectory, name: str) -> float | None:
    """Last finite value of a field, of an ensemble of its median."""
    values = trajectory.median(name)
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if finite.size else None


def _gauges(trajectory: Trajectory, passages: list[Any]) -> list[float | None]:
    """Noise gauge up to each escape, and up to the last; of an ensemble medians."""
    each = [noise_gauges(trajectory[i], [float(one[i]) for one in passages]) for i in range(trajectory.seeds)]
    return [None if None in column else float(np.median(column)) for column in zip(*each, strict=True)]


def _when(passages: Any, trajectory: Trajectory) -> dict[str, Any]:
    """First passage of a run, or its quantiles over an ensemble, where never is later than all."""
    if not trajectory.ensemble:
        return {"step": float(passages[0]) if np.isfinite(passages[0]) else None}
    shares = {"step": 0.5, "q25": 0.25, "q75": 0.75}
    quantiles = {name: censored_quantile(passages, q) for name, q in shares.items()}
    return {**quantiles, "censored": int(np.isinf(passages).sum())}
