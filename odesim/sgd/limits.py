"""What SGD refuses before anything is allocated, and the shapes it allocates."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from odesim import checks, memory
from odesim.job import Job
from odesim.memory import physical_memory
from odesim.network import DRAWN, Network
from odesim.sgd._products import NEURONS, SAMPLES
from odesim.sgd._random import GROUP
from odesim.sgd.ensemble import at_a_time
from odesim.sgd.mixed import risk
from odesim.sgd.sampled import inputs_for
from odesim.training import INNER, Training

GRAMS, PROBLEM, REMEMBERED = 3, 12, 4
"""N by N matrices of an exact risk: of each row found at a time; of a flow's work arrays, which dispatchers of kernels
remember from the last four calls."""

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
    """Whether a batch is summed before W takes it: in several slices, on the sphere, where its length is to be set."""
    return training.batch > SLICE or training.geometry == "sphere" or training.normalised


def check(job: Job, dtype: np.dtype[Any], threads: int, inputs: int = 0) -> None:
    """Refuse what SGD cannot run; ``inputs`` is 0 where its risk is exact."""
    job.training.need("SGD", geometry=("free", "sphere"))
    if job.training.batch == math.inf:
        raise checks.InputError("training.batch=inf is unknown to SGD, which draws its samples; use a number of them")
    check_start(job, "SGD")
    check_memory(job, dtype, threads, inputs)
    if job.training.geometry == "sphere":
        check_sphere(job)
    if not inputs:
        check_risk(job)


def check_start(job: Job, who: str) -> None:
    """Refuse a network that the dynamics ``who`` cannot train."""
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


def check_risk(job: Job) -> None:
    """Refuse now what the exact risk refuses."""
    start = job.network
    risk(job, start.m, start.m @ start.m.T + start.R, start.a, start.b)


def check_sphere(job: Job) -> None:
    """Refuse decay, which does nothing there, and weights without a direction."""
    if job.training.decay_w:
        raise checks.InputError(
            f"training.decay_w={job.training.decay_w:g} does nothing on the sphere; give 0, or geometry='free'"
        )
    check_tangent(job)
    squares = (job.network.m**2).sum(axis=1) + job.network.residual_norms
    if not (squares > 0).all():
        raise checks.InputError(
            f"network.weights of neuron {int(np.argmin(squares))} have length 0 and no place on the sphere; "
            "start from another vector"
        )


def check_tangent(job: Job) -> None:
    """Refuse a step of given length on a sphere that is two points."""
    if job.training.normalised and job.network.dim == 1:
        raise checks.InputError(
            "training.normalised=True, but the sphere of network.dim=1 has no tangent to step along; "
            "give another dim, or False"
        )


def check_memory(job: Job, dtype: np.dtype[Any], threads: int, inputs: int = 0, beside: int = 0) -> None:
    """Refuse, before anything is allocated, what may not fit; ``beside`` bytes more for each run in a thread."""
    sizes = Sizes(job.network.width, job.network.dim, job.target.P, job.seeds, job.steps.size)
    kept = job.checkpoint is not None
    need = forecast(sizes, job.training, dtype.itemsize, threads, inputs, kept, beside).total
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
    sizes: Sizes,
    data: str,
    training: Training,
    checkpoint: bool,
    dtype: str,
    threads: int | None,
    test_samples: int | None,
    released: bool = False,
) -> memory.Memory:
    """Return what runs of these sizes and options of SGD will need; see `SGD.memory`.

    ``released`` says whether they keep a list of the coordinates that each neuron has released, as `Layerwise` does.
    """
    inputs = inputs_for(data, sizes.coordinates, sizes.width, test_samples)
    at_once = at_a_time(sizes.seeds, threads)
    beside = (2 + checkpoint) * sizes.width * padded(sizes.dim, ROW_PADDING) * 4 if released else 0
    return forecast(sizes, training, np.dtype(dtype).itemsize, at_once, inputs, checkpoint, beside)


def forecast(
    sizes: Sizes, training: Training, itemsize: int, threads: int, inputs: int, kept: bool, beside: int = 0
) -> memory.Memory:
    """Return what a run will need.

    Parameters
    ----------
    itemsize : int
        Bytes of a weight.
    threads, inputs : int
        Runs that go at a time; test inputs, 0 where the risk is exact.
    kept : bool
        Whether there is a checkpoint: a copy of all that is written.
    beside : int
        Bytes that a run holds beside its weights and samples.
    """
    N, d, P, seeds, points = sizes
    copies, held, rows = 2, 2 * GROUP, PAIR  # an output step may be seen ahead, on a copy
    if 1 < training.batch < math.inf:
        copies, rows = 1 + leans(training) + sums_apart(training), NEURONS
        held = slice_rows(int(training.batch))
    columns = padded(d, ROW_PADDING)
    row = 1 + bool(inputs) + N * P + 2 * N + (N * N if N <= MAX_WIDTH_OF_Q else N)
    samples = columns * (2 * GROUP * 4 + held * itemsize)  # words beside them
    tests = 2 * GROUP * columns * (4 + itemsize) + 8 * inputs if inputs else 0
    grams = GRAMS * (points if N <= MAX_WIDTH_OF_Q else 1) + PROBLEM
    parts = {
        "start weights": 8 * N * d * (1 + (training.geometry == "sphere")) + (0 if inputs else 8 * N * N),
        "weights of the runs": threads * ((copies + kept) * padded(N, rows) * columns * itemsize + beside),
        "samples": threads * (samples + tests),
        "recorded rows": 8 * (1 + kept) * seeds * points * row,
        "exact risk": 0 if inputs else 8 * N * N * (threads * grams + PROBLEM * REMEMBERED),
    }
    return memory.Memory(parts, start=DRAWN * N * d)
