"""The search phase: the law of the time in which one neuron finds its first group of terms, without the dimension."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from odesim import _searching as kernels
from odesim import checks, seeds
from odesim.activations.activation import Activation
from odesim.activations.catalogue import activation_named
from odesim.flows._expectation import Series
from odesim.flows.noise_alone import square_moments
from odesim.passages import censored_quantile
from odesim.targets.series import Target
from odesim.training import LOSSES

Array = NDArray[np.float64]

ACCURACY = 4e-3
"""Share of 1 + |u|, or of the level, that a step may move."""

PATIENCE = 10.0
"""Default horizon, in units of the drift's own time."""

NODES, REACH = 1 << 15, 10.0
"""Trapezoid rule for averages of the activation over its argument."""


@dataclass(frozen=True, eq=False)
class EscapeTimes:
    """Times s = η n/d^{D/2−1} at which |u| = |m|√d first reached a level, over independent runs.

    Attributes
    ----------
    times : array (runs,)
        Infinite where it did not happen before ``horizon``: censored.
    degree : int
        D, the degree of the group.
    coordinates : tuple of int
        The group's coordinates, from 0.
    kappa : float
        κ = η d^{D/2}.
    level, horizon : float
        |u| that counts as escaped, and the largest time looked at.
    """

    times: Array
    degree: int
    coordinates: tuple[int, ...]
    kappa: float
    level: float
    horizon: float

    @property
    def censored(self) -> int:
        """Number of runs that did not escape before the horizon."""
        return int((~np.isfinite(self.times)).sum())

    @property
    def median(self) -> float | None:
        """Median, None if half of the runs are censored."""
        return self.quantile(0.5)

    def quantile(self, q: float) -> float | None:
        """Quantile over all runs, None if it falls on a censored one."""
        return censored_quantile(self.times, q)

    def steps(self, dim: int, eta: float | None = None) -> Array:
        """Return the times in SGD steps at dimension d: n = s d^{D/2−1}/η.

        ``eta`` is by default the step size κ d^{−D/2} that belongs to ``kappa``, whence n = s d^{D−1}/κ.

        Raises
        ------
        InputError
            If ``kappa`` is 0 and no step size is given.
        """
        checks.integer("dim", dim, low=1)
        if eta is None and self.kappa == 0.0:
            raise checks.InputError("eta=None has no step size to go with kappa=0; give eta")
        size = self.kappa * dim ** (-self.degree / 2) if eta is None else eta
        checks.real("eta", size, low=0.0, strict=True)
        return self.times * dim ** (self.degree / 2 - 1) / size


