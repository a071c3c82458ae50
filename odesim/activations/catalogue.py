"""The catalogue of activations: their names, and what stands behind each."""

from __future__ import annotations

import math

import numpy as np

from odesim import checks
from odesim.activations import functions
from odesim.activations.activation import ERF, GELU, MOST_DEGREE, RELU, TABLE, Activation
from odesim.activations.parts import Parts

ODD, SHIFTED_ODD, EVEN_AND_LINEAR = Parts(-1, math.inf), Parts(0, math.inf), Parts(math.inf, 1)
GENERAL = Parts(math.inf, math.inf)


def _erf() -> Activation:
    return Activation("erf", ERF, functions.erf, functions.erf_slope, ODD)


def _leaky(name: str, slope: float) -> Activation:
    """x above 0, slope·x below; 1 would be linear and −1 even."""
    parts = Parts(-1 if slope == 1 else math.inf, -1 if slope == -1 else 1)
    return Activation(
        name,
        RELU,
        lambda x: functions.leaky(x, slope),
        lambda x: functions.leaky_slope(x, slope),
        parts,
        slope=slope,
    )


def _tanh() -> Activation:
    return Activation("tanh", TABLE, np.tanh, functions.tanh_slope, ODD, reach=18.5)


def _sigmoid(name: str, shift: float) -> Activation:
    """1/(1 + e^{−x + shift})."""
    return Activation(
        name,
        TABLE,
        lambda x: functions.sigmoid(np.asarray(x) - shift),
        lambda x: functions.sigmoid_slope(np.asarray(x) - shift),
        GENERAL if shift else SHIFTED_ODD,
        reach=37.0 + abs(shift),
    )


def _softplus() -> Activation:
    return Activation("softplus", TABLE, functions.softplus, functions.sigmoid, EVEN_AND_LINEAR, reach=38.0)


def _silu() -> Activation:
    return Activation("silu", TABLE, functions.silu, functions.silu_slope, EVEN_AND_LINEAR, reach=38.0)


def _gelu() -> Activation:
    return Activation("gelu", GELU, functions.gelu, functions.gelu_slope, EVEN_AND_LINEAR, reach=9.0)


CATALOGUE = {
    "erf": _erf(),
    "relu": _leaky("relu", 0.0),
    "leaky_relu": _leaky("leaky_relu", 0.01),
    "tanh": _tanh(),
    "sigmoid": _sigmoid("sigmoid", 0.0),
    "softplus": _softplus(),
    "gelu": _gelu(),
    "silu": _silu(),
}
"""Activations without a parameter, or with their usual one."""

PARAMETERS = {
    "leaky_relu": "leaky_relu:0.1, the slope below 0",
    "sigmoid": "sigmoid:0.5, the shift c of 1/(1 + e^(c − x))",
    "hermite": "hermite:3, the degree k of He_k/sqrt(k!)",
    "polynomial": "polynomial:0,1,0,-0.3, the coefficients of 1, x, x^2, ...",
}
"""Names that take a parameter, and what it is."""

NAMES = (*CATALOGUE, "hermite", "polynomial")


def activation_named(text: str) -> Activation:
    """Return the activation of ``name`` or ``name:parameter``; see ``NAMES`` and ``PARAMETERS``.

    Raises
    ------
    InputError
        If the name is unknown, or the parameter is missing, unreadable or out of bounds.
    """
    if not isinstance(text, str):
        raise checks.InputError(f"network.activation={text!r} is not a name; give one of {', '.join(NAMES)}")
    name, colon, parameter = text.partition(":")
    checks.choice("network.activation", name, NAMES)
    if not colon:
        if name in CATALOGUE:
            return CATALOGUE[name]
        raise checks.InputError(f"network.activation={text!r} lacks its parameter; write {PARAMETERS[name]}")
    if name not in PARAMETERS:
        raise checks.InputError(f"network.activation={text!r}: {name} takes no parameter; write {name}")
    try:
        numbers = [float(part) for part in parameter.split(",")]
    except ValueError:
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)) or (len(numbers) > 1 and name != "polynomial"):
        raise checks.InputError(f"network.activation={text!r} has no readable parameter; write {PARAMETERS[name]}")
    return _with_parameter(text, name, numbers)


def _with_parameter(text: str, name: str, numbers: list[float]) -> Activation:
    if name == "leaky_relu":
        return _leaky(text, numbers[0])
    if name == "sigmoid":
        if abs(numbers[0]) > 20:
            raise checks.InputError(f"network.activation={text!r}: the shift must lie in [-20, 20]")
        return _sigmoid(text, numbers[0])
    if name == "hermite":
        degree = checks.integer(f"network.activation={text!r}: degree", numbers[0], low=1, high=MOST_DEGREE)
        return Activation.polynomial([0.0] * degree + [1.0], name=text)
    return Activation.polynomial(numbers, basis="monomial", name=text)
