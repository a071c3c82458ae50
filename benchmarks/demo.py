"""demo-second-start: seconds from typing ``odesim compare --out DIR`` to its picture, kernels compiled before.

The main job of the README with all its defaults, in a process of its own each time, on as many threads as it takes.
Seconds are the wall's, so the processor's stand beside them, and the load; a first start fills the cache and is not
counted.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import machine
from benchmarks.report import Result, row
from odesim.checks import RunError

WORDS = ("-m", "odesim", "compare")
PROMISED = 20.0
"""Seconds it may take."""

STARTS = 3


def measure(repeats: int) -> Result:
    """Start it once to fill the cache, then again; three times at most."""
    load = machine.load()
    with tempfile.TemporaryDirectory() as folder:
        first, *again = (_seconds(Path(folder) / "results") for _ in range(1 + min(repeats, STARTS)))
    wall, processor = min(again)
    note = (
        f"demo-second-start: wall time, {processor:.1f} s of processor time in it; its first start here took "
        f"{first[0]:.1f} s; load average {load} before and {machine.load()} after"
    )
    return Result([row("demo-second-start", wall, "promise", PROMISED, promised=1.0)], [note])


def _seconds(out: Path) -> tuple[float, float]:
    """Seconds of one start, the wall's and the processor's; BLAS is not held at one thread, as it is not for a user."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    start, before = time.perf_counter(), machine.children()
    done = subprocess.run([sys.executable, *WORDS, "--out", str(out)], capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RunError(f"odesim compare ended with code {done.returncode}: {done.stderr.strip()}")
    return time.perf_counter() - start, machine.children() - before
