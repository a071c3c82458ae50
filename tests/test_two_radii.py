"""The layerwise rule of the correlation flow: lemmas, whole trajectories, releases, Algorithm 1."""

import itertools
import math

import naive_correlation
import naive_two_radii as naive
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from odesim import SGD, InputError, Network, Status, Target, Training, TwoRadii, run
from odesim import Phase as Stretch
from odesim.activations.catalogue import CATALOGUE
from odesim.flows import _correlation as kernels
from odesim.flows import _two_radii as rule
from odesim.flows.correlation import CorrelationFlow
from odesim.flows.lone import problem_of
from odesim.flows.residuals import start_of
from odesim.job import Job

NESTED = [((1, 0, 0), 1.0), ((1, 1, 2), -0.7)]
SINGLE = [((1, 2, 1), 1.0)]


def terms(sets):
    """The target whose unnormalised Hermite terms these are."""
    return Target.from_terms({k: c * math.sqrt(math.prod(map(math.factorial, k))) for k, c in sets})


def simulate(target, network, times, r=0.3, delta=0.6, *, eta=1e-3, rtol=1e-9, **training):
    """Run under two radii to the given times."""
    rates = Training(eta=eta, eta_a=0.0, geometry=TwoRadii(r, delta), **training)
    return run(CorrelationFlow(rtol=rtol, atol=1e-12), target, network, rates, t_eval=times)


@given(
    seed=st.integers(0, 999),
    name=st.sampled_from(["erf", "relu"]),
    sets=st.sampled_from([NESTED, SINGLE]),
    free=st.lists(st.booleans(), min_size=4, max_size=4),
)
@settings(max_examples=20, deadline=None, phases=[Phase.generate])
def test_velocity_is_the_lemmas(seed, name, sets, free):
    """Three support coordinates, one followed off the support, a residual of two more: 1e-12 relative."""
    rng = np.random.default_rng(seed)
    w, released = rng.normal(size=6), np.array([*free, False, False])
    w /= np.linalg.norm(w[~released])  # the kept are on the unit sphere
    a, b = rng.normal(), 0.5 * rng.normal()
    problem = problem_of(terms(sets), CATALOGUE[name], sphere=True, radii=TwoRadii(0.1, 9.0), followed=1)
    problem = problem._replace(a=a, b=b)
    problem.radii.mode[:] = np.where(released[:4], rule.LOOSE, rule.KEPT)
    y = np.append(w[:4], w[4:] @ w[4:])
    slope = np.empty(5)
    kernels.value_and_slope(problem, y, slope)
    expected = naive.lemma(name, sets, w, released, a, b)
    scale = 1 + abs(expected).max()
    assert slope[:4] == pytest.approx(expected[:4], abs=1e-12 * scale)
    assert slope[4] == pytest.approx(2 * w[4:] @ expected[4:], abs=1e-12 * scale)


def test_a_held_coordinate_only_moves_inward():
    problem = problem_of(Target.parse("z1"), CATALOGUE["erf"], sphere=True, radii=TwoRadii(0.1, 0.5))
    slope = np.empty(2)
    for a, m, still in itertools.product([1.0, -1.0], [0.5, -0.5], [True, False]):
        problem.radii.mode[:] = rule.HELD if still else rule.LOOSE
        kernels.value_and_slope(problem._replace(a=a), np.array([m, 1.0]), slope)
        assert (slope[0] == 0.0) == (still and a * m > 0)
        assert slope[0] * a >= 0.0


