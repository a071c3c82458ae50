"""NeuronChain: the exact law of online SGD for every neuron alone, each with samples of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from odesim import checks
from odesim import memory as memories
from odesim.events import RISK
from odesim.integrate.events import check_overlaps
from odesim.job import Job
from odesim.memory import Memory
from odesim.sgd import _alone as kernels
from odesim.sgd._alone_state import FREE, RADII, SPHERE, Plan
from odesim.sgd.chain_memory import alone_needs
from odesim.sgd.ensemble import threads_for
from odesim.sgd.handed import seed_of, shared_of
from odesim.sgd.limits import Sizes
from odesim.sgd.replicas import Replicas
from odesim.training import INNER, Training, TwoRadii
from odesim.trajectory import Trajectory

Array = NDArray[np.float64]


@dataclass(frozen=True)
class NeuronChain:
    """Online SGD of every neuron by itself, in law: a few numbers a neuron, whatever the dimension.

    Under the correlation loss −y f neurons do not see each other, and of a neuron a fresh Gaussian sample sees its
    overlaps m, its part along the residual v, and a χ² of d − P − 1 degrees of freedom. So (m, |v|, a, b) is a Markov
    chain, whose law is exactly that of the neuron's in `SGD`. At width 1 the square loss is known as well.

    Every neuron has samples of its own, in SGD all share them: what one neuron does has SGD's law, what several do
    together has not. So there is no risk at widths above 1 (NaN), and of W Wᵀ only the diagonal. `Chain` has the joint
    law, at a cost a step that grows as the width squared; here a neuron's step takes some nanoseconds, and thousands
    of runs are quick. Neuron j of run s depends on ``rng``, s and j alone.

    Geometries: "free", "sphere", where every start is first scaled to, and `TwoRadii`, for the support. There the law
    closes as long as no coordinate off the support reaches r, which is assumed (and checked at the start where the
    network has its weights); ``Trajectory.events["release"]`` has the times.

    Events on overlaps are looked for after every step; a terminal one ends its neuron. With ``points=2`` a run keeps
    its start, its end and when its events happened, so that memory does not grow with the steps.

    Parameters
    ----------
    threads : int, optional
        Default one a core. It does not change the results.

    Raises
    ------
    InputError
        For a number of threads below 1.
    """

    keeps_checkpoints: ClassVar[bool] = True
    finds_events: ClassVar[bool] = True
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.threads is not None:
            checks.integer("threads", self.threads, low=1, remedy="leave it out for one a core")

    def simulate(self, job: Job) -> Trajectory:
        """Run every neuron once for every data seed.

        Raises
        ------
        InputError
            For Boolean data, the square loss of several neurons, an event on the risk, training that this chain does
            not know, or a lack of memory.
        """
        self.check(job)
        replicas = Replicas(job, _plan(job), _starts(job))
        replicas.run(threads_for(job, self.threads))
        return replicas.trajectory("chain of lone neurons")

    def check(self, job: Job) -> None:
        """Refuse what `simulate` would refuse, before anything is allocated.

        Raises
        ------
        InputError
            As `simulate` does.
        """
        _check(job)
        network, kept = job.network, job.checkpoint is not None
        sizes = Sizes(network.width, network.dim, job.target.P, job.seeds, job.steps.size)
        weights = network.weights is not None
        need = alone_needs(sizes, job.training, self.threads, kept, weights, len(job.events))
        what = f"run.seeds={job.seeds} with {network.width} neurons and {job.steps.size} points"
        memories.refuse(what, sum(need.parts.values()), "lower run.points: 2 keep the start, the end and the events")

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
        events: int = 0,
    ) -> Memory:
        """Say what a run will need, of so many ``events``, before anything is drawn; else as `Chain.memory`."""
        sizes = Sizes(width, dim, coordinates, seeds, points)
        return alone_needs(sizes, training or Training(eta=1.0), self.threads, checkpoint, weights, events)


def _plan(job: Job) -> Plan:
    """Lay out what stays the same through a run."""
    act, rule, bound, source = shared_of(job)
    training, radii = job.training, job.training.geometry
    two = isinstance(radii, TwoRadii)
    return Plan(
        act=act,
        recursion=_recursion(act.kind.table.shape[1]),
        source=source,
        twice=rule.twice,
        inner=int(training.reuse in INNER),
        feedback=rule.feedback,
        bound=bound,
        geometry=RADII if two else {"free": FREE, "sphere": SPHERE}[str(radii)],
        r=radii.r if isinstance(radii, TwoRadii) else 0.0,
        delta=radii.delta if isinstance(radii, TwoRadii) else 0.0,
        room=job.network.dim - job.target.P,
        batch=int(training.batch),
        rows=job.target.P + int(job.network.dim > job.target.P) + int(training.noise > 0),
        trained=int(training.trains("a") or training.trains("b")),
        values=int(training.trains("a") or rule.feedback > 0),
        coordinate=np.array([one.coordinate for one in job.events], np.int64),
        upward=np.array([one.upward for one in job.events], np.int64),
        terminal=np.array([one.terminal for one in job.events], np.int64),
    )


def _recursion(columns: int) -> Array:
    """Return the factors by which normalised Hermite polynomials follow from the two before, for so many degrees."""
    n = np.arange(columns)
    scale = 1.0 / np.sqrt(n + 1.0)
    return np.column_stack([scale, -np.sqrt(n) * scale]).ravel()


def _starts(job: Job) -> kernels.Starts:
    """Lay out where neurons start, with the rates and the steps to record."""
    network, rule = job.network, shared_of(job)[1]
    squares = np.einsum("jr,jr->j", network.m, network.m) + np.diagonal(network.R)
    length = np.ones(network.width) if job.training.geometry == "free" else np.sqrt(squares)
    level = np.full((network.width, len(job.events)), np.nan)
    for e, one in enumerate(job.events):
        level[one.neuron, e] = one.level
    seeds = [int(seed_of(job, index)) for index in range(job.seeds)]
    return kernels.Starts(
        m=np.ascontiguousarray(network.m / length[:, None]),
        s=np.sqrt(np.maximum(np.diagonal(network.R), 0.0)) / length,
        a=network.plain_a.copy(),
        b=network.b.copy(),
        level=level,
        keys=np.array([(seed & 0xFFFFFFFF, seed >> 32) for seed in seeds], np.uint32),
        stops=rule.stops,
        rates=rule.rates,
        steps=np.asarray(job.steps, np.int64),
    )


def _check(job: Job) -> None:
    """Refuse what has no closed law, or makes no sense for neurons that are alone."""
    target, network, training = job.target, job.network, job.training
    known = {} if training.geometry == "free" else {"decay_w": (0,)}
    training.need("NeuronChain", normalised=(False,), **known, **({} if training.reuse == "none" else {"batch": (1,)}))
    if target.data != "gaussian":
        raise checks.InputError(
            f"target.data={target.data!r} has no exact chain: the overlaps of SGD are Markov on Gaussian data only; "
            "use SGD()"
        )
    if training.batch == np.inf:
        raise checks.InputError("training.batch=inf has no samples; use CorrelationFlow()")
    if training.loss == "square" and network.width > 1:
        raise checks.InputError(
            f"training.loss='square' lets the {network.width} neurons see each other; give loss='correlation', or use "
            "Chain()"
        )
    check_overlaps(job.events, network.width, target.P)
    for one in job.events:
        if one.quantity == RISK:
            raise checks.InputError(
                f"event {one.name} is on the risk, which neurons that are alone do not have; give overlap_above(...)"
            )
    if training.geometry != "free":
        _check_sphere(job)


def _check_sphere(job: Job) -> None:
    """Refuse a start without a place on the sphere, or beyond r off the support."""
    network, radii = job.network, job.training.geometry
    squares = np.einsum("jr,jr->j", network.m, network.m) + np.diagonal(network.R)
    if not (squares > 0).all():
        raise checks.InputError(
            f"network.weights of neuron {int(np.argmin(squares))} have length 0 and no place on the sphere; start from "
            "another vector"
        )
    if isinstance(radii, TwoRadii) and network.weights is not None:
        off = np.abs(network.weights[:, job.target.P :] / np.sqrt(squares)[:, None]).max(initial=0.0)
        if off >= radii.r:
            raise checks.InputError(
                f"training.geometry.r={radii.r:g} is not above {off:.3g}, the largest start weight off the support, "
                "where the law of a neuron alone does not close; raise r or dim"
            )
