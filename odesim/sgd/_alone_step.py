"""One step of SGD for WIDTH neurons that are alone, in a few coordinates each: m on the support, |v| off it.

A batch has the samples x on the support and g along v, and what their mean gradient moves v outside all these, k χ. All
arithmetic is that of packs, so that a lane's bits do not depend on its neighbours.
"""

import math

from odesim._jit import kernel
from odesim._packs import choose, count, filled, fma, load, load_single, root, rough_inverse_root, size_of, store
from odesim.activations._act import ERF, POLYNOMIAL, RELU
from odesim.activations._moments_lanes import bell
from odesim.sgd._alone_events import end_unbounded, notice, retire
from odesim.sgd._alone_state import ALONG, FREE, LENGTH, OUTSIDE, OWN_A, OWN_B, RADII, SPHERE
from odesim.sgd._full import FAR, INNER, KEEP_A, KEEP_W, OF_A, OF_B, OF_W, REUSE_INNER, ROOT_HALF, SLOPE_AT_0, TWICE
from odesim.sgd._random import GROUP

@kernel(inline="always", counted=False)
def inverse_length(square):
    """1/√x to 3e-16, as `_moments_lanes.inverse_root`, in half the time from input to output: every step waits for it."""
    r = rough_inverse_root(square)
    for _ in range(2):
        e = fma(-(square * r), r, filled(1.0))
        r = fma(r * e, fma(e, fma(e, filled(0.3125), filled(0.375)), filled(0.5)), r)
    return r


@kernel(inline="always", counted=False)
def erf_value(x):
    """erf(x/√2), as `_full.erf_and_slope`."""
    u = size_of(x) * ROOT_HALF
    u = choose(u < FAR, u, filled(FAR))
    y = (u - 4.0) / (u + 4.0)
    g = 6.3678968761451450e-06 + y * (1.3300760348301942e-06 + y * 2.8032552481420996e-08)
    g = 7.9757514001554243e-05 + y * (-2.0186549117087490e-05 + y * (1.8202074495653220e-06 + y * g))
    g = -7.9921198919295642e-04 + y * (-2.1751512337993376e-05 + y * g)
    g = 0.031299057773292393 + y * (-0.012843945079641254 + y * (0.0040602401587880133 + y * g))
    g = -0.16425781669961618 + y * (0.10896317737487798 + y * (-0.063107815550445979 + y * g))
    g = 0.13699945762506115 + y * (-0.25906804876015991 + y * (0.21871967891843621 + y * g))
    value = 1.0 - bell(u / ROOT_HALF) * g
    return choose(x < 0.0, -value, value)


@kernel(inline="always", counted=False)
def polynomial(table, x):
    """σ and σ' of `_table.activate_polynomial`."""
    before, now, value, slope = filled(0.0), filled(1.0), filled(0.0), filled(0.0)
    for n in range(table.shape[1]):
        value = fma(now, table[0, n], value)
        slope = fma(now, table[1, n], slope)
        scale = 1.0 / math.sqrt(n + 1.0)
        before, now = now, fma(x * scale, now, (-math.sqrt(n) * scale) * before)
    return value, slope


@kernel(inline="always", counted=False)
def respond(plan, x, work):
    """Return σ, 0 where it is not needed, and σ' at the pack x."""
    act = plan.act
    value, slope = filled(0.0), filled(0.0)
    if act.code == ERF:
        slope = SLOPE_AT_0 * bell(x)
        if plan.values:
            value = erf_value(x)
    elif act.code == RELU:
        slope = choose(x > 0.0, filled(1.0), filled(act.slope))
        value = x * slope
    elif act.code == POLYNOMIAL:
        value, slope = polynomial(act.kind.table, x)
    else:
        store(work.other, (0, 0), x)
        act.activate(act.kind, work.other[0], work.other[1], work.other[2])
        value, slope = load(work.other, (1, 0)), load(work.other, (2, 0))
    return value, slope


