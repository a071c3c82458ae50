"""The ensemble's integration loop: many small systems side by side, each with its own step size and status.

Member by member they are integrated as by `explicit` with Tsitouras' pair: LANES of them at once, laid out
structure-of-arrays (row j of an array holds entry j of every lane), and computed in packs of lanes. A lane whose
member ends takes the next one. All arithmetic of a lane is that of its own member, so no bit of a trajectory depends on
neighbours, on the ensemble's size or on the lane.
"""

from typing import NamedTuple

import numpy as np

from odesim._jit import kernel
from odesim._packs import WIDTH, choose, count, filled, load, root, size_of, store
from odesim.integrate._explicit import DIVERGED, DONE, RUNNING, STEP_TOO_SMALL
from odesim.integrate._lane_steps import (
    LANES,
    LOG_LEAST,
    combine_lanes,
    dense_lanes,
    error_lanes,
    exp2,
    find_due,
    log2,
    record_lanes,
    step_lanes,
)

TOO_FAST = 5

IDLE = -1

# places in `places`: the next member to prepare, the last one, prepared members handed out and prepared at all
NEXT_MEMBER, LAST_MEMBER, HANDED_OUT, PREPARED, PLACES = 0, 1, 2, 3, 4


class Members(NamedTuple):
    """What is to be integrated, and what comes of it; autonomous systems from time 0."""

    start: np.ndarray  # (N, n)
    parameters: np.ndarray  # (N, p) numbers in which the members' right-hand sides differ
    times: np.ndarray  # (T + FEW) outputs, then infinities
    out: np.ndarray  # (N, n, T + FEW), right up to the time reached
    status: np.ndarray  # (N) int64
    reached: np.ndarray  # (N) time


class Rules(NamedTuple):
    """When a step is good enough, and when a member ends."""

    end: float  # the last output
    rtol: float
    atol: float
    bound: float  # of every entry
    grace: float  # a member may try so many steps
    steps_a_time: float  # and so many more for every unit of time passed


class Block(NamedTuple):
    """LANES members next to each other."""

    member: np.ndarray  # (LANES) int64, IDLE for none
    parameters: np.ndarray  # (p, LANES)
    y: np.ndarray  # (n, LANES)
    trial: np.ndarray  # (n, LANES)
    k: np.ndarray  # (stages, n, LANES)
    h: np.ndarray  # (LANES) step size
    error: np.ndarray  # (LANES) the square of its error norm


class Lanes(NamedTuple):
    """The members under way, and the next ones, whose first slope and step size are known."""

    running: Block
    waiting: Block
    t: np.ndarray  # (LANES)
    due: np.ndarray  # (LANES) time of the next output
    last: np.ndarray  # (LANES) log2 of the error of the last good step
    largest: np.ndarray  # (LANES) of the entries of y
    dense: np.ndarray  # (POWERS, n, LANES) the step as a polynomial in θ, without its constant
    found: np.ndarray  # (LANES + 1) int64 lanes that have an output in their step
    output: np.ndarray  # (LANES) int64 number of the next output
    tried: np.ndarray  # (LANES) steps, as floats
    places: np.ndarray  # (PLACES) int64


@kernel(inline="always", counted=False)
def count_going(rules, t, h, due, largest, tried):
    """How many lanes have a step to try; idle ones have none."""
    going, least = 0, 1e-20 * rules.end
    for lane in range(0, LANES, WIDTH):
        now, step = load(t, (lane,)), load(h, (lane,))
        may = (load(largest, (lane,)) < rules.bound) & (load(due, (lane,)) < np.inf)
        may = may & (step > 1e-14 * now) & (step > least)
        may = may & (load(tried, (lane,)) <= rules.grace + rules.steps_a_time * now)
        going += count(may)
    return going


@kernel(counted=False)
def retire_lanes(rules, members, lanes):
    """End the members that are done or hopeless, and leave their lanes idle, at rest at 1."""
    block, end = lanes.running, rules.end
    for lane in range(LANES):
        member, t = block.member[lane], lanes.t[lane]
        if member == IDLE:
            continue
        status = RUNNING
        if not lanes.largest[lane] < rules.bound:
            status = DIVERGED
        elif lanes.due[lane] == np.inf:
            status = DONE
        elif not block.h[lane] > 1e-14 * max(t, 1e-6 * end):
            status = STEP_TOO_SMALL
        elif lanes.tried[lane] > rules.grace + rules.steps_a_time * t:
            status = TOO_FAST
        members.status[member], members.reached[member] = status, t
        if status != RUNNING:
            block.member[lane], lanes.due[lane], lanes.t[lane], block.h[lane] = IDLE, np.inf, 0.0, 0.0
            for j in range(block.y.shape[0]):
                block.y[j, lane], block.k[0, j, lane] = 1.0, 0.0
            for j in range(block.parameters.shape[0]):
                block.parameters[j, lane] = 0.0


@kernel(counted=False)
def prepare(members, lanes):
    """Put the next members into the waiting block, idle lanes at 1."""
    block, places = lanes.waiting, lanes.places
    for lane in range(LANES):
        member = places[NEXT_MEMBER] + lane
        block.member[lane] = member if member < places[LAST_MEMBER] else IDLE
        for j in range(block.y.shape[0]):
            block.y[j, lane] = members.start[member, j] if block.member[lane] != IDLE else 1.0
        for j in range(block.parameters.shape[0]):
            block.parameters[j, lane] = members.parameters[member, j] if block.member[lane] != IDLE else 0.0
    places[PREPARED] = min(LANES, places[LAST_MEMBER] - places[NEXT_MEMBER])
    places[NEXT_MEMBER] += places[PREPARED]
    places[HANDED_OUT] = 0


