"""One step of SGD for WIDTH neurons that are alone, in a few coordinates each: m on the support, |v| off it.

A batch has the samples x on the support and g along v, and what their mean gradient moves v outside all these, k χ. All
arithmetic is that of packs, so that a lane's bits do not depend on its neighbours.
"""

from odesim._jit import kernel
from odesim._packs import (
    WIDTH,
    choose,
    count,
    filled,
    fma,
    load,
    load_single,
    rarely,
    root,
    rough_inverse_root,
    size_of,
    store,
)  # fmt: skip
from odesim.activations._act import ERF, POLYNOMIAL, RELU
from odesim.activations._moments_lanes import bell
from odesim.sgd._alone_events import end_unbounded, notice, retire
from odesim.sgd._alone_state import FREE, RADII, SPHERE, place
from odesim.sgd._full import FAR, INNER, KEEP_A, KEEP_W, OF_A, OF_B, OF_W, ROOT_HALF, SLOPE_AT_0, scaled_erfc


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
    value = 1.0 - bell(u / ROOT_HALF) * scaled_erfc(u)
    return choose(x < 0.0, -value, value)


@kernel(inline="always", counted=False)
def polynomial(table, recursion, x):
    """σ and σ' of `_table.activate_polynomial`."""
    before, now, value, slope = filled(0.0), filled(1.0), filled(0.0), filled(0.0)
    for n in range(table.shape[1]):
        value = fma(now, table[0, n], value)
        slope = fma(now, table[1, n], slope)
        before, now = now, fma(x * recursion[2 * n], now, recursion[2 * n + 1] * before)
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
        value, slope = polynomial(act.kind.table, plan.recursion, x)
    else:
        store(work.argument, (0,), x)
        act.activate(act.kind, work.argument, work.value, work.slope)
        value, slope = load(work.value, (0,)), load(work.slope, (0,))
    return value, slope


@kernel(inline="always", counted=False)
def respond_and_check(plan, lanes, p, a, x, work):
    """`respond`, and end the lanes where it is out of bounds."""
    value, slope = respond(plan, x, work)
    size = size_of(x)
    if plan.values:
        size += size_of(a * value)
    alive = load(lanes.alive, (0,)) > 0.5
    fine = size <= plan.bound
    if rarely(count(fine & alive) < count(alive)):
        end_unbounded(lanes, p, choose(fine, filled(0.0), size), work)
    return value, slope


