"""Leap and leap path against their definitions and the published examples."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_targets import leap as naive_leap
from naive_targets import leap_by_subsets, path

from odesim.checks import InputError
from odesim.complexity import leap, leap_path
from odesim.targets.series import Target


def monomial(k):
    return "*".join(f"z{i}" for i in range(1, k + 1))


EXAMPLES = [
    ("z1 + z1*z2 + z1*z2*z3", 1),
    ("z1 + z1*z2*z3", 2),
    ("z1*z2*z3", 3),
    ("He7(z1)", 7),
    ("He40(z1)", 40),
    ("He2(z1) + He2(z2) + He2(z3) + He3(z1)*He8(z3)", 2),
    ("z1 + z2 + z1*z2", 1),
    ("z1 + z2 + z2*z3*z4", 2),
    ("z1*z2*z3 + z2*z3*z4", 3),
    ("z1 + z1*z2*z3 + z2*z3*z4*z5*z6*z7", 4),
    (f"z1 + {monomial(5)} + {monomial(9)} + {monomial(14)}", 5),
    ("He2(z1) + He2(z1)*He5(z2) + He2(z1)*He5(z2)*He3(z3)", 5),
    ("He4(z1) + He4(z1)*He2(z2) + He4(z1)*He2(z2)*He3(z3)", 4),
    ("z1 + (z1**2 - 1)*z2", 1),
    ("z1**2", 2),
    ("z1**3", 1),
    ("z1 - z1", 0),
    ("5", 0),
]


@pytest.mark.parametrize(("text", "expected"), EXAMPLES)
def test_published_examples(text, expected):
    assert leap(Target.parse(text)) == expected


def test_default_target():
    target = Target.parse("z1 + z1*z2*z3")
    found = leap_path(target)
    first, second = found.steps
    assert (first.leap, first.terms, first.coordinates) == (1, ((1, 0, 0),), (0,))
    assert (second.leap, second.terms, second.coordinates) == (2, ((1, 1, 1),), (1, 2))
    assert found.plateau_levels == (1.0, 0.5, 0.0)
    assert found.labels == ("z1", "z1*z2*z3")
    assert found.leap == 2


def test_steps_of_equal_leap_stay_apart():
    found = leap_path(Target.parse(f"z1 + {monomial(5)} + {monomial(9)} + {monomial(14)}", "boolean"))
    assert [step.leap for step in found.steps] == [1, 4, 4, 5]
    assert found.plateau_levels == (2.0, 1.5, 1.0, 0.5, 0.0)


def test_free_terms_join_the_step_that_completes_them():
    found = leap_path(Target.parse("2 + z1 + z2 + 3*z1*z2 + He2(z1) + z3*z4"))
    assert found.labels == ("z1 + z2 + z1*z2 + He2(z1)", "z3*z4")
    assert found.steps[0].coordinates == (0, 1)
    assert found.plateau_levels == pytest.approx((0.5 * (1 + 1 + 9 + 2 + 1), 0.5, 0.0))


@pytest.mark.parametrize("text", ["z1 - z1", "5", "0"])
def test_a_constant_has_no_path(text):
    found = leap_path(Target.parse(text))
    assert (found.steps, found.plateau_levels, found.labels, found.leap) == ((), (0.0,), (), 0)


def test_tolerance_is_relative_to_the_norm_without_the_constant():
    terms = {(0, 0): 1e12, (1, 0): 1e-11, (2, 0): 1.0, (1, 1): 2e-10}
    assert leap(Target.from_terms(terms)) == 2
    assert leap_path(Target.from_terms(terms)).dropped == (((0, 1),),)
    assert leap(Target.from_terms(terms), tol=1e-12) == 1
    small = {S: 1e-170 * c for S, c in terms.items()}  # squares underflow
    assert leap(Target.from_terms(small)) == 2
    with pytest.raises(InputError, match="tol=-1"):
        leap(Target.parse("z1"), tol=-1.0)


exponents = {
    "gaussian": st.sampled_from([0, 0, 0, 1, 1, 2, 3]),
    "boolean": st.sampled_from([0, 1]),
}


@st.composite
def targets(draw, most=6):
    data = draw(st.sampled_from(["gaussian", "boolean"]))
    P = draw(st.integers(1, 6))
    key = st.tuples(*[exponents[data]] * P)
    coefficient = st.sampled_from([-2.0, -1.0, -0.3, 0.3, 1.0, 2.0])
    return Target.from_terms(draw(st.dictionaries(key, coefficient, min_size=1, max_size=most)), data)


@settings(deadline=None, max_examples=2000)
@given(targets())
def test_equals_brute_force_over_all_orderings(target):
    assert leap(target) == naive_leap(tuple(target.terms))


@settings(deadline=None, max_examples=150)
@given(targets(most=10))
def test_equals_brute_force_on_more_terms(target):
    assert leap(target) == leap_by_subsets(frozenset(S for S in target.terms if any(S)))


@settings(deadline=None, max_examples=400)
@given(targets(most=10))
def test_path_follows_its_definition(target):
    found = leap_path(target)
    steps, levels = path(target.terms)
    assert [(s.leap, set(s.terms), set(s.coordinates)) for s in found.steps] == steps
    assert found.plateau_levels == pytest.approx(levels)
    assert found.plateau_levels[-1] == 0.0
    assert len(found.labels) == len(steps)
    assert all(list(s.coordinates) == sorted(s.coordinates) for s in found.steps)


@settings(deadline=None, max_examples=200)
@given(targets(), st.randoms(use_true_random=False))
def test_invariant_under_relabelling_and_sign_flips(target, random):
    order = random.sample(range(target.P), target.P)
    signs = [random.choice([-1.0, 1.0]) for _ in order]
    terms = {
        tuple(S[i] for i in order): c * float(np.prod([s**k for s, k in zip(signs, S, strict=True)]))
        for S, c in target.terms.items()
    }
    if not terms:
        return
    first, second = leap_path(target), leap_path(Target.from_terms(terms, target.data))
    assert [step.leap for step in first.steps] == [step.leap for step in second.steps]
    assert first.plateau_levels == pytest.approx(second.plateau_levels)
    back = [{order[i] for i in step.coordinates} for step in second.steps]
    assert back == [set(step.coordinates) for step in first.steps]


def test_large_targets_are_quick():
    rng = np.random.default_rng(0)
    sizes = rng.integers(2, 6, 100_000)
    keys = {tuple((int(i), 1) for i in sorted(rng.integers(0, 1000, size))) for size in sizes}
    keys = [key for key in keys if len({i for i, _ in key}) == len(key)]
    # One chain through all coordinates, so that the path is long.
    keys = list({*keys, ((0, 1),), *(((i, 1), (i + 1, 1)) for i in range(999))})
    keys.sort(key=lambda key: (len(key), key))
    target = Target("gaussian", 1000, tuple((key, 1.0) for key in keys))
    start = time.process_time()
    assert leap(target) == 1
    assert time.process_time() - start < 5.0


def test_long_paths_are_quick():
    text = "z1 + " + " + ".join(f"z{i}*z{i + 1}" for i in range(1, 3000))
    target = Target.parse(text)
    start = time.process_time()
    found = leap_path(target)
    assert len(found.steps) == 3000
    assert found.plateau_levels[0] == pytest.approx(1500.0)
    assert time.process_time() - start < 1.0
