"""CorrelationFlow: every neuron alone in the field of the target, as while the network's output is small."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from odesim import checks
from odesim.activations._act import Act
from odesim.activations.catalogue import Activation
from odesim.flows import _correlation as kernels
from odesim.flows._expectation import Series
from odesim.flows.overlap import risk_of
from odesim.integrate import _explicit
from odesim.integrate.drive import OVERFLOW
from odesim.integrate.tableaus import tsitouras
from odesim.job import Job
from odesim.targets.series import Target
from odesim.trajectory import Status, Trajectory

Array = NDArray[np.float64]

STEPS_A_CALL = 200
"""Integration steps of a neuron between two looks at the stop flag."""

GRACE, STEPS_TO_ONE = 20_000, 20
"""Integration steps allowed a neuron in all, and more of them for every SGD step passed."""

MAX_BOOLEAN = 10
"""Largest number of Boolean support coordinates: each right-hand side sums over 2^P points."""

MAX_WIDTH_OF_Q = 64
"""Largest width whose Q is kept."""

ENTRIES_AT_ONCE = 1_000_000
"""Entries of Q formed at once for the risk."""


@dataclass(frozen=True)
class CorrelationFlow:
    """Gradient flow of −a_j C_j for each neuron by itself, C_j = E[h(z) σ(<w_j, x> + b_j)].

    The residual h − f is replaced by h, as in the first phase of learning under a small second layer (Abbe,
    Boix-Adserà & Misiakiewicz 2023), or under the loss −y f(x). Second layer and biases are frozen. With
    q = |w|², g = ∂C/∂m at fixed q, the free flow is m' = a(g + 2m ∂C/∂q), q' = 2a(m·g + 2q ∂C/∂q); with
    ``training.geometry`` = "sphere" it is m' = a(g − (g·m)m) on q = 1, where every start is first scaled to. Each
    neuron is integrated on its own step sizes, so no trajectory depends on the neurons beside it.

    Gaussian data is exact for every dimension d. Boolean data sums over all of {±1}^P and takes the part of <w, x>
    off the support as Gaussian, right to O(1/d). There, ReLU neurons whose residual is used up can stick to a kink:
    the flow then becomes stiff, is smoothed over 1e-4 of the argument's size, and may end a neuron as too fast.

    Parameters
    ----------
    rtol, atol : float
        Tolerances of one integration step, relative and absolute.
    """

    rtol: float = 1e-6
    atol: float = 1e-8

    def __post_init__(self) -> None:
        checks.real("rtol", self.rtol, low=1e-13, remedy="1e-6 is usual")
        checks.real("atol", self.atol, low=0.0, strict=True, remedy="1e-8 is usual")

    def simulate(self, job: Job) -> Trajectory:
        """Integrate every neuron from its start; one run, whatever ``job.seeds`` and the label noise say.

        Returns
        -------
        Trajectory
            ``risk`` is the population risk ½E[(h − f)²] of the network that these neurons form, not the loss they
            follow: a residual v_j only changes its length, so Q is known from the start's angles. It costs N² pair
            kernels a row (times 2^P on Boolean data). ``Q`` is kept up to ``MAX_WIDTH_OF_Q`` neurons. A neuron
            that ends early is NaN from there on and so is the risk; the others go on.

        Raises
        ------
        InputError
            If ``eta_a`` or ``eta_b`` is positive (``eta_a`` = None counts as 0), a Boolean target has too many
            coordinates, or a weight vector of length 0 is to go on the sphere.
        """
        _check(job)
        m, R = _start(job)
        problem = problem_of(job.target, job.network.activation, sphere=job.training.geometry == "sphere")
        runs = [
            _Run(problem._replace(a=float(a), b=float(b)), np.append(row, r), job, self.rtol, self.atol)
            for row, r, a, b in zip(m, np.diag(R), job.network.a, job.network.b, strict=True)
        ]
        with contextlib.suppress(KeyboardInterrupt):  # what is there is kept, as INTERRUPTED
            while any(run.running for run in runs) and not job.stop.is_set():
                for run in runs:
                    run.advance()
                job.progress(float(np.mean([run.share for run in runs])))
        return _trajectory(job, np.stack([run.rows() for run in runs], axis=1), R, runs)


class _Run:
    """The integration of one neuron, in pieces."""

    def __init__(self, problem: kernels.Problem, y: Array, job: Job, rtol: float, atol: float) -> None:
        self.problem, self.y, self.times, self.eta = problem, y, job.time, job.training.eta
        times = self.times
        self.out = np.full((times.size, y.size), np.nan)
        self.control, self.counts = np.zeros(_explicit.CONTROL_SIZE), np.zeros(_explicit.COUNTS_SIZE, np.int64)
        self.control[_explicit.RTOL], self.control[_explicit.ATOL] = rtol, atol
        self.control[_explicit.BOUND] = OVERFLOW
        self.work = _explicit.Work(np.zeros((tsitouras().c.size, y.size)), np.zeros(y.size))
        self._status: int = _explicit.RUNNING

    @property
    def running(self) -> bool:
        return self._status == _explicit.RUNNING

    @property
    def status(self) -> Status:
        return Status.INTERRUPTED if self.running else Status(self._status)

    @property
    def time(self) -> float:
        """Flow time reached."""
        return float(self.control[_explicit.TIME])

    @property
    def share(self) -> float:
        """Share of the work done, in [0, 1]."""
        return min(1.0, self.time / max(self.times[-1], 1e-300)) if self.running else 1.0

    def advance(self) -> None:
        """Take at most STEPS_A_CALL integration steps, none if the run has ended."""
        if self.running and self._too_fast():
            self._status = Status.TOO_FAST
        elif self.running:
            self._status = kernels.solve_neuron(
                self.problem,
                tsitouras(),
                self.y,
                self.control,
                self.counts,
                self.times,
                self.out,
                self.work,
                STEPS_A_CALL,
            )

    def _too_fast(self) -> bool:
        """Whether the neuron moves within single SGD steps, as where a kink holds it."""
        tried = int(self.counts[_explicit.ACCEPTED] + self.counts[_explicit.REJECTED])
        return tried > GRACE + STEPS_TO_ONE * self.time / self.eta

    def rows(self) -> Array:
        """Return the states (T, P + 1) at the output times, NaN where not reached."""
        self.out[self.counts[_explicit.NEXT] :] = np.nan
        return self.out


def problem_of(
    target: Target, activation: Activation, *, sphere: bool, points: tuple[Array, Array] | None = None
) -> kernels.Problem:
    """Lay out what the kernels read, for a = 1 and b = 0.

    Parameters
    ----------
    points : (z (n, P), weights (n)), optional
        Rule for averages over z; by default all of {±1}^P on Boolean data, and on Gaussian data none: the
        Hermite terms are exact.
    """
    if points is None and target.data == "boolean":
        points = cube(target.P)
    z, weights = points or (np.zeros((0, target.P)), np.zeros(0))
    n, k = (weights.size, 3) if points else (1, target.degree + 3)
    return kernels.Problem(
        act=Act(*activation.arrays()),
        sphere=int(sphere),
        by_points=int(points is not None),
        a=1.0,
        b=0.0,
        series=Series(*target.arrays()),
        z=z,
        weighted=weights * target.evaluate(z),
        scratch=kernels.Scratch(
            q=np.zeros(n),
            b=np.zeros(n),
            c=np.zeros((k, n)),
            C=np.zeros(1),
            G=np.zeros((1, target.P)),
            by_q=np.zeros(1),
            by_b=np.zeros(1),
        ),
    )


def cube(P: int) -> tuple[Array, Array]:
    """All points of {±1}^P, shape (2^P, P), and their weights 2^−P."""
    bits = np.arange(2**P)[:, None] >> np.arange(P) & 1
    return np.ascontiguousarray(2.0 * bits - 1.0), np.full(2**P, 2.0**-P)


def _check(job: Job) -> None:
    """Refuse what this flow does not describe."""
    target, training = job.target, job.training
    known = {"geometry": ("free", "sphere"), "decay_w": (0,), "decay_a": (0,), "schedule": ((),)}
    training.need("CorrelationFlow", **known)
    if training.eta_a:
        raise checks.InputError(
            f"training.eta_a={training.eta_a} trains the second layer, which CorrelationFlow freezes; "
            "give eta_a=0, or use OverlapFlow"
        )
    if training.eta_b > 0:
        raise checks.InputError(
            f"training.eta_b={training.eta_b} trains the biases, which CorrelationFlow freezes; "
            "give eta_b=0, or use OverlapFlow"
        )
    if target.data == "boolean" and target.P > MAX_BOOLEAN:
        raise checks.InputError(
            f"target has {target.P} Boolean coordinates, CorrelationFlow sums over 2^P points up to P={MAX_BOOLEAN}; "
            "drop coordinates"
        )


def _start(job: Job) -> tuple[Array, Array]:
    """Return m (N, P) and R (N, N) at step 0, scaled to |w_j| = 1 on the sphere."""
    m, R = job.network.m, job.network.R
    if job.training.geometry != "sphere":
        return m, R
    length = np.sqrt((m * m).sum(axis=1) + np.diag(R))
    if not (length > 0).all():
        raise checks.InputError(
            f"network.weights of neuron {int(np.argmin(length))} have length 0 and no place on the sphere; "
            "start from another vector"
        )
    return m / length[:, None], R / np.outer(length, length)


def _trajectory(job: Job, states: Array, R: Array, runs: list[_Run]) -> Trajectory:
    """Lay out what was recorded: states (T, N, P + 1), R (N, N) that of the start."""
    network = job.network
    m, squares = states[..., :-1], np.maximum(states[..., -1], 0.0)
    if job.training.geometry == "sphere":  # rows are off it by less than the tolerance
        q = (m * m).sum(axis=-1) + squares
        m, squares = m / np.sqrt(q)[..., None], squares / q
    a = np.where(np.isnan(squares), np.nan, network.a)
    status, message = _outcome(runs)
    return Trajectory(
        kind="correlation flow",
        steps=job.steps,
        time=job.time,
        risk=_risk(job, m, squares, R),
        m=m,
        a=a,
        b=np.where(np.isnan(squares), np.nan, network.b) if network.has_biases else None,
        Q=m @ np.swapaxes(m, -1, -2) + _gram(squares, R) if network.width <= MAX_WIDTH_OF_Q else None,
        status=np.array(int(status)),
        message=message,
    )


def _gram(squares: Array, R: Array) -> Array:
    """Residuals' Gram matrices (T, N, N) from their squared lengths (T, N): the angles are those of ``R``."""
    length = np.sqrt(np.diag(R))
    inverse = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)
    cosines = R * np.outer(inverse, inverse)
    roots = np.sqrt(squares)
    out = roots[:, :, None] * roots[:, None, :] * cosines
    n = np.arange(length.size)
    out[:, n, n] = squares
    return out


