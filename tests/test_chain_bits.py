"""The chain gives the same bits whatever the packing, the output steps, the calls, the threads and the processes."""

import hashlib
import os
import subprocess
import sys

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from test_sgd import same

from odesim.job import Job
from odesim.network import Network
from odesim.sgd import chain
from odesim.sgd.chain import Chain
from odesim.targets.series import Target
from odesim.training import Phase, Training, TwoRadii
from odesim.trajectory import Status

STAIRS = Target.parse("z1 + z1*z2*z3")
ALL = Training(
    eta=0.02, eta_a=0.01, eta_b=0.03, noise=0.3, decay_w=0.5, decay_a=0.3, batch=3, reuse="sam", normalised=True,
    schedule=(Phase(until=6), Phase(until=47, rate=0.5, a=0.0), Phase(b=0.5)),
)  # fmt: skip
RUNS = {
    "plain": {},
    "odd width": {"width": 3},
    "everything": {"training": ALL, "biases": 0.5, "scaling": "mean_field"},
    "few dimensions": {"dim": 6, "training": Training(eta=0.02, batch=2)},
    "sphere": {"training": Training(eta=0.02, geometry="sphere", reuse="twice", loss="correlation")},
    "two radii": {"training": Training(eta=0.02, geometry=TwoRadii(0.5, 0.7), eta_a=0.0), "signs": True},
    "relu": {"activation": "relu", "width": 5},
}


def make_job(steps, seeds=3, *, width=4, dim=19, training=None, signs=False, **options):
    network = Network.random(STAIRS, width=width, dim=dim, rng=3, **options)
    if signs:
        network = Network.from_weights(STAIRS, np.sign(network.weights) / np.sqrt(dim), network.a)
    rates = training or Training(eta=0.3 / dim)
    return Job(STAIRS, network, rates, np.asarray(steps, dtype=np.int64), seeds, np.random.SeedSequence(11))


@given(cuts=st.lists(st.integers(1, 220), max_size=8), name=st.sampled_from(sorted(RUNS)))
@settings(max_examples=30)
def test_other_output_steps_change_no_bit(cuts, name):
    plain = Chain().simulate(make_job([0, 221], **RUNS[name]))
    cut = Chain().simulate(make_job(sorted({0, 221, *cuts}), **RUNS[name]))
    for field in ("m", "a", "Q", "risk"):
        assert np.array_equal(getattr(cut, field)[:, -1], getattr(plain, field)[:, -1])


@pytest.mark.parametrize("name", RUNS)
def test_the_length_of_kernel_calls_changes_no_bit(monkeypatch, name):
    job = make_job([0, 1, 7, 301], **RUNS[name])
    plain = Chain().simulate(job)
    for length in (1, 5, 500):
        monkeypatch.setattr(chain, "_steps_a_call", lambda job, length=length: length)
        assert same(Chain().simulate(job), plain)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_depends_on_its_index_alone(name):
    many, few = (Chain().simulate(make_job([0, 9, 77], seeds, **RUNS[name])) for seeds in (37, 2))
    for field in ("m", "a", "Q", "risk"):
        assert np.array_equal(getattr(many, field)[:2], getattr(few, field))
    assert len({many.risk[i, -1] for i in range(37)}) == 37


@pytest.mark.parametrize("name", RUNS)
def test_a_run_does_not_depend_on_its_lane(name):
    job = make_job([0, 1], 40, **RUNS[name])
    one, other = chain.begin(job, range(16)), chain.begin(job, range(5, 21))
    for walk in (one, other):
        walk.advance(113)
        assert walk.step == 113
    for field in ("V", "a", "b", "status", "when"):
        assert np.array_equal(getattr(one.lanes, field)[..., 5:], getattr(other.lanes, field)[..., :11])


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_no_bit(threads):
    job = make_job([0, 3, 500], 40, **RUNS["everything"])
    assert same(Chain(threads=threads).simulate(job), Chain(threads=3).simulate(job))


SCRIPT = """
import sys
from test_chain_bits import Chain, FOUR, digest, make_job
print(digest(Chain(threads=int(sys.argv[1])).simulate(make_job(**FOUR))))
"""

FOUR = {"steps": [0, 5, 2001], "seeds": 20, "width": 9, "dim": 40}


def digest(trajectory):
    parts = (trajectory.risk, trajectory.m, trajectory.a, trajectory.Q)
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def test_processes_with_other_thread_counts_give_the_same_bits():
    here = digest(Chain().simulate(make_job(**FOUR)))
    running = []
    for count in ("1", "2"):
        counts = dict.fromkeys(("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), count)
        environment = os.environ | counts | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        command = [sys.executable, "-c", SCRIPT, count]
        running.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    assert [process.communicate(timeout=60)[0].strip() for process in running] == [here, here]


def test_what_is_recorded():
    job = make_job([0, 5], 3, scaling="mean_field", biases=0.5)
    got = Chain().simulate(job)
    assert got.kind == "chain"
    assert (got.status == Status.DONE).all()
    assert np.array_equal(got.m[:, 0], np.repeat(job.network.m[None], 3, axis=0))
    np.testing.assert_allclose(got.a[:, 0], np.repeat(job.network.a[None], 3, axis=0), rtol=1e-15)
    np.testing.assert_allclose(got.Q[0, 0], job.network.m @ job.network.m.T + job.network.R, rtol=0, atol=1e-14)
    assert Chain().simulate(make_job([0, 5])).b is None
    wide = Chain().simulate(make_job([0, 5], width=65))
    assert wide.Q is None
    np.testing.assert_allclose(wide.q[0, 0], 1, atol=2)
