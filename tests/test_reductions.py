"""The measured numbers of the pages in docs/: the quick form of all of them, against what theory expects of them."""

import json
import math
import re
import subprocess
import sys
import textwrap

import pytest
from conftest import ROOT

if str(ROOT) not in sys.path:  # they are not installed with the package
    sys.path.insert(0, str(ROOT))

from benchmarks.tables import Table, text

PAGES = {"overlap": "overlap-flow", "correlation": "correlation-flow", "mean-field": "mean-field-flow"}


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """What ``--quick`` prints, and its tables by page and name."""
    path = tmp_path_factory.mktemp("reductions") / "tables.json"
    command = [sys.executable, "-m", "benchmarks.reductions", "--quick", "--json", path]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    content = json.loads(path.read_text(encoding="utf-8"))
    assert set(content) == {"machine", "versions", "tables"}
    return done.stdout, content["tables"]


def rows(quick, page, name):
    return next(table["rows"] for table in quick[1][page] if table["name"] == name)


def test_every_page_has_its_tables_of_finite_numbers(quick):
    printed, tables = quick
    assert set(tables) == set(PAGES)
    for page in tables.values():
        for table in page:
            assert f"{table['name']}: {table['settings']}" in printed
            assert table["rows"]
            for row in table["rows"]:
                assert len(row) == len(table["columns"])
                assert all(isinstance(cell, str) or math.isfinite(cell) for cell in row)


def test_gaps_have_the_size_that_the_pages_state(quick):
    points = rows(quick, "overlap", "finite-step term by points")
    assert points[1][2] < 0.05
    assert points[1][2] < points[0][2]
    (_, first, *_), (_, second, *_) = rows(quick, "overlap", "flow against steps")
    assert first / second == pytest.approx(2.0, abs=0.3)
    assert all(row[1] < 0.01 for row in rows(quick, "overlap", "central-limit gap of the risk"))
    leap_1 = [table["rows"] for table in quick[1]["correlation"] if table["settings"].startswith("z1 + z1*z2*z3, erf")]
    assert all(row[2] == pytest.approx(0.021, abs=0.002) for row in leap_1[0])
    (_, wide, *_), (_, wider, *_) = rows(quick, "mean-field", "width")
    assert wide / wider == pytest.approx(2.0, abs=0.2)
    (few, *_, rough), (many, *_, fine) = rows(quick, "mean-field", "Gauss–Hermite nodes")
    assert few < many
    assert fine < rough


@pytest.mark.parametrize("page", PAGES.values())
def test_the_pages_have_no_gaps_and_name_their_command(page):
    content = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    assert "@@" not in content
    assert "python -m benchmarks.reductions" in content
    for target in re.findall(r"\]\(([^)#]+)\)", content):
        assert target.startswith("https://") or (ROOT / "docs" / target).exists(), target


@pytest.mark.parametrize("page", PAGES.values())
def test_the_examples_of_the_pages_run(page):
    content = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```python\n(.*?)^ *```$", content, re.DOTALL | re.MULTILINE)
    assert blocks
    names = {}
    for block in blocks:
        exec(textwrap.dedent(block), names)
    found = names.get("out", names["flow"])
    assert found.message == "reached the last step"


CELLS = [(None, "–"), ("erf", "erf"), (8, "8"), (0.0, "0.0"), (0.012345, "0.0123"), (123.4, "123"), (2.5e-7, "2.5e-07")]


@pytest.mark.parametrize(("cell", "expected"), CELLS)
def test_cells_have_three_figures(cell, expected):
    assert text(cell) == expected


def test_a_table_is_markdown():
    table = Table("gap", "at the start", ("d", "gap"), [(7, 0.5), (14, None)])
    assert table.markdown() == "gap: at the start\n\n| d | gap |\n| --- | --- |\n| 7 | 0.500 |\n| 14 | – |\n"


def test_an_unknown_page_is_refused():
    command = [sys.executable, "-m", "benchmarks.reductions", "--pages", "nonsense"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert "--pages='nonsense'" in done.stderr
