"""Gaussian moments c_k and smoothed values of every activation against quadrature."""

import math

import naive_flow as naive
import numpy as np
import pytest
from conftest import act
from hypothesis import given, settings
from hypothesis import strategies as st
from test_activations import NAMES

from odesim.activations._moments import moments
from odesim.flows._mean_field import smoothed


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
