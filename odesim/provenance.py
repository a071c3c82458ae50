"""Provenance: what was run, as JSON values, and with which software."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import numpy as np

from odesim.job import Dynamics, Job
from odesim.network import Network


def versions() -> dict[str, str]:
    """Return the versions that a result depends on: odesim, Python, NumPy, SciPy, numba."""
    import odesim

    found = {"odesim": odesim.__version__, "python": platform.python_version()}
    return found | {name: metadata.version(name) for name in ("numpy", "scipy", "numba")}


def settings_of(dynamics: Dynamics, job: Job, networks: Sequence[Network], spacing: str) -> dict[str, Any]:
    """Return what was run as plain JSON values."""
    network = networks[0]
    second, biases = (np.abs([getattr(one, layer) for one in networks]) for layer in "ab")
    options: dict[str, Any] = dataclasses.asdict(dynamics) if dataclasses.is_dataclass(dynamics) else {}
    return {
        "target": {"expression": str(job.target), "data": job.target.data},
        "network": {
            "dim": network.dim,
            "width": network.width,
            "activation": network.activation.name,
            "scaling": network.scaling,
            "second_layer": float(second.max()),
            "second_layer_smallest": float(second.min()),
            "biases": float(biases.max()),
        },
        "training": job.training.as_dict(),
        "dynamics": {
            "name": type(dynamics).__name__,
            **{key: plain(value) for key, value in options.items()},
        },
        "run": {
            "steps": int(job.steps[-1]),
            "points": job.steps.size,
            "spacing": spacing,
            "seeds": job.seeds,
            **({"starts": len(networks)} if len(networks) > 1 else {}),
            "rng": plain(job.rng),
            **({"events": [dataclasses.asdict(one) for one in job.events]} if job.events else {}),
        },
    }


def plain(value: Any) -> Any:
    """Return a JSON value that says the same: a seed by its entropy, anything unknown by its text."""
    if isinstance(value, np.random.SeedSequence):
        keys = list(value.spawn_key)
        return {"entropy": value.entropy, "spawn_key": keys} if keys else value.entropy
    if isinstance(value, np.generic):
        return value.item()
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
