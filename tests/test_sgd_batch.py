"""SGD with mini-batches against its literal twin, under every rule that batch 1 knows."""

import dataclasses

import hypothesis.strategies as st
import numpy as np
import pytest
from conftest import networks, targets
from hypothesis import given, settings
from test_sgd import ALL, BOOLEAN, STAIRS, boolean_targets, make_job, trainings, twin

from odesim.job import Job
from odesim.sgd import _products, batch, full, limits
from odesim.sgd.full import SGD
from odesim.sgd.mixed import risk
from odesim.sgd.state import placed
from odesim.targets.series import Target
from odesim.training import Training


def compare_with_twin(job, got, tolerance):
    """Compare every recorded row of every run with the twin, as long as the twin stays of order one."""
    for index in range(job.seeds):
        states = twin(job, index, job.steps[-1])
        if max(np.abs(part).max() for s in states for part in s[:2]) > 50:
            continue  # a diverging run magnifies rounding
        for row, step in enumerate(job.steps):
            W, a, b, _, _ = states[step]
            close = {"rtol": tolerance, "atol": tolerance}
            np.testing.assert_allclose(got.m[index, row], W[:, : job.target.P], **close)
            np.testing.assert_allclose(got.Q[index, row], W @ W.T, **close)
            np.testing.assert_allclose(got.a[index, row], a, **close)
            if got.b is not None:
                np.testing.assert_allclose(got.b[index, row], b, **close)
            want = risk(job, W[:, : job.target.P], W @ W.T, a, b)
            np.testing.assert_allclose(got.risk[index, row], want, rtol=10 * tolerance, atol=10 * tolerance)


@given(draw=st.data())
@settings(max_examples=120)
def test_every_step_is_that_of_the_literal_loop(draw):
    """Also of a batch in several slices, and of batch 1 by the kernels of batches."""
    target = draw.draw(targets() | boolean_targets())
    network = draw.draw(networks(target))
    network = dataclasses.replace(network, scaling=draw.draw(st.sampled_from(["plain", "mean_field"])))
    dtype = draw.draw(st.sampled_from(["float32", "float64"]))
    steps = np.arange(draw.draw(st.integers(2, 12)))
    training = dataclasses.replace(draw.draw(trainings(network.dim)), batch=draw.draw(st.integers(1, 21)))
    job = Job(target, network, training, steps, 2, np.random.SeedSequence(draw.draw(st.integers(0, 99))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "SLICE", draw.draw(st.sampled_from([4, 8, 64])))
        patch.setattr(full, "_walk", lambda job: (batch.BatchWalk, _products.NEURONS))
        got = SGD(dtype=dtype).simulate(job)
    compare_with_twin(placed(job), got, 1e-10 if dtype == "float64" else 2e-4)


@pytest.mark.parametrize("target", [STAIRS, BOOLEAN], ids=["gaussian", "boolean"])
@pytest.mark.parametrize("scaling", ["plain", "mean_field"])
@pytest.mark.parametrize("size", [3, 16, 150])
def test_long_runs_with_everything_stay_with_the_twin(target, scaling, size):
    training = dataclasses.replace(ALL, loss="square", batch=size)
    steps = [0, 50, 110]
    job = make_job(steps, target=target, width=17, dim=33, biases=0.5, training=training, scaling=scaling)
    compare_with_twin(job, SGD().simulate(job), 1e-9)


@pytest.mark.parametrize(("width", "dim"), [(1, 3), (17, 33), (70, 1030)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_at_awkward_sizes(width, dim, dtype):
    """More than one block of rows and columns, in both dtypes."""
    rng, size = np.random.default_rng(0), 8
    rows, columns = limits.padded(width, _products.NEURONS), limits.padded(dim, limits.ROW_PADDING)
    W, x = rng.standard_normal((rows, columns)).astype(dtype), rng.standard_normal((size, columns)).astype(dtype)
    L, want = np.full((size, rows + 3), np.nan), x.astype(float) @ W.T.astype(float)
    _products.multiply(W, x, L)
    tolerance = 1e-11 if dtype == "float64" else 1e-4
    np.testing.assert_allclose(L[:, :rows], want, rtol=tolerance, atol=tolerance)
    C, want = rng.standard_normal((5, rows + 3)), W.astype(float)
    want += C[:, :rows].T @ x[:5]
    _products.add(W, x[:5], C, np.empty((7, _products.NEURONS), dtype))
    np.testing.assert_allclose(W, want, rtol=tolerance, atol=tolerance)


TEACHER = Target.teacher(3, "tanh", second_layer=[1.0, -0.5, 2.0])


@pytest.mark.parametrize("name", ["leaky_relu:0.2", "tanh", "sigmoid:0.5", "gelu", "silu", "softplus", "hermite:2"])
@pytest.mark.parametrize("target", [STAIRS, TEACHER], ids=["series", "teacher"])
def test_every_activation_and_a_teacher_of_its_own(name, target):
    training = Training(eta=0.02, eta_b=0.01, noise=0.2, batch=5, reuse="extragradient")
    job = make_job([0, 1, 6], target=target, biases=0.5, activation=name, training=training)
    compare_with_twin(job, SGD().simulate(job), 1e-9)


@pytest.mark.parametrize("size", [2, 5, 64, 65, 131, 1000])
def test_slices_cover_the_batch_evenly(size):
    part = limits.slice_of(size)
    assert part % 4 == 0
    assert part <= limits.SLICE
    shorter = size - (-(-size // part) - 1) * part
    assert part - shorter < 4 * -(-size // limits.SLICE)
    assert limits.slice_rows(size) >= part + 6  # three samples before the first one, three after the last


def test_a_batch_of_ones_is_batch_one(monkeypatch):
    """The kernels of batches, at one sample a step, give what those of batch 1 give, but for rounding."""
    job = make_job([0, 9, 200], training=dataclasses.replace(ALL, batch=1), width=7, biases=0.5)
    one = SGD().simulate(job)
    monkeypatch.setattr(full, "_walk", lambda job: (batch.BatchWalk, _products.NEURONS))
    other = SGD().simulate(job)
    for name in ("m", "a", "b", "Q", "risk"):
        np.testing.assert_allclose(getattr(other, name), getattr(one, name), rtol=1e-9, atol=1e-11)
