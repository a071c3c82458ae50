"""What theory says of the mean-field flow: staircases are climbed from zero overlaps, traps are not left."""

import math

import numpy as np
import pytest
from test_mean_field import LAWS, random_network, simulate

from odesim import Target, Training, run
from odesim.flows.mean_field import MeanFieldFlow
from odesim.staircase import merged_staircase
from odesim.symmetry import stuck

STAIRS = "z1 + z1*z2 + z1*z2*z3"
STUCK = "z1 + z2 + z1*z3 + z2*z4"


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
