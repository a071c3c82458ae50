"""All points of {±1}^P: what Boolean flows sum over."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from odesim import checks

Array = NDArray[np.float64]

MAX_BOOLEAN = 10
"""Largest number of Boolean support coordinates: each right-hand side sums over 2^P points."""


def need_few_corners(P: int, who: str) -> None:
    """Refuse too many points.

    Raises
    ------
    InputError
        Naming the dynamics ``who``.
    """
    if P > MAX_BOOLEAN:
        raise checks.InputError(
            f"target has {P} Boolean coordinates, {who} sums over 2^P points up to P={MAX_BOOLEAN}; drop coordinates"
        )


def cube(P: int) -> tuple[Array, Array]:
    """All points of {±1}^P, shape (2^P, P), and their weights 2^−P."""
    bits = np.arange(2**P)[:, None] >> np.arange(P) & 1
    return np.ascontiguousarray(2.0 * bits - 1.0), np.full(2**P, 2.0**-P)
