"""The kernels' disk cache: a second process compiles nothing, any edit recompiles, no folder is no error."""

import ast
import json
import os
import shutil
import subprocess
import sys
import textwrap
from importlib import import_module
from pathlib import Path

import pytest
from conftest import ROOT
from numba.core.dispatcher import Dispatcher

from odesim import _jit

COUNT = """
    import json, sys
    from numba.core.dispatcher import Dispatcher

    def counts():
        found = {}
        for name, module in list(sys.modules.items()):
            if name.startswith("odesim"):
                for value in vars(module).values():
                    if isinstance(value, Dispatcher):
                        forms = [value.stats, value.pointed().stats]
                        hits = sum(sum(one.cache_hits.values()) for one in forms)
                        misses = sum(sum(one.cache_misses.values()) for one in forms)
                        if hits or misses:
                            found[f"{value.py_func.__module__}.{value.py_func.__name__}"] = [hits, misses]
        return found
"""
RUNS = """
    import time
    import odesim
    from odesim.integrate.methods import rock4

    gaussian, boolean = (odesim.Target.parse("z1 + z1*z2", data=data) for data in ("gaussian", "boolean"))
    teacher = odesim.Target.teacher(units=2)
    free, sphere, layers = (
        odesim.Training(eta=0.01, eta_a=0.0, geometry=one) for one in ("free", "sphere", odesim.TwoRadii(0.5, 0.6))
    )
    batches = odesim.Training(eta=0.01, batch=5)
    dynamics = [
        (odesim.OverlapFlow(log2_samples=4), free),
        (odesim.OverlapFlow(log2_samples=4, discrete=True), free),
        (odesim.MeanFieldFlow(nodes=4), free),
        (odesim.MeanFieldFlow(nodes=4, discrete=True), free),
        (odesim.CorrelationFlow(), sphere),
        (odesim.CorrelationFlow(), layers),
        (odesim.SGD(), free),
        (odesim.SGD(dtype="float32"), free),
        (odesim.SGD(), batches),
        (odesim.SGD(dtype="float32"), batches),
    ]
    for activation in ("erf", "relu", "tanh"):
        for target in (gaussian, boolean, teacher) if activation == "erf" else (gaussian, boolean):
            network = odesim.Network.random(target, width=2, dim=5, activation=activation, biases=0.5, rng=1)
            for one, training in dynamics:
                odesim.run(one, target, network, training, steps=8, points=3)
            for one, _ in dynamics[0:6:2]:
                f = one.right_hand_side(target, network, free)
                f.risk(f(0.0, f.start))
        odesim.search_phase(gaussian, activation=activation, b=0.5, kappa=0.1, runs=2)
    odesim.resolvability(gaussian, network, free)
    signs = odesim.Network.random(gaussian, width=65, dim=5, first_layer="signs", rng=1)
    rule = odesim.Training.layerwise(eta1=0.01, eta2=0.01, steps1=4, r=0.5, delta=0.6)
    for one in (odesim.Layerwise(second_phase="ridge"), odesim.Layerwise(test_samples=4)):
        for target in (gaussian, boolean):
            odesim.run(one, target, signs, rule, steps=8, points=3)
    odesim.run(odesim.SGD(test_samples=4), gaussian, signs, free, steps=8, points=3)
    alone = odesim.Training(eta=0.01, eta_a=0.0, loss="correlation")
    for one, training in ((odesim.Chain(), free), (odesim.NeuronChain(), alone)):
        odesim.run(one, gaussian, signs, training, steps=8, points=3)
    rock4()
    print(json.dumps({"seconds": time.process_time(), "counts": counts()}))
"""
SMALL = """
    import numpy as np
    from odesim.activations._normal import density

    assert abs(density(0.5) - np.exp(-0.125) / np.sqrt(2 * np.pi)) < 1e-15
    print(json.dumps(counts()))
"""
COLD = """
    from odesim.activations._normal import distribution2

    assert abs(distribution2(0.0, 0.0, 0.5) - 1 / 3) < 1e-12
    print(json.dumps(counts()))
"""

