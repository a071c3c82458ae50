"""The wheel in a clean environment: what a user installs works away from the source tree."""

import os
import subprocess
import sys
import venv
import zipfile

import pytest
from conftest import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (path,) = folder.glob("odesim-*.whl")
    return path


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for needed in ("odesim/py.typed", "odesim/flows/_overlap.py", "odesim/sgd/_full.py", "odesim/cli.py"):
        assert needed in names
    assert all(name.startswith(("odesim/", "odesim-")) for name in names)
    assert not any(name.endswith((".nbi", ".nbc", ".pyc")) for name in names)


def test_the_wheel_runs_in_a_clean_environment(wheel, tmp_path):
    venv.create(tmp_path / "venv", with_pip=True)
    home = tmp_path / "venv" / "bin"
    subprocess.run([home / "pip", "install", "-q", str(wheel)], check=True, capture_output=True, text=True)
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "NUMBA_CACHE_DIR")}
    words = ["compare", "z1*z2*z3 + z1", "--dim", "10", "--width", "3", "--steps", "300", "--seeds", "2"]
    done = subprocess.run(
        [home / "odesim", *words, "--out", "out"], capture_output=True, text=True, cwd=tmp_path, env=clean
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "compare.png",
        "config.toml",
        "ode.npz",
        "sgd.npz",
        "summary.json",
    }
