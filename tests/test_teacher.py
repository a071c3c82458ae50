"""TeacherTarget: values, gradient, polynomial part, refusals."""

import math

import numpy as np
import pytest

from odesim.checks import InputError
from odesim.complexity import leap
from odesim.targets.series import Target
from odesim.targets.teacher import Learnable, TeacherTarget


@pytest.mark.parametrize("activation", ["erf", "relu"])
def test_value_and_gradient(activation):
    rng = np.random.default_rng(0)
    w, v = rng.normal(size=(3, 2)), rng.normal(size=3)
    teacher = Target.teacher(activation=activation, weights=w, second_layer=v)
    sigma = {"erf": lambda u: math.erf(u / math.sqrt(2)), "relu": lambda u: max(u, 0.0)}[activation]
    z = rng.normal(size=(4, 5, 2))
    expected = np.array([sum(v[k] * sigma(w[k] @ x) for k in range(3)) for x in z.reshape(-1, 2)]).reshape(4, 5)
    np.testing.assert_allclose(teacher.evaluate(z), expected, rtol=1e-13)
    for i in range(2):
        shift = 1e-6 * np.eye(2)[i]
        slope = (teacher.evaluate(z + shift) - teacher.evaluate(z - shift)) / 2e-6
        np.testing.assert_allclose(teacher.gradient(z)[..., i], slope, rtol=1e-6, atol=1e-8)


def test_the_default_is_a_sum_of_orthonormal_units():
    teacher = Target.teacher(units=3)
    assert isinstance(teacher, TeacherTarget)
    assert (teacher.units, teacher.P, teacher.data, teacher.activation.name) == (3, 3, "gaussian", "erf")
    np.testing.assert_array_equal(teacher.weights, np.eye(3))
    np.testing.assert_array_equal(teacher.second_layer, np.ones(3))
    assert Target.teacher().units == 4
    assert Target.teacher(weights=np.ones((2, 5))).P == 5
    assert Target.teacher(2, second_layer=0.5).second_layer.tolist() == [0.5, 0.5]


def test_every_target_is_learnable():
    def spread(target: Learnable) -> float:
        z = np.random.default_rng(0).normal(size=(10, target.P))
        return float(np.std(target.evaluate(z))) + float(np.abs(target.gradient(z)).max())

    for target in (Target.teacher(), Target.parse("z1 + z2")):
        assert target.data == "gaussian"
        assert spread(target) > 0


def moment(k, q):
    """c_k(q, 0) of erf, odd k: 2 He_{k−1}(0) φ(0)/τ^k."""
    half = (k - 1) // 2
    he_at_0 = (-1) ** half * math.factorial(k - 1) / (math.factorial(half) * 2**half)
    return 2 * he_at_0 / math.sqrt(2 * math.pi) / (1 + q) ** (k / 2)


def test_polynomial_part_has_the_coefficients_of_the_closed_form():
    w, v = np.array([[0.6, -0.3], [0.2, 0.5]]), np.array([1.5, -0.7])
    target = Target.teacher(weights=w, second_layer=v).project(degree=5)
    for S in [(1, 0), (0, 1), (3, 0), (2, 1), (1, 2), (4, 1), (0, 5), (2, 0), (2, 2)]:
        k, scale = sum(S), math.sqrt(math.prod(map(math.factorial, S)))
        odd = sum(v[j] * np.prod(w[j] ** np.array(S)) * moment(k, w[j] @ w[j]) for j in range(2)) if k % 2 else 0.0
        assert target.terms.get(S, 0.0) == pytest.approx(odd / scale, rel=1e-9, abs=1e-12)
    K = np.arcsin(w @ w.T / np.sqrt(np.outer(1 + np.diag(w @ w.T), 1 + np.diag(w @ w.T)))) * 2 / np.pi
    assert target.projection.energy == pytest.approx(v @ K @ v, rel=1e-9)
    assert leap(target) == 1


def test_what_needs_a_series_says_what_to_do():
    teacher = Target.teacher()
    for use in (lambda: teacher.arrays(), lambda: teacher.series, lambda: teacher.terms, lambda: leap(teacher)):
        with pytest.raises(InputError, match=r"no finite series; take its polynomial part, as in target\.project"):
            use()


REFUSALS = [
    ({"units": 0}, "units=0 must be at least 1"),
    ({"units": 1001}, "units=1001 must be at most 1000"),
    ({"units": 2.5}, "units=2.5 is not a whole number"),
    ({"activation": "step"}, "activation='step' is unknown"),
    ({"weights": [1.0, 2.0]}, "weights has shape (2,); give shape (units, P)"),
    ({"weights": np.ones((3, 0))}, "weights has shape (3, 0)"),
    ({"units": 2, "weights": np.ones((3, 4))}, "weights has shape (3, 4); give shape (2, 4)"),
    ({"weights": [[math.nan]]}, "weights holds NaN"),
    ({"units": 2, "second_layer": [1.0]}, "second_layer has shape (1,); give shape (2,)"),
    ({"second_layer": math.inf}, "second_layer=inf is not finite"),
]


@pytest.mark.parametrize(("options", "message"), REFUSALS, ids=[message for _, message in REFUSALS])
def test_refusals(options, message):
    with pytest.raises(InputError) as caught:
        Target.teacher(**options)
    assert message in str(caught.value)


def test_points_of_another_shape_are_refused():
    for use in (Target.teacher(2).evaluate, Target.teacher(2).gradient):
        with pytest.raises(InputError, match=r"give shape \(\.\.\., 2\)"):
            use(np.ones((3, 4)))


@pytest.mark.parametrize("activation", ["erf", "relu"])
def test_mean_and_variance(activation):
    """Against a Gauss–Hermite rule whose nodes ReLU's kinks leave an error of 1e-3."""
    teacher = Target.teacher(activation=activation, weights=[[0.8, -0.3], [0.2, 1.1]], second_layer=[1.0, -0.6])
    x, w = np.polynomial.hermite_e.hermegauss(100)
    z = np.stack(np.meshgrid(x, x), axis=-1).reshape(-1, 2)
    weights = np.outer(w, w).ravel() / w.sum() ** 2
    h, bound = teacher.evaluate(z), 1e-10 if activation == "erf" else 1e-3
    assert teacher.constant == pytest.approx(weights @ h, abs=bound)
    assert teacher.energy == pytest.approx(weights @ h**2 - (weights @ h) ** 2, abs=bound)


TEXTS = [
    (Target.teacher(2), "erf(z1) + erf(z2)"),
    (Target.teacher(weights=[[0.5, -1.0], [0.0, 2.0]], second_layer=[1.5, -1.0]), "1.5*erf(0.5*z1 - z2) - erf(2*z2)"),
    (Target.teacher(50, "relu"), "teacher of 50 relu units on 50 coordinates"),
]


@pytest.mark.parametrize(("teacher", "text"), TEXTS)
def test_texts(teacher, text):
    assert str(teacher) == text


def test_a_unit_without_weights_is_refused():
    with pytest.raises(InputError, match="weights of unit 1 are all 0; drop the unit"):
        Target.teacher(weights=[[1.0], [0.0]])
