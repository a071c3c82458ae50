"""A chain that was stopped goes on to the same bits, replicas that had ended and releases included."""

import dataclasses

import numpy as np
import pytest
from test_checkpoints import ALL, STAIRS, same, stopped_after

from odesim.checkpoints import Checkpoint
from odesim.job import Job
from odesim.network import Network
from odesim.seeds import seed_sequence
from odesim.sgd import chain
from odesim.sgd.chain import Chain
from odesim.training import Training, TwoRadii
from odesim.trajectory import Status

CASES = {
    "plain": {},
    "everything": {"training": dataclasses.replace(ALL, batch=3, reuse="sam", normalised=True), "biases": 0.5},
    "sphere": {"training": Training(eta=0.02, geometry="sphere", reuse="twice")},
    "some diverge": {"training": Training(eta=0.05), "activation": "relu"},
    "one seed": {"seeds": 1},
}


def make_job(seeds=20, training=None, steps=(0, 3, 401, 1202, 2000), **options):
    """Two bundles of replicas."""
    network = Network.random(STAIRS, width=5, dim=9, rng=1, **options)
    return Job(STAIRS, network, training or Training(eta=0.02), np.array(steps), seeds, seed_sequence(5))


@pytest.fixture
def kept(tmp_path):
    return Checkpoint(tmp_path / "run.ckpt", every=1e6, resume=True, parts={"run": "this"}, settings={"run": {}})


@pytest.mark.parametrize("case", CASES)
def test_stopped_and_resumed_again_and_again_gives_the_same_bits(case, kept, monkeypatch):
    job = make_job(**CASES[case])
    whole = Chain(threads=2).simulate(job)
    monkeypatch.setattr(chain, "_steps_a_call", lambda job: 53)
    ends, draw = 0, np.random.default_rng(0)
    for _ in range(100):
        got = Chain(threads=2).simulate(stopped_after(dataclasses.replace(job, checkpoint=kept), draw.integers(1, 12)))
        if not (got.status == Status.INTERRUPTED).any():
            break
        ends += 1
    assert ends > 2
    same(got, whole)
    assert len(set(got.status.tolist())) == (2 if case == "some diverge" else 1)


def test_a_chain_goes_on_with_its_releases(kept):
    network = Network.from_weights(STAIRS, np.full((2, 9), 1 / 3), np.ones(2))
    training = Training(eta=0.02, eta_a=0.0, geometry=TwoRadii(0.6, 0.8))
    job = Job(STAIRS, network, training, np.array([0, 30, 300]), 3, seed_sequence(5))
    whole = Chain().simulate(job)
    assert np.isfinite(whole.events["release"]).any()
    Chain().simulate(stopped_after(dataclasses.replace(job, checkpoint=kept), 2))
    got = Chain().simulate(dataclasses.replace(job, checkpoint=kept))
    same(got, whole)
    assert np.array_equal(got.events["release"], whole.events["release"], equal_nan=True)


def test_neither_a_checkpoint_nor_its_interval_changes_a_bit(tmp_path):
    job = make_job(steps=(0, 5, 20_000, 40_001))
    whole = Chain().simulate(job)
    for every in (1e-4, 0.02, 1e6):
        kept = Checkpoint(tmp_path / "run.ckpt", every=every)
        same(Chain().simulate(dataclasses.replace(job, checkpoint=kept)), whole)


def test_a_run_resumed_with_other_threads_gives_the_same_bits(kept):
    job = make_job()
    Chain(threads=3).simulate(stopped_after(dataclasses.replace(job, checkpoint=kept), 2))
    same(Chain(threads=1).simulate(dataclasses.replace(job, checkpoint=kept)), Chain().simulate(job))
