"""Target: its coefficients, values, printing and checks."""

import copy
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_targets import projection, value

from odesim.checks import InputError
from odesim.targets.series import Target

CASES = [
    ("z1 + z1*z2*z3", 3, 3),
    ("z1**2 + He3(z1)*z2/7 - 2", 2, 4),
    ("(z1 - 2*z2)**4 + sqrt(3)*He2(z1 + z2)", 2, 4),
    ("He4(z1)*He2(z2) + z2", 2, 6),
]


@pytest.mark.parametrize("data", ["gaussian", "boolean"])
@pytest.mark.parametrize(("text", "P", "degree"), CASES)
def test_terms_are_the_projection_on_the_orthonormal_basis(text, P, degree, data):
    target = Target.parse(text, data)
    expected = projection(lambda z: value(text, z), P, degree, data)
    for S, coefficient in expected.items():
        assert target.terms.get(S, 0.0) == pytest.approx(coefficient, rel=1e-11, abs=1e-10)
    assert set(target.terms) <= set(expected)


def test_a_square_in_both_bases():
    assert Target.parse("z1**2").terms == {(0,): 1.0, (2,): math.sqrt(2)}
    assert Target.parse("z1**2", "boolean").terms == {(0,): 1.0}
    assert Target.parse("He2(z1)/sqrt(2)").terms == {(2,): 1.0}
    assert Target.parse(f"He40(z1)/sqrt({math.factorial(40)})").terms == {(40,): 1.0}


def test_views():
    target = Target.parse("3 + z1 + 2*z1*z2*z3 - He2(z2)")
    assert (target.P, target.degree, target.constant) == (3, 3, 3.0)
    assert target.energy == pytest.approx(1 + 4 + 2)
    assert target.terms[(0, 0, 0)] == 3.0
    assert target.label((0, 2, 1)) == "He2(z2)*z3"
    assert target.label((1, 1, 1)) == "z1*z2*z3"
    assert target.label((0, 0, 0)) == "1"
    assert repr(target) == "Target.parse('3 + z1 - He2(z2) + 2*z1*z2*z3', data='gaussian')"


def test_arrays_hold_unnormalised_coefficients():
    terms = Target.parse("3 + z2 + 5*He2(z1)*z3").arrays()
    assert terms.offsets.tolist() == [0, 0, 1, 3]
    assert terms.coordinates.tolist() == [1, 0, 2]
    assert terms.powers.tolist() == [1, 2, 1]
    np.testing.assert_allclose(terms.coefficients, [3, 1, 5], rtol=1e-15)
    assert [array.dtype.name for array in terms] == ["int64", "int64", "int64", "float64"]
    assert all(array.flags.c_contiguous and array.flags.writeable for array in terms)


def test_arrays_of_a_zero_target():
    terms = Target.parse("z1 - z1").arrays()
    assert terms.offsets.tolist() == [0]
    assert terms.coordinates.shape == terms.powers.shape == terms.coefficients.shape == (0,)


def test_constants():
    for text, P, constant in [("z1 - z1", 1, 0.0), ("7/2", 0, 3.5), ("0", 0, 0.0)]:
        target = Target.parse(text)
        assert (target.P, target.constant, target.energy, target.degree) == (P, constant, 0.0, 0)
        np.testing.assert_array_equal(target.evaluate(np.ones((4, P))), np.full(4, constant))
        assert Target.parse(str(target)) == target


def test_evaluate_shapes():
    target = Target.parse("z1*z2 + He3(z2)")
    z = np.random.default_rng(0).normal(size=(2, 5, 2))
    x, y = z[..., 0], z[..., 1]
    np.testing.assert_allclose(target.evaluate(z), x * y + y**3 - 3 * y, rtol=1e-12)
    assert target.evaluate([1.0, 2.0]).shape == ()
    for bad in (np.ones((4, 3)), np.ones((2, 4)).T[:, :1], 1.0):
        with pytest.raises(InputError, match=r"give shape \(\.\.\., 2\)"):
            target.evaluate(bad)


