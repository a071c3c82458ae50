"""The passes over W and x of online SGD, batch 1: four updates and four forward products in one sweep."""

from odesim._jit import kernel
from odesim._lines import BYTES, fill_line, load_line, multiply_add, total
from odesim._packs import store


@kernel
def gram(x, G):
    """Fill the lower part of G (4, 4) with <x_t, x_q>."""
    x0, x1, x2, x3 = x[0], x[1], x[2], x[3]
    zero = x.dtype.type(0)
    g10, g20, g21, g30, g31, g32 = zero, zero, zero, zero, zero, zero
    g00, g11, g22, g33 = zero, zero, zero, zero
    for i in range(x0.size):
        g00 += x0[i] * x0[i]
        g10 += x1[i] * x0[i]
        g11 += x1[i] * x1[i]
        g20 += x2[i] * x0[i]
        g21 += x2[i] * x1[i]
        g22 += x2[i] * x2[i]
        g30 += x3[i] * x0[i]
        g31 += x3[i] * x1[i]
        g32 += x3[i] * x2[i]
        g33 += x3[i] * x3[i]
    G[1, 0], G[2, 0], G[2, 1], G[3, 0], G[3, 1], G[3, 2] = g10, g20, g21, g30, g31, g32
    G[0, 0], G[1, 1], G[2, 2], G[3, 3] = g00, g11, g22, g33


@kernel
def add_four(w, c0, c1, c2, c3, x0, x1, x2, x3):
    """w + c0 x0 + c1 x1 + c2 x2 + c3 x3."""
    return multiply_add(c3, x3, multiply_add(c2, x2, multiply_add(c1, x1, multiply_add(c0, x0, w))))


@kernel
def sweep(W, x, new, C, L):
    """W += Σ_q c_q x_qᵀ, then L = (W new_tᵀ)_t, two rows of W at a time, line by line."""
    for j in range(0, W.shape[0], 2):
        k = j + 1
        c0, c1, c2, c3 = fill_line(W, C[0, j]), fill_line(W, C[1, j]), fill_line(W, C[2, j]), fill_line(W, C[3, j])
        e0, e1, e2, e3 = fill_line(W, C[0, k]), fill_line(W, C[1, k]), fill_line(W, C[2, k]), fill_line(W, C[3, k])
        p0 = fill_line(W, 0.0)
        p1, p2, p3, q0, q1, q2, q3 = p0, p0, p0, p0, p0, p0, p0
        for i in range(0, W.shape[1], BYTES // W.itemsize):
            x0, x1, x2, x3 = load_line(x, (0, i)), load_line(x, (1, i)), load_line(x, (2, i)), load_line(x, (3, i))
            f = add_four(load_line(W, (j, i)), c0, c1, c2, c3, x0, x1, x2, x3)
            g = add_four(load_line(W, (k, i)), e0, e1, e2, e3, x0, x1, x2, x3)
            store(W, (j, i), f)
            store(W, (k, i), g)
            n0, n1, n2, n3 = load_line(new, (0, i)), load_line(new, (1, i)), load_line(new, (2, i)), load_line(new, (3, i))
            p0 = multiply_add(f, n0, p0)
            p1 = multiply_add(f, n1, p1)
            p2 = multiply_add(f, n2, p2)
            p3 = multiply_add(f, n3, p3)
            q0 = multiply_add(g, n0, q0)
            q1 = multiply_add(g, n1, q1)
            q2 = multiply_add(g, n2, q2)
            q3 = multiply_add(g, n3, q3)
        L[0, j], L[1, j], L[2, j], L[3, j] = total(p0), total(p1), total(p2), total(p3)
        L[0, k], L[1, k], L[2, k], L[3, k] = total(q0), total(q1), total(q2), total(q3)
