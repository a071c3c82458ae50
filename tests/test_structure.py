"""The package's layout, read from the syntax trees: rooms, kernel files, forbidden calls, public names."""

import ast
import subprocess
import sys
import tomllib

import pytest
from conftest import ROOT

import odesim

PACKAGE = ROOT / "odesim"
ROOMS = [
    "_jit", "_packs", "_lines", "checks", "memory", "files", "seeds", "laws", "entries", "turns", "rotation",
    "activations", "targets", "complexity", "slopes", "flag", "isotropy", "staircase", "symmetry", "generative",
    "leaps", "predictions", "dossier", "network", "own_weights", "training", "schedules", "trajectory_shapes",
    "trajectory", "events", "checkpoints", "pool", "job", "ensemble", "integrate", "flows", "sgd", "menu", "needs",
    "resolve", "rebuild", "ridge_fit", "spectrum", "stationary", "escapes", "outlook", "forecast", "passages",
    "reduction", "provenance", "bar", "runner", "survival", "_searching", "searching", "alignment", "network_series",
    "observables", "plateaus", "distances", "gauges", "midpoints", "comparison", "simulation", "readers", "specs",
    "config", "preparation", "experiment", "plotting", "flags", "cli", "__main__",
]  # fmt: skip
HEAVY = ("numba", "scipy", "matplotlib", "tqdm")
FORBIDDEN = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "pickle",
    "cPickle",
    "marshal",
    "shelve",
    "dill",
    "joblib",
}
KERNELS_MAY_IMPORT = {"math", "operator", "typing", "numpy", "numba", "llvmlite"}


def sources():
    return sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def name_of(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_kernel(path):
    return path.name.startswith("_") and path.name not in ("__init__.py", "__main__.py", "_jit.py")


def imported(path):
    """Every module that a file imports, anywhere in it, by its full name."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = {name_of(other) for other in sources()}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            inside = node.module.removeprefix("odesim").lstrip(".") if node.module.startswith("odesim") else None
            for one in node.names:
                full = f"{inside}.{one.name}".lstrip(".") if inside is not None else None
                yield f"odesim.{full}" if full in modules else node.module


def room(module):
    return module.split(".")[0]


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_a_room_imports_only_from_rooms_before_it(path):
    here = name_of(path)
    if not here:
        return  # the package itself names every room
    assert room(here) in ROOMS, f"{here}: no such room; put it into the order of rooms"
    for name in imported(path):
        if name.startswith("odesim.") and room(there := name.removeprefix("odesim.")) != room(here):
            assert ROOMS.index(room(there)) < ROOMS.index(room(here)), f"{here} imports {there}"


@pytest.mark.parametrize("path", [path for path in sources() if is_kernel(path)], ids=name_of)
def test_kernel_files_import_only_kernel_files(path):
    for name in imported(path):
        if name.startswith("odesim"):
            assert name.split(".")[-1].startswith("_"), f"{path.name} imports {name}"
        else:
            assert name.split(".")[0] in KERNELS_MAY_IMPORT, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", [path for path in sources() if is_kernel(path)], ids=name_of)
def test_kernel_files_use_the_one_decorator_and_never_raise(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Raise), f"{path.name}:{node.lineno} raises"
        if isinstance(node, ast.FunctionDef):
            used = [ast.unparse(one) for one in node.decorator_list]
            assert not any("njit" in one or one == "jit" for one in used), f"{path.name}: {node.name} uses {used}"


def test_no_file_is_named_like_a_public_function():
    public = set(odesim._HOME)
    assert {path.stem for path in sources()} & public == set()


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_nothing_is_evaluated_or_unpickled(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in FORBIDDEN, f"{path.name}:{node.lineno} calls {node.func.id}"
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            assert ast.unparse(node.value) == "False", f"{path.name}:{node.lineno} unpickles"
    assert not {name.split(".")[0] for name in imported(path)} & FORBIDDEN


def test_public_names_are_the_ones_type_checkers_see():
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {one.asname: node.module for node in block.body for one in node.names}
    assert seen == {name: f"odesim.{home}" for name, home in odesim._HOME.items()}


@pytest.mark.parametrize("name", sorted(odesim._HOME))
def test_public_names_exist_and_have_a_docstring(name):
    value = getattr(odesim, name)
    assert value.__doc__
    assert name in dir(odesim)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        odesim.nonsense  # noqa: B018


def test_the_version_is_stated_once():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project.get("version", odesim.__version__) == odesim.__version__


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ("import odesim; dir(odesim)", ()),
        ("import odesim; odesim.leap(odesim.Target.parse('z1 + z1*z2*z3'))", ()),
        ("import odesim.cli", ()),
        ("from odesim.experiment import Experiment; Experiment().start", ()),
    ],
)
def test_start_up_loads_nothing_heavy(statement, allowed):
    code = f"{statement}\nimport sys\nprint(*sorted({HEAVY!r} & sys.modules.keys()))".replace(
        repr(HEAVY), repr(set(HEAVY))
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert set(done.stdout.split()) <= set(allowed)


def test_continuous_integration_calls_the_documented_test_command():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command = (ROOT / ".ci" / "run").read_text(encoding="utf-8").strip().splitlines()[-1]
    assert command.replace('"$venv', ".venv-test").replace('"', "") in readme.replace('"', "")
