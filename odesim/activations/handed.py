"""act_of: an activation as it is handed to kernels."""

from __future__ import annotations

from functools import cache

import numpy as np
from numba import float64, typeof

from odesim._jit import Pointer
from odesim.activations._act import ERF, RELU, Act, Kind
from odesim.activations._moments import moments_other
from odesim.activations._pairs import pairs_other
from odesim.activations._smoothed import smoothed_other
from odesim.activations._table import activate_other
from odesim.activations.activation import Activation


def act_of(activation: Activation) -> Act:
    """Return what kernels read; erf and ReLU compile nothing for it, the first of the others does."""
    kind = Kind(*activation.arrays())
    return Act(kind.code, kind.slope, kind, *_pointers(kind.code not in (ERF, RELU)))


@cache
def _pointers(real: bool) -> tuple[Pointer, ...]:
    """Pointers to the kernels of all other kinds, or (not ``real``) what fills their places."""
    kind = typeof(Kind(0, 0.0, 0.0, np.zeros((1, 1)), np.zeros((1, 1))))
    row, table = float64[::1], float64[:, ::1]
    found = [
        ((kind, row, row, table), moments_other),
        ((kind, table, row, row, row, row, row, table), pairs_other),
        ((kind, row, float64, float64, row, row, row), smoothed_other),
        ((kind, row, row, row), activate_other),
    ]
    return tuple(Pointer(arguments, each if real else None) for arguments, each in found)
