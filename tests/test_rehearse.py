"""Rehearsals: what a run would refuse is refused without a step, and before any other run of the experiment begins."""

import warnings

import numpy as np
import pytest
from conftest import Decay

import odesim as od
from odesim import InputError, cli
from odesim.runner import rehearse, run

TARGET = od.Target.parse("z1 + z1*z2*z3")
BOOLEAN = od.Target.parse("z1 + z1*z2*z3", data="boolean")
NETWORK = od.Network.random(TARGET, width=3, dim=12, rng=1)
FREE, FROZEN = od.Training(eta=1e-3), od.Training(eta=1e-3, eta_a=0)
ALONE = od.Training(eta=1e-3, loss="correlation")
SPHERE, SAM, FULL = (
    od.Training(eta=1e-3, geometry="sphere"),
    od.Training(eta=1e-3, reuse="sam"),
    od.Training(eta=1e-3, batch=np.inf),
)
SMALL = ["--dim", "12", "--width", "3", "--steps", "1000", "--points", "20", "--seeds", "2"]


@pytest.mark.parametrize("dynamics", [od.SGD(), od.Chain(), od.NeuronChain(), od.SGD(dtype="float32")], ids=repr)
def test_no_step_of_sgd_is_taken(dynamics):
    """A trillion steps would take a day."""
    training = ALONE if isinstance(dynamics, od.NeuronChain) else FREE
    rehearse(dynamics, TARGET, NETWORK, training, steps=10**12, seeds=4)


@pytest.mark.parametrize(
    ("flow", "kernel"),
    [
        (od.OverlapFlow(), "odesim.flows.overlap.kernels.solve_overlap"),
        (od.OverlapFlow(discrete=True), "odesim.flows.overlap.kernels.iterate_overlap"),
        (od.CorrelationFlow(), "odesim.flows.lanes.kernels.solve_lanes"),
        (od.CorrelationFlow(method="dopri5"), "odesim.flows.neuron_run.NeuronRun.advance"),
        (od.MeanFieldFlow(), "odesim.flows.mean_field.kernels.solve_mean_field"),
    ],
)
def test_no_step_of_a_flow_is_taken(flow, kernel, monkeypatch):
    monkeypatch.setattr(kernel, lambda *arguments: pytest.fail("it took a step"))
    rehearse(flow, TARGET, NETWORK, FROZEN, steps=1000)


@pytest.mark.parametrize(
    ("dynamics", "target", "training"),
    [
        (od.OverlapFlow(), TARGET, SPHERE),
        (od.OverlapFlow(), TARGET, SAM),
        (od.OverlapFlow(discrete=True), TARGET, SPHERE),
        (od.MeanFieldFlow(nodes=200), TARGET, SPHERE),
        (od.CorrelationFlow(), TARGET, od.Training(eta=1e-3, eta_a=0.1)),
        (od.CorrelationFlow(), TARGET, od.Training(eta=1e-3, eta_a=0, eta_b=1e-3)),
        (od.Chain(), BOOLEAN, FREE),
        (od.Chain(), TARGET, FULL),
        (od.Chain(), TARGET, od.Training(eta=1e-3, geometry="sphere", decay_w=0.1)),
        (od.NeuronChain(), TARGET, FREE),
        (od.SGD(), TARGET, FULL),
        (od.SGD(), TARGET, od.Training(eta=1e-3, geometry=od.TwoRadii(0.3, 0.6))),
        (od.Layerwise(), TARGET, FREE),
        (od.SGD(), od.Target.parse("z1*z2"), FREE),
        (od.SGD(), od.Target.parse("2"), FREE),
    ],
)
def test_what_is_refused_is_what_the_run_refuses(dynamics, target, training):
    with pytest.raises(InputError) as of_run:
        run(dynamics, target, NETWORK, training, steps=10)
    with pytest.raises(InputError) as of_rehearsal:
        rehearse(dynamics, target, NETWORK, training, steps=10)
    assert str(of_rehearsal.value) == str(of_run.value)


def test_the_grid_and_the_number_of_seeds_are_looked_at():
    for bad in ({"steps": 0}, {"steps": 10, "points": 1}, {"steps": 10, "spacing": "cubic"}, {"steps": 10, "seeds": 0}):
        with pytest.raises(InputError, match=r"run\."):
            rehearse(od.Chain(), TARGET, NETWORK, FREE, **bad)


