"""odesim simulate: every dynamics writes what is promised, again from its own file, and refuses in one line."""

import json

import numpy as np
import pytest
from conftest import Decay

from odesim import cli, flags
from odesim.experiment import Experiment
from odesim.network import Network
from odesim.plotting.simulation import plot_simulation
from odesim.simulation import examine
from odesim.targets.series import Target
from odesim.trajectory import Status, Trajectory

SMALL = ["--dim", "12", "--width", "3", "--steps", "1000", "--points", "30", "--seeds", "2", "--quiet"]
FILES = {"trajectory.npz", "simulate.png", "summary.json", "config.toml"}
KEYS = {
    "target", "data", "dynamics", "leap", "predicted_levels", "plateaus", "escape_steps", "floor", "floor_se",
    "noise_gauge", "noise_gauge_by_escape", "learned", "resolvability", "blocked", "settings", "versions", "seconds",
    "status", "ended_early",
}  # fmt: skip


def simulate(*words, out):
    return cli.main(["simulate", *SMALL, "--out", str(out), *words])


def refused(capsys, *words):
    """Run a command that must be refused; return its one line."""
    assert cli.main(["simulate", *SMALL, *words]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("odesim: error: ")
    assert shown.err.count("\n") == 1
    return shown.err


@pytest.mark.parametrize(
    "words",
    [
        ["z1 + z1*z2*z3", "--dynamics", "overlap", "--no-finite-step"],
        ["z1*z2", "--dynamics", "correlation", "--activation", "relu"],
        ["z1*z2", "--dynamics", "correlation", "--geometry", "sphere", "--biases", "1", "--eta-a", "0"],
        ["z1 + z1*z2", "--dynamics", "correlation", "--data", "boolean", "--biases", "1"],
        [
            "z1 + z1*z2",
            "--dynamics",
            "mean_field",
            "--data",
            "boolean",
            "--eta",
            "0.01",
            "--second-layer-law",
            "uniform",
        ],
        ["z1 + He2(z2)", "--dynamics", "mean_field", "--set", "dynamics.nodes=6", "--set", "dynamics.discrete=true"],
        ["z1 + z1*z2*z3", "--dynamics", "sgd", "--dtype", "float32", "--set", "dynamics.threads=1"],
        ["z1 + z1*z2*z3", "--dynamics", "chain", "--normalised", "--batch", "2", "--reuse", "sam"],
    ],
)
def test_every_dynamics_writes_its_files_and_again_from_its_own_config(tmp_path, words):
    once, again = tmp_path / "once", tmp_path / "again"
    assert simulate(*words, out=once) == 0
    assert {path.name for path in once.iterdir()} == FILES
    assert (once / "simulate.png").read_bytes().startswith(b"\x89PNG")
    assert cli.main(["simulate", "--config", str(once / "config.toml"), "--out", str(again), "--quiet"]) == 0
    left, right = (Trajectory.load(folder / "trajectory.npz") for folder in (once, again))
    for field in ("steps", "time", "risk", "m", "a", "status"):
        assert np.array_equal(getattr(left, field), getattr(right, field), equal_nan=True)
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in (once, again)]
    assert set(summaries[0]) == KEYS
    for summary in summaries:
        assert summary.pop("seconds") > 0
    assert summaries[0] == summaries[1]
    assert summaries[0]["dynamics"]["name"] == words[2]
    assert set(summaries[0]["status"]) == {"done"}
    assert Experiment.from_dict(summaries[0]["settings"]) == Experiment.load(once / "config.toml")


