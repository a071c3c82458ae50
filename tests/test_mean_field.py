"""The mean-field flow against quadrature, finite differences and scipy."""

import naive_mean_field as naive
import numpy as np
import pytest
from conftest import act
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from odesim import InputError, Network, Status, Target, Training, run
from odesim.activations.catalogue import CATALOGUE
from odesim.flows import _mean_field as kernels
from odesim.flows import mean_field, mean_field_problem
from odesim.flows.mean_field import MeanFieldFlow, Particles
from odesim.flows.points import points_of
from odesim.job import Job

NAMES = ["erf", "relu"]
LAWS = ["boolean", "gaussian"]
ONCE = settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.generate])


def draw(seed, n=3, P=2):
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.5, 1.5, size=n)
    m, s, a, b = rng.normal(size=(n, P)), rng.uniform(0.4, 1.5, size=n), rng.normal(size=n), rng.normal(size=n)
    return Particles(m, s, a, b, weights / weights.sum())


def problem_for(target, name, neurons, pace=mean_field_problem.UNIT, nodes=10, **options):
    rule = points_of(target, nodes)
    return mean_field.problem_of(rule, CATALOGUE[name], neurons.weights, pace, **options)


def slope_of(problem, y):
    out = np.empty_like(y)
    kernels.derivative(problem, 0.0, np.ascontiguousarray(y), out)
    return out


def central(function, y, h=1e-3):
    """Fourth-order central differences."""
    out = np.zeros(y.size)
    for i, step in enumerate(h * np.eye(y.size)):
        near, far = (function(y + k * step) - function(y - k * step) for k in (1, 2))
        out[i] = (8 * near - far) / (12 * h)
    return out


def random_network(target, **options):
    return Network.random(target, scaling="mean_field", **options)


def simulate(target, flow, *, t=20.0, points=60, network=None, name="erf", eta=0.01, **rates):
    if network is None:
        network = random_network(target, width=2, dim=100, activation=name)
    return run(flow, target, network, Training(eta=eta, **rates), steps=round(t / eta), points=points)


@given(
    u=st.floats(-3, 3),
    s=st.floats(0.05, 3) | st.floats(-3, -0.05),
    name=st.sampled_from(NAMES),
)
@settings(max_examples=60, deadline=None)
def test_averages_over_G_match_quadrature(u, s, name):
    got = np.zeros((3, 1))
    kernels.smoothed(act(name), np.array([u]), s, 0.0, *got)
    assert got[:, 0] == pytest.approx(naive.smoothed(name, u, s), abs=1e-11)
    soft = np.zeros((3, 1))
    kernels.smoothed(act("relu"), np.array([u]), s, 0.3, *soft)
    wide = np.hypot(s, 0.3)
    assert soft[:, 0] == pytest.approx(naive.smoothed("relu", u, wide) * np.array([1, 1, s / wide]), abs=1e-11)


@pytest.mark.parametrize("s", [0.0, 1e-300, -1e-12])
def test_relu_without_residual_is_relu(s):
    u = np.array([-2.0, -1e-6, 0.0, 1e-6, 3.0])
    got = np.zeros((3, 5))
    kernels.smoothed(act("relu"), u, s, 0.0, *got)
    assert got[0] == pytest.approx(np.maximum(u, 0), abs=1e-12)
    assert got[1] == pytest.approx([0, 0, 0.5, 1, 1], abs=1e-12)
    assert np.isfinite(got[2]).all()
    assert got[2, [0, 1, 3, 4]] == pytest.approx(0)


@given(seed=st.integers(0, 999), name=st.sampled_from(NAMES), data=st.sampled_from(LAWS))
@ONCE
def test_risk_is_the_plain_sum_and_the_slopes_are_the_plain_averages(seed, name, data):
    target = Target.parse("z1 + z1*z2/2 + 0.3", data=data)
    neurons = draw(seed)
    pace = mean_field_problem.Pace(0.9, 0.7, 0.2, 0.2, 0.3)
    problem = problem_for(target, name, neurons, pace, nodes=5)
    assert kernels.risk_mean_field(problem, neurons.flat()) == pytest.approx(
        naive.risk(name, target, neurons, 5), abs=1e-11
    )
    dm, ds, da, db = mean_field.unpack(slope_of(problem, neurons.flat()), 3, 2)
    V, Vz, VG, V1 = naive.slopes(name, target, neurons, 5)
    a = neurons.a
    assert da == pytest.approx(0.7 * (V - 0.3 * a), abs=1e-10)
    assert dm == pytest.approx(0.9 * (a[:, None] * Vz - 0.2 * neurons.m), abs=1e-10)
    assert ds == pytest.approx(0.9 * (a * VG - 0.2 * neurons.s), abs=1e-10)
    assert db == pytest.approx(0.2 * a * V1, abs=1e-10)


@given(seed=st.integers(0, 999), name=st.sampled_from(NAMES), data=st.sampled_from(LAWS))
@ONCE
def test_flow_is_the_weighted_gradient_of_the_risk(seed, name, data):
    """Each neuron's slope times its weight is minus the gradient; three coordinates take more than one block."""
    target = Target.parse("z1 + z1*z2*z3 - 0.4*z2", data=data)
    neurons = draw(seed, n=4, P=3)
    problem = problem_for(target, name, neurons, nodes=9)
    assert (problem.h.size > kernels.BLOCK) == (data == "gaussian")
    y = neurons.flat()
    gradient = central(lambda x: kernels.risk_mean_field(problem, x), y)
    shares = np.concatenate([np.repeat(neurons.weights, 3), np.tile(neurons.weights, 3)])
    assert shares * slope_of(problem, y) == pytest.approx(-gradient, abs=1e-7 * max(1, abs(gradient).max()))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("data", LAWS)
