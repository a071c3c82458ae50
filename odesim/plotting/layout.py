"""Layout of panels that stand one above the other: all they carry is on the figure, found in one look at it."""

from __future__ import annotations

from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import LayoutEngine
from matplotlib.transforms import BboxBase

PAD = 0.05
"""Empty space around everything and between panels, in inches."""

LOOKS, MOVED = 3, 0.1
"""Most looks, and the change of a panel's height that asks for another: it may change the ticks."""


class Stacked(LayoutEngine):
    """Give panels the margins that their labels, legends and notes need, and the figure's title its line.

    matplotlib's constrained layout finds the same for any grid, in twice the looks; one takes a tenth of a second.
    """

    _adjust_compatible = True
    _colorbar_gridspec = False

    def __init__(self, panels: list[Axes]) -> None:
        super().__init__()
        self._panels = panels

    def set(self) -> None:
        """Take no parameters."""

    def execute(self, fig: Figure) -> None:
        """Place the panels; a figure too small for what they carry stays as it is."""
        for _ in range(LOOKS):
            before = self._panels[0].bbox.height
            if not self._place(fig) or abs(self._panels[0].bbox.height - before) < MOVED * before:
                return

    def _place(self, fig: Figure) -> bool:
        """Look once and place; False where there is no room."""
        width, height, pad = fig.bbox.width, fig.bbox.height, PAD * fig.dpi
        boxes = [(ax.bbox, _outside(ax)) for ax in self._panels]
        left = pad + max(inner.x0 - outer.x0 for inner, outer in boxes)
        right = width - pad - max(outer.x1 - inner.x1 for inner, outer in boxes)
        bottom = pad + boxes[-1][0].y0 - boxes[-1][1].y0
        title = min([height, *(text.get_window_extent().y0 for text in fig.texts)])
        top = title - pad - (boxes[0][1].y1 - boxes[0][0].y1)
        gaps = [upper.y0 - below.y0 + above.y1 - lower.y1 + pad for (upper, below), (lower, above) in pairwise(boxes)]
        gap, panels = max([0.0, *gaps]), len(boxes)
        room = (top - bottom - gap * (panels - 1)) / panels
        if right <= left or room <= 0:
            return False
        fig.subplots_adjust(left / width, bottom / height, right / width, top / height, hspace=gap / room)
        return True


def _outside(ax: Axes) -> BboxBase:
    """Return the box of all that a panel carries."""
    return ax.get_tightbbox(for_layout_only=True) or ax.bbox
