"""Leap complexity of a target, and the path along which its coordinates are learned."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from odesim import checks, laws
from odesim.laws import Key
from odesim.targets.series import Target


@dataclass(frozen=True)
class LeapStep:
    """What is learned at once, after everything before it.

    Attributes
    ----------
    leap : int
        New mass of the terms that open the step, Σ of their exponents over coordinates not seen before.
    coordinates : tuple of int
        The coordinates that enter, from 0, sorted.
    keys : tuple
        The terms that are complete with them, sparse as in ``Target.series``.
    """

    leap: int
    coordinates: tuple[int, ...]
    keys: tuple[Key, ...]
    target: Target = field(repr=False)

    @property
    def terms(self) -> tuple[tuple[int, ...], ...]:
        """The step's terms as exponents of length P, those that come free with it included."""
        return tuple(self.target.exponents(key) for key in self.keys)

    @property
    def label(self) -> str:
        """The step's terms as text, joined by ``+``."""
        return " + ".join(laws.element_text(key) for key in self.keys)


@dataclass(frozen=True)
class LeapPath:
    """The steps of the greedy path and the risk before each.

    Attributes
    ----------
    steps : tuple of LeapStep
        Steps of equal leap stay apart; empty for a constant.
    plateau_levels : tuple of float
        Risk ½ Σ ĥ_S² over the terms not yet complete, before each step and after the last (0).
    dropped : tuple
        Sparse keys of the terms below the tolerance, which count nowhere.
    """

    steps: tuple[LeapStep, ...]
    plateau_levels: tuple[float, ...]
    dropped: tuple[Key, ...] = ()

    @property
    def leap(self) -> int:
        """The largest leap of a step, 0 for a constant."""
        return max((step.leap for step in self.steps), default=0)

    @property
    def labels(self) -> tuple[str, ...]:
        """One text a step: its terms joined by ``+``."""
        return tuple(step.label for step in self.steps)


def leap(target: Target, *, tol: float = 1e-10) -> int:
    """Leap complexity: min over orderings of the terms of the largest new mass a term brings.

    The new mass of S is Σ S_r over the coordinates r that no earlier term holds (Abbe, Boix-Adserà and
    Misiakiewicz 2023, definition 1).

    Parameters
    ----------
    target : Target
    tol : float
        A term counts when |ĥ_S| > tol·‖h‖, the norm without the constant.

    Returns
    -------
    int
        0 for a constant.

    Raises
    ------
    InputError
        For a negative tol.
    """
    return leap_path(target, tol=tol).leap


def leap_path(target: Target, *, tol: float = 1e-10) -> LeapPath:
    """Order the terms greedily, always the smallest new mass next, which attains the leap.

    If the terms taken span the coordinates A and every other one brings new mass ≥ k, any ordering pays ≥ k
    at its first term that leaves A. All terms of new mass exactly k enter together; terms that then lie
    inside the coordinates seen join the step.

    Parameters
    ----------
    target, tol
        As in `leap`.

    Raises
    ------
    InputError
        For a negative tol.
    """
    kept, dropped = sieve(target, tol)
    steps, energies = [], []
    for mass, coordinates, members in _groups([key for key, _ in kept]):
        steps.append(LeapStep(mass, coordinates, tuple(kept[t][0] for t in members), target))
        energies.append(math.fsum(kept[t][1] ** 2 for t in members))
    levels = [0.0]
    for energy in reversed(energies):
        levels.append(levels[-1] + energy / 2)
    return LeapPath(tuple(steps), tuple(reversed(levels)), dropped)


def information_exponent(target: Target, *, tol: float = 1e-10) -> int | None:
    """Smallest total degree ≥ 1 of a term (Ben Arous, Gheissari and Jagannath 2021).

    Parameters
    ----------
    target, tol
        As in `leap`.

    Returns
    -------
    int or None
        None for a constant, which has none.

    Raises
    ------
    InputError
        For a negative tol.
    """
    kept, _ = sieve(target, tol)
    return min((laws.degree(key) for key, _ in kept), default=None)


def sieve(target: Target, tol: float) -> tuple[list[tuple[Key, float]], tuple[Key, ...]]:
    """Split the non-constant terms into those that count and those below the tolerance.

    Parameters
    ----------
    target, tol
        As in `leap`.

    Returns
    -------
    kept : list of (key, coefficient)
    dropped : tuple of keys

    Raises
    ------
    InputError
        For a negative tol.
    """
    checks.real("tol", tol, low=0.0)
    series = [(key, c) for key, c in target.series if key]
    norm = math.hypot(*(c for _, c in series))  # hypot neither overflows nor underflows
    kept = [(key, c) for key, c in series if abs(c) > tol * norm]
    return kept, tuple(key for key, c in series if abs(c) <= tol * norm)


def _groups(keys: list[Key]) -> Iterator[tuple[int, tuple[int, ...], list[int]]]:
    """Yield (new mass, new coordinates, indices of the completed terms), step by step.

    ``waiting`` holds the terms by new mass, lazily: a term is filed again when its mass falls, and where it
    stands at a mass that is out of date it is passed over. Each coordinate enters once, so O(Σ|S|) in all.
    """
    holders: dict[int, list[tuple[int, int]]] = defaultdict(list)
    waiting: dict[int, list[int]] = defaultdict(list)
    mass = []
    for t, key in enumerate(keys):
        total = 0
        for i, power in key:
            holders[i].append((t, power))
            total += power
        mass.append(total)
        waiting[total].append(t)
    seen: set[int] = set()
    while opening := _lightest(waiting, mass):
        smallest = mass[opening[0]]
        new = {i for t in opening for i, _ in keys[t]} - seen
        touched = set()
        for i in new:
            for t, power in holders[i]:
                mass[t] -= power
                touched.add(t)
        for t in touched:
            if mass[t]:
                waiting[mass[t]].append(t)
        seen |= new
        yield smallest, tuple(sorted(new)), sorted(t for t in touched if not mass[t])


def _lightest(waiting: dict[int, list[int]], mass: list[int]) -> list[int]:
    """Take out every term of the smallest new mass; an empty list when none is left."""
    for m in sorted(waiting):
        if out := [t for t in waiting.pop(m) if mass[t] == m]:
            return out
    return []
