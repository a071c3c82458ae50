"""The parser: Python's grammar, exact arithmetic in the basis, and a clear refusal of everything else."""

import re
import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from naive_targets import value

from odesim.checks import InputError
from odesim.targets.parse import MAX_NESTING, parse
from odesim.targets.series import Target

Z1, Z2, Z3 = ((0, 1),), ((1, 1),), ((2, 1),)


def gaussian(text):
    return parse(text, "gaussian")[0]


def test_precedence_is_pythons():
    assert gaussian("-z1**2") == {(): -1, ((0, 2),): -1}
    assert gaussian("2**3**1*z1") == {Z1: 8}
    assert gaussian("2**2**3*z1") == {Z1: 256}
    assert gaussian("z1 - z2 - z3") == {Z1: 1, Z2: -1, Z3: -1}
    assert gaussian("12/2/3*z1") == {Z1: 2}
    assert gaussian("2*-z1") == gaussian("--2*+-z1") == {Z1: -2}
    assert gaussian("-2**2") == {(): -4}
    assert gaussian("(-2)**2 + z1**0 + 0**0") == {(): 6}


def test_arithmetic_is_exact():
    assert gaussian("z1/3 + 0.1*z2") == {Z1: Fraction(1, 3), Z2: Fraction(1, 10)}
    assert gaussian("0.1*z1 + 0.2*z1 - 0.3*z1") == {}
    assert gaussian("1e16*z1 + z1 - 1e16*z1") == {Z1: 1}
    assert gaussian("z1 + 1e-100*z1 - z1") == {Z1: Fraction("1e-100")}
    assert gaussian("z1 + 1e-200*z2 - z1") == {Z2: Fraction("1e-200")}
    assert gaussian("sqrt(9/4)*z1") == {Z1: Fraction(3, 2)}
    assert gaussian(".5e1*z1 + 5.*z2") == {Z1: 5, Z2: 5}


def test_powers_of_fractions_are_exact():
    base = "(z1/3 - 2*z2/7 + 0.1)"
    assert gaussian(f"{base}**4") == gaussian("*".join([base] * 4))
    assert gaussian(f"He4{base}") == gaussian(f"{base}**4 - 6*{base}**2 + 3")
    assert float(gaussian("(1/3 + sqrt(2))**300")[()]) == pytest.approx((1 / 3 + 2**0.5) ** 300, rel=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        "sqrt(2)**2*z1 - 2*z1",
        "(1 + sqrt(5))*(1 - sqrt(5))*z1 + 4*z1",
        "(z1 + sqrt(3))*(z1 - sqrt(3)) - z1**2 + 3",
    ],
)
def test_roots_cancel(text):
    assert gaussian(text) == {}


def test_a_tiny_coefficient_beside_a_root_survives():
    assert gaussian("sqrt(2)*z2 + 1e-100*z1").keys() == {Z1, Z2}


def test_products_stay_in_the_hermite_basis():
    assert gaussian("He40(z1)") == {((0, 40),): 1}
    assert gaussian("He3(z1)*He2(z2)*He8(z3)") == {((0, 3), (1, 2), (2, 8)): 1}
    assert gaussian("He2(z1)*He3(z1)") == {((0, 5),): 1, ((0, 3),): 6, Z1: 6}
    assert gaussian("He2(-z1) + He1(z2) + He0(z3) - 1") == {((0, 2),): 1, Z2: 1}
    assert gaussian("He2(z1 + z2)") == {((0, 2),): 1, ((1, 2),): 1, ((0, 1), (1, 1)): 2, (): 1}
    assert gaussian("He3(2)") == {(): 2}
    assert gaussian("He20(He5(z1))")[((0, 100),)] == 1


def test_boolean_squares_are_one():
    assert parse("z1**2", "boolean")[0] == {(): 1}
    assert parse("(z1 + z2)**3", "boolean")[0] == {Z1: 4, Z2: 4}
    assert parse("He3(z1) + He2(z2)", "boolean")[0] == {Z1: -2}
    assert parse("z1*z2*z1*z3", "boolean")[0] == {((1, 1), (2, 1)): 1}


def test_support_is_the_highest_coordinate_mentioned():
    assert parse("z1 + 0*z5", "gaussian") == ({Z1: 1}, 5)
    assert parse("z2 - z2", "gaussian") == ({}, 2)
    assert parse("3", "gaussian") == ({(): 3}, 0)


