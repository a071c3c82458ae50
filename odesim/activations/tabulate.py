"""A function in a table: piecewise polynomials of degree 7, their measured error, the step of the trapezoid rule."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from odesim import checks

Array = NDArray[np.float64]
Function = Callable[[Array], Array]

PIECES, DEGREE, CHECK_DEGREE = 512, 7, 13
STEPS = (1.0, 0.84, 0.7, 0.6, 0.5, 0.42, 0.35, 0.3, 0.25, 0.21, 0.18, 0.15, 0.12, 0.1, 0.08, 0.06, 0.04, 0.03, 0.02)


class TableError(NamedTuple):
    """Largest |table − f|/max(1, |f|) at random points inside the table, of the value and of the slope."""

    value: float
    slope: float


REFUSED = TableError(1e-6, 1e-4)
"""Errors above these are refused."""

POOR = TableError(1e-10, 1e-8)
"""Errors above these bring a warning."""


@dataclass(frozen=True, eq=False)
class Table:
    """What `_act.Act` holds of a tabulated function; see `_table` for the layout.

    Attributes
    ----------
    rows : array (PIECES + 2 or a few more, 8)
    grid : array (segments, 6)
    step : float
    error : TableError
    """

    rows: Array
    grid: Array
    step: float
    error: TableError

    def value(self, x: Array) -> Array:
        """sigma as kernels see it."""
        return evaluate(self.rows, self.grid, np.asarray(x, dtype=np.float64))[0]

    def slope(self, x: Array) -> Array:
        """sigma' as kernels see it."""
        return evaluate(self.rows, self.grid, np.asarray(x, dtype=np.float64))[1]


def tabulate(f: Function, derivative: Function | None, kinks: Sequence[float], reach: float, name: str) -> Table:
    """Interpolate ``f`` on ±``reach`` at Chebyshev points, split at the kinks, and measure the error.

    Raises
    ------
    InputError
        For values that are not finite, a jump at a kink, or an error above ``REFUSED``.
    """
    edges = [-reach, *kinks, reach]
    share = PIECES / (2 * reach)
    sides = list(pairwise(edges))
    counts = [max(1, round((hi - lo) * share)) for lo, hi in sides]
    starts = np.concatenate([lo + (hi - lo) / n * np.arange(n) for (lo, hi), n in zip(sides, counts, strict=True)])
    lengths = np.repeat([(hi - lo) / n for (lo, hi), n in zip(sides, counts, strict=True)], counts)
    pieces = _pieces(f, starts, lengths, DEGREE, name)
    rows = np.zeros((pieces.shape[0] + 2, DEGREE + 1))
    rows[1:-1] = pieces
    last = rows.shape[0] - 1
    first = np.concatenate([[1], 1 + np.cumsum(counts)])
    grid = np.zeros((len(counts), 6))
    for i in range(len(counts)):
        low, high = (0 if i == 0 else first[i]), (last if i == len(counts) - 1 else first[i + 1] - 1)
        grid[i, :5] = edges[i], 1 / lengths[first[i] - 1], first[i], low, high
        if i > 0:
            grid[i, 5] = _jump(rows, grid, i, int(first[i]), name)
    for tail, piece, side, middle in ((0, 1, -0.5, -1.0), (last, last - 1, 0.5, 1.0)):
        value, slope = _at(rows[piece], side)
        if derivative is not None:  # exact, since it is multiplied by how far beyond the table x lies
            edge = 2 * side * np.array([reach])
            slope = float(_call(derivative, edge, name)[0]) / grid[0 if tail == 0 else -1, 1]
        # u in the tail's own row runs from the edge at ∓side on
        rows[tail, :2] = value + 0.5 * middle * slope, slope
    error = _error(f, derivative, rows, grid, starts, lengths, name)
    return Table(rows, grid, _panel_step(rows, grid, reach) if kinks else _trapezoid_step(rows, grid, error), error)