def test_the_rule_of_points_integrates_the_target(name, data):
    target = Target.parse("z1 + z1*z2*z3 + 2*z2", data=data)
    rule = points_of(target, 8)
    assert rule.p.sum() == pytest.approx(1)
    assert rule.p @ rule.h**2 == pytest.approx(6)
    assert rule.z * rule.p @ rule.h == pytest.approx([1, 2, 0], abs=1e-12)


@pytest.mark.parametrize(("name", "data"), [("erf", "boolean"), ("relu", "gaussian")])
def test_flow_agrees_with_scipy(name, data):
    target = Target.parse("z1 + z1*z2", data=data)
    network = random_network(target, width=6, dim=30, activation=name, second_layer=1.0, biases=0.5, rng=4)
    flow, rates = MeanFieldFlow(nodes=8, rtol=1e-10, atol=1e-12), {"eta_a": 0.007, "eta_b": 0.003}
    ours = simulate(target, flow, network=network, t=15, **rates, decay_w=0.01, decay_a=0.02)
    neurons = flow.neurons(network)
    assert neurons.s == pytest.approx(np.linalg.norm(network.weights[:, 2:], axis=1))
    pace = mean_field_problem.Pace(1.0, 0.7, 0.3, 0.01, 0.02)
    problem = problem_for(target, name, neurons, pace, nodes=8, smoothing=1e-3)
    theirs = solve_ivp(
        lambda t, y: slope_of(problem, y),
        (0, ours.time[-1]),
        neurons.flat(),
        method="DOP853",
        t_eval=ours.time,
        rtol=1e-12,
        atol=1e-14,
    )
    m, s, a, b = mean_field.unpack(theirs.y.T, 6, 2)
    assert ours.kind == "mean-field flow"
    assert ours.Q is None
    assert ours.weights is None
    assert ours.q == pytest.approx((m**2).sum(axis=-1) + s**2, abs=1e-8)
    assert ours.m == pytest.approx(m, abs=1e-8)
    assert ours.a == pytest.approx(a, abs=1e-8)
    assert ours.b == pytest.approx(b, abs=1e-8)
    assert ours.risk[-1] == pytest.approx(kernels.risk_mean_field(problem, theirs.y[:, -1].copy()), abs=1e-8)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("data", LAWS)
def test_risk_never_increases_along_the_gradient(name, data):
    target = Target.parse("z1 + z1*z2", data=data)
    network = random_network(target, width=12, dim=60, activation=name, second_layer=1.0, biases=0.5, rng=3)
    out = simulate(target, MeanFieldFlow(nodes=10), network=network, t=60)
    assert int(out.status) == Status.DONE
    assert (np.diff(out.risk) < 1e-9).all()
    assert out.risk[-1] < 0.7 * out.risk[0]


def test_a_teacher_network_is_learned():
    target = Target.teacher(2, "erf")
    network = random_network(target, width=8, dim=40, second_layer=2.0, rng=1)
    job = Job(target, network, Training(eta=0.01), np.array([0, 100, 10_000]))
    out = MeanFieldFlow(nodes=20).simulate(job)
    assert out.risk[-1] < 0.02 * out.risk[0]
    assert points_of(target, 20).p @ points_of(target, 20).h ** 2 == pytest.approx(2 / 3, abs=1e-6)
    with pytest.raises(InputError, match=r"6 coordinates: 20\^6 points exceed .* fewer nodes"):
        points_of(Target.teacher(6, "erf"), 20)


def test_weighted_neurons_are_copies():
    """A neuron of weight ¾ beside one of ¼ moves as three copies beside one do."""
    target = Target.parse("z1 + z1*z2", data="boolean")
    pair = draw(5, n=2)
    four = Particles(*(part[[0, 0, 0, 1]] for part in pair[:4]), np.full(4, 0.25))
    two = problem_for(target, "erf", pair._replace(weights=np.array([0.75, 0.25])))
    dm = mean_field.unpack(slope_of(two, pair.flat()), 2, 2)[0]
    copied = mean_field.unpack(slope_of(problem_for(target, "erf", four), four.flat()), 4, 2)[0]
    assert copied == pytest.approx(dm[[0, 0, 0, 1]], abs=1e-14)


def test_particles_come_with_their_weights():
    target = Target.parse("z1 + z1*z2", data="boolean")
    out = simulate(target, MeanFieldFlow("zero", particles=6, start_bias=0.5), t=5)
    nodes, doubled = np.polynomial.legendre.leggauss(6)
    assert out.weights == pytest.approx(doubled / 2)
    assert out.a[0] == pytest.approx(nodes)
    s = np.sqrt(out.q[-1] - (out.m[-1] ** 2).sum(axis=1))
    last = Particles(out.m[-1], s, out.a[-1], out.b[-1], out.weights)
    assert out.risk[-1] == pytest.approx(naive.risk("erf", target, last), abs=1e-9)
