"""Bar: the share of a job that is done, on stderr."""

from __future__ import annotations

import shutil
import sys
import threading
from types import TracebackType
from typing import Any


class Bar:
    """A progress bar that any thread may move, forwards only; silent where it is not wanted."""

    def __init__(self, label: str, show: bool | None) -> None:
        self._lock = threading.Lock()
        self._bar: Any = None
        if sys.stderr.isatty() if show is None else show:
            from tqdm import tqdm

            form = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
            columns, rows = shutil.get_terminal_size()  # 80 × 24 where the terminal does not tell
            self._bar = tqdm(
                total=1.0,
                desc=label,
                bar_format=form,
                file=sys.stderr,
                leave=False,
                ncols=min(columns, 100),
                nrows=rows,
            )

    def __call__(self, share: float) -> None:
        """Move it to this share, unless it is there already."""
        if self._bar is not None:
            with self._lock:
                self._bar.update(max(min(share, 1.0) - self._bar.n, 0.0))

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.refresh()
            self._bar.close()
