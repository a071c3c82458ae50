"""One step of SGD for WIDTH replicas side by side, from the products <w_j, x> to what the weights become.

The weights become w_j ← keep_j w_j + c_j x; every array is (neurons, WIDTH), or (WIDTH), and float64. The arithmetic
of a lane is that of its numbers alone, so its bits do not depend on its neighbours.
"""

from typing import NamedTuple

import numpy as np

from odesim._jit import kernel
from odesim._packs import choose, filled, fma, load, root, size_of, store
from odesim.sgd._full import (
    DIVERGED,
    INNER,
    KEEP_A,
    KEEP_W,
    LARGEST,
    NOT_FINITE,
    OF_A,
    OF_B,
    OF_W,
    REUSE_INNER,
    TWICE,
    activate,
)


class Neurons(NamedTuple):
    """What a step reads and writes of the neurons; the last three are flat views of pre, s and ds."""

    a: np.ndarray
    b: np.ndarray
    lam: np.ndarray  # <w_j, x>
    pre: np.ndarray  # λ_j + b_j
    s: np.ndarray
    ds: np.ndarray
    c: np.ndarray
    keep: np.ndarray
    size: np.ndarray  # (1, WIDTH) Σ|λ_j + b_j| + |f|
    residual: np.ndarray  # (1, WIDTH)
    alive: np.ndarray  # (1, WIDTH) 1 where a run goes on, else 0
    flat_pre: np.ndarray
    flat_s: np.ndarray
    flat_ds: np.ndarray


@kernel(counted=False)
def respond(act, feedback, y, n):
    """From pre fill s and ds, Δ = y − feedback · f, and the size of the forward pass."""
    activate(act, n.flat_pre, n.flat_s, n.flat_ds)
    f, size = filled(0.0), filled(0.0)
    for j in range(n.a.shape[0]):
        f = fma(load(n.a, (j, 0)), load(n.s, (j, 0)), f)
        size += size_of(load(n.pre, (j, 0)))
    store(n.residual, (0, 0), load(y, (0, 0)) - feedback * f)
    store(n.size, (0, 0), size + size_of(f))


@kernel(counted=False)
def look_inside(inner, sphere, square, n):
    """Move pre to where an inner step of that size would put it: pre_j + inner Δ a_j σ'_j (‖x‖² − λ_j²[sphere])."""
    r, xx = inner * load(n.residual, (0, 0)), load(square, (0, 0))
    for j in range(n.a.shape[0]):
        lam = load(n.lam, (j, 0))
        room = xx - lam * lam if sphere else xx
        slope = load(n.a, (j, 0)) * load(n.ds, (j, 0))
        store(n.pre, (j, 0), fma(r * slope, room, load(n.pre, (j, 0))))


@kernel(counted=False)
def descend(rates, sphere, square, n):
    """Move a and b of the lanes alive, and find keep and c, from the forward pass in s, ds and residual."""
    r, xx, alive = load(n.residual, (0, 0)), load(square, (0, 0)), load(n.alive, (0, 0)) > 0.5
    of_w, of_a, of_b = rates[OF_W] * r, rates[OF_A] * r, rates[OF_B] * r
    for j in range(n.a.shape[0]):
        a, b = load(n.a, (j, 0)), load(n.b, (j, 0))
        slope = a * load(n.ds, (j, 0))
        c, keep = of_w * slope, filled(rates[KEEP_W])
        if sphere:
            lam = load(n.lam, (j, 0))
            # |w + c (x − λ w)|² for |w| = 1
            along = 1.0 - c * lam
            shrink = 1.0 / root(along * along + c * (2.0 * along * lam + c * xx))
            c, keep = c * shrink, along * shrink
        store(n.c, (j, 0), choose(alive, c, filled(0.0)))
        store(n.keep, (j, 0), choose(alive, keep, filled(1.0)))
        store(n.b, (j, 0), choose(alive, fma(of_b, slope, b), b))
        store(n.a, (j, 0), choose(alive, fma(rates[KEEP_A], a, of_a * load(n.s, (j, 0))), a))


@kernel(counted=False)
def bias_and_respond(act, feedback, y, n):
    """Fill pre = λ + b and go on with `respond`."""
    for j in range(n.a.shape[0]):
        store(n.pre, (j, 0), load(n.lam, (j, 0)) + load(n.b, (j, 0)))
    respond(act, feedback, y, n)


@kernel(counted=False)
def check(bound, step, n, status, ended):
    """End the lanes whose forward pass is not finite or beyond ``bound``: before this step."""
    for lane in range(status.size):
        size = n.size[0, lane]
        if status[lane] == 0 and not size <= bound:
            status[lane] = DIVERGED if size <= LARGEST else NOT_FINITE
            ended[lane] = step
            n.alive[0, lane] = 0.0


@kernel(counted=False)
def again(n, square, first_c, first_keep):
    """After a first step move lam as the weights did, and set its c and keep aside."""
    xx = load(square, (0, 0))
    for j in range(n.a.shape[0]):
        c, keep = load(n.c, (j, 0)), load(n.keep, (j, 0))
        store(n.lam, (j, 0), fma(keep, load(n.lam, (j, 0)), c * xx))
        store(first_c, (j, 0), c)
        store(first_keep, (j, 0), keep)


@kernel(counted=False)
def both(n, first_c, first_keep):
    """Join two steps into one."""
    for j in range(n.a.shape[0]):
        keep = load(n.keep, (j, 0))
        store(n.c, (j, 0), fma(keep, load(first_c, (j, 0)), load(n.c, (j, 0))))
        store(n.keep, (j, 0), keep * load(first_keep, (j, 0)))


@kernel(counted=False)
def step(act, rule, rates, bound, number, y, square, n, status, ended, first_c, first_keep):
    """Step ``number`` of all lanes: from lam to c, keep, a and b."""
    bias_and_respond(act, rule.feedback, y, n)
    if rule.reuse == REUSE_INNER:
        check(bound, number, n, status, ended)
        look_inside(rates[INNER], rule.sphere, square, n)
        respond(act, rule.feedback, y, n)
    check(bound, number, n, status, ended)
    descend(rates, rule.sphere, square, n)
    if rule.reuse == TWICE:
        again(n, square, first_c, first_keep)
        bias_and_respond(act, rule.feedback, y, n)
        check(bound, number, n, status, ended)
        descend(rates, rule.sphere, square, n)
        both(n, first_c, first_keep)
