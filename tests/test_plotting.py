"""Pictures: what is drawn, what is said, and that nothing global is touched."""

import itertools
import subprocess
import sys
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes

from odesim.comparison import compare
from odesim.plotting.comparison import plot_comparison
from odesim.plotting.figures import power_of_ten, write_png
from odesim.plotting.overlaps import overlap_sizes, plot_overlaps
from odesim.plotting.plateaus import _spread, plot_plateaus
from odesim.plotting.simulation import plot_simulation
from odesim.trajectory import Trajectory

PATH = SimpleNamespace(plateau_levels=(1.0, 0.5, 0.0), labels=("z1", "z1*z2*z3"))
SETTINGS = {
    "target": {"expression": "z1 + z1*z2*z3"}, "network": {"dim": 200, "width": 4}, "training": {"eta": 5e-4},
}  # fmt: skip


def story(seeds=None, coordinates=3, **fields):
    steps = np.unique(np.concatenate([[0], np.rint(np.geomspace(1, 1_600_000, 150))]).astype(np.int64))
    shape = () if seeds is None else (seeds, 1)
    shift = 1.0 if seeds is None else np.exp(np.linspace(-0.2, 0.2, seeds))[:, None]
    x = np.log(np.maximum(steps, 1e-9) / shift)
    risk = 1.17 - sum(c / 2 * (1 + np.tanh((x - np.log(s)) / 0.3)) for s, c in ((3e3, 0.64), (5e4, 0.19), (6e5, 0.24)))
    m = 0.1 + (1 + np.tanh(x - np.log(3e3)))[..., None, None] * np.ones((4, coordinates))
    assert risk.ndim == 1 + len(shape[:1])
    return Trajectory(steps, 5e-4 * steps, risk, m, np.ones(m.shape[:-1]), settings=SETTINGS, **fields)


@pytest.fixture(scope="module")
def comparison():
    return compare(story(kind="overlap flow"), story(8, kind="SGD"), path=PATH)


def words(ax):
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    return legend + [text.get_text() for text in ax.texts] + [ax.get_xlabel(), ax.get_ylabel()]


def test_comparison_tells_the_story(comparison, tmp_path):
    ax = plot_comparison(comparison)
    assert isinstance(ax, Axes)
    upper, lower = ax.figure.axes
    assert ax is upper
    said = "\n".join(words(upper))
    for phrase in (
        "½E[(h − f)²]",
        "until z1 is learned", "until z1*z2*z3 is learned", "all terms learned", "not predicted",
        "0.53", "predicted level", "detected plateau", "ODE", "median of 8 runs", "10–90 %", "25–75 %",
    ):  # fmt: skip
        assert phrase in said
    assert lower.get_xlabel() == "SGD steps"
    assert {"z1", "z2", "z3", "solid: ODE"} <= set(words(lower))
    assert "z1 + z1*z2*z3" in ax.figure.get_suptitle()
    assert "d = 200" in ax.figure.get_suptitle()
    assert upper.get_xscale() == lower.get_xscale() == "log"
    (top,) = upper.child_axes
    assert top.get_xlabel() == "flow time t = η·steps"
    ax.figure.savefig(tmp_path / "compare.png")
    np.testing.assert_allclose(top.get_xlim(), 5e-4 * np.array(upper.get_xlim()))
    assert (tmp_path / "compare.png").read_bytes()[1:4] == b"PNG"


def test_curves_are_the_data(comparison):
    ax = plot_comparison(comparison)
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_array_equal(lines["ODE (overlap flow)"].get_ydata(), comparison.ode.risk[1:])
    np.testing.assert_allclose(lines["SGD, median of 8 runs"].get_ydata(), comparison.sgd.median("risk")[1:])
    bands = [one for one in ax.collections if "of runs" in str(one.get_label())]
    corners = np.concatenate([band.get_paths()[0].vertices[:, 1] for band in bands])
    assert np.isin(comparison.sgd.quantile("risk", 0.1)[1:], corners).all()


