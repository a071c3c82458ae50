"""Comparison: one flow against SGD runs, and the exact chain, by distance, plateaus and escape times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from odesim.checks import InputError
from odesim.distances import distance
from odesim.gauges import noise_gauges
from odesim.midpoints import escape, midpoints, passages, ratios
from odesim.plateaus import Plateau, PlateauRule, find_plateaus
from odesim.trajectory import Trajectory

if TYPE_CHECKING:
    from odesim.complexity import LeapPath
    from odesim.targets.series import Target

NAMES = {"ode": "ODE", "sgd": "SGD median", "chain": "chain's median"}


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
        ``{"ode": [Plateau, ...], "sgd": [Plateau, ...]}``, SGD's from the pointwise median of its runs; with a chain
        also ``"chain"``, likewise.
    escape_steps : list of dict
        One a predicted escape: ``level`` that is left, ``terms`` learned by it, ``ode`` (steps, or None if
        it never happens) and ``sgd`` = ``{"median", "q25", "q75", "censored"}`` over the runs, where a run
        that never escapes counts as later than all that do; a quantile that falls on it is None. With a chain
        also ``chain``, as ``sgd``.
    floor : float
        The ODE's last finite risk.
    noise_gauge : float or None
        Largest ν_j up to the ODE's last escape (see `noise_gauges`); None if the flow did not record it.
    noise_gauge_by_escape : list
        The same up to each escape.
    distance : dict
        ``sup``, ``mean``, ``sup_se``, ``mean_se`` of the risk, and ``overlaps`` with the same four
        (see `distances.distance`).
    chain : Trajectory or None
        The exact chain's runs.
    chain_distance : dict or None
        ``{"ode": {...}, "sgd": {...}}``: the distance of the ODE, and of SGD's mean, to the chain's mean, each as
        ``distance``, in standard errors of the difference.
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
    chain: Trajectory | None = None
    chain_distance: dict[str, Any] | None = None

    @property
    def ratios(self) -> list[dict[str, Any]]:
        """How much later, or sooner, than the ODE the runs escape, one entry a predicted escape.

        Besides ``level`` and ``terms`` of that escape: ``sgd_over_ode``, SGD's median escape step over the ODE's, and
        with a chain ``chain_over_ode`` and ``sgd_over_chain``, of the medians of both. None where one of the two never
        escapes, and where the step to divide by is 0, the start lying beyond.
        """
        return [ratios(one) for one in self.escape_steps]

    @property
    def noise_sentence(self) -> str:
        """One sentence where SGD's noise, and not the ODE, decides when runs escape; else empty."""
        if self.noise_gauge is None or self.noise_gauge <= 1:
            return ""
        return (
            f"Noise gauge {self.noise_gauge:.2g} is above 1: by the last escape, or the end, SGD's noise has given "
            "the overlaps more than they started with, so the ODE is not expected to give the mean curve, and escape "
            f"times differ from run to run and from the ODE; {self._instead}."
        )

    @property
    def _instead(self) -> str:
        """What to look at where the ODE does not give the mean curve: the chain's spread, if there is a chain."""
        gauges = zip(self.escape_steps, self.noise_gauge_by_escape, strict=True)
        noisy = [one for one, gauge in gauges if gauge is not None and gauge > 1]
        if self.chain is None or not noisy:
            return "compare medians, or take a smaller eta"
        by, terms = noisy[-1]["chain"], " + ".join(noisy[-1]["terms"])
        return (
            f"the chain's runs learn {terms} at step {_whole(by['median'])} (quartiles {_quartiles(by)}, never in "
            f"{by['censored']} of {self.chain.seeds})"
        )

    def summary(self) -> dict[str, Any]:
        """Return the findings as JSON values (None for what is unknown or never happens)."""
        found = {
            "plateaus": {who: [asdict(one) for one in flats] for who, flats in self.plateaus.items()},
            "escape_steps": self.escape_steps,
            "ratios": self.ratios,
            "floor": self.floor if np.isfinite(self.floor) else None,
            "noise_gauge": self.noise_gauge,
            "noise_gauge_by_escape": self.noise_gauge_by_escape,
            "distance": self.distance,
        }
        return found if self.chain is None else found | {"chain_distance": self.chain_distance}

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """Return the findings as lines for a terminal."""
        levels = " -> ".join(f"{level:.4g}" for level in self.path.plateau_levels)
        head = f"predicted levels of the risk: {levels}"
        lines = [head, "", *_plateau_lines(self), "", *_escape_lines(self)]
        lines += ["", f"|ODE - mean of SGD|: {_gap_text(self.distance)}"]
        if self.chain_distance is not None:
            lines += [f"|ODE - mean of the chain|: {_gap_text(self.chain_distance['ode'])}"]
            lines += [f"|mean of SGD - mean of the chain|: {_gap_text(self.chain_distance['sgd'], errors=True)}"]
        lines += [f"risk of the ODE at the end: {self.floor:.4g}"]
        return "\n".join([*lines, self.noise_sentence] if self.noise_sentence else lines)


