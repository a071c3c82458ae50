"""MeanFieldFlow: the dimension-free dynamics of a wide network, its neurons meeting only through f."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from odesim import checks
from odesim.activations.activation import Activation
from odesim.flows import _mean_field as kernels
from odesim.flows.mean_field_problem import paces, problem_of
from odesim.flows.plain import RightHandSide, counter, ends_of, filler
from odesim.flows.points import points_of
from odesim.flows.record import follow, laid_out, of_living
from odesim.integrate.events import no_events_between_steps
from odesim.integrate.march import march
from odesim.integrate.methods import METHODS
from odesim.job import Job
from odesim.network import Network
from odesim.symmetry import stuck
from odesim.targets.series import Target
from odesim.targets.teacher import TeacherTarget
from odesim.training import Training
from odesim.trajectory import Trajectory

Array = NDArray[np.float64]

STARTS = ("network", "zero")

KIND = "mean-field flow"

NEAR, JUMP = 1e-9, 1e-6
"""Where a derivative is looked at on both sides of a point, and the difference that makes a kink."""


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


@dataclass(frozen=True)
class MeanFieldFlow:
    """Gradient flow of the risk of an infinitely wide network in an infinite dimension, by finitely many neurons.

    Every neuron is (m, s, a, b), s = ‖v‖ the norm of its residual; residuals are independent, so that
    f(z) = Σ_j w_j a_j E_G σ(<m_j, z> + s_j G + b_j) and, with e = h − f (Abbe, Boix-Adserà & Misiakiewicz 2022),
    a' = ξ_a (E[e σ] − λ_a a), m' = ξ_w (a E[e σ' z] − λ_w m), s' = ξ_w (a E[e σ' G] − λ_w s), b' = ξ_b a E[e σ'].

    Under the loss "correlation" e = h. These are the steps of SGD as N, d and the batch over d go to infinity;
    `Training.batch` and label noise have no effect. Time is the sum of eta over the steps. For a network of scaling
    "mean_field", f = (1/N) Σ a_j σ with steps that carry no 1/N, ξ_w = 1, ξ_a = eta_a/eta and ξ_b = eta_b/eta, each
    times the factor of its phase; λ_w, λ_a are ``training.decay_w``, ``decay_a``. For one of scaling "plain" the
    same function f = Σ a_j σ moves in other units: N a_j takes the place of a_j, ξ_w = 1/N, ξ_a = N eta_a/eta,
    ξ_b = eta_b/(N eta), λ_w = N decay_w and λ_a = decay_a/N. The trajectory has ``a`` and ``time`` in the units of
    the network's own scaling, and ``q`` = |m|² + s².

    Parameters
    ----------
    start : {"network", "zero"}
        Overlaps and residual norms of the network, m ~ d^{−1/2}, from which leaps above 1 escape too; or m = 0
        and s = ``start_norm``, from where the flow learns no more than the largest merged staircase.
    start_norm : float
        s(0) of a zero start; above 0 where σ has a kink at b(0).
    particles : int
        With 0, the neurons and their a(0), b(0) are the network's, with equal weights. Else a zero start of that
        many neurons, which stand for a(0) ~ Unif[−1, 1] in mean-field scaling by Gauss–Legendre quadrature, with
        b(0) = ``start_bias``; take them even, for a neuron at a(0) = 0 to be missing. The trajectory has their
        ``weights``.
    start_bias : float
        b(0) of these particles; bias-free erf blocks the even degrees, ReLU the odd ones above 1.
    nodes : int
        Gauss–Hermite nodes per coordinate, Gaussian data; Boolean data take all 2^P points. A kink, of f once s is
        small or of a ReLU teacher, leaves an error that falls slowly: 1.3 % of its E[h²] at 16 nodes, 0.3 % at 64.
    smoothing : float
        σ with a kink is averaged over s² + smoothing² in place of s², which moves ReLU by at most 0.4·smoothing.
        At 0, once a kink has settled on a point of z, s reaches 0 in finite time and the flow ends there.
    hold : bool
        Project m' on the smallest subspace that traps the zero start (`odesim.stuck`, Boolean data). Without it
        rounding, which grows exponentially, leaves the trap (z1+z2+z1*z3+z2*z4 with erf at t = 22).
    discrete : bool
        Take steps of the training's sizes in place of the flow: SGD with batches far above d, at steps of order 1.
    method : {"auto", "tsitouras", "dopri5", "dop853", "rock4", "rodas"}
        How to integrate. "auto" takes Tsitouras 5(4) and, while the flow is stiff, as late in training, ROCK4 or, up
        to 400 unknowns and for long, a Rosenbrock method; the others keep to what they name (Dormand–Prince 5(4) and
        of order 8).
    rtol, atol : float
        Tolerances of one integration step, relative and absolute.
    """

    start: str = "network"
    start_norm: float = 1.0
    particles: int = 0
    start_bias: float = 0.0
    nodes: int = 16
    smoothing: float = 1e-3
    hold: bool = False
    discrete: bool = False
    method: str = "auto"
    rtol: float = 1e-8
    atol: float = 1e-10
    finds_events: ClassVar[bool] = True
    many_starts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        checks.choice("method", self.method, METHODS)
        checks.choice("start", self.start, STARTS)
        checks.real("start_norm", self.start_norm, low=0.0, remedy="it is a norm")
        checks.integer("particles", self.particles, low=0, high=100_000, remedy="0 takes the network's neurons")
        checks.real("start_bias", self.start_bias)
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

        There is no noise rate or gauge: ν is of the order of eta d over the batch, which this limit takes to 0, and in
        units of a start of size d^{−1/2}, of which it knows no d. `OverlapFlow` and the correlation flow have them.

        Raises
        ------
        InputError
            If there would be too many points, too few for the target's degree, a neuron at its kink without residual
            at a zero start, quadrature in plain scaling, a trap to hold on other than Boolean data, or events between
            discrete steps.
        """
        no_events_between_steps(job, self.discrete)
        problem, problems, y = self._lay_out(job.target, job.network, job.training)
        n = problem.weights.size
        biased = job.training.trains("b") or bool(unpack(y, n, job.target.P)[3].any())
        rows = partial(_rows, job, problem, biased)
        if self.discrete:
            clocks = [row.clock for row in job.training.rates(job.network)]
            states, status, reached = march(_iterate, list(zip(problems, clocks, strict=True)), y, job)
            out = laid_out(job, KIND, rows(states), status, reached)
        else:
            out, _ = follow(self, kernels.solve_mean_field, problems, y, job, rows, kind=KIND, neurons=n)
        return replace(out, weights=None if np.ptp(problem.weights) == 0 else problem.weights)

    def right_hand_side(self, target: Target | TeacherTarget, network: Network, training: Training) -> RightHandSide:
        """Return the flow as a plain function of flat states (m, s, a, b), a in mean-field scaling.

        Raises
        ------
        InputError
            For what `simulate` refuses, and for ``discrete``.
        """
        if self.discrete:
            raise checks.InputError("discrete=True is a map of steps without a right-hand side; give discrete=False")
        problem, problems, y = self._lay_out(target, network, training)
        n, p = problem.weights.size, target.P

        def nearest(state: Array) -> Array:
            m, s, a, b = unpack(state, n, p)
            return Particles(m, abs(s), a, b, problem.weights).flat()

        return RightHandSide(
            names=("m", "s", "a", "b"),
            shapes=((n, p), (n,), (n,), (n,)),
            start=y,
            ends=ends_of(training),
            unit=_unit(network),
            _fill=filler(kernels.derivative, problems),
            _risks=counter(kernels.risks, problem),
            _nearest=nearest,
        )

    def _lay_out(
        self, target: Target | TeacherTarget, network: Network, training: Training
    ) -> tuple[kernels.Problem, list[kernels.Problem], Array]:
        """The problem at rate 1, the problem of every phase, and the start."""
        training.need("MeanFieldFlow", geometry=("free",), reuse=("none",), normalised=(False,))
        neurons = self.neurons(network)
        problem = problem_of(
            points_of(target, self.nodes),
            network.activation,
            neurons.weights,
            smoothing=self.smoothing,
            subspace=stuck(target).subspace if self.hold else None,  # type: ignore[arg-type]  # it refuses a teacher
            alone=training.loss == "correlation",
        )
        return problem, [problem._replace(**pace._asdict()) for pace in paces(training, network)], neurons.flat()

    def neurons(self, network: Network) -> Particles:
        """Return the neurons at the start, with their weights.

        Raises
        ------
        InputError
            For a zero start with neither residual nor a bias that keeps a neuron off the kink of its σ, where it
            has no derivative, and for quadrature in plain scaling, which means a number of neurons.
        """
        a, b, weights = network.a * _unit(network), network.b, np.full(network.width, 1.0 / network.width)
        if self.start == "network":
            return Particles(network.m, np.sqrt(np.maximum(np.diag(network.R), 0.0)), a, b, weights)
        if self.particles:
            if network.scaling != "mean_field":
                raise checks.InputError(
                    f"particles={self.particles} stand for infinitely many neurons, network.scaling="
                    f"{network.scaling!r} for a sum over {network.width}; give the network scaling='mean_field'"
                )
            a, doubled = np.polynomial.legendre.leggauss(self.particles)
            b, weights = np.full(a.size, float(self.start_bias)), doubled / doubled.sum()
        if self.start_norm == 0.0 and _at_a_kink(network.activation, b):
            raise checks.InputError(
                f"start_norm=0.0 leaves {network.activation.name} at its kink; give a positive start_norm"
            )
        return Particles(np.zeros((a.size, network.m.shape[1])), np.full(a.size, self.start_norm), a, b, weights)


def _unit(network: Network) -> float:
    """What a second-layer weight of 1 is in mean-field scaling."""
    return 1.0 if network.scaling == "mean_field" else float(network.width)


def _at_a_kink(activation: Activation, x: Array) -> bool:
    """Whether the derivative jumps at any of the points x."""
    left, right = activation.derivative(x - NEAR), activation.derivative(x + NEAR)
    return bool((abs(right - left) > JUMP).any())


def unpack(states: Array, n: int, p: int) -> tuple[Array, Array, Array, Array]:
    """Split flat states (…, n·p + 3n) into m (…, n, p), s (…, n), a (…, n), b (…, n)."""
    m, s, a, b = np.split(states, np.cumsum([n * p, n, n]), axis=-1)
    return m.reshape(*states.shape[:-1], n, p), s, a, b


def _iterate(problem: tuple[kernels.Problem, float], y: Array, slope: Array, count: int, bound: float) -> bool:
    """Take steps of the phase's size; see `march`."""
    return bool(kernels.iterate(*problem, y, slope, count, bound))


def _rows(job: Job, problem: kernels.Problem, biased: bool, states: Array) -> dict[str, Array]:
    """Risk, m, a, q and b of flat states, each along a first axis; NaN where a state is."""
    m, s, a, b = unpack(states, problem.weights.size, job.target.P)
    risk = of_living(partial(kernels.risks, problem), states)
    found = {"risk": risk, "m": m, "a": a / _unit(job.network), "q": (m * m).sum(axis=-1) + s * s}
    return {**found, "b": b} if biased else found
