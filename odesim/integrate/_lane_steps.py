"""One trial step of Tsitouras' pair in every lane: stages, error, dense output and the choice of the next step.

Row j of an array holds entry j of every lane, and the loops go over packs of lanes. There is no branch, so every lane's
arithmetic is the same to the bit. Arrays taken from tuples are not counted: nothing is allocated here, and the caller
holds all of them.
"""

import math

import numpy as np

from odesim._jit import kernel
from odesim._packs import (
    FEW,
    WIDTH,
    choose,
    count,
    exponent,
    filled,
    fraction,
    load,
    load_few,
    nearest,
    power_of_two,
    rough_inverse_root,
    size_of,
    store,
)

LANES = 32
"""Members next to each other. Measured: 32, 64, 96 and 128 take 2.9, 3.0, 3.2 and 3.4 ms in the benchmark."""

POWERS = 4
"""Powers of θ in the dense output."""

LOG_LEAST = math.log2(1e-4)
"""Errors below count as this in the next step's control."""

# ln2 in the series of 2^f on |f| <= ½, to 1e-7
E1, E2, E3, E4, E5, E6 = (math.log(2.0) ** n / math.factorial(n) for n in range(1, 7))
TWO_OVER_LN2 = 2.0 / math.log(2.0)


@kernel(inline="always", counted=False)
def log2(x):
    """Return the binary logarithm of normal positive numbers to 1e-7."""
    m = fraction(x)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    return exponent(x) + TWO_OVER_LN2 * s * (1.0 + z * (1.0 / 3.0 + z * (0.2 + z * (1.0 / 7.0))))


@kernel(inline="always", counted=False)
def exp2(x):
    """Return 2^x for |x| < 1000 to 2e-7; 1 at 0 exactly."""
    n = nearest(x)
    f = x - n
    return power_of_two(n) * (1.0 + f * (E1 + f * (E2 + f * (E3 + f * (E4 + f * (E5 + f * E6))))))


@kernel(inline="always", counted=False)
def inverse(x):
    """Return 1/x of normal positive numbers to 2e-6, enough to judge an error by."""
    r = rough_inverse_root(x)
    r = r * r
    e = 1.0 - x * r
    return r + r * e * (1.0 + e * (1.0 + e * (1.0 + e)))


@kernel(inline="always", counted=False)
def combine_lanes(a, i, y, k, h, trial):
    """trial = y + h Σ_{l<i} a_il k_l."""
    for j in range(y.shape[0]):
        for lane in range(0, LANES, WIDTH):
            total = a[i, 0] * load(k, (0, j, lane))
            for l in range(1, i):
                total += a[i, l] * load(k, (l, j, lane))
            store(trial, (j, lane), load(y, (j, lane)) + load(h, (lane,)) * total)


@kernel(inline="always", counted=False)
def error_lanes(weights, rtol, atol, y, k, h, trial, error):
    """Fill ``error`` with the square of the scaled norm of the embedded error estimate; see `error_norm`."""
    share = 1.0 / y.shape[0]
    for lane in range(0, LANES, WIDTH):
        total, step = filled(0.0), load(h, (lane,))
        for j in range(y.shape[0]):
            estimate = weights[0] * load(k, (0, j, lane))
            for i in range(1, weights.size):
                estimate += weights[i] * load(k, (i, j, lane))
            one, two = size_of(load(y, (j, lane))), size_of(load(trial, (j, lane)))
            scaled = step * estimate * inverse(atol + rtol * choose(one > two, one, two))
            total += scaled * scaled
        store(error, (lane,), share * total)


@kernel(inline="always", counted=False)
def dense_lanes(weights, y, trial, k, h, dense):
    """Fill the polynomials of the dense output, power p + 1 of θ in ``dense[p]``.

    They are the quartics with the values and slopes of both ends and with the θ⁴ of ``weights``.
    """
    last = weights.shape[0] - 1
    for j in range(y.shape[0]):
        for lane in range(0, LANES, WIDTH):
            first, final, step = load(k, (0, j, lane)), load(k, (last, j, lane)), load(h, (lane,))
            fourth = weights[0, 3] * first + weights[last, 3] * final
            for i in range(1, last):
                fourth += weights[i, 3] * load(k, (i, j, lane))
            first, final, fourth = step * first, step * final, step * fourth
            way = load(trial, (j, lane)) - load(y, (j, lane))
            store(dense, (0, j, lane), first)
            store(dense, (1, j, lane), 3.0 * way - 2.0 * first - final + fourth)
            store(dense, (2, j, lane), first + final - 2.0 * (way + fourth))
            store(dense, (3, j, lane), fourth)


@kernel(inline="always", counted=False)
def find_due(error, t, h, due, found):
    """List the lanes with an output inside a step that is good enough; return how many they are."""
    many = 0
    for lane in range(LANES):
        found[many] = lane
        many += np.int64(error[lane] <= 1.0) & np.int64(due[lane] <= t[lane] + h[lane])
    return many


@kernel(inline="always", counted=False)
def record_lanes(many, t, h, y, dense, member, times, found, output, due, out):
    """Write the outputs inside the good steps of the ``many`` lanes found.

    They are computed a short pack at a time; what lies beyond the step is overwritten in the steps to come.
    """
    for one in range(many):
        lane = found[one]
        who, at, start = member[lane], output[lane], t[lane]
        end, inverse_h, inside = start + h[lane], 1.0 / h[lane], FEW
        while inside == FEW:
            moments = load_few(times, (at,))
            x = (moments - start) * inverse_h
            for j in range(y.shape[0]):
                value = dense[1, j, lane] + x * (dense[2, j, lane] + x * dense[3, j, lane])
                store(out, (who, j, at), y[j, lane] + x * (dense[0, j, lane] + x * value))
            inside = count(moments <= end)
            at += inside
        output[lane], due[lane] = at, times[at]


@kernel(inline="always", counted=False)
def step_lanes(order, y, k, trial, error, t, h, last, largest, tried):
    """Move the lanes whose step was good enough, and choose every lane's next step as `explicit` does."""
    final = k.shape[0] - 1
    # of the error's square
    again, grow, damp = -0.5 / order, -0.35 / order, 0.4 / order
    for lane in range(0, LANES, WIDTH):
        e, step, before = load(error, (lane,)), load(h, (lane,)), load(last, (lane,))
        good, most = e <= 1.0, filled(0.0)
        for j in range(y.shape[0]):
            now = choose(good, load(trial, (j, lane)), load(y, (j, lane)))
            store(y, (j, lane), now)
            store(k, (0, j, lane), choose(good, load(k, (final, j, lane)), load(k, (0, j, lane))))
            size = size_of(now)
            most = choose(size > most, size, most)
        store(largest, (lane,), most)
        store(tried, (lane,), load(tried, (lane,)) + 1.0)
        # NaN compares false: shrink hard, until the step is too small
        known = choose(e < 1e20, e, filled(1e20))
        size = log2(choose(known > 1e-20, known, filled(1e-20)))
        factor = 0.9 * exp2(choose(good, grow * size + damp * before, again * size))
        low, high = choose(good, filled(0.2), filled(0.1)), choose(good, filled(8.0), filled(1.0))
        factor = choose(factor > low, factor, low)
        store(t, (lane,), load(t, (lane,)) + choose(good, step, filled(0.0)))
        store(h, (lane,), step * choose(factor < high, factor, high))
        size = 0.5 * size
        size = choose(size > LOG_LEAST, size, filled(LOG_LEAST))
        store(last, (lane,), choose(good, size, before))
