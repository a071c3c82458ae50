"""Moments, pair kernels and normal distributions against quadrature."""

import math

import naive_flow as naive
import numpy as np
import pytest
from conftest import act
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from odesim.activations._moments import moments
from odesim.activations._normal import arcsine, distribution2
from odesim.activations._pairs import pair_sums
from odesim.activations.activation import MOST_DEGREE, Activation
from odesim.activations.catalogue import CATALOGUE, activation_named
from odesim.activations.catalogue import NAMES as CALLED
from odesim.activations.handed import act_of
from odesim.checks import InputError
from odesim.flows._mean_field import smoothed
from odesim.flows._noise_points import WIDTH, outputs_other, outputs_relu
from odesim.sgd._full import activate

NAMES = [
    "erf", "relu", "leaky_relu:0.3", "tanh", "sigmoid", "sigmoid:0.5", "softplus", "gelu", "silu",
    "hermite:2", "hermite:5",
]  # fmt: skip


def test_arcsine_matches_the_library_on_the_whole_interval():
    u = np.concatenate([np.linspace(-1, 1, 4001), [0.5, -0.5, 1 - 1e-16, 1e-300]])
    assert max(abs(arcsine(x) - math.asin(x)) for x in u) < 5e-16


@pytest.mark.parametrize("rho", [0.0, 0.3, -0.5, 0.9, 0.9001, 0.97, 0.9999, 1 - 1e-9, -0.95, -0.99999])
def test_bivariate_normal_matches_a_one_dimensional_integral(rho):
    rng = np.random.default_rng(3)
    for a, b in np.concatenate([1.5 * rng.normal(size=(20, 2)), [[0, 0], [1, 1], [1, 1 + 1e-6], [-2, 2.001]]]):
        r = math.sqrt(1 - rho * rho)
        kink = b / rho if rho else 0.0
        around = [kink + s * r * k for s in (-1, 1) for k in (0, 0.1, 1, 3, 8)]
        x, w = naive.panels([-12, -4, -1, 0, 1, 4, a, *[min(k, a) for k in around]])
        inside = x < a
        values = naive.PHI * np.exp(-x * x / 2) * naive.ndtr((b - rho * x) / r)
        assert distribution2(a, b, rho) == pytest.approx(np.sum((w * values)[inside]), abs=2e-15)


def test_bivariate_normal_matches_scipy_and_its_limits():
    assert distribution2(0.3, -0.7, 0.6) == pytest.approx(
        multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]]).cdf([0.3, -0.7]), abs=1e-6
    )
    assert distribution2(0.3, -0.7, 1.0) == pytest.approx(naive.ndtr(-0.7), abs=1e-16)
    assert distribution2(0.3, 0.7, -1.0) == pytest.approx(naive.ndtr(0.3) + naive.ndtr(0.7) - 1, abs=1e-15)
    assert distribution2(0.3, -0.7, -1.0) == pytest.approx(0.0, abs=1e-15)


@given(q=st.floats(0.3, 4), b=st.floats(-2, 2), name=st.sampled_from(NAMES))
@settings(max_examples=60, deadline=None)
def test_moments_are_hermite_moments(q, b, name):
    """c_k q^{k/2} = E[σ(√q G + b) He_k(G)]: the definition by parts, no derivative of σ needed."""
    c = np.zeros((6, 1))
    moments(act(name), np.array([q]), np.array([b]), c)
    g, w = naive.panels([-12, -5, -2, 0, 2, 5, 12, -b / math.sqrt(q)])
    values = w * naive.PHI * np.exp(-g * g / 2) * naive.value(name, math.sqrt(q) * g + b)
    for k in range(6):
        he = np.polynomial.hermite_e.hermeval(g, [0] * k + [1])
        assert c[k, 0] * q ** (k / 2) == pytest.approx(np.sum(values * he), abs=2e-12 * (1 + abs(values).sum()))


def sums(name, Q, a, b, biased):
    n = a.size
    out = [np.zeros(n) for _ in range(4)] + [np.zeros((n, n))]
    pair_sums(act(name), biased, Q, a, b, *out)
    return out[1:]


