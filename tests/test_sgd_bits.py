"""Full SGD gives the same bits whatever the output steps, the calls, the threads and the processes."""

import hashlib
import os
import subprocess
import sys

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from test_sgd import ALL, BOOLEAN, REUSED, make_job, same

from odesim.sgd import full
from odesim.sgd.full import SGD

RUNS = [
    {},
    {"training": ALL},
    {"training": ALL, "target": BOOLEAN, "scaling": "mean_field", "activation": "relu"},
    {"training": REUSED["free-twice"]},
    {"training": REUSED["sphere-extragradient"], "target": BOOLEAN},
]
NAMES = ["plain", "all", "boolean", "twice", "sphere"]


@given(
    cuts=st.lists(st.integers(1, 220), max_size=8),
    dtype=st.sampled_from(["float32", "float64"]),
    options=st.sampled_from(RUNS),
)
def test_other_output_steps_change_no_bit(cuts, dtype, options):
    plain = SGD(dtype=dtype).simulate(make_job([0, 221], dim=19, **options))
    steps = sorted({0, 221, *cuts})
    cut = SGD(dtype=dtype).simulate(make_job(steps, dim=19, **options))
    for name in ("m", "a", "Q"):
        assert np.array_equal(getattr(cut, name)[:, -1], getattr(plain, name)[:, -1])


@pytest.mark.parametrize("options", RUNS, ids=NAMES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_length_of_kernel_calls_changes_no_bit(monkeypatch, dtype, options):
    job = make_job([0, 1, 7, 1001], width=5, dim=21, biases=0.3, **options)
    plain = SGD(dtype=dtype).simulate(job)
    for length in (4, 12, 500):
        monkeypatch.setattr(full, "_steps_a_call", lambda network, length=length: length)
        assert same(SGD(dtype=dtype).simulate(job), plain)


def test_a_run_depends_on_its_index_alone():
    five, two = (SGD().simulate(make_job([0, 9, 77], seeds=count)) for count in (5, 2))
    assert np.array_equal(five.m[:2], two.m)
    assert len({five.risk[i, -1] for i in range(5)}) == 5


@pytest.mark.parametrize("options", RUNS, ids=NAMES)
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_no_bit(threads, options):
    job = make_job([0, 3, 500], seeds=5, dim=30, **options)
    assert same(SGD(threads=threads).simulate(job), SGD(threads=3).simulate(job))


SCRIPT = """
import sys
from test_sgd_bits import FOUR, SGD, digest, make_job
print(digest(SGD(threads=int(sys.argv[1])).simulate(make_job(**FOUR))))
"""


FOUR = {"steps": [0, 5, 2001], "seeds": 4, "width": 9, "dim": 40}


def digest(trajectory):
    parts = (trajectory.risk, trajectory.m, trajectory.a, trajectory.Q)
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def test_processes_with_other_thread_counts_give_the_same_bits():
    here = digest(SGD().simulate(make_job(**FOUR)))
    running = []
    for count in ("1", "2"):
        settings = dict.fromkeys(("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), count)
        environment = os.environ | settings | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        command = [sys.executable, "-c", SCRIPT, count]
        running.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    assert [process.communicate(timeout=60)[0].strip() for process in running] == [here, here]
