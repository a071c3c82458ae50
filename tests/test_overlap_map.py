"""The map of discrete steps: exact gradient descent, and batch SGD in d dimensions."""

import threading

import naive_flow as naive
import numpy as np
import pytest

from odesim import Network, OverlapFlow, Status, Target, Training, run
from odesim.flows import _overlap as kernels
from odesim.flows import overlap
from odesim.flows.overlap_problem import paced, problem_of
from odesim.job import Job

MAP = OverlapFlow(discrete=True)


def test_infinite_batch_is_gradient_descent_in_weight_space_to_rounding():
    """Steps of order 1 with decay of both layers, the twin's gradient by complex steps."""
    target = Target.parse("z1 + z1*z2*z3")
    network = Network.random(target, width=3, dim=7, rng=2)
    training = Training(eta=0.8, eta_a=0.5, batch=np.inf, decay_w=0.03, decay_a=0.02)
    out = run(MAP, target, network, training, steps=12, points=13, spacing="linear")
    W, a = network.weights.copy(), network.a.copy()
    for step in range(13):
        assert out.m[step] == pytest.approx(W[:, :3], abs=1e-13)
        assert out.Q[step] == pytest.approx(W @ W.T, abs=1e-12)
        assert out.a[step] == pytest.approx(a, abs=1e-13)
        assert out.risk[step] == pytest.approx(naive.risk_erf(target, W, a), rel=1e-11)
        gW = naive.complex_gradient(lambda x, a=a: naive.risk_erf(target, x, a), W)
        ga = naive.complex_gradient(lambda x, W=W: naive.risk_erf(target, W, x), a)
        W, a = W - 0.8 * (gW + 0.03 * W), a - 0.5 * (ga + 0.02 * a)
    assert out.risk[-1] < 0.9 * out.risk[0]


def batch_step(target, W, a, x, training, noise):
    """One step of SGD on the batch x (B, d), second layer trained, erf."""
    lam = x @ W.T
    delta = target.evaluate(x[:, : target.P]) + noise - naive.value("erf", lam) @ a
    gW = (a * naive.slope("erf", lam) * delta[:, None]).T @ x / len(x)
    ga = naive.value("erf", lam).T @ delta / len(x)
    return (
        W + training.eta * (gW - training.decay_w * W),
        a + training.rate_a * (ga - training.decay_a * a),
    )


def test_one_step_has_the_second_moment_of_batch_sgd():
    """Batches of 3 in d = 300: what is quadratic in the step, within 4.5 standard errors and 2 % of the largest entry.

    The steps' Gram matrix off the support has the mean MRMᵀ + η²/B (E[Δ²σ'σ'|x⊥|²] − BRBᵀ); the bound beside the
    errors is for |x⊥|² taken as d, which is right to O((P + N)/d).
    """
    target, d, B = Target.parse("z1 + z1*z2"), 300, 3
    network = Network.random(target, width=3, dim=d, rng=4)
    training = Training(eta=0.05, batch=B, noise=0.2, decay_w=0.1)
    out = run(MAP, target, network, training, steps=1, points=2)
    y = np.concatenate([part.ravel() for part in (network.m, network.R, network.a, network.b)])
    problem, linear = problem_of(target, network.activation, 3, biased=False), np.empty_like(y)
    rates = training.rates(network)[0]
    kernels.derivative(paced(problem, training, rates, d, finite_step=False, discrete=True), 0.0, y, linear)
    R = out.Q[1] - out.m[1] @ out.m[1].T
    quadratic = R - network.R - overlap.unpack(linear, 3, 2)[1]
    rng, found, moved = np.random.default_rng(1), [], []
    for _ in range(6000):
        x = rng.standard_normal((B, d))
        W, _ = batch_step(target, network.weights, network.a, x, training, np.sqrt(0.2) * rng.standard_normal(B))
        v = (W - network.weights)[:, 2:]
        found.append(v @ v.T)
        moved.append(W[:, :2])
    error, size = np.std(found, axis=0) / np.sqrt(len(found)), abs(quadratic).max()
    assert (abs(np.mean(found, axis=0) - quadratic) < 4.5 * error + 0.02 * size).all()
    assert (4.5 * error).max() < 0.1 * size  # sharp enough to see a factor 1 − 1/B, or ½
    spread = np.std(moved, axis=0) / np.sqrt(len(moved))
    assert (abs(np.mean(moved, axis=0) - out.m[1]) < 4.5 * spread).all()


