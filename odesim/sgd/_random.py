"""Samples of the data streams: Philox4x32-10 by counter, then Box–Muller in float32, or bits; free of branches.

One call of Philox gives the same coordinate of four successive steps:

    x[step 4g + r, coordinate i] = normal r of the call with counter (i, g mod 2^32, g div 2^32, stream),

with the run's 64-bit seed as key. Signs take one bit a coordinate:

    x[step 4g + r, coordinate i] = 1 − 2 · (bit i mod 32, the lowest first, of word r of the call with counter
                                            (i div 32, g mod 2^32, g div 2^32, stream)).

So a sample depends on seed, step and coordinate alone: not on the
dimension, nor on chunks, threads or vector lanes. Philox: Salmon, Moraes, Dror, Shaw, SC 2011.
"""

import math

import numpy as np

from odesim._jit import kernel

INPUTS, LABELS = np.uint32(0), np.uint32(1)
"""Streams of one run: the inputs x, the label noise."""

GROUP = 4
"""Steps served by one counter."""

BITS = 32
"""Signs that one word gives."""

U, I, F = np.uint32, np.int32, np.float32

# Philox's multipliers and key increments. Every integer is a uint32 or uint64: one bare literal would make
# the expression int64 and halve the vector width.
M0, M1, HIGH = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57), np.uint64(32)
W0, W1 = U(0x9E3779B9), U(0xBB67AE85)

ONE, HALF = F(1.0), F(0.5)
TO_UNIT = F(2.0**-31)
TO_ANGLE = F(math.pi / 4 * 2.0**-29)
SIGN, FIRST, SECOND = U(0x80000000), U(31), U(30)

# ln x = e ln 2 + f - f²/2 + f³ L(f), with x = 2^e (1 + f), 1 + f in [√½, √2); relative error of ln(1+f) 2e-8.
ROOT_HALF, ONE_BITS, MANTISSA, EXPONENT, BIAS = U(0x3F3504F3), U(0x3F800000), U(0x007FFFFF), U(23), I(127)
LN2 = F(math.log(2.0))
L0, L1, L2, L3 = F(0.333333307), F(-0.250003064), F(0.200010451), F(-0.166412815)
L4, L5, L6, L7 = F(0.142144959), F(-0.129981838), F(0.126223198), F(-0.0790274377)

# sin t = t + t³ S(t²), cos t = 1 - t²/2 + t⁴ C(t²) on |t| <= π/4, errors 1e-8 and 1e-9.
S0, S1, S2 = F(-0.166666647), F(0.00833274827), F(-0.000195878909)
C0, C1, C2 = F(0.0416666647), F(-0.0013888303), F(0.0000245479421)


@kernel(inline="always")
def philox(c0, c1, c2, c3, k0, k1):
    """Ten rounds on a counter of four words with a key of two; returns four random words."""
    for _ in range(10):
        p, q = np.uint64(c0) * M0, np.uint64(c2) * M1
        c0, c1, c2, c3 = U(q >> HIGH) ^ c1 ^ k0, U(q), U(p >> HIGH) ^ c3 ^ k1, U(p)
        k0, k1 = U(k0 + W0), U(k1 + W1)
    return c0, c1, c2, c3


@kernel
def draw_words(seed, stream, group, words):
    """Fill words (4, n) with the four words of the counters (0..n-1, group, stream)."""
    k0, k1 = U(seed), U(np.uint64(seed) >> HIGH)
    low, high = U(group), U(np.uint64(group) >> HIGH)
    first, second, third, fourth = words[0], words[1], words[2], words[3]
    for i in range(first.size):
        first[i], second[i], third[i], fourth[i] = philox(U(i), low, high, stream, k0, k1)


