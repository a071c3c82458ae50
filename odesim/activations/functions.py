"""The named activations and their slopes on NumPy arrays, safe from overflow and from cancellation."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
ROOT_2PI = float(np.sqrt(2 * np.pi))


def erf(x: Array) -> Array:
    """erf(x/√2)."""
    return _each(math.erf, np.asarray(x) / np.sqrt(2))


def erf_slope(x: Array) -> Array:
    """2φ(x)."""
    return 2 * np.exp(-(np.asarray(x) ** 2) / 2) / ROOT_2PI


def tanh_slope(x: Array) -> Array:
    """1/cosh²."""
    e = np.exp(-2 * np.abs(x))
    return 4 * e / (1 + e) ** 2


def sigmoid(x: Array) -> Array:
    """1/(1 + e^−x)."""
    e = np.exp(-np.abs(x))
    return np.where(np.asarray(x) >= 0, 1.0, e) / (1 + e)


def sigmoid_slope(x: Array) -> Array:
    """e^−x/(1 + e^−x)²."""
    e = np.exp(-np.abs(x))
    return e / (1 + e) ** 2


def softplus(x: Array) -> Array:
    """log(1 + e^x)."""
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def silu(x: Array) -> Array:
    """x/(1 + e^−x)."""
    return x * sigmoid(x)


def silu_slope(x: Array) -> Array:
    """Sigmoid plus x times its slope."""
    return sigmoid(x) + x * sigmoid_slope(x)


def gelu(x: Array) -> Array:
    """x Φ(x)."""
    return x * normal_distribution(x)


def gelu_slope(x: Array) -> Array:
    """Φ(x) + x φ(x)."""
    return normal_distribution(x) + x * np.exp(-(np.asarray(x) ** 2) / 2) / ROOT_2PI


def normal_distribution(x: Array) -> Array:
    """Φ(x), right to the last digits in both tails."""
    return _each(math.erfc, np.asarray(x) / -np.sqrt(2)) / 2


def _each(function: Callable[[float], float], x: Array) -> Array:
    """Python's own function on each number: 0.1 µs a number, where the first use of SciPy's takes 0.2 s."""
    return np.asarray(np.frompyfunc(function, 1, 1)(x), dtype=np.float64)[()]


def leaky(x: Array, slope: float) -> Array:
    """x above 0, slope·x below."""
    return np.where(np.asarray(x) > 0, x, slope * np.asarray(x))


def leaky_slope(x: Array, slope: float) -> Array:
    """1 above 0, ``slope`` at 0 and below."""
    return np.where(np.asarray(x) > 0, 1.0, slope)


def hermite(x: Array, series: Array) -> Array:
    """Σ_n series_n h_n(x), h_n = He_n/√n!, by the recursion √(n+1) h_{n+1} = x h_n − √n h_{n−1}."""
    x = np.asarray(x, dtype=np.float64)
    before, now, total = np.zeros_like(x), np.ones_like(x), np.zeros_like(x)
    for n, coefficient in enumerate(series):
        total = total + coefficient * now
        before, now = now, (x * now - np.sqrt(n) * before) / np.sqrt(n + 1)
    return total
