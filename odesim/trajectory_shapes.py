"""What the arrays of a Trajectory must look like."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from odesim.checks import InputError

Floats = NDArray[np.float64]


def check_grid(steps: NDArray[np.int64], time: Floats) -> None:
    """Steps are integers that increase from 0, with one time each."""
    if np.ndim(steps) != 1 or not np.issubdtype(np.asarray(steps).dtype, np.integer) or np.size(steps) == 0:
        raise InputError(f"steps has shape {np.shape(steps)}; give whole numbers, shape (T,)")
    if steps[0] != 0 or (np.diff(steps) <= 0).any():
        raise InputError("steps does not increase from 0; give 0 first and each step once")
    if np.shape(time) != np.shape(steps):
        raise InputError(f"time has shape {np.shape(time)}; give one time a step, shape {np.shape(steps)}")


def check_shape(name: str, value: Floats | None, lead: tuple[int, ...], axes: int) -> None:
    """Leading axes are those of the run, the others free in size but not in number."""
    shape = np.shape(value)  # type: ignore[arg-type]
    if shape[: len(lead)] != lead or len(shape) != len(lead) - 1 + axes:
        raise InputError(f"{name} has shape {shape}; give {len(lead) - 1 + axes} axes that begin with {lead}")


def check_weights(weights: Floats, count: int) -> None:
    """One weight a neuron, none negative, of sum 1."""
    if np.shape(weights) != (count,):
        raise InputError(f"weights has shape {np.shape(weights)}; give one a neuron, shape ({count},)")
    if not ((weights >= 0).all() and abs(weights.sum() - 1) < 1e-9):
        raise InputError(f"weights has the sum {weights.sum():g}; give numbers from 0 up whose sum is 1")


def check_event(name: str, times: Floats, lead: tuple[int, ...]) -> None:
    """A name that can stand in a file, and times that begin with the axes of the runs."""
    if not (isinstance(name, str) and name.isidentifier()):
        raise InputError(f"events has the name {name!r}; give letters, digits and underscores")
    shape = np.shape(times)
    if shape[: len(lead)] != lead or not np.issubdtype(np.asarray(times).dtype, np.floating):
        raise InputError(f"events[{name!r}] has shape {shape}; give an array of times whose axes begin with {lead}")


def one_a_run(message: str | tuple[str, ...], lead: tuple[int, ...]) -> str | tuple[str, ...]:
    """Message of a single run as text, of an ensemble as a tuple."""
    if not lead:
        return message if isinstance(message, str) else "; ".join(message)
    lines = (message,) * lead[0] if isinstance(message, str) else tuple(message)
    if len(lines) != lead[0]:
        raise InputError(f"message has {len(lines)} entries; give one a run, {lead[0]}")
    return lines
