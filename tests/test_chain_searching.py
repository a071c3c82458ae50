"""The chain of one neuron on the sphere at a critical step size escapes as the search phase's diffusion does."""

import math

import numpy as np
import pytest

from odesim.job import Job
from odesim.network import Network
from odesim.searching import search_phase
from odesim.sgd.chain import Chain
from odesim.targets.series import Target
from odesim.training import Training

DIM, RUNS, POINTS, LEVEL, KAPPA, HORIZON = 256, 480, 1500, 3.0, 2.0, 2.0


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"loss": "square", "noise": 0.2}], ids=["correlation", "square, noise"])
def test_escapes_are_those_of_the_diffusion(options):
    """Share escaped at four times, from u = 1: within four standard errors plus what 1/d and the output steps leave."""
    target, a, D = Target.parse("z1*z2*z3"), -1.0, 3
    ours = search_phase(
        target, a=a, kappa=KAPPA, start=np.ones(3), level=LEVEL, runs=4000, horizon=HORIZON, rng=2,
        **({"loss": "correlation"} | options),
    )  # fmt: skip
    eta = KAPPA * DIM ** (-D / 2)
    most = int(HORIZON * DIM ** (D / 2 - 1) / eta)
    network = Network.from_overlaps(np.ones((1, 3)) / math.sqrt(DIM), np.ones((1, 1)), [a], dim=DIM)
    training = Training(eta=eta, eta_a=0.0, geometry="sphere", **({"loss": "correlation"} | options))
    grid = np.unique(np.linspace(0, most, POINTS).astype(int))
    got = Chain().simulate(Job(target, network, training, grid, RUNS, np.random.SeedSequence(3)))
    assert (got.status == 0).all()
    sizes = np.sqrt((got.m**2).sum(axis=(2, 3)) * DIM)
    theirs = np.where((sizes >= LEVEL).any(axis=1), grid[np.argmax(sizes >= LEVEL, axis=1)], np.inf)
    steps, slack = ours.steps(DIM), LEVEL**2 / DIM + 0.01
    for share in (0.2, 0.4, 0.7, 1.0):
        one, two = (steps <= share * most).mean(), (theirs <= share * most).mean()
        assert abs(one - two) < 4 * math.sqrt(one * (1 - one) * (1 / 4000 + 1 / RUNS)) + slack, share
    assert (theirs <= most).mean() > 0.1
