"""Full SGD follows the flows that it judges, within their standard errors."""

import numpy as np
import pytest

from odesim.flows.correlation import CorrelationFlow
from odesim.flows.overlap import OverlapFlow
from odesim.job import Job
from odesim.network import Network
from odesim.sgd.full import SGD
from odesim.targets.series import Target
from odesim.training import Phase, Training


@pytest.mark.parametrize("law", ["gaussian", "boolean"])
def test_correlation_loss_follows_the_correlation_flow(law):
    """Four standard errors of 16 runs, and the drift of q from steps of finite size, which moves m by half as much.

    A step adds η² d a² y² σ'² to q, so q gains at most ηd · t · a² E[h²] 2/π; about a third of it is seen. With f in
    the residual m is off by 0.28 instead.
    """
    target = Target.parse("z1 + z1*z2", data=law)
    network = Network.random(target, width=4, dim=100, biases=1.0, second_layer=0.5, rng=1)
    eta_d, time_of_all = 0.1, 4.0
    training = Training(eta=eta_d / 100, eta_a=0.0, loss="correlation")
    steps = np.linspace(0, time_of_all * 100 / eta_d, 9).astype(np.int64)
    flow, sgd = (
        dynamics.simulate(Job(target, network, training, steps, 16, np.random.SeedSequence(5)))
        for dynamics in (CorrelationFlow(), SGD())
    )
    assert np.abs(flow.m[-1]).max() > 0.9
    drift = np.diagonal(sgd.mean("Q") - flow.Q, axis1=1, axis2=2)
    assert (drift[-1] > 0).all()
    assert (drift[-1] < eta_d * time_of_all * 0.25 * 2 * 2 / np.pi).all()
    assert (np.abs(sgd.mean("m") - flow.m) <= 4 * sgd.stderr("m") + drift.max() / 2).all()


@pytest.mark.parametrize("law", ["gaussian", "boolean"])
def test_overlap_flow_is_followed_in_mean_field_scaling_under_a_schedule_and_decay(law):
    """Within five standard errors of 16 runs and 0.01 for O(ηd)² and O(1/d).

    Leave out one decay or the schedule, and m is off by 0.12 to 0.37.
    """
    target = Target.parse("z1 + z1*z2", data=law)
    dim, eta, steps = 200, 0.1 / 200, np.linspace(0, 16_000, 9).astype(np.int64)
    schedule = (Phase(until=4001), Phase(until=8003, a=0.0, rate=0.5), Phase(w=0.5))
    rule = {"decay_w": 0.05, "decay_a": 0.1, "schedule": schedule, "noise": 0.2}
    training = Training(eta=eta, eta_b=eta / 2, **rule)
    network = Network.random(target, width=4, dim=dim, biases=0.8, scaling="mean_field", second_layer=1.5, rng=3)
    flow, sgd = (
        dynamics.simulate(Job(target, network, training, steps, 16, np.random.SeedSequence(7)))
        for dynamics in (OverlapFlow(), SGD())
    )
    assert np.abs(flow.m[-1]).max() > 0.8
    assert flow.time == pytest.approx(sgd.time)
    for name in ("risk", "m", "a", "b"):
        gap = np.abs(sgd.mean(name) - getattr(flow, name))
        assert (gap <= 5 * sgd.stderr(name) + 0.01).all(), name


@pytest.mark.parametrize("law", ["gaussian", "boolean"])
def test_batches_follow_the_overlap_flow(law):
    """Within five standard errors of 16 runs and 0.01 for O(ηd/B)² and O(1/d), at ηd/B = ½.

    With another batch in the flow's finite-step term, such as an infinite one, m is off by 0.3.
    """
    target, dim = Target.parse("z1 + z1*z2", data=law), 200
    training = Training(eta=2.0 / dim, eta_b=1.0 / dim, noise=0.2, batch=4)
    network = Network.random(target, width=4, dim=dim, biases=0.8, second_layer=0.4, rng=3)
    steps = np.linspace(0, 2400, 9).astype(np.int64)
    flow, endless, sgd = (
        dynamics.simulate(Job(target, network, training, steps, 16, np.random.SeedSequence(7)))
        for dynamics in (OverlapFlow(), OverlapFlow(finite_step=False), SGD())
    )
    assert np.abs(flow.m[-1]).max() > 0.9
    for name in ("risk", "m", "a", "b", "Q"):
        within = 5 * sgd.stderr(name) + 0.01
        assert (np.abs(sgd.mean(name) - getattr(flow, name)) <= within).all(), name
        assert not (np.abs(sgd.mean(name) - getattr(endless, name)) <= within).all(), name
