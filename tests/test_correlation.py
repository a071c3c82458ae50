"""The correlation flow against weight space, closed forms, its other form by points, and its invariants."""

import math
import threading
from dataclasses import replace

import naive_correlation as naive
import naive_flow
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from odesim import SGD, InputError, Network, Status, Target, Training, run
from odesim import Phase as Stretch
from odesim.activations.catalogue import CATALOGUE
from odesim.flows import _correlation as kernels
from odesim.flows import alone_record, correlation, lone, noise_alone
from odesim.flows.correlation import CorrelationFlow
from odesim.flows.overlap import risk_of
from odesim.job import Job

NAMES = ("erf", "relu")
LAWS = ("gaussian", "boolean")
TARGETS = {"gaussian": "0.3 + z1 - He2(z2)/2 + z1*z2", "boolean": "0.3 + z1 - z2/2 + 0.7*z1*z2"}
FEW = settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.generate])


def neurons(target, m, a, *, name="erf", b=None, R=None, dim=10**8):
    """A start given by its overlaps alone, the residuals orthogonal and of length 1 unless told."""
    m, a = np.atleast_2d(np.asarray(m, dtype=float)), np.atleast_1d(np.asarray(a, dtype=float))
    gram = np.eye(a.size) if R is None else R
    bias = np.zeros(a.size) if b is None else np.asarray(b, dtype=float)
    return Network(dim, CATALOGUE[name], m, gram, a, bias)


def simulate(target, network, times, sphere=False, **options):
    """Run the flow to the given times on a grid of steps of 1e-3 unless ``eta`` is given."""
    training = Training(eta=options.pop("eta", 1e-3), geometry="sphere" if sphere else "free")
    return run(CorrelationFlow(**options), target, network, training, t_eval=times)


def slope(problem, m, R):
    """C, m' and R'."""
    y = np.append(m, R)
    out = np.empty_like(y)
    value = kernels.value_and_slope(problem, y, out)
    return value, out[:-1], out[-1]


@given(
    seed=st.integers(0, 999),
    name=st.sampled_from(NAMES),
    law=st.sampled_from(LAWS),
    sphere=st.booleans(),
    biased=st.booleans(),
)
@settings(max_examples=25, deadline=None, phases=[Phase.generate])
def test_flow_is_the_gradient_of_the_correlation_in_weight_space(seed, name, law, sphere, biased):
    target, rng = Target.parse(TARGETS[law], data=law), np.random.default_rng(seed)
    w = np.append(0.5 * rng.normal(size=2), 0.6 * rng.normal(size=3) + 0.4)
    w = w / np.linalg.norm(w) if sphere else w
    a, b = rng.normal(), biased * rng.normal()
    m, v = w[:2], w[2:]
    if v @ v < 0.2:
        return  # where the twin's quadrature is not exact
    problem = correlation.problem_of(target, CATALOGUE[name], sphere=sphere)._replace(a=a, b=b)
    value, dm, dR = slope(problem, m, v @ v)
    assert value == pytest.approx(naive.correlation(name, target, w, b, 60), abs=1e-8)
    expected = naive.velocity(name, target, w, a, b, sphere, 60)
    assert dm == pytest.approx(expected[:2], abs=1e-7)
    assert dR == pytest.approx(2 * v @ expected[2:], abs=1e-7)


@given(seed=st.integers(0, 999), sphere=st.booleans(), biased=st.booleans())
@FEW
def test_hermite_terms_and_points_are_one_expectation(seed, sphere, biased):
    target, rng = Target.parse("0.2 - He3(z1)/2 + z1*z2 + He2(z2)"), np.random.default_rng(seed)
    z, weights = naive_flow.hermite_rule(2, 40)
    m, R, b = 0.4 * rng.normal(size=2), rng.uniform(0.5, 1.5), biased * rng.normal()
    by_terms = correlation.problem_of(target, CATALOGUE["erf"], sphere=sphere)
    by_points = correlation.problem_of(
        target, CATALOGUE["erf"], sphere=sphere, points=(np.ascontiguousarray(z.T), weights)
    )
    assert (by_terms.method, by_points.method) == (kernels.BY_TERMS, kernels.BY_POINTS)
    one, two = (slope(problem._replace(b=b, a=-0.7), m, R) for problem in (by_terms, by_points))
    assert one[0] == pytest.approx(two[0], abs=1e-10)
    assert one[1] == pytest.approx(two[1], abs=1e-10)
    assert one[2] == pytest.approx(two[2], abs=1e-10)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("name", "sphere"), [("erf", True), ("erf", False), ("relu", True), ("relu", False)])