def test_giant_steps_follow_sgd_with_batches_of_four_d():
    """η = 1, B = 4d, d = 150: the mean of 24 runs within four standard errors and 3/d of the initial risk."""
    target, d = Target.parse("z1 + z1*z2*z3"), 150
    network = Network.random(target, width=4, dim=d, rng=7)
    training = Training(eta=1.0, eta_a=0.25, batch=4 * d, noise=0.1)
    out = run(MAP, target, network, training, steps=24, points=25, spacing="linear")
    plain = run(
        MAP, target, network, Training(eta=1.0, eta_a=0.25, batch=np.inf), steps=24, points=25, spacing="linear"
    )
    rng, risks = np.random.default_rng(3), np.zeros((24, 25))
    for row in risks:
        W, a = network.weights.copy(), network.a.copy()
        for step in range(25):
            row[step] = naive.risk_erf(target, W, a)
            noise = np.sqrt(0.1) * rng.standard_normal(4 * d)
            W, a = batch_step(target, W, a, rng.standard_normal((4 * d, d)), training, noise)
    gap = abs(risks.mean(axis=0) - out.risk)
    bound = 4 * risks.std(axis=0) / np.sqrt(24) + 3 / d * out.risk[0]
    assert (gap < bound).all()
    assert (abs(plain.risk - out.risk) > bound).any()  # the finite-step term is seen


@pytest.mark.parametrize("data", ["gaussian", "boolean"])
def test_a_step_is_the_literal_formula(data):
    """m + η(A + Bm) and R as its docstring says, from the flow's own derivative and Γ; batch 2 and decay."""
    target = Target.parse("z1 + z1*z2/2", data=data)
    network = Network.random(target, width=3, dim=9, biases=0.4, rng=6)
    training = Training(eta=0.4, eta_a=0.2, eta_b=0.3, batch=2, decay_w=0.3, decay_a=0.1)
    problem = problem_of(target, network.activation, 3, biased=True, samples=256)
    rates = training.rates(network)[0]
    y = np.concatenate([part.ravel() for part in (network.m, network.R, network.a, network.b)])
    slopes, rest = np.empty_like(y), y.copy()
    kernels.derivative(paced(problem, training, rates, 9, finite_step=True, discrete=True), 0.0, y, slopes)
    B = problem.scratch.B - 0.3 * np.eye(3)
    gamma, bare = problem.scratch.gamma.copy(), problem.scratch.B.copy()
    kernels.iterate_overlap(
        paced(problem, training, rates, 9, finite_step=True, discrete=True), rest, np.empty_like(y), 1, 1e9
    )
    m, R, a, b = overlap.unpack(rest, 3, 2)
    dm, _, da, db = overlap.unpack(slopes, 3, 2)
    M = np.eye(3) + 0.4 * B
    expected = M @ network.R @ M.T + 0.4**2 / 2 * (9 * gamma - bare @ network.R @ bare.T)
    assert pytest.approx(expected, abs=1e-13) == R
    assert m == pytest.approx(network.m + dm, abs=1e-14)
    assert a == pytest.approx(network.a + da, abs=1e-14)
    assert b == pytest.approx(network.b + db, abs=1e-14)


def test_small_steps_of_any_batch_approach_the_flow():
    """Halving η halves the distance between map and flow at one time: the flow needs no further term at B = ∞."""
    target = Target.parse("z1 + z1*z2*z3")
    network = Network.random(target, width=4, dim=20, rng=1)
    gaps = []
    for eta in (0.2, 0.1):
        training, times = Training(eta=eta, batch=np.inf), [2.0, 4.0]
        steps = run(MAP, target, network, training, t_eval=times)
        flow = run(OverlapFlow(rtol=1e-9, atol=1e-12), target, network, training, t_eval=times)
        gaps.append(abs(steps.Q[-1] - flow.Q[-1]).max())
    assert gaps[0] / gaps[1] == pytest.approx(2.0, abs=0.3)


def test_divergence_and_stopping_keep_what_was_computed():
    target = Target.parse("z1 + z1*z2*z3")
    network = Network.random(target, width=3, dim=10, activation="relu", second_layer=5.0, rng=0)
    training = Training(eta=50.0, batch=np.inf)
    out = run(MAP, target, network, training, steps=1000, points=20)
    assert int(out.status) == Status.DIVERGED
    assert np.isfinite(out.risk[0])
    assert np.isnan(out.risk[-1])
    stop, shares = threading.Event(), []

    def progress(share):
        shares.append(share)
        if share > 0.3:
            stop.set()

    small = Training(eta=0.01, batch=np.inf)
    job = Job(target, network, small, np.array([0, 100, 1000]), progress=progress, stop=stop)
    ended = MAP.simulate(job)
    assert int(ended.status) == Status.INTERRUPTED
    assert np.isfinite(ended.risk[1])
    assert np.isnan(ended.risk[2])
    assert np.allclose(np.diff(shares), 0.05)
