"""Picture of the risk: curves, predicted levels, detected plateaus."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from odesim.plateaus import Plateau, PlateauRule, find_plateaus
from odesim.plotting.figures import (
    CHAIN_COLOUR,
    FLOW_COLOUR,
    INK,
    RUNS_COLOUR,
    SMALL,
    draw,
    legend,
    new_axes,
    step_axis,
    tidy,
    time_axis,
)
from odesim.trajectory import Trajectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from odesim.complexity import LeapPath

RISK_LABEL = "population risk  ½E[(h − f)²]"
LABEL_GAP = 0.055
"""Least distance of two labels at the right margin, as a share of the axis."""
NOTE_WIDTH = 0.15
"""Width of a plateau, as a share of the axis, that holds two words."""


def plot_plateaus(
    trajectory: Trajectory,
    path: LeapPath | None = None,
    ax: Axes | None = None,
    *,
    rule: PlateauRule | None = None,
) -> Axes:
    """Draw the risk of one run or an ensemble, the predicted levels and the plateaus that were found.

    Parameters
    ----------
    trajectory : Trajectory
        An ensemble is drawn as its median over bands of quantiles.
    path : LeapPath, optional
        Its levels are drawn dashed, each with the terms whose learning ends it.
    ax : matplotlib Axes, optional
        Where to draw; by default a figure of its own, ``ax.figure``.
    rule : PlateauRule, optional
        What counts as a plateau.

    Returns
    -------
    matplotlib Axes
    """
    if ax is None:
        (ax,) = new_axes(4.2)
    step_axis(ax, trajectory)
    draw_risk(ax, trajectory)
    if path is not None:
        draw_levels(ax, path)
    shade(ax, find_plateaus(trajectory, path, rule=rule), predicted=path is not None)
    finish_risk(ax, trajectory, path=path)
    return ax


def draw_risk(ax: Axes, trajectory: Trajectory) -> None:
    """Draw the risk curve or bands, named for the legend; of a single run on test inputs with its standard error."""
    if trajectory.ensemble:
        sampled = "" if trajectory.risk_se is None else ", on test inputs"
        name = f"{trajectory.kind or 'runs'}, median of {trajectory.seeds} runs{sampled}"
        draw(ax, trajectory.steps, trajectory.risk, RUNS_COLOUR, name)
    else:
        draw(ax, trajectory.steps, trajectory.risk, FLOW_COLOUR, _line_name(trajectory))
        if (error := trajectory.risk_se) is not None:
            low, high = trajectory.risk - error, trajectory.risk + error
            ax.fill_between(trajectory.steps, low, high, color=FLOW_COLOUR, alpha=0.25, lw=0, label="standard error")


def draw_chain(ax: Axes, chain: Trajectory) -> None:
    """Draw the chain's median risk, with thin lines along its quartiles, over the bands of SGD's runs."""
    q25, median, q75 = chain.quantile("risk", [0.25, 0.5, 0.75])[:, 1:]
    x = chain.steps[1:]
    ax.plot(
        x, median, color=CHAIN_COLOUR, lw=1.8, ls=(0, (1, 1)), label=f"chain, median of {chain.seeds} runs", zorder=6
    )
    ax.fill_between(x, q25, q75, color=CHAIN_COLOUR, alpha=0.15, lw=0)
    for k, edge in enumerate((q25, q75)):
        name = None if k or chain.seeds == 1 else "25–75 % of the chain's runs"
        ax.plot(x, edge, color=CHAIN_COLOUR, lw=0.8, label=name, zorder=6)


def draw_levels(ax: Axes, path: LeapPath) -> None:
    """Draw the predicted levels, each with the terms whose learning ends it at the right margin."""
    for k, level in enumerate(path.plateau_levels):
        ax.axhline(level, color=INK, lw=0.9, ls=(0, (5, 4)), zorder=2, label=None if k else "predicted level")


def shade(ax: Axes, plateaus: list[Plateau], *, predicted: bool = True) -> None:
    """Shade each plateau and write its level: above it, or below where no term predicts it and there is room."""
    from matplotlib.patheffects import withStroke

    outline = [withStroke(linewidth=2.5, foreground="white", alpha=0.8)]  # curves may run through it
    for k, one in enumerate(plateaus):
        left, right = max(one.start_step, 0.5), one.end_step
        label = None if k else "detected plateau"
        ax.axvspan(left, right, color=INK, alpha=0.09, lw=0, zorder=0, label=label)
        surprise = predicted and one.matched is None
        note = f"{one.level:.2f}" + ("\nnot predicted" if surprise else "")
        below = surprise and one.level > 0.15 * max(each.level for each in plateaus)
        low, high = ax.get_xlim()
        left, at_end = max(left, low), one.kind == "final"
        # a note wider than its plateau goes out on the left, where the curve is still above it
        flush = at_end or (below and np.log(right / left) < NOTE_WIDTH * np.log(high / low))
        x = right if flush else np.sqrt(left * right)
        ax.annotate(
            note, (x, one.level), xytext=(-3 * at_end, -7 if below else 7),
            textcoords="offset points", ha="right" if flush else "center",
            va="top" if below else "bottom", fontsize=SMALL, color=INK, zorder=7, path_effects=outline,
        )  # fmt: skip


def strip(ax: Axes, plateaus: list[Plateau]) -> None:
    """Mark plateaus by a bar along the lower edge."""
    for k, one in enumerate(plateaus):
        ax.plot(
            [max(one.start_step, 0.5), one.end_step], [0.016, 0.016], transform=ax.get_xaxis_transform(),
            color=RUNS_COLOUR, lw=4, alpha=0.6, solid_capstyle="butt",
            label=None if k else "plateau of SGD's median",
        )  # fmt: skip


def finish_risk(ax: Axes, *trajectories: Trajectory, path: LeapPath | None, headroom: float = 1.12) -> None:
    """Set limits, labels, upper axis and legend; the axis goes up to ``headroom`` times what it shows."""
    levels = path.plateau_levels if path is not None else ()
    top = headroom * max(*levels, *(_height(one) for one in trajectories), 1e-12)
    ax.set_ylim(-0.05 * top, top)
    ax.set_ylabel(RISK_LABEL)
    if path is not None:
        _name_levels(ax, path)
    tidy(ax)
    time_axis(ax, trajectories[0])
    if len(trajectories) > 2:  # a long legend: only early and low there is always room, above the strip
        legend(ax, loc="lower left", bbox_to_anchor=(0.0, 0.03))
        return
    # a risk that falls leaves the upper corner free, one that does not the middle
    falls = min(_last(one) for one in trajectories) < top / 2
    legend(ax, loc="upper right" if falls else "center left")


def _name_levels(ax: Axes, path: LeapPath) -> None:
    """Write beside each level which terms end it, without letting the labels touch."""
    bottom, top = ax.get_ylim()
    places = _spread([(level - bottom) / (top - bottom) for level in path.plateau_levels], LABEL_GAP)
    names = [*(f"until {_short(label)} is learned" for label in path.labels), "all terms learned"]
    for level, place, name in zip(path.plateau_levels, places, names, strict=True):
        ax.annotate(
            f"{level:.3g}  {name}", (1.0, level), xycoords=("axes fraction", "data"), xytext=(1.02, place),
            textcoords="axes fraction", fontsize=SMALL, color=INK, va="center", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": INK, "lw": 0.6, "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip


def _spread(places: list[float], gap: float) -> list[float]:
    """Move falling places apart to at least ``gap``, upwards from the lowest."""
    out: list[float] = []
    for place in reversed(places):
        out.append(max(place, out[-1] + gap) if out else place)
    return out[::-1]


def _short(label: str, most: int = 2) -> str:
    """Keep the first terms of a long sum."""
    terms = label.split(" + ")
    return label if len(terms) <= most else " + ".join(terms[:most]) + f" + {len(terms) - most} more"


def _height(trajectory: Trajectory) -> float:
    """Highest risk worth showing: of a run that blows up, twice its start."""
    risk = trajectory.median("risk")
    return float(min(np.nanmax(np.where(np.isfinite(risk), risk, np.nan)), 2 * risk[0]))


def _last(trajectory: Trajectory) -> float:
    """Last finite risk, of the median run."""
    risk = trajectory.median("risk")
    return float(risk[np.isfinite(risk)][-1]) if np.isfinite(risk).any() else 0.0


def _line_name(trajectory: Trajectory) -> str:
    return f"ODE ({trajectory.kind})" if "flow" in trajectory.kind else trajectory.kind or "run"