def test_python_file_and_flags_are_one(tmp_path):
    (tmp_path / "base.toml").write_text(
        '[target]\nexpression = "z1*z2"\ndata = "boolean"\n[network]\ndim = 9\nwidth = 4\nscaling = "mean_field"\n'
        '[training]\neta = 0.02\nbatch = "inf"\ndecay_w = 0.01\ndecay_a = 0.02\nloss = "correlation"\n'
        'geometry = "two_radii:0.3,0.6"\n'
        "[[training.schedule]]\nuntil = 100\nrate = 0.5\n[[training.schedule]]\na = 0.0\n"
        '[dynamics]\nname = "mean_field"\nstart = "zero"\nstart_norm = 2\nparticles = 8\n'
    )
    text = (
        "z1*z2 --data boolean --dim 9 --width 4 --scaling mean_field --eta 0.02 --batch inf --decay-w 0.01 "
        "--decay-a 0.02 --loss correlation --geometry two_radii:0.3,0.6 --dynamics mean_field "
        "--set dynamics.start=zero --set dynamics.start_norm=2 --set dynamics.particles=8"
    )
    words = [*text.split(), "--set", "training.schedule=[{until = 100, rate = 0.5}, {a = 0}]"]
    found = flags.parse(flags.experiment_parser("simulate"), words)
    assert flags.experiment_of(found) == Experiment.load(tmp_path / "base.toml")
    assert Experiment.load(tmp_path / "base.toml").dynamics.options == (
        ("particles", 8), ("start", "zero"), ("start_norm", 2.0),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "culprit"),
    [
        (["--activation", "swoosh"], "network.activation='swoosh'"),
        (["--dynamics", "gravity"], "dynamics.name='gravity'"),
        (["--set", "dynamics.nodes=3"], "dynamics.nodes is unknown to dynamics overlap"),
        (["--dynamics", "mean_field", "--set", "dynamics.node=3"], "did you mean nodes"),
        (["--dynamics", "mean_field", "--set", "dynamics.nodes=many"], "dynamics.nodes='many' is not a whole number"),
        (["--dynamics", "mean_field", "--set", "dynamics.hold=maybe"], "dynamics.hold='maybe' is not true or false"),
        (["--dynamics", "mean_field", "--set", "dynamics.hold=true"], "hold=True needs overlaps that start at 0"),
        (["--set", "dynamics.rtol=0"], "dynamics.rtol=0"),
        (["--set", "dynamics.finite_step=false"], "set run.finite_step"),
        (["--dynamics", "sgd", "--set", "dynamics.dtype=float32"], "set run.dtype"),
        (["z1**2", "--data", "boolean"], "is constant"),
        (["He2(z1)", "--data", "cauchy"], "target.data='cauchy'"),
        (["z20"], "network.dim=12 is below the target's 20"),
        (["--scaling", "ntk"], "network.scaling='ntk'"),
        (["--second-layer-law", "normal"], "network.second_layer_law='normal'"),
        (["--decay-w", "-1"], "training.decay_w=-1"),
        (["--decay-a", "nan"], "training.decay_a=nan"),
        (["--batch", "0"], "training.batch=0"),
        (["--batch", "2.5"], "training.batch=2.5"),
        (["--batch", "many"], "training.batch='many'"),
        (["--loss", "hinge"], "training.loss='hinge'"),
        (["--geometry", "torus"], "training.geometry='torus'"),
        (["--geometry", "two_radii:0.6,0.3"], "training.geometry.r=0.6"),
        (["--geometry", "two_radii:a,b"], "two_radii:0.3,0.6"),
        (["--set", "training.schedule=[{until=9},{until=5},{}]"], "training.schedule has until=[9, 5]"),
        (["--set", "training.schedule=[{until=9}]"], "training.schedule must end"),
        (["--set", "training.schedule=[{rate=-1}]"], "training.schedule[0].rate=-1"),
        (["--set", "training.schedule=9"], "training.schedule=9"),
        (["--set", "training.schedule={"], "training.schedule='{'"),
        (["--dynamics", "correlation", "--eta-a", "0.1"], "training.eta_a=0.1"),
        (["--dynamics", "correlation", "--eta-b", "0.1"], "training.eta_b=0.1"),
        (["--dynamics", "mean_field", "--geometry", "sphere"], "training.geometry='sphere'"),
        (["--dynamics", "overlap", "--geometry", "two_radii:.3,.6"], "training.geometry="),
        (["--config", "/nonexistent.toml"], "/nonexistent.toml"),
        (["--preset", "demo"], "--preset"),
        (["--out", "/dev/null/results"], "/dev/null/results"),
    ],
)
def test_bad_input_is_one_line_that_names_the_culprit(capsys, tmp_path, words, culprit):
    where = [] if "--out" in words else ["--out", str(tmp_path / "out")]
    assert culprit in refused(capsys, *where, *words)
    assert not list(tmp_path.rglob("*.npz"))


def test_weights_that_do_not_fit_are_not_drawn(tmp_path, monkeypatch):
    """A billion inputs: the chain and the flow from overlaps alone, of the same m and a as ever."""
    monkeypatch.setattr("odesim.sgd.limits.physical_memory", lambda: 10**10)
    words = ["z1*z2", "--dim", "1000000000", "--width", "4", "--steps", "50", "--points", "3", "--quiet"]
    for name in ("chain", "overlap"):
        assert cli.main(["simulate", *words, "--dynamics", name, "--out", str(tmp_path / name)]) == 0
    chain, flow = (Trajectory.load(tmp_path / name / "trajectory.npz") for name in ("chain", "overlap"))
    np.testing.assert_array_equal(chain.m[0, 0], flow.m[0])
    near = Network.random(Target.parse("z1*z2"), width=4, dim=30, rng=3)
    np.testing.assert_allclose(flow.m[0] * np.sqrt(1e9), near.m * np.sqrt(30), rtol=1e-12)


