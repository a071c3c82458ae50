"""Memory of the chain, joint and of lone neurons, of flows and of whole experiments: forecast against what is taken."""

import math
import tracemalloc

import numpy as np
import pytest
from test_sgd import STAIRS

from odesim import (
    Chain,
    CorrelationFlow,
    Experiment,
    InputError,
    MeanFieldFlow,
    Network,
    NeuronChain,
    OverlapFlow,
    Training,
    cli,
    memory,
)
from odesim.job import Job
from odesim.menu import DYNAMICS
from odesim.needs import needs, one_after_the_other
from odesim.sgd.limits import Sizes
from odesim.training import TwoRadii


def job_of(width, dim, *, seeds=1, points=2, training=None, weights=True, lengths=None):
    network = Network.random(STAIRS, width=width, dim=dim, weights=weights, rng=3)
    if lengths is not None:
        W = network.weights / np.linalg.norm(network.weights, axis=1)[:, None]
        network = Network.from_weights(STAIRS, W, network.a, network.b)
    return Job(STAIRS, network, training or Training(eta=0.3 / dim), np.arange(points), seeds)


def measured(dynamics, **options):
    """NumPy's and the kernels' peak while the start is drawn, and while the dynamics runs, compiled before."""
    dynamics.simulate(job_of(**{**options, "seeds": 1, "points": 2}))
    tracemalloc.start()
    try:
        job = job_of(**options)
        drawn = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        dynamics.simulate(job)
        return drawn, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def close(found, need):
    """Whether a total is within a fifth and a megabyte of what was taken; drawing and running are one after another."""
    return max(found) == pytest.approx(need.total, rel=0.2, abs=1e6)


