"""The correlation flow where its solution is known: powers, hyperbolic tangents, logistic curves, lines, signs."""

import math

import naive_correlation as naive
import numpy as np
import pytest
from test_correlation import neurons, simulate

from odesim import Phase as Stretch
from odesim import Target, Training, run
from odesim.flows.correlation import CorrelationFlow


@pytest.mark.parametrize(("k", "dim"), [(3, 10**4), (3, 10**8), (4, 10**4)])
@pytest.mark.parametrize("kind", ["product", "power"])
@pytest.mark.parametrize("sphere", [False, True])
def test_escape_follows_the_power_law_until_its_blow_up(k, dim, kind, sphere):
    """From 1/√d: m' = c m^{k−1}, c = a c_k for z1⋯zk and a k c_k/√k! for h_k(z1); corrections are O(m²)."""
    b = 0.7
    size = 1.0 if kind == "product" else k / math.sqrt(math.factorial(k))
    text = "*".join(f"z{i + 1}" for i in range(k)) if kind == "product" else f"He{k}(z1)/sqrt({math.factorial(k)})"
    target, ck = Target.parse(text), naive.moment("erf", k, b)
    a = 0.5 * np.sign(ck)
    c, m0 = a * ck * size, dim**-0.5
    blow_up = dim ** ((k - 2) / 2) / ((k - 2) * c)
    # until m is 3 % and 10 % of the length
    times = [0.0, *(blow_up * (1 - (m * dim**0.5) ** (2 - k)) for m in (0.03, 0.1))]
    R = np.array([[1 - target.P * m0**2]])  # q = 1
    network = neurons(target, [[m0] * target.P], a, b=[b], R=R, dim=dim)
    out = simulate(target, network, times, sphere, eta=blow_up * 1e-9, rtol=1e-10, atol=1e-14)
    expected = naive.power_law(m0, k, c, out.time)
    # each correction is a small multiple of m²; h_4 and z1⋯z4 have the larger ones, and at 1e4 the start counts
    assert abs(out.m[1, 0, 0] / expected[1] - 1) < 25 * 0.03**2
    assert abs(out.m[2, 0, 0] / expected[2] - 1) < 25 * 0.1**2
    if dim == 10**8:  # and then it leaves at T
        late = simulate(
            target, network, [0, 0.99 * blow_up, 1.01 * blow_up], sphere, eta=blow_up * 1e-9, rtol=1e-9, atol=1e-13
        )
        assert late.m[1, 0, 0] < 0.02
        assert late.m[2, 0, 0] > 0.2


def test_one_linear_term_on_the_sphere_is_a_hyperbolic_tangent():
    """m' = a c_1 (1 − m²), c_1 = 1/√π for erf at q = 1."""
    target = Target.parse("z1")
    out = simulate(target, neurons(target, [[0.3]], 0.8, R=np.array([[0.91]])), [0, 1, 2, 5], True, rtol=1e-10)
    expected = np.tanh(0.8 / math.sqrt(math.pi) * out.time + math.atanh(0.3))
    assert out.m[:, 0, 0] == pytest.approx(expected, abs=1e-8)
    assert pytest.approx(1.0, abs=1e-14) == out.Q[:, 0, 0]


def test_one_even_term_on_the_sphere_is_a_logistic_curve():
    """h_2 with ReLU: m' = a √2 c_2 m (1 − m²), c_2 = φ(0), so m²/(1 − m²) grows as exp(2 √2 a c_2 t)."""
    target = Target.parse("He2(z1)/sqrt(2)")
    network = neurons(target, [[0.1]], 0.8, name="relu", R=np.array([[0.99]]))
    out = simulate(target, network, [0, 2, 5, 10], True, rtol=1e-10)
    odds = 0.01 / 0.99 * np.exp(2 * math.sqrt(2) * 0.8 / math.sqrt(2 * math.pi) * out.time)
    assert out.m[:, 0, 0] == pytest.approx(np.sqrt(odds / (1 + odds)), abs=1e-8)


