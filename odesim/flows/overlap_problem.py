"""What the overlap flow's kernels read, laid out once a run: the target in data, tables, points, rates, scratch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odesim import checks, seeds
from odesim.activations.activation import Activation
from odesim.activations.handed import act_of
from odesim.flows import _overlap as kernels
from odesim.flows._expectation import Series
from odesim.flows._noise_erf import Closure, Tilt
from odesim.flows._noise_points import BLOCK, Points
from odesim.flows._overlap_points import Grid
from odesim.flows.closure import affordable, closure_of, square
from odesim.flows.corners import cube, need_few_corners
from odesim.flows.overlap_pointers import pointers_of
from odesim.targets.series import Target
from odesim.targets.teacher import TeacherTarget
from odesim.training import Rates, Training

Array = NDArray[np.float64]
Index = tuple[int, ...]

CLOSED_WIDTH, CLOSED_WIDTH_BIASED = 64, 16
"""Largest widths whose finite-step term is closed: N⁴/4 arcsines, 13 ms an evaluation at N = 64, or, with biases, as
many bivariate normal integrals, 4 ms at N = 16: two and four times what 4096 points cost."""


def problem_of(
    target: Target | TeacherTarget,
    activation: Activation,
    width: int,
    *,
    biased: bool,
    eta_d: float = 0.0,
    noise: float = 0.0,
    kappas: tuple[float, float] = (1.0, 0.0),
    samples: int = 0,
    loss: str = "square",
    points: tuple[Array, Array] | None = None,
    rng: Any = 0,
) -> kernels.Problem:
    """Lay out what the kernels read, at ξ = 1 and without decay; see `paced`.

    Parameters
    ----------
    eta_d : float
        The factor of Γ in R'; 0 leaves the finite-step term out.
    kappas : (float, float)
        (η_a/η, η_b/η).
    samples : int
        Points of the finite-step term, where it has no closed form.
    points : (z (n, P), weights (n)), optional
        Rule for averages over z: by default all of {±1}^P on Boolean data, and none on Gaussian data, where the
        Hermite terms are exact.

    Raises
    ------
    InputError
        If a Boolean target has too many coordinates, or a teacher's activation is not the network's.
    """
    if target.data == "boolean" and points is None:
        need_few_corners(target.P, "the overlap flow")
        points = cube(target.P)
    teacher = target if isinstance(target, TeacherTarget) and points is None else None
    if teacher is not None:
        _check_same(teacher, activation)
    n, p, rows = width, target.P, width + (teacher.units if teacher else 0)
    terms = _terms(target, points)
    narrow = width <= (CLOSED_WIDTH_BIASED if biased else CLOSED_WIDTH)
    closed = activation.name == "erf" and points is None and narrow and affordable(terms)
    table, table2 = _tables(terms if closed else {(0,) * p: 0.0})
    alone = loss == "correlation"
    crowd = int(not alone or teacher is not None)
    act, grid = act_of(activation), _grid(target, n, points)
    gamma = kernels.Gamma(
        biased=int(biased),
        crowd=crowd,
        noise=float(noise),
        table=table,
        table2=table2,
        tilt=_tilt(rows, p, table, table2),
        points=_points(target, teacher, n, rows, 0 if closed else samples, rng),
    )
    plain = activation.name == "erf" and not biased
    return kernels.Problem(
        act=act,
        biased=int(biased),
        by_points=int(points is not None),
        alone=int(alone),
        crowd=crowd,
        xi_w=1.0,
        kappa_a=float(kappas[0]),
        kappa_b=float(kappas[1]),
        decay_w=0.0,
        decay_a=0.0,
        eta_d=float(eta_d),
        share=0.0,
        energy=_second_moment(target, teacher, points),
        series=_series(target),
        gamma=gamma,
        grid=grid,
        joint=_joint(teacher, n, rows, p),
        scratch=_scratch(n, rows, p, _degree(target)),
        **pointers_of(act, gamma, grid, by_points=points is not None, plain=plain, closed=closed),
    )


def paced(
    problem: kernels.Problem, training: Training, rates: Rates, dim: int, *, finite_step: bool, discrete: bool
) -> kernels.Problem:
    """Set the rates of one phase: per unit of time for the flow, per step for the map of discrete steps."""
    unit = 1.0 if discrete else rates.clock
    share = 1.0 / training.batch if finite_step else 0.0
    return problem._replace(
        xi_w=rates.w / unit,
        kappa_a=rates.a / unit,
        kappa_b=rates.b / unit,
        decay_w=rates.decay_w,
        decay_a=rates.decay_a,
        eta_d=rates.w**2 * dim * share / unit,
        share=share,
    )


def _check_same(teacher: TeacherTarget, activation: Activation) -> None:
    """Refuse a teacher whose units the kernels cannot put beside the student's."""
    one, other = (map(np.asarray, kind.arrays()) for kind in (teacher.activation, activation))
    if not all(map(np.array_equal, one, other)):
        raise checks.InputError(
            f"network.activation={activation.name!r} is not the teacher's {teacher.activation.name!r}; give the same "
            "one, or learn the teacher's polynomial part, target.project(degree=5)"
        )