@given(seed=st.integers(0, 10**6), name=st.sampled_from(NAMES), biased=st.booleans())
@settings(max_examples=25, deadline=None)
def test_pair_sums_and_their_partials(seed, name, biased):
    rng = np.random.default_rng(seed)
    n = 3
    W = rng.normal(size=(n, 4)) / 2
    W[2] = W[1] if seed % 3 == 0 else W[2]  # coinciding neurons: ρ = 1 off the diagonal
    Q, a, b = W @ W.T, rng.normal(size=n), biased * rng.normal(size=n)
    ka, k1, kb, k12 = sums(name, Q, a, b, biased)
    h = 1e-4
    full_rank = np.linalg.matrix_rank(W) == n
    for j in range(n):
        k = [partials(name, Q, b, j, l, h) for l in range(n)]
        assert ka[j] == pytest.approx(a @ [row[0] for row in k], abs=1e-11)
        if full_rank:  # elsewhere a partial leaves the cone of covariance matrices
            assert k1[j] == pytest.approx(a @ [row[1] for row in k], abs=1e-6)
            assert k12[j] == pytest.approx([row[2] for row in k], abs=1e-6)
        if biased or name != "erf":
            assert kb[j] == pytest.approx(a @ [row[3] for row in k], abs=1e-6)


def partials(name, Q, b, j, l, h):
    """K and its partials in q1, q12 and b1 by differences of the quadrature."""

    def K(q1=0.0, q12=0.0, q2=0.0, b1=0.0):
        return naive.pair(name, Q[j, j] + q1, Q[j, l] + q12, Q[l, l] + q2, b[j] + b1, b[l])

    by_b = (K(b1=h) - K(b1=-h)) / (2 * h)
    if j != l:
        return K(), (K(q1=h) - K(q1=-h)) / (2 * h), (K(q12=h) - K(q12=-h)) / (2 * h), by_b
    # on the diagonal only q1 = q12 = q2 can move: dK/dq = ∂12 + 2∂1 with ∂12 = E[σ'²]
    g, w = naive.panels([-12, -4, -1, 0, 1, 4, 12, -b[j] / math.sqrt(Q[j, j])])
    by_12 = np.sum(w * naive.PHI * np.exp(-g * g / 2) * naive.slope(name, math.sqrt(Q[j, j]) * g + b[j]) ** 2)
    along = (K(h, h, h) - K(-h, -h, -h)) / (2 * h)
    return K(), (along - by_12) / 2, by_12, by_b


def test_pair_sums_have_their_limits_when_neurons_coincide():
    """E[σ'²] on the diagonal and off it, for identical neurons with equal biases."""
    Q, a, b = np.full((2, 2), 0.8), np.array([1.0, 0.5]), np.array([0.3, 0.3])
    for name in NAMES:
        ka, k1, kb, k12 = sums(name, Q, a, b, True)
        g, w = naive.panels([-12, -4, -1, 0, 1, 4, 12, -0.3 / math.sqrt(0.8)])
        slopes = naive.slope(name, math.sqrt(0.8) * g + 0.3)
        expected = np.sum(w * naive.PHI * np.exp(-g * g / 2) * slopes**2)
        assert k12 == pytest.approx(np.full((2, 2), expected), abs=1e-12)
        for out in (ka, k1, kb):
            assert out[0] == pytest.approx(out[1], abs=1e-14)


def smooth_twin(name, q1, rho, q2, b1, b2):
    """K, ∂q1, ∂b1, ∂q12 by a plain two-dimensional sum; ∂q1 by parts: E[λ1 σ'σ] = q1 E[σ''σ] + q12 E[σ'σ']."""
    g = np.linspace(-9, 9, 361)
    w = naive.PHI * np.exp(-g * g / 2) * (g[1] - g[0])
    s1, s2 = math.sqrt(q1), math.sqrt(q2)
    second = s2 * (rho * g[:, None] + math.sqrt(max(0.0, 1 - rho * rho)) * g) + b2
    inner, inner_slope = naive.value(name, second) @ w, naive.slope(name, second) @ w
    first, first_slope = w * naive.value(name, s1 * g + b1), w * naive.slope(name, s1 * g + b1)
    by_12 = first_slope @ inner_slope
    by_q = ((s1 * g * first_slope) @ inner - rho * s1 * s2 * by_12) / (2 * q1)
    return np.array([first @ inner, by_q, first_slope @ inner, by_12])


