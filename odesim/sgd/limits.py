"""What SGD refuses before anything is allocated, and the shapes it allocates."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from odesim import checks, memory
from odesim.job import Job
from odesim.memory import physical_memory
from odesim.network import DRAWN, Network
from odesim.sgd._random import GROUP
from odesim.sgd.ensemble import at_a_time
from odesim.sgd.mixed import risk
from odesim.sgd.sampled import inputs_for

MEMORY_SHARE = memory.SHARE

GRAMS, PROBLEM, REMEMBERED = 3, 12, 4
"""N by N matrices of an exact risk: of each row found at a time; of a flow's work arrays, which dispatchers of kernels
remember from the last four calls."""

MAX_WIDTH_OF_Q = 64
"""Up to this width the trajectory keeps Q = W Wᵀ."""

ROW_PADDING, NEURON_PADDING = 16, 16  # whole vectors, so that no loop has a scalar remainder


def padded(number: int, multiple: int) -> int:
    """Round up to a multiple."""
    return -(-number // multiple) * multiple


def padded_shape(network: Network) -> tuple[int, int]:
    """Shape of W with its padding."""
    return padded(network.width, 2), padded(network.dim, ROW_PADDING)


def check(job: Job, dtype: np.dtype[Any], threads: int, inputs: int = 0) -> None:
    """Refuse what this dynamics cannot run; ``inputs`` is 0 where its risk is exact."""
    job.training.need("SGD", geometry=("free",), batch=(1,), reuse=("none",))
    if job.network.weights is None:
        raise checks.InputError(
            "network.weights=None, but SGD trains the weights themselves; "
            "use Network.random(...) or Network.from_weights(...)"
        )
    if job.network.m.shape[1] != job.target.P:
        raise checks.InputError(
            f"network.m has {job.network.m.shape[1]} support coordinates, the target {job.target.P}; "
            "draw the network for this target"
        )
    check_memory(job, dtype, threads, inputs)
    if not inputs:
        start = job.network
        risk(job, start.m, start.m @ start.m.T + start.R, start.a, start.b)  # what it refuses is refused now


def check_memory(job: Job, dtype: np.dtype[Any], threads: int, inputs: int = 0) -> None:
    """Refuse, before anything is allocated, what may not fit."""
    sizes = Sizes(job.network.width, job.network.dim, job.target.P, job.seeds, job.steps.size)
    need = forecast(sizes, dtype.itemsize, threads, inputs, kept=job.checkpoint is not None).total
    what = f"network.width={sizes.width} with network.dim={sizes.dim}, {sizes.seeds} seeds and {sizes.points} points"
    memory.refuse(what, need, "lower one of them, dynamics.threads or use dtype='float32'", physical_memory())


class Sizes(NamedTuple):
    """How large a run is."""

    width: int
    dim: int
    coordinates: int
    seeds: int
    points: int


def needed(
    sizes: Sizes, data: str, checkpoint: bool, dtype: str, threads: int | None, test_samples: int | None
) -> memory.Memory:
    """Return what runs of these sizes and options of SGD will need; see `SGD.memory`."""
    inputs = inputs_for(data, sizes.coordinates, sizes.width, test_samples)
    return forecast(sizes, np.dtype(dtype).itemsize, at_a_time(sizes.seeds, threads), inputs, checkpoint)


def forecast(sizes: Sizes, itemsize: int, threads: int, inputs: int, kept: bool) -> memory.Memory:
    """Return what a run will need.

    Parameters
    ----------
    itemsize : int
        Bytes of a weight.
    threads, inputs : int
        Runs that go at a time; test inputs, 0 where the risk is exact.
    kept : bool
        Whether there is a checkpoint: a copy of all that is written.
    """
    N, d, P, seeds, points = sizes
    rows, columns = padded(N, 2), padded(d, ROW_PADDING)
    row = 1 + bool(inputs) + N * P + 2 * N + (N * N if N <= MAX_WIDTH_OF_Q else N)
    drawn = 2 * GROUP * columns * (4 + itemsize)  # words and samples, of the steps and of the tests
    grams = GRAMS * (points if N <= MAX_WIDTH_OF_Q else 1) + PROBLEM
    parts = {
        "start weights": 8 * N * d + (0 if inputs else 8 * N * N),
        "weights of the runs": threads * (2 + kept) * rows * columns * itemsize,
        "samples": threads * (drawn * (1 + bool(inputs)) + 8 * inputs),
        "recorded rows": 8 * (1 + kept) * seeds * points * row,
        "exact risk": 0 if inputs else 8 * N * N * (threads * grams + PROBLEM * REMEMBERED),
    }
    return memory.Memory(parts, start=DRAWN * N * d)
