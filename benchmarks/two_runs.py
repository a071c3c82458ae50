"""sgd-two-runs, sgd-two-runs-64: two independent runs of SGD on two threads against one run on one thread.

Times are the wall's, by runs: half the time of two runs against that of one, with all that a user waits for. The ratio
is how much more gets done; 2 is all there is, and it needs two cores with nothing else to do, so the load is printed.
"""

from __future__ import annotations

import os
import time

from benchmarks import machine, sgd_runs
from benchmarks.report import Result, Row, row
from benchmarks.timing import least_seconds

STEPS = {1: 40_000, 64: 400}
"""By batch: steps of a run, a tenth of a second."""

PROMISED = 1.8


def measure(repeats: int) -> Result:
    """Time batch 1 and mini-batches."""
    before = machine.load()
    rows = [_row("sgd-two-runs", 1, repeats), _row("sgd-two-runs-64", 64, repeats)]
    loads = f"load average {before} before and {machine.load()} after"
    note = f"sgd-two-runs: wall time a run, {os.cpu_count()} cores; {loads}"
    return Result(rows, [note])


def _row(case: str, batch: int, repeats: int) -> Row:
    network, steps = sgd_runs.start(), STEPS[batch]
    least = least_seconds(
        {
            "two": lambda: sgd_runs.train(network, steps, batch, seeds=2, threads=2),
            "one": lambda: sgd_runs.train(network, steps, batch, seeds=1, threads=1),
        },
        repeats,
        time.perf_counter,
    )
    return row(case, least["two"] / 2, "one-run", least["one"], promised=PROMISED)
