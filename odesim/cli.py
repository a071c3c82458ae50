"""The command line: flags are the fields of an Experiment; nothing is computed here."""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from odesim.checks import InputError, RunError, choice
from odesim.flags import experiment_of, experiment_parser, expression_of, leap_parser, parse, top_parser

if TYPE_CHECKING:
    from odesim.experiment import Experiment, Result, Simulation

DONE, ENDED_EARLY, BAD_INPUT = 0, 1, 2

WORTH_SAYING = 1e9
"""Bytes from which on a run's memory is told."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 when done, 1 when ended early with what it has kept, 2 for bad input."""
    words = list(sys.argv[1:] if argv is None else argv)
    with _terminable():
        return _main(words)


def _main(words: list[str]) -> int:
    """Call the command; an error is one line and an exit code."""
    try:
        with _rare_collections():
            return _run(words)
    except InputError as error:
        return _complain(error, BAD_INPUT)
    except RunError as error:
        return _complain(error, ENDED_EARLY)
    except MemoryError as error:
        return _complain(f"too little memory ({error}); lower network.width, network.dim or run.points", BAD_INPUT)
    except BrokenPipeError:  # the reader, such as head, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ENDED_EARLY
    except KeyboardInterrupt:
        return _complain("interrupted; files already written are kept", ENDED_EARLY)


def _run(words: list[str]) -> int:
    if words and words[0] in COMMANDS:
        return COMMANDS[words[0]](words[1:])
    if words and not words[0].startswith("-"):
        choice("command", words[0], tuple(COMMANDS))
    top_parser(COMMANDS).parse_args(words)
    raise InputError(f"no command; give one of {', '.join(COMMANDS)}, as in odesim compare 'z1*z2'")


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """Look for cycles a hundred times more rarely: imports make many objects and hardly a cycle, a run hardly any."""
    before = gc.get_threshold()
    gc.set_threshold(100 * before[0], *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end a run as ctrl-C does: with what it has kept."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def compare(words: list[str]) -> int:
    """Compare: integrate the ODE, run SGD from the same weights, draw, write and print how they agree."""
    flags = parse(experiment_parser("compare"), words)
    experiment = experiment_of(flags)
    out = _announce(experiment, flags, alone=False)
    result = experiment.run(
        progress=False if flags.quiet else None, ready=lambda name, run: run.save(out / f"{name}.npz")
    )
    _write(result, out, "compare.png", _picture_of_comparison)
    return _report(result.comparison.text(), result.failure, out, flags)


def simulate(words: list[str]) -> int:
    """Simulate: run one dynamics, draw, write and print what its risk did."""
    flags = parse(experiment_parser("simulate"), words)
    experiment = experiment_of(flags)
    out = _announce(experiment, flags, alone=True)
    result = experiment.simulate(
        progress=False if flags.quiet else None,
        ready=lambda run: run.save(out / "trajectory.npz"),
        checkpoint=flags.checkpoint,
        resume=flags.resume,
    )
    _write(result, out, "simulate.png", _picture_of_simulation)
    return _report(result.findings.text(), result.failure, out, flags)


def leap(words: list[str]) -> int:
    """Leap: print what is known of a target before any training."""
    import json

    from odesim.dossier import describe, table
    from odesim.targets.series import Target

    flags = parse(leap_parser(), words)
    about = describe(Target.parse(expression_of(flags.expression), data=flags.data))
    print(json.dumps(about, indent=2, allow_nan=False) if flags.json else table(about))
    return DONE


COMMANDS = {"compare": compare, "leap": leap, "simulate": simulate}


def _heading(start: Any) -> str:
    """What is known before the run: the target, its leap, and the levels with what ends each."""
    path = start.path
    ends = [
        f"  {level:.4g} until {label} is learned"
        for level, label in zip(path.plateau_levels, path.labels, strict=False)
    ]
    head = f"target {start.target}: leap {path.leap}, predicted plateaus of the risk"
    return "\n".join([head, *ends, f"  {path.plateau_levels[-1]:.4g} at the end"])


def _announce(experiment: Experiment, flags: argparse.Namespace, alone: bool) -> Path:
    """Print what is known before the run, and refuse what cannot be run; return the folder for files."""
    from odesim import files
    from odesim.resolve import blocked_messages

    keep = {"checkpoint": flags.checkpoint, "resume": flags.resume} if alone else {}
    need = experiment.refuse_what_does_not_fit(keep.get("checkpoint") is not None, alone)
    start = experiment.start
    out = files.writable_folder(flags.out)
    if not flags.quiet:
        about = "" if need.total < WORTH_SAYING else f"{need.text()}\n"
        print(f"{_heading(start)}\n\n{experiment.outlook.text()}\n{about}", flush=True)
    experiment.check(alone, **keep)  # which compiles what is not in the cache
    for message in blocked_messages(start.blocked):
        print(f"odesim: warning: {message}", file=sys.stderr)
    return out


def _report(text: str, failure: str | None, out: Path, flags: argparse.Namespace) -> int:
    """Print what was found, and return the exit code."""
    if not flags.quiet:
        print(f"{text}\nwritten to {out}")
    return DONE if failure is None else _complain(failure, ENDED_EARLY)


def _write(result: Result | Simulation, out: Path, picture: str, draw: Callable[[Any], Any]) -> None:
    """Write what stands beside the trajectories; one that fails does not keep the others away."""
    from odesim.files import write_json

    writers = [
        lambda: result.experiment.save(out / "config.toml"),
        lambda: write_json(out / "summary.json", result.summary()),
        lambda: _write_picture(result, draw, out / picture),
    ]
    with contextlib.ExitStack() as stack:
        for writer in reversed(writers):
            stack.callback(writer)


def _load_matplotlib() -> None:
    """Load it without the tables of properties in its docstrings, a fifth of its import; no command shows them."""
    from matplotlib import artist

    table, artist.kwdoc = artist.kwdoc, lambda artist: ""
    try:
        importlib.import_module("matplotlib.figure")
    finally:
        artist.kwdoc = table


def _write_picture(result: Any, draw: Callable[[Any], Any], path: Path) -> None:
    from odesim.files import replacing
    from odesim.plotting.figures import write_png

    _load_matplotlib()
    figure = draw(result).get_figure(root=True)
    with replacing(path) as handle:
        write_png(figure, handle)


def _picture_of_comparison(result: Result) -> Any:
    from odesim import plot_comparison

    return plot_comparison(result.comparison)


def _picture_of_simulation(result: Simulation) -> Any:
    from odesim import plot_simulation

    return plot_simulation(result.trajectory, result.findings.path, rule=result.experiment.plateaus)


def _complain(message: Any, code: int) -> int:
    """Print one line on stderr and return the exit code."""
    print("odesim: error:", " ".join(str(message).split()), file=sys.stderr)
    return code
