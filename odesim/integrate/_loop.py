"""The integration loop of every method and every flow: step control, dense output, stiffness, events.

A trial step is one of an explicit Runge–Kutta method (`Tableau`), of the stabilised method (`Stabilised`) or of the
Rosenbrock method; where ``method.mode`` is AUTO a detector goes from the first to ``method.stiff`` and back. All that a
later call needs stands in ``control``, ``counts``, ``events`` and ``work``, so results do not depend on how many steps
a call makes.
"""

from typing import NamedTuple

import numpy as np

from odesim._jit import kernel
from odesim.integrate._events import COMPONENT, HALVINGS, SAMPLES
from odesim.integrate._explicit import (
    ACCEPTED,
    ATOL,
    BOUND,
    CONTROL_SIZE,
    COUNTS_SIZE,
    DIVERGED,
    DONE,
    EVALUATIONS,
    LAST_ERROR,
    NEXT,
    REJECTED,
    RTOL,
    RUNNING,
    STEP,
    STEP_TOO_SMALL,
    TIME,
    Tableau,
    combine,
    error_norm,
    interpolate,
    largest,
    scaled_norm,
)
from odesim.integrate._rock import (
    END,
    ORDER,
    Stabilised,
    degree_for,
    hermite,
    stabilised_error,
    stabilised_step,
)
from odesim.integrate._rosenbrock import (
    Rosenbrock,
    jacobian,
    rosenbrock_dense,
    rosenbrock_error,
    rosenbrock_step,
    row_sum_norm,
)
from odesim.integrate._stiff import rate_of_stages, spectral_radius

EVENT = 6

# more places in `control` and `counts`
LONGEST, RADIUS = CONTROL_SIZE, CONTROL_SIZE + 1  # longest step allowed (0: any); spectral radius
CONTROLS = CONTROL_SIZE + 2
STIFF, HITS, MISSES, FRESH, SWITCHES, COUNTS = COUNTS_SIZE, *range(COUNTS_SIZE + 1, COUNTS_SIZE + 6)

# kinds of step, in counts[STIFF]; the modes of a method are to keep to its kind, or to change it
EXPLICIT, STABILISED, ROSENBROCK = 0, 1, 2
FIXED, AUTO = 0, 1

NEAR, ENOUGH, FORGET = 0.8, 10, 6
"""A step counts as held by stability from this share of the bound on; so many of them, with fewer than FORGET others in
a row between, make the problem stiff."""

EASY, EASY_STEPS = 0.4, 3
"""After so many steps below this share of the explicit method's bound it takes over again."""

RENEW = 25
"""Accepted steps after which the spectral radius is measured again."""


class Method(NamedTuple):
    """What a step is made of; every method carries the tables of all three kinds, so that one entry serves all."""

    mode: int
    kind: int  # of the first step
    stiff: int  # the kind to take where the problem is stiff
    tableau: Tableau
    stabilised: Stabilised
    rosenbrock: Rosenbrock


class Workspace(NamedTuple):
    """Stages, the trial state and one more state; the rest only where the method has a Jacobian, else of size 0."""

    k: np.ndarray  # (max(stages, ROWS), n)
    y: np.ndarray  # (n)
    z: np.ndarray  # (n)
    jacobian: np.ndarray  # (n, n)
    factors: np.ndarray  # (n, n)
    pivot: np.ndarray  # (n) int64


@kernel
def no_value(problem, kind, entry, y):
    """Stand in for the quantities of a flow that has none."""
    return 0.0


@kernel
def inside(stiff, method, y, work, h, theta, out):
    """Dense output of the trial step, the state at t + θh."""
    if theta == 1.0:
        out[:] = work.y
    elif stiff == STABILISED:
        hermite(y, work.y, work.k, h, theta, out)
    elif stiff == ROSENBROCK:
        rosenbrock_dense(method.rosenbrock, y, work.y, work.k, theta, out)
    else:
        interpolate(method.tableau, y, work.k, h, theta, out)


@kernel
def crosses(direction, before, now):
    """Whether a quantity goes through 0 that way; arriving there counts, leaving it does not."""
    if before < 0.0 and now >= 0.0:
        return direction >= 0
    if before > 0.0 and now <= 0.0:
        return direction <= 0
    return False


@kernel(inline="always")
def above_level(value, problem, events, e, y):
    """Return the quantity of event e minus its level."""
    return (
        y[events.entry[e]] if events.kind[e] == COMPONENT else value(problem, events.kind[e], events.entry[e], y)
    ) - events.level[e]


