"""The layerwise algorithm's two phases, batch 1, in one pass over W a step, or over four steps.

In phase 1 a row of V holds w̃_j, the vector before it is rescaled, over the coordinates S_j that are not released, and
w_j itself at the others: w_j = scale_j V_j on S_j with scale_j = 1/‖V_j‖_S. With ρ_j = <w_j, x>_S and
c_j = η Δ a_j σ'_j the next row is (1 − c_j ρ_j) scale_j V_j + c_j x on S_j. The pass that writes it also sums its
squares, its product with the next sample, and counts the entries that reach r; entries of V and x off S_j are put
aside meanwhile, so that what is summed does not depend on where a call begins. V and x have the dtype of the run;
everything of length N is float64. Rows are padded with zeros.
"""

import math
from typing import NamedTuple

import numpy as np

from odesim._jit import kernel
from odesim.sgd._full import LARGEST, activate, output
from odesim.sgd._labels import hermite_scratch, labels
from odesim.sgd._random import BITS, GROUP, INPUTS, draw_group, draw_signs

RUNNING, DIVERGED, NOT_FINITE = 0, 1, 2
"""What a phase returns first: the numbers of the Trajectory's Status."""


class Released(NamedTuple):
    """The coordinates that each neuron has released, in the order of their release."""

    number: np.ndarray  # (N) how many
    which: np.ndarray  # (N, d') int32
    when: np.ndarray  # (N, P) steps taken when a coordinate of the support was released, −1 before


class Aside(NamedTuple):
    """Room for a neuron's released weights and for the sample's entries there."""

    w: np.ndarray  # (d')
    x: np.ndarray  # (d')


@kernel
def move(w, keep, c, x, new, edge):
    """w ← keep · w + c · x; returns Σ w², <w, new> and how many |w_i| are at least ``edge``."""
    T = w.dtype.type
    k, u, top, one, none = T(keep), T(c), T(edge), T(1), T(0)
    squares, product, reached = T(0), T(0), T(0)
    for i in range(w.size):
        f = k * w[i] + u * x[i]
        w[i] = f
        squares += f * f
        product += f * new[i]
        reached += one if abs(f) >= top else none
    return squares, product, reached


@kernel
def clipped(value, delta):
    """The value within [−delta, delta]; NaN stays NaN."""
    return delta if value > delta else (-delta if value < -delta else value)


@kernel
def release(j, w, r, step, released):
    """Release the entries of w that reach r, for ever; those released before are 0 here."""
    for i in range(w.size):
        if abs(w[i]) >= r:
            released.which[j, released.number[j]] = i
            released.number[j] += 1
            if i < released.when.shape[1]:
                released.when[j, i] = step


@kernel
def visit(j, V, keep, c, x, new, r, delta, step, released, aside):
    """Finish the step of neuron j on x and begin that on ``new``.

    Returns Σ_S V² and <V, new>_S over what is not released afterwards, and <w, new> over the rest.
    """
    w = V[j]
    T = w.dtype.type
    while True:
        before, which = released.number[j], released.which[j]
        for k in range(before):
            i = which[k]
            aside.w[k], aside.x[k] = w[i], x[i]
            w[i], x[i] = T(0), T(0)
        squares, product, reached = move(w, keep, c, x, new, T(r))
        if reached > 0:
            release(j, w, T(r), step, released)
        rest = 0.0
        for k in range(before):
            i = which[k]
            x[i] = aside.x[k]
            w[i] = clipped(aside.w[k] + T(c) * x[i], T(delta))
            rest += np.float64(w[i]) * np.float64(new[i])
        if reached == 0:
            return np.float64(squares), np.float64(product), rest
        keep, c = 1.0, 0.0  # once more, to clip those that have just gone and to sum without them


@kernel
def forward(act, a, lam, s, ds, bound):
    """Fill s = σ and ds = σ'; returns the status of the pass, which ``bound`` limits, and f."""
    activate(act, lam, s, ds)
    f = output(a, s)
    size = abs(f)
    for j in range(lam.size):
        size += abs(lam[j])
    if not size <= bound:
        return DIVERGED if size <= LARGEST else NOT_FINITE, f
    return RUNNING, f


@kernel
def draw(seed, group, boolean, dim, scratch, words, out):
    """Fill out[:, :dim] with the samples of a group of four steps."""
    if boolean:
        draw_signs(seed, INPUTS, group, words, dim, out)
    else:
        draw_group(seed, INPUTS, group, scratch, out)


