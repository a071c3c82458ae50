"""Arithmetic, gradient and rotation of targets against values at points."""

import math
import operator
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_targets import element, points, series_value, value

from odesim.checks import InputError
from odesim.targets.parse import MAX_COORDINATE
from odesim.targets.series import Target

LAWS = ["gaussian", "boolean"]


@st.composite
def series(draw, data, max_coordinates=3, max_power=4):
    P = draw(st.integers(1, max_coordinates))
    exponent = st.integers(0, 1 if data == "boolean" else max_power)
    coefficients = st.floats(0.01, 3.0) | st.floats(-3.0, -0.01) | st.integers(-3, 3).map(float)
    return Target.from_terms(
        draw(st.dictionaries(st.tuples(*[exponent] * P), coefficients, min_size=1, max_size=5)), data
    )


pairs = st.sampled_from(LAWS).flatmap(lambda data: st.tuples(series(data), series(data)))
single = st.sampled_from(LAWS).flatmap(series)


def samples(target, n=12):
    rng = np.random.default_rng(1)
    return rng.choice([-1.0, 1.0], (n, target.P)) if target.data == "boolean" else rng.normal(size=(n, target.P))


def at(target, z):
    return target.evaluate(z[..., : target.P])


def close(actual, expected, size):
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-11 * (1 + float(np.max(size))))


def parts(target, z):
    """Σ |ĥ_S h_S|: rounding leaves 1e-16 of it."""
    return sum((abs(c * element(S, z)) for S, c in target.terms.items()), np.zeros(len(z)))


def norm(target):
    return math.sqrt(target.energy + target.constant**2)


@given(single)
def test_values_are_those_of_the_elements(target):
    z = samples(target).reshape(3, 4, target.P)
    close(target.evaluate(z), series_value(target.terms, z), norm(target))


@pytest.mark.parametrize("operation", [operator.add, operator.sub, operator.mul])
@given(pairs)
def test_operations_between_targets_act_on_values(operation, both):
    left, right = both
    out = operation(left, right)
    assert (out.data, out.P) == (left.data, max(left.P, right.P))
    z = samples(out)
    a, b = at(left, z), at(right, z)
    size = parts(left, z[:, : left.P]), parts(right, z[:, : right.P])
    close(at(out, z), operation(a, b), parts(out, z) + size[0] + size[1] + size[0] * size[1])


@given(single, st.floats(-4, 4), st.floats(0.1, 4))
def test_operations_with_numbers_act_on_values(target, shift, factor):
    z = samples(target)
    h, size = target.evaluate(z), norm(target) + 4
    for out, expected in [
        (target + shift, h + shift),
        (shift + target, h + shift),
        (target - shift, h - shift),
        (shift - target, shift - h),
        (factor * target, factor * h),
        (target * np.float64(factor), factor * h),
        (np.float64(factor) * target, factor * h),
        (target / factor, h / factor),
        (-target, -h),
        (+target, h),
        (2 * target - target - target, 0 * h),
    ]:
        assert isinstance(out, Target)
        assert (out.P, out.data) == (target.P, target.data)
        close(out.evaluate(z), expected, size * 10)


@given(single, st.integers(0, 3))
def test_powers_act_on_values(target, exponent):
    out = target**exponent
    z = samples(target)
    close(out.evaluate(z), target.evaluate(z) ** exponent, parts(out, z) + parts(target, z) ** exponent)


@given(pairs)
def test_products_are_those_of_the_printed_expressions(both):
    left, right = both
    assert left * right == Target.parse(f"({left})*({right})", left.data) == right * left
    assert left**2 == left * left == Target.parse(f"({left})**2", left.data)


