"""Single kernels and formulas that the tests of whole runs are too coarse to hold."""

import math

import naive_flow as naive
import numpy as np
import pytest
from numba import njit
from test_integrate import Run, solve_oscillator
from test_sgd import make_job

from odesim import Network, OverlapFlow, Target, Training, run
from odesim.activations._pairs import pairs_relu
from odesim.activations.catalogue import CATALOGUE
from odesim.flows import _noise_points, overlap
from odesim.flows import _overlap as kernels
from odesim.integrate import _explicit
from odesim.integrate._loop import integrate, no_value
from odesim.passages import first_passage
from odesim.plateaus import NODES_A_WINDOW, PlateauRule, _Curve
from odesim.sgd import full, handed
from odesim.sgd.state import State
from odesim.trajectory import Status, Trajectory


def test_smoothed_step_is_the_normal_distribution():
    u = np.linspace(-0.5, 0.5, 2001)
    got = np.array([_noise_points.smooth_step(x) for x in u])
    np.testing.assert_allclose(got, naive.ndtr(u / _noise_points.WIDTH), atol=3e-7)


def test_square_of_the_step_is_the_step():
    """On the diagonal E[σ'²] = E[σ'] for ReLU: squaring the smoothed step would lose half of its ramp."""
    lam, f = np.linspace(-0.3, 0.3, 61), np.zeros(61)
    slope, square = np.empty(61), np.empty(61)
    _noise_points.outputs_relu(0.0, lam, 2.0, f, slope, square)
    assert np.array_equal(square, slope)
    np.testing.assert_allclose(f, 2.0 * np.maximum(lam, 0), atol=1e-15)


# ---- pairs of ReLU neurons on the edge of the cone


def relu_pairs(Q, a, b):
    n = a.size
    ka, k1, kb, k12 = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros((n, n))
    pairs_relu(Q, a, b, ka, k1, kb, k12)
    return ka, k1, kb, k12


@pytest.mark.parametrize("shift", [-0.6, 0.5])
def test_relu_pairs_that_coincide_with_unequal_biases(shift):
    """λ1 = λ2: one-dimensional integrals, and ∂K/∂q1 = ½ E[δ(λ + b1) σ(λ + b2)]."""
    q, b = 0.8, np.array([0.3, 0.3 + shift])
    s, a = math.sqrt(q), np.array([0.0, 1.0])
    ka, k1, kb, k12 = relu_pairs(np.full((2, 2), q), a, b)
    g, w = naive.panels([-12, -4, -1, 0, 1, 4, 12, *(-b / s)])
    w = w * naive.PHI * np.exp(-g * g / 2)
    one, other = s * g + b[0], s * g + b[1]
    assert ka[0] == pytest.approx(np.sum(w * np.maximum(one, 0) * np.maximum(other, 0)), abs=1e-12)
    assert kb[0] == pytest.approx(np.sum(w * (one > 0) * np.maximum(other, 0)), abs=1e-12)
    assert k12[0, 1] == pytest.approx(np.sum(w * (one > 0) * (other > 0)), abs=1e-12)
    density = naive.PHI * math.exp(-(b[0] ** 2) / (2 * q)) / s
    assert k1[0] == pytest.approx(0.5 * density * max(shift, 0.0), abs=1e-12)


@pytest.mark.parametrize("biases", [0.0, 0.4])
def test_collinear_neurons_never_leave_the_cone(biases):
    """w_2 = c w_1 for many c: by rounding |q12| exceeds √(q1 q2) for some of them."""
    rng = np.random.default_rng(0)
    outside = 0
    for c in rng.normal(size=1000):
        w = rng.normal(size=(1, 5))
        Q = np.array([[1.0], [c]]) @ (w @ w.T) @ np.array([[1.0, c]])
        outside += abs(Q[0, 1]) / math.sqrt(Q[0, 0] * Q[1, 1]) > 1
        for part in relu_pairs(Q, np.ones(2), np.full(2, biases)):
            assert np.isfinite(part).all()
    assert outside > 0


# ---- how the finite-step term enters


@pytest.fixture(scope="module")
def small():
    """A target, a network of two neurons in few dimensions and its Γ by quadrature."""
    target = Target.parse("z1 + z1*z2/2")
    network = Network.random(target, width=2, dim=10, rng=4)
    gamma = naive.noise_matrix("erf", target, network.weights, network.a, network.b, 0.3, nodes=30)
    return target, network, gamma


def test_finite_step_drift_is_eta_d_times_the_quadrature(small):
    """R' gains (ηd) Γ and nothing else changes."""
    target, network, gamma = small
    y = np.concatenate([network.m.ravel(), network.R.ravel(), network.a, network.b])
    slopes = []
    for eta_d in (0.0, 0.7):
        problem = overlap.problem_of(target, CATALOGUE["erf"], 2, biased=False, eta_d=eta_d, noise=0.3)
        slopes.append(np.empty_like(y))
        kernels.derivative(problem, 0.0, y, slopes[-1])
    dm, dR, da, db = overlap.unpack(slopes[1] - slopes[0], 2, 2)
    np.testing.assert_allclose(dR, 0.7 * gamma, rtol=1e-4)
    assert not np.concatenate([dm.ravel(), da, db]).any()


