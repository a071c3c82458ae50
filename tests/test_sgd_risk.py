"""The risk of runs that no flow follows: teachers of another activation, Boolean data."""

import math

import numpy as np
import pytest
from scipy.special import erf
from test_sgd import BOOLEAN, make_job, twin

from odesim.flows.overlap import risk_of
from odesim.job import Job
from odesim.network import Network
from odesim.sgd.chain import Chain
from odesim.sgd.full import SGD
from odesim.sgd.mixed import mixed_risk
from odesim.targets.series import Target
from odesim.training import Training


def sampled_risk(job, m, Q, a, b, count=400_000):
    """½E[(h − f)²] over fresh samples of the real network, and its standard error; residuals lie in N coordinates."""
    rng = np.random.default_rng(0)
    residual = np.linalg.cholesky(Q - m @ m.T + 1e-12 * np.eye(a.size))
    z = rng.standard_normal((count, job.target.P))
    lam = z @ m.T + rng.standard_normal((count, a.size)) @ residual.T + b
    f = job.network.unit * job.network.activation.function(lam) @ a
    loss = 0.5 * (job.target.evaluate(z) - f) ** 2
    return loss.mean(), loss.std() / math.sqrt(count)


@pytest.mark.parametrize(
    ("teacher", "student", "biases"),
    [("erf", "relu", 0.0), ("relu", "erf", 0.0), ("relu", "erf", 0.6), ("erf", "erf", 0.3)],
)
def test_a_teacher_may_have_another_activation(teacher, student, biases):
    """The steps are the twin's; the risk is that of samples within four standard errors."""
    rng = np.random.default_rng(1)
    target = Target.teacher(2, teacher, weights=rng.standard_normal((2, 3)), second_layer=[1.0, -0.7])
    training = Training(eta=0.02, eta_b=0.01, noise=0.1)
    options = {"activation": student, "biases": biases, "scaling": "mean_field", "width": 5, "dim": 20}
    job = make_job([0, 301], target=target, training=training, **options)
    got = SGD().simulate(job)
    W, a = twin(job, 0, 301)[-1][:2]
    np.testing.assert_allclose(got.m[0, -1], W[:, :3], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(got.a[0, -1], a, rtol=1e-9, atol=1e-9)
    for row in (0, 1):
        mean, error = sampled_risk(job, got.m[0, row], got.Q[0, row], got.a[0, row], got.b[0, row])
        assert abs(got.risk[0, row] - mean) < 4 * error


@pytest.mark.parametrize("name", ["erf", "relu"])
def test_mixed_risk_is_the_risk_where_activations_agree(name):
    """Its quadrature against the closed pair kernels, on leading axes, with a row that has ended."""
    rng = np.random.default_rng(2)
    target = Target.teacher(3, name, second_layer=[1.0, 0.5, -1.0])
    W = rng.standard_normal((2, 4, 5, 8)) / 2
    m, Q = W[..., :3], W @ np.swapaxes(W, -1, -2)
    a, b = rng.standard_normal((2, 2, 4, 5))
    m[1, 3] = np.nan
    kind = make_job([0], target=target, activation=name).network.activation
    got = mixed_risk(target, kind, m, Q, a, b)
    assert np.isnan(got[1, 3])
    np.testing.assert_allclose(got, risk_of(target, kind, m, Q, a, b), rtol=1e-9)


@pytest.mark.parametrize("scaling", ["plain", "mean_field"])
def test_boolean_risk_is_that_of_the_real_network(scaling):
    """Over samples of {±1}^d at d = 60: four standard errors and 0.2/d for residuals that are not Gaussian."""
    training = Training(eta=0.3 / 60, eta_a=0.01, eta_b=0.01)
    job = make_job([0, 500], target=BOOLEAN, dim=60, width=3, biases=0.5, training=training, scaling=scaling)
    got = SGD().simulate(job)
    W, a, b, _, _ = twin(job, 0, 500)[-1]
    x = np.random.default_rng(0).integers(0, 2, (200_000, 60)) * 2.0 - 1.0
    f = job.network.unit * erf((x @ W.T + b) / np.sqrt(2)) @ a
    loss = 0.5 * (BOOLEAN.evaluate(x[:, :3]) - f) ** 2
    assert abs(got.risk[0, -1] - loss.mean()) < 4 * loss.std() / math.sqrt(len(x)) + 0.2 / 60


@pytest.mark.parametrize("dynamics", [SGD(), Chain()], ids=["sgd", "chain"])
@pytest.mark.parametrize("target", [Target.parse("He2(z1) + z2"), Target.teacher(2, "erf")], ids=["series", "teacher"])
@pytest.mark.parametrize("bias", [-0.3, 0.0, 0.7])
@pytest.mark.parametrize("name", ["relu", "leaky_relu:0.2"])
def test_a_relu_neuron_without_weights_is_a_constant(name, bias, target, dynamics):
    """It adds a σ(b) to the output: what is left is the risk of the target less that constant."""
    W = np.zeros((2, 12))
    W[0, :4] = 0.4, -0.3, 0.2, 0.1
    rest = Training(eta=0.01), np.array([0, 9]), 2, np.random.SeedSequence(1)
    network = Network.from_weights(target, W, [0.5, 0.7], [0.2, bias], activation=name)
    got = dynamics.simulate(Job(target, network, *rest))
    assert np.isfinite(got.risk).all()
    level = 0.7 * float(network.activation.function(np.array([bias]))[0])
    size, slope = math.hypot(*W[0]), network.activation.slope
    step, bell = 0.5 * (1 + erf(0.2 / size / math.sqrt(2))), math.exp(-0.5 * (0.2 / size) ** 2) / math.sqrt(2 * math.pi)
    mean = 0.5 * (slope * 0.2 + (1 - slope) * (0.2 * step + size * bell))  # of the other neuron's output
    other = Network.from_weights(target, W[:1], [0.5], [0.2], activation=name)
    alone = dynamics.simulate(Job(target, other, *rest))
    want = alone.risk[0, 0] + 0.5 * level**2 + level * (mean - target.constant)
    np.testing.assert_allclose(got.risk[:, 0], want, rtol=1e-9)
