"""reduce=True: the same ends and events as the whole run, whatever the parts; bounded memory; checkpoints; refusals."""

import tracemalloc
import weakref
from dataclasses import replace

import numpy as np
import pytest

import odesim as od
from odesim import SGD, InputError, Network, NeuronChain, Status, Target, Training, reduction
from odesim.reduction import END, events_of_rows
from odesim.sgd.chain import Chain

TARGET = Target.parse("z1 + z1*z2")
NETWORK = Network.random(TARGET, width=3, dim=20, rng=1)
TRAINING = Training(eta=0.02, schedule=(od.Phase(until=150), od.Phase(rate=0.5)))
EVENTS = [od.risk_below(0.75), od.overlap_above(0, 0, 0.3), od.overlap_below(1, 1, -0.05)]
RUN = {"steps": 400, "points": 30, "seeds": 21, "rng": 5, "progress": False}


def reduced(dynamics, **options):
    return od.run(dynamics, TARGET, NETWORK, TRAINING, events=EVENTS, reduce=True, **{**RUN, **options})


def same(one, other):
    assert one.events.keys() == other.events.keys()
    pairs = [(getattr(one, name), getattr(other, name)) for name in ("steps", "time", "risk", "m", "a", "Q", "status")]
    pairs += [(one.events[name], other.events[name]) for name in one.events]
    return all(np.array_equal(x, y, equal_nan=True) for x, y in pairs) and one.message == other.message


@pytest.mark.parametrize("dynamics", [SGD(), Chain()], ids=["sgd", "chain"])
def test_ends_and_events_are_those_of_the_whole_run_whatever_the_parts(monkeypatch, dynamics):
    whole = od.run(dynamics, TARGET, NETWORK, TRAINING, **RUN)
    for size in (1, 16, 20, 256):
        monkeypatch.setattr(reduction, "SEEDS", size)
        found = reduced(dynamics)
        assert found.steps.tolist() == [0, 400]
        for name in ("risk", "m", "a", "Q"):
            assert np.array_equal(getattr(found, name), getattr(whole, name)[:, [0, -1]])
        expected = events_of_rows(whole, EVENTS, TRAINING.time_at)
        assert found.events.keys() == {*expected, END}
        for name, times in expected.items():
            assert np.array_equal(found.events[name], times, equal_nan=True)
        assert np.isnan(found.events[END]).all()
    assert any(np.isfinite(times).any() for times in expected.values())
    assert found.settings["run"]["reduce"]


def test_events_lie_between_the_rows_that_they_separate():
    whole = od.run(SGD(), TARGET, NETWORK, TRAINING, **RUN)
    beyond = od.overlap_above(0, 0, float(NETWORK.m[0, 0]) - 0.01)
    found = events_of_rows(whole, [*EVENTS, beyond], TRAINING.time_at)
    for one in [*EVENTS, beyond]:
        values = whole.risk if one.quantity == "risk" else whole.m[..., one.neuron, one.coordinate]
        sign = 1 if one.upward else -1
        for run in range(21):
            v = sign * (values[run] - one.level)
            crossed = np.flatnonzero((v[:-1] < 0) & (v[1:] >= 0))
            # what starts beyond first has to come back
            time = found[one.name][run]
            assert np.isnan(time) == (crossed.size == 0)
            if crossed.size:
                assert whole.time[crossed[0]] <= time <= whole.time[crossed[0] + 1] * (1 + 1e-12)


def test_the_place_between_two_rows_is_linear_in_the_logarithm_of_the_step():
    steps, m = np.array([0, 4, 16, 64]), np.array([[0.9, 0.2, 0.4, 0.8], [0.0, 0.5, 0.6, 0.7]])
    one = od.Trajectory(steps, 1.0 * steps, 0 * m, m[..., None, None], 0 * m[..., None])
    found = events_of_rows(one, [od.overlap_above(0, 0, 0.5)], lambda step: 0.1 * step)["overlap_0_0_above_0_5"]
    assert found == pytest.approx([0.1 * 16 * 4**0.25, 0.4])


