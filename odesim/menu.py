"""The dynamics by name, for files and flags: which class, and which options of its own."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
from collections.abc import Mapping
from typing import Any

from odesim import checks
from odesim.checks import InputError

DYNAMICS = {
    "overlap": ("flows.overlap", "OverlapFlow", {"finite_step": "finite_step"}),
    "correlation": ("flows.correlation", "CorrelationFlow", {}),
    "mean_field": ("flows.mean_field", "MeanFieldFlow", {}),
    "sgd": ("sgd.full", "SGD", {"dtype": "dtype"}),
    "chain": ("sgd.chain", "Chain", {}),
}
"""Module and class of each, and those of its options that the table ``run`` sets: option -> field there."""

ENSEMBLES = ("sgd", "chain")
"""Which of them run once a data seed."""


def build(name: str, options: Mapping[str, Any], runs: Any) -> Any:
    """Return the dynamics of that name with these options, and with what the table ``run`` says.

    Raises
    ------
    InputError
        If the dynamics refuses a value; the message names it as ``dynamics.option``.
    """
    shared = {option: getattr(runs, field) for option, field in DYNAMICS[name][2].items()}
    return _named(lambda: _class(name)(**shared, **options), [*shared, *options])


def checked_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options as values of the kinds that the dynamics declares, each within its bounds.

    Raises
    ------
    InputError
        For an option that the dynamics does not have, by its dotted name with the nearest, or a bad value.
    """
    if not options:
        return {}
    kind, shared = _class(name), DYNAMICS[name][2]
    fields = {one.name: one for one in dataclasses.fields(kind) if one.name not in shared}
    for option in options:
        if option in shared:
            raise InputError(f"dynamics.{option} is no option of its own; set run.{shared[option]}")
        if option not in fields:
            near = difflib.get_close_matches(option, fields, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"choose one of {', '.join(fields)}"
            raise InputError(f"dynamics.{option} is unknown to dynamics {name}; {hint}")
    values = {option: _value(f"dynamics.{option}", fields[option], value) for option, value in options.items()}
    _named(lambda: kind(**values), list(values))
    return values


def _class(name: str) -> Any:
    room, kind, _ = DYNAMICS[name]
    return getattr(importlib.import_module(f"odesim.{room}"), kind)


def _value(name: str, field: dataclasses.Field[Any], value: Any) -> Any:
    """One value as its annotation says: whole numbers, numbers, true or false, text; a seed is a whole number."""
    kind = str(field.type).split(" ")[0]
    if kind == "bool":
        if not isinstance(value, bool):
            raise InputError(f"{name}={value!r} is not true or false; give one")
        return value
    if kind in ("int", "Any"):
        return checks.integer(name, value, low=0 if kind == "Any" else None)
    if kind == "float":
        return checks.real(name, value)
    if not isinstance(value, str):
        raise InputError(f"{name}={value!r} is not text; give a name")
    return value


def _named(make: Any, options: list[str]) -> Any:
    """Call; where a message begins with an option, put ``dynamics.`` before it."""
    try:
        return make()
    except InputError as error:
        text = str(error)
        if any(text.startswith(f"{option}=") for option in options):
            raise InputError(f"dynamics.{text}") from error
        raise
