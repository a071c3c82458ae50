"""Symmetries that hold the mean-field flow of a Boolean target in a subspace, and the risk they leave."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from odesim.checks import InputError
from odesim.complexity import sieve
from odesim.targets.series import Target

Counts = tuple[tuple[int, int], ...]
"""How many members a set has in each non-zero cell: (cell, count) pairs, sorted, counts positive."""
Profile = tuple[tuple[Counts, int], ...]
"""Labels of a coordinate's non-zero sums by counts; equal labels mean equal sums within the tolerance."""

_ZERO = 0
_STEP, _WIDEST = 0.01, 0.2


class Trap(NamedTuple):
    """What refinement finds: verdict, floor, cells of signed coordinates and zero coordinates, from 1."""

    verdict: str
    floor: float
    cells: tuple[tuple[int, ...], ...]
    zero: tuple[int, ...]


@dataclass(frozen=True)
class Stuck:
    """The smallest subspace F* that traps the mean-field flow from zero overlaps, and the risk it leaves.

    Coordinates count from 1; those in no term of the target are left out.

    Attributes
    ----------
    verdict : str
        ``stuck``: floor > 0, proved in the mean-field limit. ``undecided``: floor 0 but F* a proper subspace,
        so it depends on the activation. ``free``: no linear trap, which promises nothing.
    floor : float
        ½ E Var(h | P_F* z): the risk is at least this while the flow stays in F*.
    cells : tuple of tuples of int
        Coordinates whose overlaps stay equal, in order of the first; −i marks the opposite of the cell's first.
        A coordinate on its own is a cell too.
    zero : tuple of int
        Coordinates whose overlaps stay 0.
    freed_by : Target or None
        The target with its linear coefficients moved apart by a few per cent, where that frees it; None where
        it does not, or where the target is free already.
    """

    verdict: str
    floor: float
    cells: tuple[tuple[int, ...], ...]
    zero: tuple[int, ...]
    freed_by: Target | None
    target: Target = field(repr=False)

    @property
    def classes(self) -> tuple[tuple[int, ...], ...]:
        """The cells of two coordinates or more."""
        return tuple(cell for cell in self.cells if len(cell) > 1)

    @property
    def subspace(self) -> NDArray[np.float64]:
        """Orthonormal basis of F*, shape (number of cells, P)."""
        out = np.zeros((len(self.cells), self.target.P))
        for row, cell in zip(out, self.cells, strict=True):
            for i in cell:
                row[abs(i) - 1] = math.copysign(1 / math.sqrt(len(cell)), i)
        return out


def stuck(target: Target, *, tol: float = 1e-10) -> Stuck:
    """Find what traps the mean-field flow that starts at zero overlaps, by signed refinement.

    A subspace F traps the flow, for every activation, law of the second layer, schedule and decay, iff
    E[z | P_F z] ∈ F and E[h z | P_F z] ∈ F. Such F are the signed partitions of the coordinates: u_i = ±u_j
    within a cell, u_i = 0 in one more cell. In the smallest, F*, that zero cell starts with all coordinates.
    The profile of i, in the zero cell or not, maps counts of members per cell to Σ ±ĥ_S over the sets S ∋ i
    with these counts whose other members lie outside the zero cell, signs in the cells' orientation.
    Coordinates leave the zero cell together where their profiles are equal or opposite, and a cell splits where
    profiles differ, until stable.

    Parameters
    ----------
    target : Target
        On Boolean data.
    tol : float
        Terms, and differences between sums of them, count when above tol·‖h‖, the norm without the constant.

    Returns
    -------
    Stuck
        A target that is no merged staircase is ``stuck`` as well, with the coordinates it never reaches in
        ``zero``: from zero overlaps the flow cannot leap (`merged_staircase`).

    Raises
    ------
    InputError
        For a Gaussian target or a negative tol.
    """
    if target.data != "boolean":
        raise InputError(f"target has data={target.data!r}, where no such trap is known; give it on boolean data")
    found = _trap(target, tol)
    apart = _spread_linear(target) if found.verdict != "free" else None
    freed = apart is not None and _trap(apart, tol).verdict == "free"
    return Stuck(*found, freed_by=apart if freed else None, target=target)


