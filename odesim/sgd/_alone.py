"""Neurons that are alone, WIDTH side by side: each takes its steps, and its lane then takes the next one.

A lane is filled only where a block of steps begins, so that a neuron's steps stand at the same places in its blocks
whatever lane it is in and whoever its neighbours are.
"""

from typing import NamedTuple

import numpy as np

from odesim._jit import kernel
from odesim._packs import WIDTH
from odesim.sgd._alone_draws import NEURON, STREAM, block_for, draw_block
from odesim.sgd._alone_labels import label_block, scratch_for
from odesim.sgd._alone_state import EVENT, FREE, Drawn, work_for
from odesim.sgd._alone_step import take_steps
from odesim.sgd._full import LARGEST, NOT_FINITE, RUNNING
from odesim.sgd._random import GROUP, U


class Starts(NamedTuple):
    """Where neurons start, and what they are to look for; replica number n is neuron n mod N of run n div N."""

    m: np.ndarray  # (N, P)
    s: np.ndarray  # (N)
    a: np.ndarray  # (N)
    b: np.ndarray  # (N)
    level: np.ndarray  # (N, events) NaN for another neuron's
    keys: np.ndarray  # (runs, 2) uint32
    stops: np.ndarray  # (phases) as `_full.Rule` has them
    rates: np.ndarray  # (phases, 6)
    steps: np.ndarray  # (T) int64 at which rows are recorded, the first 0


class Rows(NamedTuple):
    """What is recorded of replicas ``first``, ``first`` + 1, ...; rows that are not reached stay NaN."""

    first: int
    m: np.ndarray  # (replicas, T, P)
    q: np.ndarray  # (replicas, T)
    a: np.ndarray  # (replicas, T)
    b: np.ndarray  # (replicas, T)
    when: np.ndarray  # (replicas, events) int64, -1 for never
    released: np.ndarray  # (replicas, P) int64, likewise
    status: np.ndarray  # (replicas) int64
    ended: np.ndarray  # (replicas) int64


class Places(NamedTuple):
    """Where the lanes stand."""

    row: np.ndarray  # (WIDTH) int64, the next row to record
    phase: np.ndarray  # (WIDTH) int64
    mark: np.ndarray  # (WIDTH) int64, the next step at which to look at a lane
    queue: np.ndarray  # (1) int64, the next replica to take
    keys: np.ndarray  # (2, WIDTH) uint32
    stream: np.ndarray  # (WIDTH) uint32


@kernel(counted=False)
def write_row(lanes, places, rows, unit, lane):
    """Record the next row of a lane."""
    n, row = lanes.replica[lane] - rows.first, places.row[lane]
    total = lanes.s[lane] * lanes.s[lane]
    for i in range(lanes.released.shape[0]):
        total += lanes.m[i * WIDTH + lane] * lanes.m[i * WIDTH + lane]
    if not total + abs(lanes.a[lane]) + abs(lanes.b[lane]) <= LARGEST:
        lanes.status[lane], lanes.alive[lane] = NOT_FINITE, 0.0
        return
    for i in range(lanes.released.shape[0]):
        rows.m[n, row, i] = lanes.m[i * WIDTH + lane]
    rows.q[n, row], rows.a[n, row], rows.b[n, row] = total, lanes.a[lane] / unit, lanes.b[lane]
    places.row[lane] += 1


@kernel(counted=False)
def set_mark(lanes, places, starts, lane):
    """Take the rates of the phase that a lane is in, and find the next step at which to look at it."""
    phase = places.phase[lane]
    for i in range(starts.rates.shape[1]):
        lanes.rates[i * WIDTH + lane] = starts.rates[phase, i]
    row = places.row[lane]
    places.mark[lane] = min(starts.stops[phase], starts.steps[min(row, starts.steps.size - 1)])


@kernel(counted=False)
def attend(lanes, places, starts, rows, unit, lane, now):
    """At a mark: record, go into the next phase of the schedule, end after the last step."""
    if places.row[lane] < starts.steps.size and starts.steps[places.row[lane]] == now:
        write_row(lanes, places, rows, unit, lane)
        if lanes.status[lane] == NOT_FINITE:
            lanes.ended[lane] = now
    if places.row[lane] == starts.steps.size:
        lanes.alive[lane] = 0.0
    if starts.stops[places.phase[lane]] == now:
        places.phase[lane] += 1
    set_mark(lanes, places, starts, lane)


@kernel(counted=False)
def release(lanes, rows, lane):
    """Write down how a lane's neuron ended, and leave the lane empty."""
    n = lanes.replica[lane] - rows.first
    rows.status[n], rows.ended[n] = lanes.status[lane], lanes.ended[lane]
    for e in range(lanes.when.shape[0]):
        rows.when[n, e] = lanes.when[e, lane]
    for i in range(lanes.released.shape[0]):
        rows.released[n, i] = lanes.released[i, lane]
    lanes.replica[lane] = -1


