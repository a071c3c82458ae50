"""Algorithm 1 against its literal transcription, step by step, releases included."""

import dataclasses

import hypothesis.strategies as st
import naive_layerwise as naive
import numpy as np
import pytest
from conftest import targets
from hypothesis import given, settings
from test_sgd import boolean_targets, data

from odesim.flows.overlap import risk_of
from odesim.job import Job
from odesim.network import Network
from odesim.sgd import handed, layerwise
from odesim.sgd.layerwise import Layerwise
from odesim.targets.series import Target
from odesim.training import Phase, Training, TwoRadii

STAIRS = Target.parse("z1 + z1*z2")
SIGNS = Target.parse("0.2 + z1 + z1*z2*z3", data="boolean")


def make_job(
    steps, *, target=STAIRS, width=4, dim=12, activation="erf", biases=0.3, seeds=1, training=None, scaling="plain",
    second_layer=0.5, rng=3,
):  # fmt: skip
    network = Network.random(
        target, width=width, dim=dim, activation=activation, biases=biases, scaling=scaling, rng=rng,
        second_layer=second_layer, first_layer="signs",
    )  # fmt: skip
    return Job(target, network, training or usual(), np.asarray(steps), seeds, np.random.SeedSequence(11))


def usual(steps1=200, eta1=0.05, eta2=0.02, r=0.45, delta=0.7, **options):
    return Training.layerwise(eta1=eta1, eta2=eta2, steps1=steps1, r=r, delta=delta, **options)


def twin(job, index, steps):
    return list(naive.layerwise(job.network, job.training, *data(job, index, steps)))


def releases(job, when):
    """The twin's release times as the trajectory has them."""
    out = np.full(job.network.m.shape, np.nan)
    for (j, i), step in when.items():
        if i < job.target.P:
            out[j, i] = job.training.time_at(step)
    return out


def strays(job, when):
    return [sum(i >= job.target.P for j, i in when if j == neuron) for neuron in range(job.network.width)]


def near_an_edge(states, r, delta, slack):
    """Whether rounding could decide a release."""
    before = states[0][0]
    for W, *_ in states[1:]:
        if (abs(abs(W) - r) < slack).any() or (abs(abs(before) - r) < slack).any():
            return True
        before = W
    return False


@st.composite
def trainings(draw):
    r = draw(st.floats(0.05, 0.95))
    first = draw(st.integers(1, 20))
    loss = draw(st.sampled_from(["square", "correlation"]))
    rate = draw(st.sampled_from([1.0, 0.5]))
    schedule = (Phase(first, rate, a=0.0, b=0.0), Phase(w=0.0, b=0.0))
    if draw(st.booleans()):  # w once more
        schedule = (schedule[0], Phase(first + draw(st.integers(1, 5)), w=0.0), Phase(a=0.0))
    return Training(
        eta=draw(st.floats(0.01, 1.0)),
        eta_a=draw(st.floats(0.0, 0.1)),
        geometry=TwoRadii(r, r + draw(st.floats(0.01, 1.0))),
        decay_a=draw(st.sampled_from([0.0, 0.5])),
        noise=draw(st.sampled_from([0.0, 0.5])),
        loss=loss,
        schedule=schedule,
    )


@given(draw=st.data())
@settings(max_examples=120)
def test_every_step_is_that_of_the_algorithm_as_it_is_written(draw):
    target = draw.draw(targets() | boolean_targets())
    dtype = draw.draw(st.sampled_from(["float32", "float64"]))
    steps = np.arange(draw.draw(st.integers(2, 28)))
    training = draw.draw(trainings())
    network = Network.random(
        target,
        width=draw.draw(st.integers(1, 6)),
        dim=target.P + draw.draw(st.integers(0, 20)),
        activation=draw.draw(st.sampled_from(["erf", "relu"])),
        scaling=draw.draw(st.sampled_from(["plain", "mean_field"])),
        second_layer=draw.draw(st.floats(0.05, 1.0)),
        first_layer="signs",
        biases=draw.draw(st.sampled_from([0.0, 1.0])),
        rng=draw.draw(st.integers(0, 100)),
    )
    job = Job(target, network, training, steps, 2, np.random.SeedSequence(draw.draw(st.integers(0, 99))))
    got = Layerwise(dtype=dtype).simulate(job)
    tolerance = 1e-10 if dtype == "float64" else 2e-4
    for index in range(2):
        states = twin(job, index, steps[-1])
        if max(np.abs(state[1]).max() for state in states) > 50:
            continue  # a diverging second layer magnifies rounding
        if dtype == "float32" and near_an_edge(states, training.geometry.r, training.geometry.delta, 1e-4):
            continue
        for t, (W, a, _, when, _, _) in enumerate(states):
            close = {"rtol": tolerance, "atol": tolerance}
            np.testing.assert_allclose(got.m[index, t], W[:, : target.P], **close)
            np.testing.assert_allclose(got.Q[index, t], W @ W.T, **close)
            np.testing.assert_allclose(got.a[index, t], a, **close)
            assert got.strays[index, t].tolist() == strays(job, when)
            want = risk_of(target, network.activation, W[:, : target.P], W @ W.T, network.unit * a, network.b)
            np.testing.assert_allclose(got.risk[index, t], want, rtol=10 * tolerance, atol=10 * tolerance)
        np.testing.assert_allclose(got.events["release"][index], releases(job, states[-1][3]), rtol=1e-12)


