"""Teachers as targets: Saad and Solla's setting to the printed digits, its saddle and its largest stable step."""

import math

import naive_flow as naive
import numpy as np
import pytest
from scipy.optimize import brentq
from test_overlap import draw

from odesim import InputError, Network, OverlapFlow, Target, Training, run
from odesim.flows import _overlap as kernels
from odesim.flows import overlap
from odesim.flows.overlap_problem import problem_of

REFERENCE = {0: ".459327739", 1: ".271976618", 10: ".0368122035", 50: ".0346525782", 100: ".0338532079",
             150: ".00892184117", 200: ".000166299322"}  # fmt: skip


def test_the_trajectory_of_saad_and_solla_to_its_printed_digits():
    """K = M = 2, η d = 1.5, second layers 1 and frozen, Q and R of the start as printed beside the risks."""
    target, dim = Target.teacher(units=2, activation="erf"), 1500
    network = Network.from_overlaps(
        [[1e-3, 2e-3], [-1e-3, 1.5e-3]], np.diag([0.2, 0.3]), np.ones(2), dim=dim, activation="erf"
    )
    flow = OverlapFlow(rtol=1e-11, atol=1e-14)
    out = run(flow, target, network, Training(eta=1.5 / dim, eta_a=0.0), t_eval=list(REFERENCE))
    assert out.time == pytest.approx(list(REFERENCE), abs=1e-12)
    for risk, printed in zip(out.risk, REFERENCE.values(), strict=True):
        assert risk == pytest.approx(float(printed), abs=0.7 * 10.0 ** (1 - len(printed)))


@pytest.mark.parametrize("K", [2, 3, 5])
def test_the_symmetric_saddle_is_a_fixed_point_of_the_gradient_flow(K):
    """Every overlap with a teacher unit 1/√(K(2K−1)), every Q_jk = 1/(2K−1)."""
    target = Target.teacher(units=K)
    m, Q = np.full((K, K), 1 / math.sqrt(K * (2 * K - 1))), np.full((K, K), 1 / (2 * K - 1))
    network = Network.from_overlaps(m, Q, np.ones(K), dim=10 * K)
    problem = problem_of(target, network.activation, K, biased=False, kappas=(0.0, 0.0))
    y = np.concatenate([network.m.ravel(), network.R.ravel(), network.a, network.b])
    slope = np.empty_like(y)
    kernels.derivative(problem, 0.0, y, slope)
    assert abs(slope).max() < 1e-14
    risk = K / math.pi * (math.pi / 6 - K * math.asin(1 / (2 * K)))
    assert overlap.risk_of(target, network.activation, m, Q, np.ones(K)) == pytest.approx(risk, rel=1e-12)
    away = Network.from_overlaps(m + 1e-6 * np.eye(K), Q + 1e-3 * np.eye(K), np.ones(K), dim=10 * K)
    flow = OverlapFlow(finite_step=False, rtol=1e-10, atol=1e-13)
    out = run(flow, target, away, Training(eta=0.01, eta_a=0.0), t_eval=[10.0, 400.0])
    assert out.risk[1] == pytest.approx(risk, rel=1e-3)  # it is stable but for one direction,
    assert out.risk[2] < 0.5 * risk  # in which it is left


def test_one_unit_is_stable_up_to_the_step_of_theory():
    """The largest eigenvalue at m = Q = 1, frozen second layers of 1, crosses 0 at η d = π √(5/3)."""
    target = Target.teacher(units=1)
    kind = Network.random(target, width=1, dim=2).activation

    def growth(eta_d):
        problem = problem_of(target, kind, 1, biased=False, kappas=(0.0, 0.0), eta_d=eta_d)
        jacobian, h = np.zeros((2, 2)), 1e-5
        for i in range(2):
            ends = []
            for sign in (1, -1):
                y, slope = np.array([1.0, 0.0, 1.0, 0.0]), np.empty(4)
                y[i] += sign * h
                kernels.derivative(problem, 0.0, y, slope)
                ends.append(slope[:2])
            jacobian[:, i] = (ends[0] - ends[1]) / (2 * h)
        return np.linalg.eigvals(jacobian).real.max()

    assert brentq(growth, 3.0, 5.0) == pytest.approx(math.pi * math.sqrt(5 / 3), rel=1e-6)


