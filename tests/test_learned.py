"""What a run learned, against quadrature over real inputs and singular vectors of real weights."""

import hypothesis.strategies as st
import numpy as np
import pytest
from conftest import Decay
from hypothesis import given, settings
from scipy.linalg import subspace_angles

import odesim as od
from odesim.activations.catalogue import activation_named
from odesim.observables import lessons

NODES = 24


def trajectory_of(W, a, b=None, P=2, q_only=False, **fields):
    """One row twice, of a network with these weights; P support coordinates."""
    m, Q = W[:, :P], W @ W.T
    rows = {"m": m, "a": a, **({} if b is None else {"b": b}), **({"q": np.diag(Q)} if q_only else {"Q": Q})}
    twice = {name: np.stack([value, value]) for name, value in rows.items()}
    network = {"activation": fields.pop("activation", "erf"), "scaling": fields.pop("scaling", "plain")}
    return od.Trajectory(np.array([0, 10]), np.array([0.0, 1.0]), np.ones(2), **twice, settings={"network": network})


def weights(rng, N, d, size=1.0):
    return size * rng.standard_normal((N, d)) / np.sqrt(d)


def function_of(W, a, b, name, x):
    return a @ activation_named(name).function(W @ x + b[:, None])


@settings(max_examples=12)
@given(st.integers(0, 10**6), st.sampled_from(["erf", "tanh", "sigmoid:0.5", "gelu", "hermite:3"]))
def test_gaussian_coefficients_are_averages_over_inputs(seed, name):
    """All of the network's inputs are in the quadrature, d = 3, two of them in the support."""
    rng = np.random.default_rng(seed)
    W, a, b = weights(rng, 3, 3, 0.8), rng.standard_normal(3), rng.uniform(-0.5, 0.5, 3)
    x1, p1 = np.polynomial.hermite_e.hermegauss(NODES)
    x = np.stack(np.meshgrid(x1, x1, x1, indexing="ij")).reshape(3, -1)
    p = np.prod(np.stack(np.meshgrid(p1, p1, p1, indexing="ij")).reshape(3, -1) / np.sqrt(2 * np.pi), axis=0)
    f = function_of(W, a, b, name, x)
    terms = [(0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (2, 1), (0, 3)]
    h = [np.ones_like(x), x, (x**2 - 1) / np.sqrt(2), (x**3 - 3 * x) / np.sqrt(6)]
    wanted = [np.sum(p * f * h[S[0]][0] * h[S[1]][1]) for S in terms]
    target = od.Target.parse("z1 + z1*z2")
    found = od.coefficients(trajectory_of(W, a, b, activation=name), target, terms=terms)
    assert found.shape == (2, len(terms))
    np.testing.assert_allclose(found[0], wanted, atol=2e-6)
    np.testing.assert_array_equal(found[0], found[1])


@settings(max_examples=12)
@given(st.integers(0, 10**6), st.sampled_from(["erf", "relu", "sigmoid:0.5"]))
def test_boolean_coefficients_are_averages_over_signs(seed, name):
    """z in {±1}²; what lies off the support is Gaussian, as in a flow."""
    rng = np.random.default_rng(seed)
    W, a, b = weights(rng, 4, 5), rng.standard_normal(4), rng.uniform(-0.5, 0.5, 4)
    spread = np.sqrt((W[:, 2:] ** 2).sum(axis=1))
    g = np.linspace(-9, 9, 40_001)
    p = np.exp(-g * g / 2) / np.sqrt(2 * np.pi) * (g[1] - g[0])
    sigma = activation_named(name).function
    wanted = np.zeros(4)
    for z in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        f = sum(a[j] * np.sum(p * sigma(W[j, :2] @ z + b[j] + spread[j] * g)) for j in range(4))
        wanted += f * np.array([1, z[0], z[1], z[0] * z[1]]) / 4
    target = od.Target.parse("z1*z2", data="boolean")
    found = od.coefficients(trajectory_of(W, a, b, activation=name), target, terms=[(0, 0), (1, 0), (0, 1), (1, 1)])
    np.testing.assert_allclose(found[0], wanted, atol=1e-7)


def test_boolean_coefficients_of_a_network_on_the_support_alone():
    """With no input off the support they are plain averages, kinks and all."""
    rng = np.random.default_rng(1)
    W, a, b = weights(rng, 4, 3), rng.standard_normal(4), rng.uniform(-0.5, 0.5, 4)
    z = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1)
    target = od.Target.parse("z1 + z1*z2*z3", data="boolean")
    f = function_of(W, a, b, "relu", z)
    found = od.coefficients(trajectory_of(W, a, b, P=3, activation="relu"), target)
    wanted = [np.mean(f * np.prod(z[np.flatnonzero(S)], axis=0)) for S in target.terms]
    np.testing.assert_allclose(found[0], wanted, atol=1e-12)


