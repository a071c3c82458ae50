"""The overlap flow on Boolean data: its finite-step term, exact enumeration in small dimensions, singular residuals."""

import naive_flow as naive
import numpy as np
import pytest

from odesim import InputError, Network, OverlapFlow, Target, Training, run
from odesim.flows import _overlap as kernels
from odesim.flows import overlap
from odesim.flows._noise_erf import noise_erf
from odesim.flows.overlap_problem import problem_of

TARGET = Target.parse("z1 + z1*z2*z3/2", data="boolean")


def gamma_given_z(target, m, R, a, b, noise):
    """Γ for erf by all z, each in closed form: given z the target is a constant and the biases are b + m z."""
    total, none = np.zeros_like(R), np.zeros((a.size, 1))
    for z in naive.cube(target.P):
        series = Target.from_terms({(0,): float(target.evaluate(z))}, P=1)
        problem = problem_of(series, Network.random(series, width=1, dim=1).activation, a.size, biased=True)
        g, out = problem.gamma, np.zeros_like(R)
        noise_erf(1, 1, 0, noise, g.table, g.table2, none, R.copy(), a, a, b + m @ z, g.tilt, out)
        total += out / 2**target.P
    return total


def test_finite_step_term_by_points_against_enumeration_of_z():
    """2^14 points whose z are the signs of Sobol normals: every corner equally often, ½ % of the largest entry."""
    network = Network.random(TARGET, width=4, dim=40, biases=0.5, rng=1)
    problem = problem_of(TARGET, network.activation, 4, biased=True, eta_d=1.0, noise=0.2, samples=2**14)
    corners, counts = np.unique(problem.gamma.points.z.T, axis=0, return_counts=True)
    assert len(corners) == 8
    assert (counts == 2**14 // 8).all()
    y = np.concatenate([part.ravel() for part in (network.m, network.R, network.a, network.b)])
    kernels.derivative(problem, 0.0, y, np.empty_like(y))
    expected = gamma_given_z(TARGET, network.m, network.R, network.a, network.b, 0.2)
    assert problem.scratch.gamma == pytest.approx(expected, abs=0.005 * abs(expected).max())


def exact_risk(target, W, a, b):
    """½E[(h − f)²] over all of {±1}^d, erf."""
    x = naive.cube(W.shape[1])
    f = naive.value("erf", x @ W.T + b) @ a
    return 0.5 * np.mean((target.evaluate(x[:, : target.P]) - f) ** 2)


def test_the_central_limit_gap_is_of_order_one_over_d():
    """Risk of the Gaussian residuals against all 2^d inputs, d = 7 and 14: the gap halves, it does not fall by √2."""
    gaps = []
    for d in (7, 14):
        gap = []
        for seed in range(6):
            network = Network.random(TARGET, width=3, dim=d, biases=0.5, rng=seed)
            Q = network.weights @ network.weights.T
            reduced = overlap.risk_of(TARGET, network.activation, network.m, Q, network.a, network.b)
            gap.append(reduced - exact_risk(TARGET, network.weights, network.a, network.b))
        gaps.append(np.sqrt(np.mean(np.square(gap))))
    assert gaps[1] < 0.01
    assert 1.6 < gaps[0] / gaps[1] < 3.0


def test_signs_and_permutations_of_coordinates_move_along():
    network = Network.random(TARGET, width=4, dim=30, biases=0.3, rng=2)
    other = Target.parse("z2 - z2*z1*z3/2", data="boolean")
    W = network.weights[:, [1, 0, *range(2, 30)]] * np.where(np.arange(30) == 2, -1.0, 1.0)
    one = run(OverlapFlow(finite_step=False), TARGET, network, Training(eta=0.02), steps=400, points=9)
    moved = Network.from_weights(other, W, network.a, network.b)
    two = run(OverlapFlow(finite_step=False), other, moved, Training(eta=0.02), steps=400, points=9)
    assert two.risk == pytest.approx(one.risk, abs=1e-7)
    assert two.m[..., 0] == pytest.approx(one.m[..., 1], abs=1e-6)
    assert two.m[..., 2] == pytest.approx(-one.m[..., 2], abs=1e-6)


@pytest.mark.parametrize("name", ["erf", "relu"])
def test_neurons_without_residual_have_a_risk_and_a_flow(name):
    """R = 0, also with a bias that puts a kink on a corner: finite, and the risk that of the plain sum over corners."""
    m, a, b = np.array([[0.5, 0.5, 0.0], [0.3, 0.0, -0.7]]), np.array([0.6, -0.4]), np.array([0.0, 0.2])
    network = Network.from_overlaps(m, m @ m.T, a, b, dim=3, activation=name)
    z = naive.cube(3)
    f = naive.value(name, z @ m.T + b) @ a
    expected = 0.5 * np.mean((TARGET.evaluate(z) - f) ** 2)
    assert overlap.risk_of(TARGET, network.activation, m, m @ m.T, a, b) == pytest.approx(expected, abs=2e-4)
    out = run(OverlapFlow(log2_samples=6), TARGET, network, Training(eta=1e-3), steps=20, points=3)
    assert np.isfinite(out.risk).all()


def test_a_boolean_run_learns_as_sgd_does():
    """d = 60, ηd = 0.2, to t = 20: the mean risk of eight runs of literal SGD within 0.02 and four standard errors."""
    target = Target.parse("z1 + z1*z2", data="boolean")
    d = 60
    network = Network.random(target, width=4, dim=d, biases=0.5, rng=5)
    training = Training(eta=0.2 / d)
    steps = 6000
    out = run(OverlapFlow(), target, network, training, steps=steps, points=5, spacing="linear")
    rng, ends = np.random.default_rng(0), []
    for _ in range(8):
        W, a = network.weights.copy(), network.a.copy()
        for _ in range(steps):
            x = rng.choice([-1.0, 1.0], d)
            lam = W @ x + network.b
            value = naive.erf(lam / np.sqrt(2))
            delta = x[0] + x[0] * x[1] - a @ value
            W, a = W + training.eta * delta * np.outer(a * naive.slope("erf", lam), x), a + training.eta * delta * value
        ends.append(overlap.risk_of(target, network.activation, W[:, :2], W @ W.T, a, network.b))
    assert out.risk[-1] < 0.8 * out.risk[0]
    assert abs(np.mean(ends) - out.risk[-1]) < 4 * np.std(ends) / np.sqrt(8) + 0.02


def test_too_many_coordinates_are_refused():
    target = Target.parse("*".join(f"z{i}" for i in range(1, 12)), data="boolean")
    network = Network.random(target, width=1, dim=20)
    with pytest.raises(InputError, match=r"11 Boolean coordinates.* up to P=10"):
        run(OverlapFlow(), target, network, Training(eta=0.01), steps=2)