@kernel(inline="always", counted=False)
def take_pass(plan, lanes, drawn, p, P, batch, inner, m, kept, s, k, a, b, known, work):
    """Move a neuron by the mean gradient of a batch, and obey the geometry.

    The neuron has the overlaps m, ``kept`` which of them are on the sphere, the part s along v and, on the samples of
    the step, k in units of χ outside. The new m and ``kept`` go to ``work``; s, k, a and b are returned, and |v|.
    """
    size, at = drawn.square.size, place(drawn, p)
    square = load(drawn.square, (at,))
    keep_w = load(lanes.rates, (WIDTH * KEEP_W,))
    sum_g, sum_c, sum_cc, sum_lam = filled(0.0), filled(0.0), filled(0.0), filled(0.0)
    sum_a, sum_b = filled(0.0), filled(0.0)
    for n in range(batch):
        first, g = n * plan.rows, filled(0.0)
        if plan.room > 0:
            g = load_single(drawn.normals, (at + size * (first + P),))
        lam = fma(s, g, k * square)
        held = lam
        for i in range(P):
            lam = fma(load(m, (WIDTH * i,)), load_single(drawn.normals, (at + size * (first + i),)), lam)
        if plan.geometry == FREE:
            held = filled(0.0)
        elif plan.geometry == SPHERE:
            held = lam
        else:
            for i in range(P):
                x = load_single(drawn.normals, (at + size * (first + i),))
                held = fma(load(kept, (WIDTH * i,)) * load(m, (WIDTH * i,)), x, held)
        y, argument, residual = load(drawn.labels, (at + size * n,)), lam + b, filled(0.0)
        value, slope = filled(0.0), filled(0.0)
        for look in range(2 if inner else 1):
            if look > 0:
                room = fma(-held, held, fma(g, g, square))
                for i in range(P):
                    x = load_single(drawn.normals, (at + size * (first + i),))
                    room = fma(x, x, room)
                argument = fma(load(lanes.rates, (WIDTH * INNER,)) * residual * (a * slope), room, argument)
            value, slope = respond_and_check(plan, lanes, p, known, argument, work)
            residual = y - plan.feedback * (a * value)
        residual = residual * (1.0 / batch)
        by_b = residual * (a * slope)
        c = load(lanes.rates, (WIDTH * OF_W,)) * by_b
        sum_g, sum_c, sum_cc, sum_lam = fma(c, g, sum_g), sum_c + c, fma(c, c, sum_cc), fma(c, held, sum_lam)
        sum_a, sum_b = fma(residual, value, sum_a), sum_b + by_b
        for i in range(P):
            added = c * load_single(drawn.normals, (at + size * (first + i),))
            store(work.sums, (WIDTH * i,), added if n == 0 else load(work.sums, (WIDTH * i,)) + added)
    if plan.trained:
        a = fma(load(lanes.rates, (WIDTH * KEEP_A,)), a, load(lanes.rates, (WIDTH * OF_A,)) * sum_a)
        b = fma(load(lanes.rates, (WIDTH * OF_B,)), sum_b, b)
    keep = keep_w - sum_lam
    s, k = fma(keep, s, sum_g), fma(keep, k, sum_c)
    if batch > 1:  # Σ c_n ξ_n of independent ξ_n is √(Σ c²) ξ in law
        k = root(sum_cc)
    length = fma(s, s, k * k * square)
    rest = length
    for i in range(P):
        one = load(m, (WIDTH * i,))
        if plan.geometry == RADII:
            stays = load(kept, (WIDTH * i,)) > 0.5
            one = fma(choose(stays, keep, keep_w), one, load(work.sums, (WIDTH * i,)))
            # a coordinate that reaches r is released, one beyond Δ put back
            stays = stays & (size_of(one) < plan.r)
            store(work.stays, (WIDTH * i,), choose(stays, filled(1.0), filled(0.0)))
            one = choose(one > plan.delta, filled(plan.delta), choose(one < -plan.delta, filled(-plan.delta), one))
            rest = choose(stays, fma(one, one, rest), rest)
        else:
            one = fma(keep, one, load(work.sums, (WIDTH * i,)))
            rest = fma(one, one, rest)
        store(work.m, (WIDTH * i,), one)
    length = length * inverse_length(length)
    if plan.geometry != FREE:
        scale = choose(rest > 0.0, inverse_length(rest), filled(1.0))
        s, k, length = s * scale, k * scale, length * scale
        for i in range(P):
            one = load(work.m, (WIDTH * i,))
            scaled = one * scale
            if plan.geometry == RADII:
                scaled = choose(load(work.stays, (WIDTH * i,)) > 0.5, scaled, one)
            store(work.m, (WIDTH * i,), scaled)
    return s, k, a, b, length


@kernel(inline="always", counted=False)
def take_all(plan, lanes, drawn, first, stop, work, batch, inner):
    """Steps ``first`` to ``stop`` − 1 of the block; |v|, a and b stay at hand."""
    P = work.m.size // WIDTH
    s, a, b = load(lanes.s, (0,)), load(lanes.a, (0,)), load(lanes.b, (0,))
    for p in range(first, stop):
        m, kept, length = lanes.m, lanes.kept, s
        along, outside, own_a, own_b = s, filled(0.0), a, b
        for _ in range(2 if plan.twice else 1):
            along, outside, own_a, own_b, length = take_pass(
                plan, lanes, drawn, p, P, batch, inner, m, kept, along, outside, own_a, own_b, a, work
            )
            m, kept = work.m, work.stays
        ended = notice(plan, lanes, p, work)
        alive = load(lanes.alive, (0,)) > 0.5
        s = choose(alive, length, s)
        if plan.trained:
            a, b = choose(alive, own_a, a), choose(alive, own_b, b)
        for i in range(P):
            store(lanes.m, (WIDTH * i,), choose(alive, load(work.m, (WIDTH * i,)), load(lanes.m, (WIDTH * i,))))
            if plan.geometry == RADII:
                new = choose(alive, load(work.stays, (WIDTH * i,)), load(lanes.kept, (WIDTH * i,)))
                store(lanes.kept, (WIDTH * i,), new)
        if rarely(ended > 0):
            retire(lanes)
    store(lanes.s, (0,), s)
    store(lanes.a, (0,), a)
    store(lanes.b, (0,), b)


@kernel(counted=False)
def take_steps(plan, lanes, drawn, first, stop, work):
    """Steps ``first`` to ``stop`` − 1 of the block.

    The most common steps are compiled by themselves, in two thirds of the time: their loops over one sample and one
    look at it are none.
    """
    if plan.batch == 1 and not plan.inner:
        take_all(plan, lanes, drawn, first, stop, work, 1, 0)
    else:
        take_all(plan, lanes, drawn, first, stop, work, plan.batch, plan.inner)
