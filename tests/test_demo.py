"""The demo and the README: what they promise holds."""

import json
import re
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT

from odesim import Trajectory


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Bare `odesim compare`, as a process."""
    out = tmp_path_factory.mktemp("demo")
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "odesim", "compare", "--out", str(out)], capture_output=True, text=True, cwd=out
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads((out / "summary.json").read_text()), out, time.monotonic() - begin


def test_demo_ends_in_two_minutes(demo):
    assert demo[3] < 120


def test_demo_tells_the_story_in_the_ode_and_in_sgd(demo):
    text, summary, _, _ = demo
    assert "leap 2" in text
    assert summary["predicted_levels"] == [1.0, 0.5, 0.0]
    for who in ("ode", "sgd"):
        assert [(p["kind"], p["matched"]) for p in summary["plateaus"][who]] == [
            ("initial", 0),
            ("interior", 1),
            ("interior", None),
            ("final", 2),
        ]
        half, third, floor = (p["level"] for p in summary["plateaus"][who][1:])
        assert half == pytest.approx(0.53, abs=0.01)
        assert third == pytest.approx(0.335, abs=0.01)
        assert floor < 0.1


def test_demo_ode_agrees_with_sgd(demo):
    _, summary, out, _ = demo
    ode, sgd = Trajectory.load(out / "ode.npz"), Trajectory.load(out / "sgd.npz")
    assert sgd.seeds >= 8
    last = summary["escape_steps"][-1]
    assert last["terms"] == ["z1*z2*z3"]
    assert last["sgd"]["censored"] == 0
    assert last["sgd"]["median"] == pytest.approx(last["ode"], rel=0.2)
    before = ode.steps <= last["ode"]
    assert np.abs(ode.risk - sgd.mean("risk"))[before].max() < 0.03
    assert ode.risk[-1] < 0.1 * ode.risk[0]
    assert sgd.mean("risk")[-1] < 0.1 * sgd.mean("risk")[0]
    assert summary["noise_gauge"] > 1
    assert "Noise gauge" in demo[0]


def test_the_readme_prints_what_the_demo_prints(demo):
    """Every line of the README's sample output, to a few per cent in its numbers (other machines round otherwise)."""
    sample = re.search(r"```text\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    number = re.compile(r"\d+(?:\.\d+)?")
    shown = [number.split(line) for line in demo[0].splitlines()]
    values = [[float(x) for x in number.findall(line)] for line in demo[0].splitlines()]
    for line in filter(None, sample.splitlines()):
        words = [part.strip() for part in number.split(line)]
        expected = [float(x) for x in number.findall(line)]
        alike = [v for parts, v in zip(shown, values, strict=True) if [p.strip() for p in parts] == words]
        assert any(np.allclose(v, expected, rtol=0.1, atol=0.02) for v in alike), line


def test_the_readme_snippet_runs(tmp_path):
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "escape by" in done.stdout
    assert (tmp_path / "compare.png").stat().st_size > 10_000
