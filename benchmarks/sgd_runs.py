"""Runs of the package's SGD as a user starts them: z1 + z1*z2*z3, erf, d = 1000, N = 100, float32.

A step's time is the difference between a long and a short run, divided by the steps between them: what a run does but
once, checks and the rows at its start and end, is no part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from odesim.checks import RunError
from odesim.job import Job
from odesim.network import Network
from odesim.sgd.full import SGD
from odesim.targets.series import Target
from odesim.training import Training
from odesim.trajectory import Status, Trajectory

TARGET = Target.parse("z1 + z1*z2*z3")
DIM, WIDTH = 1000, 100
ETA = 0.2 / DIM
FLOPS = 4 * DIM * WIDTH
"""Operations of one sample: forward pass and update of W, one multiplication and one addition a weight each."""

SHORT = 4
"""Steps of the run that is subtracted."""


def start() -> Network:
    """Return the network that all start from."""
    return Network.random(TARGET, width=WIDTH, dim=DIM, second_layer=0.1)


def train(
    network: Network, steps: int, batch: int = 1, seeds: int = 1, threads: int = 1, dtype: str = "float32"
) -> Trajectory:
    """Run with one row at the start and one at the end; a run that does not get there is an error."""
    job = Job(TARGET, network, Training(eta=ETA, batch=batch), np.array([0, steps]), seeds=seeds)
    done = SGD(dtype=dtype, threads=threads).simulate(job)
    if (done.status != Status.DONE).any():
        raise RunError(f"our SGD ended early: {', '.join(done.message)}")
    return done


def contenders(network: Network, steps: int, batch: int = 1) -> dict[str, Callable[[], object]]:
    """Return the long and the short run."""
    return {
        name: lambda count=count: train(network, count, batch) for name, count in (("ours", steps), ("short", SHORT))
    }


def seconds_a_step(least: Mapping[str, float], steps: int) -> float:
    """Return the time of one step from those of both runs."""
    return (least["ours"] - least["short"]) / (steps - SHORT)