@pytest.mark.parametrize("name", ["tanh", "sigmoid:0.5", "silu", "gelu", "hermite:5", "erf"])
@pytest.mark.parametrize(("q1", "q2"), [(1.0, 0.5), (4.0, 5.0), (16.0, 9.0), (0.01, 1.0), (1e-4, 0.3)])
def test_pairs_of_any_size_and_correlation(name, q1, q2):
    """Small and large norms, ρ up to ±1: every branch (series, small s, one given the other, diagonal)."""
    for rho in (0.0, -0.3, 0.95, -0.999, 0.9999, 1.0, -1.0):
        b = np.array([0.3, -0.6])
        q12 = rho * math.sqrt(q1 * q2)
        Q = np.array([[q1, q12], [q12, q2]])
        for a, twin, scale in (
            (np.array([0.0, 1.0]), smooth_twin(name, q1, rho, q2, *b), smooth_twin(name, q2, 1.0, q2, b[1], b[1])),
            (np.array([1.0, 0.0]), smooth_twin(name, q1, 1.0, q1, b[0], b[0]), 0),
        ):
            ka, k1, kb, k12 = sums(name, Q, a, b, True)
            got = np.array([ka[0], k1[0], kb[0], k12[0] @ a])
            assert got == pytest.approx(twin, rel=3e-11, abs=1e-11 * (1 + np.max(np.abs(scale))))


@pytest.mark.parametrize("name", NAMES)
def test_value_and_partials_are_consistent(name):
    """Finite differences of ka itself in every argument, to 1e-7: what a right-hand side and its risk need."""
    rng = np.random.default_rng(5)
    W = rng.normal(size=(4, 6)) / 1.5
    W[3] = W[2] + 0.05 * rng.normal(size=6)
    Q, a, b, h = W @ W.T, rng.normal(size=4), 0.5 * rng.normal(size=4), 1e-4
    _, k1, kb, k12 = sums(name, Q, a, b, True)

    def total(dQ, db):
        return 0.5 * a @ sums(name, Q + dQ, a, b + db, True)[0]

    def slope_along(dQ, db):
        one, two = (total(h * dQ, h * db) - total(-h * dQ, -h * db), total(2 * h * dQ, 2 * h * db))
        return (8 * one - (two - total(-2 * h * dQ, -2 * h * db))) / (12 * h)

    dW, db = rng.normal(size=W.shape), rng.normal(size=4)
    dQ = dW @ W.T + W @ dW.T
    # d(½aᵀKa) = ½ Σ a_j a_l ∂12 dQ_jl + Σ a_j k1_j dQ_jj + Σ a_j kb_j db_j
    expected = 0.5 * np.sum(np.outer(a, a) * k12 * dQ) + a @ (k1 * np.diag(dQ)) + a @ (kb * db)
    assert slope_along(dQ, db) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("name", ["tanh", "sigmoid:0.5", "gelu", "leaky_relu:0.3", "hermite:2"])
def test_vanishing_residuals_are_finite_and_right(name):
    """Boolean sums: Q = R of any rank and size down to 1e-30, with u for biases; then K = σ(u_j) σ(u_l)."""
    v = np.array([1e-15, -2e-15, 1e-9])
    Q, u, a = np.outer(v, v), np.array([0.4, -1.3, 2.0]), np.array([1.0, -0.5, 2.0])
    ka, k1, kb, k12 = sums(name, Q, a, u, True)
    f, d = naive.value(name, u), naive.slope(name, u)
    assert ka == pytest.approx(f * (a @ f), abs=1e-8)
    assert kb == pytest.approx(d * (a @ f), abs=1e-8)
    assert k12 == pytest.approx(np.outer(d, d), abs=1e-8)
    h = 1e-4
    curvature = (naive.slope(name, u + h) - naive.slope(name, u - h)) / (2 * h)
    assert k1 == pytest.approx(0.5 * curvature * (a @ f), abs=1e-7)


