"""isoLeap against its examples, its definition by a search over frames, and its invariance."""

import itertools
import math
import time
import warnings

import hypothesis.strategies as st
import numpy as np
import pytest
from conftest import targets
from hypothesis import given, settings
from naive_isotropy import (
    Frames,
    random_rotation,
    random_staircase,
    random_target,
    relevant_projector,
)
from naive_isotropy import (
    isoleap as naive_isoleap,
)
from test_rotation import dense

from odesim.checks import InputError
from odesim.complexity import leap, leap_path
from odesim.isotropy import isoleap, isoleap_path, relevant_directions
from odesim.rotation import rotated
from odesim.slopes import reduced
from odesim.targets.series import Target

EXAMPLES = [
    ("z1 + z1*(z2**2 - z3**2)", 2),  # T_2 at z_U = 0 vanishes, and so does its mean
    ("z1 + z2 + z1*z2", 2),
    ("z1 + z2 + (z1-z2)**4 - 12*(z1-z2)**2", 4),
    ("z1 + z1*z2", 1),
    ("z1 + z1*z2 + z1*z2*z3", 1),
    ("z1 + z1*z2*z3", 2),
    ("z1*z2*z3", 3),
    ("He7(z1)", 7),
    ("He40(z1)", 40),
    ("He2(z1) + He2(z2) + He2(z3) + He3(z1)*He8(z3)", 2),
    ("z1*z2*z3 + z2*z3*z4", 3),
    ("z1 + z1*z2*z3 + z2*z3*z4*z5*z6*z7", 4),
    ("z1 + z1*z2*z3*z4*z5 + z1*z2*z3*z4*z5*z6*z7*z8*z9", 4),
    ("He2(z1) + He2(z1)*He5(z2) + He2(z1)*He5(z2)*He3(z3)", 5),
    ("(z1 + z2 + z3)**2", 2),
    ("He3(z1/sqrt(2) + z2/sqrt(2))", 3),
    ("z1*z2 + z2*z3 + z3*z4 + z1*z4", 2),
    ("5", 0),
    ("z1 - z1", 0),
    ("0*z3", 0),
]


def shape(path):
    """Leaps and number of directions of the steps."""
    return [(step.leap, len(step.directions)) for step in path.steps]


@pytest.mark.parametrize(("text", "expected"), EXAMPLES)
def test_examples(text, expected):
    target = Target.parse(text)
    path = isoleap_path(target)
    assert isoleap(target) == path.isoleap == expected
    assert path.warnings == ()
    assert path.leap_in_basis == expected
    assert leap(rotated(target, path.basis)) == expected


@pytest.mark.parametrize(("text", "expected"), EXAMPLES)
def test_examples_seen_in_twenty_frames(text, expected):
    target, rng = Target.parse(text), np.random.default_rng(5)
    path = isoleap_path(target)
    for _ in range(20):
        if target.degree > 8 or target.P > 8:
            break
        turned = isoleap_path(rotated(target, random_rotation(rng, target.P)))
        assert turned.isoleap == expected
        assert shape(turned) == shape(path)
        np.testing.assert_allclose(turned.plateau_levels, path.plateau_levels, atol=1e-9 * (1 + target.energy))


def test_path_where_the_axes_are_not_what_sgd_sees():
    path = isoleap_path(Target.parse("z1 + z2 + z1*z2"))
    s = math.sqrt(0.5)
    first, second = path.steps
    assert (first.leap, second.leap) == (1, 2)
    np.testing.assert_allclose(first.directions, [[s, s]], atol=1e-15)
    np.testing.assert_allclose(np.abs(second.directions @ [s, -s]), 1.0, atol=1e-15)
    np.testing.assert_allclose(path.basis, np.vstack([first.directions, second.directions]))
    assert path.plateau_levels == pytest.approx((1.5, 0.25, 0.0))
    assert path.plateau_levels[-1] == 0.0
    assert path.labels[0] == "0.707*z1 + 0.707*z2"
    assert path.rotates
    assert {S: round(c, 12) for S, c in path.target_in_basis.terms.items()} == {
        (1, 0): pytest.approx(math.sqrt(2)),
        (2, 0): pytest.approx(s),
        (0, 2): pytest.approx(-s),
    }


def test_path_along_the_axes_is_exact():
    target = Target.parse("z1 + z1*z2*z3")
    path = isoleap_path(target)
    assert shape(path) == [(1, 1), (2, 2)]
    assert path.plateau_levels == leap_path(target).plateau_levels == (1.0, 0.5, 0.0)
    assert path.labels == ("z1", "z2, z3")
    assert not path.rotates
    np.testing.assert_array_equal(path.basis, np.eye(3))
    assert path.target_in_basis == target


