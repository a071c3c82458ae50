"""A series as text: the expression that parses back to it, and LaTeX."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from fractions import Fraction

from odesim import laws
from odesim.laws import Key

Series = tuple[tuple[Key, float], ...]
"""Coefficients ĥ_S in the orthonormal basis by sparse keys, sorted by degree, without zeros."""


def expression(series: Series, P: int) -> str:
    """Return an expression that parses back to the series and its P, to the bit."""
    parts = [_term(key, c) for key, c in series]
    mentioned = max((key[-1][0] + 1 for key, _ in series if key), default=0)
    if mentioned < P:
        parts.append(f"0*z{P}")
    return _joined(parts)


def latex(series: Series) -> str:
    """Return the series in LaTeX, with unnormalised He as in `expression`."""
    return _joined(_latex_term(key, c) for key, c in series)


def written(key: Key, coefficient: float) -> tuple[str, int]:
    """Return (number, s): the term ĥ_S h_S is number/√s times the unnormalised element.

    s is 1 where 12 digits of the unnormalised coefficient give back ĥ_S to the bit, else S!.
    """
    square = laws.factorial(key)
    if square == 1:
        return _number(coefficient), 1
    plain = f"{coefficient / math.sqrt(square):.12g}"
    if laws.normalised(Fraction(plain), key) == coefficient:
        return plain, 1
    # the shortest digits of so large a number may lie midway between two, where the root's last bit decides
    return _number(coefficient) if abs(coefficient) < 1e16 else f"{coefficient:.17g}", square


def _joined(parts: Iterable[str]) -> str:
    return (" + ".join(parts) or "0").replace("+ -", "- ")


def _term(key: Key, coefficient: float) -> str:
    number, square = written(key, coefficient)
    text = _scaled(number, laws.element_text(key) if key else "", "*", str)
    return text if square == 1 else f"{text}/sqrt({square})"


def _latex_term(key: Key, coefficient: float) -> str:
    factors = [rf"\mathrm{{He}}_{{{power}}}(z_{{{i + 1}}})" if power > 1 else f"z_{{{i + 1}}}" for i, power in key]
    element = r" \, ".join(factors)
    number, square = written(key, coefficient)
    if square == 1:
        return _scaled(number, element, r" \, ", _latex_number)
    sign, size = ("-", number[1:]) if number.startswith("-") else ("", number)
    return rf"{sign}\frac{{{_latex_number(size)}}}{{\sqrt{{{square}}}}} \, {element}"


def _scaled(number: str, element: str, times: str, shown: Callable[[str], str]) -> str:
    if not element:
        return shown(number)
    if number in ("1", "-1"):
        return number[:-1] + element
    return f"{shown(number)}{times}{element}"


def _number(number: float) -> str:
    return str(int(number)) if number.is_integer() and abs(number) < 1e16 else repr(number)


def _latex_number(text: str) -> str:
    """``-1.5e-05`` as −1.5 · 10⁻⁵."""
    digits, _, exponent = text.partition("e")
    if not exponent:
        return digits
    power = f"10^{{{int(exponent)}}}"
    return digits[:-1] + power if digits in ("1", "-1") else rf"{digits} \cdot {power}"
