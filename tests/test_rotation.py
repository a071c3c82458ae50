"""Rotated Hermite coefficients against values, quadrature and their algebra."""

import math
import time

import hypothesis.strategies as st
import numpy as np
import pytest
from conftest import targets
from hypothesis import given, settings
from naive_isotropy import Frames, random_rotation, random_target
from naive_targets import hermite

from odesim import rotation
from odesim.checks import InputError
from odesim.rotation import rotated
from odesim.targets.series import Target
from odesim.turns import carried, decomposed, mixing, ranks, turn_packed, words


def dense(p, n, rng):
    """Every term up to degree n, with Gaussian coefficients."""
    rows, coordinates, count = [], [], 0
    for m in range(1, n + 1):
        letters = words(p, m)
        rows.append(np.repeat(np.arange(count, count + len(letters)), m))
        coordinates.append(letters.ravel())
        count += len(letters)
    pairs, powers = np.unique(np.stack([np.concatenate(rows), np.concatenate(coordinates)]), axis=1, return_counts=True)
    return Target.from_arrays(pairs[0], pairs[1], powers, rng.normal(size=count), p)


def difference(first, second):
    """Largest difference of coefficients over the norm."""
    one, two = dict(first.series), dict(second.series)
    norm = math.sqrt(first.energy) or 1.0
    return max((abs(one.get(key, 0.0) - two.get(key, 0.0)) for key in one.keys() | two.keys()), default=0.0) / norm


@settings(max_examples=80)
@given(targets(max_coordinates=4), st.integers(0, 10**6))
def test_values_are_those_of_turned_points(target, seed):
    rng = np.random.default_rng(seed)
    R, z = random_rotation(rng, target.P), rng.normal(size=(30, target.P))
    found = rotated(target, R)
    assert (found.P, found.data) == (target.P, "gaussian")
    values = target.evaluate(z @ R)
    np.testing.assert_allclose(found.evaluate(z), values, rtol=1e-10, atol=1e-10 * np.abs(values).max())


@settings(max_examples=30)
@given(targets(max_coordinates=3), st.integers(0, 10**6))
def test_coefficients_are_those_of_quadrature(target, seed):
    R = random_rotation(np.random.default_rng(seed), target.P)
    frames, found = Frames(target), rotated(target, R)
    expected = frames.coefficients(R)
    for S, c in zip(frames.indices.tolist(), expected, strict=True):
        assert found.terms.get(tuple(S), 0.0) == pytest.approx(c, abs=1e-11 * (1 + math.sqrt(target.energy)))
    assert set(found.terms) <= set(map(tuple, frames.indices.tolist()))


@settings(max_examples=40)
@given(targets(max_coordinates=4), st.integers(0, 10**6))
def test_energies_are_kept_and_rotations_compose(target, seed):
    rng = np.random.default_rng(seed)
    first, second = random_rotation(rng, target.P), random_rotation(rng, target.P)
    once = rotated(target, first)
    for m, energy in target.energy_by_degree().items():
        assert once.energy_by_degree()[m] == pytest.approx(energy, rel=1e-13)
    assert difference(target, rotated(once, first.T)) < 1e-13
    assert difference(rotated(once, second), rotated(target, second @ first)) < 1e-13


def test_a_quarter_turn_is_exact_to_the_term():
    s = math.sqrt(0.5)
    found = rotated(Target.parse("2 + z1*z2 + z3"), [[s, s, 0], [-s, s, 0], [0, 0, -1]])
    assert set(found.terms) == {(0, 0, 0), (0, 0, 1), (2, 0, 0), (0, 2, 0)}
    assert found.constant == 2.0
    assert found.terms[0, 0, 1] == -1.0
    assert found.terms[2, 0, 0] == pytest.approx(s, rel=1e-15)
    assert found.terms[0, 2, 0] == pytest.approx(-s, rel=1e-15)


