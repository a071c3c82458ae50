"""All that is known of a target before training, as one JSON object and as a table to read."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from odesim import laws
from odesim.checks import InputError
from odesim.complexity import information_exponent
from odesim.laws import Key
from odesim.leaps import Leaps, coordinates_text, direction_text, leaps
from odesim.predictions import MIXED, REFERENCES, predictions
from odesim.staircase import merged_staircase
from odesim.symmetry import stuck
from odesim.targets.series import Target

WIDTH = 100
LEAST = 24
"""Columns that a table's last one keeps where room is short."""
MAX_ROWS = 24
"""Rows of a section of the table, at most; the object holds them all."""


def describe(target: Target) -> dict[str, Any]:
    """Gather leaps, paths, symmetry and predicted exponents of a target.

    Parameters
    ----------
    target : Target

    Returns
    -------
    dict
        Ready for JSON. ``leap``; ``isoleap`` and ``isoleap_path`` (null on Boolean data), the latter with the
        keys ``path`` and ``plateau_levels``; ``information_exponent`` (null for a constant);
        ``merged_staircase``; ``generative_leap``, an upper bound, with ``generative_exponent`` and
        ``generative_powers`` (null on Boolean data); ``sq_leap`` (null on Gaussian data); ``plateau_levels`` in
        units of the risk; ``path``, coordinates from 1; ``symmetry`` (null on Gaussian data); ``exponents``;
        ``warnings``, among them what was beyond a bound and is null for that.
    """
    known = leaps(target)
    warnings = list(known.warnings)
    generative = known.generative
    return {
        "target": str(target),
        "data": target.data,
        "terms": len(target.series),
        "coordinates": target.P,
        "degree": target.degree,
        "energy": target.energy,
        "leap": known.path.leap,
        "isoleap": None if known.isotropic is None else known.isotropic.isoleap,
        "information_exponent": information_exponent(target),
        "merged_staircase": merged_staircase(target).holds,
        "generative_leap": None if generative is None else generative.value,
        "generative_exponent": None if generative is None else generative.exponent,
        "generative_powers": None if generative is None else generative.powers,
        "sq_leap": known.sq,
        "path": [
            {"leap": step.leap, "terms": _labels(step.keys), "coordinates": [i + 1 for i in step.coordinates]}
            for step in known.path.steps
        ],
        "plateau_levels": list(known.path.plateau_levels),
        "isoleap_path": _isotropic(known),
        "symmetry": _symmetry(target, warnings),
        "exponents": [asdict(row) for row in predictions(known)],
        "warnings": warnings,
    }


def _labels(keys: Iterable[Key]) -> list[str]:
    return [laws.element_text(key) for key in keys]


def _isotropic(known: Leaps) -> dict[str, Any] | None:
    """Return the recursion's steps by their directions, and its levels."""
    if known.isotropic is None:
        return None
    steps = []
    for step in known.isotropic.steps:
        rows = [[float(x) for x in row] for row in step.directions]
        touched = sorted({i + 1 for row in rows for i, x in enumerate(row) if abs(x) > 5e-7})
        names = [direction_text(row) for row in rows]
        steps.append({"leap": step.leap, "terms": names, "coordinates": touched, "directions": rows})
    return {"path": steps, "plateau_levels": [float(x) for x in known.isotropic.plateau_levels]}


def _symmetry(target: Target, warnings: list[str]) -> dict[str, Any] | None:
    """Return the verdict on traps of the mean-field flow, on Boolean data."""
    if target.data != "boolean":
        return None
    try:
        found = stuck(target)
    except InputError as error:
        warnings.append(f"symmetry not computed: {error}")
        return None
    return {
        "verdict": found.verdict,
        "classes": [list(one) for one in found.classes],
        "zero": list(found.zero),
        "floor": float(found.floor),
        "perturbation": None if found.freed_by is None else str(found.freed_by),
    }


