"""One run of SGD with mini-batches; `SGD` starts it where a step takes more than one sample."""

from __future__ import annotations

from dataclasses import dataclass, field

from odesim.network import Network
from odesim.sgd._batch import Desk, advance
from odesim.sgd.ensemble import Look
from odesim.sgd.full import _Walk
from odesim.sgd.limits import leans, slice_of, slice_rows, sums_apart
from odesim.sgd.state import zeros_on_lines
from odesim.trajectory import Status

WORK_A_CALL = 3e8
"""Operations between two looks at the progress bar and the stop flag: about 20 ms, or one step if that takes longer."""


@dataclass
class BatchWalk(_Walk):
    """One run, in whole steps."""

    desk: Desk = field(init=False)

    def __post_init__(self) -> None:
        W, training = self.state.W, self.job.training
        none = (0, W.shape[1])
        self.desk = Desk(
            x=zeros_on_lines((slice_rows(int(training.batch)), W.shape[1]), W.dtype),
            leaning=zeros_on_lines(W.shape if leans(training) else none, W.dtype),
            sums=zeros_on_lines(W.shape if sums_apart(training) else none, W.dtype),
        )

    def advance(self, until: int) -> Status:
        """Advance to ``until``, or towards it."""
        network, batch, state = self.job.network, int(self.job.training.batch), self.state
        count = min(_steps_a_call(network, batch), until - state.step)
        if count <= 0:
            return Status.DONE
        status, state.step = advance(
            state.W,
            state.scale,
            state.a,
            state.b,
            network.width,
            network.dim,
            state.step,
            count,
            batch,
            slice_of(batch),
            self.desk,
            *self.constants,
        )
        return Status(status)

    def look(self, step: int) -> Look:
        """Return the overlaps at this step."""
        return Look(Status.DONE, step, self._values(self.state))


def _steps_a_call(network: Network, batch: int) -> int:
    """Steps that take a few hundredths of a second."""
    work = batch * (1000 + 20 * network.width + 10 * network.dim + network.width * network.dim)
    return max(1, int(WORK_A_CALL / work))
