"""From a flow's flat states to its Trajectory: what flows of one joint state have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from odesim.integrate.drive import Hopeless, drive
from odesim.integrate.events import at_events, of_flow, times_of
from odesim.job import Job
from odesim.trajectory import Status, Trajectory

Array = NDArray[np.float64]
Rows = Callable[[Array], dict[str, Array]]
"""Gives the fields of a Trajectory, risk, m and so on, of flat states (rows, n), each along a first axis."""


class Settings(Protocol):
    """How a flow is integrated."""

    @property
    def method(self) -> str:
        """See `methods.method`."""
        ...

    @property
    def rtol(self) -> float:
        """Relative tolerance."""
        ...

    @property
    def atol(self) -> float:
        """Absolute tolerance."""
        ...


def follow(
    flow: Settings,
    entry: Callable[..., int],
    problems: Sequence[Any],
    y: Array,
    job: Job,
    rows: Rows,
    *,
    kind: str,
    neurons: int,
    hopeless: Hopeless | None = None,
) -> tuple[Trajectory, Array]:
    """Integrate from y, in place, and record rows and events; return the Trajectory and the states (T, n).

    Parameters
    ----------
    entry : kernel
        The flow's cached entry.
    problems : sequence
        What it reads, one for each phase of the training.
    neurons : int
        The flat state begins with their overlaps, (neurons, P).
    hopeless : callable, optional
        See `drive`.
    """
    sought = of_flow(job.events, neurons, job.target.P, y.size)
    states, status, reached = drive(
        entry,
        problems,
        y,
        job,
        rtol=flow.rtol,
        atol=flow.atol,
        method=flow.method,
        events=sought,
        hopeless=hopeless,
    )
    out = laid_out(job, kind, rows(states), status, reached)
    at = at_events(job.events, rows(sought.state))
    return replace(out, events=times_of(job.events, sought), at_events=at), states


def laid_out(job: Job, kind: str, fields: dict[str, Array], status: Status, reached: float) -> Trajectory:
    """Return the Trajectory of these rows."""
    return Trajectory(
        kind=kind,
        steps=job.steps,
        time=job.time,
        **fields,  # type: ignore[arg-type]
        status=np.array(int(status)),
        message=status.text if status is Status.DONE else f"at flow time {reached:.6g}: {status.text}",
    )


def of_living(fill: Callable[[Array, Array], None], states: Array, *shape: int) -> Array:
    """Return what ``fill(states, out)`` computes of every flat state, (rows, *shape), NaN where the state is."""
    alive = ~np.isnan(states[:, 0])
    out, values = np.full((alive.size, *shape), np.nan), np.empty((int(alive.sum()), *shape))
    fill(np.ascontiguousarray(states[alive]), values)
    out[alive] = values
    return out