@kernel(counted=False)
def first_guess(rtol, atol, y, k, h, trial):
    """Choose h for a trial step along the first slope: Hairer, Nørsett & Wanner I, II.4."""
    share = 1.0 / y.shape[0]
    for lane in range(0, LANES, WIDTH):
        speed, size = filled(0.0), filled(0.0)
        for j in range(y.shape[0]):
            now = load(y, (j, lane))
            unit = 1.0 / (atol + rtol * size_of(now))
            slope, now = unit * load(k, (0, j, lane)), unit * now
            speed, size = speed + slope * slope, size + now * now
        speed, size = root(share * speed), root(share * size)
        step = choose((size > 1e-5) & (speed > 1e-5), 0.01 * size / speed, filled(1e-6))
        store(h, (lane,), step)
        for j in range(y.shape[0]):
            store(trial, (j, lane), load(y, (j, lane)) + step * load(k, (0, j, lane)))


@kernel(counted=False)
def second_guess(order, rtol, atol, y, k, h):
    """Choose h from how the slope, k[1] at the end of the trial step, has changed."""
    share, power = 1.0 / y.shape[0], -1.0 / order
    for lane in range(0, LANES, WIDTH):
        speed, bend, step = filled(0.0), filled(0.0), load(h, (lane,))
        for j in range(y.shape[0]):
            unit = 1.0 / (atol + rtol * size_of(load(y, (j, lane))))
            slope, later = unit * load(k, (0, j, lane)), unit * load(k, (1, j, lane))
            speed, bend = speed + slope * slope, bend + (later - slope) * (later - slope)
        speed, bend = root(share * speed), root(share * bend) / step
        bend = 100.0 * choose(speed > bend, speed, bend)
        known = choose(bend > 1e-13, bend, filled(1e15))
        guess, most = exp2(power * log2(choose(known < 1e300, known, filled(1e300)))), 100.0 * step
        store(h, (lane,), choose(guess < most, guess, most))


@kernel(inline="always", counted=False)
def move(come, waiting, lane, running):
    """Copy a lane's column."""
    for j in range(running.shape[0]):
        running[j, lane] = waiting[j, come]


@kernel(counted=False)
def hand_out(members, lanes):
    """Give waiting members to idle lanes; return whether more of them could be used."""
    block, waiting, places, times = lanes.running, lanes.waiting, lanes.places, members.times
    for lane in range(LANES):
        if block.member[lane] == IDLE:
            if places[HANDED_OUT] >= places[PREPARED]:
                return places[NEXT_MEMBER] < places[LAST_MEMBER]
            come = places[HANDED_OUT]
            places[HANDED_OUT] += 1
            member = waiting.member[come]
            block.member[lane], block.h[lane] = member, waiting.h[come]
            move(come, waiting.y, lane, block.y)
            for j in range(block.y.shape[0]):
                block.k[0, j, lane] = waiting.k[0, j, come]
            move(come, waiting.parameters, lane, block.parameters)
            lanes.t[lane], lanes.last[lane], lanes.tried[lane], output = 0.0, LOG_LEAST, 0, 0
            while times[output] <= 0.0:
                for j in range(members.start.shape[1]):
                    members.out[member, j, output] = members.start[member, j]
                output += 1
            lanes.output[lane], lanes.due[lane] = output, times[output]
    return False


@kernel(inline="always", counted=False)
def integrate_lanes(rhs, problem, tableau, rules, members, lanes, rounds):
    """Try at most ``rounds`` steps in every lane; return whether any member is left.

    ``rhs(problem, parameters, y, dy)`` takes the rows of a block. ``lanes`` carries everything from call to call.
    """
    block, waiting, places, dense = lanes.running, lanes.waiting, lanes.places, lanes.dense
    y, k, trial, h, error, parameters = block.y, block.k, block.trial, block.h, block.error, block.parameters
    t, due, last, largest, tried, output = lanes.t, lanes.due, lanes.last, lanes.largest, lanes.tried, lanes.output
    a, weights, order = tableau.a, tableau.error, tableau.order
    member, times, out, rtol, atol = block.member, members.times, members.out, rules.rtol, rules.atol
    idle = LANES
    for _ in range(rounds):
        while idle > 0 and hand_out(members, lanes):
            prepare(members, lanes)
            rhs(problem, waiting.parameters, waiting.y, waiting.k[0])
            first_guess(rtol, atol, waiting.y, waiting.k, waiting.h, waiting.trial)
            rhs(problem, waiting.parameters, waiting.trial, waiting.k[1])
            second_guess(order, rtol, atol, waiting.y, waiting.k, waiting.h)
        for i in range(1, a.shape[0]):
            combine_lanes(a, i, y, k, h, trial)
            rhs(problem, parameters, trial, k[i])
        error_lanes(weights, rtol, atol, y, k, h, trial, error)
        many = find_due(error, t, h, due, lanes.found)
        if many > 0:
            dense_lanes(tableau.dense, y, trial, k, h, dense)
            record_lanes(many, t, h, y, dense, member, times, lanes.found, output, due, out)
        step_lanes(order, y, k, trial, error, t, h, last, largest, tried)
        idle = LANES - count_going(rules, t, h, due, largest, tried)
        if idle > 0:
            retire_lanes(rules, members, lanes)
            if idle == LANES and places[HANDED_OUT] == places[PREPARED] and places[NEXT_MEMBER] == places[LAST_MEMBER]:
                return False
    retire_lanes(rules, members, lanes)
    return True