def test_high_degree_keeps_its_digits():
    target = Target.parse("He40(z1)")
    assert target.terms == {(40,): pytest.approx(math.sqrt(math.factorial(40)), rel=1e-15)}
    # He_40(0) = 39!!
    assert float(target.evaluate([0.0])) == pytest.approx(math.prod(range(1, 40, 2)), rel=1e-12)


def test_equality_and_hash_do_not_see_order():
    first = Target.from_terms({(1, 0): 1.0, (1, 1): 2.0, (0, 1): 0.0})
    second = Target.parse("2*z2*z1 + z1")
    assert first == second
    assert len({first, second, Target.parse("2*z2*z1 + z1", "boolean")}) == 2
    assert first != Target.parse("2*z2*z1 + z1 + 0*z3")


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda target: pickle.loads(pickle.dumps(target))])
def test_clones(clone):
    target = Target.parse("z1 + He2(z2)")
    assert target.terms  # a cached view must not get in the way
    assert clone(target) == target


def test_terms_cannot_be_changed():
    with pytest.raises(TypeError):
        Target.parse("z1").terms[(1,)] = 2.0


REFUSALS = [
    ({(1,): 1.0}, "normal", "data='normal' is unknown; choose one of gaussian, boolean"),
    ({}, "gaussian", "holds no terms"),
    ([1], "gaussian", "holds no terms"),
    ({(1,): math.nan}, "gaussian", "terms[(1,)]=nan is not finite"),
    ({(1,): math.inf}, "gaussian", "is not finite"),
    ({(1,): "2"}, "gaussian", "is not a number"),
    ({(1,): 1e200}, "gaussian", "(bound 1e+150)"),
    ({(1, -1): 1.0}, "gaussian", "the exponent -1 in (1, -1); give non-negative integers"),
    ({(1, 0.5): 1.0}, "gaussian", "the exponent 0.5"),
    ({(1, True): 1.0}, "gaussian", "the exponent True"),
    ({"11": 1.0}, "gaussian", "the key '11'"),
    ({1: 1.0}, "gaussian", "the key 1; give a tuple"),
    ({(1,): 1.0, (1, 1): 1.0}, "gaussian", "(1,) and (1, 1) of different length"),
    ({(2, 0): 1.0}, "boolean", "(2, 0) on boolean data; give exponents 0 and 1"),
    ({(60, 60): 1.0}, "gaussian", "of degree above 100"),
]


@pytest.mark.parametrize(("terms", "data", "message"), REFUSALS)
def test_from_terms_refuses(terms, data, message):
    with pytest.raises(InputError) as caught:
        Target.from_terms(terms, data)
    assert message in str(caught.value)


def test_parse_refuses_an_unknown_law_and_huge_coefficients():
    with pytest.raises(InputError, match="data='normal'"):
        Target.parse("z1", "normal")
    with pytest.raises(InputError, match=r"coefficient 1e\+160 at z1"):
        Target.parse("1e160*z1")
    with pytest.raises(InputError, match=r"coefficient inf at He100\(z1\)"):
        Target.parse("1e300*He100(z1)")


def test_printing_is_short_where_it_can_be():
    texts = ["z1 + z1*z2*z3", "-z1 + 0.5*He3(z2)", "He2(z1)/sqrt(2)", "3*z1*He2(z2)", "z1 + 0*z3"]
    for text in [*texts, "0.1 - 1e-05*z2", "0", "7"]:
        assert str(Target.parse(text)) == text


@st.composite
def term_dicts(draw):
    P = draw(st.integers(1, 4))
    data = draw(st.sampled_from(["gaussian", "boolean"]))
    key = st.tuples(*[st.integers(0, 1 if data == "boolean" else 9)] * P)
    size = st.floats(-1e150, 1e150, allow_subnormal=True)
    return draw(st.dictionaries(key, size, min_size=1, max_size=6)), data


@settings(deadline=None, max_examples=300)
@given(term_dicts())
def test_printing_parses_back_to_the_bit(case):
    terms, data = case
    target = Target.from_terms(terms, data)
    assert target.terms == {S: c for S, c in terms.items() if c}
    assert Target.parse(str(target), data) == target
