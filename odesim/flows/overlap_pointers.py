"""pointers_of: the kernels that the overlap flow's problem carries as pointers, compiled where a run needs them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import float64, int64, typeof

from odesim._jit import Pointer
from odesim.activations._pairs import pair_sums
from odesim.flows import _overlap as kernels
from odesim.flows._overlap_points import Grid, Sums, sums_over_points

ROW, TABLE = float64[::1], float64[:, ::1]


_known: dict[tuple[bool, bool, bool], dict[str, Pointer]] = {}


def pointers_of(
    act: Any, gamma: kernels.Gamma, grid: Grid, *, by_points: bool, plain: bool, closed: bool
) -> dict[str, Pointer]:
    """Return the problem's ``points``, ``pairs`` and ``noise``; what is never called is not compiled.

    Parameters
    ----------
    act, gamma, grid
        Of any problem: the types of their parts are all that counts, and always the same.
    by_points, plain, closed : bool
        Whether sums over z serve, whether it is erf without biases, and whether Γ is known in closed form.
    """
    wanted = (by_points, plain, closed)
    if wanted not in _known:
        one, row = np.zeros((1, 1)), np.zeros(1)
        sums = typeof(Sums(row, one, row, row, row, row, row, one))
        points = sums_over_points if by_points else None
        noise = kernels.gamma_closed if closed else kernels.gamma_by_points
        kind, term = typeof(act), typeof(gamma)
        _known[wanted] = {
            "points": _pointer(points, kind, int64, typeof(grid), TABLE, TABLE, ROW, ROW, sums),
            "pairs": _pointer(None if plain else pair_sums, kind, int64, TABLE, *6 * (ROW,), TABLE),
            "noise": _pointer(noise, kind, term, int64, TABLE, TABLE, TABLE, ROW, ROW, ROW, TABLE),
        }
    return _known[wanted]


@cache
def _pointer(kernel: Any, *arguments: Any) -> Pointer:
    return Pointer(arguments, kernel)
