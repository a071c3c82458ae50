"""Picture of a comparison: the ODE over SGD's runs, in risk and in overlaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from odesim.comparison import Comparison
from odesim.plotting.figures import INK, new_axes, step_axis
from odesim.plotting.overlaps import draw_overlaps, finish_overlaps
from odesim.plotting.plateaus import draw_levels, draw_risk, finish_risk, shade, strip

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_comparison(c: Comparison, ax: Axes | None = None) -> Axes:
    """Draw the ODE's risk over SGD's runs, with predicted levels and detected plateaus; below, the overlaps.

    The ODE's plateaus are shaded over the whole height, those of SGD's median marked by a bar along the lower
    edge.

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
    upper.figure.suptitle(_title(c.ode.settings), fontsize=11)
    return upper


def _title(settings: dict[str, Any]) -> str:
    """Say what was learned, by whom and at which rate, as far as the settings tell."""
    target, network, training = (_table(settings, name) for name in ("target", "network", "training"))
    what = f"Learning {target['expression']}: " if "expression" in target else ""
    facts = [f"{mark} = {network[key]}" for mark, key in (("d", "dim"), ("N", "width")) if key in network]
    if "eta" in training and "dim" in network:
        facts.append(f"η·d = {training['eta'] * network['dim']:.3g}")
    return f"{what}ODE over SGD" + (f"  ({', '.join(facts)})" if facts else "")


def _table(settings: dict[str, Any], name: str) -> dict[str, Any]:
    table = settings.get(name)
    return table if isinstance(table, dict) else {}


def _draw_upper(ax: Axes, c: Comparison) -> None:
    """Draw the panel of the risk."""
    step_axis(ax, c.ode, c.sgd, label=False)
    draw_risk(ax, c.ode)
    draw_risk(ax, c.sgd)
    draw_levels(ax, c.path)
    shade(ax, c.plateaus["ode"])
    strip(ax, c.plateaus["sgd"])
    finish_risk(ax, c.ode, c.sgd, path=c.path)