def test_run_agrees_with_scipy_in_weight_space_and_its_risk_and_Q_are_those_of_the_weights(law, name, sphere):
    """The residuals keep their directions, so m and the start's angles give all of Q at any time."""
    target, rng = Target.parse(TARGETS[law], data=law), np.random.default_rng(4)
    W, a, b = 0.5 * rng.normal(size=(2, 6)), np.array([0.8, -0.5]), np.array([0.3, -0.6])
    times = np.array([0, 0.3, 1.0])
    network = Network.from_weights(target, W, a, b, activation=name)
    ours = simulate(target, network, times, sphere, rtol=1e-9, atol=1e-11)
    start = W / np.linalg.norm(W, axis=1, keepdims=True) if sphere else W
    theirs = np.stack([naive.flow(name, target, start[j], a[j], b[j], times, sphere) for j in range(2)], axis=1)
    assert ours.kind == "correlation flow"
    assert ours.m == pytest.approx(theirs[..., :2], abs=1e-6)
    assert pytest.approx(theirs @ np.swapaxes(theirs, 1, 2), abs=1e-6) == ours.Q
    whole = naive.risk if law == "boolean" else naive_flow.risk
    assert ours.risk == pytest.approx([whole(name, target, W_t, a, b) for W_t in theirs], abs=1e-6)
    assert np.array_equal(ours.a, np.broadcast_to(a, ours.a.shape))
    assert np.array_equal(ours.b, np.broadcast_to(b, ours.b.shape))


@pytest.mark.parametrize("name", NAMES)
def test_first_row_has_the_risk_of_the_given_network(name):
    target = Target.parse("z1 + z1*z2*z3")
    network = Network.random(target, width=5, dim=20, activation=name, biases=0.5, rng=3)
    out = simulate(target, network, [0, 0.1])
    Q = network.m @ network.m.T + network.R
    assert out.risk[0] == pytest.approx(
        risk_of(target, network.activation, network.m, Q, network.a, network.b), rel=1e-12
    )
    assert pytest.approx(Q, abs=1e-14) == out.Q[0]


@pytest.mark.parametrize(("k", "dim"), [(3, 10**4), (3, 10**8), (4, 10**4)])
@pytest.mark.parametrize("kind", ["product", "power"])
@pytest.mark.parametrize("sphere", [False, True])
def test_escape_follows_the_power_law_until_its_blow_up(k, dim, kind, sphere):
    """From 1/√d: m' = c m^{k−1}, c = a c_k for z1⋯zk and a k c_k/√k! for h_k(z1); corrections are O(m²)."""
    b = 0.7
    size = 1.0 if kind == "product" else k / math.sqrt(math.factorial(k))
    text = "*".join(f"z{i + 1}" for i in range(k)) if kind == "product" else f"He{k}(z1)/sqrt({math.factorial(k)})"
    target, ck = Target.parse(text), naive.moment("erf", k, b)
    a = 0.5 * np.sign(ck)
    c, m0 = a * ck * size, dim**-0.5
    blow_up = dim ** ((k - 2) / 2) / ((k - 2) * c)
    # until m is 3 % and 10 % of the length
    times = [0.0, *(blow_up * (1 - (m * dim**0.5) ** (2 - k)) for m in (0.03, 0.1))]
    R = np.array([[1 - target.P * m0**2]])  # q = 1
    network = neurons(target, [[m0] * target.P], a, b=[b], R=R, dim=dim)
    out = simulate(target, network, times, sphere, eta=blow_up * 1e-9, rtol=1e-10, atol=1e-14)
    expected = naive.power_law(m0, k, c, out.time)
    # each correction is a small multiple of m²; h_4 and z1⋯z4 have the larger ones, and at 1e4 the start counts
    assert abs(out.m[1, 0, 0] / expected[1] - 1) < 25 * 0.03**2
    assert abs(out.m[2, 0, 0] / expected[2] - 1) < 25 * 0.1**2
    if dim == 10**8:  # and then it leaves at T
        late = simulate(
            target, network, [0, 0.99 * blow_up, 1.01 * blow_up], sphere, eta=blow_up * 1e-9, rtol=1e-9, atol=1e-13
        )
        assert late.m[1, 0, 0] < 0.02
        assert late.m[2, 0, 0] > 0.2


