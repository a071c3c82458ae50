"""saddle: stationary points under plateaus, their spectrum in weight space, the escape they predict, and verdicts."""

import math
from dataclasses import replace

import naive_flow as naive
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from odesim import (
    CorrelationFlow,
    InputError,
    MeanFieldFlow,
    Network,
    OverlapFlow,
    Phase,
    Target,
    Training,
    Trajectory,
    run,
    saddle,
)
from odesim.spectrum import Squares, spectrum

TARGET = Target.parse("z1 + z1*z2*z3")
FROZEN = Training(eta=0.01, eta_a=0.0)
PLAIN = OverlapFlow(finite_step=False, rtol=1e-10, atol=1e-13)


def growth(out, found, begin, end):
    """Rate at which the part of the distance along the unstable direction grows between two times."""
    size = found.parts[0].size
    part = abs((out.m - found.parts[0]).reshape(len(out.m), -1) @ found.direction[:size])
    i, j = np.searchsorted(out.time, [begin, end])
    return math.log(part[j] / part[i]) / (out.time[j] - out.time[i])


def near_symmetry(K):
    m, Q = np.full((K, K), 1 / math.sqrt(K * (2 * K - 1))), np.full((K, K), 1 / (2 * K - 1))
    return Network.from_overlaps(m + 1e-4 * np.eye(K), Q + 1e-3 * np.eye(K), np.ones(K), dim=10 * K)


@pytest.mark.parametrize("K", [2, 3])
def test_the_symmetric_saddle_of_saad_and_solla(K):
    target = Target.teacher(units=K)
    out = run(PLAIN, target, near_symmetry(K), FROZEN, t_eval=np.linspace(0, 40, 81))
    found = saddle(out, 10.0, target=target)
    assert found.verdict == "saddle"
    assert found.residual < 1e-12
    assert found.parts[0] == pytest.approx(np.full((K, K), 1 / math.sqrt(K * (2 * K - 1))), abs=1e-6)
    assert found.parts[1] == pytest.approx(np.zeros((K, K)), abs=1e-6)
    assert found.risk == pytest.approx(K / math.pi * (math.pi / 6 - K * math.asin(1 / (2 * K))), rel=1e-9)
    assert found.unstable.size == (K - 1) ** 2  # who takes which teacher: matrices whose rows and columns sum to 0
    assert found.rate == pytest.approx(growth(out, found, 15, 30), rel=3e-3)


@pytest.fixture(scope="module")
def leap():
    """Two neurons that fit z1 and find z1*z2*z3 later, frozen second layer."""
    m = np.array([[0.9, 1e-4, 1e-4], [0.9, 2e-4, 1e-4]])
    network = Network.from_overlaps(m, m @ m.T + 1e-4 * np.eye(2), np.ones(2), dim=1000)
    return run(PLAIN, TARGET, network, FROZEN, t_eval=np.linspace(0, 400, 801))


def test_the_plateau_of_a_leap_of_two_and_its_escape(leap):
    found = saddle(leap, 15.0)
    assert found.verdict == "saddle"
    assert found.risk == pytest.approx(leap.risk[30], rel=1e-3)
    assert found.parts[0][:, 1:] == pytest.approx(np.zeros((2, 2)), abs=1e-6)
    assert found.rate == pytest.approx(growth(leap, found, 12, 18), rel=5e-3)
    assert found.local_rate == pytest.approx(found.rate, rel=0.02)
    assert found.direction[[0, 3]] == pytest.approx(0.0, abs=1e-6)
    assert found.moved < 0.05
    assert found.start_residual > 1e6 * found.residual
    assert found.eigenvalues.size == 6 + 3 - (found.parts[1][0, 0] == 0)


