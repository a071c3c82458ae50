"""Expressions such as ``z1 + z1*z2*z3`` read into exact polynomials by a parser of our own, without eval."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NoReturn

from odesim.checks import InputError
from odesim.laws import MAX_DEGREE, Algebra, Number, Polynomial, Refused
from odesim.targets.tokens import POLYNOMIAL, Token, clipped, number, quoted, refuse, tokens_of, whole

MAX_COORDINATE = 10_000
MAX_EXPONENT = 1000
MAX_NESTING = 50
"""Bounds on what may be written: largest coordinate, largest exponent literal, depth of parentheses."""


def parse(expression: Any, law: str) -> tuple[Polynomial, int]:
    """Read an expression into exact coefficients of the law's unnormalised basis.

    Python's precedence and associativity hold: ``-z1**2`` is −(z1²), ``2**3**1`` is 2^(3^1).

    Parameters
    ----------
    expression : str
        Numbers, ``z1``, ``z2``, ..., ``+ - * /`` (by constants other than 0), ``**`` with integer literals,
        ``sqrt(constant)``, ``He3(...)`` (unnormalised Hermite polynomial of any expression), parentheses.
    law : str
        ``gaussian`` or ``boolean``.

    Returns
    -------
    polynomial : dict
        Key -> int or Fraction.
    support : int
        The highest coordinate mentioned, 0 if there is none.

    Raises
    ------
    InputError
        For anything else, in one line with the culprit, its column (from 1) and the remedy.
    """
    if not isinstance(expression, str):
        raise InputError(f"target={expression!r} is not text; give an expression such as 'z1 + z1*z2*z3'")
    if not expression.strip():
        raise InputError("target is empty; give an expression such as 'z1 + z1*z2*z3'")
    reader = _Reader(tokens_of(expression), Algebra(law))
    polynomial = reader.sum()
    reader.finish()
    return polynomial, reader.support


class _Reader:
    """Recursive descent: sum > product > signs > power > atom. Chains are loops; only parentheses recurse."""

    def __init__(self, tokens: list[Token], algebra: Algebra) -> None:
        self.tokens = tokens
        self.algebra = algebra
        self.at = 0
        self.open: list[Token] = []
        self.support = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def finish(self) -> None:
        """Refuse whatever stands after a complete expression."""
        if self.token.kind != "end":
            self._unexpected()

    def sum(self) -> Polynomial:
        """Read terms joined by + and −; a fresh dictionary grows in place, so n terms cost O(n)."""
        total = self._product()
        while (token := self.token).text in ("+", "-"):
            self.at += 1
            sign = 1 if token.text == "+" else -1
            total = self._try(token, self.algebra.add, total, self._product(), sign)
        return total

    def _product(self) -> Polynomial:
        """Read factors joined by * and /."""
        out = self._signed()
        while (token := self.token).text in ("*", "/"):
            self.at += 1
            start = self.token
            factor = self._signed()
            if token.text == "/":
                factor = {(): 1 / Fraction(self._divisor(factor, start))}
            out = self._try(token, self.algebra.multiply, out, factor)
        return out

    def _divisor(self, factor: Polynomial, start: Token) -> Number:
        divisor = _constant(factor)
        if divisor is None:
            refuse("a division by a polynomial", start.start, "divide by constants only")
        if divisor == 0:
            refuse("a division by zero", start.start, "divide by a constant other than 0")
        return divisor

    def _signed(self) -> Polynomial:
        """Read unary signs, which bind less than ** and more than *."""
        sign = 1
        while self.token.text in ("+", "-"):
            sign = -sign if self.token.text == "-" else sign
            self.at += 1
        power = self._power()
        return power if sign == 1 else self.algebra.scale(power, -1)

    def _power(self) -> Polynomial:
        base = self._atom()
        token = self.token
        if token.text != "**":
            return base
        self.at += 1
        return self._try(token, self.algebra.power, base, self._exponent())

    def _exponent(self) -> int:
        """Read integer literals joined by **, the right one first."""
        start = self.token.start
        tower = [self._integer()]
        while self.token.text == "**":
            self.at += 1
            tower.append(self._integer())
        value = tower.pop()
        while tower:
            base = tower.pop()
            value = base ** min(value, 10) if base > 1 else base**value  # 2**10 is beyond the bound
            if value > MAX_EXPONENT:
                refuse("too large an exponent", start, f"it must be at most {MAX_EXPONENT}")
        return value

    def _integer(self) -> int:
        token = self.token
        text = f"the exponent {quoted(token.text)}" if token.text else "no exponent after **"
        if not token.text.isdigit():
            refuse(text, token.start, "write a non-negative integer literal, as in z1**2")
        if (value := whole(token.text)) > MAX_EXPONENT:
            refuse(text, token.start, f"it must be at most {MAX_EXPONENT}")
        self.at += 1
        return value

    def _atom(self) -> Polynomial:
        token = self.token
        if token.kind == "number":
            self.at += 1
            return _polynomial(number(token))
        if token.kind == "name":
            self.at += 1
            return self._named(token)
        if token.text == "(":
            return self._parenthesis()
        return self._unexpected()

    def _parenthesis(self) -> Polynomial:
        """Read a parenthesised expression."""
        if len(self.open) == MAX_NESTING:
            refuse("parentheses nested too deep", self.token.start, f"nest at most {MAX_NESTING}")
        self.open.append(self.token)
        self.at += 1
        inner = self.sum()
        if self.token.text != ")":
            self._unexpected()
        self.open.pop()
        self.at += 1
        return inner

    def _named(self, token: Token) -> Polynomial:
        """Read a coordinate or a call."""
        name = token.text
        if re.fullmatch("z[0-9]+", name):
            return self._coordinate(token)
        if name == "sqrt":
            return self._square_root(self._argument(token), token)
        if re.fullmatch("He[0-9]+", name):
            if (k := whole(name[2:])) > MAX_DEGREE:
                refuse(quoted(name), token.start, f"its degree must be at most {MAX_DEGREE}")
            return self._try(token, self.algebra.hermite, k, self._argument(token))
        if name == "He":
            refuse("'He' without a degree", token.start, "write it as in He2(z1)")
        if name.lower() in ("nan", "inf", "infinity"):
            refuse(f"the non-finite coefficient {name!r}", token.start, "give finite numbers")
        refuse(f"the unknown name {quoted(name)}", token.start, POLYNOMIAL)

    def _coordinate(self, token: Token) -> Polynomial:
        index, text = whole(token.text[1:]), quoted(token.text)
        if index == 0:
            refuse(f"the coordinate {text}", token.start, "coordinates count from z1")
        if index > MAX_COORDINATE:
            refuse(f"the coordinate {text}", token.start, f"they go up to z{MAX_COORDINATE}")
        if token.text[1] == "0":
            refuse(f"the coordinate {text}", token.start, f"write z{index}")
        self.support = max(self.support, index)
        return {((index - 1, 1),): 1}

    def _argument(self, token: Token) -> Polynomial:
        if self.token.text != "(":
            refuse(f"{token.text!r} without an argument", token.start, f"write it as in {token.text}(...)")
        return self._parenthesis()

    def _square_root(self, argument: Polynomial, token: Token) -> Polynomial:
        value = _constant(argument)
        if value is None:
            refuse("'sqrt' of a polynomial", token.start, "give it a constant, as in sqrt(2)")
        if value < 0:
            refuse("'sqrt' of a negative number", token.start, "give it a non-negative constant")
        return _polynomial(self.algebra.square_root(value))

    def _try(self, token: Token, operation: Callable[..., Polynomial], *arguments: Any) -> Polynomial:
        """Run an operation of the algebra; name the column where it is refused."""
        try:
            return operation(*arguments)
        except Refused as refusal:
            problem, remedy = refusal.args
            refuse(problem, token.start, remedy)

    def _unexpected(self) -> NoReturn:
        """Say what is wrong with a token that cannot stand where it does."""
        token = self.token
        before = self.tokens[self.at - 1] if self.at else Token("end", "", 0)
        complete = before.kind in ("number", "name") or before.text == ")"
        if token.text == "^":
            refuse("'^'", token.start, "write ** for powers, as in z1**2")
        if complete and (token.kind in ("number", "name") or token.text == "("):
            if token.kind == "name" and not re.fullmatch("z[0-9]+|He[0-9]+|sqrt", token.text):
                self._named(token)
            product = f"{clipped(before.text)}*{clipped(token.text)}"
            refuse("an implicit product", token.start, f"write the * out, as in {product}")
        if token.text == ")":
            if self.open and not complete:
                refuse("an empty or unfinished part before ')'", token.start, "complete it")
            refuse("a ')' that closes nothing", token.start, "remove it or open it")
        if token.kind == "end" and complete:
            refuse("a '(' that is never closed", self.open[-1].start, "close it with ')'")
        if token.kind == "end":
            refuse("an end that comes too early", token.start, f"complete what follows {before.text!r}")
        refuse(f"an unexpected {token.text!r}", token.start, "put a number, a coordinate or '(' there")


def _constant(p: Polynomial) -> Number | None:
    """Value of a constant polynomial, None for any other."""
    return p.get((), 0) if p.keys() <= {()} else None


def _polynomial(value: Number) -> Polynomial:
    return {(): value} if value else {}
