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
    "sgd-batch64": "sgd_batch64",
    "normals": "normals",
    "sgd-two-runs": "two_runs",
    "demo-second-start": "demo",
    "chain": "chain",
    "leap": "leap",
    "thousand-neurons": "thousand_neurons",
    "chain-one-neuron": "chain_alone",
}
"""Names of the cases and the modules whose ``measure(repeats)`` returns a Result."""

REPEATS, QUICK_REPEATS = 50, 5

NOT_QUICK = ("demo-second-start",)
"""Cases that --quick leaves out unless they are named."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; return 0 when done, 1 when a run or the disk failed, 2 for bad input."""
    try:
        flags = _parser().parse_args(argv)
        names = [choice("--cases", name, tuple(CASES)) for name in _cases(flags).split(",")]
        if flags.json is not None:
            _check_writable(flags.json)
        _measure(names, QUICK_REPEATS if flags.quick else REPEATS, flags.json)
    except InputError as error:
        return _complain(error, BAD_INPUT)
    except RunError as error:
        return _complain(error, FAILED)
    return DONE


def _cases(flags: argparse.Namespace) -> str:
    chosen = [name for name in CASES if not (flags.quick and name in NOT_QUICK)]
    return str(flags.cases) if flags.cases is not None else ",".join(chosen)


def _measure(names: list[str], repeats: int, path: Path | None) -> None:
    from benchmarks import machine, report

    about, found = machine.machine(), machine.versions()
    print(machine.line(about, found), flush=True)
    with machine.one_blas_thread():
        results = [importlib.import_module(f"benchmarks.{CASES[name]}").measure(repeats) for name in names]
    print(report.table(results))
    if path is not None:
        files.write_json(path, {"machine": about, "versions": found, **report.as_json(results)})
        print(f"written to {path}")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m benchmarks",
        description="Time our kernels against peers: CPU time of one thread (the wall's for two runs at a time and the "
        "demo), the least of all repeats, contenders in turn. ratio = peer's time / ours, per unit of work (one "
        "integration, one SGD step); promised = the least ratio that the project asks for. Limits of the machine stand "
        "among the peers.",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"{QUICK_REPEATS} repeats instead of {REPEATS}, and no {', '.join(NOT_QUICK)} unless it is named",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write rows, notes, machine and versions")
    parser.add_argument("--cases", metavar="NAME,...", help=f"default: {','.join(CASES)}")
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
