"""A run that was stopped goes on to the same bits; a checkpoint that is not whole or not its own is refused."""

import dataclasses
import math
import threading
import time

import numpy as np
import pytest
from conftest import Decay

from odesim import cli, files, memory
from odesim.activations.catalogue import Activation
from odesim.checkpoints import Checkpoint, Record, fingerprint
from odesim.checks import InputError, RunError
from odesim.flows.overlap import OverlapFlow
from odesim.job import Job
from odesim.network import Network
from odesim.runner import run
from odesim.seeds import seed_sequence
from odesim.sgd import batch, full, keeper, limits
from odesim.sgd.full import SGD
from odesim.sgd.keeper import Keeper
from odesim.sgd.layerwise import Layerwise
from odesim.targets.series import Target
from odesim.training import Phase, Training, TwoRadii
from odesim.trajectory import Status

FIELDS = ("risk", "risk_se", "m", "a", "b", "Q", "strays", "status")
STAIRS = Target.parse("z1 + z1*z2")
SIGNS = Target.parse("z1 + z1*z2", data="boolean")
PLAIN = Training(eta=0.02)
ALL = Training(
    eta=0.02, eta_b=0.01, noise=0.1, decay_w=0.5, decay_a=0.1, schedule=(Phase(until=777, rate=0.5), Phase(a=2.0))
)
TWO_RADII = Training.layerwise(eta1=0.05, eta2=0.01, steps1=1333, r=0.5, delta=0.8, decay=0.1, noise=0.1)
LAYERWISE = {"dynamics": Layerwise, "training": TWO_RADII, "first_layer": "signs", "biases": 0.5}
CASES = {
    "gaussian": {},
    "boolean": {"target": SIGNS, "dtype": "float32"},
    "everything": {"training": ALL, "biases": 0.5, "dtype": "float32"},
    "sphere": {"training": dataclasses.replace(ALL, decay_w=0.0, geometry="sphere"), "dtype": "float32"},
    "twice": {"training": dataclasses.replace(ALL, reuse="twice")},
    "sam on the sphere": {"training": Training(eta=0.02, geometry="sphere", reuse="sam"), "target": SIGNS},
    "wide": {"width": limits.MAX_WIDTH_OF_Q + 1},
    "one seed": {"seeds": 1},
    "batches": {"training": dataclasses.replace(ALL, batch=3), "biases": 0.5, "dtype": "float32"},
    "sliced batches": {"training": Training(eta=0.02, batch=70, reuse="twice", geometry="sphere"), "target": SIGNS},
    "sampled": {"test_samples": 50, "target": SIGNS, "width": limits.MAX_WIDTH_OF_Q + 1},
    "diverging": {"training": Training(eta=0.02, schedule=(Phase(until=1500), Phase(rate=200.0)))},
    "layerwise": LAYERWISE,
    "layerwise boolean": LAYERWISE | {"target": SIGNS, "dtype": "float32"},
    "layerwise ridge": LAYERWISE | {"second_phase": "ridge"},
}


def make_job(
    target=STAIRS, width=3, dim=9, seeds=3, training=PLAIN, biases=0.0, first_layer="gaussian",
    steps=(0, 3, 401, 1202, 2000), **keep,
):  # fmt: skip
    network = Network.random(target, width=width, dim=dim, biases=biases, first_layer=first_layer, rng=1)
    return Job(target, network, training, np.array(steps), seeds, seed_sequence(5), **keep)


def same(one, other):
    assert one.message == other.message
    for name in FIELDS:
        left, right = getattr(one, name), getattr(other, name)
        assert (left is None and right is None) or left.tobytes() == right.tobytes(), name
    assert one.events.keys() == other.events.keys()
    assert all(times.tobytes() == other.events[name].tobytes() for name, times in one.events.items())


@pytest.fixture
def kept(tmp_path):
    return Checkpoint(tmp_path / "run.ckpt", every=1e6, resume=True, parts={"run": "this"}, settings={"run": {}})


