"""The tables of an experiment: every field with its default, help, flag and bounds, checked in one place."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from odesim import checks, menu, readers
from odesim.checks import InputError
from odesim.complexity import LeapPath
from odesim.integrate.grids import LARGEST_STEP, SPACINGS
from odesim.laws import LAWS
from odesim.network import FIRST_LAYER_LAWS, SCALINGS, SECOND_LAYER_LAWS
from odesim.plateaus import PlateauRule
from odesim.readers import unknown
from odesim.schedules import group_schedule
from odesim.training import LOSSES, REUSES, Phase, Training, one_by_one

DEFAULT_ETA_D = 0.05


def option(default: Any, text: str, **bounds: Any) -> Any:
    """Declare a field with its help and its bounds: ``flag``, ``low``, ``strict``, ``choices``, ``read``.

    ``only`` names the one command that has the flag.

    ``read(name, value)`` takes the place of the other bounds: it returns the value as it is kept, or refuses it.
    """
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
    data: str = option("gaussian", "law of the inputs", flag="--data", choices=LAWS)


@dataclass(frozen=True)
class NetworkSpec(_Table):
    """Who learns, and from where."""

    table: ClassVar[str] = "network"
    dim: int = option(200, "input dimension d", flag="--dim", low=1)
    width: int = option(16, "number of neurons N", flag="--width", low=1)
    activation: str = option(
        "erf", "activation, such as erf, relu or sigmoid:0.5", flag="--activation", read=readers.activation
    )
    biases: float = option(0.0, "biases start uniform on [-R, R]; --eta-b trains them", flag="--biases", low=0.0)
    second_layer: float = option(0.5, "second layer starts at +-A", flag="--second-layer", low=0.0, strict=True)
    second_layer_law: str = option(
        "signs", "or uniform on [-A, A]", flag="--second-layer-law", choices=SECOND_LAYER_LAWS
    )
    first_layer: str | None = option(
        None,
        "first layer normal of variance 1/d, or +-1/sqrt(d) (default: gaussian, for --dynamics layerwise signs)",
        flag="--first-layer",
        choices=FIRST_LAYER_LAWS,
    )
    scaling: str | None = option(
        None,
        "f = sum a sigma, or 1/N of it with steps without 1/N (default: plain, for --dynamics mean_field mean_field)",
        flag="--scaling",
        choices=SCALINGS,
    )
    weights: str | None = option(
        None,
        "start weights from an npz file with W (N, d), a, b, or npy with W; what it lacks is drawn",
        flag="--weights",
    )


@dataclass(frozen=True)
class TrainingSpec(_Table):
    """By which rule and rates; ``eta`` or ``eta_d`` = eta * dim, not both."""

    table: ClassVar[str] = "training"
    eta: float | None = option(None, "step size", flag="--eta", low=0.0, strict=True)
    eta_d: float | None = option(
        None, f"step size times dim (default {DEFAULT_ETA_D})", flag="--eta-d", low=0.0, strict=True
    )
    eta_a: float | None = option(
        None,
        "step size of the second layer (default: eta, for --dynamics correlation 0); 0 freezes it",
        flag="--eta-a",
        low=0.0,
    )
    eta_b: float = option(0.0, "step size of the biases; 0 freezes them", flag="--eta-b", low=0.0)
    batch: int = option(1, "fresh samples a step, or inf", flag="--batch", read=readers.batch, kind="batch")
    noise: float = option(0.0, "variance of the label noise", flag="--noise", low=0.0)
    loss: str = option("square", "what SGD descends", flag="--loss", choices=LOSSES)
    decay_w: float = option(0.0, "weight decay of the first layer", flag="--decay-w", low=0.0)
    decay_a: float = option(0.0, "weight decay of the second layer", flag="--decay-a", low=0.0)
    geometry: str = option("free", "free, sphere or two_radii:r,delta", flag="--geometry", read=readers.geometry)
    reuse: str = option("none", "second look of a step at its samples", flag="--reuse", choices=REUSES)
    rho: float | None = option(
        None, "inner step size of --reuse extragradient or sam (default: eta)", flag="--rho", low=0.0, strict=True
    )
    normalised: bool = option(False, "divide the first layer's gradient by its norm", flag="--normalised")
    steps1: int | None = option(
        None, "steps of the first layer alone; from then on the second layer alone is trained", flag="--steps1", low=1
    )
    schedule: tuple[Phase, ...] | str = option(
        (),
        "phases of the step sizes: per_group or per_group:TIME, one for each group of the leap path, or tables with "
        "until, rate, w, a, b",
        flag="--schedule",
        read=readers.schedule,
        kind="tables",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.eta is not None and self.eta_d is not None:
            raise InputError(
                f"training.eta={self.eta:g} and training.eta_d={self.eta_d:g} set the same number; give one"
            )
        if self.steps1 is not None and self.schedule:
            raise InputError(f"training.steps1={self.steps1} and training.schedule set the same phases; give one")
        if self.eta is None and self.eta_d is None:
            object.__setattr__(self, "eta_d", DEFAULT_ETA_D)

    def rates(self, dim: int, *, path: LeapPath | None = None, freeze_a: bool = False) -> Training:
        """Return the rates at this dimension; ``freeze_a`` where the second layer rests unless told otherwise.

        A schedule ``per_group`` needs the ``path`` of the target.
        """
        eta = self.eta if self.eta is not None else (self.eta_d or DEFAULT_ETA_D) / dim
        return Training(
            eta=eta,
            eta_a=0.0 if freeze_a and self.eta_a is None else self.eta_a,
            eta_b=self.eta_b,
            noise=self.noise,
            geometry=readers.geometry_of("training.geometry", self.geometry),
            batch=float(self.batch) if self.batch == "inf" else self.batch,
            loss=self.loss,
            decay_w=self.decay_w,
            decay_a=self.decay_a,
            schedule=self._phases(dim, path, eta),
            reuse=self.reuse,
            rho=self.rho,
            normalised=self.normalised,
        )

    def _phases(self, dim: int, path: LeapPath | None, eta: float) -> tuple[Phase, ...]:
        """The phases: of one layer after the other, or of the target's groups where the schedule is ``per_group``."""
        if self.steps1 is not None:
            return one_by_one(self.steps1)
        if not isinstance(self.schedule, str):
            return self.schedule
        if path is None:
            raise InputError(f"training.schedule={self.schedule!r} needs the target's path; give rates(path=...)")
        time = readers.group_time("training.schedule", self.schedule)
        try:
            return group_schedule(path, dim=dim, eta=eta, time=time)
        except InputError as error:
            raise InputError(f"training.schedule={self.schedule!r}: {error}") from error


