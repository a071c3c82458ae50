import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT, Decay

import odesim
from odesim import cli
from odesim.experiment import Experiment
from odesim.trajectory import Status, Trajectory

SMALL = ["--dim", "20", "--width", "3", "--steps", "2000", "--points", "40", "--seeds", "2"]
FILES = {"compare.png", "ode.npz", "sgd.npz", "summary.json", "config.toml"}


@pytest.fixture
def fakes(monkeypatch):
    """Dynamics that cost nothing; call it with the statuses, or an exception for SGD to raise."""

    def install(ode=Status.DONE, sgd=Status.DONE):
        def runs(**options):
            if isinstance(sgd, BaseException):
                raise sgd
            return Decay(status=sgd, ensemble=True)

        monkeypatch.setattr("odesim.flows.overlap.OverlapFlow", lambda **options: Decay(status=ode))
        monkeypatch.setattr("odesim.sgd.full.SGD", runs)

    install()
    return install


def compare(*words, out):
    return cli.main(["compare", *SMALL, "--out", str(out), *words])


def refused(capsys, *words):
    """Run a command that must be refused; return its one line."""
    assert cli.main(list(words)) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("odesim: error: ")
    assert shown.err.count("\n") == 1
    assert shown.err.endswith("\n")
    return shown.err


@pytest.mark.parametrize(
    ("words", "culprit"),
    [
        (["z1 + foo"], "foo"),
        (["foo(z1)"], "foo"),
        (["z0"], "z0"),
        (["-z0"], "z0"),
        (["1/z1"], "division by a polynomial"),
        (["sin(z1)"], "sin"),
        (["tanh(z1)"], "tanh"),
        (["z1**0.5"], "0.5"),
        (["z1 +"], "column"),
        (["z1^2"], "^"),
        ([""], ""),
        (["   "], ""),
        (["z1 - z1"], "constant"),
        (["3"], "constant"),
        (["1e999*z1"], "1e999"),
        (["nan*z1"], "nan"),
        (["z1**101"], "101"),
        (["9**9**9*z1"], "column"),
        (["__import__('os')"], "column"),
        (["z1\n+ z0"], "z0"),
        (["z5", "--dim", "3"], "network.dim=3"),
        (["--eta", "-1"], "training.eta=-1"),
        (["--eta", "nan"], "training.eta=nan"),
        (["--eta", "0"], "training.eta=0"),
        (["--eta", "-inf"], "training.eta=-inf"),
        (["--eta-d", "-.5"], "training.eta_d=-0.5"),
        (["--eta", "0.1", "--eta-d", "0.1"], "training.eta_d=0.1"),
        (["--eta-a", "-1"], "training.eta_a=-1"),
        (["--eta-b", "nan"], "training.eta_b=nan"),
        (["--noise", "-1"], "training.noise=-1"),
        (["--width", "0"], "network.width=0"),
        (["--width", "2.5"], "network.width=2.5"),
        (["--width=-3"], "network.width=-3"),
        (["--dim", "0"], "network.dim=0"),
        (["--dim", "abc"], "network.dim='abc'"),
        (["--dim", ""], "network.dim=''"),
        (["--dim"], "--dim"),
        (["--activation", "swoosh"], "network.activation='swoosh'"),
        (["--biases", "-1"], "network.biases=-1"),
        (["--second-layer", "0"], "network.second_layer=0"),
        (["--steps", "0"], "run.steps=0"),
        (["--steps", "1e17"], "run.steps=1e+17"),
        (["--points", "1"], "run.points=1"),
        (["--spacing", "cubic"], "run.spacing='cubic'"),
        (["--seeds", "0"], "run.seeds=0"),
        (["--rng", "-1"], "run.rng=-1"),
        (["--dtype", "float16"], "run.dtype='float16'"),
        (["--plateau-slope", "-1"], "plateaus.slope=-1"),
        (["--set", "network.widht=3"], "network.widht"),
        (["--set", "network.width"], "network.width"),
        (["--set", "run.finite_step=maybe"], "run.finite_step='maybe'"),
        (["--config", "/nonexistent.toml"], "/nonexistent.toml"),
        (["--preset", "demo"], "--preset"),
        (["--dimm", "3"], "--dimm"),
        (["--di", "3"], "--di"),
        (["-q"], "q"),
        (["z1", "z2"], "z2"),
        (["--quiet=yes"], "--quiet"),
        (["--out", "/dev/null/results"], "/dev/null/results"),
    ],
)
def test_bad_input_is_one_line_that_names_the_culprit(capsys, tmp_path, fakes, words, culprit):
    fakes(sgd=AssertionError("nothing may run"))
    where = [] if "--out" in words else ["--out", str(tmp_path / "out")]
    assert culprit in refused(capsys, "compare", *where, *words)
    assert not list(tmp_path.rglob("*.npz"))