def test_one_linear_term_on_the_sphere_is_a_hyperbolic_tangent():
    """m' = a c_1 (1 − m²), c_1 = 1/√π for erf at q = 1."""
    target = Target.parse("z1")
    out = simulate(target, neurons(target, [[0.3]], 0.8, R=np.array([[0.91]])), [0, 1, 2, 5], True, rtol=1e-10)
    expected = np.tanh(0.8 / math.sqrt(math.pi) * out.time + math.atanh(0.3))
    assert out.m[:, 0, 0] == pytest.approx(expected, abs=1e-8)
    assert pytest.approx(1.0, abs=1e-14) == out.Q[:, 0, 0]


def test_one_even_term_on_the_sphere_is_a_logistic_curve():
    """h_2 with ReLU: m' = a √2 c_2 m (1 − m²), c_2 = φ(0), so m²/(1 − m²) grows as exp(2 √2 a c_2 t)."""
    target = Target.parse("He2(z1)/sqrt(2)")
    network = neurons(target, [[0.1]], 0.8, name="relu", R=np.array([[0.99]]))
    out = simulate(target, network, [0, 2, 5, 10], True, rtol=1e-10)
    odds = 0.01 / 0.99 * np.exp(2 * math.sqrt(2) * 0.8 / math.sqrt(2 * math.pi) * out.time)
    assert out.m[:, 0, 0] == pytest.approx(np.sqrt(odds / (1 + odds)), abs=1e-8)


def test_one_linear_term_moves_a_free_relu_at_constant_speed():
    """c_1 = ½ and c_3 = 0: m' = a/2, and the residual stays."""
    target = Target.parse("z1")
    out = simulate(target, neurons(target, [[0.2]], -0.6, name="relu"), [0, 1, 4])
    assert out.m[:, 0, 0] == pytest.approx(0.2 - 0.3 * out.time, abs=1e-6)
    assert pytest.approx(1 + out.m[:, 0, 0] ** 2, abs=1e-6) == out.Q[:, 0, 0]


def test_boolean_linear_term_with_relu_without_residual_has_slope_one_half():
    """C = E[z1 max(m z1, 0)] = m/2, so m' = a/2, and R stays 0."""
    target = Target.parse("z1", data="boolean")
    out = simulate(target, neurons(target, [[0.2]], 0.6, name="relu", R=np.zeros((1, 1))), [0, 1, 4])
    assert out.m[:, 0, 0] == pytest.approx(0.2 + 0.3 * out.time, abs=1e-6)
    assert pytest.approx(out.m[:, 0, 0] ** 2, abs=1e-6) == out.Q[:, 0, 0]
    assert np.isfinite(out.risk).all()


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", NAMES)
def test_the_sphere_is_kept_and_the_correlation_only_grows(law, name):
    target = Target.parse(TARGETS[law], data=law)
    network = Network.random(target, width=12, dim=30, activation=name, biases=1.0, rng=2)
    times = np.linspace(0, 40, 30)
    for sphere in (True, False):
        out = simulate(target, network, times, sphere, rtol=1e-9, atol=1e-11)
        norms, R = np.linalg.norm(out.m, axis=-1), np.diagonal(out.Q, axis1=1, axis2=2) - (out.m**2).sum(-1)
        assert R.min() > -1e-12
        if sphere:
            assert norms.max() <= 1 + 1e-15
            assert pytest.approx(1.0, abs=1e-14) == np.diagonal(out.Q, axis1=1, axis2=2)
        problem = correlation.problem_of(target, network.activation, sphere=sphere)
        for j in range(network.width):
            one = problem._replace(a=network.a[j], b=network.b[j])
            C = [slope(one, out.m[t, j], max(R[t, j], 0.0))[0] for t in range(times.size)]
            assert (np.diff(network.a[j] * np.array(C)) > -1e-8).all()


