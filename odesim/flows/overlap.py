"""OverlapFlow: the reduced dynamics of a network of finite width, exact but for O(1/d)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from odesim import checks, seeds
from odesim.activations.activation import Activation
from odesim.flows import _overlap as kernels
from odesim.flows.overlap_problem import paced, problem_of
from odesim.flows.plain import RightHandSide, counter, ends_of, filler, positive
from odesim.flows.record import follow, laid_out, of_living
from odesim.integrate import _explicit
from odesim.integrate.events import no_events_between_steps
from odesim.integrate.march import march
from odesim.integrate.methods import METHODS
from odesim.job import Job
from odesim.network import Network
from odesim.targets.series import Target
from odesim.targets.teacher import TeacherTarget
from odesim.training import Training
from odesim.trajectory import Trajectory

Array = NDArray[np.float64]

KIND = "overlap flow"

GRACE, STEPS_TO_ONE = 2000, 20
"""Integration steps allowed in all, and more of them for every SGD step passed."""

REFUSED_AT = 4
"""Widths beyond this many times an activation's practical one are refused."""


@dataclass(frozen=True)
class OverlapFlow:
    """Gradient flow of the population risk in the overlaps (m, R, a, b), all N neurons interacting.

    It obeys all of `Training` but the geometries other than "free". Gaussian data: exact for every dimension d.
    Boolean data (P <= 10): sums over all of {±1}^P, with the part of <w, x> off the support taken as Gaussian, right to
    O(1/d); an evaluation costs 2^P N² pair kernels of a quarter of a microsecond, and ReLU neurons whose residual is
    used up make it stiff unless the finite-step term keeps R up. A teacher (`Target.teacher`) is K more neurons that
    stay; the students' activation is its own.

    Parameters
    ----------
    finite_step : bool
        Add the drift (η d/B) E[Δ² a_j a_k σ'_j σ'_k] that steps of finite size give to Q (Saad & Solla 1995; Ben
        Arous, Gheissari & Jagannath 2022). For erf on Gaussian data in closed form (targets of moderate size, up to
        64 neurons, 16 with biases), else over ``2**log2_samples`` points: at 2^12 right to 2 % of the largest entry
        for 8 neurons, to 10 % for 64. What the mean gradient's own square adds is of the order η of the flow's
        distance to steps and left out; see ``discrete``.
    discrete : bool
        Take one step of size eta at a time in place of the flow, for batches of order d and infinite ones, at steps
        of order 1: m ← m + η(A + Bm), R ← (I + ηB)R(I + ηB)ᵀ + (η²/b)(dΓ − BRBᵀ) for batches of b, a and biases
        likewise. Without ``finite_step`` every batch counts as infinite.
    method : {"auto", "tsitouras", "dopri5", "dop853", "rock4", "rodas"}
        How to integrate. "auto" takes Tsitouras 5(4) and, while the flow is stiff, as late in training, ROCK4 or, up
        to 400 unknowns and for long, a Rosenbrock method; the others keep to what they name (Dormand–Prince 5(4) and
        of order 8).
    rtol, atol : float
        Tolerances of one integration step, relative and absolute.
    log2_samples : int
        Scrambled Sobol points of the finite-step term where it has no closed form.
    rng : seed, SeedSequence or Generator
        The scrambling.
    """

    finite_step: bool = True
    discrete: bool = False
    method: str = "auto"
    rtol: float = 1e-6
    atol: float = 1e-8
    log2_samples: int = 12
    rng: Any = 0
    finds_events: ClassVar[bool] = True
    many_starts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        checks.choice("method", self.method, METHODS)
        checks.real("rtol", self.rtol, low=1e-13, remedy="1e-6 is usual")
        checks.real("atol", self.atol, low=0.0, strict=True, remedy="1e-8 is usual")
        checks.integer("log2_samples", self.log2_samples, low=4, high=20)
        if isinstance(self.rng, np.random.Generator):  # once, for every run to have the same points
            object.__setattr__(self, "rng", seeds.seed_sequence(self.rng))

    def simulate(self, job: Job) -> Trajectory:
        """Integrate from the network's overlaps; one run, whatever ``job.seeds`` says.

        Raises
        ------
        InputError
            For a geometry other than "free", a Boolean target of too many coordinates, a teacher of another
            activation, a width far beyond the activation's practical one, of which a warning comes first, or events
            between discrete steps.
        """
        network = job.network
        no_events_between_steps(job, self.discrete)
        check_width(network)
        problem, problems, y = self._lay_out(job.target, network, job.training)
        rows = partial(_rows, job, problem)
        if self.discrete:
            states, status, reached = march(kernels.iterate_overlap, problems, y, job)
            return _with_noise(laid_out(job, KIND, rows(states), status, reached), job, problem, states)
        gauge = np.zeros(network.width if self.finite_step else 0)  # ν costs nothing where Γ is known
        out, states = follow(
            self,
            kernels.solve_overlap,
            problems,
            np.concatenate([y, gauge]),
            job,
            rows,
            kind=KIND,
            neurons=network.width,
            hopeless=_too_fast if self.finite_step else None,
        )
        return _with_noise(out, job, problem, states)

    def right_hand_side(self, target: Target | TeacherTarget, network: Network, training: Training) -> RightHandSide:
        """Return the flow as a plain function of flat states (m, R, a, b), a of the plain network.

        Raises
        ------
        InputError
            For what `simulate` refuses, and for ``discrete``.
        """
        if self.discrete:
            raise checks.InputError("discrete=True is a map of steps without a right-hand side; give discrete=False")
        check_width(network)
        problem, problems, y = self._lay_out(target, network, training)
        n, p = network.m.shape

        def nearest(state: Array) -> Array:
            m, R, a, b = unpack(state, n, p)
            return np.concatenate([m.ravel(), positive(R).ravel(), a, b])

        return RightHandSide(
            names=("m", "R", "a", "b"),
            shapes=((n, p), (n, n), (n,), (n,)),
            start=y,
            ends=ends_of(training),
            unit=network.unit,
            _fill=filler(kernels.derivative, problems),
            _risks=counter(kernels.risks, problem),
            _nearest=nearest,
        )

    def _lay_out(
        self, target: Target | TeacherTarget, network: Network, training: Training
    ) -> tuple[kernels.Problem, list[kernels.Problem], Array]:
        """The problem at rate 1, the problem of every phase, and the start."""
        training.need("OverlapFlow", geometry=("free",), reuse=("none",), normalised=(False,))
        problem = problem_of(
            target,
            network.activation,
            network.width,
            biased=network.has_biases or training.trains("b"),
            noise=training.noise,
            samples=2**self.log2_samples,
            loss=training.loss,
            rng=self.rng,
        )
        options = {"finite_step": self.finite_step, "discrete": self.discrete}
        problems = [paced(problem, training, rates, network.dim, **options) for rates in training.rates(network)]
        parts = (network.m, network.R, network.plain_a, network.b)
        return problem, problems, np.concatenate([part.ravel() for part in parts])


