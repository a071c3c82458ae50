"""All runs of a stochastic dynamics, in threads: chunks, output rows, progress, checkpoints, early ends.

It knows no dynamics by name.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from odesim.checkpoints import Record
from odesim.job import Job
from odesim.pool import in_threads
from odesim.sgd.keeper import Keeper
from odesim.trajectory import Status, Trajectory

Array = NDArray[np.float64]

UNBOUNDED = (
    "the weights grew without bound, as the correlation loss lets them; "
    "take fewer steps, a frozen second layer (eta_a=0) or weight decay"
)


class Look(NamedTuple):
    """What a walk is like at an output step, or the step at which it ended before."""

    status: Status
    step: int
    values: Mapping[str, Array]


class Walk(Protocol):
    """One run, changed in place."""

    @property
    def step(self) -> int:
        """Steps taken so far."""
        ...

    def advance(self, until: int) -> Status:
        """Go on towards ``until``, never beyond, for a few hundredths of a second at most.

        A walk that takes several steps at a time stops at the last of its own marks before ``until``; it has
        arrived when a call leaves ``step`` where it was.
        """
        ...

    def look(self, step: int) -> Look:
        """Return the recorded values at ``step``, the next mark not yet reached, without moving."""
        ...

    def finish(self, rows: Mapping[str, Array]) -> None:
        """Fill, once the run has ended, the rows (T, ...) that are cheaper found all at once.

        They follow from the other rows alone: a run that goes on from a checkpoint finds them again.
        """
        ...

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return copies of all that the walk needs to go on from here, at the end of any call of `advance`."""
        ...

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become, right after the start, the walk that gave these arrays; none of them is kept."""
        ...


@dataclass
class Ensemble:
    """All runs of a job and the rows recorded so far.

    Parameters
    ----------
    job : Job
    start : callable
        Makes the walk of one data seed, by its index.
    shapes : dict
        Fields to record, each with the shape of one row.
    walks : int
        How many walks there are; 0 for one a data seed.
    """

    job: Job
    start: Callable[[int], Walk]
    shapes: Mapping[str, tuple[int, ...]]
    walks: int = 0
    rows: dict[str, Array] = field(init=False)
    status: NDArray[np.int64] = field(init=False)
    message: list[str] = field(init=False)
    done: list[int] = field(init=False)
    keeper: Keeper = field(init=False)

    def __post_init__(self) -> None:
        self.walks = self.walks or self.job.seeds
        S, T = self.walks, self.job.steps.size
        self.rows = {name: np.full((S, T, *shape), np.nan) for name, shape in self.shapes.items()}
        self.status = np.full(S, Status.INTERRUPTED, dtype=np.int64)
        self.message = [Status.INTERRUPTED.text] * S
        self.done = [0] * S
        self.keeper = Keeper(self.job.checkpoint, self.rows, S, self.job.stop.set)

    def run(self, threads: int) -> None:
        """Run all seeds; ctrl-C stops them, and so does an error in one of them, which is raised.

        Raises
        ------
        InputError
            If there is a checkpoint to go on from which is not one of this job, or not whole.
        RunError
            If a checkpoint cannot be written before the first step; later on that ends the runs with a status.
        """
        self.keeper.open()
        try:
            in_threads(self.run_one, self.walks, self.job.stop, threads)
        finally:
            self.keeper.close()
        if self.keeper.failure is not None:
            self._say_that_writing_failed(self.keeper.failure)

    def run_one(self, index: int) -> None:
        """Run one seed from its start, or where its checkpoint has it, to the last output step or an early end."""
        record = self.keeper.begin(index)
        if record.status is None:
            record = self._go_on(index, record)
        self.keeper.end(index, record)
        self.status[index] = Status.INTERRUPTED if record.status is None else record.status
        self.message[index] = record.message

    def _go_on(self, index: int, record: Record) -> Record:
        """Run one seed from a record of it; return its last."""
        walk = self.start(index)
        if record.state is not None:
            walk.restore(record.state)
        rows = {name: values[index] for name, values in self.rows.items()}
        recorded, step, status = self._record_rows(walk, index, record.rows, rows)
        walk.finish(rows)
        for values in rows.values():
            values[recorded:] = np.nan  # of the same bits, whatever was made of them
        where = "" if status == Status.DONE else f"at step {step}: "
        message = where + self._why(status)
        if status == Status.INTERRUPTED:
            return Record(recorded, walk.arrays(), None, message)
        return Record(recorded, None, status, message)

    def _why(self, status: Status) -> str:
        unbounded = status == Status.DIVERGED and self.job.training.loss == "correlation"
        return UNBOUNDED if unbounded else status.text

    def _record_rows(self, walk: Walk, index: int, first: int, rows: Mapping[str, Array]) -> tuple[int, int, Status]:
        """Record from row ``first`` on; return how many rows there are, and the step and status of the end."""
        for row, step in enumerate(self.job.steps[first:].tolist(), first):
            status = self._advance(walk, index, row, step)
            ended = walk.step
            if status == Status.DONE:
                status, ended, values = walk.look(step)
                if status == Status.DONE and not all(np.isfinite(value).all() for value in values.values()):
                    status = Status.NOT_FINITE
            if status != Status.DONE:
                return row, ended, status
            for name in values.keys() & rows.keys():
                rows[name][row] = values[name]
            self._progress(index, step)
        return self.job.steps.size, walk.step, Status.DONE

    def trajectory(self, kind: str) -> Trajectory:
        """Return what was recorded."""
        return self._trajectory(kind, self.rows, self.status, self.message)

    def _trajectory(self, kind: str, rows: Mapping[str, Array], status: Any, message: list[str]) -> Trajectory:
        biased = self.job.network.has_biases or self.job.training.trains("b")
        fields: dict[str, Any] = {**rows, **({} if biased else {"b": None})}
        return Trajectory(self.job.steps, self.job.time, **fields, status=status, message=tuple(message), kind=kind)

    def _say_that_writing_failed(self, why: str) -> None:
        """Give the runs that it stopped their status; runs that are complete are only warned of."""
        for index in np.flatnonzero(self.status == Status.INTERRUPTED):
            self.status[index] = Status.DISK_FULL
            where = self.message[index].removesuffix(Status.INTERRUPTED.text)
            self.message[index] = f"{where}{why}; the checkpoint before is untouched, resume from it"
        if not (self.status == Status.DISK_FULL).any():
            warnings.warn(f"{why}; the runs are complete without it", stacklevel=2)

    def _advance(self, walk: Walk, index: int, row: int, until: int) -> Status:
        """Advance until the walk has arrived, in calls that are short enough to be stopped; ``row`` is the next."""
        before = -1
        while walk.step != before:
            if self.job.stop.is_set():
                return Status.INTERRUPTED
            before = walk.step
            status = walk.advance(until)
            if status != Status.DONE:
                return status
            if self.keeper.asks(index):
                self.keeper.give(index, Record(row, walk.arrays()))
            self._progress(index, walk.step)
        return Status.INTERRUPTED if self.job.stop.is_set() else Status.DONE

    def _progress(self, index: int, step: int) -> None:
        self.done[index] = step
        self.job.progress(sum(self.done) / max(self.walks * int(self.job.steps[-1]), 1))


def threads_for(job: Job, threads: int | None) -> int:
    """Return how many runs go at a time."""
    return min(job.seeds, threads or os.cpu_count() or 1)
