"""The mean-field flow against quadrature, finite differences, scipy, and what theory says of staircases and traps."""

import math
from dataclasses import replace

import naive_mean_field as naive
import numpy as np
import pytest
from conftest import act
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from odesim import InputError, Network, Status, Target, Training, run, training
from odesim.activations.catalogue import CATALOGUE
from odesim.flows import _mean_field as kernels
from odesim.flows import mean_field, mean_field_problem
from odesim.flows.mean_field import MeanFieldFlow, Particles
from odesim.flows.points import points_of
from odesim.job import Job
from odesim.staircase import merged_staircase
from odesim.symmetry import stuck

NAMES = ["erf", "relu"]
LAWS = ["boolean", "gaussian"]
ONCE = settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.generate])
STAIRS = "z1 + z1*z2 + z1*z2*z3"
STUCK = "z1 + z2 + z1*z3 + z2*z4"


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


def test_relu_goes_on_where_its_kinks_settle_on_points():
    """Bias-free z1*z2: m = (c, c) puts two of the four points on the kink, and s vanishes there."""
    target = Target.parse("z1*z2", data="boolean")
    network = random_network(target, width=20, dim=100, activation="relu", second_layer=1.0, rng=1)
    rough, fine = (simulate(target, MeanFieldFlow(smoothing=e), network=network, t=20) for e in (4e-3, 1e-3))
    assert fine.risk[-1] < 1e-4
    assert abs(rough.risk - fine.risk).max() < 2e-3


def test_decay_shrinks_and_frozen_layers_stay():
    target = Target.parse("z1", data="boolean")
    network = random_network(target, width=3, dim=20, second_layer=1.0, biases=0.5, rng=0)
    frozen = simulate(target, MeanFieldFlow(), network=network, t=5, eta_a=0.0)
    assert np.array_equal(frozen.a, np.broadcast_to(network.a, frozen.a.shape))
    assert np.array_equal(frozen.b, np.broadcast_to(network.b, frozen.b.shape))
    strong = simulate(target, MeanFieldFlow(), network=network, t=10, decay_a=3.0, decay_w=3.0)
    assert abs(strong.a[-1]).max() < 1e-3
    assert abs(strong.m[-1]).max() < 1e-3


@pytest.mark.parametrize("alphas", [(1.0, 1.0, 1.0, 1.0), (1.2, -0.7, 0.9, 0.8)])
def test_leading_order_of_a_vanilla_staircase(alphas):
    """m_k ≈ 2^{1−2^{k−1}} (at)^{2^{k−1}} Π_{i≤k} (σ⁽ⁱ⁾(b) α_i)^{2^{max(k−1−i, 0)}}, σ = erf at b = ½, s = 0.

    The next order is t higher: a ratio of 1 − O(t), which a parabola through three times extrapolates to 1 at
    t = 0. For neurons of small a the last overlap, of order (at)^8, is below rounding.
    """
    target = Target.from_terms({(1,) * k + (0,) * (4 - k): alphas[k - 1] for k in (1, 2, 3, 4)}, data="boolean")
    flow = MeanFieldFlow("zero", 0.0, particles=8, start_bias=0.5, rtol=1e-11, atol=1e-18)
    ratios = []
    for t in (0.1, 0.2, 0.3):
        out = simulate(target, flow, t=t, eta=1e-3, eta_a=0.0)
        large = abs(out.a[0]) > 0.5
        predicted = np.array([leading(k, out.a[0, large] * t, alphas) for k in (1, 2, 3, 4)])
        ratios.append(out.m[-1, large].T / predicted)
    assert ratios[0] == pytest.approx(1, abs=0.04)
    assert 3 * ratios[0] - 3 * ratios[1] + ratios[2] == pytest.approx(1, abs=0.005)


def leading(k, at, alphas, b=0.5):
    power = 2 ** (k - 1)
    derivative = 2 * math.exp(-(b**2) / 2) / math.sqrt(2 * math.pi) * np.array([1, -b, b**2 - 1, 3 * b - b**3])
    product = math.prod((derivative[i] * alphas[i]) ** 2 ** max(k - 2 - i, 0) for i in range(k))
    return 2.0 ** (1 - power) * at**power * product


@pytest.mark.parametrize("data", LAWS)
def test_coordinates_beyond_the_merged_staircase_stay_zero(data):
    target = Target.parse("z1 + z1*z2 + z1*z3*z4", data=data)
    found = merged_staircase(target)
    assert found.rest_energy == pytest.approx(0.5)
    flow = MeanFieldFlow("zero", particles=6, start_bias=0.5, nodes=5)
    out = simulate(target, flow, t=12, eta_b=0.01)
    assert abs(out.m[..., 2:]).max() < 1e-12
    assert abs(out.m[-1, :, :2]).max() > 0.1
    assert (out.risk > found.rest_energy - 1e-9).all()


