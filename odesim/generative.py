"""Leaps for learners that may transform the label: the generative leap (Gaussian) and the SQ-leap (Boolean).

Leap and isoLeap speak of correlations with y = h(z). A learner that may query any T(y) sees the whole family
T∘h, and the same recursion on that family gives

- on Gaussian data the generative exponent and leap (Damian, Pillaud-Vivien, Lee and Bruna 2024, arXiv
  2403.05529; Damian, Lee and Bruna 2025, arXiv 2506.05500); the powers h, h², …, h^p are part of the family,
  so the recursion on them bounds both from above;
- on Boolean data the SQ-leap (Joshi, Misiakiewicz and Srebro 2024, arXiv 2407.05622), exactly, since h takes
  finitely many values.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odesim import checks, laws
from odesim.checks import InputError
from odesim.complexity import sieve
from odesim.isotropy import isoleap
from odesim.laws import Key
from odesim.targets.series import Target

MAX_PRODUCTS = 200_000
"""Products of basis elements formed for the powers of a target, at most: less than a second."""
MAX_POWERS = 16
MAX_COORDINATES = 20
"""Coordinates in use for which the 2^P points of the SQ-leap are enumerated, at most."""

TOLERANCE = 1e-10
"""Share of ‖h‖ above which a coefficient counts, as in `leap`."""
ZERO = 1e-10
"""Part of the sum of a coefficient's summands, in absolute value, below which it has cancelled."""
SAME_VALUE = 1e-12
"""Values of h closer than this share of Σ|ĥ_S| are one value: they differ by rounding."""

Series = dict[Key, float]
Sized = tuple[Series, Series]
"""Coefficients, and for each the sum of its summands in absolute value."""


@dataclass(frozen=True)
class GenerativeLeap:
    """Upper bounds from the powers of h.

    Attributes
    ----------
    value : int
        The generative leap is at most this; 0 for a constant.
    exponent : int
        The generative exponent is at most this: the smallest degree in any of the powers; 0 for a constant.
    powers : int
        The powers h, …, h^powers were used.
    """

    value: int
    exponent: int
    powers: int

    def __str__(self) -> str:
        used = "h alone" if self.powers == 1 else f"h ... h^{self.powers}"
        return f"<= {self.value} (from {used})"


def generative_leap(target: Target, powers: int = 4, *, products: int = MAX_PRODUCTS) -> GenerativeLeap:
    """Bound the generative leap from above by the isoLeap recursion on the family h, h², …, h^powers.

    The generative leap is the largest k(U) over the subspaces U that miss a relevant direction, k(U) the
    smallest k ≥ 1 with E[∇_V^k (T∘h) | z_U] ≢ 0 for some T, V = U^⊥. With T among the powers k(U) can only be
    larger. One isoLeap does it: give the target a further coordinate w and let

        H(z, w) = w + Σ_p He_p(w) Σ_n h^p_n(z)/‖h^p_n‖, h^p_n the part of degree n of h^p.

    w enters first, by itself; given w the functions He_p(w), and within a power the degrees n, are linearly
    independent, so that from then on a step may use every h^p_n. Parts above the degree of h are left out,
    which the bound allows. (The recursion along the axes would not do: for z1 + z2 + z1*z2 it says 1, but h is
    even in z1 − z2.)

    Where h is the truncated projection of a callable, the bound is the polynomial's, not the callable's: every
    polynomial of one direction has exponent at most 2, while x² exp(−x²) has 4.

    Parameters
    ----------
    target : Target
        On Gaussian data.
    powers : int
        Largest power, from 1 to 16; with 1 the bound is isoLeap.
    products : int
        Products of basis elements to form for the powers, at most.

    Returns
    -------
    GenerativeLeap

    Raises
    ------
    InputError
        For Boolean data, powers out of range, or an expansion beyond the bounds.
    """
    powers = checks.integer("powers", powers, low=1, high=MAX_POWERS)
    if target.data != "gaussian":
        raise InputError(f"generative_leap is for gaussian data, target.data={target.data}; use sq_leap")
    kept, _ = sieve(target, TOLERANCE)
    if not kept:
        return GenerativeLeap(0, 0, powers)
    family = {p: {key: c for key, c in h.items() if key} for p, h in _powers(dict(kept), powers, products).items()}
    exponent = min(laws.degree(key) for h in family.values() for key in h)
    try:
        return GenerativeLeap(isoleap(_lifted(target, family)), exponent, powers)
    except InputError as error:
        raise InputError(f"powers={powers} is too much: {error}; lower powers") from None