def stopped_after(job, looks):
    """The job, which stops after so many reports of progress."""
    count = iter(range(looks))

    def progress(share):
        if next(count, None) is None:
            job.stop.set()

    job = dataclasses.replace(job, stop=type(job.stop)())
    return dataclasses.replace(job, progress=progress)


@pytest.mark.parametrize("case", CASES)
def test_stopped_and_resumed_again_and_again_gives_the_same_bits(case, kept, monkeypatch):
    options = dict(CASES[case])
    names = ("dtype", "second_phase", "test_samples")
    own = {name: options.pop(name) for name in names if name in options}
    dynamics = options.pop("dynamics", SGD)(**own, threads=2)
    job = make_job(**options)
    whole = dynamics.simulate(job)
    monkeypatch.setattr(full, "_steps_a_call", lambda network: 52)
    monkeypatch.setattr(batch, "_steps_a_call", lambda network, size: 52)
    ends, draw = 0, np.random.default_rng(0)
    for _ in range(100):
        got = dynamics.simulate(stopped_after(dataclasses.replace(job, checkpoint=kept), draw.integers(1, 12)))
        if not (got.status == Status.INTERRUPTED).any():
            break
        ends += 1
    assert ends > 2
    same(got, whole)
    assert (case == "diverging") == (got.status == Status.DIVERGED).all()


def test_neither_a_checkpoint_nor_its_interval_changes_a_bit(tmp_path):
    steps = [0, 5, 40_000, 80_001]
    whole = SGD().simulate(make_job(steps=steps))
    for every in (1e-4, 0.02, 1e6):
        kept = Checkpoint(tmp_path / "run.ckpt", every=every)
        same(SGD().simulate(make_job(steps=steps, checkpoint=kept)), whole)


def test_a_run_resumed_with_other_threads_gives_the_same_bits(kept):
    job = make_job(checkpoint=kept)
    SGD(threads=3).simulate(stopped_after(job, 2))
    same(SGD(threads=1).simulate(job), SGD().simulate(make_job()))


def test_a_finished_run_is_read_and_not_run(kept, monkeypatch):
    job = make_job(checkpoint=kept)
    whole = SGD().simulate(job)
    monkeypatch.setattr(full, "_Walk", None)
    content = kept.path.read_bytes()
    shares = []
    same(SGD().simulate(dataclasses.replace(job, progress=shares.append)), whole)
    assert kept.path.read_bytes() == content


def test_without_resume_a_file_is_overwritten_and_run_anew(kept, monkeypatch):
    once = SGD().simulate(make_job(checkpoint=kept))
    other = dataclasses.replace(kept, resume=False, parts={"run": "other"})
    same(SGD().simulate(make_job(checkpoint=other)), once)
    assert all(one.status == Status.DONE for one in other.read().records)
    with pytest.raises(InputError, match="another experiment"):
        kept.read()


def test_run_keeps_and_resumes(start, tmp_path):
    path = tmp_path / "run.ckpt"
    whole = run(SGD(), *start, steps=100, points=5, seeds=2)
    for resume in (True, True, False):  # from nothing, from the end, anew
        same(run(SGD(), *start, steps=100, points=5, seeds=2, checkpoint=path, resume=resume), whole)


# --- what is refused


@pytest.fixture
def written(kept):
    SGD().simulate(make_job(checkpoint=kept))
    return kept


@pytest.mark.parametrize("length", [0, 1, 100, 0.3, 0.9, -1])
def test_a_truncated_checkpoint_is_refused_by_name(written, length):
    content = written.path.read_bytes()
    written.path.write_bytes(content[: int(length * len(content)) if isinstance(length, float) else length])
    with pytest.raises(InputError, match=r"run\.ckpt is .*not written by odesim; give the file.*leave resume out"):
        SGD().simulate(make_job(checkpoint=written))


def test_an_altered_checkpoint_is_refused_by_name(written):
    content = bytearray(written.path.read_bytes())
    for place in np.random.default_rng(1).integers(0, len(content), 40):
        content[place] ^= 1
        written.path.write_bytes(content)
        with pytest.raises(InputError, match=r"run\.ckpt is .*leave resume out"):
            SGD().simulate(make_job(checkpoint=written))
        content[place] ^= 1