@kernel(counted=False)
def take(plan, lanes, places, starts, rows, unit, lane):
    """Fill a lane with the next replica, at its start."""
    replica, N = places.queue[0], starts.a.size
    places.queue[0] += 1
    j, run = replica % N, replica // N
    lanes.replica[lane], lanes.base[lane], lanes.status[lane], lanes.ended[lane] = replica, 0, RUNNING, 0
    for i in range(lanes.released.shape[0]):
        lanes.m[i * WIDTH + lane], lanes.released[i, lane] = starts.m[j, i], -1
        lanes.kept[i * WIDTH + lane] = 0.0 if plan.geometry == FREE else 1.0
    lanes.s[lane], lanes.a[lane], lanes.b[lane] = starts.s[j], starts.a[j], starts.b[j]
    for e in range(lanes.when.shape[0]):
        lanes.level[e * WIDTH + lane], lanes.when[e, lane] = starts.level[j, e], -1
    places.keys[0, lane], places.keys[1, lane] = starts.keys[run, 0], starts.keys[run, 1]
    places.stream[lane], places.row[lane], places.phase[lane] = U(STREAM + NEURON * j), 0, 0
    lanes.alive[lane] = 1.0
    attend(lanes, places, starts, rows, unit, lane, 0)


@kernel(counted=False)
def attend_all(lanes, places, starts, rows, unit, p):
    """Look at the lanes whose mark place p of the block is, those that an event has just ended included."""
    for lane in range(WIDTH):
        now = lanes.base[lane] + p
        if places.mark[lane] == now and lanes.replica[lane] >= 0:
            just_ended = lanes.status[lane] == EVENT and lanes.ended[lane] == now
            if lanes.alive[lane] > 0.5 or just_ended:
                attend(lanes, places, starts, rows, unit, lane, now)


@kernel(inline="always", counted=False)
def next_stop(lanes, places, first, last):
    """Return the first place in the block, after ``first``, at which a lane alive is to be looked at; or ``last``."""
    stop = last
    for lane in range(WIDTH):
        if lanes.alive[lane] > 0.5:
            stop = min(stop, places.mark[lane] - lanes.base[lane])
    return max(stop, first)


@kernel(inline="always", counted=False)
def take_block(plan, lanes, places, starts, rows, unit, drawn, work):
    """Take the steps of a block, and look at the lanes where they are to be looked at."""
    size, p = np.int64(drawn.calls * GROUP), np.int64(0)
    while p < size:
        stop = next_stop(lanes, places, p, size)
        take_steps(plan, lanes, drawn, p, stop, work)
        p = stop
        marked = 0
        for lane in range(WIDTH):
            marked += 1 if places.mark[lane] == lanes.base[lane] + p else 0
        if marked > 0:
            attend_all(lanes, places, starts, rows, unit, p)
    for lane in range(WIDTH):
        lanes.base[lane] += size


@kernel(counted=False)
def refill(plan, lanes, places, starts, rows, unit):
    """Empty the lanes whose neuron has ended, and fill all that are empty."""
    last = rows.first + rows.status.size
    for lane in range(WIDTH):
        if lanes.replica[lane] >= 0 and not lanes.alive[lane] > 0.5:
            release(lanes, rows, lane)
        while lanes.replica[lane] < 0 and places.queue[0] < last:
            take(plan, lanes, places, starts, rows, unit, lane)
            if not lanes.alive[lane] > 0.5:
                release(lanes, rows, lane)


@kernel(inline="always", counted=False)
def going(lanes):
    """Return how many lanes have a neuron that moves."""
    found = 0
    for lane in range(WIDTH):
        found += 1 if lanes.alive[lane] > 0.5 else 0
    return found


@kernel(counted=False)
def take_blocks(plan, lanes, places, starts, rows, unit, blocks, room, drawn, table, labels):
    """Do the work of `advance`: what is drawn for a block is in ``room``, and seen as rows in the last three."""
    block, scratch, work, group = room
    P, normals = lanes.released.shape[0], table.shape[0]
    for _ in range(blocks):
        if going(lanes) < WIDTH:
            refill(plan, lanes, places, starts, rows, unit)
            if going(lanes) == 0:
                break
        for lane in range(WIDTH):
            group[lane] = lanes.base[lane] // GROUP
        draw_block(places.keys, places.stream, group, plan.room, normals, block)
        for n in range(plan.batch):
            first = n * plan.rows
            label_block(plan.source, table[first : first + P], table[first + plan.rows - 1], scratch, labels[n])
        take_block(plan, lanes, places, starts, rows, unit, drawn, work)


@kernel
def advance(plan, lanes, places, starts, rows, unit, blocks):
    """Take up to so many blocks of steps; return how many replicas of ``rows`` have not ended."""
    P = lanes.released.shape[0]
    normals = plan.batch * plan.rows + (1 if plan.room >= 2 else 0)
    block = block_for(normals, plan.batch)
    drawn = Drawn(block.normals.reshape(-1), block.square.reshape(-1), block.labels.reshape(-1), block.words.shape[1])
    samples = drawn.square.size
    table, labels = block.normals.reshape(normals, samples), block.labels.reshape(plan.batch, samples)
    room = block, scratch_for(plan.source, P, samples), work_for(P), np.zeros(WIDTH, np.int64)
    take_blocks(plan, lanes, places, starts, rows, unit, blocks, room, drawn, table, labels)
    left = rows.first + rows.status.size - places.queue[0]
    for lane in range(WIDTH):
        left += 1 if lanes.replica[lane] >= 0 else 0
    return left
