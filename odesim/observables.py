"""What a run learned, of whatever dynamics: coefficients term by term, subspace, recovery of each direction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from odesim.alignment import aligned_share, recovery_steps, subspace_overlap
from odesim.passages import censored_quantile
from odesim.trajectory import Trajectory

if TYPE_CHECKING:
    from odesim.activations.catalogue import Activation
    from odesim.targets.series import Target

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Learned:
    """Columns beside a Trajectory's own; ``...`` is its seed axis, T its rows.

    Attributes
    ----------
    terms : tuple of str
        The K terms of the target without its constant.
    wanted : array (K,)
        The target's coefficients.
    coefficients : array (..., T, K)
        Those of the network's function, see `coefficients`.
    subspace_overlap : array (..., T)
        See `subspace_overlap`.
    recovery_steps : array (..., P)
        See `recovery_steps`.
    aligned_share : array (..., T)
        See `aligned_share`.
    """

    terms: tuple[str, ...]
    wanted: Array
    coefficients: Array
    subspace_overlap: Array
    recovery_steps: Array
    aligned_share: Array

    def columns(self) -> dict[str, Array]:
        """Return every column (..., T) by a name of its own, ``learned_z1*z2`` for a term."""
        found = {f"learned_{name}": self.coefficients[..., k] for k, name in enumerate(self.terms)}
        return found | {"subspace_overlap": self.subspace_overlap, "aligned_share": self.aligned_share}


def learned(
    trajectory: Trajectory,
    target: Target,
    *,
    level: float = 0.5,
    threshold: float = 0.9,
    activation: Activation | str | None = None,
) -> Learned:
    """Find what a run learned, from the overlaps that it recorded.

    Parameters
    ----------
    trajectory : Trajectory
        Of any dynamics, a single run or an ensemble.
    target : Target
        The target of the run; a teacher network is projected first.
    level : float
        Overlap max_j |m_jr|/‖w_j‖ at which direction r counts as recovered.
    threshold : float
        Share of a neuron's norm that lies in the support once it counts as aligned.
    activation : Activation or str, optional
        Default the one that ``trajectory.settings`` names.

    Raises
    ------
    InputError
        As `coefficients`, `recovery_steps` and `aligned_share` do.
    """
    from odesim.network_series import coefficients

    terms = [S for S in target.terms if any(S)]
    return Learned(
        terms=tuple(target.label(S) for S in terms),
        wanted=np.array([target.terms[S] for S in terms]),
        coefficients=coefficients(trajectory, target, terms=terms, activation=activation),
        subspace_overlap=subspace_overlap(trajectory),
        recovery_steps=recovery_steps(trajectory, level),
        aligned_share=aligned_share(trajectory, threshold),
    )


def lessons(trajectory: Trajectory, target: Target) -> dict[str, Any] | None:
    """Return what was learned by the end as JSON values; of an ensemble the medians over its runs.

    A run that ended early counts by its last row. Without coefficients (None) where they are too dear; None
    altogether for a trajectory without the norms of the weights.
    """
    if trajectory.Q is None and trajectory.q is None:
        return None
    from odesim.network_series import MAX_SIGNS, coefficients

    ends, terms = _ends(trajectory), [S for S in target.terms if any(S)]
    found = None
    if target.data == "gaussian" or target.P <= MAX_SIGNS:
        values = coefficients(ends, target, terms=terms, rows=[1])[..., 0, :].reshape(-1, len(terms))
        found = {
            target.label(S): {"wanted": target.terms[S], "at_end": _median(one)}
            for S, one in zip(terms, values.T, strict=True)
        }
    steps = recovery_steps(trajectory)
    return {
        "coefficients": found,
        "subspace_overlap": _median(subspace_overlap(ends)[..., 1]),
        "aligned_share": _median(aligned_share(ends)[..., 1]),
        "recovery_steps": {
            f"z{r + 1}": censored_quantile(one, 0.5) for r, one in enumerate(steps.reshape(-1, steps.shape[-1]).T)
        },
    }


def _ends(trajectory: Trajectory) -> Trajectory:
    """Two rows: the first, and the last that each run recorded."""
    alive = np.asarray(np.isfinite(trajectory.a).all(axis=-1))  # (..., T)
    T = alive.shape[-1]
    last = T - 1 - np.argmax(alive[..., ::-1], axis=-1)
    rows: dict[str, Any] = {}
    for name in ("risk", "risk_se", "m", "a", "b", "Q", "q"):
        value = getattr(trajectory, name)
        if value is not None:
            axis = last.ndim
            place = last.reshape(*last.shape, *[1] * (value.ndim - axis))
            end = np.take_along_axis(value, place, axis=axis)
            rows[name] = np.concatenate([np.take(value, [0], axis=axis), end], axis=axis)
    steps = np.array([0, max(int(trajectory.steps[-1]), 1)])
    time = np.array([0.0, trajectory.time[-1]])
    return replace(
        trajectory, steps=steps, time=time, **rows, noise_rate=None, noise_gauge=None, events={}, at_events={}
    )


def _median(values: Array) -> float | None:
    """Median of the finite values."""
    finite = np.ravel(values)[np.isfinite(np.ravel(values))]
    return float(np.median(finite)) if finite.size else None