def test_products_cancel_exactly():
    z1, z2, root = Target.parse("z1"), Target.parse("z2"), Target.parse("sqrt(2)*z1")
    assert (z1 + z2) * (z1 - z2) == Target.parse("z1**2 - z2**2")
    assert z1 * z1 - 1 == Target.parse("He2(z1)")
    assert (0.1 * z1 + 0.3) * (0.1 * z1 - 0.3) == Target.parse("0.01*z1**2 - 0.09")
    assert (root * root).terms == {(0,): pytest.approx(2.0), (2,): pytest.approx(2 * math.sqrt(2))}
    b1, b2 = Target.parse("z1", "boolean"), Target.parse("z2", "boolean")
    assert (b1 + b2) ** 2 == Target.parse("2 + 2*z1*z2", "boolean")
    assert (z1 - z1).terms == {}
    assert sum([z1, z2, z1]) == Target.parse("2*z1 + z2")


def test_an_operation_can_be_repeated_after_a_copy():
    target = Target.parse("z1 + He2(z2)")
    assert pickle.loads(pickle.dumps(target)) + 1 == target + 1


REFUSALS = [
    (lambda t: t + Target.parse("z1", "boolean"), "gaussian and boolean data do not combine"),
    (lambda t: t / 0, "divisor=0"),
    (lambda t: t * math.nan, "factor=nan is not finite"),
    (lambda t: t + math.inf, "summand=inf is not finite"),
    (lambda t: t * 10**400, "factor is an integer beyond floating point"),
    (lambda t: t * 1e200, "(bound 1e+150)"),
    (lambda t: (t * 1e100) * (t * 1e100), "(bound 1e+150)"),
    (lambda t: (t * 1e140) ** 4, "bound 1e+150|outside the floating-point range"),
    (lambda t: t / 1e-320, "(bound 1e+150)"),
    (lambda t: t**60 * t**60, "the product of targets has degree 120 (bound 100)"),
    (lambda t: t**101, "the power of targets has degree 101 (bound 100)"),
    (lambda t: t**-1, "exponent=-1 must be at least 0"),
    (lambda t: t**0.5, "exponent=0.5 is not a whole number"),
    (lambda t: t**10**9, "exponent=1000000000 must be at most 1000"),
]


@pytest.mark.parametrize(("operation", "message"), REFUSALS, ids=[message for _, message in REFUSALS])
def test_refusals(operation, message):
    with pytest.raises(InputError) as caught:
        operation(Target.parse("z1"))
    assert any(part in str(caught.value) for part in message.split("|"))
    assert "\n" not in str(caught.value)


def test_the_size_of_a_product_is_bounded_before_it_is_formed():
    wide = Target.from_terms({((i, 1),): 1.0 for i in range(1000)})
    with pytest.raises(InputError, match="the product of targets has an expansion"):
        wide * Target.from_terms({((i, 1),): 1.0 for i in range(1000, 2000)})
    with pytest.raises(InputError, match=r"the power of targets has .*terms \(bound 200000\)"):
        wide**5


@pytest.mark.parametrize("other", ["z1", None, True, 1j, [1.0]])
def test_other_types_are_type_errors(other):
    target = Target.parse("z1")
    for operation in (operator.add, operator.sub, operator.mul, operator.truediv, operator.pow):
        with pytest.raises(TypeError):
            operation(target, other)
    with pytest.raises(TypeError):
        np.ones(3) + target
    with pytest.raises(TypeError):
        1.0 / target


@given(single)
def test_gradient_is_that_of_finite_differences(target):
    z = samples(target)
    slopes = target.gradient(z)
    assert slopes.shape == z.shape
    step = 1.0 if target.data == "boolean" else 1e-5
    for i in range(target.P):
        up, down = z.copy(), z.copy()
        up[:, i] += step
        down[:, i] -= step
        expected = (target.evaluate(up) - target.evaluate(down)) / (2 * step)
        np.testing.assert_allclose(slopes[:, i], expected, rtol=1e-5, atol=1e-6 * (1 + norm(target)))


