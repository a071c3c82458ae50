"""Values and gradients of a series at many points, with its terms as flat arrays."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from odesim.checks import InputError

_BLOCK = 1 << 12
_TABLE = 1 << 21
_PRODUCTS = 1 << 18
"""Sizes held at once: points, entries of the table of He, partial products."""


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


class _Group(NamedTuple):
    """Some terms with the same number of factors: rows of the table (n, factors), coefficients (n,)."""

    rows: NDArray[np.int64]
    coefficients: NDArray[np.float64]


def points(z: ArrayLike, P: int) -> NDArray[np.float64]:
    """Return points as float64, shape (..., P), or refuse another shape."""
    out = np.asarray(z, dtype=np.float64)
    if out.ndim == 0 or out.shape[-1] != P:
        raise InputError(f"z has shape {out.shape}; give shape (..., {P})")
    return out


def evaluate(terms: Terms, z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return h at points z (..., P) as (...)."""
    shape, z = z.shape[:-1], _flat(z)
    factors, groups = _grouped(terms)
    out = np.empty(len(z))
    size = _block(factors)
    for start in range(0, len(z), size):
        table = _table(factors, z[start : start + size])
        value = np.zeros(table.shape[1])
        for rows, coefficients in _cut(groups, table.shape[1]):
            value += coefficients @ _product(table, rows, table.shape[1])
        out[start : start + size] = value
    return out.reshape(shape)


def gradient(terms: Terms, z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ∂h at points z (..., P) as (..., P), by He_k' = k He_{k−1}."""
    shape, z = z.shape, _flat(z)
    factors, groups = _grouped(terms)
    out = np.empty(z.shape)
    size = _block(factors)
    lowered = np.stack([factors[:, 0], factors[:, 1] - 1], axis=1)
    for start in range(0, len(z), size):
        block = z[start : start + size]
        table = _table(factors, block)
        slope = factors[:, 1, None] * _table(lowered, block)
        total = np.zeros((z.shape[1], len(block)))
        for rows, coefficients in _cut(groups, len(block)):
            for one in range(rows.shape[1]):
                others = _product(table, np.delete(rows, one, axis=1), len(block))
                part = coefficients[:, None] * slope[rows[:, one]] * others
                np.add.at(total, factors[rows[:, one], 0], part)
        out[start : start + size] = total.T
    return out.reshape(shape)


def _flat(z: NDArray[np.float64]) -> NDArray[np.float64]:
    return z.reshape(math.prod(z.shape[:-1]), z.shape[-1])


def _grouped(terms: Terms) -> tuple[NDArray[np.int64], list[_Group]]:
    """Return the distinct factors (coordinate, power), and the terms by their number of factors."""
    pairs = np.stack([terms.coordinates, terms.powers], axis=1)
    factors, where = np.unique(pairs, axis=0, return_inverse=True)
    where = where.reshape(-1)
    lengths = np.diff(terms.offsets)
    groups = []
    for length in np.unique(lengths):
        chosen = np.flatnonzero(lengths == length)
        rows = where[terms.offsets[chosen, None] + np.arange(length)]
        groups.append(_Group(rows, terms.coefficients[chosen]))
    return factors, groups


def _block(factors: NDArray[np.int64]) -> int:
    return max(1, min(_BLOCK, _TABLE // max(1, len(factors))))


def _cut(groups: list[_Group], points: int) -> Iterator[_Group]:
    """Cut groups so that their products at that many points stay small."""
    step = max(1, _PRODUCTS // max(1, points))
    for rows, coefficients in groups:
        for start in range(0, len(rows), step):
            yield _Group(rows[start : start + step], coefficients[start : start + step])


def _product(table: NDArray[np.float64], rows: NDArray[np.int64], points: int) -> NDArray[np.float64]:
    """Product of the table's rows over the last axis of ``rows``: (terms, points)."""
    if not rows.shape[1]:
        return np.ones((len(rows), points))
    out = table[rows[:, 0]]
    for one in range(1, rows.shape[1]):
        out *= table[rows[:, one]]
    return out


def _table(factors: NDArray[np.int64], z: NDArray[np.float64]) -> NDArray[np.float64]:
    """He_power(z_coordinate) for every factor, by He_{k+1} = z He_k − k He_{k−1}: (factors, points)."""
    out = np.empty((len(factors), len(z)))
    for i in np.unique(factors[:, 0]):
        mine = np.flatnonzero(factors[:, 0] == i)
        x = z[:, i]
        below, here, k = np.zeros(len(z)), np.ones(len(z)), 0
        for row in mine[np.argsort(factors[mine, 1])]:
            while k < factors[row, 1]:
                below, here, k = here, x * here - k * below, k + 1
            out[row] = here
    return out