@kernel(inline="always", counted=False)
def respond_and_check(plan, lanes, p, x, work):
    """`respond`, and end the lanes where it is out of bounds."""
    value, slope = respond(plan, x, work)
    size = size_of(x)
    if plan.values:
        size += size_of(load(lanes.a, (0, 0)) * value)
    alive = load(lanes.alive, (0, 0)) > 0.5
    fine = size <= plan.bound
    if count(fine & alive) < count(alive):
        end_unbounded(lanes, p, choose(fine, filled(0.0), size), work)
    return value, slope


@kernel(inline="always", counted=False)
def gather(plan, lanes, block, p, work):
    """Sum what the samples of a batch do to the neuron in ``work``; a and b move there.

    Returns Σ c g, Σ c, Σ c² and Σ cλ of the steps c x of the weights, λ the product of x and the part of w that is on
    the sphere, 0 in the free geometry.
    """
    P, r, call = work.m.shape[0], p % GROUP, p // GROUP
    s, k = load(work.own, (ALONG, 0, 0)), load(work.own, (OUTSIDE, 0, 0))
    a, b = load(work.own, (OWN_A, 0, 0)), load(work.own, (OWN_B, 0, 0))
    square = load(block.square, (r, call, 0))
    sum_g, sum_c, sum_cc, sum_lam = filled(0.0), filled(0.0), filled(0.0), filled(0.0)
    sum_a, sum_b = filled(0.0), filled(0.0)
    for n in range(plan.batch):
        first, g = n * plan.rows, filled(0.0)
        if plan.room > 0:
            g = load_single(block.normals, (first + P, r, call, 0))
        lam = fma(s, g, k * square)
        held = lam
        for i in range(P):
            lam = fma(load(work.m, (i, 0)), load_single(block.normals, (first + i, r, call, 0)), lam)
        if plan.geometry == FREE:
            held = filled(0.0)
        elif plan.geometry == SPHERE:
            held = lam
        else:
            for i in range(P):
                x = load_single(block.normals, (first + i, r, call, 0))
                held = fma(load(work.stays, (i, 0)) * load(work.m, (i, 0)), x, held)
        y, argument, residual = load(block.labels, (n, r, call, 0)), lam + b, filled(0.0)
        value, slope = filled(0.0), filled(0.0)
        for look in range(2 if plan.reuse == REUSE_INNER else 1):
            if look > 0:
                room = fma(-held, held, fma(g, g, square))
                for i in range(P):
                    x = load_single(block.normals, (first + i, r, call, 0))
                    room = fma(x, x, room)
                argument = fma(load(lanes.rates, (INNER, 0)) * residual * (a * slope), room, argument)
            value, slope = respond_and_check(plan, lanes, p, argument, work)
            residual = y - plan.feedback * (a * value)
        residual = residual * (1.0 / plan.batch)
        by_b = residual * (a * slope)
        c = load(lanes.rates, (OF_W, 0)) * by_b
        sum_g, sum_c, sum_cc, sum_lam = fma(c, g, sum_g), sum_c + c, fma(c, c, sum_cc), fma(c, held, sum_lam)
        sum_a, sum_b = fma(residual, value, sum_a), sum_b + by_b
        for i in range(P):
            added = c * load_single(block.normals, (first + i, r, call, 0))
            store(work.sums, (i, 0), added if n == 0 else load(work.sums, (i, 0)) + added)
    store(work.own, (OWN_A, 0, 0), fma(load(lanes.rates, (KEEP_A, 0)), a, load(lanes.rates, (OF_A, 0)) * sum_a))
    store(work.own, (OWN_B, 0, 0), fma(load(lanes.rates, (OF_B, 0)), sum_b, b))
    return sum_g, sum_c, sum_cc, sum_lam


