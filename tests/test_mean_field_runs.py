"""The mean-field flow as a run: kinks, stopping and divergence, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from test_mean_field import random_network, simulate

from odesim import InputError, Network, Status, Target, Training, run
from odesim.activations.catalogue import CATALOGUE
from odesim.flows.mean_field import MeanFieldFlow
from odesim.job import Job


def test_relu_goes_on_where_its_kinks_settle_on_points():
    """Bias-free z1*z2: m = (c, c) puts two of the four points on the kink, and s vanishes there."""
    target = Target.parse("z1*z2", data="boolean")
    network = random_network(target, width=20, dim=100, activation="relu", second_layer=1.0, rng=1)
    rough, fine = (simulate(target, MeanFieldFlow(smoothing=e), network=network, t=20) for e in (4e-3, 1e-3))
    assert fine.risk[-1] < 1e-4
    assert abs(rough.risk - fine.risk).max() < 2e-3


@pytest.mark.parametrize("discrete", [False, True])
def test_a_stopped_or_diverged_run_keeps_what_it_has(discrete):
    target = Target.parse("z1 + z1*z2", data="boolean")
    network = random_network(target, width=5, dim=30, activation="relu", second_layer=1.0, biases=0.5, rng=2)
    steps = np.array([0, 10, 100_000])
    job = Job(target, network, Training(eta=0.01), steps)
    stopped = MeanFieldFlow(discrete=discrete).simulate(replace(job, progress=lambda share: job.stop.set()))
    assert int(stopped.status) == Status.INTERRUPTED
    assert np.isfinite(stopped.risk[0])
    assert np.isnan(stopped.risk[-1])
    if discrete:
        wild = MeanFieldFlow(discrete=True).simulate(Job(target, network, Training(eta=1e3), steps))
        assert int(wild.status) == Status.DIVERGED
        assert np.isnan(wild.risk[-1])
        assert wild.message.startswith("at flow time")


def test_a_kink_is_found_where_it_is():
    """A bias keeps ReLU off its kink, and a smooth activation has none."""
    target = Target.parse("z1", data="boolean")
    flow = MeanFieldFlow("zero", 0.0)
    biased = random_network(target, width=3, dim=20, activation="relu", biases=0.5, rng=0)
    assert flow.neurons(biased).s == pytest.approx(0)
    assert flow.neurons(random_network(target, width=3, dim=20, activation="erf")).s == pytest.approx(0)
    with pytest.raises(InputError, match=r"start_norm=0\.0 leaves relu at its kink"):
        flow.neurons(replace(biased, b=biased.b * [1, 0, 1]))
    leaky = replace(CATALOGUE["erf"], name="leaky", derivative=lambda x: np.where(x > 0.3, 1.0, 0.1))
    flow.neurons(replace(biased, activation=leaky))
    with pytest.raises(InputError, match="leaves leaky at its kink"):
        flow.neurons(replace(biased, activation=leaky, b=np.array([0.0, 0.3, 1.0])))


BAD = [
    ({"start": "one"}, "start"),
    ({"start_norm": -1.0}, "start_norm"),
    ({"particles": -1}, "particles"),
    ({"particles": 4}, "particles"),
    ({"hold": True}, "hold"),
    ({"start": "zero", "start_bias": 0.3}, "start_bias"),
    ({"nodes": 1}, "nodes"),
    ({"smoothing": -1e-3}, "smoothing"),
    ({"rtol": 0.0}, "rtol"),
    ({"atol": 0.0}, "atol"),
]


@pytest.mark.parametrize(("options", "name"), BAD)
def test_bad_options_are_named(options, name):
    with pytest.raises(InputError, match=f"^{name}="):
        MeanFieldFlow(**options)


@pytest.mark.parametrize(
    ("flow", "expression", "data", "match"),
    [
        (MeanFieldFlow(nodes=3), "He3(z1)", "gaussian", "nodes=3"),
        (MeanFieldFlow(nodes=200), "z1*z2*z3", "gaussian", "fewer nodes"),
        (MeanFieldFlow(), "z21", "boolean", "21 coordinates"),
        (MeanFieldFlow("zero", 0.0), "z1", "boolean", "start_norm"),
        (MeanFieldFlow("zero", hold=True), "z1", "gaussian", "boolean"),
    ],
)
def test_bad_runs_are_refused(flow, expression, data, match):
    target = Target.parse(expression, data=data)
    with pytest.raises(InputError, match=match):
        simulate(target, flow, name="relu", t=0.1)


def test_quadrature_means_mean_field_scaling():
    target = Target.parse("z1", data="boolean")
    plain = Network.random(target, width=2, dim=9)
    with pytest.raises(InputError, match=r"^particles=4 .* scaling='mean_field'"):
        simulate(target, MeanFieldFlow("zero", particles=4), network=plain)


def test_the_sphere_is_refused():
    target = Target.parse("z1")
    network = random_network(target, width=2, dim=5)
    with pytest.raises(InputError, match="geometry"):
        run(MeanFieldFlow(), target, network, Training(eta=0.1, geometry="sphere"), steps=5)
