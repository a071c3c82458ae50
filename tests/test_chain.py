"""The exact chain against its literal twin, the growing basis, step by step."""

import dataclasses
from itertools import islice

import hypothesis.strategies as st
import naive_chain
import numpy as np
import pytest
from conftest import networks, targets
from hypothesis import given, settings
from test_sgd import trainings

from odesim import seeds
from odesim.flows.overlap import risk_of
from odesim.job import Job
from odesim.network import Network
from odesim.sgd import chain_start
from odesim.sgd.chain import Chain
from odesim.targets.series import Target
from odesim.training import Phase, Training, TwoRadii

STAIRS = Target.parse("z1 + z1*z2*z3")
CLOSE = {"rtol": 1e-9, "atol": 1e-9}


def seed_of(job, index):
    return int(seeds.child(job.rng, seeds.DATA, index).generate_state(1, np.uint64)[0])


def twin(job, index, steps):
    """Every state up to ``steps``; one that runs off is not `tame`."""
    placed = chain_start.placed(job)
    N, P = placed.network.m.shape
    L = chain_start.factor(chain_start.residuals(placed.network), min(N, placed.network.dim - P))
    V = np.hstack([placed.network.m, L])
    with np.errstate(over="ignore", invalid="ignore"):
        return list(islice(naive_chain.chain(placed, seed_of(job, index), V, chain_start.block_of(job)), steps + 1))


def agrees(job, got, index, states):
    """Compare a trajectory with the twin's states."""
    target, network = job.target, job.network
    for t, step in enumerate(job.steps):
        V, a, b, _, _ = states[step]
        m, Q = V[:, : target.P], V @ V.T
        np.testing.assert_allclose(got.m[index, t], m, **CLOSE)
        np.testing.assert_allclose(got.Q[index, t], Q, **CLOSE)
        np.testing.assert_allclose(got.a[index, t], a, **CLOSE)
        if got.b is not None:
            np.testing.assert_allclose(got.b[index, t], b, **CLOSE)
        want = risk_of(target, network.activation, m, Q, network.unit * a, b)
        np.testing.assert_allclose(got.risk[index, t], want, rtol=1e-8, atol=1e-8)


def tame(states):
    """Whether a run stays where rounding is not magnified, and no neuron where a kink has no mean slope."""
    small = all(np.abs(part).max() < 50 for s in states for part in s[:3])
    return small and all((s[0] ** 2).sum(axis=1).min() > 1e-12 for s in states)


@st.composite
def rules(draw, dim):
    """Trainings with batches, re-use, normalised gradients and the sphere."""
    training = draw(trainings(dim))
    reuse = draw(st.sampled_from(["none", "twice", "extragradient", "sam"]))
    sphere = draw(st.booleans())
    return dataclasses.replace(
        training,
        geometry="sphere" if sphere else "free",
        decay_w=0.0 if sphere else training.decay_w,
        batch=draw(st.sampled_from([1, 1, 2, 3, 7])),
        reuse=reuse,
        rho=draw(st.sampled_from([None, 0.3 / dim])) if reuse in ("sam", "extragradient") else None,
        normalised=draw(st.booleans()),
    )


@given(draw=st.data())
@settings(max_examples=60)
def test_every_step_is_that_of_the_growing_basis(draw):
    target = draw.draw(targets())
    network = draw.draw(networks(target))
    network = dataclasses.replace(network, scaling=draw.draw(st.sampled_from(["plain", "mean_field"])))
    steps = np.arange(draw.draw(st.integers(2, 19)))
    training = draw.draw(rules(network.dim))
    job = Job(target, network, training, steps, 2, np.random.SeedSequence(draw.draw(st.integers(0, 99))))
    states = [twin(job, index, steps[-1]) for index in range(2)]
    got = Chain().simulate(job)
    for index in range(2):
        if tame(states[index]):
            agrees(job, got, index, states[index])


def signs(target, width, dim, a=0.5, rng=0):
    """Weights of entries ±1/√d, of length 1."""
    W = np.random.default_rng(rng).choice([-1.0, 1.0], (width, dim)) / np.sqrt(dim)
    return Network.from_weights(target, W, np.full(width, a), np.linspace(-0.5, 0.5, width))


@pytest.mark.parametrize("eta_a", [0.0, 0.01])
@pytest.mark.parametrize("dim", [7, 60])
def test_two_radii_are_those_of_the_literal_steps_releases_included(dim, eta_a):
    target = Target.parse("z1*z2*z3 + z1")
    training = Training(
        eta=0.02, eta_a=eta_a, geometry=TwoRadii(0.45, 0.6), noise=0.1, schedule=(Phase(until=250), Phase(w=0.0))
    )
    job = Job(target, signs(target, 5, dim), training, np.array([0, 3, 50, 250, 300]), 2, np.random.SeedSequence(3))
    got = Chain().simulate(job)
    release = got.events["release"]
    assert np.isfinite(release).any()
    assert np.isnan(release).any()
    for index in range(2):
        states = twin(job, index, 300)
        agrees(job, got, index, states)
        when = np.full(release[index].shape, np.nan)
        for step, (_, _, _, free, _) in enumerate(states):
            when[np.isnan(when) & ~free] = step
        np.testing.assert_allclose(release[index], training.time_at(np.nan_to_num(when)) + 0 * when, rtol=1e-12)


@pytest.mark.parametrize("reuse", ["none", "sam", "twice"])
@pytest.mark.parametrize("batch", [1, 3])
def test_long_runs_with_everything_stay_with_the_twin(batch, reuse):
    training = Training(
        eta=0.02, eta_a=0.01, eta_b=0.03, noise=0.3, decay_w=0.5, decay_a=0.3, batch=batch, reuse=reuse,
        schedule=(Phase(until=6), Phase(until=47, rate=0.5, a=0.0), Phase(until=99, w=2.0), Phase(b=0.5)),
    )  # fmt: skip
    network = Network.random(STAIRS, width=9, dim=33, activation="tanh", biases=0.5, scaling="mean_field", rng=3)
    job = Job(STAIRS, network, training, np.array([0, 50, 301]), 1, np.random.SeedSequence(11))
    agrees(job, Chain().simulate(job), 0, twin(job, 0, 301))


@pytest.mark.parametrize("teacher", ["relu", "erf"])
def test_a_teacher_labels_as_it_is(teacher):
    target = Target.teacher(units=2, activation=teacher)
    network = Network.random(target, width=3, dim=9, rng=2)
    training = Training(eta=0.02, noise=0.2)
    job = Job(target, network, training, np.array([0, 1, 40]), 1, np.random.SeedSequence(1))
    got, states = Chain().simulate(job), twin(job, 0, 40)
    for t, step in enumerate(job.steps):
        np.testing.assert_allclose(got.m[0, t], states[step][0][:, : target.P], **CLOSE)
        np.testing.assert_allclose(got.a[0, t], states[step][1], **CLOSE)
