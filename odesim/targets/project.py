"""Projection of a function on the basis, by exact sums over the cube or tensor Gauss–Hermite nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from odesim import checks, laws
from odesim.checks import InputError
from odesim.targets.given import MAX_COEFFICIENT, from_entries
from odesim.targets.text import Series

Function = Callable[[NDArray[np.float64]], ArrayLike]

MAX_POINTS = 1 << 22
MAX_COORDINATES = 20
MAX_NODES = 128
"""Bounds: points in all, coordinates, Gauss–Hermite nodes per coordinate."""

USUAL_DEGREE = 8
_USUAL_POINTS, _USUAL_NODES = 1 << 20, 64
_BLOCK = 1 << 16
_ROUNDING = 1e-13


class Projection(NamedTuple):
    """How well a series stands for the function f that was projected.

    Attributes
    ----------
    energy : float
        E[f²], the constant's share included.
    truncated : float
        E[f²] − Σ ĥ_S², the energy that the degree cut-off leaves out; on Gaussian data by the same nodes.
    error : float
        Norm of the change of all ĥ_S with one node less (or more) a coordinate, an estimate of the quadrature's
        error; 0 on Boolean data, NaN where that would exceed the bound on points.
    degree : int
        The cut-off.
    nodes : int
        Points per coordinate: 2 on Boolean data, else Gauss–Hermite nodes.
    """

    energy: float
    truncated: float
    error: float
    degree: int
    nodes: int


def projected(f: Function, P: Any, data: str, degree: Any, nodes: Any) -> tuple[int, Series, Projection]:
    """Return P, the series up to total degree ``degree``, and how well it stands for f."""
    P, height, count = _sizes(P, checks.choice("data", data, laws.LAWS), degree, nodes)
    energy, tensor = _measured(f, P, data, height, count)
    error = 0.0 if data == "boolean" else _quadrature_error(f, P, height, count, tensor)
    truncated = max(0.0, energy - float(np.sum(tensor * tensor)))
    tensor[np.abs(tensor) <= _ROUNDING * np.sqrt(energy)] = 0.0
    _, series = from_entries(*_entries(tensor), P, data)
    return P, series, Projection(energy, truncated, error, height, count)


def _measured(f: Function, P: int, data: str, height: int, count: int) -> tuple[float, NDArray[np.float64]]:
    """Return E[f²] and the coefficients E[f h_S] by exponents, 0 above the cut-off."""
    x, weights = _rule(data, count)
    values = _values(f, x, P)
    basis = _basis(x, min(height, count - 1))
    energy = float(_contracted(values * values, weights[None, :], P).item())
    tensor = _contracted(values, basis * weights, P)
    tensor[_total_degrees(tensor.shape) > height] = 0.0
    return energy, tensor


def _quadrature_error(f: Function, P: int, height: int, count: int, tensor: NDArray[np.float64]) -> float:
    """Norm of the change of all coefficients with one node less a coordinate, or one more; NaN beyond the bound."""
    other = count - 1 if count - 1 > height else count + 1
    if other**P > MAX_POINTS:
        return float("nan")
    return float(np.linalg.norm(_measured(f, P, "gaussian", height, other)[1] - tensor))


def _sizes(P: Any, data: str, degree: Any, nodes: Any) -> tuple[int, int, int]:
    """Check P, the cut-off and the points per coordinate, before anything is computed."""
    P = checks.integer("P", P, low=1, high=MAX_COORDINATES)
    if data == "boolean":
        if nodes is not None:
            raise InputError(f"nodes={nodes!r} on boolean data; leave it out, the sums over {{±1}}^P are exact")
        height = P if degree is None else checks.integer("degree", degree, low=0)
        return P, min(height, P), 2
    height = checks.integer("degree", USUAL_DEGREE if degree is None else degree, low=0, high=MAX_NODES - 1)
    height = checks.integer("degree", height, high=laws.MAX_DEGREE)
    if nodes is None:
        nodes = max(height + 1, *(n for n in range(1, _USUAL_NODES + 1) if n**P <= _USUAL_POINTS))
    remedy = "it must exceed the degree"
    nodes = checks.integer("nodes", nodes, low=height + 1, high=MAX_NODES, remedy=remedy)
    if nodes**P > MAX_POINTS:
        size = f"P={P} with {nodes} nodes per coordinate is {float(nodes) ** P:.1e} points"
        raise InputError(f"{size} (bound {MAX_POINTS}); lower degree or nodes, or P")
    return P, height, nodes


def _rule(data: str, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points and weights of one coordinate; the weights sum to 1."""
    if data == "boolean":
        return np.array([-1.0, 1.0]), np.array([0.5, 0.5])
    x, weights = np.polynomial.hermite_e.hermegauss(count)
    return x, weights / weights.sum()


