"""Chain: the exact law of online SGD on Gaussian data, without any vector of d entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from odesim import checks
from odesim.job import Job
from odesim.network import Network
from odesim.sgd import _chain as kernels
from odesim.sgd.bundles import Bundles
from odesim.sgd.ensemble import Look, threads_for
from odesim.sgd.full import _seed, _shared
from odesim.sgd.limits import MAX_WIDTH_OF_Q
from odesim.sgd.mixed import risk
from odesim.trajectory import Status, Trajectory

Array = NDArray[np.float64]

WORK_A_CALL = 2e6
"""Numbers of V that a call of the kernel sweeps, in packs: some hundredths of a second."""

SMALLEST_PIVOT = 1e-15
"""Directions shorter than this, squared and relative to the longest residual, are left out of the start."""


@dataclass(frozen=True)
class Chain:
    """Online SGD of the whole network in law, at a cost a step that does not know d.

    Given (m, R, a, b) a fresh Gaussian sample has (z, λ) Gaussian, and its squared length outside all weights is an
    independent χ². So the overlaps are a Markov chain, whose law is exactly that of the overlaps of `SGD`.

    Parameters
    ----------
    threads : int, optional
        Bundles of replicas that run at a time; default one a core. It does not change the results.

    Raises
    ------
    InputError
        For a number of threads below 1.
    """

    keeps_checkpoints: ClassVar[bool] = True
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.threads is not None:
            checks.integer("threads", self.threads, low=1, remedy="leave it out for one a core")

    def simulate(self, job: Job) -> Trajectory:
        """Run one replica for every data seed and record risk and overlaps at ``job.steps``.

        Raises
        ------
        InputError
            For Boolean data, or training that the chain does not know.
        """
        _check(job)
        ensemble = Bundles(job, lambda index, members: _Walk.begin(job, members), _shapes(job), kernels.WIDTH)
        ensemble.run(threads_for(job, self.threads))
        return ensemble.trajectory("Chain")


@dataclass
class _Walk:
    """One bundle of replicas."""

    job: Job
    lanes: kernels.Lanes
    directions: int
    constants: tuple[Any, ...]
    step: int = 0

    @classmethod
    def begin(cls, job: Job, members: range) -> _Walk:
        """All replicas from the network's start, each with its own samples; lanes without one idle."""
        network, width = job.network, kernels.WIDTH
        N, P = network.m.shape
        L = factor(residuals(network), min(N, network.dim - P))
        n = L.shape[1]
        V = np.zeros((N, _coordinates(job), width))
        V[:, :P], V[:, P : P + n] = network.m[:, :, None], L[:, :, None]
        keys = np.zeros((2, width), np.uint32)
        status = np.full(width, int(Status.INTERRUPTED))
        for lane, index in enumerate(members):
            seed = int(_seed(job, index))
            keys[:, lane], status[lane] = (seed & 0xFFFFFFFF, seed >> 32), Status.DONE
        a, b = (np.repeat(one[:, None], width, axis=1) for one in (network.plain_a, network.b))
        return cls(job, kernels.Lanes(V, a, b, keys, status, np.zeros(width, np.int64)), n, _shared(job))

    def advance(self, until: int) -> Status:
        """Advance to ``until``, or towards it."""
        V = self.lanes.V
        count = min(until - self.step, max(1, int(WORK_A_CALL / (V.shape[0] * V.shape[1]))))
        if count > 0 and (self.lanes.status == Status.DONE).any():
            P, dim = self.job.target.P, self.job.network.dim
            block = block_of(self.job)
            self.directions = kernels.advance(
                self.lanes, P, dim, self.directions, block, self.step, count, *self.constants
            )
        self.step += count
        return Status.DONE

    def look(self, step: int) -> Look:
        """Return the overlaps of all lanes; the walk stands at ``step``."""
        lanes, P = self.lanes, self.job.target.P
        m, Q = np.empty((kernels.WIDTH, *self.job.network.m.shape)), np.empty((kernels.WIDTH, *self.job.network.R.shape))
        kernels.lane_overlaps(lanes.V, P + self.directions, m, Q)
        a, b = lanes.a.T / self.job.network.unit, lanes.b.T.copy()
        values = {"m": m, "Q": Q, "q": np.diagonal(Q, axis1=1, axis2=2), "a": a, "b": b}
        values |= {"risk": risk(self.job, m, Q, a, b)}
        values |= {"status": lanes.status.astype(float), "ended": lanes.ended.astype(float)}
        return Look(Status.DONE, step, values)

    def finish(self, rows: Mapping[str, Array]) -> None:
        """All rows are found on the way."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return copies of the state."""
        found = {name: value.copy() for name, value in self.lanes._asdict().items() if name != "keys"}
        return found | {"directions": np.array(self.directions), "step": np.array(self.step)}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take the state from `arrays`."""
        for name, value in self.lanes._asdict().items():
            if name != "keys":
                value[:] = arrays[name]
        self.directions, self.step = int(arrays["directions"]), int(arrays["step"])


def residuals(network: Network) -> Array:
    """Return the residuals' Gram matrix R, from the weights in a fixed order where there are any."""
    from odesim.sgd._full import gram_of_rows

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


def block_of(job: Job) -> int:
    """Steps from one compression to the next: about as many as there are neurons."""
    return max(4, job.network.width)


def _coordinates(job: Job) -> int:
    """Most coordinates in use, as a multiple of four, the next sample's new one included."""
    N, P = job.network.m.shape
    most = P + min(N + block_of(job), job.network.dim - P) + 1
    return -(-most // 4) * 4


def _shapes(job: Job) -> dict[str, tuple[int, ...]]:
    N, P = job.network.m.shape
    gram = {"q": (N,)} if N > MAX_WIDTH_OF_Q else {"Q": (N, N)}
    return {"risk": (), "m": (N, P), "a": (N,), "b": (N,), **gram}


def _check(job: Job) -> None:
    """Refuse what has no closed law."""
    job.training.need("Chain", geometry=("free", "sphere"), batch=(1,))
    if job.target.data != "gaussian":
        raise checks.InputError(
            f"target.data={job.target.data!r} has no exact chain: the overlaps of SGD are Markov on Gaussian data only; "
            "use SGD()"
        )
