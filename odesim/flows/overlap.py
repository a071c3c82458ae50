"""OverlapFlow: the reduced dynamics of a network of finite width, exact but for O(1/d), for Gaussian data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odesim import checks, seeds
from odesim.activations._act import Act
from odesim.activations.catalogue import Activation
from odesim.flows import _overlap as kernels
from odesim.flows._expectation import Series, evaluate
from odesim.flows._noise_erf import Closure, Tilt
from odesim.flows._noise_points import BLOCK, Points
from odesim.flows.closure import affordable, closure_of, square
from odesim.integrate import _explicit
from odesim.integrate.drive import drive
from odesim.job import Job
from odesim.targets.series import Target
from odesim.trajectory import Status, Trajectory

Array = NDArray[np.float64]

GRACE, STEPS_TO_ONE = 2000, 20
"""Integration steps allowed in all, and more of them for every SGD step passed."""


@dataclass(frozen=True)
class OverlapFlow:
    """Gradient flow of the population risk in the overlaps (m, R, a, b), all N neurons interacting.

    Parameters
    ----------
    finite_step : bool
        Add the drift (η d) E[Δ² a_j a_k σ'_j σ'_k] that steps of finite size give to Q (Saad & Solla 1995; Ben
        Arous, Gheissari & Jagannath 2022). For erf in closed form (targets of
        moderate size), else over ``2**log2_samples`` points.
    rtol, atol : float
        Tolerances of one integration step, relative and absolute.
    log2_samples : int
        Scrambled Sobol points of the finite-step term where it has no closed form.
    rng : seed, SeedSequence or Generator
        The scrambling.
    """

    finite_step: bool = True
    rtol: float = 1e-6
    atol: float = 1e-8
    log2_samples: int = 12
    rng: Any = 0

    def __post_init__(self) -> None:
        checks.real("rtol", self.rtol, low=1e-13, remedy="1e-6 is usual")
        checks.real("atol", self.atol, low=0.0, strict=True, remedy="1e-8 is usual")
        checks.integer("log2_samples", self.log2_samples, low=4, high=20)

    def simulate(self, job: Job) -> Trajectory:
        """Integrate from the network's overlaps; one run, whatever ``job.seeds`` says.

        Raises
        ------
        InputError
            If the target's data are not Gaussian.
        """
        if job.target.data != "gaussian":
            raise checks.InputError(f"data={job.target.data!r} has no overlap flow yet; use data='gaussian'")
        network, training = job.network, job.training
        training.need(
            "OverlapFlow", geometry=("free",), loss=("square",), batch=(1,), decay_w=(0,), decay_a=(0,), schedule=((),)
        )
        problem = problem_of(
            job.target,
            network.activation,
            network.width,
            biased=network.has_biases or training.eta_b > 0,
            eta_d=training.eta * network.dim if self.finite_step else 0.0,
            noise=training.noise,
            kappas=(training.rate_a / training.eta, training.eta_b / training.eta),
            samples=2**self.log2_samples,
            rng=self.rng,
        )
        y = np.concatenate([part.ravel() for part in (network.m, network.R, network.a, network.b)])
        hopeless = _too_fast if self.finite_step else None
        states, status, reached = drive(
            kernels.solve_overlap, [problem], y, job, rtol=self.rtol, atol=self.atol, hopeless=hopeless
        )
        return _trajectory(job, problem, states, status, reached)


def _too_fast(counts: NDArray[np.int64], sgd_steps: float) -> bool:
    """Whether the integration needs many steps to one of SGD, as where a step size feeds on its own noise."""
    tried = int(counts[_explicit.ACCEPTED] + counts[_explicit.REJECTED])
    return tried > GRACE + STEPS_TO_ONE * sgd_steps


def problem_of(
    target: Target,
    activation: Activation,
    width: int,
    *,
    biased: bool,
    eta_d: float = 0.0,
    noise: float = 0.0,
    kappas: tuple[float, float] = (1.0, 0.0),
    samples: int = 0,
    rng: Any = 0,
) -> kernels.Problem:
    """Lay out what the kernels read: the target in data, tables, points and scratch.

    ``eta_d`` = 0 leaves the finite-step term out; ``kappas`` are (η_a/η, η_b/η); ``samples`` is the number of
    points of the finite-step term, where it has no closed form.
    """
    n, p = width, target.P
    terms = target.arrays()
    hermite = _unnormalised(target)
    closed = activation.name == "erf" and affordable(hermite)
    if not closed:
        hermite = {(0,) * p: 0.0}  # no tables
    table, table2 = closure_of(hermite), closure_of(square(hermite))
    return kernels.Problem(
        act=Act(*activation.arrays()),
        biased=int(biased),
        method=kernels.NOISE_ERF if closed else kernels.NOISE_POINTS,
        kappa_a=float(kappas[0]),
        kappa_b=float(kappas[1]),
        eta_d=float(eta_d),
        noise=float(noise),
        energy=float(sum(value**2 for value in target.terms.values())),
        series=Series(*terms),
        table=table,
        table2=table2,
        tilt=_tilt(n, p, target.degree, table, table2),
        points=_points(Series(*terms), n, p, 0 if closed else samples, rng),
        scratch=_scratch(n, p, target.degree),
    )


def _scratch(n: int, p: int, degree: int) -> kernels.Scratch:
    """Work arrays of the right-hand side."""
    return kernels.Scratch(
        q=np.zeros(n),
        t=np.zeros(n),
        c=np.zeros((degree + 3, n)),
        C=np.zeros(n),
        by_m=np.zeros((n, p)),
        by_q=np.zeros(n),
        by_b=np.zeros(n),
        ka=np.zeros(n),
        k1=np.zeros(n),
        kb=np.zeros(n),
        B=np.zeros((n, n)),
        Q=np.zeros((n, n)),
        S=np.zeros((n, n)),
        gamma=np.zeros((n, n)),
    )


def _unnormalised(target: Target) -> dict[tuple[int, ...], float]:
    """Coefficients of Π He_{S_r}(z_r) by index: ĥ_S / √(S!)."""
    from math import factorial, prod

    return {
        index: value / float(np.sqrt(float(prod(factorial(power) for power in index))))
        for index, value in target.terms.items()
    }


def _tilt(n: int, p: int, degree: int, table: Closure, table2: Closure) -> Tilt:
    """Scratch of the closed finite-step term."""
    return Tilt(
        alpha=np.zeros(n),
        beta=np.zeros(n),
        m=np.zeros((p, n)),
        D=np.zeros((p, p)),
        mu=np.zeros(p),
        b=np.zeros(n),
        q=np.zeros(n),
        t=np.zeros(n),
        F=np.zeros((table.degree.size, max(degree, 1) + 1, n)),
        G=np.zeros(table2.degree.size),
        u=np.zeros(n * (n + 1) // 2),
        w=np.zeros(n * (n + 1) // 2),
        sums=np.zeros(n),
    )


def _points(series: Series, n: int, p: int, count: int, rng: Any) -> Points:
    """Scrambled Sobol points of the (P + N)-dimensional standard normal law; none where ``count`` is 0."""
    z, g = np.zeros((p, count)), np.zeros((n, count))
    h = np.zeros(count)
    if count:
        from scipy.special import ndtri
        from scipy.stats import qmc

        generator = np.random.default_rng(seeds.child(rng, seeds.POINTS))
        uniform = qmc.Sobol(p + n, scramble=True, rng=generator).random(count)
        normal = ndtri(np.clip(uniform, 2.0**-40, 1 - 2.0**-40)).T
        z, g = np.ascontiguousarray(normal[:p]), np.ascontiguousarray(normal[p:])
        evaluate(series, z, h)
    return Points(
        z,
        g,
        h,
        np.zeros((n, n)),
        np.zeros((n, BLOCK)),
        np.zeros((n, BLOCK)),
        np.zeros(BLOCK),
        np.zeros(BLOCK),
    )


def unpack(states: Array, n: int, p: int) -> tuple[Array, Array, Array, Array]:
    """Split flat states (…, n·p + n² + 2n) into m (…, n, p), R (…, n, n), a (…, n), b (…, n)."""
    lead = states.shape[:-1]
    m, R, a, b = np.split(states, np.cumsum([n * p, n * n, n]), axis=-1)
    return m.reshape(*lead, n, p), R.reshape(*lead, n, n), a, b


def risk_of(target: Target, activation: Activation, m: Array, Q: Array, a: Array, b: Array | None = None) -> Array:
    """Population risk ½E[(h − f)²] = ½ Σ ĥ_S² − a·C + ½ aᵀKa, from overlaps with any leading axes.

    Parameters
    ----------
    m, Q, a, b : arrays (…, N, P), (…, N, N), (…, N), (…, N)
        Overlaps, W Wᵀ, second layer and biases; rows that hold NaN give NaN.
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


def _trajectory(job: Job, problem: kernels.Problem, states: Array, status: Status, reached: float) -> Trajectory:
    network, training = job.network, job.training
    m, R, a, b = unpack(states, network.width, job.target.P)
    alive = ~np.isnan(states[:, 0])
    risk = np.full(alive.size, np.nan)
    rates = np.full((alive.size, network.width), np.nan)
    kept = np.ascontiguousarray(states[alive])
    values, gammas = np.empty(kept.shape[0]), np.empty((kept.shape[0], network.width))
    kernels.risks(problem, kept, values)
    kernels.noise_rates(problem, kept, gammas)
    risk[alive], rates[alive] = values, training.eta * network.dim * gammas
    return Trajectory(
        kind="overlap flow",
        steps=job.steps,
        time=job.time,
        risk=risk,
        m=m,
        a=a,
        b=b if problem.biased else None,
        Q=m @ np.swapaxes(m, -1, -2) + R,
        status=np.array(int(status)),
        message=status.text if status is Status.DONE else f"at flow time {reached:.6g}: {status.text}",
        noise_rate=rates,
    )
