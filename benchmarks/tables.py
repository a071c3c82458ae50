"""Tables of measured numbers: Markdown for the pages in docs/, plain dicts for JSON."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

Cell = str | int | float | None


class Table(NamedTuple):
    """Rows of one measurement, with the settings that they need to be made again."""

    name: str
    settings: str
    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]]

    def markdown(self) -> str:
        """Return the table as it stands in the pages."""
        lines = [self.columns, tuple("---" for _ in self.columns), *(tuple(map(text, row)) for row in self.rows)]
        body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        return f"{self.name}: {self.settings}\n\n{body}\n"

    def as_json(self) -> dict[str, Any]:
        """Return the table with its numbers unrounded."""
        return self._asdict()


def text(cell: Cell) -> str:
    """Three figures of a float; a dash for what was not measured."""
    if cell is None:
        return "–"
    if not isinstance(cell, float) or cell == 0 or not math.isfinite(cell):
        return str(cell)
    digits = max(0, 2 - math.floor(math.log10(abs(cell))))
    return f"{cell:.{digits}f}" if 1e-4 <= abs(cell) < 1e5 else f"{cell:.1e}"