def test_the_spectrum_is_that_of_the_risk_in_weight_space(leap):
    """Every eigenvalue of minus the Hessian in W, d − P = N, by complex steps and differences, and no others."""
    found = saddle(leap, 390.0)  # at the end R is 0: all its changes are squares
    assert found.verdict == "stable"
    assert abs(found.parts[1]).max() < 1e-9
    W = np.hstack([found.parts[0], np.zeros((2, 2))])
    H = np.empty((10, 10))
    for i in range(10):
        step = np.zeros(10)
        step[i] = 1e-5
        ends = [naive.complex_gradient(lambda w: naive.risk_erf(TARGET, w, np.ones(2)), W + s * step.reshape(2, 5))
                for s in (1, -1)]  # fmt: skip
        H[i] = (ends[1] - ends[0]).ravel() / 2e-5
    true = np.linalg.eigvalsh(H)
    every = np.concatenate([found.eigenvalues.real, _square_rates(found)])
    cost = abs(every[:, None] - true[None])
    rows, columns = linear_sum_assignment(cost)  # each square rate stands for both columns of the residual
    assert every.size == 10
    assert cost[rows, columns].max() < 1e-6 * abs(true).max()


def _square_rates(found):
    """The rates of residuals, which are 0, once more: B of two neurons, from E[σ'_j σ'_k] and the target's field."""
    m = found.parts[0]
    Q = m @ m.T
    q = np.diag(Q)
    K12 = 2 / math.pi / np.sqrt((1 + q)[:, None] * (1 + q)[None] - Q**2)
    K1 = -0.5 * Q / (1 + q)[:, None] * K12
    c = [naive.PHI * 2, 0, -2 * naive.PHI, 0, 6 * naive.PHI, 0]  # c_{k+1} τ^{k+1} of erf
    by_q = sum(
        0.5 * coefficient * np.prod(m ** np.array(S), axis=1) * c[sum(S) + 1] / (1 + q) ** (sum(S) / 2 + 1)
        for S, coefficient in TARGET.terms.items()
    )
    return np.linalg.eigvalsh(-K12 + np.diag(2 * by_q - 2 * K1.sum(axis=1)))


def test_the_finite_step_term_moves_the_saddle_and_keeps_the_prediction():
    target, dim = Target.teacher(units=2), 1000
    training = Training(eta=1.5 / dim, eta_a=0.0)
    out = run(OverlapFlow(rtol=1e-10, atol=1e-13), target, near_symmetry(2), training, t_eval=np.linspace(0, 90, 181))
    found = saddle(out, 60.0, target=target)
    assert found.verdict == "saddle"
    assert found.residual < 1e-12
    assert found.risk == pytest.approx(out.risk[120], rel=0.01)
    assert found.risk > 1.01 * 2 / math.pi * (math.pi / 6 - 2 * math.asin(0.25))
    assert np.linalg.eigvalsh(found.parts[1])[0] > 1e-4  # noise holds R off its boundary
    assert found.rate == pytest.approx(growth(out, found, 50, 70), rel=0.01)


def test_the_mean_field_flow():
    m = np.array([[0.9, 1e-4, 1e-4], [0.9, 2e-4, 1e-4]])
    network = Network.from_overlaps(m, m @ m.T + 1e-4 * np.eye(2), [2.0, 2.0], dim=1000, scaling="mean_field")
    out = run(MeanFieldFlow(nodes=8), TARGET, network, FROZEN, t_eval=np.linspace(0, 20, 81))
    found = saddle(out, 9.0)
    assert (found.names, found.verdict) == (("m", "s", "a", "b"), "saddle")
    assert found.risk == pytest.approx(out.risk[36], rel=1e-3)
    assert found.rate == pytest.approx(growth(out, found, 6, 9), rel=0.01)


@pytest.mark.parametrize("flow", [CorrelationFlow(), MeanFieldFlow(nodes=8)])
def test_a_leap_of_three_from_zero_overlaps_has_no_rate(flow):
    target = Target.parse("He3(z1)/sqrt(6)")
    network = Network.random(target, width=2, dim=400, rng=1)
    training = Training(eta=0.01, eta_a=0.0, geometry="sphere" if isinstance(flow, CorrelationFlow) else "free")
    found = saddle(run(flow, target, network, training, t_eval=[0.0, 4.0]), 4.0)
    assert found.verdict == "degenerate saddle"
    assert found.unstable.size == 0
    assert found.zero_modes >= 2
    assert found.rate == 0.0
    assert not found.direction.any()
    assert abs(found.parts[0]).max() < 1e-4


