"""The passes over W and x of online SGD, batch 1: four updates and four forward products in one sweep.

x holds eight samples, two groups, side by side: the coordinates [lanes · i, lanes · (i + 1)) of sample t lie in the
line 8 i + t. So the inner loop has one address and constant distances; eight addresses would not fit its registers.
"""

import numpy as np

from odesim._jit import kernel
from odesim._lines import BYTES, fill_line, lanes_of, load_as, load_line, multiply_add, total
from odesim._packs import store
from odesim.sgd._random import GROUP


@kernel
def samples_for(W):
    """Zeros for two groups of samples, from a line of memory on: a vector across two lines costs twice."""
    count, lanes = 2 * GROUP * W.shape[1], lanes_of(W)
    zeros = np.zeros(count + lanes, W.dtype)
    first = np.int64(-zeros.ctypes.data % BYTES) // W.itemsize
    return zeros[first : first + count]


@kernel(inline="always")
def four_lines(x, i, first):
    """Lines i of the samples first ... first + 3."""
    lanes = lanes_of(x)
    k = (2 * GROUP * i + first) * lanes
    return (
        load_line(x, (k,)),
        load_line(x, (k + lanes,)),
        load_line(x, (k + 2 * lanes,)),
        load_line(x, (k + 3 * lanes,)),
    )


@kernel(counted=False)
def lay(rows, x, first):
    """Put four samples, rows (4, ·) of float32, into the places of the samples first ... first + 3."""
    lanes = lanes_of(x)
    for i in range(rows.shape[1] // lanes):
        for t in range(GROUP):
            store(x, ((2 * GROUP * i + first + t) * lanes,), load_as(rows, (t, i * lanes), x))


@kernel(counted=False)
def gram(x, first, G):
    """Fill the lower part of G (4, 4) with <x_t, x_q> of the samples first ... first + 3."""
    zero = fill_line(x, 0.0)
    g00, g10, g11, g20, g21, g22, g30, g31, g32, g33 = zero, zero, zero, zero, zero, zero, zero, zero, zero, zero
    for i in range(x.size // (2 * GROUP * lanes_of(x))):
        x0, x1, x2, x3 = four_lines(x, i, first)
        g00 = multiply_add(x0, x0, g00)
        g10 = multiply_add(x1, x0, g10)
        g11 = multiply_add(x1, x1, g11)
        g20 = multiply_add(x2, x0, g20)
        g21 = multiply_add(x2, x1, g21)
        g22 = multiply_add(x2, x2, g22)
        g30 = multiply_add(x3, x0, g30)
        g31 = multiply_add(x3, x1, g31)
        g32 = multiply_add(x3, x2, g32)
        g33 = multiply_add(x3, x3, g33)
    G[0, 0], G[1, 0], G[1, 1], G[2, 0], G[2, 1] = total(g00), total(g10), total(g11), total(g20), total(g21)
    G[2, 2], G[3, 0], G[3, 1], G[3, 2], G[3, 3] = total(g22), total(g30), total(g31), total(g32), total(g33)


@kernel(inline="always")
def add_four(w, c0, c1, c2, c3, x0, x1, x2, x3):
    """w + c0 x0 + c1 x1 + c2 x2 + c3 x3."""
    return multiply_add(c3, x3, multiply_add(c2, x2, multiply_add(c1, x1, multiply_add(c0, x0, w))))


@kernel(counted=False)
def sweep(W, x, old, new, C, L):
    """W += Σ_q c_q x_{old + q}ᵀ, then L = (W x_{new + t}ᵀ)_t, two rows of W at a time."""
    lanes = lanes_of(W)
    for j in range(0, W.shape[0], 2):
        k, w, v = j + 1, W[j], W[j + 1]
        c0, c1, c2, c3 = fill_line(W, C[0, j]), fill_line(W, C[1, j]), fill_line(W, C[2, j]), fill_line(W, C[3, j])
        e0, e1, e2, e3 = fill_line(W, C[0, k]), fill_line(W, C[1, k]), fill_line(W, C[2, k]), fill_line(W, C[3, k])
        zero = fill_line(W, 0.0)
        p0, p1, p2, p3, q0, q1, q2, q3 = zero, zero, zero, zero, zero, zero, zero, zero
        for i in range(w.size // lanes):
            x0, x1, x2, x3 = four_lines(x, i, old)
            at = i * lanes
            f = add_four(load_line(w, (at,)), c0, c1, c2, c3, x0, x1, x2, x3)
            g = add_four(load_line(v, (at,)), e0, e1, e2, e3, x0, x1, x2, x3)
            store(w, (at,), f)
            store(v, (at,), g)
            x0, x1, x2, x3 = four_lines(x, i, new)
            p0 = multiply_add(f, x0, p0)
            p1 = multiply_add(f, x1, p1)
            p2 = multiply_add(f, x2, p2)
            p3 = multiply_add(f, x3, p3)
            q0 = multiply_add(g, x0, q0)
            q1 = multiply_add(g, x1, q1)
            q2 = multiply_add(g, x2, q2)
            q3 = multiply_add(g, x3, q3)
        L[0, j], L[1, j], L[2, j], L[3, j] = total(p0), total(p1), total(p2), total(p3)
        L[0, k], L[1, k], L[2, k], L[3, k] = total(q0), total(q1), total(q2), total(q3)
