"""Methods of integration: their tables, measured orders, dense output, independence of the length of calls."""

import itertools
import math

import numpy as np
import pytest
from numba import njit

from odesim.integrate import _explicit as ex
from odesim.integrate import _loop as lo
from odesim.integrate import _steps as st
from odesim.integrate.methods import method, no_events, places, workspace
from odesim.integrate.tableaus import euler

COUPLED, STIFFENING, BLOW_UP, BROKEN, MAP, OSCILLATOR, HELD = range(7)


@njit(error_model="numpy")
def systems(problem, t, y, dy):
    """Several systems in one entry, which compiles once."""
    if problem == COUPLED:  # y = (exp sin t, cos t)
        dy[0] = y[0] * y[1]
        dy[1] = -math.sin(t) - (y[1] - math.cos(t)) * y[0]
    elif problem == OSCILLATOR:  # y = (cos t + t², −sin t + 2t)
        dy[0] = y[1]
        dy[1] = -(y[0] - t * t) + 2.0
    elif problem == STIFFENING:  # y = cos t, held by a rate that rises to 10⁴ at t = 5 and falls again
        rate = 10.0 ** (4.0 * math.exp(-((t - 5.0) ** 2)))
        for i in range(y.size):
            dy[i] = -rate * (i + 1.0) / y.size * (y[i] - math.cos(t)) - math.sin(t)
    elif problem == HELD:  # y = cos t, held by a rate of 1000
        for i in range(y.size):
            dy[i] = -1000.0 * (y[i] - math.cos(t)) - math.sin(t)
    elif problem == BLOW_UP:
        dy[0] = y[0] * y[0]
    elif problem == BROKEN:
        dy[0] = 1.0 if t < 0.5 else math.nan
    else:  # y <- y + 1 at odd, 2y at even times
        dy[0] = 1.0 if round(t) % 2 else y[0]


@njit
def quantity(problem, kind, index, y):
    return y[index] * y[index]


@njit(error_model="numpy")
def solve(problem, chosen, y, control, counts, t_out, out, events, work, budget):
    return lo.integrate(systems, quantity, problem, chosen, y, control, counts, t_out, out, events, work, budget)


class Run:
    def __init__(self, problem, name, y0, t_out, rtol=1e-8, atol=1e-10, events=None, size=0):
        self.problem, self.y, self.t_out = problem, np.array(y0, float), np.array(t_out, float)
        self.method = method(name, size or self.y.size)
        self.control, self.counts = places()
        self.control[[ex.RTOL, ex.ATOL, ex.BOUND]] = rtol, atol, 1e12
        self.out = np.full((self.t_out.size, self.y.size), np.nan)
        self.events = no_events(self.y.size) if events is None else events
        self.work = workspace(self.method, self.y.size)

    def go(self, budget=10**6):
        return solve(
            self.problem, self.method, self.y, self.control, self.counts, self.t_out, self.out, self.events, self.work,
            budget,
        )  # fmt: skip


def oscillation(t):
    return np.stack([np.cos(t) + t * t, -np.sin(t) + 2 * t], axis=-1)


def exact(t):
    return np.stack([np.exp(np.sin(t)), np.cos(t)], axis=-1)


def fixed_step_errors(problem, name, h, offset, rate=0.0):
    """Largest error at the ends of steps of size h and at points inside them; hρ = ``rate`` sets ROCK4's degree."""
    n = round(2 / h)
    times = (np.arange(n) + offset) * h
    truth = exact if problem == COUPLED else oscillation
    run = Run(problem, name, truth(0.0), times, rtol=1e3, atol=1e3)
    ends = []
    for _ in range(n):
        run.control[ex.STEP], run.control[ex.LAST_ERROR] = h, 1.0
        if rate:
            run.control[st.RADIUS], run.counts[st.FRESH] = rate / h, 100
        run.go(1)
        ends.append(abs(run.y - truth(run.control[ex.TIME])).max())
    return max(ends), abs(run.out - truth(times)).max()


@pytest.mark.parametrize(
    ("problem", "name", "order", "dense", "steps", "rate"),
    [
        (OSCILLATOR, "tsitouras", 5, 4, (0.1, 0.05, 0.025), 0),
        (OSCILLATOR, "dopri5", 5, 4, (0.1, 0.05, 0.025), 0),
        (OSCILLATOR, "dop853", 8, 7, (0.5, 0.4, 0.25), 0),
        (COUPLED, "rodas", 4, 3, (0.05, 0.025, 0.0125), 0),
        (COUPLED, "rock4", 4, 3, (0.05, 0.025, 0.0125), 4),
        (COUPLED, "rock4", 4, 3, (0.05, 0.025, 0.0125), 100),
    ],
)
def test_measured_orders_are_nominal_at_the_steps_and_between(problem, name, order, dense, steps, rate):
    ends, insides = np.array([fixed_step_errors(problem, name, h, 0.37, rate) for h in steps]).T
    assert np.polyfit(np.log(steps), np.log(ends), 1)[0] == pytest.approx(order, abs=0.2)
    assert np.polyfit(np.log(steps), np.log(insides), 1)[0] > dense + 0.8  # local error of the output


