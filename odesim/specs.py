"""The tables of an experiment: every field with its default, help, flag and bounds, checked in one place."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from odesim import checks, menu
from odesim.activations.catalogue import activation_named
from odesim.checks import InputError
from odesim.integrate.grids import LARGEST_STEP, SPACINGS
from odesim.laws import LAWS
from odesim.network import SCALINGS, SECOND_LAYER_LAWS
from odesim.plateaus import PlateauRule
from odesim.training import GEOMETRIES, LOSSES, REUSES, Phase, Training, TwoRadii

DEFAULT_ETA_D = 0.05


def option(default: Any, text: str, **bounds: Any) -> Any:
    """Declare a field with its help and its bounds: ``flag``, ``low``, ``strict``, ``choices``, ``read``.

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


def _activation(name: str, value: Any) -> str:
    """Text that the catalogue understands, such as ``sigmoid:0.5``."""
    if not isinstance(value, str):
        raise InputError(f"{name}={value!r} is not text; give the name of an activation")
    activation_named(value)
    return value


def _batch(name: str, value: Any) -> int | str:
    """A whole number, or ``"inf"``, which JSON can write."""
    if value == "inf" or (isinstance(value, float) and value == math.inf):
        return "inf"
    return checks.integer(name, value, low=1, remedy="inf is the exact gradient")


def _geometry(name: str, value: Any) -> str:
    """``free``, ``sphere``, or ``two_radii:r,delta`` with numbers."""
    if not isinstance(value, str):
        raise InputError(f"{name}={value!r} is not text; give {', '.join(GEOMETRIES)} or two_radii:r,delta")
    _geometry_of(name, value)
    return value


def _geometry_of(name: str, text: str) -> str | TwoRadii:
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


def _schedule(name: str, value: Any) -> tuple[Phase, ...]:
    """Phases from tables, in order."""
    if not isinstance(value, list | tuple):
        raise InputError(
            f"{name}={value!r} is no list of tables; write [[training.schedule]] with until, rate, w, a, b"
        )
    phases = tuple(_phase(f"{name}[{k}]", one) for k, one in enumerate(value))
    Training(eta=1.0, schedule=phases)  # refuses phases out of order
    return phases


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
        "erf", "activation, such as erf, relu or sigmoid:0.5", flag="--activation", read=_activation
    )
    biases: float = option(0.0, "biases start uniform on [-R, R]; --eta-b trains them", flag="--biases", low=0.0)
    second_layer: float = option(0.5, "second layer starts at +-A", flag="--second-layer", low=0.0, strict=True)
    second_layer_law: str = option(
        "signs", "or uniform on [-A, A]", flag="--second-layer-law", choices=SECOND_LAYER_LAWS
    )
    scaling: str | None = option(
        None,
        "f = sum a sigma, or 1/N of it with steps without 1/N (default: plain, for --dynamics mean_field mean_field)",
        flag="--scaling",
        choices=SCALINGS,
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
    batch: int = option(1, "fresh samples a step, or inf", flag="--batch", read=_batch, kind="batch")
    noise: float = option(0.0, "variance of the label noise", flag="--noise", low=0.0)
    loss: str = option("square", "what SGD descends", flag="--loss", choices=LOSSES)
    decay_w: float = option(0.0, "weight decay of the first layer", flag="--decay-w", low=0.0)
    decay_a: float = option(0.0, "weight decay of the second layer", flag="--decay-a", low=0.0)
    geometry: str = option("free", "free, sphere or two_radii:r,delta", flag="--geometry", read=_geometry)
    reuse: str = option("none", "second look of a step at its samples", flag="--reuse", choices=REUSES)
    rho: float | None = option(
        None, "inner step size of --reuse extragradient or sam (default: eta)", flag="--rho", low=0.0, strict=True
    )
    normalised: bool = option(False, "divide the first layer's gradient by its norm", flag="--normalised")
    schedule: tuple[Phase, ...] = option(
        (), "phases of the step sizes: tables with until, rate, w, a, b", read=_schedule, kind="tables"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.eta is not None and self.eta_d is not None:
            raise InputError(
                f"training.eta={self.eta:g} and training.eta_d={self.eta_d:g} set the same number; give one"
            )
        if self.eta is None and self.eta_d is None:
            object.__setattr__(self, "eta_d", DEFAULT_ETA_D)

    def rates(self, dim: int, *, freeze_a: bool = False) -> Training:
        """Return the rates at this dimension; ``freeze_a`` where the second layer rests unless told otherwise."""
        eta = self.eta if self.eta is not None else (self.eta_d or DEFAULT_ETA_D) / dim
        return Training(
            eta=eta,
            eta_a=0.0 if freeze_a and self.eta_a is None else self.eta_a,
            eta_b=self.eta_b,
            noise=self.noise,
            geometry=_geometry_of("training.geometry", self.geometry),
            batch=float(self.batch) if self.batch == "inf" else self.batch,
            loss=self.loss,
            decay_w=self.decay_w,
            decay_a=self.decay_a,
            schedule=self.schedule,
            reuse=self.reuse,
            rho=self.rho,
            normalised=self.normalised,
        )


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
    rng: int = option(3, "seed of the start weights and the data streams", flag="--rng", low=0)
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


def unknown(name: str, known: list[str]) -> str:
    """Say that a name is unknown, with the nearest of the known ones."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose one of {', '.join(known)}"
    return f"{name} is unknown; {hint}"
