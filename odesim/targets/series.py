"""Target: the function h that is learned, as a series in the orthonormal basis of the data law."""

from __future__ import annotations

import functools
import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from odesim import checks, laws
from odesim.checks import InputError
from odesim.laws import Key
from odesim.targets import parse as grammar

MAX_COEFFICIENT = 1e150
"""Largest size of a coefficient: its square, the energy, must stay finite."""


class Terms(NamedTuple):
    """A target as flat arrays: h(z) = Σ_t coefficients[t] Π_i He_{powers[i]}(z_{coordinates[i]}).

    The product runs over i in offsets[t]:offsets[t+1], an empty range for the constant; He is unnormalised,
    so coefficients = ĥ_S/√(S!). On Boolean data every power is 1.

    Attributes
    ----------
    offsets : int64 array (n + 1,)
    coordinates, powers : int64 arrays (offsets[n],)
        Coordinates count from 0.
    coefficients : float64 array (n,)
    """

    offsets: NDArray[np.int64]
    coordinates: NDArray[np.int64]
    powers: NDArray[np.int64]
    coefficients: NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class Target:
    """h(z) = Σ_S ĥ_S h_S(z); build it by `parse` or `from_terms`.

    h_S = Π_r He_{S_r}(z_r)/√(S_r!) on Gaussian data and χ_S = Π_{r∈S} z_r on Boolean data. Targets are equal
    when law, P and every coefficient are.

    Attributes
    ----------
    data : str
        ``gaussian``, z ~ N(0, I), or ``boolean``, z ~ Unif{±1}^P.
    P : int
        Number of support coordinates: the highest one mentioned.
    series : tuple of (key, coefficient)
        The non-zero terms by degree, a key holding (coordinate from 0, power) pairs.
    """

    data: str
    P: int
    series: tuple[tuple[Key, float], ...]

    @classmethod
    def parse(cls, expression: str, data: str = "gaussian") -> Target:
        """Read an expression such as ``z1 + z1*z2*z3`` or ``He2(z1)/sqrt(2) - 0.5``.

        Raises
        ------
        InputError
            For an unknown law or anything but a polynomial within the bounds, in one line with the column.
        """
        checks.choice("data", data, laws.LAWS)
        polynomial, support = grammar.parse(expression, data)
        return cls._sorted({key: _rounded(c, key) for key, c in polynomial.items()}, support, data)

    @classmethod
    def from_terms(cls, terms: Mapping[Sequence[int], float], data: str = "gaussian") -> Target:
        """Take coefficients ĥ_S in the orthonormal basis, ``{(1, 1, 1): 1.0, ...}``; zeros are dropped.

        Parameters
        ----------
        terms : mapping
            Exponents S of one common length P -> ĥ_S; all zeros is the constant.
        data : str
            ``gaussian`` or ``boolean`` (exponents 0 and 1).

        Raises
        ------
        InputError
            For an unknown law, no terms, exponents that are ragged, negative, no integers or too large, a
            coefficient that is not finite.
        """
        checks.choice("data", data, laws.LAWS)
        if not isinstance(terms, Mapping) or not terms:
            raise InputError(f"terms={terms!r} holds no terms; give a dict such as {{(1, 1, 0): 1.0}}")
        series: dict[Key, float] = {}
        lengths: dict[int, Any] = {}
        for exponents, coefficient in terms.items():
            key = _key(exponents, data)
            lengths.setdefault(len(exponents), exponents)
            series[key] = checks.real(f"terms[{exponents!r}]", coefficient)
        if len(lengths) > 1:
            first, second = list(lengths.values())[:2]
            raise InputError(f"terms has {first!r} and {second!r} of different length; give one length P")
        return cls._sorted(series, next(iter(lengths)), data)

    @classmethod
    def _sorted(cls, series: Mapping[Key, float], P: int, data: str) -> Target:
        for key, c in series.items():
            if abs(c) > MAX_COEFFICIENT:
                where = f"coefficient {c:.3g} at {laws.element_text(key)}"
                raise InputError(f"target has {where} (bound {MAX_COEFFICIENT:g}); scale it down")
        order = sorted((laws.degree(key), key) for key, c in series.items() if c)
        return cls(data, P, tuple((key, series[key]) for _, key in order))

    @functools.cached_property
    def terms(self) -> Mapping[tuple[int, ...], float]:
        """Non-zero coefficients ĥ_S by their exponents S, tuples of length P; the constant is all zeros."""
        return MappingProxyType({self.exponents(key): c for key, c in self.series})

    @property
    def constant(self) -> float:
        """E[h], the coefficient of 1."""
        return self.series[0][1] if self.series and not self.series[0][0] else 0.0

    @functools.cached_property
    def energy(self) -> float:
        """Variance of h: Σ ĥ_S² without the constant."""
        return math.fsum(c * c for key, c in self.series if key)

    @property
    def degree(self) -> int:
        """Largest total degree, 0 for a constant."""
        return laws.degree(self.series[-1][0]) if self.series else 0

    def exponents(self, key: Key) -> tuple[int, ...]:
        """Exponents S of length P of a sparse key."""
        out = [0] * self.P
        for i, power in key:
            out[i] = power
        return tuple(out)

    def label(self, S: Sequence[int]) -> str:
        """Text of one basis element, such as ``z1*z2*z3`` or ``He2(z1)*z2``; ``1`` for the constant."""
        return laws.element_text(_key(S, self.data))

    def evaluate(self, z: ArrayLike) -> NDArray[np.float64]:
        """Return h at points z, shape (..., P) -> (...).

        Raises
        ------
        InputError
            If the last axis is not P long.
        """
        points = np.asarray(z, dtype=np.float64)
        if points.ndim == 0 or points.shape[-1] != self.P:
            raise InputError(f"z has shape {points.shape}; give shape (..., {self.P})")
        terms, tables = self.arrays(), self._tables(points)
        out = np.zeros(points.shape[:-1])
        for t, coefficient in enumerate(terms.coefficients):
            part = np.full_like(out, coefficient)
            for i in range(terms.offsets[t], terms.offsets[t + 1]):
                part *= tables[terms.coordinates[i]][terms.powers[i]]
            out += part
        return out

    def _tables(self, z: NDArray[np.float64]) -> list[list[NDArray[np.float64]]]:
        """He_0 ... He_k of every coordinate, k its largest power, by He_{k+1} = z He_k − k He_{k−1}."""
        tables = [[np.ones(z.shape[:-1]), z[..., i]] for i in range(self.P)]
        for key, _ in self.series:
            for i, power in key:
                table = tables[i]
                while len(table) <= power:
                    k = len(table) - 1
                    table.append(z[..., i] * table[k] - k * table[k - 1])
        return tables

    def arrays(self) -> Terms:
        """Return the terms as the kernels take them."""
        lengths = [len(key) for key, _ in self.series]
        pairs = [pair for key, _ in self.series for pair in key]
        flat = np.array(pairs, dtype=np.int64).reshape(len(pairs), 2)
        coefficients = [c / math.sqrt(laws.factorial(key)) for key, c in self.series]
        return Terms(
            np.cumsum([0, *lengths], dtype=np.int64),
            flat[:, 0].copy(),
            flat[:, 1].copy(),
            np.array(coefficients, dtype=np.float64),
        )

    def __str__(self) -> str:
        """Return an expression that `parse` reads back into this very target."""
        parts = [_term_text(key, c) for key, c in self.series]
        mentioned = max((key[-1][0] + 1 for key, _ in self.series if key), default=0)
        if mentioned < self.P:
            parts.append(f"0*z{self.P}")
        text = " + ".join(parts) or "0"
        return text.replace("+ -", "- ")

    def __repr__(self) -> str:
        return f"Target.parse({str(self)!r}, data={self.data!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Cached views of the series cannot be pickled and need not be.
        return Target, (self.data, self.P, self.series)


