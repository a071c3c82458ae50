"""Checkpoints: one sealed file with every run of a job as far as it has come, and the experiment it belongs to."""

from __future__ import annotations

import dataclasses
import hashlib
import numbers
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import odesim
from odesim import checks, files
from odesim.activations.catalogue import Activation
from odesim.checks import InputError
from odesim.trajectory import Status

Array = NDArray[np.float64]

KIND = "checkpoint"
CHANGE_NO_BITS = ("threads",)
"""Options of a dynamics that may differ from the run that wrote the checkpoint."""

NEW_START = "give the file of this experiment, or leave resume out to start anew, which overwrites it"


class Record(NamedTuple):
    """One run as far as it has come."""

    rows: int = 0
    """How many rows are recorded."""
    state: Mapping[str, NDArray[Any]] | None = None
    """What its walk goes on from; None before its start and after its end."""
    status: Status | None = None
    """How it ended; None while it has not."""
    message: str = ""


class Saved(NamedTuple):
    """What a file holds: a record a run, and of each field the rows recorded, an array a run."""

    records: list[Record]
    rows: dict[str, list[Array]]


@dataclass(frozen=True)
class Checkpoint:
    """Where a job's runs are kept, how often, and which job it is.

    Attributes
    ----------
    path : path
        The file.
    every : float
        Seconds from one writing to the next.
    resume : bool
        Whether to go on from what the file holds, if there is one.
    parts : dict of str
        Hashes by which the file knows its experiment again, see `fingerprint`.
    settings : dict
        The same in words, as JSON values, with a table of the same name for each part.
    """

    path: Path
    every: float = 2.0
    resume: bool = False
    parts: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def write(self, records: Sequence[Record], rows: Mapping[str, Array]) -> None:
        """Put the file in the place of the one before, all or nothing; of rows (S, T, ...) only those recorded.

        Raises
        ------
        InputError
            If its folder does not exist.
        RunError
            If the disk refuses; the file before is then untouched.
        """
        arrays: dict[str, NDArray[Any]] = {}
        for name, values in rows.items():
            recorded = [values[index, : record.rows] for index, record in enumerate(records)]
            arrays[f"rows_{name}"] = np.concatenate(recorded)
        for index, record in enumerate(records):
            arrays |= {f"state_{index}_{name}": value for name, value in (record.state or {}).items()}
        runs = [{"rows": one.rows, "status": one.status, "message": one.message} for one in records]
        about = {"parts": self.parts, "settings": self.settings, "runs": runs}
        files.save_npz(self.path, KIND, arrays, about)

    def read(self) -> Saved:
        """Return what the file holds.

        Raises
        ------
        InputError
            If the file cannot be read, is truncated, altered, no checkpoint, or that of another experiment.
        """
        arrays, about = files.load_npz(self.path, KIND, remedy=NEW_START)
        self._check(about["parts"], about["settings"])
        runs = about["runs"]
        splits = np.cumsum([run["rows"] for run in runs])[:-1]
        rows = {
            name.removeprefix("rows_"): np.split(values, splits)
            for name, values in arrays.items()
            if name.startswith("rows_")
        }
        records = [_record(run, arrays, f"state_{index}_") for index, run in enumerate(runs)]
        return Saved(records, rows)

    @property
    def goes_on(self) -> bool:
        """Whether there is a file to go on from, and it is wanted."""
        return self.resume and os.path.lexists(self.path)

    def _check(self, parts: Mapping[str, str], settings: Mapping[str, Any]) -> None:
        """Refuse the file of another experiment, and say what differs."""
        for name, digest in self.parts.items():
            if parts.get(name) != digest:
                what = _difference(name, settings.get(name), files.plain(self.settings.get(name)))
                raise InputError(f"{self.path} is the checkpoint of another experiment: {what}; {NEW_START}")


def checkpoint_at(path: files.PathLike, every: Any, resume: bool, parts: Any, settings: Any) -> Checkpoint:
    """Check the arguments of `run` and return the checkpoint.

    Raises
    ------
    InputError
        For a path that is a folder or an interval that is not positive.
    """
    place = Path(path)
    if place.is_dir():
        raise InputError(f"run.checkpoint={str(place)!r} is a folder; give a file in it")
    seconds = checks.real("run.checkpoint_every", every, low=0.0, strict=True, remedy="it is in seconds")
    return Checkpoint(place, seconds, bool(resume), parts, settings)


def fingerprint(
    dynamics: Any,
    target: Any,
    network: Any,
    training: Any,
    steps: Any,
    seeds: int,
    rng: np.random.SeedSequence,
    events: Sequence[Any] = (),
) -> dict[str, str]:
    """Return a hash of each part of an experiment that its bits depend on; kernels of another version count too.

    Of a network with weights only these count: its Gram matrices follow from them, up to rounding.
    """
    from odesim._jit import source_stamp

    options = {one.name: getattr(dynamics, one.name) for one in dataclasses.fields(dynamics)}
    start = (network.weights,) if network.weights is not None else (network.m, network.R)
    values = {
        "target": (type(target).__name__, target.data, target.P, target),
        "network": (network.dim, network.activation, network.scaling, network.a, network.b, *start),
        "training": training,
        "dynamics": (
            type(dynamics).__name__,
            *[(name, value) for name, value in options.items() if name not in CHANGE_NO_BITS],
        ),
        "run": (steps, seeds, rng.generate_state(8), *events),
        "versions": (odesim.__version__, source_stamp()),
    }
    return {name: _digest(value) for name, value in values.items()}


def _record(run: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], prefix: str) -> Record:
    state = {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
    status = None if run["status"] is None else Status(run["status"])
    return Record(run["rows"], state or None, status, run["message"])


def _difference(part: str, there: Any, here: Any) -> str:
    """Say what of a part differs, in words where its settings tell."""
    ignored = ("spacing",) if part == "run" else CHANGE_NO_BITS
    for name, value in (here or {}).items():
        other = (there or {}).get(name)
        if other != value and name not in ignored:
            return f"{part}.{name} was {other!r} and is now {value!r}"
    return {
        "network": "the weights that the network starts from differ",
        "run": "the recorded steps, the events or the seed differ",
        "versions": "odesim's kernels have changed since",
    }.get(part, f"the {part} differs")


def _digest(value: Any) -> str:
    """Return the SHA-256 of a value by its content."""
    digest = hashlib.sha256()
    _feed(digest, value)
    return digest.hexdigest()


def _feed(digest: Any, value: Any) -> None:
    """Arrays byte by byte, numbers by value, activations as kernels see them, dataclasses by field."""
    if isinstance(value, np.ndarray):
        digest.update(f"array {value.dtype.str} {value.shape};".encode())
        digest.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8))
    elif isinstance(value, numbers.Integral) and not isinstance(value, bool):
        digest.update(f"{int(value)};".encode())
    elif isinstance(value, numbers.Real) and not isinstance(value, bool):
        number = float(value)
        digest.update(f"{int(number) if number.is_integer() else number.hex()};".encode())
    elif isinstance(value, Activation):
        _feed(digest, (type(value).__name__, *value.arrays()))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        _feed(digest, type(value).__name__)
        for one in (one for one in dataclasses.fields(value) if one.compare):
            _feed(digest, (one.name, getattr(value, one.name)))
    elif isinstance(value, list | tuple):
        digest.update(f"{len(value)} of;".encode())
        for item in value:
            _feed(digest, item)
    else:
        digest.update(f"{type(value).__name__} {value};".encode())