def _series(target: Target | TeacherTarget) -> Series:
    """Terms for the kernels; none for a teacher."""
    if isinstance(target, TeacherTarget):
        return Series(np.zeros(1, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    return Series(*target.arrays())


def _degree(target: Target | TeacherTarget) -> int:
    return 0 if isinstance(target, TeacherTarget) else target.degree


def _terms(target: Target | TeacherTarget, points: Any) -> dict[Index, float]:
    """Coefficients of Π He_{S_r}(z_r) by index, ĥ_S / √(S!), for the closed finite-step term."""
    if isinstance(target, TeacherTarget) or points is not None:
        return {(0,) * target.P: 0.0}
    return {
        index: value / float(np.sqrt(float(math.prod(math.factorial(power) for power in index))))
        for index, value in target.terms.items()
    }


def _tables(terms: dict[Index, float]) -> tuple[Closure, Closure]:
    return closure_of(terms), closure_of(square(terms))


def _second_moment(target: Target | TeacherTarget, teacher: TeacherTarget | None, points: Any) -> float:
    """E[h²]; 0 where a teacher's units stand for h."""
    if teacher is not None:
        return 0.0
    if points is not None:
        return float(points[1] @ target.evaluate(points[0]) ** 2)
    return float(target.energy + target.constant**2)


def _scratch(n: int, rows: int, p: int, degree: int) -> kernels.Scratch:
    """Work arrays of the right-hand side."""
    return kernels.Scratch(
        lanes=np.zeros((8, rows)),
        c=np.zeros((degree + 3, rows)),
        by_m=np.zeros((rows, p)),
        Q=np.zeros((rows, rows)),
        B=np.zeros((rows, rows)),
        S=np.zeros((n, n)),
        Bm=np.zeros((n, p)),
        gamma=np.zeros((n, n)),
    )


def _joint(teacher: TeacherTarget | None, n: int, rows: int, p: int) -> kernels.Joint:
    """Student and teacher in one network whose output is f − h: the teacher's second layer is −v."""
    joint = kernels.Joint(
        np.zeros((rows, p)), np.zeros((p, rows)), np.zeros((rows, rows)), np.zeros(rows), np.zeros(rows)
    )
    if teacher is not None:
        joint.m[n:], joint.w[n:] = teacher.weights, -teacher.second_layer
        joint.mt[:, n:] = np.transpose(teacher.weights)
    return joint


def _tilt(rows: int, p: int, table: Closure, table2: Closure) -> Tilt:
    """Scratch of the closed finite-step term."""
    return Tilt(
        alpha=np.zeros(rows),
        beta=np.zeros(rows),
        m=np.zeros((p, rows)),
        D=np.zeros((p, p)),
        mu=np.zeros(p),
        b=np.zeros(rows),
        q=np.zeros(rows),
        t=np.zeros(rows),
        F=np.zeros((table.degree.size, max(int(table.degree.max()), 1) + 1, rows)),
        G=np.zeros(table2.degree.size),
        u=np.zeros(rows * (rows + 1) // 2),
        w=np.zeros(rows * (rows + 1) // 2),
        sums=np.zeros(rows),
    )


def _grid(target: Target | TeacherTarget, n: int, points: tuple[Array, Array] | None) -> Grid:
    """The rule for z, empty where the Hermite terms serve."""
    z, weights = points if points is not None else (np.zeros((0, target.P)), np.zeros(0))
    return Grid(
        z=np.ascontiguousarray(z),
        weights=np.ascontiguousarray(weights),
        h=np.ascontiguousarray(target.evaluate(z)),
        lanes=np.zeros((6, n)),
        c=np.zeros((3, n)),
        cov=np.zeros((n, n)),
        k12=np.zeros((n, n)),
    )


def _points(
    target: Target | TeacherTarget, teacher: TeacherTarget | None, n: int, rows: int, count: int, rng: Any
) -> Points:
    """Scrambled Sobol points of the law of (z, g), g (N) standard normal; none where ``count`` is 0.

    On Boolean data z holds the signs of the normals, which visits every corner equally often: a net in base 2.
    """
    p = target.P
    z, g = np.zeros((p, count)), np.zeros((n, count))
    if count:
        from scipy.special import ndtri
        from scipy.stats import qmc

        generator = np.random.default_rng(seeds.child(rng, seeds.POINTS))
        uniform = qmc.Sobol(p + n, scramble=True, rng=generator).random(count)
        normal = ndtri(np.clip(uniform, 2.0**-40, 1 - 2.0**-40)).T
        z, g = np.ascontiguousarray(normal[:p]), np.ascontiguousarray(normal[p:])
        if target.data == "boolean":
            z = np.where(z < 0, -1.0, 1.0)
    h = np.zeros(count) if teacher is not None else np.ascontiguousarray(target.evaluate(z.T))
    return Points(
        z,
        g,
        h,
        np.zeros((rows, rows)),
        np.zeros((rows, BLOCK)),
        np.zeros((rows, BLOCK)),
        np.zeros(BLOCK),
        np.zeros(BLOCK),
    )