def test_shades_are_the_plateaus(comparison):
    ax = plot_comparison(comparison)
    spans = [patch for patch in ax.patches if patch.get_alpha() == 0.09]
    assert len(spans) == len(comparison.plateaus["ode"]) == 4
    for span, one in zip(spans[1:], comparison.plateaus["ode"][1:], strict=True):
        assert (span.get_x(), span.get_x() + span.get_width()) == pytest.approx((one.start_step, one.end_step))


def test_given_axes_are_used_alone(comparison):
    from matplotlib.figure import Figure

    figure = Figure()
    ax = figure.add_subplot()
    assert plot_comparison(comparison, ax=ax) is ax
    assert figure.axes == [ax]
    other = figure.add_subplot()
    assert plot_plateaus(story(), PATH, ax=other) is other
    assert plot_overlaps(story(), ax=figure.add_subplot()).figure is figure


@pytest.mark.parametrize("seeds", [None, 1, 5])
def test_panels_on_their_own(seeds, tmp_path):
    for ax in (plot_plateaus(story(seeds), PATH), plot_plateaus(story(seeds)), plot_overlaps(story(seeds))):
        assert isinstance(ax, Axes)
        assert ax.get_xlabel() == "SGD steps"
        ax.figure.savefig(tmp_path / "x.png")
    assert "not predicted" not in "\n".join(words(plot_plateaus(story(seeds))))


def test_overlaps_are_root_sums_of_squares():
    run = story(3)
    np.testing.assert_allclose(overlap_sizes(run), np.linalg.norm(run.m, axis=-2))


def test_neurons_with_weights_count_by_them():
    run = SimpleNamespace(m=np.array([[[3.0], [1.0]]]), weights=np.array([0.25, 0.75]))
    np.testing.assert_allclose(overlap_sizes(run), np.sqrt([[0.25 * 9 + 0.75]]))