@pytest.mark.parametrize(("N", "d", "P"), [(3, 8, 2), (7, 6, 3), (4, 4, 2)])
def test_cosines_are_those_of_the_leading_singular_vectors(N, d, P):
    W = weights(np.random.default_rng(N), N, d)
    leading = np.linalg.svd(W)[2][:P].T
    wanted = np.sort(np.cos(subspace_angles(leading, np.eye(d)[:, :P])))[::-1]
    run = trajectory_of(W, np.ones(N), P=P)
    np.testing.assert_allclose(od.principal_cosines(run)[1], wanted, atol=1e-7)
    np.testing.assert_allclose(od.subspace_overlap(run)[1], np.mean(wanted**2), atol=1e-7)


def test_cosines_of_few_or_equal_neurons():
    W = np.zeros((3, 6))
    W[:, 0], W[:, 4] = 0.6, 0.8
    np.testing.assert_allclose(od.principal_cosines(trajectory_of(W, np.ones(3)))[0], [0.6, 0.0], atol=1e-12)
    np.testing.assert_allclose(od.principal_cosines(trajectory_of(W[:1], np.ones(1)))[0], [0.6, 0.0], atol=1e-12)


def test_cosines_from_norms_alone_take_independent_neurons():
    W = weights(np.random.default_rng(0), 3, 9)
    W[0, 5:], W[1, 2:5], W[1, 7:], W[2, 2:7] = 0, 0, 0, 0  # orthogonal off the support
    one, other = (od.principal_cosines(trajectory_of(W, np.ones(3), q_only=only)) for only in (False, True))
    np.testing.assert_allclose(one, other, atol=1e-12)


def test_nothing_depends_on_the_order_of_neurons_or_on_signs_of_coordinates():
    rng = np.random.default_rng(5)
    W, a, order = weights(rng, 5, 7), rng.standard_normal(5), rng.permutation(5)
    target = od.Target.parse("z1 + z1*z2")
    run, mixed = trajectory_of(W, a), trajectory_of(W[order], a[order])
    flipped = trajectory_of(W * np.array([-1, 1, 1, 1, 1, 1, 1]), a)
    for column in (od.subspace_overlap, od.aligned_share, od.recovery_steps):
        np.testing.assert_allclose(column(run), column(mixed))
        np.testing.assert_allclose(column(run), column(flipped))
    found = od.coefficients(run, target)
    np.testing.assert_allclose(found, od.coefficients(mixed, target))
    np.testing.assert_allclose(found, -od.coefficients(flipped, target))


def story(m, **fields):
    """A run of one neuron of norm 1 with these overlaps (T, P) at steps 0, 1, 10, 100, ..."""
    m = np.asarray(m, dtype=np.float64)[:, None, :]
    T = m.shape[0]
    steps = np.array([0, *10 ** np.arange(T - 1)])
    ones = np.ones((T, 1))
    return od.Trajectory(steps, 0.1 * steps, np.ones(T), m, ones, q=ones, **fields)


def test_recovery_and_alignment_of_a_known_story():
    run = story([[0.1, 0.0], [0.1, 0.0], [0.3, 0.1], [0.7, 0.1], [-0.95, 0.2]])
    steps = od.recovery_steps(run)
    assert steps[0] == pytest.approx(10 ** (1 + 0.5))  # halfway from .3 to .7 between steps 10 and 100
    assert steps[1] == np.inf
    assert od.recovery_steps(run, 0.05)[0] == 0
    np.testing.assert_array_equal(od.aligned_share(run), [0, 0, 0, 0, 1])
    np.testing.assert_array_equal(od.aligned_share(run, 0.5), [0, 0, 0, 1, 1])


def test_nodes_of_a_quadrature_count_by_their_weights():
    W = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    run = trajectory_of(W, np.ones(2))
    weighted = od.Trajectory(
        run.steps,
        run.time,
        run.risk,
        run.m,
        run.a,
        q=np.ones((2, 2)),
        weights=np.array([0.2, 0.8]),
        settings=run.settings,
    )  # fmt: skip
    target = od.Target.parse("z1 + z2")
    assert od.aligned_share(weighted)[0] == pytest.approx(0.2)
    np.testing.assert_allclose(od.coefficients(weighted, target), 0.2 * od.coefficients(run, target))
    halved = trajectory_of(W, np.ones(2), scaling="mean_field")
    np.testing.assert_allclose(od.coefficients(halved, target), 0.5 * od.coefficients(run, target))


