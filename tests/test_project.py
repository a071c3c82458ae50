"""Projection of functions: known coefficients, Parseval, bounds and refusals."""

import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from naive_targets import element, points, projection, series_value, value

from odesim.checks import InputError
from odesim.complexity import leap, leap_path
from odesim.targets.series import Target


def tanhs(z):
    t = np.tanh(z)
    return 2 * t[:, 0] * t[:, 1] + 5 * t.prod(axis=1)


def test_the_papers_product_of_tanh_has_leap_3():
    target = Target.project(tanhs, 5, degree=5)
    assert leap(target) == 3
    assert [step.leap for step in leap_path(target).steps] == [2, 3]
    mean = np.polynomial.hermite_e.hermegauss(60)
    c = float(mean[1] @ (mean[0] * np.tanh(mean[0])) / mean[1].sum())  # E[z tanh z]
    exact = {(1, 1, 0, 0, 0): 2 * c**2, (1, 1, 1, 1, 1): 5 * c**5}
    # 16 nodes a coordinate leave 2e-4: tanh has poles at ±iπ/2
    assert {S: target.terms[S] for S in exact} == pytest.approx(exact, rel=1e-3)
    assert target.terms.keys() == {*exact, (1, 3, 0, 0, 0), (3, 1, 0, 0, 0)}
    assert target.terms[(1, 3, 0, 0, 0)] == pytest.approx(target.terms[(3, 1, 0, 0, 0)], rel=1e-12)
    miss = max(abs(target.terms[S] - exact[S]) for S in exact)
    assert miss < target.projection.error < 20 * miss
    second = float(mean[1] @ np.tanh(mean[0]) ** 2 / mean[1].sum())
    assert target.projection.energy == pytest.approx(4 * second**2 + 25 * second**5, rel=0.01)
    assert target.projection.truncated == pytest.approx(target.projection.energy - target.energy, rel=1e-12)
    assert 0 < target.projection.truncated < target.projection.energy
    assert (target.projection.degree, target.projection.nodes) == (5, 16)
    assert leap(Target.project(tanhs, 5, degree=4)) == 2  # too low a cut-off does not see the second term
    assert leap(Target.project(tanhs, 5, degree=9)) == 3


def test_the_truncated_energy_falls_with_the_degree():
    left = [Target.project(lambda z: np.tanh(2 * z[:, 0]), 1, degree=k).projection.truncated for k in range(0, 20, 3)]
    assert left == sorted(left, reverse=True)
    assert left[-1] < 0.01 * left[0]


