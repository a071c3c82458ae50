"""Full SGD against its literal twin, under every loss, scaling, law and schedule."""

import dataclasses

import hypothesis.strategies as st
import naive_sgd
import numpy as np
import pytest
from conftest import networks, targets
from hypothesis import given, settings
from scipy.special import erf

from odesim import seeds
from odesim.flows.overlap import risk_of
from odesim.job import Job
from odesim.network import Network
from odesim.sgd import _random, full, handed
from odesim.sgd.full import SGD
from odesim.sgd.state import State
from odesim.targets.series import Target
from odesim.training import INNER, REUSES, Phase, Training
from odesim.trajectory import Status

STAIRS = Target.parse("z1 + z1*z2*z3")
BOOLEAN = Target.parse("0.2 + z1 + z1*z2*z3", data="boolean")

# Everything at once: phases that change inside groups of four steps, decay that halves W every hundred steps.
ALL = Training(
    eta=0.02,
    eta_a=0.01,
    eta_b=0.03,
    noise=0.3,
    loss="correlation",
    decay_w=0.5,
    decay_a=0.3,
    schedule=(Phase(until=6), Phase(until=47, rate=0.5, a=0.0), Phase(until=99, w=2.0), Phase(b=0.5)),
)


def make_job(
    steps,
    *,
    target=STAIRS,
    width=4,
    dim=12,
    activation="erf",
    biases=0.0,
    seeds=1,
    training=None,
    scaling="plain",
):
    network = Network.random(target, width=width, dim=dim, activation=activation, biases=biases, scaling=scaling, rng=3)
    grid = np.asarray(steps, dtype=np.int64)
    return Job(target, network, training or Training(eta=0.3 / dim), grid, seeds, np.random.SeedSequence(11))


def data(job, index, steps):
    """The samples and labels of one run, as the kernel draws them."""
    steps *= int(job.training.batch)
    seed = seeds.child(job.rng, seeds.DATA, index).generate_state(1, np.uint64)[0]
    x, xi = np.empty((steps, job.network.dim), np.float32), np.empty((steps, 1), np.float32)
    draw = _random.signs if job.target.data == "boolean" else _random.samples
    draw(seed, _random.INPUTS, 0, x)
    _random.samples(seed, _random.LABELS, 0, xi)
    x = x.astype(float)
    return x, job.target.evaluate(x[:, : job.target.P]) + np.sqrt(job.training.noise) * xi[:, 0]


def twin(job, index, steps):
    """Every state up to ``steps`` by the literal loop."""
    return list(naive_sgd.sgd(job.network, job.training, *data(job, index, steps)))


def same(one, other):
    """Whether two trajectories are equal to the bit."""
    names = [name for name in ("risk", "m", "a", "b", "Q", "status") if getattr(one, name) is not None]
    return all(np.array_equal(getattr(one, n), getattr(other, n), equal_nan=True) for n in names)


@st.composite
def trainings(draw, dim):
    """Rates, losses, decays and schedules; a step keeps between all of a weight and minus all of it."""
    eta = draw(st.floats(0.01, 0.5)) / dim
    eta_a = draw(st.sampled_from([None, 0.0, 0.02]))
    factors = st.sampled_from([1.0, 0.5, 0.0, 2.0])
    ends = sorted(draw(st.sets(st.integers(1, 20), max_size=4)))
    sphere, reuse = draw(st.booleans()), draw(st.sampled_from(REUSES))
    rho = draw(st.sampled_from([None, 0.1, 0.6])) if reuse in INNER else None
    phases = [Phase(end, draw(st.sampled_from([1.0, 0.5, 2.0])), *(draw(factors) for _ in "wab")) for end in ends]
    lost = st.sampled_from([0.0, 1e-3, 0.1, 0.25, 0.5])
    return Training(
        eta=eta,
        eta_a=eta_a,
        eta_b=draw(st.sampled_from([0.0, 0.01])),
        noise=draw(st.sampled_from([0.0, 0.5])),
        loss=draw(st.sampled_from(["square", "correlation"])),
        decay_w=0.0 if sphere else draw(lost) / eta,
        decay_a=draw(lost) / (eta_a or eta),
        schedule=(*phases, Phase()) if phases else (),
        geometry="sphere" if sphere else "free",
        reuse=reuse,
        rho=None if rho is None else rho / dim,
        normalised=draw(st.booleans()) and dim > 2,
    )


