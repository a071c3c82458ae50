"""The moments c_k(q, b) of `_moments` for a pack of neurons, free of branches on their numbers."""

import math

from odesim._jit import kernel
from odesim._packs import WIDTH, choose, filled, load, nearest, power_of_two, root, rough_inverse_root, store
from odesim.activations._act import ERF, GELU, RELU
from odesim.activations._normal import ROOT_2PI, distribution

INVERSE_LN2, HIGH_LN2 = 1.0 / math.log(2.0), 6.93145751953125e-1
LOW_LN2 = 1.42860682030941723212e-6
X2, X3, X4, X5, X6, X7, X8, X9, X10, X11, X12 = (1.0 / math.factorial(n) for n in range(2, 13))
FRONT = math.sqrt(2.0 / math.pi)


@kernel(inline="always", counted=False)
def bell(x):
    """Return exp(−x²/2) to 4e-16, 1 at 0 exactly; below 1e-299 it stays there."""
    u = -0.5 * x * x
    u = choose(u > -690.0, u, filled(-690.0))
    n = nearest(u * INVERSE_LN2)
    f = (u - n * HIGH_LN2) - n * LOW_LN2
    # in short chains, not one of twelve products that wait for each other
    g = f * f
    k = g * g
    low = (1.0 + f) + g * (X2 + f * X3)
    middle = (X4 + f * X5) + g * (X6 + f * X7)
    high = (X8 + f * X9) + g * (X10 + f * X11) + k * X12
    return (low + k * (middle + k * high)) * power_of_two(n)


@kernel(inline="always", counted=False)
def inverse_root(x):
    """Return 1/√x to 3e-16 for normal positive numbers: half the time of a root and a division."""
    r = rough_inverse_root(x)
    for _ in range(2):
        # the series of (1 − e)^{−½}, e = 1 − x r²
        e = 1.0 - x * r * r
        r = r + r * e * (0.5 + e * (0.375 + e * 0.3125))
    return r


@kernel(inline="always", counted=False)
def distributions(x, c):
    """Return the normal distribution function, number by number; row 0 of c is overwritten."""
    store(c, (0, 0), x)
    for j in range(WIDTH):
        c[0, j] = distribution(c[0, j])
    return load(c, (0, 0))


@kernel(inline="always", counted=False)
def erf_pack(biased, q, b, c):
    """Fill c[k], k >= 1, as `moments_erf`; c_0, which no slope needs, is left out."""
    t = inverse_root(1.0 + q)
    x = b * t
    before, now = filled(0.0), FRONT * t
    if biased:
        now = now * bell(x)
    store(c, (1, 0), now)
    for k in range(1, c.shape[0] - 1):
        before, now = now, -t * (x * now + (k - 1.0) * (t * before))
        store(c, (k + 1, 0), now)


@kernel(inline="always", counted=False)
def relu_pack(slope, biased, q, b, c):
    """Fill c[k], k >= 1, as `moments_relu`; t holds 1/s."""
    rest, t = 1.0 - slope, 1.0 / root(q)
    x = b * t
    first, now = filled(0.5 * (1.0 + slope)), rest / ROOT_2PI * t
    if biased:
        first, now = slope + rest * distributions(x, c), now * bell(x)
    store(c, (1, 0), first)
    store(c, (2, 0), now)
    before = filled(0.0)
    for k in range(2, c.shape[0] - 1):
        before, now = now, -t * (x * now + (k - 2.0) * (t * before))
        store(c, (k + 1, 0), now)


@kernel(inline="always", counted=False)
def gelu_pack(biased, q, b, c):
    """Fill c[k], k >= 1, as `moments_gelu`."""
    t = inverse_root(1.0 + q)
    x = b * t
    before, now = filled(0.5), t * (1.0 / ROOT_2PI)
    if biased:
        before, now = distributions(x, c), now * bell(x)
    store(c, (1, 0), t * t * b * now + before)
    before, now = now, -t * x * now
    for k in range(2, c.shape[0]):
        store(c, (k, 0), t * t * (b * now + (k + q) * before))
        before, now = now, -t * (x * now + (k - 1.0) * (t * before))


@kernel(inline="always", counted=False)
def polynomial_pack(table, q, b, c):
    """Fill c[k], k >= 1, as `moments_polynomial`."""
    last = min(table.shape[1], c.shape[0])
    for k in range(1, c.shape[0]):
        store(c, (k, 0), filled(0.0))
    before, now = filled(0.0), filled(1.0)
    for n in range(table.shape[1]):
        for k in range(1, last):
            store(c, (k, 0), load(c, (k, 0)) + table[k, n] * now)
        before, now = now, (b * now - math.sqrt(n) * ((1.0 - q) * before)) * (1.0 / math.sqrt(n + 1.0))


@kernel(inline="always", counted=False)
def moments_pack(code, slope, table, biased, q, b, c):
    """Fill c[k], 1 <= k < c.shape[0] >= 3, of erf, ReLU, GELU or a polynomial."""
    if code == ERF:
        erf_pack(biased, q, b, c)
    elif code == RELU:
        relu_pack(slope, biased, q, b, c)
    elif code == GELU:
        gelu_pack(biased, q, b, c)
    else:
        polynomial_pack(table, q, b, c)
