"""Streams of random numbers: every one is a child of what the user gave as ``rng``, named by integers."""

from __future__ import annotations

from typing import Any

import numpy as np

from odesim.checks import InputError

WEIGHTS, DATA, POINTS, STARTS, CHAIN = 1, 2, 3, 4, 5
"""First key of the children for start weights, data samples, quadrature points, an ensemble's further starts, and the
chain beside SGD."""


def seed_sequence(rng: Any) -> np.random.SeedSequence:
    """Turn a seed, SeedSequence or Generator (SPEC 7) into a SeedSequence.

    A seed or SeedSequence is left as it is, so the same one gives the same numbers again; a Generator is
    advanced by four words. ``None`` draws fresh entropy.

    Raises
    ------
    InputError
        If ``rng`` is none of these.
    """
    if isinstance(rng, np.random.SeedSequence):
        return rng
    if isinstance(rng, np.random.Generator):
        return np.random.SeedSequence([int(word) for word in rng.integers(0, 2**32, size=4)])
    if rng is None or (isinstance(rng, int | np.integer) and not isinstance(rng, bool) and rng >= 0):
        return np.random.SeedSequence(None if rng is None else int(rng))
    raise InputError(f"rng={rng!r} is no seed; give a non-negative integer, a SeedSequence or a Generator")


def child(rng: Any, *keys: int) -> np.random.SeedSequence:
    """Return the child of ``rng`` with these keys, without touching the parent's own spawn counter."""
    parent = seed_sequence(rng)
    return np.random.SeedSequence(entropy=parent.entropy, spawn_key=(*parent.spawn_key, *keys))
