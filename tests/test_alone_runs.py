"""Runs of lone neurons: bits, events, early ends, checkpoints, refusals."""

from dataclasses import replace

import naive_alone
import numpy as np
import pytest
from test_alone import TARGET, job_of, numbers_of, training_of

import odesim as od
from odesim import InputError, Network, NeuronChain, Phase, Status, Target, Training, TwoRadii
from odesim.checkpoints import checkpoint_at
from odesim.sgd import alone, replicas

FIELDS = ("m", "q", "a", "b", "status")


def same(one, other):
    events = one.events.keys() == other.events.keys() and all(
        np.array_equal(one.events[name], other.events[name], equal_nan=True) for name in one.events
    )
    return events and all(np.array_equal(getattr(one, x), getattr(other, x), equal_nan=True) for x in FIELDS)


EVENTS = [
    od.overlap_above(0, 0, 0.3, terminal=True), od.overlap_below(1, 1, 0.0), od.overlap_above(1, 0, 0.6, terminal=True),
]  # fmt: skip
MANY = {"steps": (0, 3, 64, 100, 301), "seeds": 23, "events": EVENTS, "dim": 7}


@pytest.mark.parametrize("name", ["free", "everything", "radii", "twice on the sphere"])
def test_neither_lanes_nor_batches_nor_calls_nor_threads_change_a_bit(monkeypatch, name):
    job = job_of(training_of(name, eta=0.02), **MANY)
    whole = NeuronChain().simulate(job)
    assert {Status.DONE, Status.EVENT} & set(whole.status.tolist())
    for most, work, threads in ((16, 1.0, 1), (32, 1e5, 2), (512, 3e4, 3)):
        monkeypatch.setattr(replicas, "MOST", most)
        monkeypatch.setattr(replicas, "WORK_A_CALL", work)
        assert same(NeuronChain(threads=threads).simulate(job), whole)


def test_output_steps_change_no_bit():
    plain = NeuronChain().simulate(job_of(training_of("everything"), steps=(0, 301)))
    for cuts in ((1, 2, 3), (7, 63, 64, 65, 128), range(1, 301)):
        cut = NeuronChain().simulate(job_of(training_of("everything"), steps=(0, *cuts, 301)))
        assert np.array_equal(cut.m[:, -1], plain.m[:, -1])
        assert np.array_equal(cut.q[:, -1], plain.q[:, -1])


def test_a_neuron_depends_on_its_run_and_its_number_alone():
    job = job_of(training_of("free"), width=3, seeds=20)
    whole = NeuronChain().simulate(job)
    fewer = NeuronChain().simulate(job_of(training_of("free"), width=3, seeds=5))
    assert np.array_equal(fewer.m, whole.m[:5])
    network = job.network
    for rows in ([0], [0, 1]):
        part = Network.from_weights(TARGET, network.weights[rows], network.a[rows], network.b[rows])
        assert np.allclose(
            NeuronChain().simulate(replace(job, network=part)).m, whole.m[:, :, rows], rtol=0, atol=1e-12
        )
    assert len(np.unique(whole.m[:, -1, 0, 0])) == 20
    alike = Network.from_weights(TARGET, network.weights[[0, 0]], network.a[[0, 0]], network.b[[0, 0]])
    two = NeuronChain().simulate(replace(job, network=alike))
    assert (two.m[:, -1, 0] != two.m[:, -1, 1]).all()


def test_events_are_found_at_the_first_step_that_crosses():
    start = job_of(training_of("free")).network.m
    near = [od.overlap_above(1, 1, start[1, 1] + 0.003, name="up"), od.overlap_below(1, 1, start[1, 1], name="down")]
    events = [od.overlap_above(0, 0, 0.35), od.overlap_below(0, 1, 0.1), od.overlap_above(1, 0, -0.2), *near]
    job = job_of(training_of("free", eta=0.03), steps=range(201), seeds=8, events=events)
    found = NeuronChain().simulate(job)
    seen = 0
    for one in events:
        m = found.m[:, :, one.neuron, one.coordinate]
        sign = 1 if one.upward else -1
        crossed = (sign * m[:, :-1] < sign * one.level) & (sign * m[:, 1:] >= sign * one.level)
        first = np.where(crossed.any(axis=1), 1.0 + crossed.argmax(axis=1), np.nan)
        assert np.array_equal(found.events[one.name], job.training.eta * first, equal_nan=True)
        seen += (crossed.sum(axis=1) > 1).sum()
    assert seen > 5


def test_a_terminal_event_ends_its_neuron_there():
    free = NeuronChain().simulate(job_of(training_of("free", eta=0.03), steps=range(201), seeds=8))
    event = od.overlap_above(0, 0, 0.35, terminal=True)
    ended = NeuronChain().simulate(job_of(training_of("free", eta=0.03), steps=range(201), seeds=8, events=[event]))
    assert np.array_equal(ended.m[:, :, 1], free.m[:, :, 1])
    steps = np.round(ended.events[event.name] / 0.03)
    assert np.isfinite(steps).any()
    for run in range(8):
        last = 200 if np.isnan(steps[run]) else int(steps[run])
        assert np.array_equal(ended.m[run, : last + 1, 0], free.m[run, : last + 1, 0])
        assert np.isnan(ended.m[run, last + 1 :, 0]).all()
        early = last < 200 or not np.isnan(steps[run])
        assert ended.status[run] == (Status.EVENT if early else Status.DONE)
        assert (f"neuron 0: at step {last}" in ended.message[run]) == early