@pytest.mark.parametrize("target", [STAIRS, SIGNS], ids=["gaussian", "boolean"])
@pytest.mark.parametrize("scaling", ["plain", "mean_field"])
@pytest.mark.parametrize("activation", ["erf", "relu"])
def test_long_runs_stay_with_the_twin_at_awkward_sizes(target, scaling, activation):
    training = usual(steps1=301, noise=0.2, decay=0.5)
    job = make_job(
        [0, 150, 301, 302, 397], target=target, width=17, dim=33, activation=activation, training=training,
        scaling=scaling,
    )  # fmt: skip
    states = twin(job, 0, 397)
    got = Layerwise().simulate(job)
    for row, step in enumerate(job.steps):
        W, a, _, when, _, _ = states[step]
        np.testing.assert_allclose(got.m[0, row], W[:, : target.P], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(got.Q[0, row], W @ W.T, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(got.a[0, row], a, rtol=1e-9, atol=1e-9)
        assert got.strays[0, row].tolist() == strays(job, when)
    assert np.isfinite(got.events["release"]).any()
    np.testing.assert_allclose(got.events["release"][0], releases(job, when), rtol=1e-12)
    assert np.array_equal(got.b[0], np.broadcast_to(job.network.b, got.b[0].shape))


def walk(job, dtype=float, ridge=False):
    """One run by hand."""
    state = layerwise._State.start(job.network, np.dtype(dtype))
    return layerwise._Walk(job, state, handed.seed_of(job, 0), handed.shared_of(job), ridge)


def to(walk, step):
    while walk.step < step:
        assert walk.advance(step) == 0
    return walk


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_not_released_has_length_one_and_padding_stays_zero(dtype):
    job = make_job([0], width=5, dim=21, training=usual(steps1=2000, eta1=0.01))
    seen = 0
    one = walk(job, dtype)
    for step in (1, 2, 5, 50, 700, 2000, 2003):
        to(one, step)
        W, released = one.state.weights, one.state.released
        assert not W[:, 21:].any()
        assert not one.state.a[5:].any()
        for j, w in enumerate(W.astype(float)):
            loose = np.zeros(w.size, dtype=bool)
            loose[released.which[j, : released.number[j]]] = True
            assert loose.sum() == released.number[j]
            seen += loose.sum()
            assert np.linalg.norm(w[~loose]) == pytest.approx(1.0, abs=1e-12 if dtype == "float64" else 1e-6)
            assert abs(w[loose]).max(initial=0.0) <= np.dtype(dtype).type(0.7)
    assert seen > 5


def test_with_everything_released_nothing_is_rescaled():
    """r so small that the first step releases all: S is empty, weights move freely within ±delta."""
    training = usual(steps1=50, r=0.01, delta=0.4)
    job = make_job(np.arange(60), width=3, dim=9, training=training)
    states, got = twin(job, 0, 59), Layerwise().simulate(job)
    assert all(not S for S in states[1][2])
    for t, (W, a, *_) in enumerate(states):
        np.testing.assert_allclose(got.Q[0, t], W @ W.T, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(got.a[0, t], a, rtol=1e-10)
    assert (got.strays[0, 1:] == 9 - job.target.P).all()
    assert np.allclose(got.events["release"], 0.05)


def test_a_start_beyond_r_is_released_by_the_first_step_and_not_before():
    job = make_job([0, 1], dim=4, training=usual(r=0.3))  # ±1/√4
    got = Layerwise().simulate(job)
    assert (got.strays[0] == [[0] * 4, [2] * 4]).all()
    assert np.allclose(got.events["release"], 0.05)
    assert np.isnan(Layerwise().simulate(dataclasses.replace(job, steps=np.array([0]))).events["release"]).all()


def test_under_the_correlation_loss_neurons_do_not_meet():
    job = make_job([0, 5, 300], width=4, training=usual(loss="correlation"))
    whole = Layerwise().simulate(job)
    net = job.network
    for j in range(4):
        alone = Network.from_weights(STAIRS, net.weights[j : j + 1], net.a[j : j + 1], net.b[j : j + 1])
        got = Layerwise().simulate(dataclasses.replace(job, network=alone))
        assert np.array_equal(got.m[:, :, 0], whole.m[:, :, j])
        assert np.array_equal(got.events["release"][:, 0], whole.events["release"][:, j], equal_nan=True)


def test_flow_time_is_eta1_in_both_phases_and_row_zero_is_the_start():
    job = make_job([0, 100, 200, 260])
    got = Layerwise().simulate(job)
    assert got.time == pytest.approx([0.0, 5.0, 10.0, 13.0])
    assert np.array_equal(got.m[0, 0], job.network.m)
    assert np.array_equal(got.a[0, 2], job.network.a)  # a has rested
    assert not np.array_equal(got.a[0, 3], job.network.a)
    assert np.array_equal(got.Q[0, 2], got.Q[0, 3])  # and now w does


def test_both_dtypes_follow_the_same_path():
    job = make_job([0, 100, 300], width=8, dim=50, training=usual(r=0.3))
    one, other = (Layerwise(dtype=dtype).simulate(job) for dtype in ("float32", "float64"))
    np.testing.assert_allclose(one.m, other.m, atol=1e-4)
    np.testing.assert_allclose(one.a, other.a, atol=1e-4)


def test_wide_networks_keep_squared_norms():
    got = Layerwise().simulate(make_job([0, 3, 220], width=66, dim=20, second_layer=0.05))
    assert got.Q is None
    assert got.q[0, 0] == pytest.approx(np.ones(66))
    assert np.isfinite(got.risk).all()


def test_any_activation_learns():
    """A table and a polynomial go through the same steps."""
    for name in ("tanh", "gelu"):
        got = Layerwise().simulate(make_job([0, 300], activation=name))
        assert np.isfinite(got.risk).all()
        assert not np.array_equal(got.m[0, 0], got.m[0, 1])
