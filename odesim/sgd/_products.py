"""The two matrix products of a mini-batch, with one vector width of accumulators in registers and blocks in cache.

Written out rather than left to a BLAS: bits then depend neither on its version nor on its threads.
"""

from odesim._jit import kernel
from odesim._lines import fill_line, lanes_of, load_line, multiply_add
from odesim._packs import store

SAMPLES, NEURONS = 4, 6
"""Rows of x that ``multiply`` takes at a time, rows of W that ``add`` takes: both arrays are padded to these."""

BLOCK_BYTES, BLOCK_ROWS = 4096, 60
"""Bytes of a row that are worked on at a time, and rows of W: together they stay in the second cache."""


@kernel(counted=False)
def multiply(W, x, L):
    """L[t, j] = <W_j, x_t>, for a number of rows of x that is a multiple of four, of W of two."""
    T = W.dtype.type
    block = BLOCK_BYTES // W.itemsize
    for t in range(L.shape[0]):
        l0 = L[t]
        for j in range(l0.size):
            l0[j] = 0.0
    for low in range(0, W.shape[1], block):
        high = min(low + block, W.shape[1])
        for first in range(0, W.shape[0], BLOCK_ROWS):
            for t in range(0, x.shape[0], SAMPLES):
                x0, x1, x2, x3 = x[t, low:high], x[t + 1, low:high], x[t + 2, low:high], x[t + 3, low:high]
                l0, l1, l2, l3 = L[t], L[t + 1], L[t + 2], L[t + 3]
                for j in range(first, min(first + BLOCK_ROWS, W.shape[0]), 2):
                    w, v = W[j, low:high], W[j + 1, low:high]
                    p0, p1, p2, p3, q0, q1, q2, q3 = T(0), T(0), T(0), T(0), T(0), T(0), T(0), T(0)
                    for i in range(w.size):
                        f, g = w[i], v[i]
                        p0 += f * x0[i]
                        p1 += f * x1[i]
                        p2 += f * x2[i]
                        p3 += f * x3[i]
                        q0 += g * x0[i]
                        q1 += g * x1[i]
                        q2 += g * x2[i]
                        q3 += g * x3[i]
                    l0[j] += p0
                    l1[j] += p1
                    l2[j] += p2
                    l3[j] += p3
                    l0[j + 1] += q0
                    l1[j + 1] += q1
                    l2[j + 1] += q2
                    l3[j + 1] += q3


@kernel(counted=False)
def add(W, x, C, K):
    """W += Σ_t C_t x_tᵀ over the rows of C, for a multiple of six rows of W; K (rows, 6) is scratch."""
    block = BLOCK_BYTES // W.itemsize
    for low in range(0, W.shape[1], block):
        high = min(low + block, W.shape[1])
        for j in range(0, W.shape[0], NEURONS):
            for t in range(C.shape[0]):
                for k in range(NEURONS):
                    K[t, k] = C[t, j + k]
            add_six(W, x, K[: C.shape[0]], j, low, high)


@kernel(counted=False)
def add_six(W, x, K, j, low, high):
    """Add to six rows of W from row j on, in some of its columns, Σ_t K_t x_tᵀ."""
    for i in range(low, high, lanes_of(W)):
        w0, w1, w2 = load_line(W, (j, i)), load_line(W, (j + 1, i)), load_line(W, (j + 2, i))
        w3, w4, w5 = load_line(W, (j + 3, i)), load_line(W, (j + 4, i)), load_line(W, (j + 5, i))
        for t in range(K.shape[0]):
            v, k = load_line(x, (t, i)), K[t]
            w0 = multiply_add(fill_line(W, k[0]), v, w0)
            w1 = multiply_add(fill_line(W, k[1]), v, w1)
            w2 = multiply_add(fill_line(W, k[2]), v, w2)
            w3 = multiply_add(fill_line(W, k[3]), v, w3)
            w4 = multiply_add(fill_line(W, k[4]), v, w4)
            w5 = multiply_add(fill_line(W, k[5]), v, w5)
        store(W, (j, i), w0)
        store(W, (j + 1, i), w1)
        store(W, (j + 2, i), w2)
        store(W, (j + 3, i), w3)
        store(W, (j + 4, i), w4)
        store(W, (j + 5, i), w5)
