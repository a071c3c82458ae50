"""Full SGD that diverges ends at its step, with what came before kept."""

import numpy as np
import pytest
from conftest import act
from test_sgd import ALL, BOOLEAN, STAIRS, make_job, twin
from test_sgd_sphere import REUSED

from odesim.sgd import full, handed
from odesim.sgd.full import SGD
from odesim.sgd.state import State
from odesim.training import Training
from odesim.trajectory import Status


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("eta", [0.5, 2.0])
def test_relu_divergence_is_found_at_its_step(eta, dtype):
    job = make_job(np.arange(0, 400, 3), width=6, activation="relu", training=Training(eta=eta), seeds=2)
    got = SGD(dtype=dtype).simulate(job)
    bound = handed.BLOW_UP * handed.size_of(job.network, job.target)
    with np.errstate(all="ignore"):
        for index in range(2):
            sizes = [np.abs(s[3]).sum() + abs(s[4]) for s in twin(job, index, 399)[:-1]]
            step = int(np.argmax(~(np.array(sizes) <= bound)))
            assert step > 0
            assert got.status[index] in (Status.DIVERGED, Status.NOT_FINITE)
            assert f"at step {step}:" in got.message[index]
            kept = np.isfinite(got.risk[index])
            assert np.array_equal(kept, job.steps <= step)
            assert np.array_equal(np.isfinite(got.m[index]).all(axis=(1, 2)), kept)


def test_a_second_layer_that_diverges_is_found_with_erf():
    got = SGD().simulate(make_job([0, 2000], training=Training(eta=1e-3, eta_a=5.0)))
    assert got.status[0] == Status.DIVERGED
    assert "smaller step size" in got.message[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["erf", "relu"])
@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["W", "a", "b"])
def test_a_poisoned_weight_is_found_at_once(dtype, name, poison, where):
    job = make_job([0, 40], width=3, dim=9)
    state, constants = State.start(job.network, np.dtype(dtype)), handed.constants_of(job, 0)
    constants = (constants[0], act(name), *constants[2:])
    assert full._advance(state, 8, job.network, constants) == Status.DONE
    getattr(state, where)[(1, 4) if where == "W" else 1] = poison
    assert full._advance(state, 8, job.network, constants) == Status.NOT_FINITE
    assert state.step == 8


def test_a_correlation_run_without_bound_ends_at_the_step_of_the_twin():
    """−y f has no minimum: with ReLU both layers grow for ever, without any feedback through f."""
    training = Training(eta=0.2, loss="correlation")
    job = make_job(np.arange(0, 400, 3), width=6, activation="relu", training=training)
    bound = handed.BLOW_UP * handed.size_of(job.network, job.target)
    got = SGD().simulate(job)
    with np.errstate(all="ignore"):
        sizes = [np.abs(s[3]).sum() + abs(s[4]) for s in twin(job, 0, 399)[:-1]]
    step = int(np.argmax(np.array(sizes) > bound))
    assert step > 3
    assert got.status[0] == Status.DIVERGED
    assert got.message[0].startswith(f"at step {step}: ")
    assert "correlation loss" in got.message[0]
    assert np.array_equal(np.isfinite(got.risk[0]), job.steps <= step)


@pytest.mark.parametrize("where", ["W", "a", "b"])
@pytest.mark.parametrize("poison", [np.nan, np.inf])
@pytest.mark.parametrize("rule", ["sphere-extragradient", "sphere-twice", "free-sam"])
def test_a_poisoned_weight_is_found_on_the_sphere_and_with_reuse(rule, poison, where):
    """Eight steps later a sphere's lengths have been corrected as well: at step 64."""
    job = make_job([0, 80], width=3, dim=9, training=REUSED[rule])
    state, constants = State.start(job.network, np.dtype(float)), handed.constants_of(job, 0)
    for taken in (8, 64):
        assert full._advance(state, taken - state.step, job.network, constants) == Status.DONE
        broken = state.copy()
        getattr(broken, where)[(1, 4) if where == "W" else 1] = poison
        assert full._advance(broken, 8, job.network, constants) == Status.NOT_FINITE
        assert broken.step == taken


@pytest.mark.parametrize(("size", "status"), [(1e12, Status.DIVERGED), (1e308, Status.NOT_FINITE)])
def test_an_inner_step_out_of_bounds_ends_the_run_at_its_step(size, status):
    """The first pass is harmless, the second is not: it is looked at before anything moves."""
    training = Training(eta=0.01, reuse="extragradient", rho=size)
    job = make_job([0, 4], activation="relu", width=6, training=training)
    got = SGD().simulate(job)
    assert got.status[0] == status
    assert got.message[0].startswith("at step 0: ")
    assert np.isfinite(got.risk[0, 0])


@pytest.mark.parametrize("where", ["W", "a", "b"])
@pytest.mark.parametrize("target", [STAIRS, BOOLEAN], ids=["gaussian", "boolean"])
def test_a_poisoned_weight_is_found_under_the_correlation_loss_and_decay(where, target):
    job = make_job([0, 40], target=target, width=3, dim=9, training=ALL)
    state, constants = State.start(job.network, np.dtype(float)), handed.constants_of(job, 0)
    assert full._advance(state, 8, job.network, constants) == Status.DONE
    getattr(state, where)[(1, 4) if where == "W" else 1] = np.nan
    assert full._advance(state, 8, job.network, constants) == Status.NOT_FINITE
    assert state.step == 8


def test_decay_that_overshoots_diverges():
    """1 − ηλ = −2: W grows as 2^t."""
    got = SGD().simulate(make_job([0, 5, 100], training=Training(eta=0.1, decay_w=30.0)))
    assert got.status[0] == Status.DIVERGED
    assert 20 < int(got.message[0].split(":")[0].removeprefix("at step ")) < 40


def test_huge_but_finite_weights_count_as_diverged():
    job = make_job([0, 4])
    state, constants = State.start(job.network, np.dtype(float)), handed.constants_of(job, 0)
    state.W[2, 5] = 1e15
    assert full._advance(state, 4, job.network, constants) == Status.DIVERGED


def test_steps_before_the_end_are_applied():
    job = make_job([0, 60], activation="relu", width=6, training=Training(eta=2.0))
    state, constants = State.start(job.network, np.dtype(float)), handed.constants_of(job, 0)
    assert full._advance(state, 60, job.network, constants) != Status.DONE
    with np.errstate(all="ignore"):
        W = twin(job, 0, state.step)[-1][0]
    np.testing.assert_allclose(state.W[:6, :12], W, rtol=1e-6)