def test_from_equal_entries_the_sign_decides_and_half_of_the_neurons_grow():
    """z1z2z3 from ±1/√d: the neuron grows where a c_3 Π sign(m) > 0, c_3 < 0 for erf; the others shrink to 0."""
    target, root = Target.parse("z1*z2*z3"), 0.1
    signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * 4)).reshape(4, -1).T
    network = neurons(target, root * signs[:, :3], 0.5 * signs[:, 3], R=0.97 * np.eye(16))
    grows = signs.prod(axis=1) * naive.moment("erf", 3) > 0
    assert grows.sum() == 8
    for sphere in (True, False):
        out = simulate(target, network, [0, 200], sphere)
        length = np.linalg.norm(out.m[-1], axis=-1)
        assert (length[grows] > 0.9).all()
        assert (length[~grows] < 0.08).all()


def test_from_unequal_entries_the_smallest_changes_sign_and_then_the_neuron_grows():
    """m_i² − m_j² is conserved by a monomial (free): only equal entries can die together."""
    target = Target.parse("z1*z2*z3")
    network = neurons(target, [[0.05, 0.1, 0.12]], 0.5, R=0.97 * np.eye(1))
    out = simulate(target, network, np.linspace(0, 1500, 40), True)
    assert out.m[0].prod() > 0
    assert out.m[-1].prod() < 0
    assert (np.abs(out.m[-1]) > 0.5).all()
    assert out.m[-1, 0, 0] < 0 < out.m[-1, 0, 1]


@pytest.mark.parametrize("sphere", [False, True])
@pytest.mark.parametrize("law", LAWS)
def test_a_neuron_does_not_feel_its_neighbours_to_the_bit(law, sphere):
    target = Target.parse(TARGETS[law], data=law)
    whole = Network.random(target, width=9, dim=30, activation="relu", biases=1.0, rng=7)
    kept = [5, 2]
    part = Network.from_weights(target, whole.weights[kept], whole.a[kept], whole.b[kept], activation="relu")
    out, alone = (simulate(target, network, np.linspace(0, 20, 40), sphere) for network in (whole, part))
    assert np.array_equal(out.m[:, kept], alone.m)
    assert np.array_equal(np.diagonal(out.Q, axis1=1, axis2=2)[:, kept], np.diagonal(alone.Q, axis1=1, axis2=2))


def test_boolean_data_is_reached_as_one_over_d():
    """Exact sums over {±1}^d: the gap to Gaussian residuals halves with twice the dimension."""
    target = Target.parse(TARGETS["boolean"], data="boolean")
    problem = correlation.problem_of(target, CATALOGUE["erf"], sphere=False)._replace(b=0.4)
    gaps = []
    for dim in (6, 12):
        v = np.full(dim - 2, 0.9 / math.sqrt(dim - 2))
        m = np.array([0.4, -0.3])
        exact = naive.enumerated(CATALOGUE["erf"].derivative, target, np.append(m, v), 0.4)
        _, dm, dR = slope(problem, m, v @ v)
        gaps.append([*abs(dm - exact[:2]), abs(dR - 2 * v @ exact[2:])])
    ratio = np.array(gaps[0]) / np.array(gaps[1])
    assert (np.array(gaps[0]) < 0.05).all()
    assert ratio == pytest.approx(2.5, rel=0.25)  # 4 against 10 coordinates


def test_full_sgd_under_a_tiny_second_layer_follows_the_flow():
    """a = 1e-3 and a·eta·d = 0.02: the mean of 20 runs is within 0.02 (0.005 measured, its standard error 0.004)."""
    target = Target.parse("z1 + z1*z2")
    network = Network.random(target, width=8, dim=200, biases=1.0, second_layer=1e-3, rng=1)
    training = Training(eta=0.1, eta_a=0.0)
    flow, sgd = (
        run(dynamics, target, network, training, steps=50_000, points=20, spacing="linear", seeds=20)
        for dynamics in (CorrelationFlow(), SGD())
    )
    assert abs(flow.m[-1]).max() > 1.5
    assert sgd.mean("m") == pytest.approx(flow.m, abs=0.02)
    assert sgd.mean("risk") == pytest.approx(flow.risk, abs=1e-4)


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