@pytest.mark.parametrize(("shift", "expected"), [(0.5, [0.398, 0.199, 0.0299, -0.0547, -0.0297]),
                                             (1, [0.303, 0.178, 0.0526, -0.0349, -0.0466])])  # fmt: skip
def test_moments_of_the_shifted_sigmoid(shift, expected):
    c = np.zeros((5, 1))
    moments(act(f"sigmoid:{shift}"), np.ones(1), np.zeros(1), c)
    assert c[:, 0] == pytest.approx(expected, abs=5e-4, rel=0.003)


@pytest.mark.parametrize(("name", "tolerance"), [("tanh", 2e-8), ("sigmoid:0.5", 1e-9), ("silu", 1e-9)])
def test_moments_at_small_norms(name, tolerance):
    """c_k(q) = Σ_n (q/2)^n/n! σ^(k+2n)(b), the derivatives from a Cauchy circle inside the poles of σ."""
    q, b, radius = 1e-4, 0.4, 1.0
    theta = 2 * np.pi * (np.arange(64) + 0.5) / 64
    z = b + radius * np.exp(1j * theta)
    sigma = {"tanh": np.tanh(z), "sigmoid:0.5": 1 / (1 + np.exp(0.5 - z)), "silu": z / (1 + np.exp(-z))}[name]
    derivative = [math.factorial(k) * np.mean(sigma * np.exp(-1j * k * theta)).real for k in range(14)]
    c = np.zeros((5, 1))
    moments(act(name), np.array([q]), np.array([b]), c)
    for k in range(5):
        expected = sum((q / 2) ** n / math.factorial(n) * derivative[k + 2 * n] for n in range(4))
        assert c[k, 0] == pytest.approx(expected, abs=tolerance * 10.0 ** (k - 4))


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
def test_smoothed_values_and_their_partials(name):
    u = np.linspace(-2.5, 2.5, 11) + 0.01
    value, slope, spread = np.empty(11), np.empty(11), np.empty(11)
    for s in (0.0, 1e-7, 0.05, 0.8, -0.8, 2.5):
        smoothed(act(name), u, s, 0.0, value, slope, spread)
        g, w = naive.panels([-12, -7, -3, 0, 3, 7, 12], 40)
        assert value == pytest.approx(naive.smoothed(name, u, s * s), abs=1e-11)
        if naive.kinked(name):
            h = 1e-5
            by_u = (naive.smoothed(name, u + h, s * s) - naive.smoothed(name, u - h, s * s)) / (2 * h)
            assert slope == pytest.approx(by_u, abs=1e-7)
            if s > 0.01:
                by_s = (naive.smoothed(name, u, (s + h) ** 2) - naive.smoothed(name, u, (s - h) ** 2)) / (2 * h)
                assert spread == pytest.approx(by_s, abs=1e-7)
        else:
            slopes = naive.slope(name, u[:, None] + s * g) * w * naive.PHI * np.exp(-g * g / 2)
            assert slope == pytest.approx(slopes.sum(axis=1), abs=1e-11)
            assert spread == pytest.approx(slopes @ g, abs=1e-11)


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


def elu(x):
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0.0)))


KINKED = {"hat": (lambda x: np.maximum(0.0, 1 - np.abs(x)), (-1, 0, 1)), "elu": (elu, (0,)),
          "relu": (lambda x: np.maximum(x, 0.0), (0.0,))}  # fmt: skip