def search_phase(
    target: Target,
    *,
    activation: str | Activation = "erf",
    a: float = 1.0,
    b: float = 0.0,
    kappa: float,
    start: ArrayLike | None = None,
    level: float = 10.0,
    noise: float = 0.0,
    loss: str = "correlation",
    runs: int = 1000,
    horizon: float | None = None,
    rng: Any = 0,
) -> EscapeTimes:
    """Draw the time at which one neuron on the unit sphere finds the target's terms of lowest degree.

    Online SGD with batch 1 and the step η = κ d^{−D/2}, D that degree, makes the overlaps u = m√d with the group's
    coordinates a diffusion in s = η n/d^{D/2−1} as d grows (Ben Arous, Gheissari & Jagannath 2022; the
    general form is our own). Left out are terms of relative size |m|² = u²/d, and of size |m| without a symmetry: with
    h_3 matched and κ = .3, the mean time from 1 to |u| = 3 is .48 here and .64, .58, .52, .49 (each ± .013) by the
    exact chain at d = 50, 100, 200, 400.

        du = [a c_D ∇Σ_{|S|=D} ĥ_S/√(S!) u^S − ½κΓu] ds + √κ dM,   Γ = a² E[Δ²] E[σ'²],   d⟨M_r, M_s⟩ = Σ_rs ds,

    with Σ_rs = a² E[Δ² z_r z_s σ'²], c_D = E[σ^(D)(G + b)], λ independent of z. Here Δ² is h² + noise for the
    correlation loss and (h − aσ(λ + b))² + noise for the square loss (Γ likewise, σ'² inside the average). As u
    grows the drift takes over, and what is left to m ~ 1 takes the time |u|^{2−D}: choose the level m*√d to compare
    with an escape at |m| = m*. At κ = 0 it is the flow. On Boolean data the same holds, λ being nearly Gaussian.

    Parameters
    ----------
    target : Target
    activation : str or Activation
    a, b : float
        Second layer (plain scaling) and bias of the neuron, frozen.
    kappa : float
        κ = η d^{D/2} (>= 0).
    start : array (coordinates,) or (runs, coordinates), optional
        u at step 0 for the group's coordinates in order, such as ±1 for entries ±1/√d; by default N(0, 1).
    level : float
        |u| over the group's coordinates that counts as escaped.
    noise : float
        Variance of the label noise.
    loss : {"correlation", "square"}
    runs : int
    horizon : float, optional
        Largest time looked at, by default 10/(|a c_D| (Σ_{|S|=D} ĥ_S²)^{1/2}).
    rng : seed, SeedSequence or Generator
        The same one gives the same bits again; run i does not depend on the number of runs.

    Returns
    -------
    EscapeTimes

    Raises
    ------
    InputError
        If c_D vanishes, so that nothing ever drives the escape, or an argument is out of bounds.
    """
    kind = activation if isinstance(activation, Activation) else activation_named(activation)
    checks.real("a", a)
    checks.real("b", b)
    checks.real("kappa", kappa, low=0.0, remedy="it is eta * dim**(D/2)")
    checks.real("level", level, low=0.0, strict=True)
    checks.real("noise", noise, low=0.0, remedy="it is a variance")
    checks.choice("loss", loss, LOSSES)
    count = checks.integer("runs", runs, low=1)
    law = diffusion(target, kind, a, b, noise, loss)
    unit = abs(law.strength) * math.sqrt(sum(c * c for S, c in target.terms.items() if sum(S) == law.degree))
    if not unit > 1e-12:
        raise checks.InputError(
            f"the moment c_{law.degree} of {kind.name} vanishes at b={b:g} (or a={a:g} is 0), so nothing drives the "
            "neuron; give another b, a or activation"
        )
    until = PATIENCE / unit if horizon is None else checks.real("horizon", horizon, low=0.0, strict=True)
    n = len(law.coordinates)
    u0 = _start(start, count, n, rng)
    keys = np.array([_key(rng, 1, i) for i in range(count)], dtype=np.uint64)
    out = np.empty(count)
    L = _factor(kappa * law.spread)
    kernels.escapes(law.series, 0.5 * kappa * law.gamma, L, u0, keys, float(level), until, ACCURACY, out)
    return EscapeTimes(out, law.degree, law.coordinates, float(kappa), float(level), until)


@dataclass(frozen=True, eq=False)
class Diffusion:
    """The law of u: drift ∇ of ``series`` (n coordinates) minus ½κ ``gamma`` u, diffusion κ ``spread`` (n, n).

    ``strength`` is a c_D, ``degree`` D and ``coordinates`` the n of the group.
    """

    series: Series
    gamma: float
    spread: Array
    strength: float
    degree: int
    coordinates: tuple[int, ...]


