"""Full SGD on the sphere and with re-use of a sample, against its literal twin."""

import dataclasses

import numpy as np
import pytest
from test_sgd import ALL, BOOLEAN, STAIRS, make_job, twin

from odesim.checks import InputError
from odesim.flows.overlap import risk_of
from odesim.job import Job
from odesim.network import Network
from odesim.sgd.chain import Chain
from odesim.sgd.full import SGD
from odesim.targets.series import Target
from odesim.training import REUSES, Training

SPHERE = dataclasses.replace(ALL, eta=0.05, decay_w=0.0, loss="square", geometry="sphere")
REUSED = {
    f"{geometry}-{reuse}": dataclasses.replace(start, loss="square", reuse=reuse, rho=0.01 if reuse == "sam" else None)
    for geometry, start in (("free", ALL), ("sphere", SPHERE))
    for reuse in REUSES[1:]
}
"""Every re-use of a sample, free and on the sphere, with everything else at once."""
NORMALISED = {
    f"{name}-normalised": dataclasses.replace(start, loss="square", normalised=True)
    for name, start in (
        ("free", ALL),
        ("sphere", SPHERE),
        ("twice", REUSED["sphere-twice"]),
        ("sam", REUSED["free-sam"]),
    )
}
RULES = {"sphere": SPHERE} | REUSED | NORMALISED


def assert_ends_with_the_twin(job):
    """Row 1 of a run in double precision, its first after the start."""
    W, a, b, _, _ = twin(job, 0, int(job.steps[1]))[-1]
    assert np.isfinite(W).all()
    got = SGD().simulate(job)
    for have, want in ((got.m, W[:, : job.target.P]), (got.Q, W @ W.T), (got.a, a), (got.b, b)):
        np.testing.assert_allclose(have[0, 1], want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("scaling", ["plain", "mean_field"])
@pytest.mark.parametrize("rule", RULES)
def test_long_runs_on_the_sphere_and_with_reuse_stay_with_the_twin(rule, scaling):
    training, target = RULES[rule], BOOLEAN if scaling == "plain" else STAIRS
    job = make_job([0, 397], target=target, width=17, dim=33, biases=0.5, training=training, scaling=scaling)
    assert_ends_with_the_twin(job)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("activation", ["leaky_relu:0.2", "tanh", "gelu", "hermite:3"])
def test_every_activation_follows_every_rule(activation, rule):
    training = dataclasses.replace(RULES[rule], eta=0.002)
    if activation.startswith("hermite"):  # of unbounded slope
        training = dataclasses.replace(training, eta_a=0.001, eta_b=0.001, rho=training.rho and 0.001)
    job = make_job([0, 30], activation=activation, biases=0.5, training=training)
    assert_ends_with_the_twin(job)


@pytest.mark.parametrize("dynamics", [SGD(), Chain()], ids=["sgd", "chain"])
def test_a_sphere_of_two_points_has_no_step_of_given_length(dynamics):
    target = Target.parse("z1")
    network = Network.from_weights(target, np.eye(1), np.ones(1))
    training = Training(eta=0.1, geometry="sphere", normalised=True)
    job = Job(target, network, training, np.array([0, 1]), 1, np.random.SeedSequence(0))
    with pytest.raises(InputError, match=r"network\.dim=1 has no tangent"):
        dynamics.simulate(job)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_lengths_stay_1_where_rounding_grows(dtype):
    """An error of the squared length becomes Π (1 − γλ)²/(1 + γ²(‖x‖² − λ²)) times itself, here e^80 in 400 steps."""
    target, steps = Target.parse("-1 + 0.1*z1"), 400
    training = Training(eta=0.5, eta_a=0.0, loss="correlation", geometry="sphere")
    network = Network.from_weights(target, np.eye(2, 2), np.ones(2), activation="relu")
    job = Job(target, network, training, np.array([0, steps]), 1, np.random.SeedSequence(11))
    got = SGD(dtype=dtype).simulate(job)
    close = {"rtol": 0, "atol": 1e-12 if dtype == "float64" else 1e-4}
    np.testing.assert_allclose(np.diagonal(got.Q[0, -1]), 1.0, **close)


def test_on_the_sphere_a_start_is_scaled_to_length_1():
    got = SGD().simulate(make_job([0, 9], training=SPHERE, width=5))
    start = make_job([0], training=SPHERE, width=5).network
    length = np.linalg.norm(start.weights, axis=1, keepdims=True)
    np.testing.assert_allclose(got.m[0, 0], start.m / length, rtol=1e-14)
    np.testing.assert_allclose(np.diagonal(got.Q[0], axis1=1, axis2=2), 1.0, rtol=1e-14)
    want = risk_of(STAIRS, start.activation, got.m[0, 0], got.Q[0, 0], start.a, start.b)
    np.testing.assert_allclose(got.risk[0, 0], want, rtol=1e-13)