def test_a_warning_is_left_to_the_run(monkeypatch):
    monkeypatch.setattr("odesim.flows.overlap.check_width", lambda network: warnings.warn("a long run", stacklevel=1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rehearse(od.OverlapFlow(), TARGET, NETWORK, FREE, steps=1)
    with pytest.warns(UserWarning, match="a long run"):
        run(od.OverlapFlow(), TARGET, NETWORK, FREE, steps=1, points=2)


def test_a_dynamics_that_need_not_know_the_stop_flag_is_not_run():
    rehearse(Decay(status=KeyboardInterrupt()), TARGET, NETWORK, FREE, steps=10)


REFUSALS = {
    "sphere": (["--geometry", "sphere"], "training.geometry='sphere' is unknown to OverlapFlow"),
    "re-use": (["--reuse", "extragradient"], "training.reuse='extragradient' is unknown to OverlapFlow"),
    "normalised": (["--normalised"], "training.normalised=True is unknown to "),
    "batch": (["--batch", "inf"], "training.batch=inf takes no samples"),
    "boolean": (["--data", "boolean"], "run.chain=true, but target.data='boolean'"),
    "decay": (["--geometry", "sphere", "--decay-w", "0.1"], "training.decay_w=0.1 does nothing on the sphere"),
    "radii": (["--geometry", "two_radii:0.3,0.6"], "network: neuron "),
    "second layer": (["--dynamics", "correlation", "--eta-a", "0.1"], "training.eta_a=0.1 trains the second layer"),
    "mean field": (["--dynamics", "mean_field", "--geometry", "sphere"], "is unknown to MeanFieldFlow"),
    "points": (["--dynamics", "mean_field", "--set", "dynamics.nodes=200"], "nodes"),
    "no flow": (["--dynamics", "chain"], "dynamics.name='chain' is no flow to lay over SGD"),
    "dim": (["--dim", "2"], "network.dim=2 is below the target's 3 coordinates"),
    "starts": (["--starts", "3"], "run.starts=3 needs a flow by itself"),
    "step": (["--eta", "-0.1"], "training.eta=-0.1 must be above 0"),
    "unknown": (["--frobnicate"], "unrecognized arguments: --frobnicate"),
    "no value": (["--eta", "--chain"], "--eta has no value before --chain"),
    "option": (["--set", "dynamics.threads=2"], "dynamics.threads is unknown to dynamics overlap"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_compare_refuses_before_the_first_run_begins(name, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("odesim.experiment.run", lambda *args, **options: pytest.fail("a run was begun"))
    words, culprit = REFUSALS[name]
    assert cli.main(["compare", *SMALL, "--chain", "--quiet", "--out", str(tmp_path / "out"), *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("odesim: error: ")
    assert culprit in line
    assert not list(tmp_path.rglob("*.npz"))


@pytest.mark.parametrize("name", ["batch", "decay", "radii", "dim", "starts", "step", "unknown", "no value"])
def test_simulate_refuses_the_same_of_the_chain(name, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("odesim.experiment.run", lambda *args, **options: pytest.fail("a run was begun"))
    words, culprit = REFUSALS[name]
    words = [word.replace("--chain", "--dtype") for word in words]
    command = ["simulate", *SMALL, "--dynamics", "chain", "--quiet", "--out", str(tmp_path / "out"), *words]
    assert cli.main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert culprit.replace("--chain", "--dtype") in line


def test_boolean_data_have_no_chain_to_simulate(capsys, tmp_path):
    command = ["simulate", "z1", *SMALL, "--dynamics", "chain", "--data", "boolean", "--out", str(tmp_path), "--quiet"]
    assert cli.main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "target.data='boolean' has no exact chain" in line


def test_the_chain_is_not_run_where_the_flow_refuses_from_python_either(monkeypatch):
    monkeypatch.setattr("odesim.experiment.run", lambda *args, **options: pytest.fail("a run was begun"))
    experiment = od.Experiment().replace({"network.dim": 12, "run.chain": True, "training.reuse": "twice"})
    for refused in (experiment.run, experiment.check):
        with pytest.raises(InputError, match=r"training\.reuse='twice' is unknown to OverlapFlow"):
            refused()
