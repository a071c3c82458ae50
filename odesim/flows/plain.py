"""RightHandSide: a flow as a plain function f(t, y) of flat states, for solvers and analyses of your own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from odesim import checks
from odesim.training import Training

Array = NDArray[np.float64]

DIFFERENCE = 6e-6
"""Step of a central difference, about the cube root of float64's rounding, in units of max(1, |y_i|)."""


@dataclass(frozen=True, eq=False)
class RightHandSide:
    """y' = f(t, y) of a flow, with what packs and unpacks its flat states.

    ``flow.right_hand_side(target, network, training)`` makes one, and SciPy takes it as it is::

        f = od.OverlapFlow(finite_step=False).right_hand_side(target, network, training)
        found = scipy.integrate.solve_ivp(f, (0, 100), f.start, method="LSODA", jac=f.jacobian)
        m, R, a, b = f.unpack(found.y.T)
        risk = f.risk(found.y.T)

    One object serves one thread at a time, because calls share work arrays.

    Attributes
    ----------
    names : tuple of str
        Parts of a state in order: m, R, a, b for `OverlapFlow`; m, s, a, b for `MeanFieldFlow`, s the residuals'
        norms; m, R for `CorrelationFlow`, R their squares, all neurons one after the other.
    shapes : tuple of tuples
        Shape of each part.
    start : array (n,)
        The network's start, which cannot be written to.
    ends : tuple of float
        Times at which phases of the schedule end, where f jumps: let a solver stop and start again there.
    unit : float
        What the network's second layer is multiplied by to be the state's a: 1/N or 1 for `OverlapFlow`, whose state
        is of the plain network, N or 1 for `MeanFieldFlow`.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    start: Array
    ends: tuple[float, ...]
    unit: float
    _fill: Callable[[int, Array, Array], None]
    _risks: Callable[[Array], Array]
    _nearest: Callable[[Array], Array]

    def __post_init__(self) -> None:
        start = np.array(self.start, dtype=np.float64)
        start.flags.writeable = False
        object.__setattr__(self, "start", start)

    def __call__(self, t: float, y: ArrayLike) -> Array:
        """Return dy/dt (n,) at the time t, which only picks the phase of a schedule; y (n,) may be any view.

        R is taken as its symmetric part, where it is a matrix.
        """
        state = self._symmetric(self._flat(y))
        out = np.empty_like(state)
        self._fill(self.phase(t), state, out)
        return out

    def phase(self, t: float) -> int:
        """Return the phase of the schedule at the time t, from 0; a phase includes its start, not its end."""
        return int(np.searchsorted(self.ends, t, side="right"))

    def pack(self, *parts: ArrayLike) -> Array:
        """Return the flat state (n,) of parts in the order of ``names``.

        Raises
        ------
        InputError
            For a part too many or too few, or of another shape.
        """
        if len(parts) != len(self.names):
            raise checks.InputError(f"pack takes {', '.join(self.names)}, not {len(parts)} arrays; give all of these")
        rows = zip(self.names, parts, self.shapes, strict=True)
        return np.concatenate([checks.array(name, part, shape).ravel() for name, part, shape in rows])

    def unpack(self, y: ArrayLike) -> tuple[Array, ...]:
        """Split states (..., n) into the parts of ``names``, each (..., *shape)."""
        states = np.asarray(y, dtype=np.float64)
        if states.shape[-1:] != self.start.shape:
            raise checks.InputError(f"y has shape {states.shape}; give states as rows, (..., {self.start.size})")
        sizes = [int(np.prod(shape, dtype=int)) for shape in self.shapes]
        split = np.split(states, np.cumsum(sizes)[:-1], axis=-1)
        return tuple(part.reshape(*states.shape[:-1], *shape) for part, shape in zip(split, self.shapes, strict=True))

    def risk(self, y: ArrayLike) -> Array:
        """Return the population risk ½E[(h − f)²] of states (..., n), shape (...)."""
        states = np.asarray(y, dtype=np.float64)
        self.unpack(states)
        rows = np.ascontiguousarray(states.reshape(-1, self.start.size))
        return self._risks(rows).reshape(states.shape[:-1])

    def jacobian(self, t: float, y: ArrayLike) -> Array:
        """Return ∂f/∂y (n, n) by central differences, right to some 1e-10 of f's size for smooth activations."""
        return self.along(t, y, np.eye(self.start.size))

    def along(self, t: float, y: ArrayLike, directions: Array) -> Array:
        """Return (∂f/∂y) D (n, k) for the columns of ``directions`` D (n, k), by central differences."""
        state = self._flat(y)
        out = np.empty(directions.shape)
        for i, direction in enumerate(directions.T):
            h = DIFFERENCE * max(1.0, float(abs(state[direction != 0]).max(initial=0.0)))
            out[:, i] = (self(t, state + h * direction) - self(t, state - h * direction)) / (2 * h)
        return out

    def nearest(self, y: ArrayLike) -> Array:
        """Return the nearest possible state: R with its negative eigenvalues cut, norms at least 0, on the sphere."""
        return self._nearest(self._symmetric(self._flat(y)))

    def _flat(self, y: ArrayLike) -> Array:
        state = np.array(y, dtype=np.float64)
        if state.shape != self.start.shape:
            raise checks.InputError(f"y has shape {state.shape}; give one state, ({self.start.size},)")
        return state

    def _symmetric(self, state: Array) -> Array:
        if "R" in self.names:
            R = self.unpack(state)[self.names.index("R")]
            if R.ndim == 2:
                R[:] = 0.5 * (R + R.T)
        return state


def ends_of(training: Training) -> tuple[float, ...]:
    """Return the times at which the phases of the schedule end, but for the last one."""
    return tuple(float(training.time_at(phase.until)) for phase in training.phases if phase.until is not None)


def filler(derivative: Callable[..., Any], problems: list[Any]) -> Callable[[int, Array, Array], None]:
    """Return what fills dy for a kernel that reads one problem a phase."""

    def fill(phase: int, y: Array, dy: Array) -> None:
        derivative(problems[phase], 0.0, y, dy)

    return fill


def counter(risks: Callable[..., Any], problem: Any) -> Callable[[Array], Array]:
    """Return the risk of rows, from the kernel that fills it."""

    def count(rows: Array) -> Array:
        out = np.empty(len(rows))
        risks(problem, rows, out)
        return out

    return count


def positive(R: Array) -> Array:
    """Return the symmetric matrix without its negative part."""
    values, vectors = np.linalg.eigh(R)
    return (vectors * np.maximum(values, 0.0)) @ vectors.T if values[0] < 0 else R