@pytest.mark.parametrize("words", [[], ["compar"], ["z1"]])
def test_no_or_unknown_command(capsys, words):
    assert "compare" in refused(capsys, *words)


@pytest.mark.parametrize("words", [["--dim", "3"], ["--verbose"], ["-z1"]])
def test_flags_before_the_command(capsys, words):
    assert words[0] in refused(capsys, *words)


def test_the_folder_is_refused_before_anything_is_computed(capsys, tmp_path, fakes, monkeypatch):
    def never(**options):
        raise AssertionError("computed before the folder was checked")

    monkeypatch.setattr("odesim.flows.overlap.OverlapFlow", never)
    (tmp_path / "file").write_text("in the way")
    assert "file" in refused(capsys, "compare", "--out", str(tmp_path / "file"))
    assert "file" in refused(capsys, "compare", "--out", str(tmp_path / "file" / "below"))


def test_a_machine_too_small_is_one_line(capsys, tmp_path, monkeypatch):
    def no_memory(*arguments, **options):
        raise MemoryError("Unable to allocate 8.0 TiB")

    monkeypatch.setattr("odesim.network.Network.random", no_memory)
    assert "8.0 TiB" in refused(capsys, "compare", "--out", str(tmp_path))


@pytest.mark.parametrize("words", [["--help"], ["compare", "--help"], ["--version"]])
def test_help_and_version_go_to_standard_output(capsys, words):
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert ("compare" in shown.out) or shown.out == f"odesim {odesim.__version__}\n"


