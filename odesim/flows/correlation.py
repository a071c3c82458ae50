"""CorrelationFlow: every neuron alone in the field of the target, as while the network's output is small."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from odesim import checks
from odesim.flows import _correlation as kernels
from odesim.flows import noise_alone
from odesim.flows.corners import need_few_corners
from odesim.flows.lone import check_finite_step, fresh, problem_of
from odesim.flows.neuron_run import NeuronRun
from odesim.flows.overlap import risk_of
from odesim.flows.residuals import Start, start_of
from odesim.integrate.methods import METHODS
from odesim.job import Job
from odesim.targets.teacher import TeacherTarget
from odesim.training import TwoRadii
from odesim.trajectory import Status, Trajectory

Array = NDArray[np.float64]

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

    Each neuron is integrated on its own step sizes, so no trajectory depends on the neurons beside it. Gaussian data
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
    """

    finite_step: bool = False
    method: str = "auto"
    rtol: float = 1e-6
    atol: float = 1e-8

    def __post_init__(self) -> None:
        checks.choice("method", self.method, METHODS)
        checks.real("rtol", self.rtol, low=1e-13, remedy="1e-6 is usual")
        checks.real("atol", self.atol, low=0.0, strict=True, remedy="1e-8 is usual")

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
        _check(job)
        if self.finite_step:
            check_finite_step(job.target, job.network.activation)
        start = start_of(job)
        runs = self._runs(job, start)
        with contextlib.suppress(KeyboardInterrupt):  # what is there is kept, as INTERRUPTED
            while any(run.running for run in runs) and not job.stop.is_set():
                for run in runs:
                    run.advance()
                job.progress(float(np.mean([run.share for run in runs])))
        return _trajectory(job, start, runs)

    def _runs(self, job: Job, start: Start) -> list[NeuronRun]:
        """One integration a neuron; neurons of as many coordinates share their scratch."""
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
        runs = []
        for j, (m, followed, R) in enumerate(zip(start.m, start.followed, start.R, strict=True)):
            problem = fresh(layouts[followed.size])._replace(b=float(network.b[j]))
            phases = _phases(job, problem, float(network.plain_a[j]), self.finite_step)
            runs.append(NeuronRun(phases, np.concatenate([m, followed, [R]]), job, self.method, self.rtol, self.atol))
        return runs


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


def _trajectory(job: Job, start: Start, runs: list[NeuronRun]) -> Trajectory:
    """Lay out what was recorded."""
    network, P = job.network, job.target.P
    states = [run.states() for run in runs]
    if job.training.geometry == "sphere":  # rows are off it by less than the tolerance
        for rows in states:
            q = (rows[:, :-1] ** 2).sum(axis=1) + np.maximum(rows[:, -1], 0.0)
            rows[:, :-1] /= np.sqrt(q)[:, None]
            rows[:, -1] = np.maximum(rows[:, -1], 0.0) / q
    m = np.stack([rows[:, :P] for rows in states], axis=1)
    squares = np.stack([np.maximum(rows[:, -1], 0.0) + (rows[:, P:-1] ** 2).sum(axis=1) for rows in states], axis=1)
    ended = np.isnan(squares)
    status, message = _outcome(runs)
    two_radii = isinstance(job.training.geometry, TwoRadii)
    return Trajectory(
        kind="correlation flow",
        steps=job.steps,
        time=job.time,
        risk=_risk(job, start, states, m, ended),
        m=m,
        a=np.where(ended, np.nan, network.a),
        b=np.where(ended, np.nan, network.b) if network.has_biases else None,
        Q=m @ np.swapaxes(m, -1, -2) + start.rows(states) if network.width <= MAX_WIDTH_OF_Q else None,
        q=(m * m).sum(axis=-1) + squares,
        status=np.array(int(status)),
        message=message,
        noise_rate=noise_alone.rates(job, m, squares),
        events={"release": np.stack([run.releases[:P] for run in runs])} if two_radii else {},
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


def _outcome(runs: list[NeuronRun]) -> tuple[Status, str]:
    """Status and message of the whole: those of the neuron that ended first, if any did."""
    ended = [j for j, run in enumerate(runs) if run.status is not Status.DONE]
    if not ended:
        return Status.DONE, Status.DONE.text
    first = min(ended, key=lambda j: runs[j].time)
    who = f"neuron {first}" if len(ended) == 1 else f"{len(ended)} neurons, first neuron {first},"
    return runs[first].status, f"{who} at flow time {runs[first].time:.6g}: {runs[first].status.text}"