LONG_SUMS = ["+".join(f"z{i}" for i in range(start, start + 500)) for start in (1, 501)]
REFUSALS = [
    ("", "target is empty; give an expression such as 'z1 + z1*z2*z3'"),
    (" \n", "target is empty"),
    ("tanh(z1)", "the unknown name 'tanh' at column 1; the expression must be a polynomial in z1, z2"),
    ("z1 + x", "the unknown name 'x' at column 6"),
    ("lambda", "the unknown name 'lambda'"),
    ("None", "the unknown name 'None'"),
    ("__import__", "the unknown name '__import__'"),
    ("z1.real", "an unexpected character '.' at column 3"),
    ("z1, z2", "an unexpected character ','"),
    ("z\u0661", "an unexpected character"),
    ("1j", "the unknown name 'j' at column 2"),
    ("z0", "the coordinate 'z0' at column 1; coordinates count from z1"),
    ("z00", "coordinates count from z1"),
    ("z01", "the coordinate 'z01' at column 1; write z1"),
    ("z999999999", "the coordinate 'z999999999' at column 1; they go up to z10000"),
    ("z" + "9" * 5000, "they go up to z10000"),
    ("z1^2", "'^' at column 3; write ** for powers"),
    ("2z1", "an implicit product at column 2; write the * out, as in 2*z1"),
    ("z1 z2", "an implicit product at column 4; write the * out, as in z1*z2"),
    ("(z1)(z2)", "an implicit product at column 5"),
    ("z1(z2)", "an implicit product at column 3"),
    ("2sqrt(2)", "an implicit product at column 2; write the * out, as in 2*sqrt"),
    ("(z1", "a '(' that is never closed at column 1"),
    ("((z1)", "a '(' that is never closed at column 1"),
    ("z1)", "a ')' that closes nothing at column 3"),
    ("()", "an empty or unfinished part before ')' at column 2"),
    ("(z1+)", "an empty or unfinished part before ')' at column 5"),
    ("z1 +", "an end that comes too early at column 5; complete what follows '+'"),
    ("*z1", "an unexpected '*' at column 1"),
    ("z1 // 2", "an unexpected '/' at column 5"),
    ("z1**", "no exponent after ** at column 5"),
    ("z1**-1", "the exponent '-' at column 5; write a non-negative integer literal"),
    ("z1**0.5", "the exponent '0.5' at column 5"),
    ("z1**2.0", "the exponent '2.0'"),
    ("z1**z2", "the exponent 'z2'"),
    ("9**9**9", "too large an exponent at column 4; it must be at most 1000"),
    ("z1**2**2**2**2**2**2", "too large an exponent"),
    ("z1**" + "9" * 5000, "it must be at most 1000"),
    ("z1**101", "degree 101 (bound 100) at column 3; lower the powers"),
    ("He60(z1)*z2**60", "degree 120 (bound 100) at column 9"),
    ("He11(z1**10)", "degree 110 (bound 100) at column 1"),
    ("He101(z1)", "'He101' at column 1; its degree must be at most 100"),
    ("He(z1)", "'He' without a degree at column 1; write it as in He2(z1)"),
    ("He2", "'He2' without an argument at column 1"),
    ("z1 + $", "an unexpected character '$' at column 6"),
    ("z1 +\n\u00a0z2", "an unexpected character"),
    ("sqrt 2", "'sqrt' without an argument at column 1"),
    ("sqrt(z1)", "'sqrt' of a polynomial at column 1"),
    ("sqrt(-1)", "'sqrt' of a negative number at column 1"),
    ("z1/z2", "a division by a polynomial at column 4; divide by constants only"),
    ("z1/0", "a division by zero at column 4"),
    ("z1/(z2 - z2)", "a division by zero"),
    ("nan*z1", "the non-finite coefficient 'nan' at column 1"),
    ("z1 + Infinity", "the non-finite coefficient 'Infinity' at column 6"),
    ("1e999", "the non-finite coefficient '1e999' at column 1"),
    ("9" * 310, "the non-finite coefficient"),
    ("1e99999999999", "the non-finite coefficient"),
    ("1e-999*z1", "the number '1e-999', too small for floating point, at column 1"),
    ("1e-99999999999*z1", "too small for floating point"),
    ("0." + "1" * 1000, "of 1002 characters at column 1; give at most 400"),
    ("1e200*1e200*z1", "a coefficient outside the floating-point range at column 6"),
    ("9**999", "a coefficient outside the floating-point range at column 2"),
    ("(" * (MAX_NESTING + 1) + "z1", f"nested too deep at column {MAX_NESTING + 1}"),
    ("(" * 100_000, "nested too deep"),
    ("(" + "+".join(f"z{i}" for i in range(1, 13)) + ")**60", "1.5e+13 terms (bound 200000)"),
    ("He60(" + "+".join(f"z{i}" for i in range(1, 13)) + ")", "1.5e+13 terms (bound 200000)"),
    (f"({LONG_SUMS[0]})*({LONG_SUMS[1]})", "2.5e+05 terms (bound 200000)"),
    ("(z1+z2+z3)**60", "an expansion of more than 2000000 products"),
]


@pytest.mark.parametrize(("text", "message"), REFUSALS, ids=[text[:24] for text, _ in REFUSALS])
def test_refusals_name_culprit_column_and_remedy(text, message):
    start = time.process_time()
    with pytest.raises(InputError) as caught:
        parse(text, "gaussian")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 220
    assert time.process_time() - start < 1.0  # refused before anything large is formed


