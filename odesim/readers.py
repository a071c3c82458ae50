"""Readers: what a text, a number or a table of an experiment's file means, or why it is refused."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from typing import Any

from odesim import checks
from odesim.activations.catalogue import activation_named
from odesim.checks import InputError
from odesim.schedules import GROUP_TIME
from odesim.training import GEOMETRIES, Phase, Training, TwoRadii


def activation(name: str, value: Any) -> str:
    """Text that the catalogue understands, such as ``sigmoid:0.5``."""
    if not isinstance(value, str):
        raise InputError(f"{name}={value!r} is not text; give the name of an activation")
    activation_named(value)
    return value


def batch(name: str, value: Any) -> int | str:
    """A whole number, or ``"inf"``, which JSON can write."""
    if value == "inf" or (isinstance(value, float) and value == math.inf):
        return "inf"
    return checks.integer(name, value, low=1, remedy="inf is the exact gradient")


def geometry(name: str, value: Any) -> str:
    """``free``, ``sphere``, or ``two_radii:r,delta`` with numbers."""
    if not isinstance(value, str):
        raise InputError(f"{name}={value!r} is not text; give {', '.join(GEOMETRIES)} or two_radii:r,delta")
    geometry_of(name, value)
    return value


def geometry_of(name: str, text: str) -> str | TwoRadii:
    """What the text means to `Training`."""
    if text in GEOMETRIES:
        return text
    kind, _, radii = text.partition(":")
    try:
        r, delta = (float(part) for part in radii.split(","))
    except ValueError:
        kind = ""
    if kind != "two_radii":
        raise InputError(
            f"{name}={text!r} is unknown; choose one of {', '.join(GEOMETRIES)}, or two_radii:r,delta as in "
            "two_radii:0.3,0.6"
        )
    try:
        return TwoRadii(r, delta)
    except InputError as error:
        raise InputError(f"training.{error}") from error


PER_GROUP = "per_group"


def schedule(name: str, value: Any) -> tuple[Phase, ...] | str:
    """Phases from tables, in order; ``per_group`` and ``per_group:time``, which need the target, stay text."""
    if isinstance(value, str) and value.partition(":")[0] == PER_GROUP:
        group_time(name, value)
        return value
    if not isinstance(value, list | tuple):
        raise InputError(
            f"{name}={value!r} is no list of tables; write per_group, or [[training.schedule]] with until, rate, w, a, "
            "b"
        )
    phases = tuple(_phase(f"{name}[{k}]", one) for k, one in enumerate(value))
    Training(eta=1.0, schedule=phases)  # refuses phases out of order
    return phases


def group_time(name: str, text: str) -> float:
    """The time after the colon, or the default."""
    _, colon, number = text.partition(":")
    try:
        time = float(number) if colon else GROUP_TIME
    except ValueError as error:
        raise InputError(f"{name}={text!r} has no number after the colon; give one as in per_group:20") from error
    return checks.real(name, time, low=0.0, strict=True, remedy="it is the flow time of a phase, as in per_group:20")


def _phase(name: str, value: Any) -> Phase:
    if isinstance(value, Phase):
        return value
    if not isinstance(value, Mapping):
        raise InputError(f"{name}={value!r} is no table; give until, rate, w, a, b")
    known = [one.name for one in dataclasses.fields(Phase)]
    for key in value:
        if key not in known:
            raise InputError(unknown(f"{name}.{key}", [f"{name}.{one}" for one in known]))
    try:
        return Phase(**value)
    except InputError as error:
        raise InputError(f"{name}{str(error).removeprefix('phase')}") from error


def unknown(name: str, known: list[str]) -> str:
    """Say that a name is unknown, with the nearest of the known ones."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose one of {', '.join(known)}"
    return f"{name} is unknown; {hint}"