def sq_leap(target: Target) -> int:
    """SQ-leap: the leap of the sets S with E[T(h) χ_S] ≠ 0 for some function T of the label.

    By definitions 1 and 2 of Joshi, Misiakiewicz and Srebro 2024. Every T is a sum of indicators of h's
    values, so these S are the union of the Walsh supports of the indicators. That union is the support of
    Σ_v r_v 1(h = v) for generic r; here r are random 64-bit integers and the transform runs exactly modulo
    2^64, twice, which misses a set with probability below 2^−60.

    Parameters
    ----------
    target : Target
        On Boolean data, with at most 20 coordinates in use.

    Returns
    -------
    int
        Between 0 (a constant) and the leap.

    Raises
    ------
    InputError
        For Gaussian data or too many coordinates.
    """
    if target.data != "boolean":
        raise InputError(f"sq_leap is for boolean data, target.data={target.data}; use generative_leap")
    kept, _ = sieve(target, TOLERANCE)
    used = sorted({i for key, _ in kept for i, _ in key})
    if len(used) > MAX_COORDINATES:
        raise InputError(f"target has {len(used)} coordinates, 2^P values (bound {MAX_COORDINATES}); drop some")
    bit = {i: 1 << place for place, i in enumerate(used)}
    coefficients = np.zeros(2 ** len(used))
    for key, c in kept:
        coefficients[sum(bit[i] for i, _ in key)] = c
    levels = _levels(_walsh(coefficients))
    random = np.random.default_rng(0).integers(0, 2**64, (2, levels.max() + 1), dtype=np.uint64)
    detected = (_walsh(random[0][levels]) != 0) | (_walsh(random[1][levels]) != 0)
    return _leap_of_sets(np.flatnonzero(detected))


