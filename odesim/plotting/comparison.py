"""Picture of a comparison: the ODE, and the chain, over SGD's runs, in risk and in overlaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from odesim.comparison import Comparison
from odesim.plotting.figures import INK, new_axes, step_axis, title
from odesim.plotting.overlaps import draw_overlaps, finish_overlaps
from odesim.plotting.plateaus import draw_chain, draw_levels, draw_risk, finish_risk, shade, strip

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_comparison(c: Comparison, ax: Axes | None = None) -> Axes:
    """Draw the ODE's risk over SGD's runs, with predicted levels and detected plateaus; below, the overlaps.

    The ODE's plateaus are shaded over the whole height, those of SGD's median marked by a bar along the lower
    edge. Where there is a chain, the median of its risk is dotted, between lines along its quartiles.

    Parameters
    ----------
    c : Comparison
    ax : matplotlib Axes, optional
        Where to draw the risk, then without the overlaps; by default a figure of two panels,
        ``ax.figure``.

    Returns
    -------
    matplotlib Axes
        That of the risk.
    """
    if ax is not None:
        _draw_upper(ax, c)
        step_axis(ax, c.ode, c.sgd)
        return ax
    upper, lower = new_axes(4.0, 2.4)
    _draw_upper(upper, c)
    for one, named in ((c.sgd, False), (c.ode, True)):
        draw_overlaps(lower, one, named=named)
    for flat in c.plateaus["ode"]:
        lower.axvspan(max(flat.start_step, 0.5), flat.end_step, color=INK, alpha=0.09, lw=0, zorder=0)
    finish_overlaps(lower, c.ode, c.sgd)
    step_axis(lower, c.ode, c.sgd)
    what = "ODE over SGD" if c.chain is None else "ODE and chain over SGD"
    upper.figure.suptitle(title(c.ode.settings, what), fontsize=11, y=0.993)
    return upper


def _draw_upper(ax: Axes, c: Comparison) -> None:
    """Draw the panel of the risk."""
    step_axis(ax, c.ode, c.sgd, label=False)
    draw_risk(ax, c.ode)
    draw_risk(ax, c.sgd)
    if c.chain is not None:
        draw_chain(ax, c.chain)
    draw_levels(ax, c.path)
    shade(ax, c.plateaus["ode"])
    strip(ax, c.plateaus["sgd"])
    finish_risk(ax, c.ode, c.sgd, *(() if c.chain is None else (c.chain,)), path=c.path)
