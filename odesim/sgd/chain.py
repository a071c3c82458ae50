"""Chain: the exact law of online SGD on Gaussian data, without any vector of d entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from odesim import checks
from odesim import memory as memories
from odesim._packs import WIDTH
from odesim.job import Job
from odesim.memory import Memory
from odesim.sgd import _chain as kernels
from odesim.sgd._chain_step import Setting
from odesim.sgd.bundles import Bundles
from odesim.sgd.chain_memory import joint_needs
from odesim.sgd.chain_start import block_of, check, coordinates, factor, placed, residuals
from odesim.sgd.ensemble import Look, threads_for
from odesim.sgd.full import shapes
from odesim.sgd.handed import seed_of, shared_of
from odesim.sgd.limits import Sizes, check_risk
from odesim.sgd.mixed import risk
from odesim.training import Training, TwoRadii
from odesim.trajectory import Status, Trajectory

WORK_A_CALL = 2e6
"""Packs that a call of the kernel sweeps: some hundredths of a second."""


@dataclass(frozen=True)
class Chain:
    """Online SGD of the whole network on Gaussian data, in law, at a cost a step that does not know d.

    Given (m, R, a, b) a fresh sample has Gaussian (z, λ), z its coordinates in the support and λ_j = <w_j, x>, and a
    squared length outside the support and the weights that is an independent χ². So the overlaps are a Markov chain,
    and what is simulated is that chain, exactly: risk, overlaps, a and b have the joint law over all times of those of
    `SGD`, run by run from the same start. A step costs about N (N + P) operations, plus N B (N + B) for a batch of B.

    All of `Training` is known but an infinite batch: batches, both losses, label noise, decay, schedules, re-use of
    samples, normalised gradients and the sphere, where every w_j is first scaled to length 1. Under ``TwoRadii`` a
    coordinate of the support is an entry of m, and can be released; those outside it are together in the residuals and
    are taken never to reach r. Whether one of them would have cannot be told from R: the law is that of SGD as long
    as none does, which for entries of size 1/√d and r that is not small is all but certain.

    Parameters
    ----------
    threads : int, optional
        Bundles of 16 replicas that run at a time; default one a core. It does not change the results.

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

        The start is the network's weights or, as they need not exist, its overlaps alone.

        Returns
        -------
        Trajectory
            Under two radii ``events["release"]`` (S, N, P) has the flow time after the step that released a coordinate
            of the support, NaN for none.

        Raises
        ------
        InputError
            For Boolean data, an infinite batch, decay of w off the free geometry, re-use, batches or normalised
            gradients under two radii, a start without length where there is a sphere, a risk that cannot be had or a
            lack of memory.
        """
        self.check(job)
        job = placed(job)
        start, constants = lanes_of(job), _constants(job)
        fields = shapes(job)
        if isinstance(job.training.geometry, TwoRadii):
            fields["release"] = job.network.m.shape
        ensemble = Bundles(job, lambda index, members: _Walk.begin(job, members, start, constants), fields, WIDTH)
        ensemble.run(threads_for(job, self.threads))
        trajectory = ensemble.trajectory("chain")
        ensemble.rows.clear()  # of which the trajectory has copies
        return trajectory

    def check(self, job: Job) -> None:
        """Refuse what `simulate` would refuse, before anything is allocated.

        Raises
        ------
        InputError
            As `simulate` does.
        """
        check(job)
        (N, P), network = job.network.m.shape, job.network
        sizes = Sizes(N, network.dim, P, job.seeds, job.steps.size)
        kept, weights = job.checkpoint is not None, network.weights is not None
        need = joint_needs(sizes, job.training, self.threads, kept, weights)
        batch, points = job.training.batch, job.steps.size
        what = f"network.width={N} with training.batch={batch:g}, {job.seeds} seeds and {points} points"
        memories.refuse(what, sum(need.parts.values()), "lower one of them or dynamics.threads")
        check_risk(job)

    def memory(
        self,
        *,
        width: int,
        dim: int,
        coordinates: int,
        training: Training | None = None,
        seeds: int = 1,
        points: int = 300,
        checkpoint: bool = False,
        weights: bool = True,
    ) -> Memory:
        """Say what a run will need, before anything is drawn: ``print(Chain().memory(width=100, dim=10**6, ...))``.

        As `SGD.memory`; ``weights`` says, as of `Network.random`, whether the start has its weights, and not its
        overlaps alone, which do not grow with ``dim``.
        """
        sizes = Sizes(width, dim, coordinates, seeds, points)
        return joint_needs(sizes, training or Training(eta=1.0), self.threads, checkpoint, weights)


def begin(job: Job, members: range) -> _Walk:
    """Return the walk of these data seeds by itself."""
    job = placed(job)
    return _Walk.begin(job, members, lanes_of(job), _constants(job))


def _constants(job: Job) -> tuple[Any, ...]:
    """Return the kernel's arguments that all bundles share."""
    return *shared_of(job), setting_of(job)


