"""Pair kernels K, their partials and the normal distributions they need against quadrature."""

import math

import naive_flow as naive
import numpy as np
import pytest
from conftest import act
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal
from test_activations import NAMES

from odesim.activations._normal import arcsine, distribution2
from odesim.activations._pairs import pair_sums


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
