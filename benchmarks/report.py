"""Rows, one a peer, and the table that shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple


class Row(NamedTuple):
    """Ours against one peer, in seconds per unit of work; an error is None where it means nothing.

    A limit of the machine, or seconds that were promised, stand in a peer's place; then the ratio is the share of the
    limit that ours reaches.
    """

    case: str
    ours_s: float
    peer: str
    peer_s: float
    ratio: float
    error_ours: float | None
    error_peer: float | None
    promised: float | None


class Result(NamedTuple):
    """What a case returns: its rows, and what a reader must know to judge them."""

    rows: list[Row]
    notes: list[str]


def row(
    case: str,
    ours_s: float,
    peer: str,
    peer_s: float,
    errors: tuple[float | None, float | None] = (None, None),
    promised: float | None = None,
) -> Row:
    """Fill in the ratio; ``errors`` are (ours, the peer's), ``promised`` is the least ratio that is asked for."""
    return Row(case, ours_s, peer, peer_s, peer_s / ours_s, *errors, promised)


def as_json(results: Sequence[Result]) -> dict[str, list[Any]]:
    """All rows as dicts, and the notes."""
    return {
        "rows": [one._asdict() for result in results for one in result.rows],
        "notes": [note for result in results for note in result.notes],
    }


def table(results: Sequence[Result]) -> str:
    """All rows in columns, then the notes."""
    head = ("case", "peer", "ours", "peer's", "ratio", "promised", "our error", "peer's error")
    lines = [head, *(_cells(one) for result in results for one in result.rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    text = [
        "  ".join(
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    return "\n".join([*text, *(note for result in results for note in result.notes)])


def _cells(one: Row) -> tuple[str, ...]:
    errors = ("-" if error is None else f"{error:.1e}" for error in (one.error_ours, one.error_peer))
    promised = "-" if one.promised is None else f"{one.promised:g}"
    return (one.case, one.peer, _seconds(one.ours_s), _seconds(one.peer_s), _ratio(one.ratio), promised, *errors)


def _ratio(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _seconds(value: float) -> str:
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"