def evaluate(rows: Array, grid: Array, x: NDArray[Any]) -> tuple[Array, Array]:
    """Return the table's value and slope: the NumPy twin of `_table.value_slope`."""
    segment = np.clip(np.searchsorted(grid[:, 0], x, side="right") - 1, 0, grid.shape[0] - 1)
    start, scale, first, low, high = np.moveaxis(grid[segment, :5], -1, 0)
    t = (x - start) * scale
    row = np.clip(np.floor(t + first), low, high)
    u = t - (row - first) - 0.5
    coefficients = np.moveaxis(rows[row.astype(int)], -1, 0)
    value = np.polynomial.polynomial.polyval(u, coefficients, tensor=False)
    slope = np.polynomial.polynomial.polyval(u, np.polynomial.polynomial.polyder(coefficients), tensor=False)
    return np.asarray(value, dtype=np.float64), np.asarray(scale * slope, dtype=np.float64)


def _call(f: Function, x: Array, name: str) -> Array:
    """Evaluate the user's function and check what comes back."""
    try:
        out = np.asarray(f(x), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise checks.InputError(
            f"activation {name}: the function failed on an array ({error}); it maps arrays"
        ) from error
    if out.shape != x.shape:
        raise checks.InputError(
            f"activation {name}: the function maps shape {x.shape} to {out.shape}; it must map arrays point by point"
        )
    bad = ~np.isfinite(out)
    if bad.any():
        raise checks.InputError(
            f"activation {name}: the function is not finite at x={x[bad].flat[0]:.6g}; "
            "give one that is finite on ±reach, or a smaller reach"
        )
    return out


def _chebyshev(degree: int) -> tuple[Array, Array]:
    """Return the points u on ±½ and the matrix from values there to coefficients of powers of u."""
    u = 0.5 * np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
    return u, np.asarray(np.linalg.inv(np.polynomial.polynomial.polyvander(u, degree)), dtype=np.float64)


def _pieces(f: Function, starts: Array, lengths: Array, degree: int, name: str) -> Array:
    u, inverse = _chebyshev(degree)
    x = starts[:, None] + lengths[:, None] * (u + 0.5)
    return _call(f, x.ravel(), name).reshape(x.shape) @ inverse.T


def _at(row: Array, u: float) -> tuple[float, float]:
    """Value and slope in u of one piece."""
    powers = np.polynomial.polynomial
    return float(powers.polyval(u, row)), float(powers.polyval(u, powers.polyder(row)))


def _jump(rows: Array, grid: Array, segment: int, first: int, name: str) -> float:
    """Return the jump of the slope at the segment's start; refuse one of the value."""
    below, slope_below = _at(rows[first - 1], 0.5)
    above, slope_above = _at(rows[first], -0.5)
    if abs(above - below) > 1e-9 * max(1.0, abs(below)):
        raise checks.InputError(
            f"activation {name}: the value jumps by {above - below:.3g} at the kink x={grid[segment, 0]:.6g}; "
            "gradients need a continuous function"
        )
    return slope_above * float(grid[segment, 1]) - slope_below * float(grid[segment - 1, 1])


def _error(
    f: Function, derivative: Function | None, rows: Array, grid: Array, starts: Array, lengths: Array, name: str
) -> TableError:
    """Measure the error at random points of every piece; the slope's against ``derivative``, or a finer fit of f."""
    rng = np.random.default_rng(0)
    # the slope is worst at the ends of a piece
    u = np.hstack([rng.uniform(-0.5, 0.5, (starts.size, 14)), np.full((starts.size, 2), [-0.4999, 0.4999])])
    x = starts[:, None] + lengths[:, None] * (u + 0.5)
    value, slope = evaluate(rows, grid, x.ravel())
    exact = _call(f, x.ravel(), name)
    if derivative is None:
        exact_slope = (_finer_slope(f, starts, lengths, u, name) / lengths[:, None]).ravel()
    else:
        exact_slope = _call(derivative, x.ravel(), name)
    error = TableError(
        float(np.max(np.abs(value - exact) / np.maximum(1.0, np.abs(exact)))),
        float(np.max(np.abs(slope - exact_slope) / np.maximum(1.0, np.abs(exact_slope)))),
    )
    worst = x.ravel()[np.argmax(np.abs(slope - exact_slope))]
    remedy = "name its kinks (kinks=...), lower reach, or smooth it"
    if error.value > REFUSED.value or error.slope > REFUSED.slope:
        raise checks.InputError(
            f"activation {name}: the table misses the function by {error.value:.2g} and its slope by {error.slope:.2g} "
            f"(near x={worst:.4g}), above {REFUSED.value:g} and {REFUSED.slope:g}; {remedy}"
        )
    if error.value > POOR.value or error.slope > POOR.slope:
        warnings.warn(
            f"activation {name}: the table misses the function by {error.value:.2g} and its slope by {error.slope:.2g} "
            f"(near x={worst:.4g}); {remedy}",
            stacklevel=4,
        )
    return error


def _finer_slope(f: Function, starts: Array, lengths: Array, u: Array, name: str) -> Array:
    """Slope in u of the interpolants of degree CHECK_DEGREE, in Chebyshev polynomials for their sake of rounding."""
    chebyshev = np.polynomial.chebyshev
    t = np.cos(np.pi * (np.arange(CHECK_DEGREE + 1) + 0.5) / (CHECK_DEGREE + 1))
    x = starts[:, None] + lengths[:, None] * (t + 1) / 2
    fits = np.linalg.solve(chebyshev.chebvander(t, CHECK_DEGREE), _call(f, x.ravel(), name).reshape(x.shape).T)
    slopes = 2 * chebyshev.chebder(fits)
    return np.stack([chebyshev.chebval(2 * points, column) for points, column in zip(u, slopes.T, strict=True)])


def _trapezoid_step(rows: Array, grid: Array, error: TableError) -> float:
    """Return the largest step in x whose trapezoid sums of σ, σ', σσ', σ'² do not depend on where they start.

    The sums are weighted with normal densities of deviation 2 about points of ±4.
    """
    tolerance = max(3e-14, 0.1 * error.slope)

    def sums(step: float, offset: float) -> Array:
        x = step * (np.arange(int(44 / step)) + offset) - 22.0
        value, slope = evaluate(rows, grid, x)
        bells = np.exp(-((x - np.linspace(-4, 4, 7)[:, None]) ** 2) / 8) * step / np.sqrt(8 * np.pi)
        products = np.stack([value, slope, value * slope, slope**2])
        size = np.sqrt(np.maximum(1.0, bells @ value**2))
        return products @ bells.T / size**2

    for step in STEPS:
        if np.max(np.abs(sums(step, 0.0) - sums(step, 0.5))) < tolerance:
            return step
    return STEPS[-1]


def _panel_step(rows: Array, grid: Array, reach: float) -> float:
    """Return a fifth of the longest panel on which 12 Gauss points integrate σ, and σ'², like two halves do."""
    nodes, weights = np.polynomial.legendre.leggauss(12)

    def integrals(lo: Array, hi: Array) -> Array:
        x = (lo + hi)[:, None] / 2 + (hi - lo)[:, None] / 2 * nodes
        value, slope = evaluate(rows, grid, x.ravel())
        both = np.stack([value, slope**2]).reshape(2, *x.shape)
        return both @ weights * (hi - lo) / 2

    for step in STEPS:
        worst = 0.0
        for lo, hi in zip([*grid[:, 0]], [*grid[1:, 0], reach], strict=True):
            edges = np.linspace(lo, hi, int((hi - lo) / (5 * step)) + 2)
            middle = (edges[1:] + edges[:-1]) / 2
            whole = integrals(edges[:-1], edges[1:])
            halves = integrals(edges[:-1], middle) + integrals(middle, edges[1:])
            worst = max(worst, float(np.max(np.abs(whole - halves) / np.maximum(1.0, np.abs(halves)))))
        if worst < 1e-12:
            return step
    return STEPS[-1]