def _trap(target: Target, tol: float) -> Trap:
    """Refine, and judge the floor in units of ‖h‖², where neither large nor small coefficients matter."""
    kept, _ = sieve(target, tol)
    norm = math.hypot(*(c for _, c in kept))
    partition = _Partition([(tuple(i for i, _ in key), c / norm) for key, c in kept], tol)
    partition.refine()
    floor = partition.floor()
    if floor <= len(kept) * max(tol, 1e-15) ** 2 / 2:  # what terms of just that size would leave
        floor = 0.0
    cells, zero = partition.signed_cells()
    proper = bool(zero) or any(len(cell) > 1 for cell in cells)
    verdict = "stuck" if floor else "undecided" if proper else "free"
    return Trap(verdict, floor * norm * norm, cells, zero)


def _spread_linear(target: Target) -> Target | None:
    """Multiply the linear coefficients by distinct 1 + δ, larger ones by more; None where there are not two.

    All their sizes then differ, so their coordinates leave the zero cell one by one, whatever the δ.
    """
    series = list(target.series)
    linear = [t for t, (key, _) in enumerate(series) if len(key) == 1]
    if len(linear) < 2:
        return None
    linear.sort(key=lambda t: abs(series[t][1]))
    step, middle = min(_STEP, _WIDEST / (len(linear) - 1)), (len(linear) - 1) // 2
    for k, t in enumerate(linear):
        key, c = series[t]
        series[t] = (key, c * round(1 + step * (k - middle), 12))
    return Target(target.data, target.P, tuple(series))


