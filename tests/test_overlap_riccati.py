"""He_2 students of a He_2 target: the flow solves a matrix Riccati equation, whose solution is known."""

import naive_flow as naive
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from odesim import InputError, Network, OverlapFlow, Target, Training, run

T = np.array([0.5, -0.2, 0.0, 0.0, 0.0, 0.0])
TARGET = Target.parse("He2(z1)/2 - He2(z2)/5 + 0.3")
W = 0.4 * np.random.default_rng(2).normal(size=(3, 6))
TIMES = np.array([0.0, 0.5, 1.0, 2.0, 4.0])


def test_the_solution_is_that_of_the_flow_in_weight_space():
    a = 0.7

    def slope(t, y):
        w = y.reshape(W.shape)
        S = a * w.T @ w
        tau = 0.3 + a * len(w) - np.trace(S)
        return (a * w @ (4 * (np.diag(T) - S) + 2 * tau * np.eye(6))).ravel()

    w = solve_ivp(slope, (0, 4), W.ravel(), "DOP853", t_eval=TIMES, rtol=1e-12, atol=1e-14).y.T.reshape(-1, 3, 6)
    S = a * np.swapaxes(w, 1, 2) @ w
    assert pytest.approx(S, abs=1e-9) == naive.riccati(T, W, a, 0.3, TIMES)


def test_the_overlap_flow_solves_it():
    """Singular values of S and its support block: S = s WᵀW, s the scale of the students' He_2."""
    try:
        network = Network.from_weights(TARGET, W, np.full(3, 0.7), activation="hermite:2")
    except InputError:
        pytest.skip("no Hermite activation in the catalogue")
    a = -0.7 * float(network.activation.function(np.zeros(1))[0])  # He_2(0) = −1
    flow = OverlapFlow(finite_step=False, rtol=1e-10, atol=1e-13)
    out = run(flow, TARGET, network, Training(eta=1e-3, eta_a=0.0), t_eval=TIMES)
    S = naive.riccati(T, W, a, 0.3, TIMES)
    assert a * np.swapaxes(out.m, 1, 2) @ out.m == pytest.approx(S[:, :2, :2], abs=1e-7)
    values = np.linalg.eigvalsh(out.Q)
    assert a * values == pytest.approx(np.linalg.eigvalsh(S)[:, 3:], abs=1e-7)
    error = np.array([2 * np.sum((np.diag(T) - s) ** 2) + (0.3 + 3 * a - np.trace(s)) ** 2 for s in S])
    assert out.risk == pytest.approx(error / 2, abs=1e-7)
