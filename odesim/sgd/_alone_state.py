"""What a step of lone neurons reads and writes: WIDTH of them side by side, each at a step of its own."""

from typing import NamedTuple

import numpy as np

from odesim._jit import kernel
from odesim._packs import WIDTH
from odesim.activations._act import Act
from odesim.sgd._labels import Source

FREE, SPHERE, RADII = 0, 1, 2

ALONG, OUTSIDE, OWN_A, OWN_B, LENGTH = 0, 1, 2, 3, 4
"""Rows of `Work.own`."""

EVENT = 6
"""Status of a neuron that a terminal event has ended."""


class Lanes(NamedTuple):
    """WIDTH neurons on their way; ``base`` is the step at which the block in hand begins."""

    m: np.ndarray  # (P, WIDTH)
    s: np.ndarray  # (1, WIDTH) |v|
    a: np.ndarray  # (1, WIDTH)
    b: np.ndarray  # (1, WIDTH)
    kept: np.ndarray  # (P, WIDTH) 1 on the sphere, 0 free or released
    rates: np.ndarray  # (6, WIDTH) as `_full.Rule` has them
    level: np.ndarray  # (events, WIDTH) NaN for another neuron's
    alive: np.ndarray  # (1, WIDTH) 1 while it moves, else 0
    replica: np.ndarray  # (WIDTH) int64, -1 for none
    base: np.ndarray  # (WIDTH) int64
    ended: np.ndarray  # (WIDTH) int64, the step at which it ended early
    status: np.ndarray  # (WIDTH) int64
    when: np.ndarray  # (events, WIDTH) int64, the step of each event, -1 before it
    released: np.ndarray  # (P, WIDTH) int64, likewise


class Plan(NamedTuple):
    """What stays the same through a run."""

    act: Act
    source: Source
    reuse: int
    feedback: float  # residual y − feedback · f
    bound: float
    geometry: int
    r: float  # the two radii
    delta: float
    room: int  # d − P
    batch: int
    rows: int  # normals a sample: support, along v, label noise
    values: int  # whether σ is needed beside σ'
    coordinate: np.ndarray  # (events) int64
    upward: np.ndarray  # (events) int64
    terminal: np.ndarray  # (events) int64


class Work(NamedTuple):
    """Scratch of a step."""

    sums: np.ndarray  # (P, WIDTH) Σ c x of a batch
    m: np.ndarray  # (P, WIDTH) in the middle of a step
    stays: np.ndarray  # (P, WIDTH) 1 for coordinates on the sphere, else 0
    own: np.ndarray  # (5, 1, WIDTH) v along itself and outside, in units of χ, a, b and |v| in the middle of a step
    other: np.ndarray  # (3, WIDTH) argument, value and slope of an activation behind a pointer
    flag: np.ndarray  # (1, WIDTH)


@kernel
def lanes_for(P, events):
    """Return lanes without neurons."""
    many, one = np.zeros((2, P, WIDTH)), np.zeros((4, 1, WIDTH))
    return Lanes(
        many[0], one[0], one[1], one[2], many[1], np.zeros((6, WIDTH)), np.full((events, WIDTH), np.nan), one[3],
        np.full(WIDTH, -1), np.zeros(WIDTH, np.int64), np.zeros(WIDTH, np.int64), np.zeros(WIDTH, np.int64),
        np.full((events, WIDTH), -1), np.full((P, WIDTH), -1),
    )  # fmt: skip


@kernel
def work_for(P):
    """Return scratch."""
    many = np.zeros((3, P, WIDTH))
    return Work(many[0], many[1], many[2], np.zeros((5, 1, WIDTH)), np.zeros((3, WIDTH)), np.zeros((1, WIDTH)))
