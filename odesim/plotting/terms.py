"""Picture of what was learned: the network's coefficient of each term of the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from odesim.observables import Learned, learned
from odesim.plotting.figures import INK, colours_of, draw, legend, new_axes, step_axis, tidy, time_axis
from odesim.trajectory import Trajectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from odesim.targets.series import Target


def plot_coefficients(
    trajectory: Trajectory, target: Target | None = None, *, found: Learned | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the network's coefficient of each term of the target as a share of the target's own.

    Parameters
    ----------
    trajectory : Trajectory
        A single run is drawn as lines, an ensemble as medians over bands of quantiles.
    target : Target, optional
        What the run learned; needed unless ``found`` is given.
    found : Learned, optional
        What `learned` returned for this trajectory.
    ax : matplotlib Axes, optional
        Where to draw; by default a figure of its own, ``ax.figure``.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        If neither ``target`` nor ``found`` is given, or as `learned` does.
    """
    if found is None:
        if target is None:
            from odesim.checks import InputError

            raise InputError("target=None and found=None; give the target that was learned")
        found = learned(trajectory, target)
    alone = ax is None
    if ax is None:
        (ax,) = new_axes(3.2)
    colours = colours_of(len(found.terms))
    for k, (name, colour) in enumerate(zip(found.terms, colours, strict=True)):
        width = 1.6 + 1.8 * (1 - (k + 1) / len(colours))
        draw(ax, trajectory.steps, found.coefficients[..., k] / found.wanted[k], colour, width=width)
        ax.plot([], [], color=colour, lw=2.5, label=f"{name}  ({found.wanted[k]:.3g})")
    ax.axhline(1.0, color=INK, lw=0.9, ls=":")
    ax.set_ylabel("coefficient in the network\nas a share of the target's")
    tidy(ax)
    legend(ax, loc="upper left", bbox_to_anchor=(1.01, 1.0), title="term (target's coefficient)", title_fontsize=8.5)
    step_axis(ax, trajectory)
    if alone:
        time_axis(ax, trajectory)
    return ax
