"""leap-arrays, leap-dict, parse-1e4, isoleap-10-8: the scales of what is known before training.

- leap-arrays, leap-dict: leap of 10^5 terms of 2 to 5 coordinates out of 10^3, from arrays and from a dictionary,
  building the target included. Each term holds some coordinates i and i - 1 and others just below, so the path has
  10^3 steps, the longest there is. The peer takes the same greedy steps with all masses in NumPy, computed anew at
  every step; it has no target to build.
- parse-1e4: an expression of 10^4 terms. The peer is Python's own parser, in C, on the same text, 1000 terms at a
  time (its recursion does not take more), which yields a syntax tree and no coefficients.
- isoleap-10-8: ten directions that appear two at a time, by terms up to degree 8, turned by a random rotation: tens
  of thousands of terms, which every step of the recursion must turn. No peer: its time stands in a note.
"""

from __future__ import annotations

import ast
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import Result, row
from benchmarks.timing import least_seconds
from odesim.complexity import leap
from odesim.isotropy import isoleap
from odesim.targets.series import Target

TERMS, COORDINATES, PARSED = 100_000, 1000, 10_000

Ints = NDArray[np.int64]


def measure(repeats: int) -> Result:
    """Time all four; a repeat takes seconds, so three at most."""
    rows, coordinates, coefficients = entries()
    mapping = dictionary(rows, coordinates, coefficients)
    text = expression()
    expected = leap(from_arrays(rows, coordinates, coefficients))
    if expected != greedy(rows, coordinates):
        raise AssertionError("the peer finds another leap")
    seconds = least_seconds(
        {
            "arrays": lambda: leap(from_arrays(rows, coordinates, coefficients)),
            "dict": lambda: leap(Target.from_terms(mapping)),
            "numpy": lambda: greedy(rows, coordinates),
            "parse": lambda: Target.parse(text),
            "plain": lambda: syntax_trees(text),
        },
        min(repeats, 3),
    )
    return Result(
        [
            row("leap-arrays", seconds["arrays"], "numpy", seconds["numpy"]),
            row("leap-dict", seconds["dict"], "numpy", seconds["numpy"]),
            row("parse-1e4", seconds["parse"], "plain", seconds["plain"]),
        ],
        [chain_note()],
    )


def entries() -> tuple[Ints, Ints, NDArray[np.float64]]:
    """Rows and coordinates of 10^5 square-free terms: z1, and sets of i, i - 1 and up to three of the twelve below."""
    rng = np.random.default_rng(0)
    chosen: dict[tuple[int, ...], None] = {(0,): None, **{(i - 1, i): None for i in range(1, COORDINATES)}}
    while len(chosen) < TERMS:
        i = int(rng.integers(4, COORDINATES))
        below = rng.choice(np.arange(max(0, i - 13), i - 1), min(i - 1, int(rng.integers(0, 4))), replace=False)
        chosen[(*sorted(below.tolist()), i - 1, i)] = None
    members = [np.array(one) for one in chosen]
    rows = np.repeat(np.arange(TERMS), [len(one) for one in members])
    return rows, np.concatenate(members), rng.normal(size=TERMS)


def from_arrays(rows: Ints, coordinates: Ints, coefficients: NDArray[np.float64]) -> Target:
    """Build the target from arrays."""
    return Target.from_arrays(rows, coordinates, np.ones_like(rows), coefficients)


def dictionary(rows: Ints, coordinates: Ints, coefficients: NDArray[np.float64]) -> dict[Any, float]:
    """The same as a dictionary, keys of (coordinate, power) pairs."""
    parts = np.split(coordinates, np.flatnonzero(np.diff(rows)) + 1)
    return {tuple((int(i), 1) for i in sorted(part)): float(c) for part, c in zip(parts, coefficients, strict=True)}


def greedy(rows: Ints, coordinates: Ints) -> int:
    """Leap by the greedy rule, every mass computed anew at each step."""
    seen, largest = np.zeros(COORDINATES, dtype=bool), 0
    while True:
        mass = np.bincount(rows, weights=~seen[coordinates], minlength=TERMS)
        left = mass > 0
        if not left.any():
            return largest
        k = int(mass[left].min())
        largest = max(largest, k)
        seen[coordinates[(mass == k)[rows]]] = True


def expression() -> str:
    """An expression of 10^4 terms."""
    rng = np.random.default_rng(1)
    terms = [
        f"{c:.6f}*" + "*".join(f"z{i + 1}" for i in rng.choice(100, size, replace=False))
        for c, size in zip(rng.uniform(0.1, 1, PARSED), rng.integers(1, 5, PARSED), strict=True)
    ]
    return " + ".join(terms)


def syntax_trees(text: str) -> list[ast.AST]:
    """Python's own reading of the text, in parts of 1000 terms."""
    terms = text.split(" + ")
    return [ast.parse(" + ".join(terms[i : i + 1000])) for i in range(0, len(terms), 1000)]


def chain(p: int = 10, degree: int = 8) -> Target:
    """z1 + z2 + Σ z_i z_{i+2} + ½ Σ h_2(z_i) h_6(z_{i+2}), turned by a random rotation."""
    pairs = [(i, i + 2) for i in range(p - 2)]
    terms = {((0, 1),): 1.0, ((1, 1),): 1.0}
    terms |= {((i, 1), (j, 1)): 1.0 for i, j in pairs} | {((i, 2), (j, degree - 2)): 0.5 for i, j in pairs}
    rotation, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(p, p)))
    return Target.from_terms(terms).rotate(rotation)


def chain_note() -> str:
    """Time the isoLeap of a turned chain."""
    target, turning = timed(chain)
    found, seconds = timed(lambda: isoleap(target))
    return (
        f"isoleap-10-8: isoLeap {found} of {len(target.series)} terms, degree 8 in 10 coordinates, {seconds:.2f} s "
        f"(turning the chain {turning:.2f} s)"
    )


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """Return the result and CPU seconds of one call."""
    begin = time.thread_time()
    result = call()
    return result, time.thread_time() - begin
