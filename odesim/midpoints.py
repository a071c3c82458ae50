"""Escapes side by side: when each run passes the middle between two predicted levels, and the ratios of those steps."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from odesim.passages import censored_quantile, first_passage
from odesim.trajectory import Trajectory

if TYPE_CHECKING:
    from odesim.complexity import LeapPath

Floats = NDArray[np.float64]

PAIRS = (("sgd", "ode"), ("chain", "ode"), ("sgd", "chain"))
"""Whose escape step is divided by whose."""


def midpoints(levels: Sequence[float]) -> list[float]:
    """Middles between neighbouring levels; the risk has escaped from the one above when it passes it."""
    return [(left + right) / 2 for left, right in itertools.pairwise(levels)]


def passages(runs: Mapping[str, Trajectory], level: float) -> dict[str, Floats]:
    """First passages of each one's runs, of the ODE its only one."""
    return {name: np.atleast_1d(first_passage(run.steps, run.risk, level)) for name, run in runs.items()}


def escape(path: LeapPath, index: int, by: Mapping[str, Floats]) -> dict[str, Any]:
    """Return one entry of ``Comparison.escape_steps`` from the passages of each."""
    by_ode = float(by["ode"][0])
    return {
        "level": float(path.plateau_levels[index]),
        "terms": path.labels[index].split(" + "),
        "ode": by_ode if np.isfinite(by_ode) else None,
        **{name: _quantiles(steps) for name, steps in by.items() if name != "ode"},
    }


def ratios(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what one entry of ``escape_steps`` gives for ``Comparison.ratios``."""
    steps = {name: _median(entry[name]) for name in ("ode", "sgd", "chain") if name in entry}
    found = {
        f"{one}_over_{other}": _over(steps[one], steps[other])
        for one, other in PAIRS
        if one in steps and other in steps
    }
    return {"level": entry["level"], "terms": entry["terms"], **found}


def _quantiles(steps: Floats) -> dict[str, Any]:
    """Median and quartiles of first passages, and how many never happen."""
    shares = {"median": 0.5, "q25": 0.25, "q75": 0.75}
    found = {name: censored_quantile(steps, q) for name, q in shares.items()}
    return {**found, "censored": int(np.isinf(steps).sum())}


def _median(by: Any) -> float | None:
    """The escape step of the ODE, or the median one of runs."""
    return by["median"] if isinstance(by, Mapping) else by


def _over(one: float | None, other: float | None) -> float | None:
    """Their ratio; None where either never escapes, or nothing was to be escaped from."""
    return None if one is None or not other else one / other