def test_a_constant_has_an_empty_path():
    path = isoleap_path(Target.parse("5 + 0*z2"))
    assert (path.steps, path.plateau_levels, path.isoleap, path.leap_in_basis) == ((), (0.0,), 0, 0)
    np.testing.assert_array_equal(path.basis, np.eye(2))
    assert relevant_directions(Target.parse("5 + 0*z2")).shape == (0, 2)


@settings(max_examples=250)
@given(targets(max_coordinates=4))
def test_never_below_leap_and_attained_by_its_basis(target):
    path = isoleap_path(target)
    assert path.isoleap >= leap(target)
    np.testing.assert_allclose(path.basis @ path.basis.T, np.eye(target.P), atol=1e-13)
    assert path.leap_in_basis == path.isoleap
    assert leap(rotated(target, path.basis), tol=1e-9) == path.isoleap
    assert path.plateau_levels[0] == pytest.approx(target.energy / 2)
    assert all(a > b for a, b in itertools.pairwise(path.plateau_levels))


@settings(max_examples=60)
@given(targets(max_coordinates=4), st.integers(0, 10**6))
def test_unchanged_by_rotations(target, seed):
    rng, path = np.random.default_rng(seed), isoleap_path(target)
    for _ in range(2):
        turned = isoleap_path(rotated(target, random_rotation(rng, target.P)))
        assert shape(turned) == shape(path)
        np.testing.assert_allclose(turned.plateau_levels, path.plateau_levels, atol=1e-8 * target.energy)


@pytest.mark.parametrize("seed", range(8))
def test_random_targets_seen_in_twenty_frames(seed):
    rng = np.random.default_rng(seed)
    target = random_staircase(rng, 6, 6) if seed % 2 else random_target(rng, 5, 5, 7)
    path = isoleap_path(target)
    for _ in range(20):
        assert shape(isoleap_path(rotated(target, random_rotation(rng, target.P)))) == shape(path)


def multiplied(target, size, rng):
    return Target.from_terms({S: c * (1 + size * rng.normal()) for S, c in target.terms.items()})


def added(target, size, rng):
    everything = dense(target.P, target.degree, rng)
    return Target.from_terms(
        {S: target.terms.get(S, 0.0) + size * math.sqrt(target.energy) * c for S, c in everything.terms.items()}
    )


@pytest.mark.parametrize("perturbed", [multiplied, added])
@pytest.mark.parametrize("noise", [None, 1e-12])
def test_right_with_noisy_coefficients(perturbed, noise):
    rng = np.random.default_rng(11)
    for trial in range(40):
        P = int(rng.integers(2, 7))
        target = random_staircase(rng, P, 5) if trial % 2 else random_target(rng, P, 5, 2 * P)
        turned = perturbed(rotated(target, random_rotation(rng, target.P)), 1e-12, rng)
        path = isoleap_path(turned, noise=noise)
        assert path.isoleap == isoleap(target)
        assert path.leap_in_basis == path.isoleap


@pytest.mark.parametrize("seed", range(14))
def test_equals_a_search_over_frames_in_two_dimensions(seed):
    rng = np.random.default_rng(seed)
    target = random_staircase(rng, 2, 4) if seed % 2 else random_target(rng, 2, 4, 4)
    turned = rotated(target, random_rotation(rng, target.P))
    assert isoleap(turned) == naive_isoleap(turned, rng) == naive_isoleap(target, rng)


@pytest.mark.parametrize("seed", range(6))
def test_equals_a_search_over_frames_in_three_dimensions(seed):
    rng = np.random.default_rng(seed)
    target = random_staircase(rng, 3, 4) if seed % 2 else random_target(rng, 3, 3, 4)
    turned = rotated(target, random_rotation(rng, target.P))
    assert isoleap(turned) == naive_isoleap(turned, rng, starts=4)


@pytest.mark.parametrize("text", ["z1 + z1*(z2**2 - z3**2)", "z1 + z2 + z1*z2", "z1 + z2 + (z1-z2)**4 - 12*(z1-z2)**2"])
def test_a_search_over_frames_finds_the_hard_examples(text):
    assert naive_isoleap(Target.parse(text), np.random.default_rng(0)) == dict(EXAMPLES)[text]


