"""The ridge second layer against plain least squares, quadrature and brute force."""

import dataclasses

import naive_layerwise as naive
import numpy as np
import pytest
from conftest import networks, targets
from hypothesis import given, settings
from hypothesis import strategies as st
from test_layerwise import make_job, usual
from test_sgd import boolean_targets

from odesim import InputError, Network, Phase, Target, Training, ridge, run
from odesim.activations.catalogue import activation_named
from odesim.flows.overlap import risk_of
from odesim.sgd.full import SGD
from odesim.sgd.layerwise import Layerwise
from odesim.sgd.second_layer import FLOOR, minimum, population_moments

DECAYS = st.sampled_from([1e-3, 0.1, 3.0])


def of(target, network):
    return population_moments(target, network.activation, network.m, network.m @ network.m.T + network.R, network.b)


@given(draw=st.data())
@settings(max_examples=30)
def test_moments_are_those_of_the_risk(draw):
    """½E[h²] − a·C + ½aᵀKa is the risk at random a, Gaussian and Boolean."""
    target = draw.draw(targets() | boolean_targets())
    network = draw.draw(networks(target))
    moments = of(target, network)
    assert np.array_equal(moments.K, moments.K.T)
    Q = network.m @ network.m.T + network.R
    for a in np.random.default_rng(draw.draw(st.integers(0, 99))).normal(size=(3, network.width)):
        want = risk_of(target, network.activation, network.m, Q, a, network.b)
        assert moments.risk(a) == pytest.approx(want, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", ["erf", "relu"])
@pytest.mark.parametrize("text", ["z1 + z1*z2", "z1*z2*z3"])
def test_moments_by_quadrature_over_all_of_x(name, text):
    """Three dimensions, a smooth activation to 1e-6, ReLU to its kink: the rule over x itself, not over overlaps."""
    target = Target.parse(text)
    network = Network.random(target, width=4, dim=3, activation=name, biases=1.0, rng=1)
    C, K = naive.second_moments(name, target, network.weights, network.b)
    moments = of(target, network)
    accuracy = 1e-6 if name == "erf" else 3e-2
    np.testing.assert_allclose(moments.C, C, rtol=0, atol=accuracy)
    np.testing.assert_allclose(moments.K, K, rtol=0, atol=accuracy)


def test_boolean_moments_are_exact_where_nothing_is_off_the_support():
    target = Target.parse("z1*z2 + z3", data="boolean")
    network = Network.random(target, width=4, dim=3, biases=1.0, rng=1)
    C, K = naive.second_moments("erf", target, network.weights, network.b)
    moments = of(target, network)
    np.testing.assert_allclose(moments.C, C, rtol=0, atol=1e-6)  # the floor of a variance is 1e-8 of the argument's
    np.testing.assert_allclose(moments.K, K, rtol=0, atol=1e-6)


@given(draw=st.data(), decay=DECAYS, scaling=st.sampled_from(["plain", "mean_field"]))
@settings(max_examples=25)
def test_no_other_second_layer_is_better(draw, decay, scaling):
    """The penalised risk is stationary and grows in every direction; the risk is that of the network."""
    target = draw.draw(targets() | boolean_targets())
    network = dataclasses.replace(draw.draw(networks(target)), scaling=scaling)
    found = ridge(target, network, decay)
    Q = network.m @ network.m.T + network.R

    def penalised(a):
        risk = risk_of(target, network.activation, network.m, Q, network.unit * a, network.b)
        return float(risk) + decay / 2 * network.unit * float(a @ a)

    best = penalised(found.a)
    assert found.risk == pytest.approx(best - decay / 2 * network.unit * float(found.a @ found.a), abs=1e-9)
    step = 1e-3 / network.unit
    for direction in np.random.default_rng(0).normal(size=(4, network.width)):
        up, down = penalised(found.a + step * direction), penalised(found.a - step * direction)
        assert min(up, down) > best
        assert up == pytest.approx(down, abs=1e-8 * (1 + best))


@given(seed=st.integers(0, 999), decay=DECAYS, biased=st.booleans())
@settings(max_examples=25)
def test_from_samples_it_is_least_squares_with_augmented_rows(seed, decay, biased):
    target = Target.parse("z1 + z1*z2")
    network = Network.random(target, width=5, dim=7, biases=float(biased), activation="relu", rng=seed)
    rng, n = np.random.default_rng(seed), 40
    x = rng.normal(size=(n, 7))
    y = target.evaluate(x[:, :2]) + 0.1 * rng.normal(size=n)
    s = np.maximum(x @ network.weights.T + network.b, 0.0)
    rows = np.concatenate([s, np.sqrt(n * decay) * np.eye(5)])
    want = np.linalg.lstsq(rows, np.append(y, np.zeros(5)), rcond=None)[0]
    found = ridge(target, network, decay, x=x, y=y)
    assert found.a == pytest.approx(want, rel=1e-8, abs=1e-10)
    assert found.risk == pytest.approx(of(target, network).risk(want), rel=1e-7)
    wide = ridge(target, dataclasses.replace(network, scaling="mean_field"), decay / 5, x=x, y=y)
    assert wide.a == pytest.approx(5 * want, rel=1e-8, abs=1e-10)


def test_many_samples_tend_to_the_population():
    """20 000 samples: the second layer to a few percent, five standard errors of 1/√n."""
    target = Target.parse("z1 + z1*z2", data="boolean")
    network = Network.random(target, width=5, dim=60, biases=1.0, rng=3)
    rng = np.random.default_rng(0)
    x = rng.choice([-1.0, 1.0], size=(20_000, 60))
    by_samples = ridge(target, network, 0.1, x=x, y=target.evaluate(x[:, :2]))
    population = ridge(target, network, 0.1)
    assert by_samples.a == pytest.approx(population.a, abs=0.05)
    worth = [one.risk + 0.05 * one.a @ one.a for one in (by_samples, population)]
    assert 0 <= worth[0] - worth[1] < 1e-3


def test_twins_share_what_one_neuron_alone_would_take():
    """Without a penalty the equations are singular: the risk is still that of the one neuron."""
    target = Target.parse("z1 + He3(z1)")
    network = Network.random(target, width=3, dim=9, biases=0.5, rng=2)
    twice = Network.from_weights(target, np.tile(network.weights, (2, 1)), np.ones(6), np.tile(network.b, 2))
    alone, found = ridge(target, network, 0.0), ridge(target, twice, 0.0)
    assert found.risk == pytest.approx(alone.risk, abs=1e-7)
    assert found.a[:3] + found.a[3:] == pytest.approx(alone.a, rel=1e-3)
    assert found.a[:3] == pytest.approx(found.a[3:], rel=1e-3)


def test_a_penalty_below_the_accuracy_of_the_moments_counts_as_that():
    K = np.diag([1.0, 1e-20])
    assert minimum(K, np.array([1.0, 1.0]), 0.0) == pytest.approx([1.0, 1 / FLOOR], rel=1e-6)
    with pytest.raises(InputError, match="decay=0 leaves equations that are not positive definite; raise it"):
        minimum(np.diag([1.0, -0.5]), np.ones(2), 0.0)
    assert minimum(np.diag([1.0, -0.5]), np.ones(2), 1.0) == pytest.approx([0.5, 2.0])


@given(seed=st.integers(0, 99), n=st.integers(1, 9))
def test_equations_are_solved(seed, n):
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(n, n + 3))
    K, C = A @ A.T, rng.normal(size=n)
    assert minimum(K, C, 0.3) == pytest.approx(np.linalg.solve(K + 0.3 * np.eye(n), C), rel=1e-9, abs=1e-11)