@kernel(inline="always")
def find_events(value, problem, events, stiff, method, y, t, h, last, work):
    """Look for events in an accepted step; return the θ at which a terminal one ends it, 2 if none does.

    Nothing that happens after the time ``last``, beyond which the step may reach, counts.
    """
    end = 2.0
    for part in range(SAMPLES):
        if end > 1.0:
            inside(stiff, method, y, work, h, (part + 1.0) / SAMPLES, work.z)
            for e in range(events.level.size):
                now = above_level(value, problem, events, e, work.z)
                if events.time[e] != events.time[e] and crosses(events.direction[e], events.before[e], now):
                    events.time[e] = -1.0  # to be found below, where work.z is free
                else:
                    events.before[e] = now
            for e in range(events.level.size):
                if events.time[e] == -1.0:
                    low, high = part / SAMPLES, (part + 1.0) / SAMPLES
                    for _ in range(HALVINGS):
                        middle = 0.5 * (low + high)
                        inside(stiff, method, y, work, h, middle, work.z)
                        now = above_level(value, problem, events, e, work.z)
                        if crosses(0, events.before[e], now):
                            high = middle
                        else:
                            low = middle
                    inside(stiff, method, y, work, h, high, events.state[e])
                    events.before[e] = above_level(value, problem, events, e, events.state[e])
                    events.time[e] = t + high * h
                    if events.terminal[e] and high < end and events.time[e] <= last:
                        end = high
    for e in range(events.level.size):
        if events.time[e] > min(t + end * h, last):
            events.time[e] = np.nan
            events.state[e] = np.nan
    return end


@kernel(inline="always")
def first_step(rhs, problem, order, y, control, counts, work):
    """Return a first step size: Hairer, Nørsett & Wanner I, II.4."""
    rtol, atol = control[RTOL], control[ATOL]
    speed = scaled_norm(work.k[0], y, y, rtol, atol)
    size = scaled_norm(y, y, y, rtol, atol)
    first = 0.01 * size / speed if size > 1e-5 and speed > 1e-5 else 1e-6
    for j in range(y.size):
        work.y[j] = y[j] + first * work.k[0, j]
    rhs(problem, control[TIME] + first, work.y, work.k[1])
    counts[EVALUATIONS] += 1
    work.k[1] -= work.k[0]
    bend = max(speed, scaled_norm(work.k[1], y, y, rtol, atol) / first)
    guess = (0.01 / bend) ** (1.0 / order) if bend > 1e-15 else 1e-3
    return min(100.0 * first, guess)


@kernel
def watch(method, k, h, control, counts):
    """After an accepted step: count the signs of stiffness or of its end, and change the method by them."""
    bound = method.tableau.bound
    if counts[STIFF]:
        counts[FRESH] -= 1
        counts[HITS] = counts[HITS] + 1 if h * control[RADIUS] < EASY * bound else 0
        switch = counts[HITS] >= EASY_STEPS
    else:
        if rate_of_stages(method.tableau, k) > NEAR * bound:
            counts[HITS] += 1
            counts[MISSES] = 0
        else:
            counts[MISSES] += 1
            if counts[MISSES] >= FORGET:
                counts[HITS] = 0
        switch = counts[HITS] >= ENOUGH
    if switch and method.mode == AUTO:
        counts[STIFF] = EXPLICIT if counts[STIFF] else method.stiff
        counts[HITS], counts[MISSES], counts[FRESH] = 0, 0, 0
        counts[SWITCHES] += 1