@pytest.mark.parametrize(("name", "law"), [("erf", "gaussian"), ("relu", "boolean")])
def test_whole_trajectories_and_release_times(law, name):
    """z1 + 0.8 z1z2 in eight coordinates against Heun steps with ∇C by differences."""
    target = Target.parse("z1 + 0.8*z1*z2", data=law)
    rng = np.random.default_rng(5)
    w = 0.02 * rng.normal(size=8) + np.array([0.2, 0.3, 0.5, *[0.3] * 5])
    a, b, times = 0.9, 0.4, np.array([0.2, 0.6, 1.2, 2.5])
    network = Network.from_weights(target, w[None], [a], [b], activation=name)
    out = simulate(target, network, np.append(0.0, times), 0.55, 0.7)
    theirs, when = naive.flow(naive.velocity_by_differences(name, target, a, b, 16), w, 0.55, 0.7, times, 0.04)
    start = start_of(Job(target, network, Training(eta=1.0, geometry=TwoRadii(0.55, 0.7)), np.array([0])))
    assert start.followed[0].size > 0
    assert np.isfinite(when[:2]).any()
    assert out.events["release"][0] == pytest.approx(when[:2], abs=0.041, nan_ok=True)  # seen a step late
    assert out.m[1:, 0] == pytest.approx(theirs[:, :2], abs=6e-3)
    assert out.q[1:, 0] == pytest.approx((theirs**2).sum(axis=1), abs=0.02)


def test_release_time_and_growth_have_closed_forms():
    """z1 with erf: tanh up to r, then m' = a(c_1 + m² c_3), and Δ for ever; the residual is scaled to 1 at once."""
    target, a, r, delta = Target.parse("z1"), 0.8, 0.4, 0.7
    network = Network(100, CATALOGUE["erf"], np.array([[0.2]]), np.array([[0.96]]), np.array([a]), np.zeros(1))
    speed = a / math.sqrt(math.pi)  # c_1 at q = 1
    when = (math.atanh(r) - math.atanh(0.2)) / speed
    times = np.sort(np.append(np.linspace(0, 4, 81), when + 1e-3))
    out = simulate(target, network, times, r, delta, eta=1e-6, rtol=1e-10)
    assert out.events["release"][0, 0] == pytest.approx(when, abs=1e-8)
    kept = out.time < when
    assert out.m[kept, 0, 0] == pytest.approx(np.tanh(speed * out.time[kept] + math.atanh(0.2)), abs=1e-7)
    residual = out.q[:, 0] - out.m[:, 0, 0] ** 2
    assert residual[kept] == pytest.approx(1 - out.m[kept, 0, 0] ** 2, abs=1e-7)
    assert residual[~kept][0] == pytest.approx(1.0, abs=1e-3)
    # c_1 + m² c_3 = √(2/π) τ^{−3} (τ² − m²), τ² = 2 + m², so m' = 2a √(2/π) τ^{−3}
    m, exact, t = r, {}, when
    for end in out.time[~kept]:
        h, front = (end - t) / 100, 2 * a * math.sqrt(2 / math.pi)
        for _ in range(100):
            half = m + h / 2 * front * (2 + m * m) ** -1.5
            m += h * front * (2 + half * half) ** -1.5
        exact[end], t = min(m, delta), end
    assert out.m[~kept, 0, 0] == pytest.approx(list(exact.values()), abs=1e-5)
    assert out.m[-1, 0, 0] == delta


@pytest.mark.parametrize("text", ["z1*z2*z3", "He2(z1)*He2(z2)"])
def test_all_of_a_symmetric_monomial_are_released_at_once(text):
    """From ±1/√d; the residual takes the factor (1 − Σ m²)^{−1/2}, the released stay at r."""
    target, dim, r = Target.parse(text), 100, 0.2
    signs = np.array(list(itertools.product([-1.0, 1.0], repeat=target.P)))
    W = np.concatenate([signs, np.ones((len(signs), dim - target.P))], axis=1) / 10
    b = 0.0 if target.P == 3 else 0.3
    a = 0.5 * np.prod(signs, axis=1) if target.P == 3 else np.full(len(signs), 0.5)
    c = naive_correlation.moment("erf", target.degree, b)
    network = Network.from_weights(target, W, np.sign(c) * a, np.full(len(signs), b))
    out = simulate(target, network, np.linspace(0, 2000, 11), r, 0.6)
    release = out.events["release"]
    assert np.isfinite(release).all()
    assert (release == release[0, 0]).all()
    just = simulate(target, network, np.array([0, release[0, 0] + 1e-3]), r, 0.6, eta=1e-5)
    assert abs(just.m[-1]) == pytest.approx(np.full(W[:, : target.P].shape, r), abs=2e-3)
    assert just.q[-1] - (just.m[-1] ** 2).sum(axis=-1) == pytest.approx(1.0, abs=1e-4)
    assert just.events["release"] == pytest.approx(release, abs=1e-6)
    assert abs(out.m[-1]) == pytest.approx(np.full(W[:, : target.P].shape, 0.6), abs=1e-12)


