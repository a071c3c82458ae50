"""A Hermite series as flat arrays: a coefficient a term, an entry for every coordinate that a term holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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
        return ordered(self.owner, names[self.coordinate], self.power, self.coefficients)

    def flipped(self, coordinates: Sequence[int]) -> Series:
        """Change the sign of some coordinates."""
        flips = np.zeros(self.coordinate.max(initial=-1) + 1, dtype=bool)
        flips[[i for i in coordinates if i < flips.size]] = True
        return self._replace(coefficients=np.where(self.mass(flips) % 2, -1.0, 1.0) * self.coefficients)


def ordered(owner: Ints, coordinate: Ints, power: Ints, coefficients: Floats) -> Series:
    """Sort the entries by (owner, coordinate)."""
    order = np.lexsort((coordinate, owner))
    return Series(owner[order], coordinate[order], power[order], coefficients)


def joined(parts: Sequence[Series]) -> Series:
    """Put series of different terms one after another."""
    starts = np.cumsum([0, *(part.coefficients.size for part in parts)])
    owners = [part.owner + start for part, start in zip(parts, starts[:-1], strict=True)]
    columns = zip(*((part.coordinate, part.power, part.coefficients) for part in parts), strict=True)
    return Series(np.concatenate(owners), *(np.concatenate(column) for column in columns))


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
