"""The correlation flow as a run: neurons that end alone, kinks, stopping, wide networks, and what is refused."""

import threading

import numpy as np
import pytest
from test_correlation import TARGETS, neurons, simulate

from odesim import InputError, Network, Status, Target, Training, run
from odesim.flows import alone_record
from odesim.flows.correlation import CorrelationFlow
from odesim.job import Job


def test_a_neuron_without_bound_ends_alone():
    target = Target.parse("z1")
    network = neurons(target, [[0.1], [0.1]], [1.0, 1e-9], name="relu")
    out = simulate(target, network, [0, 1e11, 1e13], eta=1e9)
    assert int(out.status) == Status.DIVERGED
    assert "neuron 0 at flow time" in out.message
    assert np.isnan(out.m[-1, 0]).all()
    assert np.isnan(out.a[-1, 0])
    assert np.isnan(out.risk[-1])
    assert out.m[-1, 1, 0] == pytest.approx(0.1 + 0.5e4, rel=1e-5)
    assert np.isfinite(out.risk[:2]).all()


def test_a_relu_neuron_held_by_a_kink_is_followed_or_said_to_be_too_fast():
    """Without residual the flow slides along <m, z> + b = 0 for one z, at rates far above 1/eta for large steps."""
    target = Target.parse(TARGETS["boolean"], data="boolean")
    network = neurons(target, [[-0.8, 0.5]], -0.5, name="relu", b=[0.3], R=np.array([[0.11]]))
    times = np.linspace(0, 400, 9)
    fine, coarse, explicit = (
        simulate(target, network, times, True, eta=eta, rtol=rtol, method=method)
        for eta, rtol, method in ((1e-3, 1e-6, "auto"), (10, 1e-6, "auto"), (10, 1e-5, "tsitouras"))
    )
    held = fine.m[-1, 0] @ (np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]]).T) + 0.3
    assert int(fine.status) == Status.DONE
    assert abs(held).min() < 1e-3
    assert fine.Q[-1, 0, 0] - fine.m[-1, 0] @ fine.m[-1, 0] < 1e-6
    assert int(coarse.status) == Status.DONE
    assert coarse.m == pytest.approx(fine.m, abs=1e-4)
    assert int(explicit.status) == Status.TOO_FAST
    assert np.isnan(explicit.risk[-1])


def test_stopping_keeps_what_is_there():
    target = Target.parse("z1 + z1*z2")
    network = Network.random(target, width=3, dim=20)
    steps = np.array([0, 10, 100_000_000])
    event = threading.Event()
    job = Job(target, network, Training(eta=0.01), steps, progress=lambda share: event.set(), stop=event)
    out = CorrelationFlow(rtol=1e-12, atol=1e-14).simulate(job)
    assert int(out.status) == Status.INTERRUPTED
    assert np.isfinite(out.risk[:2]).all()
    assert np.isnan(out.risk[-1])
    nothing = CorrelationFlow().simulate(job)
    assert int(nothing.status) == Status.INTERRUPTED
    assert np.isnan(nothing.risk).all()


def test_wide_networks_keep_no_Q_but_their_risk(monkeypatch):
    target = Target.parse("z1 + z1*z2")
    network = Network.random(target, width=5, dim=20)
    kept = simulate(target, network, [0, 1, 2])
    monkeypatch.setattr(alone_record, "MAX_WIDTH_OF_Q", 4)
    monkeypatch.setattr(alone_record, "ENTRIES_AT_ONCE", 20)
    out = simulate(target, network, [0, 1, 2])
    assert kept.Q.shape == (3, 5, 5)
    assert out.Q is None
    assert np.array_equal(out.risk, kept.risk)


@pytest.mark.parametrize("options", [{"rtol": -1.0}, {"atol": 0.0}, {"rtol": float("nan")}, {"atol": "x"}])
def test_bad_options_are_named(options):
    with pytest.raises(InputError, match=next(iter(options))):
        CorrelationFlow(**options)


@pytest.mark.parametrize("rates", [{"eta_a": 0.1}, {"eta_b": 0.1}])
def test_trained_second_layers_and_biases_are_refused(rates):
    target = Target.parse("z1")
    network = Network.random(target, width=3, dim=10)
    with pytest.raises(InputError, match=next(iter(rates))):
        run(CorrelationFlow(), target, network, Training(eta=0.01, **rates), steps=10)


def test_too_many_boolean_coordinates_are_refused():
    target = Target.parse("*".join(f"z{i + 1}" for i in range(11)), data="boolean")
    with pytest.raises(InputError, match="11 Boolean coordinates"):
        run(CorrelationFlow(), target, Network.random(target, width=2, dim=12), Training(eta=0.01), steps=10)


def test_a_vector_of_length_zero_has_no_place_on_the_sphere():
    target = Target.parse("z1")
    network = neurons(target, [[0.1], [0.0]], [1.0, 1.0], R=np.diag([1.0, 0.0]))
    with pytest.raises(InputError, match="neuron 1"):
        simulate(target, network, [0, 1], True)