def test_help_names_every_flag_with_its_default(capsys):
    with pytest.raises(SystemExit):
        cli.main(["compare", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    flags = (
        "--dim --width --activation --biases --second-layer --eta --eta-d --eta-a --eta-b --noise --steps "
        "--points --spacing --seeds --rng --dtype --no-finite-step --out --quiet --set --config --plateau-slope "
        "--data --second-layer-law --scaling --batch --loss --decay-w --decay-a --geometry --dynamics"
    )
    for flag in flags.split():
        assert f"{flag} " in text
    assert "such as erf, relu or sigmoid:0.5 (default: erf)" in text


@pytest.mark.parametrize(
    ("words", "expression"),
    [
        (["-z1"], "-z1"),
        (["-z1*z2 + z3"], "-z1*z2 + z3"),
        (["--", "-z1"], "-z1"),
        (["--dim", "30", "-2*z1", "--quiet"], "-2*z1"),
        ([], "z1 + z1*z2*z3"),
    ],
)
def test_an_expression_may_begin_with_a_minus(tmp_path, fakes, words, expression):
    assert cli.main(["compare", "--out", str(tmp_path), *words]) == 0
    assert Experiment.load(tmp_path / "config.toml").target.expression == expression


def test_flags_reach_the_experiment(tmp_path, fakes):
    words = ["z1*z2", "--no-finite-step", "--eta", "1e-3", "--steps", "1e3", "--plateau-drop=0.1"]
    words += ["--set", "network.biases=0.5", "--set", "run.rng = 5"]
    assert cli.main(["compare", "--out", str(tmp_path), *words]) == 0
    expected = {
        "target.expression": "z1*z2",
        "run.finite_step": False,
        "training.eta": 1e-3,
        "run.steps": 1000,
        "network.biases": 0.5,
        "run.rng": 5,
        "plateaus.drop": 0.1,
    }
    assert Experiment.load(tmp_path / "config.toml") == Experiment().replace(expected)


def test_flags_override_the_file_and_leave_the_rest(tmp_path, fakes):
    base = Experiment().replace({"network.dim": 33, "training.eta": 0.01, "run.steps": 500})
    base.save(tmp_path / "base.toml")
    out = tmp_path / "out"
    assert cli.main(["compare", "--config", str(tmp_path / "base.toml"), "--eta-d", "0.2", "--out", str(out)]) == 0
    assert Experiment.load(out / "config.toml") == base.replace({"training.eta_d": 0.2})


def test_blocked_terms_are_named_before_the_run(capsys, tmp_path, fakes):
    assert compare("--activation", "relu", "--quiet", out=tmp_path) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("odesim: warning: z1*z2*z3 cannot be learned")
    assert shown.err.count("\n") == 1
    assert json.loads((tmp_path / "summary.json").read_text())["blocked"]


def test_levels_are_announced_with_what_ends_them(capsys, tmp_path, fakes):
    assert compare(out=tmp_path) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    for part in ("leap 2", "1 until z1 is learned", "0.5 until z1*z2*z3 is learned", str(tmp_path)):
        assert part in shown.out


@pytest.mark.parametrize("who", ["ode", "sgd"])
def test_a_divergence_keeps_everything_and_suggests_a_step(capsys, tmp_path, fakes, who):
    fakes(**{who: Status.DIVERGED})
    assert compare("--eta-d", "5", "--quiet", out=tmp_path) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("odesim: error: ")
    assert "ended early" in line
    assert 0 < float(line.rsplit("--eta-d ", 1)[1]) < 5 / 3
    assert {path.name for path in tmp_path.iterdir()} == FILES
    assert json.loads((tmp_path / "summary.json").read_text())["ended_early"] in line
    assert np.isfinite(Trajectory.load(tmp_path / f"{who}.npz").risk).any()


def test_an_interrupted_sgd_keeps_what_there_is(capsys, tmp_path, fakes):
    fakes(sgd=Status.INTERRUPTED)
    assert compare("--quiet", out=tmp_path) == 1
    assert "--eta-d" not in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == FILES


def test_an_interrupted_ode_keeps_what_there_is(capsys, tmp_path, fakes):
    fakes(ode=Status.INTERRUPTED)
    assert compare("--quiet", out=tmp_path) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == FILES


def test_sgd_is_on_disk_before_the_ode_starts(capsys, tmp_path, fakes):
    fakes(ode=KeyboardInterrupt())
    assert compare("--quiet", out=tmp_path) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert (Trajectory.load(tmp_path / "sgd.npz").status == Status.DONE).all()


def test_a_picture_that_fails_does_not_take_the_numbers_along(tmp_path, fakes, monkeypatch):
    def fail(*arguments, **options):
        raise odesim.RunError("disk full")

    monkeypatch.setattr("odesim.files.write_json", fail)
    assert compare("--quiet", out=tmp_path) == 1
    assert {path.name for path in tmp_path.iterdir()} == FILES - {"summary.json"}


def test_end_to_end_and_again_from_its_own_config(capsys, tmp_path):
    once, again = tmp_path / "once", tmp_path / "again"
    assert compare("z1 + z1*z2", "--biases", "0.5", "--activation", "relu", out=once) == 0
    assert "written to" in capsys.readouterr().out
    assert {path.name for path in once.iterdir()} == FILES
    assert (once / "compare.png").read_bytes().startswith(b"\x89PNG")
    assert cli.main(["compare", "--config", str(once / "config.toml"), "--out", str(again), "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    for name in ("ode.npz", "sgd.npz"):
        left, right = Trajectory.load(once / name), Trajectory.load(again / name)
        for field in ("steps", "risk", "m", "a", "status"):
            assert np.array_equal(getattr(left, field), getattr(right, field), equal_nan=True)
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in (once, again)]
    for summary in summaries:
        del summary["seconds"]
    assert summaries[0] == summaries[1]


def test_same_start_in_both_dynamics(tmp_path):
    assert compare("--quiet", out=tmp_path) == 0
    ode, sgd = np.load(tmp_path / "ode.npz"), np.load(tmp_path / "sgd.npz")
    for field in ("risk", "m", "a", "Q"):
        assert np.allclose(ode[field][0], sgd[field][:, 0], rtol=1e-12, atol=1e-15)


def test_a_real_divergence_and_its_suggestion(capsys, tmp_path):
    words = ["--activation", "relu", "--biases", "1", "--quiet", "--eta-d"]
    assert compare(*words, "8", out=tmp_path) == 1
    suggestion = capsys.readouterr().err.split("--eta-d ")[1].strip()
    assert compare(*words, suggestion, out=tmp_path) == 0


@pytest.mark.parametrize("eta_d", ["200", "1e6"])
def test_a_step_size_far_too_large_ends_soon(tmp_path, eta_d):
    """The flow itself would crawl for minutes; it stops where SGD did."""
    begin = time.monotonic()
    words = ["--activation", "relu", "--biases", "1", "--quiet", "--steps", "100000", "--eta-d", eta_d]
    assert compare(*words, out=tmp_path) == 1
    assert {path.name for path in tmp_path.iterdir()} == FILES
    assert time.monotonic() - begin < 30


def test_as_a_process():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "odesim", "compare", "z0"], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