def test_a_state_that_only_drifts_is_said_to(leap):
    found = saddle(leap, 15.0, reach=1e-3)
    assert found.verdict == "drift"
    assert found.moved == 0.0
    assert found.parts[0] == pytest.approx(leap.m[30])
    assert found.local_rate == pytest.approx(found.rate)
    assert found.rate > 0.1


def test_a_stored_run_and_a_run_of_sgd_will_do(leap, tmp_path):
    leap.save(tmp_path / "run.npz")
    again = saddle(Trajectory.load(tmp_path / "run.npz"), 15.0)
    assert again.state == pytest.approx(saddle(leap, 15.0).state, abs=1e-12)
    sgd = replace(leap, kind="SGD", settings={**leap.settings, "dynamics": {"name": "SGD", "dtype": "float64"}})
    assert saddle(sgd, 15.0, flow=PLAIN).state == pytest.approx(again.state, abs=1e-12)
    with pytest.raises(InputError, match="is of 'SGD', which is no flow; give flow="):
        saddle(sgd, 15.0)
    runs = replace(leap, noise_rate=None, **{name: getattr(leap, name)[None] for name in ("risk", "m", "a", "Q")})
    with pytest.raises(InputError, match=r"holds 1 runs; take one, as in trajectory\[0\]"):
        saddle(runs, 15.0)
    assert saddle(runs[0], 15.0).rate == pytest.approx(again.rate)
    with pytest.raises(InputError, match=r"settings hold no network; give network=\.\.\."):
        saddle(replace(leap, settings={}), 15.0, flow=PLAIN, target=TARGET, training=FROZEN)


def test_what_cannot_be_looked_at_is_refused(leap):
    with pytest.raises(InputError, match="t=401 is outside the run, which was recorded from 0 to 400"):
        saddle(leap, 401.0)
    with pytest.raises(InputError, match=r"trajectory.risk=.* comes out as .* give the ones that were run"):
        saddle(leap, 15.0, target=Target.parse("z1 + 2*z2*z3"))
    with pytest.raises(InputError, match=r"reach=0\.0 must be above 0"):
        saddle(leap, 15.0, reach=0.0)
    still = replace(FROZEN, schedule=(Phase(until=1000), Phase(w=0.0)))
    with pytest.raises(InputError, match="training moves nothing at t=15; give a time in a phase"):
        saddle(leap, 15.0, training=still)
    teacher = Target.teacher(units=2)
    out = run(PLAIN, teacher, near_symmetry(2), FROZEN, t_eval=[0.0, 1.0])
    with pytest.raises(InputError, match=r"do not spell the target out .* give target="):
        saddle(out, 1.0)


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_rates_of_squares_are_halved(noise):
    """R' = BR + RB + noise tr(R) 1 at R = 0: the eigenvalues of B, or halves of those of the whole."""
    B = np.array([[0.4, 0.1], [0.1, -0.2]])
    root = math.sqrt(0.5)
    changes = [np.array([[1.0, 0], [0, 0]]), np.array([[0, root], [root, 0]]), np.array([[0, 0], [0, 1.0]])]
    images = [B @ R + R @ B + noise * np.trace(R) * np.eye(2) for R in changes]
    J = np.array([[np.sum(R * image) for image in images] for R in changes])
    values, leading = spectrum(J, Squares(np.eye(3), [(0, 0), (1, 0), (1, 1)]))
    if noise:
        expected = 0.5 * np.linalg.eigvals(J).real
        assert 2 * values[0].real * leading == pytest.approx(J @ leading)
    else:
        expected, vectors = np.linalg.eigh(B)
        square = sum(x * R for x, R in zip(leading, changes, strict=True))
        assert square == pytest.approx(np.outer(vectors[:, 1], vectors[:, 1]))
    assert values.real == pytest.approx(np.sort(expected)[::-1])
