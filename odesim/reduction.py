"""Runs of which only the start, the end and the events are kept: memory does not grow with the output steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from odesim import checks
from odesim.checkpoints import Record
from odesim.events import RISK, Event
from odesim.job import Dynamics, Job
from odesim.passages import first_passage
from odesim.trajectory import PER_RUN, Status, Trajectory

Array = NDArray[np.float64]

SEEDS = 256
"""Runs whose rows are in memory at a time."""

END = "early_end"
"""Event: the time of the last row of a run that ended early."""


def simulate_reduced(dynamics: Dynamics, job: Job) -> Trajectory:
    """Run the job, in parts of ``SEEDS`` runs where the dynamics has to be looked at row by row; keep its ends.

    A dynamics that finds events itself is recorded at its start and its end alone. Of another the events are looked
    for in the rows of ``job.steps``, a quantity being linear in ln(step) between them.

    Raises
    ------
    InputError
        If the dynamics does not run once a data seed, or an event is terminal or on an overlap that is not there.
    """
    if not getattr(dynamics, "keeps_checkpoints", False):
        raise checks.InputError(
            f"{type(dynamics).__name__} is one run, not one a data seed; leave run.reduce out and give points=2"
        )
    if getattr(dynamics, "finds_events", False):
        return dynamics.simulate(replace(job, steps=job.steps[[0, -1]]))
    _check_events(job)
    records = _Records(job)
    parts = []
    for index, first in enumerate(range(0, job.seeds, SEEDS)):
        part = records.known(index)
        if part is None:
            part = _part(dynamics, job, first)
            records.keep(index, part)
        parts.append(part)
        if job.stop.is_set():
            break
    return _joined(parts, job)


def events_of_rows(
    trajectory: Trajectory, events: Sequence[Event], time_at: Callable[[ArrayLike], Array]
) -> dict[str, Array]:
    """When each event first happens between the rows of a trajectory, NaN for never.

    As everywhere, arriving at the level counts, starting beyond it does not.

    Parameters
    ----------
    trajectory : Trajectory
    events : list of Event
    time_at : callable
        Gives the flow time of a step.
    """
    found = {}
    for one in events:
        values = trajectory.risk if one.quantity == RISK else trajectory.m[..., one.neuron, one.coordinate]
        ahead = (one.level - values) if one.upward else (values - one.level)
        beyond = np.logical_and.accumulate(ahead <= 0, axis=-1)  # since the start
        steps = first_passage(trajectory.steps, np.where(beyond, 1.0, ahead), 0.0)
        found[one.name] = np.where(np.isfinite(steps), time_at(np.where(np.isfinite(steps), steps, 0.0)), np.nan)
    return found


def _part(dynamics: Dynamics, job: Job, first: int) -> Trajectory:
    """Run the data seeds from ``first`` on and keep what is asked of them."""
    count = min(SEEDS, job.seeds - first)

    def progress(share: float) -> None:
        job.progress((first + share * count) / job.seeds)

    whole = dynamics.simulate(
        replace(job, seeds=count, first=job.first + first, events=(), checkpoint=None, progress=progress)
    )
    recorded = np.isfinite(whole.risk) | np.isfinite(whole.m).any(axis=(2, 3))
    last = recorded.shape[1] - 1 - np.argmax(recorded[:, ::-1], axis=1)
    early = np.where(whole.status != Status.DONE, whole.time[last], np.nan)
    rows = {name: value[:, [0, -1]] for name in PER_RUN if (value := getattr(whole, name)) is not None}
    events = {**whole.events, **events_of_rows(whole, job.events, job.training.time_at), END: early}
    return replace(whole, steps=whole.steps[[0, -1]], time=whole.time[[0, -1]], **rows, events=events)


def _joined(parts: Sequence[Trajectory], job: Job) -> Trajectory:
    """Lay the parts into one trajectory; data seeds that were not begun are as if stopped at once."""
    missing = job.seeds - sum(one.seeds for one in parts)

    def join(values: Sequence[Any], empty: float = np.nan) -> Any:
        rest = np.full((missing, *values[0].shape[1:]), empty)
        return np.concatenate([*values, rest.astype(values[0].dtype)])

    first = parts[0]
    rows: dict[str, Any] = {
        name: join([getattr(one, name) for one in parts]) for name in PER_RUN if getattr(first, name) is not None
    }
    return replace(
        first,
        **rows,
        status=join([one.status for one in parts], Status.INTERRUPTED),
        message=(*(text for one in parts for text in one.message), *(Status.INTERRUPTED.text,) * missing),
        events={name: join([one.events[name] for one in parts]) for name in first.events},
    )


class _Records:
    """The checkpoint of a reduced run: every part that is complete, as a record."""

    def __init__(self, job: Job) -> None:
        self._job, self._checkpoint = job, job.checkpoint
        self._records = [Record()] * -(-job.seeds // SEEDS)
        if self._checkpoint is not None:
            if self._checkpoint.goes_on:
                self._records = self._checkpoint.read().records
            else:
                self._checkpoint.write(self._records, {})

    def known(self, index: int) -> Trajectory | None:
        """Return a part that the file has."""
        record = self._records[index]
        if record.state is None:
            return None
        fields: dict[str, Any] = dict(record.state)
        kind, *message = record.message.split("\n")
        events = {name.removeprefix("event_"): fields.pop(name) for name in list(fields) if name.startswith("event_")}
        ends = self._job.steps[[0, -1]]
        return Trajectory(
            ends, self._job.training.time_at(ends), **fields, message=tuple(message), kind=kind, events=events
        )

    def keep(self, index: int, part: Trajectory) -> None:
        """Write a part that is complete."""
        if self._checkpoint is None or (part.status == Status.INTERRUPTED).any():
            return
        state = {name: value for name in (*PER_RUN, "status") if (value := getattr(part, name)) is not None}
        state |= {f"event_{name}": times for name, times in part.events.items()}
        self._records[index] = Record(0, state, Status.DONE, "\n".join((part.kind, *part.message)))
        self._checkpoint.write(self._records, {})


def _check_events(job: Job) -> None:
    """Refuse what cannot be found in rows."""
    N, P = job.network.width, job.target.P
    for one in job.events:
        if one.terminal:
            raise checks.InputError(
                f"event {one.name} is terminal, and this dynamics is looked at in its output rows, which end nothing; "
                "give terminal=False"
            )
        if one.quantity != RISK and not (one.neuron < N and one.coordinate < P):
            raise checks.InputError(
                f"event {one.name} is on an overlap that is not there; there are {N} neurons and {P} coordinates"
            )