def test_stored_noise_rate_is_eta_d_times_the_quadrature(small):
    target, network, gamma = small
    out = run(OverlapFlow(), target, network, Training(eta=0.02, noise=0.3), steps=10, points=2)
    np.testing.assert_allclose(out.noise_rate[0], 0.02 * 10 * np.diag(gamma), rtol=1e-4)


def test_biases_that_start_at_zero_are_trained():
    target = Target.parse("z1 + He2(z2)/2")
    network = Network.random(target, width=4, dim=20, rng=2)
    out = run(OverlapFlow(), target, network, Training(eta=0.01, eta_b=0.01), steps=1000, points=5)
    assert out.b is not None
    assert abs(out.b[-1]).max() > 1e-3
    np.testing.assert_allclose(
        out.risk, overlap.risk_of(target, network.activation, out.m, out.Q, out.a, out.b), rtol=1e-12
    )


# ---- the integrator


@njit
def growth(problem, t, y, dy):
    dy[0] = y[0]


@njit(error_model="numpy")
def solve_growth(problem, chosen, y, control, counts, t_out, out, events, work, budget):
    return integrate(growth, no_value, problem, chosen, y, control, counts, t_out, out, events, work, budget)


def test_growth_beyond_the_bound_is_divergence():
    """e^t passes 10^12 at t = 27.6, long before it overflows."""
    one = Run(solve_growth, [1.0], [0, 10.0, 100.0])
    assert one.go(10**6) == _explicit.DIVERGED
    assert one.control[_explicit.TIME] == pytest.approx(12 * math.log(10), abs=1.0)
    assert one.out[1, 0] == pytest.approx(math.exp(10), rel=1e-6)
    assert np.isnan(one.out[2, 0])


def test_number_of_steps_follows_the_order():
    """The error estimate is O(h⁵), so 10⁵ in the tolerance costs a factor 10 in steps."""
    steps = []
    for tolerance in (1e-5, 1e-10):
        one = Run(solve_oscillator, [1, 0], [0, 40.0], rtol=tolerance, atol=tolerance)
        one.go(10**6)
        steps.append(one.counts[_explicit.ACCEPTED])
    assert steps[1] / steps[0] == pytest.approx(10, rel=0.25)


# ---- first passages


def test_a_run_that_is_lost_and_comes_back_is_censored():
    assert first_passage([0, 1, 10, 100], [1.0, 1.0, math.nan, 0.2], 0.5) == math.inf


# ---- SGD: the ends of a group


def sgd_start():
    job = make_job([0, 8], width=3, dim=9)
    return job, State.start(job.network, np.dtype(float)), handed.constants_of(job, 0)


def test_a_group_that_ends_early_applies_its_own_steps_alone():
    """Seven steps in one call are four and three: no update of the first group is left over for the second."""
    job, whole, constants = sgd_start()
    parts = whole.copy()
    assert full._advance(whole, 7, job.network, constants) == Status.DONE
    for count in (4, 3):
        assert full._advance(parts, count, job.network, constants) == Status.DONE
    assert np.array_equal(whole.W, parts.W)
    assert np.array_equal(whole.a, parts.a)


def test_an_output_beyond_the_bound_ends_the_run_before_its_step():
    """erf bounds every σ_j, but not f: a huge second layer is found in the forward pass that first shows it."""
    job, state, constants = sgd_start()
    state.a[1] = 1e15
    before = state.W.copy()
    assert full._advance(state, 4, job.network, constants) == Status.DIVERGED
    assert state.step == 0
    assert np.array_equal(state.W, before)


# ---- plateaus


def test_slope_of_a_steep_curve_is_the_least_squares_line():
    steps = np.unique(np.rint(np.geomspace(1, 10_000, 200))).astype(np.int64)
    steps = np.concatenate([[0], steps])
    risk = 1.0 - 0.4 * np.tanh(np.log(np.maximum(steps, 1) / 100.0))
    zero = np.zeros((steps.size, 1, 1))
    curve = _Curve.of(Trajectory(steps, 1e-3 * steps, risk, zero, zero[..., 0]), PlateauRule())
    half, slopes = NODES_A_WINDOW // 2, curve.slopes(PlateauRule())
    for i in range(0, curve.x.size, 17):
        part = slice(max(i - half, 0), i + half + 1)
        assert slopes[i] == pytest.approx(np.polyfit(curve.x[part], curve.L[part], 1)[0], abs=1e-9)
    assert abs(slopes).max() > 0.3