def test_runs_that_end_early_say_when_they_were_last_seen():
    training = Training(eta=3.0)
    found = od.run(SGD(), TARGET, NETWORK, training, events=EVENTS, reduce=True, **RUN)
    whole = od.run(SGD(), TARGET, NETWORK, training, **RUN)
    assert (found.status == whole.status).all()
    early = whole.status != Status.DONE
    assert early.any()
    last = np.isfinite(whole.risk).sum(axis=1) - 1
    assert np.array_equal(found.events[END], np.where(early, whole.time[last], np.nan), equal_nan=True)
    assert od.escape_steps(found, event="overlap_0_0_above_0_3").steps[early].max() <= whole.steps[last[early]].max()


@pytest.mark.parametrize("dynamics", [SGD(), Chain()], ids=["sgd", "chain"])
def test_parts_that_are_complete_are_not_run_again(tmp_path, monkeypatch, dynamics):
    monkeypatch.setattr(reduction, "SEEDS", 8)
    whole, path, calls = reduced(dynamics), tmp_path / "run.npz", []
    simulate = type(dynamics).simulate

    def stopping(self, job):
        calls.append(job.first)
        if len(calls) == 2:
            job.stop.set()
        return simulate(self, job)

    monkeypatch.setattr(type(dynamics), "simulate", stopping)
    first = reduced(dynamics, checkpoint=path)
    assert (first.status[8:] == Status.INTERRUPTED).all()
    assert (first.status[:8] == Status.DONE).all()
    assert calls == [0, 8]
    calls[:] = [-1, -1]
    assert same(reduced(dynamics, checkpoint=path, resume=True), whole)
    assert calls[2:] == [8, 16]
    with pytest.raises(InputError, match="another experiment"):
        od.run(dynamics, TARGET, NETWORK, TRAINING, reduce=True, checkpoint=path, resume=True, **RUN)


def test_lone_neurons_find_their_events_themselves():
    training = replace(TRAINING, loss="correlation", geometry="sphere")
    events = [od.overlap_above(0, 0, 0.5, terminal=True), od.overlap_below(1, 0, -0.1), od.overlap_above(2, 1, 0.2)]
    training = replace(training, eta=0.1)
    found = od.run(NeuronChain(), TARGET, NETWORK, training, events=events, reduce=True, **RUN)
    whole = od.run(NeuronChain(), TARGET, NETWORK, training, events=events, **RUN)
    assert found.steps.tolist() == [0, 400]
    for name, times in whole.events.items():
        assert np.array_equal(found.events[name], times, equal_nan=True)
    assert np.array_equal(found.m, whole.m[:, [0, -1]], equal_nan=True)
    assert Status.EVENT in found.status


def peak_of(call):
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("seeds", [3000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_replicas_times_rows(seeds):
    target = Target.parse("z1*z2")
    network = Network.random(target, width=1, dim=100)
    training = Training(eta=0.01, loss="correlation", eta_a=0.0)
    many = {"steps": 300, "points": 300, "spacing": "linear", "seeds": seeds, "reduce": True, "progress": False}
    events, found = [od.overlap_above(0, 0, 0.2)], []
    od.run(NeuronChain(), target, network, training, events=events, **{**many, "seeds": 1})  # compiles
    peak = peak_of(lambda: found.append(od.run(NeuronChain(), target, network, training, events=events, **many)))
    assert found[0].seeds == seeds
    assert peak < 2e6 + 1200 * seeds  # the rows would take 14400 a run


def test_rows_of_one_part_at_a_time_are_in_memory(monkeypatch):
    monkeypatch.setattr(reduction, "SEEDS", 8)
    simulate, alive = SGD.simulate, []

    def watched(self, job):
        assert not any(one() is not None for one in alive)  # the rows of the part before are gone
        found = simulate(self, job)
        alive.append(weakref.ref(found.m))
        return found

    monkeypatch.setattr(SGD, "simulate", watched)
    found = reduced(SGD(threads=1))
    assert len(alive) == 3
    assert not any(one() is not None for one in alive)
    assert found.m.shape[1] == 2


@pytest.mark.parametrize(
    ("dynamics", "events", "message"),
    [
        (od.OverlapFlow(), [], "OverlapFlow is one run"),
        (SGD(), [od.risk_below(0.3, terminal=True)], "risk_below_0_3 is terminal"),
        (SGD(), [od.overlap_above(7, 0, 0.3)], "is not there"),
    ],
)
def test_what_is_refused(dynamics, events, message):
    with pytest.raises(InputError, match=message):
        od.run(dynamics, TARGET, NETWORK, TRAINING, events=events, reduce=True, **RUN)
