"""The exact chain, WIDTH replicas side by side: SGD in coordinates that grow by one a sample.

V (neurons, coordinates, WIDTH) holds the weights: on the P coordinates of the support, then along K orthonormal
directions that hold the residuals. Given the past, a fresh sample is N(0, I) along all of them, and what it has
outside lies along one new direction, of length χ_{d−P−K}. In these coordinates a step of SGD is that of the network
itself; then K has grown by the samples of the batch, and every ``block`` steps `compress` brings it back.
"""

from typing import NamedTuple

import numpy as np

from odesim._jit import kernel
from odesim._packs import WIDTH, filled, fma, load, load_single, root, store
from odesim.sgd._chain_labels import Scratch, lane_labels, scratch_of
from odesim.sgd._chain_radii import move
from odesim.sgd._chain_step import Neurons, neurons_of, step
from odesim.sgd._chi import FIRST, LENGTHS, TWO, Words, lane_lengths, lane_normals, lane_words, words_for
from odesim.sgd._compress import compress
from odesim.sgd._full import OF_W
from odesim.sgd._random import GROUP, INPUTS


class Lanes(NamedTuple):
    """The state of WIDTH replicas."""

    V: np.ndarray  # (N, P + most directions, WIDTH), zeros beyond the directions in use
    a: np.ndarray  # (N, WIDTH)
    b: np.ndarray
    keys: np.ndarray  # (2, WIDTH) uint32, of each replica's samples
    status: np.ndarray  # (WIDTH) int64
    ended: np.ndarray  # (WIDTH) int64, the step at which a run ended early
    when: np.ndarray  # (N, P, WIDTH) steps at a coordinate's release, −1 before


class Draws(NamedTuple):
    """Random numbers of a group of four samples."""

    words: Words  # of the coordinates, then two of the length: the one whose normal it takes and its word
    spare: Words  # of one more attempt at a length


@kernel
def draws_of(coordinates, width):
    """Return room for them."""
    return Draws(words_for(coordinates + TWO, width), words_for(TWO, width))


@kernel(counted=False)
def sweep(V, old, new, rows, keep, c, lam):
    """V_j = keep_j V_j + c_j old for the first ``rows`` coordinates, then lam_j = V_j new, two neurons at a time."""
    N = lam.shape[0]
    for j in range(0, N - 1, 2):
        k0, e0, s0 = load(keep, (j, 0)), load(c, (j, 0)), filled(0.0)
        k1, e1, s1 = load(keep, (j + 1, 0)), load(c, (j + 1, 0)), filled(0.0)
        for q in range(rows):
            x, y = load(old, (q, 0)), load(new, (q, 0))
            v = fma(k0, load(V, (j, q, 0)), e0 * x)
            store(V, (j, q, 0), v)
            s0 = fma(v, y, s0)
            v = fma(k1, load(V, (j + 1, q, 0)), e1 * x)
            store(V, (j + 1, q, 0), v)
            s1 = fma(v, y, s1)
        store(lam, (j, 0), s0)
        store(lam, (j + 1, 0), s1)
    if N % 2 == 1:
        j = N - 1
        keep_last, c_last, total = load(keep, (j, 0)), load(c, (j, 0)), filled(0.0)
        for q in range(rows):
            v = fma(keep_last, load(V, (j, q, 0)), c_last * load(old, (q, 0)))
            store(V, (j, q, 0), v)
            total = fma(v, load(new, (q, 0)), total)
        store(lam, (j, 0), total)


@kernel(counted=False)
def multiply(V, x, rows, lam):
    """lam_j = V_j x."""
    for j in range(lam.shape[0]):
        total = filled(0.0)
        for q in range(rows):
            total = fma(load(V, (j, q, 0)), load(x, (q, 0)), total)
        store(lam, (j, 0), total)


@kernel(inline="always", counted=False)
def finish(V, old, new, rows, n):
    """Finish the step on the samples ``old`` (B, coordinates, WIDTH), and multiply by the first of the next."""
    for s in range(old.shape[0]):
        sweep(V, old[s], new, rows, n.keep, n.c[s], n.lam[0])
        for j in range(V.shape[0]):
            store(n.keep, (j, 0), filled(1.0))


@kernel(counted=False)
def flush(V, x, rows, n):
    """Finish the step on the samples x; the next `finish` then changes nothing."""
    finish(V, x, x[0], rows, n)
    for s in range(n.c.shape[0]):
        for j in range(V.shape[0]):
            store(n.c, (s, j, 0), filled(0.0))


@kernel(counted=False)
def draw(keys, group, count, words):
    """Draw ``count`` coordinates of the samples of a group, and their lengths."""
    lane_words(keys, INPUTS, group, FIRST, count, FIRST, words.rows)
    lane_words(keys, LENGTHS, group, FIRST, TWO, count, words.rows)
    lane_normals(count + 1, words)


