"""What a step of lone neurons reads and writes: WIDTH of them side by side, each at a step of its own."""

from typing import NamedTuple

import numpy as np

from odesim._jit import kernel
from odesim._packs import WIDTH
from odesim.activations._act import Act
from odesim.sgd._labels import Source
from odesim.sgd._random import GROUP

FREE, SPHERE, RADII = 0, 1, 2

EVENT = 6
"""Status of a neuron that a terminal event has ended."""


class Lanes(NamedTuple):
    """WIDTH neurons on their way; ``base`` is the step at which the block in hand begins.

    Numbers that go through packs are in flat arrays, row after row: a step is so short that to find a place from
    several indices would take half of its time.
    """

    m: np.ndarray  # (P · WIDTH)
    s: np.ndarray  # (WIDTH) |v|
    a: np.ndarray  # (WIDTH)
    b: np.ndarray  # (WIDTH)
    kept: np.ndarray  # (P · WIDTH) 1 on the sphere, 0 free or released
    rates: np.ndarray  # (6 · WIDTH) as `_full.Rule` has them
    level: np.ndarray  # (events · WIDTH) NaN for another neuron's
    alive: np.ndarray  # (WIDTH) 1 while it moves, else 0
    replica: np.ndarray  # (WIDTH) int64, -1 for none
    base: np.ndarray  # (WIDTH) int64
    ended: np.ndarray  # (WIDTH) int64, the step at which it ended early
    status: np.ndarray  # (WIDTH) int64
    when: np.ndarray  # (events, WIDTH) int64, the step of each event, -1 before it
    released: np.ndarray  # (P, WIDTH) int64, likewise


class Plan(NamedTuple):
    """What stays the same through a run."""

    act: Act
    recursion: np.ndarray  # (2 · columns) factors of x He_n and of He_n₋₁, normalised, in He_n₊₁; of a polynomial act
    source: Source
    twice: int  # whether a step is two on the same samples
    inner: int  # whether it looks from where an inner step leads
    feedback: float  # residual y − feedback · f
    bound: float
    geometry: int
    r: float  # the two radii
    delta: float
    room: int  # d − P
    batch: int
    rows: int  # normals a sample: support, along v, label noise
    trained: int  # whether a or b move
    values: int  # whether σ is needed beside σ'
    coordinate: np.ndarray  # (events) int64
    upward: np.ndarray  # (events) int64
    terminal: np.ndarray  # (events) int64


class Drawn(NamedTuple):
    """What was drawn for a block of steps, flat: number k of a step is at k · square.size + `place`."""

    normals: np.ndarray  # float32
    square: np.ndarray  # χ²
    labels: np.ndarray
    calls: int


class Work(NamedTuple):
    """Scratch of a step, flat."""

    sums: np.ndarray  # (P · WIDTH) Σ c x of a batch
    m: np.ndarray  # (P · WIDTH) in the middle of a step
    stays: np.ndarray  # (P · WIDTH) 1 for coordinates on the sphere, else 0
    argument: np.ndarray  # (WIDTH) of an activation behind a pointer
    value: np.ndarray  # (WIDTH)
    slope: np.ndarray  # (WIDTH)
    flag: np.ndarray  # (WIDTH)


@kernel(inline="always", counted=False)
def place(drawn, p):
    """Where the numbers of step p of the block begin."""
    return (p % GROUP * drawn.calls + p // GROUP) * WIDTH


@kernel
def lanes_for(P, events):
    """Return lanes without neurons."""
    one, whole = np.zeros((4, WIDTH)), np.zeros((3, WIDTH), np.int64)
    return Lanes(
        np.zeros(P * WIDTH), one[0], one[1], one[2], np.zeros(P * WIDTH), np.zeros(6 * WIDTH),
        np.full(events * WIDTH, np.nan), one[3], np.full(WIDTH, -1), whole[0], whole[1], whole[2],
        np.full((events, WIDTH), -1), np.full((P, WIDTH), -1),
    )  # fmt: skip


@kernel
def work_for(P):
    """Return scratch."""
    many, one = np.zeros((3, P * WIDTH)), np.zeros((4, WIDTH))
    return Work(many[0], many[1], many[2], one[0], one[1], one[2], one[3])
