"""Comparison: one flow against an ensemble of SGD runs, by distance, plateaus and escape times."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from odesim.checks import InputError
from odesim.passages import censored_quantile, first_passage
from odesim.plateaus import Plateau, PlateauRule, find_plateaus
from odesim.trajectory import Trajectory

if TYPE_CHECKING:
    from odesim.complexity import LeapPath
    from odesim.targets.series import Target

Floats = NDArray[np.float64]
RESOLVED = 1e-3
"""Share of a quantity's range above which a standard error is used as a unit."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """What `compare` found.

    Attributes
    ----------
    ode, sgd : Trajectory
        What was compared.
    path : LeapPath
        The predictions.
    plateaus : dict
        ``{"ode": [Plateau, ...], "sgd": [Plateau, ...]}``, SGD's from the pointwise median of its runs.
    escape_steps : list of dict
        One a predicted escape: ``level`` that is left, ``terms`` learned by it, ``ode`` (steps, or None if
        it never happens) and ``sgd`` = ``{"median", "q25", "q75", "censored"}`` over the runs, where a run
        that never escapes counts as later than all that do; a quantile that falls on it is None.
    floor : float
        The ODE's last finite risk.
    noise_gauge : float or None
        Largest ν_j up to the ODE's last escape (see `noise_gauges`); None if the flow did not record it.
    noise_gauge_by_escape : list
        The same up to each escape.
    distance : dict
        ``sup``, ``mean``, ``sup_se``, ``mean_se`` of the risk, and ``overlaps`` with the same four
        (see `distance`).
    """

    ode: Trajectory
    sgd: Trajectory
    path: LeapPath
    plateaus: dict[str, list[Plateau]]
    escape_steps: list[dict[str, Any]]
    floor: float
    noise_gauge: float | None
    noise_gauge_by_escape: list[float | None]
    distance: dict[str, Any]

    @property
    def noise_sentence(self) -> str:
        """One sentence where SGD's noise, and not the ODE, decides when runs escape; else empty."""
        if self.noise_gauge is None or self.noise_gauge <= 1:
            return ""
        return (
            f"Noise gauge {self.noise_gauge:.2g} is above 1: by the last escape, or the end, SGD's noise has given "
            "the overlaps more than they started with, so escape times differ from run to run and from the ODE; "
            "compare medians, or take a smaller eta."
        )

    def summary(self) -> dict[str, Any]:
        """Return the findings as JSON values (None for what is unknown or never happens)."""
        return {
            "plateaus": {who: [asdict(one) for one in found] for who, found in self.plateaus.items()},
            "escape_steps": self.escape_steps,
            "floor": self.floor if np.isfinite(self.floor) else None,
            "noise_gauge": self.noise_gauge,
            "noise_gauge_by_escape": self.noise_gauge_by_escape,
            "distance": self.distance,
        }

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """Return the findings as lines for a terminal."""
        levels = " -> ".join(f"{level:.4g}" for level in self.path.plateau_levels)
        head = f"predicted levels of the risk: {levels}"
        lines = [head, "", *_plateau_lines(self), "", *_escape_lines(self)]
        gaps = [self.distance, self.distance["overlaps"]]
        risk, overlaps = (f"sup {_short(gap['sup'])}, mean {_short(gap['mean'])}" for gap in gaps)
        lines += ["", f"|ODE - mean of SGD|: risk {risk}; overlaps {overlaps}"]
        lines += [f"risk of the ODE at the end: {self.floor:.4g}"]
        return "\n".join([*lines, self.noise_sentence] if self.noise_sentence else lines)


