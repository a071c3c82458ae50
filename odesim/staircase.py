"""The merged-staircase property, and the largest part of a target that has it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from odesim.complexity import leap_path, sieve
from odesim.laws import Key
from odesim.targets.series import Target


@dataclass(frozen=True)
class MergedStaircase:
    """Whether a target is a merged staircase, its largest merged-staircase set of terms, and what is left.

    Constants and terms below the tolerance stand in neither part.

    Attributes
    ----------
    holds : bool
        Whether the leap is at most 1.
    keys, rest_keys : tuple
        The terms of the largest merged staircase and the others, sparse as in ``Target.series``.
    rest_energy : float
        ½ Σ ĥ_S² over the others, in units of the risk.
    """

    holds: bool
    keys: tuple[Key, ...]
    rest_keys: tuple[Key, ...]
    rest_energy: float
    target: Target = field(repr=False)

    @property
    def subset(self) -> tuple[tuple[int, ...], ...]:
        """The terms of the largest merged staircase as exponents of length P."""
        return tuple(self.target.exponents(key) for key in self.keys)

    @property
    def rest(self) -> tuple[tuple[int, ...], ...]:
        """The other terms as exponents of length P."""
        return tuple(self.target.exponents(key) for key in self.rest_keys)


def merged_staircase(target: Target, *, tol: float = 1e-10) -> MergedStaircase:
    """Test whether the terms can be ordered so that each brings new mass at most 1.

    On Boolean data this is the merged-staircase property of Abbe, Boix-Adserà and Misiakiewicz (2022): each set
    adds at most one coordinate. On Gaussian data it is the same rule, leap ≤ 1, for exponents: a new coordinate
    must enter with power 1, so ``He2(z1)`` alone is no staircase but ``z1 + He2(z1)`` is.

    Unions of merged staircases are merged staircases, so there is a largest one: all terms reached from no
    coordinates by steps of new mass 1. The mean-field flow from zero overlaps never moves a coordinate outside
    it, so its risk stays ≥ ``rest_energy`` (theorem 7 there, for Boolean data and in mean squared error; the
    same argument holds for Gaussian data, since E[h z_i | z_A] vanishes for every coordinate i outside).

    Parameters
    ----------
    target, tol
        As in `leap`.

    Returns
    -------
    MergedStaircase
        A constant is an empty merged staircase.

    Raises
    ------
    InputError
        For a negative tol.
    """
    reached: set[Key] = set()
    for step in leap_path(target, tol=tol).steps:
        if step.leap > 1:
            break
        reached.update(step.keys)
    kept, _ = sieve(target, tol)
    rest = [(key, c) for key, c in kept if key not in reached]
    return MergedStaircase(
        holds=not rest,
        keys=tuple(key for key, _ in kept if key in reached),
        rest_keys=tuple(key for key, _ in rest),
        rest_energy=math.fsum(c * c for _, c in rest) / 2,
        target=target,
    )
