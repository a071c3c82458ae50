"""The integration loop of every method and every flow: step control, dense output, stiffness, events.

A trial step is one of an explicit Runge–Kutta method (`Tableau`), of the stabilised method (`Stabilised`) or of the
Rosenbrock method; where ``method.mode`` is AUTO a detector goes from the first to ``method.stiff`` and back. All that a
later call needs stands in ``control``, ``counts``, ``events`` and ``work``, so results do not depend on how many steps
a call makes.

A flow's entry holds a copy of `integrate`. Every place in it that calls the right-hand side, with its many arrays,
costs a second of compilation, so that there is one: tasks take turns before it and after it (`prepare`, `digest`),
compiled once for all flows.
"""

import numpy as np

from odesim._jit import kernel
from odesim.integrate._events import COMPONENT, HALVINGS, SAMPLES
from odesim.integrate._explicit import EVALUATIONS, NEXT, RUNNING, TIME, combine
from odesim.integrate._rock import ENDING, stabilised_argument
from odesim.integrate._steps import (
    DENSE,
    EXPLICIT,
    FIRST,
    FRESH,
    NEW_STEP,
    RENEWAL,
    ROW,
    STABILISED,
    STAGE,
    STIFF,
    TRIAL,
    accept,
    digest,
    error_of,
    fit,
    inside,
    new_step,
    opening,
    prepare,
    record,
    reject,
)


@kernel(counted=False)
def no_value(problem, kind, entry, y):
    """Stand in for the quantities of a flow that has none."""
    return 0.0


@kernel(counted=False)
def crosses(direction, before, now):
    """Whether a quantity goes through 0 that way; arriving there counts, leaving it does not."""
    if before < 0.0 and now >= 0.0:
        return direction >= 0
    if before > 0.0 and now <= 0.0:
        return direction <= 0
    return False


@kernel(inline="always")
def find_events(value, problem, events, stiff, method, y, t, h, last, work):
    """Look for events in an accepted step; return the θ at which a terminal one ends it, 2 if none does.

    A quantity is looked at where each of SAMPLES parts ends, then bisected. Nothing that happens after the time
    ``last``, beyond which the step may reach, counts.
    """
    end = 2.0
    for e in range(events.level.size):
        low, high, top, halvings = 0.0, 0.0, 0.0, -1
        part = 1 if events.before[e] == events.before[e] else 0  # NaN: not looked at yet
        while events.time[e] != events.time[e] and part <= SAMPLES and halvings < HALVINGS:
            theta = part / SAMPLES if halvings < 0 else 0.5 * (low + high)
            inside(stiff, method, y, work, h, theta, work.z)
            if events.kind[e] == COMPONENT:
                now = work.z[events.entry[e]] - events.level[e]
            else:
                now = value(problem, events.kind[e], events.entry[e], work.z) - events.level[e]
            if halvings >= 0:
                if crosses(0, events.before[e], now):
                    high, top = theta, now
                else:
                    low = theta
                halvings += 1
            elif crosses(events.direction[e], events.before[e], now):
                low, high, top, halvings = (part - 1) / SAMPLES, theta, now, 0
            else:
                events.before[e] = now
                part += 1
        if halvings == HALVINGS:
            inside(stiff, method, y, work, h, high, events.state[e])
            events.before[e] = top
            events.time[e] = t + high * h
            if events.terminal[e] and high < end and events.time[e] <= last:
                end = high
    forget(events, min(t + end * h, last))
    return end


@kernel(counted=False)
def forget(events, last):
    """Nothing after the time ``last`` has happened."""
    for e in range(events.level.size):
        if events.time[e] > last:
            events.time[e] = np.nan
            for j in range(events.state.shape[1]):
                events.state[e, j] = np.nan


@kernel(inline="always")
def integrate(rhs, value, problem, method, y, control, counts, t_out, out, events, work, budget):
    """Advance y by at most ``budget`` accepted or rejected steps, filling ``out`` (T, n) at the times ``t_out`` (T).

    ``value(problem, kind, entry, y)`` is a quantity of the flow for `Events`. Returns RUNNING while outputs are
    missing. Step sizes follow a PI controller (Gustafsson 1991). A state that is not finite, larger than
    control[BOUND], a step below the spacing of floats or a terminal event ends the integration with its status.
    """
    tableau = method.tableau
    stages, watched, stable = tableau.error.size, events.level.size > 0, method.stabilised
    status, left, e, t, h, error = RUNNING, budget, 0, control[TIME], 0.0, 0.0
    task = opening(method, y, control, counts, t_out, out, events)
    while True:
        if task == NEW_STEP:
            status = status if status != RUNNING else new_step(control, counts, t_out)
            if left == 0 or status != RUNNING:
                break
            left -= 1
            t, task, e = control[TIME], STAGE, 1
            if counts[STIFF]:
                e = 0
                if counts[FRESH] <= 0:
                    task = RENEWAL
                elif counts[STIFF] == STABILISED:
                    fit(method.stabilised, control, counts)
            h = control[TRIAL]
        explicit = task == DENSE or (task == STAGE and counts[STIFF] == EXPLICIT)
        stabilised = task == STAGE and counts[STIFF] == STABILISED
        late = e + 5 - stable.degree[counts[ROW]] if stabilised else 0  # of the stages after the recurrence
        if explicit:
            combine(y, work.k, tableau.a[e], e, h, work.z if task == DENSE else work.y)
            when, row = t + tableau.c[e] * h, e
        elif late > 0:
            combine(work.z, work.k[ENDING:], stable.ending[counts[ROW], late - 1], late, h, work.y)
            when, row = t + stable.late[counts[ROW], late - 1] * h, ENDING + late
        elif stabilised:
            when, row = stabilised_argument(stable, counts[ROW], e, t, h, y, work), ENDING
        else:
            when, row = prepare(method, task, e, t, h, y, control, counts, work)
        rhs(problem, when, work.z if task == DENSE else work.y, work.k[row])
        counts[EVALUATIONS] += 1
        e += 1
        if explicit:
            more = e < (tableau.c.size if task == DENSE else stages)
        elif stabilised:
            more = late < 4
        else:
            more = digest(method, task, e - 1, t, h, y, control, counts, work)
        if more:
            continue
        if task <= FIRST:
            task, e = opening(method, y, control, counts, t_out, out, events), 0
            continue
        if task == RENEWAL:
            task, e = STAGE, 0
            if counts[STIFF] == STABILISED:
                fit(method.stabilised, control, counts)
                h = control[TRIAL]
            continue
        if task == STAGE:
            error = error_of(method, y, control, counts, work)
            if not error <= 1.0:
                reject(method, error, control, counts)
                task = NEW_STEP
                continue
        wanted = watched or t_out[counts[NEXT]] <= t + h
        if wanted and task == STAGE and counts[STIFF] == EXPLICIT and tableau.c.size > stages:
            task, e = DENSE, stages
            continue
        stop = 2.0
        if watched:
            stop = find_events(value, problem, events, counts[STIFF], method, y, t, h, t_out[-1], work)
        if wanted:
            record(method, stop, y, control, counts, t_out, out, work)
        status = accept(method, stop, error, y, control, counts, work)
        task = NEW_STEP
    return status