def test_a_neuron_without_bound_ends_alone():
    target = Target.parse("z1")
    network = neurons(target, [[0.1], [0.1]], [1.0, 1e-9], name="relu")
    out = simulate(target, network, [0, 1e11, 1e13], eta=1e9)
    assert int(out.status) == Status.DIVERGED
    assert "neuron 0 at flow time" in out.message
    assert np.isnan(out.m[-1, 0]).all()
    assert np.isnan(out.a[-1, 0])
    assert np.isnan(out.risk[-1])
    assert out.m[-1, 1, 0] == pytest.approx(0.1 + 0.5e4, rel=1e-5)
    assert np.isfinite(out.risk[:2]).all()


def test_a_relu_neuron_held_by_a_kink_is_followed_or_said_to_be_too_fast():
    """Without residual the flow slides along <m, z> + b = 0 for one z, at rates far above 1/eta for large steps."""
    target = Target.parse(TARGETS["boolean"], data="boolean")
    network = neurons(target, [[-0.8, 0.5]], -0.5, name="relu", b=[0.3], R=np.array([[0.11]]))
    times = np.linspace(0, 400, 9)
    fine, coarse, explicit = (
        simulate(target, network, times, True, eta=eta, rtol=rtol, method=method)
        for eta, rtol, method in ((1e-3, 1e-6, "auto"), (10, 1e-6, "auto"), (10, 1e-5, "tsitouras"))
    )
    held = fine.m[-1, 0] @ (np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]]).T) + 0.3
    assert int(fine.status) == Status.DONE
    assert abs(held).min() < 1e-3
    assert fine.Q[-1, 0, 0] - fine.m[-1, 0] @ fine.m[-1, 0] < 1e-6
    assert int(coarse.status) == Status.DONE
    assert coarse.m == pytest.approx(fine.m, abs=1e-4)
    assert int(explicit.status) == Status.TOO_FAST
    assert np.isnan(explicit.risk[-1])


def test_stopping_keeps_what_is_there():
    target = Target.parse("z1 + z1*z2")
    network = Network.random(target, width=3, dim=20)
    steps = np.array([0, 10, 100_000_000])
    event = threading.Event()
    job = Job(target, network, Training(eta=0.01), steps, progress=lambda share: event.set(), stop=event)
    out = CorrelationFlow(rtol=1e-12, atol=1e-14).simulate(job)
    assert int(out.status) == Status.INTERRUPTED
    assert np.isfinite(out.risk[:2]).all()
    assert np.isnan(out.risk[-1])
    nothing = CorrelationFlow().simulate(job)
    assert int(nothing.status) == Status.INTERRUPTED
    assert np.isnan(nothing.risk).all()


def test_wide_networks_keep_no_Q_but_their_risk(monkeypatch):
    target = Target.parse("z1 + z1*z2")
    network = Network.random(target, width=5, dim=20)
    kept = simulate(target, network, [0, 1, 2])
    monkeypatch.setattr(alone_record, "MAX_WIDTH_OF_Q", 4)
    monkeypatch.setattr(alone_record, "ENTRIES_AT_ONCE", 20)
    out = simulate(target, network, [0, 1, 2])
    assert kept.Q.shape == (3, 5, 5)
    assert out.Q is None
    assert np.array_equal(out.risk, kept.risk)


@pytest.mark.parametrize("options", [{"rtol": -1.0}, {"atol": 0.0}, {"rtol": float("nan")}, {"atol": "x"}])
def test_bad_options_are_named(options):
    with pytest.raises(InputError, match=next(iter(options))):
        CorrelationFlow(**options)


@pytest.mark.parametrize("rates", [{"eta_a": 0.1}, {"eta_b": 0.1}])
def test_trained_second_layers_and_biases_are_refused(rates):
    target = Target.parse("z1")
    network = Network.random(target, width=3, dim=10)
    with pytest.raises(InputError, match=next(iter(rates))):
        run(CorrelationFlow(), target, network, Training(eta=0.01, **rates), steps=10)


