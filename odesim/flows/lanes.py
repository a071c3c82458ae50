"""Neurons alone in the field of the target, integrated side by side in lanes, blocks of them spread over threads."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odesim._packs import FEW, WIDTH
from odesim.activations._act import TABLE, Kind
from odesim.flows import _correlation_lanes as kernels
from odesim.flows.neuron_run import GRACE, STEPS_TO_ONE
from odesim.flows.residuals import Start
from odesim.integrate import _lanes
from odesim.integrate._lane_steps import POWERS
from odesim.integrate.drive import OVERFLOW
from odesim.integrate.tableaus import tsitouras
from odesim.job import Job
from odesim.pool import in_threads
from odesim.targets.teacher import TeacherTarget
from odesim.training import TwoRadii
from odesim.trajectory import Status

Array = NDArray[np.float64]

TOGETHER = 512
"""Neurons of one task: enough to refill lanes from, and fixed whatever the number of threads."""

LINE = 64
"""Bytes of a cache line."""

ROUNDS_A_CALL = 1000
"""Steps in every lane between two looks at the stop flag."""


def lanes_do(job: Job) -> bool:
    """Whether lanes will do: one phase of training, Gaussian data by Hermite terms, moments lane by lane."""
    return (
        not isinstance(job.training.geometry, TwoRadii)
        and not isinstance(job.target, TeacherTarget)
        and job.target.data == "gaussian"
        and job.network.activation.arrays()[0] != TABLE
        and len(job.training.rates(job.network)) == 1
    )


class LaneRun:
    """The integration of all neurons of a job, in pieces."""

    def __init__(self, job: Job, start: Start, rtol: float, atol: float) -> None:
        network = job.network
        (row,) = job.training.rates(network)
        N, xi = network.width, row.w / row.clock
        parameters = np.empty((N, kernels.PARAMETERS))
        parameters[:, kernels.A] = xi * network.plain_a
        parameters[:, kernels.B] = network.b
        parameters[:, kernels.DECAY] = xi * row.decay_w
        self.members = _lanes.Members(
            start=np.column_stack([start.m, start.R]),
            parameters=parameters,
            times=np.append(job.time, np.full(FEW, np.inf)),
            out=np.empty((N, job.target.P + 1, job.time.size + FEW)),
            status=np.full(N, _lanes.RUNNING),
            reached=np.full(N, -1.0),
        )
        self.rules = _lanes.Rules(float(job.time[-1]), rtol, atol, OVERFLOW, GRACE, STEPS_TO_ONE / row.clock)
        self.job = job

    def run(self, threads: int | None = None) -> None:
        """Integrate all of them, on one thread a core unless told, until ``job.stop`` is set."""
        pieces = -(-self.members.status.size // TOGETHER)
        in_threads(lambda piece: self._run_some(piece * TOGETHER), pieces, self.job.stop, threads)

    def _run_some(self, first: int) -> None:
        """Integrate one task's neurons."""
        members, job = self.members, self.job
        problem, lanes = problem_of(job), empty(members, first, min(first + TOGETHER, members.status.size))
        left = True
        while left and not job.stop.is_set():
            left = kernels.solve_lanes(problem, tsitouras(), self.rules, members, lanes, ROUNDS_A_CALL)
            job.progress(self.share)

    @property
    def share(self) -> float:
        """Share of the work done, in [0, 1]."""
        reached = self.members.reached / max(self.rules.end, 1e-300)
        return float(np.where(self.members.status == _lanes.RUNNING, np.clip(reached, 0.0, 1.0), 1.0).mean())

    @property
    def outputs(self) -> Array:
        """States (N, P + 1, T) of all neurons at the output times, NaN where not reached."""
        out = self.members.out[:, :, : self.job.time.size]
        for i in np.flatnonzero(self.members.status != _lanes.DONE):
            out[i, :, self.job.time > self.members.reached[i]] = np.nan
        return out

    def states(self) -> list[Array]:
        """Return the states (T, P + 1) of every neuron at the output times, NaN where not reached."""
        return [np.ascontiguousarray(one.T) for one in self.outputs]

    def ends(self) -> list[tuple[Status, float]]:
        """Why and at which flow time each neuron ended."""
        status = np.where(self.members.status == _lanes.RUNNING, Status.INTERRUPTED, self.members.status)
        return [
            (Status(int(one)), float(time))
            for one, time in zip(status, np.maximum(self.members.reached, 0.0), strict=True)
        ]


def problem_of(job: Job) -> kernels.Problem:
    """Lay out what the right-hand side reads."""
    offsets, coordinates, powers, coefficients = job.target.arrays()
    degrees = [int(powers[i:j].sum()) for i, j in pairwise(offsets)]
    act = Kind(*job.network.activation.arrays())
    sphere, most = int(job.training.geometry == "sphere"), max(degrees, default=0)
    return kernels.Problem(
        code=act.code,
        slope=act.slope,
        table=act.table,
        sphere=sphere,
        biased=int(job.network.has_biases),
        offsets=np.cumsum([0, *degrees]),
        coordinates=np.repeat(coordinates, powers),
        coefficients=coefficients,
        work=aligned(most + 1, WIDTH),
        c=aligned(max(3, most + 1) if sphere else most + 3, WIDTH),
    )


def empty(members: _lanes.Members, first: int, last: int) -> _lanes.Lanes:
    """Lanes for the members from ``first`` to before ``last``, none of them under way."""
    n, p, rows, table = members.start.shape[1], members.parameters.shape[1], _lanes.LANES, tsitouras()

    def block(stages: int) -> Any:
        return _lanes.Block(
            member=np.full(rows, _lanes.IDLE),
            parameters=aligned(p, rows),
            y=aligned(n, rows, fill=1.0),
            trial=aligned(n, rows, fill=1.0),
            k=aligned(stages, n, rows),
            h=aligned(rows),
            error=aligned(rows),
        )

    return _lanes.Lanes(
        running=block(table.c.size),
        waiting=block(2),
        t=aligned(rows),
        due=aligned(rows, fill=np.inf),
        last=aligned(rows),
        largest=aligned(rows),
        dense=aligned(POWERS, n, rows),
        found=np.zeros(rows + 1, np.int64),
        output=np.zeros(rows, np.int64),
        tried=aligned(rows),
        places=np.array([first, last, 0, 0]),
    )


def aligned(*shape: int, fill: float = 0.0) -> Array:
    """An array that begins with a cache line: a pack that lies across two takes twice the time."""
    size = math.prod(shape)
    memory = np.full(size + LINE // 8, fill)
    first = (-memory.ctypes.data % LINE) // 8
    return memory[first : first + size].reshape(shape)
