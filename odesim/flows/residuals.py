"""Residuals of neurons that move alone: their start under each geometry, and their Gram matrix at any time.

A residual only changes its length, so its angles are those of the start; but under the layerwise rule a coordinate
off the support may reach r as well. Those that can are followed one by one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from odesim import checks
from odesim.job import Job
from odesim.training import TwoRadii

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Start:
    """Where the neurons start.

    Attributes
    ----------
    m : array (N, P)
    R : array (N)
        Squared lengths of the residuals without what is followed.
    followed : list of N arrays
        Values of the followed coordinates of each neuron.
    columns : list of N arrays of int
        Which of ``union``'s columns these are.
    union : array (N, U)
        All neurons' entries in every coordinate that is followed for any of them.
    gram : array (N, N)
        Gram matrix of the residuals without the coordinates of ``union``.
    """

    m: Array
    R: Array
    followed: list[Array]
    columns: list[NDArray[np.int64]]
    union: Array
    gram: Array

    def rows(self, states: list[Array]) -> Array:
        """Return the residuals' Gram matrices (T, N, N) from the neurons' states, rows (T, P + followed + 1)."""
        P, squares = self.m.shape[1], np.stack([np.maximum(one[:, -1], 0.0) for one in states], axis=1)
        inverse = np.divide(1.0, np.sqrt(self.R), out=np.zeros_like(self.R), where=self.R > 0)
        scale = np.sqrt(squares) * inverse
        out = scale[:, :, None] * scale[:, None, :] * self.gram
        if self.union.size:
            now = scale[:, :, None] * self.union
            for j, columns in enumerate(self.columns):
                now[:, j, columns] = states[j][:, P:-1]
                squares[:, j] += (states[j][:, P:-1] ** 2).sum(axis=1)
            out += now @ np.swapaxes(now, 1, 2)
        n = np.arange(self.R.size)
        out[:, n, n] = squares
        return out


def start_of(job: Job) -> Start:
    """Take the network's start, scaled to |w_j| = 1 on the sphere and under two radii.

    Raises
    ------
    InputError
        If a weight vector of length 0 is to go on the sphere.
    """
    network, geometry = job.network, job.training.geometry
    m, gram = network.m, network.R
    length = np.ones(network.width)
    if geometry != "free":
        length = np.sqrt((m * m).sum(axis=1) + np.diag(gram))
        if not (length > 0).all():
            raise checks.InputError(
                f"network.weights of neuron {int(np.argmin(length))} have length 0 and no place on the sphere; "
                "start from another vector"
            )
        m, gram = m / length[:, None], gram / np.outer(length, length)
    W = np.zeros((network.width, 0))
    if isinstance(geometry, TwoRadii) and network.weights is not None:
        W = network.weights[:, job.target.P :] / length[:, None]
    which = [_reaching(row, geometry.r if isinstance(geometry, TwoRadii) else np.inf) for row in W]
    indices = np.unique(np.concatenate([*which, np.zeros(0, np.int64)]))
    union = np.ascontiguousarray(W[:, indices])
    followed = [W[j, one] for j, one in enumerate(which)]
    rest = np.array([float(np.delete(W[j], one) @ np.delete(W[j], one)) for j, one in enumerate(which)])
    R = np.where([one.size > 0 for one in which], rest, np.diag(gram))
    columns = [np.searchsorted(indices, one) for one in which]
    return Start(m, R, followed, columns, union, gram - union @ union.T)


def _reaching(w: Array, r: float) -> NDArray[np.int64]:
    """Coordinates of a residual that may ever reach r: as the rest keeps its direction on a sphere of radius 1, all
    whose share of what is smaller exceeds r.
    """
    order = np.argsort(-np.abs(w), kind="stable")
    squares = w[order] ** 2
    tails = np.cumsum(squares[::-1])[::-1]
    free = np.flatnonzero(squares < r * r * tails)
    return np.sort(order[: free[0]] if free.size else order)
