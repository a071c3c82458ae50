"""Activation: a function sigma as every dynamics sees it, its polynomials and tables, and which moments vanish."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from odesim import checks
from odesim.activations import functions
from odesim.activations.parts import Parts, parts_of, parts_of_polynomial
from odesim.activations.tabulate import Table, TableError, tabulate

Array = NDArray[np.float64]
Function = Callable[[Array], Array]

ERF, RELU, GELU, POLYNOMIAL, TABLE = 0, 1, 2, 3, 4
"""Codes of `_act.Kind`."""

MOST_DEGREE = 64
"""Of a polynomial: √(64!) is 1e44, and moments of neurons with q <= 100 stay below 1e170."""

REACH = 20.0
"""Half-width of a user's table."""


@dataclass(frozen=True)
class Activation:
    """An activation sigma as the kernels see it.

    Attributes
    ----------
    name : str
        For the catalogue's own, what `activation_named` reads.
    code : int
        The integer that kernels switch on.
    function, derivative : callables
        sigma and sigma' on arrays.
    parts : Parts
        How far its even and its odd part reach as polynomials, which decides the moments that vanish.
    slope : float
        Of leaky ReLU below 0.
    series : tuple of float
        Of a polynomial: coefficients of the normalised Hermite polynomials h_0, h_1, ...
    kinks : tuple of float
        Where sigma' jumps; only of functions from `from_function`.
    reach : float
        Tabulated functions are interpolated on ±``reach`` and continued linearly beyond.
    """

    name: str
    code: int
    function: Function = field(repr=False, compare=False)
    derivative: Function = field(repr=False, compare=False)
    parts: Parts = field(repr=False)
    slope: float = field(default=0.0, repr=False)
    series: tuple[float, ...] = field(default=(), repr=False)
    kinks: tuple[float, ...] = field(default=(), repr=False)
    reach: float = field(default=REACH, repr=False)
    given: Table | None = field(default=None, repr=False, compare=False)

    @classmethod
    def polynomial(
        cls, coefficients: Sequence[float] | ArrayLike, *, basis: str = "hermite", name: str | None = None
    ) -> Activation:
        """Make sum_n coefficients_n p_n(x) an activation; all its averages are exact.

        Parameters
        ----------
        coefficients : sequence of float
            From degree 0 upwards, up to degree ``MOST_DEGREE``.
        basis : {"hermite", "monomial"}
            p_n = He_n/sqrt(n!), orthonormal under N(0, 1), or p_n = x^n.
        name : str, optional

        Raises
        ------
        InputError
            For coefficients that are not finite, none that differs from 0, an unknown basis or too high a degree.
        """
        checks.choice("basis", basis, ("hermite", "monomial"))
        values = checks.array("coefficients", coefficients, (np.size(np.asarray(coefficients)),))
        if not values.any():
            raise checks.InputError("coefficients are all 0; give one that is not")
        values = values[: int(np.nonzero(values)[0][-1]) + 1]
        degree = values.size - 1
        if degree > MOST_DEGREE:
            raise checks.InputError(f"the polynomial's degree {degree} must be at most {MOST_DEGREE}")
        parts = parts_of_polynomial(values)
        if basis == "monomial":
            roots = np.sqrt([float(math.factorial(n)) for n in range(degree + 1)])
            values = np.asarray(np.polynomial.hermite_e.poly2herme(values) * roots, dtype=np.float64)
        slope = values[1:] * np.sqrt(np.arange(1, degree + 1))
        title = name if name is not None else "polynomial of degree " + str(degree)
        return cls(
            title,
            POLYNOMIAL,
            lambda x: functions.hermite(x, values),
            lambda x: functions.hermite(x, slope),
            parts,
            series=tuple(float(value) for value in values),
        )

    @classmethod
    def from_function(
        cls,
        function: Function,
        *,
        name: str = "user",
        derivative: Function | None = None,
        kinks: Sequence[float] = (),
        reach: float = REACH,
    ) -> Activation:
        """Tabulate a function of your own: 512 polynomials of degree 7 on ±``reach``, split at the kinks.

        Beyond ±``reach`` it is continued linearly. The table is what every dynamics sees; its measured ``error``
        (largest, relative to max(1, \\|sigma\\|), at random points) is bounded by ``tabulate.REFUSED`` and warned
        of above ``tabulate.POOR``.

        Parameters
        ----------
        function : callable
            sigma on arrays, continuous, point by point.
        name : str
        derivative : callable, optional
            sigma' on arrays; only the error is measured against it, the slope used is the table's.
        kinks : sequence of float
            Where sigma' or a higher derivative jumps, inside ±``reach``. Unnamed kinks show up as a large error.
        reach : float
            Above what the pre-activations sqrt(q) G + b reach, unless sigma is linear there.

        Raises
        ------
        InputError
            For values that are not finite, a jump, a table that misses the function, or kinks outside ±``reach``.
        """
        reach = checks.real("reach", reach, low=0.0, strict=True)
        places = sorted({checks.real("kinks", kink) for kink in kinks})
        if places and not -reach < places[0] <= places[-1] < reach:
            raise checks.InputError(f"kinks={tuple(places)} must lie inside ±{reach:g}; raise reach or drop them")
        table = tabulate(function, derivative, places, reach, name)
        slope = derivative if derivative is not None else table.slope
        return cls(
            name, TABLE, function, slope, parts_of(table.value), kinks=tuple(places), reach=reach, given=table
        )  # fmt: skip

    @cached_property
    def table(self) -> Table | None:
        """The table kernels read, made on first use; ``None`` where closed forms serve."""
        if self.given is not None or self.code not in (GELU, TABLE):
            return self.given
        return tabulate(self.function, self.derivative, (), self.reach, self.name)

    @property
    def error(self) -> TableError:
        """Measured error of value and slope, 0 where no table is used."""
        return TableError(0.0, 0.0) if self.table is None else self.table.error

    @property
    def practical_width(self) -> int:
        """Width N up to which one right-hand side of the overlap flow costs at most about 20 ms on one core.

        See ``PRACTICAL_WIDTH`` for what was measured.
        """
        if self.code == TABLE and self.kinks:
            return PRACTICAL_WIDTH["kinked"]
        return PRACTICAL_WIDTH[("erf", "relu", "gelu", "polynomial", "table")[self.code]]

    def arrays(self) -> tuple[int, float, float, Array, Array]:
        """Return the fields of `_act.Kind`: what kernels read."""
        if self.code == POLYNOMIAL:
            return self.code, 0.0, 1.0, self._derivatives(), np.zeros((1, 6))
        table = self.table
        if table is None:
            return self.code, self.slope, 1.0, np.zeros((1, 8)), np.zeros((1, 6))
        return self.code, self.slope, table.step, table.rows, table.grid

    def _derivatives(self) -> Array:
        """Coefficients of sigma^(k), row k, in h_n: h_n' = sqrt(n) h_{n-1}."""
        size = max(len(self.series), 2)
        rows = np.zeros((size, size))
        rows[0, : len(self.series)] = self.series
        for k in range(1, size):
            rows[k, :-1] = rows[k - 1, 1:] * np.sqrt(np.arange(1, size))
        return rows

    def vanishes(self, degree: int, biased: bool = False, sphere: bool = False) -> bool:
        """Whether c_degree = E[sigma^(degree)(sqrt(q) G + b)] is 0 for every q (and b, if ``biased``).

        No term of that degree of a target is then ever seen. Without biases an even degree k vanishes when the
        even part of sigma is a polynomial of a degree below k, an odd one when the odd part is: erf and tanh lose
        the even degrees, sigmoid those from 2 on, ReLU, GELU, SiLU and softplus the odd ones from 3 on. With
        biases only polynomials lose degrees, those above their own. With ``sphere`` (q = 1 throughout) and no
        biases a polynomial sees only the degrees of its own Hermite terms.
        """
        if sphere and not biased and self.series:
            return degree >= len(self.series) or abs(self.series[degree]) < 1e-14 * max(map(abs, self.series))
        return self.parts.vanishes(degree, biased)

    def blocks(self, degree: int) -> bool:
        """Whether c_degree(q, b = 0) = 0 for every q, so that without biases no term of that degree grows."""
        return self.vanishes(degree, biased=False)


PRACTICAL_WIDTH = {"erf": 200, "relu": 200, "gelu": 250, "polynomial": 300, "table": 100, "kinked": 7}
"""Widths at which one right-hand side, sums over pairs with biases and the products of N by N matrices, takes about
20 ms on one core: 0.3 µs a pair for erf and ReLU, 0.15 for GELU, 0.01–0.05 for polynomials, 0.2–1 for tables without
kinks (0.03–0.2 ms where a pair has q above 4 and |ρ| above .97: then 20 ms is N = 12 to 25), 0.45 ms with kinks."""
