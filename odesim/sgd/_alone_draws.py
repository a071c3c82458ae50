"""What the samples of a block of steps have to say to WIDTH lone neurons, each at a step and with a stream of its own.

A neuron sees of a sample x only its support coordinates, its part g along the residual v, and the squared length χ² of
what is outside all these, d − P − 1 degrees of freedom. Step n = 4 group + r takes number r of the counters
(i, group mod 2^32, group div 2^32, stream), as in `_random`: i < P for the support, then g, then the label noise if
there is any; so for each sample of a batch; then χ's normal, and last the words by which `_chi` accepts. Further
attempts have the counters beyond.
"""

import math
from typing import NamedTuple

import numpy as np

from odesim._jit import kernel
from odesim._packs import WIDTH
from odesim.sgd._chi import TO_UNIT, accepted
from odesim.sgd._random import GROUP, HIGH, F, U, box_muller, philox

CALLS = 16
"""Most groups of four steps in a block: the numbers of one sample then stay in the first cache."""

SLACK, MARGIN = 1.001, np.float32(1e-6)
"""What the quick test allows itself for rounding, so that what it takes is taken by the exact one as well."""

MOST_ROWS = 256
"""Calls times normals a step, above which a block has fewer calls."""

STREAM, NEURON = 8, 8
"""Stream of neuron j: STREAM + NEURON · j; those below are the joint chain's and SGD's."""


class Block(NamedTuple):
    """Numbers of 4 · calls steps; step p stands at [p mod 4, p div 4]."""

    words: np.ndarray  # (4, calls, WIDTH) uint32
    normals: np.ndarray  # (rows, 4, calls, WIDTH) float32
    square: np.ndarray  # (4, calls, WIDTH) χ²
    labels: np.ndarray  # (batch, 4, calls, WIDTH)
    again: np.ndarray  # (4, 1) uint32, words of one more attempt
    attempt: np.ndarray  # (2, 1) float32, its normals


@kernel
def block_for(rows, batch):
    """Return arrays for ``rows`` normals a step: fewer calls, a power of two, the more there are."""
    calls = CALLS
    while calls > 1 and calls * rows > MOST_ROWS:
        calls //= 2
    shape = (GROUP, calls, WIDTH)
    return Block(
        np.empty(shape, U), np.empty((rows, GROUP, calls, WIDTH), F), np.zeros(shape), np.zeros((batch, *shape)),
        np.empty((GROUP, 1), U), np.empty((2, 1), F),
    )  # fmt: skip


@kernel(counted=False)
def draw_words(keys, stream, group, i, words):
    """Fill words (4, calls, WIDTH) from counters (i, group + call, stream) of every lane, group a multiple of calls."""
    k0, k1 = keys[0], keys[1]
    for call in range(words.shape[1]):
        w0, w1, w2, w3 = words[0, call], words[1, call], words[2, call], words[3, call]
        for lane in range(k0.size):
            number = np.uint64(group[lane])
            low, high = U(U(number) + U(call)), U(number >> HIGH)
            w0[lane], w1[lane], w2[lane], w3[lane] = philox(U(i), low, high, stream[lane], k0[lane], k1[lane])


@kernel(counted=False)
def draw_normals(keys, stream, group, i, words, out):
    """Fill out (4, calls, WIDTH) float32 with the normals of these counters."""
    draw_words(keys, stream, group, i, words)
    for r in range(0, GROUP, 2):
        box_muller(words[r].reshape(-1), words[r + 1].reshape(-1), out[r].reshape(-1), out[r + 1].reshape(-1))


@kernel(counted=False)
def next_attempt(k0, k1, stream, group, r, i, words, normals):
    """Return number r of the normals of counter i and of the words of i + 1; words (4, 1), normals (2, 1): scratch."""
    low, high, pair = U(group), U(np.uint64(group) >> HIGH), r - r % 2
    words[0, 0], words[1, 0], words[2, 0], words[3, 0] = philox(U(i), low, high, stream, k0, k1)
    box_muller(words[pair], words[pair + 1], normals[0], normals[1])
    words[0, 0], words[1, 0], words[2, 0], words[3, 0] = philox(U(i + 1), low, high, stream, k0, k1)
    return np.float64(normals[r % 2, 0]), words[r, 0]


@kernel(inline="always")
def doubtful(y, word, slope, bound):
    """Whether the exact test may reject the normal y: with slope c and bound 1/(108 d), in float32."""
    room = (F(np.int32(word >> U(1))) * F(2.0 * TO_UNIT) - MARGIN) * (F(1.0) - abs(slope * y))
    return np.int32(1) if bound * y * y * y * y > room else np.int32(0)


@kernel(counted=False)
def candidates(d, c, x, words, out):
    """Fill out with χ² as if all normals x were accepted; return how many may not be."""
    slope, bound, twice, found = F(c), F(SLACK / (108.0 * d)), 2.0 * d, np.int32(0)
    for i in range(x.size):
        v = 1.0 + c * np.float64(x[i])
        out[i] = twice * v * v * v
    for i in range(x.size):
        found = np.int32(found + doubtful(x[i], words[i], slope, bound))
    return found


@kernel(counted=False)
def settle_doubts(keys, stream, group, d, c, i, x, block):
    """Draw those of the candidates again that the exact test rejects."""
    slope, bound, words = F(c), F(SLACK / (108.0 * d)), block.words
    for r in range(GROUP):
        for call in range(x.shape[1]):
            own, test, found = x[r, call], words[r, call], np.int32(0)
            for lane in range(WIDTH):
                found = np.int32(found + doubtful(own[lane], test[lane], slope, bound))
            if found == 0:
                continue
            for lane in range(WIDTH):
                if doubtful(own[lane], test[lane], slope, bound) == 0:
                    continue
                y, w, attempt = np.float64(own[lane]), test[lane], i
                while not accepted(y, w, d):
                    k0, k1 = keys[0, lane], keys[1, lane]
                    y, w = next_attempt(
                        k0, k1, stream[lane], group[lane] + call, r, attempt, block.again, block.attempt
                    )
                    attempt += 2
                if attempt > i:
                    block.square[r, call, lane] = 2.0 * d * (1.0 + c * y) ** 3


@kernel(counted=False)
def squares(keys, stream, group, freedom, i, x, block):
    """Fill block.square from the normals x and the words of attempt 0; counters from i on are free."""
    words, out = block.words, block.square
    if freedom == 1:
        for r in range(GROUP):
            one, two = x[r].reshape(-1), out[r].reshape(-1)
            for n in range(one.size):
                two[n] = np.float64(one[n]) * np.float64(one[n])
        return
    d = 0.5 * freedom - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    if candidates(d, c, x.reshape(-1), words.reshape(-1), out.reshape(-1)) > 0:
        settle_doubts(keys, stream, group, d, c, i, x, block)


@kernel(counted=False)
def draw_block(keys, stream, group, room, rows, block):
    """Draw ``rows`` normals a step and, with ``room`` = d − P >= 2 coordinates outside, χ² from row ``rows − 1``'s."""
    for i in range(rows):
        draw_normals(keys, stream, group, i, block.words, block.normals[i])
    if room >= 2:
        draw_words(keys, stream, group, rows, block.words)
        squares(keys, stream, group, room - 1, rows + 1, block.normals[rows - 1], block)
