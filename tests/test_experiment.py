import dataclasses
import json

import hypothesis.strategies as st
import numpy as np
import pytest
from conftest import Decay
from hypothesis import given

from odesim.checks import InputError
from odesim.experiment import Experiment
from odesim.specs import DynamicsSpec, NetworkSpec, TargetSpec, TrainingSpec, kind_of, options
from odesim.training import Phase, TwoRadii
from odesim.trajectory import Status, Trajectory

NUMBERS = [name for name, one in options().items() if kind_of(one) in ("float", "int")]
TEXTS = [name for name, one in options().items() if kind_of(one) == "str"]


@pytest.fixture
def fakes(monkeypatch):
    """Dynamics that cost nothing in place of the flow and of SGD; each returns what it was made with."""
    made = []

    def install(ode=Status.DONE, sgd=Status.DONE):
        def maker(status, ensemble):
            return lambda **options: made.append(options) or Decay(status=status, ensemble=ensemble)

        monkeypatch.setattr("odesim.flows.overlap.OverlapFlow", maker(ode, False))
        monkeypatch.setattr("odesim.sgd.full.SGD", maker(sgd, True))
        return made

    return install


def small(**changes):
    return Experiment().replace({"network.dim": 10, "network.width": 2, "run.steps": 1000, "run.points": 40, **changes})


def test_the_defaults_are_the_demo():
    start = Experiment().start
    assert str(start.target) == "z1 + z1*z2*z3"
    assert start.path.leap == 2
    assert start.network.dim >= 200
    assert start.training.eta * start.network.dim <= 0.2
    assert Experiment().runs.seeds >= 8
    assert start.blocked == []


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "network.dim": st.integers(3, 10**6),
            "network.activation": st.sampled_from(["erf", "relu"]),
            "network.biases": st.floats(0, 10),
            "training.eta_a": st.floats(0, 10),
            "training.noise": st.floats(0, 1),
            "run.steps": st.integers(1, 10**12),
            "run.finite_step": st.booleans(),
            "run.rng": st.integers(0, 2**62),
            "network.scaling": st.sampled_from(["plain", "mean_field"]),
            "training.batch": st.integers(1, 100) | st.sampled_from(["inf", float("inf")]),
            "training.geometry": st.sampled_from(["free", "sphere", "two_radii:0.3,0.6"]),
            "training.schedule": st.sampled_from([[], [{"until": 9, "rate": 0.5}, {"w": 0.0}]]),
            "dynamics.rtol": st.floats(1e-9, 1e-3),
            "dynamics.log2_samples": st.integers(4, 14),
            "plateaus.slope": st.floats(1e-4, 1),
            "target.expression": st.sampled_from(["z1", "-z1 + z2**2", "sqrt(2)*z1"]),
        },
    ),
    st.sampled_from(["training.eta", "training.eta_d"]),
    st.floats(1e-12, 1.0),
)
def test_a_file_holds_the_whole_experiment(tmp_path_factory, changes, rate, value):
    path = tmp_path_factory.mktemp("experiment") / "config.toml"
    experiment = Experiment().replace({**changes, rate: value})
    experiment.save(path)
    assert Experiment.load(path) == experiment
    assert Experiment.from_dict(json.loads(json.dumps(experiment.as_dict()))) == experiment


