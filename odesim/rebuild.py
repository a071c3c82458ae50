"""Rebuilding what was run from a trajectory's settings: the flow, the target, the training, the network at a row."""

from __future__ import annotations

import dataclasses
import importlib
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odesim import menu
from odesim.activations.catalogue import activation_named
from odesim.checks import InputError
from odesim.network import Network
from odesim.targets.series import Target
from odesim.training import Phase, Training, TwoRadii
from odesim.trajectory import Trajectory

Array = NDArray[np.float64]


def flow_of(trajectory: Trajectory) -> Any:
    """Return the flow that made the trajectory.

    Raises
    ------
    InputError
        If it was no flow, or its settings do not say which.
    """
    options = dict(_settings(trajectory, "dynamics", "flow"))
    name = options.pop("name", "")
    for room, kind, _ in menu.DYNAMICS.values():
        found: Any = getattr(importlib.import_module(f"odesim.{room}"), kind) if kind == name else None
        if hasattr(found, "right_hand_side"):
            known = {one.name for one in dataclasses.fields(found)}
            return found(**{key: value for key, value in options.items() if key in known})
    raise InputError(f"trajectory is of {name or trajectory.kind!r}, which is no flow; give flow=OverlapFlow(...)")


def target_of(trajectory: Trajectory) -> Any:
    """Return the target, if it is a polynomial.

    Raises
    ------
    InputError
        If it is a teacher, whose settings are for readers only.
    """
    found = _settings(trajectory, "target", "target")
    try:
        return Target.parse(found["expression"], data=found["data"])
    except InputError as error:
        raise InputError(f"trajectory.settings do not spell the target out ({error}); give target=...") from error


def training_of(trajectory: Trajectory) -> Training:
    """Return the training."""
    values = dict(_settings(trajectory, "training", "training"))
    values["batch"] = math.inf if values["batch"] == "inf" else values["batch"]
    values["schedule"] = tuple(Phase(**one) for one in values["schedule"])
    if isinstance(values["geometry"], dict):
        values["geometry"] = TwoRadii(**values["geometry"])
    return Training(**values)


def network_at(trajectory: Trajectory, row: int, like: Network | None) -> Network:
    """Return the network of a single run at a row; what it is besides overlaps is taken from ``like`` or settings.

    Where Q was not kept, residuals are taken as orthogonal.

    Raises
    ------
    InputError
        If there is neither Q nor q, or the settings do not name the activation.
    """
    m, a = trajectory.m[row], trajectory.a[row]
    b = np.zeros(a.size) if trajectory.b is None else trajectory.b[row]
    if trajectory.Q is not None:
        R = trajectory.Q[row] - m @ m.T
    elif trajectory.q is not None:
        R = np.diag(np.maximum(trajectory.q[row] - (m * m).sum(axis=1), 0.0))
    else:
        raise InputError(
            "trajectory holds neither Q nor q, so its residuals are unknown; run it again with fewer neurons"
        )
    if like is not None:
        return dataclasses.replace(like, m=m, R=R, a=a, b=b, weights=None)
    found = _settings(trajectory, "network", "network")
    try:
        kind = activation_named(found["activation"])
    except InputError as error:
        raise InputError(f"trajectory.settings name no known activation ({error}); give network=...") from error
    return Network(int(found["dim"]), kind, m, R, a, b, None, found["scaling"])


def _settings(trajectory: Trajectory, table: str, argument: str) -> dict[str, Any]:
    if table not in trajectory.settings:
        raise InputError(f"trajectory.settings hold no {table}; give {argument}=...")
    found: dict[str, Any] = trajectory.settings[table]
    return found