@pytest.mark.parametrize("scaling", ["plain", "mean_field"])
def test_it_is_where_sgd_on_the_second_layer_tends(scaling):
    """Small steps of a alone from the start: their mean over many steps is the ridge, in either scaling."""
    target = Target.parse("z1 + z1*z2")
    network = Network.random(target, width=4, dim=20, biases=1.0, scaling=scaling, rng=5)
    decay = 0.2 * (1 if scaling == "plain" else 4)
    training = Training(
        eta=1.0, eta_a=0.004 * (1 if scaling == "plain" else 4), decay_a=decay, schedule=(Phase(w=0.0),)
    )
    got = run(SGD(), target, network, training, t_eval=np.append(0, np.arange(5000, 60_000, 50)), seeds=8)
    means = got.a[:, 1:].mean(axis=1)
    want = ridge(target, network, decay).a
    error = means.std(axis=0, ddof=1) / np.sqrt(8)
    assert (abs(means.mean(axis=0) - want) < 5 * error + 1e-3 * abs(want).max()).all()
    assert error.max() < 0.1 * abs(want).max()


def test_a_row_of_a_run_is_refitted():
    job = make_job([0, 100, 201, 220], second_layer=0.05, training=usual(decay=0.3))
    got = run(Layerwise(second_phase="ridge"), job.target, job.network, job.training, t_eval=job.time, seeds=2)
    one = got[1]
    found = ridge(job.target, one, 0.3)
    assert one.a[3] == pytest.approx(found.a, rel=1e-9)
    assert np.array_equal(one.a[2], one.a[3])
    assert one.risk[3] == pytest.approx(found.risk, rel=1e-9)
    assert ridge(job.target, one, 0.3, row=2).a == pytest.approx(found.a, rel=1e-9)
    first = ridge(job.target, one, 0.3, row=0, network=job.network)
    assert first.a == pytest.approx(ridge(job.target, job.network, 0.3).a, rel=1e-9)
    with pytest.raises(InputError, match="ensemble of 2 runs"):
        ridge(job.target, got, 0.3)
    with pytest.raises(InputError, match="row=4 of 4"):
        ridge(job.target, one, 0.3, row=4)


