"""Where the chain begins, what it refuses, and how large its arrays are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from odesim import checks
from odesim.job import Job
from odesim.network import Network
from odesim.sgd._full import gram_of_rows
from odesim.sgd.limits import check_tangent, padded
from odesim.training import TwoRadii

Array = NDArray[np.float64]

SMALLEST_PIVOT = 1e-15
"""Directions shorter than this, squared and relative to the longest residual, are left out of the start."""

LENGTH = 1e-6
"""How far the start's lengths may be from 1 under two radii."""


def check(job: Job) -> None:
    """Refuse what has no closed law."""
    network, training = job.network, job.training
    if job.target.data != "gaussian":
        raise checks.InputError(
            f"target.data={job.target.data!r} has no exact chain: SGD's overlaps are Markov on Gaussian data only; "
            "use SGD()"
        )
    if training.batch == np.inf:
        raise checks.InputError("training.batch=inf takes no samples; give a number, or use OverlapFlow()")
    if network.m.shape[1] != job.target.P:
        raise checks.InputError(
            f"network.m has {network.m.shape[1]} support coordinates, the target {job.target.P}; "
            "draw the network for this target"
        )
    if training.geometry != "free":
        _check_lengths(job)


def _check_lengths(job: Job) -> None:
    training = job.training
    if isinstance(training.geometry, TwoRadii):
        training.need("Chain under two radii", batch=(1,), reuse=("none",), normalised=(False,), decay_w=(0,))
    if training.decay_w:
        raise checks.InputError(
            f"training.decay_w={training.decay_w:g} does nothing on the sphere; give 0, or geometry='free'"
        )
    check_tangent(job)
    lengths = lengths_of(job.network)
    if not (lengths > 0).all():
        raise checks.InputError(
            f"network: neuron {int(np.argmin(lengths))} has weights of length 0 and no place on the sphere; "
            "start from another vector"
        )
    worst = int(np.argmax(np.abs(lengths - 1)))
    if isinstance(training.geometry, TwoRadii) and not abs(lengths[worst] - 1) <= LENGTH:
        raise checks.InputError(
            f"network: neuron {worst} has weights of length {lengths[worst]:.6g}, and under two radii they start from "
            "length 1; scale them"
        )


def block_of(job: Job) -> int:
    """Steps from one compression to the next."""
    return steps_a_block(job.network.width, int(job.training.batch))


def coordinates(job: Job) -> int:
    """Most coordinates in use."""
    return most_coordinates(job.network.width, job.target.P, job.network.dim, int(job.training.batch))


def steps_a_block(width: int, batch: int) -> int:
    """Steps from one compression to the next: about as many new directions as there are neurons."""
    return max(1, max(4, width) // batch)


def most_coordinates(width: int, P: int, dim: int, batch: int) -> int:
    """Most coordinates in use, those of the next four samples included, as a multiple of four."""
    most = P + width + steps_a_block(width, batch) * batch
    return padded(min(most + 4, max(dim, P + 1)), 4)


def placed(job: Job) -> Job:
    """Return the job with its start where the geometry has it: on the sphere, weights of length 1."""
    network = job.network
    if job.training.geometry != "sphere":
        return job
    length = lengths_of(network)
    m, R = network.m / length[:, None], residuals(network) / np.outer(length, length)
    return replace(job, network=replace(network, m=m, R=R, weights=None))


def lengths_of(network: Network) -> Array:
    """|w_j| of all neurons."""
    return np.sqrt(np.einsum("jr,jr->j", network.m, network.m) + np.diagonal(residuals(network)))


def residuals(network: Network) -> Array:
    """Return the residuals' Gram matrix R, from the weights in a fixed order where there are any."""
    if network.weights is None:
        return network.R
    R = np.empty_like(network.R)
    gram_of_rows(np.ascontiguousarray(network.weights[:, network.m.shape[1] :]), R)
    return R


def factor(R: Array, rank: int) -> Array:
    """Return L (N, n) with R = L Lᵀ, n <= ``rank``, by Cholesky with pivots: R may be singular."""
    rest, columns = R.copy(), []
    least = SMALLEST_PIVOT * max(float(np.diagonal(R).max(initial=0.0)), 0.0)
    for _ in range(rank):
        pivot = int(np.argmax(np.diagonal(rest)))
        if rest[pivot, pivot] <= least:
            break
        columns.append(rest[:, pivot] / np.sqrt(rest[pivot, pivot]))
        rest -= np.multiply.outer(columns[-1], columns[-1])
    return np.array(columns).T if columns else np.zeros((R.shape[0], 0))
