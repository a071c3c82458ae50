"""The pieces of an expression: tokens with their places, exact literals, and refusals that name a column."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple, NoReturn

from odesim.checks import InputError
from odesim.laws import Number

_TOKEN = re.compile(
    r"[ \t\r\n\f\v]*(?:"
    r"(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign>\*\*|[-+*/()^])"
    r"|(?P<end>\Z)"
    r"|(?P<other>.))",
    re.DOTALL,
)
POLYNOMIAL = "the expression must be a polynomial in z1, z2, ..., where He2(...) and sqrt(2) may stand"


class Token(NamedTuple):
    """A piece of the expression; ``start`` counts characters from 0."""

    kind: str
    text: str
    start: int


def refuse(problem: str, start: int, remedy: str) -> NoReturn:
    """Refuse the target for what stands at this place, counted from 0."""
    raise InputError(f"target has {problem} at column {start + 1}; {remedy}")


def quoted(text: str) -> str:
    """Quote a text, cut where it is long."""
    return repr(text if len(text) <= 24 else text[:21] + "...")


def tokens_of(expression: str) -> list[Token]:
    """Cut the expression into tokens, the last of kind ``end``."""
    out: list[Token] = []
    for match in _TOKEN.finditer(expression):
        kind = str(match.lastgroup)
        start = match.start(kind)
        if kind == "other":
            refuse(f"an unexpected character {match[kind]!r}", start, POLYNOMIAL)
        out.append(Token(kind, match[kind], start))
    return out


def whole(digits: str) -> int:
    """Value of a whole number, or 10**6 for anything as large: all bounds lie below."""
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= 6 else 10**6


def clipped(text: str) -> str:
    """Return a text, cut where it is long."""
    return text if len(text) <= 12 else text[:9] + "..."


def number(token: Token) -> Number:
    """Exact value of a literal, refused where floating point cannot hold it."""
    text = token.text
    if text.isdigit() and len(text) < 300:
        return int(text)
    if len(text) > 400:
        refuse(f"the number {quoted(text)} of {len(text)} characters", token.start, "give at most 400")
    size = float(text)
    if size == float("inf"):
        refuse(f"the non-finite coefficient {quoted(text)}", token.start, "give finite numbers")
    if size:
        return Fraction(text)
    if re.split("[eE]", text)[0].strip("0."):
        refuse(f"the number {quoted(text)}, too small for floating point,", token.start, "scale it up")
    return 0