def test_overlaps_of_a_network_let_a_leap_of_two_escape_and_zero_overlaps_do_not():
    target = Target.parse("z1*z2", data="boolean")
    network = random_network(target, width=20, dim=100, second_layer=1.0, biases=1.0, rng=1)
    escaped, still = (simulate(target, MeanFieldFlow(start), network=network, t=60) for start in ("network", "zero"))
    assert escaped.risk[-1] < 0.1
    assert still.risk[-1] == pytest.approx(0.5, abs=1e-6)


def test_a_staircase_is_learned_from_zero_overlaps():
    target = Target.parse("z1 + z1*z2", data="boolean")
    out = simulate(target, MeanFieldFlow("zero", particles=16, start_bias=0.7), t=150, eta_b=0.01)
    assert out.risk[-1] < 0.02
    assert out.m.shape == (out.steps.size, 16, 2)


def test_a_stuck_target_stays_above_its_floor_until_rounding_frees_it():
    """Rounding grows by e^{1.5 t}: held and free agree to t = 18, and the free flow learns in the end."""
    target = Target.parse(STUCK, data="boolean")
    trap = stuck(target)
    assert trap.floor == pytest.approx(0.5)
    network, times = random_network(target, width=2, dim=9), [0, 2, 5, 10, 15, 18, 40, 100, 300]
    free, held = (
        run(
            MeanFieldFlow("zero", particles=8, start_bias=0.7, hold=hold),
            target,
            network,
            Training(eta=0.01),
            t_eval=times,
        )
        for hold in (False, True)
    )
    assert (held.risk > trap.floor).all()
    assert held.risk[-1] < 0.7
    assert free.risk[:6] == pytest.approx(held.risk[:6], abs=1e-5)
    assert free.risk[-1] < 0.1
    off = held.m @ (np.eye(4) - trap.subspace.T @ trap.subspace)
    assert abs(off).max() < 1e-12


def test_the_perturbed_stuck_target_leaves():
    """Well before rounding frees the target itself, whose risk is then 0.71."""
    target = Target.parse(STUCK, data="boolean")
    freed = stuck(target).freed_by
    out = simulate(freed, MeanFieldFlow("zero", particles=16, start_bias=0.7, hold=True), t=20)
    assert out.risk[-1] < 0.35


def test_single_steps_are_the_euler_map_and_tend_to_the_flow():
    target = Target.parse(STAIRS, data="boolean")
    network = random_network(target, width=5, dim=30, second_layer=1.0, biases=0.5, rng=2)
    flow = simulate(target, MeanFieldFlow(), network=network, t=10, eta=0.1)
    gaps = []
    for eta in (0.1, 0.05):
        out = simulate(target, MeanFieldFlow(discrete=True), network=network, t=10, eta=eta)
        gaps.append(abs(out.risk[-1] - flow.risk[-1]))
    assert gaps[0] / gaps[1] == pytest.approx(2, rel=0.2)
    neurons = MeanFieldFlow().neurons(network)
    problem, y = problem_for(target, "erf", neurons, mean_field_problem.UNIT._replace(xi_b=0.0)), neurons.flat()
    for _ in range(200):
        y += 0.05 * slope_of(problem, y)
    assert out.steps[-1] == 200
    assert out.m[-1] == pytest.approx(mean_field.unpack(y, 5, 3)[0], abs=1e-12)


@pytest.mark.parametrize("discrete", [False, True])
def test_a_stopped_or_diverged_run_keeps_what_it_has(discrete):
    target = Target.parse("z1 + z1*z2", data="boolean")
    network = random_network(target, width=5, dim=30, activation="relu", second_layer=1.0, biases=0.5, rng=2)
    steps = np.array([0, 10, 100_000])
    job = Job(target, network, Training(eta=0.01), steps)
    stopped = MeanFieldFlow(discrete=discrete).simulate(replace(job, progress=lambda share: job.stop.set()))
    assert int(stopped.status) == Status.INTERRUPTED
    assert np.isfinite(stopped.risk[0])
    assert np.isnan(stopped.risk[-1])
    if discrete:
        wild = MeanFieldFlow(discrete=True).simulate(Job(target, network, Training(eta=1e3), steps))
        assert int(wild.status) == Status.DIVERGED
        assert np.isnan(wild.risk[-1])
        assert wild.message.startswith("at flow time")


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


