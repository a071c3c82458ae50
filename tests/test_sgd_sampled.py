"""The sampled risk: against the literal formula, exact sums, all inputs of a small cube; its error, its bits."""

import dataclasses
import itertools
import math

import hypothesis.strategies as st
import numpy as np
import pytest
from conftest import networks, targets
from hypothesis import given
from scipy.stats import chi2, norm
from test_layerwise import make_job as layerwise_job
from test_sgd import ALL, BOOLEAN, STAIRS, make_job

from odesim import cli
from odesim.checks import InputError
from odesim.job import Job
from odesim.sgd import _random, _sampled, full, handed, sampled
from odesim.sgd.full import SGD
from odesim.sgd.layerwise import Layerwise
from odesim.sgd.sampled import Sampler, inputs_for
from odesim.sgd.state import State
from odesim.simulation import examine
from odesim.targets.series import Target
from odesim.training import Training
from odesim.trajectory import Status, Trajectory

FAMILY = 1e-3
"""Chance that right code fails a family of comparisons."""

PARITIES = Target.parse("z1 + z1*z2*z3*z4*z5 + " + "*".join(f"z{i}" for i in range(1, 15)), data="boolean")


def sampler(job, index=0, count=4096):
    """The test inputs of one run."""
    seed, act, _, _, source = handed.constants_of(job, index)
    return Sampler.of(count, act, source).of_run(seed)


def naive_losses(job, W, a, b, index, count):
    """½(h − f)² as written, on the samples of the stream's known generator; a is that of the plain network."""
    x = np.empty((count, job.network.dim), np.float32)
    draw = _random.signs if job.target.data == "boolean" else _random.samples
    draw(handed.seed_of(job, index), np.uint32(2), 0, x)
    x = x.astype(float)
    f = job.network.activation.function(x @ W.T + b) @ a
    return 0.5 * (job.target.evaluate(x[:, : job.target.P]) - f) ** 2


