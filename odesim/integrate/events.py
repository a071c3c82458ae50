"""Events of an integration: a component of the state, or a quantity of the flow, crosses a level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from odesim import checks
from odesim.events import RISK, Event
from odesim.integrate._events import COMPONENT, Events
from odesim.job import Job

Floats = NDArray[np.float64]

RISK_OF_FLOW = COMPONENT + 1
"""The kind of an event on a flow's risk."""


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


def of_flow(events: Sequence[Event], neurons: int, coordinates: int, size: int) -> Events:
    """Lay out the events of a flow whose flat state, of ``size`` entries, begins with m (neurons, coordinates).

    Raises
    ------
    InputError
        For an overlap that the flow does not have.
    """
    check_overlaps(events, neurons, coordinates)
    found = [
        crossing(
            0 if one.quantity == RISK else one.neuron * coordinates + one.coordinate,
            one.level,
            kind=RISK_OF_FLOW if one.quantity == RISK else COMPONENT,
            direction=1 if one.upward else -1,
            terminal=one.terminal,
        )
        for one in events
    ]
    return rows(found, size)


def check_overlaps(events: Sequence[Event], neurons: int, coordinates: int) -> None:
    """Refuse events on overlaps that a flow of so many neurons and coordinates does not have.

    Raises
    ------
    InputError
        Naming the event and the index.
    """
    for one in events:
        for what, index, bound in (("neuron", one.neuron, neurons), ("coordinate", one.coordinate, coordinates)):
            if index >= bound:
                raise checks.InputError(f"event {one.name}: {what}={index} must be below {bound}; they count from 0")


def no_events_between_steps(job: Job, discrete: bool) -> None:
    """Refuse events where single steps are taken.

    Raises
    ------
    InputError
        If there are events and the dynamics is ``discrete``.
    """
    if discrete and job.events:
        raise checks.InputError("run.events needs a flow between steps; give discrete=False, or leave events out")


def times_of(events: Sequence[Event], found: Events) -> dict[str, Floats]:
    """Return when each event first happened, NaN for never, by its name."""
    return {one.name: np.array(when) for one, when in zip(events, found.time, strict=True)}


def at_events(events: Sequence[Event], fields: Mapping[str, Floats]) -> dict[str, dict[str, Floats]]:
    """Return the row of every field that belongs to each event, by the event's name."""
    return {one.name: {key: np.array(value[i]) for key, value in fields.items()} for i, one in enumerate(events)}


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
