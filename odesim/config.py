"""Config: all settings of an experiment as one value, which a TOML file, nested dicts and dotted names spell too."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from odesim import files
from odesim.checks import InputError
from odesim.plateaus import PlateauRule
from odesim.specs import (
    ATTRIBUTES,
    TABLES,
    DynamicsSpec,
    NetworkSpec,
    RunSpec,
    TargetSpec,
    TrainingSpec,
    dynamics_option,
    find_option,
    unknown,
)


@dataclass(frozen=True)
class Config:
    """The settings of a target, a network, its training, a dynamics and a run: all that determines the numbers.

    One table each, as in a TOML file, and ``[plateaus]``; the defaults are the demo.

    Raises
    ------
    InputError
        If a value is out of bounds, or the chain is asked for on other than Gaussian data; the message names it, as
        in ``training.eta``.
    """

    target: TargetSpec = field(default_factory=TargetSpec)
    network: NetworkSpec = field(default_factory=NetworkSpec)
    training: TrainingSpec = field(default_factory=TrainingSpec)
    dynamics: DynamicsSpec = field(default_factory=DynamicsSpec)
    runs: RunSpec = field(default_factory=RunSpec)
    plateaus: PlateauRule = field(default_factory=PlateauRule)

    def __post_init__(self) -> None:
        if self.runs.chain and self.target.data != "gaussian":
            raise InputError(
                f"run.chain=true, but target.data={self.target.data!r} has no exact chain: SGD's overlaps are Markov "
                "on Gaussian data only; leave it out"
            )

    @classmethod
    def load(cls, path: files.PathLike) -> Self:
        """Read a TOML file; what it leaves out keeps its default.

        Raises
        ------
        InputError
            If the file cannot be read, is not TOML, or holds an unknown table or key.
        """
        name = os.fspath(path)
        try:
            tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"config={name!r} cannot be read ({error.strerror}); check the name") from error
        except ValueError as error:
            raise InputError(f"config={name!r} is not valid TOML ({error}); mend or drop it") from error
        return cls.from_dict(tables)

    @classmethod
    def from_dict(cls, tables: Mapping[str, Any]) -> Self:
        """Build from nested dicts, one a table.

        Raises
        ------
        InputError
            For an unknown table or key, by its dotted name with the nearest valid ones, or a bad value.
        """
        parts: dict[str, Any] = {}
        for table, values in tables.items():
            if table not in TABLES:
                raise InputError(unknown(table, list(TABLES)))
            if not isinstance(values, Mapping):
                raise InputError(f"{table}={values!r} is not a table; write [{table}] and its keys below")
            if table == "dynamics":
                parts[table] = DynamicsSpec.read(values)
                continue
            for key in values:
                find_option(f"{table}.{key}")
            parts[ATTRIBUTES.get(table, table)] = TABLES[table](**values)
        return cls(**parts)

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Return nested dicts, one a table, without the fields that are not set."""
        specs = {table: getattr(self, ATTRIBUTES.get(table, table)) for table in TABLES}
        tables = {table: dataclasses.asdict(spec) for table, spec in specs.items()}
        phases = tables["training"].pop("schedule")
        if phases:
            text = isinstance(phases, str)
            tables["training"]["schedule"] = phases if text else [_set(one) for one in phases]
        tables["dynamics"] = self.dynamics.as_dict()
        return {table: _set(values) for table, values in tables.items()}

    def save(self, path: files.PathLike) -> None:
        """Write the TOML file that `load` reads back to equal settings."""
        import tomli_w

        files.write_text(path, tomli_w.dumps(self.as_dict()))

    def replace(self, changes: Mapping[str, Any]) -> Self:
        """Return a copy with dotted names changed, as in ``{"network.dim": 100}``.

        Setting one of ``training.eta`` and ``training.eta_d`` drops the other; another ``dynamics.name`` drops the
        options of the one before.

        Raises
        ------
        InputError
            For an unknown name or a bad value.
        """
        tables = self.as_dict()
        for name, other in (("training.eta", "eta_d"), ("training.eta_d", "eta")):
            if name in changes:
                tables["training"].pop(other, None)
        if changes.get("dynamics.name", self.dynamics.name) != self.dynamics.name:
            tables["dynamics"] = {}
        for name, value in changes.items():
            if not dynamics_option(name):
                find_option(name)
            table, key = name.split(".")
            tables[table][key] = value
        return type(self).from_dict(tables)


def _set(values: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is not set: TOML knows no null."""
    return {key: value for key, value in values.items() if value is not None}
