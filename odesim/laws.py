"""The data laws' bases, and exact polynomials in them: products of He_k(z_i), or of signs."""

from __future__ import annotations

import functools
import math
from fractions import Fraction

LAWS = ("gaussian", "boolean")
MAX_DEGREE = 100
MAX_TERMS = 200_000
MAX_WORK = 2_000_000
"""Bounds on an expression: total degree, number of terms, products of basis elements formed on the way."""

Number = int | Fraction
Key = tuple[tuple[int, int], ...]
"""A basis element as (coordinate from 0, power) pairs: coordinates increase, powers are positive, () is 1."""
Polynomial = dict[Key, Number]
"""Exact coefficients in the unnormalised basis; a missing key is 0."""

_ROOT_BITS = 256
_ROUNDED_BITS = 200
_LONG_BITS, _LONGEST_BITS = 8192, 65536
# Exponents of two allowed on the way: a subnormal 2**-1074 over the root of 100! needs -1337.
_TINIEST, _LARGEST = -1400, 1100


class Refused(Exception):  # noqa: N818 - a verdict that the parser turns into an InputError with its column
    """An operation beyond a bound: what is wrong, and the remedy."""


def degree(key: Key) -> int:
    """Total degree of a basis element."""
    return sum(power for _, power in key)


def factorial(key: Key) -> int:
    """S! = E[He_S²], the squared norm of the unnormalised element (1 for products of signs)."""
    return math.prod(math.factorial(power) for _, power in key)


def element_text(key: Key) -> str:
    """Text of one basis element, such as ``z1*z2`` or ``He2(z1)*z2``; ``1`` for the constant."""
    factors = [f"z{i + 1}" if power == 1 else f"He{power}(z{i + 1})" for i, power in key]
    return "*".join(factors) or "1"