def setting_of(job: Job) -> Setting:
    """Lay out what the kernel is told of the training beside the rule."""
    training = job.training
    radii = training.geometry if isinstance(training.geometry, TwoRadii) else None
    between = training.geometry == "sphere" or training.reuse != "none" or training.normalised
    return Setting(
        dim=job.network.dim,
        batch=int(training.batch),
        block=block_of(job),
        products=int(between),
        r=radii.r if radii else 0.0,
        delta=radii.delta if radii else 0.0,
    )


def lanes_of(job: Job) -> tuple[kernels.Lanes, int]:
    """Return a bundle of replicas at the network's start, without keys, and how many directions it uses."""
    network, width = job.network, WIDTH
    N, P = network.m.shape
    L = factor(residuals(network), min(N, network.dim - P))
    directions = L.shape[1]
    V = np.zeros((N, coordinates(job), width))
    V[:, :P], V[:, P : P + directions] = network.m[:, :, None], L[:, :, None]
    a, b = (np.repeat(one[:, None], width, axis=1) for one in (network.plain_a, network.b))
    keys, status, ended = np.zeros((2, width), np.uint32), *np.zeros((2, width), np.int64)
    return kernels.Lanes(V, a, b, keys, status, ended, np.full((N, P, width), -1.0)), directions


@dataclass
class _Walk:
    """One bundle of replicas."""

    job: Job
    lanes: kernels.Lanes
    directions: int
    constants: tuple[Any, ...]
    step: int = 0

    @classmethod
    def begin(cls, job: Job, members: range, start: tuple[kernels.Lanes, int], constants: tuple[Any, ...]) -> _Walk:
        """All replicas from one start, each with its own samples; lanes without a replica idle."""
        lanes, directions = kernels.Lanes(*(one.copy() for one in start[0])), start[1]
        lanes.status[:] = Status.INTERRUPTED
        for lane, index in enumerate(members):
            seed = int(seed_of(job, index))
            lanes.keys[:, lane], lanes.status[lane] = (seed & 0xFFFFFFFF, seed >> 32), Status.DONE
        return cls(job, lanes, directions, constants)

    def advance(self, until: int) -> Status:
        """Advance to ``until``, or towards it."""
        count = min(until - self.step, _steps_a_call(self.job))
        if count > 0 and (self.lanes.status == Status.DONE).any():
            self.directions = kernels.advance(self.lanes, self.directions, self.step, count, *self.constants)
        self.step += count
        return Status.DONE

    def look(self, step: int) -> Look:
        """Return the overlaps of all lanes, and end those with a number that is not finite; the walk stands there."""
        lanes, network = self.lanes, self.job.network
        N, P = network.m.shape
        m, Q = np.empty((N, P, WIDTH)), np.empty((N, N, WIDTH))
        kernels.lane_overlaps(lanes.V, P + self.directions, m, Q)
        values = {"m": m, "Q": Q, "a": lanes.a / network.unit, "b": lanes.b.copy()}
        values = {name: np.ascontiguousarray(np.moveaxis(value, -1, 0)) for name, value in values.items()}
        for lane in np.flatnonzero(lanes.status == Status.DONE):
            if not all(np.isfinite(value[lane]).all() for value in values.values()):
                lanes.status[lane], lanes.ended[lane] = Status.NOT_FINITE, step
        start = {"m": network.m, "Q": network.m @ network.m.T + network.R, "a": network.a, "b": network.b}
        for name, value in start.items():  # where nothing more is to be told
            values[name][lanes.status != Status.DONE] = value
        with np.errstate(over="ignore", invalid="ignore"):
            values["risk"] = risk(self.job, *(values[name] for name in ("m", "Q", "a", "b")))
        for lane in np.flatnonzero(~np.isfinite(values["risk"])):
            lanes.status[lane], lanes.ended[lane], values["risk"][lane] = Status.NOT_FINITE, step, 0.0
        values |= {"q": np.diagonal(values["Q"], axis1=1, axis2=2), "release": np.moveaxis(lanes.when, -1, 0)}
        values |= {"status": lanes.status.astype(float), "ended": lanes.ended.astype(float)}
        return Look(Status.DONE, step, values)

    def finish(self, rows: Mapping[str, NDArray[np.float64]]) -> None:
        """All rows are found on the way."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return copies of the state; the keys follow from the job."""
        found = {name: value.copy() for name, value in self.lanes._asdict().items() if name != "keys"}
        return found | {"directions": np.array(self.directions), "step": np.array(self.step)}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take the state from `arrays`."""
        for name, value in self.lanes._asdict().items():
            if name != "keys":
                value[:] = arrays[name]
        self.directions, self.step = int(arrays["directions"]), int(arrays["step"])


def _steps_a_call(job: Job) -> int:
    """Steps that take a few hundredths of a second."""
    batch = int(job.training.batch)
    return max(1, int(WORK_A_CALL / (batch * (job.network.width + batch) * coordinates(job))))
