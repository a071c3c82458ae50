"""First passages, noise gauges and distances with known answers."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odesim.checks import InputError
from odesim.comparison import compare
from odesim.distances import distance
from odesim.gauges import noise_gauges
from odesim.passages import censored_quantile, first_passage
from odesim.trajectory import Trajectory

PATH = SimpleNamespace(plateau_levels=(1.0, 0.5, 0.0), labels=("z1 + z2", "z1*z2*z3"))
STEPS = np.array([0, 1, 10, 100, 1000, 10_000])
N, P = 2, 3


def run(risk, steps=STEPS, m=None, **fields):
    risk = np.asarray(risk, dtype=float)
    m = np.zeros((*risk.shape, N, P)) if m is None else m
    return Trajectory(steps, 1e-3 * steps, risk, m, np.zeros(m.shape[:-1]), **fields)


LINE = [1.2, 1.2, 1.0, 0.6, 0.4, 0.1]


def test_first_passage_is_log_linear():
    assert first_passage(STEPS, LINE, 0.8) == pytest.approx(10 * 10**0.5)
    assert first_passage(STEPS, LINE, 0.25) == pytest.approx(1000 * 10**0.5)
    assert first_passage(STEPS, LINE, 0.6) == pytest.approx(100)
    assert first_passage(STEPS, [1.0, 0.5, 0.4, 0.3, 0.2, 0.1], 0.75) == pytest.approx(0.5)


def test_first_passage_counts_the_first_only():
    assert first_passage(STEPS, [1, 1, 0.5, 1, 0.5, 0.5], 0.75) == pytest.approx(10**0.5)


def test_first_passage_censors():
    nan = np.nan
    risk = [[1, 1, 1, 1, 1, 1], [1, 1, 1, nan, nan, nan], [0.2] * 6, [1, 1, np.inf, 0.5, nan, nan], [nan] * 6]
    np.testing.assert_array_equal(first_passage(STEPS, risk, 0.75), [np.inf, np.inf, 0, 100, np.inf])


@given(st.floats(1.05, 30.0), st.floats(0.1, 10.0))
def test_first_passage_scales(factor, c):
    steps = np.array(STEPS, dtype=float)
    plain, scaled = (
        first_passage(steps, LINE, 0.7),
        first_passage(factor * steps, c * np.array(LINE), c * 0.7),
    )
    assert scaled == pytest.approx(factor * plain, rel=1e-9)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20), st.sampled_from([0.25, 0.5, 0.75]))
def test_quantile_without_censoring_is_numpys(values, q):
    assert censored_quantile(values, q) == pytest.approx(np.quantile(values, q), rel=1e-12, abs=1e-12)


def test_quantile_that_falls_on_a_censored_run_is_none():
    inf = np.inf
    assert censored_quantile([inf, 1.0, 2.0], 0.5) == 2.0
    assert censored_quantile([inf, inf, 1.0], 0.5) is None
    assert censored_quantile([3.0, inf, 1.0, inf], 0.5) is None
    assert censored_quantile([3.0, inf, 1.0, 2.0, inf], 0.25) == 2.0
    assert censored_quantile([inf], 0.25) is None


def test_escape_steps_run_by_run():
    late = [1.2, 1.2, 1.2, 1.2, 0.6, 0.6]
    c = compare(run(LINE), run([LINE, LINE, late, late]), path=PATH)
    first, second = c.escape_steps
    assert (first["level"], first["terms"]) == (1.0, ["z1", "z2"])
    assert (second["level"], second["terms"]) == (0.5, ["z1*z2*z3"])
    ode, slow = 10 * 10**0.625, 100 * 10**0.75
    assert first["ode"] == pytest.approx(ode)
    expected = {"median": (ode + slow) / 2, "q25": ode, "q75": slow, "censored": 0}
    assert first["sgd"] == pytest.approx(expected)
    assert second["sgd"]["q25"] == pytest.approx(1000 * 10**0.5)
    assert (second["sgd"]["median"], second["sgd"]["q75"], second["sgd"]["censored"]) == (None, None, 2)


def test_an_ode_that_never_escapes():
    c = compare(run([1.2] * 6), run([[1.2] * 6]), path=PATH)
    assert [one["ode"] for one in c.escape_steps] == [None, None]
    assert c.floor == 1.2


def test_noise_gauge_is_an_integral_up_to_the_escape():
    rate = np.outer(np.ones(6), [0.1, 0.3])
    ode = run(LINE, noise_rate=rate)
    until = [200.0, 5000.0, np.inf]
    np.testing.assert_allclose(noise_gauges(ode, until), [0.06, 1.5, 3.0, 3.0])
    np.testing.assert_allclose(noise_gauges(ode, until[:2]), [0.06, 1.5, 1.5])
    growing = run(LINE, noise_rate=np.outer(1e-3 * STEPS, [2.0, 0.0]))
    np.testing.assert_allclose(noise_gauges(growing, []), [100.0])
    assert noise_gauges(run(LINE), [1.0]) == [None, None]
    rate[4:] = np.nan
    np.testing.assert_allclose(noise_gauges(run(LINE, noise_rate=rate), [np.inf]), [0.03, 0.03])


def test_noise_sentence_only_above_one():
    for rate, said in ((0.01, False), (1.0, True)):
        c = compare(run(LINE, noise_rate=np.full((6, N), rate)), run([LINE]), path=PATH)
        assert bool(c.noise_sentence) == said
        assert c.noise_sentence in c.text()
        assert c.noise_gauge == c.noise_gauge_by_escape[-1]
        assert len(c.noise_gauge_by_escape) == 2
    assert c.noise_sentence.startswith("Noise gauge 3.2 is above 1")


def test_distance_absolute_and_in_standard_errors():
    risk = np.array([LINE, LINE]) + np.array([[0.0], [0.2]])
    risk[:, :2] = 1.2
    gap = distance(run(LINE), run(risk))
    assert gap["sup"] == pytest.approx(0.1)
    assert gap["mean"] == pytest.approx(0.1 * 4 / 6)
    assert (gap["sup_se"], gap["mean_se"]) == (pytest.approx(1.0), pytest.approx(1.0))
    assert gap["overlaps"] == {"sup": 0.0, "mean": 0.0, "sup_se": None, "mean_se": None}


def test_distance_of_overlaps():
    m, ms = np.zeros((6, N, P)), np.zeros((3, 6, N, P))
    m[-1, 0, 0] = 1.0
    ms[:, -1, 0, 0] = [0.5, 0.7, 0.9]
    gap = distance(run(LINE, m=m), run([LINE] * 3, m=ms))["overlaps"]
    assert gap["sup"] == pytest.approx(0.3)
    assert gap["mean"] == pytest.approx(0.3 / 36)
    assert gap["sup_se"] == pytest.approx(0.3 / (0.2 / np.sqrt(3)))


def test_distance_uses_common_steps_and_living_runs():
    other = run([[1.2, 1.0, 0.4], [1.2, np.nan, np.nan]], steps=np.array([0, 10, 1000]))
    gap = distance(run(LINE), other)
    assert gap["sup"] == pytest.approx(0.0)
    assert gap["sup_se"] is None
    assert distance(run([np.nan] * 6), other)["sup"] is None


def test_a_single_standard_error_is_unknown():
    gap = distance(run(LINE), run(np.array([LINE]) + 0.1))
    assert (gap["sup"], gap["sup_se"]) == (pytest.approx(0.1), None)


def test_summary_is_strict_json_with_its_keys():
    risk = np.array([LINE] * 3)
    risk[1, 3:] = np.nan
    c = compare(run(LINE), run(risk), path=PATH)
    read = json.loads(json.dumps(c.summary(), allow_nan=False))
    keys = {"plateaus", "escape_steps", "ratios", "floor", "noise_gauge", "noise_gauge_by_escape", "distance"}
    assert read.keys() == keys
    assert read["plateaus"].keys() == {"ode", "sgd"}
    entry = {"level", "start_step", "end_step", "start_time", "end_time", "kind", "matched"}
    assert all(one.keys() == entry for found in read["plateaus"].values() for one in found)
    assert read["floor"] == 0.1


def test_text_shows_both_side_by_side():
    text = str(compare(run(LINE), run([LINE, [1.2] * 6]), path=PATH))
    assert "1 -> 0.5 -> 0" in text
    assert any(line.startswith("z1*z2*z3") and "3162" in line and "1 of 2" in line for line in text.splitlines())


def test_target_is_taken_from_the_settings():
    for settings in (
        {"target": {"expression": "z1 + z1*z2*z3", "data": "gaussian"}},
        {"target": "z1 + z1*z2*z3"},
    ):
        c = compare(run(LINE, settings=settings), run([LINE]))
        np.testing.assert_allclose(c.path.plateau_levels, [1.0, 0.5, 0.0])
        assert [one["terms"] for one in c.escape_steps] == [["z1"], ["z1*z2*z3"]]


def test_bad_input():
    with pytest.raises(InputError, match="ode holds 1 runs"):
        compare(run([LINE]), run([LINE]), path=PATH)
    with pytest.raises(InputError, match="names no target"):
        compare(run(LINE), run([LINE]))
    with pytest.raises(InputError, match="overlaps of shape"):
        compare(run(LINE), run([LINE], m=np.zeros((1, 6, N, P + 1))), path=PATH)
    with pytest.raises(InputError, match="share no output steps but 0"):
        distance(run(LINE), dataclasses.replace(run([LINE]), steps=STEPS * 7 + (STEPS > 0)))