def test_releases_are_noted():
    job = job_of(training_of("radii"), steps=range(121), seeds=6)
    found = NeuronChain().simulate(job)
    when = found.events["release"]
    assert when.shape == (6, 2, 2)
    for run, j in np.ndindex(6, 2):
        kept = naive_alone.chain(TARGET, job.training, job.network, j, numbers_of(job, run, j), 120)[-1]
        steps = np.where(kept[-1], np.nan, (~kept).argmax(axis=0))
        assert np.allclose(when[run, j], steps * job.training.eta, rtol=1e-12, equal_nan=True)
    assert np.isfinite(when).any()
    assert (np.abs(found.m) <= job.training.geometry.delta).all()


@pytest.mark.parametrize(("eta", "status"), [(1e3, Status.DIVERGED), (1e200, Status.NOT_FINITE)])
def test_what_grows_without_bound_ends_with_its_step(eta, status):
    job = job_of(Training(eta=eta, loss="correlation", eta_a=eta), steps=range(61), seeds=3, name="hermite:3")
    found = NeuronChain().simulate(job)
    for run in range(3):
        assert found.status[run] in (Status.DIVERGED, Status.NOT_FINITE)
        assert "at step " in found.message[run]
    assert status in found.status
    last = [int(text.split("at step ")[1].split(":")[0]) for text in found.message]
    assert all(np.isfinite(found.m[run, :step]).any(axis=(1, 2)).all() for run, step in enumerate(last))
    assert all(np.isnan(found.m[run, step + 1 :]).any(axis=(1, 2)).all() for run, step in enumerate(last))
    assert max(last) < 60


@pytest.mark.parametrize("where", ["m", "s", "a", "b"])
def test_nan_is_seen_at_the_next_step(monkeypatch, where):
    starts = alone._starts

    def spoiled(job):
        found = starts(job)
        getattr(found, where)[1] = np.nan
        return found

    monkeypatch.setattr(alone, "_starts", spoiled)
    found = NeuronChain().simulate(job_of(training_of("everything"), seeds=3))
    assert (found.status == Status.NOT_FINITE).all()
    assert np.isfinite(found.m[:, :, 0]).all()
    assert np.isnan(found.m[:, :, 1]).all()


@pytest.mark.parametrize("name", ["everything", "radii"])
def test_stopped_and_resumed_again_and_again_gives_the_same_bits(tmp_path, monkeypatch, name):
    monkeypatch.setattr(replicas, "WORK_A_CALL", 1.0)
    job = job_of(training_of(name, eta=0.02), **MANY)
    whole = NeuronChain().simulate(job)
    path = tmp_path / "run.npz"
    for attempt in range(40):
        calls = 0
        stopped = replace(
            job, checkpoint=checkpoint_at(path, 100.0, attempt > 0, {"a": "1"}, {}), stop=type(job.stop)()
        )
        advance = replicas._Batch.advance

        def count(self, *args, advance=advance, stopped=stopped):
            nonlocal calls
            calls += 1
            if calls == 3:
                stopped.stop.set()
            advance(self, *args)

        with monkeypatch.context() as patch:
            patch.setattr(replicas._Batch, "advance", count)
            found = NeuronChain(threads=1).simulate(stopped)
        if not (found.status == Status.INTERRUPTED).any():
            break
    assert attempt >= 2
    assert same(found, whole)


REFUSED = [
    ({"loss": "square"}, {}, "training.loss='square' lets the 2 neurons"),
    ({"geometry": "sphere", "decay_w": 0.1}, {}, "training.decay_w=0.1"),
    ({"batch": 2, "reuse": "twice"}, {}, "training.batch=2"),
    ({"batch": np.inf}, {}, "training.batch=inf"),
    ({}, {"events": [od.risk_below(0.3)]}, "risk_below_0_3 is on the risk"),
    ({}, {"events": [od.overlap_above(5, 0, 0.3)]}, "neuron"),
]


@pytest.mark.parametrize(("training", "options", "message"), REFUSED)
def test_what_is_refused(training, options, message):
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        NeuronChain().simulate(job_of(Training(eta=0.1, **{"loss": "correlation", **training}), **options))


def test_boolean_data_and_zero_threads_are_refused():
    target = Target.parse("z1*z2", data="boolean")
    network = Network.random(target, width=1, dim=9)
    with pytest.raises(InputError, match="no exact chain"):
        od.run(NeuronChain(), target, network, Training(eta=0.1, loss="correlation"), steps=3)
    with pytest.raises(InputError, match="threads"):
        NeuronChain(threads=0)


def test_a_public_run_says_what_it_is():
    network = Network.random(TARGET, width=1, dim=50, rng=1)
    training = Training(eta=0.01, loss="correlation", schedule=(Phase(until=50), Phase(rate=0.5)))
    found = od.run(
        NeuronChain(), TARGET, network, training, steps=100, points=2, seeds=3, events=[od.overlap_above(0, 0, 0.3)],
    )  # fmt: skip
    assert found.m.shape == (3, 2, 1, 2)
    assert found.kind == "chain of lone neurons"
    assert np.isfinite(found.risk).all()
    assert found.settings["dynamics"]["name"] == "NeuronChain"
    assert found.time[-1] == pytest.approx(0.75)
    two = Network.random(TARGET, width=2, dim=50)
    assert np.isnan(od.run(NeuronChain(), TARGET, two, Training(eta=0.01, loss="correlation"), steps=9).risk).all()


def test_a_start_beyond_r_off_the_support_is_refused():
    network = Network.random(TARGET, width=2, dim=9)
    training = Training(eta=0.1, loss="correlation", geometry=TwoRadii(0.3, 0.5))
    with pytest.raises(InputError, match=r"training.geometry.r=0.3 is not above"):
        od.run(NeuronChain(), TARGET, network, training, steps=3)
