"""sgd-batch1: one step of full SGD, batch 1, d = 1000, N = 100, float32, random numbers included, one thread.

Ours is a run as a user starts it. Peers: the loops of `sgd_peers`. Limits: the time that the step's operations take at
the rate of a matrix product, and that of reading and writing W once.
"""

from __future__ import annotations

import time
from importlib.util import find_spec

from benchmarks import limits, sgd_peers, sgd_runs
from benchmarks.report import Result, row
from benchmarks.sgd_runs import DIM, FLOPS, WIDTH
from benchmarks.timing import least_seconds
from odesim.sgd._random import GROUP

OUR_STEPS, PEER_STEPS = 8000, 200
"""Steps of one timed call."""

PROMISED = {"torch": 8.0, "numpy": 12.0}


def measure(repeats: int) -> Result:
    """Time all that is installed."""
    network, torch = sgd_runs.start(), find_spec("torch") is not None
    peers = sgd_peers.one_by_one(network, PEER_STEPS, torch)
    contenders = sgd_runs.contenders(network, OUR_STEPS) | peers | limits.contenders(DIM * WIDTH)
    least = least_seconds(contenders, repeats, time.process_time)
    step, limit = sgd_runs.seconds_a_step(least, OUR_STEPS), limits.of(least, DIM * WIDTH)
    sweep = 8 * DIM * WIDTH / limit.sweep
    rows = [row("sgd-batch1", step, name, least[name] / PEER_STEPS, promised=PROMISED.get(name)) for name in peers]
    rows += [row("sgd-batch1", step, "product", FLOPS / limit.product), row("sgd-batch1", step, "sweep", sweep)]
    notes = [
        "sgd-batch1: one step; the peer numpy adds an outer product, scipy is the same loop with BLAS's rank-one "
        "update in place; product and sweep are the machine's limits for the step's operations and for one sweep of W",
        f"sgd-batch1: {1e-9 * FLOPS / step:.0f} GFLOP/s, {FLOPS / step / limit.product:.0%} of the matrix product; a "
        f"step takes as long as {step / sweep:.2f} sweeps of W, where step by step two are needed (one reads, one "
        f"reads and writes), and one serves {GROUP} steps: {sweep / step / GROUP:.0%} of the memory's rate",
        f"limits: {limit.text()}",
    ]
    if not torch:
        notes.append('torch: not installed, skipped (pip install "odesim[bench]")')
    return Result(rows, notes)
