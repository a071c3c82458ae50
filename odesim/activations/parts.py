"""The even and the odd part of a function, and which Gaussian moments vanish with them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TOLERANCE = 1e-10
MOST = 6
"""Up to this degree a part that a fit reproduces counts as a polynomial; a slow function may pass for a higher one."""


@dataclass(frozen=True)
class Parts:
    """Degrees of the even and the odd part of sigma as polynomials.

    Attributes
    ----------
    even, odd : float
        −1 for a part that is 0, infinity for one that is no polynomial.
    """

    even: float
    odd: float

    def vanishes(self, degree: int, biased: bool) -> bool:
        """Whether c_degree(q, b) is 0 for every q, at b = 0 or (``biased``) at every b.

        E[sigma^(k)(√q G)] sees only the part of k's parity, and vanishes for every q exactly when the k-th
        derivative of that part is 0.
        """
        if biased:
            return degree > max(self.even, self.odd)
        return degree > (self.odd if degree % 2 else self.even)


def parts_of_polynomial(coefficients: Array) -> Parts:
    """Of Σ_n coefficients_n p_n, p_n of degree n and of n's parity."""

    def last(offset: int) -> float:
        held = np.nonzero(coefficients[offset::2])[0]
        return -1.0 if held.size == 0 else float(2 * held[-1] + offset)

    return Parts(last(0), last(1))


def parts_of(function: Callable[[Array], Array], radius: float = 8.0) -> Parts:
    """Find the parts by sampling: symmetry on a grid is safer than asking whether a small integral is 0."""
    x = np.linspace(radius / 200, radius, 200)
    above, below = function(x), function(-x)
    size = max(1e-300, float(np.max(np.abs([above, below]))))
    return Parts(_degree(x, (above + below) / 2, 0, size), _degree(x, (above - below) / 2, 1, size))


def _degree(x: Array, part: Array, parity: int, size: float) -> float:
    """Return the lowest degree whose fit, powers of this parity alone, reproduces the part."""
    if np.max(np.abs(part)) < TOLERANCE * size:
        return -1.0
    scaled = x / x[-1]
    for degree in range(parity, MOST + 1, 2):
        powers = scaled[:, None] ** np.arange(parity, degree + 1, 2)
        fit, *_ = np.linalg.lstsq(powers, part, rcond=None)
        if np.max(np.abs(powers @ fit - part)) < TOLERANCE * size:
            return float(degree)
    return math.inf