@st.composite
def boolean_targets(draw):
    """Sums of parities."""
    P = draw(st.integers(1, 4))
    exponents = st.tuples(*[st.integers(0, 1)] * P)
    terms = draw(st.dictionaries(exponents.filter(any), st.floats(0.1, 3.0), min_size=1, max_size=4))
    return Target.from_terms(terms, data="boolean")


@given(draw=st.data())
@settings(max_examples=80)
def test_every_step_is_that_of_the_literal_loop(draw):
    target = draw.draw(targets() | boolean_targets())
    network = draw.draw(networks(target))
    network = dataclasses.replace(network, scaling=draw.draw(st.sampled_from(["plain", "mean_field"])))
    dtype = draw.draw(st.sampled_from(["float32", "float64"]))
    steps = np.arange(draw.draw(st.integers(2, 23)))
    training = draw.draw(trainings(network.dim))
    job = Job(target, network, training, steps, 2, np.random.SeedSequence(draw.draw(st.integers(0, 99))))
    got = SGD(dtype=dtype).simulate(job)
    tolerance = 1e-10 if dtype == "float64" else 2e-4
    for index in range(2):
        states = twin(job, index, steps[-1])
        if max(np.abs(part).max() for s in states for part in s[:2]) > 50:
            continue  # a diverging run magnifies rounding
        for t, (W, a, b, _, _) in enumerate(states):
            close = {"rtol": tolerance, "atol": tolerance}
            np.testing.assert_allclose(got.m[index, t], W[:, : target.P], **close)
            np.testing.assert_allclose(got.Q[index, t], W @ W.T, **close)
            np.testing.assert_allclose(got.a[index, t], a, **close)
            if got.b is not None:
                np.testing.assert_allclose(got.b[index, t], b, **close)
            want = risk_of(target, network.activation, W[:, : target.P], W @ W.T, network.unit * a, b)
            np.testing.assert_allclose(got.risk[index, t], want, rtol=10 * tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("target", [STAIRS, BOOLEAN], ids=["gaussian", "boolean"])
@pytest.mark.parametrize("scaling", ["plain", "mean_field"])
@pytest.mark.parametrize("loss", ["square", "correlation"])
def test_long_runs_with_everything_stay_with_the_twin(target, scaling, loss):
    training = dataclasses.replace(ALL, loss=loss)
    job = make_job([0, 50, 397], target=target, width=17, dim=33, biases=0.5, training=training, scaling=scaling)
    states = twin(job, 0, 397)
    got = SGD().simulate(job)
    for row, step in ((1, 50), (2, 397)):
        W, a, b, _, _ = states[step]
        np.testing.assert_allclose(got.m[0, row], W[:, :3], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(got.Q[0, row], W @ W.T, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(got.a[0, row], a, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(got.b[0, row], b, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(got.time, [0, 0.02 * (6 + 0.5 * 41 + 3), 0.02 * (6 + 0.5 * 41 + 350)], rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lost", [1e-8, 1e-3, 0.3, 1.0, 1.4])
def test_without_a_gradient_weights_decay_as_powers(dtype, lost):
    """A second layer that stays 0: W_t = (1 − ηλ)^t W_0, also where one step's loss is below float32's spacing."""
    steps = 100_003 if lost < 1e-6 else 2003 if lost < 0.1 else 11
    start = Network.from_weights(STAIRS, np.arange(12.0).reshape(3, 4) - 5, np.zeros(3))
    training = Training(eta=0.1, eta_a=0.0, decay_w=lost / 0.1)
    got = SGD(dtype=dtype).simulate(Job(STAIRS, start, training, np.array([0, steps])))
    power = (1 - lost) ** steps
    np.testing.assert_allclose(got.m[0, -1], power * start.m, rtol=1e-6 if dtype == "float32" else 1e-11)


def test_a_step_decays_the_old_second_layer_and_uses_it():
    """With ηλ = ½: a = ½a + η y σ(λ), and W moves by the whole of the old a."""
    job = make_job([0, 1], training=Training(eta=0.1, loss="correlation", decay_a=5.0))
    x, y = data(job, 0, 1)
    lam = job.network.weights @ x[0]
    got = SGD().simulate(job)
    np.testing.assert_allclose(got.a[0, 1], job.network.a / 2 + 0.1 * y[0] * erf(lam / np.sqrt(2)), rtol=1e-12)
    slope = np.sqrt(2 / np.pi) * np.exp(-lam * lam / 2)
    moved = job.network.m + 0.1 * y[0] * (job.network.a * slope)[:, None] * x[0, :3]
    np.testing.assert_allclose(got.m[0, 1], moved, rtol=1e-12)


def test_boolean_and_gaussian_data_differ_in_the_samples_alone():
    assert set(np.unique(data(make_job([0], target=BOOLEAN), 0, 9)[0])) == {-1.0, 1.0}
    assert not same(SGD().simulate(make_job([0, 9], target=BOOLEAN)), SGD().simulate(make_job([0, 9])))


@pytest.mark.parametrize(("width", "dim"), [(1, 3), (17, 33), (70, 100)])
@pytest.mark.parametrize("activation", ["erf", "relu"])
def test_long_runs_stay_with_the_twin_at_awkward_sizes(width, dim, activation):
    job = make_job([0, 397], width=width, dim=dim, activation=activation, biases=0.5)
    W, a, _, _, _ = twin(job, 0, 397)[-1]
    got = SGD().simulate(job)
    np.testing.assert_allclose(got.m[0, -1], W[:, :3], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(got.a[0, -1], a, rtol=1e-9, atol=1e-9)
    assert (got.Q is None) == (width > 64)
    assert np.isfinite(got.risk).all()


def test_label_noise_leaves_the_inputs_as_they_are():
    quiet = make_job([0, 1])
    noisy = dataclasses.replace(quiet, training=Training(eta=quiet.training.eta, noise=1.0))
    assert np.array_equal(data(quiet, 0, 8)[0], data(noisy, 0, 8)[0])
    assert not same(SGD().simulate(quiet), SGD().simulate(noisy))


def test_row_zero_is_the_start():
    job = make_job([0, 5], biases=0.5)
    got = SGD().simulate(job)
    assert np.array_equal(got.m[0, 0], job.network.m)
    assert np.array_equal(got.a[0, 0], job.network.a)
    assert np.array_equal(got.b[0, 0], job.network.b)
    scaled = SGD().simulate(make_job([0, 5], scaling="mean_field", width=3))
    np.testing.assert_allclose(np.abs(scaled.a[0, 0]), 0.5, rtol=1e-15)
    np.testing.assert_allclose(got.Q[0, 0], job.network.m @ job.network.m.T + job.network.R, rtol=1e-13, atol=1e-14)


def test_frozen_layers_stay_to_the_bit():
    job = make_job([0, 50, 333], biases=0.5, training=Training(eta=0.02, eta_a=0.0, eta_b=0.0))
    got = SGD().simulate(job)
    assert (got.a[0] == job.network.a).all()
    assert (got.b[0] == job.network.b).all()
    assert not np.array_equal(got.m[0, -1], got.m[0, 0])


@pytest.mark.parametrize("activation", ["erf", "relu"])
def test_padding_stays_zero(activation):
    job = make_job([0, 100], width=3, dim=9, activation=activation, training=Training(eta=0.02, eta_b=0.02))
    state = State.start(job.network, np.dtype(float))
    assert full._advance(state, 100, job.network, handed.constants_of(job, 0)) == Status.DONE
    assert state.W.shape == (4, 16)
    for padding in (state.W[3:], state.W[:, 9:], state.a[3:], state.b[3:]):
        assert not padding.any()


def test_biases_are_absent_unless_there_are_any():
    assert SGD().simulate(make_job([0, 3])).b is None
    trained = SGD().simulate(make_job([0, 30], training=Training(eta=0.01, eta_b=0.1)))
    assert np.abs(trained.b[0, -1]).min() > 0


@pytest.mark.parametrize("activation", ["erf", "relu"])
def test_permuting_the_neurons_permutes_the_run(activation):
    job = make_job([0, 40, 200], width=7, activation=activation, biases=0.5)
    order = np.random.default_rng(0).permutation(7)
    start = job.network
    moved = Network.from_weights(STAIRS, start.weights[order], start.a[order], start.b[order], activation=activation)
    one, other = SGD().simulate(job), SGD().simulate(dataclasses.replace(job, network=moved))
    np.testing.assert_allclose(other.m, one.m[:, :, order], rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(other.risk, one.risk, rtol=1e-9, atol=1e-10)


def test_both_dtypes_follow_the_same_path():
    job = make_job([0, 300], width=8, dim=50)
    np.testing.assert_allclose(SGD(dtype="float32").simulate(job).m, SGD(dtype="float64").simulate(job).m, atol=1e-4)