def compare(
    ode: Trajectory,
    sgd: Trajectory,
    path: LeapPath | None = None,
    *,
    target: Target | None = None,
    rule: PlateauRule | None = None,
) -> Comparison:
    """Compare a flow with SGD from the same start.

    Parameters
    ----------
    ode : Trajectory
        A single run.
    sgd : Trajectory
        An ensemble; a single run is an ensemble of one.
    path : LeapPath, optional
        The predictions; by default those of ``target``.
    target : Target, optional
        By default the one that ``ode.settings["target"]`` names.
    rule : PlateauRule, optional
        What counts as a plateau.

    Raises
    ------
    InputError
        If ``ode`` is an ensemble, the two share no steps or differ in width or coordinates, or no target is
        known.
    """
    if ode.ensemble:
        raise InputError(f"ode holds {ode.seeds} runs; give a single one, such as ode[0]")
    if path is None:
        from odesim.complexity import leap_path

        path = leap_path(target if target is not None else _target_of(ode))
    passages = [_passages(ode, sgd, middle) for middle in _midpoints(path.plateau_levels)]
    gauges = noise_gauges(ode, [by_ode for by_ode, _ in passages])
    return Comparison(
        ode=ode,
        sgd=sgd,
        path=path,
        plateaus={"ode": find_plateaus(ode, path, rule=rule), "sgd": find_plateaus(sgd, path, rule=rule)},
        escape_steps=[_escape(path, i, *both) for i, both in enumerate(passages)],
        floor=float(ode.risk[np.isfinite(ode.risk)][-1]) if np.isfinite(ode.risk).any() else float("nan"),
        noise_gauge=gauges[-1],
        noise_gauge_by_escape=gauges[: len(passages)],
        distance=distance(ode, sgd),
    )


def noise_gauges(ode: Trajectory, until: list[float]) -> list[float | None]:
    """Largest noise gauge over the neurons up to each of these steps, and up to the last of them.

    ν_j = ∫ (eta d) Γ_jj dt, of the integrator where the flow has it and else by the trapezoid rule on the output
    grid, is what SGD's noise adds to a squared overlap, in units of its start size 1/d: where ν is not far below 1,
    the escape from a saddle of leap 2 or more is random. An escape that never happens counts up to the end.

    Returns
    -------
    list
        One for each entry of ``until`` and one more for them all; None if the flow recorded no noise rate.
    """
    ends = [*until, max(until, default=np.inf)]
    if ode.noise_rate is None:
        return [None] * len(ends)
    known = np.isfinite(ode.noise_rate).all(axis=1)
    time, rate = ode.time[known], ode.noise_rate[known]
    if time.size == 0:
        return [None] * len(ends)
    if ode.noise_gauge is not None:
        nu = ode.noise_gauge[known]
    else:
        pieces = np.diff(time)[:, None] * (rate[1:] + rate[:-1]) / 2
        nu = np.concatenate([np.zeros((1, rate.shape[1])), np.cumsum(pieces, axis=0)])
    times = np.interp(ends, ode.steps, ode.time)
    return [float(max(np.interp(t, time, one) for one in nu.T)) for t in times]


def distance(ode: Trajectory, sgd: Trajectory) -> dict[str, Any]:
    """Distance between the ODE and SGD's mean, of the risk and of the overlaps m.

    ``sup`` and ``mean`` run over the output points that both share (and over neurons and coordinates for the
    overlaps), each point counting the same; ``sup_se`` and ``mean_se`` are in units of SGD's own standard
    error, over those points where it exceeds 1e-3 of the ODE's range, None where there are none.

    Raises
    ------
    InputError
        If no steps are shared or the shapes differ.
    """
    _, i, j = np.intersect1d(ode.steps, sgd.steps, assume_unique=True, return_indices=True)
    if i.size < 2:
        raise InputError("ode and sgd share no output steps but 0; run both with the same steps and points")
    if ode.m.shape[-2:] != sgd.m.shape[-2:]:
        shapes = f"{ode.m.shape[-2:]} and {sgd.m.shape[-2:]}"
        raise InputError(f"ode and sgd have overlaps of shape {shapes}; compare runs of one network")
    risk, overlaps = (_distance(getattr(ode, x)[i], sgd.mean(x)[j], sgd.stderr(x)[j]) for x in ("risk", "m"))
    return {**risk, "overlaps": overlaps}


