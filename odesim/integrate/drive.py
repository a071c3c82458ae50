"""Driving an integration: pieces between which it shows progress, can be stopped and can be found hopeless."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odesim.integrate import _explicit
from odesim.integrate._events import Events
from odesim.integrate._steps import EVENT, EXPLICIT, STIFF
from odesim.integrate.methods import method as method_of
from odesim.integrate.methods import no_events, places, workspace
from odesim.job import Job
from odesim.trajectory import Status

Floats = NDArray[np.float64]
Hopeless = Callable[[NDArray[np.int64], float], bool]

STEPS_A_CALL = 200
"""Integration steps between two looks at the progress bar and the stop flag."""

STIFF_STEPS_A_CALL = 10
"""The same of a stiff method, whose steps cost up to a hundred times as much."""

OVERFLOW = 1e12
"""A state beyond this ends the run as diverged."""


def drive(
    solve: Callable[..., int],
    problems: Sequence[Any],
    y: Floats,
    job: Job,
    *,
    rtol: float,
    atol: float,
    method: str = "auto",
    events: Events | None = None,
    hopeless: Hopeless | None = None,
) -> tuple[Floats, Status, float]:
    """Integrate from y, in place, to the end of ``job.time``.

    Parameters
    ----------
    solve : kernel
        A flow's cached entry around `_loop.integrate`.
    problems : sequence
        What the entry reads, one for each phase of the training; the integration restarts at each.
    method : str
        See `methods.method`.
    events : Events, optional
        Rows of `events.of_flow`; ``time`` and ``state`` are filled in.
    hopeless : callable, optional
        Told the integrator's counts and the SGD steps passed, both since the phase began; true ends the run as
        too fast.

    Returns
    -------
    states, status, reached
        The states (T, n) at the output times, NaN where not reached; why it ended; the flow time reached.
    """
    times = job.time
    sought = no_events(y.size) if events is None else events
    states = np.full((times.size, y.size), np.nan)
    reached, done, status = 0.0, 0, Status.DONE
    for problem, end in zip(problems, _ends(job), strict=True):
        until = int(np.searchsorted(times, end, side="right"))
        grid = times[done:until]
        if grid.size == 0 or grid[-1] < end:
            grid = np.append(grid, end)
        rows, status, reached = _piece(solve, problem, y, grid, reached, job, rtol, atol, method, sought, hopeless)
        states[done:until] = rows[: until - done]
        if status is not Status.DONE or until == times.size:
            break
        done = until
    return states, status, reached


def _ends(job: Job) -> list[float]:
    """The time at which each phase ends, that of the job for the last one and for those it does not reach."""
    last = int(job.steps[-1])
    stops = [last if phase.until is None else min(phase.until, last) for phase in job.training.phases]
    return [float(job.training.time_at(stop)) for stop in stops]


def _piece(
    solve: Callable[..., int],
    problem: Any,
    y: Floats,
    times: Floats,
    start: float,
    job: Job,
    rtol: float,
    atol: float,
    method: str,
    events: Events,
    hopeless: Hopeless | None,
) -> tuple[Floats, Status, float]:
    """Integrate y, in place, from the time ``start`` to the last of ``times``."""
    states = np.full((times.size, y.size), np.nan)
    chosen = method_of(method, y.size)
    (control, counts), work = places(), workspace(chosen, y.size)
    control[_explicit.RTOL], control[_explicit.ATOL], control[_explicit.BOUND] = rtol, atol, OVERFLOW
    control[_explicit.TIME] = start
    status: int = _explicit.RUNNING
    steps_before = job.training.steps_before
    with contextlib.suppress(KeyboardInterrupt):  # what is there is kept, as INTERRUPTED
        while status == _explicit.RUNNING and not job.stop.is_set():
            passed = steps_before(control[_explicit.TIME]) - steps_before(start)
            if hopeless is not None and hopeless(counts, float(passed)):
                status = Status.TOO_FAST
                break
            budget = STEPS_A_CALL if counts[STIFF] == EXPLICIT else STIFF_STEPS_A_CALL
            status = solve(problem, chosen, y, control, counts, times, states, events, work, budget)
            here = min(float(control[_explicit.TIME]), float(times[-1]))  # the last step goes beyond its output
            job.progress(here / max(job.time[-1], 1e-300))
    states[counts[_explicit.NEXT] :] = np.nan
    if counts[_explicit.NEXT] == times.size and status != EVENT:  # also where only what lies beyond diverged
        status = _explicit.DONE
    if status == _explicit.DONE:
        y[:] = states[-1]
    outcome = Status.INTERRUPTED if status == _explicit.RUNNING else Status(status)
    return states, outcome, float(control[_explicit.TIME] if status != _explicit.DONE else times[-1])