@given(seed=st.integers(0, 999), name=st.sampled_from(NAMES), data=st.sampled_from(LAWS))
@settings(max_examples=6, deadline=None, phases=[Phase.explicit, Phase.generate])
def test_under_the_correlation_loss_neurons_do_not_meet(seed, name, data):
    """The slopes are those of e = h, as in the twin at weights 0; the risk is still that of f."""
    target = Target.parse("z1 + z1*z2/2 + 0.3", data=data)
    neurons = draw(seed)
    problem = problem_for(target, name, neurons, nodes=5, alone=True)
    dm, ds, da, db = mean_field.unpack(slope_of(problem, neurons.flat()), 3, 2)
    V, Vz, VG, V1 = naive.slopes(name, target, neurons._replace(weights=np.zeros(3)), 5)
    assert da == pytest.approx(V, abs=1e-10)
    assert dm == pytest.approx(neurons.a[:, None] * Vz, abs=1e-10)
    assert ds == pytest.approx(neurons.a * VG, abs=1e-10)
    assert db == pytest.approx(neurons.a * V1, abs=1e-10)
    assert kernels.risk_mean_field(problem, neurons.flat()) == pytest.approx(
        naive.risk(name, target, neurons, 5), abs=1e-11
    )


SCHEDULE = (training.Phase(until=300, a=0.0), training.Phase(until=500, rate=2.0, w=0.0, b=3.0), training.Phase(w=0.5))


def in_plain_scaling(network, rule):
    """The same function, and steps under which it does the same, as f = Σ a σ."""
    n = network.width
    changed = {"eta": rule.eta * n, "eta_a": rule.rate_a / n, "eta_b": rule.eta_b * n}
    changed |= {"decay_w": rule.decay_w / n, "decay_a": rule.decay_a * n}
    return replace(network, a=network.a / n, scaling="plain"), replace(rule, **changed)


@pytest.mark.parametrize("discrete", [False, True])
@pytest.mark.parametrize("loss", ["square", "correlation"])
def test_both_scalings_name_the_same_dynamics(discrete, loss):
    target = Target.parse("z1 + z1*z2", data="boolean")
    network = random_network(target, width=5, dim=30, second_layer=1.0, biases=0.5, rng=3)
    rule = Training(
        eta=0.02, eta_a=0.01, eta_b=0.005, decay_w=0.03, decay_a=0.02, loss=loss, schedule=SCHEDULE, batch=math.inf
    )
    flow = MeanFieldFlow(discrete=discrete, rtol=1e-10, atol=1e-13)
    wide, plain = (
        run(flow, target, *given, steps=1000, points=40) for given in ((network, rule), in_plain_scaling(network, rule))
    )
    assert plain.risk == pytest.approx(wide.risk, abs=1e-8)
    assert plain.m == pytest.approx(wide.m, abs=1e-7)
    assert plain.a == pytest.approx(wide.a / 5, abs=1e-8)
    assert plain.b == pytest.approx(wide.b, abs=1e-7)
    assert plain.time == pytest.approx(5 * wide.time)
    assert wide.time[-1] == pytest.approx(0.02 * (300 + 2 * 200 + 500))
    assert abs(np.diff(wide.risk)).max() > 1e-3


def final_network(network, out):
    """The network that a run ends with, of independent residuals."""
    m = out.m[-1]
    return replace(network, m=m, R=np.diag(out.q[-1] - (m**2).sum(axis=1)), a=out.a[-1], b=out.b[-1], weights=None)


@pytest.mark.parametrize("discrete", [False, True])
def test_a_schedule_is_one_run_after_another(discrete):
    """Each phase alone has the steps of its factors, and those it freezes stay."""
    target = Target.parse("z1 + z1*z2", data="boolean")
    network = random_network(target, width=4, dim=30, second_layer=1.0, biases=0.5, rng=3)
    common = {"decay_w": 0.02, "decay_a": 0.04}
    flow = MeanFieldFlow(discrete=discrete, rtol=1e-10, atol=1e-12)
    rule = Training(eta=0.02, eta_a=0.01, eta_b=0.005, schedule=SCHEDULE, **common)
    whole = run(flow, target, network, rule, t_eval=rule.time_at([0, 150, 300, 500, 777, 1000]))
    first = run(flow, target, network, Training(eta=0.02, eta_a=0.0, eta_b=0.005, **common), steps=300)
    network = final_network(network, first)
    # w = 0 cannot be said by eta: it is a schedule of its own
    alone = (training.Phase(w=0.0),)
    second = run(flow, target, network, Training(eta=0.04, eta_a=0.02, eta_b=0.03, schedule=alone, **common), steps=200)
    last = final_network(network, second)
    third = run(flow, target, last, Training(eta=0.01, eta_a=0.01, eta_b=0.005, **common), steps=500)
    for row, part in zip((2, 3, 5), (first, second, third), strict=True):
        for name in ("risk", "m", "a", "b", "q"):
            assert getattr(part, name)[-1] == pytest.approx(getattr(whole, name)[row], abs=1e-8)
    assert np.array_equal(whole.a[:3], np.broadcast_to(network.a, (3, 4)))
    assert np.array_equal(whole.m[2], whole.m[3])
    assert np.array_equal(whole.q[2], whole.q[3])
    assert abs(np.diff(whole.b, axis=0)).max(axis=1).min() > 1e-4


