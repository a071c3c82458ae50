"""What one right-hand side costs, and the activations whose costs are compared."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odesim.activations.catalogue import Activation, activation_named
from odesim.integrate import _explicit
from odesim.integrate.methods import method, no_events, places, workspace

Array = NDArray[np.float64]

CLASSES = ("erf", "relu", "gelu", "hermite:3", "tanh", "clip")
"""One activation of each class; ``clip`` is a user's own function, with kinks at ±1."""

BY_POINTS = "erf, Γ by points"


def activation(name: str) -> Activation:
    """Return one of ``CLASSES``, or erf whose finite-step term is by points."""
    if name == BY_POINTS:  # erf under another name, whose finite-step term is therefore not taken in closed form
        return replace(activation_named("erf"), name=name)
    if name == "clip":
        return Activation.from_function(lambda x: np.clip(x, -1.0, 1.0), name="clip", kinks=(-1.0, 1.0))
    return activation_named(name)


def seconds_a_side(
    solve: Callable[..., int], derivative: Callable[..., None], problem: Any, y: Array, least: float
) -> float:
    """CPU seconds of this thread per right-hand side, the integrator's own work included.

    Stretches of ``least`` seconds of integrations from y, the least of three; where one right-hand side takes that
    long, it alone.
    """
    dy = np.empty_like(y)
    derivative(problem, 0.0, y, dy)  # compiles
    start = time.thread_time()
    derivative(problem, 0.0, y, dy)
    if (spent := time.thread_time() - start) > least:
        return spent
    budget, best = 1, np.inf
    _stretch(solve, problem, y, 1)
    for _ in range(3):
        while True:
            start = time.thread_time()
            sides = _stretch(solve, problem, y, budget)
            spent = time.thread_time() - start
            if spent >= least:
                break
            budget *= max(2, min(64, int(1.2 * least / max(spent, 1e-9))))
        best = min(best, spent / sides)
    return best


def _stretch(solve: Callable[..., int], problem: Any, y: Array, budget: int) -> int:
    """Take at least ``budget`` steps, from y anew where a state has come to rest; return their right-hand sides."""
    way, end, out = method("tsitouras", y.size), np.array([1e9]), np.zeros((1, y.size))
    work, events = workspace(way, y.size), no_events(y.size)
    sides = 0
    while budget > 0:
        control, counts = places()
        # tight, so that a stretch has many steps
        control[_explicit.RTOL], control[_explicit.ATOL], control[_explicit.BOUND] = 1e-10, 1e-12, 1e12
        status = solve(problem, way, y.copy(), control, counts, end, out, events, work, budget)
        if status not in (_explicit.RUNNING, _explicit.DONE):
            raise AssertionError(f"the timed integration ended with status {status}")
        sides += int(counts[_explicit.EVALUATIONS])
        budget -= int(counts[_explicit.ACCEPTED] + counts[_explicit.REJECTED])
    return sides
