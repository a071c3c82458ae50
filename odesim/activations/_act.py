"""Act: an activation as the kernels see it, in numbers and arrays; `Activation.arrays` gives them."""

from typing import NamedTuple

import numpy as np

ERF, RELU, GELU, POLYNOMIAL, TABLE = 0, 1, 2, 3, 4
"""Codes; RELU is leaky ReLU of any slope."""


class Act(NamedTuple):
    """The integer that kernels switch on, outside their loops, and what its branch reads.

    ``table`` holds for a polynomial the coefficients of its derivatives in normalised Hermite polynomials, row k
    those of σ^(k); for GELU and TABLE the pieces of `_table`, one a row, which ``grid`` finds.
    """

    code: int
    slope: float  # of leaky ReLU below 0
    step: float  # in x, at which the trapezoid rule on σ, σ' and their products is exact to rounding
    table: np.ndarray  # (rows, columns)
    grid: np.ndarray  # (segments, 6)
