"""Events: a quantity crosses a level inside a step, found on its dense output."""

from typing import NamedTuple

import numpy as np

COMPONENT = 0
"""The kind of an event on a component of the flat state; every other kind is a quantity of the flow."""

SAMPLES = 4
"""Parts of a step at whose ends a quantity is looked at; it may cross and come back between two."""

HALVINGS = 60
"""Bisections of one part: to the last bit of the time."""


class Events(NamedTuple):
    """One row an event; what was found beside what is sought."""

    kind: np.ndarray  # (E) int64
    entry: np.ndarray  # (E) int64, of the state or among the flow's quantities of this kind
    direction: np.ndarray  # (E) int64: 1 upward, −1 downward, 0 both
    terminal: np.ndarray  # (E) int64: whether it ends the run
    level: np.ndarray  # (E)
    before: np.ndarray  # (E) the quantity minus the level, when last looked at
    time: np.ndarray  # (E) of the first crossing, NaN until then
    state: np.ndarray  # (E, n) at that time