@pytest.mark.parametrize("name", ["erf", "relu"])
def test_finite_step_term_of_a_teacher(name):
    """The term with student and teacher in one residual: erf closed against quadrature; ReLU by points, a fit of 3 %."""
    target = Target.teacher(activation=name, weights=[[0.8, -0.3], [0.2, 1.1]], second_layer=[1.0, -0.6])
    W, a, b = draw(1, n=2, size=0.5)
    network = Network.from_weights(target, W, a, b, activation=name)
    problem = problem_of(target, network.activation, 2, biased=True, eta_d=1.0, noise=0.2, samples=2**14)
    y = np.concatenate([network.m.ravel(), network.R.ravel(), a, b])
    kernels.derivative(problem, 0.0, y, np.empty_like(y))
    if name == "erf":
        expected = naive.noise_matrix(name, target, W, a, b, 0.2, nodes=30)
        assert problem.scratch.gamma == pytest.approx(expected, abs=1e-6 * abs(expected).max())
        return
    x = np.random.default_rng(1).standard_normal((400_000, W.shape[1]))
    lam = x @ W.T + b
    delta2 = (target.evaluate(x[:, :2]) - np.maximum(lam, 0) @ a) ** 2 + 0.2
    s = a * (lam > 0)
    expected = (s * delta2[:, None]).T @ s / len(x)
    assert problem.scratch.gamma == pytest.approx(expected, abs=0.03 * abs(expected).max())


def test_a_relu_student_learns_a_relu_teacher():
    target = Target.teacher(units=2, activation="relu")
    network = Network.random(target, width=6, dim=100, activation="relu", second_layer=0.5, rng=0)
    out = run(OverlapFlow(), target, network, Training(eta=0.1 / 100), steps=100_000, points=30)
    assert int(out.status) == 0
    assert out.risk[-1] < 0.02 * out.risk[0]
    assert out.settings["target"]["expression"] == "relu(z1) + relu(z2)"


def test_permuting_students_or_teachers_changes_no_risk():
    target = Target.teacher(weights=[[0.8, -0.3], [0.2, 1.1]], second_layer=[1.0, -0.6])
    other = Target.teacher(weights=[[0.2, 1.1], [0.8, -0.3]], second_layer=[-0.6, 1.0])
    network = Network.random(target, width=4, dim=30, rng=3)
    order = [2, 0, 3, 1]
    turned = Network.from_weights(other, network.weights[order], network.a[order])
    one, two = (
        run(OverlapFlow(), t, n, Training(eta=0.005), steps=4000, points=9)
        for t, n in ((target, network), (other, turned))
    )
    assert two.risk == pytest.approx(one.risk, abs=1e-6)
    assert two.m == pytest.approx(one.m[:, order], abs=1e-5)


def test_another_activation_is_refused_with_what_helps():
    target = Target.teacher(units=2, activation="relu")
    network = Network.random(target, width=2, dim=10, activation="erf")
    with pytest.raises(InputError, match=r"activation='erf' is not the teacher's 'relu'.*project\(degree=5\)"):
        run(OverlapFlow(), target, network, Training(eta=0.01), steps=2)
    out = run(OverlapFlow(), target.project(degree=5), network, Training(eta=0.01), steps=2, points=2)
    assert np.isfinite(out.risk).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"m": [1.0, 2.0]}, r"network.m has shape \(2,\); give an array \(width, P\)"),
        ({"Q": np.eye(3)}, r"network.Q has shape \(3, 3\); give shape \(2, 2\)"),
        ({"Q": [[1.0, 0.5], [0.4, 1.0]]}, "network.Q is not symmetric"),
        ({"Q": 0.1 * np.eye(2)}, "has the eigenvalue -0.15.* raise Q or lower m"),
        ({"a": [1.0]}, "network.a has shape"),
        ({"dim": 1}, "network.dim=1 must be at least 2"),
        ({"dim": 3}, "has rank 2, above dim − P = 1; raise network.dim by 1"),
    ],
)
def test_overlaps_that_no_weights_have_are_refused(change, message):
    given = {"m": [[0.5, 0.0], [0.0, 0.3]], "Q": np.eye(2), "a": np.ones(2), "dim": 9} | change
    with pytest.raises(InputError, match=message):
        Network.from_overlaps(given["m"], given["Q"], given["a"], dim=given["dim"])


def test_overlaps_of_weights_give_back_their_network():
    target = Target.parse("z1 + z1*z2")
    one = Network.random(target, width=5, dim=6, biases=0.3, rng=1)
    two = Network.from_overlaps(one.m, one.weights @ one.weights.T, one.a, one.b, dim=6)
    assert two.R == pytest.approx(one.R, abs=1e-14)
    assert two.weights is None
    assert (two.dim, two.width, two.activation) == (6, 5, one.activation)
