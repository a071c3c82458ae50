"""CorrelationFlow: every neuron alone in the field of the target, as while the network's output is small."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odesim import checks
from odesim.flows import _correlation as kernels
from odesim.flows import noise_alone
from odesim.flows.corners import need_few_corners
from odesim.flows.lanes import LaneRun, lanes_do
from odesim.flows.lone import check_finite_step, fresh, problem_of
from odesim.flows.neuron_run import NeuronRun
from odesim.flows.overlap import risk_of
from odesim.flows.plain import RightHandSide, ends_of
from odesim.flows.residuals import Start, start_of
from odesim.integrate.methods import METHODS
from odesim.job import Job
from odesim.network import Network
from odesim.targets.teacher import TeacherTarget
from odesim.training import Training, TwoRadii
from odesim.trajectory import Status, Trajectory

Array = NDArray[np.float64]
End = tuple[Status, float]

MAX_WIDTH_OF_Q = 64
"""Largest width whose Q is kept."""

ENTRIES_AT_ONCE = 1_000_000
"""Entries of Q formed at once for the risk."""


@dataclass(frozen=True)
class CorrelationFlow:
    """Gradient flow of −a_j C_j for each neuron by itself, C_j = E[h(z) σ(<w_j, x> + b_j)].

    This is the exact gradient flow of the correlation loss −y f(x); of the square loss it is the first phase, the
    residual h − f being h while the second layer is small (Abbe, Boix-Adserà & Misiakiewicz 2023). Second layer and
    biases are frozen. With q = |w|², g = ∂C/∂m at fixed q, the free flow is m' = a(g + 2m ∂C/∂q),
    q' = 2a(m·g + 2q ∂C/∂q); with ``training.geometry`` = "sphere" it is m' = a(g − (g·m)m) on q = 1, where every
    start is first scaled to. a is that of the plain network and, in mean-field scaling, the gradient N times.

    Under ``TwoRadii(r, delta)`` the unreleased coordinates stay together on the unit sphere; one is released, for
    ever, when its entry first reaches r, whereupon the unreleased rest is scaled back to length 1 (which may release
    others in the same instant), moves freely, and is held at ±delta while it is pushed outward. Coordinates within
    1e-9 of r count as reaching it together. Those off the support that can reach r are followed one by one if the
    network holds its weights. ``Trajectory.events["release"]`` (N, P) has the times, NaN for never.

    Each neuron is integrated on its own step sizes, so no bit of a trajectory depends on the neurons beside it, their
    number or the number of threads. Where that is enough (Gaussian data, a target in Hermite terms, an activation whose
    moments have a closed form, the geometries "free" and "sphere", no finite-step term, no schedule) 32 neurons are
    integrated side by side and blocks of them on all cores. Gaussian data
    is exact for every dimension d. Boolean data sums over all of {±1}^P and takes the part of <w, x>
    off the support as Gaussian, right to O(1/d). There, ReLU neurons whose residual is used up can stick to a kink:
    the flow then becomes stiff and is smoothed over 1e-4 of the argument's size; an explicit method may end such a
    neuron as too fast.

    Parameters
    ----------
    finite_step : bool
        Add what SGD steps of finite size do to the norm, g = (η d/B) Γ_jj with Γ_jj = a² E[(h² + noise) σ'²]: free,
        R' gains g; on the sphere m' gains −½gm and R' g(1 − R), under two radii for the unreleased coordinates
        alone. For erf and ReLU.
    method : {"auto", "tsitouras", "dopri5", "dop853", "rock4", "rodas"}
        How to integrate. "auto" takes Tsitouras 5(4) and, while a neuron is stiff, ROCK4 or a Rosenbrock method; the
        others keep to what they name (Dormand–Prince 5(4) and of order 8).
    rtol, atol : float
        Tolerances of one integration step, relative and absolute.
    risk : bool
        False leaves out the population risk, whose N² pair kernels a row are the dearest part from about a hundred
        neurons on: it is NaN then.
    """

    finite_step: bool = False
    method: str = "auto"
    rtol: float = 1e-6
    atol: float = 1e-8
    risk: bool = True

    def __post_init__(self) -> None:
        checks.choice("method", self.method, METHODS)
        checks.real("rtol", self.rtol, low=1e-13, remedy="1e-6 is usual")
        checks.real("atol", self.atol, low=0.0, strict=True, remedy="1e-8 is usual")
        if not isinstance(self.risk, bool):
            raise checks.InputError(f"risk={self.risk!r} is no truth value; give True or False")

    def simulate(self, job: Job) -> Trajectory:
        """Integrate every neuron from its start; one run, whatever ``job.seeds`` says.

        Returns
        -------
        Trajectory
            ``risk`` is the population risk ½E[(h − f)²] of the network that these neurons form, not the loss they
            follow: a residual v_j only changes its length, so Q is known from the start's angles. It costs N² pair
            kernels a row (times 2^P on Boolean data). ``Q`` is kept up to ``MAX_WIDTH_OF_Q`` neurons. A neuron
            that ends early is NaN from there on and so is the risk; the others go on. ``noise_rate`` is
            (η d/B) Γ_jj, with the label noise; left out where it would cost too much.

        Raises
        ------
        InputError
            If the second layer or the biases are trained (``eta_a`` = None counts as 0), weights decay off the free
            geometry, a Boolean target has too many coordinates, a teacher has another activation, the finite-step
            term is not known, or a weight vector of length 0 is to go on the sphere.
        """
        start = self._start(job)
        if self.method in ("auto", "tsitouras") and not self.finite_step and lanes_do(job):
            lanes = LaneRun(job, start, self.rtol, self.atol)
            with contextlib.suppress(KeyboardInterrupt):  # what is there is kept, as INTERRUPTED
                lanes.run()
            return _trajectory(job, start, lanes.states(), lanes.ends(), None, self.risk)
        runs = self._runs(job, start)
        with contextlib.suppress(KeyboardInterrupt):
            while any(run.running for run in runs) and not job.stop.is_set():
                for run in runs:
                    run.advance()
                job.progress(float(np.mean([run.share for run in runs])))
        states, ends = [run.states() for run in runs], [(run.status, run.time) for run in runs]
        two_radii = isinstance(job.training.geometry, TwoRadii)
        releases = np.stack([run.releases[: job.target.P] for run in runs]) if two_radii else None
        return _trajectory(job, start, states, ends, releases, self.risk)

    def right_hand_side(self, target: Any, network: Network, training: Training) -> RightHandSide:
        """Return the flow of all neurons as a plain function of flat states (m, R), R (N,) squared residual lengths.

        The risk takes the residuals' angles from ``network``.

        Raises
        ------
        InputError
            For what `simulate` refuses, and for two radii, under which the past counts beside the state.
        """
        training.need("RightHandSide", geometry=("free", "sphere"))
        job = Job(target, network, training, np.zeros(1, np.int64))
        start = self._start(job)
        problems = self._problems(job, start)
        n, p = start.m.shape

        def fill(phase: int, y: Array, dy: Array) -> None:
            m, R = y[: n * p].reshape(n, p), y[n * p :]
            slopes = dy[: n * p].reshape(n, p)
            one = np.empty(p + 1)
            for j in range(n):
                kernels.value_and_slope(problems[j][phase], np.append(m[j], R[j]), one)
                slopes[j], dy[n * p + j] = one[:-1], one[-1]

        def risks(rows: Array) -> Array:
            m, R = rows[:, : n * p].reshape(-1, n, p), np.maximum(rows[:, n * p :], 0.0)
            states = [np.concatenate([m[:, j], R[:, j, None]], axis=1) for j in range(n)]
            a, b = (np.broadcast_to(part, m.shape[:2]) for part in (network.plain_a, network.b))
            Q = m @ np.swapaxes(m, -1, -2) + start.rows(states)
            return risk_of(target, network.activation, np.ascontiguousarray(m), Q, a, b)

        def nearest(state: Array) -> Array:
            m, R = state[: n * p].reshape(n, p), np.maximum(state[n * p :], 0.0)
            size = np.ones(n) if training.geometry == "free" else (m * m).sum(axis=1) + R
            return np.concatenate([(m / np.sqrt(size)[:, None]).ravel(), R / size])

        return RightHandSide(
            names=("m", "R"),
            shapes=((n, p), (n,)),
            start=np.concatenate([start.m.ravel(), start.R]),
            ends=ends_of(training),
            unit=network.unit,
            _fill=fill,
            _risks=risks,
            _nearest=nearest,
        )

    def _start(self, job: Job) -> Start:
        """Where the neurons start, once the job has been checked."""
        _check(job)
        if self.finite_step:
            check_finite_step(job.target, job.network.activation)
        return start_of(job)

    def _runs(self, job: Job, start: Start) -> list[NeuronRun]:
        """One integration a neuron."""
        return [
            NeuronRun(phases, np.concatenate([m, followed, [R]]), job, self.method, self.rtol, self.atol)
            for phases, m, followed, R in zip(self._problems(job, start), start.m, start.followed, start.R, strict=True)
        ]

    def _problems(self, job: Job, start: Start) -> list[list[kernels.Problem]]:
        """The problem of every neuron in every phase; neurons of as many coordinates share their scratch."""
        training, network = job.training, job.network
        radii = training.geometry if isinstance(training.geometry, TwoRadii) else None
        layouts = {
            n: problem_of(
                job.target,
                network.activation,
                sphere=training.geometry != "free",
                radii=radii,
                followed=n,
                noise=training.noise if self.finite_step else None,
            )
            for n in {one.size for one in start.followed}
        }
        found = []
        for j, followed in enumerate(start.followed):
            problem = fresh(layouts[followed.size])._replace(b=float(network.b[j]))
            found.append(_phases(job, problem, float(network.plain_a[j]), self.finite_step))
        return found


def _phases(job: Job, problem: kernels.Problem, a: float, finite_step: bool) -> list[kernels.Problem]:
    """The problem of one neuron in every phase of the schedule."""
    out = []
    for row in job.training.rates(job.network):
        xi = row.w / row.clock
        gain = row.w * xi * job.network.dim / job.training.batch * a * a if finite_step else 0.0
        out.append(problem._replace(a=xi * a, decay=xi * row.decay_w, noise=problem.noise._replace(rate=gain)))
    return out


def _check(job: Job) -> None:
    """Refuse what this flow does not describe."""
    target, training = job.target, job.training
    frozen = "which CorrelationFlow freezes"
    training.need("CorrelationFlow", decay_a=(0,), **({} if training.geometry == "free" else {"decay_w": (0,)}))
    if training.eta_a and training.trains("a"):
        raise checks.InputError(
            f"training.eta_a={training.eta_a} trains the second layer, {frozen}; give eta_a=0, or use OverlapFlow"
        )
    if training.trains("b"):
        raise checks.InputError(
            f"training.eta_b={training.eta_b} trains the biases, {frozen}; give eta_b=0, or use OverlapFlow"
        )
    if target.data == "boolean":
        need_few_corners(target.P, "CorrelationFlow")
    if isinstance(target, TeacherTarget) and target.activation != job.network.activation:
        raise checks.InputError(
            f"network.activation={job.network.activation.name!r} is not the teacher's {target.activation.name!r}; "
            "take the same, or target.project(degree=...)"
        )


def _trajectory(
    job: Job, start: Start, states: list[Array], ends: list[End], releases: Array | None, with_risk: bool
) -> Trajectory:
    """Lay out what was recorded."""
    network, P = job.network, job.target.P
    if job.training.geometry == "sphere":  # rows are off it by less than the tolerance
        for rows in states:
            q = (rows[:, :-1] ** 2).sum(axis=1) + np.maximum(rows[:, -1], 0.0)
            rows[:, :-1] /= np.sqrt(q)[:, None]
            rows[:, -1] = np.maximum(rows[:, -1], 0.0) / q
    m = np.stack([rows[:, :P] for rows in states], axis=1)
    squares = np.stack([np.maximum(rows[:, -1], 0.0) + (rows[:, P:-1] ** 2).sum(axis=1) for rows in states], axis=1)
    ended = np.isnan(squares)
    status, message = _outcome(ends)
    return Trajectory(
        kind="correlation flow",
        steps=job.steps,
        time=job.time,
        risk=_risk(job, start, states, m, ended) if with_risk else np.full(job.steps.size, np.nan),
        m=m,
        a=np.where(ended, np.nan, network.a),
        b=np.where(ended, np.nan, network.b) if network.has_biases else None,
        Q=m @ np.swapaxes(m, -1, -2) + start.rows(states) if network.width <= MAX_WIDTH_OF_Q else None,
        q=(m * m).sum(axis=-1) + squares,
        status=np.array(int(status)),
        message=message,
        noise_rate=noise_alone.rates(job, m, squares),
        events={} if releases is None else {"release": releases},
    )


def _risk(job: Job, start: Start, states: list[Array], m: Array, ended: NDArray[np.bool_]) -> Array:
    """Population risk (T,), NaN where a neuron has ended."""
    network = job.network
    risk, entries = np.full(job.steps.size, np.nan), network.width**2
    alive = np.flatnonzero(~ended.any(axis=1))
    pieces = min(alive.size, 1 + alive.size * entries // ENTRIES_AT_ONCE)
    for rows in np.array_split(alive, pieces) if alive.size else ():
        gram = start.rows([one[rows] for one in states])
        now = np.ascontiguousarray(m[rows])
        a, b = (np.broadcast_to(part, now.shape[:2]) for part in (network.plain_a, network.b))
        Q = now @ np.swapaxes(now, -1, -2) + gram
        risk[rows] = risk_of(job.target, network.activation, now, Q, a, b)
    return risk


def _outcome(ends: list[End]) -> tuple[Status, str]:
    """Status and message of the whole: those of the neuron that ended first, if any did."""
    ended = [j for j, (status, _) in enumerate(ends) if status is not Status.DONE]
    if not ended:
        return Status.DONE, Status.DONE.text
    first = min(ended, key=lambda j: ends[j][1])
    status, time = ends[first]
    who = f"neuron {first}" if len(ended) == 1 else f"{len(ended)} neurons, first neuron {first},"
    return status, f"{who} at flow time {time:.6g}: {status.text}"
