"""Act: an activation as the kernels see it, in numbers and arrays; `Activation.arrays` gives them."""

from typing import NamedTuple

import numpy as np


class Act(NamedTuple):
    """The integer that kernels switch on, outside their loops, and what its branch reads."""

    code: int
    slope: float  # of leaky ReLU below 0
    series: np.ndarray  # (n) coefficients of He_n, polynomials
    table: np.ndarray  # (pieces, 8) polynomials of degree 7, functions without closed form
    grid: np.ndarray  # what finds the piece of an argument