def test_one_linear_term_moves_a_free_relu_at_constant_speed():
    """c_1 = ½ and c_3 = 0: m' = a/2, and the residual stays."""
    target = Target.parse("z1")
    out = simulate(target, neurons(target, [[0.2]], -0.6, name="relu"), [0, 1, 4])
    assert out.m[:, 0, 0] == pytest.approx(0.2 - 0.3 * out.time, abs=1e-6)
    assert pytest.approx(1 + out.m[:, 0, 0] ** 2, abs=1e-6) == out.Q[:, 0, 0]


def test_boolean_linear_term_with_relu_without_residual_has_slope_one_half():
    """C = E[z1 max(m z1, 0)] = m/2, so m' = a/2, and R stays 0."""
    target = Target.parse("z1", data="boolean")
    out = simulate(target, neurons(target, [[0.2]], 0.6, name="relu", R=np.zeros((1, 1))), [0, 1, 4])
    assert out.m[:, 0, 0] == pytest.approx(0.2 + 0.3 * out.time, abs=1e-6)
    assert pytest.approx(out.m[:, 0, 0] ** 2, abs=1e-6) == out.Q[:, 0, 0]
    assert np.isfinite(out.risk).all()


def test_from_equal_entries_the_sign_decides_and_half_of_the_neurons_grow():
    """z1z2z3 from ±1/√d: the neuron grows where a c_3 Π sign(m) > 0, c_3 < 0 for erf; the others shrink to 0."""
    target, root = Target.parse("z1*z2*z3"), 0.1
    signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * 4)).reshape(4, -1).T
    network = neurons(target, root * signs[:, :3], 0.5 * signs[:, 3], R=0.97 * np.eye(16))
    grows = signs.prod(axis=1) * naive.moment("erf", 3) > 0
    assert grows.sum() == 8
    for sphere in (True, False):
        out = simulate(target, network, [0, 200], sphere)
        length = np.linalg.norm(out.m[-1], axis=-1)
        assert (length[grows] > 0.9).all()
        assert (length[~grows] < 0.08).all()


def test_from_unequal_entries_the_smallest_changes_sign_and_then_the_neuron_grows():
    """m_i² − m_j² is conserved by a monomial (free): only equal entries can die together."""
    target = Target.parse("z1*z2*z3")
    network = neurons(target, [[0.05, 0.1, 0.12]], 0.5, R=0.97 * np.eye(1))
    out = simulate(target, network, np.linspace(0, 1500, 40), True)
    assert out.m[0].prod() > 0
    assert out.m[-1].prod() < 0
    assert (np.abs(out.m[-1]) > 0.5).all()
    assert out.m[-1, 0, 0] < 0 < out.m[-1, 0, 1]


def test_decay_and_schedule_have_their_closed_form():
    """z1 with ReLU: m' = ξ(a/2 − λm), R' = −2ξλR; then ξ = 0, then ξ = 2 at half the clock."""
    target, eta = Target.parse("z1"), 0.01
    network = neurons(target, [[0.2]], 0.6, name="relu")
    schedule = (Stretch(100), Stretch(150, w=0.0), Stretch(rate=0.5, w=2.0))
    for loss in ("square", "correlation"):
        training = Training(eta=eta, eta_a=0.0, decay_w=0.3, schedule=schedule, loss=loss)
        out = run(CorrelationFlow(rtol=1e-10), target, network, training, steps=400, points=400, spacing="linear")
        moved = eta * np.where(out.steps <= 100, out.steps, np.where(out.steps <= 150, 100, out.steps - 50))
        assert out.m[:, 0, 0] == pytest.approx(1 + (0.2 - 1) * np.exp(-0.3 * moved), abs=1e-8)
        assert out.q[:, 0] - out.m[:, 0, 0] ** 2 == pytest.approx(np.exp(-0.6 * moved), abs=1e-8)
        assert out.time[-1] == pytest.approx(eta * (150 + 125))
