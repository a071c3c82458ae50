"""A replica that diverges ends alone, at its step, with what came before kept; what cannot be run is refused."""

import dataclasses

import numpy as np
import pytest
from test_chain import tame, twin
from test_chain_bits import RUNS, STAIRS, make_job

from odesim import memory
from odesim.checks import InputError
from odesim.network import Network
from odesim.runner import run
from odesim.sgd import chain, handed
from odesim.sgd.chain import Chain
from odesim.targets.series import Target
from odesim.training import Phase, Training, TwoRadii
from odesim.trajectory import Status

POISONED = {"V": (1, 4, 2), "a": (1, 2), "b": (1, 2)}


@pytest.mark.parametrize("name", ["plain", "everything", "relu", "sphere", "two radii"])
@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", POISONED)
def test_a_poisoned_lane_ends_at_once_and_alone(name, poison, where):
    job = make_job([0, 1], 16, **RUNS[name])
    walk, healthy = chain.begin(job, range(16)), chain.begin(job, range(16))
    for one in (walk, healthy):
        one.advance(8)
    getattr(walk.lanes, where)[POISONED[where]] = poison
    for one in (walk, healthy):
        one.advance(50)
    assert walk.lanes.status[2] == Status.NOT_FINITE
    assert walk.lanes.ended[2] == 8
    others = np.arange(16) != 2
    for field in ("V", "a", "b", "status", "ended"):
        assert np.array_equal(getattr(walk.lanes, field)[..., others], getattr(healthy.lanes, field)[..., others])
    assert (walk.lanes.status[others] == Status.DONE).all()


def test_a_dead_lane_does_not_move():
    walk = chain.begin(make_job([0, 1], 16, training=Training(eta=0.02, eta_b=0.02)), range(16))
    walk.advance(8)
    walk.lanes.V[1, 4, 2] = 1e15
    walk.advance(9)
    assert walk.lanes.status[2] == Status.DIVERGED
    before = [one[..., 2].copy() for one in (walk.lanes.a, walk.lanes.b, walk.lanes.V[:, :3])]
    walk.advance(11)
    for old, new in zip(before, (walk.lanes.a, walk.lanes.b, walk.lanes.V[:, :3]), strict=True):
        assert np.array_equal(old, new[..., 2])


def test_a_huge_but_finite_weight_counts_as_diverged():
    walk = chain.begin(make_job([0, 1], 16), range(16))
    walk.lanes.V[2, 5, 3] = 1e15
    walk.advance(4)
    assert walk.lanes.status[3] == Status.DIVERGED
    assert walk.lanes.ended[3] == 0


def test_overlaps_that_overflow_end_their_lane_at_the_output():
    walk = chain.begin(make_job([0, 1], 16), range(16))
    walk.lanes.V[2, 5, 3], walk.lanes.a[:, 4] = 1e200, 1e200
    values = walk.look(0).values
    assert (walk.lanes.status == [0, 0, 0, Status.NOT_FINITE, Status.NOT_FINITE, *[0] * 11]).all()
    assert all(np.isfinite(value).all() for value in values.values())
    assert np.array_equal(values["status"], walk.lanes.status)


@pytest.mark.parametrize("loss", ["square", "correlation"])
def test_divergence_is_found_at_its_step_and_the_others_go_on(loss):
    """ReLU at a step size at which some replicas run away: each ends where its twin exceeds the bound."""
    training = Training(eta=0.07 if loss == "square" else 0.25, loss=loss)
    steps = np.arange(0, 121, 3)
    job = make_job(steps, 20, width=6, dim=12, activation="relu", training=training)
    bound = handed.BLOW_UP * handed.size_of(job.network, job.target)
    got = Chain().simulate(job)
    ended = np.flatnonzero(got.status)
    assert ended.size > 0
    for index in ended[:3]:
        with np.errstate(all="ignore"):
            sizes = np.array([state[4] for state in twin(job, index, 120)])
        step = int(np.argmax(~(sizes <= bound)))
        assert step > 3
        assert got.status[index] == Status.DIVERGED
        assert got.message[index].startswith(f"at step {step}: ")
        kept = np.isfinite(got.risk[index])
        assert np.array_equal(kept, steps <= step)
        assert np.array_equal(np.isfinite(got.m[index]).all(axis=(1, 2)), kept)
        assert ("correlation loss" in got.message[index]) == (loss == "correlation")
    if loss == "square":
        whole = np.flatnonzero(got.status == Status.DONE)
        assert whole.size > 0
        states = twin(job, whole[0], 120)
        if tame(states):
            np.testing.assert_allclose(got.m[whole[0], -1], states[-1][0][:, :3], rtol=1e-6, atol=1e-8)


