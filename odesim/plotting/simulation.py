"""Picture of one run or one ensemble: its risk over its overlaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from odesim.plateaus import PlateauRule, find_plateaus
from odesim.plotting.figures import INK, new_axes, step_axis, title
from odesim.plotting.overlaps import draw_overlaps, finish_overlaps
from odesim.plotting.plateaus import draw_levels, draw_risk, finish_risk, shade
from odesim.trajectory import Trajectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from odesim.complexity import LeapPath


def plot_simulation(trajectory: Trajectory, path: LeapPath | None = None, *, rule: PlateauRule | None = None) -> Axes:
    """Draw the risk with predicted levels and detected plateaus, and below it the overlaps with each coordinate.

    Parameters
    ----------
    trajectory : Trajectory
        A single run is drawn as lines, an ensemble as medians over bands of quantiles.
    path : LeapPath, optional
        Its levels are drawn dashed, each with the terms whose learning ends it.
    rule : PlateauRule, optional
        What counts as a plateau.

    Returns
    -------
    matplotlib Axes
        That of the risk; the figure is ``ax.figure``.
    """
    upper, lower = new_axes(4.0, 2.4)
    plateaus = find_plateaus(trajectory, path, rule=rule)
    step_axis(upper, trajectory, label=False)
    draw_risk(upper, trajectory)
    if path is not None:
        draw_levels(upper, path)
    shade(upper, plateaus, predicted=path is not None)
    finish_risk(upper, trajectory, path=path, headroom=1.25)  # so that the legend hides no level
    draw_overlaps(lower, trajectory, named=True)
    for flat in plateaus:
        lower.axvspan(max(flat.start_step, 0.5), flat.end_step, color=INK, alpha=0.09, lw=0, zorder=0)
    finish_overlaps(lower, trajectory)
    step_axis(lower, trajectory)
    upper.figure.suptitle(title(trajectory.settings, trajectory.kind or "one run"), fontsize=11, y=0.993)
    return upper
