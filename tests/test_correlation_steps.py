"""Steps of finite size and batches in the correlation flow: the noise of a neuron alone, teachers."""

import math
from dataclasses import replace

import naive_correlation as naive
import naive_flow
import numpy as np
import pytest
from test_correlation import LAWS, TARGETS, slope

from odesim import InputError, Network, Target, Training, run
from odesim import Phase as Stretch
from odesim.activations.catalogue import CATALOGUE
from odesim.flows import lone, noise_alone
from odesim.flows.correlation import CorrelationFlow
from odesim.job import Job


def test_noise_and_seeds_change_nothing_and_the_step_size_only_the_clock():
    target = Target.parse("z1 + z1*z2*z3")
    network = Network.random(target, width=3, dim=20)
    one = run(CorrelationFlow(), target, network, Training(eta=0.01), steps=1000, points=20)
    two = run(
        CorrelationFlow(), target, network, Training(eta=0.01, eta_a=0.0, noise=3.0), steps=1000, points=20, seeds=4
    )
    assert np.array_equal(one.m, two.m)
    assert np.array_equal(one.risk, two.risk)
    half = run(CorrelationFlow(), target, network, Training(eta=0.005), steps=2000, points=20)
    assert half.m[-1] == pytest.approx(one.m[-1], abs=1e-12)


TANH = replace(CATALOGUE["erf"], name="tanh", derivative=lambda x: 1 / np.cosh(x) ** 2)


@pytest.mark.parametrize("kind", [CATALOGUE["erf"], CATALOGUE["relu"], TANH], ids=lambda kind: kind.name)
@pytest.mark.parametrize("law", LAWS)
def test_noise_of_a_neuron_alone_is_the_quadrature(kind, law):
    """E[(h² + noise) σ'(<m, z> + √R G + b)²] over z and G, panels split at the kink."""
    target, rng = Target.parse(TARGETS[law], data=law), np.random.default_rng(3)
    m, R, b = 0.5 * rng.normal(size=(5, 2)), rng.uniform(0.4, 1.5, 5), rng.normal(size=5)
    ours = noise_alone.gamma(target, kind, m, R, b, 0.3)
    z, weights = naive.points(target, 26)
    for j in range(5):
        total = 0.0
        for x, weight in zip(z.T, weights, strict=True):
            mean, s = m[j] @ x + b[j], math.sqrt(R[j])
            g, w = naive_flow.panels([-12, -6, -3, -1, 0, 1, 3, 6, 12, -mean / s])
            psi = np.sum(w * np.exp(-g * g / 2) * kind.derivative(s * g + mean) ** 2) * naive_flow.PHI
            total += weight * (float(target.evaluate(x)) ** 2 + 0.3) * psi
        # by terms for Gaussian data; ReLU's step given z is smooth in z, so its rule converges too
        assert ours[j] == pytest.approx(total, rel=1e-5)


def test_noise_of_targets_without_a_short_square_is_averaged_over_points():
    """A teacher against tensor quadrature: Sobol points, to 1 %."""
    teacher = Target.teacher(weights=[[0.8, 0.3], [-0.2, 1.0]], second_layer=[1.0, -0.6])
    z, weights = naive_flow.hermite_rule(2, 40)
    m, R = np.array([[0.5, 0.4]]), np.array([0.7])
    ours = noise_alone.gamma(teacher, CATALOGUE["erf"], m, R, np.array([0.2]), 0.1)
    g, w = naive_flow.panels([-12, -6, -3, -1, 0, 1, 3, 6, 12])
    psi = [
        np.sum(w * np.exp(-g * g / 2) * naive_flow.slope("erf", m[0] @ x + 0.2 + math.sqrt(0.7) * g) ** 2) for x in z.T
    ]
    expected = np.sum(weights * (teacher.evaluate(z.T) ** 2 + 0.1) * np.array(psi)) * naive_flow.PHI
    assert ours[0] == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(("name", "law"), [("erf", "gaussian"), ("relu", "gaussian"), ("erf", "boolean")])
