"""Network: who learns, and from which start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from odesim import checks, memory, seeds
from odesim.activations.activation import Activation
from odesim.activations.catalogue import activation_named
from odesim.targets.series import Target
from odesim.targets.teacher import TeacherTarget

SCALINGS = ("plain", "mean_field")
SECOND_LAYER_LAWS = ("signs", "uniform")
FIRST_LAYER_LAWS = ("gaussian", "signs")
DRAWN = 17
"""Bytes a weight while they are drawn: as drawn, in order, and whether each is finite."""
REMEDY = "lower network.width or network.dim"
LATER: Any = None
"""Stands for an R that nobody has asked for yet."""


@dataclass(frozen=True, eq=False)
class Network:
    """Two-layer network f(x) = sum_j a_j sigma(<w_j, x> + b_j), or 1/N of it, at its start.

    Attributes
    ----------
    dim : int
        Input dimension d.
    activation : Activation
        sigma.
    m : array (N, P)
        Overlaps of the neurons with the support coordinates, m_jr = w_jr.
    R : array (N, N)
        Gram matrix of the residuals v_j = w_j minus its support part; Q = m m^T + R. Of a network with weights it is
        computed when it is first asked for, and refused where it does not fit into memory.
    a, b : arrays (N,)
        Second layer, in the network's scaling, and biases.
    scaling : {"plain", "mean_field"}
        f = sum_j a_j sigma_j, or f = (1/N) sum_j a_j sigma_j.
    weights : array (N, d), optional
        W itself, which full SGD needs; ``None`` where only the overlaps were kept.
    """

    dim: int
    activation: Activation
    m: NDArray[np.float64]
    R: NDArray[np.float64]
    a: NDArray[np.float64]
    b: NDArray[np.float64]
    weights: NDArray[np.float64] | None = None
    scaling: str = "plain"

    def __post_init__(self) -> None:
        checks.choice("network.scaling", self.scaling, SCALINGS)

    @property
    def width(self) -> int:
        """Number of neurons N."""
        return self.a.size

    @property
    def unit(self) -> float:
        """What a second-layer weight of 1 is worth in f: 1, or 1/N in mean-field scaling."""
        return 1.0 / self.width if self.scaling == "mean_field" else 1.0

    @property
    def plain_a(self) -> NDArray[np.float64]:
        """Second layer (N,) of the same function without 1/N."""
        return self.unit * self.a

    @property
    def residual_norms(self) -> NDArray[np.float64]:
        """‖v_j‖² (N,), the diagonal of R, for which R itself is not needed."""
        if self.weights is None:
            return np.diagonal(self.R).copy()
        v = self.weights[:, self.m.shape[1] :]
        return np.einsum("ji,ji->j", v, v)

    @property
    def has_biases(self) -> bool:
        """Whether any bias differs from zero."""
        return bool(self.b.any())

    @classmethod
    def random(
        cls,
        target: Target | TeacherTarget,
        *,
        width: int,
        dim: int,
        activation: str | Activation = "erf",
        scaling: str = "plain",
        second_layer: float = 0.5,
        second_layer_law: str = "signs",
        first_layer: str = "gaussian",
        biases: float = 0.0,
        weights: bool = True,
        rng: Any = 0,
    ) -> Network:
        """Draw W ~ N(0, 1/d), a_j = ±``second_layer``, b_j ~ Unif[−``biases``, ``biases``].

        With ``second_layer_law`` = "uniform", a_j ~ Unif[−``second_layer``, ``second_layer``] instead; with
        ``first_layer`` = "signs", w_j ~ Unif{±1/√d}^d of length 1, by the signs of the same normals.

        The normals are drawn coordinate by coordinate, so the same ``rng`` and width give the same overlaps
        m·√d at every ``dim``, and the same signs and biases.

        With ``weights=False`` there is no W, only its overlaps, for flows and the chain at any ``dim``: m as with
        weights, and R drawn from its own law, 1/d times a Wishart matrix of d − P degrees of freedom, by Bartlett's
        decomposition. R then has the same law, not the same numbers.

        Raises
        ------
        InputError
            For a width below 1, a dim below the target's coordinates, a value that is not finite, an unknown
            activation, or more weights than fit into memory.
        """
        width = checks.integer("network.width", width, low=1, remedy="give the number of neurons")
        dim = _dimension(dim, target)
        a, b = second_layer_and_biases(width, second_layer, second_layer_law, biases, rng)
        normals = np.random.default_rng(seeds.child(rng, seeds.WEIGHTS, 0))
        what = f"network.width={width} with network.dim={dim}"
        checks.choice("network.first_layer", first_layer, FIRST_LAYER_LAWS)
        if not weights:
            if first_layer != "gaussian":
                raise checks.InputError(
                    f"network.first_layer={first_layer!r} has no overlaps without weights; use 'gaussian'"
                )
            kind = activation if isinstance(activation, Activation) else activation_named(activation)
            m = np.ascontiguousarray(normals.standard_normal((target.P, width)).T) / np.sqrt(dim)
            L = bartlett(np.random.default_rng(seeds.child(rng, seeds.WEIGHTS, 3)), width, dim - target.P)
            return cls(dim, kind, m, L @ L.T / dim, a, b, None, scaling)
        memory.refuse(what, DRAWN * width * dim, REMEDY)
        with memory.named(what, REMEDY):
            W = normals.standard_normal((dim, width)).T
            if first_layer == "signs":
                np.copysign(1.0, W, out=W)
            W /= np.sqrt(dim)
            return cls.from_weights(target, W, a, b, activation=activation, scaling=scaling)

    @classmethod
    def ensemble(cls, target: Target | TeacherTarget, count: int, *, rng: Any = 0, **options: Any) -> list[Network]:
        """Draw ``count`` networks by `random` with these options, for a flow from many starts.

        The first is what `random` draws from ``rng``, the others are drawn from children of it, so that a larger
        ensemble begins with the smaller.

        Raises
        ------
        InputError
            For a count below 1, more than fits into memory, or what `random` refuses.
        """
        number = checks.integer("network.count", count, low=1, remedy="give the number of networks")
        parent = seeds.seed_sequence(rng)
        first = cls.random(target, **options, rng=parent)
        what = f"network.count={number} with network.width={first.width} and network.dim={first.dim}"
        each = first.dim if first.weights is not None else first.width + target.P
        memory.refuse(what, 8 * number * first.width * each, REMEDY)
        with memory.named(what, REMEDY):
            further = (seeds.child(parent, seeds.STARTS, i) for i in range(1, number))
            return [first, *(cls.random(target, **options, rng=one) for one in further)]

    @classmethod
    def from_weights(
        cls,
        target: Target | TeacherTarget,
        weights: ArrayLike,
        a: ArrayLike,
        b: ArrayLike | None = None,
        *,
        activation: str | Activation = "erf",
        scaling: str = "plain",
    ) -> Network:
        """Start from given W (N, d), a (N,) and b (N,); the support is the first P coordinates.

        Raises
        ------
        InputError
            For shapes that do not fit or entries that are not finite.
        """
        shape = np.shape(weights)
        if len(shape) != 2 or shape[0] < 1:
            raise checks.InputError(f"network.weights has shape {shape}; give an array (width, dim)")
        width, dim = shape[0], _dimension(shape[1], target)
        W = checks.array("network.weights", weights, (width, dim))
        second = checks.array("network.a", a, (width,))
        bias = np.zeros(width) if b is None else checks.array("network.b", b, (width,))
        kind = activation if isinstance(activation, Activation) else activation_named(activation)
        return cls(dim, kind, W[:, : target.P].copy(), LATER, second, bias, W, scaling)

    @classmethod
    def from_overlaps(
        cls,
        m: ArrayLike,
        Q: ArrayLike,
        a: ArrayLike,
        b: ArrayLike | None = None,
        *,
        dim: int,
        activation: str | Activation = "erf",
        scaling: str = "plain",
    ) -> Network:
        """Start from given overlaps m (N, P) and Q = W Wᵀ (N, N), without any weights: for flows and the chain.

        Raises
        ------
        InputError
            For shapes that do not fit, entries that are not finite, or a Q that no weights in ``dim`` dimensions
            have: R = Q − m mᵀ must be symmetric, positive semi-definite and of rank at most dim − P.
        """
        shape = np.shape(m)
        if len(shape) != 2 or shape[0] < 1:
            raise checks.InputError(f"network.m has shape {shape}; give an array (width, P)")
        width, P = shape
        overlaps, gram = checks.array("network.m", m, (width, P)), checks.array("network.Q", Q, (width, width))
        second = checks.array("network.a", a, (width,))
        bias = np.zeros(width) if b is None else checks.array("network.b", b, (width,))
        number = checks.integer("network.dim", dim, low=max(P, 1), remedy=f"m has {P} coordinates")
        kind = activation if isinstance(activation, Activation) else activation_named(activation)
        R = _residual(overlaps, gram, number - P)
        return cls(number, kind, overlaps.copy(), R, second, bias, None, scaling)


def second_layer_and_biases(
    width: int, second_layer: float, law: str, biases: float, rng: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw a (N,) and b (N,) as `Network.random` does."""
    scale = checks.real("network.second_layer", second_layer, low=0.0, strict=True)
    radius = checks.real("network.biases", biases, low=0.0, remedy="it is the half-width of an interval")
    checks.choice("network.second_layer_law", law, SECOND_LAYER_LAWS)
    draw = np.random.default_rng(seeds.child(rng, seeds.WEIGHTS, 1))
    signs = draw.choice([-1.0, 1.0], width) if law == "signs" else draw.uniform(-1.0, 1.0, width)
    b = np.random.default_rng(seeds.child(rng, seeds.WEIGHTS, 2)).uniform(-radius, radius, width)
    return scale * signs, b


