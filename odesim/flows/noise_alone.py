"""The noise gauge of neurons that do not see each other: how fast SGD's noise makes m_jr² grow."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from odesim.activations.activation import Activation
from odesim.activations.handed import act_of
from odesim.flows import _noise_alone as kernels
from odesim.flows.corners import cube
from odesim.flows.lone import CLOSED, normal_points, square_series
from odesim.job import Job
from odesim.targets.teacher import TeacherTarget

Array = NDArray[np.float64]

NODES, REACH = 513, 9.0
"""Trapezoid rule for E over G of σ'² where it has no closed form; a kink costs it up to 1 % of its jump."""

AT_ONCE, MOST = 1 << 22, 1 << 31
"""Numbers formed at once, and in all: beyond it the gauge is left out."""

TINY = 1e-30


def rates(job: Job, m: Array, squares: Array) -> Array | None:
    """Growth of m_jr² by SGD's noise per unit of flow time, w²d/(B·clock) Γ_jj with w the step size at that row.

    Parameters
    ----------
    m, squares : arrays (T, N, P) and (T, N)
        Overlaps and squared residual norms; rows of NaN give NaN.

    Returns
    -------
    array (T, N), or None where Γ would cost more than ``MOST`` evaluations.
    """
    network = job.network
    factor = np.empty(job.steps.size)
    for row in job.training.rates(network):
        inside = (job.steps >= row.start) & (job.steps < row.stop)
        factor[inside] = row.w**2 * network.dim / (job.training.batch * row.clock)
    T, N, P = m.shape
    flat = gamma(
        job.target,
        network.activation,
        m.reshape(T * N, P),
        squares.ravel(),
        np.tile(network.b, T),
        job.training.noise,
    )
    return None if flat is None else factor[:, None] * network.plain_a**2 * flat.reshape(T, N)


def gamma(target: Any, activation: Activation, m: Array, R: Array, b: Array, noise: float) -> Array | None:
    """E[(h² + noise) σ'(λ + b)²] of neurons m (n, P), R (n), b (n), λ Gaussian given z with variance R.

    By Hermite terms where h² has few enough, else over all signs (Boolean data) or over Sobol points of z.
    """
    teacher = isinstance(target, TeacherTarget)
    series = None if teacher or target.data == "boolean" else square_series(target, noise)
    out = np.full(R.size, np.nan)
    alive = np.flatnonzero(~np.isnan(R))
    if series is not None:
        degree = 2 * target.degree
        for rows in _pieces(alive, NODES + degree):
            q = (m[rows] ** 2).sum(axis=1) + R[rows]
            c = square_moments(activation, q, b[rows], degree)
            out[rows] = _sum_of_terms(series, m[rows], c)
        return out
    z, weights = cube(target.P) if target.data == "boolean" else normal_points(target.P)
    cost = weights.size * (1 if activation.name in CLOSED else NODES)
    if alive.size * cost > MOST:
        return None
    h2 = weights * (target.evaluate(z) ** 2 + noise)
    for rows in _pieces(alive, cost):
        u = m[rows] @ z.T + b[rows, None]
        variance = np.repeat(R[rows], weights.size)
        out[rows] = square_moments(activation, variance, u.ravel(), 0)[0].reshape(u.shape) @ h2
    return out


def square_moments(activation: Activation, q: Array, b: Array, degree: int) -> Array:
    """E[ψ^(k)(√q G + b)], ψ = σ'², for k <= degree: shape (degree + 1, n)."""
    q = np.maximum(q, TINY)
    out = np.empty((degree + 1, q.size))
    if activation.name in CLOSED:
        kernels.square_moments(act_of(activation), q, np.ascontiguousarray(b), out)
        return out
    G = np.linspace(-REACH, REACH, NODES)
    values = np.exp(-G * G / 2) * activation.derivative(np.sqrt(q)[:, None] * G + b[:, None]) ** 2
    values *= (G[1] - G[0]) / np.sqrt(2 * np.pi)
    before, now = np.zeros_like(G), np.ones_like(G)
    for k in range(degree + 1):
        out[k] = values @ now / q ** (k / 2)
        before, now = now, G * now - k * before
    return out


def _sum_of_terms(series: Any, m: Array, c: Array) -> Array:
    """Σ_S w_S m^S c_|S| of every row."""
    total = np.zeros(m.shape[0])
    for t, weight in enumerate(series.coefficients):
        part = slice(series.offsets[t], series.offsets[t + 1])
        powers = series.powers[part]
        total += weight * np.prod(m[:, series.coordinates[part]] ** powers, axis=1) * c[powers.sum()]
    return total


def _pieces(rows: NDArray[np.int64], each: int) -> list[NDArray[np.int64]]:
    return np.array_split(rows, 1 + rows.size * each // AT_ONCE) if rows.size else []
