"""The layerwise algorithm as a run: the same bits whatever the calls, early ends, refusals, the command line."""

import dataclasses
import hashlib
import json
import math
import os
import subprocess
import sys

import hypothesis.strategies as st
import numpy as np
import pytest
from conftest import act
from hypothesis import given, settings
from test_layerwise import SIGNS, make_job, to, twin, usual, walk
from test_simulate import KEYS, SMALL, refused, simulate

from odesim import SGD, Network, Trajectory, run
from odesim.checks import InputError
from odesim.flows.correlation import CorrelationFlow
from odesim.network import FIRST_LAYER_LAWS
from odesim.sgd import full, handed, layerwise, limits
from odesim.sgd.layerwise import Layerwise
from odesim.targets.series import Target
from odesim.training import Phase, Training, TwoRadii, one_by_one
from odesim.trajectory import Status

SMALL_STEPS = usual(steps1=150, eta1=0.02, r=0.4, noise=0.2, decay=0.2)
RUNS = [{"training": SMALL_STEPS}, {"training": SMALL_STEPS, "target": SIGNS, "scaling": "mean_field"}]


def same(one, other):
    names = [name for name in ("risk", "m", "a", "Q", "strays", "status") if getattr(one, name) is not None]
    equal = [np.array_equal(getattr(one, n), getattr(other, n), equal_nan=True) for n in names]
    return all(equal) and np.array_equal(one.events["release"], other.events["release"], equal_nan=True)


def changed(**options):
    return dataclasses.replace(usual(), **options)


# --- bits


@given(
    cuts=st.lists(st.integers(1, 220), max_size=8),
    dtype=st.sampled_from(["float32", "float64"]),
    options=st.sampled_from(RUNS),
    second=st.sampled_from(["sgd", "ridge"]),
)
@settings(max_examples=25)
def test_other_output_steps_change_no_bit(cuts, dtype, options, second):
    dynamics = Layerwise(dtype=dtype, second_phase=second)
    plain = dynamics.simulate(make_job([0, 221], dim=19, **options))
    cut = dynamics.simulate(make_job(sorted({0, 221, *cuts}), dim=19, **options))
    assert np.isfinite(plain.events["release"]).any()
    for name in ("m", "a", "Q", "strays"):
        assert np.array_equal(getattr(cut, name)[:, -1], getattr(plain, name)[:, -1])
    assert np.array_equal(cut.events["release"], plain.events["release"], equal_nan=True)


