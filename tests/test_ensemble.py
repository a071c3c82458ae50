"""Flows from many networks: each member is the run it would be alone, to the bit, and keeps its own status."""

import json
from dataclasses import replace

import numpy as np
import pytest

import odesim as od
from odesim import cli, ensemble, pool
from odesim.flows.lanes import LaneRun
from odesim.job import Job
from odesim.plotting.simulation import plot_simulation
from odesim.runner import early_end
from odesim.simulation import examine
from odesim.trajectory import PER_RUN, Status

TARGET = od.Target.parse("z1 + z1*z2*z3")
ETA, STEPS = 2e-3, 2000
FROZEN = od.Training(eta=ETA, eta_a=0)
STAGES = od.Training(eta=ETA, eta_a=0, schedule=(od.Phase(until=300), od.Phase(rate=2.0)))
FLOWS = {
    "overlap": (od.OverlapFlow(), od.Training(eta=ETA), {}),
    "overlap by points": (od.OverlapFlow(log2_samples=4), od.Training(eta=ETA), {"activation": "relu"}),
    "overlap map": (od.OverlapFlow(discrete=True), od.Training(eta=ETA), {}),
    "mean field": (od.MeanFieldFlow(nodes=8), od.Training(eta=ETA), {"scaling": "mean_field"}),
    "correlation in lanes": (od.CorrelationFlow(), FROZEN, {"biases": 0.5}),
    "correlation on the sphere": (od.CorrelationFlow(), replace(FROZEN, geometry="sphere"), {"scaling": "mean_field"}),
    "correlation one by one": (od.CorrelationFlow(finite_step=True), STAGES, {}),
}


def starts(count, width=3, **options):
    return od.Network.ensemble(TARGET, count, width=width, dim=40, rng=7, **options)


def fields(trajectory):
    """Everything recorded, by name."""
    found = {name: getattr(trajectory, name) for name in PER_RUN} | {"status": trajectory.status}
    found |= {f"event {name}": times for name, times in trajectory.events.items()}
    found |= {f"{name} {key}": value for name, at in trajectory.at_events.items() for key, value in at.items()}
    return {name: value for name, value in found.items() if value is not None}


def assert_same(one, other):
    left, right = fields(one), fields(other)
    assert left.keys() == right.keys()
    for name in left:
        assert np.array_equal(left[name], right[name], equal_nan=True), name
    assert one.message == other.message


@pytest.mark.parametrize("name", FLOWS)
def test_every_member_is_the_run_it_would_be_alone(name, monkeypatch):
    """To the bit, in whatever company and order, on any number of threads."""
    flow, training, options = FLOWS[name]
    networks = starts(3, **options)
    runs = [od.run(flow, TARGET, one, training, steps=STEPS, points=8) for one in networks]
    for threads, order in ((1, (0, 1, 2)), (3, (2, 0)), (2, (1,))):
        monkeypatch.setattr(pool.os, "cpu_count", lambda threads=threads: threads)
        out = od.run(flow, TARGET, [networks[i] for i in order], training, steps=STEPS, points=8)
        assert out.ensemble
        assert out.risk.shape == (len(order), out.steps.size)
        assert out.m.shape == (len(order), out.steps.size, 3, 3)
        for member, i in zip(out, order, strict=True):
            assert_same(member, runs[i])


def test_neurons_of_all_members_share_lanes(monkeypatch):
    """Members of 30 neurons, so that blocks of lanes cut through them; one without biases among others with them."""
    networks = starts(5, width=30, biases=1.0)
    networks[0] = replace(networks[0], b=np.zeros(30))
    runs = [od.run(od.CorrelationFlow(), TARGET, one, FROZEN, steps=STEPS, points=5) for one in networks]
    calls = []
    run = LaneRun.run
    monkeypatch.setattr(LaneRun, "run", lambda self: calls.append(self) or run(self))
    for size in (1, 3, 5):
        out = od.run(od.CorrelationFlow(), TARGET, networks[:size], FROZEN, steps=STEPS, points=5)
        assert calls.pop().members.status.size == 30 * size
        for i, member in enumerate(out):
            assert_same(member, runs[i] if i or size == 1 else replace(runs[i], b=np.zeros((out.steps.size, 30))))


