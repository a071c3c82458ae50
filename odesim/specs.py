"""The tables of an experiment: every field with its default, help, flag and bounds, checked in one place."""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass, field
from typing import Any, ClassVar

from odesim import checks
from odesim.activations.catalogue import CATALOGUE
from odesim.checks import InputError
from odesim.integrate.grids import LARGEST_STEP, SPACINGS
from odesim.plateaus import PlateauRule
from odesim.training import Training

DEFAULT_ETA_D = 0.05


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
    steps: int = option(3_000_000, "horizon in SGD steps", flag="--steps", low=1, high=LARGEST_STEP)
    points: int = option(300, "number of recorded steps", flag="--points", low=2)
    spacing: str = option("log", "how they are spaced", flag="--spacing", choices=SPACINGS)
    seeds: int = option(8, "number of SGD runs, one data stream each", flag="--seeds", low=1)
    rng: int = option(3, "seed of the start weights and the data streams", flag="--rng", low=0)
    dtype: str = option("float64", "type of SGD's weights", flag="--dtype", choices=("float64", "float32"))
    finite_step: bool = option(True, "the ODE's finite-step term", flag="--no-finite-step")


TABLES: dict[str, type] = {
    "target": TargetSpec,
    "network": NetworkSpec,
    "training": TrainingSpec,
    "run": RunSpec,
    "plateaus": PlateauRule,
}
ATTRIBUTES = {"run": "runs"}


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
        raise InputError(unknown(name, list(known)))
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


def unknown(name: str, known: list[str]) -> str:
    """Say that a name is unknown, with the nearest of the known ones."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose one of {', '.join(known)}"
    return f"{name} is unknown; {hint}"
