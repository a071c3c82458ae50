"""The parts of a step of full SGD: activations, labels, overlaps."""

import hypothesis.strategies as st
import numpy as np
import pytest
from conftest import act, targets
from hypothesis import given
from scipy.special import erf
from test_sgd import make_job

from odesim.sgd import _full, _labels, handed
from odesim.targets.series import Target


def test_erf_and_its_slope_to_double_precision():
    x = np.concatenate([np.linspace(-9, 9, 4001), [0.0, 1e-300, -1e-9, 40.0, 1e100, -np.inf]])
    s, ds = np.empty_like(x), np.empty_like(x)
    _full.activate(act("erf"), x, s, ds)
    np.testing.assert_allclose(s, erf(x / np.sqrt(2)), rtol=0, atol=2e-15)
    np.testing.assert_allclose(ds, np.sqrt(2 / np.pi) * np.exp(-x * x / 2), rtol=0, atol=2e-15)


def test_exponential_to_double_precision():
    x = np.linspace(-650, 650, 20001)
    got = np.array([_full.exp64(v) for v in x])
    np.testing.assert_allclose(got, np.exp(x), rtol=2e-15)


def labels_of(job, x):
    """Labels of four points (4, P) of float64, without noise."""
    source, y = handed.source_of(job), np.empty(4)
    units = np.empty((3, source.second_layer.size))
    _labels.labels(np.uint64(0), 0, source, x, _labels.hermite_scratch(source), units, y)
    return y


@given(target=targets(max_power=6), seed=st.integers(0, 1000))
def test_labels_are_the_target(target, seed):
    z = np.random.default_rng(seed).standard_normal((4, target.P))
    y = labels_of(make_job([0], target=target), z)
    np.testing.assert_allclose(y, target.evaluate(z), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["erf", "relu"])
def test_labels_of_a_teacher_come_from_its_own_activation(name):
    rng = np.random.default_rng(0)
    target = Target.teacher(5, name, weights=rng.standard_normal((5, 3)), second_layer=rng.standard_normal(5))
    z = rng.standard_normal((4, 3))
    for student in ("erf", "relu"):
        y = labels_of(make_job([0], target=target, activation=student), z)
        np.testing.assert_allclose(y, target.evaluate(z), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_overlaps_are_sums_in_double_precision(dtype):
    W = np.random.default_rng(0).standard_normal((6, 32)).astype(dtype)
    m, Q = np.empty((5, 3)), np.empty((5, 5))
    _full.overlaps(W, m, Q)
    assert np.array_equal(m, W[:5, :3].astype(float))
    np.testing.assert_allclose(Q, W[:5].astype(float) @ W[:5].T.astype(float), rtol=1e-14, atol=1e-13)
