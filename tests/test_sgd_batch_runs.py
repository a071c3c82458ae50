"""SGD with mini-batches as a run: bits, early ends, memory, the command line."""

import dataclasses
import math
import os
import subprocess
import sys

import hypothesis.strategies as st
import numpy as np
import pytest
from conftest import act
from hypothesis import given
from test_sgd import ALL, BOOLEAN, data, make_job, same, twin
from test_sgd_bits import digest

from odesim import cli
from odesim.checks import InputError
from odesim.sgd import batch, full, handed, limits
from odesim.sgd.full import SGD
from odesim.sgd.state import State, placed
from odesim.training import Training
from odesim.trajectory import Status, Trajectory

SPHERE = Training(eta=0.02, eta_b=0.01, noise=0.1, batch=70, geometry="sphere", reuse="sam", rho=0.01)
RUNS = {
    "plain": {"training": Training(eta=0.02, batch=2)},
    "all": {"training": dataclasses.replace(ALL, batch=7)},
    "twice": {"training": dataclasses.replace(ALL, batch=66, reuse="twice"), "target": BOOLEAN},
    "sphere": {"training": SPHERE, "scaling": "mean_field", "activation": "relu"},
}


@given(
    cuts=st.lists(st.integers(1, 60), max_size=8),
    dtype=st.sampled_from(["float32", "float64"]),
    case=st.sampled_from(sorted(RUNS)),
)
def test_other_output_steps_change_no_bit(cuts, dtype, case):
    plain = SGD(dtype=dtype).simulate(make_job([0, 61], dim=19, **RUNS[case]))
    cut = SGD(dtype=dtype).simulate(make_job(sorted({0, 61, *cuts}), dim=19, **RUNS[case]))
    for name in ("m", "a", "Q", "risk"):
        assert np.array_equal(getattr(cut, name)[:, -1], getattr(plain, name)[:, -1])


