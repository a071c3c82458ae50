"""The stiff methods: tables and linear algebra against their definitions, the detector, and a stiff flow."""

import naive_rock as naive
import numpy as np
import pytest
from numba import njit
from test_methods import HELD, STIFFENING, Run

import odesim as od
from odesim.flows import _overlap
from odesim.flows.overlap import problem_of
from odesim.integrate import _explicit as ex
from odesim.integrate import _rock, _rosenbrock, _stiff
from odesim.integrate import _steps as st
from odesim.integrate.methods import DAMPING, method, rock4, workspace


def coefficients(row):
    """L, the zeros and the last stages' ten coefficients of a row of the table."""
    t = rock4()
    a = t.ending[row]
    v = [a[0, 0], *a[1, :2], *a[2, :3], *a[3]]
    table = np.loadtxt(str(naive_table()), delimiter=",")
    return t.length[row], table[row, 2:6], np.array(v)


def naive_table():
    from importlib.resources import files

    return files("odesim.integrate") / "rock4.csv"


@pytest.mark.parametrize("row", [0, 3, 12, 30, 48])
def test_rows_of_rock4_have_order_four_and_stay_below_the_damping(row):
    t = rock4()
    s, first = int(t.degree[row]), t.start[row]
    L, zeros, v = coefficients(row)
    mu, kappa = naive.recurrence(*zeros, L, s)
    assert t.mu[first : first + s - 4] == pytest.approx(mu, rel=1e-9)
    assert t.kappa[first : first + s - 4] == pytest.approx(kappa, rel=1e-9, abs=1e-12)
    g = naive.first_part(zeros, L, s)
    slopes, y = naive.stages(g, v)
    assert (y * naive.GAMMA)[:8] == pytest.approx(np.ones(8), abs=1e-12)
    assert t.time[first + s - 5] == pytest.approx(g[0], rel=1e-10)
    assert t.error[row] / t.error[row, 4] @ np.vstack([g, slopes])[:, :4] == pytest.approx(0, abs=1e-10)
    assert naive.conditions(zeros, g, v) == pytest.approx(0, abs=1e-12)  # the last stages have w for polynomial
    assert abs(naive.polynomial(zeros, L, s, naive.interval(L, s))).max() < DAMPING + 1e-3


def test_rock4_has_the_longest_interval():
    for row in (1, 4):
        s = int(rock4().degree[row])
        L, zeros, _ = coefficients(row)
        best, longest = naive.optimum(zeros + 0.02, 0.97 * L, s)
        assert longest == pytest.approx(L, rel=1e-4)
        assert best == pytest.approx(zeros, abs=1e-3)


def test_degrees_are_the_smallest_stable_ones():
    t = rock4()
    for x in (0.0, 1.0, 7.0, 100.0, float(t.length[7]), 1e4, 1e9):
        row = _rock.degree_for(t, x)
        assert t.length[row] >= x or row == t.length.size - 1
        assert row == 0 or t.length[row - 1] < x


def test_factors_solve_and_the_row_sum_bounds_the_spectrum():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(9, 9)), rng.normal(size=9)
    a[0, 0] = 0.0  # needs an exchange of rows
    factors, pivot, x = a.copy(), np.zeros(9, np.int64), b.copy()
    _rosenbrock.factor(factors, pivot)
    _rosenbrock.substitute(factors, pivot, x)
    assert a @ x == pytest.approx(b, abs=1e-11)
    assert _rosenbrock.row_sum_norm(a) == pytest.approx(abs(a).sum(axis=1).max())


@njit
def decay(problem, t, y, dy):
    for i in range(y.size):
        dy[i] = -problem[i] * np.sin(y[i]) * (1.0 + t)


def measure_radius(problem, t, y, work):
    rate, final, count = 0.0, False, 0
    while not final:
        _stiff.radius_argument(count, y, work)
        decay(problem, t, work.y, work.k[2])
        rate, final = _stiff.radius_take(count, y, work, rate)
        count += 1
    return rate, count


def measure_jacobian(problem, t, y, work):
    for e in range(y.size + 1):
        when, row = _rosenbrock.jacobian_argument(e, t, y, work)
        decay(problem, when, work.y, work.k[row])
        _rosenbrock.jacobian_take(e, t, y, work)


def test_spectral_radius_and_jacobian_are_those_of_the_derivative():
    rates, y = np.array([3.0, 500.0, 40.0, 0.1]), np.array([0.1, -0.2, 0.3, 1.0])
    work = workspace(method("rodas"), 4)
    decay(rates, 0.5, y, work.k[0])
    found, count = measure_radius(rates, 0.5, y, work)
    assert found / _stiff.SAFETY == pytest.approx(1.5 * 500 * np.cos(0.2), rel=0.02)
    assert 0 < count <= _stiff.MOST
    measure_jacobian(rates, 0.5, y, work)
    assert work.jacobian == pytest.approx(np.diag(-1.5 * rates * np.cos(y)), abs=1e-5)
    assert work.k[_rosenbrock.TILT] == pytest.approx(-rates * np.sin(y), abs=1e-5)


