"""The loop of online SGD with mini-batches: fresh samples and labels, one forward pass, the mean of their gradients.

A batch goes through in slices, so that memory stays bounded. Where it is one slice and W moves freely,
updates go to W at once; else they are summed apart, and W takes them when the whole batch has been seen: in several
slices, on the sphere, and where their length is to be set. Neuron j's weights are scale_j · W_j, as at batch 1.
"""

import math
from typing import NamedTuple

import numpy as np

from odesim._jit import kernel
from odesim.sgd._full import (
    ACROSS,
    DIVERGED,
    INNER,
    KEEP_A,
    KEEP_W,
    LARGEST,
    NOT_FINITE,
    OF_A,
    OF_B,
    OF_W,
    RUNNING,
    SMALLEST,
    activate,
    output,
    renew,
    settle,
)
from odesim.sgd._labels import hermite_scratch, labels
from odesim.sgd._products import NEURONS, SAMPLES, add, multiply
from odesim.sgd._random import BITS, GROUP, INPUTS, draw_group, draw_normals, draw_signs


class Desk(NamedTuple):
    """Arrays that a run works on, kept from call to call; what they hold between two steps is of no account."""

    x: np.ndarray  # (rows, d') whole groups of four samples
    leaning: np.ndarray  # W after an inner step: of W's shape, or empty where there is none
    sums: np.ndarray  # updates summed apart: of W's shape, or empty where they go to W at once


class Batch(NamedTuple):
    """What goes with the samples of one call."""

    size: int  # B
    part: int  # samples in a slice, the last of which may be shorter
    seed: np.uint64
    held: np.ndarray  # (2) the last group that was drawn, and its first row
    y: np.ndarray  # (rows)
    draws: np.ndarray  # scratch of the random numbers, and of the target
    words: np.ndarray
    He: np.ndarray
    units: np.ndarray


class Layers(NamedTuple):
    """The second layer and biases, what a batch adds to them, and scratch."""

    a: np.ndarray
    b: np.ndarray
    da: np.ndarray  # Σ_s Δ σ
    db: np.ndarray  # Σ_s Δ a σ'
    s: np.ndarray
    ds: np.ndarray
    z: np.ndarray
    C: np.ndarray  # (rows, N') preactivations, then factors of x in the update of W
    K: np.ndarray  # (rows, 6) some of these in the dtype of W