SPHERE, RADII = {"geometry": "sphere"}, {"geometry": TwoRadii(0.5, 0.7)}


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"batch": np.inf}, r"training\.batch=inf takes no samples"),
        (SPHERE | {"decay_w": 1.0}, r"training\.decay_w=1 does nothing on the sphere"),
        (RADII | {"batch": 2}, r"training\.batch=2 is unknown to Chain under two radii"),
        (RADII | {"reuse": "sam"}, r"training\.reuse='sam'"),
        (RADII | {"normalised": True}, r"training\.normalised=True"),
        (RADII | {"decay_w": 1.0}, r"training\.decay_w=1"),
        (RADII, r"network: neuron \d has weights of length .*, and under two radii they start from length 1"),
    ],
)
def test_what_has_no_law_is_refused(training, message):
    with pytest.raises(InputError, match=message):
        Chain().simulate(make_job([0, 4], training=Training(eta=0.01, **training)))


def test_boolean_data_and_starts_without_length_are_refused():
    target = Target.parse("z1", data="boolean")
    with pytest.raises(InputError, match=r"target\.data='boolean' has no exact chain"):
        run(Chain(), target, Network.random(target, width=2, dim=5), Training(eta=0.1), steps=3)
    still = Network.from_weights(STAIRS, np.diag([1.0, 1.0, 0.0, 1.0]), np.ones(4))
    with pytest.raises(InputError, match="neuron 2 has weights of length 0"):
        run(Chain(), STAIRS, still, Training(eta=0.1, geometry="sphere"), steps=3)
    job = make_job([0, 4])
    other = dataclasses.replace(job, target=Target.parse("z1*z2*z3*z4"))
    with pytest.raises(InputError, match="3 support coordinates, the target 4"):
        Chain().simulate(other)
    with pytest.raises(InputError, match="threads"):
        Chain(threads=0)


def test_memory_that_does_not_suffice_is_refused_before_it_is_asked_for(monkeypatch):
    many = make_job([0, 4, 8], 100_000)
    wide = make_job([0, 4, 8], dim=10**6, training=Training(eta=1e-7, batch=5000))
    monkeypatch.setattr(memory, "physical_memory", lambda: 10**7)
    message = r"network\.width=4 with training\.batch=1, 100000 seeds and 3 points needs .*, above 50%"
    with pytest.raises(InputError, match=message):
        Chain().simulate(many)
    with pytest.raises(InputError, match=r"training\.batch=5000"):
        Chain().simulate(wide)


def test_a_billion_dimensions_start_from_overlaps_alone():
    network = Network.random(STAIRS, width=4, dim=10**9, weights=False)
    got = run(Chain(), STAIRS, network, Training(eta=0.2 / 1e9), steps=2000, points=3, seeds=2, progress=False)
    assert (got.status == Status.DONE).all()
    np.testing.assert_allclose(got.Q[:, -1, 0, 0], network.R[0, 0], rtol=1e-4)


def test_a_frozen_layer_stays_to_the_bit():
    schedule = (Phase(until=10, w=0.0, a=0.0), Phase())
    job = make_job([0, 10, 20], biases=0.5, training=Training(eta=0.02, schedule=schedule))
    got = Chain().simulate(job)
    for name in ("m", "a", "b"):
        assert np.array_equal(getattr(got, name)[:, 1], getattr(got, name)[:, 0])
    assert np.array_equal(got.b[:, 2], got.b[:, 0])
    assert not np.array_equal(got.m[:, 2], got.m[:, 0])