@pytest.mark.parametrize("flow", ["OverlapFlow", "CorrelationFlow", "MeanFieldFlow", "SGD"])
def test_every_dynamics_has_its_columns(flow):
    """And where the network learns all there is, the risk is what its coefficients leave of the target, or more."""
    target = od.Target.parse("z1 + z1*z2")
    scaling = "mean_field" if flow == "MeanFieldFlow" else "plain"
    network = od.Network.random(target, width=4, dim=30, scaling=scaling, rng=0)
    training = od.Training(eta=0.01, eta_a=0.0 if flow == "CorrelationFlow" else None)
    seeds = {"seeds": 2} if flow == "SGD" else {}
    run = od.run(getattr(od, flow)(), target, network, training, steps=400, points=5, **seeds)
    found = od.learned(run, target)
    lead = run.risk.shape
    assert found.terms == ("z1", "z1*z2")
    assert {name: column.shape for name, column in found.columns().items()} == dict.fromkeys(
        ("learned_z1", "learned_z1*z2", "subspace_overlap", "aligned_share"), lead
    )
    assert found.recovery_steps.shape == (*lead[:-1], 2)
    rest = 0.5 * ((found.coefficients - found.wanted) ** 2).sum(axis=-1)
    assert (run.risk >= rest - 1e-9).all()
    assert (found.coefficients[..., -1, 0] > found.coefficients[..., 0, 0]).all()


def test_a_wide_network_of_sgd_keeps_its_norms():
    target = od.Target.parse("z1")
    network = od.Network.random(target, width=70, dim=20, rng=0)
    run = od.run(od.SGD(), target, network, od.Training(eta=0.01), steps=4, points=2)
    assert run.Q is None
    np.testing.assert_allclose(run.q[0, 0], (network.weights**2).sum(axis=1))
    assert np.isfinite(od.learned(run, target).coefficients).all()


def test_rows_after_an_early_end_are_nan_and_the_summary_takes_the_last_before():
    one = story([[0.1, 0.0], [0.6, 0.0], [0.95, 0.0]], settings={"network": {"activation": "erf"}})
    two = {name: np.stack([getattr(one, name)] * 2) for name in ("risk", "m", "a", "q")}
    for values in two.values():
        values[1, 1:] = np.nan
    run = od.Trajectory(one.steps, one.time, **two, status=np.array([0, 1]), message=("", ""), settings=one.settings)
    target = od.Target.parse("z1 + z2")
    found = od.learned(run, target)
    assert np.isnan(found.coefficients[1, 1:]).all()
    assert np.isfinite(found.coefficients[1, 0]).all()
    assert np.isnan(found.aligned_share[1, 1:]).all()
    assert np.isnan(found.subspace_overlap[1, 1:]).all()
    said = lessons(run, target)
    assert said["aligned_share"] == 0.5  # one run ends aligned, the other ended at once
    assert said["coefficients"]["z1"]["at_end"] == pytest.approx(np.mean(found.coefficients[[0, 1], [2, 0], 0]))
    assert said["recovery_steps"] == {"z1": None, "z2": None}  # half of the runs never do


@pytest.mark.parametrize(
    ("call", "culprit"),
    [
        (lambda run: od.coefficients(run, od.Target.teacher(units=2)), "project"),
        (lambda run: od.coefficients(run, od.Target.parse("z1*z2*z3")), "target has 3"),
        (lambda run: od.coefficients(run, od.Target.parse("z1*z2"), terms=[(1,)]), "terms"),
        (lambda run: od.coefficients(run, od.Target.parse("z1*z2"), terms=[(1, -1)]), "terms"),
        (lambda run: od.coefficients(run, od.Target.parse("z1*z2"), activation="softsign"), "activation"),
        (lambda run: od.recovery_steps(run, 1.5), "level"),
        (lambda run: od.aligned_share(run, float("nan")), "threshold"),
    ],
)
def test_bad_input_names_its_culprit(call, culprit):
    with pytest.raises(od.InputError, match=culprit):
        call(trajectory_of(np.eye(2, 4), np.ones(2)))


def test_a_run_without_norms_or_activation_says_so(start):
    run = od.run(Decay(), *start, steps=10, points=3)
    with pytest.raises(od.InputError, match="neither Q nor q"):
        od.aligned_share(run)
    assert lessons(run, start[0]) is None
    bare = story([[0.1, 0.1], [0.2, 0.2]])
    with pytest.raises(od.InputError, match="activation"):
        od.coefficients(bare, od.Target.parse("z1*z2"))


def test_picture_of_the_coefficients():
    rng = np.random.default_rng(0)
    run = trajectory_of(weights(rng, 3, 5), np.ones(3))
    ax = od.plot_coefficients(run, od.Target.parse("z1 + 2*z1*z2"))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["z1  (1)", "z1*z2  (2)"]
    assert ax.get_xlabel() == "SGD steps"
    assert "target" in ax.get_ylabel()
    with pytest.raises(od.InputError, match="target=None"):
        od.plot_coefficients(run)
