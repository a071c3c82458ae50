"""Right-hand sides as plain functions: SciPy follows the package's own runs, states go in and out, Jacobians."""

import math

import naive_flow as naive
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from odesim import CorrelationFlow, InputError, MeanFieldFlow, Network, OverlapFlow, Phase, Target, Training, run

TARGET = Target.parse("z1 + z1*z2*z3")
TIMES = np.linspace(0, 6, 5)
CASES = {
    "overlap": (OverlapFlow(rtol=1e-10, atol=1e-12), "plain", "free"),
    "mean_field": (MeanFieldFlow(nodes=6), "plain", "free"),
    "correlation": (CorrelationFlow(rtol=1e-10, atol=1e-12), "mean_field", "sphere"),
}


def setting(name):
    flow, scaling, geometry = CASES[name]
    network = Network.random(TARGET, width=3, dim=20, scaling=scaling, second_layer=0.4, rng=2)
    frozen = 0.0 if name == "correlation" else None
    return flow, network, Training(eta=0.01, eta_a=frozen, geometry=geometry)


@pytest.mark.parametrize("name", CASES)
def test_scipy_follows_the_run(name):
    flow, network, training = setting(name)
    f = flow.right_hand_side(TARGET, network, training)
    out = run(flow, TARGET, network, training, t_eval=TIMES)
    found = solve_ivp(f, (0, 6), f.start, "LSODA", t_eval=TIMES, rtol=1e-9, atol=1e-11, jac=f.jacobian)
    parts = dict(zip(f.names, f.unpack(found.y.T), strict=True))
    assert parts["m"] == pytest.approx(out.m, abs=2e-7)
    assert f.risk(found.y.T) == pytest.approx(out.risk, abs=2e-7)
    assert f.risk(found.y[:, 2]) == pytest.approx(out.risk[2], abs=2e-7)
    if "a" in parts:
        assert parts["a"] == pytest.approx(f.unit * out.a, abs=2e-7)
    if name == "overlap":
        assert parts["R"] == pytest.approx(out.Q - out.m @ np.swapaxes(out.m, 1, 2), abs=2e-7)
    else:
        q = (parts["m"] ** 2).sum(axis=-1) + (parts["R"] if name == "correlation" else parts["s"] ** 2)
        assert q == pytest.approx(out.q, abs=2e-7)


@pytest.mark.parametrize("name", CASES)
def test_states_are_packed_and_any_view_will_do(name):
    flow, network, training = setting(name)
    f = flow.right_hand_side(TARGET, network, training)
    assert f.pack(*f.unpack(f.start)).tolist() == f.start.tolist()
    assert [part.shape for part in f.unpack(np.zeros((2, 5, f.start.size)))] == [(2, 5, *shape) for shape in f.shapes]
    columns = np.array([f.start, 1.1 * f.start, f.start]).T.copy()
    assert not columns[:, 1].flags.c_contiguous
    before = columns.copy()
    assert f(0.0, columns[:, 1]).tolist() == f(0.0, 1.1 * f.start).tolist()
    assert (columns == before).all()
    first = f(0.0, f.start)
    assert f(0.0, columns[:, 1]) is not first  # answers do not share memory
    assert first.tolist() == f(0.0, f.start).tolist()
    with pytest.raises(ValueError, match="read-only"):
        f.start[0] = 1.0
    with pytest.raises(InputError, match=rf"y has shape \(2,\); give one state, \({f.start.size},\)"):
        f(0.0, [1.0, 2.0])
    with pytest.raises(InputError, match="give states as rows"):
        f.risk(columns)
    with pytest.raises(InputError, match=f"pack takes {', '.join(f.names)}, not 1 arrays"):
        f.pack(network.m)
    with pytest.raises(InputError, match="m has shape"):
        f.pack(network.m.T[:2], *f.unpack(f.start)[1:])


