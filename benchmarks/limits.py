"""The machine's own limits on one thread, timed in turn with what they bound.

- product: NumPy's product of two float32 matrices of 1024 x 1024, in operations a second;
- sweep: x ← 1 − x for a float32 array as large as W, over and over, in bytes read and written a second;
- memory: the same for an array of 256 MB, larger than usual caches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

SIDE, FAR = 1024, 2**26
PASSES = 200
"""Sweeps over W a call."""


class Limits(NamedTuple):
    """Operations, and bytes read and written, a second."""

    product: float
    sweep: float
    memory: float

    def text(self) -> str:
        """Return them for a reader."""
        giga = [1e-9 * rate for rate in self]
        return (
            f"one thread of this machine: float32 product of {SIDE}² {giga[0]:.0f} GFLOP/s; memory read and written "
            f"{giga[1]:.0f} GB/s in W, {giga[2]:.0f} GB/s in {4 * FAR / 2**20:.0f} MB"
        )


def contenders(weights: int) -> dict[str, Callable[[], object]]:
    """Return what has to be timed, for that many weights."""
    A, B = np.random.default_rng(0).random((2, SIDE, SIDE), dtype=np.float32)
    out, W, far = np.empty_like(A), np.zeros(weights, np.float32), np.zeros(FAR, np.float32)
    return {
        "product": lambda: np.matmul(A, B, out=out),
        "sweep": lambda: sweep(W, PASSES),
        "memory": lambda: sweep(far, 1),
    }


def of(least: Mapping[str, float], weights: int) -> Limits:
    """Return the limits from the times of `contenders`."""
    return Limits(product_rate(least), 8 * weights * PASSES / least["sweep"], 8 * FAR / least["memory"])


def product_rate(least: Mapping[str, float]) -> float:
    """Return the operations a second of the matrix product alone."""
    return 2 * SIDE**3 / least["product"]


@njit
def sweep(x: NDArray[Any], passes: int) -> None:
    """Read and write all of x that many times."""
    one = np.float32(1)
    for _ in range(passes):
        for i in range(x.size):
            x[i] = one - x[i]
