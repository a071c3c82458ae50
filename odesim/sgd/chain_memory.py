"""What runs of the exact chain need of memory, joint or of neurons alone, before anything is allocated."""

from __future__ import annotations

import math

from odesim._packs import WIDTH
from odesim.memory import Memory
from odesim.network import DRAWN
from odesim.sgd._alone_draws import CALLS, MOST_ROWS
from odesim.sgd._random import GROUP
from odesim.sgd.chain_start import most_coordinates
from odesim.sgd.ensemble import at_a_time
from odesim.sgd.limits import MAX_WIDTH_OF_Q, PROBLEM, REMEMBERED, Sizes, padded
from odesim.training import Training, TwoRadii

GRAMS = 4
"""N by N matrices of every lane while a row is recorded: as found, replica by replica, residuals, flat states."""

FACTORS = 5
"""N by N matrices while the start is factored."""


def joint_needs(sizes: Sizes, training: Training, threads: int | None, kept: bool, weights: bool) -> Memory:
    """Return what `Chain` will need.

    While bundles of 16 replicas run, there are their weights, twice, as the start is kept; when all have ended, the
    recorded rows are copied from bundles to replicas. The larger of the two counts.

    Parameters
    ----------
    sizes : Sizes
    training : Training
    threads : int, optional
        Bundles that go at a time; default one a core.
    kept : bool
        Whether there is a checkpoint: a copy of all that is written.
    weights : bool
        Whether the network has its weights, from which the overlaps are taken.
    """
    N, d, P, seeds, points = sizes
    bundles, batch = at_a_time(-(-seeds // WIDTH), threads), _batch(training)
    most = most_coordinates(N, P, d, batch)
    V = 8 * WIDTH * N * most
    scratch = WIDTH * (16 * batch * most + 40 * most + 8 * batch * (6 * N + batch + 3))
    flow, Q = 8 * N * N * PROBLEM, N * N if N <= MAX_WIDTH_OF_Q else 0
    row = 3 + N * P * (1 + isinstance(training.geometry, TwoRadii)) + 2 * N + (Q or N)
    written = 8 * padded(seeds, WIDTH) * points * row
    running = {
        "replicas": V + bundles * ((1 + kept) * V + scratch),
        "exact risk": 8 * N * N * bundles * WIDTH * GRAMS + flow * (bundles + REMEMBERED),
    }
    laying_out = {
        "replicas": 2 * V,
        "exact risk": flow * REMEMBERED,
        "rows run by run": 8 * points * (seeds * row + padded(seeds, WIDTH) * Q),
    }
    parts = {
        "start weights": 8 * N * d if weights else 0,
        "recorded rows": (1 + kept) * written,
        **max(running, laying_out, key=lambda part: sum(part.values())),
    }
    start = 8 * N * N * FACTORS + (DRAWN * N * d if weights else 0)
    return Memory(parts, start)


def alone_needs(
    sizes: Sizes, training: Training, threads: int | None, kept: bool, weights: bool, events: int = 0
) -> Memory:
    """Return what `NeuronChain` will need, of ``events`` asked for; else as `joint_needs`."""
    N, d, P, seeds, points = sizes
    replicas, batch = seeds * N, _batch(training)
    normals = batch * (P + int(d > P) + int(training.noise > 0)) + 1
    calls = CALLS
    while calls > 1 and calls * normals > MOST_ROWS:
        calls //= 2
    block = GROUP * calls * WIDTH * (4 + 4 * normals + 8 + 8 * batch)
    rows = 8 * replicas * (points * (P + 3) + events + P + 2)
    parts = {
        "start weights": 8 * N * (d if weights else 0) + 8 * N * N,
        "recorded rows": (1 + kept) * rows,
        "rows run by run": 8 * replicas * points * (P + 7 if N == 1 else P + 3) + 8 * replicas * (events + P),
        "samples": at_a_time(seeds, threads) * block,
    }
    return Memory(parts, 8 * N * N + (DRAWN * N * d if weights else 0))


def _batch(training: Training) -> int:
    """Samples a step; of infinitely many, which are refused elsewhere, one."""
    return 1 if math.isinf(training.batch) else int(training.batch)
