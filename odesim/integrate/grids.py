"""Output grids in SGD steps: where a run is recorded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from odesim import checks
from odesim.training import Training

SPACINGS = ("log", "linear")
# Beyond 2^53 a step number is no longer exact in float64, and flow time is eta times it.
LARGEST_STEP = 2**53


def step_grid(steps: Any, points: Any = 300, spacing: str = "log") -> NDArray[np.int64]:
    """Return the output steps, int64, strictly increasing from 0 to ``steps``.

    ``log`` puts 0 first and then rounds a geometric sequence from 1; ``linear`` rounds equal distances. Steps
    that round to the same number are kept once, so there may be fewer than ``points`` of them.

    Raises
    ------
    InputError
        For ``steps`` below 1, ``points`` below 2 or an unknown spacing.
    """
    last = checks.integer("run.steps", steps, low=1, high=LARGEST_STEP, remedy="give the number of SGD steps")
    count = checks.integer("run.points", points, low=2, high=1_000_000, remedy="both ends are recorded")
    if checks.choice("run.spacing", spacing, SPACINGS) == "linear":
        raw = np.linspace(0.0, last, count)
    else:
        raw = np.append(0.0, np.geomspace(last, 1.0, count - 1)[::-1])
    grid = np.unique(np.rint(raw).astype(np.int64))
    return np.append(grid[grid < last], last)


def steps_at(times: ArrayLike, training: Training) -> NDArray[np.int64]:
    """Return the steps nearest to the given flow times; step 0 is put first if it is missing.

    Raises
    ------
    InputError
        If the times are not finite, not increasing from 0 on, or two of them fall on the same step.
    """
    raw = checks.array("run.t_eval", times, (np.size(times),))
    exact = training.steps_before(raw)
    if raw.size == 0 or raw[0] < 0 or exact[-1] > LARGEST_STEP:
        last = float(training.time_at(LARGEST_STEP))
        raise checks.InputError(f"run.t_eval must hold flow times from 0 to {last:.3g}; give such times")
    steps = np.rint(exact).astype(np.int64)
    if (np.diff(steps) <= 0).any():
        raise checks.InputError(
            f"run.t_eval must increase by at least one step, eta={training.eta:g}; thin the times out"
        )
    steps = steps if steps[0] == 0 else np.concatenate([np.zeros(1, np.int64), steps])
    if steps.size < 2:
        raise checks.InputError("run.t_eval holds no time after 0; give at least one")
    return steps