class _Residuals:
    """R of a network: as given, or found from the weights when it is first asked for; N² numbers are many."""

    def __set__(self, network: Network, value: Any) -> None:
        network.__dict__["R"] = value

    def __get__(self, network: Network | None, kind: type[Network]) -> Any:
        if network is None:
            return self
        if network.__dict__["R"] is None and network.weights is not None:
            N = network.width
            memory.refuse(f"network.R for network.width={N}", 8 * N * N, "lower it, or run SGD(test_samples=...)")
            v = network.weights[:, network.m.shape[1] :]
            network.__dict__["R"] = v @ v.T
        return network.__dict__["R"]


Network.R = _Residuals()  # type: ignore[assignment]


def _residual(m: NDArray[np.float64], Q: NDArray[np.float64], room: int) -> NDArray[np.float64]:
    """Return R = Q − m mᵀ, refused if it is no Gram matrix of vectors in ``room`` dimensions."""
    if not np.allclose(Q, Q.T, rtol=1e-10, atol=0.0):
        raise checks.InputError("network.Q is not symmetric; give W Wᵀ")
    R = (Q + Q.T) / 2 - m @ m.T
    values, slack = np.linalg.eigvalsh(R), 1e-10 * np.abs(Q).max()
    if values[0] < -slack:
        raise checks.InputError(
            f"network.Q − m mᵀ has the eigenvalue {values[0]:.3g} and is the Gram matrix of no residuals; raise Q or "
            "lower m"
        )
    rank = int((values > slack).sum())
    if rank > room:
        raise checks.InputError(
            f"network.Q − m mᵀ has rank {rank}, above dim − P = {room}; raise network.dim by {rank - room}"
        )
    return R


def bartlett(rng: np.random.Generator, width: int, freedom: int) -> NDArray[np.float64]:
    """Draw L (N, min(N, freedom)) for which L Lᵀ is the Gram matrix of N standard normal vectors of length ``freedom``.

    L_jj² is χ² of freedom − j degrees of freedom, what is left of it is normal (Bartlett 1933).
    """
    columns = min(width, freedom)
    L = np.tril(rng.standard_normal((width, columns)), -1)
    L[np.arange(columns), np.arange(columns)] = np.sqrt(rng.chisquare(freedom - np.arange(columns)))
    return L


def _dimension(dim: Any, target: Target | TeacherTarget) -> int:
    """Check dim >= P."""
    number = checks.integer("network.dim", dim, low=1, remedy="give the input dimension")
    if number < target.P:
        raise checks.InputError(
            f"network.dim={number} is below the target's {target.P} coordinates; raise dim or drop z{target.P}"
        )
    return number