@pytest.mark.parametrize("sphere", [False, True])
def test_finite_steps_add_their_share_to_the_norm(name, law, sphere):
    """g = rate·Γ: R' gains g (free); with |w| = 1 kept, m' gains −½gm and R' g(1 − R)."""
    target, rng = Target.parse(TARGETS[law], data=law), np.random.default_rng(1)
    m, R, b = np.array([0.4, -0.3]), 0.75, 0.6
    bare = lone.problem_of(target, CATALOGUE[name], sphere=sphere, noise=0.4)._replace(b=b, a=rng.normal())
    without, term = slope(bare, m, R), slope(bare._replace(noise=bare.noise._replace(rate=0.2)), m, R)
    g = 0.2 * noise_alone.gamma(target, CATALOGUE[name], m[None], np.array([R]), np.array([b]), 0.4)[0]
    assert term[1] - without[1] == pytest.approx(-0.5 * g * m if sphere else 0 * m, abs=1e-13)
    assert term[2] - without[2] == pytest.approx(g * (1 - R) if sphere else g, rel=1e-10)
    if sphere:
        assert 2 * m @ term[1] + term[2] == pytest.approx(0.0, abs=1e-13)


def test_noise_rate_and_finite_steps_follow_step_size_batch_and_scaling():
    target = Target.parse("z1 + z1*z2")
    plain = Network.random(target, width=3, dim=40, biases=1.0, rng=2)
    wide = replace(plain, a=3 * plain.a, scaling="mean_field")
    schedule = (Stretch(50, rate=0.5), Stretch(w=2.0))
    one = run(
        CorrelationFlow(finite_step=True), target, plain,
        Training(eta=0.03, eta_a=0, noise=0.2, batch=4, schedule=schedule), steps=100, points=100, spacing="linear",
    )  # fmt: skip
    two = run(
        CorrelationFlow(finite_step=True), target, wide,
        Training(eta=0.01, eta_a=0, noise=0.2, batch=4, schedule=schedule), steps=100, points=100, spacing="linear",
    )  # fmt: skip
    assert two.m == pytest.approx(one.m, abs=1e-6)
    assert two.q == pytest.approx(one.q, abs=1e-6)
    assert two.time == pytest.approx(one.time / 3)
    assert two.a == pytest.approx(3 * one.a)
    assert two.risk == pytest.approx(one.risk, abs=1e-6)
    assert two.noise_rate == pytest.approx(3 * one.noise_rate, rel=1e-5)
    R = one.q - (one.m**2).sum(axis=-1)
    last = one.steps.size - 1
    for row, factor in ((3, 0.5), (last, 4.0)):  # w²/clock: 0.5, then 2²
        bare = noise_alone.gamma(target, plain.activation, one.m[row], R[row], plain.b, 0.2)
        assert one.noise_rate[row] == pytest.approx(factor * 0.03 * 40 / 4 * plain.a**2 * bare, rel=1e-9)
    exact = run(
        CorrelationFlow(finite_step=True), target, plain, Training(eta=0.03, eta_a=0, batch=math.inf), steps=100
    )
    assert not exact.noise_rate.any()
    assert (exact.q[-1] < one.q[-1]).all()


def test_what_the_finite_step_term_and_teachers_cannot_do_is_refused():
    target, teacher = Target.parse("z1"), Target.teacher(2)
    network = Network.random(teacher, width=2, dim=10, activation="relu")
    training = Training(eta=0.01)
    with pytest.raises(InputError, match="not the teacher's 'erf'"):
        CorrelationFlow().simulate(Job(teacher, network, training, np.arange(3)))
    same = Network.random(teacher, width=2, dim=9)
    with pytest.raises(InputError, match="finite_step=True is unknown for teachers"):
        CorrelationFlow(finite_step=True).simulate(Job(teacher, same, training, np.arange(3)))
    other = Network.random(target, width=2, dim=9, activation=TANH)
    with pytest.raises(InputError, match="finite_step=True with tanh"):
        run(CorrelationFlow(finite_step=True), target, other, training, steps=10)
    with pytest.raises(InputError, match="decay_a"):
        run(CorrelationFlow(), target, Network.random(target, width=2, dim=9), Training(0.1, decay_a=1.0), steps=10)
