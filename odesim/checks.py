"""Argument checks with one style of message: argument, value, bound, remedy."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


class InputError(ValueError):
    """A bad argument: the message names the culprit, its value, the bound and the remedy."""


class RunError(RuntimeError):
    """A computation that ended early; what was computed up to then is kept."""


def real(name: str, value: Any, *, low: float | None = None, strict: bool = False, remedy: str = "") -> float:
    """Return ``value`` as a finite float, at least ``low`` (above it where ``strict``).

    Raises
    ------
    InputError
        If it is not a finite real number or lies below the bound.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise InputError(f"{name}={value!r} is not a number; give a finite number{_tail(remedy)}")
    number = float(value)
    if not math.isfinite(number):
        raise InputError(f"{name}={value} is not finite; give a finite number{_tail(remedy)}")
    if low is not None and (number < low or (strict and number == low)):
        bound = f"must be above {low:g}" if strict else f"must be at least {low:g}"
        raise InputError(f"{name}={value} {bound}{_tail(remedy)}")
    return number


def integer(name: str, value: Any, *, low: int | None = None, high: int | None = None, remedy: str = "") -> int:
    """Return ``value`` as an int within [low, high].

    Raises
    ------
    InputError
        If it is not a whole number or lies outside the bounds.
    """
    whole = isinstance(value, numbers.Integral) or (isinstance(value, numbers.Real) and float(value).is_integer())
    if isinstance(value, bool) or not whole:
        raise InputError(f"{name}={value!r} is not a whole number{_tail(remedy)}")
    number = int(value)
    if low is not None and number < low:
        raise InputError(f"{name}={value} must be at least {low}{_tail(remedy)}")
    if high is not None and number > high:
        raise InputError(f"{name}={value} must be at most {high}{_tail(remedy)}")
    return number


def choice(name: str, value: Any, options: Sequence[str]) -> str:
    """Return ``value`` if it is one of ``options``.

    Raises
    ------
    InputError
        Otherwise, listing the options.
    """
    if value not in options:
        raise InputError(f"{name}={value!r} is unknown; choose one of {', '.join(options)}")
    return str(value)


def array(name: str, value: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return ``value`` as a contiguous float64 array of that shape with finite entries.

    Raises
    ------
    InputError
        If the shape differs or an entry is NaN or infinite.
    """
    try:
        out = np.ascontiguousarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is not an array of numbers; give shape {shape}") from error
    if out.shape != shape:
        raise InputError(f"{name} has shape {out.shape}; give shape {shape}")
    if not np.isfinite(out).all():
        raise InputError(f"{name} holds NaN or infinite entries; give finite ones")
    return out


def _tail(remedy: str) -> str:
    return f"; {remedy}" if remedy else ""