class _Partition:
    """A signed partition of the coordinates that is refined where something changed.

    Attributes
    ----------
    cell, sign : dict
        The cell of every coordinate, 0 the zero cell, and its orientation ±1 there.
    members : dict
        The coordinates of every cell.
    """

    def __init__(self, terms: Sequence[tuple[tuple[int, ...], float]], tol: float) -> None:
        self.terms = terms
        self.tol = tol
        self.holders: dict[int, list[int]] = defaultdict(list)
        for t, (S, _) in enumerate(terms):
            for i in S:
                self.holders[i].append(t)
        self.cell = dict.fromkeys(sorted(self.holders), _ZERO)
        self.sign = dict.fromkeys(self.cell, 1)
        self.members: dict[int, set[int]] = {_ZERO: set(self.cell)}
        self._known: dict[int, tuple[Counts, int, int]] = {}

    def refine(self) -> None:
        """Split cells until the profiles agree within each.

        Only coordinates that share a term with one that changed its cell are looked at again, and the largest
        part of a cell keeps its number, so that each coordinate changes cells O(log P) times.
        """
        dirty = set(self.cell)
        while dirty:
            suspects: dict[int, list[int]] = defaultdict(list)
            for i in sorted(dirty):
                suspects[self.cell[i]].append(i)
            parts = [part for cell, some in suspects.items() for part in self._leaving(cell, some)]
            for part in parts:
                self._found(part)
            touched = {t for part in parts for i in part for t in self.holders[i]}
            dirty = {i for t in touched for i in self.terms[t][0]}
            for t in touched:
                self._known.pop(t, None)

    def floor(self) -> float:
        """½ E Var(h | P_F z) = ½ Σ (ĥ_S − mean over the sets of the same counts)², absent sets included.

        Sets with a member in the zero cell have mean 0. In this form equal coefficients cancel exactly.
        """
        alike: dict[Counts, list[float]] = defaultdict(list)
        out = []
        for t, (_, c) in enumerate(self.terms):
            counts, sign, zeros = self._signature(t)
            if zeros:
                out.append(c * c)
            else:
                alike[counts].append(sign * c)
        for counts, values in alike.items():
            sets = math.prod(math.comb(len(self.members[cell]), n) for cell, n in counts)
            mean = math.fsum(values) / min(sets, 10**300)
            out += [(c - mean) ** 2 for c in values]
            out.append(mean * math.fsum(values) * ((sets - len(values)) / sets))
        return math.fsum(out) / 2

    def signed_cells(self) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...]]:
        """Cells relative to their first coordinate, and the zero cell; coordinates from 1."""
        cells = [sorted(members) for cell, members in self.members.items() if cell != _ZERO]
        signed = [tuple((i + 1) * self.sign[i] * self.sign[cell[0]] for i in cell) for cell in sorted(cells)]
        return tuple(signed), tuple(i + 1 for i in sorted(self.members[_ZERO]))

    def _signature(self, t: int) -> tuple[Counts, int, int]:
        """Counts per non-zero cell, product of orientations, and number of zero-cell members of a term."""
        if t not in self._known:
            counts: dict[int, int] = defaultdict(int)
            sign = 1
            for i in self.terms[t][0]:
                counts[self.cell[i]] += 1
                sign *= self.sign[i]
            zeros = counts.pop(_ZERO, 0)
            self._known[t] = tuple(sorted(counts.items())), sign, zeros
        return self._known[t]

    def _leaving(self, cell: int, suspects: list[int]) -> list[dict[int, int]]:
        """Parts that must leave a cell, each as coordinate -> orientation."""
        if cell == _ZERO:  # all others there have an empty profile, as before
            groups = self._grouped(cell, suspects)
            groups.pop((), None)
            return list(groups.values())
        if len(self.members[cell]) == 1:
            return []
        # The others have not changed and agree: one of them stands for all.
        others = self.members[cell].difference(suspects)
        spokesman = [min(others)] if others else []
        groups = self._grouped(cell, [*suspects, *spokesman])
        for part in groups.values():
            if not part.keys().isdisjoint(spokesman):
                part.update(dict.fromkeys(others, 1))
        largest = max(groups.values(), key=len)
        return [part for part in groups.values() if part is not largest]

    def _found(self, part: dict[int, int]) -> None:
        """Move coordinates to a new cell; an orientation is relative to the one they had."""
        number = len(self.members)  # no cell ever loses all
        for i, sign in part.items():
            self.members[self.cell[i]].remove(i)
            self.cell[i] = number
            self.sign[i] *= sign
        self.members[number] = set(part)

    def _grouped(self, cell: int, coordinates: list[int]) -> dict[Profile, dict[int, int]]:
        """Coordinates of a cell by profile, with orientation; up to the sign in the zero cell."""
        labels: dict[int, list[tuple[Counts, int]]] = {i: [] for i in coordinates}
        for counts, sums in sorted(self._sums(cell, coordinates).items()):
            for i, label in self._labels(sums, fold=cell == _ZERO).items():
                labels[i].append((counts, label))
        groups: dict[Profile, dict[int, int]] = defaultdict(dict)
        for i, profile in labels.items():
            sign = -1 if cell == _ZERO and profile and profile[0][1] < 0 else 1
            groups[tuple((counts, sign * label) for counts, label in profile)][i] = sign
        return groups

    def _sums(self, cell: int, coordinates: list[int]) -> dict[Counts, dict[int, float]]:
        """Σ ±ĥ_S over the sets that hold i, by counts, then by i."""
        parts: dict[Counts, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
        for i in coordinates:
            for t in self.holders[i]:
                counts, sign, zeros = self._signature(t)
                if zeros == (cell == _ZERO):
                    parts[counts][i].append(sign * self.terms[t][1])
        return {counts: {i: math.fsum(some) for i, some in by.items()} for counts, by in parts.items()}

    def _labels(self, sums: dict[int, float], fold: bool) -> dict[int, int]:
        """Number the sums outwards from 0, which has none; equal within the tolerance means equal numbers.

        Positive and negative sums have numbers of their own, unless folded: then ±x differ in the sign only.
        """
        above, below = ([i for i, x in sums.items() if side * x > 0] for side in (1, -1))
        out = {}
        for side in [above + below] if fold else [above, below]:
            label, last = 0, 0.0
            for i in sorted(side, key=lambda i: abs(sums[i])):
                label += abs(sums[i]) - last > self.tol
                last = abs(sums[i])
                if label:
                    out[i] = label if sums[i] > 0 else -label
        return out
