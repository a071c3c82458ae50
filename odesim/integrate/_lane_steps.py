"""One trial step of Tsitouras' pair in every lane: stages, error, dense output and the choice of the next step.

Row j of an array holds entry j of every lane, so that all loops run over lanes and vectorise. They have one fixed
length and no branch, so every lane's arithmetic is the same to the bit.
"""

import math

import numpy as np

from odesim._jit import kernel

POWERS = 4
"""Powers of θ in the dense output."""

LOG_LEAST = math.log2(1e-4)
"""Errors below count as this in the next step's control."""

# ln2 in the series of 2^f on |f| <= ½, to 1e-8
E1, E2, E3, E4, E5, E6, E7 = (math.log(2.0) ** n / math.factorial(n) for n in range(1, 8))
EXPONENT, ONE = np.int64(52), np.int64(1023)
MANTISSA, HALF_UP = np.int64((1 << 52) - 1), np.int64(0x3FE6A09E667F3BCD)

# `counted=False`: without it numba counts references to every array taken out of a tuple and to every view, atomically,
# a third of the time of all; nothing is allocated here, and the caller holds all arrays.


@kernel(inline="always", counted=False)
def log2(x):
    """Return the binary logarithm of a normal positive number to 1e-8, without a branch."""
    bits = np.int64(np.float64(x).view(np.int64) - HALF_UP)
    # x = 2^e m with m in [√½, √2)
    e = bits >> EXPONENT
    m = np.int64((bits & MANTISSA) + HALF_UP).view(np.float64)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    return np.float64(e) + (2.0 / math.log(2.0)) * s * (1.0 + z * (1.0 / 3.0 + z * (0.2 + z * (1.0 / 7.0 + z / 9.0))))


@kernel(inline="always", counted=False)
def exp2(x):
    """Return 2^x for |x| < 1000 to 1e-8, without a branch; 1 at 0 exactly."""
    n = np.floor(x + 0.5)
    f = x - n
    p = 1.0 + f * (E1 + f * (E2 + f * (E3 + f * (E4 + f * (E5 + f * (E6 + f * E7))))))
    return p * np.int64((np.int64(n) + ONE) << EXPONENT).view(np.float64)


@kernel(inline="always", counted=False)
def combine_lanes(a, i, y, k, h, trial):
    """trial = y + h Σ_{l<i} a_il k_l."""
    for j in range(y.shape[0]):
        first = a[i, 0]
        for lane in range(h.size):
            trial[j, lane] = first * k[0, j, lane]
        for l in range(1, i - 1, 2):
            one, two = a[i, l], a[i, l + 1]
            for lane in range(h.size):
                trial[j, lane] += one * k[l, j, lane] + two * k[l + 1, j, lane]
        rest = a[i, i - 1] if i % 2 == 0 else 0.0
        for lane in range(h.size):
            trial[j, lane] = y[j, lane] + h[lane] * (trial[j, lane] + rest * k[i - 1, j, lane])


@kernel(inline="always", counted=False)
def error_lanes(weights, rtol, atol, y, k, h, trial, estimate, error):
    """Fill ``error`` with the scaled norm of the embedded error estimate, as `error_norm`."""
    for lane in range(h.size):
        error[lane] = 0.0
    for j in range(y.shape[0]):
        first = weights[0]
        for lane in range(h.size):
            estimate[lane] = first * k[0, j, lane]
        for i in range(1, weights.size - 1, 2):
            one, two = weights[i], weights[i + 1]
            for lane in range(h.size):
                estimate[lane] += one * k[i, j, lane] + two * k[i + 1, j, lane]
        for lane in range(h.size):
            scale = h[lane] / (atol + rtol * max(abs(y[j, lane]), abs(trial[j, lane])))
            error[lane] += (scale * estimate[lane]) ** 2
    for lane in range(h.size):
        error[lane] = math.sqrt(error[lane] / y.shape[0])


@kernel(inline="always", counted=False)
def count_due(error, t, h, due):
    """How many lanes have an output inside a step that is good enough."""
    found = 0
    for lane in range(h.size):
        found += np.int64(error[lane] <= 1.0) & np.int64(due[lane] <= t[lane] + h[lane])
    return found


@kernel(inline="always", counted=False)
def dense_lanes(weights, k, h, dense):
    """Fill the polynomials of the dense output, power p + 1 of θ in ``dense[p]``."""
    for j in range(dense.shape[1]):
        for p in range(POWERS):
            first, second = weights[0, p], weights[1, p]
            for lane in range(h.size):
                dense[p, j, lane] = first * k[0, j, lane] + second * k[1, j, lane]
        for i in range(2, weights.shape[0]):
            one, two, three, four = weights[i, 0], weights[i, 1], weights[i, 2], weights[i, 3]
            if one != 0.0:
                for lane in range(h.size):
                    dense[0, j, lane] += one * k[i, j, lane]
            for lane in range(h.size):
                dense[1, j, lane] += two * k[i, j, lane]
                dense[2, j, lane] += three * k[i, j, lane]
                dense[3, j, lane] += four * k[i, j, lane]
        for p in range(POWERS):
            for lane in range(h.size):
                dense[p, j, lane] *= h[lane]


@kernel(inline="always", counted=False)
def record_lanes(error, t, h, y, dense, member, output, due, times, out):
    """Write the outputs inside the steps that are good enough."""
    for lane in range(h.size):
        end = t[lane] + h[lane]
        if error[lane] <= 1.0 and due[lane] <= end:
            who, first, inverse = member[lane], output[lane], 1.0 / h[lane]
            last = first
            while last < times.size and times[last] <= end:
                last += 1
            for j in range(y.shape[0]):
                now, one, two = y[j, lane], dense[0, j, lane], dense[1, j, lane]
                three, four = dense[2, j, lane], dense[3, j, lane]
                for at in range(first, last):
                    x = (times[at] - t[lane]) * inverse
                    out[who, j, at] = now + x * (one + x * (two + x * (three + x * four)))
            output[lane] = last
            due[lane] = times[last] if last < times.size else np.inf


@kernel(inline="always", counted=False)
def step_lanes(order, y, k, trial, error, t, h, last, largest, tried):
    """Move the lanes whose step was good enough, and choose every lane's next step as `explicit` does."""
    final = k.shape[0] - 1
    for lane in range(h.size):
        largest[lane] = 0.0
        tried[lane] += 1.0
    for j in range(y.shape[0]):
        for lane in range(h.size):
            good = error[lane] <= 1.0
            y[j, lane] = trial[j, lane] if good else y[j, lane]
            k[0, j, lane] = k[final, j, lane] if good else k[0, j, lane]
        for lane in range(h.size):
            size = abs(y[j, lane])
            largest[lane] = size if size > largest[lane] else largest[lane]
    again, grow, damp = -1.0 / order, -0.7 / order, 0.4 / order
    for lane in range(h.size):
        e = error[lane]
        good = e <= 1.0
        # NaN compares false: shrink hard, until the step is too small
        known = e if e < 1e10 else 1e10
        size = log2(known if known > 1e-10 else 1e-10)
        power = grow * size + damp * last[lane] if good else again * size
        factor = 0.9 * exp2(power)
        low, high = 0.2 if good else 0.1, 8.0 if good else 1.0
        factor = factor if factor > low else low
        t[lane] += h[lane] if good else 0.0
        h[lane] *= factor if factor < high else high
        size = size if size > LOG_LEAST else LOG_LEAST
        last[lane] = size if good else last[lane]