@kernel
def draw(source, batch, first, count, dim, x):
    """Fill x, and its labels, from row 0 on with the groups of the samples first ... first + count − 1.

    A group that is there already, the last one drawn, is kept.
    """
    begin, end, held = first // GROUP, (first + count - 1) // GROUP, batch.held
    if held[0] == end and held[1] == GROUP * (end - begin):
        return
    if held[0] == begin:
        for r in range(GROUP):
            x[r], batch.y[r] = x[held[1] + r], batch.y[held[1] + r]
        begin += 1
    for group in range(begin, end + 1):
        row = GROUP * (group - first // GROUP)
        four = x[row : row + GROUP]
        if source.boolean:
            draw_signs(batch.seed, INPUTS, group, batch.words, dim, four)
        elif x.itemsize == 4:  # with no copy on the way
            draw_normals(batch.seed, INPUTS, group, batch.draws[:GROUP], four)
        else:
            draw_group(batch.seed, INPUTS, group, batch.draws, four)
        labels(batch.seed, group, source, four, batch.He, batch.units, batch.y[row : row + GROUP])
    held[0], held[1] = end, GROUP * (end - first // GROUP)


@kernel(counted=False)
def look(act, bound, feedback, factor, scale, y, c, layers):
    """Take one sample forward and back: c = factor Δ a σ' in place of <W_j, x>; returns a status."""
    a, b, s, ds, z, size = layers.a, layers.b, layers.s, layers.ds, layers.z, 0.0
    for j in range(z.size):
        z[j] = scale[j] * c[j] + b[j]
        size += abs(z[j])
    activate(act, z, s, ds)
    f = output(a, s)
    size += abs(f)
    if not size <= bound:
        return DIVERGED if size <= LARGEST else NOT_FINITE
    residual, da, db = y - feedback * f, layers.da, layers.db
    for j in range(z.size):  # a loop for each array that changes: the compiler gives up on more
        z[j] = residual * (a[j] * ds[j])
    for j in range(z.size):
        db[j] += z[j]
    for j in range(z.size):
        da[j] += residual * s[j]
    for j in range(z.size):
        c[j] = factor * z[j]
    return RUNNING


@kernel(counted=False)
def gradient(act, bound, rule, source, batch, first, dim, factor, x, at, scale, layers, into, into_scale, keep):
    """Add factor · Σ_s Δ a σ' x_sᵀ, found where the weights are scale · at, to ``into``; returns a status.

    ``into_scale`` has that array's scales, of which a step keeps ``keep``, and is empty where there are none.
    """
    for j in range(layers.da.size):
        layers.da[j] = layers.db[j] = 0.0
    direct = into_scale.size > 0
    for begin in range(0, batch.size, batch.part):
        count = min(batch.part, batch.size - begin)
        draw(source, batch, first + begin, count, dim, x)
        row = (first + begin) % GROUP
        padded = -(-count // SAMPLES) * SAMPLES
        multiply(at, x[row : row + padded], layers.C[:padded])
        for t in range(count):
            status = look(act, bound, rule.feedback, factor, scale, batch.y[row + t], layers.C[t], layers)
            if status != RUNNING:
                return status
        C = layers.C[:count]
        if direct:
            for j in range(into_scale.size):
                into_scale[j] *= keep
            settle(into, C, into_scale)
        add(into, x[row : row + count], C, layers.K)
    return RUNNING


@kernel(counted=False)
def along(w, scale, step):
    """<scale · w, step>."""
    total = 0.0
    for i in range(w.size):
        total += np.float64(w[i]) * np.float64(step[i])
    return scale * total


@kernel(counted=False)
def lean(W, scale, sphere, width, steps):
    """Turn steps into the weights after them; on the sphere they go along the tangent."""
    T = W.dtype.type
    for j in range(width):
        w, step = W[j], steps[j]
        keep = T(scale[j] * (1.0 - (along(w, scale[j], step) if sphere else 0.0)))
        for i in range(w.size):
            step[i] += keep * w[i]


@kernel
def normalise(rate, W, scale, sphere, width, steps):
    """Scale steps, on the sphere their parts along the tangent, to length ``rate`` together; 0 stays 0."""
    total = 0.0
    for j in range(width):
        step, square = steps[j], 0.0
        for i in range(step.size):
            square += np.float64(step[i]) * np.float64(step[i])
        radial = along(W[j], scale[j], step) if sphere else 0.0
        room = square - radial * radial
        if room > ACROSS * square:
            total += room
    factor = steps.dtype.type(rate / math.sqrt(total) if total > SMALLEST else 0.0)
    for j in range(width):
        step = steps[j]
        for i in range(step.size):
            step[i] *= factor


@kernel
def take(W, scale, sphere, width, keep, steps):
    """Add steps to what is kept of the weights; on the sphere they go along the tangent, and back to length 1."""
    T = W.dtype.type
    for j in range(width):
        scale[j] *= 1.0 - along(W[j], scale[j], steps[j]) if sphere else keep
    settle(W, np.empty((0, 0)), scale)
    for j in range(width):
        w, step, factor = W[j], steps[j], T(1.0 / scale[j])
        for i in range(w.size):
            w[i] += factor * step[i]
    if sphere:
        renew(W, scale, width)


@kernel
def one_pass(act, bound, rule, rates, source, batch, first, dim, width, desk, W, scale, layers, ones):
    """Take one whole step on the samples from ``first`` on; returns a status, and changes nothing unless it runs on."""
    size, keep, at, at_scale = batch.size, rates[KEEP_W], W, scale
    legs = 2 if rates[INNER] != 0.0 else 1
    for leg in range(legs):
        last = leg == legs - 1
        direct = last and desk.sums.shape[0] == 0
        into, into_scale, factor = desk.leaning, ones[:0], rates[INNER] / size
        if last:
            into, factor = desk.sums, rates[OF_W] / size
        if direct:
            into, into_scale = W, scale
        else:
            into[:] = 0.0
        status = gradient(
            act, bound, rule, source, batch, first, dim, factor, desk.x, at, at_scale, layers, into, into_scale, keep
        )
        if status != RUNNING:
            return status
        if not last:
            lean(W, scale, rule.sphere, width, into)
            at, at_scale = into, ones
        elif not direct:
            if rule.normalised:
                normalise(rates[OF_W], W, scale, rule.sphere, width, into)
            take(W, scale, rule.sphere, width, keep, into)
    a, b, of_a, of_b, keep_a = layers.a, layers.b, rates[OF_A] / size, rates[OF_B] / size, rates[KEEP_A]
    for j in range(width):
        a[j] = keep_a * a[j] + of_a * layers.da[j]
        b[j] += of_b * layers.db[j]
    return RUNNING


@kernel
def advance(W, scale, a, b, width, dim, start, count, size, part, desk, seed, act, rule, bound, source):
    """Take ``count`` steps of ``size`` samples, in slices of ``part``, from step ``start`` on, in place.

    The weights are scale_j · W_j; W is (N', d') with zeros beyond (width, dim), N' a multiple of six; scale, a, b are
    float64, of one length of at least N', a and b padded with zeros too. Returns (status, step): the step in which a
    sample's forward pass was not finite or exceeded ``bound`` in Σ|λ_j| + |f|; all before it is applied.
    """
    rows, words = desk.x.shape[0], np.empty((GROUP, -(-dim // BITS)), np.uint32)
    He, units, held = hermite_scratch(source), np.zeros((3, source.second_layer.size)), np.full(2, -1)
    draws = np.empty((2 * GROUP, dim), np.uint32)
    batch = Batch(size, part, seed, held, np.zeros(rows), draws, words, He, units)
    da, db, s, ds, z = np.zeros(a.size), np.zeros(a.size), np.zeros(a.size), np.zeros(a.size), np.zeros(a.size)
    C, K, ones, phase = np.zeros((rows, a.size)), np.zeros((rows, NEURONS), W.dtype), np.ones(a.size), 0
    layers = Layers(a, b, da, db, s, ds, z, C, K)
    for step in range(start, start + count):
        while rule.stops[phase] <= step:
            phase += 1
        for _ in range(2 if rule.twice else 1):
            status = one_pass(
                act,
                bound,
                rule,
                rule.rates[phase],
                source,
                batch,
                step * size,
                dim,
                width,
                desk,
                W,
                scale,
                layers,
                ones,
            )
            if status != RUNNING:
                return status, step
    return RUNNING, start + count