def table(description: Mapping[str, Any]) -> str:
    """Lay out what `describe` returns, about a hundred columns wide, long parts abbreviated.

    Parameters
    ----------
    description : mapping
        From `describe`.

    Returns
    -------
    str
        Lines without a trailing newline.
    """
    sections = [_head(description), _summary(description), _path(description)]
    sections += [_isotropic_path(description), _traps(description), _groups(description), _totals(description)]
    sections += [_references(description), _warnings(description)]
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def shorten(text: str, width: int) -> str:
    """Cut a text at a sum's sign, or anywhere if need be, so that it fits with an ellipsis."""
    if len(text) <= width:
        return text
    cut = text[: width - 4]
    at = max(cut.rfind(" + "), cut.rfind(" - "))
    return f"{cut[:at] if at > width // 3 else cut.rstrip()} ..."


def _head(about: Mapping[str, Any]) -> list[str]:
    counts = f"{about['terms']} term{_s(about['terms'])}, {about['coordinates']} coordinate{_s(about['coordinates'])}"
    law = {"gaussian": "gaussian, z ~ N(0, I)", "boolean": "boolean, z ~ Unif{-1, 1}"}[about["data"]]
    return [
        f"target  {shorten(about['target'], WIDTH - 8)}",
        f"data    {law}; {counts}, degree {about['degree']}, variance {about['energy']:.6g}",
    ]


def _summary(about: Mapping[str, Any]) -> list[str]:
    """One line a number, each with what it means."""
    rows = [("leap", about["leap"], "largest new mass in the best order of the terms")]
    if about["data"] == "gaussian":
        rows.append(("isoLeap", about["isoleap"], "its largest value over rotations of the coordinates"))
    rows.append(("information exponent", about["information_exponent"], "smallest degree of a term"))
    rows.append(("merged staircase", "yes" if about["merged_staircase"] else "no", "yes when leap <= 1"))
    if about["data"] == "gaussian":
        p = about["generative_powers"]
        bound = _bound(about["generative_leap"])
        rows.append(("generative leap", bound, f"labels may be transformed; upper bound from h ... h^{p}"))
        bound = _bound(about["generative_exponent"])
        rows.append(("generative exponent", bound, "the same for the first direction found"))
    else:
        rows.append(("SQ-leap", about["sq_leap"], "labels may be transformed; exact"))
    return _columns(["", "", ""], [[name, "-" if value is None else str(value), text] for name, value, text in rows])


def _bound(value: int | None) -> str | None:
    """Text of an upper bound, which is the value itself where nothing is below."""
    return f"<= {value}" if value is not None and value > 1 else None if value is None else str(value)


def _path(about: Mapping[str, Any]) -> list[str]:
    """Steps along the axes with the plateau before and after each."""
    title = "path along the axes (risk = half the mean squared error; plateaus are at these levels)"
    rows = [_step(number, step, about["plateau_levels"]) for number, step in enumerate(about["path"], 1)]
    if not rows:
        return ["path    empty: the target is constant"]
    for row, step in zip(rows, about["path"], strict=True):
        row.append(" + ".join(step["terms"][:40]))
    names = ["step", "leap", "risk before", "risk after", "new coordinates", "terms completed"]
    return [title, *_columns(names, rows)]


def _isotropic_path(about: Mapping[str, Any]) -> list[str]:
    """Steps of the isotropic recursion, where they differ from those along the axes."""
    found = about["isoleap_path"]
    if found is None or not found["path"]:
        return []
    same = [(step["leap"], step["coordinates"]) for step in about["path"]]
    if same == [(step["leap"], step["coordinates"]) for step in found["path"]] and all(
        len(step["directions"]) == len(step["coordinates"]) for step in found["path"]
    ):
        return []
    title = "path in the worst rotation (isoLeap), which is the one that SGD sees"
    rows = [_step(number, step, found["plateau_levels"]) for number, step in enumerate(found["path"], 1)]
    for row, step in zip(rows, found["path"], strict=True):
        row[-1] = ", ".join(step["terms"])
    return [title, *_columns(["step", "leap", "risk before", "risk after", "new directions"], rows)]


def _step(number: int, step: Mapping[str, Any], levels: Sequence[float]) -> list[str]:
    before, after = levels[number - 1], levels[number]
    names = coordinates_text(step["coordinates"])
    return [str(number), str(step["leap"]), f"{before:.6g}", f"{after:.6g}", names]


