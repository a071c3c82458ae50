"""What the pictures share: a figure without global state, colours, step axis, lines and bands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from odesim.trajectory import Trajectory, quantile_of_runs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

# Okabe and Ito's colours, and Tol's wine, told apart with any common colour blindness.
FLOW_COLOUR, RUNS_COLOUR, CHAIN_COLOUR = "#0072B2", "#D55E00", "#882255"
COORDINATE_COLOURS = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#0072B2", "#D55E00")
INK = "#444444"
SMALL = 8.5
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def new_axes(*heights: float) -> list[Axes]:
    """Return one Axes a height, in inches, stacked on a figure of their own with a common step axis."""
    from matplotlib.figure import Figure

    from odesim.plotting.layout import Stacked

    figure = Figure(figsize=(9.0, sum(heights) + 0.8))
    figure.subplots_adjust(left=0.08, right=0.78, top=0.91, bottom=0.07, hspace=0.05)  # about what it will need
    grid = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)
    axes = list(grid[:, 0])
    figure.set_layout_engine(Stacked(axes))
    return axes


def write_png(figure: Figure, handle: BinaryIO, dpi: float = 150) -> None:
    """Draw once and write; ``savefig`` draws a figure with a layout twice."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(dpi)
    FigureCanvasAgg(figure).print_png(handle)


def step_axis(ax: Axes, *trajectories: Trajectory, label: bool = True) -> None:
    """Make x a logarithmic axis of SGD steps that begins a decade before the risk first moves by 2 %."""
    last = max(int(one.steps[-1]) for one in trajectories)
    first = min(_first_move(one) for one in trajectories)
    ax.set_xscale("log")
    name_powers(ax.xaxis)
    ax.set_xlim(max(1.0, min(first / 10, last / 100)), max(last, 2))
    if label:
        ax.set_xlabel("SGD steps")


def time_axis(ax: Axes, trajectory: Trajectory) -> None:
    """Add flow time on the upper side, where it is a multiple of the steps; a schedule may bend it."""
    if trajectory.steps.size < 2:
        return
    eta = trajectory.time[-1] / trajectory.steps[-1]
    if not np.allclose(trajectory.time, eta * trajectory.steps, rtol=1e-6):
        return
    top = ax.secondary_xaxis("top", functions=(lambda s: s * eta, lambda t: t / eta))
    name_powers(top.xaxis)
    top.set_xlabel("flow time t = η·steps")


def name_powers(axis: Axis) -> None:
    """Label decades as 10³ in plain characters: matplotlib would start its reader of formulas for it."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda x, place: power_of_ten(x)))


def power_of_ten(x: float) -> str:
    """Return 10³ for 1000; nothing where x is no power of ten."""
    power = round(np.log10(x)) if x > 0 else 0
    return "10" + str(power).translate(SUPERSCRIPTS) if np.isclose(x, 10.0**power, rtol=1e-6) else ""


def title(settings: dict[str, Any], what: str) -> str:
    """Say what was learned, by whom and at which rate, as far as the settings tell."""
    target, network, training = (_table(settings, name) for name in ("target", "network", "training"))
    learned = f"Learning {target['expression']}: " if "expression" in target else ""
    facts = [f"{mark} = {network[key]}" for mark, key in (("d", "dim"), ("N", "width")) if key in network]
    if particles := _table(settings, "dynamics").get("particles"):
        facts = [f"{particles} particles" if fact.startswith("N = ") else fact for fact in facts]
    if network.get("activation") and target.get("data"):
        facts = [str(network["activation"]), f"{target['data']} data", *facts]
    if "eta" in training and "dim" in network:
        facts.append(f"η·d = {training['eta'] * network['dim']:.3g}")
    return f"{learned}{what}" + (f"  ({', '.join(facts)})" if facts else "")


def _table(settings: dict[str, Any], name: str) -> dict[str, Any]:
    table = settings.get(name)
    return table if isinstance(table, dict) else {}


def draw(ax: Axes, steps: NDArray[np.int64], values: Floats, colour: str, label: str = "", width: float = 1.8) -> None:
    """Draw a single run (T,) as a line, an ensemble (S, T) as its median over bands of 25–75 % and 10–90 %.

    ``label`` names the line in the legend, and the bands with it unless it is empty.
    """
    x, values = steps[1:], values[..., 1:]  # step 0 has no place on a logarithmic axis
    if values.ndim == 1:
        ax.plot(x, values, color=colour, lw=width, label=label or None, zorder=4)
        return
    low, q25, median, q75, high = quantile_of_runs(values, [0.1, 0.25, 0.5, 0.75, 0.9])
    named = bool(label) and values.shape[0] > 1
    ax.plot(x, median, color=colour, lw=1.3, ls=(0, (4, 2)), label=label or None, zorder=5)
    ax.fill_between(x, q25, q75, color=colour, alpha=0.30, lw=0, label="25–75 % of runs" if named else None)
    ax.fill_between(x, low, high, color=colour, alpha=0.15, lw=0, label="10–90 % of runs" if named else None)


def legend(ax: Axes, **where: Any) -> None:
    """Add a legend in the pictures' style."""
    ax.legend(fontsize=SMALL, frameon=True, framealpha=0.9, edgecolor="none", borderaxespad=0.3, **where)


def colours_of(count: int) -> list[str]:
    """One colour each; beyond the palette a scale from dark to light."""
    if count <= len(COORDINATE_COLOURS):
        return list(COORDINATE_COLOURS[:count])
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colormaps["viridis"](share)) for share in np.linspace(0.0, 0.92, count)]


def tidy(ax: Axes) -> None:
    """Take away what carries no information."""
    ax.spines[["right"]].set_visible(False)
    ax.tick_params(labelsize=SMALL + 0.5)
    ax.margins(x=0)


def _first_move(trajectory: Trajectory) -> float:
    """First positive step at which the median risk has moved by 2 % from its start."""
    risk = trajectory.median("risk")
    moved = np.flatnonzero(np.abs(risk - risk[0]) > 0.02 * abs(risk[0]))
    return float(trajectory.steps[max(moved[0], 1)] if moved.size else trajectory.steps[-1])
