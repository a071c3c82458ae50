"""Timing: contenders take turns, so that a busy machine is busy for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping


def least_seconds(
    contenders: Mapping[str, Callable[[], object]], repeats: int, clock: Callable[[], float] | None = None
) -> dict[str, float]:
    """CPU seconds of this thread in one call of each: the least of ``repeats``, a first call left out.

    ``clock`` = ``time.process_time`` counts all threads: for contenders that compute in threads of their own.

    What others do to a machine only ever adds time, so the least is what the work itself takes.
    """
    now = clock or time.thread_time
    for call in contenders.values():
        call()  # compiles, fills caches
    least = dict.fromkeys(contenders, float("inf"))
    for _ in range(repeats):
        for name, call in contenders.items():
            start = now()
            call()
            least[name] = min(least[name], now() - start)
    return least
