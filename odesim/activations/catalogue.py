"""The catalogue of activations: names, codes for the kernels, and what their moments block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from odesim import checks

Function = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def _erf(x: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import erf

    return erf(x / np.sqrt(2))


@dataclass(frozen=True)
class Activation:
    """An activation sigma as the kernels see it.

    Attributes
    ----------
    name : str
    code : int
        The integer that kernels switch on.
    function, derivative : callables
        sigma and sigma' on arrays.
    parity : int
        Degrees k >= 2 whose moment c_k vanishes without biases: 0 the even ones (erf), 1 the odd ones above 1
        (ReLU).
    """

    name: str
    code: int
    parity: int
    function: Function = field(repr=False, compare=False)
    derivative: Function = field(repr=False, compare=False)

    def arrays(self) -> tuple[int, float, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return the fields of `_act.Act`: what kernels read."""
        return self.code, 0.0, np.zeros(0), np.zeros((0, 8)), np.zeros(0)

    def blocks(self, degree: int) -> bool:
        """Whether c_degree(q, b = 0) = 0 for every q, so that without biases no term of that degree grows."""
        return degree >= 2 and degree % 2 == self.parity


CATALOGUE = {
    "erf": Activation("erf", 0, 0, _erf, lambda x: np.sqrt(2 / np.pi) * np.exp(-x * x / 2)),
    "relu": Activation("relu", 1, 1, lambda x: np.maximum(x, 0.0), lambda x: (x > 0).astype(np.float64)),
}


def activation_named(name: str) -> Activation:
    """Look an activation up.

    Raises
    ------
    InputError
        If the catalogue does not hold it.
    """
    return CATALOGUE[checks.choice("network.activation", name, tuple(CATALOGUE))]
