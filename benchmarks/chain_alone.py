"""chain-one-neuron: one step of the exact chain of one neuron, target and activation h_3, on the sphere, d = 200.

Ours takes 16 replicas side by side in one thread, draws included. The peers take the same step in NumPy, many replicas
at a time ("numpy"), χ² included, and one by one, as a loop in Python does ("python").
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import Result, row
from benchmarks.timing import least_seconds
from odesim.events import overlap_above
from odesim.job import Job
from odesim.network import Network
from odesim.sgd import _alone, alone
from odesim.sgd._alone_state import WIDTH
from odesim.sgd.replicas import _Batch, _rows
from odesim.targets.series import Target
from odesim.training import Training

Array = NDArray[np.float64]

DIM = 200
ETA = 0.1 * DIM**-1.5
BLOCKS, STEPS_A_BLOCK = 200, 64
"""Blocks of steps of one timed call: about 2 ms."""

NUMPY_REPLICAS, NUMPY_STEPS, PYTHON_STEPS = 4096, 10, 300


def measure(repeats: int) -> Result:
    """Time all."""
    contenders = {"ours": ours(), "numpy": numpy_peer(), "python": python_peer()}
    least = least_seconds(contenders, repeats)
    per_step = least["ours"] / (BLOCKS * STEPS_A_BLOCK * WIDTH)
    return Result(
        [
            row("chain-one-neuron", per_step, "numpy", least["numpy"] / (NUMPY_REPLICAS * NUMPY_STEPS)),
            row("chain-one-neuron", per_step, "python", least["python"] / PYTHON_STEPS),
        ],
        ["chain-one-neuron: one step of one replica; an event is looked for after each"],
    )


def ours() -> Callable[[], None]:
    """Our kernel, as a run calls it; each call goes on where the last one stopped."""
    target = Target.from_terms({(3,): 1.0})
    network = Network.from_overlaps([[1 / math.sqrt(DIM)]], [[1.0]], [1.0], dim=DIM, activation="hermite:3")
    training = Training(eta=ETA, loss="correlation", eta_a=0.0, geometry="sphere")
    events = (overlap_above(0, 0, 0.999),)
    job = Job(target, network, training, np.array([0, 10**12]), WIDTH, np.random.SeedSequence(0), events=events)
    plan, starts, batch = alone._plan(job), alone._starts(job), _Batch(_rows(job, WIDTH))

    def call() -> None:
        _alone.advance(plan, batch.lanes, batch.places, starts, batch.rows, 1.0, BLOCKS)

    return call


def step(m: Array, v: Array, z: Array, g: Array, square: Array) -> tuple[Array, Array]:
    """One step for any number of replicas."""
    lam = m * z + v * g
    c = ETA * (z**3 - 3 * z) * (3 * lam * lam - 3) / 6
    m, v = m + c * (z - lam * m), v + c * (g - lam * v)
    rest = v * v + c * c * square
    scale = 1 / np.sqrt(m * m + rest)
    return m * scale, np.sqrt(rest) * scale


def numpy_peer() -> Callable[[], None]:
    """Return NUMPY_STEPS steps of NUMPY_REPLICAS replicas."""
    return _peer(NUMPY_REPLICAS, NUMPY_STEPS)


def python_peer() -> Callable[[], None]:
    """Return PYTHON_STEPS steps of one."""
    return _peer(None, PYTHON_STEPS)


def _peer(size: int | None, steps: int) -> Callable[[], None]:
    rng = np.random.Generator(np.random.SFC64(0))
    state = [np.full(size or 1, 1 / math.sqrt(DIM)), np.full(size or 1, math.sqrt(1 - 1 / DIM))]

    def call() -> None:
        m, v = state
        for _ in range(steps):
            z, g = rng.standard_normal((2, m.size))
            m, v = step(m, v, z, g, rng.chisquare(DIM - 2, m.size))
        state[:] = m, v

    return call