def _powers(h: Series, powers: int, products: int = MAX_PRODUCTS) -> dict[int, Series]:
    """Orthonormal coefficients of h^p up to the degree of h (at least 2), for p = 1, …, powers.

    Only powers up to half of the largest are expanded in full. Beside each coefficient runs the sum of its
    summands in absolute value, which tells a cancelled one from a small one. h is scaled to norm 1.
    """
    norm = math.hypot(*h.values())
    h = {key: c / norm for key, c in h.items()}
    top = max(2, *map(laws.degree, h))
    budget = _Budget(powers, products)
    full = {1: (h, {key: abs(c) for key, c in h.items()})}
    for p in range(2, (powers + 1) // 2 + 1):
        full[p] = _product(full[p - 1], full[1], math.inf, budget)
    out = {1: h}
    for p in range(2, powers + 1):
        half = p // 2
        out[p] = _product(full[p - half], full[half], top, budget)[0]
    return out


class _Budget:
    """Products of basis elements that may still be formed."""

    def __init__(self, powers: int, products: int) -> None:
        self.powers, self.products, self.left = powers, products, products

    def spend(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            text = f"powers={self.powers} needs more than {self.products} products of terms"
            raise InputError(f"{text}; lower powers (1 gives isoLeap) or the target's number of terms")


def _product(left: Sized, right: Sized, top: float, budget: _Budget) -> Sized:
    """Multiply two series, up to degree ``top``."""
    budget.spend(len(left[0]) * len(right[0]))
    values: Series = {}
    sizes: Series = {}
    for a, c in left[0].items():
        for b, e in right[0].items():
            elements = _elements(a, b, top)
            budget.spend(max(len(elements) - 1, 0))
            size = left[1][a] * right[1][b]
            for key, weight in elements:
                values[key] = values.get(key, 0.0) + weight * c * e
                sizes[key] = sizes.get(key, 0.0) + weight * size
    values = {key: c for key, c in values.items() if abs(c) > ZERO * sizes[key]}
    return values, sizes


def _elements(left: Key, right: Key, top: float) -> list[tuple[Key, float]]:
    """Product of two normalised elements as (element of degree up to ``top``, coefficient) pairs."""
    mine, other = dict(left), dict(right)
    pairs = [(i, mine.get(i, 0), other.get(i, 0)) for i in sorted(mine.keys() | other.keys())]
    room = top - sum(abs(m - n) for _, m, n in pairs)  # what the degree may exceed its least by
    if room < 0:
        return []
    parts: list[tuple[Key, float, float]] = [((), 1.0, room)]
    for i, m, n in pairs:
        terms = [(((i, l),) if l else (), c, l - abs(m - n)) for l, c in _linearise(m, n)]
        parts = [(key + k, weight * c, spare - up) for key, weight, spare in parts for k, c, up in terms if up <= spare]
    return [(key, weight) for key, weight, _ in parts]


@functools.cache
def _linearise(m: int, n: int) -> tuple[tuple[int, float], ...]:
    """h_m h_n = Σ_l c_l h_l as (l, c_l) pairs, h normalised; c_l² is rational, so each is rounded once."""
    norm = math.factorial(m) * math.factorial(n)
    pairs = laws.linearise(m, n)
    return tuple((l, math.sqrt(c * c * math.factorial(l) / norm)) for l, c in pairs)


def _lifted(target: Target, family: Mapping[int, Series]) -> Target:
    """Return H of `generative_leap`, with w as its last coordinate."""
    w = target.P
    series: Series = {((w, 1),): 1.0}
    for p, h in family.items():
        for part in _by_degree(h):
            scale = 1 / math.hypot(*part.values())
            series.update({(*key, (w, p)): scale * c for key, c in part.items()})
    order = sorted(series, key=lambda key: (laws.degree(key), key))
    return Target("gaussian", w + 1, tuple((key, series[key]) for key in order))


def _by_degree(h: Series) -> Iterable[Series]:
    parts: dict[int, Series] = {}
    for key, c in h.items():
        parts.setdefault(laws.degree(key), {})[key] = c
    return parts.values()


def _walsh(values: NDArray[Any]) -> NDArray[Any]:
    """Σ_x (−1)^{|S∩x|} values[x] for all S, as bit masks; integers wrap modulo 2^64."""
    out = values.copy()
    for place in range(out.size.bit_length() - 1):
        pairs = out.reshape(-1, 2, 1 << place)
        total = pairs[:, 0] + pairs[:, 1]
        pairs[:, 1] = pairs[:, 0] - pairs[:, 1]
        pairs[:, 0] = total
    return out


def _levels(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Number each point by the value of h there."""
    order = np.argsort(values, kind="stable")
    gaps = np.diff(values[order]) > SAME_VALUE * np.abs(values).max()
    levels = np.empty(values.size, dtype=np.int64)
    levels[order] = np.concatenate([[0], np.cumsum(gaps)])
    return levels


def _leap_of_sets(masks: NDArray[np.int64]) -> int:
    """Leap of a system of sets, given as bit masks: always take the smallest new sets next."""
    seen, largest = 0, 0
    while True:
        new = masks & ~seen
        new = new[new != 0]
        if not new.size:
            return largest
        sizes = _bits(new)
        smallest = int(sizes.min())
        largest = max(largest, smallest)
        seen |= int(np.bitwise_or.reduce(new[sizes == smallest]))


def _bits(masks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the bits of each mask."""
    count = np.zeros_like(masks)
    for place in range(MAX_COORDINATES):
        count += (masks >> place) & 1
    return count
