"""One step of SGD for WIDTH replicas side by side, from the products <w_j, x_s> to what the weights become.

The weights become w_j ← keep_j w_j + Σ_s c_sj x_s, s = 1 ... B the samples of the batch. Arrays end with
(neurons, WIDTH) or (WIDTH), and are float64. The arithmetic of a lane is that of its numbers alone, so that its bits
do not depend on its neighbours.
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
    RUNNING,
    SMALLEST,
    activate,
)


class Setting(NamedTuple):
    """What a step does beside the Rule."""

    dim: int
    batch: int
    block: int  # steps from one compression to the next
    products: int  # whether <x_s, x_t> is needed
    r: float  # radius of release, 0 where there are no two radii
    delta: float  # radius of clipping


class Neurons(NamedTuple):
    """What a step reads and writes; the last three are flat views of pre, s and ds."""

    a: np.ndarray  # (N, WIDTH)
    b: np.ndarray
    keep: np.ndarray
    lam: np.ndarray  # (B, N, WIDTH) <w_j, x_s>
    pre: np.ndarray  # λ_sj + b_j
    s: np.ndarray
    ds: np.ndarray
    c: np.ndarray
    first_c: np.ndarray  # of the first of two steps
    first_keep: np.ndarray  # (N, WIDTH)
    G: np.ndarray  # (B, B, WIDTH) <x_s, x_t>, t <= s
    y: np.ndarray  # (B, WIDTH) labels
    residual: np.ndarray
    size: np.ndarray  # Σ_j|λ_sj + b_j| + |f_s|
    alive: np.ndarray  # (1, WIDTH) 1 where a run goes on, else 0
    flat_pre: np.ndarray
    flat_s: np.ndarray
    flat_ds: np.ndarray


@kernel
def neurons_of(a, b, status, batch):
    """Return the arrays of a step, with copies of a and b; keep = 1 and c = 0 leave the weights as they are."""
    N, width = a.shape
    flat, per_sample = np.zeros((3, batch * N * width)), np.zeros((3, batch, N, width))
    keep, single, alive = np.ones((2, N, width)), np.zeros((3, batch, width)), np.zeros((1, width))
    for lane in range(width):
        alive[0, lane] = 1.0 if status[lane] == RUNNING else 0.0
    pre, s, ds = flat[0], flat[1], flat[2]
    shape = (batch, N, width)
    return Neurons(
        a.copy(), b.copy(), keep[0], per_sample[0], pre.reshape(shape), s.reshape(shape), ds.reshape(shape),
        per_sample[1], per_sample[2], keep[1], np.zeros((batch, batch, width)), single[0], single[1], single[2], alive,
        pre, s, ds,
    )  # fmt: skip


@kernel(inline="always", counted=False)
def respond(act, feedback, n):
    """From pre fill s and ds, Δ = y − feedback · f, and the size of every forward pass."""
    activate(act, n.flat_pre, n.flat_s, n.flat_ds)
    for s in range(n.y.shape[0]):
        f, size = filled(0.0), filled(0.0)
        for j in range(n.a.shape[0]):
            f = fma(load(n.a, (j, 0)), load(n.s, (s, j, 0)), f)
            size += size_of(load(n.pre, (s, j, 0)))
        store(n.residual, (s, 0), load(n.y, (s, 0)) - feedback * f)
        store(n.size, (s, 0), size + size_of(f))


@kernel(inline="always", counted=False)
def add_biases(n):
    """Fill pre = λ + b."""
    for s in range(n.y.shape[0]):
        for j in range(n.a.shape[0]):
            store(n.pre, (s, j, 0), load(n.lam, (s, j, 0)) + load(n.b, (j, 0)))


@kernel(inline="always", counted=False)
def product(n, sphere, s, t, j):
    """<x_s, x_t>; on the sphere that of their parts across w_j."""
    between = load(n.G, (max(s, t), min(s, t), 0))
    return between - load(n.lam, (s, j, 0)) * load(n.lam, (t, j, 0)) if sphere else between


@kernel(counted=False)
def look_inside(inner, sphere, n):
    """Move pre to where an inner step of that size puts it: pre_sj += inner/B Σ_t Δ_t a_j σ'_tj <x_t, x_s>."""
    batch = n.y.shape[0]
    for s in range(batch):
        for j in range(n.a.shape[0]):
            total = filled(0.0)
            for t in range(batch):
                slope = load(n.residual, (t, 0)) * load(n.ds, (t, j, 0))
                total = fma(slope, product(n, sphere, s, t, j), total)
            store(n.pre, (s, j, 0), fma(inner / batch * load(n.a, (j, 0)), total, load(n.pre, (s, j, 0))))


@kernel(inline="always", counted=False)
def first_layer(rate, n):
    """c_sj = rate/B Δ_s a_j σ'_sj: the step down the mean loss is Σ_s c_sj x_s."""
    batch = n.y.shape[0]
    for s in range(batch):
        r = rate / batch * load(n.residual, (s, 0))
        for j in range(n.a.shape[0]):
            store(n.c, (s, j, 0), r * (load(n.a, (j, 0)) * load(n.ds, (s, j, 0))))