def test_permutations_and_flips_are_exact_and_quick_at_any_size():
    rng = np.random.default_rng(1)
    P = 800
    target = Target.parse(f"1 + 0.3*z1*z2*He3(z{P}) + " + " + ".join(f"0.7*z{i}*z{i + 1}" for i in range(1, P)))
    R = np.eye(P)[rng.permutation(P)] * rng.choice([-1.0, 1.0], P)
    start = time.process_time()
    found = rotated(target, R)
    assert time.process_time() - start < 5.0
    assert sorted(np.abs(list(dict(found.series).values()))) == sorted(np.abs(list(dict(target.series).values())))
    z = rng.normal(size=(3, P))
    np.testing.assert_allclose(found.evaluate(z), target.evaluate(z @ R), rtol=1e-12)
    assert rotated(found, R.T) == target


def test_blocks_are_rotated_by_themselves():
    rng = np.random.default_rng(2)
    target = Target.parse("z1*z40 + z2*He2(z40)*z80 + z3 + z2*z1*z90*z80 + 0*z100")
    rows, columns = np.array([0, 1, 50]), np.array([39, 1, 79])
    R = np.zeros((100, 100))
    R[np.ix_(rows, columns)] = random_rotation(rng, 3)
    rest, back = np.setdiff1d(np.arange(100), rows), np.setdiff1d(np.arange(100), columns)
    R[rest, back] = 1.0
    found, z = rotated(target, R), rng.normal(size=(20, 100))
    np.testing.assert_allclose(found.evaluate(z), target.evaluate(z @ R), rtol=1e-11, atol=1e-11)
    assert found.P == 100


@pytest.mark.parametrize(("p", "n"), [(2, 100), (3, 30), (10, 8), (20, 4), (120, 2)])
def test_dense_targets_within_the_promise(p, n):
    rng = np.random.default_rng(p)
    target, R = dense(p, n, rng), random_rotation(rng, p)
    assert len(target.series) == math.comb(p + n, n) - 1
    start = time.process_time()
    there = rotated(target, R)
    seconds = time.process_time() - start
    assert seconds < 10.0  # 0.1 to 1 s on an idle core
    for m, energy in target.energy_by_degree().items():
        assert there.energy_by_degree().get(m, 0.0) == pytest.approx(energy, rel=1e-13)
    assert difference(target, rotated(there, R.T)) < 1e-13


def test_forms_and_single_turns_agree():
    rng = np.random.default_rng(3)
    for m in (1, 2):
        packed = rng.normal(size=(4, math.comb(12 + m - 1, m)))
        turns, signs = decomposed(random_rotation(rng, 12))
        whole = turn_packed(packed.copy(), 12, m, turns, signs)
        pieces = packed.copy()
        for k, turn in enumerate(turns):
            last = signs if k == len(turns) - 1 else np.ones(12)
            pieces = turn_packed(pieces, 12, m, [turn], last)
        assert len(turns) > 48
        np.testing.assert_allclose(whole, pieces, atol=1e-13)


@pytest.mark.parametrize("q", [1, 2, 3, 8, 30, 100])
def test_mixing_is_a_rotation_and_a_group(q):
    one, two = mixing(q, 0.7), mixing(q, -1.9)
    np.testing.assert_allclose(one @ one.T, np.eye(q + 1), atol=1e-13)
    np.testing.assert_allclose(one @ two, mixing(q, -1.2), atol=1e-13)


@pytest.mark.parametrize("q", [1, 2, 3, 6])
def test_mixing_turns_products_of_hermite_polynomials(q):
    y, angle = np.random.default_rng(q).normal(size=(40, 2)), 0.83
    c, s = math.cos(angle), math.sin(angle)
    x = y @ np.array([[c, s], [-s, c]])

    def elements(z):
        columns = [hermite(l, z[:, 0]) * hermite(q - l, z[:, 1]) for l in range(q + 1)]
        return np.stack(columns, axis=1) / np.sqrt([math.factorial(l) * math.factorial(q - l) for l in range(q + 1)])

    coefficients = np.random.default_rng(0).normal(size=q + 1)
    np.testing.assert_allclose(elements(x) @ coefficients, elements(y) @ (mixing(q, angle) @ coefficients), rtol=1e-9)


