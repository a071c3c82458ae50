"""What the kernels of the correlation flow read about one neuron alone: target, activation, law, radii, noise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odesim import checks
from odesim.activations.activation import Activation
from odesim.activations.handed import act_of
from odesim.flows import _correlation as kernels
from odesim.flows._expectation import Series
from odesim.flows._two_radii import NEVER, Radii
from odesim.flows.closure import affordable, square
from odesim.flows.corners import cube
from odesim.targets.teacher import TeacherTarget
from odesim.training import TwoRadii

Array = NDArray[np.float64]

CLOSED = ("erf", "relu")
"""Activations for which E[σ'²] has a closed form in the kernels."""

SOBOL = 1 << 12
"""Points of z for the noise of targets whose h² has too many terms, and of teachers."""


def problem_of(
    target: Any,
    activation: Activation,
    *,
    sphere: bool,
    points: tuple[Array, Array] | None = None,
    radii: TwoRadii | None = None,
    followed: int = 0,
    noise: float | None = None,
) -> kernels.Problem:
    """Lay out what the kernels read, for a = 1, b = 0 and no decay.

    Parameters
    ----------
    points : (z (n, P), weights (n)), optional
        Rule for averages over z; by default all of {±1}^P on Boolean data, and on Gaussian data none: the
        Hermite terms are exact.
    radii : TwoRadii, optional
        The layerwise rule.
    followed : int
        Coordinates off the support that the state holds one by one.
    noise : float, optional
        Variance of the label noise; None leaves out the finite-step term, whose states have a noise gauge at the end.
    """
    if points is None and target.data == "boolean":
        points = cube(target.P)
    teacher = target if isinstance(target, TeacherTarget) else None
    z, weights = points or (np.zeros((0, target.P)), np.zeros(0))
    h = target.evaluate(z)
    n, k = (weights.size, 3) if points else (1, (0 if teacher else target.degree) + 3)
    by_points, coordinates = points is not None, target.P + followed
    by_terms = kernels.BY_UNITS if teacher else kernels.BY_TERMS
    inner, outer = (radii.r, radii.delta) if radii else (NEVER, NEVER)
    return kernels.Problem(
        act=act_of(activation),
        sphere=int(sphere),
        method=kernels.BY_POINTS if by_points else by_terms,
        a=1.0,
        b=0.0,
        decay=0.0,
        series=_none() if teacher else Series(*target.arrays()),
        z=z,
        weighted=weights * h,
        units=_units(teacher, target.P),
        noise=_noise(target, None if teacher else noise, weights, h, by_points),
        radii=Radii(inner, outer, np.zeros(coordinates, np.int64), np.full(coordinates, np.inf)),
        scratch=kernels.Scratch(
            q=np.zeros(n),
            b=np.zeros(n),
            c=np.zeros((k, n)),
            C=np.zeros(1),
            G=np.zeros((1, coordinates)),
            by_q=np.zeros(1),
            by_b=np.zeros(1),
            before=np.zeros((3, coordinates + 1 + int(noise is not None))),
        ),
    )


def fresh(problem: kernels.Problem) -> kernels.Problem:
    """Return the same problem with radii of its own, nothing released."""
    n = problem.radii.mode.size
    return problem._replace(radii=problem.radii._replace(mode=np.zeros(n, np.int64), times=np.full(n, np.inf)))


def square_series(target: Any, noise: float) -> Series | None:
    """Return h² + noise as unnormalised Hermite terms; None where there would be too many."""
    plain = {
        index: value / math.sqrt(math.prod(math.factorial(power) for power in index))
        for index, value in target.terms.items()
    }
    if not affordable(plain):
        return None
    terms = square(plain)
    terms[(0,) * target.P] = terms.get((0,) * target.P, 0.0) + noise
    pairs = [[(i, power) for i, power in enumerate(index) if power] for index in terms]
    flat = np.array([pair for one in pairs for pair in one], dtype=np.int64).reshape(-1, 2)
    return Series(
        np.cumsum([0, *(len(one) for one in pairs)], dtype=np.int64),
        flat[:, 0].copy(),
        flat[:, 1].copy(),
        np.array(list(terms.values()), dtype=np.float64),
    )


def normal_points(P: int) -> tuple[Array, Array]:
    """Scrambled Sobol points of the standard normal law: z (n, P) and equal weights (n)."""
    from scipy.special import ndtri
    from scipy.stats import qmc

    uniform = qmc.Sobol(P, scramble=True, rng=np.random.default_rng(0)).random(SOBOL)
    return ndtri(np.clip(uniform, 2.0**-40, 1 - 2.0**-40)), np.full(SOBOL, 1.0 / SOBOL)


def check_finite_step(target: Any, activation: Activation) -> None:
    """Refuse the finite-step term where it is not known.

    Raises
    ------
    InputError
        For a teacher, an activation without closed form, or an h² of too many terms.
    """
    if activation.name not in CLOSED:
        raise checks.InputError(
            f"finite_step=True with {activation.name} has no closed form in CorrelationFlow; "
            f"use {' or '.join(CLOSED)}, or finite_step=False"
        )
    if isinstance(target, TeacherTarget):
        raise checks.InputError("finite_step=True is unknown for teachers in CorrelationFlow; give finite_step=False")
    if target.data == "gaussian" and square_series(target, 0.0) is None:
        raise checks.InputError("finite_step=True: the target's square has too many terms; give finite_step=False")


def _none() -> Series:
    whole = np.zeros(0, np.int64)
    return Series(np.zeros(1, np.int64), whole, whole.copy(), np.zeros(0))


def _units(teacher: TeacherTarget | None, P: int) -> kernels.Units:
    """Teacher units as neurons 1..K; none at all for other targets."""
    w = teacher.weights if teacher else np.zeros((0, P))
    v = teacher.second_layer if teacher else np.zeros(0)
    n = len(w) + 1
    Q = np.zeros((n, n))
    Q[1:, 1:] = w @ w.T
    return kernels.Units(
        w=np.ascontiguousarray(w), v=np.append(0.0, v), b=np.zeros(n), Q=Q, sums=np.zeros((4, n)), k12=np.zeros((n, n))
    )


def _noise(target: Any, noise: float | None, weights: Array, h: Array, by_points: bool) -> kernels.Noise:
    if noise is None:
        return kernels.Noise(0.0, _none(), np.zeros(0), np.zeros((0, 0)))
    if by_points:
        return kernels.Noise(0.0, _none(), weights * (h * h + noise), np.zeros((1, weights.size)))
    series = square_series(target, noise) or _none()
    return kernels.Noise(0.0, series, np.zeros(0), np.zeros((2 * target.degree + 1, 1)))
