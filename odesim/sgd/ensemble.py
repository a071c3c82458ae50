"""All runs of a stochastic dynamics, in threads: chunks, output rows, progress, early ends; knows none by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from odesim.job import Job
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
        """Fill, once the run has ended, the rows (T, ...) that are cheaper found all at once."""
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
    """

    job: Job
    start: Callable[[int], Walk]
    shapes: Mapping[str, tuple[int, ...]]
    rows: dict[str, Array] = field(init=False)
    status: NDArray[np.int64] = field(init=False)
    message: list[str] = field(init=False)
    done: list[int] = field(init=False)

    def __post_init__(self) -> None:
        S, T = self.job.seeds, self.job.steps.size
        self.rows = {name: np.full((S, T, *shape), np.nan) for name, shape in self.shapes.items()}
        self.status = np.full(S, Status.INTERRUPTED, dtype=np.int64)
        self.message = [Status.INTERRUPTED.text] * S
        self.done = [0] * S

    def run(self, threads: int) -> None:
        """Run all seeds; ctrl-C stops them, and so does an error in one of them, which is raised."""
        stop = self.job.stop
        with ThreadPoolExecutor(threads, thread_name_prefix="run") as pool:
            runs = [pool.submit(self.run_one, index) for index in range(self.job.seeds)]
            try:
                _, unfinished = wait(runs, return_when=FIRST_EXCEPTION)
                if unfinished:
                    stop.set()
            except KeyboardInterrupt:
                stop.set()
                wait(runs)
        for run in runs:
            run.result()

    def run_one(self, index: int) -> None:
        """Run one seed from its start to the last output step, or to an early end."""
        walk = self.start(index)
        rows = {name: values[index] for name, values in self.rows.items()}
        for row, step in enumerate(self.job.steps.tolist()):
            status = self._advance(walk, index, step)
            ended = walk.step
            if status == Status.DONE:
                status, ended, values = walk.look(step)
                if status == Status.DONE and not all(np.isfinite(value).all() for value in values.values()):
                    status = Status.NOT_FINITE
            if status != Status.DONE:
                break
            for name in values.keys() & rows.keys():
                rows[name][row] = values[name]
            self._progress(index, step)
        walk.finish(rows)
        self.status[index] = status
        where = "" if status == Status.DONE else f"at step {ended}: "
        unbounded = status == Status.DIVERGED and self.job.training.loss == "correlation"
        self.message[index] = where + (UNBOUNDED if unbounded else status.text)

    def trajectory(self, kind: str) -> Trajectory:
        """Return what was recorded."""
        biased = self.job.network.has_biases or self.job.training.trains("b")
        rows: dict[str, Any] = self.rows | ({} if biased else {"b": None})
        return Trajectory(
            self.job.steps,
            self.job.time,
            **rows,
            status=self.status,
            message=tuple(self.message),
            kind=kind,
        )

    def _advance(self, walk: Walk, index: int, until: int) -> Status:
        """Advance until the walk has arrived, in calls that are short enough to be stopped."""
        before = -1
        while walk.step != before:
            if self.job.stop.is_set():
                return Status.INTERRUPTED
            before = walk.step
            status = walk.advance(until)
            if status != Status.DONE:
                return status
            self._progress(index, walk.step)
        return Status.INTERRUPTED if self.job.stop.is_set() else Status.DONE

    def _progress(self, index: int, step: int) -> None:
        self.done[index] = step
        self.job.progress(sum(self.done) / max(self.job.seeds * int(self.job.steps[-1]), 1))


def threads_for(job: Job, threads: int | None) -> int:
    """Return how many runs go at a time."""
    return min(job.seeds, threads or os.cpu_count() or 1)
