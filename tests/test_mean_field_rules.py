"""The mean-field flow under every rule: losses, decay, frozen layers, schedules, scalings, single steps."""

import math
from dataclasses import replace

import naive_mean_field as naive
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from test_mean_field import LAWS, NAMES, draw, problem_for, random_network, simulate, slope_of
from test_mean_field_staircases import STAIRS

from odesim import Target, Training, run, training
from odesim.flows import _mean_field as kernels
from odesim.flows import mean_field, mean_field_problem
from odesim.flows.mean_field import MeanFieldFlow


def test_decay_shrinks_and_frozen_layers_stay():
    target = Target.parse("z1", data="boolean")
    network = random_network(target, width=3, dim=20, second_layer=1.0, biases=0.5, rng=0)
    frozen = simulate(target, MeanFieldFlow(), network=network, t=5, eta_a=0.0)
    assert np.array_equal(frozen.a, np.broadcast_to(network.a, frozen.a.shape))
    assert np.array_equal(frozen.b, np.broadcast_to(network.b, frozen.b.shape))
    strong = simulate(target, MeanFieldFlow(), network=network, t=10, decay_a=3.0, decay_w=3.0)
    assert abs(strong.a[-1]).max() < 1e-3
    assert abs(strong.m[-1]).max() < 1e-3


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
