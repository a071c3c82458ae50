"""What a step is made of, whatever the method: tasks before and after each right-hand side, and the step's end.

Nothing here reads the flow, so it is compiled once for all of them.
"""

from typing import NamedTuple

import numpy as np

from odesim._jit import kernel
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
    copy,
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
)
from odesim.integrate._rosenbrock import (
    Rosenbrock,
    finish_stage,
    jacobian_argument,
    jacobian_take,
    rosenbrock_argument,
    rosenbrock_dense,
    rosenbrock_error,
    row_sum_norm,
)
from odesim.integrate._stiff import radius_argument, radius_take, rate_of_stages

EVENT = 6

# more places in `control` and `counts`
# the longest step (0: any), the spectral radius, the trial step, ROCK4's last step by its evaluations
LONGEST, RADIUS, TRIAL, PACE, CONTROLS = range(CONTROL_SIZE, CONTROL_SIZE + 5)
STIFF, HITS, MISSES, FRESH, SWITCHES, RETURNS, ROW, COUNTS = range(COUNTS_SIZE, COUNTS_SIZE + 8)

# what the right-hand side is wanted for, and that a new step is to begin
BEGIN, FIRST, RENEWAL, STAGE, DENSE, NEW_STEP = range(6)

# kinds of step, in counts[STIFF]; the modes of a method are to keep to its kind, or to change it
EXPLICIT, STABILISED, ROSENBROCK = 0, 1, 2
FIXED, AUTO = 0, 1

NEAR, ENOUGH, FORGET = 0.8, 10, 6
"""A step counts as held by stability from this share of the bound on; so many of them, with fewer than FORGET others in
a row between, make the problem stiff."""

EASY, EASY_STEPS = 0.4, 3
"""After so many steps below this share of the explicit method's bound it takes over again."""

DEARER, FACTORS, PATIENCE, STREAK, WORSE = 7, 45.0, 5, 16, 4.0
"""A Rosenbrock step takes n + DEARER evaluations, and its factors as long as n²/FACTORS more of an overlap flow.

Once ROCK4 has spent PATIENCE times as much it gives way. It comes back after STREAK steps in a row each of which
brings WORSE times less for what it costs than ROCK4's last one did, and is then twice, later four times as patient.
WORSE is not 1, for ROCK4's errors are larger at the same tolerance.
"""

RENEW = 25
"""Accepted steps after which the spectral radius is measured again."""


class Method(NamedTuple):
    """What a step is made of; every method carries the tables of all three kinds, so that one entry serves all."""

    mode: int
    kind: int  # of the first step
    stiff: int  # the kind to end up with where the problem stays stiff
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


@kernel(counted=False)
def inside(stiff, method, y, work, h, theta, out):
    """Dense output of the trial step, the state at t + θh."""
    if theta == 1.0:
        copy(work.y, out)
    elif stiff == STABILISED:
        hermite(y, work.y, work.k, h, theta, out)
    elif stiff == ROSENBROCK:
        rosenbrock_dense(method.rosenbrock, y, work.y, work.k, theta, out)
    else:
        interpolate(method.tableau, y, work.k, h, theta, out)


@kernel(counted=False)
def guess(y, k, control):
    """Return the length of the trial step by which the first step size is found: Hairer, Nørsett & Wanner I, II.4."""
    speed = scaled_norm(k[0], y, y, control[RTOL], control[ATOL])
    size = scaled_norm(y, y, y, control[RTOL], control[ATOL])
    return 0.01 * size / speed if size > 1e-5 and speed > 1e-5 else 1e-6


@kernel(counted=False)
def take_first(method, y, control, counts, work):
    """Set the first step size from the slopes at both ends of the trial step."""
    rtol, atol, first = control[RTOL], control[ATOL], guess(y, work.k, control)
    speed = scaled_norm(work.k[0], y, y, rtol, atol)
    for j in range(y.size):
        work.k[1, j] -= work.k[0, j]
    bend = max(speed, scaled_norm(work.k[1], y, y, rtol, atol) / first)
    order = ORDER if counts[STIFF] else method.tableau.order
    control[STEP] = min(100.0 * first, (0.01 / bend) ** (1.0 / order) if bend > 1e-15 else 1e-3)


