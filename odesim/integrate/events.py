"""Events of an integration: a component of the state, or a quantity of the flow, crosses a level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from odesim import checks
from odesim.integrate._events import COMPONENT, Events


class Crossing(NamedTuple):
    """A level and how it is to be crossed; see `crossing`."""

    kind: int
    entry: int
    level: float
    direction: int
    terminal: bool


def crossing(
    entry: int, level: float, *, kind: int = COMPONENT, direction: int = 0, terminal: bool = False
) -> Crossing:
    """Describe an event: the quantity goes through ``level``.

    Parameters
    ----------
    entry : int
        Which component of the flat state, or which of the flow's quantities of this ``kind``.
    direction : -1, 0 or 1
        Downward, either way or upward. Arriving at the level counts, also at the end of a step; leaving it does not.
    terminal : bool
        End the run there.

    Raises
    ------
    InputError
        For a level that is not finite, or another direction.
    """
    checks.integer("event.entry", entry, low=0)
    checks.real("event.level", level)
    checks.integer("event.direction", direction, low=-1, high=1, remedy="-1 is downward, 1 upward, 0 either way")
    return Crossing(int(kind), int(entry), float(level), int(direction), bool(terminal))


def rows(events: Sequence[Crossing], size: int) -> Events:
    """Lay out events as kernels read them, for a state of ``size`` entries; `Events` also holds what is found.

    After the run ``time`` (E) is when each first happened, NaN for never, and ``state`` (E, size) the state then.
    """
    kind, entry, direction, terminal = (
        np.array([getattr(event, name) for event in events], dtype=np.int64)
        for name in ("kind", "entry", "direction", "terminal")
    )
    level = np.array([event.level for event in events], dtype=np.float64)
    count = len(events)
    return Events(
        kind, entry, direction, terminal, level, np.zeros(count), np.full(count, np.nan), np.full((count, size), np.nan)
    )