@settings(max_examples=25)
@given(targets(max_coordinates=3, max_power=2))
def test_levels_are_conditional_variances(target):
    path, frames = isoleap_path(target), Frames(target)
    held = np.cumsum([0, *(len(step.directions) for step in path.steps)])
    for n, level in zip(held.tolist(), path.plateau_levels, strict=True):
        assert frames.conditional_level(path.basis, n) == pytest.approx(level, abs=1e-9 * target.energy)


@pytest.mark.parametrize("seed", range(6))
def test_relevant_directions_span_the_gradients(seed):
    rng = np.random.default_rng(seed)
    flat = random_target(rng, 2, 3, 3)
    wide = Target.from_terms({(*S, *[0] * (3 - len(S))): c for S, c in flat.terms.items()})
    target = rotated(wide, random_rotation(rng, 3))
    rows = relevant_directions(target)
    assert rows.shape == (len(relevant_directions(flat)), 3)
    np.testing.assert_allclose(rows @ rows.T, np.eye(len(rows)), atol=1e-13)
    np.testing.assert_allclose(rows.T @ rows, relevant_projector(target), atol=1e-5)


def test_relevant_directions_of_boolean_targets_are_coordinates():
    np.testing.assert_array_equal(relevant_directions(Target.parse("z1*z4 + 0*z5", "boolean")), np.eye(5)[[0, 3]])


@pytest.mark.parametrize("scale", [1e-160, 1.0, 1e140])
def test_scale_does_not_matter(scale):
    terms = {(1, 0, 0): scale, (0, 1, 0): scale, (1, 1, 0): scale, (0, 0, 2): 1e-4 * scale, (0, 0, 0): 7 * scale}
    path = isoleap_path(Target.from_terms(terms))
    assert shape(path) == [(1, 1), (2, 2)]
    assert path.plateau_levels[1] / scale / scale == pytest.approx(0.25) or scale < 1e-150


def test_terms_below_the_tolerance_do_not_count():
    assert isoleap(Target.from_terms({(1, 0): 1.0, (1, 1): 1.0, (0, 1): 5e-11, (0, 2): 1e-11})) == 1
    assert isoleap(Target.from_terms({(1, 0): 5e-11, (2, 0): 1.0})) == 2
    assert isoleap(Target.from_terms({(1, 0): 1e-6, (2, 0): 1.0})) == 1
    assert isoleap(Target.from_terms({(1, 0): 1e-6, (2, 0): 1.0}), noise=1e-6) == 2


def test_close_verdicts_are_told():
    close = Target.from_terms({(1, 0): 1.0, (0, 1): 1.0, (1, 1): 3e-8})
    with pytest.warns(UserWarning, match=r"a singular value 2\.1e-08 of ‖h‖ was kept \(tolerance 1\.0e-10\)"):
        assert isoleap(close) == 2
    assert len(isoleap_path(close).warnings) == 1
    # Coordinates enter without an error of their own, however small the coefficient.
    chain = Target.from_terms({(1, 0, 0, 0): 1.0, (0, 1, 0, 0): 2e-10, (0, 0, 1, 1): 1e-5})
    assert isoleap_path(chain).isoleap == leap(chain) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        isoleap(Target.parse("z1 + z2 + 0.001*z1*z2"))


def test_a_lost_signal_is_told():
    # A direction known to 1e-3 hides all that is smaller.
    terms = {(1, 0, 0): 1.0, (0, 1, 0): 1.0, (2, 0, 0): 0.5, (0, 0, 2): 2e-2}
    path = isoleap_path(Target.from_terms(terms), noise=1e-3)
    assert any("taken for an error" in text for text in path.warnings)


def test_blocks_that_one_sided_columns_do_not_settle():
    # Triangular with a tiny smallest singular value, yet of full rank by its zeros.
    chain = Target.parse("He2(z1) + " + " + ".join(f"3*z{i}*z{i + 1}" for i in range(1, 40)))
    path = isoleap_path(chain)
    assert shape(path) == [(2, 40)]
    assert not path.rotates
    # A product of two sums: the columns of four axes span two directions.
    product = isoleap_path(Target.parse("z1*z2 + z2*z3 + z3*z4 + z1*z4 + z5*z6"))
    assert shape(product) == [(2, 4)]
    assert relevant_directions(Target.parse("z1*z2 + z2*z3 + z3*z4 + z1*z4")).shape == (2, 4)


def test_columns_are_reduced_without_squaring():
    rng = np.random.default_rng(0)
    M = random_rotation(rng, 6) @ np.diag([1, 1e-3, 1e-6, 1e-9, 1e-12, 0]) @ rng.normal(size=(6, 5000)) / 70
    left, sizes, _ = np.linalg.svd(M, full_matrices=False)
    row, column = np.nonzero(M)
    short = reduced(row, column, M[row, column], *M.shape)
    assert short.shape == (6, 6)
    np.testing.assert_allclose(np.linalg.svd(short)[1], sizes, atol=1e-15)
    np.testing.assert_allclose(np.abs(np.linalg.svd(short)[0][:, :3].T @ left[:, :3]), np.eye(3), atol=1e-8)


