"""The notebooks are committed executed, and still run."""

import re

import nbformat
import pytest
from conftest import ROOT
from nbclient import NotebookClient

FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LARGEST = 400_000  # bytes
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:tmp|work|root|home|Users|opt|usr|var)/|\b[A-Z]:\\")

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(output):
    """Everything in an output that is text: a stream, a result, a traceback."""
    yield output.get("text", "")
    yield from output.get("traceback", [])
    yield from (str(value) for kind, value in output.get("data", {}).items() if kind.startswith("text/"))


def faults(notebook):
    """What an executed notebook must not hold, one line each."""
    counts = [cell.execution_count for cell in code_cells(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        yield f"not executed from top to bottom: {counts}"
    for output in (output for cell in code_cells(notebook) for output in cell.outputs):
        if output.output_type == "error":
            yield f"error: {output.ename}: {output.evalue}"
        yield from (f"path of a machine: {text}" for text in texts(output) if MACHINE_PATH.search(text))


def test_there_is_a_notebook():
    assert NOTEBOOKS


@each
def test_committed_notebook_is_executed_clean_and_small(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert list(faults(notebook)) == []
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    assert outputs
    assert not [output.text for output in outputs if output.get("name") == "stderr"]
    assert path.stat().st_size < LARGEST


@each
def test_notebook_runs_in_quick_mode(path, monkeypatch):
    monkeypatch.setenv("ODESIM_QUICK", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # the package that is tested here, whose kernels are in the cache
    monkeypatch.delenv("MPLBACKEND", raising=False)  # pictures go into the notebook
    notebook = nbformat.read(path, as_version=4)
    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    resources = {"metadata": {"path": str(FOLDER)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    assert list(faults(notebook)) == []
