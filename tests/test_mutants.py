"""Every deliberate error of mutants.py is caught by the test named for it (python -m pytest -m mutants)."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import ROOT
from mutants import MUTANTS, Mutant

TESTS = ROOT / "tests"
NAMED = list(dict.fromkeys(mutant.caught_by for mutant in MUTANTS))

# Loaded by the inner pytest: the copy is what gets imported, and a failing example is not made smaller.
GUARD = """
from pathlib import Path

import odesim
from hypothesis import Phase, settings

assert Path(odesim.__file__).parent.parent == Path(__file__).parent, odesim.__file__
settings.register_profile(
    "one failure",
    deadline=None,
    max_examples=50,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
)
"""
BROKEN = re.compile(r"numba\.core\.errors|SyntaxError|NameError|ImportError|ModuleNotFoundError")


class Copy:
    """The package in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.package = folder, folder / "odesim"
        shutil.copytree(ROOT / "odesim", self.package, ignore=shutil.ignore_patterns("__pycache__", "*.nb*"))
        (folder / "guard.py").write_text(GUARD, encoding="utf-8")

    def test(self, *names: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run tests against the copy; what is compiled is shared by copies with the same kernels."""
        stamp = hashlib.sha256(b"".join(p.read_bytes() for p in sorted(self.package.rglob("_*.py")))).hexdigest()
        environment = os.environ | {
            "PYTHONPATH": str(self.folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "NUMBA_CACHE_DIR": str(self.folder / "compiled" / stamp[:16]),
            "NUMBA_OPT": "1",  # compiles in half the time
        }
        options = ["-x", "--no-header", "-q", "-p", "no:cacheprovider", "-p", "guard"]
        options += ["--hypothesis-profile=one failure", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT)]
        command = [sys.executable, "-m", "pytest", *options, *(str(TESTS / name) for name in names)]
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=timeout
        )

    @contextmanager
    def mutated(self, mutant: Mutant) -> Iterator[None]:
        """Hold the error for a while."""
        path = self.package / mutant.file
        text = path.read_text(encoding="utf-8")
        assert text.count(mutant.old) == 1
        path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return Copy(tmp_path_factory.mktemp("mutants"))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.file}: {mutant.old.strip()}")
def test_every_fragment_stands_once_and_changes(mutant):
    assert (ROOT / "odesim" / mutant.file).read_text(encoding="utf-8").count(mutant.old) == 1
    assert mutant.new != mutant.old


def test_every_named_test_exists():
    """With its parameters: what is not collected cannot fail."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, *NAMED], cwd=TESTS, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.mutants
def test_the_named_tests_pass_without_an_error(copy):
    done = copy.test(*NAMED, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.mutants
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.file}: {mutant.why}")
def test_the_error_is_caught(mutant, copy):
    with copy.mutated(mutant):
        done = copy.test(mutant.caught_by)
    assert done.returncode == 1, done.stdout + done.stderr
    assert not BROKEN.search(done.stdout), done.stdout
