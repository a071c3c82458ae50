"""Methods of integration by name."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from odesim import checks
from odesim.integrate import _rock
from odesim.integrate._loop import AUTO, CONTROLS, COUNTS, EXPLICIT, STABILISED, Events, Method, Workspace
from odesim.integrate.order8 import dop853
from odesim.integrate.tableaus import dopri5, euler, tsitouras

METHODS = ("auto", "tsitouras", "dopri5", "dop853", "rock4")
"""The methods to choose from; `euler` steps maps in discrete time and has no error control."""

ERROR_SCALE = 0.1
"""Weight of the slope at the end in ROCK4's error estimate; it only scales what a tolerance means there."""

_TABLEAUS = {
    "auto": tsitouras,
    "tsitouras": tsitouras,
    "dopri5": dopri5,
    "dop853": dop853,
    "rock4": tsitouras,
    "euler": euler,
}
_MODES = {"auto": AUTO, "rock4": STABILISED}


@cache
def method(name: str) -> Method:
    """Return the tables of a method.

    ``auto`` begins with Tsitouras 5(4) and goes over to ROCK4 and back as the problem becomes stiff and ceases to be;
    ``tsitouras``, ``dopri5`` and ``dop853`` stay explicit, of orders 5, 5 and 8; ``rock4`` stays stabilised.

    Raises
    ------
    InputError
        For another name.
    """
    if name != "euler":
        checks.choice("method", name, METHODS)
    return Method(_MODES.get(name, EXPLICIT), _TABLEAUS[name](), rock4())


@cache
def rock4() -> _rock.Stabilised:
    """Stabilised methods of order 4 with 5 to 515 stages.

    The table holds, a row a degree: the stages, the length of the interval of stability, the zeros −α ± iβ, −γ ± iδ of
    the last factor w, the coefficients of the last four stages and the error weights. They maximise the length at
    |R| <= 0.95, computed from the definition (tests/naive_rock.py); the recurrences follow from them here.
    """
    table = np.loadtxt(str(files("odesim.integrate") / "rock4.csv"), delimiter=",")
    degree, length = table[:, 0].astype(np.int64), np.ascontiguousarray(table[:, 1])
    start = np.concatenate([[0], np.cumsum(degree - 4)])
    mu, kappa, time = np.zeros(start[-1]), np.zeros(start[-1]), np.zeros(start[-1])
    ending = np.zeros((degree.size, 4, 4))
    ending[:, [1 - 1, 1, 1, 2, 2, 2, 3, 3, 3, 3], [0, 0, 1, 0, 1, 2, 0, 1, 2, 3]] = table[:, 6:16]
    error = ERROR_SCALE * np.column_stack([table[:, 16:], np.ones(degree.size)])
    damping = -float(np.log(0.95))
    for row, (first, last) in enumerate(zip(start[:-1], start[1:], strict=True)):
        zeros = np.ascontiguousarray(table[row, 2:6])
        _rock.recurrence(zeros, length[row], damping, mu[first:last], kappa[first:last], time[first:last])
    return _rock.Stabilised(degree, length, start[:-1].copy(), mu, kappa, time, ending, error)


def workspace(chosen: Method, size: int) -> Workspace:
    """Arrays an integration of ``size`` unknowns works in."""
    return Workspace(np.zeros((max(chosen.tableau.c.size, _rock.ROWS), size)), np.zeros(size), np.zeros(size))


def places() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return empty ``control`` and ``counts``."""
    return np.zeros(CONTROLS), np.zeros(COUNTS, np.int64)


def no_events(size: int) -> Events:
    """No events for a state of ``size`` entries."""
    whole, real = np.zeros(0, np.int64), np.zeros(0)
    return Events(whole, whole, whole, whole, real, real, real, np.zeros((0, size)))