@pytest.mark.parametrize("title", KINKED)
def test_a_function_with_kinks(title):
    """Moments and pairs of a table with kinks: by definition on fine panels, and those of ReLU in closed form."""
    function, kinks = KINKED[title]
    activation = Activation.from_function(function, kinks=kinks, name=title)
    kernel = act_of(activation)
    assert max(activation.error) < 1e-10
    q, b = np.array([0.9, 1e-4]), np.array([0.2, -0.003])
    c = np.zeros((5, 2))
    moments(kernel, q, b, c)
    for j in range(2):
        g, w = naive.panels([-12, -5, -2, 0, 2, 5, 12, *((np.array(kinks) - b[j]) / math.sqrt(q[j]))])
        values = w * naive.PHI * np.exp(-g * g / 2) * function(math.sqrt(q[j]) * g + b[j])
        for k in range(5):
            he = np.polynomial.hermite_e.hermeval(g, [0] * k + [1])
            assert c[k, j] * q[j] ** (k / 2) == pytest.approx(np.sum(values * he), abs=1e-11)
    if title == "relu":
        for rho in (0.5, -0.99, 1.0):
            Q, a, u = np.array([[1.0, rho], [rho, 1.0]]), np.array([1.0, 0.7]), np.array([0.2, 0.5])
            out = [np.zeros(2) for _ in range(4)] + [np.zeros((2, 2))]
            pair_sums(kernel, 1, Q, a, u, *out)
            for mine, closed in zip(out[1:], sums("relu", Q, a, u, True), strict=True):
                assert mine == pytest.approx(closed, abs=1e-9)
        x, value, slope, spread = np.array([-0.3, 0.0, 0.8]), np.zeros(3), np.zeros(3), np.zeros(3)
        expected = [np.zeros(3) for _ in range(3)]
        smoothed(kernel, x, 0.4, 0.1, value, slope, spread)
        smoothed(act("relu"), x, 0.4, 0.1, *expected)
        assert np.array([value, slope, spread]) == pytest.approx(np.array(expected), abs=1e-10)


def test_reported_error_of_a_table_is_its_error():
    activation = Activation.from_function(lambda x: np.tanh(2 * x), name="steep")
    x = np.random.default_rng(8).uniform(-20, 20, 20000)
    value, slope = np.empty(x.size), np.empty(x.size)
    activate(act_of(activation), x, value, slope)
    worst = np.max(np.abs(value - np.tanh(2 * x))), np.max(np.abs(slope - 2 / np.cosh(2 * x) ** 2))
    assert worst[0] < 2 * activation.error.value
    assert activation.error.slope / 2 < worst[1] < 2 * activation.error.slope
    assert activation.function(x) == pytest.approx(np.tanh(2 * x), abs=1e-15)


def test_a_table_goes_on_linearly_and_passes_nan_on():
    activation = Activation.from_function(lambda x: 0.1 * x**2, reach=5.0)
    x, value, slope = np.array([7.0, -1e6, 5.0, np.nan, np.inf]), np.empty(5), np.empty(5)
    activate(act_of(activation), x, value, slope)
    assert value[:3] == pytest.approx([2.5 + 2.0, 2.5 + 1e6 - 5.0, 2.5])
    assert slope[:3] == pytest.approx([1.0, -1.0, 1.0])
    assert np.isnan(value[3])
    assert not np.isfinite(value[4])


def test_tables_that_miss_the_function_are_refused_or_warned_of():
    with pytest.raises(InputError, match=r"misses the function by .* above 1e-06 and 0.0001; name its kinks"):
        Activation.from_function(lambda x: np.maximum(x - 0.013, 0.0))
    with pytest.raises(InputError, match=r"jumps by 1 at the kink x=0.5"):
        Activation.from_function(lambda x: (x > 0.5).astype(float), kinks=(0.5,))
    with pytest.raises(InputError, match=r"log: the function is not finite at x=-"), np.errstate(invalid="ignore"):
        Activation.from_function(np.log, name="log")
    with pytest.raises(InputError, match=r"maps shape \(.*\) to \(\)"):
        Activation.from_function(np.sum)
    with pytest.raises(InputError, match=r"the function failed on an array"):
        Activation.from_function(math.tanh)
    with pytest.raises(InputError, match=r"kinks=\(30.0,\) must lie inside ±20"):
        Activation.from_function(np.abs, kinks=(30,))
    with pytest.warns(UserWarning, match=r"misses the function by"):
        Activation.from_function(lambda x: np.tanh(8 * x))
    assert Activation.from_function(np.abs, kinks=(0,)).practical_width < activation_named("tanh").practical_width


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
