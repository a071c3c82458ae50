"""One step of SGD for WIDTH neurons that are alone, in a few coordinates each: m on the support, |v| off it.

A batch has the samples x on the support and g along v, and what their mean gradient moves v outside all these, k χ. All
arithmetic is that of packs, so that a lane's bits do not depend on its neighbours.
"""

import math

from odesim._jit import kernel
from odesim._packs import WIDTH, choose, count, filled, fma, load, load_single, root, rough_inverse_root, size_of, store
from odesim.activations._act import ERF, POLYNOMIAL, RELU
from odesim.activations._moments_lanes import bell
from odesim.sgd._alone_events import end_unbounded, notice, retire
from odesim.sgd._alone_state import ALONG, FREE, LENGTH, OUTSIDE, OWN_A, OWN_B, RADII, SPHERE, place
from odesim.sgd._full import FAR, INNER, KEEP_A, KEEP_W, OF_A, OF_B, OF_W, ROOT_HALF, SLOPE_AT_0


@kernel(inline="always", counted=False)
def inverse_length(square):
    """1/√x to 3e-16, as `_moments_lanes.inverse_root`, in half the time from input to output: a step waits for it."""
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
        store(work.argument, (0,), x)
        act.activate(act.kind, work.argument, work.value, work.slope)
        value, slope = load(work.value, (0,)), load(work.slope, (0,))
    return value, slope


@kernel(inline="always", counted=False)
def respond_and_check(plan, lanes, p, x, work):
    """`respond`, and end the lanes where it is out of bounds."""
    value, slope = respond(plan, x, work)
    size = size_of(x)
    if plan.values:
        size += size_of(load(lanes.a, (0,)) * value)
    alive = load(lanes.alive, (0,)) > 0.5
    fine = size <= plan.bound
    if count(fine & alive) < count(alive):
        end_unbounded(lanes, p, choose(fine, filled(0.0), size), work)
    return value, slope


@kernel(inline="always", counted=False)
def gather(plan, lanes, drawn, p, work):
    """Sum what the samples of a batch do to the neuron in ``work``; a and b move there.

    Returns Σ c g, Σ c, Σ c² and Σ cλ of the steps c x of the weights, λ the product of x and the part of w that is on
    the sphere, 0 in the free geometry.
    """
    P, size, at = work.m.size // WIDTH, drawn.square.size, place(drawn, p)
    s, k = load(work.own, (WIDTH * ALONG,)), load(work.own, (WIDTH * OUTSIDE,))
    a, b = load(work.own, (WIDTH * OWN_A,)), load(work.own, (WIDTH * OWN_B,))
    square = load(drawn.square, (at,))
    sum_g, sum_c, sum_cc, sum_lam = filled(0.0), filled(0.0), filled(0.0), filled(0.0)
    sum_a, sum_b = filled(0.0), filled(0.0)
    for n in range(plan.batch):
        first, g = n * plan.rows, filled(0.0)
        if plan.room > 0:
            g = load_single(drawn.normals, (at + size * (first + P),))
        lam = fma(s, g, k * square)
        held = lam
        for i in range(P):
            lam = fma(load(work.m, (WIDTH * i,)), load_single(drawn.normals, (at + size * (first + i),)), lam)
        if plan.geometry == FREE:
            held = filled(0.0)
        elif plan.geometry == SPHERE:
            held = lam
        else:
            for i in range(P):
                x = load_single(drawn.normals, (at + size * (first + i),))
                held = fma(load(work.stays, (WIDTH * i,)) * load(work.m, (WIDTH * i,)), x, held)
        y, argument, residual = load(drawn.labels, (at + size * n,)), lam + b, filled(0.0)
        value, slope = filled(0.0), filled(0.0)
        for look in range(2 if plan.inner else 1):
            if look > 0:
                room = fma(-held, held, fma(g, g, square))
                for i in range(P):
                    x = load_single(drawn.normals, (at + size * (first + i),))
                    room = fma(x, x, room)
                argument = fma(load(lanes.rates, (WIDTH * INNER,)) * residual * (a * slope), room, argument)
            value, slope = respond_and_check(plan, lanes, p, argument, work)
            residual = y - plan.feedback * (a * value)
        residual = residual * (1.0 / plan.batch)
        by_b = residual * (a * slope)
        c = load(lanes.rates, (WIDTH * OF_W,)) * by_b
        sum_g, sum_c, sum_cc, sum_lam = fma(c, g, sum_g), sum_c + c, fma(c, c, sum_cc), fma(c, held, sum_lam)
        sum_a, sum_b = fma(residual, value, sum_a), sum_b + by_b
        for i in range(P):
            added = c * load_single(drawn.normals, (at + size * (first + i),))
            store(work.sums, (WIDTH * i,), added if n == 0 else load(work.sums, (WIDTH * i,)) + added)
    if plan.trained:
        grown = load(lanes.rates, (WIDTH * OF_A,)) * sum_a
        store(work.own, (WIDTH * OWN_A,), fma(load(lanes.rates, (WIDTH * KEEP_A,)), a, grown))
        store(work.own, (WIDTH * OWN_B,), fma(load(lanes.rates, (WIDTH * OF_B,)), sum_b, b))
    return sum_g, sum_c, sum_cc, sum_lam