def diffusion(target: Target, activation: Activation, a: float, b: float, noise: float, loss: str) -> Diffusion:
    """Work out the diffusion of one neuron and the target's group of lowest degree; see `search_phase`.

    Raises
    ------
    InputError
        If the target is constant.
    """
    terms = {S: c for S, c in target.terms.items() if any(S)}
    if not terms:
        raise checks.InputError(f"target={str(target)!r} is constant; give a target with a term in some coordinate")
    degree = min(sum(S) for S in terms)
    group = {S: c for S, c in terms.items() if sum(S) == degree}
    coordinates = tuple(r for r in range(target.P) if any(S[r] for S in group))
    place = {r: i for i, r in enumerate(coordinates)}
    strength = a * _average(activation, b, degree)
    pairs = [[(place[r], S[r]) for r in coordinates if S[r]] for S in group]
    flat = np.array([pair for one in pairs for pair in one], dtype=np.int64)
    scale = [strength * c / math.sqrt(math.prod(map(math.factorial, S))) for S, c in group.items()]
    offsets = np.cumsum([0, *(len(one) for one in pairs)], dtype=np.int64)
    series = Series(offsets, flat[:, 0].copy(), flat[:, 1].copy(), np.array(scale))
    # E[h], E[h²], E[h z_r z_s], E[h² z_r z_s]
    whole = dict(target.terms)
    shifted = [_times(whole, r, target.data) for r in coordinates]
    fourth = np.array([[_inner(p, q) for q in shifted] for p in shifted])
    third = np.array(
        [[_inner(_times(p, s, target.data), {(0,) * target.P: 1.0}) for s in coordinates] for p in shifted]
    )
    slope = float(square_moments(activation, np.ones(1), np.full(1, float(b)), 0)[0, 0])
    mixed, square = _square_loss(activation, b) if loss == "square" else (0.0, 0.0)
    eye = np.eye(len(coordinates))
    spread = slope * (fourth + noise * eye) - 2 * a * mixed * third + a * a * square * eye
    gamma = slope * (_inner(whole, whole) + noise) - 2 * a * mixed * target.constant + a * a * square
    return Diffusion(series, a * a * gamma, a * a * spread, strength, degree, coordinates)


def _times(series: dict[tuple[int, ...], float], r: int, data: str) -> dict[tuple[int, ...], float]:
    """z_r times a series of orthonormal elements: z h_k = √(k+1) h_{k+1} + √k h_{k−1}, or z χ with z² = 1."""
    out: dict[tuple[int, ...], float] = {}
    for S, c in series.items():
        k = S[r]
        if data == "boolean":
            moves = [(1 - k, 1.0)]
        else:
            moves = [(k + 1, math.sqrt(k + 1)), (k - 1, math.sqrt(k))] if k else [(1, 1.0)]
        for power, weight in moves:
            index = (*S[:r], power, *S[r + 1 :])
            out[index] = out.get(index, 0.0) + weight * c
    return out


def _inner(one: dict[tuple[int, ...], float], two: dict[tuple[int, ...], float]) -> float:
    return math.fsum(c * two[S] for S, c in one.items() if S in two)


def _nodes() -> tuple[Array, Array]:
    G = np.linspace(-REACH, REACH, NODES)
    weights = np.exp(-G * G / 2) * (G[1] - G[0]) / math.sqrt(2 * math.pi)
    return G, weights


def _average(activation: Activation, b: float, degree: int) -> float:
    """c_D = E[σ(G + b) He_D(G)]."""
    G, weights = _nodes()
    return float(weights @ (activation.function(G + b) * np.polynomial.hermite_e.hermeval(G, [0] * degree + [1])))


def _square_loss(activation: Activation, b: float) -> tuple[float, float]:
    """E[σσ'²] and E[σ²σ'²]."""
    G, weights = _nodes()
    value, slope = activation.function(G + b), activation.derivative(G + b)
    return float(weights @ (value * slope**2)), float(weights @ (value**2 * slope**2))


def _factor(matrix: Array) -> Array:
    """L with L Lᵀ = matrix, positive semi-definite up to rounding."""
    values, vectors = np.linalg.eigh(matrix)
    return np.ascontiguousarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def _start(start: ArrayLike | None, runs: int, n: int, rng: Any) -> Array:
    if start is None:
        return np.array([np.random.default_rng(_child(rng, 0, i)).standard_normal(n) for i in range(runs)])
    shape = (runs, n) if np.ndim(start) == 2 else (n,)
    return np.ascontiguousarray(np.broadcast_to(checks.array("start", start, shape), (runs, n)))


def _child(rng: Any, *keys: int) -> np.random.SeedSequence:
    return seeds.child(rng, seeds.DATA, *keys)


def _key(rng: Any, *keys: int) -> np.uint64:
    return np.uint64(_child(rng, *keys).generate_state(1, np.uint64)[0])