def test_a_teacher_is_fitted_by_the_same_and_by_other_neurons():
    teacher = Target.teacher(2)
    for name in ("erf", "relu"):
        W = np.concatenate([teacher.weights, np.random.default_rng(0).normal(size=(2, 2))])
        network = Network.from_weights(teacher, np.pad(W, ((0, 0), (0, 3))), np.ones(4), activation=name)
        found = ridge(teacher, network, 0.0)
        if name == teacher.activation.name:
            assert found.a == pytest.approx([*teacher.second_layer, 0, 0], abs=1e-6)
            assert found.risk == pytest.approx(0.0, abs=1e-9)
        x, w = np.polynomial.hermite_e.hermegauss(60)
        z = np.stack([one.ravel() for one in np.meshgrid(x, x)], axis=1)
        weights = np.outer(w, w).ravel() / w.sum() ** 2
        f = activation_named(name).function(z @ W.T) @ found.a
        assert found.risk == pytest.approx(0.5 * weights @ (teacher.evaluate(z) - f) ** 2, abs=2e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decay": -1.0}, "decay=-1"),
        ({"decay": np.nan}, "decay=nan"),
        ({"x": np.zeros((3, 9))}, "needs x, y and a network"),
        ({"y": np.zeros(3)}, "needs x, y and a network"),
        ({"x": np.zeros((3, 8)), "y": np.zeros(3)}, r"x has shape \(3, 8\); give shape \(3, 9\)"),
        ({"x": np.zeros((3, 9)), "y": np.zeros(4)}, r"y has shape \(4,\); give shape \(3,\)"),
    ],
)
def test_bad_input_is_named(options, message):
    target = Target.parse("z1*z2")
    network = Network.random(target, width=2, dim=9)
    with pytest.raises(InputError, match=message):
        ridge(target, network, **{"decay": 0.1} | options)
    with pytest.raises(InputError, match="needs x, y and a network"):
        ridge(target, dataclasses.replace(network, weights=None), 0.1, x=np.zeros((3, 9)), y=np.zeros(3))
