"""Replicas: runs of neurons that are alone, in batches: lanes, threads, progress, checkpoints, one Trajectory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odesim._packs import WIDTH
from odesim.checkpoints import Record
from odesim.job import Job
from odesim.sgd import _alone as kernels
from odesim.sgd._alone_state import Lanes, Plan, lanes_for
from odesim.sgd.ensemble import Ensemble
from odesim.sgd.mixed import risk
from odesim.training import TwoRadii
from odesim.trajectory import Status, Trajectory

Array = NDArray[Any]

MOST, PARTS = 512, 8
"""Replicas of a batch: at most so many, else this share of all, so that threads have something to do."""

WORK_A_CALL = 4e6
"""Numbers drawn in a call of the kernel: some hundredths of a second."""


class Replicas(Ensemble):
    """All replicas of a job, number n being neuron n mod N of run n div N; no result depends on the batches.

    Parameters
    ----------
    job : Job
    plan, starts
        What kernels read.
    """

    def __init__(self, job: Job, plan: Plan, starts: kernels.Starts) -> None:
        count = job.seeds * job.network.width
        self._size = min(MOST, -(-count // (PARTS * WIDTH)) * WIDTH)
        self._plan, self._starts = plan, starts
        self._rows = _rows(job, count)
        super().__init__(job, _no_walk, {}, -(-count // self._size))

    def run_one(self, index: int) -> None:
        """Run one batch from its start, or where its checkpoint has it, until all its replicas have ended."""
        record = self.keeper.begin(index)
        first = index * self._size
        batch = _Batch(_part(self._rows, first, first + self._size))
        if record.state is not None:
            batch.restore(record.state)
        while batch.left > 0 and not self.job.stop.is_set():
            batch.advance(self._plan, self._starts, self.job.network.unit)
            if self.keeper.asks(index):
                self.keeper.give(index, Record(0, batch.arrays()))
            self._progress(index, int(batch.share(self.job.steps[-1]) * self.job.steps[-1]))
        done = batch.left == 0
        self.status[index] = Status.DONE if done else Status.INTERRUPTED
        self.message[index] = self._why(Status(int(self.status[index])))
        self.keeper.end(index, Record(0, batch.arrays(), Status.DONE if done else None, self.message[index]))

    def trajectory(self, kind: str) -> Trajectory:
        """Return what was recorded."""
        job, rows = self.job, self._rows
        runs = (job.seeds, job.network.width)
        m, q, a, b = (np.moveaxis(x.reshape(*runs, *x.shape[1:]), 1, 2) for x in (rows.m, rows.q, rows.a, rows.b))
        values = dict(zip("mqab", map(np.ascontiguousarray, (m, q, a, b)), strict=True))
        values["risk"] = np.full(q.shape[:2], np.nan)
        if job.network.width == 1:
            values["risk"] = risk(job, values["m"], values["q"][..., None], values["a"], values["b"])
        status, message = self._ends()
        found = self._trajectory(kind, values, status, message)
        return replace(found, events=self._events())

    def _events(self) -> dict[str, Array]:
        """When each event happened, in flow time."""
        job, N = self.job, self.job.network.width
        found = {one.name: self._rows.when[one.neuron :: N, e] for e, one in enumerate(job.events)}
        if isinstance(job.training.geometry, TwoRadii):
            found["release"] = self._rows.released.reshape(job.seeds, N, -1)
        early = (self._rows.status != Status.DONE) & (self._rows.status != Status.INTERRUPTED)
        found["early_end"] = np.where(early, self._rows.ended, -1).reshape(job.seeds, N).max(axis=1)
        return {
            name: np.where(when >= 0, job.training.time_at(np.maximum(when, 0)), np.nan) for name, when in found.items()
        }

    def _ends(self) -> tuple[Array, list[str]]:
        """Status and message of every run: of the first neuron that ended early."""
        N = self.job.network.width
        status, ended = self._rows.status.reshape(-1, N), self._rows.ended.reshape(-1, N)
        first = np.argmax(status != Status.DONE, axis=1)
        runs = np.arange(first.size)
        codes, steps = status[runs, first], ended[runs, first]
        failed = (self.status == Status.DISK_FULL).any()
        codes = np.where((codes == Status.INTERRUPTED) & failed, Status.DISK_FULL, codes)
        texts = {code: self._why(Status(int(code))) for code in np.unique(codes)}
        whose = [f"neuron {j}: " if N > 1 else "" for j in range(N)]
        message = [
            texts[code] if code in NOT_AT_A_STEP else f"{whose[j]}at step {step}: {texts[code]}"
            for code, step, j in zip(codes.tolist(), steps.tolist(), first.tolist(), strict=True)
        ]
        return codes, message


class _Batch:
    """Some replicas, and the lanes that they go through."""

    def __init__(self, rows: kernels.Rows) -> None:
        self.rows, self.left = rows, rows.status.size
        P, events = rows.released.shape[1], rows.when.shape[1]
        self.lanes: Lanes = lanes_for(P, events)
        row, phase, mark = np.zeros((3, WIDTH), np.int64)
        keys, stream = np.zeros((2, WIDTH), np.uint32), np.zeros(WIDTH, np.uint32)
        self.places = kernels.Places(row, phase, mark, np.full(1, rows.first), keys, stream)

    def advance(self, plan: Plan, starts: kernels.Starts, unit: float) -> None:
        """Go on for some hundredths of a second."""
        blocks = max(1, int(WORK_A_CALL / (64 * WIDTH * plan.batch * (starts.m.shape[1] + 3))))
        self.left = kernels.advance(plan, self.lanes, self.places, starts, self.rows, unit, blocks)

    def share(self, last: int) -> float:
        """Return the share of all steps that is done."""
        count = self.rows.status.size
        waiting = count - (int(self.places.queue[0]) - self.rows.first)
        going = 1.0 - self.lanes.base[self.lanes.replica >= 0] / max(int(last), 1)
        return 1.0 - (waiting + float(np.maximum(going, 0.0).sum())) / count

    def arrays(self) -> dict[str, Array]:
        """Return all that the batch needs to go on; of one that has ended, what it recorded, which changes no more."""
        rows = {f"rows_{name}": value for name, value in self.rows._asdict().items() if name != "first"}
        if self.left == 0:
            return rows
        state = {f"lanes_{name}": value for name, value in self.lanes._asdict().items()}
        state |= {f"places_{name}": value for name, value in self.places._asdict().items()}
        return {name: value.copy() for name, value in (rows | state).items()}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take the state from `arrays`."""
        for part, values in (("rows", self.rows), ("lanes", self.lanes), ("places", self.places)):
            for name, value in values._asdict().items():
                if f"{part}_{name}" in arrays:
                    value[:] = arrays[f"{part}_{name}"]
        self.left = self.rows.status.size if "lanes_m" in arrays else 0


NOT_AT_A_STEP = (Status.DONE, Status.INTERRUPTED, Status.DISK_FULL)
"""Ends of which a neuron alone has no step to tell."""


def _no_walk(index: int) -> Any:
    """Replicas go in batches."""
    raise NotImplementedError


def _rows(job: Job, count: int) -> kernels.Rows:
    """Return arrays for all replicas, nothing recorded."""
    T, P, events = job.steps.size, job.target.P, len(job.events)
    q, a, b = np.full((3, count, T), np.nan)
    return kernels.Rows(
        first=0,
        m=np.full((count, T, P), np.nan),
        q=q,
        a=a,
        b=b,
        when=np.full((count, events), -1),
        released=np.full((count, P), -1),
        status=np.full(count, int(Status.INTERRUPTED)),
        ended=np.zeros(count, np.int64),
    )


def _part(rows: kernels.Rows, first: int, stop: int) -> kernels.Rows:
    """Return the rows of some replicas, as views."""
    return kernels.Rows(first, *(value[first:stop] for name, value in rows._asdict().items() if name != "first"))