def test_a_trajectory_is_no_checkpoint(start, tmp_path):
    run(SGD(), *start, steps=8, points=3).save(tmp_path / "sgd.npz")
    with pytest.raises(InputError, match=r"sgd\.npz is a file of kind 'trajectory'; give one of kind 'checkpoint'"):
        run(SGD(), *start, steps=8, points=3, checkpoint=tmp_path / "sgd.npz", resume=True)


def other_weights(network):
    return dataclasses.replace(network, weights=network.weights * (1 + 1e-15))


OTHERS = {
    r"target\.expression was 'z1 \+ z1\*z2\*z3' and is now 'z1 \+ z2\*z3'": {"target": Target.parse("z1 + z2*z3")},
    r"target\.data was 'gaussian' and is now 'boolean'": {"target": Target.parse("z1 + z1*z2*z3", data="boolean")},
    "the weights that the network starts from differ": {"network": other_weights},
    r"network\.activation was 'erf' and is now 'relu'": {
        "network": lambda network: Network.from_weights(
            Target.parse("z3"), network.weights, network.a, activation="relu"
        )
    },
    r"training\.eta was 0\.005 and is now 0\.01": {"training": Training(eta=0.01)},
    r"training\.noise was 0\.0 and is now 0\.1": {"training": Training(eta=0.005, noise=0.1)},
    r"dynamics\.dtype was 'float64' and is now 'float32'": {"dynamics": SGD(dtype="float32")},
    r"run\.steps was 40 and is now 44": {"steps": 44},
    r"run\.points was 4 and is now 5": {"points": 5},
    r"run\.seeds was 2 and is now 3": {"seeds": 3},
    r"run\.rng was 0 and is now 7": {"rng": 7},
    "the recorded steps, the events or the seed differ": {"spacing": "linear"},
}


@pytest.mark.parametrize("what", OTHERS)
def test_a_checkpoint_of_another_experiment_is_refused_with_the_difference(what, start, tmp_path):
    path = tmp_path / "run.ckpt"
    target, network, training = start
    usual = {"dynamics": SGD(), "target": target, "network": network, "training": training}
    usual |= {"steps": 40, "points": 4, "seeds": 2}
    run(**usual, checkpoint=path)
    content = path.read_bytes()
    changed = {name: value(network) if callable(value) else value for name, value in OTHERS[what].items()}
    with pytest.raises(InputError, match=rf"run\.ckpt is the checkpoint of another experiment: {what}; give the file"):
        run(**(usual | changed), checkpoint=path, resume=True)
    assert path.read_bytes() == content
    run(**usual | {"dynamics": SGD(threads=1)}, checkpoint=path, resume=True)


def test_a_checkpoint_of_other_kernels_is_refused(start, tmp_path, monkeypatch):
    path = tmp_path / "run.ckpt"
    run(SGD(), *start, steps=8, points=3, checkpoint=path)
    monkeypatch.setattr("odesim._jit.source_stamp", lambda: "edited")
    with pytest.raises(InputError, match="odesim's kernels have changed since"):
        run(SGD(), *start, steps=8, points=3, checkpoint=path, resume=True)
    monkeypatch.setattr("odesim.__version__", "9.9")
    with pytest.raises(InputError, match=r"versions\.odesim was .* and is now '9\.9'"):
        run(SGD(), *start, steps=8, points=3, checkpoint=path, resume=True)


