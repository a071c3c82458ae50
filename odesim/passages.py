"""First passages: when a risk curve first reaches a level, and quantiles over runs of which some never do."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def first_passage(steps: ArrayLike, risk: ArrayLike, level: float) -> Floats:
    """When each curve first reaches ``level`` from above.

    Between output points the risk is a straight line in ln(step), before the first positive step one in the
    step. A curve that starts at or below the level passes at 0; one that ends first, or never does, at
    infinity: it is censored.

    Parameters
    ----------
    steps : array (T,)
        Increasing from 0.
    risk : array (..., T)
    level : float

    Returns
    -------
    array (...)
        Steps, not whole ones in general.
    """
    steps, risk = np.asarray(steps, dtype=np.float64), np.asarray(risk, dtype=np.float64)
    flat = risk.reshape(-1, steps.size)
    return np.array([_passage(steps, one, level) for one in flat]).reshape(risk.shape[:-1])


def censored_quantile(values: ArrayLike, q: float) -> float | None:
    """Quantile with linear interpolation, where infinite values are censored; None if it falls on one."""
    ordered = np.sort(np.ravel(values))
    place = q * (ordered.size - 1)
    low, high = int(np.floor(place)), int(np.ceil(place))
    if not np.isfinite(ordered[high]):
        return None
    return float(ordered[low] + (place - low) * (ordered[high] - ordered[low]))


def _passage(steps: Floats, risk: Floats, level: float) -> float:
    """First passage of one curve."""
    below = np.flatnonzero(~(risk > level))
    if below.size == 0 or not np.isfinite(risk[below[0]]):
        return float("inf")
    k = below[0]
    if k == 0:
        return 0.0
    share = (risk[k - 1] - level) / (risk[k - 1] - risk[k]) if np.isfinite(risk[k - 1]) else 1.0
    if k == 1:
        return float(share * steps[1])
    return float(steps[k - 1] * (steps[k] / steps[k - 1]) ** share)
