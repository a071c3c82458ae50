"""Methods of integration by name."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from odesim import checks
from odesim.integrate import _rock
from odesim.integrate._events import Events
from odesim.integrate._rosenbrock import Rosenbrock
from odesim.integrate._steps import (
    AUTO,
    CONTROLS,
    COUNTS,
    EXPLICIT,
    FIXED,
    ROSENBROCK,
    STABILISED,
    Method,
    Workspace,
)
from odesim.integrate.order8 import dop853
from odesim.integrate.tableaus import dopri5, euler, tsitouras

METHODS = ("auto", "tsitouras", "dopri5", "dop853", "rock4", "rodas")
"""The methods to choose from; `euler` steps maps in discrete time and has no error control."""

DAMPING = 0.5
"""Largest modulus of ROCK4's stability polynomials, and where they begin: they reach it at log DAMPING."""

ERROR_SCALE = 0.02
"""Weight of the last slope in ROCK4's error estimate; it only scales what a tolerance means there."""

AFFORDABLE = 400
"""Largest state for which ``auto`` takes Jacobians by differences and their factors."""

_TABLEAUS = {"dopri5": dopri5, "dop853": dop853, "euler": euler}
_KINDS = {"rock4": STABILISED, "rodas": ROSENBROCK}


@cache
def method(name: str, size: int = 0) -> Method:
    """Return the tables of a method for a state of ``size`` entries.

    ``auto`` begins with Tsitouras 5(4) and, where the problem becomes stiff, goes over to ROCK4; where it stays so
    and a Jacobian is affordable (size <= 400), to the Rosenbrock method, if that pays; and back when it ceases to be.
    The others stay what they are: ``tsitouras``, ``dopri5`` and ``dop853`` explicit of orders 5, 5 and 8, ``rock4``
    stabilised and ``rodas`` of Rosenbrock type, both of order 4.

    Raises
    ------
    InputError
        For another name.
    """
    if name != "euler":
        checks.choice("method", name, METHODS)
    return Method(
        mode=AUTO if name == "auto" else FIXED,
        kind=_KINDS.get(name, EXPLICIT),
        stiff=ROSENBROCK if size <= AFFORDABLE else STABILISED,
        tableau=_TABLEAUS.get(name, tsitouras)(),
        stabilised=rock4(),
        rosenbrock=rodas(),
    )


@cache
def rodas() -> Rosenbrock:
    """RODAS of order 4(3); source: Hairer & Wanner II (1996), IV.7, table and code."""
    A, C = np.zeros((6, 6)), np.zeros((6, 6))
    A[1, :1] = [1.544]
    A[2, :2] = [0.9466785280815826, 0.2557011698983284]
    A[3, :3] = [3.314825187068521, 2.896124015972201, 0.9986419139977817]
    A[4, :4] = [1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950]
    A[5] = A[4]
    A[5, 4] = 1.0
    C[1, :1] = [-5.6688]
    C[2, :2] = [-2.430093356833875, -0.2063599157091915]
    C[3, :3] = [-0.1073529058151375, -9.594562251023355, -20.47028614809616]
    C[4, :4] = [7.496443313967647, -10.24680431464352, -33.99990352819905, 11.70890893206160]
    C[5, :5] = [8.083246795921522, -7.981132988064893, -31.52159432874371, 16.31930543123136, -6.058818238834054]
    dense = np.zeros((2, 6))
    dense[0, :5] = [10.12623508344586, -7.487995877610167, -34.80091861555747, -7.992771707568823, 1.025137723295662]
    dense[1, :5] = [-0.6762803392801253, 6.087714651680015, 16.43084320892478, 24.76722511418386, -6.594389125716872]
    return Rosenbrock(
        gamma=0.25,
        c=np.array([0.0, 0.386, 0.21, 0.63, 1.0, 1.0]),
        g=np.array([0.25, -0.1043, 0.1035, -0.0362, 0.0, 0.0]),
        A=A,
        C=C,
        dense=dense,
    )


@cache
def rock4() -> _rock.Stabilised:
    """Stabilised methods of order 4 with 5 to 515 stages.

    The table holds, a row a degree: the stages, the length of the interval of stability, the zeros −α ± iβ, −γ ± iδ of
    the last factor w, the coefficients of the last four stages and the error weights. They maximise the length at
    |R| <= DAMPING, computed from the definition (tests/naive_rock.py); the recurrences follow from them here.
    """
    table = np.loadtxt(str(files("odesim.integrate") / "rock4.csv"), delimiter=",")
    degree, length = table[:, 0].astype(np.int64), np.ascontiguousarray(table[:, 1])
    start = np.concatenate([[0], np.cumsum(degree - 4)])
    mu, kappa, time = np.zeros(start[-1]), np.zeros(start[-1]), np.zeros(start[-1])
    ending = np.zeros((degree.size, 4, 4))
    ending[:, [0, 1, 1, 2, 2, 2, 3, 3, 3, 3], [0, 0, 1, 0, 1, 2, 0, 1, 2, 3]] = table[:, 6:16]
    error = ERROR_SCALE * np.column_stack([table[:, 16:], np.ones(degree.size)])
    damping = -float(np.log(DAMPING))
    for row, (first, last) in enumerate(pairwise(start)):
        zeros = np.ascontiguousarray(table[row, 2:6])
        _rock.recurrence(zeros, length[row], damping, mu[first:last], kappa[first:last], time[first:last])
    late = time[start[1:] - 1, None] + ending.sum(axis=2)
    return _rock.Stabilised(degree, length, start[:-1].copy(), mu, kappa, time, ending, late, error)


def workspace(chosen: Method, size: int) -> Workspace:
    """Arrays an integration of ``size`` unknowns works in."""
    implicit = chosen.kind == ROSENBROCK or (chosen.mode == AUTO and chosen.stiff == ROSENBROCK)
    side = size if implicit else 0
    return Workspace(
        k=np.zeros((max(chosen.tableau.c.size, _rock.ROWS), size)),
        y=np.zeros(size),
        z=np.zeros(size),
        jacobian=np.zeros((side, side)),
        factors=np.zeros((side, side)),
        pivot=np.zeros(side, np.int64),
    )


def places() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return empty ``control`` and ``counts``."""
    return np.zeros(CONTROLS), np.zeros(COUNTS, np.int64)


def no_events(size: int) -> Events:
    """No events for a state of ``size`` entries."""
    whole, real = np.zeros(0, np.int64), np.zeros(0)
    return Events(whole, whole, whole, whole, real, real, real, np.zeros((0, size)))