def trees(order):
    """Rooted trees of an order as sorted tuples of their branches."""
    if order == 1:
        return {()}
    found = set()
    for parts in partitions(order - 1):
        for branches in itertools.product(*(trees(part) for part in parts)):
            found.add(tuple(sorted(branches)))
    return found


def partitions(n, most=None):
    most = n if most is None else most
    if n == 0:
        yield ()
    for first in range(min(n, most), 0, -1):
        for rest in partitions(n - first, first):
            yield (first, *rest)


def nodes(tree):
    return 1 + sum(nodes(branch) for branch in tree)


def density(tree):
    return nodes(tree) * math.prod(density(branch) for branch in tree)


def derivative_weights(a, tree):
    """Π over the branches of Σ_j a_ij …: the elementary weight of each stage's slope."""
    weights = np.ones(a.shape[0])
    for branch in tree:
        weights = weights * (a @ derivative_weights(a, branch))
    return weights


@pytest.mark.parametrize(("name", "order", "dense"), [("tsitouras", 5, 4), ("dopri5", 5, 4), ("dop853", 8, 7)])
def test_tables_obey_the_order_conditions_at_the_end_and_between(name, order, dense):
    t = method(name).tableau
    assert t.a.sum(axis=1) == pytest.approx(t.c, abs=2e-14)
    b = t.a[t.error.size - 1]
    theta = np.array([0.2, 0.5, 0.9, 1.0])
    inside = t.dense @ theta ** np.arange(1, t.dense.shape[1] + 1)[:, None]
    assert inside[:, -1] == pytest.approx(b, abs=1e-12)
    for p in range(1, order + 1):
        for tree in trees(p):
            weights = derivative_weights(t.a, tree)
            assert b @ weights == pytest.approx(1 / density(tree), abs=1e-12)
            if p <= dense:
                assert inside.T @ weights == pytest.approx(theta**p / density(tree), abs=1e-12)
            if p <= 3:
                assert t.error @ weights[: t.error.size] == pytest.approx(0, abs=1e-13)


def test_order_eight_has_the_published_coefficients():
    known = pytest.importorskip("scipy.integrate._ivp.dop853_coefficients")
    t = method("dop853").tableau
    assert np.array_equal(t.a, known.A)
    assert np.array_equal(t.error, known.E5)
    assert np.array_equal(t.coarse, known.E3)


@pytest.mark.parametrize("name", ["tsitouras", "dopri5", "dop853", "rock4", "rodas", "auto"])
@pytest.mark.parametrize("rtol", [1e-4, 1e-7])
def test_error_follows_the_tolerance(name, rtol):
    for grid in (np.linspace(0, 10, 33), np.concatenate([[0], np.geomspace(1e-4, 10, 40)])):
        run = Run(COUPLED, name, [1, 1], grid, rtol=rtol, atol=rtol)
        assert run.go() == ex.DONE
        assert abs(run.out - exact(grid)).max() < 1000 * rtol


@pytest.mark.parametrize("name", ["dop853", "rock4", "rodas", "auto"])
def test_result_does_not_depend_on_the_length_of_calls(name):
    grid = np.linspace(0, 10, 50)
    size = 10**6 if name == "auto" else 0  # auto both ways: see also test_stiff
    whole = Run(STIFFENING, name, [1, 1, 0.5], grid, 1e-5, 1e-5, size=size)
    whole.go()
    for budget in (1, 7, 200):
        parts = Run(STIFFENING, name, [1, 1, 0.5], grid, 1e-5, 1e-5, size=size)
        while parts.go(budget) == ex.RUNNING:
            pass
        assert np.array_equal(whole.out, parts.out)
        assert np.array_equal(whole.counts, parts.counts)


@pytest.mark.parametrize("name", ["dop853", "rock4", "rodas", "auto"])
def test_blow_up_and_nan_end_a_run_with_what_came_before(name):
    run = Run(BLOW_UP, name, [1.0], [0, 0.5, 0.9, 2.0])
    assert run.go() in (ex.DIVERGED, ex.STEP_TOO_SMALL)
    assert run.out[:3, 0] == pytest.approx([1, 2, 10], rel=1e-5)
    assert np.isnan(run.out[3]).all()
    run = Run(BROKEN, name, [0.0], [0, 0.25, 1.0])
    assert run.go() == ex.STEP_TOO_SMALL
    assert run.control[ex.TIME] == pytest.approx(0.5, abs=1e-6)
    assert run.out[1, 0] == pytest.approx(0.25, abs=1e-9)
    assert np.isnan(run.out[2, 0])


def test_euler_steps_a_map_in_discrete_time():
    run = Run(MAP, "euler", [1.0], np.arange(7.0), rtol=1, atol=1)
    run.control[[ex.STEP, st.LONGEST]] = 1.0
    assert run.go() == ex.DONE
    assert run.out[:, 0].tolist() == [1, 2, 3, 6, 7, 14, 15]
    assert run.counts[ex.EVALUATIONS] == 7


def test_bounds_of_stability():
    assert euler().bound == pytest.approx(2, abs=1e-3)
    assert method("dopri5").tableau.bound == pytest.approx(3.307, abs=1e-3)  # Hairer & Wanner II, IV.2
