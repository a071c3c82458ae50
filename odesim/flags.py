"""Flags of the command line: which words set which field of an experiment."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn

from odesim import __version__
from odesim.checks import InputError, choice

if TYPE_CHECKING:
    from odesim.experiment import Experiment


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
            value = list(itertools.islice(queue, 1))
            if value and value[0] in takes_value:
                raise InputError(f"{word} has no value before {value[0]}; give one, see {parser.prog} --help")
            flags.append("=".join([word, *value]))
        elif word.startswith("--") or word in takes_value:
            flags.append(word)
        else:
            rest.append(word)
    return parser.parse_args([*flags, "--", *rest] if rest else flags)


def experiment_of(flags: argparse.Namespace) -> Experiment:
    """Return the experiment the flags describe: the file or the demo, then --set, then the named flags."""
    from odesim.experiment import Experiment
    from odesim.specs import options

    texts: dict[str, str] = {}
    for pair in flags.set:
        name, equals, text = pair.partition("=")
        if not equals:
            raise InputError(f"--set {pair} has no value; write it as in --set network.dim=400")
        texts[name.strip()] = text.strip()
    expression = None if flags.expression is None else expression_of(flags.expression)
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
    """Read a list of tables as TOML writes it in one line, or a word for one."""
    import tomllib

    if text[:1].isalpha():
        return text
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
    default = "" if one.default in (None, ()) else f" (default: {one.default})"
    return (text + choices + default).replace("%", "%%")


def top_parser(commands: Iterable[str]) -> argparse.ArgumentParser:
    """Return the parser of what stands before a command."""
    text = f"commands: {', '.join(commands)}; each has its own --help"
    parser = _Parser(
        prog="odesim",
        usage="odesim compare [EXPR] [options], odesim simulate [EXPR] [options], odesim leap EXPR [options]",
        description="How SGD learns sparse targets, plateau by plateau.",
        epilog=text,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"odesim {__version__}")
    return parser


def leap_parser() -> argparse.ArgumentParser:
    """Return the parser of ``odesim leap``."""
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


def experiment_parser(command: str) -> argparse.ArgumentParser:
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
    if command == "simulate":
        parser.add_argument(
            "--checkpoint", metavar="FILE", help="keep the run here, at least every 2 s (sgd, layerwise)"
        )
        parser.add_argument(
            "--resume", action="store_true", help="go on from the checkpoint if there is one, to the same bits"
        )
    for name, one in options().items():
        flag = _flag(name, one.metadata)
        if flag is None or one.metadata.get("only", command) != command:
            continue
        if isinstance(one.default, bool):
            text = one.metadata["help"]
            const, text = ("false", f"drop {text}") if one.default else ("true", text)
            parser.add_argument(flag, dest=name, action="store_const", const=const, help=text)
        else:
            parser.add_argument(flag, dest=name, metavar=name.split(".")[1].upper(), help=_help(one))
    return parser


def expression_of(text: str) -> str:
    """The expression, read from standard input where it is ``-``: one argument holds 128 KiB at most."""
    if text != "-":
        return text
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise InputError(f"standard input is no text ({error.reason}); give an expression such as z1*z2") from error
