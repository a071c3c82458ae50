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
from odesim.activations.catalogue import CATALOGUE, activation_named
from odesim.checks import InputError

NAMES = sorted(CATALOGUE)


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
@settings(max_examples=40, deadline=None)
def test_moments_are_hermite_moments(q, b, name):
    """c_k q^{k/2} = E[σ(√q G + b) He_k(G)]: the definition by parts, no derivative of σ needed."""
    c = np.zeros((6, 1))
    moments(act(name), np.array([q]), np.array([b]), c)
    g, w = naive.panels([-12, -5, -2, 0, 2, 5, 12, -b / math.sqrt(q)])
    values = w * naive.PHI * np.exp(-g * g / 2) * naive.value(name, math.sqrt(q) * g + b)
    for k in range(6):
        he = np.polynomial.hermite_e.hermeval(g, [0] * k + [1])
        assert c[k, 0] * q ** (k / 2) == pytest.approx(np.sum(values * he), abs=1e-12)


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
        assert ka[j] == pytest.approx(a @ [row[0] for row in k], abs=1e-12)
        if full_rank:  # elsewhere a partial leaves the cone of covariance matrices
            assert k1[j] == pytest.approx(a @ [row[1] for row in k], abs=1e-6)
            assert k12[j] == pytest.approx([row[2] for row in k], abs=1e-6)
        if biased or name == "relu":
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


def test_parity_says_which_moments_vanish_without_biases():
    c = np.zeros((7, 1))
    for activation in CATALOGUE.values():
        moments(act(activation.name), np.array([0.7]), np.zeros(1), c)
        for k in range(2, 7):
            assert activation.blocks(k) == (abs(c[k, 0]) < 1e-15)
        assert not activation.blocks(0)
        assert not activation.blocks(1)


@pytest.mark.parametrize("name", NAMES)
def test_catalogue_functions(name):
    x = np.linspace(-3, 3, 31) + 0.01
    entry = activation_named(name)
    assert entry.function(x) == pytest.approx(naive.value(name, x), abs=1e-15)
    assert entry.derivative(x) == pytest.approx((entry.function(x + 1e-6) - entry.function(x - 1e-6)) / 2e-6, abs=1e-8)


def test_unknown_activation_is_named_with_the_choices():
    with pytest.raises(InputError, match=r"network\.activation='tanhh' is unknown; choose one of erf, relu"):
        activation_named("tanhh")
