"""The network's own series: what it has learned of each term of a target, from its overlaps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from odesim import checks
from odesim.activations._moments import moments
from odesim.activations.catalogue import Activation, activation_named
from odesim.activations.handed import act_of
from odesim.flows.corners import cube
from odesim.targets.series import Target
from odesim.trajectory import Trajectory, squared_norms

Array = NDArray[np.float64]
Exponents = tuple[int, ...]

MAX_SIGNS = 16
"""Largest number of Boolean coordinates: every neuron is summed over 2^P points at every row."""

AT_A_TIME = 1 << 20
"""Moments that are found at once."""

SMALLEST_VARIANCE = 1e-30
"""A neuron without weights off the support still gets this variance, for activations with a kink."""


def coefficients(
    trajectory: Trajectory,
    target: Target,
    *,
    terms: Iterable[Sequence[int]] | None = None,
    rows: ArrayLike | None = None,
    activation: Activation | str | None = None,
) -> Array:
    """Coefficients of the network's function f = Σ_j a_j σ(⟨w_j, x⟩ + b_j) in the basis of a target.

    Gaussian data, exactly: f̂_S = E[f h_S] = Σ_j a_j c_{|S|}(q_j, b_j) Π_r m_jr^{S_r}/√(S_r!), c_k(q, b) =
    E[σ^(k)(√q g + b)]. Boolean data: f̂_S = Σ_j a_j E_z[χ_S(z) E_g σ(⟨m_j, z⟩ + √(q_j − |m_j|²) g + b_j)] over all
    signs z, exact in a flow; for a network in d dimensions the sum over its other coordinates is taken as Gaussian,
    which is right to O(1/d).

    Parameters
    ----------
    trajectory : Trajectory
        Of any dynamics, a single run or an ensemble.
    target : Target
        Its law and its terms; a teacher is projected first (`TeacherTarget.project`).
    terms : list of tuples of int, optional
        Other terms S, the powers of z1, ..., zP each; default those of the target, as in ``target.terms``.
    rows : array of int, optional
        Which of the T rows; default all.
    activation : Activation or str, optional
        Default the one that ``trajectory.settings`` names; one made from a function must be given.

    Returns
    -------
    array (..., T, K)
        One column a term, in the order of the terms; NaN after a run's early end.

    Raises
    ------
    InputError
        If the target is no series or of another number of coordinates, has more than 16 Boolean ones, a term does
        not fit it, or the activation is not known.
    """
    if not isinstance(target, Target):
        raise checks.InputError(
            f"target={str(target)!r} has no terms; project it first, as in target.project(degree=3)"
        )
    P = trajectory.m.shape[-1]
    if target.P != P:
        raise checks.InputError(f"target has {target.P} coordinates, trajectory.m {P}; give the target of this run")
    wanted = list(target.terms) if terms is None else [_exponents(one, target) for one in terms]
    index = np.arange(trajectory.steps.size) if rows is None else np.atleast_1d(np.asarray(rows))
    kept = _neurons(trajectory, index)
    act = act_of(_activation(trajectory, activation))
    kernel = _signs if target.data == "boolean" else _hermite
    found = np.full((kept["a"].shape[0], len(wanted)), np.nan)
    alive = np.flatnonzero(np.isfinite(kept["a"]).all(axis=1))
    found[alive] = kernel(act, wanted, {name: value[alive] for name, value in kept.items()})
    return found.reshape(*trajectory.risk.shape[:-1], index.size, len(wanted))


def _neurons(trajectory: Trajectory, rows: NDArray[Any]) -> dict[str, Array]:
    """m (n, N, P), q, a and b (n, N) of all runs, one row after another; a is that of the plain network."""
    N, P = trajectory.m.shape[-2:]
    share = _share(trajectory)
    b = np.zeros_like(trajectory.a) if trajectory.b is None else trajectory.b
    per = {"q": squared_norms(trajectory), "a": trajectory.a * share, "b": b}
    flat = {name: np.ascontiguousarray(value[..., rows, :]).reshape(-1, N) for name, value in per.items()}
    return flat | {"m": np.ascontiguousarray(trajectory.m[..., rows, :, :]).reshape(-1, N, P)}


def _share(trajectory: Trajectory) -> Array | float:
    """What a neuron counts beside its a: the weight of a node, 1/N in mean-field scaling, else 1."""
    if trajectory.weights is not None:
        return trajectory.weights
    scaling = trajectory.settings.get("network", {}).get("scaling", "plain")
    return 1.0 / trajectory.a.shape[-1] if scaling == "mean_field" else 1.0


def _activation(trajectory: Trajectory, given: Activation | str | None) -> Activation:
    if isinstance(given, Activation):
        return given
    name = given or trajectory.settings.get("network", {}).get("activation")
    if name is None:
        raise checks.InputError("trajectory.settings names no activation; give activation=")
    try:
        return activation_named(name)
    except checks.InputError as error:
        raise checks.InputError(f"activation={name!r} is not in the catalogue; give activation= itself") from error


def _exponents(term: Sequence[int], target: Target) -> Exponents:
    powers = tuple(int(one) for one in term)
    if len(powers) != target.P or min(powers, default=0) < 0:
        raise checks.InputError(f"terms holds {tuple(term)}; give the powers of z1, ..., z{target.P}, none negative")
    if target.data == "boolean" and max(powers, default=0) > 1:
        raise checks.InputError(f"terms holds {tuple(term)}; Boolean terms have powers 0 and 1")
    return powers


def _hermite(act: Any, terms: list[Exponents], net: dict[str, Array]) -> Array:
    """Hermite coefficients (n, K)."""
    out = np.empty((net["a"].shape[0], len(terms)))
    top = max((sum(S) for S in terms), default=0)
    N = net["a"].shape[1]
    for part in _blocks(out.shape[0], N * (top + 2)):
        m, a = net["m"][part], net["a"][part]
        c = np.empty((max(top, 1) + 2, a.size))
        moments(act, np.maximum(net["q"][part], SMALLEST_VARIANCE).ravel(), net["b"][part].ravel(), c)
        c = c.reshape(-1, *a.shape)
        for k, S in enumerate(terms):
            product = a * c[sum(S)] / math.sqrt(math.prod(math.factorial(power) for power in S))
            for r, power in enumerate(S):
                if power:
                    product = product * m[..., r] ** power
            out[part, k] = product.sum(axis=1)
    return out


def _signs(act: Any, terms: list[Exponents], net: dict[str, Array]) -> Array:
    """Walsh coefficients (n, K), by sums over all signs."""
    N, P = net["m"].shape[1:]
    if P > MAX_SIGNS:
        raise checks.InputError(
            f"target has {P} Boolean coordinates, coefficients sums over 2^P points up to P={MAX_SIGNS}; "
            "there is no cheaper exact way"
        )
    out = np.empty((net["a"].shape[0], len(terms)))
    z, p = cube(P)
    chi = np.stack([np.prod(z[:, np.flatnonzero(S)], axis=1) * p for S in terms], axis=1)
    for part in _blocks(out.shape[0], N * p.size):
        m, a = net["m"][part], net["a"][part]
        rest = np.maximum(net["q"][part] - (m * m).sum(axis=2), SMALLEST_VARIANCE)
        shift = m @ z.T + net["b"][part][..., None]
        c = np.empty((3, shift.size))
        moments(act, np.repeat(rest.ravel(), p.size), np.ascontiguousarray(shift.ravel()), c)
        out[part] = np.einsum("nj,njz->nz", a, c[0].reshape(shift.shape)) @ chi
    return out


def _blocks(count: int, work: int) -> Iterator[slice]:
    """Slices of the rows, each of bounded work."""
    length = max(1, AT_A_TIME // work)
    yield from (slice(start, start + length) for start in range(0, count, length))
