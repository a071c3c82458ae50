"""Predicted exponents against the formulas they come from, and their honesty about status and source."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from odesim import leaps, predictions
from odesim.complexity import leap
from odesim.leaps import coordinates_text, direction_text
from odesim.predictions import exponents, power_text
from odesim.targets.series import Target

LEAP4 = "z1 + z1*z2*z3 + z1*z2*z3*z4*z5*z6"


def rows_of(text, data="gaussian"):
    found = exponents(Target.parse(text, data))
    assert len({row.quantity for row in found}) == len(found)
    return {row.quantity: row for row in found}


def by_start(rows, start):
    found = [row for quantity, row in rows.items() if quantity.startswith(start)]
    assert found, (start, list(rows))
    return found


@pytest.mark.parametrize("data", ["gaussian", "boolean"])
@pytest.mark.parametrize(
    ("text", "steps", "time"),
    [("z1", "d", "d^2"), ("z1*z2", "d", "d^2"), ("z1*z2*z3", "d^2", "d^3"), (LEAP4, "d^2", "d^3")],
)
def test_online_sgd_is_conjecture_two(text, data, steps, time):
    rows = rows_of(text, data)
    first, second = rows["online SGD: steps = samples"], rows["online SGD: time (steps x d)"]
    assert (first.value, second.value) == (steps, time)
    assert first.status == second.status == "conjectured"
    assert "conj. 2" in first.source


def test_gaussian_exponents_are_those_of_isoleap():
    target = Target.parse("z1 + z2 + (z1 - z2)**4 - 12*(z1 - z2)**2")
    assert leap(target) < 4
    rows = {row.quantity: row for row in exponents(target)}
    assert rows["online SGD: steps = samples"].value == "d^3"
    assert rows["correlational queries / tolerance^2"].value == "d^2"
    last = by_start(rows, "flow time")[-1]
    assert last.value == "d"
    assert "0.707*z1 - 0.707*z2" in last.quantity


def test_groups_of_increasing_leaps():
    rows = rows_of(LEAP4)
    assert [row.value for row in by_start(rows, "flow time")] == ["1", "log d", "d^(1/2)"]
    # One step size d^{−3/2} for all: flow time over step.
    assert [row.value for row in by_start(rows, "steps at one constant")] == ["d^(3/2)", "d^(3/2)", "d^2"]
    assert [row.value for row in by_start(rows, "steps at a step-size schedule")] == ["d", "d", "d^2"]
    assert [row.group for row in by_start(rows, "flow time")] == [1, 2, 3]


@pytest.mark.parametrize("leaps", [(2, 3), (2, 5), (3, 4, 6)])
def test_group_formulas_of_the_theorems(leaps):
    parts, last = [], 0
    for size in leaps:
        last += size
        parts.append("*".join(f"z{i}" for i in range(1, last + 1)))
    rows = rows_of(" + ".join(parts))
    D = max(leaps)
    constant, schedule = by_start(rows, "steps at one"), by_start(rows, "steps at a")
    assert [row.exponent for row in constant] == [(k + D) / 2 - 1 for k in leaps]
    assert [row.exponent for row in schedule] == [k - 1 for k in leaps]
    assert {row.status for row in (*constant, *schedule)} == {"proved"}


@pytest.mark.parametrize(
    ("text", "data", "why"),
    [
        ("z1*z2 + z1*z2*z3*z4*z5", "boolean", "not Gaussian"),
        ("z1*z2 + z3*z4*z5", "gaussian", "not nested"),
        ("z1*z2 + He2(z1)*z2*z3*z4*z5", "gaussian", "another power of z1"),
        ("z1*z2 + z1*z2*z3*z4 + He2(z1)*z2*z3*z4*z5*z6*z7", "gaussian", "another power of z1"),
        ("z1*z2*z3 + z1*z2*z3*z4*z5*z6", "gaussian", "equal leaps"),
        ("z1*z2*z3*z4 + z1*z2*z3*z4*z5*z6", "gaussian", "falling leaps"),
        ("z1*z2 + z1*z2*z3*z4*z5 + z1*z2*z6*z7*z8", "gaussian", "two terms in a step"),
        ("z1 + z1*z2", "gaussian", "leap 1"),
    ],
)
def test_proved_only_where_the_theorems_stand(text, data, why):
    rows = exponents(Target.parse(text, data))
    assert {row.status for row in rows if row.group} == {"conjectured"}, why


def test_a_first_step_of_leap_one_is_our_own_scaling():
    rows = [row for row in exponents(Target.parse("z1 + z1*z2*z3")) if row.group]
    assert {(row.group, row.status) for row in rows} == {(1, "conjectured"), (2, "proved")}


def test_caveat_of_leaps_that_do_not_increase():
    text = "z1*z2*z3*z4 + z1*z2*z3*z4*z5*z6"
    assert any(predictions.MIXED in row.note for row in exponents(Target.parse(text)))
    assert not any(predictions.MIXED in row.note for row in exponents(Target.parse(LEAP4)))
    assert not any(predictions.MIXED in row.note for row in exponents(Target.parse("z1 + z1*z2")))


def test_batches():
    rows = rows_of("z1*z2*z3")
    assert rows["batch-time trade-off: steps at batch B"].value == "d^2/B"
    assert rows["batch-time trade-off: largest useful batch"].value == "d^(3/2)"
    # The largest batch leaves as many steps as flow time over a step of order 1.
    steps, batch = (by_start(rows, f"batch-time trade-off: {x}")[0].exponent for x in ("steps", "largest"))
    assert steps - batch == by_start(rows, "flow time")[0].exponent


def test_queries_on_boolean_data():
    rows = rows_of("z1*z2*z3 + z2*z3*z4", "boolean")
    assert rows["linear methods: samples"].value == "d^3"
    assert rows["correlational queries / tolerance^2"].value == "d^3"
    assert rows["statistical queries / tolerance^2"].value == "d^2"
    assert rows["statistical queries / tolerance^2"].status == "proved"
    assert rows["sample re-use (ERM): samples"].value == "d^(3/2)"
    assert rows["sample re-use (ERM): samples"].status == "conjectured"


def test_queries_on_gaussian_data():
    rows = rows_of("He5(z1)*z2")
    assert rows["linear methods: samples"].value == "d^6"
    assert rows["correlational queries / tolerance^2"].value == "d^3"
    assert rows["statistical queries, low degree: samples"].value == "d"
    assert "not needed" in rows["sample re-use (ERM): samples"].note
    assert not any(quantity.startswith("sample re-use (each") for quantity in rows)


def test_re_used_batches_only_for_one_direction():
    for text in ("He4(z1)", "He3(z1)", "(z1 + 2*z2)**4 - 30*(z1 + 2*z2)**2"):
        assert rows_of(text)["sample re-use (each batch twice): samples"].value == "d"


@pytest.mark.parametrize("data", ["gaussian", "boolean"])
@pytest.mark.parametrize("text", ["5", "z1 - z1", "0"])
def test_constants_have_none(text, data):
    assert exponents(Target.parse(text, data)) == []


@pytest.mark.parametrize("data", ["gaussian", "boolean"])
def test_rows_are_json_with_known_status_and_source(data):
    rows = exponents(Target.parse(LEAP4, data))
    assert json.loads(json.dumps([asdict(row) for row in rows], allow_nan=False))
    for row in rows:
        assert row.status in ("proved", "conjectured")
        assert any(key in row.source for key in predictions.REFERENCES)


def test_beyond_the_bounds_the_rest_stands():
    target = Target.parse("*".join(f"z{i}" for i in range(1, 25)), "boolean")
    known = leaps.leaps(target)
    assert known.sq is None
    assert any("SQ-leap not computed" in text for text in known.warnings)
    rows = {row.quantity: row for row in predictions.predictions(known)}
    assert rows["correlational queries / tolerance^2"].value == "d^24"
    assert "statistical queries / tolerance^2" not in rows


def test_powers_go_down_where_the_expansion_is_long():
    known = leaps.leaps(Target.parse("(z1 + z2 + 2*z3 + z4)**4"))
    assert known.generative is not None
    assert 1 <= known.generative.powers < 4


def test_texts():
    assert [power_text(x) for x in (0, 0.5, 1, 1.5, 2, -1, -1.5)] == [
        "1", "d^(1/2)", "d", "d^(3/2)", "d^2", "d^-1", "d^(-3/2)",
    ]  # fmt: skip
    assert direction_text(np.array([0.0, -1.0])) == "z2"
    assert direction_text(np.array([-0.6, 0.8])) == "0.6*z1 - 0.8*z2"
    assert coordinates_text([1, 3, 4, 5, 9, 10]) == "z1, z3..z5, z9, z10"
    assert coordinates_text([1, 3, 5, 7, 9, 11, 13]) == "z1, z3, z5, z7, ... 3 more"