@kernel(counted=False)
def prepare(method, task, e, t, h, y, control, counts, work):
    """Put the argument of evaluation e of a task into work.y; return its time and the row of its slope.

    Only Rosenbrock's stages come here: those of the other methods are quicker where they are called.
    """
    if task == BEGIN:
        copy(y, work.y)
        return t, 0
    if task == FIRST:
        first = guess(y, work.k, control)
        for j in range(y.size):
            work.y[j] = y[j] + first * work.k[0, j]
        return t + first, 1
    if task == STAGE:
        return rosenbrock_argument(method.rosenbrock, e, t, h, y, work)
    if counts[STIFF] == ROSENBROCK:
        return jacobian_argument(e, t, y, work)
    radius_argument(e, y, work)
    return t, 2


@kernel(counted=False)
def digest(method, task, e, t, h, y, control, counts, work):
    """Take in evaluation e of a task; return whether it wants another."""
    if task == BEGIN:
        return False
    if task == FIRST:
        take_first(method, y, control, counts, work)
        return False
    if task == STAGE:
        if e < 5:
            finish_stage(method.rosenbrock, e + 1, h, work)
        return e < 5
    if counts[STIFF] == ROSENBROCK:
        jacobian_take(e, t, y, work)
        if e < y.size:
            return True
        control[RADIUS] = row_sum_norm(work.jacobian)
        counts[FRESH] = 1
        return False
    control[RADIUS], final = radius_take(e, y, work, control[RADIUS])
    if final:
        counts[FRESH] = RENEW
    return not final


@kernel(counted=False)
def opening(method, y, control, counts, t_out, out, events):
    """Return the task with which a call, or the run, begins; record what is asked for at the start."""
    if counts[EVALUATIONS] == 0:
        counts[STIFF] = method.kind
        for e in range(events.before.size):
            events.before[e] = np.nan
        return BEGIN
    if control[STEP] == 0.0:
        return FIRST
    if control[LAST_ERROR] == 0.0:
        control[LAST_ERROR] = 1e-4
    while counts[NEXT] < t_out.size and t_out[counts[NEXT]] <= control[TIME]:
        copy(y, out[counts[NEXT]])
        counts[NEXT] += 1
    return NEW_STEP


@kernel(counted=False)
def new_step(control, counts, t_out):
    """Settle the length of a trial step; return the status."""
    if counts[NEXT] >= t_out.size:
        return DONE
    control[TRIAL] = control[STEP]
    if control[LONGEST] > 0.0:
        control[TRIAL] = min(control[STEP], control[LONGEST])
    return RUNNING if control[TRIAL] > 1e-14 * max(control[TIME], 1e-6 * t_out[-1]) else STEP_TOO_SMALL


@kernel(counted=False)
def fit(table, control, counts):
    """Choose the degree of a stabilised step, and shorten it where the largest does not suffice."""
    if control[TRIAL] * control[RADIUS] > table.length[-1]:
        control[TRIAL] = table.length[-1] / control[RADIUS]
    counts[ROW] = degree_for(table, control[TRIAL] * control[RADIUS])


@kernel(inline="always")
def error_of(method, y, control, counts, work):
    """Scaled norm of the error estimate of the trial step."""
    rtol, atol, stiff = control[RTOL], control[ATOL], counts[STIFF]
    if stiff == ROSENBROCK:
        return rosenbrock_error(y, work, rtol, atol)
    if stiff == STABILISED:
        return stabilised_error(method.stabilised, counts[ROW], y, work, control[TRIAL], rtol, atol)
    return error_norm(method.tableau, y, work, control[TRIAL], rtol, atol)


