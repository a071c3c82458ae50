"""CorrelationFlow: every neuron alone in the field of the target, as while the network's output is small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from odesim import checks
from odesim.ensemble import one_by_one
from odesim.events import Event
from odesim.flows import _correlation as kernels
from odesim.flows.alone_events import check_events, of_neuron, with_events
from odesim.flows.alone_lanes import course_in_lanes
from odesim.flows.alone_record import Course, placed, record
from odesim.flows.corners import need_few_corners
from odesim.flows.lanes import lanes_do
from odesim.flows.lone import check_finite_step, fresh, problem_of
from odesim.flows.neuron_run import NeuronRun
from odesim.flows.overlap import risk_of
from odesim.flows.plain import RightHandSide, ends_of
from odesim.flows.residuals import Start, start_of
from odesim.integrate.methods import METHODS
from odesim.job import Job
from odesim.network import Network
from odesim.pool import in_threads
from odesim.targets.teacher import TeacherTarget
from odesim.training import Training, TwoRadii
from odesim.trajectory import Trajectory

Array = NDArray[np.float64]


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
    moments have a closed form, the geometries "free" and "sphere", no finite-step term, no schedule, no events) 32
    neurons, also of several start networks, are integrated side by side and blocks of them on all cores. Gaussian data
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
    finds_events: ClassVar[bool] = True
    many_starts: ClassVar[bool] = True

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
            (η d/B) Γ_jj, with the label noise; left out where it would cost too much. ``noise_gauge``, its integral,
            is there with ``finite_step``, in whose right-hand side it stands.

        Raises
        ------
        InputError
            If the second layer or the biases are trained (``eta_a`` = None counts as 0), weights decay off the free
            geometry, a Boolean target has too many coordinates, a teacher has another activation, the finite-step
            term is not known, a weight vector of length 0 is to go on the sphere, or an event is on an overlap that is
            not there or, without ``risk``, on the risk.
        """
        start = self._start(job)
        if job.events:
            check_events(job, self.risk)
            return with_events(job, start, partial(self._course, job, start), self.risk)
        if not self._in_lanes(job):
            return record(job, start, self._course(job, start, job.time), self.risk)
        return record(job, start, course_in_lanes([job], [start], self.rtol, self.atol)[0], self.risk)

    def simulate_all(self, job: Job, networks: Sequence[Network]) -> list[Trajectory]:
        """Return what `simulate` makes of the job with each network; where lanes do, all neurons share them."""
        if job.events or not self._in_lanes(job):
            return one_by_one(self.simulate, job, networks)
        jobs, starts = [replace(job, network=one) for one in networks], one_by_one(self._start, job, networks)
        courses = course_in_lanes(jobs, starts, self.rtol, self.atol)
        return in_threads(lambda i: record(jobs[i], starts[i], courses[i], self.risk), len(jobs), job.stop)

    def _in_lanes(self, job: Job) -> bool:
        return self.method in ("auto", "tsitouras") and not self.finite_step and lanes_do(job)

    def _course(self, job: Job, start: Start, times: Array, events: Sequence[Event] = ()) -> Course:
        """Integrate neuron by neuron, recorded at these times, with events on their overlaps."""
        runs = self._runs(job, start, times, events)
        try:
            while any(run.running for run in runs) and not job.stop.is_set():
                for run in runs:
                    run.advance()
                job.progress(float(np.mean([run.share for run in runs])))
        except KeyboardInterrupt:  # what is there is kept, as INTERRUPTED
            job.stop.set()
        rows = [run.states() for run in runs]
        states = [one[:, :-1] for one in rows] if self.finite_step else rows
        two_radii = isinstance(job.training.geometry, TwoRadii)
        return Course(
            placed(job, states),
            [(run.status, run.time) for run in runs],
            np.stack([one[:, -1] for one in rows], axis=1) if self.finite_step else None,
            np.stack([run.releases[: job.target.P] for run in runs]) if two_radii else None,
            [run.events for run in runs],
        )

    def right_hand_side(self, target: Any, network: Network, training: Training) -> RightHandSide:
        """Return the flow of all neurons as a plain function of flat states (m, R), R (N,) squared residual lengths.

        The risk takes the residuals' angles from ``network``.

        Raises
        ------
        InputError
            For what `simulate` refuses, and for two radii, under which the past counts beside the state.
        """
        training.need("RightHandSide", geometry=("free", "sphere"), reuse=("none",), normalised=(False,))
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

    def _runs(
        self, job: Job, start: Start, times: Array | None = None, events: Sequence[Event] = ()
    ) -> list[NeuronRun]:
        """One integration a neuron, at ``job.time`` unless told; with the finite-step term states end with ν."""
        gauge, times = np.zeros(int(self.finite_step)), job.time if times is None else times
        ys = [np.concatenate([*parts, [R], gauge]) for *parts, R in zip(start.m, start.followed, start.R, strict=True)]
        return [
            NeuronRun(phases, y, times, job.training, self.method, self.rtol, self.atol, of_neuron(events, j, y.size))
            for j, (phases, y) in enumerate(zip(self._problems(job, start), ys, strict=True))
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
    training.need("CorrelationFlow", decay_a=(0,), reuse=("none",), normalised=(False,))
    if training.geometry != "free":
        training.need("CorrelationFlow", decay_w=(0,))
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
