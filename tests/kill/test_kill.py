"""Runs that are really killed, at random moments, and go on to the bits of a run that was not."""

import random
import signal
import time

import jobs
import pytest
from processes import HERE, finished, kill, started, wait_for_writing

from odesim import files
from odesim.checkpoints import Checkpoint
from odesim.checks import InputError
from odesim.experiment import Experiment
from odesim.trajectory import Status, Trajectory

pytestmark = pytest.mark.kill

JOB, WRITER = HERE / "jobs.py", HERE / "writer.py"
FIELDS = ("risk", "m", "a", "b", "Q", "status", "steps", "time")


def same(one, other):
    for name in FIELDS:
        left, right = getattr(one, name), getattr(other, name)
        assert (left is None and right is None) or left.tobytes() == right.tobytes(), name


def killed_again_and_again(name, folder, times, draw):
    """Kill a run so often; return what the last process leaves, and how far each had come."""
    path, out, done = folder / "run.ckpt", folder / "run.npz", []
    for count in range(times):
        with started(JOB, name, path, out) as process:
            process.stdout.readline()
            if wait_for_writing(process, path, times=1 + (count > 0)):
                time.sleep(draw.uniform(0.0, 0.15))
            if process.poll() is not None:
                break
            kill(process)
        arrays, _ = files.load_npz(path, "checkpoint")
        done.append(sum(int(arrays[key]) for key in arrays if key.endswith("_step")))
    finished(JOB, name, path, out)
    return Trajectory.load(out), done


@pytest.mark.parametrize("name", jobs.NAMES)
def test_killed_at_random_moments_a_run_ends_with_the_same_bits(name, tmp_path):
    got, done = killed_again_and_again(name, tmp_path, 3, random.Random(1))
    assert len(done) >= 2
    assert 0 < done[1] < 2 * jobs.STEPS[name]
    same(got, jobs.run(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", jobs.NAMES)
@pytest.mark.parametrize("trial", range(5))
def test_killed_many_times(name, trial, tmp_path):
    got, done = killed_again_and_again(name, tmp_path, 20, random.Random(trial))
    assert len(done) >= 3
    same(got, jobs.run(name))


def test_a_writer_killed_while_it_writes_leaves_a_whole_file(tmp_path):
    """It writes all the time; what is there is one of its files, and the next one clears away what it left."""
    path, draw, left = tmp_path / "run.ckpt", random.Random(2), 0
    for _ in range(6):
        with started(WRITER, path) as process:
            wait_for_writing(process, path)
            time.sleep(draw.uniform(0.0, 0.1))
            kill(process)
        left += len(list(tmp_path.glob(".run.ckpt.*.part")))
        (record,) = Checkpoint(path).read().records
        assert (record.state["W"] == record.rows).all()
    assert left > 0
    files.remove_parts(path)
    assert [one.name for one in tmp_path.iterdir()] == ["run.ckpt"]


SIMULATE = [
    "-m",
    "odesim",
    "simulate",
    "z1 + z1*z2",
    "--dynamics",
    "sgd",
    "--dim",
    "60",
    "--width",
    "8",
    "--seeds",
    "2",
]
SIMULATE += ["--steps", "9000003", "--points", "40", "--dtype", "float32", "--biases", "0.5", "--quiet"]


def simulated():
    """The same experiment without any process."""
    experiment = Experiment().replace(
        {"target.expression": "z1 + z1*z2", "dynamics.name": "sgd", "network.dim": 60, "network.width": 8}
        | {"network.biases": 0.5, "run.seeds": 2, "run.steps": 9_000_003, "run.points": 40, "run.dtype": "float32"}
    )
    return experiment.simulate().trajectory


def test_the_command_line_keeps_terminates_and_resumes(tmp_path):
    path, out = tmp_path / "run.ckpt", tmp_path / "out"
    words = [*SIMULATE, "--checkpoint", path, "--resume", "--out", out]
    with started(*words) as process:
        wait_for_writing(process, path)
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        _, error = process.communicate(timeout=120)
    assert process.returncode == 1, error
    assert error.startswith("odesim: error: SGD: 2 of 2 runs ended early, after step ")
    stopped = Trajectory.load(out / "trajectory.npz")
    assert (stopped.status == Status.INTERRUPTED).all()
    finished(*words)
    got, whole = Trajectory.load(out / "trajectory.npz"), simulated()
    same(got, whole)
    again = finished(*words)  # all is done already
    assert again == ""
    same(Trajectory.load(out / "trajectory.npz"), whole)

    path.write_bytes(path.read_bytes()[:-100])
    assert "run.ckpt is truncated or altered" in finished(*words, code=2)


LIMITED = """
import resource, sys
from odesim.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
sys.exit(main(sys.argv[2:]))
"""


def test_a_full_disk_ends_the_command_with_all_but_the_checkpoint(tmp_path):
    path, out = tmp_path / "run.ckpt", tmp_path / "out"
    words = ["simulate", "z1", "--dynamics", "sgd", "--dim", "20000", "--width", "2", "--seeds", "1", "--points", "5"]
    words += ["--dtype", "float32", "--checkpoint", path, "--out", out, "--quiet"]
    said = finished("-c", LIMITED, 150_000, *words, code=1)
    assert said.startswith("odesim: error: SGD: 1 of 1 runs ended early, after step ")
    assert "the checkpoint could not be written and the one before is untouched; free the disk and resume" in said
    assert {one.name for one in out.iterdir()} == {"trajectory.npz", "simulate.png", "summary.json", "config.toml"}
    (message,) = Trajectory.load(out / "trajectory.npz").message
    assert "run.ckpt could not be written (File too large)" in message
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == ["run.ckpt"]


def test_a_full_disk_ends_a_run_and_room_lets_it_end_well(tmp_path):
    """The limit on the size of files lies between the first checkpoint and one with weights."""
    path, out = tmp_path / "run.ckpt", tmp_path / "run.npz"
    with started(JOB, "gaussian", path, out) as process:
        process.stdout.readline()
        wait_for_writing(process, path, times=2)
        kill(process)
    content = path.read_bytes()
    said = finished(JOB, "gaussian", path, out, len(content) // 2, code=1)
    assert path.read_bytes() == content
    assert [one.name for one in tmp_path.iterdir()] == ["run.ckpt"]
    assert "at step " in said
    assert "run.ckpt could not be written (File too large)" in said
    assert "the checkpoint before is untouched, resume from it" in said
    finished(JOB, "gaussian", path, out)
    same(Trajectory.load(out), jobs.run("gaussian"))
    with pytest.raises(InputError, match="another experiment"):
        jobs.run("boolean", checkpoint=path, resume=True)
