"""Re-use of a sample takes a leap of three from about d² steps to about d, on the sphere, one neuron at a time.

h = He3(z1)/√6, erf, a = −1 frozen, correlation loss, |w| = 1 from m = 1/√d. Without re-use m' ~ m² and the step size
that lets the drift win is of order d^{−3/2}: d² steps. An extragradient step with ρ = 1/d looks at the sample where its
own gradient has already moved λ by O(1), so that the drift sees powers of y, of which y³ has a part along z1: the
generative exponent, 1, rules in place of the leap, with η ~ 1/d (Dandi et al. 2024, arXiv 2402.03220; Arnaboldi et al.
2024, arXiv 2405.15459).
"""

import math

import numpy as np
import pytest

from odesim.job import Job
from odesim.network import Network
from odesim.sgd.full import SGD
from odesim.targets.series import Target
from odesim.training import Training

HE3 = Target.from_terms({(3,): 1.0})
RECOVERED = 0.5


def steps_to_recovery(dim, training, steps, seeds, points=401):
    """The first recorded step with |m| ≥ ½ of every seed, infinite where there is none."""
    signs = np.random.default_rng(0).choice([-1.0, 1.0], dim - 1)
    weights = np.concatenate([[1 / math.sqrt(dim)], signs / math.sqrt(dim)])
    network = Network.from_weights(HE3, weights[None], [-1.0])
    grid = np.unique(np.rint(np.linspace(0, steps, points)).astype(np.int64))
    job = Job(HE3, network, training, grid, seeds, np.random.SeedSequence(5))
    m = np.abs(SGD(dtype="float32").simulate(job).m[:, :, 0, 0])
    reached = m >= RECOVERED
    return np.where(reached.any(axis=1), grid[reached.argmax(axis=1)], math.inf)


def rule(eta, reuse="none", rho=None):
    return Training(eta=eta, eta_a=0.0, geometry="sphere", loss="correlation", reuse=reuse, rho=rho)


@pytest.mark.parametrize("reuse", ["extragradient", "sam"])
def test_with_reuse_some_tens_of_d_steps_suffice(reuse):
    for dim in (64, 256):
        found = steps_to_recovery(dim, rule(0.3 / dim, reuse, 1 / dim), 50 * dim, seeds=16, points=101)
        assert np.isfinite(found).all()
        assert 5 * dim < np.median(found) < 25 * dim


@pytest.mark.parametrize("power", [1.0, 1.5])
def test_without_reuse_they_do_not(power):
    found = steps_to_recovery(128, rule(0.3 / 128**power), 50 * 128, seeds=16, points=101)
    assert np.isfinite(found).sum() <= 4


def exponent(dims, found, draws=2000):
    """Slope of ln(median steps) in ln d, and its 95 % interval by resampling the seeds."""
    x = np.log(dims) - np.log(dims).mean()
    rng = np.random.default_rng(0)
    picked = [[one[rng.integers(one.size, size=one.size)] for one in found] for _ in range(draws)]
    slopes = [x @ np.log([np.median(one) for one in sample]) / (x @ x) for sample in (found, *picked)]
    return slopes[0], *np.quantile(slopes[1:], [0.025, 0.975])


@pytest.mark.slow
def test_exponents_of_the_steps_to_recovery(capsys):
    """Medians, as a quarter of the runs without re-use first lose their start and end censored."""
    few, many = np.array([25, 50, 100, 200]), np.array([100, 200, 400, 800, 1600])
    plain = [steps_to_recovery(d, rule(0.3 / d**1.5), 25 * d * d, seeds=64, points=2001) for d in few]
    reused = [steps_to_recovery(d, rule(0.3 / d, "extragradient", 1 / d), 60 * d, seeds=64, points=2001) for d in many]
    without, low, high = exponent(few, plain)
    with_it, least, most = exponent(many, reused)
    with capsys.disabled():
        print(f"\nwithout {without:.3f} [{low:.3f}, {high:.3f}], medians {[float(np.median(one)) for one in plain]}")
        print(f"with {with_it:.3f} [{least:.3f}, {most:.3f}], medians {[float(np.median(one)) for one in reused]}")
    assert all(np.isfinite(one).mean() > 0.7 for one in plain)
    assert all(np.isfinite(one).all() for one in reused)
    assert 1.9 < without < 2.25
    assert 0.95 < with_it < 1.2
    assert most < 1.3 < 1.8 < low
