"""The integrator: orders, dense output, events of failure, independence of chunks."""

import math
from dataclasses import replace

import numpy as np
import pytest
from numba import njit

from odesim.integrate import _explicit as ex
from odesim.integrate._loop import integrate, no_value
from odesim.integrate.drive import drive
from odesim.integrate.methods import method, no_events, places, workspace
from odesim.integrate.tableaus import tsitouras
from odesim.job import Job
from odesim.network import Network
from odesim.targets.series import Target
from odesim.training import Phase, Training
from odesim.trajectory import Status


@njit
def oscillator(problem, t, y, dy):
    """y = (cos t + t², −sin t + 2t) with an explicit dependence on time."""
    dy[0] = y[1]
    dy[1] = -(y[0] - t * t) + 2.0


@njit
def power(problem, t, y, dy):
    """y' = y²: blows up at t = 1 from y = 1."""
    dy[0] = y[0] * y[0]


@njit(error_model="numpy")
def broken(problem, t, y, dy):
    dy[0] = 1.0 if t < 0.5 else math.nan


@njit(error_model="numpy")
def solve_oscillator(problem, chosen, y, control, counts, t_out, out, events, work, budget):
    return integrate(oscillator, no_value, problem, chosen, y, control, counts, t_out, out, events, work, budget)


@njit(error_model="numpy")
def solve_power(problem, chosen, y, control, counts, t_out, out, events, work, budget):
    return integrate(power, no_value, problem, chosen, y, control, counts, t_out, out, events, work, budget)


@njit(error_model="numpy")
def solve_broken(problem, chosen, y, control, counts, t_out, out, events, work, budget):
    return integrate(broken, no_value, problem, chosen, y, control, counts, t_out, out, events, work, budget)


class Run:
    def __init__(self, solve, y0, t_out, rtol=1e-8, atol=1e-10):
        self.solve, self.t_out, self.y = solve, np.array(t_out, float), np.array(y0, float)
        self.method, self.events = method("tsitouras"), no_events(self.y.size)
        self.control, self.counts = places()
        self.control[[ex.RTOL, ex.ATOL, ex.BOUND]] = rtol, atol, 1e12
        self.out = np.full((self.t_out.size, self.y.size), np.nan)
        self.work = workspace(self.method, self.y.size)

    def go(self, budget):
        return self.solve(
            0, self.method, self.y, self.control, self.counts, self.t_out, self.out, self.events, self.work, budget
        )


def exact(t):
    return np.stack([np.cos(t) + t * t, -np.sin(t) + 2 * t], axis=-1)


def fixed_step_errors(h, offset):
    """Largest error at the ends of steps of size h and at points inside them."""
    n = round(2 / h)
    times = (np.arange(n) + offset) * h
    run = Run(solve_oscillator, [1, 0], times, rtol=1e3, atol=1e3)
    for _ in range(n):
        run.control[ex.STEP], run.control[ex.LAST_ERROR] = h, 1.0
        run.go(1)
    end = abs(run.y - exact(run.control[ex.TIME])).max()
    return end, abs(run.out - exact(times)).max()


def test_order_five_at_the_steps_and_four_between():
    steps = np.array([0.1, 0.05, 0.025])
    ends, insides = np.array([fixed_step_errors(h, 0.37) for h in steps]).T
    assert np.polyfit(np.log(steps), np.log(ends), 1)[0] == pytest.approx(5, abs=0.2)
    assert np.polyfit(np.log(steps), np.log(insides), 1)[0] > 3.8


def test_tableau_is_consistent():
    t = tsitouras()
    assert t.dense.sum(axis=1) == pytest.approx(t.a[-1], abs=1e-12)  # θ = 1 is the end of the step
    assert t.a.sum(axis=1) == pytest.approx(t.c, abs=1e-14)
    assert t.a[-1].sum() == pytest.approx(1, abs=1e-14)
    assert t.error.sum() == pytest.approx(0, abs=1e-14)
    assert (t.a[-1] @ t.c) == pytest.approx(1 / 2, abs=1e-12)
    assert (t.a[-1] @ t.c**4) == pytest.approx(1 / 5, abs=1e-12)


@pytest.mark.parametrize("rtol", [1e-4, 1e-6, 1e-9])
def test_error_follows_the_tolerance_on_linear_and_logarithmic_grids(rtol):
    for grid in (np.linspace(0, 10, 33), np.concatenate([[0], np.geomspace(1e-4, 10, 40)])):
        run = Run(solve_oscillator, [1, 0], grid, rtol=rtol, atol=rtol)
        assert run.go(10**6) == ex.DONE
        assert abs(run.out - exact(grid)).max() < 300 * rtol


@pytest.mark.parametrize("budget", [1, 2, 7])
def test_result_does_not_depend_on_chunks(budget):
    grid = np.linspace(0, 10, 50)
    whole, parts = Run(solve_oscillator, [1, 0], grid), Run(solve_oscillator, [1, 0], grid)
    whole.go(10**6)
    while parts.go(budget) == ex.RUNNING:
        pass
    assert np.array_equal(whole.out, parts.out)


def test_blow_up_ends_with_its_status_and_keeps_what_came_before():
    run = Run(solve_power, [1.0], [0, 0.5, 0.9, 2.0])
    assert run.go(10**6) in (ex.DIVERGED, ex.STEP_TOO_SMALL)
    assert run.out[:3, 0] == pytest.approx([1, 2, 10], rel=1e-6)
    assert np.isnan(run.out[3]).all()
    assert run.control[ex.TIME] == pytest.approx(1, abs=1e-3)


