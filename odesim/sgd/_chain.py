"""The exact chain, WIDTH replicas side by side: SGD in coordinates that grow by one a sample.

V (neurons, coordinates, WIDTH) holds the weights: on the P coordinates of the support, then along K orthonormal
directions that hold the residuals. Given the past, a fresh sample is N(0, I) along all of them, and what it has outside
lies along one new direction, of length χ_{d−P−K}. In these coordinates a step of SGD is that of the network itself; then
K has grown by one, and every ``block`` steps `compress` brings it back.
"""

from typing import NamedTuple

import numpy as np

from odesim._jit import kernel
from odesim._packs import filled, fma, load, root, store
from odesim.sgd._chain_labels import lane_labels, scratch_of
from odesim.sgd._chain_step import Neurons, step
from odesim.sgd._chi import CHUNK, LENGTHS, lane_lengths, lane_normals
from odesim.sgd._compress import compress
from odesim.sgd._full import RUNNING
from odesim.sgd._random import GROUP, INPUTS


class Lanes(NamedTuple):
    """The state of WIDTH replicas."""

    V: np.ndarray  # (N, P + most directions, WIDTH), zeros beyond the directions in use
    a: np.ndarray  # (N, WIDTH)
    b: np.ndarray
    keys: np.ndarray  # (2, WIDTH) uint32, of each replica's samples
    status: np.ndarray  # (WIDTH) int64
    ended: np.ndarray  # (WIDTH) int64, the step at which a run ended early


@kernel(inline="always", counted=False)
def sweep(V, old, new, rows, keep, c, lam):
    """V_j = keep_j V_j + c_j old for the first ``rows`` coordinates, then lam_j = V_j new, two neurons at a time."""
    N = lam.shape[0]
    for j in range(0, N, 2):
        i = min(j + 1, N - 1)  # an odd last row is done twice, and the second time left alone
        k0, e0, s0 = load(keep, (j, 0)), load(c, (j, 0)), filled(0.0)
        k1, e1, s1 = load(keep, (i, 0)), load(c, (i, 0)), filled(0.0)
        if i == j:
            for q in range(rows):
                v = fma(k0, load(V, (j, q, 0)), e0 * load(old, (q, 0)))
                store(V, (j, q, 0), v)
                s0 = fma(v, load(new, (q, 0)), s0)
        else:
            for q in range(rows):
                x, y = load(old, (q, 0)), load(new, (q, 0))
                v = fma(k0, load(V, (j, q, 0)), e0 * x)
                store(V, (j, q, 0), v)
                s0 = fma(v, y, s0)
                v = fma(k1, load(V, (i, q, 0)), e1 * x)
                store(V, (i, q, 0), v)
                s1 = fma(v, y, s1)
            store(lam, (i, 0), s1)
        store(lam, (j, 0), s0)


@kernel(counted=False)
def sweep_lanes(V, old, new, rows, keep, c, lam):
    """The same, compiled by itself."""
    sweep(V, old, new, rows, keep, c, lam)


@kernel
def load_sample(keys, group, r, rows, freedom, normals, lengths, words, x, square):
    """Fill x (coordinates, WIDTH) with sample 4 group + r, the length outside last; square with |x|²."""
    for q in range(rows):
        for lane in range(x.shape[1]):
            x[q, lane] = normals[r, q, lane]
    if freedom > 0:
        lane_lengths(keys, group, r, freedom, lengths[r, 0], words[r, 1], x[rows])
    else:
        x[rows] = 0.0
    total = filled(0.0)
    for q in range(rows + 1):
        total = fma(load(x, (q, 0)), load(x, (q, 0)), total)
    store(square, (0, 0), total)


@kernel
def neurons_of(lanes):
    """Return the arrays of a step."""
    N, width = lanes.a.shape
    flat, rest, single = np.zeros((3, N * width)), np.zeros((3, N, width)), np.zeros((3, 1, width))
    rest[2] = 1.0
    for lane in range(width):
        single[2, 0, lane] = 1.0 if lanes.status[lane] == RUNNING else 0.0
    pre, s, ds = flat[0], flat[1], flat[2]
    shape = (N, width)
    return Neurons(
        lanes.a, lanes.b, rest[0], pre.reshape(shape), s.reshape(shape), ds.reshape(shape), rest[1], rest[2],
        single[0], single[1], single[2], pre, s, ds,
    )  # fmt: skip


@kernel(counted=False)
def flush(V, x, rows, n):
    """Bring V up to date."""
    sweep(V, x, x, rows, n.keep, n.c, n.lam)
    for j in range(V.shape[0]):
        store(n.keep, (j, 0), filled(1.0))
        store(n.c, (j, 0), filled(0.0))


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


@kernel
def advance(lanes, P, dim, K, block, start, count, act, rule, bound, source):
    """Take ``count`` steps from step ``start`` in place, K directions in use; return their number after it.

    Every ``block`` steps, counted from step 0, K comes down to min(N, dim − P) or less.
    """
    N, width = lanes.a.shape
    most = lanes.V.shape[1]
    n = neurons_of(lanes)
    x = np.zeros((2, most + 1, width))
    words, normals = np.empty((GROUP, most, width), np.uint32), np.empty((GROUP, most, width), np.float32)
    of_length, length_words = np.empty((GROUP, CHUNK, width), np.float32), np.empty((GROUP, CHUNK, width), np.uint32)
    square, u, joined = np.zeros((1, width)), np.zeros((most, width)), np.zeros((2, N, width))
    labels = scratch_of(source, P, width)
    now, phase, drawn = 0, 0, -1
    for number in range(start, start + count):
        group, r = number // GROUP, number % GROUP
        if group != drawn:
            lane_normals(lanes.keys, INPUTS, group, words, min(P + K + GROUP, most), normals)
            lane_normals(lanes.keys, LENGTHS, group, length_words, CHUNK, of_length)
            drawn = group
        while rule.stops[phase] <= number:
            phase += 1
        freedom = dim - P - K
        load_sample(lanes.keys, group, r, P + K, freedom, normals, of_length, length_words, x[1 - now], square)
        sweep_lanes(lanes.V, x[now], x[1 - now], P + K, n.keep, n.c, n.lam)
        now = 1 - now
        lane_labels(lanes.keys, source, group, r, x[now], labels)
        step(act, rule, rule.rates[phase], bound, number, labels.y, square, n, lanes.status, lanes.ended, joined[0], joined[1])
        K += 1 if freedom > 0 else 0
        if (number + 1) % block == 0:
            flush(lanes.V, x[now], P + K, n)
            if K > N:
                compress(lanes.V, P, P + K, N, u)
                K = N
            if rule.sphere:
                to_sphere(lanes.V, P + K)
    flush(lanes.V, x[now], P + K, n)
    return K


@kernel
def lane_overlaps(V, rows, m, Q):
    """Fill m (WIDTH, N, P) and Q (WIDTH, N, N) = V Vᵀ lane by lane from the first ``rows`` coordinates."""
    N, width = V.shape[0], V.shape[2]
    for j in range(N):
        for r in range(m.shape[2]):
            for lane in range(width):
                m[lane, j, r] = V[j, r, lane]
        for k in range(j + 1):
            total = filled(0.0)
            for q in range(rows):
                total = fma(load(V, (j, q, 0)), load(V, (k, q, 0)), total)
            sums = np.empty((1, width))
            store(sums, (0, 0), total)
            for lane in range(width):
                Q[lane, j, k] = sums[0, lane]
                Q[lane, k, j] = sums[0, lane]