def compare(
    ode: Trajectory,
    sgd: Trajectory,
    chain: Trajectory | None = None,
    *,
    path: LeapPath | None = None,
    target: Target | None = None,
    rule: PlateauRule | None = None,
) -> Comparison:
    """Compare a flow with SGD, and with the exact chain, from the same start.

    Parameters
    ----------
    ode : Trajectory
        A single run.
    sgd : Trajectory
        An ensemble; a single run is an ensemble of one.
    chain : Trajectory, optional
        Runs of the exact `Chain` from the same start: the law of SGD, to which both are then compared.
    path : LeapPath, optional
        The predictions; by default those of ``target``.
    target : Target, optional
        By default the one that ``ode.settings["target"]`` names.
    rule : PlateauRule, optional
        What counts as a plateau.

    Raises
    ------
    InputError
        If one of them is no `Trajectory` or ``path`` no leap path, ``ode`` is an ensemble, two of them share no steps
        or differ in width or coordinates, or no target is known.
    """
    _check_kinds({"ode": ode, "sgd": sgd} | ({} if chain is None else {"chain": chain}), path)
    if ode.ensemble:
        raise InputError(f"ode holds {ode.seeds} runs; give a single one, such as ode[0]")
    if path is None:
        from odesim.complexity import leap_path

        path = leap_path(target if target is not None else _target_of(ode))
    runs = {"ode": ode, "sgd": sgd} | ({} if chain is None else {"chain": chain})
    passed = [passages(runs, middle) for middle in midpoints(path.plateau_levels)]
    gauges = noise_gauges(ode, [float(by["ode"][0]) for by in passed])
    return Comparison(
        ode=ode,
        sgd=sgd,
        path=path,
        plateaus={name: find_plateaus(run, path, rule=rule) for name, run in runs.items()},
        escape_steps=[escape(path, i, by) for i, by in enumerate(passed)],
        floor=float(ode.risk[np.isfinite(ode.risk)][-1]) if np.isfinite(ode.risk).any() else float("nan"),
        noise_gauge=gauges[-1],
        noise_gauge_by_escape=gauges[: len(passed)],
        distance=distance(ode, sgd),
        chain=chain,
        chain_distance=None if chain is None else _to_chain(ode, sgd, chain),
    )


def _check_kinds(runs: Mapping[str, Any], path: Any) -> None:
    """Refuse what is no run, or no prediction, by its name."""
    remedies = {
        "ode": "give a run of a flow",
        "sgd": "give runs of SGD()",
        "chain": "give runs of Chain() there, and predictions by name: compare(ode, sgd, path=path)",
    }
    for name, one in runs.items():
        if not isinstance(one, Trajectory):
            raise InputError(f"{name} is of type {type(one).__name__}, not a Trajectory; {remedies[name]}")
    if path is not None and not (hasattr(path, "plateau_levels") and hasattr(path, "labels")):
        raise InputError(f"path is of type {type(path).__name__}, not a LeapPath; give leap_path(target), or target=")


