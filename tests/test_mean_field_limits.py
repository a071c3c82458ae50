"""How a network of finite width and dimension comes near the mean-field flow, at the rates that theory gives.

Residuals of unit length have inner products R_jk ~ 1/√d of random sign. They move each neuron's own speed by
(1/N) Σ_k a_j a_k E[σ'_jσ'_k] R_jk, so states differ by d^{−1/2} at fixed N; with R = I what is left is each neuron's
meeting with itself, 1/N. Against the limit of infinitely many neurons the draw of N of them counts: N^{−1/2}.
"""

import numpy as np
import pytest

from odesim import MeanFieldFlow, Network, OverlapFlow, Target, Training, run
from odesim.activations.catalogue import CATALOGUE

TARGET = Target.parse("z1 + z1*z2/2")
EXACT = OverlapFlow(finite_step=False)


def slope(sizes, gaps):
    return np.polyfit(np.log(sizes), np.log(gaps), 1)[0]


def start(width, dim=None, seed=0):
    """Neurons of one draw, f = (1/N) Σ a σ, with random unit residuals in dim − 2 dimensions, or orthonormal ones."""
    rng = np.random.default_rng(7)
    m, a, b = (rng.normal(size=(128, 2)) / 7)[:width], rng.choice([-1.0, 1.0], 128), rng.uniform(-0.5, 0.5, 128)
    R = np.eye(width)
    if dim is not None:
        v = np.random.default_rng([seed, dim]).normal(size=(width, dim - 2))
        v /= np.linalg.norm(v, axis=1)[:, None]
        R = v @ v.T
    return Network(dim or 10**6, CATALOGUE["erf"], m, R, a[:width] / width, b[:width])


def moved(flow, network, points=20):
    steps = Training(eta=0.01 * network.width, eta_a=0.01 / network.width)
    return run(flow, TARGET, network, steps, steps=1000, points=points)


def gaps(one, other):
    """Largest gap, over time, of the risk, and of |w_j|² and N a_j in root mean square over neurons."""
    left, right = (np.einsum("tjj->tj", out.Q) if out.q is None else out.q for out in (one, other))
    q, a = (np.sqrt((x**2).mean(axis=1)).max() for x in (left - right, one.a.shape[1] * (one.a - other.a)))
    return np.array([abs(one.risk - other.risk).max(), q, a])


def gaps_by_width(widths):
    out = []
    for width in widths:
        network = start(width)
        out.append(gaps(moved(EXACT, network), moved(MeanFieldFlow(nodes=10), network)))
    return np.array(out)


def gaps_by_dimension(width, dims, draws):
    """Root mean square over draws of the residuals, against orthonormal ones."""
    limit = moved(EXACT, start(width))
    each = [[gaps(moved(EXACT, start(width, dim, seed)), limit) for seed in range(draws)] for dim in dims]
    return np.sqrt((np.array(each) ** 2).mean(axis=1))


def sampling_gaps(widths, draws, t=4.0):
    """Root mean square over draws of a ~ Unif[−1, 1] of the final risk, from zero overlaps, against quadrature."""
    target = Target.parse("z1 + z1*z2", data="boolean")
    training, flow = Training(eta=0.01, eta_b=0.01), MeanFieldFlow("zero", rtol=1e-6, atol=1e-8)

    def final(network, flow=flow):
        return run(flow, target, network, training, steps=round(t / 0.01), points=2).risk[-1]

    def drawn(width, seed):
        a = np.random.default_rng([width, seed]).uniform(-1, 1, width)
        return Network(100, CATALOGUE["erf"], np.zeros((width, 2)), np.eye(width), a, np.full(width, 0.5),
                       scaling="mean_field")  # fmt: skip

    limit = final(drawn(1, 0), MeanFieldFlow("zero", particles=40, start_bias=0.5))
    each = [[final(drawn(width, seed)) - limit for seed in range(draws)] for width in widths]
    return np.sqrt((np.array(each) ** 2).mean(axis=1))


def test_the_overlap_flow_of_orthogonal_residuals_comes_near_as_one_over_the_width():
    widths = [4, 8, 16, 32]
    found = gaps_by_width(widths)
    for gap in found.T:
        assert slope(widths, gap) == pytest.approx(-1, abs=0.1)
    assert found[-1, 0] < 0.01


def test_random_residuals_move_the_neurons_by_the_root_of_the_dimension():
    """Three draws of 16 neurons leave about 0.04 of error on the slope over a factor 64."""
    dims = [24, 96, 384, 1536]
    _, q, a = gaps_by_dimension(16, dims, 3).T
    assert slope(dims, q) == pytest.approx(-0.5, abs=0.12)
    assert slope(dims, a) == pytest.approx(-0.5, abs=0.12)


def test_neurons_drawn_at_random_come_near_the_limit_as_the_root_of_their_number():
    """24 draws leave an error of 14 % on each of three gaps, 0.07 on the slope."""
    widths = [32, 128, 512]
    assert slope(widths, sampling_gaps(widths, 24)) == pytest.approx(-0.5, abs=0.2)


def test_both_limits_together():
    """N and d grow together, from one draw of weights: a factor 8 takes at least 4 off the gap of the risk."""

    def gap(width):
        network = Network.random(
            TARGET, width=width, dim=50 * width, second_layer=1.0 / width, biases=0.5, activation="erf", rng=7
        )
        return gaps(moved(EXACT, network), moved(MeanFieldFlow(nodes=10), network))[0]

    wide = gap(32)
    assert wide < 0.02
    assert wide < gap(4) / 4


@pytest.mark.slow
def test_rates_of_approach_in_full_size():
    widths, dims = [4, 8, 16, 32, 64], [16, 32, 64, 128, 256, 512, 1024]
    for gap in gaps_by_width(widths).T:
        assert slope(widths, gap) == pytest.approx(-1, abs=0.07)
    for width in (8, 32):
        for gap in gaps_by_dimension(width, dims, 12).T:
            assert slope(dims, gap) == pytest.approx(-0.5, abs=0.1)
    many = [32, 64, 128, 256, 512, 1024]
    assert slope(many, sampling_gaps(many, 64)) == pytest.approx(-0.5, abs=0.1)
