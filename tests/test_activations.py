"""The catalogue of activations: names, functions, slopes, polynomials, vanishing moments."""

import math

import naive_flow as naive
import numpy as np
import pytest
from conftest import act

from odesim.activations._moments import moments
from odesim.activations._pairs import pair_sums
from odesim.activations.activation import MOST_DEGREE, Activation
from odesim.activations.catalogue import CATALOGUE, activation_named
from odesim.activations.catalogue import NAMES as CALLED
from odesim.activations.handed import act_of
from odesim.checks import InputError
from odesim.flows._noise_points import WIDTH, outputs_other, outputs_relu
from odesim.sgd._full import activate

NAMES = [
    "erf", "relu", "leaky_relu:0.3", "tanh", "sigmoid", "sigmoid:0.5", "softplus", "gelu", "silu",
    "hermite:2", "hermite:5",
]  # fmt: skip


def test_polynomials_of_high_degree_are_exact_and_stay_finite():
    """For q = 1 and b = 0 He_n has c_k = √n! δ_kn; K = ρ^n."""
    for degree in (1, 7, MOST_DEGREE):
        activation = Activation.polynomial([0.0] * degree + [1.0])
        kernel = act_of(activation)
        c = np.zeros((degree + 3, 1))
        moments(kernel, np.ones(1), np.zeros(1), c)
        expected = np.zeros(degree + 3)
        expected[degree] = math.sqrt(math.factorial(degree))
        assert c[:, 0] == pytest.approx(expected, rel=1e-11)
        out = [np.zeros(2) for _ in range(4)] + [np.zeros((2, 2))]
        pair_sums(kernel, 0, np.array([[1.0, -0.9], [-0.9, 1.0]]), np.array([0.0, 1.0]), np.zeros(2), *out)
        assert out[1] == pytest.approx([(-0.9) ** degree, 1.0], rel=1e-11)
        assert out[4][0, 1] == pytest.approx(degree * (-0.9) ** (degree - 1), rel=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_values_and_slopes_of_sgd(name):
    x = np.concatenate([np.linspace(-12, 12, 301) + 0.003, [-1e3, 1e3]])
    value, slope = np.empty(x.size), np.empty(x.size)
    activate(act(name), x, value, slope)
    with np.errstate(over="ignore"):
        assert value == pytest.approx(naive.value(name, x), rel=2e-14, abs=2e-12)
        assert slope == pytest.approx(naive.slope(name, x), rel=2e-11, abs=2e-11)


def test_outputs_of_the_finite_step_term():
    """Smooth σ' as it is; leaky ReLU's step between α and 1 smoothed, its square between α² and 1 likewise."""
    lam = np.linspace(-2, 2, 41) + 0.01
    f, slope, square = np.ones(41), np.empty(41), np.empty(41)
    outputs_other(act("tanh"), lam, 0.5, f, slope, square)
    assert f == pytest.approx(1 + 0.5 * np.tanh(lam), abs=1e-13)
    assert slope == pytest.approx(1 / np.cosh(lam) ** 2, abs=1e-11)
    assert square == pytest.approx(slope**2, abs=1e-15)
    f[:] = 1.0
    outputs_relu(0.3, lam, 0.5, f, slope, square)
    step = naive.ndtr(lam / WIDTH)
    assert f == pytest.approx(1 + 0.5 * naive.value("leaky_relu:0.3", lam), abs=1e-15)
    assert slope == pytest.approx(0.3 + 0.7 * step, abs=1e-6)
    assert square == pytest.approx(0.09 + 0.91 * step, abs=1e-6)


def test_vanishing_moments_are_those_that_vanish():
    """Against the moments at two norms and biases; a moment that is 0 by chance at one is not at the other."""
    users = [Activation.from_function(f, name=n) for n, f in (("sin", np.sin), ("cos", np.cos), ("x²", np.square))]
    polynomials = [Activation.polynomial(c, basis="monomial") for c in ([0, 1, 0, 2], [1, 0, 1], [1, 2, 0, 0, 1])]
    q = np.array([0.7, 1.9])
    for activation in [*map(activation_named, NAMES), *users, *polynomials, activation_named("leaky_relu:-1")]:
        for biased in (False, True):
            c = np.zeros((7, 2))
            moments(act_of(activation), q, np.array([0.37, -0.9]) * biased, c)
            for k in range(7):
                gone = bool(np.max(np.abs(c[k])) < 1e-9)
                assert activation.vanishes(k, biased) == gone, (activation.name, k, biased)
                assert biased or activation.blocks(k) == gone


def test_on_the_sphere_a_hermite_activation_sees_only_its_own_degree():
    hermite = activation_named("hermite:4")
    assert [k for k in range(8) if not hermite.vanishes(k, sphere=True)] == [4]
    assert [k for k in range(8) if not hermite.vanishes(k)] == [0, 2, 4]


@pytest.mark.parametrize("name", NAMES)
def test_catalogue_functions(name):
    x = np.linspace(-3, 3, 31) + 0.01
    entry = activation_named(name)
    assert entry.function(x) == pytest.approx(naive.value(name, x), rel=1e-14, abs=1e-15)
    assert entry.derivative(x) == pytest.approx((entry.function(x + 1e-6) - entry.function(x - 1e-6)) / 2e-6, abs=1e-8)


def test_names_are_read_back():
    for name in [*CATALOGUE, *NAMES, "polynomial:0,1,0,-0.3", "leaky_relu:0.25"]:
        assert activation_named(name).name == name
        assert activation_named(name) == activation_named(name)
    x = np.linspace(-2, 2, 9)
    assert activation_named("polynomial:0,1,0,-0.3").function(x) == pytest.approx(x - 0.3 * x**3)
    assert activation_named("leaky_relu:0.25").function(x) == pytest.approx(np.where(x > 0, x, x / 4))
    assert activation_named("sigmoid:0") == activation_named("sigmoid:0")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tanhh", r"network\.activation='tanhh' is unknown; choose one of erf, relu, leaky_relu, tanh"),
        ("tanh:2", r"tanh takes no parameter; write tanh"),
        ("hermite", r"lacks its parameter; write hermite:3, the degree"),
        ("hermite:x", r"has no readable parameter; write hermite:3"),
        ("hermite:65", r"degree=65.0 must be at most 64"),
        ("hermite:1.5", r"degree=1.5 is not a whole number"),
        ("sigmoid:0.5,1", r"has no readable parameter; write sigmoid:0.5"),
        ("sigmoid:inf", r"has no readable parameter"),
        ("sigmoid:99", r"the shift must lie in \[-20, 20\]"),
        ("polynomial:0,0", r"coefficients are all 0"),
        (3, r"network\.activation=3 is not a name"),
    ],
)
def test_names_that_cannot_be_read(name, message):
    with pytest.raises(InputError, match=message):
        activation_named(name)
    assert "hermite" in CALLED


def test_polynomials_that_are_refused():
    with pytest.raises(InputError, match=r"degree 65 must be at most 64"):
        Activation.polynomial([0] * 65 + [1])
    with pytest.raises(InputError, match=r"basis='power' is unknown"):
        Activation.polynomial([1, 2], basis="power")
