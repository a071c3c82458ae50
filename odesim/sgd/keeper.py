"""Keeper: writes the checkpoint of an ensemble while its runs go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from odesim import files
from odesim.checkpoints import Checkpoint, Record
from odesim.checks import InputError, RunError

SHARE = 0.05
"""Largest share of one processor that writing may take: files of hundreds of megabytes are written less often."""

PATIENCE = 0.5
"""Seconds to wait for a run that is busy, with its last output say; what is known of it is written then."""


class Keeper:
    """Asks the runs for their states when the checkpoint is due, and writes it in a thread of its own.

    A run gives a copy of its state at the end of a short call of its own, and goes on: it never waits for the disk
    or for other runs. Without a checkpoint nothing is ever asked for.

    Parameters
    ----------
    checkpoint : Checkpoint or None
    rows : dict of arrays (S, T, ...)
        Where the runs record; rows that a record counts do not change any more.
    seeds : int
        Number of runs, S.
    stop : callable
        Called when the checkpoint cannot be written.
    """

    def __init__(
        self,
        checkpoint: Checkpoint | None,
        rows: Mapping[str, NDArray[np.float64]],
        seeds: int,
        stop: Callable[[], None],
    ) -> None:
        self.failure: str | None = None
        """Why the checkpoint could not be written, if once it could not."""
        self._checkpoint, self._rows, self._stop = checkpoint, rows, stop
        self._records, self._fresh = [Record()] * seeds, False
        self._asked, self._given = 0, [0] * seeds
        self._running: set[int] = set()
        self._changed, self._closing = threading.Condition(), threading.Event()
        self._writer: ThreadPoolExecutor | None = None
        self._work: Future[None] | None = None

    def open(self) -> None:
        """Go on from the file, or write it at once, so that it is known to work.

        Raises
        ------
        InputError
            If what there is cannot be gone on from.
        RunError
            If the file cannot be written.
        """
        if self._checkpoint is None:
            return
        files.remove_parts(self._checkpoint.path)
        if self._checkpoint.goes_on:
            self._records, recorded = self._checkpoint.read()
            for name, runs in recorded.items():
                for index, values in enumerate(runs):
                    self._rows[name][index, : len(values)] = values
        else:
            self._checkpoint.write(self._records, self._rows)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._work = self._writer.submit(self._write_when_due, self._checkpoint)

    def begin(self, index: int) -> Record:
        """Return from where a run goes on; it will give its record when asked."""
        with self._changed:
            self._running.add(index)
            self._given[index] = self._asked
            return self._records[index]

    def asks(self, index: int) -> bool:
        """Whether a run is to give its record now."""
        return self._given[index] != self._asked

    def give(self, index: int, record: Record) -> None:
        """Take a record, whose arrays nobody changes any more."""
        with self._changed:
            self._records[index], self._given[index], self._fresh = record, self._asked, True
            self._changed.notify()

    def end(self, index: int, record: Record) -> None:
        """Take the last record of a run."""
        self.give(index, record)
        with self._changed:
            self._running.discard(index)
            self._changed.notify()

    def close(self) -> None:
        """Write what has come since the last time; errors of the writer itself are raised."""
        if self._checkpoint is None or self._writer is None or self._work is None:
            return
        with self._changed:
            self._closing.set()
            self._changed.notify()
        self._writer.shutdown()
        self._work.result()
        self._write(self._checkpoint)

    def _write_when_due(self, checkpoint: Checkpoint) -> None:
        """Write so often that a file is complete every ``every`` seconds, if its cost allows."""
        pause = checkpoint.every
        while not self._closing.wait(pause):
            began, before = time.monotonic(), time.thread_time()
            self._collect()
            if not self._write(checkpoint):
                return
            took, cost = time.monotonic() - began, time.thread_time() - before
            pause = max(checkpoint.every - 2 * took, cost / SHARE - took, 0.0)

    def _collect(self) -> None:
        """Ask all runs that go on, and wait for them a little."""
        with self._changed:
            self._asked += 1
            self._changed.wait_for(
                lambda: self._closing.is_set() or all(self._given[index] == self._asked for index in self._running),
                timeout=PATIENCE,
            )

    def _write(self, checkpoint: Checkpoint) -> bool:
        """Write what is new; return False, and stop the runs, if that fails."""
        with self._changed:
            records, fresh, self._fresh = list(self._records), self._fresh, False
        if not fresh:
            return True
        try:
            checkpoint.write(records, self._rows)
        except (InputError, RunError, MemoryError) as error:
            self.failure = self.failure or str(error) or f"{checkpoint.path} could not be written for lack of memory"
            self._fresh = True
            self._stop()
            return False
        return True