PARTS = """
    from odesim.activations import _normal
    from odesim.activations._pairs import pair_erf_value

    assert pair_erf_value(1.0, 0.0, 1.0, 0.0, 0.0) == 0.0
    stats = {name: getattr(_normal, name).part().stats for name in ("_outer", "distribution2")}
    print(json.dumps({name: [len(one.cache_hits), len(one.cache_misses)] for name, one in stats.items()}))
"""


def start(code, folder, **environment):
    """Start code in a process whose odesim is that of ``folder``."""
    full = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    full = {name: value for name, value in full.items() if value is not None}
    command = [
        sys.executable,
        "-W",
        "error::UserWarning",
        "-c",
        textwrap.dedent(COUNT) + textwrap.dedent(code),
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=full, cwd=folder)


def answer(process):
    """Return the JSON that it prints."""
    out, error = process.communicate()
    assert process.returncode == 0, error
    return json.loads(out)


def python(code, folder, **environment):
    """Run code to its end, and return the JSON it prints."""
    return answer(start(code, folder, **environment))


@pytest.fixture
def copy(tmp_path):
    """The package in a folder of its own, without compiled files."""
    shutil.copytree(ROOT / "odesim", tmp_path / "odesim", ignore=shutil.ignore_patterns("__pycache__", "*.nb*"))
    return tmp_path


def kernel_files(root):
    return sorted(path for path in root.rglob("_*.py") if path.name != "__init__.py")


def entries():
    """Every kernel that a file of the API names: what Python calls, or hands to others as a pointer."""
    named = set()
    for path in set((ROOT / "odesim").rglob("*.py")) - set(kernel_files(ROOT / "odesim")):
        tree, modules = ast.parse(path.read_text(encoding="utf-8")), {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("odesim."):
                for one in node.names:
                    named.add((node.module, one.name))
                    modules[one.asname or one.name] = f"{node.module}.{one.name}"
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
                named.add((modules[node.value.id], node.attr))
    found = {(module, name) for module, name in named if module.split(".")[-1].startswith("_")}
    kernels = {f"{m}.{n}" for m, n in found if isinstance(getattr(import_module(m), n, None), Dispatcher)}
    assert len(kernels) > 20
    return kernels


def test_a_second_process_compiles_nothing_and_starts_fast():
    """Every entry, for every dynamics, both laws, a teacher, and activations with kernels of their own or pointers.

    The first process fills the cache that all tests share, so little is compiled for this one alone.
    """
    home = Path(_jit.__file__).parents[1]
    python(RUNS, home)
    second = python(RUNS, home)
    assert not entries() - second["counts"].keys(), "entries that this test does not reach"
    for name, (hits, misses) in second["counts"].items():
        assert hits > 0, f"{name} was not found in the cache"
        assert misses == 0, f"{name} was compiled again"
    assert second["seconds"] < 15  # of the processor: some 3, and 60 where everything is compiled


def test_processes_that_start_cold_at_once_do_not_disturb_each_other(copy, tmp_path):
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "NUMBA_OPT": "1"}
    for counts in [answer(one) for one in [start(COLD, copy, **cache) for _ in range(6)]]:
        assert sum(counts["odesim.activations._normal.distribution2"]) == 1
    assert python(COLD, copy, **cache)["odesim.activations._normal.distribution2"] == [1, 0]


def test_what_kernels_compiled_of_others_serves_the_next_one(copy, tmp_path):
    """A flow that compiles after another one finds their common parts."""
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "NUMBA_OPT": "1"}
    python(COLD, copy, **cache)
    assert python(PARTS, copy, **cache) == {"_outer": [1, 0], "distribution2": [0, 1]}


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
    counts = python(COLD, copy, NUMBA_OPT="1", **nowhere)  # of kernels that call others
    assert counts["odesim.activations._normal.distribution2"] == [0, 1]
    assert not list(copy.rglob("*.nbi"))


def test_a_cache_folder_in_the_tree_serves_where_none_is_named(copy):
    name = "odesim.activations._normal.density"
    assert python(SMALL, copy, NUMBA_CACHE_DIR=None)[name] == [0, 1]
    assert python(SMALL, copy, NUMBA_CACHE_DIR=None)[name] == [1, 0]
