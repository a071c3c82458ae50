"""Normals and lengths of Gaussian vectors for many replicas side by side, each with a key of its own.

Sample number n = 4 group + r of a replica takes its numbers from counters of Philox that hold n and nothing of the
lane: (i, group mod 2^32, group div 2^32, stream), as in `_random`. A length is √χ²_ν, exact: of Marsaglia and
Tsang's method (ACM TOMS 26, 2000) with d = ν/2 − 1/3, c = 1/√(9d) and v = (1 + c x)³ the value 2 d v is taken when
ln(1 − u) < x²/2 + d (1 − v + ln v), u uniform and x normal. Since x²/2 + d (1 − v + ln v) ≥ −x⁴ / (108 d (1 − |c x|)),
a share of about 1/(18 ν) needs a logarithm. Attempt t of sample n takes its normal from the counter of i = 2t, its
word from i = 2t + 1, in the stream LENGTHS.
"""

import math
from typing import NamedTuple

import numpy as np

from odesim._jit import kernel
from odesim.sgd._random import GROUP, HIGH, F, U, box_muller, philox

LENGTHS = np.uint32(3)
"""Stream of the lengths."""

FIRST, ONE, TWO = np.int64(0), np.int64(1), np.int64(2)
"""Numbers of counters: a literal in a call would compile the callee once more."""

TO_UNIT = 2.0**-32

CHUNK = 4
"""Normals are found for so many coordinates at a time: whole vectors, so that all come from the same instructions."""


class Words(NamedTuple):
    """Words of four samples and their normals, the same memory by rows and flat."""

    rows: np.ndarray  # (4, n, lanes) uint32, n a multiple of CHUNK
    flat: np.ndarray  # (4, n · lanes)
    normals: np.ndarray  # (4, n · lanes) float32


@kernel
def words_for(n, lanes):
    """Return room for n coordinates, or a few more."""
    n += (CHUNK - n % CHUNK) % CHUNK
    flat = (GROUP, n * lanes)
    words = np.empty((GROUP, n, lanes), U)
    return Words(words, words.reshape(flat), np.empty(flat, F))


@kernel(counted=False)
def lane_words(keys, stream, group, first, count, place, rows):
    """Fill rows[:, place : place + count] with Philox of the counters (first ... first + count − 1, group, stream).

    ``rows`` must be contiguous: of four rows with strides of their own no compiler makes vectors.
    """
    low, high = U(group), U(np.uint64(group) >> HIGH)
    k0, k1 = keys[0], keys[1]
    for i in range(count):
        w0, w1, w2, w3 = rows[0, place + i], rows[1, place + i], rows[2, place + i], rows[3, place + i]
        c = U(first + i)
        for lane in range(k0.size):
            w0[lane], w1[lane], w2[lane], w3[lane] = philox(c, low, high, stream, k0[lane], k1[lane])


@kernel(counted=False)
def lane_normals(count, words):
    """Fill the normals of the first ``count`` coordinates, and of the rest of their chunk."""
    n = (count + (CHUNK - count % CHUNK) % CHUNK) * words.rows.shape[2]
    for r in range(0, GROUP, 2):
        one, other = words.normals[r, :n], words.normals[r + 1, :n]
        box_muller(words.flat[r, :n], words.flat[r + 1, :n], one, other)


@kernel(counted=False)
def accepted(x, word, d):
    """Marsaglia and Tsang's test, d = ν/2 − 1/3."""
    v = 1.0 + x / math.sqrt(9.0 * d)
    if v <= 0.0:
        return False
    return (word + 0.5) * TO_UNIT > -math.expm1(0.5 * x * x + d * (1.0 - v**3 + 3.0 * math.log(v)))


@kernel(counted=False)
def next_attempt(keys, group, r, attempt, lane, spare):
    """Return the normal and the word of one more attempt of sample 4 group + r in one lane; all lanes draw them."""
    lane_words(keys, LENGTHS, group, 2 * attempt, TWO, FIRST, spare.rows)
    lane_normals(ONE, spare)
    return np.float64(spare.normals[r, lane]), spare.rows[r, 1, lane]


@kernel(counted=False)
def lane_lengths(keys, group, r, freedom, x, word, spare, out):
    """Fill out (lanes) with √χ²_ν, ν = ``freedom`` >= 1, from x and word (lanes) of attempt 0; for ν = 1 it is |x|."""
    if freedom == 1:
        for lane in range(out.size):
            out[lane] = abs(np.float64(x[lane]))
        return
    d = 0.5 * freedom - 1.0 / 3.0
    c, bound = 1.0 / math.sqrt(9.0 * d), 1.0 / (108.0 * d)
    doubtful = 0
    for lane in range(out.size):
        y = np.float64(x[lane])
        v = 1.0 + c * y
        out[lane] = np.sqrt(2.0 * d * abs(v) * v * v)
        doubtful += 1 if bound * y * y * y * y > word[lane] * TO_UNIT * (1.0 - abs(c * y)) else 0
    if doubtful == 0:
        return
    for lane in range(out.size):
        y, w, attempt = np.float64(x[lane]), word[lane], 0
        if bound * y * y * y * y <= w * TO_UNIT * (1.0 - abs(c * y)):
            continue
        while not accepted(y, w, d):
            attempt += 1
            y, w = next_attempt(keys, group, r, attempt, lane, spare)
        if attempt > 0:
            out[lane] = np.sqrt(2.0 * d * (1.0 + c * y) ** 3)