@pytest.mark.parametrize(("c", "m"), [(1, 1), (1, 5), (4, 1), (2, 7), (5, 4), (10, 3)])
def test_ranks_number_the_words(c, m):
    listed = words(c, m)
    assert listed.shape == (math.comb(c + m - 1, m), m)
    assert (np.diff(listed, axis=1) <= 0).all()
    assert len({tuple(word) for word in listed.tolist()}) == len(listed)
    np.testing.assert_array_equal(ranks(listed, c), np.arange(len(listed)))


@pytest.mark.parametrize(("r", "c"), [(1, 1), (1, 7), (3, 7), (7, 7)])
def test_a_few_rows_are_completed(r, c):
    rows = random_rotation(np.random.default_rng(r + c), c)[:r]
    turns, signs = decomposed(rows)
    B = carried(np.eye(c), turns, signs)
    np.testing.assert_allclose(B[:r], rows, atol=1e-14)
    np.testing.assert_allclose(B @ B.T, np.eye(c), atol=1e-14)
    assert len(turns) <= r * c


def test_bounds_are_tested_before_anything_is_built():
    R = random_rotation(np.random.default_rng(0), 20)
    text = "*".join(f"z{i}" for i in range(1, 21))
    start = time.process_time()
    with pytest.raises(InputError, match=r"20 coordinates at degree 20, 137846528820 coefficients \(bound 200000\)"):
        rotated(Target.parse(text), R)
    assert time.process_time() - start < 1.0


def test_what_many_groups_leave_is_bounded(monkeypatch):
    monkeypatch.setattr(rotation, "MAX_SERIES", 30)
    R = np.eye(9)
    R[:3, :3] = random_rotation(np.random.default_rng(0), 3)
    rotated(Target.parse("z1*z2*z3*z4*z5 + z1*z9"), R)
    with pytest.raises(InputError, match=r"33 coefficients \(bound 30\)"):
        rotated(Target.parse("z1*z2*z3*z4*z5 + z1*z2*z3*z6 + z1*z2*z3*z7 + z1*z9"), R)


@pytest.mark.parametrize(
    ("R", "message"),
    [
        (np.eye(2), r"R has shape \(2, 2\); give shape \(3, 3\)"),
        (np.diag([1.0, 1.0, 0.999]), "give an orthogonal R"),
        (np.full((3, 3), np.nan), "NaN"),
        ([[1, 2], [3]], "R is not an array"),
    ],
)
def test_bad_rotations_are_refused(R, message):
    with pytest.raises(InputError, match=message):
        rotated(Target.parse("z1 + z3"), R)


def test_boolean_targets_have_no_rotations():
    with pytest.raises(InputError, match="data='boolean' cannot be rotated"):
        rotated(Target.parse("z1 + z2", "boolean"), np.eye(2))


def test_constants_and_coordinates_without_terms():
    R = random_rotation(np.random.default_rng(0), 3)
    assert rotated(Target.parse("5 + 0*z3"), R) == Target.parse("5 + 0*z3")
    assert rotated(Target.parse("z1"), [[-1.0]]) == Target.parse("-z1")
    found = rotated(Target.parse("z1 + 0*z3"), R)
    np.testing.assert_allclose([found.terms[tuple(S)] for S in np.eye(3, dtype=int).tolist()], R[:, 0], rtol=1e-14)


def test_random_targets_of_more_coordinates():
    rng = np.random.default_rng(7)
    for _ in range(10):
        target = random_target(rng, 6, 6, 8)
        R, z = random_rotation(rng, target.P), rng.normal(size=(20, target.P))
        values = target.evaluate(z @ R)
        np.testing.assert_allclose(rotated(target, R).evaluate(z), values, atol=1e-10 * np.abs(values).max())
