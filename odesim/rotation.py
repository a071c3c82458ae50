"""Rotation of a Gaussian target: its Hermite coefficients in another orthonormal frame, degree by degree.

With x = y B the elements h_S of one total degree mix among themselves, by an orthogonal matrix. B is taken
apart into rotations of adjacent coordinates (i, i+1); such a one mixes only the q + 1 elements that share all
other powers and the degree q in the pair, so p coordinates of degree n cost ~ p²/2·C(p+n, n)·n operations.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from odesim import checks
from odesim.checks import InputError

MAX_COEFFICIENTS = 200_000
"""Bound on C(p + n, n), the coefficients of a dense target of p coordinates and degree n that are rotated."""

MAX_SERIES = 1_000_000
"""Bound on the coefficients that rotating some coordinates of a larger target may leave."""

_DUST = float(np.finfo(np.float64).eps)
_LOOSE = 1e-8

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Turn = tuple[int, float]
"""Rotation of the coordinates i, i + 1 by an angle."""


class Series(NamedTuple):
    """Coefficients in the normalised basis, the powers as entries sorted by (owner, coordinate).

    Attributes
    ----------
    owner, coordinate, power : int64 arrays (entries,)
        Entry e: term ``owner[e]`` has ``power[e]`` ≥ 1 on ``coordinate[e]``. Every term has an entry.
    coefficients : float64 array (terms,)
    """

    owner: Ints
    coordinate: Ints
    power: Ints
    coefficients: Floats

    @classmethod
    def of(cls, target: Any) -> Series:
        """Take the non-constant terms of a target."""
        terms = [(key, c) for key, c in target.series if key]
        lengths = [len(key) for key, _ in terms]
        flat = np.array([pair for key, _ in terms for pair in key], dtype=np.int64).reshape(-1, 2)
        owner = np.repeat(np.arange(len(terms)), lengths)
        return cls(owner, flat[:, 0], flat[:, 1], np.array([c for _, c in terms], dtype=np.float64))

    def mass(self, chosen: NDArray[np.bool_]) -> Ints:
        """Degree of every term in the chosen coordinates, (P,) -> (terms,)."""
        weights = np.where(chosen[self.coordinate], self.power, 0)
        return np.bincount(self.owner, weights, self.coefficients.size).astype(np.int64)

    def take(self, kept: NDArray[np.bool_]) -> Series:
        """Return the kept terms."""
        inside = kept[self.owner]
        owner = (np.cumsum(kept) - 1)[self.owner[inside]]
        return Series(owner, self.coordinate[inside], self.power[inside], self.coefficients[kept])

    def renamed(self, names: Ints) -> Series:
        """Call coordinate i ``names[i]``, different coordinates differently."""
        return _ordered(self.owner, names[self.coordinate], self.power, self.coefficients)

    def flipped(self, coordinates: Sequence[int]) -> Series:
        """Change the sign of some coordinates."""
        flips = np.zeros(self.coordinate.max(initial=-1) + 1, dtype=bool)
        flips[[i for i in coordinates if i < flips.size]] = True
        return self._replace(coefficients=np.where(self.mass(flips) % 2, -1.0, 1.0) * self.coefficients)


def rotated(target: Any, R: ArrayLike) -> Any:
    """Return g with g(z) = h(z R): the target seen in the frame of the rows of R.

    Targets rotate themselves by it, so that it lies below them and takes one as it is (`Target.rotate` is typed).
    Coordinates that R only permutes or flips cost nothing; each block of R is rotated by itself.

    Parameters
    ----------
    target : Target
        On Gaussian data.
    R : array (P, P)
        Orthogonal, to 1e-8 in R Rᵀ.

    Returns
    -------
    Target
        Of equal constant, energy by degree and P; coefficients below rounding are dropped.

    Raises
    ------
    InputError
        On Boolean data, for an R of another shape or not orthogonal, and where C(p + n, n) of a block of p
        coordinates and degree n exceeds the bound.
    """
    if target.data != "gaussian":
        raise InputError(f"data={target.data!r} cannot be rotated: its law is not invariant; use gaussian data")
    matrix = checks.array("R", R, (target.P, target.P))
    error = float(np.abs(matrix @ matrix.T - np.eye(target.P)).max(initial=0.0))
    if error > _LOOSE:
        raise InputError(f"R has R Rᵀ off the identity by {error:.1e} (bound {_LOOSE:g}); give an orthogonal R")
    blocks, names = list(_blocks(np.abs(matrix) > _DUST)), np.arange(target.P)
    for rows, columns in blocks:
        names[columns] = rows
    single = [rows[0] for rows, columns in blocks if rows.size == 1 and matrix[rows[0], columns[0]] < 0]
    series = Series.of(target).renamed(names).flipped(single)
    for rows, columns in blocks:
        if rows.size > 1:
            series = turned(series, rows, *decomposed(matrix[np.ix_(rows, columns)]))
    coefficients = np.append(series.coefficients, target.constant)
    return target.from_arrays(series.owner, series.coordinate, series.power, coefficients, target.P)


def _blocks(pattern: NDArray[np.bool_]) -> Iterator[tuple[Ints, Ints]]:
    """Yield (rows, columns) of the blocks that a permutation makes diagonal."""
    left = np.ones(len(pattern), dtype=bool)
    while left.any():
        rows: NDArray[np.bool_] = np.arange(left.size) == np.argmax(left)
        while True:
            columns = pattern[rows].any(axis=0)
            grown: NDArray[np.bool_] = np.asarray(pattern[:, columns].any(axis=1))
            if (grown == rows).all():
                break
            rows = grown
        left &= ~rows
        yield np.flatnonzero(rows), np.flatnonzero(columns)


def turned(series: Series, coordinates: Ints, turns: Sequence[Turn], signs: Floats) -> Series:
    """Rotate the coordinates C of a series, x_C = y_C B, the others kept.

    Parameters
    ----------
    series : Series
    coordinates : int array (c,)
        C, increasing.
    turns, signs
        B, from `decomposed`.

    Raises
    ------
    InputError
        Where C(c + n, n) or the terms to come exceed their bounds, n the degree in C.
    """
    c = coordinates.size
    position = np.full(max(series.coordinate.max(initial=0), coordinates.max()) + 1, -1)
    position[coordinates] = np.arange(c)
    degree = series.mass(position >= 0)
    inner, outer = series.take(degree > 0), series.take(degree == 0)
    degree = degree[degree > 0]
    inside = position[inner.coordinate] >= 0
    group, rests = _rests(inner, ~inside)
    _allow(c, degree, group)
    parts = [outer]
    for m in np.unique(degree):
        chosen = degree == m
        entries = inside & chosen[inner.owner]
        letters = np.repeat(position[inner.coordinate[entries]], inner.power[entries])
        letters = letters.reshape(-1, m)[:, ::-1]  # entries go up, letters down
        members, which = np.unique(group[chosen], return_inverse=True)
        packed = np.zeros((members.size, math.comb(c + m - 1, m)))
        packed[which, ranks(letters, c)] = inner.coefficients[chosen]
        parts.append(_unpacked(turn_packed(packed, c, int(m), turns, signs), coordinates, int(m), members, rests))
    return joined(parts)


def _allow(c: int, degree: Ints, group: Ints) -> None:
    """Refuse to rotate c coordinates of terms of these degrees in them, where they would become too many."""
    n = int(degree.max(initial=0))
    count, bound = math.comb(c + n, n), MAX_COEFFICIENTS
    rotation = f"a rotation of {c} coordinates at degree {n}"
    if count <= bound:
        pairs = np.unique(np.stack([degree, group]), axis=1)[0]
        count, bound = sum(math.comb(c + m - 1, m) for m in pairs.tolist()), MAX_SERIES
    if count > bound:
        size = f"{count}" if count < 10**15 else f"{float(min(count, 10**300)):.0e}"
        what = f"{rotation}, {size} coefficients (bound {bound})"
        raise InputError(f"target needs {what}; give it fewer coordinates or a lower degree")


def decomposed(rows: Floats) -> tuple[list[Turn], Floats]:
    """Take orthonormal rows (r, c) apart: B = D Q_t … Q_1 begins with them, D the signs, Q_s a turn."""
    A = rows.T.copy()
    c, r = A.shape
    turns: list[Turn] = []
    for k in range(r):
        for i in range(c - 2, k - 1, -1):
            below = A[i + 1, k]
            if abs(below) > 0.1 * _DUST:
                angle = math.atan2(below, A[i, k])
                A[i : i + 2] = _matrix(angle) @ A[i : i + 2]
                turns.append((i, angle))
    signs = np.ones(c)
    signs[:r] = np.where(np.diag(A) < 0, -1.0, 1.0)
    return turns, signs


def carried(x: Floats, turns: Sequence[Turn], signs: Floats) -> Floats:
    """Return x B for rows x (n, c)."""
    y = x * signs
    for i, angle in reversed(turns):
        y[:, i : i + 2] = y[:, i : i + 2] @ _matrix(angle)
    return y


def turn_packed(packed: Floats, c: int, m: int, turns: Sequence[Turn], signs: Floats) -> Floats:
    """Rotate polynomials of one degree, in place: x = y D Q_t … Q_1.

    Parameters
    ----------
    packed : array (groups, C(c + m − 1, m))
        Normalised coefficients in the order of `words`.
    c, m : int
        Number of coordinates and total degree.
    turns, signs
        From `decomposed`.
    """
    letters = words(c, m)
    if m <= 2 and len(turns) > 4 * c:
        return _turn_forms(packed, letters, carried(np.eye(c), turns, signs))
    below = [np.count_nonzero(letters <= i, axis=1) for i in range(-1, c)] if letters.size * c < 10**7 else None
    for i, angle in turns:
        low, mid, high = (below[j + 1] if below else np.count_nonzero(letters <= j, axis=1) for j in (i - 1, i, i + 1))
        # Raising the power on i by one, at the cost of i + 1, moves the rank by a difference of these.
        shift = np.array([math.comb(x + i, i + 1) for x in range(m + 1)])
        pair, leading = high - low, mid == low
        for q in np.unique(pair[pair > 0]).tolist():
            first = np.flatnonzero(leading & (pair == q))
            index = first[:, None] + shift[low[first][:, None] + np.arange(q + 1)] - shift[low[first]][:, None]
            packed[:, index] = packed[:, index] @ mixing(q, angle).T
    flips = np.flatnonzero(signs < 0)
    odd = np.isin(letters, flips).sum(axis=1) % 2 == 1
    packed[:, odd] *= -1.0
    return packed


def _turn_forms(packed: Floats, letters: Ints, B: Floats) -> Floats:
    """Rotate linear or quadratic forms, as vectors B v or matrices B A Bᵀ."""
    if letters.shape[1] == 1:
        return (packed[:, ::-1] @ B.T)[:, ::-1]
    i, j = letters.T
    weights = np.where(i == j, math.sqrt(0.5), 0.5)
    A = np.zeros(B.shape)
    for form in packed:
        A[i, j] = A[j, i] = weights * form
        form[:] = (B @ A @ B.T)[i, j] / weights
    return packed


@functools.lru_cache(1024)
def mixing(q: int, angle: float) -> Floats:
    """Matrix (q + 1, q + 1) by which coefficients of h_l(x_0) h_{q−l}(x_1), l = 0 … q, become those of y.

    x_0 = c y_0 − s y_1, x_1 = s y_0 + c y_1: exp(angle·A) with A tridiagonal and antisymmetric, of elements
    √((l+1)(q−l)). A is −i times a real symmetric matrix up to phases, of eigenvalues −q, −q+2 … q.
    """
    vectors, phases = _generator(q)
    rotating = np.exp(-1j * angle * np.arange(-q, q + 1, 2))
    return np.ascontiguousarray((phases * ((vectors * rotating) @ vectors.T)).real)


@functools.cache
def _generator(q: int) -> tuple[Floats, NDArray[np.complex128]]:
    l = np.arange(q)
    beside = np.sqrt((l + 1.0) * (q - l))
    _, vectors = np.linalg.eigh(np.diag(beside, 1) + np.diag(beside, -1))
    steps = np.arange(q + 1)
    return vectors, np.array([1, 1j, -1, -1j])[(steps[:, None] - steps) % 4]


def _matrix(angle: float) -> Floats:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, s], [-s, c]])


def words(c: int, m: int) -> Ints:
    """List the elements of degree m in c coordinates as words (C(c+m−1, m), m): a coordinate per power, falling."""
    pool = itertools.combinations_with_replacement(range(c - 1, -1, -1), m)
    return np.fromiter(itertools.chain.from_iterable(pool), dtype=np.int64).reshape(-1, m)


def ranks(letters: Ints, c: int) -> Ints:
    """Places (n,) of words (n, m) in the list of `words`."""
    m = letters.shape[1]
    out = np.full(len(letters), math.comb(c + m - 1, m) - 1)
    for j in range(m):
        table = np.array([math.comb(letter + m - 1 - j, m - j) for letter in range(c)])
        out -= table[letters[:, j]]
    return out


def identified(codes: Ints) -> tuple[Ints, Ints]:
    """Number the different rows of non-negative codes (n, L): identities (n,) and a first place of each."""
    base = int(codes.max(initial=0)) + 1
    fit = max(1, 62 // base.bit_length())
    columns = [
        codes[:, j : j + fit] @ base ** np.arange(codes[:, j : j + fit].shape[1]) for j in range(0, codes.shape[1], fit)
    ]
    if not columns:
        return np.zeros(len(codes), dtype=np.int64), np.zeros(min(1, len(codes)), dtype=np.int64)
    order = np.lexsort(columns)
    new = np.zeros(len(codes), dtype=bool)
    new[:1] = True
    for column in columns:
        new[1:] |= np.diff(column[order]) != 0
    out = np.empty(len(codes), dtype=np.int64)
    out[order] = np.cumsum(new) - 1
    return out, order[new]


def padded(owner: Ints, codes: Ints, n: int) -> Ints:
    """Lay out positive codes of entries, sorted by owner, as rows (n, longest), zeros at the end."""
    lengths = np.bincount(owner, minlength=n)
    slot = np.arange(owner.size) - (np.cumsum(lengths) - lengths)[owner]
    out = np.zeros((n, lengths.max(initial=0)), dtype=np.int64)
    out[owner, slot] = codes
    return out


class _Rests(NamedTuple):
    """The different products of the other coordinates: codes coordinate·top + power, padded."""

    codes: Ints
    top: int


def _rests(series: Series, outside: NDArray[np.bool_]) -> tuple[Ints, _Rests]:
    """Group terms (n,) by their part outside."""
    top = int(series.power.max(initial=1))
    codes = series.coordinate[outside] * top + series.power[outside]
    rows = padded(series.owner[outside], codes, series.coefficients.size)
    group, first = identified(rows)
    return group, _Rests(rows[first], top)


def _unpacked(packed: Floats, coordinates: Ints, m: int, members: Ints, rests: _Rests) -> Series:
    """Read off the terms above rounding; row g of packed belongs to the rest ``members[g]``."""
    norms = np.linalg.norm(packed, axis=1, keepdims=True)
    row, place = np.nonzero(np.abs(packed) > _DUST * norms)
    letters = words(coordinates.size, m)[place]
    starts = np.ones(letters.shape, dtype=bool)
    starts[:, 1:] = letters[:, 1:] != letters[:, :-1]
    owner, slot = np.nonzero(starts)
    edges = np.flatnonzero(starts)
    power = np.diff(np.append(edges, starts.size))
    codes = rests.codes[members[row]]
    rest_owner, rest_slot = np.nonzero(codes)
    rest = codes[rest_owner, rest_slot] - 1
    return _ordered(
        np.concatenate([owner, rest_owner]),
        np.concatenate([coordinates[letters[owner, slot]], rest // rests.top]),
        np.concatenate([power, rest % rests.top + 1]),
        packed[row, place],
    )


def _ordered(owner: Ints, coordinate: Ints, power: Ints, coefficients: Floats) -> Series:
    order = np.lexsort((coordinate, owner))
    return Series(owner[order], coordinate[order], power[order], coefficients)


def joined(parts: Sequence[Series]) -> Series:
    """Put series of different terms one after another."""
    starts = np.cumsum([0, *(part.coefficients.size for part in parts)])
    owners = [part.owner + start for part, start in zip(parts, starts[:-1], strict=True)]
    columns = zip(*((part.coordinate, part.power, part.coefficients) for part in parts), strict=True)
    return Series(np.concatenate(owners), *(np.concatenate(column) for column in columns))