def _risk(job: Job, m: Array, squares: Array, R: Array) -> Array:
    """Population risk (T,), NaN where a neuron has ended."""
    risk = np.full(job.steps.size, np.nan)
    alive = np.flatnonzero(~np.isnan(squares).any(axis=1))
    pieces = min(alive.size, 1 + alive.size * R.size // ENTRIES_AT_ONCE)
    for rows in np.array_split(alive, pieces) if alive.size else ():
        risk[rows] = _risk_of_rows(job, np.ascontiguousarray(m[rows]), _gram(squares[rows], R))
    return risk


def _risk_of_rows(job: Job, m: Array, gram: Array) -> Array:
    target, network = job.target, job.network
    if target.data == "gaussian":
        a, b = (np.broadcast_to(part, (m.shape[0], network.width)) for part in (network.a, network.b))
        return risk_of(target, network.activation, m, m @ np.swapaxes(m, -1, -2) + gram, a, b)
    z, weights = cube(target.P)
    out = np.empty(m.shape[0])
    act = Act(*network.activation.arrays())
    kernels.risks_by_points(act, z, weights, target.evaluate(z), m, gram, network.a, network.b, out)
    return out


def _outcome(runs: list[_Run]) -> tuple[Status, str]:
    """Status and message of the whole: those of the neuron that ended first, if any did."""
    ended = [j for j, run in enumerate(runs) if run.status is not Status.DONE]
    if not ended:
        return Status.DONE, Status.DONE.text
    first = min(ended, key=lambda j: runs[j].time)
    who = f"neuron {first}" if len(ended) == 1 else f"{len(ended)} neurons, first neuron {first},"
    return runs[first].status, f"{who} at flow time {runs[first].time:.6g}: {runs[first].status.text}"
