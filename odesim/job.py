"""Job: what every dynamics is handed; Dynamics: what every dynamics is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from odesim.checkpoints import Checkpoint
from odesim.events import Event
from odesim.network import Network
from odesim.targets.series import Target
from odesim.targets.teacher import TeacherTarget
from odesim.training import Training
from odesim.trajectory import Trajectory


def _silent(share: float) -> None:
    """Show no progress."""


@dataclass(frozen=True)
class Job:
    """One run, checked and settled.

    Attributes
    ----------
    target, network, training
        What is learned, by whom, at which rates.
    steps : int64 array (T,)
        The output grid in SGD steps, increasing, first entry 0.
    seeds : int
        Number of independent data streams (a flow ignores it).
    rng : SeedSequence
        Parent of the data streams.
    progress : callable
        Called with the share of the whole job that is done, in [0, 1]; safe from any thread.
    stop : threading.Event
        When set, the dynamics returns soon with what it has.
    events : tuple of Event
        What to look for between the outputs; empty for a dynamics that does not say ``finds_events = True``.
    checkpoint : Checkpoint, optional
        Where to keep the runs, and whether to go on from there; None for a dynamics that does not say
        ``keeps_checkpoints = True``.
    first : int
        Number of the first data stream.
    """

    target: Target | TeacherTarget
    network: Network
    training: Training
    steps: NDArray[np.int64]
    seeds: int = 1
    rng: np.random.SeedSequence = field(default_factory=lambda: np.random.SeedSequence(0))
    progress: Callable[[float], None] = _silent
    stop: threading.Event = field(default_factory=threading.Event)
    events: tuple[Event, ...] = ()
    checkpoint: Checkpoint | None = None
    first: int = 0

    @property
    def time(self) -> NDArray[np.float64]:
        """Flow time of the output grid, shape (T,): the sum of eta over the steps."""
        return self.training.time_at(self.steps)


class Dynamics(Protocol):
    """A frozen dataclass of its own options and one method."""

    def simulate(self, job: Job) -> Trajectory:
        """Run the job and return what was recorded at ``job.steps``."""
        ...
