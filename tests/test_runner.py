import json
from dataclasses import dataclass

import numpy as np
import pytest
from conftest import Decay

from odesim.checks import InputError
from odesim.flows.overlap import OverlapFlow
from odesim.network import Network
from odesim.runner import early_end, run
from odesim.sgd.full import SGD
from odesim.targets.series import Target
from odesim.training import Training, TwoRadii
from odesim.trajectory import Status


@dataclass(frozen=True)
class Spy(Decay):
    """Keeps the job it was handed."""

    def simulate(self, job):
        jobs.append(job)
        return super().simulate(job)


jobs = []


def test_job_carries_what_was_given(start):
    run(Spy(), *start, steps=100, points=5, spacing="linear", seeds=3, rng=7)
    job = jobs.pop()
    assert job.steps.tolist() == [0, 25, 50, 75, 100]
    assert job.seeds == 3
    assert job.rng.entropy == 7
    assert np.array_equal(job.time, 0.005 * job.steps)


def test_flow_times_in_place_of_steps(start):
    out = run(Decay(), *start, t_eval=[0.0, 0.5, 1.0])
    assert out.steps.tolist() == [0, 100, 200]
    assert out.settings["run"]["spacing"] == "times"


@pytest.mark.parametrize("horizon", [{}, {"steps": 10, "t_eval": [0.0, 1.0]}])
def test_exactly_one_horizon(start, horizon):
    with pytest.raises(InputError, match=r"run\.steps and run\.t_eval"):
        run(Decay(), *start, **horizon)


def test_provenance_is_filled_in_and_is_json(start):
    out = run(Decay(rate=0.5), *start, steps=100, seeds=2, rng=np.random.default_rng(1))
    assert out.seconds > 0
    assert set(out.versions) == {"odesim", "python", "numpy", "scipy", "numba"}
    settings = json.loads(json.dumps(out.settings))
    assert settings["target"] == {"expression": "z1 + z1*z2*z3", "data": "gaussian"}
    assert settings["network"]["dim"] == 20
    assert settings["training"]["eta"] == 0.005
    assert settings["dynamics"]["name"] == "Decay"
    assert settings["dynamics"]["rate"] == 0.5
    assert settings["run"]["steps"] == 100


def test_an_unseeded_run_can_be_repeated_from_its_settings(start):
    out = run(Spy(), *start, steps=10, rng=None)
    first = jobs.pop()
    run(Spy(), *start, steps=10, rng=out.settings["run"]["rng"])
    again = jobs.pop()
    assert first.rng.generate_state(4).tolist() == again.rng.generate_state(4).tolist()


def test_a_constant_target_is_refused(start):
    with pytest.raises(InputError, match="is constant"):
        run(Decay(), Target.parse("2"), *start[1:], steps=10)


def test_any_target_with_energy_can_be_run(start):
    class Taught:
        energy, P, data = 0.5, 3, "gaussian"

        def __str__(self):
            return "a teacher"

    out = run(Decay(), Taught(), *start[1:], steps=10)
    assert out.settings["target"] == {"expression": "a teacher", "data": "gaussian"}


def test_settings_say_how_the_second_layer_starts():
    target = Target.parse("z1")
    network = Network.random(target, width=9, dim=5, second_layer_law="uniform", scaling="mean_field")
    settings = run(Decay(), target, network, Training(eta=0.1, batch=float("inf")), steps=10).settings
    assert settings["network"]["scaling"] == "mean_field"
    assert settings["network"]["second_layer"] == np.abs(network.a).max()
    assert settings["network"]["second_layer_smallest"] == np.abs(network.a).min()
    assert settings["training"]["batch"] == "inf"


def test_a_network_of_another_target_is_refused(start):
    with pytest.raises(InputError, match=r"network\.m has 3 support coordinates, the target 2"):
        run(Decay(), Target.parse("z1 + z2"), *start[1:], steps=10)


@pytest.mark.parametrize(
    ("bad", "culprit"),
    [({"seeds": 0}, "run.seeds=0"), ({"rng": -1}, "rng=-1"), ({"points": 0}, "run.points=0")],
)
def test_bad_arguments_are_named(start, bad, culprit):
    with pytest.raises(InputError) as caught:
        run(Decay(), *start, **{"steps": 10, **bad})
    assert culprit in str(caught.value)


def test_bar_only_where_asked_for_or_on_a_terminal(start, capsys):
    run(Decay(), *start, steps=10)
    assert capsys.readouterr().err == ""
    run(Decay(), *start, steps=10, progress=True)
    shown = capsys.readouterr()
    assert "Decay: 100%" in shown.err
    assert shown.out == ""


def test_early_ends_are_counted_and_explained(start):
    assert early_end(run(Decay(), *start, steps=100)) is None
    out = run(Decay(status=Status.DIVERGED, ensemble=True), *start, steps=100, points=5, spacing="linear", seeds=3)
    end = early_end(out)
    assert end.status == Status.DIVERGED
    assert end.text.startswith("SGD: 3 of 3 runs ended early, after step 25: ")
    assert Status.DIVERGED.text in end.text


def test_rates_need_not_be_plain_floats():
    target = Target.parse("z1")
    network = Network.random(target, width=2, dim=3)
    out = run(Decay(), target, network, Training(eta=np.float64(0.1)), steps=np.int64(10), seeds=np.int64(2))
    assert json.loads(json.dumps(out.settings))["training"]["eta"] == 0.1


@pytest.mark.parametrize(("dynamics", "geometry"), [(OverlapFlow(), "sphere"), (SGD(), TwoRadii(0.3, 0.6))])
def test_a_geometry_that_a_dynamics_does_not_know_is_refused(start, dynamics, geometry):
    target, network, _ = start
    with pytest.raises(InputError, match=rf"training\.geometry=.* is unknown to {type(dynamics).__name__}"):
        run(dynamics, target, network, Training(eta=0.01, geometry=geometry), steps=10)


def test_an_unknown_geometry_is_refused():
    with pytest.raises(InputError, match=r"training\.geometry='torus' is unknown; choose one of free, sphere"):
        Training(eta=0.01, geometry="torus")
