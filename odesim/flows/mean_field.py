"""MeanFieldFlow: the dimension-free dynamics of a wide network, its neurons meeting only through f."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from odesim import checks
from odesim.activations._act import Act
from odesim.activations.catalogue import Activation
from odesim.flows import _mean_field as kernels
from odesim.integrate.drive import OVERFLOW, drive
from odesim.job import Job
from odesim.network import Network
from odesim.symmetry import stuck
from odesim.targets.series import Target
from odesim.training import Training
from odesim.trajectory import Status, Trajectory

Array = NDArray[np.float64]

STARTS = ("network", "zero")

STEPS_A_CALL = 50
"""Single steps of size eta between two looks at the progress bar and the stop flag."""

MAX_POINTS = 1 << 20
"""Points of z that are still taken."""


class Particles(NamedTuple):
    """Neurons at the start: m (N, P), s, a, b (N), and their weights (N), which sum to 1."""

    m: Array
    s: Array
    a: Array
    b: Array
    weights: Array

    def flat(self) -> Array:
        """Return the state as the kernels order it."""
        return np.concatenate([self.m.ravel(), self.s, self.a, self.b])


class Points(NamedTuple):
    """Points z (P, n), their weights p (n), which sum to 1, and the target h (n) there."""

    z: Array
    p: Array
    h: Array


@dataclass(frozen=True)
class MeanFieldFlow:
    """Gradient flow of the risk of an infinitely wide network in an infinite dimension, by finitely many neurons.

    Every neuron is (m, s, a, b), s = ‖v‖ the norm of its residual; residuals are independent, so that
    f(z) = Σ_j w_j a_j E_G σ(<m_j, z> + s_j G + b_j) and, with e = h − f (Abbe, Boix-Adserà & Misiakiewicz 2022),
    a' = ξ_a (E[e σ] − λ_a a), m' = ξ_w (a E[e σ' z] − λ_w m), s' = ξ_w (a E[e σ' G] − λ_w s), b' = ξ_b a E[e σ'].

    The network is read in mean-field scaling: f = (1/N) Σ a_j σ with steps that carry no 1/N. So ``network.a`` is
    of order 1 here; SGD or an overlap flow on f = Σ a_j σ does the same from a/N with steps N·eta, eta_a/N, N·eta_b.
    Time is eta · steps, ξ_w = 1, ξ_a = eta_a/eta and ξ_b = eta_b/eta. Label noise has no effect.

    Parameters
    ----------
    start : {"network", "zero"}
        Overlaps and residual norms of the network, m ~ d^{−1/2}, from which leaps above 1 escape too; or m = 0
        and s = ``start_norm``, from where the flow learns no more than the largest merged staircase.
    start_norm : float
        s(0) of a zero start; above 0 for ReLU.
    particles : int
        With 0, the neurons and their a(0), b(0) are the network's, with equal weights. Else a zero start of that
        many neurons, which stand for a(0) ~ Unif[−1, 1] by Gauss–Legendre quadrature, with b(0) = ``start_bias``;
        take them even, for a neuron at a(0) = 0 to be missing.
    start_bias : float
        b(0) of these particles; bias-free erf blocks the even degrees, ReLU the odd ones above 1.
    decay_w, decay_a : float
        Weight decay λ_w of m and s, λ_a of a.
    nodes : int
        Gauss–Hermite nodes per coordinate, Gaussian data; Boolean data take all 2^P points. Once s is small f is
        as sharp as σ, and ReLU's kink leaves an error that falls slowly with the nodes.
    smoothing : float
        ReLU is averaged over s² + smoothing² in place of s², which moves it by at most 0.4·smoothing. At 0, once a
        kink has settled on a point of z, s reaches 0 in finite time and the flow cannot be integrated on.
    hold : bool
        Project m' on the smallest subspace that traps the zero start (`odesim.stuck`, Boolean data). Without it
        rounding, which grows exponentially, leaves the trap (z1+z2+z1*z3+z2*z4 with erf at t = 22).
    discrete : bool
        Take steps of size eta in place of the flow: SGD with batches far above d, at steps of order 1.
    rtol, atol : float
        Tolerances of one integration step, relative and absolute.
    """

    start: str = "network"
    start_norm: float = 1.0
    particles: int = 0
    start_bias: float = 0.0
    decay_w: float = 0.0
    decay_a: float = 0.0
    nodes: int = 16
    smoothing: float = 1e-3
    hold: bool = False
    discrete: bool = False
    rtol: float = 1e-8
    atol: float = 1e-10

    def __post_init__(self) -> None:
        checks.choice("start", self.start, STARTS)
        checks.real("start_norm", self.start_norm, low=0.0, remedy="it is a norm")
        checks.integer("particles", self.particles, low=0, high=100_000, remedy="0 takes the network's neurons")
        checks.real("start_bias", self.start_bias)
        checks.real("decay_w", self.decay_w, low=0.0, remedy="0 is no decay")
        checks.real("decay_a", self.decay_a, low=0.0, remedy="0 is no decay")
        checks.integer("nodes", self.nodes, low=2, high=200)
        checks.real("smoothing", self.smoothing, low=0.0, remedy="1e-3 is usual")
        checks.real("rtol", self.rtol, low=1e-13, remedy="1e-8 is usual")
        checks.real("atol", self.atol, low=0.0, strict=True, remedy="1e-10 is usual")
        self._check_zero_start()

    def _check_zero_start(self) -> None:
        """Refuse options that only a zero start, or only quadrature, knows."""
        if self.start != "zero" and (self.particles or self.hold):
            name = "particles" if self.particles else "hold"
            raise checks.InputError(f"{name}={getattr(self, name)!r} needs overlaps that start at 0; add start='zero'")
        if self.start_bias and not self.particles:
            raise checks.InputError(
                f"start_bias={self.start_bias} is of quadrature particles; give particles, or biases to the network"
            )

    def simulate(self, job: Job) -> Trajectory:
        """Integrate; one run, whatever ``job.seeds`` says, with ``Q`` left out.

        Raises
        ------
        InputError
            If there would be too many points, too few for the target's degree, a ReLU neuron without residual at
            a zero start, or a trap to hold on other than Boolean data.
        """
        job.training.need(
            "MeanFieldFlow",
            geometry=("free",),
            loss=("square",),
            batch=(1,),
            decay_w=(0,),
            decay_a=(0,),
            schedule=((),),
        )
        neurons = self.neurons(job.network)
        rule = points_of(job.target, self.nodes)
        problem = problem_of(
            rule,
            job.network.activation,
            neurons.weights,
            job.training,
            decay=(self.decay_w, self.decay_a),
            smoothing=self.smoothing,
            subspace=stuck(job.target).subspace if self.hold else None,
        )
        if self.discrete:
            states, status, reached = _iterate(job, problem, neurons.flat())
        else:
            entry = kernels.solve_mean_field
            states, status, reached = drive(entry, [problem], neurons.flat(), job, rtol=self.rtol, atol=self.atol)
        return _trajectory(job, problem, states, status, reached)

    def neurons(self, network: Network) -> Particles:
        """Return the neurons at the start, with their weights.

        Raises
        ------
        InputError
            For ReLU at a zero start with neither residual nor bias, where it has no derivative.
        """
        if self.start == "network":
            s = np.sqrt(np.maximum(np.diag(network.R), 0.0))
            return Particles(network.m, s, network.a, network.b, _equal(network.width))
        if network.activation.name == "relu" and self.start_norm == 0.0:
            raise checks.InputError("start_norm=0.0 leaves ReLU at its kink; give a positive start_norm")
        a, b, weights = network.a, network.b, _equal(network.width)
        if self.particles:
            a, doubled = np.polynomial.legendre.leggauss(self.particles)
            b, weights = np.full(a.size, float(self.start_bias)), doubled / doubled.sum()
        return Particles(np.zeros((a.size, network.m.shape[1])), np.full(a.size, self.start_norm), a, b, weights)


def _iterate(job: Job, problem: kernels.Problem, y: Array) -> tuple[Array, Status, float]:
    """Return what `drive` does, by single steps of size eta."""
    states, slope, done = np.full((job.steps.size, y.size), np.nan), np.empty_like(y), 0
    status, last = Status.INTERRUPTED, int(job.steps[-1])
    with contextlib.suppress(KeyboardInterrupt):
        for step in np.union1d(job.steps, np.arange(0, last, STEPS_A_CALL)).tolist():
            if job.stop.is_set():
                break
            if not kernels.iterate(problem, job.training.eta, y, slope, step - done, OVERFLOW):
                status = Status.DIVERGED
                break
            done = step
            states[job.steps == step] = y
            job.progress(done / max(last, 1))
        else:
            status = Status.DONE
    return states, status, job.training.eta * done


def points_of(target: Target, nodes: int = 16) -> Points:
    """Lay out the law of z: all 2^P signs, or the tensor Gauss–Hermite rule.

    Raises
    ------
    InputError
        If there would be more than 2^20 points, or fewer nodes than E[h²] needs.
    """
    boolean = target.data == "boolean"
    degree = getattr(target, "degree", 0)  # a teacher network has none
    if not boolean and nodes <= degree:
        raise checks.InputError(f"nodes={nodes} is too few for degree {degree}; give {degree + 1} or more")
    per, P = 2 if boolean else nodes, target.P
    if per**P > MAX_POINTS:
        remedy = "take a target of fewer coordinates" + ("" if boolean else " or fewer nodes")
        raise checks.InputError(f"target has {P} coordinates: {per}^{P} points exceed {MAX_POINTS}; {remedy}")
    x, w = (np.array([-1.0, 1.0]), np.ones(2)) if boolean else np.polynomial.hermite_e.hermegauss(nodes)
    which = np.indices((per,) * P).reshape(P, -1)
    z = np.ascontiguousarray(x[which])
    return Points(z, np.prod((w / w.sum())[which], axis=0), np.ascontiguousarray(target.evaluate(z.T)))


def problem_of(
    rule: Points,
    activation: Activation,
    weights: Array,
    training: Training,
    *,
    decay: tuple[float, float] = (0.0, 0.0),
    smoothing: float = 0.0,
    subspace: Array | None = None,
) -> kernels.Problem:
    """Lay out what the kernels read; ``decay`` is (λ_w, λ_a), ``subspace`` an orthonormal basis (k, P) for m'."""
    P, n = rule.z.shape[0], weights.size
    value, slope, spread = np.zeros((3, n, kernels.BLOCK))
    u, error = np.zeros((2, kernels.BLOCK))
    basis = np.zeros((0, P)) if subspace is None else subspace
    return kernels.Problem(
        act=Act(*activation.arrays()),
        smoothing=float(smoothing),
        held=int(subspace is not None),
        xi_w=1.0,
        xi_a=float(training.rate_a / training.eta),
        xi_b=float(training.eta_b / training.eta),
        decay_w=float(decay[0]),
        decay_a=float(decay[1]),
        weights=np.ascontiguousarray(weights),
        z=rule.z,
        p=rule.p,
        h=rule.h,
        projector=basis.T @ basis,
        scratch=kernels.Scratch(value, slope, spread, u, error, np.zeros(P)),
    )


def unpack(states: Array, n: int, p: int) -> tuple[Array, Array, Array, Array]:
    """Split flat states (…, n·p + 3n) into m (…, n, p), s (…, n), a (…, n), b (…, n)."""
    m, s, a, b = np.split(states, np.cumsum([n * p, n, n]), axis=-1)
    return m.reshape(*states.shape[:-1], n, p), s, a, b


def _equal(n: int) -> Array:
    return np.full(n, 1.0 / n)


def _trajectory(job: Job, problem: kernels.Problem, states: Array, status: Status, reached: float) -> Trajectory:
    m, _, a, b = unpack(states, problem.weights.size, job.target.P)
    alive = ~np.isnan(states[:, 0])
    values = np.empty(int(alive.sum()))
    kernels.risks(problem, np.ascontiguousarray(states[alive]), values)
    risk = np.full(alive.size, np.nan)
    risk[alive] = values
    return Trajectory(
        kind="mean-field flow",
        steps=job.steps,
        time=job.time,
        risk=risk,
        m=m,
        a=a,
        b=b if problem.xi_b > 0 or np.nan_to_num(b).any() else None,
        status=np.array(int(status)),
        message=status.text if status is Status.DONE else f"at flow time {reached:.6g}: {status.text}",
    )
