"""From neurons that move alone to the Trajectory of the network they form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from odesim.flows import noise_alone
from odesim.flows.overlap import risk_of
from odesim.flows.residuals import Start
from odesim.integrate._events import Events
from odesim.job import Job
from odesim.trajectory import Status, Trajectory

Array = NDArray[np.float64]
End = tuple[Status, float]

MAX_WIDTH_OF_Q = 64
"""Largest width whose Q is kept."""

ENTRIES_AT_ONCE = 1_000_000
"""Entries of Q formed at once for the risk."""


class Course(NamedTuple):
    """How N neurons went.

    ``states`` has the rows (T, P + followed + 1) of each, as `placed`, NaN from its end on, which ``ends`` explains;
    ``gauges`` (T, N) and times of release (N, P) are there where they are known, ``sought`` has the events of each.
    """

    states: list[Array]
    ends: list[End]
    gauges: Array | None = None
    releases: Array | None = None
    sought: Sequence[Events] = ()


def placed(job: Job, states: list[Array]) -> list[Array]:
    """Return states that obey the geometry: on the sphere they are off it by less than the tolerance."""
    if job.training.geometry != "sphere":
        return states
    out = []
    for rows in states:
        q = (rows[:, :-1] ** 2).sum(axis=1) + np.maximum(rows[:, -1], 0.0)
        out.append(np.column_stack([rows[:, :-1] / np.sqrt(q)[:, None], np.maximum(rows[:, -1], 0.0) / q]))
    return out


def rows_of(job: Job, start: Start, states: list[Array], with_risk: bool) -> dict[str, Array]:
    """Risk, m, a, q, where they are kept b and Q, of the neurons' states, each along a first axis."""
    network, P = job.network, job.target.P
    m, squares = np.stack([rows[:, :P] for rows in states], axis=1), _squares(states, P)
    ended = np.isnan(squares)
    risk = _risk(job, start, states, m, ended) if with_risk else np.full(len(m), np.nan)
    found = {"risk": risk, "m": m, "a": np.where(ended, np.nan, network.a), "q": (m * m).sum(axis=-1) + squares}
    if network.has_biases:
        found["b"] = np.where(ended, np.nan, network.b)
    if network.width <= MAX_WIDTH_OF_Q:
        found["Q"] = m @ np.swapaxes(m, -1, -2) + start.rows(states)
    return found


def record(job: Job, start: Start, course: Course, with_risk: bool) -> Trajectory:
    """Lay out what was recorded at ``job.time``."""
    rows = rows_of(job, start, course.states, with_risk)
    squares = _squares(course.states, job.target.P)
    status, message = _outcome(course.ends)
    return Trajectory(
        kind="correlation flow",
        steps=job.steps,
        time=job.time,
        **rows,  # type: ignore[arg-type]
        status=np.array(int(status)),
        message=message,
        noise_rate=noise_alone.rates(job, rows["m"], squares),
        noise_gauge=course.gauges,
        events={} if course.releases is None else {"release": course.releases},
    )


def _squares(states: list[Array], P: int) -> Array:
    """Squared lengths (T, N) of the residuals."""
    return np.stack([np.maximum(rows[:, -1], 0.0) + (rows[:, P:-1] ** 2).sum(axis=1) for rows in states], axis=1)


def _risk(job: Job, start: Start, states: list[Array], m: Array, ended: NDArray[np.bool_]) -> Array:
    """Population risk (T,), NaN where a neuron has ended."""
    network = job.network
    risk, entries = np.full(len(m), np.nan), network.width**2
    alive = np.flatnonzero(~ended.any(axis=1))
    pieces = min(alive.size, 1 + alive.size * entries // ENTRIES_AT_ONCE)
    for rows in np.array_split(alive, pieces) if alive.size else ():
        gram = start.rows([one[rows] for one in states])
        now = np.ascontiguousarray(m[rows])
        a, b = (np.broadcast_to(part, now.shape[:2]) for part in (network.plain_a, network.b))
        Q = now @ np.swapaxes(now, -1, -2) + gram
        risk[rows] = risk_of(job.target, network.activation, now, Q, a, b)
    return risk


def _outcome(ends: list[End]) -> tuple[Status, str]:
    """Status and message of the whole: those of the neuron that ended first, if any did."""
    ended = [j for j, (status, _) in enumerate(ends) if status is not Status.DONE]
    if not ended:
        return Status.DONE, Status.DONE.text
    first = min(ended, key=lambda j: ends[j][1])
    status, time = ends[first]
    who = f"neuron {first} " if len(ended) == 1 else f"{len(ended)} neurons, first neuron {first}, "
    return status, f"{'' if status is Status.EVENT else who}at flow time {time:.6g}: {status.text}"