def _to_chain(ode: Trajectory, sgd: Trajectory, chain: Trajectory) -> dict[str, Any]:
    """Distances of the other two to the chain's mean."""
    return {name: distance(run, chain, (name, "chain")) for name, run in (("ode", ode), ("sgd", sgd))}


def _target_of(ode: Trajectory) -> Target:
    """Parse the target that the settings of a run name."""
    from odesim.targets.series import Target

    named = ode.settings.get("target")
    table = named if isinstance(named, Mapping) else {"expression": named, "data": ode.settings.get("data")}
    expression = table.get("expression")
    if not isinstance(expression, str):
        raise InputError("ode.settings names no target; give compare(ode, sgd, path=path) or target=")
    return Target.parse(expression, data=table.get("data") or "gaussian")


def _plateau_lines(c: Comparison) -> list[str]:
    """Table of the plateaus of each."""
    lines = [f"{'plateaus':<15} {'level':>7}  {'steps':<23} {'flow time':<17} predicted level"]
    for who, found in c.plateaus.items():
        name = NAMES[who]
        for one in found:
            near = "none" if one.matched is None else f"{c.path.plateau_levels[one.matched]:.4g}"
            steps = f"{one.start_step} .. {one.end_step}"
            times = f"{one.start_time:.3g} .. {one.end_time:.3g}"
            lines.append(f"{name:<15} {one.level:7.4f}  {steps:<23} {times:<17} {near:<8} ({one.kind})")
        if not found:
            lines.append(f"{name:<15} none")
    return lines


def _escape_lines(c: Comparison) -> list[str]:
    """Table of the escapes, ODE and SGD side by side with their ratio, the chain's below."""
    names = [" + ".join(one["terms"]) for one in c.escape_steps]
    room = max([15, *map(len, names)])
    titles = f"{'ODE step':>10}  {'SGD median':>10} {'/ ODE':>6}  {'quartiles':<20} never"
    lines = [f"{'escape by':<{room}} {'midpoint':>8}  {titles}"]
    rows = zip(names, midpoints(c.path.plateau_levels), c.escape_steps, c.ratios, strict=True)
    for name, middle, one, over in rows:
        runs = _runs_text(one["sgd"], over["sgd_over_ode"], c.sgd.seeds)
        lines.append(f"{name:<{room}} {middle:8.4g}  {_whole(one['ode']):>10}  {runs}")
        if c.chain is not None:
            runs = _runs_text(one["chain"], over["chain_over_ode"], c.chain.seeds)
            lines.append(f"{'  by the chain':<{room}} {'':8}  {'':10}  {runs}")
    return lines


def _runs_text(by: Mapping[str, Any], over_ode: float | None, seeds: int) -> str:
    """Median, its ratio to the ODE's step, quartiles and the number that never escape, in the table's columns."""
    ratio = "" if over_ode is None else f"{over_ode:.3g}"
    return f"{_whole(by['median']):>10} {ratio:>6}  {_quartiles(by):<20} {by['censored']} of {seeds}"


def _quartiles(by: Mapping[str, Any]) -> str:
    return f"{_whole(by['q25'])} .. {_whole(by['q75'])}"


def _gap_text(gap: Mapping[str, Any], errors: bool = False) -> str:
    """Sup and mean of a distance, of risk and overlaps; with ``errors`` in standard errors too."""
    units = {"risk": gap, "overlaps": gap["overlaps"]}
    return "; ".join(f"{name} {_sizes(one, errors)}" for name, one in units.items())


def _sizes(gap: Mapping[str, Any], errors: bool) -> str:
    text = f"sup {_short(gap['sup'])}, mean {_short(gap['mean'])}"
    return f"{text} ({_short(gap['mean_se'])} standard errors)" if errors else text


def _whole(step: float | None) -> str:
    return "never" if step is None else f"{step:.0f}"


def _short(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}"