def _traps(about: Mapping[str, Any]) -> list[str]:
    """Return the verdict on the mean-field flow from zero overlaps."""
    found = about["symmetry"]
    if found is None:
        return []
    meaning = {
        "stuck": f"risk >= {found['floor']:.6g} for ever, proved for width to infinity",
        "undecided": "symmetries last; the activation decides",
        "free": "no linear trap, which is no promise",
    }
    lines = [f"mean-field flow from zero overlaps: {found['verdict']} ({meaning[found['verdict']]})"]
    if found["classes"]:
        cells = "; ".join(", ".join(f"{'-' if i < 0 else ''}z{abs(i)}" for i in one) for one in found["classes"])
        lines.append(shorten(f"  overlaps that stay equal   {cells}", WIDTH))
    if found["zero"]:
        lines.append(shorten(f"  overlaps that stay zero    {coordinates_text(found['zero'])}", WIDTH))
    if found["perturbation"]:
        lines.append(shorten(f"  freed, for example, by     {found['perturbation']}", WIDTH))
    return lines


def _groups(about: Mapping[str, Any]) -> list[str]:
    """Flow time and steps of each group side by side."""
    groups: dict[int, list[Mapping[str, Any]]] = {}
    for row in about["exponents"]:
        if row["group"] is not None:
            groups.setdefault(row["group"], []).append(row)
    if not groups:
        return []
    title = "predicted growth of each step's time with the dimension d (support fixed)"
    rows = []
    for number, found in groups.items():
        name = found[0]["quantity"].partition("(")[2].removesuffix(")")
        rows.append([str(number), name, *(row["value"] for row in found), found[0]["status"]])
    names = ["step", "enters", "flow time", "SGD steps, one step size", "SGD steps, schedule", "status"]
    lines = [title, *_columns(names, rows)]
    lines.append(f"  source: {groups[1][0]['source']} (one step size), {groups[1][-1]['source']} (schedule)")
    return lines + ([f"  note: {MIXED}"] if any(MIXED in row["note"] for row in about["exponents"]) else [])


def _totals(about: Mapping[str, Any]) -> list[str]:
    """Predicted exponents of the whole: quantity, growth, status, source."""
    chosen = [row for row in about["exponents"] if row["group"] is None]
    if not chosen:
        return []
    title = "predicted growth of the whole with d (polylogarithms suppressed)"
    rows = [[row["quantity"], row["value"], row["status"], row["source"]] for row in chosen]
    return [title, *_columns(["quantity", "grows as", "status", "source"], rows)]


def _references(about: Mapping[str, Any]) -> list[str]:
    used = " ".join(row["source"] for row in about["exponents"])
    return [f"{key}  {title}" for key, title in REFERENCES.items() if key in used]


def _warnings(about: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for text in about["warnings"]:
        lines += textwrap.wrap(f"warning: {text}", WIDTH, subsequent_indent="  ")
    return lines


def _columns(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Align a table whose last column takes what is left of the width; long tables lose their middle."""
    shown = list(rows)
    if len(rows) > MAX_ROWS:
        half = MAX_ROWS // 2
        gap = [f"... {len(rows) - 2 * half} more", *[""] * (len(names) - 1)]
        shown = [*rows[:half], gap, *rows[-half:]]
    heads = [list(names)] if any(names) else []
    full = [*heads, *([str(cell) for cell in row] for row in shown)]
    widths = [max(len(row[i]) for row in full) for i in range(len(names))]
    while sum(widths) + 2 * len(names) > WIDTH:
        # The last column gives way first, then the widest.
        at = len(names) - 1 if widths[-1] > LEAST else max(range(len(names)), key=widths.__getitem__)
        widths[at] -= 1
    return [_line(row, widths) for row in full]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [shorten(cell, width).ljust(width) for cell, width in zip(row, widths, strict=True)]
    return ("  " + "  ".join(cells)).rstrip()


def _s(count: int) -> str:
    return "" if count == 1 else "s"
