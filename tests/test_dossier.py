"""What is known of a target, as an object and as a table."""

import json

import pytest

from odesim.complexity import leap_path
from odesim.dossier import WIDTH, describe, shorten, table
from odesim.targets.series import Target

TARGETS = [
    ("z1 + z1*z2*z3", "gaussian"),
    ("z1 + z2 + z1*z2", "gaussian"),
    ("z1 + z2 + (z1 - z2)**4 - 12*(z1 - z2)**2", "gaussian"),
    ("He3(z1)", "gaussian"),
    ("z1*z2*z3*z4 + z1*z2*z3*z4*z5*z6", "gaussian"),
    ("(z1 + z2 + z3)**3*(z4 + z5)**2 + z1", "gaussian"),
    ("z1 + z2 + z1*z3 + z2*z4", "boolean"),
    ("z1 + z2 + z3 + z1*z2*z3", "boolean"),
    ("z2 + z3 + z1*z2 - z1*z3", "boolean"),
    ("z1 + z1*z2*z3*z4*z5", "boolean"),
    ("5", "gaussian"),
    ("5", "boolean"),
    ("z1 - z1", "gaussian"),
    (" + ".join(f"z{i}*z{i + 1}" for i in range(1, 60)) + " + z1", "boolean"),
    (" + ".join(f"z{i}*z{i + 1}" for i in range(1, 60)) + " + z1", "gaussian"),
]
KEYS = {
    "leap", "isoleap", "information_exponent", "merged_staircase", "generative_leap", "sq_leap", "isoleap_path",
    "plateau_levels", "path", "symmetry", "exponents",
}  # fmt: skip


@pytest.mark.parametrize(("text", "data"), TARGETS)
def test_object_is_strict_json_that_holds_together(text, data):
    target = Target.parse(text, data)
    about = describe(target)
    assert json.loads(json.dumps(about, allow_nan=False)) == about
    assert about.keys() >= KEYS
    assert len(about["plateau_levels"]) == len(about["path"]) + 1
    assert about["plateau_levels"][-1] == 0
    assert about["leap"] == max((step["leap"] for step in about["path"]), default=0)
    assert about["merged_staircase"] == (about["leap"] <= 1)
    for step in about["path"]:
        assert step["coordinates"] == sorted(step["coordinates"])
        assert step["coordinates"][0] >= 1
    assert (about["isoleap"] is None) == (about["isoleap_path"] is None)
    if data == "boolean":
        assert about["isoleap"] is about["isoleap_path"] is about["generative_leap"] is None
        assert about["symmetry"]["verdict"] in ("stuck", "undecided", "free")
    else:
        assert about["symmetry"] is about["sq_leap"] is None
        found = about["isoleap_path"]
        assert len(found["plateau_levels"]) == len(found["path"]) + 1
        assert about["leap"] <= about["isoleap"] == max((step["leap"] for step in found["path"]), default=0)
        assert about["generative_leap"] <= about["isoleap"]


def test_default_target():
    about = describe(Target.parse("z1 + z1*z2*z3"))
    assert about["path"] == [
        {"leap": 1, "terms": ["z1"], "coordinates": [1]},
        {"leap": 2, "terms": ["z1*z2*z3"], "coordinates": [2, 3]},
    ]
    assert about["plateau_levels"] == [1.0, 0.5, 0.0]
    assert (about["leap"], about["isoleap"], about["information_exponent"]) == (2, 2, 1)
    assert (about["merged_staircase"], about["generative_leap"]) == (False, 2)
    assert about["warnings"] == []


def test_isotropic_path_beside_the_axes():
    about = describe(Target.parse("z1 + z2 + z1*z2"))
    assert (about["leap"], about["isoleap"]) == (1, 2)
    assert about["isoleap_path"]["plateau_levels"] == pytest.approx([1.5, 0.25, 0])
    assert [step["leap"] for step in about["isoleap_path"]["path"]] == [1, 2]
    assert [step["coordinates"] for step in about["isoleap_path"]["path"]] == [[1, 2], [1, 2]]
    lines = table(about)
    assert "path in the worst rotation" in lines
    assert "0.707*z1 + 0.707*z2" in lines
    assert "path in the worst rotation" not in table(describe(Target.parse("z1 + z1*z2*z3")))


def test_constants():
    about = describe(Target.parse("5", "gaussian"))
    assert about["information_exponent"] is None
    assert about["merged_staircase"] is True
    assert (about["path"], about["plateau_levels"], about["exponents"]) == ([], [0.0], [])
    assert (about["leap"], about["isoleap"], about["generative_leap"]) == (0, 0, 0)
    assert "constant" in table(about)


def test_symmetry():
    found = describe(Target.parse("z1 + z2 + z1*z3 + z2*z4", "boolean"))["symmetry"]
    assert found["verdict"] == "stuck"
    assert found["floor"] == pytest.approx(0.5)
    assert sorted(found["classes"]) == [[1, 2], [3, 4]]
    freed = Target.parse(found["perturbation"], "boolean")
    assert describe(freed)["symmetry"]["verdict"] == "free"
    assert describe(Target.parse("z1 + z1*z2", "boolean"))["symmetry"]["perturbation"] is None


@pytest.mark.parametrize(("text", "data"), TARGETS)
def test_table_fits_and_says_it_all(text, data):
    about = describe(Target.parse(text, data))
    lines = table(about).splitlines()
    assert all(len(line) <= WIDTH and line == line.rstrip() for line in lines)
    assert len(lines) < 100
    whole = "\n".join(lines)
    for word in ("leap", "information exponent", "merged staircase"):
        assert word in whole
    assert ("SQ-leap" in whole) == (data == "boolean")
    assert ("isoLeap" in whole) == (data == "gaussian")
    if about["exponents"]:
        assert "proved" in whole
        assert "conjectured" in whole
        assert "arXiv 2302.11055" in whole


def test_table_shows_the_levels_of_the_path():
    target = Target.parse("z1 + z1*z2*z3*z4*z5 + z1*z2*z3*z4*z5*z6*z7", "boolean")
    lines = table(describe(target)).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("path"))
    for line, step, before, after in zip(
        lines[start + 2 :],
        leap_path(target).steps,
        leap_path(target).plateau_levels,
        leap_path(target).plateau_levels[1:],
        strict=False,
    ):
        cells = line.split()
        assert cells[1] == str(step.leap)
        assert [float(cells[2]), float(cells[3])] == [before, after]


def test_what_is_beyond_a_bound_is_null_with_a_warning():
    about = describe(Target.parse("*".join(f"z{i}" for i in range(1, 30)), "boolean"))
    assert about["sq_leap"] is None
    assert any("SQ-leap" in text for text in about["warnings"])
    assert "warning: SQ-leap" in table(about)
    assert about["leap"] == 29


def test_shorten():
    assert shorten("z1 + z2", 20) == "z1 + z2"
    assert shorten("z1 + z2 + z3 + z4 + z5 + z6", 20) == "z1 + z2 + z3 ..."
    assert shorten("z1*z2*z3*z4*z5*z6*z7*z8", 12) == "z1*z2*z3 ..."
    assert all(len(shorten("z1 + z2*z3 - z4" * 9, width)) <= width for width in range(10, 60))
