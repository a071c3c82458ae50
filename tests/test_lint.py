"""Style and types, run first among what can fail for reasons of form."""

import importlib.util
import subprocess
import sys

import pytest
from conftest import ROOT


def output(*command):
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, cwd=ROOT)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("command", [("ruff", "check", "."), ("mypy",)], ids=" ".join)
def test_clean(command):
    if importlib.util.find_spec(command[0]) is None:
        pytest.fail(f"{command[0]} is missing; install the extra test")
    code, text = output(*command)
    assert code == 0, text