@pytest.mark.parametrize("options", RUNS, ids=["gaussian", "boolean"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_length_of_kernel_calls_changes_no_bit(monkeypatch, dtype, options):
    job = make_job([0, 1, 7, 201], width=5, dim=21, **options)
    plain = Layerwise(dtype=dtype).simulate(job)
    assert np.isfinite(plain.events["release"]).any()
    for length in (1, 3, 4, 50):
        monkeypatch.setattr(full, "_steps_a_call", lambda network, length=length: length)
        assert same(Layerwise(dtype=dtype).simulate(job), plain)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_no_bit(threads):
    job = make_job([0, 3, 300], seeds=5, dim=30, training=SMALL_STEPS)
    assert same(Layerwise(threads=threads).simulate(job), Layerwise(threads=3).simulate(job))
    assert len(set(Layerwise().simulate(job).risk[:, -1])) == 5


SCRIPT = """
import sys
from test_layerwise_runs import FOUR, Layerwise, digest, make_job
print(digest(Layerwise(threads=int(sys.argv[1]), second_phase="ridge").simulate(make_job(**FOUR))))
"""
FOUR = {"steps": [0, 5, 149, 301], "seeds": 2, "width": 60, "dim": 80, "training": SMALL_STEPS, "second_layer": 0.05}


def digest(trajectory):
    parts = (trajectory.risk, trajectory.m, trajectory.a, trajectory.Q, trajectory.events["release"])
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def test_processes_with_other_thread_counts_give_the_same_bits():
    here = digest(Layerwise(second_phase="ridge").simulate(make_job(**FOUR)))
    running = []
    for count in ("1", "2"):
        threads = dict.fromkeys(("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), count)
        environment = os.environ | threads | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        command = [sys.executable, "-c", SCRIPT, count]
        running.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    assert [process.communicate(timeout=120)[0].strip() for process in running] == [here, here]


def test_ridge_is_solved_once(monkeypatch):
    count, best = [], layerwise.best_second_layer
    monkeypatch.setattr(layerwise, "best_second_layer", lambda *given: count.append(1) or best(*given))
    monkeypatch.setattr(full, "_steps_a_call", lambda network: 10)
    got = Layerwise(second_phase="ridge").simulate(make_job([0, 150, 151, 221], training=SMALL_STEPS))
    assert len(count) == 1
    assert np.array_equal(got.a[0, 2], got.a[0, 3])
    assert not np.array_equal(got.a[0, 1], got.a[0, 2])


# --- early ends


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["erf", "relu"])
@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("where", "phase"), [("V", 1), ("V", 2), ("a", 1), ("a", 2), ("b", 1)])
def test_a_poisoned_weight_is_found_at_once(dtype, name, poison, where, phase):
    job = make_job([0, 40], width=3, dim=9, training=usual(steps1=20))
    one = walk(job, dtype)
    one.shared = (act(name), *one.shared[1:])
    step = 8 if phase == 1 else 24
    to(one, step)
    getattr(one.state, where)[(1, 4) if where == "V" else 1] = poison
    assert one.advance(40) == Status.NOT_FINITE
    assert one.step == step


def test_a_second_layer_that_diverges_ends_at_the_step_of_the_twin():
    """relu, eta2 = 5: the first phase's rows and releases are kept."""
    job = make_job(np.arange(0, 400, 3), width=6, activation="relu", training=usual(steps1=150, eta2=5.0), seeds=2)
    got = Layerwise().simulate(job)
    bound = handed.BLOW_UP * handed.size_of(job.network, job.target)
    with np.errstate(all="ignore"):
        for index in range(2):
            states = twin(job, index, 399)
            sizes = [np.abs(s[4]).sum() + abs(s[5]) for s in states[:-1]]
            step = int(np.argmax(~(np.array(sizes) <= bound)))
            assert step > 150
            assert got.status[index] == Status.DIVERGED
            assert f"at step {step}:" in got.message[index]
            assert np.array_equal(np.isfinite(got.risk[index]), job.steps <= step)
            assert np.isfinite(got.events["release"][index]).sum() == sum(i < 2 for _, i in states[150][3])


@pytest.mark.parametrize("eta1", [1e30, 1e200])
def test_steps_that_overflow_end_the_run_or_stay_finite(eta1):
    """In float32 c x is infinite; what is released is clipped, and the rest is NaN, which is found."""
    got = Layerwise(dtype="float32").simulate(make_job(np.arange(20), training=usual(eta1=eta1)))
    kept = np.isfinite(got.risk[0])
    assert got.status[0] in (Status.DONE, Status.DIVERGED, Status.NOT_FINITE)
    assert kept.all() == (got.status[0] == Status.DONE)
    assert np.isfinite(got.m[0, kept]).all()
    assert abs(got.m[0, kept]).max() <= 1.0


def test_a_correlation_run_without_bound_says_so():
    training = usual(steps1=20, eta2=1e3, loss="correlation")
    got = Layerwise().simulate(make_job([0, 10**7], activation="relu", training=training, width=2, dim=4))
    assert got.status[0] in (Status.DONE, Status.DIVERGED)
    assert ("correlation loss" in got.message[0]) == (got.status[0] == Status.DIVERGED)


# --- what is refused, and what is drawn


@pytest.mark.parametrize(
    ("training", "message"),
    [
        (Training(eta=0.1), r"training\.geometry='free' .*Training\.layerwise\(\.\.\.\) or geometry=TwoRadii"),
        (Training(eta=0.1, geometry="sphere"), r"training\.geometry='sphere'"),
        (changed(**{"batch": 8}), r"training\.batch=8 is unknown to Layerwise; use 1"),
        (changed(**{"batch": math.inf}), r"training\.batch=inf"),
        (changed(**{"decay_w": 0.1}), r"training\.decay_w=0\.1"),
        (changed(**{"reuse": "twice"}), r"training\.reuse='twice'"),
        (changed(**{"eta_b": 0.1, "schedule": (Phase(10, a=0), Phase(w=0))}), r"training\.eta_b=0\.1 .*use 0"),
        (Training(eta=0.1, geometry=TwoRadii(0.3, 0.6)), r"moves w and a together in phase 0.*--steps1"),
        (changed(**{"schedule": (Phase(5, a=0), Phase(9, w=0), Phase())}), r"together in phase 2"),
    ],
)
def test_training_that_it_does_not_know_is_refused_with_a_remedy(training, message):
    with pytest.raises(InputError, match=message):
        Layerwise().simulate(make_job([0, 10], training=training))


def test_a_network_that_it_cannot_train_is_refused(monkeypatch):
    job = make_job([0, 10])
    for network, message in (
        (dataclasses.replace(job.network, weights=None), r"network\.weights=None, but Layerwise trains"),
        (Network.random(job.target, width=4, dim=12), r"of neuron \d have length .*first_layer='signs'.*--first-layer"),
    ):
        with pytest.raises(InputError, match=message):
            Layerwise().simulate(dataclasses.replace(job, network=network))
    with pytest.raises(InputError, match="the target 1;"):
        Layerwise().simulate(dataclasses.replace(job, target=Target.parse("z1")))
    with pytest.raises(InputError, match="geometry"):
        SGD().simulate(job)
    long = make_job([0, 10], width=1, dim=20_000)
    for memory, fits in ((5_900_000, True), (5_700_000, False)):  # 5.5e6 without the lists
        monkeypatch.setattr(limits, "physical_memory", lambda memory=memory: memory)
        if fits:
            Layerwise().simulate(long)
        else:
            with pytest.raises(InputError, match="above 50%"):
                Layerwise().simulate(long)


@pytest.mark.parametrize("options", [{"dtype": "float16"}, {"threads": 0}, {"second_phase": "lasso"}])
def test_bad_options_are_refused(options):
    with pytest.raises(InputError, match=next(iter(options))):
        Layerwise(**options)


def test_a_first_layer_of_signs_changes_nothing_else_of_the_draw():
    target = Target.parse("z1*z2")
    options = {"width": 50, "dim": 40, "biases": 1.0, "rng": 4}
    normal, signs = (Network.random(target, **options, first_layer=law) for law in FIRST_LAYER_LAWS)
    assert np.array_equal(signs.weights, np.sign(normal.weights) / np.sqrt(40))
    assert np.array_equal(signs.a, normal.a)
    assert np.array_equal(signs.b, normal.b)
    assert abs(np.linalg.norm(signs.weights, axis=1) - 1).max() < 1e-14
    assert np.array_equal(Network.random(target, **options | {"dim": 90}, first_layer="signs").m * np.sqrt(90 / 40),
                          signs.m)  # fmt: skip
    with pytest.raises(InputError, match=r"network\.first_layer='zeros'"):
        Network.random(target, width=2, dim=9, first_layer="zeros")


def test_training_layerwise_is_the_training_it_says():
    found = Training.layerwise(eta1=0.1, eta2=0.2, steps1=7, r=0.3, delta=0.5, decay=0.4, noise=0.6)
    assert found == Training(
        eta=0.1, eta_a=0.2, geometry=TwoRadii(0.3, 0.5), decay_a=0.4, noise=0.6,
        schedule=(Phase(7, a=0.0, b=0.0), Phase(w=0.0, b=0.0)),
    )  # fmt: skip
    assert one_by_one(7) == found.schedule
    with pytest.raises(InputError, match=r"phase\.until"):
        Training.layerwise(eta1=0.1, eta2=0.2, steps1=0, r=0.3, delta=0.5)


def test_one_training_serves_the_flow_and_the_algorithm():
    job = make_job([0])
    training = Training(eta=0.01, eta_a=0.0, geometry=TwoRadii(0.4, 0.6))
    runs = [run(one, job.target, job.network, training, steps=50) for one in (CorrelationFlow(), Layerwise())]
    assert runs[0].events["release"].shape == runs[1].events["release"].shape[1:]
    assert abs(runs[0].m - runs[1].m[0]).max() < 0.3


# --- files and the command line


WORDS = ["z1 + z1*z2", "--dynamics", "layerwise", "--geometry", "two_radii:0.4,0.7", "--biases", "0.5"]


def test_releases_and_strays_are_kept_in_the_file(tmp_path):
    got = run(Layerwise(), *start(), steps=300, points=9, seeds=2)
    got.save(tmp_path / "run.npz")
    back = Trajectory.load(tmp_path / "run.npz")
    assert same(back, got)
    assert back[1].events["release"].shape == (4, 2)
    assert back[1].strays.shape == (9, 4)
    assert back.mean("strays").shape == (9, 4)


def start():
    job = make_job([0])
    return job.target, job.network, job.training


def test_the_command_line_runs_it_again_from_its_own_config(tmp_path):
    once, again = tmp_path / "once", tmp_path / "again"
    words = [*WORDS, "--eta", "0.02", "--eta-a", "0.01", "--steps1", "500", "--decay-a", "0.1", "--noise", "0.1"]
    assert simulate(*words, "--set", "dynamics.second_phase=ridge", out=once) == 0
    assert cli_again(once, again) == 0
    left, right = (Trajectory.load(folder / "trajectory.npz") for folder in (once, again))
    assert same(left, right)
    assert np.isfinite(left.events["release"]).any()
    summary = json.loads((once / "summary.json").read_text())
    assert set(summary) == KEYS
    assert summary["dynamics"] == {"name": "layerwise", "second_phase": "ridge"}
    assert (once / "simulate.png").read_bytes().startswith(b"\x89PNG")


def cli_again(once, again):
    from odesim import cli

    return cli.main(["simulate", "--config", str(once / "config.toml"), "--out", str(again), "--quiet"])


def test_the_command_line_resumes_to_the_same_bits(tmp_path):
    words = [*WORDS, "--eta", "0.02", "--steps1", "500", "--checkpoint", str(tmp_path / "run.ckpt"), "--resume"]
    for folder in ("once", "again"):  # from nothing, and from the end
        assert simulate(*words, out=tmp_path / folder) == 0
    left, right = (Trajectory.load(tmp_path / folder / "trajectory.npz") for folder in ("once", "again"))
    assert same(left, right)


@pytest.mark.parametrize(
    ("words", "culprit"),
    [
        (["--dynamics", "layerwise"], "training.geometry='free'"),
        ([*WORDS[1:]], "training.schedule moves w and a together in phase 0"),
        ([*WORDS[1:], "--steps1", "0"], "training.steps1=0"),
        ([*WORDS[1:], "--steps1", "9", "--set", "training.schedule=[{until=9},{}]"], "training.steps1=9"),
        ([*WORDS[1:], "--steps1", "9", "--eta-b", "0.1", "--set", "network.first_layer=cube"], "network.first_layer"),
        ([*WORDS[1:], "--steps1", "9", "--first-layer", "gaussian"], "of neuron"),
        ([*WORDS[1:], "--steps1", "9", "--batch", "4"], "training.batch=4"),
        ([*WORDS[1:], "--steps1", "9", "--decay-w", "1"], "training.decay_w=1"),
        ([*WORDS[1:], "--steps1", "9", "--set", "dynamics.second_phase=lasso"], "dynamics.second_phase='lasso'"),
        ([*WORDS[1:], "--steps1", "9", "--set", "dynamics.dtype=float32"], "set run.dtype"),
        (["--dynamics", "layerwise", "--geometry", "two_radii:0.7,0.4"], "training.geometry.r=0.7"),
        (["--dynamics", "sgd", "--geometry", "two_radii:0.4,0.7"], "training.geometry="),
    ],
)
def test_bad_input_is_one_line_that_names_the_culprit(capsys, tmp_path, words, culprit):
    assert culprit in refused(capsys, "--out", str(tmp_path / "out"), *words)
    assert not list(tmp_path.rglob("*.npz"))


def test_comparing_wants_a_flow(capsys, tmp_path):
    from odesim import cli

    assert cli.main(["compare", *SMALL, "--out", str(tmp_path), *WORDS, "--steps1", "9"]) == 2
    assert "dynamics.name='layerwise' is no flow" in capsys.readouterr().err