def test_particles_come_with_their_weights():
    target = Target.parse("z1 + z1*z2", data="boolean")
    out = simulate(target, MeanFieldFlow("zero", particles=6, start_bias=0.5), t=5)
    nodes, doubled = np.polynomial.legendre.leggauss(6)
    assert out.weights == pytest.approx(doubled / 2)
    assert out.a[0] == pytest.approx(nodes)
    s = np.sqrt(out.q[-1] - (out.m[-1] ** 2).sum(axis=1))
    last = Particles(out.m[-1], s, out.a[-1], out.b[-1], out.weights)
    assert out.risk[-1] == pytest.approx(naive.risk("erf", target, last), abs=1e-9)


def test_a_kink_is_found_where_it_is():
    """A bias keeps ReLU off its kink, and a smooth activation has none."""
    target = Target.parse("z1", data="boolean")
    flow = MeanFieldFlow("zero", 0.0)
    biased = random_network(target, width=3, dim=20, activation="relu", biases=0.5, rng=0)
    assert flow.neurons(biased).s == pytest.approx(0)
    assert flow.neurons(random_network(target, width=3, dim=20, activation="erf")).s == pytest.approx(0)
    with pytest.raises(InputError, match=r"start_norm=0\.0 leaves relu at its kink"):
        flow.neurons(replace(biased, b=biased.b * [1, 0, 1]))
    leaky = replace(CATALOGUE["erf"], name="leaky", derivative=lambda x: np.where(x > 0.3, 1.0, 0.1))
    flow.neurons(replace(biased, activation=leaky))
    with pytest.raises(InputError, match="leaves leaky at its kink"):
        flow.neurons(replace(biased, activation=leaky, b=np.array([0.0, 0.3, 1.0])))


def test_bias_free_relu_stays_on_the_plateau_that_needs_an_odd_degree():
    """c_3(q, 0) = 0 at every q: no weights reach z1*z2*z3, ½ of the risk; biases do."""
    target = Target.parse("z1 + z1*z2*z3")
    free, biased = (
        random_network(target, width=24, dim=40, activation="relu", second_layer=3.0, biases=radius, rng=1)
        for radius in (0.0, 1.5)
    )
    flow = MeanFieldFlow(nodes=8, rtol=1e-6, atol=1e-8)
    stays = simulate(target, flow, network=free, t=60)
    leaves = simulate(target, flow, network=biased, t=60)
    assert (stays.risk > 0.5 - 1e-6).all()  # the error of the rule of points, while s > 0.6
    assert stays.risk[-1] < 0.501
    assert leaves.risk[-1] < 0.4


BAD = [
    ({"start": "one"}, "start"),
    ({"start_norm": -1.0}, "start_norm"),
    ({"particles": -1}, "particles"),
    ({"particles": 4}, "particles"),
    ({"hold": True}, "hold"),
    ({"start": "zero", "start_bias": 0.3}, "start_bias"),
    ({"nodes": 1}, "nodes"),
    ({"smoothing": -1e-3}, "smoothing"),
    ({"rtol": 0.0}, "rtol"),
    ({"atol": 0.0}, "atol"),
]


@pytest.mark.parametrize(("options", "name"), BAD)
def test_bad_options_are_named(options, name):
    with pytest.raises(InputError, match=f"^{name}="):
        MeanFieldFlow(**options)


@pytest.mark.parametrize(
    ("flow", "expression", "data", "match"),
    [
        (MeanFieldFlow(nodes=3), "He3(z1)", "gaussian", "nodes=3"),
        (MeanFieldFlow(nodes=200), "z1*z2*z3", "gaussian", "fewer nodes"),
        (MeanFieldFlow(), "z21", "boolean", "21 coordinates"),
        (MeanFieldFlow("zero", 0.0), "z1", "boolean", "start_norm"),
        (MeanFieldFlow("zero", hold=True), "z1", "gaussian", "boolean"),
    ],
)
def test_bad_runs_are_refused(flow, expression, data, match):
    target = Target.parse(expression, data=data)
    with pytest.raises(InputError, match=match):
        simulate(target, flow, name="relu", t=0.1)


def test_quadrature_means_mean_field_scaling():
    target = Target.parse("z1", data="boolean")
    plain = Network.random(target, width=2, dim=9)
    with pytest.raises(InputError, match=r"^particles=4 .* scaling='mean_field'"):
        simulate(target, MeanFieldFlow("zero", particles=4), network=plain)


def test_the_sphere_is_refused():
    target = Target.parse("z1")
    network = random_network(target, width=2, dim=5)
    with pytest.raises(InputError, match="geometry"):
        run(MeanFieldFlow(), target, network, Training(eta=0.1, geometry="sphere"), steps=5)