def test_fingerprints_tell_functions_and_geometries_apart_and_nothing_else(start):
    target, network, training = start

    def of(**changes):
        options = {"dynamics": SGD(), "target": target, "network": network, "training": training}
        options |= {"steps": np.arange(3), "seeds": 2, "rng": seed_sequence(1)}
        return fingerprint(**(options | changes))

    def with_activation(function):
        return dataclasses.replace(network, activation=Activation.from_function(function, name="mine"))

    assert of() == of(training=Training(eta=np.float64(0.005), batch=1.0), dynamics=SGD(threads=7))
    assert of(network=with_activation(np.tanh)) == of(network=with_activation(lambda x: np.tanh(x)))
    teachers = [Target.teacher(2, second_layer=one) for one in (1.0, 2.0)]
    many = [
        of(), of(network=with_activation(np.tanh)), of(network=with_activation(lambda x: np.tanh(x) + 0.5)),
        of(network=dataclasses.replace(network, weights=None)), of(seeds=3), of(rng=seed_sequence(2)),
        of(rng=np.random.SeedSequence(1, spawn_key=(1,))), of(steps=np.arange(4)),
        of(training=Training(eta=0.005, batch=math.inf)), of(training=Training(eta=0.005, geometry="sphere")),
        of(training=Training(eta=0.005, geometry=TwoRadii(0.5, 2.0))), of(training=Training(eta=0.005, eta_b=1e-9)),
        of(training=Training(eta=0.005, schedule=(Phase(until=3), Phase(w=0.0)))),
        of(dynamics=OverlapFlow()), of(dynamics=SGD(dtype="float32")), *[of(target=one) for one in teachers],
    ]  # fmt: skip
    assert len({tuple(one.values()) for one in many}) == len(many)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resume": True}, r"run\.resume needs the file"),
        ({"checkpoint": "."}, r"is a folder; give a file in it"),
        ({"checkpoint": "no/such/run.ckpt"}, "lies in a folder that does not exist; make it first"),
        ({"checkpoint": "x", "checkpoint_every": 0}, r"run\.checkpoint_every=0 must be above 0"),
        ({"checkpoint": "x", "checkpoint_every": "2"}, r"run\.checkpoint_every='2' is not a number"),
    ],
)
def test_bad_arguments_are_refused(options, message, start, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        run(SGD(), *start, steps=8, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dynamics", [OverlapFlow(), Decay()])
def test_dynamics_without_checkpoints_say_so(dynamics, start, tmp_path):
    with pytest.raises(InputError, match=f"{type(dynamics).__name__} keeps no checkpoints, being quick to run again"):
        run(dynamics, *start, steps=8, checkpoint=tmp_path / "run.ckpt")


def test_memory_of_the_copies_is_counted(kept, monkeypatch):
    job = make_job(width=2, dim=20_000, seeds=1)
    bytes_of_weights = 2 * 20_000 * 8
    for checkpoint in (None, kept):
        one = dataclasses.replace(job, checkpoint=checkpoint)
        need = next(
            size
            for size in range(10**5, 10**7, 10**4)
            if not _refused(monkeypatch, one, size)
        )  # fmt: skip
        if checkpoint is None:
            without = need
    assert 0.9 < (need - without) * memory.SHARE / bytes_of_weights < 1.1


def _refused(monkeypatch, job, memory):
    monkeypatch.setattr(limits, "physical_memory", lambda: memory)
    try:
        limits.check_memory(job, np.dtype(float), 1)
    except InputError:
        return True
    return False


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--checkpoint", "run.ckpt"], "OverlapFlow keeps no checkpoints, being quick to run again; leave"),
        (["--dynamics", "layerwise", "--resume"], "run.resume needs the file to go on from; give run.checkpoint (--ch"),
        (["--dynamics", "sgd", "--resume"], "run.resume needs the file to go on from; give run.checkpoint (--ch"),
        (["--dynamics", "sgd", "--checkpoint", "run.ckpt", "--resume"], "run.ckpt is altered or was not written by"),
    ],
)
def test_the_command_line_refuses_in_one_line(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.ckpt").write_text("hello")
    assert cli.main(["simulate", "z1", "--dim", "9", "--width", "2", "--steps", "9", "--quiet", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"odesim: error: {message}")
    assert (tmp_path / "run.ckpt").read_text() == "hello"


# --- a disk that refuses, and how often is written


def failing_from(number, monkeypatch):
    """Let the writings from ``number`` on fail."""
    count, write = iter(range(10**9)), files.save_npz

    def save(path, *rest):
        if next(count) >= number:
            raise RunError(f"{path} could not be written (No space left on device)")
        write(path, *rest)

    monkeypatch.setattr(files, "save_npz", save)


def test_a_full_disk_ends_the_runs_with_a_status_and_the_rows(kept, monkeypatch):
    job = make_job(steps=[0, 4, 10**8], checkpoint=dataclasses.replace(kept, every=0.01))
    failing_from(1, monkeypatch)
    got = SGD(threads=1).simulate(job)
    content = kept.path.read_bytes()
    assert (got.status == Status.DISK_FULL).all()
    assert got.message[0].startswith("at step ")
    assert "(No space left on device); the checkpoint before is untouched, resume from it" in got.message[0]
    assert np.isfinite(got.risk[0, :2]).all()
    assert kept.read().records == [Record()] * 3
    assert kept.path.read_bytes() == content


def test_a_disk_that_is_full_at_the_start_is_an_error(kept, monkeypatch):
    failing_from(0, monkeypatch)
    with pytest.raises(RunError, match=r"run\.ckpt could not be written"):
        SGD().simulate(make_job(checkpoint=kept))


def test_a_disk_that_is_full_at_the_end_leaves_the_results_with_a_warning(kept, monkeypatch):
    whole = SGD().simulate(make_job())
    failing_from(1, monkeypatch)
    with pytest.warns(UserWarning, match=r"run\.ckpt could not be written .*; the runs are complete without it"):
        got = SGD().simulate(make_job(checkpoint=kept))
    same(got, whole)


def test_an_error_in_one_run_keeps_the_others(kept):
    job = make_job(steps=[0, 4, 10**9], seeds=2, checkpoint=kept)
    failed = threading.Event()

    def fail(share):
        if share > 1e-3 and not failed.is_set():
            failed.set()
            raise RuntimeError("no bar")

    with pytest.raises(RuntimeError, match="no bar"):
        SGD().simulate(dataclasses.replace(job, progress=fail))
    assert sorted(record.rows for record in kept.read().records) == [0, 2]


@dataclasses.dataclass
class Notes:
    """A checkpoint that only counts, each time after ``work`` seconds of the processor."""

    every: float
    work: float = 0.0
    goes_on = False
    path = "nowhere"
    written: list = dataclasses.field(default_factory=list)

    def write(self, records, rows):
        start = time.thread_time()
        while time.thread_time() - start < self.work:
            pass
        self.written.append([record.rows for record in records])


def keep_for(notes, seconds):
    """Two runs that give when asked, and a third that is busy with one call all the time."""
    one = Keeper(notes, {}, 3, lambda: None)
    one.open()
    for index in range(3):
        one.begin(index)
    rows, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        rows += 1
        for index in (0, 1):
            if one.asks(index):
                one.give(index, Record(rows, {}))
        time.sleep(0.002)
    one.end(0, Record(9, None, Status.DONE))
    one.close()
    return notes.written


def test_a_busy_run_does_not_keep_the_others_from_the_disk(monkeypatch):
    monkeypatch.setattr(keeper, "PATIENCE", 0.02)
    first, *between, last = keep_for(Notes(every=0.01), 1.0)
    assert first == [0, 0, 0]
    assert len(between) > 3
    assert all(one[0] > 0 and one[2] == 0 for one in between)
    assert last[0] == 9


def test_dear_writing_is_done_less_often(monkeypatch):
    monkeypatch.setattr(keeper, "PATIENCE", 0.02)
    written = keep_for(Notes(every=0.01, work=0.05), 1.0)
    assert 2 <= len(written) - 1 <= 3  # at 0.01 s, a twentieth of the time later, and at the end


def test_the_file_has_every_row_and_no_more(written):
    saved = written.read()
    whole = SGD().simulate(make_job())
    assert [len(rows) for rows in saved.rows["m"]] == [5, 5, 5]
    assert np.array_equal(np.stack(saved.rows["m"]), whole.m)
    assert all(record.state is None for record in saved.records)


def test_what_killed_writers_left_is_removed(kept):
    stale = kept.path.with_name(f".{kept.path.name}.{'0' * 16}.part")
    other = kept.path.with_name(".run.ckpt.notes.part")
    for path in (stale, other):
        path.touch()
    SGD().simulate(make_job(checkpoint=kept))
    assert {path.name for path in kept.path.parent.iterdir()} == {"run.ckpt", other.name}
