"""Arithmetic of targets: sums and products of series in one orthonormal basis."""

from __future__ import annotations

import itertools
import math
import numbers
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, Self

from odesim import checks, laws
from odesim.checks import InputError
from odesim.laws import Key, Polynomial
from odesim.targets.given import number as finite
from odesim.targets.parse import MAX_EXPONENT
from odesim.targets.text import Series, written


class Arithmetic:
    """The operators of a target, with targets of the same law and with finite numbers.

    Sums, and products with numbers, round each coefficient ĥ_S once. Products of targets and powers are those
    of the printed expressions: exact, within the parser's bounds, and rounded once at the end.
    """

    data: str
    P: int
    series: Series
    __array_ufunc__ = None  # NumPy's numbers leave the operation to the target

    @classmethod
    def _sorted(cls, terms: Mapping[Key, float], P: int, data: str) -> Self:
        raise NotImplementedError

    def __add__(self, other: Self | float) -> Self:
        return self._with(other, add)

    __radd__ = __add__

    def __sub__(self, other: Self | float) -> Self:
        return self._with(other, subtract)

    def __rsub__(self, other: float) -> Self:
        return (-self) + other

    def __pos__(self) -> Self:
        return self

    def __neg__(self) -> Self:
        return self._sorted(scale(self.series, -1.0), self.P, self.data)

    def __mul__(self, other: Self | float) -> Self:
        if _is_number(other):
            return self._sorted(scale(self.series, finite("factor", other)), self.P, self.data)
        return self._with(other, lambda left, right: multiply(left, right, self.data))

    __rmul__ = __mul__

    def __truediv__(self, other: float) -> Self:
        if not _is_number(other):
            return NotImplemented
        return self._sorted(divide(self.series, finite("divisor", other)), self.P, self.data)

    def __pow__(self, exponent: int) -> Self:
        if not _is_number(exponent):
            return NotImplemented
        k = checks.integer("exponent", exponent, low=0, high=MAX_EXPONENT)
        return self._sorted(power(self.series, k, self.data), self.P, self.data)

    def _with(self, other: Any, operation: Callable[[Series, Series], dict[Key, float]]) -> Self:
        """Combine with a target or a number; NotImplemented for anything else."""
        if _is_number(other):
            value = finite("summand", other)
            return self._sorted(operation(self.series, (((), value),)), self.P, self.data)
        if not isinstance(other, Arithmetic):
            return NotImplemented
        if other.data != self.data:
            raise InputError(f"targets on {self.data} and {other.data} data do not combine; give one law")
        return self._sorted(operation(self.series, other.series), max(self.P, other.P), self.data)


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def add(left: Series, right: Series) -> dict[Key, float]:
    """Return left + right, each coefficient rounded once."""
    out = dict(left)
    for key, c in right:
        out[key] = out.get(key, 0.0) + c
    return out


def subtract(left: Series, right: Series) -> dict[Key, float]:
    """Return left − right, each coefficient rounded once."""
    return add(left, tuple((key, -c) for key, c in right))


def scale(series: Series, factor: float) -> dict[Key, float]:
    """Return factor·h."""
    return {key: factor * c for key, c in series}


def divide(series: Series, divisor: float) -> dict[Key, float]:
    """Return h/divisor, rounded once."""
    if not divisor:
        raise InputError("divisor=0 of a target; divide by a number other than 0")
    return {key: c / divisor for key, c in series}


def multiply(left: Series, right: Series, law: str) -> dict[Key, float]:
    """Return the product expanded in the basis, as the product of the printed expressions would be."""
    algebra = laws.Algebra(law)
    p, q = _exact(left, algebra), _exact(right, algebra)
    try:
        return rounded(algebra.product(p, q))
    except laws.Refused as refusal:
        raise _input_error("product", refusal) from None


def power(series: Series, exponent: int, law: str) -> dict[Key, float]:
    """Return h^exponent, h⁰ = 1."""
    algebra = laws.Algebra(law)
    try:
        return rounded(algebra.power(_exact(series, algebra), exponent))
    except laws.Refused as refusal:
        raise _input_error("power", refusal) from None


def energies(series: Series) -> dict[int, float]:
    """Return Σ ĥ_S² by total degree, from the lowest up."""
    grouped = itertools.groupby(series, key=lambda term: laws.degree(term[0]))
    return {degree: math.fsum(c * c for _, c in terms) for degree, terms in grouped}


def rounded(polynomial: Polynomial) -> dict[Key, float]:
    """Coefficients in the orthonormal basis, infinite beyond floating point."""
    return {key: _float(c, key) for key, c in polynomial.items()}


def _float(coefficient: laws.Number, key: Key) -> float:
    try:
        return laws.normalised(coefficient, key)
    except OverflowError:
        return math.inf


def _exact(series: Series, algebra: laws.Algebra) -> Polynomial:
    """Return the unnormalised coefficients, each the very number that prints it."""
    out: Polynomial = {}
    for key, c in series:
        number, square = written(key, c)
        out[key] = Fraction(number) if square == 1 else Fraction(number) / Fraction(algebra.square_root(square))
    return out


def _input_error(operation: str, refusal: laws.Refused) -> InputError:
    problem, remedy = refusal.args
    return InputError(f"the {operation} of targets has {problem}; {remedy}")