@dataclass(frozen=True)
class DynamicsSpec(_Table):
    """Which dynamics, with options of its own, which stand in the same table of a file."""

    table: ClassVar[str] = "dynamics"
    name: str = option("overlap", "dynamics", flag="--dynamics", choices=tuple(menu.DYNAMICS))
    options: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        checks.choice("dynamics.name", self.name, tuple(menu.DYNAMICS))
        found = menu.checked_options(self.name, dict(self.options))
        object.__setattr__(self, "options", tuple(sorted(found.items())))

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> DynamicsSpec:
        """Take a table: ``name`` and the options of that dynamics."""
        own = {key: value for key, value in values.items() if key != "name"}
        return cls(values.get("name", "overlap"), tuple(own.items()))

    def as_dict(self) -> dict[str, Any]:
        """Return what `read` takes."""
        return {"name": self.name, **dict(self.options)}


@dataclass(frozen=True)
class RunSpec(_Table):
    """For how long, how often, and recorded where."""

    table: ClassVar[str] = "run"
    steps: int = option(3_000_000, "horizon in SGD steps", flag="--steps", low=1, high=LARGEST_STEP)
    points: int = option(300, "number of recorded steps", flag="--points", low=2)
    spacing: str = option("log", "how they are spaced", flag="--spacing", choices=SPACINGS)
    seeds: int = option(8, "number of SGD runs, one data stream each", flag="--seeds", low=1)
    starts: int = option(1, "start networks of a flow to simulate, drawn by --rng's children", flag="--starts", low=1)
    chain: bool = option(False, "lay the exact chain over both, in as many runs", flag="--chain", only="compare")
    rng: int = option(3, "seed of the start weights, and of the data streams", flag="--rng", low=0)
    data_rng: int | None = option(None, "another seed for the data streams", flag="--data-rng", low=0)
    dtype: str = option("float64", "type of SGD's weights", flag="--dtype", choices=("float64", "float32"))
    finite_step: bool = option(True, "the overlap flow's finite-step term", flag="--no-finite-step")


TABLES: dict[str, type] = {
    "target": TargetSpec,
    "network": NetworkSpec,
    "training": TrainingSpec,
    "dynamics": DynamicsSpec,
    "run": RunSpec,
    "plateaus": PlateauRule,
}
ATTRIBUTES = {"run": "runs"}


def options() -> dict[str, dataclasses.Field[Any]]:
    """Return every field of an experiment by its dotted name."""
    return {
        f"{table}.{one.name}": one
        for table, spec in TABLES.items()
        for one in dataclasses.fields(spec)
        if one.name != "options"
    }


def find_option(name: str) -> dataclasses.Field[Any]:
    """Return the field of that dotted name.

    Raises
    ------
    InputError
        If there is none; the message lists the nearest.
    """
    known = options()
    if name not in known:
        raise InputError(unknown(name, list(known)))
    return known[name]


def kind_of(one: dataclasses.Field[Any]) -> str:
    """Return the type of a field in words: ``float``, ``int``, ``str``, ``bool``, ``batch`` or ``tables``."""
    return str(one.metadata.get("kind", str(one.type).split(" ")[0]))


def dynamics_option(name: str) -> bool:
    """Whether a dotted name is one of a dynamics' own options, which the table checks when it is made."""
    table, dot, key = name.partition(".")
    return table == "dynamics" and bool(dot) and key.isidentifier() and key != "name"


def _checked(name: str, one: dataclasses.Field[Any], value: Any) -> Any:
    """Check one value against its field."""
    kind, bounds = kind_of(one), one.metadata
    if value is None and one.default is None:
        return None
    if "read" in bounds:
        return bounds["read"](name, value)
    if kind == "float":
        return checks.real(
            name, value, low=bounds.get("low"), strict=bounds.get("strict", False), remedy=bounds["help"]
        )
    if kind == "int":
        return checks.integer(name, value, low=bounds.get("low"), high=bounds.get("high"), remedy=bounds["help"])
    if not isinstance(value, bool if kind == "bool" else str):
        raise InputError(f"{name}={value!r} is not {'true or false' if kind == 'bool' else 'text'}; give such a value")
    return checks.choice(name, value, bounds["choices"]) if "choices" in bounds else value