def test_a_partial_file_keeps_the_other_defaults(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text('[network]\ndim = 321\n[run]\ndtype = "float32"\n')
    assert Experiment.load(path) == Experiment().replace({"network.dim": 321, "run.dtype": "float32"})


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[network]\nwidht = 3", ["network.widht is unknown", "network.width"]),
        ("[netwrk]\nwidth = 3", ["netwrk is unknown", "network"]),
        ("width = 3", ["width is unknown", "network"]),
        ("network = 3", ["network=3 is not a table", "[network]"]),
        ("[network]\nwidth = 0", ["network.width=0", "at least 1"]),
        ('[network]\nwidth = "8"', ["network.width='8'", "whole number"]),
        ("[network]\nwidth = [8]", ["network.width=[8]"]),
        ("[training]\neta = nan", ["training.eta=nan"]),
        ("[training]\neta = 1\neta_d = 1", ["training.eta=1", "training.eta_d=1", "give one"]),
        ("[run]\nfinite_step = 1", ["run.finite_step=1", "true or false"]),
        ('[run]\nspacing = "cubic"', ["run.spacing='cubic'", "log, linear"]),
        ('[target]\ndata = "cauchy"', ["target.data='cauchy'", "gaussian"]),
        ("[plateaus]\nslope = -1", ["plateaus.slope=-1"]),
        ('[training]\ngeometry = "torus"', ["training.geometry='torus'", "two_radii:r,delta"]),
        ('[training]\ngeometry = "two_radii:0.3"', ["training.geometry='two_radii:0.3'", "two_radii:0.3,0.6"]),
        ('[training]\ngeometry = "two_radii:0.6,0.3"', ["training.geometry.r=0.6 is not below delta=0.3"]),
        ("[training]\ngeometry = 3", ["training.geometry=3 is not text"]),
        ("[training]\nbatch = 0", ["training.batch=0", "inf"]),
        ('[training]\nbatch = "all"', ["training.batch='all'"]),
        ("[[training.schedule]]\nuntil = 5\n[[training.schedule]]\nuntil = 9", ["training.schedule must end"]),
        ("[training]\nschedule = [{until=9}, {until=5}, {}]", ["training.schedule has until=[9, 5]"]),
        ("[training]\nschedule = [{rate=0}]", ["training.schedule[0].rate=0"]),
        ("[training]\nschedule = [{untill=5}, {}]", ["training.schedule[0].untill is unknown", "until"]),
        ("[training]\nschedule = 3", ["training.schedule=3", "[[training.schedule]]"]),
        ("[training]\nschedule = [3]", ["training.schedule[0]=3 is no table"]),
        ("[network]\nactivation = 3", ["network.activation=3 is not text"]),
        ('[dynamics]\nname = "chian"', ["dynamics.name='chian'", "overlap"]),
        ("[dynamics]\nnodes = 3", ["dynamics.nodes is unknown to dynamics overlap", "rtol"]),
        ('[dynamics]\nname = "mean_field"\nnode = 3', ["dynamics.node is unknown", "did you mean nodes"]),
        ('[dynamics]\nname = "mean_field"\nnodes = 1', ["dynamics.nodes=1 must be at least 2"]),
        ('[dynamics]\nname = "mean_field"\nhold = 1', ["dynamics.hold=1 is not true or false"]),
        ('[dynamics]\nname = "mean_field"\nstart = 1', ["dynamics.start=1 is not text"]),
        ('[dynamics]\nname = "mean_field"\nstart = "one"', ["dynamics.start='one'", "zero"]),
        ('[dynamics]\nname = "sgd"\nthreads = 0', ["dynamics.threads=0"]),
        ("[dynamics]\nrtol = true", ["dynamics.rtol=True is not a number"]),
        ("[dynamics]\nfinite_step = false", ["dynamics.finite_step", "run.finite_step"]),
        ("[plateaus]\nslop = 1", ["plateaus.slop is unknown", "plateaus.slope"]),
        ("[network\nwidth = 3", ["is not valid TOML", "config.toml"]),
        ("[network]\nwidth = 3\nwidth = 4", ["is not valid TOML", "config.toml"]),
    ],
)
def test_a_bad_file_is_refused_by_name(tmp_path, text, parts):
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        Experiment.load(path)
    for part in parts:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"[network]\nwidth = 3\x00"])
def test_bytes_that_are_no_text_are_refused(tmp_path, content):
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not valid TOML"):
        Experiment.load(path)


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.toml.*cannot be read"):
        Experiment.load(tmp_path / "nothing.toml")
    with pytest.raises(InputError, match="cannot be read"):
        Experiment.load(tmp_path)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, True, "many", [1.0], 1j])
def test_every_number_is_checked_under_its_dotted_name(name, value):
    with pytest.raises(InputError) as caught:
        Experiment().replace({name: value})
    assert f"{name}=" in str(caught.value)


@pytest.mark.parametrize("name", TEXTS)
def test_every_text_is_checked_under_its_dotted_name(name):
    with pytest.raises(InputError) as caught:
        Experiment().replace({name: 3})
    assert f"{name}=3" in str(caught.value)