def test_many_expansions_share_one_budget():
    with pytest.raises(InputError, match="more than 2000000 products at column"):
        gaussian("+".join(["(z1+z2+z3)**30"] * 20))


@pytest.mark.parametrize("text", [None, 3, b"z1", ["z1"]])
def test_only_text_is_read(text):
    with pytest.raises(InputError, match="is not text"):
        parse(text, "gaussian")


def test_boolean_powers_are_bounded_too():
    with pytest.raises(InputError, match="expansion of more than 2000000 products"):
        parse("(" + "+".join(f"z{i}" for i in range(1, 13)) + ")**60", "boolean")


def test_what_only_looks_large_is_read():
    assert len(gaussian("(z1*z2*z3*z4*z5*z6*z7 + 1)**3")) == 2**7 + 2**7  # powers {1, 3} and {0, 2}
    even = sum((a + 1) * (a + 2) // 2 for a in range(0, 21, 2))
    assert len(gaussian("(z1 + z2 + z3)**20")) == even
    assert len(gaussian("(" + "+".join(f"z{i}" for i in range(1, 201)) + ")**2")) == 200 * 201 // 2 + 1


def test_ten_thousand_terms_in_a_second():
    rng = np.random.default_rng(0)
    chosen = [rng.choice(300, 3, replace=False) + 1 for _ in range(10_000)]
    text = " + ".join(f"{rng.normal():.6f}*z{i}*z{j}*He2(z{k})" for i, j, k in chosen)
    assert min(_seconds(text) for _ in range(3)) < 1.0


def _seconds(text):
    start = time.process_time()
    polynomial, _ = parse(text, "gaussian")
    assert len(polynomial) > 9000
    return time.process_time() - start


def test_long_chains_do_not_recurse():
    assert gaussian("-" * 50_000 + "z1") == {Z1: 1}
    assert gaussian("*".join(["1"] * 50_000) + "*z1") == {Z1: 1}
    assert gaussian("(" * MAX_NESTING + "z1" + ")" * MAX_NESTING) == {Z1: 1}


def test_long_fractions_stay_quick():
    start = time.process_time()
    text = " + ".join(f"z1/{2 * k + 1}" for k in range(4000))
    total = float(gaussian(text)[Z1])
    assert total == pytest.approx(sum(1 / (2 * k + 1) for k in range(4000)), rel=1e-14)
    power = gaussian("(sqrt(2)*z1 + 0.123456789012345678)**60")
    assert float(power[((0, 60),)]) == pytest.approx(2**30, rel=1e-15)
    assert time.process_time() - start < 5.0


leaves = st.one_of(
    st.integers(1, 3).map(lambda i: f"z{i}"),
    st.integers(0, 5).map(str),
    st.sampled_from(["0.5", "1e-1", "2.25", "sqrt(2)", ".3"]),
)


def grow(children):
    pair = st.tuples(children, children)
    return st.one_of(
        pair.map("{0[0]} + {0[1]}".format),
        pair.map("{0[0]} - {0[1]}".format),
        pair.map("{0[0]}*{0[1]}".format),
        pair.map("({0[0]})*({0[1]})".format),
        children.map("({})".format),
        children.map("-{}".format),
        st.tuples(children, st.sampled_from(["2", "-4", "0.5", "3**2"])).map("{0[0]}/{0[1]}".format),
        st.tuples(children, st.integers(0, 3)).map("({0[0]})**{0[1]}".format),
        st.tuples(leaves, st.integers(0, 3)).map("{0[0]}**{0[1]}".format),
        st.tuples(st.integers(0, 4), children).map("He{0[0]}({0[1]})".format),
    )


expressions = st.recursive(leaves, grow, max_leaves=6)


@settings(deadline=None, max_examples=300)
@given(expressions, st.sampled_from(["gaussian", "boolean"]))
def test_value_is_that_of_pythons_grammar(text, data):
    rng = np.random.default_rng(len(text))
    z = rng.choice([-1.0, 1.0], (20, 3)) if data == "boolean" else rng.normal(size=(20, 3)) / 2
    try:
        target = Target.parse(text, data)
    except InputError as error:
        event(f"refused: {str(error)[:40]}")
        refused_for_size = re.search("degree|bound|products|range", str(error))
        assert refused_for_size
        return
    lost = 1e-12 * 3.0**target.degree * (1 + sum(abs(c) for c in target.terms.values()))
    np.testing.assert_allclose(target.evaluate(z[:, : target.P]), value(text, z), rtol=1e-9, atol=lost)


@settings(deadline=None, max_examples=300)
@given(st.text(st.sampled_from("z123He()+-*/^. 0e9sqrt_"), max_size=25))
def test_any_text_is_read_or_refused_in_one_line(text):
    try:
        parse(text, "gaussian")
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017
