"""Generative leap and SQ-leap against their definitions and the examples of their papers."""

import math
import time

import naive_generative as naive
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from odesim import generative
from odesim.checks import InputError
from odesim.complexity import leap
from odesim.generative import generative_leap, sq_leap
from odesim.isotropy import isoleap
from odesim.rotation import rotated
from odesim.targets.series import Target


def quick(examples):
    """Settings without the search for a smaller counterexample, which may take minutes."""
    return settings(deadline=None, max_examples=examples, phases=[Phase.explicit, Phase.generate])


def product(first, last):
    return "*".join(f"z{i}" for i in range(first, last + 1))


# A single-index polynomial has generative exponent 2 where it is even and 1 where it is not: E[He_k(z)^k z] > 0
# for odd k, and E[He_k(z)² He_2(z)] > 0.
@pytest.mark.parametrize("k", range(1, 13))
def test_one_hermite_polynomial(k):
    found = generative_leap(Target.parse(f"He{k}(z1)"))
    assert found.value == found.exponent == (1 if k % 2 else 2)
    assert found.powers == 4


@pytest.mark.parametrize(
    ("text", "value", "exponent"),
    [
        ("He40(z1)", 2, 2),
        ("z1 + He5(z1)", 1, 1),
        ("He4(z1) + He2(z1)", 2, 2),
        ("He4(z1) + He3(z1)", 1, 1),
        ("He6(z1) + He3(z2)", 2, 1),
        ("z1*z2*z3", 2, 2),
        (product(1, 6), 2, 2),
        ("z1 + z1*z2*z3", 2, 1),
        ("z1 + z1*z2 + z1*z2*z3", 1, 1),
        # The recursion along the axes says 1 here, but z1 - z2 enters h evenly.
        ("z1 + z2 + z1*z2", 2, 1),
        ("z1*z2*z3 + z2*z3*z4", 2, 2),
        ("He3(z1)*He5(z2)", 2, 2),
        ("He3(z1) + He3(z1)*He7(z2)", 1, 1),
        ("He4(z1)*z2 + 3", 2, 1),
        ("z3 - 2*z7", 1, 1),
    ],
)
def test_polynomials_of_several_directions(text, value, exponent):
    found = generative_leap(Target.parse(text))
    assert (found.value, found.exponent) == (value, exponent)


def test_signs_that_leave_h_alone_forbid_a_smaller_value():
    # h(z1, z2) = h(−z1, −z2), so that no T(h) correlates with a first power.
    target = Target.parse("z1*z2 + He3(z1)*z2 + He2(z1)*He2(z2)")
    z = np.random.default_rng(0).standard_normal((100, 2))
    np.testing.assert_allclose(target.evaluate(z), target.evaluate(-z), atol=1e-12)
    assert generative_leap(target, 6).exponent == 2


@pytest.mark.parametrize(
    "text", ["z1 + z2 + z1*z2", "He4(z1)*z2 + He3(z3)", "z1*z2*z3 + He2(z1)*z2", "He3(z1) + He3(z1)*He4(z2)"]
)
def test_unchanged_by_rotations(text):
    target = Target.parse(text)
    expected = generative_leap(target, 3)
    for seed in range(5):
        R = np.linalg.qr(np.random.default_rng(seed).standard_normal((target.P, target.P)))[0]
        assert generative_leap(rotated(target, R), 3) == expected


def test_more_powers_never_hurt_and_one_is_isoleap():
    for text in ("He7(z1)", "He5(z1)*z2 + He3(z2)", "z1 + z2 + z1*z2", "He3(z1)*He3(z2)*z3"):
        target = Target.parse(text)
        values = [generative_leap(target, p).value for p in range(1, 6)]
        assert values[0] == isoleap(target)
        assert values == sorted(values, reverse=True)


def test_a_product_needs_the_third_power_to_be_odd():
    target = Target.parse("He3(z1)")
    assert [generative_leap(target, p).value for p in (1, 2, 3)] == [3, 2, 1]


def test_a_coefficient_that_cancels_is_none():
    # With d so, E[h² z] = 2(ab√3 + 2bc + cd√5) is 0 but for rounding.
    a, b, c = 0.1, 0.7, 0.3
    d = -(a * b * math.sqrt(3) + 2 * b * c) / (c * math.sqrt(5))
    assert generative_leap(Target.from_terms({(2,): a, (3,): b, (4,): c, (5,): d}), 2).exponent == 2
    assert generative_leap(Target.from_terms({(2,): a, (3,): b, (4,): c, (5,): d * 1.001}), 2).exponent == 1


@st.composite
def polynomials(draw):
    P = draw(st.integers(1, 2))
    key = st.tuples(*[st.integers(0, 3)] * P).filter(lambda S: 0 < sum(S) <= 4)
    coefficient = st.sampled_from([-2.0, -1.0, 0.5, 1.0, 3.0])
    return Target.from_terms(draw(st.dictionaries(key, coefficient, min_size=1, max_size=4)))


@quick(60)
@given(polynomials())
def test_powers_equal_quadrature(target):
    scale = math.sqrt(sum(c * c for c in target.terms.values()))
    top = max(target.degree, 2)
    found = generative._powers(dict(target.series), 4)
    for p, series in found.items():
        expected = naive.coefficients(target.evaluate, target.P, top, p, 2 * target.degree + top)
        mine = {target.exponents(key): c for key, c in series.items() if any(target.exponents(key))}
        assert mine.keys() <= expected.keys()
        for S, c in expected.items():
            assert mine.get(S, 0.0) == pytest.approx(c / scale**p, abs=1e-9)


