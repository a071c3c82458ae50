"""Marching: a map of single SGD steps, in pieces between which it shows progress and can be stopped."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odesim.integrate.drive import OVERFLOW
from odesim.job import Job
from odesim.training import FOREVER
from odesim.trajectory import Status

Floats = NDArray[np.float64]

STEPS_A_CALL = 50
"""Steps between two looks at the progress bar and the stop flag."""


def march(iterate: Callable[..., bool], problems: Sequence[Any], y: Floats, job: Job) -> tuple[Floats, Status, float]:
    """Take steps from y, in place, to the last of ``job.steps``.

    Parameters
    ----------
    iterate : kernel
        ``iterate(problem, y, dy, count, bound)`` takes up to ``count`` steps and tells whether all stayed bounded.
    problems : sequence
        What it reads, one for each phase of the training.

    Returns
    -------
    states, status, reached
        The states (T, n) at the output steps, NaN where not reached; why it ended; the flow time reached.
    """
    states, work = np.full((job.steps.size, y.size), np.nan), np.empty_like(y)
    status, done, last = Status.INTERRUPTED, 0, int(job.steps[-1])
    stops = [phase.until or FOREVER for phase in job.training.phases]
    row = phase = 0
    with contextlib.suppress(KeyboardInterrupt):  # what is there is kept, as INTERRUPTED
        while not job.stop.is_set():
            if job.steps[row] == done:
                states[row] = y
                row += 1
            if row == job.steps.size:
                status = Status.DONE
                break
            if stops[phase] == done:
                phase += 1
            until = min(int(job.steps[row]), stops[phase], done + STEPS_A_CALL)
            if not iterate(problems[phase], y, work, until - done, OVERFLOW):
                status = Status.DIVERGED
                break
            done = until
            job.progress(done / max(last, 1))
    return states, status, float(job.training.time_at(done))
