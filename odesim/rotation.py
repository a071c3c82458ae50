"""Rotation of a Gaussian target: its Hermite coefficients in another orthonormal frame, degree by degree.

B is taken apart into turns of adjacent coordinates, each of which mixes few coefficients (see `turns`), so
p coordinates of degree n cost ~ p²/2·C(p+n, n)·n operations.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from odesim import checks
from odesim.checks import InputError
from odesim.entries import Floats, Ints, Series, identified, joined, ordered, padded
from odesim.turns import DUST, Turn, decomposed, ranks, turn_packed, words

MAX_COEFFICIENTS = 200_000
"""Bound on C(p + n, n), the coefficients of a dense target of p coordinates and degree n that are rotated."""

MAX_SERIES = 1_000_000
"""Bound on the coefficients that rotating some coordinates of a larger target may leave."""

_LOOSE = 1e-8


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
    blocks, names = list(_blocks(np.abs(matrix) > DUST)), np.arange(target.P)
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
    row, place = np.nonzero(np.abs(packed) > DUST * norms)
    letters = words(coordinates.size, m)[place]
    starts = np.ones(letters.shape, dtype=bool)
    starts[:, 1:] = letters[:, 1:] != letters[:, :-1]
    owner, slot = np.nonzero(starts)
    edges = np.flatnonzero(starts)
    power = np.diff(np.append(edges, starts.size))
    codes = rests.codes[members[row]]
    rest_owner, rest_slot = np.nonzero(codes)
    rest = codes[rest_owner, rest_slot] - 1
    return ordered(
        np.concatenate([owner, rest_owner]),
        np.concatenate([coordinates[letters[owner, slot]], rest // rests.top]),
        np.concatenate([power, rest % rests.top + 1]),
        packed[row, place],
    )