@pytest.mark.parametrize("name", ["overlap", "mean field", "correlation in lanes", "correlation one by one"])
def test_a_member_that_fails_keeps_its_status_and_the_others_go_on(name):
    flow, training, options = FLOWS[name]
    networks = starts(3, **options)
    bad = replace(networks[1], m=1e13 * networks[1].m)  # beyond what an integration takes for bounded
    alone = od.run(flow, TARGET, networks[2], training, steps=STEPS, points=5)
    out = od.run(flow, TARGET, [networks[0], bad, networks[2]], training, steps=STEPS, points=5)
    assert out.status[[0, 2]].tolist() == [Status.DONE, Status.DONE]
    assert out.status[1] not in (Status.DONE, Status.INTERRUPTED)
    assert out.message[0] == Status.DONE.text
    assert Status(int(out.status[1])).text in out.message[1]
    assert np.isnan(out.risk[1, -1])
    assert_same(out[2], alone)
    assert out.mean("risk")[-1] == pytest.approx(out.risk[[0, 2], -1].mean())
    assert early_end(out).text.startswith(f"{out.kind}: 1 of 3 runs ended early")


@pytest.mark.parametrize("flow", [od.OverlapFlow(finite_step=False), od.CorrelationFlow()], ids=["overlap", "alone"])
def test_events_and_the_end_they_bring_are_each_members_own(flow, tmp_path):
    """One level of the risk that two members pass and two do not."""
    networks, training = starts(4), od.Training(eta=0.002, eta_a=0)
    plain = od.run(flow, TARGET, networks, training, steps=STEPS, points=30)
    level = float(np.median(plain.risk[:, -1]))
    sought = [od.risk_below(level, name="half", terminal=True), od.overlap_above(0, 0, 0.1, name="up")]
    out = od.run(flow, TARGET, networks, training, steps=STEPS, points=30, events=sought)
    assert sorted(out.status.tolist()) == [Status.DONE, Status.DONE, Status.EVENT, Status.EVENT]
    assert np.array_equal(np.isfinite(out.events["half"]), out.status == Status.EVENT)
    assert out.at_events["half"]["risk"][out.status == Status.EVENT] == pytest.approx(level, abs=1e-9)
    for i, network in enumerate(networks):
        assert_same(out[i], od.run(flow, TARGET, network, training, steps=STEPS, points=30, events=sought))
    out.save(tmp_path / "runs.npz")
    read = od.Trajectory.load(tmp_path / "runs.npz")
    assert_same(read, out)
    assert read.message == out.message
    assert read.settings["run"]["starts"] == 4
    with np.load(tmp_path / "runs.npz") as archive:
        assert archive["risk"].shape == out.risk.shape
        assert archive["noise_rate"].shape == (4, out.steps.size, 3)


def test_statistics_findings_and_the_picture_take_an_ensemble(tmp_path):
    out = od.run(od.OverlapFlow(), TARGET, starts(3), od.Training(eta=0.01), steps=STEPS, points=40)
    assert out.stderr("risk") == pytest.approx(out.risk.std(axis=0, ddof=1) / np.sqrt(3))
    assert out.median("noise_gauge") == pytest.approx(np.median(out.noise_gauge, axis=0))
    found, each = examine(out), [examine(one) for one in out]
    assert found.noise_gauge == pytest.approx(np.median([one.noise_gauge for one in each]))
    assert found.floor == pytest.approx(np.median([one.floor for one in each]))
    plot_simulation(out).figure.savefig(tmp_path / "x.png")
    with pytest.raises(od.InputError, match=r"ode holds 3 runs; .*ode\[0\]"):
        od.compare(out, out, target=TARGET)


def test_starts_are_children_of_the_seed_and_the_first_is_its_own():
    options = {"width": 4, "dim": 12, "biases": 0.3}
    many = od.Network.ensemble(TARGET, 4, rng=5, **options)
    alone = od.Network.random(TARGET, rng=5, **options)
    for name in ("weights", "a", "b"):
        assert np.array_equal(getattr(many[0], name), getattr(alone, name))
        for one, again in zip(od.Network.ensemble(TARGET, 2, rng=5, **options), many, strict=False):
            assert np.array_equal(getattr(one, name), getattr(again, name))
    assert len({one.weights.tobytes() for one in many}) == 4
    generator = np.random.default_rng(1)
    assert len({one.weights.tobytes() for one in od.Network.ensemble(TARGET, 3, rng=generator, **options)}) == 3
    with pytest.raises(od.InputError, match=r"network\.count=0"):
        od.Network.ensemble(TARGET, 0, **options)


