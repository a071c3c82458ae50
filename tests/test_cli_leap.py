"""`odesim leap`: the object, the table, standard input, refusals."""

import io
import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT

from odesim import cli

KEYS = {
    "leap",
    "isoleap",
    "information_exponent",
    "merged_staircase",
    "plateau_levels",
    "path",
    "symmetry",
    "exponents",
}


def leap_json(capsys, *words):
    assert cli.main(["leap", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("expression", "leap", "isoleap", "exponent", "levels"),
    [
        ("z1 + z1*z2*z3", 2, 2, 1, [1, 0.5, 0]),
        ("z1 + z2 + z1*z2", 1, 2, 1, [1.5, 0]),
        ("He3(z1)/sqrt(6)", 3, 3, 3, [0.5, 0]),
        ("-z1*z2", 2, 2, 2, [0.5, 0]),
        ("2", 0, 0, None, [0]),
    ],
)
def test_gaussian_targets(capsys, expression, leap, isoleap, exponent, levels):
    about = leap_json(capsys, expression)
    assert about.keys() >= KEYS
    assert (about["leap"], about["isoleap"], about["information_exponent"]) == (leap, isoleap, exponent)
    assert about["plateau_levels"] == pytest.approx(levels, abs=1e-12)
    assert about["merged_staircase"] is (leap <= 1)
    assert about["symmetry"] is None


def test_boolean_targets_have_a_verdict(capsys):
    about = leap_json(capsys, "z1+z2+z1*z3+z2*z4", "--data", "boolean")
    assert about["symmetry"]["verdict"] == "stuck"
    assert about["symmetry"]["floor"] == pytest.approx(0.5)
    assert about["isoleap"] is None
    assert about["sq_leap"] == 1
    assert leap_json(capsys, "z1 + z1**2", "--data=boolean")["degree"] == 1


def test_the_table_says_the_same(capsys):
    assert cli.main(["leap", "z1+z2+z1*z2"]) == 0
    text = capsys.readouterr().out
    assert "isoLeap" in text
    assert "conjectured" in text
    assert max(len(line) for line in text.splitlines()) <= 110


def test_a_minus_reads_standard_input(capsys, monkeypatch):
    long = " + ".join(f"z{i}*z{i + 1}" for i in range(1, 3001)) + " + z1\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO(long))
    about = leap_json(capsys, "-")
    assert (about["terms"], about["leap"]) == (3001, 1)


@pytest.mark.parametrize(
    ("words", "culprit"),
    [
        (["leap"], "EXPR"),
        (["leap", ""], "empty"),
        (["leap", "z0"], "z0"),
        (["leap", "z1", "--data", "uniform"], "uniform"),
        (["leap", "z1", "--dim", "3"], "--dim"),
        (["leap", "(z1+z2+z3+z4+z5+z6+z7+z8+z9+z10+z11+z12)**60"], "bound"),
    ],
)
def test_refusals_are_one_line(capsys, words, culprit):
    assert cli.main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert culprit in shown.err


def test_bytes_that_are_no_text_and_a_reader_that_leaves():
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    command = [sys.executable, "-m", "odesim", "leap", "-"]
    done = subprocess.run(command, input=b"\xff\xfe", capture_output=True, env=environment)
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as p:
        p.stdout.close()
        p.stdin.write(b"z1*z2")
        p.stdin.close()
        assert b"Traceback" not in p.stderr.read()


def test_it_starts_without_the_heavy_packages():
    code = (
        "import sys; from odesim import cli; cli.main(['leap', 'z1+z2+z1*z2']);"
        "assert not {'numba', 'scipy', 'matplotlib'} & set(sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
