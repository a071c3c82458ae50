"""The overlap flow against weight space, quadrature, Monte Carlo and its invariants."""

import naive_flow as naive
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from odesim import InputError, Network, OverlapFlow, Status, Target, Training, run
from odesim.activations.catalogue import CATALOGUE
from odesim.flows import _noise_points, overlap, overlap_problem
from odesim.flows import _overlap as kernels
from odesim.flows.closure import closure_of, square
from odesim.flows.overlap_pointers import pointers_of

NAMES = sorted(CATALOGUE)
TERMS = st.dictionaries(
    st.tuples(st.integers(0, 3), st.integers(0, 2)),
    st.floats(0.2, 1).map(lambda x: round(x, 3)),
    min_size=1,
    max_size=3,
)


ONCE = settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.generate])


def draw(seed, n=3, d=5, biased=True, size=1.0):
    """Weights whose residuals keep a norm near ``size``, where the twin's quadrature is exact."""
    rng = np.random.default_rng(seed)
    W = 0.5 * size * rng.normal(size=(n, d))
    W[:, 2:] *= size * rng.uniform(0.9, 1.3, size=(n, 1)) / np.linalg.norm(W[:, 2:], axis=1, keepdims=True)
    return W, rng.normal(size=n), biased * rng.normal(size=n)


def state_of(target, W, a, b):
    v = W[:, target.P :]
    return np.concatenate([W[:, : target.P].ravel(), (v @ v.T).ravel(), a, b])


def slope_of(problem, y):
    out = np.empty_like(y)
    kernels.derivative(problem, 0.0, y, out)
    return out


def central(function, x, h=1e-3):
    """Fourth-order central differences of a scalar function of an array."""
    out = np.zeros(x.size)
    for i in range(x.size):
        f = []
        for s in (1, -1, 2, -2):
            moved = x.astype(float).ravel().copy()
            moved[i] += s * h
            f.append(function(moved.reshape(x.shape)))
        out[i] = (8 * (f[0] - f[1]) - (f[2] - f[3])) / (12 * h)
    return out.reshape(x.shape)


@given(terms=TERMS, seed=st.integers(0, 999), name=st.sampled_from(NAMES), biased=st.booleans())
@ONCE
def test_flow_is_the_gradient_of_the_risk_in_weight_space(terms, seed, name, biased):
    target = Target.from_terms(terms)
    if target.P < 2:
        return
    W, a, b = draw(seed, n=2, biased=biased)
    problem = overlap.problem_of(target, CATALOGUE[name], 2, biased=biased, kappas=(1.0, 1.0))
    y = state_of(target, W, a, b)
    assert kernels.risk_overlap(problem, y) == pytest.approx(naive.risk(name, target, W, a, b), abs=1e-11)
    dm, dR, da, db = overlap.unpack(slope_of(problem, y), 2, 2)
    gW = -central(lambda x: naive.risk(name, target, x, a, b), W)
    ga = -central(lambda x: naive.risk(name, target, W, x, b), a)
    size = max(1.0, abs(gW).max(), abs(ga).max())
    v, gv = W[:, 2:], gW[:, 2:]
    assert dm == pytest.approx(gW[:, :2], abs=1e-7 * size)
    assert dR == pytest.approx(gv @ v.T + v @ gv.T, abs=1e-7 * size)
    assert da == pytest.approx(ga, abs=1e-7 * size)
    if biased:
        assert db == pytest.approx(-central(lambda x: naive.risk(name, target, W, a, x), b), abs=1e-7 * size)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("biases", [0.0, 1.0])
def test_risk_is_the_monte_carlo_mean_within_its_standard_error(name, biases):
    """Four comparisons at 4.2 standard errors: 1e-4 for the family."""
    target = Target.parse("z1 + z1*z2*z3 - He2(z2)/2 + 0.3")
    network = Network.random(target, width=7, dim=12, activation=name, biases=biases, rng=5)
    Q = network.m @ network.m.T + network.R
    x = np.random.default_rng(6).normal(size=(400_000, 12))
    f = naive.value(name, x @ network.weights.T + network.b) @ network.a
    sample = 0.5 * (target.evaluate(x[:, :3]) - f) ** 2
    risk = overlap.risk_of(target, network.activation, network.m, Q, network.a, network.b)
    assert abs(sample.mean() - risk) < 4.2 * sample.std() / np.sqrt(sample.size)


