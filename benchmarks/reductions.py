"""The measured numbers of docs/overlap-flow.md, correlation-flow.md and mean-field-flow.md.

``python -m benchmarks.reductions`` measures all of them in about five minutes, and prints the tables of the pages;
``--quick`` takes the smallest sizes of each, to see that everything runs.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = "1"

import argparse
import importlib
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine
from benchmarks.tables import Table
from odesim import files

PAGES = {
    "overlap": "reductions_overlap",
    "correlation": "reductions_correlation",
    "mean-field": "reductions_mean_field",
}
"""Pages and the modules whose ``measure(quick)`` returns their tables."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reductions", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the smallest sizes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the tables, the machine, the versions")
    parser.add_argument("--pages", default=",".join(PAGES), metavar="NAME,...", help="default: %(default)s")
    flags = parser.parse_args(argv)
    names = flags.pages.split(",")
    if unknown := [name for name in names if name not in PAGES]:
        parser.error(f"--pages={unknown[0]!r} is none of {', '.join(PAGES)}")
    about, found = machine.machine(), machine.versions()
    print(machine.line(about, found), flush=True)
    tables = {}
    with machine.one_blas_thread():
        for name in names:
            started = time.perf_counter()
            tables[name] = importlib.import_module(f"benchmarks.{PAGES[name]}").measure(flags.quick)
            print(f"\n## {name} flow, {time.perf_counter() - started:.0f} s\n")
            print("\n".join(table.markdown() for table in tables[name]), flush=True)
    if flags.json is not None:
        files.write_json(flags.json, {"machine": about, "versions": found, "tables": as_json(tables)})
        print(f"written to {flags.json}")
    return 0


def as_json(tables: dict[str, list[Table]]) -> dict[str, list[dict[str, object]]]:
    """Tables of every page as dicts."""
    return {page: [table.as_json() for table in some] for page, some in tables.items()}


if __name__ == "__main__":
    sys.exit(main())