BAD = [
    (lambda n: [], "network is an empty list"),
    (lambda n: 5, "network=5 is no Network"),
    (lambda n: [n[0], None], r"network\[1\]=None is no Network"),
    (lambda n: [n[0], *starts(1, width=4)], r"network\[1\]\.width=4 is not the 3 of network\[0\]"),
    (lambda n: [*n, *starts(1, activation="relu")], r"network\[3\]\.activation='relu' is not the 'erf'"),
    (lambda n: [*n, *starts(1, scaling="mean_field")], r"network\[3\]\.scaling='mean_field' is not the 'plain'"),
    (lambda n: [n[0], od.Network.random(TARGET, width=3, dim=41)], r"network\[1\]\.dim=41 is not the 40"),
    (lambda n: [n[0], od.Network.random(od.Target.parse("z1"), width=3, dim=40)], r"network\[1\]\.m has 1 support"),
    (lambda n: [od.Network.random(od.Target.parse("z1"), width=3, dim=40)], r"network\.m has 1 support"),
]


@pytest.mark.parametrize(("make", "words"), BAD)
def test_networks_that_do_not_fit_are_named(make, words):
    with pytest.raises(od.InputError, match=words):
        od.run(od.OverlapFlow(), TARGET, make(starts(3)), od.Training(eta=ETA), steps=10)


def test_a_dynamics_that_starts_from_one_network_refuses_a_list():
    with pytest.raises(od.InputError, match=r"network is a list of 2, and SGD starts from one"):
        od.run(od.SGD(), TARGET, starts(2), od.Training(eta=ETA), steps=10)


@pytest.mark.parametrize("method", ["auto", "dop853"])
def test_a_start_that_is_refused_is_named(method):
    networks = starts(3)
    networks[2] = replace(networks[2], m=0 * networks[2].m, R=0 * networks[2].R)
    with pytest.raises(od.InputError, match=r"network\[2\]\.weights of neuron 0 have length 0"):
        od.run(od.CorrelationFlow(method=method), TARGET, networks, replace(FROZEN, geometry="sphere"), steps=10)


@pytest.mark.parametrize("name", ["overlap", "correlation in lanes", "correlation one by one"])
def test_progress_is_one_and_a_set_stop_flag_ends_all(name):
    flow, training, options = FLOWS[name]
    networks, shares = starts(3, **options), []
    job = Job(TARGET, networks[0], training, np.array([0, STEPS]), progress=shares.append)
    ensemble.simulate_all(flow, job, networks)
    assert max(shares) == pytest.approx(1.0)
    assert min(shares) <= 1.0
    job.stop.set()
    out = ensemble.simulate_all(flow, job, networks)
    assert (out.status == Status.INTERRUPTED).all()


def test_an_error_in_one_piece_stops_the_others_and_is_raised():
    job = Job(TARGET, starts(1)[0], FROZEN, np.array([0, 1]))

    def work(index):
        if index == 1:
            raise ZeroDivisionError
        return job.stop.wait(30)

    with pytest.raises(ZeroDivisionError):
        pool.in_threads(work, 2, job.stop, threads=2)
    assert job.stop.is_set()
    assert pool.in_threads(lambda index: index**2, 4, job.stop, threads=2) == [0, 1, 4, 9]


def test_command_line_simulates_many_starts(tmp_path, capsys):
    words = ["simulate", "z1 + z1*z2", "--dim", "12", "--width", "3", "--steps", "500", "--points", "20", "--quiet"]
    flow = ["--dynamics", "correlation", "--starts", "3"]
    assert cli.main([*words, *flow, "--out", str(tmp_path / "many")]) == 0
    assert cli.main([*words, *flow[:2], "--out", str(tmp_path / "one")]) == 0
    many, one = (od.Trajectory.load(tmp_path / name / "trajectory.npz") for name in ("many", "one"))
    assert many.risk.shape == (3, one.steps.size)
    assert not one.ensemble
    assert_same(many[0], one)
    summary = json.loads((tmp_path / "many" / "summary.json").read_text())
    assert summary["status"] == ["done"] * 3
    assert summary["settings"]["run"]["starts"] == 3
    for refused in (["simulate", "--dynamics", "sgd"], ["compare"]):
        assert cli.main([*refused, *words[1:], "--starts", "3", "--out", str(tmp_path / "no")]) == 2
        assert "run.starts=3" in capsys.readouterr().err
