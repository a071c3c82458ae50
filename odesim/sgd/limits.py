"""What SGD refuses before anything is allocated, and the shapes it allocates."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from odesim import checks
from odesim.job import Job
from odesim.network import Network
from odesim.sgd._products import NEURONS, SAMPLES
from odesim.sgd._random import GROUP
from odesim.sgd.mixed import risk
from odesim.training import INNER, Training

MEMORY_SHARE = 0.5
"""Share of the machine's memory that a run may ask for."""

MAX_WIDTH_OF_Q = 64
"""Up to this width the trajectory keeps Q = W Wᵀ."""

ROW_PADDING, NEURON_PADDING = 16, 16  # whole vectors, so that no loop has a scalar remainder

PAIR = 2
"""Rows of W that batch 1 takes at a time."""

SLICE = 64
"""Samples of a batch that go through together at most; 4 kB of each beside 60 rows of W fill half a second cache."""


def padded(number: int, multiple: int) -> int:
    """Round up to a multiple."""
    return -(-number // multiple) * multiple


def padded_shape(network: Network, rows: int = PAIR) -> tuple[int, int]:
    """Shape of W with its padding, ``rows`` at a time."""
    return padded(network.width, rows), padded(network.dim, ROW_PADDING)


def slice_of(batch: int) -> int:
    """Samples that go through together: slices are as even as whole groups of four samples allow."""
    slices = -(-batch // SLICE)
    return padded(-(-batch // slices), SAMPLES)


def slice_rows(batch: int) -> int:
    """Rows that hold a slice and what its first and last group have beyond it."""
    return slice_of(batch) + 2 * GROUP


def leans(training: Training) -> bool:
    """Whether a step looks at its samples where an inner step leads."""
    return training.reuse in INNER


def sums_apart(training: Training) -> bool:
    """Whether the updates of a batch are summed before W takes them: those of several slices, or of the sphere."""
    return training.batch > SLICE or training.geometry == "sphere"


def check(job: Job, dtype: np.dtype[Any], threads: int) -> None:
    """Refuse what this dynamics cannot run."""
    job.training.need("SGD", geometry=("free", "sphere"))
    if job.training.batch == math.inf:
        raise checks.InputError("training.batch=inf is unknown to SGD, which draws its samples; use a number of them")
    check_start(job, "SGD")
    check_memory(job, dtype, threads)
    if job.training.geometry == "sphere":
        check_sphere(job)


def check_start(job: Job, who: str) -> None:
    """Refuse a network that the dynamics ``who`` cannot train, or whose risk cannot be had."""
    if job.network.weights is None:
        raise checks.InputError(
            f"network.weights=None, but {who} trains the weights themselves; "
            "use Network.random(...) or Network.from_weights(...)"
        )
    if job.network.m.shape[1] != job.target.P:
        raise checks.InputError(
            f"network.m has {job.network.m.shape[1]} support coordinates, the target {job.target.P}; "
            "draw the network for this target"
        )
    start = job.network
    risk(job, start.m, start.m @ start.m.T + start.R, start.a, start.b)  # what it refuses is refused now


def check_sphere(job: Job) -> None:
    """Refuse decay, which does nothing there, and weights without a direction."""
    if job.training.decay_w:
        raise checks.InputError(
            f"training.decay_w={job.training.decay_w:g} does nothing on the sphere; give 0, or geometry='free'"
        )
    squares = (job.network.m**2).sum(axis=1) + np.diagonal(job.network.R)
    if not (squares > 0).all():
        raise checks.InputError(
            f"network.weights of neuron {int(np.argmin(squares))} have length 0 and no place on the sphere; "
            "start from another vector"
        )


def check_memory(job: Job, dtype: np.dtype[Any], threads: int, beside: int = 0) -> None:
    """Refuse, before anything is allocated, what may not fit; ``beside`` bytes more for each run in a thread."""
    memory = physical_memory()
    N, P, training = job.network.width, job.target.P, job.training
    copies, group, rows = 2, 2 * GROUP, PAIR  # an output step may be seen ahead, on a copy
    if training.batch > 1:
        copies, rows = 1 + leans(training) + sums_apart(training), NEURONS
        group = slice_rows(int(training.batch))
    rows, columns = padded_shape(job.network, rows)
    row = 1 + N * P + 2 * N + (N * N if N <= MAX_WIDTH_OF_Q else 0)
    samples = columns * (2 * GROUP * 4 + group * dtype.itemsize)  # words beside them
    kept = job.checkpoint is not None  # a copy of all that is written
    weights = (copies + kept) * rows * columns * dtype.itemsize
    need = threads * (weights + samples + beside) + 8 * (1 + kept) * job.seeds * job.steps.size * row
    if memory and need > MEMORY_SHARE * memory:
        raise checks.InputError(
            f"network.width={N} with network.dim={job.network.dim}, {job.seeds} seeds and "
            f"{job.steps.size} points needs {need / 1e9:.1f} GB, above {MEMORY_SHARE:.0%} of this machine's "
            f"{memory / 1e9:.1f} GB; lower one of them, dynamics.threads or use dtype='float32'"
        )


def physical_memory() -> int:
    """Bytes of memory, 0 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0
