"""The matrices M_k of the isoLeap recursion, sparse: what the terms with k powers outside a subspace point at."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from odesim.entries import Floats, Ints, Series, identified, padded


@dataclass(frozen=True)
class Slopes:
    """M_k, sparse: M[a, S − e_a] = √S_a·ĥ_S over the terms S with k powers outside U.

    Attributes
    ----------
    row, column : int64 arrays (entries,)
    value : float64 array (entries,)
    """

    row: Ints
    column: Ints
    value: Floats

    @classmethod
    def of(cls, series: Series, new: NDArray[np.bool_], norm: float) -> Slopes:
        """Take the slopes of a series in the new axes, relative to its norm."""
        top = int(series.power.max(initial=1))
        n = series.coefficients.size
        codes = padded(series.owner, series.coordinate * top + series.power, n)
        starts = np.searchsorted(series.owner, np.arange(n))
        chosen = np.flatnonzero(new[series.coordinate])
        owner, power = series.owner[chosen], series.power[chosen]
        lowered = codes[owner]
        slot = chosen - starts[owner]
        # The code of power 0 would be another axis' top power: it goes to the end of the row, as padding.
        lowered[np.arange(chosen.size), slot] = np.where(power > 1, lowered[np.arange(chosen.size), slot] - 1, 0)
        lowered = np.sort(lowered, axis=1)
        column, _ = identified(lowered)
        return cls(series.coordinate[chosen], column, np.sqrt(power) * series.coefficients[owner] / norm)

    def peeled(self, floor: float) -> tuple[list[int], Slopes]:
        """Split off axes that columns of one entry show to lie in the span, again and again.

        Columns of M that hold e_a alone put it into the span; what is left to find is the span of the other
        rows. Only entries whose norm exceeds the floor are trusted.
        """
        axes: list[int] = []
        left = self
        while left.row.size:
            alone = np.bincount(left.column)[left.column] == 1
            strength = np.bincount(left.row[alone], left.value[alone] ** 2, left.row.max() + 1)
            found = strength > floor * floor
            if not found.any():
                break
            axes += np.flatnonzero(found).tolist()
            kept = ~found[left.row]
            left = Slopes(left.row[kept], left.column[kept], left.value[kept])
        return axes, left

    def blocks(self, floor: float) -> Iterator[tuple[Ints, Floats]]:
        """Yield connected blocks (axes, matrix as `reduced`), without the entries below the floor."""
        strong = np.abs(self.value) > floor
        row, column, value = self.row[strong], self.column[strong], self.value[strong]
        label = components(row, column)
        order = np.argsort(label, kind="stable")
        for part in np.split(order, np.flatnonzero(np.diff(label[order])) + 1):
            if part.size:
                rows, at = np.unique(row[part], return_inverse=True)
                columns, beside = np.unique(column[part], return_inverse=True)
                yield rows, reduced(at, beside, value[part], rows.size, columns.size)


def components(row: Ints, column: Ints) -> Ints:
    """Label entries (n,) of a sparse matrix by its connected block."""
    parent = list(range(int(row.max(initial=-1)) + 1))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[int, int] = {}
    for a, b in zip(row.tolist(), column.tolist(), strict=True):
        parent[root(a)] = root(first.setdefault(b, a))
    return np.array([root(a) for a in row.tolist()], dtype=np.int64)


def reduced(row: Ints, column: Ints, value: Floats, rows: int, columns: int) -> Floats:
    """Return a dense matrix of the left singular vectors and values of a sparse one, at most square.

    It is Rᵀ of a QR factorisation of the transpose, updated by a few columns at a time: nothing is squared, and a
    wide matrix is never laid out.
    """
    chunk = min(columns, max(4 * rows, 1024))
    order = np.argsort(column, kind="stable")
    edges = np.searchsorted(column[order], np.arange(0, columns + chunk, chunk))
    R = np.empty((0, rows))
    for k, (first, last) in enumerate(itertools.pairwise(edges.tolist())):
        part = order[first:last]
        block = np.zeros((chunk, rows))
        block[column[part] - k * chunk, row[part]] = value[part]
        R = np.linalg.qr(np.vstack([R, block])).R
    return R.T
