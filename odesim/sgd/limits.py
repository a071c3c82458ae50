"""What SGD refuses before anything is allocated, and the shapes it allocates."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from odesim import checks
from odesim.job import Job
from odesim.network import Network
from odesim.sgd._random import GROUP
from odesim.sgd.mixed import risk

MEMORY_SHARE = 0.5
"""Share of the machine's memory that a run may ask for."""

MAX_WIDTH_OF_Q = 64
"""Up to this width the trajectory keeps Q = W Wᵀ."""

ROW_PADDING, NEURON_PADDING = 16, 16  # whole vectors, so that no loop has a scalar remainder


def padded(number: int, multiple: int) -> int:
    """Round up to a multiple."""
    return -(-number // multiple) * multiple


def padded_shape(network: Network) -> tuple[int, int]:
    """Shape of W with its padding."""
    return padded(network.width, 2), padded(network.dim, ROW_PADDING)


def check(job: Job, dtype: np.dtype[Any], threads: int) -> None:
    """Refuse what this dynamics cannot run."""
    job.training.need("SGD", geometry=("free",), batch=(1,), reuse=("none",), normalised=(False,))
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
    check_memory(job, dtype, threads)
    start = job.network
    risk(job, start.m, start.m @ start.m.T + start.R, start.a, start.b)  # what it refuses is refused now


def check_memory(job: Job, dtype: np.dtype[Any], threads: int) -> None:
    """Refuse, before anything is allocated, what may not fit."""
    memory = physical_memory()
    N, P = job.network.width, job.target.P
    rows, columns = padded_shape(job.network)
    row = 1 + N * P + 2 * N + (N * N if N <= MAX_WIDTH_OF_Q else 0)
    group = 2 * GROUP * columns * (4 + dtype.itemsize)  # words and samples
    kept = job.checkpoint is not None  # a copy of all that is written
    weights = (2 + kept) * rows * columns * dtype.itemsize
    need = threads * (weights + group) + 8 * (1 + kept) * job.seeds * job.steps.size * row
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
