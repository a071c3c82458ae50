"""Training: bounds, scalings and schedules, as rates of the plain network."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odesim import (
    CorrelationFlow,
    InputError,
    MeanFieldFlow,
    Network,
    OverlapFlow,
    Phase,
    Target,
    Training,
    TwoRadii,
    run,
)

TARGET = Target.parse("z1")


def network(scaling, width=5):
    return Network.random(TARGET, width=width, dim=7, scaling=scaling)


def test_mean_field_scaling_is_the_plain_network_with_steps_of_N_and_one_over_N():
    training = Training(eta=0.5, eta_a=0.25, eta_b=0.125, decay_w=0.1, decay_a=0.2)
    (plain,) = training.rates(network("plain"))
    (wide,) = training.rates(network("mean_field"))
    assert plain[2:8] == (0.5, 0.5, 0.25, 0.125, 0.1, 0.2)
    assert wide[2:8] == pytest.approx((0.5, 2.5, 0.05, 0.625, 0.02, 1.0))
    assert network("mean_field").plain_a == pytest.approx(network("plain").a / 5)


def test_one_step_of_the_scaled_network_is_one_step_of_the_plain_one():
    """The gradient of N times the loss of (1/N) Σ a tanh(w x), by hand, against the plain rates."""
    rng = np.random.default_rng(0)
    w, x, y = rng.normal(size=(5, 7)), rng.normal(size=7), 1.3
    start, training = network("mean_field"), Training(eta=0.5, eta_a=0.25, decay_w=0.1, decay_a=0.2)
    s, slope, a = np.tanh(w @ x), 1 - np.tanh(w @ x) ** 2, start.a
    error = y - (a @ s) / 5
    w1 = w + 0.5 * (error * np.outer(a * slope, x) - 0.1 * w)
    a1 = a + 0.25 * (error * s - 0.2 * a)
    (row,) = training.rates(start)
    b = start.plain_a
    w2 = w + row.w * (error * np.outer(b * slope, x) - row.decay_w * w)
    b2 = b + row.a * (error * s - row.decay_a * b)
    assert w2 == pytest.approx(w1, rel=1e-14)
    assert 5 * b2 == pytest.approx(a1, rel=1e-14)


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(0.1, 3.0)), max_size=4), st.floats(0.01, 2.0))
def test_time_is_the_sum_over_steps_and_can_be_turned_back(phases, eta):
    ends = np.cumsum([length for length, _ in phases])
    schedule = [Phase(int(end), rate) for end, (_, rate) in zip(ends, phases, strict=True)] + [Phase(None, 0.5)]
    training = Training(eta=eta, schedule=tuple(schedule))
    rates = [rate for length, rate in phases for _ in range(length)] + [0.5] * 20
    by_steps = eta * np.append(0.0, np.cumsum(rates))
    steps = np.arange(by_steps.size)
    assert training.time_at(steps) == pytest.approx(by_steps, rel=1e-12)
    assert training.steps_before(by_steps) == pytest.approx(steps, abs=1e-9)


def test_switched_layers_have_their_rows_and_time_goes_on():
    training = Training(eta=0.1, eta_b=0.1, schedule=(Phase(10, a=0, b=0), Phase(None, rate=2, w=0)))
    first, last = training.rates(network("plain"))
    assert (first.start, first.stop, last.start) == (0, 10, 10)
    assert first[2:6] == (0.1, 0.1, 0, 0)
    assert last[2:6] == (0.2, 0, 0.2, 0.2)
    assert training.trains("w")
    assert not Training(eta=1.0, eta_b=1.0, schedule=(Phase(b=0),)).trains("b")


def test_an_inner_step_has_its_sign_its_scaling_and_its_default():
    schedule = (Phase(10, rate=2, w=0.5), Phase(rate=0.25))
    sam = Training(eta=0.1, reuse="sam", schedule=schedule).rates(network("mean_field"))
    assert [row.inner for row in sam] == pytest.approx([-0.5, -0.125])
    extra = Training(eta=0.1, reuse="extragradient", rho=0.3, schedule=schedule).rates(network("plain"))
    assert [row.inner for row in extra] == [0.3, 0.3]
    assert Training(eta=0.1, reuse="twice").rates(network("plain"))[0].inner == 0.0


@pytest.mark.parametrize("flow", [OverlapFlow(), CorrelationFlow(), MeanFieldFlow()])
def test_flows_refuse_the_reuse_of_samples(flow):
    start = network("mean_field" if isinstance(flow, MeanFieldFlow) else "plain")
    with pytest.raises(InputError, match=r"training\.reuse='twice' is unknown to \w+Flow; use 'none'"):
        run(flow, TARGET, start, Training(eta=0.1, eta_a=0.0, reuse="twice"), steps=10)


def test_a_normalised_gradient_knows_no_scaling():
    """A step of length eta and the same decay; the other layers as ever."""
    plain = Training(eta=0.1, eta_a=0.2, decay_w=0.3, schedule=(Phase(10, rate=2, w=0.5), Phase()))
    normalised = replace(plain, normalised=True)
    for one, row in zip(plain.rates(network("mean_field")), normalised.rates(network("mean_field")), strict=True):
        assert row.w == pytest.approx(one.w / network("mean_field").width)
        assert row.w * row.decay_w == pytest.approx(one.w * one.decay_w)
        assert (row.a, row.b, row.decay_a, row.clock) == (one.a, one.b, one.decay_a, one.clock)
    assert normalised.rates(network("plain")) == plain.rates(network("plain"))


@pytest.mark.parametrize("dynamics", [OverlapFlow(), CorrelationFlow(), MeanFieldFlow()])
def test_flows_refuse_normalised_gradients(dynamics):
    start = network("mean_field" if isinstance(dynamics, MeanFieldFlow) else "plain")
    with pytest.raises(InputError, match=r"training\.normalised=True is unknown to \w+; use False"):
        run(dynamics, TARGET, start, Training(eta=0.1, eta_a=0.0, normalised=True), steps=10)


def test_settings_are_json():
    training = Training(eta=0.1, batch=math.inf, geometry=TwoRadii(0.3, 0.6), schedule=(Phase(3), Phase()))
    told = json.loads(json.dumps(training.as_dict(), allow_nan=False))
    assert told["batch"] == "inf"
    assert told["geometry"] == {"r": 0.3, "delta": 0.6}
    assert told["schedule"][0]["until"] == 3


@pytest.mark.parametrize(
    ("bad", "culprit"),
    [
        ({"batch": 0}, "training.batch"),
        ({"batch": 1.5}, "training.batch"),
        ({"batch": math.nan}, "training.batch"),
        ({"loss": "cubic"}, "training.loss"),
        ({"decay_w": -1}, "training.decay_w"),
        ({"geometry": "torus"}, "training.geometry"),
        ({"schedule": (Phase(5),)}, "training.schedule"),
        ({"schedule": (Phase(5), Phase(5), Phase())}, "training.schedule"),
        ({"schedule": (1, Phase())}, "training.schedule"),
        ({"reuse": "thrice"}, "training.reuse"),
        ({"reuse": "twice", "rho": 0.1}, "training.rho"),
        ({"rho": 0.1}, "training.rho"),
        ({"reuse": "sam", "rho": 0.0}, "training.rho"),
        ({"normalised": 1}, "training.normalised"),
    ],
)
def test_bad_values_are_named(bad, culprit):
    with pytest.raises(InputError, match=culprit):
        Training(eta=0.1, **bad)


@pytest.mark.parametrize(("r", "delta"), [(0.6, 0.5), (1.0, 2.0), (0.0, 1.0), (math.nan, 1.0)])
def test_radii_are_checked(r, delta):
    with pytest.raises(InputError, match=r"geometry\.r"):
        TwoRadii(r, delta)


@pytest.mark.parametrize("bad", [{"rate": 0}, {"w": -1}, {"until": 0}])
def test_phases_are_checked(bad):
    with pytest.raises(InputError, match="phase"):
        Phase(**bad)
