"""TeacherTarget: a two-layer network as the function that is learned."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from odesim import checks
from odesim.activations.activation import Activation
from odesim.activations.catalogue import CATALOGUE
from odesim.checks import InputError
from odesim.targets import values
from odesim.targets.series import Target, Terms

MAX_UNITS = 1000
USUAL_UNITS = 4
LONGEST_TEXT = 200


class Learnable(Protocol):
    """What every target offers: `Target` as a finite series, `TeacherTarget` as a network."""

    @property
    def data(self) -> str:
        """Law of the inputs."""

    @property
    def P(self) -> int:  # noqa: N802 - the letter of every target
        """Number of support coordinates."""

    def evaluate(self, z: ArrayLike) -> NDArray[np.float64]:
        """Return h at points (..., P) as (...)."""

    def gradient(self, z: ArrayLike) -> NDArray[np.float64]:
        """Return ∂h/∂z at points (..., P) as (..., P)."""


@dataclass(frozen=True, eq=False)
class TeacherTarget:
    """h(z) = Σ_k v_k σ(⟨w_k, z⟩) on Gaussian data, without 1/√K or 1/K; build it by `Target.teacher`.

    `OverlapFlow` and `SGD` run it, with a network of the same activation. It is no finite series; its polynomial
    part, from `project`, is one: that has a leap, and any dynamics and activation take it.

    Attributes
    ----------
    weights : array (K, P)
        w_k.
    second_layer : array (K,)
        v_k.
    activation : Activation
        σ.
    """

    weights: NDArray[np.float64]
    second_layer: NDArray[np.float64]
    activation: Activation

    @classmethod
    def build(
        cls,
        units: int | None = None,
        activation: str | Activation = "erf",
        *,
        weights: ArrayLike | None = None,
        second_layer: ArrayLike = 1.0,
    ) -> TeacherTarget:
        """Take K units, by default orthonormal ones of weight 1: h(z) = Σ_k σ(z_k) (Saad and Solla 1995).

        Parameters
        ----------
        units : int, optional
            K, by default the number of rows of ``weights``, or 4.
        activation : str or Activation
            σ.
        weights : array (K, P), optional
            w_k, by default the K unit vectors (then P = K).
        second_layer : float or array (K,)
            v_k, one number for all of them or one each.

        Raises
        ------
        InputError
            For an unknown activation, no unit or too many, shapes that do not fit, entries that are not finite,
            a unit without any weight.
        """
        if not isinstance(activation, Activation):
            activation = CATALOGUE[checks.choice("activation", activation, tuple(CATALOGUE))]
        shape = None if weights is None else np.shape(weights)
        if shape is not None and (len(shape) != 2 or not shape[1]):
            raise InputError(f"weights has shape {shape}; give shape (units, P)")
        if units is None:
            units = USUAL_UNITS if shape is None else shape[0]
        K = checks.integer("units", units, low=1, high=MAX_UNITS)
        w = np.eye(K) if weights is None or shape is None else checks.array("weights", weights, (K, shape[1]))
        if not (idle := (w != 0).any(axis=1)).all():
            raise InputError(f"weights of unit {int(np.argmin(idle))} are all 0; drop the unit")
        one = np.ndim(second_layer) == 0
        v = np.full(K, checks.real("second_layer", second_layer)) if one else second_layer
        return cls(w, checks.array("second_layer", v, (K,)), activation)

    @property
    def data(self) -> str:
        """Law of the inputs."""
        return "gaussian"

    @property
    def units(self) -> int:
        """Number of units K."""
        return len(self.weights)

    @property
    def P(self) -> int:  # noqa: N802 - the letter of every target
        """Number of support coordinates."""
        return self.weights.shape[1]

    @functools.cached_property
    def constant(self) -> float:
        """E[h]."""
        from odesim.activations._moments import moments

        c = np.zeros((3, self.units))
        moments(self._act, np.sum(self.weights**2, axis=1), np.zeros(self.units), c)
        return float(self.second_layer @ c[0])

    @functools.cached_property
    def energy(self) -> float:
        """Variance of h: Σ_kl v_k v_l K_kl − E[h]²."""
        from odesim.activations._pairs import pair_sums

        K = self.units
        t, ka, k1, kb = np.zeros((4, K))
        Q = np.ascontiguousarray(self.weights @ self.weights.T)
        pair_sums(self._act, 0, Q, self.second_layer, np.zeros(K), t, ka, k1, kb, np.zeros((K, K)))
        return float(self.second_layer @ ka) - self.constant**2

    @property
    def _act(self) -> Any:
        from odesim.activations.handed import act_of

        return act_of(self.activation)

    def __str__(self) -> str:
        """Say what it is, as in ``erf(z1) + erf(z2)``, σ(x) by its name; long sums are only counted."""
        text = " + ".join(map(self._unit_text, self.second_layer, self.weights)).replace("+ -", "- ")
        if len(text) > LONGEST_TEXT:
            return f"teacher of {self.units} {self.activation.name} units on {self.P} coordinates"
        return text

    def _unit_text(self, v: float, w: NDArray[np.float64]) -> str:
        parts = [("" if x == 1 else "-" if x == -1 else f"{x:g}*") + f"z{r + 1}" for r, x in enumerate(w) if x]
        factor = "" if v == 1 else "-" if v == -1 else f"{v:g}*"
        return f"{factor}{self.activation.name}({' + '.join(parts).replace('+ -', '- ')})"

    def evaluate(self, z: ArrayLike) -> NDArray[np.float64]:
        """Return h at points z, shape (..., P) -> (...).

        Raises
        ------
        InputError
            If the last axis is not P long.
        """
        return self.activation.function(values.points(z, self.P) @ self.weights.T) @ self.second_layer

    def gradient(self, z: ArrayLike) -> NDArray[np.float64]:
        """Return Σ_k v_k σ'(⟨w_k, z⟩) w_k at points z, shape (..., P) -> (..., P).

        Raises
        ------
        InputError
            If the last axis is not P long.
        """
        slopes = self.activation.derivative(values.points(z, self.P) @ self.weights.T)
        return (slopes * self.second_layer) @ self.weights

    def project(self, degree: int | None = None, nodes: int | None = None) -> Target:
        """Return the polynomial of that degree nearest to h, by `Target.project` with the same bounds."""
        return Target.project(self.evaluate, self.P, self.data, degree=degree, nodes=nodes)

    def arrays(self) -> Terms:
        """Refuse: a teacher is no finite series."""
        self._refuse()

    @property
    def series(self) -> Any:
        """Refuse, as `arrays` does."""
        self._refuse()

    @property
    def terms(self) -> Any:
        """Refuse, as `arrays` does."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise InputError(
            "a teacher target is no finite series; take its polynomial part, as in target.project(degree=5)"
        )
