"""The command line: flags are the fields of an Experiment; nothing is computed here."""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import itertools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from odesim import __version__
from odesim.checks import InputError, RunError, choice

if TYPE_CHECKING:
    from odesim.experiment import Experiment, Result, Simulation

DONE, ENDED_EARLY, BAD_INPUT = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 when done, 1 when ended early with what it has kept, 2 for bad input."""
    words = list(sys.argv[1:] if argv is None else argv)
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
    _top_parser().parse_args(words)
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


def compare(words: list[str]) -> int:
    """Compare: integrate the ODE, run SGD from the same weights, draw, write and print how they agree."""
    flags = parse(_experiment_parser("compare"), words)
    experiment = _experiment(flags)
    out = _announce(experiment, flags)
    result = experiment.run(
        progress=False if flags.quiet else None, ready=lambda name, run: run.save(out / f"{name}.npz")
    )
    _write(result, out, "compare.png", _picture_of_comparison)
    return _report(result.comparison.text(), result.failure, out, flags)


def simulate(words: list[str]) -> int:
    """Simulate: run one dynamics, draw, write and print what its risk did."""
    flags = parse(_experiment_parser("simulate"), words)
    experiment = _experiment(flags)
    out = _announce(experiment, flags)
    result = experiment.simulate(
        progress=False if flags.quiet else None, ready=lambda run: run.save(out / "trajectory.npz")
    )
    _write(result, out, "simulate.png", _picture_of_simulation)
    return _report(result.findings.text(), result.failure, out, flags)


def leap(words: list[str]) -> int:
    """Leap: print what is known of a target before any training."""
    import json

    from odesim.dossier import describe, table
    from odesim.targets.series import Target

    flags = parse(_leap_parser(), words)
    about = describe(Target.parse(_expression(flags.expression), data=flags.data))
    print(json.dumps(about, indent=2, allow_nan=False) if flags.json else table(about))
    return DONE


COMMANDS = {"compare": compare, "leap": leap, "simulate": simulate}


def _expression(text: str) -> str:
    """The expression, read from standard input where it is ``-``: one argument holds 128 KiB at most."""
    if text != "-":
        return text
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise InputError(f"standard input is no text ({error.reason}); give an expression such as z1*z2") from error


def _heading(start: Any) -> str:
    """What is known before the run: the target, its leap, and the levels with what ends each."""
    path = start.path
    ends = [
        f"  {level:.4g} until {label} is learned"
        for level, label in zip(path.plateau_levels, path.labels, strict=False)
    ]
    head = f"target {start.target}: leap {path.leap}, predicted plateaus of the risk"
    return "\n".join([head, *ends, f"  {path.plateau_levels[-1]:.4g} at the end"])


def _announce(experiment: Experiment, flags: argparse.Namespace) -> Path:
    """Print what is known before the run; return the folder, which must take files."""
    from odesim import files
    from odesim.resolve import blocked_messages

    start = experiment.start
    out = files.writable_folder(flags.out)
    if not flags.quiet:
        print(f"{_heading(start)}\n\n{experiment.outlook.text()}\n", flush=True)
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


class _Parser(argparse.ArgumentParser):
    """argparse with errors of one line, raised."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see {self.prog} --help")


def parse(parser: argparse.ArgumentParser, words: list[str]) -> argparse.Namespace:
    """Parse words of which the expression, or a flag's value, may begin with a minus."""
    takes_value = {flag: action.nargs != 0 for action in parser._actions for flag in action.option_strings}
    flags: list[str] = []
    rest: list[str] = []
    queue = iter(words)
    for word in queue:
        if word == "--":
            rest.extend(queue)
        elif takes_value.get(word):
            flags.append("=".join([word, *itertools.islice(queue, 1)]))
        elif word.startswith("--") or word in takes_value:
            flags.append(word)
        else:
            rest.append(word)
    return parser.parse_args([*flags, "--", *rest] if rest else flags)


def _experiment(flags: argparse.Namespace) -> Experiment:
    """Return the experiment the flags describe: the file or the demo, then --set, then the named flags."""
    from odesim.experiment import Experiment
    from odesim.specs import options

    texts: dict[str, str] = {}
    for pair in flags.set:
        name, equals, text = pair.partition("=")
        if not equals:
            raise InputError(f"--set {pair} has no value; write it as in --set network.dim=400")
        texts[name.strip()] = text.strip()
    expression = None if flags.expression is None else _expression(flags.expression)
    given = {name: vars(flags).get(name) for name in options()} | {"target.expression": expression}
    texts |= {name: text for name, text in given.items() if text is not None}
    base = Experiment() if flags.config is None else Experiment.load(flags.config)
    return base.replace({name: _value(name, text) for name, text in texts.items()})


