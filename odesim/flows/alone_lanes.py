"""Neurons of one network, or of all those of an ensemble, integrated in the same lanes."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np

from odesim.flows.alone_record import Course, placed
from odesim.flows.lanes import LaneRun
from odesim.flows.residuals import Start
from odesim.job import Job


def course_in_lanes(jobs: Sequence[Job], starts: Sequence[Start], rtol: float, atol: float) -> list[Course]:
    """Integrate the neurons of jobs that differ in their networks alone, in one `LaneRun`."""
    run = _joined([LaneRun(job, start, rtol, atol) for job, start in zip(jobs, starts, strict=True)])
    run.run()
    states, ends, n = run.states(), run.ends(), jobs[0].network.width
    parts = [slice(first, first + n) for first in range(0, len(states), n)]
    return [Course(placed(job, states[part]), ends[part]) for job, part in zip(jobs, parts, strict=True)]


def _joined(runs: Sequence[LaneRun]) -> LaneRun:
    """One run of the members of all."""
    out = copy.copy(runs[0])
    if len(runs) > 1:
        each = ("start", "parameters", "out", "status", "reached")
        columns = {name: np.concatenate([getattr(run.members, name) for run in runs]) for name in each}
        out.members = out.members._replace(**columns)
        # the problem leaves out what no bias needs, by this job's network
        out.job = next((run.job for run in runs if run.job.network.has_biases), out.job)
    return out
