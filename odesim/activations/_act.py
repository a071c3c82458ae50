"""Act: an activation as the kernels see it, in numbers, arrays and kernels; `act_of` makes one."""

from typing import Any, NamedTuple

import numpy as np

ERF, RELU, GELU, POLYNOMIAL, TABLE = 0, 1, 2, 3, 4
"""Codes; RELU is leaky ReLU of any slope."""


class Kind(NamedTuple):
    """The integer that kernels switch on, outside their loops, and what its branch reads.

    ``table`` holds for a polynomial the coefficients of its derivatives in normalised Hermite polynomials, row k
    those of σ^(k); for GELU and TABLE the pieces of `_table`, one a row, which ``grid`` finds.
    """

    code: int
    slope: float  # of leaky ReLU below 0
    step: float  # in x, at which the trapezoid rule on σ, σ' and their products is exact to rounding
    table: np.ndarray  # (rows, columns)
    grid: np.ndarray  # (segments, 6)


class Act(NamedTuple):
    """A kind, and the kernels of all kinds but erf and ReLU behind pointers: a flow compiles without them."""

    code: int
    slope: float
    kind: Kind
    moments: Any  # moments_other(kind, q, b, c)
    pairs: Any  # pairs_other(kind, Q, a, b, ka, k1, kb, k12)
    smoothed: Any  # smoothed_other(kind, u, s, smoothing, value, slope, spread)
    activate: Any  # activate_other(kind, x, value, slope)
