"""The kernels' disk cache: a second process compiles nothing, any edit recompiles, no folder is no error."""

import json
import os
import shutil
import subprocess
import sys
import textwrap

import pytest
from conftest import ROOT

from odesim import _jit

COUNT = """
    import json, sys
    from numba.core.dispatcher import Dispatcher

    def counts():
        found = {}
        for name, module in list(sys.modules.items()):
            if name.startswith("odesim"):
                for value in vars(module).values():
                    if isinstance(value, Dispatcher) and (value.stats.cache_hits or value.stats.cache_misses):
                        label = f"{value.py_func.__module__}.{value.py_func.__name__}"
                        stats = value.stats
                        found[label] = [sum(stats.cache_hits.values()), sum(stats.cache_misses.values())]
        return found
"""
RUNS = """
    import time
    begin = time.perf_counter()
    import odesim

    target = odesim.Target.parse("z1 + z1*z2*z3")
    for activation, biases in (("erf", 0.0), ("relu", 0.5)):
        network = odesim.Network.random(target, width=3, dim=5, activation=activation, biases=biases)
        training = odesim.Training(eta=0.01, eta_b=biases / 100)
        for dynamics in (odesim.OverlapFlow(log2_samples=4), odesim.SGD(), odesim.SGD(dtype="float32")):
            odesim.run(dynamics, target, network, training, steps=20, points=5)
    for data in ("gaussian", "boolean"):
        target = odesim.Target.parse("z1*z2", data=data)
        network = odesim.Network.random(target, width=2, dim=5, biases=0.5)
        for flow in (odesim.CorrelationFlow(), odesim.MeanFieldFlow()):
            odesim.run(flow, target, network, odesim.Training(eta=0.01), steps=20, points=5)
    print(json.dumps({"seconds": time.perf_counter() - begin, "counts": counts()}))
"""
SMALL = """
    import numpy as np
    from odesim.activations._normal import density

    assert abs(density(0.5) - np.exp(-0.125) / np.sqrt(2 * np.pi)) < 1e-15
    print(json.dumps(counts()))
"""


def python(code, folder, **environment):
    """Run code in a process whose odesim is that of ``folder``, and return the JSON it prints."""
    full = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    full = {name: value for name, value in full.items() if value is not None}
    command = [
        sys.executable,
        "-W",
        "error::UserWarning",
        "-c",
        textwrap.dedent(COUNT) + textwrap.dedent(code),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=full, cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def copy(tmp_path):
    """The package in a folder of its own, without compiled files."""
    shutil.copytree(ROOT / "odesim", tmp_path / "odesim", ignore=shutil.ignore_patterns("__pycache__", "*.nb*"))
    return tmp_path


def kernel_files(root):
    return sorted(path for path in root.rglob("_*.py") if path.name != "__init__.py")


def test_a_second_process_compiles_nothing_and_starts_fast(copy, tmp_path):
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    first, second = python(RUNS, copy, **cache), python(RUNS, copy, **cache)
    rooms = {name.rsplit(".", 1)[0] for name in first["counts"]}
    assert {"odesim.flows._overlap", "odesim.sgd._full"} <= rooms
    assert all(misses > 0 for _, misses in first["counts"].values())
    assert second["counts"]
    for name, (hits, misses) in second["counts"].items():
        assert hits > 0, f"{name} was not found in the cache"
        assert misses == 0, f"{name} was compiled again"
    assert second["seconds"] < first["seconds"] / 3


def test_an_edit_in_another_kernel_file_recompiles(copy, tmp_path):
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    name = "odesim.activations._normal.density"
    assert python(SMALL, copy, **cache)[name] == [0, 1]
    assert python(SMALL, copy, **cache)[name] == [1, 0]
    with (copy / "odesim" / "sgd" / "_full.py").open("a") as handle:
        handle.write("# edited\n")
    assert python(SMALL, copy, **cache)[name] == [0, 1]


def test_every_kernel_file_counts(copy, monkeypatch):
    monkeypatch.setattr(_jit, "ROOT", copy / "odesim")
    stamps = [_jit.source_stamp.__wrapped__()]
    for path in kernel_files(copy / "odesim"):
        path.write_text(path.read_text(encoding="utf-8") + "# edited\n", encoding="utf-8")
        stamps.append(_jit.source_stamp.__wrapped__())
    assert len(stamps) > 5
    assert len(set(stamps)) == len(stamps)


def test_without_any_folder_to_write_kernels_run_uncached(copy):
    for folder in [copy / "odesim", *(path for path in (copy / "odesim").iterdir() if path.is_dir())]:
        (folder / "__pycache__").touch()  # a file in the way stops even the superuser
    nowhere = {"NUMBA_CACHE_DIR": None, "HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null/cache"}
    for _ in range(2):
        assert python(SMALL, copy, **nowhere)["odesim.activations._normal.density"] == [0, 1]
    assert not list(copy.rglob("*.nbi"))


def test_a_cache_folder_in_the_tree_serves_where_none_is_named(copy):
    name = "odesim.activations._normal.density"
    assert python(SMALL, copy, NUMBA_CACHE_DIR=None)[name] == [0, 1]
    assert python(SMALL, copy, NUMBA_CACHE_DIR=None)[name] == [1, 0]