@given(draw=st.data(), dtype=st.sampled_from(["float64", "float32"]), count=st.integers(2, 40))
def test_losses_are_the_literal_formula(draw, dtype, count):
    target = draw.draw(targets() | st.sampled_from([BOOLEAN, Target.teacher(2, "relu", second_layer=[1.0, -0.5])]))
    network = draw.draw(networks(target))
    job = Job(target, network, Training(eta=0.1, noise=0.7), np.arange(2), 1)
    state = State.start(network, np.dtype(dtype))
    scale = np.array(draw.draw(st.lists(st.sampled_from([1.0, 0.7]), min_size=network.width, max_size=network.width)))
    state.scale[: network.width] = scale
    _, act, _, _, source = handed.constants_of(job, 0)
    out = np.empty(count)
    quiet = source._replace(noise=0.0)
    _sampled.losses(state.W, state.scale, state.a, state.b, network.dim, handed.seed_of(job, 0), act, quiet, out)
    wanted = naive_losses(job, scale[:, None] * network.weights, network.plain_a, network.b, 0, count)
    tight = 1e-10 if dtype == "float64" else 2e-4
    np.testing.assert_allclose(out, wanted, rtol=tight, atol=tight * max(1.0, wanted.max()))
    mean, error = sampler(job, 0, count).risk(state.W, state.scale, state.a, state.b, network.dim)
    assert mean == pytest.approx(wanted.mean(), rel=tight, abs=tight)
    assert error == pytest.approx(wanted.std(ddof=1) / math.sqrt(count), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_norms_are_sums_in_double_precision(dtype):
    job = make_job([0, 1], width=5, dim=37)
    state, m = State.start(job.network, np.dtype(dtype)), np.empty((5, 3))
    q = sampled.norms(state.W, m)
    W = job.network.weights.astype(dtype).astype(float)
    np.testing.assert_array_equal(m, W[:, :3])
    np.testing.assert_allclose(q, (W * W).sum(axis=1), rtol=1e-14)


RUNS = list(itertools.product(["erf", "relu", "tanh"], ["plain", "mean_field"], [0.0, 0.5]))


def test_gaussian_runs_have_the_exact_risk_within_standard_errors():
    """Twelve runs, start and end, at one family level; the exact risk has no error at all."""
    scores = []
    for activation, scaling, biases in RUNS:
        options = {"activation": activation, "scaling": scaling, "biases": biases, "seeds": 1}
        job = make_job([0, 150], training=Training(eta=0.03, eta_b=0.01, noise=0.5), **options)
        exact, got = SGD().simulate(job), SGD(test_samples=3000).simulate(job)
        np.testing.assert_array_equal(exact.m, got.m)
        scores += list(((got.risk - exact.risk) / got.risk_se)[0])
    assert np.abs(scores).max() < norm.isf(FAMILY / 2 / len(scores))


CUBE = np.array(list(itertools.product([-1.0, 1.0], repeat=9)))


def trained():
    """A Boolean job at d = 9 and its weights after 200 steps."""
    options = {"dim": 9, "width": 5, "biases": 0.4, "scaling": "mean_field", "activation": "relu"}
    job = make_job([0, 200], target=BOOLEAN, training=Training(eta=0.01, eta_b=0.01), **options)
    state = State.start(job.network, np.dtype(float))
    assert full._advance(state, 200, job.network, handed.constants_of(job, 0)) == Status.DONE
    return job, state


def test_it_is_unbiased_and_its_error_is_right():
    """400 sets of inputs against the mean over all 2^9: the mean of the sets, and the spread of their scores."""
    job, state = trained()
    f = np.maximum(CUBE @ (state.scale[:5, None] * state.W[:5, :9]).T + state.b[:5], 0) @ state.a[:5]
    losses = 0.5 * (BOOLEAN.evaluate(CUBE[:, :3]) - f) ** 2
    sets, count = 400, 300
    found = np.array([sampler(job, i, count).risk(state.W, state.scale, state.a, state.b, 9) for i in range(sets)])
    error = losses.std() / math.sqrt(count)
    score = (found[:, 0].mean() - losses.mean()) / (error / math.sqrt(sets))
    assert abs(score) < norm.isf(FAMILY / 4)
    spread = ((found[:, 0] - losses.mean()) ** 2).sum() / error**2
    assert chi2.isf(1 - FAMILY / 4, sets) < spread < chi2.isf(FAMILY / 4, sets)
    assert np.sqrt((found[:, 1] ** 2).mean()) == pytest.approx(error, rel=0.02)


def test_boolean_runs_have_the_exact_risk_up_to_the_central_limit():
    """At d = 60 the sum over signs is right to 0.2/d."""
    job = make_job([0, 500], target=BOOLEAN, dim=60, width=3, biases=0.5, training=Training(eta=0.3 / 60, eta_b=0.01))
    exact, got = SGD().simulate(job), SGD(test_samples=100_000).simulate(job)
    assert (np.abs(got.risk - exact.risk) < 4 * got.risk_se + 0.2 / 60).all()


def test_test_inputs_are_new_in_every_run_and_stay_the_same_in_one():
    """A frozen network keeps its risk to the bit; two runs differ by independent errors."""
    job = make_job([0, 4, 9], training=Training(eta=1e-300, eta_a=0.0), seeds=2)
    got = SGD(test_samples=500).simulate(job)
    assert (got.risk == got.risk[:, :1]).all()
    assert got.risk[0, 0] != got.risk[1, 0]
    x = np.empty((2, 64, 12), np.float32)
    for stream in (0, 2):
        _random.samples(handed.seed_of(job, 0), np.uint32(stream), 0, x[stream // 2])
    assert abs(np.corrcoef(x[0].ravel(), x[1].ravel())[0, 1]) < 4 / math.sqrt(x[0].size)


def test_label_noise_is_not_in_it():
    quiet, noisy = (make_job([0, 1], training=Training(eta=0.01, noise=noise)) for noise in (0.0, 4.0))
    one, other = (SGD(test_samples=64).simulate(job).risk[0, 0] for job in (quiet, noisy))
    assert one == other


CASES = {"boolean": {"target": BOOLEAN}, "everything": {"training": ALL, "biases": 0.3}, "wide": {"width": 70}}


def same(one, other):
    for name in ("risk", "risk_se", "m", "a"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_threads_calls_and_output_steps_change_no_bit(case, dtype, monkeypatch):
    job = make_job([0, 3, 201, 402], dim=21, seeds=3, **CASES[case])
    plain = SGD(dtype=dtype, threads=1, test_samples=37).simulate(job)
    same(SGD(dtype=dtype, threads=3, test_samples=37).simulate(job), plain)
    fewer = SGD(dtype=dtype, test_samples=37).simulate(dataclasses.replace(job, steps=np.array([0, 201, 402])))
    assert fewer.risk.tobytes() == plain.risk[:, [0, 2, 3]].tobytes()
    monkeypatch.setattr(full, "_steps_a_call", lambda network: 12)
    same(SGD(dtype=dtype, threads=2, test_samples=37).simulate(job), plain)


def test_a_wide_network_records_norms_without_a_gram_matrix():
    job = make_job([0, 50], width=70, training=Training(eta=0.001))
    exact, got = SGD().simulate(job), SGD(test_samples=40).simulate(job)
    np.testing.assert_array_equal(got.m, exact.m)
    np.testing.assert_allclose(got.q, exact.q, rtol=1e-13)
    assert got.Q is None


def test_fourteen_coordinates_run(tmp_path):
    """The file, a single run and the findings keep the error; at the start the risk is ½Σĥ² + ½E[f²] within it."""
    options = {"dim": 100, "width": 30, "activation": "sigmoid:0.5", "scaling": "mean_field", "seeds": 2}
    job = make_job([0, 10, 500], target=PARITIES, training=Training(eta=0.4 / 100), **options)
    got = SGD().simulate(job)
    assert (got.status == Status.DONE).all()
    assert (np.abs(got.risk_se / got.risk - 0.01) < 0.003).all()
    x = np.random.default_rng(0).integers(0, 2, (20_000, 100)) * 2.0 - 1.0
    f = job.network.activation.function(x @ job.network.weights.T) @ job.network.plain_a
    assert (np.abs(got.risk[:, 0] - 1.5 - (f * f).mean() / 2) < 4 * got.risk_se[:, 0]).all()
    got.save(tmp_path / "run.npz")
    again = Trajectory.load(tmp_path / "run.npz")
    same(again, got)
    np.testing.assert_array_equal(again[1].risk_se, got.risk_se[1])
    np.testing.assert_array_equal(got.mean("risk_se"), got.risk_se.mean(axis=0))
    findings = examine(got)
    assert findings.summary()["floor_se"] == findings.floor_se == np.median(got.risk_se[:, -1])
    assert f"standard error {findings.floor_se:.2g}" in findings.text()


@pytest.mark.parametrize(
    ("options", "wanted", "count"),
    [
        ({}, None, 0),
        ({"target": BOOLEAN, "width": 490}, None, 0),
        ({"target": BOOLEAN, "width": 510}, None, sampled.TEST_INPUTS),
        ({"width": 1400}, None, 0),
        ({"width": 1420}, None, sampled.TEST_INPUTS),
        ({"target": PARITIES, "width": 1}, None, sampled.TEST_INPUTS),
        ({}, 77, 77),
    ],
)
def test_the_exact_risk_is_the_default_where_it_is_affordable(options, wanted, count):
    target, width = options.get("target", STAIRS), options.get("width", 4)
    assert inputs_for(target.data, target.P, width, wanted) == count


def test_exact_runs_carry_no_error():
    got = SGD().simulate(make_job([0, 4]))
    assert got.risk_se is None
    assert examine(got).floor_se is None
    assert "standard error" not in examine(got).text()


@pytest.mark.parametrize("samples", [1, 0, 2.5, "many"])
def test_bad_numbers_of_test_samples_are_refused(samples):
    with pytest.raises(InputError, match=r"^test_samples="):
        SGD(test_samples=samples)


@pytest.mark.parametrize("width", [3, 70])
@pytest.mark.parametrize("poison", [np.nan, np.inf, 1e300])
def test_what_is_not_finite_ends_the_run(width, poison, monkeypatch):
    """Weights that spoil at step 8 end the run there, with the row before kept; so does a risk that overflows."""
    advance = full._advance

    def spoiled(state, *rest):
        status = advance(state, *rest)
        if state.step == 8:
            state.a[1] = poison
        return status

    monkeypatch.setattr(full, "_advance", spoiled)
    got = SGD(test_samples=16).simulate(make_job([0, 4, 8], width=width))
    assert got.status[0] == Status.NOT_FINITE
    assert np.isfinite(got.risk[0, :2]).all()
    assert np.isnan(got.risk[0, 2])
    assert np.isnan(got.risk_se[0, 2])


def test_a_users_activation_is_sampled_too():
    from odesim.activations.activation import Activation

    kind = Activation.from_function(lambda x: np.tanh(x) + 0.1 * x, name="mine")
    job = make_job([0, 40], activation=kind)
    exact, got = SGD().simulate(job), SGD(test_samples=4000).simulate(job)
    assert (np.abs(got.risk - exact.risk) < 4 * got.risk_se).all()


def test_the_command_line_takes_the_option(tmp_path, capsys):
    words = [
        "simulate",
        "z1",
        "--dynamics",
        "sgd",
        "--dim",
        "9",
        "--width",
        "2",
        "--steps",
        "8",
        "--out",
        str(tmp_path),
    ]
    assert cli.main([*words, "--set", "dynamics.test_samples=64"]) == 0
    assert "risk at the end: " in (shown := capsys.readouterr().out)
    assert "on test inputs, standard error" in shown
    assert Trajectory.load(tmp_path / "trajectory.npz").risk_se.shape[0] == 8
    assert cli.main([*words, "--set", "dynamics.test_samples=1"]) == 2
    assert capsys.readouterr().err.startswith("odesim: error: dynamics.test_samples=1 must be at least 2")


def test_pictures_say_that_the_risk_is_sampled():
    """A single run has a band of one standard error; an ensemble names its inputs in the legend."""
    from odesim.plotting.plateaus import plot_plateaus

    got = SGD(test_samples=40).simulate(make_job([0, 3, 9, 60], seeds=3))
    ax = plot_plateaus(got[1])
    assert "standard error" in ax.get_legend_handles_labels()[1]
    (band,) = [one for one in ax.collections if one.get_label() == "standard error"]
    edges = band.get_paths()[0].vertices[:, 1]
    assert edges.max() == pytest.approx((got.risk + got.risk_se)[1].max())
    assert any("on test inputs" in label for label in plot_plateaus(got).get_legend_handles_labels()[1])


def test_layerwise_sgd_samples_too():
    """An odd number of neurons, released coordinates and both phases; ridge needs the exact sums."""
    job = layerwise_job([0, 150, 260], width=5, dim=12)
    exact, got = Layerwise().simulate(job), Layerwise(test_samples=20_000).simulate(job)
    assert np.isfinite(exact.events["release"]).any()
    assert np.array_equal(got.m, exact.m)
    assert (np.abs(got.risk - exact.risk) < norm.isf(FAMILY / 6) * got.risk_se).all()
    wide = layerwise_job([0, 20], target=PARITIES, dim=20)
    assert np.isfinite(Layerwise().simulate(wide).risk_se).all()
    with pytest.raises(InputError, match="14 Boolean coordinates"):
        Layerwise(second_phase="ridge").simulate(wide)
    with pytest.raises(InputError, match="test_samples=1 "):
        Layerwise(test_samples=1)