@given(terms=TERMS, seed=st.integers(0, 999), biased=st.booleans(), noise=st.floats(0, 1))
@ONCE
def test_closed_finite_step_term_matches_tensor_quadrature(terms, seed, biased, noise):
    target = Target.from_terms(terms)
    if target.P < 2:
        return
    W, a, b = draw(seed, n=2, biased=biased, size=0.4)
    problem = overlap.problem_of(target, CATALOGUE["erf"], 2, biased=biased, eta_d=1.0, noise=noise)
    slope_of(problem, state_of(target, W, a, b))
    expected = naive.noise_matrix("erf", target, W, a, b, noise, nodes=30)
    assert problem.scratch.gamma == pytest.approx(expected, abs=1e-7 * abs(expected).max())


def noise_by_points(problem):
    """The kernel that fills Γ by points, as an entry of this problem."""
    options = {"by_points": False, "plain": True, "closed": False}
    return {"noise": pointers_of(problem.act, problem.gamma, problem.grid, **options)["noise"]}


@pytest.mark.parametrize("biased", [False, True])
def test_finite_step_term_by_points_agrees_with_the_closed_form(biased):
    """erf by 2^14 scrambled points: within 2 % of the largest entry, as the rule's error says."""
    target = Target.parse("z1 + z1*z2")
    W, a, b = draw(3, n=4, d=9, biased=biased)
    closed = overlap.problem_of(target, CATALOGUE["erf"], 4, biased=biased, eta_d=1.0, noise=0.2)
    rule = overlap_problem._points(target, None, 4, 4, 2**14, 0)
    gamma = closed.gamma._replace(points=rule)
    points = closed._replace(gamma=gamma, **noise_by_points(closed))
    y = state_of(target, W, a, b)
    slope_of(closed, y)
    expected = closed.scratch.gamma.copy()
    slope_of(points, y)
    assert points.scratch.gamma == pytest.approx(expected, abs=0.02 * abs(expected).max())
    assert np.linalg.eigvalsh(points.scratch.gamma).min() > -1e-12


@pytest.mark.parametrize("name", NAMES)
def test_noise_rates_are_the_diagonal_of_the_term(name):
    target = Target.parse("z1 + z1*z2")
    W, a, b = draw(3, n=4, d=9)
    problem = overlap.problem_of(target, CATALOGUE[name], 4, biased=True, eta_d=1.0, samples=512)
    y = state_of(target, W, a, b)
    slope_of(problem, y)
    whole = np.diag(problem.scratch.gamma).copy()
    out = np.empty((1, 4))
    kernels.noise_rates(problem, y[None], out)
    assert out[0] == pytest.approx(whole, rel=1e-13)


def test_points_of_relu_match_plain_monte_carlo():
    """The sampled Γ of ReLU against 10^6 samples, with the smoothed step's bias (1e-3) named."""
    target = Target.parse("z1 + z1*z2*z3")
    network = Network.random(target, width=4, dim=9, activation="relu", biases=1.0, rng=2)
    problem = overlap.problem_of(target, network.activation, 4, biased=True, eta_d=1.0, samples=2**14)
    y = np.concatenate([network.m.ravel(), network.R.ravel(), network.a, network.b])
    slope_of(problem, y)
    x = np.random.default_rng(1).normal(size=(1_000_000, 9))
    lam = x @ network.weights.T + network.b
    delta = target.evaluate(x[:, :3]) - np.maximum(lam, 0) @ network.a
    s = network.a * (lam > 0)
    for j in range(4):
        for k in range(4):
            sample = delta**2 * s[:, j] * s[:, k]
            error = abs(problem.scratch.gamma[j, k] - sample.mean())
            assert error < 4.5 * sample.std() / 1000 + 0.015 * abs(sample.mean()) + 1e-3