@kernel(inline="always", counted=False)
def move(plan, lanes, square, work, sum_g, sum_c, sum_cc, sum_lam):
    """Move m, and v in the coordinates along itself and outside, and obey the geometry."""
    P = work.m.size // WIDTH
    keep = load(lanes.rates, (WIDTH * KEEP_W,)) - sum_lam
    along = fma(keep, load(work.own, (WIDTH * ALONG,)), sum_g)
    outside = fma(keep, load(work.own, (WIDTH * OUTSIDE,)), sum_c)
    if plan.batch > 1:  # Σ c_n ξ_n of independent ξ_n is √(Σ c²) ξ in law
        outside = root(sum_cc)
    length = fma(along, along, outside * outside * square)
    rest = length
    for i in range(P):
        m = load(work.m, (WIDTH * i,))
        if plan.geometry == RADII:
            kept = load(work.stays, (WIDTH * i,)) > 0.5
            m = fma(choose(kept, keep, load(lanes.rates, (WIDTH * KEEP_W,))), m, load(work.sums, (WIDTH * i,)))
            # a coordinate that reaches r is released, one beyond Δ put back
            kept = kept & (size_of(m) < plan.r)
            store(work.stays, (WIDTH * i,), choose(kept, filled(1.0), filled(0.0)))
            m = choose(m > plan.delta, filled(plan.delta), choose(m < -plan.delta, filled(-plan.delta), m))
            rest = choose(kept, fma(m, m, rest), rest)
        else:
            m = fma(keep, m, load(work.sums, (WIDTH * i,)))
            rest = fma(m, m, rest)
        store(work.m, (WIDTH * i,), m)
    length = length * inverse_length(length)
    if plan.geometry != FREE:
        scale = choose(rest > 0.0, inverse_length(rest), filled(1.0))
        along, outside, length = along * scale, outside * scale, length * scale
        for i in range(P):
            m = load(work.m, (WIDTH * i,))
            scaled = m * scale
            if plan.geometry == RADII:
                scaled = choose(load(work.stays, (WIDTH * i,)) > 0.5, scaled, m)
            store(work.m, (WIDTH * i,), scaled)
    store(work.own, (WIDTH * ALONG,), along)
    store(work.own, (WIDTH * OUTSIDE,), outside)
    store(work.own, (WIDTH * LENGTH,), length)


@kernel(inline="always", counted=False)
def begin(plan, lanes, work):
    """Take the state of the lanes to work on."""
    for i in range(work.m.size // WIDTH):
        store(work.m, (WIDTH * i,), load(lanes.m, (WIDTH * i,)))
        if plan.geometry == RADII:
            store(work.stays, (WIDTH * i,), load(lanes.kept, (WIDTH * i,)))
    store(work.own, (WIDTH * ALONG,), load(lanes.s, (0,)))
    store(work.own, (WIDTH * OUTSIDE,), filled(0.0))
    store(work.own, (WIDTH * OWN_A,), load(lanes.a, (0,)))
    store(work.own, (WIDTH * OWN_B,), load(lanes.b, (0,)))


@kernel(inline="always", counted=False)
def commit(plan, lanes, work):
    """Give the lanes alive their new state."""
    alive = load(lanes.alive, (0,)) > 0.5
    store(lanes.s, (0,), choose(alive, load(work.own, (WIDTH * LENGTH,)), load(lanes.s, (0,))))
    if plan.trained:
        store(lanes.a, (0,), choose(alive, load(work.own, (WIDTH * OWN_A,)), load(lanes.a, (0,))))
        store(lanes.b, (0,), choose(alive, load(work.own, (WIDTH * OWN_B,)), load(lanes.b, (0,))))
    for i in range(work.m.size // WIDTH):
        store(lanes.m, (WIDTH * i,), choose(alive, load(work.m, (WIDTH * i,)), load(lanes.m, (WIDTH * i,))))
        if plan.geometry == RADII:
            store(
                lanes.kept, (WIDTH * i,), choose(alive, load(work.stays, (WIDTH * i,)), load(lanes.kept, (WIDTH * i,)))
            )


@kernel(inline="always", counted=False)
def step(plan, lanes, drawn, p, work):
    """Step p of the block, in all lanes alive."""
    square = load(drawn.square, (place(drawn, p),))
    begin(plan, lanes, work)
    for _ in range(2 if plan.twice else 1):
        sum_g, sum_c, sum_cc, sum_lam = gather(plan, lanes, drawn, p, work)
        move(plan, lanes, square, work, sum_g, sum_c, sum_cc, sum_lam)
    ended = notice(plan, lanes, p, work)
    commit(plan, lanes, work)
    if ended > 0:
        retire(lanes)


@kernel(counted=False)
def take_steps(plan, lanes, drawn, first, stop, work):
    """Steps ``first`` to ``stop`` − 1 of the block."""
    for p in range(first, stop):
        step(plan, lanes, drawn, p, work)
