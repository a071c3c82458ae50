"""Merged staircases, their largest subsets and information exponents against the definitions."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_targets import leap as naive_leap
from naive_targets import leap_by_subsets, new_mass, support

from odesim.checks import InputError
from odesim.complexity import information_exponent, leap
from odesim.staircase import merged_staircase
from odesim.targets.series import Target


@pytest.mark.parametrize(
    ("text", "data", "holds", "subset", "rest_energy"),
    [
        ("z1 + z1*z2 + z1*z2*z3 + z1*z2*z3*z4", "boolean", True, 4, 0.0),
        ("z1 + z1*z2*z3 + z1*z2*z3*z4", "boolean", False, 1, 1.0),
        ("z1 + z1*z2 + z3*z4*z5 + 2*z1*z3*z4", "boolean", False, 2, 2.5),
        ("z1*z2*z3", "boolean", False, 0, 0.5),
        ("3 + z1*z2 + z1 + z2", "boolean", True, 3, 0.0),
        ("z1 - z1", "boolean", True, 0, 0.0),
        ("7", "gaussian", True, 0, 0.0),
        ("He2(z1)", "gaussian", False, 0, 1.0),
        ("z1 + He2(z1)", "gaussian", True, 2, 0.0),
        ("z1 + z1*He2(z2) + He3(z1)*z3", "gaussian", False, 2, 1.0),
    ],
)
def test_examples(text, data, holds, subset, rest_energy):
    found = merged_staircase(Target.parse(text, data))
    assert found.holds is holds
    assert len(found.subset) == subset
    assert found.rest_energy == pytest.approx(rest_energy)


def test_terms_below_the_tolerance_stand_in_neither_part():
    target = Target.from_terms({(0, 0): 5.0, (1, 0): 1e-12, (1, 1): 1.0}, "boolean")
    found = merged_staircase(target)
    assert (found.holds, found.subset, found.rest) == (False, (), ((1, 1),))
    assert merged_staircase(target, tol=1e-13).holds
    with pytest.raises(InputError, match="tol=-1"):
        merged_staircase(target, tol=-1.0)


@st.composite
def targets(draw, most=7):
    data, powers = draw(st.sampled_from([("boolean", [0, 0, 1]), ("gaussian", [0, 0, 0, 1, 1, 2])]))
    P = draw(st.integers(1, 6))
    key = st.tuples(*[st.sampled_from(powers)] * P)
    coefficient = st.sampled_from([-2.0, -0.3, 0.3, 1.0])
    return Target.from_terms(draw(st.dictionaries(key, coefficient, min_size=1, max_size=most)), data)


@settings(deadline=None, max_examples=500)
@given(targets())
def test_subset_is_the_largest_of_all_subsets_of_leap_one(target):
    sets = [S for S in target.terms if any(S)]
    staircases = [
        set(some)
        for n in range(len(sets) + 1)
        for some in itertools.combinations(sets, n)
        if leap_by_subsets(frozenset(some)) <= 1
    ]
    found = merged_staircase(target)
    assert set(found.subset) == max(staircases, key=len)
    assert all(some <= set(found.subset) for some in staircases)
    assert set(found.subset) | set(found.rest) == set(sets)
    assert set(found.subset).isdisjoint(found.rest)
    assert found.rest_energy == pytest.approx(0.5 * sum(target.terms[S] ** 2 for S in found.rest))


@settings(deadline=None, max_examples=300)
@given(targets(most=6))
def test_holds_where_the_leap_is_at_most_one(target):
    found = merged_staircase(target)
    assert found.holds == (naive_leap(tuple(target.terms)) <= 1) == (leap(target) <= 1)
    # None of the rest is one step away.
    assert all(new_mass(S, support(found.subset)) > 1 for S in found.rest)


@settings(deadline=None, max_examples=200)
@given(targets())
def test_information_exponent_is_the_smallest_degree(target):
    degrees = [sum(S) for S in target.terms if any(S)]
    assert information_exponent(target) == (min(degrees) if degrees else None)
    assert not degrees or information_exponent(target) <= target.degree


def test_information_exponent_of_examples():
    assert information_exponent(Target.parse("4 + z1*z2*z3 + He2(z1)")) == 2
    assert information_exponent(Target.parse("He40(z1)")) == 40
    assert information_exponent(Target.parse("z1**2*z2**3")) == 1
    assert information_exponent(Target.parse("z1 - z1 + 3")) is None
    tiny = Target.from_terms({(1, 0): 1e-12, (1, 1): 1.0})
    assert information_exponent(tiny) == 2
    assert information_exponent(tiny, tol=0.0) == 1
    with pytest.raises(InputError, match="tol=nan"):
        information_exponent(tiny, tol=float("nan"))