def test_gradient_of_a_known_target():
    target = Target.parse("z1*z2**3 + 5 + 0*z3")
    x, y, w = 2.0, -3.0, 7.0
    np.testing.assert_allclose(target.gradient([x, y, w]), [y**3, 3 * x * y**2, 0.0], rtol=1e-14)
    assert target.gradient(np.ones((2, 0, 3))).shape == (2, 0, 3)
    assert Target.parse("4").gradient(np.ones((5, 0))).shape == (5, 0)
    with pytest.raises(InputError, match=r"give shape \(\.\.\., 3\)"):
        target.gradient([1.0, 2.0])


def test_gradient_on_the_cube_is_half_the_difference_of_two_corners():
    text = "z1*z2 - 2*z2*z3 + z1"
    target, z = Target.parse(text, "boolean"), points(3, 1, "boolean")[0]
    for i in range(3):
        up, down = z.copy(), z.copy()
        up[:, i], down[:, i] = 1.0, -1.0
        np.testing.assert_allclose(target.gradient(z)[:, i], (value(text, up) - value(text, down)) / 2, atol=1e-15)


def test_many_points_and_many_terms_are_cut_into_blocks():
    rng = np.random.default_rng(2)
    keys = [tuple(sorted(rng.choice(40, 3, replace=False).tolist())) for _ in range(400)]
    target = Target.from_terms({tuple((i, int(rng.integers(1, 4))) for i in key): rng.normal() for key in keys}, P=40)
    z = rng.normal(size=(5000, 40)) / 2
    chosen = [0, 1, 4095, 4096, 4999]
    np.testing.assert_allclose(target.evaluate(z)[chosen], target.evaluate(z[chosen]), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(target.gradient(z)[chosen], target.gradient(z[chosen]), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(target.evaluate(z[:3]), series_value(target.terms, z[:3]), rtol=1e-10, atol=1e-10)


def test_energy_by_degree():
    target = Target.parse("3 + z1 + 2*z2 - He2(z2) + z1*z2")
    assert target.energy_by_degree() == {0: 9.0, 1: 5.0, 2: pytest.approx(3.0)}
    assert sum(target.energy_by_degree().values()) == pytest.approx(target.energy + target.constant**2)
    assert Target.parse("0").energy_by_degree() == {}


def orthogonal(P, seed):
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(P, P)))
    return q * np.sign(np.diag(r))


@given(series("gaussian"), st.integers(0, 50))
def test_rotation_moves_the_points(target, seed):
    R = orthogonal(target.P, seed)
    turned = target.rotate(R)
    z = samples(target)
    close(turned.evaluate(z), target.evaluate(z @ R), np.abs(target.evaluate(z @ R)) + 100 * norm(target))
    for degree, energy in target.energy_by_degree().items():
        assert turned.energy_by_degree().get(degree, 0.0) == pytest.approx(energy, rel=1e-12, abs=1e-12)
    assert turned.P == target.P


def test_rotation_of_known_targets():
    c = math.sqrt(0.5)
    turned = Target.parse("z1 + z2 + z1*z2").rotate([[c, c], [c, -c]])
    expected = Target.parse("sqrt(2)*z1 + (z1**2 - z2**2)/2")
    for S, coefficient in expected.terms.items():
        assert turned.terms[S] == pytest.approx(coefficient, rel=1e-14)
    assert Target.parse("z1 + He2(z2)").rotate([[0, 1], [-1, 0]]) == Target.parse("He2(z1) - z2")
    for target, R in [
        (Target.parse("z1", "boolean"), np.eye(1)),
        (Target.parse("z1"), 2 * np.eye(1)),
        (Target.parse("z1"), np.eye(2)),
    ]:
        with pytest.raises(InputError):
            target.rotate(R)


def test_coordinates_beyond_the_parser_are_refused():
    with pytest.raises(InputError, match=f"{MAX_COORDINATE - 1}"):
        Target.from_terms({((MAX_COORDINATE, 1),): 1.0})
