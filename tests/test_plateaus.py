"""Plateaus of curves whose plateaus are known."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from odesim.checks import InputError
from odesim.plateaus import PlateauRule, find_plateaus
from odesim.trajectory import Trajectory

PATH = SimpleNamespace(plateau_levels=(1.0, 0.5, 0.0), labels=("z1", "z1*z2*z3"))
DEMO = ((3e3, 0.53), (5e4, 0.34), (6e5, 0.10))


def log_grid(end=1_600_000, points=300):
    return np.unique(np.concatenate([[0], np.rint(np.geomspace(1, end, points))]).astype(np.int64))


def stairs(steps, start=1.17, drops=DEMO, width=0.35):
    """Sum of tanh-steps in ln(step)."""
    x = np.log(np.maximum(steps, 1e-9))
    risk, level = np.full(steps.shape, start), start
    for centre, lower in drops:
        risk = risk + (lower - level) / 2 * (1 + np.tanh((x - np.log(centre)) / width))
        level = lower
    return risk


def run(steps, risk, eta=5e-4):
    steps = np.asarray(steps)
    risk = np.asarray(risk, dtype=float)
    return Trajectory(steps, eta * steps, risk, np.zeros((*risk.shape, 1, 1)), np.zeros((*risk.shape, 1)))


def find(steps, risk, path=PATH, **rule):
    return find_plateaus(run(steps, risk), path, rule=PlateauRule(**rule))


def brief(plateaus):
    return [(one.kind, one.matched) for one in plateaus]


STORY = [("initial", 0), ("interior", 1), ("interior", None), ("final", 2)]


@pytest.mark.parametrize("points", [60, 300, 3000])
def test_the_demo_story(points):
    steps = log_grid(points=points)
    found = find(steps, stairs(steps))
    assert brief(found) == STORY
    np.testing.assert_allclose([one.level for one in found], [1.17, 0.53, 0.34, 0.10], atol=3e-3)
    assert (found[0].start_step, found[-1].end_step) == (0, steps[-1])
    for one in found:
        np.testing.assert_allclose([one.start_time, one.end_time], [5e-4 * one.start_step, 5e-4 * one.end_step])


def test_ends_are_where_the_slope_crosses_the_bound():
    # With a window far below the width the slope is the derivative, -(c/2w) sech^2((x - x0)/w).
    steps, width, c, start = log_grid(points=4000), 1.0, 0.95, 1.0
    found = find(steps, stairs(steps, start, ((1e4, start - c),), width), window=1.05)
    reach = width * np.arccosh(np.sqrt(c / (2 * width * 0.02 * start)))
    assert brief(found) == [("initial", 0), ("final", 2)]
    np.testing.assert_allclose([found[0].end_step, found[1].start_step], 1e4 * np.exp([-reach, reach]), rtol=0.01)


def test_slope_is_the_least_squares_line():
    from odesim.plateaus import NODES_A_WINDOW, _Curve

    steps = log_grid(10_000, 80)
    curve = _Curve.of(run(steps, stairs(steps, drops=((100, 0.5),))), PlateauRule())
    half = NODES_A_WINDOW // 2
    for i in (0, 1, 20, 100, curve.x.size - 1):
        part = slice(max(i - half, 0), i + half + 1)
        slope = np.polyfit(curve.x[part], curve.L[part], 1)[0]
        np.testing.assert_allclose(curve.slopes(PlateauRule())[i], slope, atol=1e-9)


def test_linear_grid_gives_the_same():
    steps = np.arange(0, 1_600_001, 500)
    on_log, on_linear = find(log_grid(points=2000), stairs(log_grid(points=2000))), find(steps, stairs(steps))
    assert brief(on_linear) == STORY
    for left, right in zip(on_log[1:], on_linear[1:], strict=True):
        np.testing.assert_allclose(left.start_step, right.start_step, rtol=0.03)
        np.testing.assert_allclose(left.end_step, right.end_step, rtol=0.03)


@given(st.floats(1e-6, 1e6), st.integers(1, 50))
def test_scaling_risk_or_steps_changes_nothing_else(c, factor):
    steps = log_grid(points=150)
    path = SimpleNamespace(plateau_levels=tuple(c * level for level in PATH.plateau_levels))
    plain, scaled = find(steps, stairs(steps)), find(factor * steps, c * stairs(steps), path)
    assert brief(plain) == brief(scaled)
    np.testing.assert_allclose([one.level for one in scaled], [c * one.level for one in plain], rtol=1e-3)
    for left, right in zip(plain, scaled, strict=True):
        assert abs(right.start_step - factor * left.start_step) <= 0.02 * factor * left.start_step
        assert abs(right.end_step - factor * left.end_step) <= 0.02 * factor * left.end_step


@given(st.lists(st.floats(0.01, 3.0), min_size=2, max_size=40))
def test_any_curve_gives_ordered_plateaus(values):
    assume(values[0] > 0.1)
    steps = log_grid(10_000, len(values) + 30)[: len(values)]
    found = find(steps, values)
    for one in found:
        assert 0 <= one.start_step < one.end_step <= steps[-1]
        assert min(values) - 1e-12 <= one.level <= max(values) + 1e-12
        assert (one.kind == "initial") == (one.start_step == 0)
        if one.kind == "interior":
            assert one.end_step + 0.5 >= 2 * (one.start_step - 0.5)
    for left, right in itertools.pairwise(found):
        assert left.end_step <= right.start_step


def test_a_curve_that_never_moves_is_one_initial_plateau():
    for steps in (log_grid(), np.arange(50), np.array([0, 7])):
        (only,) = find(steps, np.full(steps.size, 1.3))
        assert (only.kind, only.start_step, only.end_step, only.matched) == ("initial", 0, steps[-1], 0)


def test_ending_amid_a_descent_is_no_final_plateau():
    steps = log_grid(600_000)
    assert brief(find(steps, stairs(steps))) == STORY[:3]


def test_too_short_or_without_a_drop():
    steps = log_grid()
    short = stairs(steps, 1.0, ((3e3, 0.5), (3e4, 0.0)), 0.35)
    assert ("interior", 1) not in brief(find(steps, short))
    assert ("interior", 1) in brief(find(steps, short, length=1.1))
    small = stairs(steps, 1.0, ((1e3, 0.5), (1e5, 0.47)), 0.1)  # the second drop is below 0.05
    assert brief(find(steps, small)) == [("initial", 0), ("final", 1)]
    assert len(find(steps, small, drop=0.02)) == 3


def test_runs_of_no_length_and_coarse_grids():
    assert find([0], [1.0]) == []
    assert find([0, 100], [1.0, 0.5]) == []
    # All that matters happens before the first output step: no initial plateau is invented.
    steps = np.arange(0, 1_600_001, 10_000)
    assert brief(find(steps, stairs(steps)))[0] == ("interior", 1)


def test_a_run_that_ended_early():
    steps = log_grid()
    risk = stairs(steps)
    risk[steps > 20_000] = np.nan
    found = find(steps, risk)
    assert brief(found) == [("initial", 0), ("final", 1)]
    assert found[-1].end_step == steps[steps <= 20_000][-1]
    risk[steps > 15_000] = np.inf
    assert brief(find(steps, risk)) == [("initial", 0), ("final", 1)]
    assert find(steps, np.full(steps.size, np.nan)) == []


def test_a_steep_wiggle_ends_a_stretch_and_a_gentle_one_does_not():
    steps = log_grid()
    drops = ((3e3, 0.53), (6e5, 0.10))
    risk, x = stairs(steps, drops=drops), np.log(np.maximum(steps, 1) / 30_000)
    whole = find(steps, risk)
    gentle = find(steps, risk + 0.003 * np.exp(-((x / 0.3) ** 2)))
    assert brief(gentle) == brief(whole) == [("initial", 0), ("interior", 1), ("final", 2)]
    # The drops are measured over the whole curve, so both halves count, each ending at the wiggle.
    steep = find(steps, risk + 0.03 * np.exp(-((x / 0.1) ** 2)))
    assert brief(steep) == [("initial", 0), ("interior", 1), ("interior", 1), ("final", 2)]
    assert steep[1].start_step == pytest.approx(whole[1].start_step, rel=0.05)
    assert steep[2].end_step == pytest.approx(whole[1].end_step, rel=0.05)
    assert steep[1].end_step < 30_000 < steep[2].start_step


def test_ensemble_is_judged_by_its_median():
    steps = log_grid()
    shifts = np.exp(np.linspace(-0.3, 0.3, 9))
    risk = np.array([stairs(steps, drops=[(c * f, level) for c, level in DEMO]) for f in shifts])
    assert find_plateaus(run(steps, risk), PATH) == find(steps, np.median(risk, axis=0))


@pytest.mark.parametrize(
    ("level", "matched"), [(0.62, 1), (0.63, None), (0.38, 1), (0.37, None), (0.12, 2), (0.13, None)]
)
def test_matching_within_a_quarter_of_the_gap(level, matched):
    steps = log_grid()
    found = find(steps, stairs(steps, 1.0, ((1e3, level),), 0.2))
    assert found[-1].matched == matched


def test_initial_plateau_may_lie_above_the_first_level_by_the_start_variance():
    steps = log_grid()
    for start in (1.17, 1.67, 5.0):
        assert find(steps, stairs(steps, start))[0].matched == 0
    # That licence is the initial plateau's alone.
    late = stairs(steps, 2.0, ((1e3, 1.4), (1e5, 0.0)), 0.2)
    assert brief(find(steps, late)) == [("initial", 0), ("interior", None), ("final", 2)]


def test_without_predictions_nothing_is_matched():
    steps = log_grid()
    assert {one.matched for one in find(steps, stairs(steps), None)} == {None}
    constant = SimpleNamespace(plateau_levels=(0.0,))
    assert find(steps, np.full(steps.size, 0.2), constant)[0].matched == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("slope", 0), ("slope", np.nan), ("window", 1.0), ("length", 0.5), ("drop", -1), ("match", 0.6)],
)
def test_bad_thresholds(name, value):
    with pytest.raises(InputError, match=f"plateaus.{name}="):
        PlateauRule(**{name: value})