def _distance(ode: Floats, mean: Floats, stderr: Floats) -> dict[str, float | None]:
    """Sup and mean of |ode − mean|, absolute and in standard errors, ignoring what has ended."""
    gap = np.abs(ode - mean)
    alive = np.isfinite(gap)
    if not alive.any():
        return {"sup": None, "mean": None, "sup_se": None, "mean_se": None}
    known = alive & (np.nan_to_num(stderr) > RESOLVED * np.ptp(ode[np.isfinite(ode)]))
    units = gap[known] / stderr[known]
    return {
        "sup": float(gap[alive].max()),
        "mean": float(gap[alive].mean()),
        "sup_se": float(units.max()) if units.size else None,
        "mean_se": float(units.mean()) if units.size else None,
    }


def _midpoints(levels: tuple[float, ...]) -> list[float]:
    return [(left + right) / 2 for left, right in itertools.pairwise(levels)]


def _passages(ode: Trajectory, sgd: Trajectory, level: float) -> tuple[float, Floats]:
    """First passage of the ODE and of each SGD run."""
    return float(first_passage(ode.steps, ode.risk, level)), np.atleast_1d(first_passage(sgd.steps, sgd.risk, level))


def _escape(path: LeapPath, i: int, by_ode: float, by_sgd: Floats) -> dict[str, Any]:
    """One entry of ``escape_steps``."""
    shares = {"median": 0.5, "q25": 0.25, "q75": 0.75}
    quantiles = {name: censored_quantile(by_sgd, q) for name, q in shares.items()}
    return {
        "level": float(path.plateau_levels[i]),
        "terms": path.labels[i].split(" + "),
        "ode": by_ode if np.isfinite(by_ode) else None,
        "sgd": {**quantiles, "censored": int(np.isinf(by_sgd).sum())},
    }


def _target_of(ode: Trajectory) -> Target:
    """Parse the target that the settings of a run name."""
    from odesim.targets.series import Target

    named = ode.settings.get("target")
    table = named if isinstance(named, Mapping) else {"expression": named, "data": ode.settings.get("data")}
    expression = table.get("expression")
    if not isinstance(expression, str):
        raise InputError("ode.settings names no target; give compare(ode, sgd, path) or target=")
    return Target.parse(expression, data=table.get("data") or "gaussian")


def _plateau_lines(c: Comparison) -> list[str]:
    """Table of the plateaus of both."""
    lines = [f"{'plateaus':<15} {'level':>7}  {'steps':<23} {'flow time':<17} predicted level"]
    for who, name in (("ode", "ODE"), ("sgd", "SGD median")):
        for one in c.plateaus[who]:
            near = "none" if one.matched is None else f"{c.path.plateau_levels[one.matched]:.4g}"
            steps = f"{one.start_step} .. {one.end_step}"
            times = f"{one.start_time:.3g} .. {one.end_time:.3g}"
            lines.append(f"{name:<15} {one.level:7.4f}  {steps:<23} {times:<17} {near:<8} ({one.kind})")
        if not c.plateaus[who]:
            lines.append(f"{name:<15} none")
    return lines


def _escape_lines(c: Comparison) -> list[str]:
    """Table of the escapes, ODE and SGD side by side."""
    names = [" + ".join(one["terms"]) for one in c.escape_steps]
    room = max([15, *map(len, names)])
    titles = f"{'ODE step':>10}  {'SGD median':>10}  {'quartiles':<20} never"
    lines = [f"{'escape by':<{room}} {'midpoint':>8}  {titles}"]
    middles = _midpoints(c.path.plateau_levels)
    for name, one, middle in zip(names, c.escape_steps, middles, strict=True):
        sgd = one["sgd"]
        quartiles = f"{_whole(sgd['q25'])} .. {_whole(sgd['q75'])}"
        times = f"{_whole(one['ode']):>10}  {_whole(sgd['median']):>10}  {quartiles:<20}"
        lines.append(f"{name:<{room}} {middle:8.4g}  {times} {sgd['censored']} of {c.sgd.seeds}")
    return lines


def _whole(step: float | None) -> str:
    return "never" if step is None else f"{step:.0f}"


def _short(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}"
