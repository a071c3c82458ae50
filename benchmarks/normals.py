"""normals, signs: one random number of the data streams in float32, on one thread, beside NumPy's and PyTorch's.

Ours comes in groups of four samples of d = 1000, as SGD draws them; the peers fill a whole mini-batch of 64 such
samples at a time. Signs are ±1 in float32: the peers draw random bytes, or random integers, and make signs of them.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from numba import njit

from benchmarks.report import Result, Row, row
from benchmarks.sgd_peers import on_one_thread
from benchmarks.timing import least_seconds
from odesim.sgd._random import BITS, GROUP, INPUTS, draw_group, draw_signs

DIM, GROUPS, SAMPLES = 1000, 50, 64
"""Numbers of a sample; groups a call of ours; samples a call of a peer's."""

PROMISED = 1e-9
"""Seconds a normal may take."""

Loop = Callable[[], object]


def measure(repeats: int) -> Result:
    """Time all that is installed."""
    torch = find_spec("torch") is not None
    normals = {"numpy": numpy_normals(np.random.SFC64(0)), "numpy-philox": numpy_normals(np.random.Philox(0))}
    signs = {"numpy": numpy_signs()}
    notes = ["normals, signs: one float32 number; numpy is SFC64, NumPy's quickest, numpy-philox a counter-based one"]
    if torch:
        normals["torch"], signs["torch"] = torch_peers()
    else:
        notes.append('normals: torch: not installed, skipped (pip install "odesim[bench]")')
    rows = _rows("normals", normal_groups, normals, repeats) + _rows("signs", sign_groups, signs, repeats)
    rows.append(row("normals", rows[0].ours_s, "promise", PROMISED, promised=1.0))
    return Result(rows, notes)


def _rows(case: str, draw: Callable[..., None], peers: dict[str, Loop], repeats: int) -> list[Row]:
    """Time ours and peers in turn; seconds a number."""
    least = least_seconds({"ours": ours(draw)} | peers, repeats)
    each = least["ours"] / (GROUPS * GROUP * DIM)
    return [row(case, each, name, least[name] / (SAMPLES * DIM)) for name in peers]


def ours(draw: Callable[..., None]) -> Loop:
    """Return GROUPS groups of four samples."""
    scratch, x = np.empty((2 * GROUP, DIM), np.uint32), np.empty((GROUP, DIM), np.float32)
    return lambda: draw(np.uint64(1), scratch, x)


@njit
def normal_groups(seed: Any, scratch: Any, x: Any) -> None:
    """Draw into the same array over and over."""
    for group in range(GROUPS):
        draw_group(seed, INPUTS, group, scratch, x)


@njit
def sign_groups(seed: Any, scratch: Any, x: Any) -> None:
    """Do the same with signs."""
    words = scratch[:GROUP, : -(-DIM // BITS)]
    for group in range(GROUPS):
        draw_signs(seed, INPUTS, group, words, DIM, x)


def numpy_normals(bits: np.random.BitGenerator) -> Loop:
    """Return SAMPLES samples of that generator."""
    rng, X = np.random.Generator(bits), np.empty((SAMPLES, DIM), np.float32)
    return lambda: rng.standard_normal(dtype=np.float32, out=X)


def numpy_signs() -> Loop:
    """Return signs from random bytes, eight at a time from a table: quicker than np.unpackbits."""
    rng, X = np.random.Generator(np.random.SFC64(0)), np.empty((SAMPLES * DIM // 8, 8), np.float32)
    eight = 1 - 2 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float32)
    return lambda: np.take(eight, np.frombuffer(rng.bytes(len(X)), np.uint8), axis=0, out=X, mode="clip")


def torch_peers() -> tuple[Loop, Loop]:
    """Return normals and signs."""
    import torch

    X, generator = torch.empty(SAMPLES, DIM), torch.Generator().manual_seed(0)
    return (
        on_one_thread(lambda: X.normal_(generator=generator)),
        on_one_thread(lambda: X.random_(0, 2, generator=generator).mul_(2).sub_(1)),
    )
