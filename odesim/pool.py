"""Independent pieces of one job on threads: kernels release Python's lock, so that they run side by side."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

Result = TypeVar("Result")


def in_threads(
    work: Callable[[int], Result], count: int, stop: threading.Event, threads: int | None = None
) -> list[Result]:
    """Return ``work(0)`` to ``work(count - 1)``, computed on one thread a core unless told.

    Ctrl-C sets ``stop``, at which every piece is to return soon with what it has; so does an error in one of them,
    which is raised once all have returned.
    """
    with ThreadPoolExecutor(min(threads or os.cpu_count() or 1, count), thread_name_prefix="odesim") as pool:
        pieces = [pool.submit(work, index) for index in range(count)]
        try:
            _, unfinished = wait(pieces, return_when=FIRST_EXCEPTION)
            if unfinished:
                stop.set()
        except KeyboardInterrupt:
            stop.set()
            wait(pieces)
    return [piece.result() for piece in pieces]