def test_factor_of_a_singular_gram_matrix():
    v = np.random.default_rng(0).normal(size=(5, 3))
    v[3] = v[1]
    L = np.zeros((5, 5))
    _noise_points.factor(v @ v.T, L)
    assert np.allclose(L @ L.T, v @ v.T, atol=1e-6)
    assert np.allclose(L, np.tril(L))


def simulate(target, network, eta=0.1 / 50, steps=20_000, points=60, finite_step=True, **options):
    """Run the flow; the options of Training and of OverlapFlow by name."""
    training = Training(eta=eta, **{k: options.pop(k) for k in ("eta_a", "eta_b", "noise") if k in options})
    flow = OverlapFlow(finite_step=finite_step, **options)
    return run(flow, target, network, training, steps=steps, points=points)


@pytest.fixture(scope="module")
def demo():
    target = Target.parse("z1 + z1*z2*z3")
    return target, Network.random(target, width=6, dim=50, rng=1)


def test_flow_agrees_with_scipy(demo):
    target, network = demo
    ours = simulate(target, network, rtol=1e-9, atol=1e-11)
    problem = overlap.problem_of(target, network.activation, 6, biased=False, eta_d=0.1)
    y0 = np.concatenate([network.m.ravel(), network.R.ravel(), network.a, network.b])
    theirs = solve_ivp(
        lambda t, y: slope_of(problem, np.ascontiguousarray(y)),
        (0, ours.time[-1]),
        y0,
        method="DOP853",
        t_eval=ours.time,
        rtol=1e-11,
        atol=1e-13,
    )
    m, R, a, _ = overlap.unpack(theirs.y.T, 6, 3)
    assert ours.m == pytest.approx(m, abs=1e-6)
    assert pytest.approx(m @ np.swapaxes(m, 1, 2) + R, abs=1e-6) == ours.Q
    assert ours.a == pytest.approx(a, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_risk_never_increases_and_R_stays_positive_without_the_finite_step(demo, name):
    target, _ = demo
    network = Network.random(target, width=5, dim=40, activation=name, biases=0.5, rng=3)
    out = simulate(target, network, finite_step=False, steps=40_000, rtol=1e-9, atol=1e-12)
    assert (np.diff(out.risk) < 1e-8).all()
    assert out.risk[-1] < 0.7 * out.risk[0]
    R = out.Q - out.m @ np.swapaxes(out.m, 1, 2)
    assert np.linalg.eigvalsh(R).min() > -1e-10


def test_permuting_neurons_permutes_the_trajectory(demo):
    target, network = demo
    order = np.array([3, 0, 5, 1, 4, 2])
    other = Network.from_weights(target, network.weights[order], network.a[order])
    one, two = simulate(target, network), simulate(target, other)
    assert two.risk == pytest.approx(one.risk, abs=1e-6)
    assert two.m == pytest.approx(one.m[:, order], abs=1e-5)


def test_permuting_coordinates_and_flipping_signs(demo):
    """Swap z1 and z2 and flip z3 in target and network alike: the same risk, the overlaps moved along."""
    target, network = demo
    other = Target.parse("z2 - z2*z1*z3")
    W = network.weights[:, [1, 0, *range(2, 50)]] * np.where(np.arange(50) == 2, -1.0, 1.0)
    two = simulate(other, Network.from_weights(other, W, network.a))
    one = simulate(target, network)
    assert two.risk == pytest.approx(one.risk, abs=1e-6)
    assert two.m[..., 0] == pytest.approx(one.m[..., 1], abs=1e-5)
    assert two.m[..., 2] == pytest.approx(-one.m[..., 2], abs=1e-5)


def test_frozen_layers_stay_and_label_noise_raises_the_floor(demo):
    target, network = demo
    frozen = simulate(target, network, eta_a=0.0)
    assert np.array_equal(frozen.a, np.broadcast_to(network.a, frozen.a.shape))
    assert frozen.b is None
    quiet, loud = simulate(target, network), simulate(target, network, noise=0.5)
    assert loud.risk[-1] > quiet.risk[-1] + 0.005


def test_trained_biases_move_and_lower_the_risk(demo):
    """He2 is out of reach for bias-free erf and learned once biases train."""
    target = Target.parse("z1 + He2(z2)/2")
    network = Network.random(target, width=8, dim=50, biases=0.5, rng=2)
    still, moved = (simulate(target, network, eta_b=rate, steps=50_000) for rate in (0.0, 0.1 / 50))
    assert np.array_equal(still.b[-1], network.b)
    assert abs(moved.b[-1] - network.b).max() > 0.05
    assert moved.risk[-1] < still.risk[-1]


def test_noise_rate_is_stored_with_or_without_the_term(demo):
    target, network = demo
    out = simulate(target, network, finite_step=False)
    assert out.noise_rate.shape == (out.steps.size, 6)
    assert (out.noise_rate > 0).all()


def test_scramblings_of_the_points_agree():
    """ReLU with biases: two scramblings within 5e-3 in risk at any time and 1.5e-3 on the plateau."""
    target = Target.parse("z1 + He2(z2)/sqrt(2)")
    network = Network.random(target, width=8, dim=400, activation="relu", biases=0.5, rng=0)
    runs = [simulate(target, network, eta=0.2 / 400, steps=120_000, rng=seed) for seed in (1, 2)]
    gap = abs(runs[0].risk - runs[1].risk)
    assert gap.max() < 5e-3
    middle = (runs[0].time > 5) & (runs[0].time < 12)
    assert gap[middle].max() < 1.5e-3
    assert gap.max() > 0  # they are different rules


def test_divergence_keeps_what_was_computed():
    """Overlaps without bound: a step of 50 feeds on the error it makes."""
    target = Target.parse("z1 + z1*z2*z3")
    network = Network.random(target, width=3, dim=5, activation="relu", biases=1.0, second_layer=20.0, rng=0)
    out = simulate(target, network, eta=1e4, steps=100, eta_a=0.0)
    assert int(out.status) in (Status.DIVERGED, Status.STEP_TOO_SMALL)
    assert np.isfinite(out.risk[0])
    assert np.isnan(out.risk[-1])
    assert "flow time" in out.message


BAD = [{"rtol": -1.0}, {"atol": 0.0}, {"rtol": float("nan")}, {"log2_samples": 40}]


@pytest.mark.parametrize("options", BAD)
def test_bad_options_are_named(options):
    with pytest.raises(InputError, match=next(iter(options))):
        OverlapFlow(**options)


def test_the_square_of_a_target_and_its_closure():
    """The tables of h² sum up to h² itself, and each index follows from those below it."""
    target = Target.parse("z1 + He2(z1)*z2 - z1*z2**3/2")
    series = overlap_problem._terms(target, None)
    squared, z = square(series), np.random.default_rng(0).normal(size=(2, 50))
    values = sum(
        weight * np.prod([np.polynomial.hermite_e.hermeval(z[r], [0] * k + [1]) for r, k in enumerate(index)], axis=0)
        for index, weight in squared.items()
    )
    assert values == pytest.approx(target.evaluate(z.T) ** 2, rel=1e-12)
    table = closure_of(squared)
    assert table.degree.max() == 2 * target.degree
    assert (np.diff(table.degree) >= 0).all()
    assert (table.degree[table.parent[1:]] == table.degree[1:] - 1).all()


@pytest.mark.parametrize(
    ("expression", "closed"), [("z1*z2*z3*z4*z5*z6*z7*z8", True), ("*".join(f"z{i}" for i in range(1, 15)), False)]
)
def test_targets_too_large_for_tables_go_by_points(expression, closed):
    target = Target.parse(expression)
    problem = overlap.problem_of(target, CATALOGUE["erf"], 2, biased=False, samples=16)
    assert (problem.noise is noise_by_points(problem)["noise"]) is not closed
    assert problem.gamma.points.h.size == (0 if closed else 16)