def test_a_release_can_push_another_over_the_edge():
    """r = 0.5, second coordinate at 0.46: it is at 0.46/√0.75 = 0.531 once the first has gone, and goes too."""
    r = 0.5
    radii = rule.Radii(r, 0.9, np.zeros(3, np.int64), np.full(3, np.inf))
    y = np.array([0.5, -0.46, 0.2, 1 - 0.25 - 0.46**2 - 0.04])
    rule.settle(radii, 2.0, y)
    assert radii.mode.tolist() == [rule.LOOSE, rule.LOOSE, rule.KEPT]
    assert radii.times.tolist() == [2.0, 2.0, np.inf]
    assert y[:2] == pytest.approx([0.5, -0.46 / math.sqrt(0.75)])
    assert y[2] ** 2 + y[3] == pytest.approx(1.0)
    assert y[2] / math.sqrt(y[3]) == pytest.approx(0.2 / math.sqrt(1 - 0.25 - 0.46**2 - 0.04))
    alone = rule.Radii(r, 0.52, np.zeros(3, np.int64), np.full(3, np.inf))
    y[:] = [0.5, -0.46, 0.2, 1 - 0.25 - 0.46**2 - 0.04]
    rule.settle(alone, 0.0, y)
    assert (alone.mode[1], y[1]) == (rule.HELD, -0.52)  # beyond the outer radius at once


def test_starts_beyond_the_radii_release_at_time_zero():
    target = Target.parse("z1 + z1*z2")
    w = np.array([[0.9, 0.25, 0.2, 0.2, 0.1, 0, 0, 0], [*[0.3] * 7, 0.6]])
    network = Network.from_weights(target, w, [0.5, 0.5], [0.2, 0.2])
    out = simulate(target, network, np.array([0.0, 0.01]), 0.45, 0.6)
    scaled = w / np.linalg.norm(w, axis=1, keepdims=True)
    assert out.events["release"][0, 0] == 0.0
    assert out.m[0, 0, 0] == 0.6
    rest = scaled[0, 1:] / np.linalg.norm(scaled[0, 1:])
    assert rest[0] > 0.45  # the cascade takes the second along
    assert out.events["release"][0, 1] == 0.0
    # the other neuron loses an entry off the support, which its support coordinates feel
    assert np.isnan(out.events["release"][1]).all()
    assert scaled[1, 7] > 0.45
    assert out.m[0, 1] == pytest.approx(scaled[1, :2] / np.linalg.norm(scaled[1, :7]), rel=1e-9)


def test_residual_gram_matrix_with_followed_coordinates_is_that_of_the_weights():
    target = Target.parse("z1*z2")
    rng = np.random.default_rng(2)
    W = rng.normal(size=(4, 62))
    network = Network.from_weights(target, W, np.full(4, 0.5), rng.normal(size=4))
    training = Training(eta=1.0, geometry=TwoRadii(0.3, 0.8))
    start = start_of(Job(target, network, training, np.array([0])))
    assert 1 < start.union.shape[1] < 60
    assert (start.R > 0.5).sum() > 1
    states = [
        np.concatenate([start.m[j], start.followed[j], start.R[j : j + 1]])[None] for j in range(4)
    ]  # nothing released yet
    v = (W / np.linalg.norm(W, axis=1, keepdims=True))[:, 2:]
    assert start.rows(states)[0] == pytest.approx(v @ v.T, abs=1e-14)
    for j, (rows, columns) in enumerate(zip(states, start.columns, strict=True)):  # lengths halved, one entry moved
        rows[:, -1] /= 4
        which = np.flatnonzero((abs(v[j][:, None] - start.followed[j]) < 1e-12).any(axis=1))
        moved = v[j] / 2
        rows[:, 2:-1] = v[j, which] + 0.1
        moved[which] = v[j, which] + 0.1
        v[j] = moved
        assert columns.size == which.size
    assert start.rows(states)[0] == pytest.approx(v @ v.T, abs=1e-14)