def _rounded(coefficient: laws.Number, key: Key) -> float:
    """Coefficient in the orthonormal basis, infinite beyond floating point."""
    try:
        return laws.normalised(coefficient, key)
    except OverflowError:
        return math.inf


def _key(exponents: Any, data: str) -> Key:
    """Check one tuple of exponents and keep its non-zero ones."""
    if not isinstance(exponents, Sequence) or isinstance(exponents, str):
        raise InputError(f"terms has the key {exponents!r}; give a tuple of exponents such as (1, 0, 2)")
    if len(exponents) > grammar.MAX_COORDINATE:
        raise InputError(f"terms has {len(exponents)} coordinates; give at most {grammar.MAX_COORDINATE}")
    for power in exponents:
        if isinstance(power, bool) or not isinstance(power, numbers.Integral) or power < 0:
            raise InputError(f"terms has the exponent {power!r} in {exponents!r}; give non-negative integers")
    if data == "boolean" and max(exponents, default=0) > 1:
        raise InputError(f"terms has {exponents!r} on boolean data; give exponents 0 and 1, since z**2 = 1")
    if sum(exponents) > laws.MAX_DEGREE:
        raise InputError(f"terms has {exponents!r} of degree above {laws.MAX_DEGREE}; lower the exponents")
    return tuple((i, int(power)) for i, power in enumerate(exponents) if power)


def _term_text(key: Key, coefficient: float) -> str:
    """Text of ĥ_S h_S: with the unnormalised coefficient where that is short and exact, else over √(S!)."""
    element, square = laws.element_text(key), laws.factorial(key)
    if square == 1:
        return _scaled_text(_number_text(coefficient), element)
    plain = f"{coefficient / math.sqrt(square):.12g}"
    if laws.normalised(Fraction(plain), key) == coefficient:
        return _scaled_text(plain, element)
    return f"{_scaled_text(_number_text(coefficient), element)}/sqrt({square})"


def _scaled_text(number: str, element: str) -> str:
    if element == "1":
        return number
    if number in ("1", "-1"):
        return number[:-1] + element
    return f"{number}*{element}"


def _number_text(number: float) -> str:
    return str(int(number)) if number.is_integer() and abs(number) < 1e16 else repr(number)