def test_not_a_number_in_the_right_hand_side_ends_the_run_before_it():
    run = Run(solve_broken, [0.0], [0, 0.25, 1.0])
    assert run.go(10**6) == ex.STEP_TOO_SMALL
    assert run.control[ex.TIME] == pytest.approx(0.5, abs=1e-6)
    assert run.out[1, 0] == pytest.approx(0.25, abs=1e-9)
    assert np.isnan(run.out[2, 0])


@njit
def growth(problem, t, y, dy):
    dy[:] = problem * y


@njit(error_model="numpy")
def solve_growth(problem, chosen, y, control, counts, t_out, out, events, work, budget):
    return integrate(growth, no_value, problem, chosen, y, control, counts, t_out, out, events, work, budget)


SCHEDULE = (Phase(until=40), Phase(until=100, rate=0.5, w=2.0), Phase(rate=3.0))


def job_with(steps, schedule=SCHEDULE, **options):
    target = Target.parse("z1")
    network = Network.random(target, width=1, dim=2)
    return Job(target, network, Training(eta=0.01, schedule=schedule), np.array(steps), **options)


def driven(job, rates, y0=1.0, **options):
    y = np.array([y0, 2 * y0])
    states, status, reached = drive(solve_growth, rates, y, job, rtol=1e-10, atol=1e-12, **options)
    assert states[:, 1] == pytest.approx(2 * states[:, 0], nan_ok=True)
    return states[:, 0], status, reached


def grown(times, rates, ends):
    """exp of the integral of a piecewise constant rate."""
    starts = [0.0, *ends]
    parts = [k * np.clip(times - a, 0, b - a) for k, a, b in zip(rates, starts, [*ends, np.inf], strict=True)]
    return np.exp(sum(parts))


@pytest.mark.parametrize(
    "steps",
    [[0, 1, 40, 41, 99, 100, 101, 300], [0, 10, 20], [0, 40], [0, 100, 200], [0, 300], [0, 39, 41], [0]],
)
def test_a_schedule_is_integrated_phase_by_phase(steps):
    """Outputs inside phases, on their ends, none in some of them, and a run that never gets to the last."""
    job, rates = job_with(steps), (3.0, -2.0, 1.0)
    times = 0.01 * np.array([min(n, 40) + 0.5 * np.clip(n - 40, 0, 60) + 3 * max(n - 100, 0) for n in steps])
    assert job.time == pytest.approx(times)
    y, status, reached = driven(job, rates)
    assert status is Status.DONE
    assert reached == pytest.approx(times[-1])
    assert y == pytest.approx(grown(times, rates, (0.4, 0.7)), rel=1e-8)


def test_two_phases_are_two_runs_glued():
    rates, schedule = (3.0, -2.0), (Phase(until=40), Phase(rate=0.5))
    whole, _, _ = driven(job_with([0, 20, 40, 60, 90], schedule), rates)
    first, _, _ = driven(job_with([0, 20, 40], (Phase(),)), rates[:1])
    second, _, _ = driven(job_with([0, 20, 50], (Phase(rate=0.5),)), rates[1:], y0=first[-1])
    assert whole == pytest.approx(np.concatenate([first, second[1:]]), rel=1e-9)


def test_nothing_is_integrated_after_the_last_output():
    """The second phase would overflow, and so would the end of the first."""
    y, status, _ = driven(job_with([0, 30], (Phase(until=10_000), Phase())), (3.0, 1e9))
    assert status is Status.DONE
    assert y[-1] == pytest.approx(np.exp(0.9))


@pytest.mark.parametrize("phase", [0, 1, 2])
def test_divergence_in_any_phase_keeps_what_came_before(phase):
    steps = [0, 20, 40, 70, 100, 150, 300]
    rates = [1.0, 1.0, 1.0]
    rates[phase] = 2e3
    y, status, reached = driven(job_with(steps), rates)
    assert status is Status.DIVERGED
    last = (0, 2, 4)[phase]
    assert np.isfinite(y[: last + 1]).all()
    assert np.isnan(y[last + 1 :]).all()
    assert (0.0, 0.4, 0.7)[phase] < reached < (0.4, 0.7, 6.7)[phase]


def test_a_stop_in_a_later_phase_keeps_what_came_before():
    job = job_with([0, 20, 40, 70, 100, 150, 300])

    def progress(share):
        if share > 0.42 / job.time[-1]:
            job.stop.set()

    y, status, reached = driven(replace(job, progress=progress), (3.0, 0.5, 1.0))
    assert status is Status.INTERRUPTED
    assert np.isfinite(y[:5]).all()  # the phase that was under way takes a single call
    assert np.isnan(y[5:]).all()
    assert reached == pytest.approx(0.7)


def test_progress_never_goes_back_and_ends_at_one():
    shares = []
    job = job_with([0, 30, 60, 100, 300], progress=shares.append)
    driven(job, (1.0, -0.5, 0.1))
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    assert 0 < shares[0] < 0.1


def test_the_hopeless_are_told_the_steps_of_their_own_phase():
    told = []

    def hopeless(counts, passed):
        told.append((int(counts[ex.ACCEPTED]), passed))
        return len(told) > 1 and passed > 100

    _, status, _ = driven(job_with([0, 100_000]), (1e-3, 1.0, -2e3), hopeless=hopeless, method="tsitouras")
    assert status is Status.TOO_FAST
    assert [passed for accepted, passed in told if accepted == 0] == pytest.approx([0, 0, 0])