def test_erf_has_its_known_coefficients():
    from scipy.special import erf

    target = Target.project(lambda z: erf(z[:, 0] / math.sqrt(2)), 1, degree=9, nodes=100)
    for k in range(1, 10, 2):
        he_at_0 = (-1) ** ((k - 1) // 2) * math.factorial(k - 1) / (math.factorial((k - 1) // 2) * 2 ** ((k - 1) // 2))
        moment = 2 * he_at_0 / math.sqrt(2 * math.pi) / 2 ** (k / 2)  # c_k(1, 0)
        assert target.terms[(k,)] == pytest.approx(moment / math.sqrt(math.factorial(k)), rel=1e-9)
    assert all(k % 2 for (k,) in target.terms)
    assert target.projection.energy == pytest.approx(1 / 3, rel=1e-8)  # E[erf²] = (2/π) asin(1/2)


@settings(max_examples=30, phases=[Phase.explicit, Phase.generate])
@given(st.data(), st.sampled_from(["gaussian", "boolean"]), st.integers(1, 4))
def test_polynomials_come_back(draw, data, P):
    exponent = st.tuples(*[st.integers(0, 1 if data == "boolean" else 2)] * P).filter(lambda S: sum(S) <= 5)
    coefficients = st.floats(0.1, 3) | st.floats(-3, -0.1)
    terms = draw.draw(st.dictionaries(exponent, coefficients, min_size=1, max_size=6))
    target = Target.project(lambda z: series_value(terms, z), P, data, degree=5)
    assert target.P == P
    assert target.terms.keys() == terms.keys()
    for S, c in terms.items():
        assert target.terms[S] == pytest.approx(c, rel=1e-11, abs=1e-12)
    energy = sum(c * c for c in terms.values())
    assert target.projection.energy == pytest.approx(energy, rel=1e-12)
    assert target.projection.truncated <= 1e-13 * energy
    assert target.projection.error <= 1e-12 * math.sqrt(energy)


def test_a_cut_off_leaves_the_energy_of_the_rest():
    text = "1 + z1 + z1*z2 + 3*z1*z2*z3 + He4(z2)"
    target = Target.project(lambda z: value(text, z), 3, degree=2)
    assert target.terms.keys() == {(0, 0, 0), (1, 0, 0), (1, 1, 0)}
    assert target.projection.truncated == pytest.approx(9 + 24)
    cube = Target.project(lambda z: value(text, z), 3, "boolean", degree=2)
    full = Target.parse(text, "boolean")
    assert cube.projection.truncated == pytest.approx(9)
    assert {S: c for S, c in full.terms.items() if sum(S) <= 2} == pytest.approx(dict(cube.terms))


@pytest.mark.parametrize("P", [1, 3, 6])
def test_parseval_and_values_on_the_cube(P):
    z = points(P, 1, "boolean")[0]
    f = np.random.default_rng(P).normal(size=2**P)
    index = {tuple(corner): value for corner, value in zip(z.tolist(), f, strict=True)}
    target = Target.project(lambda z: [index[tuple(corner)] for corner in z.tolist()], P, "boolean")
    np.testing.assert_allclose(target.evaluate(z), f, rtol=1e-12, atol=1e-13)
    assert target.energy + target.constant**2 == pytest.approx(float(np.mean(f**2)), rel=1e-13)
    assert target.projection == (pytest.approx(np.mean(f**2)), pytest.approx(0, abs=1e-13), 0.0, P, 2)


def test_majority():
    target = Target.project(lambda z: np.sign(z.sum(axis=1)), 3, "boolean")
    assert target == Target.parse("(z1 + z2 + z3 - z1*z2*z3)/2", "boolean")
    assert target.projection.truncated == 0.0


def test_gaussian_coefficients_equal_those_by_the_definition():
    text = "(z1 - 2*z2)**3 + z1*z2 - z2"
    expected = projection(lambda z: value(text, z), 2, 3, "gaussian")
    target = Target.project(lambda z: value(text, z), 2, degree=3)
    for S in itertools.product(range(4), repeat=2):
        if sum(S) <= 3:
            assert target.terms.get(S, 0.0) == pytest.approx(expected[S], rel=1e-11, abs=1e-11)


def test_high_degrees_keep_their_digits():
    target = Target.project(lambda z: element((40,), z), 1, degree=50)
    assert target.terms == {(40,): pytest.approx(1.0, rel=1e-12)}
    target = Target.project(lambda z: element((100,), z), 1, degree=100)
    assert target.terms == {(100,): pytest.approx(1.0, rel=1e-11)}


def test_equality_json_and_arithmetic_leave_the_projection_out():
    target = Target.project(lambda z: z[:, 0], 1, degree=1)
    assert target == Target.project(lambda z: z[:, 0], 1, degree=1, nodes=64)
    assert Target.from_json(target.to_json()).projection is None
    assert (target + 0).projection is None
    assert Target.parse("z1").projection is None


def ones(z):
    return np.ones(len(z))


REFUSALS = [
    (lambda: Target.project(ones, 2, "normal"), "data='normal' is unknown"),
    (lambda: Target.project(ones, 0), "P=0 must be at least 1"),
    (lambda: Target.project(ones, 21, "boolean"), "P=21 must be at most 20"),
    (lambda: Target.project(ones, 10), "P=10 with 9 nodes per coordinate is 3.5e+09 points (bound 4194304)"),
    (lambda: Target.project(ones, 10**30), "must be at most 20"),
    (lambda: Target.project(ones, 3, degree=8, nodes=8), "nodes=8 must be at least 9; it must exceed the degree"),
    (lambda: Target.project(ones, 1, nodes=129), "nodes=129 must be at most 128"),
    (lambda: Target.project(ones, 1, degree=101), "degree=101 must be at most 100"),
    (lambda: Target.project(ones, 1, degree=-1), "degree=-1 must be at least 0"),
    (lambda: Target.project(ones, 2, "boolean", nodes=3), "nodes=3 on boolean data"),
    (lambda: Target.project("z1", 2), "f='z1' is not callable"),
    (lambda: Target.project(lambda z: z, 2), "f returns shape (4096, 2)"),
    (lambda: Target.project(lambda z: 1.0, 2, degree=2, nodes=3), "shape () for points of shape (9, 2); return"),
    (lambda: Target.project(lambda z: [1, [2]], 2), "return real numbers"),
    (lambda: Target.project(lambda z: 1j * z[:, 0], 2), "complex128; return real numbers"),
    (lambda: Target.project(lambda z: None, 2), "return real numbers"),
    (lambda: Target.project(lambda z: z[:, 0] * np.nan, 2, degree=1, nodes=2), "f is nan at z = (-1, -1)"),
    (lambda: Target.project(lambda z: np.where(z[:, 0] > 0, np.inf, 0), 1), "f is inf at z = ("),
    (lambda: Target.project(lambda z: 1e200 * z[:, 0], 1), "(bound 1e+150); return finite values"),
]


@pytest.mark.parametrize(("build", "message"), REFUSALS, ids=[message for _, message in REFUSALS])
def test_refusals(build, message):
    start = time.process_time()
    with pytest.raises(InputError) as caught:
        build()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert time.process_time() - start < 1.0


def test_too_many_terms_are_refused():
    noise = np.random.default_rng(0)
    with pytest.raises(InputError, match=r"f has \d+ terms \(bound 200000\); lower degree"):
        Target.project(lambda z: noise.normal(size=len(z)), 18, "boolean")


def test_a_function_that_writes_into_its_points_changes_nothing():
    def f(z):
        z *= 0
        return ones(z)

    assert Target.project(f, 2) == Target.parse("1 + 0*z2")


def test_points_come_in_blocks():
    sizes = []

    def f(z):
        sizes.append(z.shape)
        return z[:, 19] * z[:, 0]

    assert Target.project(f, 20, "boolean", degree=2) == Target.parse("z1*z20", "boolean")
    assert sum(n for n, _ in sizes) == 2**20
    assert max(n for n, _ in sizes) <= 2**16
