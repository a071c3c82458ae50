"""Events of a run: the risk or an overlap goes through a level between outputs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from odesim import checks

RISK, OVERLAP = "risk", "overlap"


@dataclass(frozen=True)
class Event:
    """A quantity goes through a level; made by `risk_below`, `risk_above`, `overlap_below` and `overlap_above`.

    Attributes
    ----------
    quantity : {"risk", "overlap"}
    level : float
    upward : bool
        The direction; arriving at the level counts, starting beyond it does not.
    neuron, coordinate : int
        Which overlap m[neuron, coordinate].
    terminal : bool
        Whether the run ends there, with the status EVENT; of an ensemble that member alone.
    name : str
        Its key in ``Trajectory.events``.
    """

    quantity: str
    level: float
    upward: bool
    neuron: int = 0
    coordinate: int = 0
    terminal: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        checks.real("event.level", self.level)
        checks.integer("event.neuron", self.neuron, low=0)
        checks.integer("event.coordinate", self.coordinate, low=0)
        if not self.name:
            object.__setattr__(self, "name", self._readable())
        if not (isinstance(self.name, str) and self.name.isidentifier()):
            raise checks.InputError(f"event.name={self.name!r} is no name; give letters, digits and underscores")

    def _readable(self) -> str:
        """``risk_below_0_3``, ``overlap_2_0_above_minus_0_5``."""
        which = f"{OVERLAP}_{self.neuron}_{self.coordinate}" if self.quantity == OVERLAP else self.quantity
        level = re.sub(r"\W", "_", f"{self.level:g}".replace("e-", "e_minus_").replace("-", "minus_").replace("+", "_"))
        return f"{which}_{'above' if self.upward else 'below'}_{level}"


def risk_below(level: float, *, terminal: bool = False, name: str = "") -> Event:
    """Event: the population risk falls to ``level``.

    Parameters
    ----------
    terminal : bool
        End the run there.
    name : str
        Key in ``Trajectory.events``; by default ``risk_below_0_3`` at level 0.3.

    Raises
    ------
    InputError
        For a level that is not finite or a name that is no identifier.

    Examples
    --------
    >>> risk_below(0.3).name
    'risk_below_0_3'
    """
    return Event(RISK, level, upward=False, terminal=terminal, name=name)


def risk_above(level: float, *, terminal: bool = False, name: str = "") -> Event:
    """Event: the population risk rises to ``level``; see `risk_below`."""
    return Event(RISK, level, upward=True, terminal=terminal, name=name)


def overlap_above(neuron: int, coordinate: int, level: float, *, terminal: bool = False, name: str = "") -> Event:
    """Event: the overlap m[neuron, coordinate] rises to ``level``; see `risk_below`.

    Its name is by default ``overlap_0_2_above_0_5`` for neuron 0, coordinate 2 and level 0.5; both count from 0, so
    that coordinate 2 is the third of the support, z3 where the target names z1, z2 and z3.

    Raises
    ------
    InputError
        Also for a negative index.
    """
    return Event(OVERLAP, level, True, neuron, coordinate, terminal, name)


def overlap_below(neuron: int, coordinate: int, level: float, *, terminal: bool = False, name: str = "") -> Event:
    """Event: the overlap m[neuron, coordinate] falls to ``level``; see `overlap_above`."""
    return Event(OVERLAP, level, False, neuron, coordinate, terminal, name)


def checked(events: Iterable[Any]) -> tuple[Event, ...]:
    """Return the events of a run.

    Raises
    ------
    InputError
        For anything but events, or for one name twice.
    """
    if isinstance(events, Event):
        raise checks.InputError("run.events is a single event; give a list, events=[...]")
    found = tuple(events)
    seen: set[str] = set()
    for one in found:
        if not isinstance(one, Event):
            raise checks.InputError(f"run.events holds {one!r}; give risk_below(0.3) and its like")
        if one.name in seen:
            raise checks.InputError(f"run.events holds {one.name!r} twice; give one of them another name=")
        seen.add(one.name)
    return found
