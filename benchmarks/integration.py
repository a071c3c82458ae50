"""One integration by our kernels, laid out once and run many times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odesim.checks import RunError
from odesim.integrate import _explicit
from odesim.integrate.methods import method, no_events, places, workspace

Array = NDArray[np.float64]


class Integration:
    """A flow's entry, its problem, start and output times; the state and the controller are set back before a run."""

    def __init__(
        self, entry: Callable[..., int], problem: Any, start: Array, times: Array, name: str, rtol: float, atol: float
    ) -> None:
        self.entry, self.problem, self.start, self.times = entry, problem, start, times
        self.rtol, self.atol = rtol, atol
        self.method = method(name, start.size)
        (self.control, self.counts), self.work = places(), workspace(self.method, start.size)
        self.out, self.events = np.zeros((times.size, start.size)), no_events(start.size)

    def integrate(self) -> None:
        """Integrate once, into ``out``."""
        y = self.start.copy()
        self.control[:], self.counts[:] = 0.0, 0
        self.control[_explicit.RTOL], self.control[_explicit.ATOL] = self.rtol, self.atol
        self.control[_explicit.BOUND] = 1e12
        status = self.entry(
            self.problem, self.method, y, self.control, self.counts, self.times, self.out, self.events, self.work, 10**9
        )
        if status != _explicit.DONE:
            raise RunError(f"our integration ended with status {status}")

    def states(self) -> Array:
        """Integrate and return the states at the outputs, one row each."""
        self.integrate()
        return self.out.copy()

    @property
    def evaluations(self) -> int:
        """Right-hand sides of the last run."""
        return int(self.counts[_explicit.EVALUATIONS])
