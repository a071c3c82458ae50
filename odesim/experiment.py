"""Experiment: what is learned, by whom, how and for how long, as one value that a TOML file spells too."""

from __future__ import annotations

import dataclasses
import difflib
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from odesim import checks, files
from odesim.activations.catalogue import CATALOGUE
from odesim.checks import InputError
from odesim.comparison import Comparison, compare
from odesim.complexity import LeapPath, leap_path
from odesim.integrate.grids import LARGEST_STEP, SPACINGS
from odesim.network import Network
from odesim.plateaus import PlateauRule
from odesim.resolve import BlockedTerm, blocked_terms, stable_eta_d
from odesim.runner import check_target, early_end, run
from odesim.targets.series import Target
from odesim.training import Training
from odesim.trajectory import Status, Trajectory

DEFAULT_ETA_D = 0.1


def option(default: Any, text: str, **bounds: Any) -> Any:
    """Declare a field with its help and its bounds: ``flag``, ``low``, ``strict``, ``choices``."""
    return field(default=default, metadata={"help": text, **bounds})


class _Table:
    """One table of an experiment; its values are checked by their metadata and named ``table.field``."""

    table: ClassVar[str]

    def __post_init__(self) -> None:
        for one in dataclasses.fields(self):  # type: ignore[arg-type]
            value = _checked(f"{self.table}.{one.name}", one, getattr(self, one.name))
            object.__setattr__(self, one.name, value)


@dataclass(frozen=True)
class TargetSpec(_Table):
    """What is learned."""

    table: ClassVar[str] = "target"
    expression: str = option("z1 + z1*z2*z3", "polynomial in z1, z2, ...")
    data: str = option("gaussian", "law of the inputs", choices=("gaussian",))


@dataclass(frozen=True)
class NetworkSpec(_Table):
    """Who learns, and from where."""

    table: ClassVar[str] = "network"
    dim: int = option(200, "input dimension d", flag="--dim", low=1)
    width: int = option(16, "number of neurons N", flag="--width", low=1)
    activation: str = option("erf", "activation", flag="--activation", choices=tuple(CATALOGUE))
    biases: float = option(0.0, "biases start uniform on [-R, R]; --eta-b trains them", flag="--biases", low=0.0)
    second_layer: float = option(0.5, "second layer starts at +-A", flag="--second-layer", low=0.0, strict=True)