def _basis(x: NDArray[np.float64], top: int) -> NDArray[np.float64]:
    """h_0 ... h_top at x: √(k+1) h_{k+1} = x h_k − √k h_{k−1}; h_1 is the sign on Boolean data too."""
    out = np.ones((top + 1, len(x)))
    below = np.zeros(len(x))
    for k in range(top):
        out[k + 1] = (x * out[k] - np.sqrt(k) * below) / np.sqrt(k + 1)
        below = out[k]
    return out


def _values(f: Function, x: NDArray[np.float64], P: int) -> NDArray[np.float64]:
    """Values of f on the grid x^P, the first coordinate slowest."""
    if not callable(f):
        raise InputError(f"f={f!r} is not callable; give a function of points z (n, P)")
    size = len(x) ** P
    out = np.empty(size)
    for start in range(0, size, _BLOCK):
        index = np.arange(start, min(start + _BLOCK, size))
        z = x[np.stack(np.unravel_index(index, (len(x),) * P), axis=1)]
        out[start : start + len(index)] = _checked(f(z.copy()), z)
    return out


def _checked(values: ArrayLike, z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Check what f returned at points z."""
    try:
        out = np.asarray(values)
    except ValueError:
        out = np.empty(0, dtype=object)
    if out.dtype.kind not in "fiub":
        raise InputError(f"f returns values of type {out.dtype}; return real numbers")
    if out.shape != z.shape[:1]:
        raise InputError(f"f returns shape {out.shape} for points of shape {z.shape}; return shape {z.shape[:1]}")
    wrong = np.flatnonzero(~(np.abs(out.astype(np.float64)) <= MAX_COEFFICIENT))
    if wrong.size:
        point = ", ".join(f"{value:.4g}" for value in z[wrong[0]])
        raise InputError(
            f"f is {out[wrong[0]]} at z = ({point}) (bound {MAX_COEFFICIENT:g}); return finite values there"
        )
    return out.astype(np.float64)


def _contracted(values: NDArray[np.float64], matrix: NDArray[np.float64], P: int) -> NDArray[np.float64]:
    """Apply a matrix (K, n) to each of the P axes of a grid of values: (K, ..., K)."""
    K, n = matrix.shape
    for _ in range(P):
        values = values.reshape(n, -1).T @ matrix.T
    return values.reshape((K,) * P)


def _total_degrees(shape: tuple[int, ...]) -> NDArray[np.int64]:
    out = np.zeros(shape, dtype=np.int64)
    for axis, size in enumerate(shape):
        out += np.arange(size).reshape([-1 if other == axis else 1 for other in range(len(shape))])
    return out


def _entries(tensor: NDArray[np.float64]) -> tuple[Any, Any, Any, NDArray[np.float64]]:
    """Rows, coordinates, powers and coefficients of the non-zero entries."""
    exponents = np.argwhere(tensor)
    if len(exponents) > laws.MAX_TERMS:
        raise InputError(f"f has {len(exponents)} terms (bound {laws.MAX_TERMS}); lower degree")
    rows, coordinates = np.nonzero(exponents)
    return rows, coordinates, exponents[rows, coordinates], tensor[tensor != 0]
