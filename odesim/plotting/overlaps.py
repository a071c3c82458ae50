"""Picture of the overlaps: which support coordinate the network has found, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from odesim.plotting.figures import (
    COORDINATE_COLOURS,
    INK,
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


def plot_overlaps(trajectory: Trajectory, ax: Axes | None = None) -> Axes:
    """Draw, for each support coordinate, the size of its overlaps with all neurons, (Σ_j m_jr²)^½.

    Parameters
    ----------
    trajectory : Trajectory
        A single run is drawn as lines, an ensemble as medians over bands of quantiles.
    ax : matplotlib Axes, optional
        Where to draw; by default a figure of its own, ``ax.figure``.

    Returns
    -------
    matplotlib Axes
    """
    alone = ax is None
    if ax is None:
        (ax,) = new_axes(3.2)
    draw_overlaps(ax, trajectory, named=True)
    finish_overlaps(ax, trajectory)
    step_axis(ax, trajectory)
    if alone:
        time_axis(ax, trajectory)
    return ax


def draw_overlaps(ax: Axes, trajectory: Trajectory, *, named: bool) -> None:
    """Draw one curve or band a coordinate; name the coordinates for the legend if asked.

    Curves grow thinner from the first on, so that one beneath another is seen.
    """
    sizes = overlap_sizes(trajectory)
    colours = _colours(sizes.shape[-1])
    for r, colour in enumerate(colours):
        draw(ax, trajectory.steps, sizes[..., r], colour, width=1.6 + 1.8 * (1 - (r + 1) / len(colours)))
        if named:
            ax.plot([], [], color=colour, lw=2.5, label=f"z{r + 1}")


def finish_overlaps(ax: Axes, *trajectories: Trajectory) -> None:
    """Set labels and legend; line styles as in the risk's picture."""
    weight = "" if _weights(trajectories[0]) is None else "wⱼ "
    ax.set_ylabel(f"overlap with zᵣ\n√(Σⱼ {weight}mⱼᵣ²)")
    ax.set_ylim(bottom=0.0)
    if any(not one.ensemble for one in trajectories):
        ax.plot([], [], color=INK, lw=1.8, label="solid: ODE")
    if any(one.ensemble for one in trajectories):
        ax.plot([], [], color=INK, lw=1.3, ls=(0, (4, 2)), label="dashed: median of runs")
    tidy(ax)
    legend(ax, loc="upper left", bbox_to_anchor=(1.01, 1.0), ncols=1 + trajectories[0].m.shape[-1] // 9)


def overlap_sizes(trajectory: Trajectory) -> NDArray[np.float64]:
    """Root sum of squares over the neurons of the overlaps, shape (..., T, P); a mean where neurons have weights."""
    weights = _weights(trajectory)
    squares = trajectory.m**2 if weights is None else weights[:, None] * trajectory.m**2
    return np.sqrt(squares.sum(axis=-2))


def _weights(trajectory: Trajectory) -> NDArray[np.float64] | None:
    """Weights (N) of neurons that stand for a law of them; None where each counts once."""
    return getattr(trajectory, "weights", None)


def _colours(count: int) -> list[str]:
    """One colour a coordinate; beyond the palette a scale from dark to light."""
    if count <= len(COORDINATE_COLOURS):
        return list(COORDINATE_COLOURS[:count])
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colormaps["viridis"](share)) for share in np.linspace(0.0, 0.92, count)]