def test_help_names_the_dynamics(capsys):
    with pytest.raises(SystemExit):
        cli.main(["simulate", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for part in (
        "--dynamics NAME",
        "overlap or correlation or mean_field or sgd or layerwise or chain",
        "--batch BATCH",
        "two_radii:r,delta",
    ):
        assert part in text


def test_what_is_expected_is_printed_before_what_was_found(capsys, tmp_path):
    words = ["simulate", "z1*z2 + z1", "--out", str(tmp_path), *SMALL[:-1], "--dynamics", "overlap"]
    assert cli.main(words) == 0
    shown = capsys.readouterr()
    parts = ["leap 1", "until z1 is learned", "expected escapes", "never learned: z1*z2", "stable step", "plateaus  ",
             "escape from 1 by z1:", "risk at the end", f"written to {tmp_path}"]  # fmt: skip
    places = [shown.out.index(part) for part in parts]
    assert places == sorted(places)
    assert shown.err.startswith("odesim: warning: z1*z2 cannot be learned")


@pytest.mark.parametrize(("status", "advice"), [(Status.DIVERGED, True), (Status.INTERRUPTED, False)])
def test_what_ended_early_is_kept(capsys, tmp_path, monkeypatch, status, advice):
    monkeypatch.setattr("odesim.flows.overlap.OverlapFlow", lambda **options: Decay(status=status))
    assert simulate("--eta-d", "5", out=tmp_path) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "ended early" in line
    assert ("--eta-d" in line) == advice
    assert {path.name for path in tmp_path.iterdir()} == FILES
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["status"] == [status.name.lower()]
    assert summary["ended_early"] in line
    assert summary["floor"] > 0


def test_the_trajectory_is_on_disk_before_anything_else_can_fail(tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("odesim.experiment.examine", fail)
    assert simulate(out=tmp_path) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"trajectory.npz"}


def decay(seeds=None, rates=(1e-2,)):
    """Risk 1 + exp(−rate·step) per run, over two predicted levels."""
    steps = np.unique(np.append(0, np.geomspace(1, 10_000, 200).astype(np.int64)))
    risk = np.exp(-np.multiply.outer(np.asarray(rates), steps))
    risk = risk if seeds else risk[0]
    m = np.ones((*risk.shape, 2, 1)) * 0.1
    return Trajectory(steps, 1e-3 * steps, risk, m, m[..., 0])


class Path:
    """One escape, from 1 to 0."""

    plateau_levels = (1.0, 0.0)
    labels = ("z1 + z2",)


def test_escapes_of_a_run_and_of_an_ensemble():
    one = examine(decay(), Path())
    (escape,) = one.escape_steps
    assert escape["terms"] == ["z1", "z2"]
    assert escape["step"] == pytest.approx(np.log(2) / 1e-2, rel=0.05)
    assert one.floor == pytest.approx(0, abs=1e-12)
    many = examine(decay(seeds=3, rates=(1e-2, 1e-3, 0.0)), Path())
    (escape,) = many.escape_steps
    assert escape["step"] == pytest.approx(np.log(2) / 1e-3, rel=0.05)
    assert escape["q75"] is None
    assert escape["censored"] == 1
    assert "never in 1 of 3 runs" in many.text()


def test_without_a_path_nothing_is_predicted_and_nothing_breaks(tmp_path):
    found = examine(decay())
    assert found.escape_steps == []
    assert [one.kind for one in found.plateaus] == ["initial", "final"]
    json.dumps(found.summary(), allow_nan=False)
    plot_simulation(decay()).figure.savefig(tmp_path / "x.png")


@pytest.mark.parametrize("name", ["overlap", "correlation", "mean_field"])
def test_many_starts_whose_weights_do_not_fit_are_drawn_as_overlaps(tmp_path, monkeypatch, name):
    """A billion inputs: the first start is that of a run by itself, all have the m of any dimension times √d."""
    monkeypatch.setattr("odesim.memory.physical_memory", lambda: 10**10)
    words = ["simulate", "z1", "--dim", "1000000000", "--width", "4", "--steps", "50", "--points", "3", "--quiet"]
    for starts in ("1", "3"):
        out = str(tmp_path / starts)
        assert cli.main([*words, "--starts", starts, "--dynamics", name, "--out", out]) == 0
    alone, many = (Trajectory.load(tmp_path / starts / "trajectory.npz") for starts in "13")
    np.testing.assert_array_equal(many.risk[0], alone.risk)
    np.testing.assert_array_equal(many.m[0], alone.m)
    near = Network.ensemble(Target.parse("z1"), 3, width=4, dim=30, rng=3)
    for run, network in enumerate(near):
        np.testing.assert_allclose(many.m[run, 0] * np.sqrt(1e9), network.m * np.sqrt(30), rtol=1e-12)


def test_many_starts_are_drawn_as_ever_where_their_weights_fit(monkeypatch):
    changes = {"network.dim": 30, "network.width": 4, "run.starts": 3}
    experiment = Experiment().replace(changes)
    wanted = Network.ensemble(experiment.start.target, 3, width=4, dim=30, second_layer=0.5, rng=3)
    for found, one in zip(experiment.starts, wanted, strict=True):
        np.testing.assert_array_equal(found.weights, one.weights)
    need = 17 * 4 * 30  # what one start takes while it is drawn; three of them hold 24 bytes a weight
    monkeypatch.setattr("odesim.memory.physical_memory", lambda: 2 * need)
    assert Experiment().replace({**changes, "run.starts": 1}).draws_weights
    assert not Experiment().replace(changes).draws_weights
    assert [one.weights for one in Experiment().replace(changes).starts] == [None] * 3