@pytest.mark.parametrize("name", ["tsitouras", "dopri5", "dop853"])
def test_last_two_stages_tell_the_rate_of_a_linear_problem(name):
    tableau = method(name).tableau
    a, rate, h = tableau.a[: tableau.error.size], 7.0, 0.3
    k = np.zeros((a.shape[0], 2))
    for i in range(a.shape[0]):
        k[i] = -rate * (np.array([1.0, -2.0]) + h * a[i, :i] @ k[:i])
    assert _stiff.rate_of_stages(tableau, k, np.empty(2)) == pytest.approx(rate * h, rel=1e-9)


@pytest.mark.parametrize("size", [3, 10**6])  # Rosenbrock, ROCK4
def test_auto_goes_over_to_the_stiff_method_and_back(size):
    grid = np.linspace(0, 10, 41)
    start = [1.0, 1.0, 1.0]
    run, stiff, explicit = (
        Run(STIFFENING, name, start, grid, 1e-6, 1e-6, size=n)
        for name, n in (("auto", size), ("rock4" if size > 3 else "rodas", 3), ("tsitouras", 3))
    )
    for one in (run, stiff, explicit):
        assert one.go() == ex.DONE
        assert abs(one.out - np.cos(grid)[:, None]).max() < 2e-4
    assert run.counts[st.SWITCHES] >= 2
    assert run.counts[st.STIFF] == st.EXPLICIT
    assert run.counts[ex.EVALUATIONS] < (0.6 if size > 3 else 0.2) * explicit.counts[ex.EVALUATIONS]
    assert explicit.counts[st.SWITCHES] == stiff.counts[st.SWITCHES] == 0


def test_auto_gives_the_rosenbrock_method_up_where_it_does_not_pay():
    """Sixty unknowns held at cos t by a rate of 1000: a Jacobian costs more than ROCK4's five evaluations a step."""
    grid = np.linspace(0, 20, 41)
    runs = [Run(HELD, name, np.ones(60), grid, 1e-6, 1e-6) for name in ("auto", "rock4", "rodas")]
    for one in runs:
        assert one.go() == ex.DONE
        assert abs(one.out - np.cos(grid)[:, None]).max() < 1e-3
    auto, rock, rodas = (int(one.counts[ex.EVALUATIONS]) for one in runs)
    assert runs[0].counts[st.RETURNS] >= 1
    assert runs[0].counts[st.STIFF] == st.STABILISED
    assert auto < 1.5 * rock < rodas


def test_auto_stays_explicit_on_a_mild_problem():
    run = Run(STIFFENING, "auto", [1.0], np.array([0.0, 2.0]), 1e-9, 1e-9)
    assert run.go() == ex.DONE
    assert run.counts[st.SWITCHES] == 0


def test_the_stiff_flow_is_reached_to_ten_thousand_in_few_evaluations():
    """z1 + z1 z2 z3, erf, eight neurons, d = 400: rates grow to 500."""
    target = od.Target.parse("z1 + z1*z2*z3")
    network = od.Network.random(target, width=8, dim=400, activation="erf", rng=0)
    problem = problem_of(target, network.activation, 8, biased=False)
    start = np.concatenate([part.ravel() for part in (network.m, network.R, network.a, network.b)])
    grid = np.concatenate([[0.0], np.geomspace(1.0, 1e4, 41)])
    rows, spent = [], []
    for tolerance in (1e-6, 1e-7):
        run = Run(0, "auto", start, grid, tolerance, tolerance)
        chosen, events = run.method, run.events
        status = _overlap.solve_overlap(
            problem, chosen, run.y, run.control, run.counts, run.t_out, run.out, events, run.work, 10**6
        )
        assert status == ex.DONE
        rows.append(run.out)
        spent.append(int(run.counts[ex.EVALUATIONS]))
    assert spent[0] <= 30_000
    assert spent[1] <= 60_000
    assert abs(rows[0] - rows[1]).max() < 1e-4
    risks = np.empty((2, grid.size))
    for row, out in zip(rows, risks, strict=True):
        _overlap.risks(problem, row, out)
    assert abs(risks[0] - risks[1]).max() < 1e-5
    slope = np.empty_like(start)
    _overlap.derivative(problem, 0.0, rows[1][-1], slope)
    assert abs(slope).max() < 1e-2