CASES = {
    "large dim": {"width": 40, "dim": 20_000, "seeds": 2},
    "overlaps alone": {"width": 200, "dim": 10**6, "weights": False},
    "rows with Q": {"width": 8, "dim": 100, "points": 300, "seeds": 40},
    "rows without Q": {"width": 70, "dim": 10**5, "points": 200, "seeds": 16, "weights": False},
    "batch": {"width": 10, "dim": 10**6, "weights": False, "seeds": 16, "training": Training(eta=1e-6, batch=400)},
    "sphere": {"width": 8, "dim": 100, "points": 300, "seeds": 20, "training": Training(eta=1e-3, geometry="sphere")},
    "releases": {
        "width": 8, "dim": 100, "points": 300, "seeds": 20, "training": Training(eta=1e-3, geometry=TwoRadii(0.5, 1.0)),
        "lengths": 1.0,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_forecast_of_the_chain_is_what_is_allocated(name):
    options = CASES[name]
    sizes = {key: value for key, value in options.items() if key != "lengths"}
    need = Chain(threads=1).memory(coordinates=3, **{"points": 2, **sizes})
    assert close(measured(Chain(threads=1), **options), need)


def test_two_bundles_at_a_time_hold_twice_as_much():
    options = {"width": 100, "dim": 10**6, "seeds": 32, "points": 2, "weights": False}
    for threads in (1, 2):
        need = Chain(threads=threads).memory(coordinates=3, **options)
        assert close(measured(Chain(threads=threads), **options), need)
    one, two = (Chain(threads=n).memory(coordinates=3, **options).total for n in (1, 2))
    assert 1.4 < two / one < 2


ALONE = {
    "many runs": {"width": 40, "dim": 1000, "seeds": 800},
    "rows": {"width": 40, "dim": 1000, "points": 300, "seeds": 20},
    "one neuron": {"width": 1, "dim": 1000, "points": 300, "seeds": 400},
    "large dim": {"width": 40, "dim": 20_000, "seeds": 2},
    "batch": {"width": 1, "dim": 1000, "seeds": 64, "batch": 2000},
}


@pytest.mark.parametrize("name", ALONE)
def test_the_forecast_of_lone_neurons_is_what_is_allocated(name):
    options = dict(ALONE[name])
    training = Training(eta=1e-4, loss="correlation", batch=options.pop("batch", 1))
    sizes = {name: options[name] for name in ("width", "dim", "seeds")} | {"points": options.get("points", 2)}
    need = NeuronChain(threads=2).memory(coordinates=3, training=training, **sizes)
    assert close(measured(NeuronChain(threads=2), training=training, **options), need)


FLOWS = {"overlap": OverlapFlow(), "correlation": CorrelationFlow(), "mean_field": MeanFieldFlow()}


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize(
    "sizes", [(100, 200), (50, 1000), (8, 10_000)], ids=["wide", "Q kept", "many rows"]
)  # fmt: skip
def test_the_forecast_of_flows_is_what_is_allocated(name, sizes):
    width, points = sizes
    training = Training(eta=1e-4, eta_a=0)
    need = needs(name, Sizes(width, 1000, 3, 1, points), "gaussian", training, {})
    assert close(measured(FLOWS[name], width=width, dim=1000, points=points, training=training), need)


def test_the_chain_knows_no_dimension_and_refuses_what_does_not_fit(monkeypatch):
    small, large = (Chain().memory(width=8, dim=d, coordinates=3, weights=False) for d in (10**4, 10**9))
    assert small.total == large.total
    assert Chain().memory(width=8, dim=10**4, coordinates=3, checkpoint=True, weights=False).total > small.total
    job = job_of(50, 10**6, seeds=16, points=2, weights=False)
    Chain().check(job)
    monkeypatch.setattr(memory, "physical_memory", lambda: 10**6)
    with pytest.raises(InputError, match=r"run.seeds=400 with 8 neurons and 99 points needs .*; lower run.points"):
        NeuronChain().check(job_of(8, 100, seeds=400, points=99, training=Training(eta=0.1, loss="correlation")))
    with pytest.raises(InputError, match=r"network.width=50 with training.batch=1, 16 seeds .* needs .* MB, above 50%"):
        Chain().check(job)


def test_one_after_the_other_holds_the_rows_of_those_before():
    first = memory.Memory({"recorded rows": 100, "replicas": 50}, start=1)
    second = memory.Memory({"recorded rows": 30, "weights of the runs": 200}, start=400)
    third = memory.Memory({"recorded rows": 10, "the flow itself": 1})
    both = one_after_the_other([first, second, third])
    assert both.parts == {"recorded rows": 30, "weights of the runs": 200, "rows of the runs before": 100}
    assert (both.start, both.total, both.largest) == (400, 400, "")
    assert one_after_the_other([first]).total == first.total


SMALL = {
    "network.dim": 50,
    "network.width": 6,
    "run.steps": 400,
    "run.points": 200,
    "run.spacing": "linear",
    "run.seeds": 40,
}


@pytest.mark.parametrize("chain", [False, True])
def test_an_experiment_needs_what_its_runs_need(chain):
    """Peak of the whole comparison, within a fifth, and not that of SGD alone."""
    experiment = Experiment().replace({**SMALL, "run.chain": chain})
    experiment.replace({"run.points": 5, "run.seeds": 2}).run(progress=False)
    need = experiment.memory()
    held = experiment.replace({}).side_by_side
    assert list(held) == (["chain"] if chain else []) + ["sgd", "ode"]
    peaks, runs = [], {}
    for name, part in held.items():
        tracemalloc.start()
        try:
            before = sum(run.m.nbytes + run.Q.nbytes + run.a.nbytes + run.risk.nbytes for run in runs.values())
            runs[name] = experiment._simulate(part, False, **experiment._grid)
            peaks.append(before + tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert max(peaks) == pytest.approx(need.total, rel=0.25, abs=1e6)


def test_alone_the_chain_counts_and_nothing_else():
    changes = {"network.dim": 10**5, "network.width": 50, "run.seeds": 4, "run.points": 20, "run.steps": 1000}
    alone = Experiment().replace({**changes, "dynamics.name": "chain"})
    sizes = {"width": 50, "dim": 10**5, "coordinates": 3, "seeds": 4}
    points = len({0, *np.rint(np.geomspace(1, 1000, 19)).astype(int)})
    assert alone.memory().parts == {**Chain().memory(points=points, **sizes).parts, "rows of the runs before": 0}
    assert alone.memory(alone=True) == alone.memory()
    beside = Experiment().replace({**changes, "run.chain": True})
    assert beside.memory().total > beside.replace({"run.chain": False}).memory().total * 0.999
    assert "weights of the runs" in beside.memory().parts
    assert "the flow itself" in beside.memory(alone=True).parts
    with pytest.raises(InputError, match="is no flow to lay over SGD"):
        alone.memory(alone=False)


@pytest.mark.parametrize("name", DYNAMICS)
def test_every_dynamics_of_the_menu_has_a_forecast(name):
    changes = {"dynamics.name": name, "run.seeds": 3, "training.batch": "inf", "run.steps": 1000}
    need = Experiment().replace(changes).memory(alone=True)
    assert 0 < need.total < 10**10
    assert math.isfinite(need.total)


@pytest.mark.parametrize("words", [["simulate", "--dynamics", "chain"], ["compare", "--chain"]])
def test_the_command_line_tells_the_memory_of_the_chain_and_refuses(words, capsys, tmp_path, monkeypatch):
    words = [*words, "--steps", "64", "--points", "10", "--width", "3", "--dim", "12", "--out", str(tmp_path)]
    for least, told in ((1, True), (1e12, False)):
        monkeypatch.setattr(cli, "WORTH_SAYING", least)
        assert cli.main([*words, "--seeds", "2"]) == 0
        assert ("\nmemory: " in capsys.readouterr().out) == told
    monkeypatch.setattr(memory, "physical_memory", lambda: 10**8)
    monkeypatch.setattr(Network, "random", None)
    assert cli.main([*words, "--seeds", "300000", "--steps", "100000"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "run.seeds=300000 and run.points=10 needs " in line
    assert line.endswith("lower run.points, run.seeds or network.width")
    assert cli.main([*words, "--seeds", "16", "--batch", "3000"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "network.width=3 with network.dim=12, training.batch=3000, " in line
    assert line.endswith("lower network.width, training.batch or dynamics.threads")