def test_axes_of_low_degree_are_turned_first():
    text = " + ".join(f"z{i}" for i in range(1, 31)) + " + z1*z2*z3*z4*z5*z6*z7*z8"
    start = time.process_time()
    path = isoleap_path(Target.parse(text))
    assert time.process_time() - start < 3.0
    np.testing.assert_allclose(path.steps[0].directions, np.full((1, 30), math.sqrt(1 / 30)), atol=1e-14)
    assert path.leap_in_basis == path.isoleap
    assert path.plateau_levels[0] == pytest.approx(15.5)
    small = Target.parse("z1 + z2 + z3 + z4 + z5 + z6 + z1*z2*z3 + z3*He2(z4)")
    turned = rotated(small, random_rotation(np.random.default_rng(0), 6))
    assert shape(isoleap_path(small)) == shape(isoleap_path(turned))


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("z1*z1000 + z500*z3*z1000", [(2, 2), (2, 2)]),
        ("He3(z17) + z17*He3(z400)*z1000", [(3, 1), (4, 2)]),
        ("z1 + " + " + ".join(f"z{i}*z{i + 1}" for i in range(1, 1000)), [(1, 1)] * 1000),
    ],
)
def test_many_coordinates_are_not_rotated(text, steps):
    target = Target.parse(text)
    start = time.process_time()
    path = isoleap_path(target)
    assert time.process_time() - start < 2.0
    assert [(step.leap, len(step.axes)) for step in path.steps] == steps
    assert not path.rotates


def test_many_terms_of_many_coordinates():
    rng = np.random.default_rng(0)
    rows = np.repeat(np.arange(50_000), 3)
    coordinates = rng.integers(0, 1000, (50_000, 1)) + np.cumsum(
        [[0, 1, 1]] * rng.integers(1, 400, (50_000, 1)), axis=1
    )
    ones = np.ones_like(rows)
    target = Target.from_arrays(rows, coordinates.ravel() % 1000, ones, rng.normal(size=50_000), 1000)
    start = time.process_time()
    assert isoleap(target) == leap(target) == 3
    assert time.process_time() - start < 6.0


def test_dense_targets_within_the_promise():
    rng = np.random.default_rng(4)
    text = "z1 + z1*z2 + z1*z2*z3 + z3*z4*z5 + z5*z6 + z6*z7*z8 + z1*z2*z3*z4*z5*z6*z9*z10"
    plain = Target.parse(text)
    stairs = rotated(plain, random_rotation(rng, 10))
    assert len(stairs.series) > 20_000
    generic = dense(10, 8, rng)
    wide = rotated(
        Target.parse(" + ".join(f"z{i}*z{i + 1}*z{i + 2}*z{i + 3}" for i in range(1, 18)) + " + z20**2"),
        random_rotation(rng, 20),
    )
    for target, steps in ((stairs, shape(isoleap_path(plain))), (generic, [(1, 1), (1, 7), (1, 2)]), (wide, None)):
        start = time.process_time()
        path = isoleap_path(target)
        assert time.process_time() - start < 8.0
        assert steps is None or shape(path) == steps
        assert path.leap_in_basis == path.isoleap
        assert path.warnings == ()


@pytest.mark.parametrize(
    ("text", "data", "options", "message"),
    [
        ("z1", "boolean", {}, "data='boolean' has no isoLeap"),
        ("z1", "gaussian", {"noise": -1.0}, "noise=-1.0 must be at least 0"),
        ("z1", "gaussian", {"noise": 0.5}, "noise=0.5 must be at most 0.01"),
        ("z1", "gaussian", {"noise": "much"}, "noise='much' is not a number"),
    ],
)
def test_bad_input(text, data, options, message):
    for function in (isoleap, isoleap_path):
        with pytest.raises(InputError, match=message):
            function(Target.parse(text, data), **options)


def test_rotations_beyond_the_bound_are_refused_at_once():
    text = " + ".join(f"z{i}" for i in range(1, 31)) + " + " + "*".join(f"z{i}" for i in range(1, 31))
    start = time.process_time()
    with pytest.raises(InputError, match=r"30 coordinates at degree 30, .* \(bound 200000\)"):
        isoleap(Target.parse(text))
    assert time.process_time() - start < 1.0