@kernel(inline="always", counted=False)
def square(n, sphere, j):
    """|Σ_s c_sj x_s|²; on the sphere that of its part across w_j."""
    total = filled(0.0)
    for s in range(n.y.shape[0]):
        c = load(n.c, (s, j, 0))
        part = c * product(n, sphere, s, s, j)
        for t in range(s):
            part = fma(2.0 * load(n.c, (t, j, 0)), product(n, sphere, s, t, j), part)
        total = fma(c, part, total)
    return total


@kernel(counted=False)
def normalise(rate, sphere, n):
    """Scale c so that the step has length ``rate`` over all neurons; without a gradient there is none."""
    total = filled(0.0)
    for j in range(n.a.shape[0]):
        total += square(n, sphere, j)
    some = filled(SMALLEST) < total
    factor = choose(some, rate / root(choose(some, total, filled(1.0))), filled(0.0))
    for s in range(n.y.shape[0]):
        for j in range(n.a.shape[0]):
            store(n.c, (s, j, 0), factor * load(n.c, (s, j, 0)))


@kernel(counted=False)
def back_to_the_sphere(n):
    """Where w_j, of length 1, moves along the tangent: w_j ← (w_j + Σ_s c_sj (x_s − λ_sj w_j)) / length."""
    for j in range(n.a.shape[0]):
        radial = filled(0.0)
        for s in range(n.y.shape[0]):
            radial = fma(load(n.c, (s, j, 0)), load(n.lam, (s, j, 0)), radial)
        shrink = 1.0 / root(1.0 + square(n, True, j))
        store(n.keep, (j, 0), (1.0 - radial) * shrink)
        for s in range(n.y.shape[0]):
            store(n.c, (s, j, 0), load(n.c, (s, j, 0)) * shrink)


@kernel(inline="always", counted=False)
def other_layers(rates, n):
    """Move a and b of the lanes alive; in the others the weights stay too."""
    alive, batch = load(n.alive, (0, 0)) > 0.5, n.y.shape[0]
    of_a, of_b = rates[OF_A] / batch, rates[OF_B] / batch
    for j in range(n.a.shape[0]):
        a, b = load(n.a, (j, 0)), load(n.b, (j, 0))
        up, tilt = filled(0.0), filled(0.0)
        for s in range(batch):
            r = load(n.residual, (s, 0))
            up = fma(r, load(n.s, (s, j, 0)), up)
            tilt = fma(r, load(n.ds, (s, j, 0)), tilt)
            store(n.c, (s, j, 0), choose(alive, load(n.c, (s, j, 0)), filled(0.0)))
        store(n.keep, (j, 0), choose(alive, load(n.keep, (j, 0)), filled(1.0)))
        store(n.b, (j, 0), choose(alive, fma(of_b * a, tilt, b), b))
        store(n.a, (j, 0), choose(alive, fma(of_a, up, rates[KEEP_A] * a), a))


@kernel(inline="always", counted=False)
def descend(rates, rule, n):
    """From the forward pass in s, ds and residual find keep and c, and move a and b."""
    first_layer(rates[OF_W], n)
    if rule.normalised:
        normalise(rates[OF_W], rule.sphere, n)
    for j in range(n.a.shape[0]):
        store(n.keep, (j, 0), filled(rates[KEEP_W]))
    if rule.sphere:
        back_to_the_sphere(n)
    other_layers(rates, n)


@kernel(inline="always", counted=False)
def check(bound, number, n, status, ended):
    """End the lanes with a forward pass that is not finite or beyond ``bound``: before this step."""
    for s in range(n.y.shape[0]):
        for lane in range(status.size):
            size = n.size[s, lane]
            if status[lane] == RUNNING and not size <= bound:
                status[lane] = DIVERGED if size <= LARGEST else NOT_FINITE
                ended[lane] = number
                n.alive[0, lane] = 0.0


@kernel(counted=False)
def again(n):
    """After a first step move lam as the weights did, and set its c and keep aside."""
    for j in range(n.a.shape[0]):
        keep = load(n.keep, (j, 0))
        store(n.first_keep, (j, 0), keep)
        for s in range(n.y.shape[0]):
            lam = keep * load(n.lam, (s, j, 0))
            for t in range(n.y.shape[0]):
                lam = fma(load(n.c, (t, j, 0)), load(n.G, (max(s, t), min(s, t), 0)), lam)
            store(n.lam, (s, j, 0), lam)
            store(n.first_c, (s, j, 0), load(n.c, (s, j, 0)))


@kernel(counted=False)
def join(n):
    """Join two steps into one."""
    for j in range(n.a.shape[0]):
        keep = load(n.keep, (j, 0))
        store(n.keep, (j, 0), keep * load(n.first_keep, (j, 0)))
        for s in range(n.y.shape[0]):
            store(n.c, (s, j, 0), fma(keep, load(n.first_c, (s, j, 0)), load(n.c, (s, j, 0))))


@kernel(inline="always", counted=False)
def step(act, rule, rates, bound, number, n, status, ended):
    """Step ``number`` of all lanes: from lam, G and y to c, keep, a and b."""
    for time in range(2 if rule.twice else 1):
        if time == 1:
            again(n)
        add_biases(n)
        for look in range(2 if rates[INNER] != 0.0 else 1):
            if look == 1:
                look_inside(rates[INNER], rule.sphere, n)
            respond(act, rule.feedback, n)
            check(bound, number, n, status, ended)
        descend(rates, rule, n)
    if rule.twice:
        join(n)
