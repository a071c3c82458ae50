"""An ensemble whose walks hold several replicas each, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
        """Return what was recorded, replica by replica; rows after the end of a lane are NaN."""
        rows = {name: self._apart(values) for name, values in self.rows.items()}
        status, message = self._ends(rows.pop("status"), rows.pop("ended"), rows)
        return self._trajectory(kind, rows, status, message)

    def _apart(self, values: Array) -> Array:
        """From (bundles, T, width, ...) to (seeds, T, ...)."""
        apart = np.moveaxis(values, 2, 1)
        return apart.reshape(-1, *apart.shape[2:])[: self._seeds].copy()

    def _ends(self, status: Array, ended: Array, rows: Mapping[str, Array]) -> tuple[Any, list[str]]:
        """Return status and message of every replica; its rows after an end of its own become NaN."""
        whole = [self.status[seed // self._width] for seed in range(self._seeds)]
        message = [self.message[seed // self._width] for seed in range(self._seeds)]
        recorded = np.isfinite(status).sum(axis=1)
        for seed, count in enumerate(recorded.tolist()):
            own = Status(int(status[seed, count - 1])) if count else Status.DONE
            if own != Status.DONE:
                step = int(ended[seed, count - 1])
                whole[seed], message[seed] = own, f"at step {step}: {self._why(own)}"
                for values in rows.values():
                    values[seed, self.job.steps > step] = np.nan
        return np.array(whole), message
