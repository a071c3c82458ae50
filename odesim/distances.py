"""Distance between the means of two runs, in risk and in overlaps: absolute, and in standard errors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from odesim.checks import InputError
from odesim.trajectory import Trajectory

Floats = NDArray[np.float64]
RESOLVED = 1e-3
"""Share of a quantity's range above which a standard error is used as a unit."""


def distance(one: Trajectory, other: Trajectory, names: tuple[str, str] = ("ode", "sgd")) -> dict[str, Any]:
    """Distance between the means of two runs, of the risk and of the overlaps m.

    ``sup`` and ``mean`` run over the output points that both share (and over neurons and coordinates for the
    overlaps), each point counting the same; ``sup_se`` and ``mean_se`` are in units of the standard error of the
    difference, to which a flow adds nothing, over those points where it exceeds 1e-3 of the range of ``one``, None
    where there are none.

    Raises
    ------
    InputError
        If no steps are shared or the shapes differ; ``names`` are what the two are called in it.
    """
    both = " and ".join(names)
    _, i, j = np.intersect1d(one.steps, other.steps, assume_unique=True, return_indices=True)
    if i.size < 2:
        raise InputError(f"{both} share no output steps but 0; run both with the same steps and points")
    if one.m.shape[-2:] != other.m.shape[-2:]:
        shapes = f"{one.m.shape[-2:]} and {other.m.shape[-2:]}"
        raise InputError(f"{both} have overlaps of shape {shapes}; compare runs of one network")
    risk, overlaps = (_distance(*_mean(one, x, i), *_mean(other, x, j)) for x in ("risk", "m"))
    return {**risk, "overlaps": overlaps}


def _mean(run: Trajectory, name: str, rows: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Mean over the runs, with its standard error: 0 for a single run."""
    mean = run.mean(name)[rows]
    return mean, run.stderr(name)[rows] if run.ensemble else np.zeros(mean.shape)


def _distance(one: Floats, error: Floats, other: Floats, other_error: Floats) -> dict[str, float | None]:
    """Sup and mean of the difference, absolute and in standard errors, ignoring what has ended."""
    with np.errstate(invalid="ignore", over="ignore"):
        gap, stderr = np.abs(one - other), np.hypot(error, other_error)
    alive = np.isfinite(gap)
    if not alive.any():
        return {"sup": None, "mean": None, "sup_se": None, "mean_se": None}
    known = alive & (np.nan_to_num(stderr) > RESOLVED * np.ptp(one[np.isfinite(one)]))
    units = gap[known] / stderr[known]
    return {
        "sup": float(gap[alive].max()),
        "mean": float(gap[alive].mean()),
        "sup_se": float(units.max()) if units.size else None,
        "mean_se": float(units.mean()) if units.size else None,
    }