@pytest.mark.parametrize("case", RUNS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_neither_calls_nor_threads_change_a_bit(monkeypatch, dtype, case):
    job = make_job([0, 1, 7, 101], width=5, dim=21, biases=0.3, seeds=3, **RUNS[case])
    plain = SGD(dtype=dtype).simulate(job)
    for length, threads in ((1, 1), (3, 2), (50, 3)):
        monkeypatch.setattr(batch, "_steps_a_call", lambda network, size, length=length: length)
        assert same(SGD(dtype=dtype, threads=threads).simulate(job), plain)


SCRIPT = """
import sys
from test_sgd_batch_runs import BATCHES, SGD, digest, make_job
print(digest(SGD(dtype="float32").simulate(make_job(**BATCHES))))
"""
BATCHES = {"steps": [0, 5, 201], "seeds": 4, "width": 9, "dim": 300, "training": Training(eta=1e-3, batch=70)}


def test_processes_with_other_thread_counts_give_the_same_bits():
    """Neither BLAS's threads nor numba's count."""
    here = digest(SGD(dtype="float32").simulate(make_job(**BATCHES)))
    running = []
    for count in ("1", "2"):
        settings = dict.fromkeys(("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), count)
        environment = os.environ | settings | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        command = [sys.executable, "-c", SCRIPT]
        running.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    assert [process.communicate(timeout=60)[0].strip() for process in running] == [here, here]


@pytest.mark.parametrize(("size", "geometry"), [(3, "free"), (70, "free"), (3, "sphere")])
@pytest.mark.parametrize("reuse", ["none", "twice", "extragradient"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_divergence_is_found_at_its_step(size, geometry, reuse, dtype):
    """On the sphere it is the second layer that diverges. A second look at the samples may find it sooner."""
    rates = {"eta": 2.0} if geometry == "free" else {"eta": 0.02, "eta_a": 20.0}
    training = Training(batch=size, geometry=geometry, reuse=reuse, **rates)
    job = placed(make_job(np.arange(0, 60), width=6, activation="relu", training=training, seeds=2))
    got = SGD(dtype=dtype).simulate(job)
    bound = handed.BLOW_UP * handed.size_of(job.network, job.target)
    for index in range(2):
        with np.errstate(all="ignore"):
            sizes = [(np.abs(s[3]).sum(axis=1) + abs(s[4])).max() for s in twin(job, index, 59)[:-1]]
        step = int(np.argmax(~(np.array(sizes) <= bound)))
        assert step > 0
        assert got.status[index] in (Status.DIVERGED, Status.NOT_FINITE)
        ended = int(got.message[index].split(":")[0].removeprefix("at step "))
        assert ended == step if reuse == "none" else 0 < ended <= step
        kept = np.isfinite(got.risk[index])
        assert np.array_equal(kept, job.steps <= ended)
        assert np.array_equal(np.isfinite(got.m[index]).all(axis=(1, 2)), kept)


def start(job, dtype="float64", activation=None):
    """The walk of a job's first run."""
    walk, rows = full._walk(job)
    constants = handed.constants_of(job, 0)
    if activation is not None:
        constants = (constants[0], act(activation), *constants[2:])
    return walk(job, State.start(job.network, np.dtype(dtype), rows), constants)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", RUNS)
@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["W", "a", "b"])
def test_a_poisoned_weight_is_found_at_once(dtype, case, poison, where):
    walk = start(make_job([0, 40], width=3, dim=9, **RUNS[case]), dtype)
    assert walk.advance(8) == Status.DONE
    assert walk.step == 8
    getattr(walk.state, where)[(1, 4) if where == "W" else 1] = poison
    assert walk.advance(16) == Status.NOT_FINITE
    assert walk.step == 8


@pytest.mark.parametrize("sample", range(3))
def test_one_sample_of_a_batch_is_enough_to_end_a_run(sample):
    """Its step is left out whole: a neuron that only this sample excites is the one that overflows."""
    job = make_job([0, 4], activation="relu", training=Training(eta=0.02, eta_a=0.02, batch=3))
    walk = start(job)
    assert walk.advance(1) == Status.DONE
    second = data(job, 0, 2)[0][3:]
    x, others = second[sample], np.delete(second, sample, axis=0)
    w = x - others.T @ np.linalg.lstsq(others.T, x, rcond=None)[0]
    walk.state.W[0, :12], walk.state.a[0] = 1e15 * w, 1.0
    before = walk.state.copy()
    assert walk.advance(2) == Status.DIVERGED
    assert walk.step == 1
    for name in ("W", "a", "b"):
        assert np.array_equal(getattr(walk.state, name), getattr(before, name))


@pytest.mark.parametrize("case", RUNS)
def test_padding_stays_zero(case):
    job = make_job([0, 100], width=3, dim=9, biases=0.5, **RUNS[case])
    walk = start(placed(job), activation="sigmoid")  # σ(0) is not 0
    assert walk.advance(20) == Status.DONE
    state = walk.state
    assert state.W.shape == (6, 16)
    for padding in (state.W[3:], state.W[:, 9:], state.a[3:], state.b[3:]):
        assert not padding.any()
    if job.training.geometry == "sphere":
        np.testing.assert_allclose(np.linalg.norm(state.W[:3] * state.scale[:3, None], axis=1), 1.0, rtol=1e-14)


@pytest.mark.parametrize("lost", [1e-8, 0.3])
def test_without_a_gradient_weights_decay_as_powers(lost):
    """In float32 too, though one step's loss may be below its spacing, and sums apart."""
    steps = 20_003 if lost < 1e-6 else 11
    for size in (3, 66):
        start = make_job([0, steps], training=Training(eta=0.1, eta_a=0.0, decay_w=lost / 0.1, batch=size))
        job = dataclasses.replace(start, network=dataclasses.replace(start.network, a=np.zeros(4)))
        got = SGD(dtype="float32").simulate(job)
        np.testing.assert_allclose(got.m[0, -1], (1 - lost) ** steps * job.network.m, rtol=1e-6)


def test_an_infinite_batch_is_refused_with_a_remedy():
    with pytest.raises(InputError, match=r"training\.batch=inf is unknown to SGD, .*; use a number of"):
        SGD().simulate(make_job([0, 10], training=Training(eta=0.1, batch=math.inf)))


def test_memory_of_a_batch_is_bounded_and_counted():
    """A slice of samples, W, and another of its size for each of: several slices, an inner step."""
    dim, width = 20_000, 60
    W, sample = 8 * dim * width, 8 * dim

    def need(**rule):
        sizes = limits.Sizes(width, dim, coordinates=3, seeds=1, points=2)
        parts = limits.forecast(sizes, Training(eta=0.1, **rule), 8, threads=1, inputs=0, kept=False).parts
        return parts["weights of the runs"] + parts["samples"]

    assert need(batch=8) == pytest.approx(W + 20 * sample, rel=0.05)
    assert need(batch=10**5) == pytest.approx(2 * W + 72 * sample, rel=0.05)
    assert need(batch=8, reuse="sam") == pytest.approx(2 * W + 20 * sample, rel=0.05)
    assert need(batch=8, reuse="sam", geometry="sphere") == pytest.approx(3 * W + 20 * sample, rel=0.05)


def test_a_huge_batch_runs_in_slices():
    got = SGD(dtype="float32").simulate(make_job([0, 1, 2], training=Training(eta=0.3, batch=50_000)))
    assert got.status[0] == Status.DONE
    flow_like = got.m[0, 1] - got.m[0, 0]
    again = SGD(dtype="float64").simulate(make_job([0, 1], training=Training(eta=0.3, batch=50_000)))
    np.testing.assert_allclose(flow_like, again.m[0, 1] - again.m[0, 0], atol=1e-6)


def test_the_command_line_takes_a_batch(tmp_path):
    words = ["z1 + z1*z2", "--dim", "9", "--width", "2", "--steps", "9", "--points", "3", "--batch", "5", "--quiet"]
    assert cli.main(["simulate", *words, "--dynamics", "sgd", "--out", str(tmp_path / "one")]) == 0
    got = Trajectory.load(tmp_path / "one" / "trajectory.npz")
    assert got.settings["training"]["batch"] == 5
    assert np.isfinite(got.risk).all()
    assert cli.main(["compare", *words, "--seeds", "2", "--out", str(tmp_path / "two")]) == 0
    assert {one.name for one in (tmp_path / "two").iterdir()} >= {"ode.npz", "sgd.npz", "summary.json"}
