"""Lone neurons have the law of SGD with all its weights: two-sample tests at a level of 1e-3 for all together."""

import naive_alone
import numpy as np
import pytest
from scipy.stats import ks_2samp
from test_alone import TARGET, TRAININGS

import odesim as od
from odesim import Network, NeuronChain, Training

RUNS = 3000
LEVEL = 1e-3

CASES = [
    ("free", 5, "erf"), ("everything", 5, "relu"), ("twice", 5, "erf"), ("sam on the sphere", 5, "erf"),
    ("everything", 12, "erf"), ("sphere", 12, "hermite:3"), ("extragradient", 12, "erf"),
]  # fmt: skip
SLOW = [
    (name, dim, activation)
    for name in TRAININGS
    for dim in (5, 12, 60)
    for activation in ("erf", "relu")
    if dim == 60 or "radii" not in name
]


def samples(name, dim, activation, steps=60):
    """(m_1, m_2, |w|², a) after the last step, by all weights and by the chain."""
    # ReLU is not to diverge; under two radii nothing off the support is to reach r
    size = 0.2 if "radii" in name or activation == "relu" else 1.5
    training = Training(**{"eta": size / dim, "loss": "correlation", **TRAININGS[name]})
    network = Network.random(TARGET, width=1, dim=dim, activation=activation, biases=0.5, rng=11)
    if "radii" in name:
        weights = np.full((1, dim), 0.08)
        weights[0, 2::2] *= -1
        weights[0, :2] = 0.35
        network = Network.from_weights(TARGET, weights, [1.5], [0.2], activation=activation)
    m, v, a, b = naive_alone.full(np.random.default_rng(dim), TARGET, training, network, RUNS, steps)
    found = od.run(NeuronChain(), TARGET, network, training, steps=steps, points=2, seeds=RUNS, rng=dim, progress=False)
    one = [m[:, 0], m[:, 1], (m * m).sum(axis=1) + v, a, b]
    last = [found.m[:, -1, 0, 0], found.m[:, -1, 0, 1], found.q[:, -1, 0], found.a[:, -1, 0]]
    return one, [*last, np.full(RUNS, b[0]) if found.b is None else found.b[:, -1, 0]]


def least(case):
    """Smallest p-value of a case."""
    pairs = zip(*samples(*case), strict=True)
    return min(ks_2samp(np.round(one, 10), np.round(other, 10)).pvalue for one, other in pairs)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_law_is_that_of_all_weights(case):
    assert least(case) > LEVEL / (5 * len(CASES))


@pytest.mark.slow
@pytest.mark.parametrize("case", SLOW, ids=str)
def test_the_law_is_that_of_all_weights_everywhere(case):
    assert least(case) > LEVEL / (5 * len(SLOW))


@pytest.mark.parametrize("dim", [4, 6])
def test_one_degree_of_freedom_less_or_more_is_seen(dim):
    one, _ = samples("sphere", 5, "erf")
    network = Network.random(TARGET, width=1, dim=5, biases=0.5, rng=11)
    Q = network.m @ network.m.T + network.R
    wrong = Network.from_overlaps(network.m, Q, network.a, network.b, dim=dim)
    training = Training(eta=1.5 / 5, loss="correlation", **TRAININGS["sphere"])
    found = od.run(NeuronChain(), TARGET, wrong, training, steps=60, points=2, seeds=RUNS, rng=5, progress=False)
    assert ks_2samp(one[0], found.m[:, -1, 0, 0]).pvalue < LEVEL / (5 * len(SLOW))