@kernel(counted=False)
def fill_sample(keys, number, rows, last, freedom, count, draws, x):
    """Fill x (coordinates, WIDTH) with a sample: ``rows`` normals, its length outside, zeros up to ``last``."""
    r, words = number % GROUP, draws.words
    for q in range(rows):
        store(x, (q, 0), load_single(words.normals, (r, q * WIDTH)))
    for q in range(rows, last):
        store(x, (q, 0), filled(0.0))
    if freedom > 0:
        normals = words.normals[r, count * WIDTH : (count + 1) * WIDTH]
        lane_lengths(keys, number // GROUP, r, freedom, normals, words.rows[r, count + 1], draws.spare, x[rows])


@kernel(counted=False)
def fill_batch(keys, first, rows, dim, drawn, count, draws, x):
    """Fill x (B, coordinates, WIDTH) with the samples from number ``first`` on; return the last group and its count.

    Each has a new direction for those after it, as long as there is freedom; all are filled up to the same last one.
    ``drawn`` is the last group drawn, with ``count`` coordinates.
    """
    batch = x.shape[0]
    last = min(rows + batch, dim)
    for s in range(batch):
        number, known = first + s, min(rows + s, dim)
        if number // GROUP != drawn:
            drawn, count = number // GROUP, min(known + GROUP - 1, dim)
            draw(keys, drawn, count, draws.words)
        fill_sample(keys, number, known, last, dim - known, count, draws, x[s])
    return drawn, count


@kernel(counted=False)
def products(x, coordinates, G):
    """G_st = <x_s, x_t>, t <= s."""
    for s in range(x.shape[0]):
        for t in range(s + 1):
            total = filled(0.0)
            for q in range(coordinates):
                total = fma(load(x, (s, q, 0)), load(x, (t, q, 0)), total)
            store(G, (s, t, 0), total)


@kernel(counted=False)
def to_sphere(V, rows):
    """Scale every V_j to length 1: takes away what rounding has done to it."""
    for j in range(V.shape[0]):
        total = filled(0.0)
        for q in range(rows):
            total = fma(load(V, (j, q, 0)), load(V, (j, q, 0)), total)
        factor = 1.0 / root(total)
        for q in range(rows):
            store(V, (j, q, 0), factor * load(V, (j, q, 0)))


class Room(NamedTuple):
    """What a call of the kernel works in.

    numba's arrays begin at multiples of 32 bytes and NumPy's of 16: half a pack across two cache lines costs two loads,
    altogether a tenth of a step for 8 neurons and a quarter for 32. So the weights are copied.
    """

    V: np.ndarray  # as in Lanes
    x: np.ndarray  # (2, B, coordinates, WIDTH) the samples of a step and those before
    u: np.ndarray  # (coordinates, WIDTH) a reflector
    n: Neurons
    draws: Draws
    labels: Scratch


@kernel
def room_for(lanes, source, batch):
    """Return it, with copies of the weights."""
    most, width, P = lanes.V.shape[1], lanes.V.shape[2], lanes.when.shape[1]
    x, n = np.zeros((2, batch, most, width)), neurons_of(lanes.a, lanes.b, lanes.status, batch)
    return Room(lanes.V.copy(), x, np.zeros((most, width)), n, draws_of(most, width), scratch_of(source, P, width))


@kernel(counted=False)
def write_back(room, lanes):
    """Copy the weights to where they came from."""
    for j in range(lanes.V.shape[0]):
        for q in range(lanes.V.shape[1]):
            store(lanes.V, (j, q, 0), load(room.V, (j, q, 0)))
        store(lanes.a, (j, 0), load(room.n.a, (j, 0)))
        store(lanes.b, (j, 0), load(room.n.b, (j, 0)))


@kernel(counted=False)
def walk(room, lanes, rows, start, count, act, rule, bound, source, setting):
    """Take ``count`` steps from step ``start``, ``rows`` coordinates in use; return their number after it."""
    V, x, n, dim, batch, first = room.V, room.x, room.n, setting.dim, setting.batch, lanes.when.shape[1]
    N = V.shape[0]
    now, phase, drawn, drawn_rows = 0, 0, np.int64(-1), np.int64(0)
    for number in range(start, start + count):
        while rule.stops[phase] <= number:
            phase += 1
        drawn, drawn_rows = fill_batch(lanes.keys, number * batch, rows, dim, drawn, drawn_rows, room.draws, x[1 - now])
        finish(V, x[now], x[1 - now, 0], rows, n)
        now = 1 - now
        for s in range(batch):
            if s > 0:
                multiply(V, x[now, s], rows, n.lam[s])
            lane_labels(lanes.keys, source, number * batch + s, x[now, s], room.labels, n.y[s])
        rates, rows = rule.rates[phase], min(rows + batch, dim)
        if setting.products:
            products(x[now], rows, n.G)
        step(act, rule, rates, bound, number, n, lanes.status, lanes.ended)
        if setting.r > 0.0 and rates[OF_W] > 0.0:
            move(V, x[now, 0], rows, setting.r, setting.delta, number, lanes.when, n)
        if (number + 1) % setting.block == 0:
            flush(V, x[now], rows, n)
            if rows > first + N:
                compress(V, first, rows, N, room.u)
                rows = first + N
            if rule.sphere:
                to_sphere(V, rows)
    flush(V, x[now], rows, n)
    return rows


@kernel
def advance(lanes, K, start, count, act, rule, bound, source, setting):
    """Take ``count`` steps from step ``start`` in place, K directions in use; return their number after it.

    Every ``setting.block`` steps, counted from step 0, K comes down to min(N, dim − P) or less.
    """
    room, P = room_for(lanes, source, setting.batch), lanes.when.shape[1]
    rows = walk(room, lanes, P + K, start, count, act, rule, bound, source, setting)
    write_back(room, lanes)
    return rows - P


@kernel(counted=False)
def lane_overlaps(V, rows, m, Q):
    """Fill m (N, P, WIDTH) and Q = V Vᵀ (N, N, WIDTH) from the first ``rows`` coordinates."""
    for j in range(V.shape[0]):
        for i in range(m.shape[1]):
            store(m, (j, i, 0), load(V, (j, i, 0)))
        for k in range(j + 1):
            total = filled(0.0)
            for q in range(rows):
                total = fma(load(V, (j, q, 0)), load(V, (k, q, 0)), total)
            store(Q, (j, k, 0), total)
            store(Q, (k, j, 0), total)
