"""sgd-batch64: one step of full SGD on a mini-batch of 64, d = 1000, N = 100, float32, random numbers included.

Ours is a run as a user starts it, on one thread. Peers: the loops of `sgd_peers`. Limits: the two matrix products of
the step and nothing else, forward pass and gradient, by NumPy's BLAS ("pair"); and the time that their operations take
at the rate of a product of large matrices ("product").
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np

from benchmarks import limits, sgd_peers, sgd_runs
from benchmarks.report import Result, row
from benchmarks.sgd_runs import DIM, FLOPS, WIDTH
from benchmarks.timing import least_seconds

BATCH = 64
OUR_STEPS, PEER_STEPS = 200, 20
"""Steps of one timed call."""

PROMISED = {"torch": 1.4, "pair": 0.75}


def measure(repeats: int) -> Result:
    """Time all that is installed."""
    network, torch = sgd_runs.start(), find_spec("torch") is not None
    peers = sgd_peers.in_batches(network, PEER_STEPS, BATCH, torch) | {"pair": pair()}
    product = {"product": limits.contenders(DIM * WIDTH)["product"]}
    least = least_seconds(sgd_runs.contenders(network, OUR_STEPS, BATCH) | peers | product, repeats, time.process_time)
    step, flops = sgd_runs.seconds_a_step(least, OUR_STEPS), BATCH * FLOPS
    rate = limits.product_rate(least)
    rows = [row("sgd-batch64", step, name, least[name] / PEER_STEPS, promised=PROMISED.get(name)) for name in peers]
    rows.append(row("sgd-batch64", step, "product", flops / rate))
    notes = [
        f"sgd-batch64: one step of {BATCH} samples; pair is its two matrix products and nothing else, product their "
        "operations at the rate of a large one",
        f"sgd-batch64: {1e-9 * flops / step:.0f} GFLOP/s, {flops / step / rate:.0%} of the matrix product's "
        f"{1e-9 * rate:.0f} GFLOP/s and {least['pair'] / PEER_STEPS / step:.0%} of the pair's "
        f"{1e-9 * flops * PEER_STEPS / least['pair']:.0f}; {1e6 * step / BATCH:.2f} µs a sample",
    ]
    if not torch:
        notes.append('sgd-batch64: torch: not installed, skipped (pip install "odesim[bench]")')
    return Result(rows, notes)


def pair() -> Callable[[], object]:
    """Return PEER_STEPS times both products, in the order that is the quicker, into arrays that are there."""
    rng = np.random.default_rng(0)
    W, X, C = (rng.random(shape, dtype=np.float32) for shape in ((WIDTH, DIM), (BATCH, DIM), (WIDTH, BATCH)))
    L, G = np.empty((WIDTH, BATCH), np.float32), np.empty_like(W)

    def call() -> None:
        for _ in range(PEER_STEPS):
            np.matmul(W, X.T, out=L)
            np.matmul(C, X, out=G)

    return call