def square_root(number: Number) -> Fraction:
    """Square root of a non-negative rational: exact where it is rational, else to 256 bits."""
    above, below = number.numerator, number.denominator
    root, divisor = math.isqrt(above), math.isqrt(below)
    if root * root == above and divisor * divisor == below:
        return Fraction(root, divisor)
    shift = max(0, _ROOT_BITS - (above.bit_length() - below.bit_length()) // 2)
    return Fraction(math.isqrt((above << 2 * shift) // below), 1 << shift)


def normalised(coefficient: Number, key: Key) -> float:
    """Coefficient in the orthonormal basis, c·√(S!), rounded once.

    Raises
    ------
    OverflowError
        If it exceeds the floating-point range.
    """
    square = factorial(key)
    if square == 1:
        return float(coefficient)
    size = float(square_root(coefficient * coefficient * square))
    return -size if coefficient < 0 else size


@functools.cache
def linearise(m: int, n: int) -> tuple[tuple[int, int], ...]:
    """He_m He_n = Σ_k k! C(m,k) C(n,k) He_{m+n−2k} as (degree, coefficient) pairs."""
    return tuple((m + n - 2 * k, math.factorial(k) * math.comb(m, k) * math.comb(n, k)) for k in range(min(m, n) + 1))


class Algebra:
    """Exact sums and products in one law's basis, refused before they would explode.

    On Boolean data z_i² = 1. Irrational square roots are carried to 256 bits, and from then on a sum that
    cancels to 2^−200 of its summands counts as zero.

    Attributes
    ----------
    law : str
        ``gaussian`` or ``boolean``.
    rounded : bool
        Whether a number was rounded so far.
    work : int
        Products of basis elements formed so far, counted from above.
    """

    def __init__(self, law: str) -> None:
        self.law = law
        self.rounded = False
        self.work = 0
        self._whole = False

    def add(self, total: Polynomial, other: Polynomial, sign: int = 1) -> Polynomial:
        """Add ``sign·other`` to ``total`` in place and return it."""
        for key, c in other.items():
            self._accumulate(total, key, c if sign == 1 else sign * c)
            if not self._whole and key in total and type(total[key]) is Fraction:
                total[key] = self._settle(total[key])
        if len(total) > MAX_TERMS:
            raise Refused(f"more than {MAX_TERMS} terms", "shorten it")
        return total

    def scale(self, p: Polynomial, factor: Number) -> Polynomial:
        """Return ``factor·p``."""
        return {key: self._settle(factor * c) for key, c in p.items() if factor}

    def multiply(self, p: Polynomial, q: Polynomial) -> Polynomial:
        """Return p·q, expanded in the basis."""
        self._allow_product(p, q)
        out: Polynomial = {}
        for left, c in p.items():
            for right, e in q.items():
                product = c if e == 1 else c * e
                for key, weight in self._elements(left, right):
                    self._accumulate(out, key, product if weight == 1 else weight * product)
        return out if self._whole else {key: self._settle(c) for key, c in out.items()}

    def product(self, p: Polynomial, q: Polynomial) -> Polynomial:
        """Return p·q as `multiply` does, in integers over common denominators where these stay short."""
        (D, left, long), (E, right, longer) = _cleared(p), _cleared(q)
        if long + longer > _LONGEST_BITS:
            return self.multiply(p, q)
        self._whole = True
        out = self.multiply(left, right)
        self._whole = False
        return {key: self._settle(Fraction(c, D * E)) for key, c in out.items()}

    def power(self, p: Polynomial, exponent: int) -> Polynomial:
        """Return p^exponent (p⁰ = 1, also for p = 0)."""
        return self._climb(p, exponent, 0)

    def hermite(self, k: int, p: Polynomial) -> Polynomial:
        """Return He_k(p) by He_{j+1} = p·He_j − j·He_{j−1}; one term where p is a coordinate (Gaussian)."""
        if self.law == "gaussian" and len(p) == 1 and k <= MAX_DEGREE:
            ((key, coefficient),) = p.items()
            if degree(key) == 1 and coefficient == 1:
                return {((key[0][0], k),): 1} if k else {(): 1}
        return self._climb(p, k, 1)

    def square_root(self, number: Number) -> Number:
        """Return √number, noting whether it had to be rounded."""
        root = square_root(number)
        self.rounded |= root * root != number
        return root

    def _climb(self, p: Polynomial, k: int, lag: int) -> Polynomial:
        """Return X_k of X_{j+1} = p·X_j − lag·j·X_{j−1}, X_0 = 1: a power with lag 0, He_k(p) with lag 1.

        It runs in integers D^j X_j, D the common denominator, since a fraction's gcd at every product costs
        ten times as much; in fractions, shortened on the way, where those integers would grow too long.
        """
        self._allow_power(p, k)
        D, step, longest = _cleared(p)
        self._whole = longest * k <= _LONGEST_BITS
        if not self._whole:
            D, step = 1, p
        below: Polynomial = {}
        here: Polynomial = {(): 1}
        for j in range(k):
            below, here = here, self.add(self.multiply(step, here), below, -lag * j * D * D)
        self._whole = False
        return {key: self._settle(Fraction(c, D**k) if D > 1 else c) for key, c in here.items()}

    def _elements(self, left: Key, right: Key) -> list[tuple[Key, int]]:
        """Product of two basis elements as (element, coefficient) pairs."""
        if not left or not right:
            return [(left or right, 1)]
        mine, other = dict(left), dict(right)
        shared = mine.keys() & other.keys()
        apart = [pair for pair in left + right if pair[0] not in shared]
        if self.law == "boolean" or not shared:
            return [(tuple(sorted(apart)), 1)]
        parts: list[tuple[list[tuple[int, int]], int]] = [(apart, 1)]
        for i in shared:
            pairs = linearise(mine[i], other[i])
            parts = [([*key, (i, n)] if n else key, weight * c) for key, weight in parts for n, c in pairs]
        return [(tuple(sorted(key)), weight) for key, weight in parts]

    def _accumulate(self, out: Polynomial, key: Key, c: Number) -> None:
        """Add c to out[key]; drop the key where that cancels."""
        if key not in out:
            out[key] = c
            return
        total = out[key] + c
        if not total or (self.rounded and _scale(total) < _scale(c) - _ROUNDED_BITS):
            del out[key]
        else:
            out[key] = total

    def _settle(self, c: Number) -> Number:
        """Refuse a coefficient outside the floating-point range; shorten one of thousands of digits."""
        if not _TINIEST < _scale(c) < _LARGEST:
            raise Refused("a coefficient outside the floating-point range", "scale the coefficients")
        if c.numerator.bit_length() + c.denominator.bit_length() <= _LONG_BITS:
            return c
        self.rounded = True
        shift = 2 * _ROOT_BITS - _scale(c)
        return Fraction(round(c * Fraction(2) ** shift)) / Fraction(2) ** shift

    def _allow_product(self, p: Polynomial, q: Polynomial) -> None:
        """Test the bounds on p·q before it is formed."""
        first, second = _degree(p), _degree(q)
        _allow_degree(first + second)
        pairs = len(p) * len(q)
        if not first or not second:
            return self._spend(pairs)
        a, b = _reach(p), _reach(q)
        if pairs == 1 and a.keys().isdisjoint(b):
            return self._spend(pairs)
        split = 1
        if self.law == "gaussian":
            split = min(2 ** min(first, second), math.prod(min(a[i], b[i]) + 1 for i in a.keys() & b.keys()))
        reach = {i: a.get(i, 0) + b.get(i, 0) for i in a.keys() | b.keys()}
        _allow_terms(min(pairs * split, self._room(first + second, reach)))
        self._spend(pairs * split)

    def _allow_power(self, p: Polynomial, k: int) -> None:
        """Test the bounds on a polynomial of degree k in p before it is formed."""
        height, reach = _degree(p), _reach(p)
        _allow_degree(height * k)
        _allow_terms(self._power_terms(p, k, height, reach))
        split = 2 ** min(height, len(reach)) if self.law == "gaussian" else 1
        forecast = 0
        for j in range(k):
            forecast += self._power_terms(p, j, height, reach) * len(p) * split
            _allow_work(self.work + forecast)

    def _power_terms(self, p: Polynomial, k: int, height: int, reach: dict[int, int]) -> int:
        """Bound the number of terms of p^k: by the room, and by the products of k of p's terms.

        Each product has a parity at every coordinate, so that it splits into half as many powers there.
        """
        room = self._room(height * k, {i: k * most for i, most in reach.items()})
        parts = math.prod(k * most // 2 + 1 for most in reach.values()) if self.law == "gaussian" else 1
        return min(room, math.comb(len(p) + k - 1, k) * parts if p else 1)

    def _room(self, height: int, reach: dict[int, int]) -> int:
        """Basis elements of that total degree with that largest power at each coordinate, from above."""
        if self.law == "boolean":
            return 2 ** len(reach)
        return min(math.comb(len(reach) + height, height), math.prod(most + 1 for most in reach.values()))

    def _spend(self, work: int) -> None:
        self.work += work
        _allow_work(self.work)


def _cleared(p: Polynomial) -> tuple[int, Polynomial, int]:
    """Return the common denominator D, the integers D·p, and how many bits the longest of them may have."""
    D = math.lcm(*(c.denominator for c in p.values()))
    longest = max((abs(c.numerator).bit_length() for c in p.values()), default=0) + D.bit_length()
    return D, {key: c.numerator * (D // c.denominator) for key, c in p.items()}, longest


def _scale(c: Number) -> int:
    """Binary exponent of a number, to within one."""
    return c.numerator.bit_length() - c.denominator.bit_length()


def _degree(p: Polynomial) -> int:
    return max(map(degree, p), default=0)


def _reach(p: Polynomial) -> dict[int, int]:
    """Largest power of every coordinate."""
    reach: dict[int, int] = {}
    for key in p:
        for i, power in key:
            reach[i] = max(power, reach.get(i, 0))
    return reach


def _allow_degree(height: int) -> None:
    if height > MAX_DEGREE:
        raise Refused(f"degree {height} (bound {MAX_DEGREE})", "lower the powers")


def _allow_work(work: int) -> None:
    if work > MAX_WORK:
        raise Refused(f"an expansion of more than {MAX_WORK} products", "lower the powers")


def _allow_terms(count: int) -> None:
    if count > MAX_TERMS:
        size = f"{count:.1e}" if count < 10**300 else "countless"
        raise Refused(f"an expansion to as many as {size} terms (bound {MAX_TERMS})", "lower the powers")