@pytest.mark.parametrize("name", CASES)
def test_the_phase_of_a_schedule_is_that_of_the_time(name):
    flow, network, training = setting(name)
    slow = Training(**{**vars(training), "schedule": (Phase(until=100, rate=2.0), Phase(w=0.25))})
    f = flow.right_hand_side(TARGET, network, slow)
    assert f.ends == (2.0,)
    assert [f.phase(t) for t in (0.0, 1.999, 2.0, 9.0)] == [0, 0, 1, 1]
    before, after = (f.unpack(f(t, f.start))[0] for t in (1.0, 3.0))
    assert after == pytest.approx(0.25 * before)
    assert abs(before).max() > 0


def test_the_jacobian_is_that_of_the_formulas_by_complex_steps():
    """THEORY 4 for erf without biases, m' = A + Bm and R' = BR + RB, analytic in the state."""
    f = OverlapFlow(finite_step=False).right_hand_side(TARGET, *setting("overlap")[1:])
    expected = np.empty((f.start.size,) * 2)
    for i in range(f.start.size):
        moved = f.start.astype(complex)
        moved[i] += 1e-30j
        m, R, a = moved[:9].reshape(3, 3), moved[9:18].reshape(3, 3), moved[18:21]
        expected[:, i] = twin(m, (R + R.T) / 2, a).imag / 1e-30
    twice = twin(*(part.astype(complex) for part in f.unpack(f.start)[:3])).real
    assert f(0.0, f.start) == pytest.approx(twice, abs=1e-14)
    assert f.jacobian(0.0, f.start) == pytest.approx(expected, abs=1e-9)


def twin(m, R, a):
    Q = m @ m.T + R
    t = 1 + np.diag(Q)
    K12 = 2 / math.pi / np.sqrt(t[:, None] * t[None] - Q**2)
    K1 = -0.5 * Q / t[:, None] * K12
    K = 2 / math.pi * np.arcsin(Q / np.sqrt(t[:, None] * t[None]))
    c = {k: 2 * naive.PHI * he / t ** (k / 2) for k, he in ((1, 1), (3, -1), (5, 3))}
    one = np.zeros_like(m)
    one[:, 0] = 1
    C = m[:, 0] * c[1] + m.prod(axis=1) * c[3]
    by_m = one * c[1][:, None] + np.stack([m[:, 1] * m[:, 2], m[:, 0] * m[:, 2], m[:, 0] * m[:, 1]], 1) * c[3][:, None]
    by_q = 0.5 * (m[:, 0] * c[3] + m.prod(axis=1) * c[5])
    B = -np.outer(a, a) * K12 + np.diag(2 * a * (by_q - K1 @ a))
    return np.concatenate([(a[:, None] * by_m + B @ m).ravel(), (B @ R + R @ B).ravel(), C - K @ a, np.zeros(a.size)])


def test_what_has_no_right_hand_side_is_refused():
    _, network, training = setting("overlap")
    for flow in (OverlapFlow(discrete=True), MeanFieldFlow(discrete=True)):
        with pytest.raises(InputError, match="discrete=True is a map of steps"):
            flow.right_hand_side(TARGET, network, training)
    from odesim import TwoRadii

    layerwise = Training(eta=0.01, eta_a=0.0, geometry=TwoRadii(0.3, 0.6))
    with pytest.raises(InputError, match=r"geometry=TwoRadii.* is unknown to RightHandSide"):
        CorrelationFlow().right_hand_side(TARGET, network, layerwise)


def test_the_nearest_state_is_possible():
    flow, network, training = setting("overlap")
    f = flow.right_hand_side(TARGET, network, training)
    R = np.diag([1.0, -0.5, 0.2])
    found = dict(zip(f.names, f.unpack(f.nearest(f.pack(network.m, R, network.a, network.b))), strict=True))
    assert found["R"] == pytest.approx(np.diag([1.0, 0.0, 0.2]))
    flow, network, training = setting("correlation")
    f = flow.right_hand_side(TARGET, network, training)
    m, R = f.unpack(f.nearest(1.3 * f.start))
    assert (m**2).sum(axis=1) + R == pytest.approx(np.ones(3))