def _value(name: str, text: str) -> Any:
    """Turn text into a value of the kind that the dotted name holds; the experiment checks its bounds."""
    from odesim.specs import dynamics_option, find_option, kind_of

    kind = "any" if dynamics_option(name) else kind_of(find_option(name))
    if kind == "str":
        return text
    if kind == "bool":
        return choice(name, text.lower(), ("true", "false")) == "true"
    if kind == "any" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind == "tables":
        return _tables(name, text)
    for number in (int, float):
        with contextlib.suppress(ValueError):
            return number(text)
    if kind == "any":
        return text
    raise InputError(f"{name}={text!r} is not a number; give one")


def _tables(name: str, text: str) -> Any:
    """Read a list of tables as TOML writes it in one line."""
    import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            f"{name}={text!r} is no TOML list of tables, as in [{{until = 100, rate = 0.5}}, {{}}]"
        ) from error


def _flag(name: str, metadata: Any) -> str | None:
    """The flag of a field: declared, or made from its name for the thresholds of plateaus."""
    table, key = name.split(".")
    return f"--plateau-{key}" if table == "plateaus" else metadata.get("flag")


def _help(one: Any) -> str:
    """Help of a field, its choices and its default."""
    text = one.metadata.get("help", f"threshold {one.name!r} of the plateau rule")
    choices = f", {' or '.join(one.metadata['choices'])}" if "choices" in one.metadata else ""
    default = "" if one.default is None else f" (default: {one.default})"
    return (text + choices + default).replace("%", "%%")


def _complain(message: Any, code: int) -> int:
    """Print one line on stderr and return the exit code."""
    print("odesim: error:", " ".join(str(message).split()), file=sys.stderr)
    return code


def _top_parser() -> argparse.ArgumentParser:
    text = f"commands: {', '.join(COMMANDS)}; each has its own --help"
    parser = _Parser(
        prog="odesim",
        usage="odesim compare [EXPR] [options], odesim simulate [EXPR] [options], odesim leap EXPR [options]",
        description="How SGD learns sparse targets, plateau by plateau.",
        epilog=text,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"odesim {__version__}")
    return parser


def _leap_parser() -> argparse.ArgumentParser:
    about = "Print leap, path, plateau levels, symmetry and predicted exponents of a target."
    parser = _Parser(prog="odesim leap", description=about, allow_abbrev=False)
    parser.add_argument("expression", metavar="EXPR", help="polynomial in z1, z2, ...; - reads standard input")
    parser.add_argument("--data", metavar="LAW", default="gaussian", help="gaussian or boolean (default: gaussian)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    return parser


ABOUT = {
    "compare": "Integrate a flow, run SGD from the same weights, draw, write and print how they agree.",
    "simulate": "Run one dynamics (--dynamics), draw, write and print what its risk did.",
}


def _experiment_parser(command: str) -> argparse.ArgumentParser:
    """One flag for every field that has one."""
    from odesim.specs import options

    parser = _Parser(prog=f"odesim {command}", description=ABOUT[command], allow_abbrev=False)
    parser.add_argument(
        "expression",
        nargs="?",
        metavar="EXPR",
        help="polynomial in z1, z2, ... (default: z1 + z1*z2*z3); - reads standard input",
    )
    parser.add_argument("--config", metavar="FILE", help="TOML file of an experiment; other flags override it")
    parser.add_argument("--out", metavar="DIR", default="results", help="folder for the results (default: results)")
    parser.add_argument("--quiet", action="store_true", help="print nothing but warnings and errors")
    parser.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], help="any field, as in network.dim=400"
    )
    for name, one in options().items():
        flag = _flag(name, one.metadata)
        if flag is None:
            continue
        if isinstance(one.default, bool):
            parser.add_argument(
                flag, dest=name, action="store_const", const="false", help=f"drop {one.metadata['help']}"
            )
        else:
            parser.add_argument(flag, dest=name, metavar=name.split(".")[1].upper(), help=_help(one))
    return parser
