"""The integration of one neuron alone, in pieces, phase by phase of the schedule."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from odesim.flows import _correlation as kernels
from odesim.flows._two_radii import loosen, settle
from odesim.integrate import _explicit
from odesim.integrate._events import Events
from odesim.integrate.drive import OVERFLOW
from odesim.integrate.methods import method as method_of
from odesim.integrate.methods import places, workspace
from odesim.training import Training
from odesim.trajectory import Status

Array = NDArray[np.float64]

STEPS_A_CALL = 200
"""Integration steps of a neuron between two looks at the stop flag."""

GRACE, STEPS_TO_ONE = 20_000, 20
"""Integration steps allowed a neuron in all, and more of them for every SGD step passed."""


class NeuronRun:
    """The integration of one neuron, in pieces, recorded at ``times`` and watched for ``events``."""

    def __init__(
        self,
        phases: list[kernels.Problem],
        y: Array,
        times: Array,
        training: Training,
        method: str,
        rtol: float,
        atol: float,
        events: Events,
    ) -> None:
        self.phases, self.y, self.times, self.training, self.events = phases, y, times, training, events
        self.out = np.full((self.times.size, y.size), np.nan)
        self.method = method_of(method, y.size)
        self.work, (self.control, self.counts) = workspace(self.method, y.size), places()
        self.control[_explicit.RTOL], self.control[_explicit.ATOL] = rtol, atol
        self.control[_explicit.BOUND] = OVERFLOW
        self.tried, self.written = 0, 0
        self._status: int = _explicit.RUNNING
        self._enter(0)

    def _enter(self, phase: int) -> None:
        """Begin a phase of the schedule where the one before has ended."""
        self.phase = phase
        self.control[_explicit.STEP] = 0.0
        self.tried += self._steps()
        self.counts[:] = 0
        radii = self.phases[phase].radii
        settle(radii, self.time, self.y)
        loosen(radii, self.y)
        stop = self.training.phases[phase].until
        self.grid, until = self.times[self.written :], self.times.size
        if stop is not None:
            end = float(self.training.time_at(stop))
            until = int(np.searchsorted(self.times, end, side="right"))
            self.grid = np.append(self.times[self.written : until], end)
        self.rows = np.full((self.grid.size, self.y.size), np.nan)
        self.until = until

    def _steps(self) -> int:
        return int(self.counts[_explicit.ACCEPTED] + self.counts[_explicit.REJECTED])

    @property
    def running(self) -> bool:
        """Whether there is more to do."""
        return self._status == _explicit.RUNNING

    @property
    def status(self) -> Status:
        """Why it ended."""
        return Status.INTERRUPTED if self.running else Status(self._status)

    @property
    def time(self) -> float:
        """Flow time reached."""
        return float(self.control[_explicit.TIME])

    @property
    def share(self) -> float:
        """Share of the work done, in [0, 1]."""
        return min(1.0, self.time / max(self.times[-1], 1e-300)) if self.running else 1.0

    @property
    def releases(self) -> Array:
        """Times of release of all coordinates that are followed, NaN for never."""
        times = self.phases[0].radii.times
        return np.where(times < np.inf, times, np.nan)

    def advance(self) -> None:
        """Take at most STEPS_A_CALL integration steps, none if the run has ended."""
        if not self.running:
            return
        if self._too_fast():
            self._status = Status.TOO_FAST
        else:
            self._status = kernels.solve_neuron(
                self.phases[self.phase],
                self.method,
                self.y,
                self.control,
                self.counts,
                self.grid,
                self.rows,
                self.events,
                self.work,
                STEPS_A_CALL,
            )
        if self._status != _explicit.RUNNING:
            self._record()
        if self._status == _explicit.DONE and self.written < self.times.size:
            self._status = _explicit.RUNNING
            # the end of the phase lies inside the last step taken
            self.y[:], self.control[_explicit.TIME] = self.rows[-1], self.grid[-1]
            self._enter(self.phase + 1)

    def _record(self) -> None:
        """Move what has been reached to the output."""
        done = min(int(self.counts[_explicit.NEXT]), self.until - self.written)
        self.out[self.written : self.written + done] = self.rows[:done]
        self.written += done

    def _too_fast(self) -> bool:
        """Whether the neuron moves within single SGD steps, as where a kink holds it."""
        passed = float(self.training.steps_before(self.time))
        return self.tried + self._steps() > GRACE + STEPS_TO_ONE * passed

    def states(self) -> Array:
        """Return the states (T, size) at the output times, NaN where not reached; the run is over."""
        if self.running:
            self._record()
        return self.out