@quick(40)
@given(polynomials(), st.integers(1, 4))
def test_equals_the_recursion_on_the_family(target, powers):
    used = {i for S in target.terms for i, s in enumerate(S) if s}
    if len(used) < target.P:
        return
    try:
        expected = naive.generative_leap(target.evaluate, target.P, max(target.degree, 2), powers)
    except naive.IrrelevantError:
        return
    assert generative_leap(target, powers).value == expected


@pytest.mark.parametrize(
    "text", ["z1 + z1*z2*z3", "z1*z2*z3", "z1 + z2 + z1*z2 + z3*z1", "He2(z1) + z2*z3", "He3(z1)*z2 + z2*z3"]
)
def test_equals_the_recursion_in_three_directions(text):
    target = Target.parse(text)
    for powers in (1, 2, 3):
        expected = naive.generative_leap(target.evaluate, 3, target.degree, powers)
        assert generative_leap(target, powers).value == expected


@pytest.mark.parametrize("text", ["5", "z1 - z1"])
def test_constants(text):
    assert generative_leap(Target.parse(text)) == generative.GenerativeLeap(0, 0, 4)
    assert sq_leap(Target.parse(text, "boolean")) == 0


def test_refusals():
    many = Target.parse("(z1 + z2 + z3 + z4 + z5 + z6)**5")
    start = time.process_time()
    with pytest.raises(InputError, match=r"powers=4 needs more than \d+ products"):
        generative_leap(many)
    assert time.process_time() - start < 2.0
    with pytest.raises(InputError, match=r"powers=0 must be at least 1"):
        generative_leap(many, 0)
    with pytest.raises(InputError, match=r"powers=99 must be at most 16"):
        generative_leap(many, 99)
    with pytest.raises(InputError, match=r"gaussian data, target\.data=boolean"):
        generative_leap(Target.parse("z1", "boolean"))
    with pytest.raises(InputError, match=r"boolean data, target\.data=gaussian"):
        sq_leap(Target.parse("z1"))
    with pytest.raises(InputError, match=r"21 coordinates.*bound 20"):
        sq_leap(Target.parse(product(1, 21), "boolean"))


def test_text_says_that_it_is_a_bound():
    assert str(generative_leap(Target.parse("He4(z1)"))) == "<= 2 (from h ... h^4)"
    assert str(generative_leap(Target.parse("He4(z1)"), 1)) == "<= 4 (from h alone)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Two values: T(y) is affine in y, so nothing is gained over the leap.
        (product(1, 3), 3),
        (product(1, 20), 20),
        # Symmetric, and the value tells the number of minus signs: T(y) = 1(z1 = z2 = z3 = 1) has every set.
        ("z1*z2 + z1*z3 + z2*z3 - z1*z2*z3", 1),
        # y² = 2 + 2*z1*z4 opens z1 and z4, then z2*z3 is new.
        ("z1*z2*z3 + z2*z3*z4", 2),
        # y² = 2 + 2*z4, but z1*z2*z3 stays.
        ("z1*z2*z3 + z1*z2*z3*z4", 3),
        # Eight values, but h stays the same when z1, z2 and z4 change sign together.
        ("4*z1*z2*z3 + 2*z2*z3*z4 + z1*z3*z4", 2),
        ("z1 + z1*z2*z3", 2),
        ("z1 + z1*z2 + z1*z2*z3", 1),
        (f"z1 + {product(1, 5)} + {product(1, 9)} + {product(1, 14)}", 5),
        ("z1*z2 + z3*z4", 2),
        ("0.1*z1*z2 + 0.2*z3*z4 + 0.3*z5*z6", 2),
    ],
)
def test_sq_leap(text, expected):
    target = Target.parse(text, "boolean")
    assert sq_leap(target) == expected <= leap(target)


@st.composite
def boolean_targets(draw):
    P = draw(st.integers(1, 6))
    key = st.tuples(*[st.sampled_from([0, 1])] * P)
    coefficient = st.sampled_from([-2.0, -1.0, -0.3, 0.1, 0.3, 1.0, 2.0])
    return Target.from_terms(draw(st.dictionaries(key, coefficient, min_size=1, max_size=6)), "boolean")


@quick(250)
@given(boolean_targets())
def test_sq_leap_equals_its_definition(target):
    assert sq_leap(target) == naive.sq_leap(target.evaluate, target.P) <= leap(target)


@quick(100)
@given(boolean_targets(), st.randoms(use_true_random=False))
def test_sq_leap_is_invariant(target, random):
    order = random.sample(range(target.P), target.P)
    signs = [random.choice([-1.0, 1.0]) for _ in order]
    terms = {
        tuple(S[i] for i in order): c * math.prod(s**k for s, k in zip(signs, S, strict=True))
        for S, c in target.terms.items()
    }
    if terms:
        assert sq_leap(Target.from_terms(terms, "boolean")) == sq_leap(target)


def test_values_that_differ_by_rounding_are_one():
    values = np.array([0.1 + 0.2 - 0.3, 0.6, 0.3 - 0.1 - 0.2, 0.6 - 1e-9])
    assert values[0] != values[2]
    levels = generative._levels(values)
    assert levels.tolist() == [0, 2, 0, 1]


def test_sq_leap_is_quick_at_its_bound():
    text = " + ".join(f"{1 + i / 7}*z{i}*z{i % 20 + 1}" for i in range(1, 21))
    start = time.process_time()
    assert sq_leap(Target.parse(text, "boolean")) == 2
    assert time.process_time() - start < 3.0