@kernel(inline="always")
def integrate(rhs, value, problem, method, y, control, counts, t_out, out, events, work, budget):
    """Advance y by at most ``budget`` accepted or rejected steps, filling ``out`` (T, n) at the times ``t_out`` (T).

    ``value(problem, kind, entry, y)`` is a quantity of the flow for `Events`. Returns RUNNING while outputs are
    missing. Step sizes follow a PI controller (Gustafsson 1991). A state that is not finite, larger than
    control[BOUND], a step below the spacing of floats or a terminal event ends the integration with its status.
    """
    rtol, atol = control[RTOL], control[ATOL]
    tableau, table = method.tableau, method.stabilised
    stages, watched = tableau.error.size, events.level.size > 0
    status = RUNNING
    if counts[EVALUATIONS] == 0:
        rhs(problem, control[TIME], y, work.k[0])
        counts[EVALUATIONS] += 1
        counts[STIFF] = method.kind
        for e in range(events.level.size):
            events.before[e] = above_level(value, problem, events, e, y)
    if control[STEP] == 0.0:
        order = ORDER if counts[STIFF] else tableau.order
        control[STEP] = first_step(rhs, problem, order, y, control, counts, work)
    if control[LAST_ERROR] == 0.0:
        control[LAST_ERROR] = 1e-4
    while counts[NEXT] < t_out.size and t_out[counts[NEXT]] <= control[TIME]:
        out[counts[NEXT]] = y
        counts[NEXT] += 1
    for _ in range(budget):
        if counts[NEXT] >= t_out.size:
            status = DONE
            break
        t, h, stiff = control[TIME], control[STEP], counts[STIFF]
        if control[LONGEST] > 0.0:
            h = min(h, control[LONGEST])
        if not h > 1e-14 * max(t, 1e-6 * t_out[-1]):
            status = STEP_TOO_SMALL
            break
        if stiff == ROSENBROCK:
            if counts[FRESH] <= 0:
                jacobian(rhs, problem, t, y, work)
                counts[EVALUATIONS] += y.size + 1
                counts[FRESH] = 1
                control[RADIUS] = row_sum_norm(work.jacobian)
            rosenbrock_step(rhs, problem, method.rosenbrock, t, h, y, work)
            counts[EVALUATIONS] += 6
            error = rosenbrock_error(y, work, rtol, atol)
            order, end = ORDER, END
        elif stiff == STABILISED:
            if counts[FRESH] <= 0:
                control[RADIUS] = spectral_radius(rhs, problem, t, y, work, counts, EVALUATIONS)
                counts[FRESH] = RENEW
            if h * control[RADIUS] > table.length[-1]:
                h = table.length[-1] / control[RADIUS]
            row = degree_for(table, h * control[RADIUS])
            stabilised_step(rhs, problem, table, row, t, h, y, work)
            counts[EVALUATIONS] += table.degree[row]
            error = stabilised_error(table, row, y, work, h, rtol, atol)
            order, end = ORDER, END
        else:
            for i in range(1, stages):
                combine(y, work.k, tableau.a[i], i, h, work.y)
                rhs(problem, t + tableau.c[i] * h, work.y, work.k[i])
            counts[EVALUATIONS] += stages - 1
            error = error_norm(tableau, y, work, h, rtol, atol)
            order, end = tableau.order, stages - 1
        if error <= 1.0:
            stop = 2.0
            if watched or t_out[counts[NEXT]] <= t + h:
                if stiff == 0:
                    for i in range(stages, tableau.c.size):
                        combine(y, work.k, tableau.a[i], i, h, work.z)
                        rhs(problem, t + tableau.c[i] * h, work.z, work.k[i])
                        counts[EVALUATIONS] += 1
                if watched:
                    stop = find_events(value, problem, events, stiff, method, y, t, h, t_out[-1], work)
                reached = t + min(stop, 1.0) * h
                while counts[NEXT] < t_out.size and t_out[counts[NEXT]] <= reached:
                    inside(stiff, method, y, work, h, (t_out[counts[NEXT]] - t) / h, out[counts[NEXT]])
                    counts[NEXT] += 1
            counts[ACCEPTED] += 1
            if stop <= 1.0:
                inside(stiff, method, y, work, h, stop, work.z)
                y[:] = work.z
                control[TIME] = t + stop * h
                status = EVENT
                break
            if method.mode == AUTO or stiff:
                watch(method, work.k, h, control, counts)
            y[:] = work.y
            work.k[0] = work.k[end]
            control[TIME] = t + h
            error = max(error, 1e-10)
            grow = 0.9 * error ** (-0.7 / order) * control[LAST_ERROR] ** (0.4 / order)
            control[STEP] = h * min(8.0, max(0.2, grow))
            control[LAST_ERROR] = max(error, 1e-4)
            if not largest(y) < control[BOUND]:
                status = DIVERGED
                break
        else:
            counts[REJECTED] += 1
            if stiff == STABILISED and counts[FRESH] < RENEW:
                counts[FRESH] = 0
            # NaN compares false: shrink hard, until the status above ends it
            shrink = 0.9 * error ** (-1.0 / order) if error < 1e10 else 0.1
            control[STEP] = h * min(1.0, max(0.1, shrink))
    if status == RUNNING and counts[NEXT] >= t_out.size:
        status = DONE
    return status
