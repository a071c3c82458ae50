"""How far the neurons have found the support: principal angles, first recovery of each direction, aligned share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from odesim import checks
from odesim.passages import first_passage
from odesim.trajectory import Trajectory, squared_norms

Array = NDArray[np.float64]

RANK = 1e-12
"""A direction of the weights with less than this share of the largest square is none."""


def principal_cosines(trajectory: Trajectory) -> Array:
    """Cosines of the principal angles between the support and the leading subspace of the weights.

    The leading subspace is spanned by the first P right singular vectors of W (N, d): with W Wᵀ = U Λ Uᵀ, the
    cosines are the singular values of Λ^{−1/2} Uᵀ m, over the P largest eigenvalues. Where a trajectory has only
    the diagonal of W Wᵀ, its off-diagonal is taken as m mᵀ: right for neurons that are orthogonal off the support, as
    independent ones are in the limit of large d, and an approximation elsewhere.

    Returns
    -------
    array (..., T, P)
        Largest first, in [0, 1]; 1 throughout where the subspace is the support. With fewer than P neurons, or
        weights of lower rank, the missing ones are 0. NaN after a run's early end.
    """
    m = trajectory.m
    N, P = m.shape[-2:]
    lead = m.shape[:-2]
    out = np.full((int(np.prod(lead)), P), np.nan)
    for index, (row, Q) in enumerate(zip(m.reshape(-1, N, P), _grams(trajectory), strict=True)):
        if np.isfinite(row).all() and np.isfinite(Q).all():
            out[index] = _cosines(row, Q)
    return out.reshape(*lead, P)


def subspace_overlap(trajectory: Trajectory) -> Array:
    """Mean square of `principal_cosines`, shape (..., T): 1 where the weights' leading subspace is the support.

    A random subspace of dimension P in d dimensions has P/d.
    """
    return (principal_cosines(trajectory) ** 2).mean(axis=-1)


def recovery_steps(trajectory: Trajectory, level: float = 0.5) -> Array:
    """When each support direction is first recovered weakly: max_j |m_jr|/‖w_j‖ reaches ``level``.

    Between output rows the value is a straight line in ln(step).

    Parameters
    ----------
    trajectory : Trajectory
    level : float
        In (0, 1): a constant that does not shrink with d.

    Returns
    -------
    array (..., P)
        Steps; infinity for never (or not before the run ended).

    Raises
    ------
    InputError
        For a level outside (0, 1).
    """
    level = _share("level", level)
    best = (abs(trajectory.m) / _norms(trajectory)[..., None]).max(axis=-2)  # (..., T, P)
    return first_passage(trajectory.steps, -np.moveaxis(best, -1, -2), -level)


def aligned_share(trajectory: Trajectory, threshold: float = 0.9) -> Array:
    """Share of the neurons whose weight vector lies in the support: |m_j| >= threshold · ‖w_j‖.

    Returns
    -------
    array (..., T)
        NaN after a run's early end; nodes of a quadrature count by their weights.

    Raises
    ------
    InputError
        For a threshold outside (0, 1).
    """
    threshold = _share("threshold", threshold)
    size = np.sqrt((trajectory.m**2).sum(axis=-1))
    norms = _norms(trajectory)
    share = np.average(size >= threshold * norms, axis=-1, weights=trajectory.weights)
    return np.where(np.isfinite(trajectory.a).all(axis=-1), share, np.nan)


def _share(name: str, value: float) -> float:
    number = checks.real(name, value, low=0.0, strict=True, remedy="give a share between 0 and 1, such as 0.5")
    if not number < 1:
        raise checks.InputError(f"{name}={value:g} is not below 1; give a share between 0 and 1, such as 0.5")
    return number


def _norms(trajectory: Trajectory) -> Array:
    """‖w_j‖, never 0."""
    return np.sqrt(np.maximum(squared_norms(trajectory), np.finfo(np.float64).tiny))


def _grams(trajectory: Trajectory) -> NDArray[np.float64]:
    """W Wᵀ of all rows, (n, N, N)."""
    N = trajectory.m.shape[-2]
    if trajectory.Q is not None:
        return trajectory.Q.reshape(-1, N, N)
    m = trajectory.m.reshape(-1, N, trajectory.m.shape[-1])
    Q = m @ m.transpose(0, 2, 1)
    Q[:, np.arange(N), np.arange(N)] = squared_norms(trajectory).reshape(-1, N)
    return Q


def _cosines(m: Array, Q: Array) -> Array:
    N, P = m.shape
    values, vectors = np.linalg.eigh(Q)
    k = min(N, P)
    values, vectors = values[::-1][:k], vectors[:, ::-1][:, :k]
    real = values > RANK * max(values[0], np.finfo(np.float64).tiny)
    cosines = np.zeros(P)
    if real.any():
        found = np.linalg.svd(vectors[:, real].T @ m / np.sqrt(values[real])[:, None], compute_uv=False)
        cosines[: found.size] = np.minimum(found, 1.0)
    return cosines