@dataclass(frozen=True)
class TrainingSpec(_Table):
    """By which rates; ``eta`` or ``eta_d`` = eta * dim, not both."""

    table: ClassVar[str] = "training"
    eta: float | None = option(None, "step size", flag="--eta", low=0.0, strict=True)
    eta_d: float | None = option(
        None, f"step size times dim (default {DEFAULT_ETA_D})", flag="--eta-d", low=0.0, strict=True
    )
    eta_a: float | None = option(
        None, "step size of the second layer (default: eta); 0 freezes it", flag="--eta-a", low=0.0
    )
    eta_b: float = option(0.0, "step size of the biases; 0 freezes them", flag="--eta-b", low=0.0)
    noise: float = option(0.0, "variance of the label noise", flag="--noise", low=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.eta is not None and self.eta_d is not None:
            raise InputError(
                f"training.eta={self.eta:g} and training.eta_d={self.eta_d:g} set the same number; give one"
            )
        if self.eta is None and self.eta_d is None:
            object.__setattr__(self, "eta_d", DEFAULT_ETA_D)

    def rates(self, dim: int) -> Training:
        """Return the rates at this dimension."""
        eta = self.eta if self.eta is not None else (self.eta_d or DEFAULT_ETA_D) / dim
        return Training(eta=eta, eta_a=self.eta_a, eta_b=self.eta_b, noise=self.noise)


@dataclass(frozen=True)
class RunSpec(_Table):
    """For how long, how often, and recorded where."""

    table: ClassVar[str] = "run"
    steps: int = option(1_600_000, "horizon in SGD steps", flag="--steps", low=1, high=LARGEST_STEP)
    points: int = option(300, "number of recorded steps", flag="--points", low=2)
    spacing: str = option("log", "how they are spaced", flag="--spacing", choices=SPACINGS)
    seeds: int = option(8, "number of SGD runs, one data stream each", flag="--seeds", low=1)
    rng: int = option(0, "seed of the start weights and the data streams", flag="--rng", low=0)
    dtype: str = option("float64", "type of SGD's weights", flag="--dtype", choices=("float64", "float32"))
    finite_step: bool = option(True, "the ODE's finite-step term", flag="--no-finite-step")


class Start(NamedTuple):
    """What an experiment starts from, and what is known before it runs."""

    target: Target
    path: LeapPath
    network: Network
    training: Training
    blocked: list[BlockedTerm]


@dataclass(frozen=True)
class Experiment:
    """A target, a network, its training and a run: everything that determines the numbers.

    A TOML file holds the same in the tables ``[target]``, ``[network]``, ``[training]``, ``[run]`` and
    ``[plateaus]``; the defaults are the demo. In Python the table ``run`` is the attribute ``runs``.

    Raises
    ------
    InputError
        If a value is out of bounds; the message names it, as in ``training.eta``.
    """

    target: TargetSpec = field(default_factory=TargetSpec)
    network: NetworkSpec = field(default_factory=NetworkSpec)
    training: TrainingSpec = field(default_factory=TrainingSpec)
    runs: RunSpec = field(default_factory=RunSpec)
    plateaus: PlateauRule = field(default_factory=PlateauRule)

    @classmethod
    def load(cls, path: files.PathLike) -> Experiment:
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
    def from_dict(cls, tables: Mapping[str, Any]) -> Experiment:
        """Build from nested dicts, one a table.

        Raises
        ------
        InputError
            For an unknown table or key, by its dotted name with the nearest valid ones, or a bad value.
        """
        parts = {}
        for table, values in tables.items():
            if table not in TABLES:
                raise InputError(_unknown(table, list(TABLES)))
            if not isinstance(values, Mapping):
                raise InputError(f"{table}={values!r} is not a table; write [{table}] and its keys below")
            for key in values:
                find_option(f"{table}.{key}")
            parts[_ATTRIBUTES.get(table, table)] = TABLES[table](**values)
        return cls(**parts)

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Return nested dicts, one a table, without the fields that are not set."""
        specs = {table: getattr(self, _ATTRIBUTES.get(table, table)) for table in TABLES}
        return {
            table: {key: value for key, value in dataclasses.asdict(spec).items() if value is not None}
            for table, spec in specs.items()
        }

    def save(self, path: files.PathLike) -> None:
        """Write the TOML file that `load` reads back to an equal experiment."""
        import tomli_w

        files.write_text(path, tomli_w.dumps(self.as_dict()))

    def replace(self, changes: Mapping[str, Any]) -> Experiment:
        """Return a copy with dotted names changed, as in ``{"network.dim": 100}``.

        Setting one of ``training.eta`` and ``training.eta_d`` drops the other.

        Raises
        ------
        InputError
            For an unknown name or a bad value.
        """
        tables = self.as_dict()
        for name, other in (("training.eta", "eta_d"), ("training.eta_d", "eta")):
            if name in changes:
                tables["training"].pop(other, None)
        for name, value in changes.items():
            find_option(name)
            table, key = name.split(".")
            tables[table][key] = value
        return Experiment.from_dict(tables)

    @cached_property
    def start(self) -> Start:
        """Target, leap path, drawn network, rates, and the terms that this start can never learn.

        Raises
        ------
        InputError
            If the expression is no polynomial, is constant, or has more coordinates than ``network.dim``.
        """
        target = Target.parse(self.target.expression, data=self.target.data)
        check_target(target)
        options = dataclasses.asdict(self.network)
        network = Network.random(target, **options, rng=self.runs.rng)
        training = self.training.rates(self.network.dim)
        return Start(target, leap_path(target), network, training, blocked_terms(target, network, training))

    def run(self, progress: bool | None = None, ready: Callable[[str, Trajectory], None] | None = None) -> Result:
        """Integrate the overlap flow, run SGD from the same weights, compare.

        Parameters
        ----------
        progress : bool, optional
            Whether to draw bars on stderr; by default on a terminal only.
        ready : callable, optional
            Called with ``"ode"`` or ``"sgd"`` and its trajectory as soon as that is done.
        """
        from odesim.flows.overlap import OverlapFlow
        from odesim.sgd.full import SGD

        ode = self._simulate(OverlapFlow(finite_step=self.runs.finite_step), 1, progress)
        if ready:
            ready("ode", ode)
        if ode.status == Status.INTERRUPTED:
            return Result(self, *self.start[:3], ode)
        sgd = self._simulate(SGD(dtype=self.runs.dtype), self.runs.seeds, progress)
        if ready:
            ready("sgd", sgd)
        return Result(self, *self.start[:3], ode, sgd, compare(ode, sgd, self.start.path, rule=self.plateaus))

    def _simulate(self, dynamics: Any, seeds: int, progress: bool | None) -> Trajectory:
        start, spec = self.start, self.runs
        out = run(
            dynamics,
            start.target,
            start.network,
            start.training,
            steps=spec.steps,
            points=spec.points,
            spacing=spec.spacing,
            seeds=seeds,
            rng=spec.rng,
            progress=progress,
        )
        return dataclasses.replace(out, settings={**out.settings, "experiment": self.as_dict()})


@dataclass(frozen=True)
class Result:
    """What `Experiment.run` gives back; ``sgd`` and ``comparison`` are None after an interrupted ODE."""

    experiment: Experiment
    target: Target
    path: LeapPath
    network: Network
    ode: Trajectory
    sgd: Trajectory | None = None
    comparison: Comparison | None = None

    @property
    def failure(self) -> str | None:
        """One line on what ended early, with a stable step size if that would help; None if nothing did."""
        ends = [end for run in (self.ode, self.sgd) if run is not None and (end := early_end(run))]
        if not ends:
            return None
        start = self.experiment.start
        unstable = any(end.status != Status.INTERRUPTED for end in ends)
        texts = [end.text for end in ends]
        if unstable:
            texts.append(f"try --eta-d {stable_eta_d(start.network, start.target, start.training):g}")
        return "; ".join(texts)

    def summary(self) -> dict[str, Any]:
        """Return everything found, as JSON values."""
        start = self.experiment.start
        return {
            "target": str(self.target),
            "data": self.target.data,
            "leap": self.path.leap,
            "predicted_levels": list(self.path.plateau_levels),
            **(self.comparison.summary() if self.comparison is not None else {}),
            "blocked": [blocked.message for blocked in start.blocked],
            "ended_early": self.failure,
            "settings": self.experiment.as_dict(),
            "versions": self.ode.versions,
            "seconds": {"ode": self.ode.seconds, "sgd": self.sgd.seconds if self.sgd else None},
        }


TABLES: dict[str, type] = {
    "target": TargetSpec,
    "network": NetworkSpec,
    "training": TrainingSpec,
    "run": RunSpec,
    "plateaus": PlateauRule,
}
_ATTRIBUTES = {"run": "runs"}


def options() -> dict[str, dataclasses.Field[Any]]:
    """Return every field of an experiment by its dotted name."""
    return {f"{table}.{one.name}": one for table, spec in TABLES.items() for one in dataclasses.fields(spec)}


def find_option(name: str) -> dataclasses.Field[Any]:
    """Return the field of that dotted name.

    Raises
    ------
    InputError
        If there is none; the message lists the nearest.
    """
    known = options()
    if name not in known:
        raise InputError(_unknown(name, list(known)))
    return known[name]


def kind_of(one: dataclasses.Field[Any]) -> str:
    """Return the type of a field in words: ``float``, ``int``, ``str`` or ``bool``."""
    return str(one.type).split(" ")[0]


def _checked(name: str, one: dataclasses.Field[Any], value: Any) -> Any:
    """Check one value against its field."""
    kind, bounds = kind_of(one), one.metadata
    if value is None and one.default is None:
        return None
    if kind == "float":
        return checks.real(
            name, value, low=bounds.get("low"), strict=bounds.get("strict", False), remedy=bounds["help"]
        )
    if kind == "int":
        return checks.integer(name, value, low=bounds.get("low"), high=bounds.get("high"), remedy=bounds["help"])
    if not isinstance(value, bool if kind == "bool" else str):
        raise InputError(f"{name}={value!r} is not {'true or false' if kind == 'bool' else 'text'}; give such a value")
    return checks.choice(name, value, bounds["choices"]) if "choices" in bounds else value


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose one of {', '.join(known)}"
    return f"{name} is unknown; {hint}"
