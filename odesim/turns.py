"""Turns of adjacent coordinates: an orthogonal matrix taken apart into them, and Hermite polynomials turned by them.

With x = y B the elements h_S of one total degree mix among themselves, by an orthogonal matrix. A turn of the
coordinates (i, i+1) mixes only the q + 1 elements that share all other powers and the degree q in the pair.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from odesim.entries import Floats, Ints

DUST = float(np.finfo(np.float64).eps)
"""Rounding: what is smaller, relative to its row, is 0."""

Turn = tuple[int, float]
"""Rotation of the coordinates i, i + 1 by an angle."""


def decomposed(rows: Floats) -> tuple[list[Turn], Floats]:
    """Take orthonormal rows (r, c) apart: B = D Q_t … Q_1 begins with them, D the signs, Q_s a turn."""
    A = rows.T.copy()
    c, r = A.shape
    turns: list[Turn] = []
    for k in range(r):
        for i in range(c - 2, k - 1, -1):
            below = A[i + 1, k]
            if abs(below) > 0.1 * DUST:
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
