import hypothesis.strategies as st
import numpy as np
import pytest
from conftest import networks, targets
from hypothesis import given

from odesim.network import Network
from odesim.resolve import blocked_messages, blocked_terms, stable_eta_d, stable_step
from odesim.targets.series import Target
from odesim.training import Phase, Training

TRAINING = Training(eta=0.01)


def blocked(expression, activation, biases=0.0, training=TRAINING):
    target = Target.parse(expression)
    network = Network.random(target, width=4, dim=10, activation=activation, biases=biases)
    return blocked_terms(target, network, training)


@pytest.mark.parametrize(
    ("expression", "activation", "labels"),
    [
        ("z1 + z1*z2*z3", "relu", ["z1*z2*z3"]),
        ("z1 + z1*z2*z3", "erf", []),
        ("z1*z2", "erf", ["z1*z2"]),
        ("z1*z2", "relu", []),
        ("z1 + z2 + z3", "erf", []),
        ("z1 + z2 + z3", "relu", []),
        ("2 + z1", "erf", ["1"]),
        ("2 + z1", "relu", []),
        ("z1*z2*z3*z4 + z1*z2*z3 + z1*z2", "relu", ["z1*z2*z3"]),
    ],
)
def test_terms_whose_moment_vanishes(expression, activation, labels):
    assert [one.label for one in blocked(expression, activation)] == labels


def test_biases_free_them_at_the_start_or_by_training():
    assert blocked("z1*z2", "erf", biases=1.0) == []
    assert blocked("z1*z2", "erf", training=Training(eta=0.01, eta_b=0.01)) == []


def test_message_names_term_moment_and_remedy():
    (one,) = blocked("z1 + z1*z2*z3", "relu")
    assert one.term == (1, 1, 1)
    for part in ("z1*z2*z3", "c_3", "relu", "--biases 1", "Network.random(biases=1.0)", "erf"):
        assert part in one.message
    assert "\n" not in one.message


def test_terms_of_one_degree_share_a_line():
    found = blocked("z1*z2 + z1*z3 + z2*z3 + z1*z4 + z1*z2*z3*z4", "erf")
    lines = blocked_messages(found)
    assert len(found) == 5
    assert len(lines) == 2
    assert "and 1 more of degree 2 cannot be learned: the moment c_2 vanishes" in lines[0]
    assert lines[1].startswith("z1*z2*z3*z4 cannot be learned: the moment c_4")


def projection(network, target, term):
    """The network's own coefficient on h_S, by Gauss-Hermite quadrature over one neuron's pre-activation."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(101)
    weights = weights / weights.sum()
    degree = sum(term)
    q = (network.m**2).sum(axis=1) + np.diagonal(network.R)
    value = network.activation.function(network.b[:, None] + np.sqrt(q)[:, None] * nodes)
    hermite = np.polynomial.hermite_e.hermeval(nodes, [0.0] * degree + [1.0])
    c = (value * hermite) @ weights / q ** (degree / 2)
    return float(network.a @ (np.prod(network.m ** np.array(term), axis=1) * c))


@given(st.data(), targets())
def test_blocked_is_what_the_network_cannot_hold(data, target):
    network = data.draw(networks(target, biased=False))
    found = {one.term for one in blocked_terms(target, network, TRAINING)}
    for term in target.terms:
        holds = abs(projection(network, target, term)) > 1e-13
        assert not (holds and term in found)
    if network.activation.name == "erf":
        assert found == {term for term in target.terms if sum(term) % 2 == 0}


def test_stable_step_falls_with_dim_width_and_second_layer():
    def eta(**changes):
        target = Target.parse("z1 + z1*z2*z3")
        options = {"width": 8, "dim": 100, "second_layer": 1.0, "rng": 1}
        return stable_step(Network.random(target, **{**options, **changes}), target)

    assert eta(dim=1000) < 0.2 * eta()
    assert eta(width=32) < 0.5 * eta()
    assert eta(second_layer=4.0) < 0.2 * eta()


def test_stable_step_of_one_linear_relu_neuron():
    target = Target.parse("z1")
    network = Network.from_weights(target, [[2.0, 0.0, 0.0, 0.0]], [1.0], activation="relu")
    # E[sigma'^2] = 1/2, E[sigma^2] = q/2 = 2; energy 1 is below the output 2, so nothing need grow.
    frozen = Training(eta=0.1, eta_a=0.0)
    assert stable_step(network, target, frozen) == pytest.approx(2 / (4 * 4 * 0.5), rel=1e-2)
    assert stable_step(network, target) == pytest.approx(2 / (4 * (4 * 0.5 + 2)), rel=1e-2)


@given(st.data(), targets())
def test_stable_step_contracts_on_every_kind_of_start(data, target):
    network = data.draw(networks(target))
    eta = stable_step(network, target)
    assert 0 < eta < np.inf
    again = stable_eta_d(network, target, Training(eta=eta))
    assert again <= 1.05 * eta * network.dim / 4


def test_batches_allow_larger_steps_up_to_a_bound_without_d():
    target = Target.parse("z1 + z1*z2*z3")
    network = Network.random(target, width=8, dim=1000, rng=1)
    eta = [stable_step(network, target, Training(eta=1.0, eta_a=0.0, batch=B)) for B in (1, 10, 1000, float("inf"))]
    assert eta[1] == pytest.approx(10 * eta[0], rel=0.1)
    assert eta[0] < eta[1] < eta[2] < eta[3] < 1001 * eta[0]


def test_the_correlation_loss_feeds_nothing_back():
    target = Target.parse("z1*z2")
    network = Network.random(target, width=8, dim=100, activation="relu")
    assert stable_step(network, target, Training(eta=1.0, loss="correlation")) == np.inf
    decaying = Training(eta=1.0, loss="correlation", decay_w=0.5)
    assert stable_step(network, target, decaying) == pytest.approx(2 / (4 * 0.5))
    assert stable_eta_d(network, target, Training(eta=1.0, loss="correlation")) == 25.0


def test_trained_biases_and_the_largest_phase_count():
    target = Target.parse("z1*z2")
    network = Network.random(target, width=8, dim=10, activation="relu", biases=1.0)
    base = stable_step(network, target, Training(eta=1.0))
    assert stable_step(network, target, Training(eta=1.0, eta_b=5.0)) < base
    doubled = Training(eta=1.0, schedule=(Phase(until=5), Phase(rate=2.0)))
    assert stable_step(network, target, doubled) == pytest.approx(base / 2)


def test_linear_batches_contract_below_the_step_and_grow_beyond_the_edge():
    """The exact gradient of one linear neuron: f = a <w, x>, error shrinks while eta·(a² + |w|²) < 2."""
    target = Target.parse("z1")
    network = Network.from_weights(target, [[1.0, 0.0, 0.0]], [1.0], activation="relu")
    eta = stable_step(network, target, Training(eta=1.0, eta_a=0.0, batch=float("inf")))
    # E[σ'²] = 1/2 in every direction: the edge is 2 / (a² / 2) times the bounded spread, SAFETY below it
    assert eta == pytest.approx(2 / (4 * 0.5 * 2), rel=0.02)