@kernel
def log32(x):
    """Natural logarithm of a positive normal float32, relative error 1e-7."""
    bits = U(F(x).view(U) + U(ONE_BITS - ROOT_HALF))
    e = F(I(I(bits >> EXPONENT) - BIAS))
    f = U(U(bits & MANTISSA) + ROOT_HALF).view(F) - ONE
    p = L3 + f * (L4 + f * (L5 + f * (L6 + f * L7)))
    p = L0 + f * (L1 + f * (L2 + f * p))
    z = f * f
    return e * LN2 + (f + (f * z * p - HALF * z))


@kernel
def box_muller(radius, angle, out, other):
    """Two normals from two words: √(-2 ln u) times cosine and sine of a uniform angle; |x| < 6.7.

    The upper 30 bits of ``angle`` give t in [-π/4, π/4), whence √2 cos(π/4 + t) = cos t - sin t and
    √2 sin(π/4 + t) = cos t + sin t; its two lowest bits are the signs.
    """
    for i in range(radius.size):
        r = np.sqrt(-log32((F(I(radius[i] >> U(1))) + HALF) * TO_UNIT))
        word = angle[i]
        t = F(I(I(word) >> I(2))) * TO_ANGLE
        z = t * t
        sine = t + t * z * (S0 + z * (S1 + z * S2))
        cosine = ONE - HALF * z + z * z * (C0 + z * (C1 + z * C2))
        out[i] = U(F(r * (cosine - sine)).view(U) ^ U(word << FIRST)).view(F)
        other[i] = U(F(r * (cosine + sine)).view(U) ^ U(U(word << SECOND) & SIGN)).view(F)


@kernel
def draw_normals(seed, stream, group, words, out):
    """Fill out[:, :n], four rows of float32, with the normals of the steps 4·group ... 4·group + 3; words (4, n)."""
    draw_words(seed, stream, group, words)
    for r in range(0, GROUP, 2):
        box_muller(words[r], words[r + 1], out[r], out[r + 1])


@kernel
def draw_group(seed, stream, group, scratch, out):
    """Do the same for rows of any dtype; scratch (8, n).

    The normals go through float32 scratch: converting to float64 inside Box–Muller costs a third more.
    """
    normals = scratch[GROUP:].view(F)
    draw_normals(seed, stream, group, scratch[:GROUP], normals)
    for r in range(GROUP):
        convert(normals[r], out[r])


@kernel
def convert(normals, out):
    """Copy into the dtype of out."""
    for i in range(normals.size):
        out[i] = normals[i]


@kernel
def signs_of(words, n, out):
    """Fill out[:n] with 1 − 2 · bit, the lowest bit of the first word first."""
    for k in range(words.size):
        word, part = words[k], out[BITS * k : min(BITS * (k + 1), n)]
        for j in range(part.size):
            part[j] = I(1) - I(U(U(word >> U(j)) & U(1)) << U(1))


@kernel
def draw_signs(seed, stream, group, words, n, out):
    """Fill out[:, :n], four rows, with the signs of the steps 4·group ... 4·group + 3; words (4, ⌈n/32⌉) is scratch."""
    draw_words(seed, stream, group, words)
    for r in range(GROUP):
        signs_of(words[r], n, out[r])


@kernel
def samples(seed, stream, first, out):
    """Fill out (steps, n) float32 with the samples of the steps ``first``, ``first`` + 1, ..."""
    count, n = out.shape
    scratch, four = np.empty((2 * GROUP, n), U), np.empty((GROUP, n), F)
    for row in range(count):
        step = first + row
        if row == 0 or step % GROUP == 0:
            draw_group(seed, stream, step // GROUP, scratch, four)
        out[row] = four[step % GROUP]


@kernel
def signs(seed, stream, first, out):
    """Fill out (steps, n) float32 with the signs of the steps ``first``, ``first`` + 1, ..."""
    count, n = out.shape
    words, four = np.empty((GROUP, -(-n // BITS)), U), np.empty((GROUP, n), F)
    for row in range(count):
        step = first + row
        if row == 0 or step % GROUP == 0:
            draw_signs(seed, stream, step // GROUP, words, n, four)
        out[row] = four[step % GROUP]