def check_width(network: Network) -> None:
    """Warn beyond the width to which the activation is practical; refuse far beyond.

    Raises
    ------
    InputError
        Beyond ``REFUSED_AT`` times it.
    """
    kind, width = network.activation, network.width
    practical, name = kind.practical_width, kind.name
    if width > REFUSED_AT * practical:
        raise checks.InputError(
            f"network.width={width} is beyond {REFUSED_AT} times the {practical} neurons to which the overlap flow is "
            f"practical for {name}; lower it, or take MeanFieldFlow"
        )
    if width > practical:
        warnings.warn(
            f"network.width={width} is above the {practical} neurons to which the overlap flow is practical for "
            f"{name}; expect a long run, or take MeanFieldFlow",
            stacklevel=3,
        )


def _too_fast(counts: NDArray[np.int64], sgd_steps: float) -> bool:
    """Whether the integration needs many steps to one of SGD, as where a step size feeds on its own noise."""
    tried = int(counts[_explicit.ACCEPTED] + counts[_explicit.REJECTED])
    return tried > GRACE + STEPS_TO_ONE * sgd_steps


def unpack(states: Array, n: int, p: int) -> tuple[Array, Array, Array, Array]:
    """Split flat states (…, n·p + n² + 2n) into m (…, n, p), R (…, n, n), a (…, n), b (…, n)."""
    lead = states.shape[:-1]
    m, R, a, b = np.split(states, np.cumsum([n * p, n * n, n]), axis=-1)
    return m.reshape(*lead, n, p), R.reshape(*lead, n, n), a, b


def risk_of(
    target: Target | TeacherTarget, activation: Activation, m: Array, Q: Array, a: Array, b: Array | None = None
) -> Array:
    """Population risk ½E[(h − f)²] from overlaps with any leading axes, f = Σ_j a_j σ_j without 1/N.

    Exact for Gaussian data, right to O(1/d) for Boolean data.

    Parameters
    ----------
    m, Q, a, b : arrays (…, N, P), (…, N, N), (…, N), (…, N)
        Overlaps, W Wᵀ, plain second layer and biases; rows that hold NaN give NaN.

    Raises
    ------
    InputError
        If a Boolean target has too many coordinates, or a teacher's activation is not the network's.
    """
    n = m.shape[-2]
    lead = a.shape[:-1]
    biases = np.zeros(a.shape) if b is None else b
    R = Q - m @ np.swapaxes(m, -1, -2)
    flat = [part.reshape(int(np.prod(lead, dtype=int)), -1) for part in (m, R, a, biases)]
    problem = problem_of(target, activation, n, biased=bool(np.nan_to_num(biases).any()))
    out = np.empty(flat[0].shape[0])
    kernels.risks(problem, np.ascontiguousarray(np.concatenate(flat, axis=1)), out)
    return out.reshape(lead)


def _rows(job: Job, problem: kernels.Problem, states: Array) -> dict[str, Array]:
    """Risk, m, a, Q and b of flat states, each along a first axis; NaN where a state is."""
    n, P = job.network.width, job.target.P
    m, R, a, b = unpack(states[:, : n * (P + n + 2)], n, P)
    risk = of_living(partial(kernels.risks, problem), states)
    found = {"risk": risk, "m": m, "a": a / job.network.unit, "Q": m @ np.swapaxes(m, -1, -2) + R}
    return {**found, "b": b} if problem.biased else found


def _with_noise(out: Trajectory, job: Job, problem: kernels.Problem, states: Array) -> Trajectory:
    """Add the noise rates, and the noise gauges where they stand at the end of the states."""
    n = job.network.width
    gammas = of_living(partial(kernels.noise_rates, problem), states, n)
    gauges = states[:, n * (job.target.P + n + 2) :]
    return replace(
        out,
        noise_rate=_noise_factor(job)[:, None] * gammas,
        noise_gauge=gauges.copy() if gauges.size else None,
    )


def _noise_factor(job: Job) -> Array:
    """What Γ_jj is multiplied by at each output (T,): d times the growth of m_jr² by noise, per unit of time."""
    phases = job.training.rates(job.network)
    which = np.searchsorted([rates.stop for rates in phases], job.steps, side="right")
    factors = [rates.w**2 * job.network.dim / (rates.clock * job.training.batch) for rates in phases]
    return np.array(factors)[which]