@kernel(inline="always", counted=False)
def move(plan, lanes, square, work, sum_g, sum_c, sum_cc, sum_lam):
    """Move m, and v in the coordinates along itself and outside, and obey the geometry."""
    P = work.m.shape[0]
    keep = load(lanes.rates, (KEEP_W, 0)) - sum_lam
    along = fma(keep, load(work.own, (ALONG, 0, 0)), sum_g)
    outside = fma(keep, load(work.own, (OUTSIDE, 0, 0)), sum_c)
    if plan.batch > 1:  # Σ c_n ξ_n of independent ξ_n is √(Σ c²) ξ in law
        outside = root(sum_cc)
    length = fma(along, along, outside * outside * square)
    rest = length
    for i in range(P):
        m = load(work.m, (i, 0))
        if plan.geometry == RADII:
            kept = load(work.stays, (i, 0)) > 0.5
            m = fma(choose(kept, keep, load(lanes.rates, (KEEP_W, 0))), m, load(work.sums, (i, 0)))
            # a coordinate that reaches r is released, one beyond Δ put back
            kept = kept & (size_of(m) < plan.r)
            store(work.stays, (i, 0), choose(kept, filled(1.0), filled(0.0)))
            m = choose(m > plan.delta, filled(plan.delta), choose(m < -plan.delta, filled(-plan.delta), m))
            rest = choose(kept, fma(m, m, rest), rest)
        else:
            m = fma(keep, m, load(work.sums, (i, 0)))
            rest = fma(m, m, rest)
        store(work.m, (i, 0), m)
    length = root(length)
    if plan.geometry != FREE:
        scale = choose(rest > 0.0, inverse_length(rest), filled(1.0))
        along, outside, length = along * scale, outside * scale, length * scale
        for i in range(P):
            m = load(work.m, (i, 0))
            scaled = m * scale
            if plan.geometry == RADII:
                scaled = choose(load(work.stays, (i, 0)) > 0.5, scaled, m)
            store(work.m, (i, 0), scaled)
    store(work.own, (ALONG, 0, 0), along)
    store(work.own, (OUTSIDE, 0, 0), outside)
    store(work.own, (LENGTH, 0, 0), length)


@kernel(inline="always", counted=False)
def begin(lanes, work):
    """Take the state of the lanes to work on."""
    for i in range(work.m.shape[0]):
        store(work.m, (i, 0), load(lanes.m, (i, 0)))
        store(work.stays, (i, 0), load(lanes.kept, (i, 0)))
    store(work.own, (ALONG, 0, 0), load(lanes.s, (0, 0)))
    store(work.own, (OUTSIDE, 0, 0), filled(0.0))
    store(work.own, (OWN_A, 0, 0), load(lanes.a, (0, 0)))
    store(work.own, (OWN_B, 0, 0), load(lanes.b, (0, 0)))


@kernel(inline="always", counted=False)
def commit(plan, lanes, work):
    """Give the lanes alive their new state."""
    alive = load(lanes.alive, (0, 0)) > 0.5
    store(lanes.s, (0, 0), choose(alive, load(work.own, (LENGTH, 0, 0)), load(lanes.s, (0, 0))))
    store(lanes.a, (0, 0), choose(alive, load(work.own, (OWN_A, 0, 0)), load(lanes.a, (0, 0))))
    store(lanes.b, (0, 0), choose(alive, load(work.own, (OWN_B, 0, 0)), load(lanes.b, (0, 0))))
    for i in range(work.m.shape[0]):
        store(lanes.m, (i, 0), choose(alive, load(work.m, (i, 0)), load(lanes.m, (i, 0))))
        if plan.geometry == RADII:
            store(lanes.kept, (i, 0), choose(alive, load(work.stays, (i, 0)), load(lanes.kept, (i, 0))))


@kernel(inline="always", counted=False)
def step(plan, lanes, block, p, work):
    """Step p of the block, in all lanes alive."""
    square = load(block.square, (p % GROUP, p // GROUP, 0))
    begin(lanes, work)
    for n in range(2 if plan.reuse == TWICE else 1):
        sum_g, sum_c, sum_cc, sum_lam = gather(plan, lanes, block, p, work)
        move(plan, lanes, square, work, sum_g, sum_c, sum_cc, sum_lam)
    notice(plan, lanes, p, work)
    commit(plan, lanes, work)
    if plan.coordinate.size > 0:
        retire(lanes)


@kernel(counted=False)
def take_steps(plan, lanes, block, first, stop, work):
    """Steps ``first`` to ``stop`` − 1 of the block."""
    for p in range(first, stop):
        step(plan, lanes, block, p, work)
