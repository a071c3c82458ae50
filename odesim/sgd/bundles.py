"""An ensemble whose walks hold several replicas each, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from odesim.job import Job
from odesim.sgd.ensemble import Array, Ensemble, Walk
from odesim.trajectory import Status, Trajectory


class Bundles(Ensemble):
    """Walks of ``width`` replicas; each records rows (width, ...), and the lanes' own status and last step.

    Parameters
    ----------
    job : Job
    start : callable
        Makes the walk of one bundle, by its index and the range of the data seeds that it holds.
    shapes : dict
        Fields to record, each with the shape of one row of one replica.
    width : int
        Replicas in a bundle; the last may have lanes to spare.
    """

    def __init__(
        self, job: Job, start: Callable[[int, range], Walk], shapes: Mapping[str, tuple[int, ...]], width: int
    ) -> None:
        self._seeds, self._width = job.seeds, width
        wide = {name: (width, *shape) for name, shape in {**shapes, "status": (), "ended": ()}.items()}
        super().__init__(job, lambda index: start(index, self._members(index)), wide, -(-job.seeds // width))

    def _members(self, index: int) -> range:
        return range(index * self._width, min((index + 1) * self._width, self._seeds))

    def trajectory(self, kind: str) -> Trajectory:
        """Return what was recorded, replica by replica; rows from the end of a lane on are NaN.

        A field ``release`` of steps, −1 before, becomes the event of that name.
        """
        rows = {name: self._apart(values) for name, values in self.rows.items()}
        status, message = self._ends(rows.pop("status"), rows.pop("ended"), rows)
        release = rows.pop("release", None)
        trajectory = self._trajectory(kind, rows, status, message)
        if release is None:
            return trajectory
        last = np.nanmax(release, axis=1, initial=-1.0)
        times = self.job.training.time_at(np.maximum(last, 0.0))
        return replace(trajectory, events={"release": np.where(last >= 0, times, np.nan)})

    def _apart(self, values: Array) -> Array:
        """From (bundles, T, width, ...) to (seeds, T, ...)."""
        apart = np.moveaxis(values, 2, 1)
        return apart.reshape(-1, *apart.shape[2:])[: self._seeds].copy()

    def _ends(self, status: Array, ended: Array, rows: Mapping[str, Array]) -> tuple[Any, list[str]]:
        """Return status and message of every replica; its rows from an end of its own on become NaN."""
        whole = [self.status[seed // self._width] for seed in range(self._seeds)]
        message = [self.message[seed // self._width] for seed in range(self._seeds)]
        for seed in range(self._seeds):
            over = np.flatnonzero(status[seed] > Status.DONE)  # not where a bundle has no row
            if over.size:
                first = over[0]
                own = Status(int(status[seed, first]))
                whole[seed], message[seed] = own, f"at step {int(ended[seed, first])}: {self._why(own)}"
                for values in rows.values():
                    values[seed, first:] = np.nan
        return np.array(whole), message