def test_signs_and_permutations_of_the_coordinates_are_symmetries():
    """z1z2z3: flipping two coordinates, or exchanging any, does the same to the trajectory."""
    target = Target.parse("z1*z2*z3")
    W = np.random.default_rng(0).normal(size=(3, 60))
    other = W[:, [2, 0, 1, *range(3, 60)]] * np.array([-1.0, -1.0, 1.0, *[1.0] * 57])
    times = np.linspace(0, 400, 9)
    one, two = (
        simulate(target, Network.from_weights(target, w, [0.5, -0.5, 0.5], [0.2, 0.1, -0.4]), times) for w in (W, other)
    )
    assert np.isfinite(one.events["release"]).sum() >= 6
    assert two.m == pytest.approx(one.m[..., [2, 0, 1]] * np.array([-1.0, -1.0, 1.0]), abs=1e-6)
    assert two.events["release"] == pytest.approx(one.events["release"][:, [2, 0, 1]], abs=1e-5, nan_ok=True)
    assert np.isfinite(one.risk).all()


def test_algorithm_1_with_small_steps_follows_the_flow():
    """Mean over 500 runs of one neuron, z1 + z1z2 from 1/√d at d = 60: five standard errors plus a bias of 4e-3.

    z1 hovers below Δ by the noise of a step or two, η√Γ ~ 1e-3, and its release, seen up to η|m'| late and spread by
    the noise, scales z2 later or sooner; measured 4e-4 and 2e-3 ± 2e-3.
    """
    target, dim, r, delta, eta, steps = Target.parse("z1 + z1*z2"), 60, 0.22, 0.35, 2e-3, 400
    w = np.full(dim, dim**-0.5)
    network = Network.from_weights(target, w[None], [1.0], [0.5])
    flow = simulate(target, network, np.array([0, eta * steps]), r, delta, eta=eta)
    assert np.isfinite(flow.events["release"][0, 0])
    runs = naive.algorithm_1(
        np.random.default_rng(1), target, "erf", np.tile(w, (500, 1)), 1.0, 0.5, r, delta, eta, steps
    )
    mean, error = runs.mean(axis=0), runs.std(axis=0) / math.sqrt(len(runs))
    assert (abs(mean[:2] - flow.m[-1, 0]) <= 5 * error[:2] + 4e-3).all()


def test_a_schedule_goes_on_where_it_stopped():
    """Halving all steps in the middle changes the clock alone; an end within a held or kept stretch loses nothing."""
    target = Target.parse("z1 + z1*z2")
    network = Network.random(target, width=3, dim=30, biases=1.0, rng=3)
    steps = np.array([0, 400, 1000, 3000])
    whole, parts = (
        run(
            CorrelationFlow(rtol=1e-9, atol=1e-12),
            target,
            network,
            Training(eta=0.005, eta_a=0.0, geometry=TwoRadii(0.4, 0.6), schedule=schedule),
            t_eval=0.005 * steps,
        )
        for schedule in ((), (Stretch(400), Stretch(1001), Stretch()))
    )
    assert int(parts.status) == Status.DONE
    assert np.isfinite(whole.events["release"]).any()
    assert parts.m == pytest.approx(whole.m, abs=1e-7)
    assert parts.events["release"] == pytest.approx(whole.events["release"], abs=1e-6, nan_ok=True)
    frozen = run(
        CorrelationFlow(),
        target,
        network,
        Training(eta=0.005, eta_a=0.0, geometry=TwoRadii(0.4, 0.6), schedule=(Stretch(400), Stretch(w=0.0))),
        t_eval=0.005 * steps,
    )
    assert frozen.m[-1] == pytest.approx(whole.m[1], abs=1e-5)
    late = np.nan_to_num(frozen.events["release"], nan=0.0)
    assert late.max() <= 400 * 0.005


def test_decay_has_no_place_on_the_sphere():
    target = Target.parse("z1")
    network = Network.random(target, width=2, dim=10)
    with pytest.raises(InputError, match="decay_w"):
        simulate(target, network, np.array([0.0, 1.0]), decay_w=0.1)
    with pytest.raises(InputError, match="geometry"):
        run(SGD(), target, network, Training(eta=0.01, geometry=TwoRadii(0.2, 0.4)), steps=10)