@pytest.mark.parametrize("name", ["", "network", "network.", ".dim", "network.dim.x", "run", "runs.steps", "target.P"])
def test_names_that_do_not_exist_are_refused(name):
    with pytest.raises(InputError, match="is unknown"):
        Experiment().replace({name: 1})


def test_a_choice_is_checked_when_it_is_made():
    with pytest.raises(InputError, match=r"network\.activation='swoosh'"):
        NetworkSpec(activation="swoosh")


def test_one_of_two_spellings_of_the_step_size():
    assert TrainingSpec() == TrainingSpec(eta_d=0.05)
    assert TrainingSpec(eta=0.002).rates(100).eta == 0.002
    assert TrainingSpec(eta_d=0.2).rates(100).eta == 0.2 / 100
    by_eta = Experiment().replace({"training.eta": 0.002})
    assert by_eta.training == TrainingSpec(eta=0.002)
    assert by_eta.replace({"training.eta_d": 0.3}).training == TrainingSpec(eta_d=0.3)
    assert by_eta.replace({"network.dim": 10}).training == TrainingSpec(eta=0.002)
    with pytest.raises(InputError, match="set the same number"):
        Experiment().replace({"training.eta": 0.1, "training.eta_d": 0.1})


def test_whole_floats_are_whole_numbers():
    steps = Experiment().replace({"run.steps": 1e6}).runs.steps
    assert steps == 10**6
    assert isinstance(steps, int)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"target.expression": "z5", "network.dim": 3}, "network.dim=3 is below the target's 5"),
        ({"target.expression": "2 + z1 - z1"}, "is constant"),
        ({"target.expression": ""}, ""),
        ({"target.expression": "foo(z1)"}, "foo"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_runs(changes, part):
    with pytest.raises(InputError) as caught:
        _ = Experiment().replace(changes).start
    assert part in str(caught.value)


def test_the_seed_gives_the_start():
    one, same, other = (small(**{"run.rng": seed}).start.network for seed in (1, 1, 2))
    assert np.array_equal(one.weights, same.weights)
    assert not np.array_equal(one.weights, other.weights)


def test_run_gives_both_trajectories_their_comparison_and_the_experiment(fakes):
    made, seen = fakes(), []
    experiment = small(**{"run.finite_step": False, "run.dtype": "float32", "run.seeds": 3})
    result = experiment.run(ready=lambda name, run: seen.append((name, run)))
    assert made == [{"dtype": "float32"}, {"finite_step": False}]
    assert [name for name, _ in seen] == ["sgd", "ode"]
    assert [run for _, run in seen] == [result.sgd, result.ode]
    assert result.sgd.seeds == 3
    assert not result.ode.ensemble
    assert result.failure is None
    assert result.target == experiment.start.target
    assert result.path.leap == 2
    assert np.array_equal(result.network.weights, experiment.start.network.weights)
    for run in (result.ode, result.sgd):
        assert Experiment.from_dict(run.settings["experiment"]) == experiment


def test_settings_survive_the_file_of_a_trajectory(fakes, tmp_path):
    fakes()
    experiment = small()
    experiment.run().ode.save(tmp_path / "ode.npz")
    assert Experiment.from_dict(Trajectory.load(tmp_path / "ode.npz").settings["experiment"]) == experiment


def test_plateau_thresholds_reach_the_comparison(fakes):
    fakes()
    strict, loose = (small(**{"plateaus.slope": slope}).run().comparison.plateaus["ode"] for slope in (0.005, 0.2))
    assert strict[0].end_step < loose[0].end_step


def test_an_interrupted_ode_is_compared_as_far_as_it_came(fakes):
    fakes(ode=Status.INTERRUPTED)
    result = small().run()
    assert np.isnan(result.ode.risk[-1])
    assert result.comparison.distance["sup"] >= 0
    assert "overlap flow: the run ended early" in result.failure
    assert "--eta-d" not in result.failure
    json.dumps(result.summary(), allow_nan=False)


def test_the_ode_goes_no_further_than_sgd_came(fakes):
    fakes(sgd=Status.DIVERGED)
    result = small().run()
    reached = np.isfinite(result.sgd.risk).any(axis=0).sum()
    assert 2 <= reached < result.sgd.steps.size
    assert np.array_equal(result.ode.steps, result.sgd.steps[:reached])


def test_a_divergence_says_so_with_a_smaller_step(fakes):
    fakes(sgd=Status.DIVERGED)
    experiment = small(**{"training.eta_d": 3.0})
    result = experiment.run()
    advice = float(result.failure.rsplit("--eta-d ", 1)[1])
    assert 0 < advice <= 3.0 / 4
    assert "SGD: 8 of 8 runs ended early" in result.failure
    assert result.comparison is not None


def test_summary_holds_what_is_promised(fakes):
    fakes()
    experiment = small(**{"network.activation": "relu"})
    summary = json.loads(json.dumps(experiment.run().summary(), allow_nan=False))
    assert summary["target"] == "z1 + z1*z2*z3"
    assert summary["data"] == "gaussian"
    assert summary["leap"] == 2
    assert summary["predicted_levels"] == [1.0, 0.5, 0.0]
    assert set(summary["plateaus"]) == {"ode", "sgd"}
    assert len(summary["escape_steps"]) == 2
    assert len(summary["blocked"]) == 1
    assert "z1*z2*z3" in summary["blocked"][0]
    assert Experiment.from_dict(summary["settings"]) == experiment
    assert [one["term"] for one in summary["resolvability"]["terms"]] == ["z1", "z1*z2*z3"]
    for key in ("floor", "noise_gauge", "noise_gauge_by_escape", "distance", "versions", "seconds"):
        assert key in summary


def test_another_dynamics_drops_the_options_of_the_one_before():
    base = Experiment().replace({"dynamics.name": "mean_field", "dynamics.nodes": 32.0})
    assert base.dynamics.options == (("nodes", 32),)
    assert base.replace({"network.dim": 9}).dynamics == base.dynamics
    assert base.replace({"dynamics.name": "correlation"}).dynamics == DynamicsSpec("correlation")
    assert base.replace({"dynamics.name": "sgd", "dynamics.threads": 2}).dynamics.options == (("threads", 2),)
    with pytest.raises(InputError, match=r"dynamics\.nodes is unknown to dynamics overlap"):
        base.replace({"dynamics.name": "overlap", "dynamics.nodes": 32})


def test_text_becomes_what_training_knows():
    schedule = [{"until": 10, "rate": 0.5}, {"a": 0.0}]
    changes = {"batch": "inf", "geometry": "two_radii:0.25,0.5", "decay_w": 0.1, "decay_a": 0.2, "schedule": schedule}
    experiment = small(**{f"training.{name}": value for name, value in changes.items()})
    training = experiment.start.training
    assert training.batch == float("inf")
    assert training.geometry == TwoRadii(0.25, 0.5)
    assert (training.decay_w, training.decay_a) == (0.1, 0.2)
    assert training.schedule == (Phase(until=10, rate=0.5), Phase(a=0.0))
    assert experiment.as_dict()["training"]["schedule"][1] == {"rate": 1.0, "w": 1.0, "a": 0.0, "b": 1.0}


def test_defaults_that_hang_on_the_dynamics():
    for name, scaling, eta_a in (
        ("overlap", "plain", None),
        ("correlation", "plain", 0.0),
        ("mean_field",) * 2 + (None,),
    ):
        start = small(**{"dynamics.name": name}).start
        assert (start.network.scaling, start.training.eta_a) == (scaling, eta_a)
    given = small(**{"dynamics.name": "correlation", "training.eta_a": 0.1, "network.scaling": "mean_field"}).start
    assert (given.network.scaling, given.training.eta_a) == ("mean_field", 0.1)


def test_compare_takes_any_flow_but_not_sgd():
    with pytest.raises(InputError, match=r"dynamics\.name='sgd' is no flow to lay over SGD"):
        small(**{"dynamics.name": "sgd"}).run()


def test_an_experiment_is_a_value():
    assert Experiment() == Experiment()
    assert hash(Experiment()) == hash(Experiment())
    assert hash(small(**{"training.schedule": [{"until": 3}, {}]})) == hash(
        small(**{"training.schedule": [{"until": 3}, {}]})
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        Experiment().target = TargetSpec()