@pytest.mark.parametrize("seeds", [None, 3])
@pytest.mark.parametrize("path", [None, PATH])
def test_simulation_tells_its_story(seeds, path, tmp_path):
    ax = plot_simulation(story(seeds, kind="overlap flow"), path)
    upper, lower = ax.figure.axes
    said = "\n".join(words(upper))
    assert ("until z1*z2*z3 is learned" in said) == (path is not None)
    assert ("not predicted" in said) == (path is not None)
    assert "detected plateau" in said
    assert {"z1", "z2", "z3"} <= set(words(lower))
    title = ax.figure.get_suptitle()
    assert title == "Learning z1 + z1*z2*z3: overlap flow  (d = 200, N = 4, η·d = 0.1)"
    low, high = ax.get_ylim()
    assert low < 0 < 1.2 < high
    ax.figure.savefig(tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes()[1:4] == b"PNG"


def test_time_that_a_schedule_bends_has_no_axis():
    run = story()
    bent = Trajectory(run.steps, np.sqrt(run.steps), run.risk, run.m, run.a)
    assert plot_simulation(run).child_axes
    assert not plot_simulation(bent).child_axes


def test_many_coordinates_keep_distinct_colours():
    ax = plot_overlaps(story(coordinates=12))
    named = {line.get_label(): line.get_color() for line in ax.lines if str(line.get_label()).startswith("z")}
    assert len(named) == len(set(named.values())) == 12


def test_ended_runs_and_short_ones_can_be_drawn(tmp_path):
    sgd, ode = story(4, kind="SGD"), story(kind="overlap flow")
    risk, m = sgd.risk.copy(), sgd.m.copy()
    risk[1, 60:], m[1, 60:] = np.nan, np.nan
    risk[2, 50], risk[:, -5:] = 1e9, np.nan
    broken = Trajectory(sgd.steps, sgd.time, risk, m, sgd.a)
    drawn = plot_comparison(compare(ode, broken, path=PATH))
    drawn.figure.savefig(tmp_path / "x.png")
    assert drawn.get_ylim()[1] < 3 * ode.risk[0]  # one value of 1e9 does not set the scale
    short = Trajectory(np.array([0, 1]), np.array([0, 0.1]), np.ones(2), np.ones((2, 1, 1)), np.ones((2, 1)))
    drawn = plot_comparison(compare(short, short, path=PATH))
    drawn.figure.savefig(tmp_path / "y.png")
    assert np.isfinite([*drawn.get_xlim(), *drawn.get_ylim()]).all()


@pytest.mark.parametrize("size", [(9.0, 7.2), (5.5, 5.0), (14.0, 8.0)])
@pytest.mark.parametrize("seeds", [None, 3])
def test_all_is_on_the_figure_and_nothing_overlaps(size, seeds):
    drawn = [
        plot_comparison(compare(story(kind="overlap flow"), story(seeds, kind="SGD"), path=PATH)),
        plot_simulation(story(seeds, coordinates=12), PATH),
        plot_plateaus(story(seeds), PATH),
        plot_overlaps(story(seeds, coordinates=12)),
    ]
    for ax in drawn:
        figure = ax.figure
        figure.set_size_inches(size)
        figure.draw_without_rendering()
        boxes = [one.get_tightbbox(for_layout_only=True) for one in figure.axes]
        titles = [text.get_window_extent() for text in figure.texts]
        width = figure.bbox.width
        for box in boxes:
            assert box.x0 > 0
            assert box.x1 < width
            assert box.y0 > 0
            assert all(box.y1 < title.y0 for title in titles)
        assert all(upper.y0 > lower.y1 for upper, lower in itertools.pairwise(boxes))
        spare = 0.08 * figure.dpi  # no more room is given away than that
        assert min(box.x0 for box in boxes) < spare
        assert width - max(box.x1 for box in boxes) < spare
        assert boxes[-1].y0 < spare


def test_a_figure_too_small_for_its_labels_is_drawn_all_the_same():
    ax = plot_plateaus(story(), PATH)
    ax.figure.set_size_inches(1.0, 0.5)
    ax.figure.draw_without_rendering()
    assert ax.bbox.width > 0


def test_a_picture_is_written_as_it_is_saved(comparison, tmp_path):
    """One look and one drawing give what ``savefig`` gives with two."""
    from matplotlib.image import imread

    figure = plot_comparison(comparison).figure
    with open(tmp_path / "once.png", "wb") as handle:
        write_png(figure, handle, dpi=100)
    plot_comparison(comparison).figure.savefig(tmp_path / "twice.png", dpi=100)
    once, twice = imread(tmp_path / "once.png"), imread(tmp_path / "twice.png")
    assert once.shape == (720, 900, 4)
    np.testing.assert_array_equal(once, twice)


@pytest.mark.parametrize(
    ("x", "label"),
    [(1, "10⁰"), (1000, "10³"), (1e-12, "10⁻¹²"), (10 * (1 + 1e-12), "10¹"), (20, ""), (0, ""), (-1, "")],
)
def test_decades_are_named_in_plain_characters(x, label):
    assert power_of_ten(x) == label


def test_decades_on_both_axes_and_no_formula(comparison):
    upper, lower = plot_comparison(comparison).figure.axes
    upper.figure.draw_without_rendering()
    said = [text.get_text() for ax in (lower, *upper.child_axes) for text in ax.get_xticklabels()]
    assert {"10⁴", "10⁵", "10⁻¹", "10²"} <= set(said)
    everything = [*said, *words(upper), *words(lower), upper.figure.get_suptitle()]
    assert not any("$" in one for one in everything)


def test_the_legend_leaves_a_risk_that_stays_high_in_sight():
    run = story(kind="overlap flow")
    early = Trajectory(run.steps, run.time, 1 + 0.1 * run.risk, run.m, run.a)
    places = [plot_plateaus(one).get_legend()._loc for one in (run, early)]
    assert places == [1, 6]  # upper right, center left


def test_labels_at_the_margin_stay_apart():
    places = _spread([0.9, 0.89, 0.4, 0.02, 0.0], 0.05)
    assert all(left - right >= 0.05 - 1e-12 for left, right in itertools.pairwise(places))
    assert _spread([0.9, 0.5, 0.1], 0.05) == [0.9, 0.5, 0.1]


def test_nothing_global_is_touched(comparison, tmp_path):
    before = dict(mpl.rcParams)
    plot_comparison(comparison).figure.savefig(tmp_path / "x.png")
    assert dict(mpl.rcParams) == dict(before)
    code = (
        "import sys; from odesim.plotting import comparison, overlaps, plateaus; "
        "assert 'matplotlib' not in sys.modules; overlaps.new_axes(1.0); "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