@kernel(counted=False)
def watch(mode, stiff, tableau, degree, k, z, h, control, counts):
    """After an accepted step: count the signs of stiffness or of its end, and change the kind of step by them.

    ``degree`` is the evaluations of a stabilised step; overwrites z.
    """
    kind, switch, price = counts[STIFF], False, k.shape[1] + DEARER + k.shape[1] ** 2 / FACTORS
    if kind == EXPLICIT:
        if rate_of_stages(tableau, k, z) > NEAR * tableau.bound:
            counts[HITS] += 1
            counts[MISSES] = 0
        else:
            counts[MISSES] += 1
            if counts[MISSES] >= FORGET:
                counts[HITS] = 0
        if counts[HITS] >= ENOUGH:
            kind, switch = STABILISED, True
    else:
        counts[FRESH] -= 1
        counts[HITS] = counts[HITS] + 1 if h * control[RADIUS] < EASY * tableau.bound else 0
        patience = PATIENCE << min(counts[RETURNS], 2)
        if counts[HITS] >= EASY_STEPS:
            kind, switch = EXPLICIT, True
        elif kind == STABILISED and stiff == ROSENBROCK:
            counts[MISSES] += degree
            control[PACE] = h / degree
            if counts[MISSES] > patience * price:
                kind = ROSENBROCK
        elif kind == ROSENBROCK:
            counts[MISSES] = counts[MISSES] + 1 if WORSE * h < control[PACE] * price else 0
            if counts[MISSES] >= STREAK:
                kind = STABILISED
                counts[RETURNS] += 1
    if mode == AUTO and kind != counts[STIFF]:
        counts[STIFF], counts[HITS], counts[MISSES], counts[FRESH] = kind, 0, 0, 0
        counts[SWITCHES] += switch


@kernel(counted=False)
def record(method, stop, y, control, counts, t_out, out, work):
    """Fill the outputs inside an accepted step, up to its share ``stop``."""
    t, h = control[TIME], control[TRIAL]
    reached = t + min(stop, 1.0) * h
    while counts[NEXT] < t_out.size and t_out[counts[NEXT]] <= reached:
        theta = (t_out[counts[NEXT]] - t) / h
        inside(counts[STIFF], method, y, work, h, theta, out[counts[NEXT]])
        counts[NEXT] += 1


@kernel(inline="always")
def accept(method, stop, error, y, control, counts, work):
    """Move to the end of the step, or to the terminal event at its share ``stop`` if that is at most 1."""
    h, stiff = control[TRIAL], counts[STIFF]
    counts[ACCEPTED] += 1
    if stop <= 1.0:
        inside(stiff, method, y, work, h, stop, work.z)
        copy(work.z, y)
        control[TIME] += stop * h
        return EVENT
    order, end = (ORDER, END) if stiff else (method.tableau.order, method.tableau.error.size - 1)
    if method.mode == AUTO or stiff:
        degree = method.stabilised.degree[counts[ROW]]
        watch(method.mode, method.stiff, method.tableau, degree, work.k, work.z, h, control, counts)
    copy(work.y, y)
    copy(work.k[end], work.k[0])
    control[TIME] += h
    error = max(error, 1e-10)
    grow = 0.9 * error ** (-0.7 / order) * control[LAST_ERROR] ** (0.4 / order)
    control[STEP] = h * min(8.0, max(0.2, grow))
    control[LAST_ERROR] = max(error, 1e-4)
    return RUNNING if largest(y) < control[BOUND] else DIVERGED


@kernel(counted=False)
def reject(method, error, control, counts):
    """Shorten the step."""
    order = ORDER if counts[STIFF] else method.tableau.order
    counts[REJECTED] += 1
    if counts[STIFF] == STABILISED and counts[FRESH] < RENEW:
        counts[FRESH] = 0
    # NaN compares false: shrink hard, until the step ends the run
    shrink = 0.9 * error ** (-1.0 / order) if error < 1e10 else 0.1
    control[STEP] = control[TRIAL] * min(1.0, max(0.1, shrink))
