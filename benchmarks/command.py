"""The command line: which cases, how many repeats, where to; a table on stdout and the same as JSON."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from odesim import files
from odesim.checks import InputError, RunError, choice

DONE, FAILED, BAD_INPUT = 0, 1, 2

CASES = {
    "overlap-flow": "overlap_flow",
    "saad-solla": "saad_solla",
    "overlap-rhs": "overlap_rhs",
    "start-up": "start_up",
    "sgd-batch1": "sgd_batch1",
    "chain": "chain",
    "leap": "leap",
    "thousand-neurons": "thousand_neurons",
    "chain-one-neuron": "chain_alone",
}
"""Names of the cases and the modules whose ``measure(repeats)`` returns a Result."""

REPEATS, QUICK_REPEATS = 50, 5


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; return 0 when done, 1 when a run or the disk failed, 2 for bad input."""
    try:
        flags = _parser().parse_args(argv)
        names = [choice("--cases", name, tuple(CASES)) for name in flags.cases.split(",")]
        if flags.json is not None:
            _check_writable(flags.json)
        _measure(names, QUICK_REPEATS if flags.quick else REPEATS, flags.json)
    except InputError as error:
        return _complain(error, BAD_INPUT)
    except RunError as error:
        return _complain(error, FAILED)
    return DONE


def _measure(names: list[str], repeats: int, path: Path | None) -> None:
    from benchmarks import machine, report

    about, found = machine.machine(), machine.versions()
    print(machine.line(about, found), flush=True)
    with machine.one_blas_thread():
        results = [importlib.import_module(f"benchmarks.{CASES[name]}").measure(repeats) for name in names]
    print(report.table(results))
    if path is not None:
        files.write_json(path, {"machine": about, "versions": found, "rows": report.as_json(results)})
        print(f"written to {path}")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m benchmarks",
        description="Time our kernels against peers: CPU time of one thread, the least of all repeats, contenders in "
        "turn. ratio = peer's time / ours, per unit of work (one integration, one SGD step).",
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_REPEATS} repeats instead of {REPEATS}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows, the machine and the versions")
    parser.add_argument("--cases", default=",".join(CASES), metavar="NAME,...", help="default: %(default)s")
    return parser


def _check_writable(path: Path) -> None:
    """Refuse, before any time is spent, a file that could not be written at the end."""
    if os.path.isdir(path):  # False, not an error, for a name that no system takes
        raise InputError(f"--json={str(path)!r} is a folder; give a file")
    try:
        # a neighbour with a longer name, as the file itself will be written
        tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".reserved.part").close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"--json={str(path)!r} cannot be written ({reason}); choose another folder") from error


def _complain(message: object, code: int) -> int:
    print(f"benchmarks: error: {message}", file=sys.stderr)
    return code