@kernel
def first_phase(V, scale, a, b, dim, start, count, seed, act, eta, feedback, bound, source, r, delta, released):
    """Take ``count`` steps of w from step ``start`` in place; a and b are float64, padded with zeros beyond N.

    Returns the status and the number of steps taken: what comes before a forward pass that is not finite, or exceeds
    ``bound`` in Σ|λ_j| + |f|, is applied.
    """
    x = np.zeros((2, GROUP, V.shape[1]), V.dtype)
    scratch, words = np.empty((2 * GROUP, dim), np.uint32), np.empty((GROUP, -(-dim // BITS)), np.uint32)
    y, He, units = np.zeros(GROUP), hermite_scratch(source), np.zeros((3, source.second_layer.size))
    rho, lam, s, ds = np.zeros(a.size), np.zeros(a.size), np.zeros(a.size), np.zeros(a.size)
    keep, c = np.ones(a.size), np.zeros(a.size)
    aside = Aside(np.zeros(V.shape[1], V.dtype), np.zeros(V.shape[1], V.dtype))
    done = 0
    while True:
        step = start + done
        group, before = step // GROUP, step - 1
        if done < count and (done == 0 or step % GROUP == 0):
            draw(seed, group, source.boolean, dim, scratch, words, x[group % 2])
            labels(seed, group, source, x[group % 2], He, units, y)
        old, new = x[before // GROUP % 2, before % GROUP], x[group % 2, step % GROUP]
        edge = r if done > 0 else np.nan  # the pass that opens a call moves nothing, and nothing reaches NaN
        for j in range(V.shape[0]):
            squares, product, rest = visit(j, V, keep[j], c[j], old, new, edge, delta, step, released, aside)
            scale[j] = 1.0 / math.sqrt(squares) if squares > 0.0 else 1.0
            rho[j] = scale[j] * product
            lam[j] = rho[j] + rest + b[j]
        if done == count:
            return RUNNING, done
        status, f = forward(act, a, lam, s, ds, bound)
        if status != RUNNING:
            return status, done
        push = eta * (y[step % GROUP] - feedback * f)
        for j in range(V.shape[0]):
            c[j] = push * a[j] * ds[j]
            keep[j] = (1.0 - c[j] * rho[j]) * scale[j]
        done += 1


@kernel
def settle(V, scale, released, aside):
    """Work the scales into V, which is then W; those released are W already."""
    for j in range(V.shape[0]):
        if scale[j] != 1.0:
            w, which, factor = V[j], released.which[j], V.dtype.type(scale[j])
            for k in range(released.number[j]):
                aside[k] = w[which[k]]
            for i in range(w.size):
                w[i] *= factor
            for k in range(released.number[j]):
                w[which[k]] = aside[k]
            scale[j] = 1.0


@kernel
def products(W, x, L):
    """L = (W x_tᵀ)_t for four samples."""
    x0, x1, x2, x3 = x[0], x[1], x[2], x[3]
    T = W.dtype.type
    for j in range(W.shape[0]):
        w = W[j]
        p0, p1, p2, p3 = T(0), T(0), T(0), T(0)
        for i in range(w.size):
            f = w[i]
            p0 += f * x0[i]
            p1 += f * x1[i]
            p2 += f * x2[i]
            p3 += f * x3[i]
        L[0, j], L[1, j], L[2, j], L[3, j] = p0, p1, p2, p3


@kernel
def second_phase(W, a, b, dim, start, count, seed, act, eta, kept, feedback, bound, source):
    """Take ``count`` steps of a alone, a ← kept · a + eta Δ σ, in place; returns what `first_phase` does."""
    x, L = np.zeros((GROUP, W.shape[1]), W.dtype), np.zeros((GROUP, a.size))
    scratch, words = np.empty((2 * GROUP, dim), np.uint32), np.empty((GROUP, -(-dim // BITS)), np.uint32)
    y, He, units = np.zeros(GROUP), hermite_scratch(source), np.zeros((3, source.second_layer.size))
    s, ds = np.zeros(a.size), np.zeros(a.size)
    for done in range(count):
        step = start + done
        if done == 0 or step % GROUP == 0:
            draw(seed, step // GROUP, source.boolean, dim, scratch, words, x)
            products(W, x, L)
            labels(seed, step // GROUP, source, x, He, units, y)
        lam = L[step % GROUP]
        for j in range(a.size):
            lam[j] += b[j]
        status, f = forward(act, a, lam, s, ds, bound)
        if status != RUNNING:
            return status, done
        push = eta * (y[step % GROUP] - feedback * f)
        for j in range(W.shape[0]):
            a[j] = kept * a[j] + push * s[j]
    return RUNNING, count