def test_too_many_boolean_coordinates_are_refused():
    target = Target.parse("*".join(f"z{i + 1}" for i in range(11)), data="boolean")
    with pytest.raises(InputError, match="11 Boolean coordinates"):
        run(CorrelationFlow(), target, Network.random(target, width=2, dim=12), Training(eta=0.01), steps=10)


def test_a_vector_of_length_zero_has_no_place_on_the_sphere():
    target = Target.parse("z1")
    network = neurons(target, [[0.1], [0.0]], [1.0, 1.0], R=np.diag([1.0, 0.0]))
    with pytest.raises(InputError, match="neuron 1"):
        simulate(target, network, [0, 1], True)


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


def test_decay_and_schedule_have_their_closed_form():
    """z1 with ReLU: m' = ξ(a/2 − λm), R' = −2ξλR; then ξ = 0, then ξ = 2 at half the clock."""
    target, eta = Target.parse("z1"), 0.01
    network = neurons(target, [[0.2]], 0.6, name="relu")
    schedule = (Stretch(100), Stretch(150, w=0.0), Stretch(rate=0.5, w=2.0))
    for loss in ("square", "correlation"):
        training = Training(eta=eta, eta_a=0.0, decay_w=0.3, schedule=schedule, loss=loss)
        out = run(CorrelationFlow(rtol=1e-10), target, network, training, steps=400, points=400, spacing="linear")
        moved = eta * np.where(out.steps <= 100, out.steps, np.where(out.steps <= 150, 100, out.steps - 50))
        assert out.m[:, 0, 0] == pytest.approx(1 + (0.2 - 1) * np.exp(-0.3 * moved), abs=1e-8)
        assert out.q[:, 0] - out.m[:, 0, 0] ** 2 == pytest.approx(np.exp(-0.6 * moved), abs=1e-8)
        assert out.time[-1] == pytest.approx(eta * (150 + 125))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sphere", [False, True])
def test_a_teacher_is_learned_as_the_function_it_is(name, sphere):
    """C = Σ v_k K(q, <w_k, m>, |w_k|²; b, 0) against quadrature over z, and risk."""
    teacher = Target.teacher(activation=name, weights=[[0.8, 0.3], [-0.2, 1.0]], second_layer=[1.0, -0.6])
    w, a, b = np.array([0.3, -0.5, 0.4, 0.6]), 0.7, 0.4
    w = w / np.linalg.norm(w)
    m, v = w[:2], w[2:]
    value, dm, dR = slope(lone.problem_of(teacher, CATALOGUE[name], sphere=sphere)._replace(a=a, b=b), m, v @ v)
    nodes, tolerance = (40, 1e-7) if name == "erf" else (120, 2e-4)  # Gauss–Hermite over a kinked h
    assert value == pytest.approx(naive.correlation(name, teacher, w, b, nodes), abs=tolerance)
    expected = naive.velocity(name, teacher, w, a, b, sphere, nodes)
    assert dm == pytest.approx(expected[:2], abs=10 * tolerance)
    assert dR == pytest.approx(2 * v @ expected[2:], abs=10 * tolerance)
    network = Network.from_weights(teacher, np.array([w, -w[::-1]]), [a, 0.3], [b, -0.1], activation=name)
    training = Training(eta=1e-2, geometry="sphere" if sphere else "free")
    out = CorrelationFlow().simulate(Job(teacher, network, training, np.array([0, 200, 500])))
    z, weights = naive_flow.hermite_rule(2, nodes)
    h = teacher.evaluate(z.T)
    f = 0.5 * np.sum(weights * h * h) - sum(
        network.a[j] * naive.correlation(name, teacher, network.weights[j], network.b[j], nodes) for j in range(2)
    )
    Q = network.weights @ network.weights.T
    for j in range(2):
        for k in range(2):
            pair = naive_flow.pair(name, Q[j, j], Q[j, k], Q[k, k], network.b[j], network.b[k])
            f += 0.5 * network.a[j] * network.a[k] * pair
    assert out.risk[0] == pytest.approx(f, abs=10 * tolerance)
    assert np.isfinite(out.noise_rate).all()


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
