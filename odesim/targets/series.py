"""Target: the function h that is learned, as a series in the orthonormal basis of the data law."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from odesim import checks, laws
from odesim.laws import Key
from odesim.targets import algebra, record, text, values
from odesim.targets import parse as grammar
from odesim.targets.algebra import Arithmetic
from odesim.targets.given import MAX_COEFFICIENT as MAX_COEFFICIENT
from odesim.targets.given import checked_key, from_entries, from_mapping, sorted_series
from odesim.targets.text import Series
from odesim.targets.values import Terms as Terms

if TYPE_CHECKING:
    from odesim.targets.project import Projection
    from odesim.targets.teacher import TeacherTarget


@dataclass(frozen=True, repr=False)
class Target(Arithmetic):
    """h(z) = Σ_S ĥ_S h_S(z), built by `parse`, `from_terms`, `from_arrays`, `project`, `from_json` or arithmetic.

    h_S = Π_r He_{S_r}(z_r)/√(S_r!) on Gaussian data and χ_S = Π_{r∈S} z_r on Boolean data. Targets are equal
    when law, P and every coefficient are. ``+ - *`` take targets of one law and numbers, ``/`` numbers, ``**``
    whole numbers; the result has the larger P.

    Attributes
    ----------
    data : str
        ``gaussian``, z ~ N(0, I), or ``boolean``, z ~ Unif{±1}^P.
    P : int
        Number of support coordinates: the highest one mentioned.
    series : tuple of (key, coefficient)
        The non-zero terms by degree, a key holding (coordinate from 0, power) pairs.
    projection : Projection, optional
        Set by `project` only; arithmetic and JSON do not keep it.
    """

    data: str
    P: int
    series: Series
    projection: Projection | None = field(default=None, compare=False)

    @classmethod
    def parse(cls, expression: str, data: str = "gaussian") -> Target:
        """Read an expression such as ``z1 + z1*z2*z3`` or ``He2(z1)/sqrt(2) - 0.5``.

        Raises
        ------
        InputError
            For an unknown law or anything but a polynomial within the bounds, in one line with the column.
        """
        checks.choice("data", data, laws.LAWS)
        polynomial, support = grammar.parse(expression, data)
        return cls._sorted(algebra.rounded(polynomial), support, data)

    @classmethod
    def from_terms(cls, terms: Mapping[Any, float], data: str = "gaussian", *, P: int | None = None) -> Target:
        """Take coefficients ĥ_S in the orthonormal basis; zeros are dropped.

        Parameters
        ----------
        terms : mapping
            Either exponents -> ĥ_S, tuples of one length: ``{(1, 0, 2): 0.5}`` is 0.5 h_1(z1) h_2(z3). Or pairs
            (coordinate from 0, power) -> ĥ_S, in any order: ``{((0, 1), (2, 2)): 0.5}`` is the same. One form
            in one dictionary; ``()`` is the constant in both.
        data : str
            ``gaussian`` or ``boolean`` (powers 0 and 1).
        P : int, optional
            Number of coordinates, by default as many as the keys mention.

        Raises
        ------
        InputError
            For an unknown law, no terms, keys that are ragged, of mixed form, negative, no integers, too large
            or given twice, a coefficient that is not finite.
        """
        return cls(data, *from_mapping(terms, P, data))

    @classmethod
    def from_arrays(
        cls,
        rows: ArrayLike,
        coordinates: ArrayLike,
        powers: ArrayLike,
        coefficients: ArrayLike,
        P: int | None = None,
        data: str = "gaussian",
    ) -> Target:
        """Take terms as arrays: term ``rows[i]`` has power ``powers[i]`` on coordinate ``coordinates[i]``.

        Parameters
        ----------
        rows, coordinates, powers : int arrays (entries,)
            In any order; rows and coordinates count from 0. A row without entries is the constant.
        coefficients : array (n,)
            ĥ_S of every row, in the orthonormal basis; rows of the same element add up.
        P : int, optional
            Number of coordinates, by default as many as are mentioned.
        data : str
            ``gaussian`` or ``boolean`` (powers 0 and 1).

        Raises
        ------
        InputError
            For arrays of other shapes, entries out of bounds, two entries of one row on one coordinate.
        """
        return cls(data, *from_entries(rows, coordinates, powers, coefficients, P, data))

    @classmethod
    def from_json(cls, source: Mapping[str, Any] | str) -> Target:
        """Read what `to_json` gave, as a dictionary or as JSON text, back to the very same target.

        Raises
        ------
        InputError
            For anything else, naming the entry that is wrong.
        """
        return cls(*record.read(source))

    @classmethod
    def project(
        cls,
        f: Callable[[NDArray[np.float64]], ArrayLike],
        P: int,
        data: str = "gaussian",
        *,
        degree: int | None = None,
        nodes: int | None = None,
    ) -> Target:
        """Project a function on the basis elements up to a total degree; see `projection` for what is left out.

        ĥ_S = E[f h_S], exactly over {±1}^P on Boolean data, by tensor Gauss–Hermite nodes on Gaussian data (exact
        for polynomials f of degree below ``2·nodes − degree``). Coefficients below 1e-13 √E[f²] are rounding and
        count as zero.

        Parameters
        ----------
        f : callable
            Points (n, P) -> values (n,), point by point.
        P : int
            Number of coordinates, at most 20.
        data : str
        degree : int, optional
            The cut-off; by default P on Boolean data and 8 on Gaussian.
        nodes : int, optional
            Gauss–Hermite nodes per coordinate, above ``degree``; by default as many as 2^20 points allow, at
            most 64. There may be 2^22 points.

        Raises
        ------
        InputError
            For bounds exceeded (before f is called), values of f that are not finite, not real or of another
            shape.
        """
        from odesim.targets.project import projected

        return cls(data, *projected(f, P, data, degree, nodes))

    @staticmethod
    def teacher(units: int | None = None, activation: str = "erf", **options: Any) -> TeacherTarget:
        """Return a two-layer network as the target, h(z) = Σ_k v_k σ(⟨w_k, z⟩); see `TeacherTarget.build`."""
        from odesim.targets.teacher import TeacherTarget

        return TeacherTarget.build(units, activation, **options)

    @classmethod
    def _sorted(cls, terms: Mapping[Key, float], P: int, data: str) -> Target:
        return cls(data, P, sorted_series(terms))

    @functools.cached_property
    def terms(self) -> Mapping[tuple[int, ...], float]:
        """Non-zero coefficients ĥ_S by their exponents S, tuples of length P; the constant is all zeros."""
        return MappingProxyType({self.exponents(key): c for key, c in self.series})

    @property
    def constant(self) -> float:
        """E[h], the coefficient of 1."""
        return self.series[0][1] if self.series and not self.series[0][0] else 0.0

    @functools.cached_property
    def energy(self) -> float:
        """Variance of h: Σ ĥ_S² without the constant."""
        return math.fsum(c * c for key, c in self.series if key)

    def energy_by_degree(self) -> dict[int, float]:
        """Return Σ ĥ_S² by total degree, for the degrees that occur; degree 0 is the constant's square."""
        return algebra.energies(self.series)

    @property
    def degree(self) -> int:
        """Largest total degree, 0 for a constant."""
        return laws.degree(self.series[-1][0]) if self.series else 0

    def exponents(self, key: Key) -> tuple[int, ...]:
        """Exponents S of length P of a sparse key."""
        out = [0] * self.P
        for i, power in key:
            out[i] = power
        return tuple(out)

    def label(self, S: Sequence[int]) -> str:
        """Text of one basis element, such as ``z1*z2*z3`` or ``He2(z1)*z2``; ``1`` for the constant."""
        return laws.element_text(checked_key(S, self.data))

    def evaluate(self, z: ArrayLike) -> NDArray[np.float64]:
        """Return h at points z, shape (..., P) -> (...).

        Raises
        ------
        InputError
            If the last axis is not P long.
        """
        return values.evaluate(self.arrays(), values.points(z, self.P))

    def gradient(self, z: ArrayLike) -> NDArray[np.float64]:
        """Return ∂h/∂z at points z, shape (..., P) -> (..., P).

        On Boolean data h is extended as the polynomial without squares, whose derivative in z_i is half the
        difference of h at z_i = 1 and z_i = −1.

        Raises
        ------
        InputError
            If the last axis is not P long.
        """
        return values.gradient(self.arrays(), values.points(z, self.P))

    def rotate(self, R: ArrayLike) -> Target:
        """Return g with g(z) = h(z R) for an orthogonal R (P, P): ``rotate(R).evaluate(z) == evaluate(z @ R)``.

        Raises
        ------
        InputError
            On Boolean data, for an R of another shape or not orthogonal, and beyond the bound on its size.
        """
        from odesim.rotation import rotated

        return rotated(self, R)

    def arrays(self) -> Terms:
        """Return the terms as the kernels take them."""
        lengths = [len(key) for key, _ in self.series]
        pairs = [pair for key, _ in self.series for pair in key]
        flat = np.array(pairs, dtype=np.int64).reshape(len(pairs), 2)
        unnormalised = [c / math.sqrt(laws.factorial(key)) for key, c in self.series]
        return Terms(
            np.cumsum([0, *lengths], dtype=np.int64),
            flat[:, 0].copy(),
            flat[:, 1].copy(),
            np.array(unnormalised, dtype=np.float64),
        )

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary of JSON values that `from_json` reads back to the bit."""
        return record.write(self.data, self.P, self.series)

    def latex(self) -> str:
        r"""Return LaTeX in products of z_i and the unnormalised He_k(z_i) = z_i^k − ..., as in ``str(target)``.

        A term is a number times its element, or ĥ_S/√(S!) times it as ``\frac{...}{\sqrt{...}}`` where that is
        no short number.
        """
        return text.latex(self.series)

    def __str__(self) -> str:
        """Return an expression that `parse` reads back into this very target."""
        return text.expression(self.series, self.P)

    def __repr__(self) -> str:
        return f"Target.parse({str(self)!r}, data={self.data!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Cached views of the series cannot be pickled and need not be.
        return Target, (self.data, self.P, self.series, self.projection)
