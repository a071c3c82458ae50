"""import, cli-start: the time until work begins, each in a process of its own.

- import: ``import odesim``, which loads NumPy when the first name is used, beside ``import numpy``. It must load
  neither numba nor SciPy.
- cli-start: ``odesim compare`` of 1000 steps with its picture, after one such run has filled the cache. No peer: its
  time stands in a note.

Times are the CPU time of the process with all its threads, which a busy machine stretches less than the wall's.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import children
from benchmarks.report import Result, row
from odesim.checks import RunError

STEPS, RUNS = 1000, 7

COMPARE = ("-m", "odesim", "compare", "z1 + z1*z2*z3", "--steps", str(STEPS))


def measure(repeats: int) -> Result:
    """Start processes in turn; seven of each at most."""
    runs = min(repeats, RUNS)
    least = _least({name: ("-c", f"import {name}") for name in ("sys", "numpy", "odesim")}, runs)
    loaded = _output(("-c", "import odesim, sys; print(*sorted({'numba', 'scipy'} & set(sys.modules)))")).strip()
    notes = [
        f"import: odesim takes {least['odesim'] - least['sys']:.3f} s beyond the start of Python, and loads "
        f"{loaded or 'neither numba nor scipy'}"
    ]
    with tempfile.TemporaryDirectory() as folder:
        words = (*COMPARE, "--out", str(Path(folder) / "result"))
        _output(words)  # fills the cache
        again = _least({"compare": words}, min(runs, 3))["compare"]
    notes.append(
        f"cli-start: odesim compare of {STEPS} steps takes {again:.2f} s in a second process, with its picture"
    )
    return Result([row("import", least["odesim"], "numpy", least["numpy"])], notes)


def _least(commands: dict[str, Sequence[str]], runs: int) -> dict[str, float]:
    """CPU seconds of each, the least of ``runs``."""
    least = dict.fromkeys(commands, float("inf"))
    for _ in range(runs):
        for name, words in commands.items():
            start = children()
            _output(words)
            least[name] = min(least[name], children() - start)
    return least


def _output(words: Sequence[str]) -> str:
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    if done.returncode:
        raise RunError(f"{' '.join(words)} ended with code {done.returncode}: {done.stderr.strip()}")
    return done.stdout
