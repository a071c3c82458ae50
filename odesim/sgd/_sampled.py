"""Losses of the real network on a fixed set of test inputs.

Test input 4g + r is the sample of step 4g + r in the stream TEST of the run's seed. It is drawn anew in every call:
that costs less than to keep and read them. A block of eight shares one sweep over W.
"""

import numpy as np

from odesim._jit import kernel
from odesim.sgd._full import activate, output
from odesim.sgd._labels import hermite_scratch, labels
from odesim.sgd._random import BITS, GROUP, draw_group, draw_signs

TEST = np.uint32(2)
"""Stream of the test inputs, beside INPUTS and LABELS."""

BLOCK = 2 * GROUP
"""Test inputs to one sweep."""


@kernel
def products(W, x, L):
    """L[t, j] = <w_j, x_t>, two rows of W with four of x at a time; rows of W are even in number, of x by fours."""
    zero = W.dtype.type(0)
    for j in range(0, W.shape[0], 2):
        w, v = W[j], W[j + 1]
        for t in range(0, x.shape[0], 4):
            x0, x1, x2, x3 = x[t], x[t + 1], x[t + 2], x[t + 3]
            p0, p1, p2, p3, q0, q1, q2, q3 = zero, zero, zero, zero, zero, zero, zero, zero
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
            L[t, j], L[t + 1, j], L[t + 2, j], L[t + 3, j] = p0, p1, p2, p3
            L[t, j + 1], L[t + 1, j + 1], L[t + 2, j + 1], L[t + 3, j + 1] = q0, q1, q2, q3


@kernel
def losses(W, scale, a, b, dim, seed, act, source, out):
    """Fill out (M,) with ½(h − f)² at the first M test inputs, f = Σ_j a_j σ(scale · <w_j, x> + b_j).

    W (N', d') is padded with zeros to an even number of rows; a and b are float64, at least N' long, a zero beyond
    the neurons. ``source`` has noise 0.
    """
    x = np.zeros((BLOCK, W.shape[1]), W.dtype)
    scratch, words = np.empty((2 * GROUP, dim), np.uint32), np.empty((GROUP, -(-dim // BITS)), np.uint32)
    h, He, units = np.zeros(GROUP), hermite_scratch(source), np.zeros((3, source.second_layer.size))
    L, s, ds = np.zeros((BLOCK, a.size)), np.zeros(a.size), np.zeros(a.size)
    for first in range(0, out.size, BLOCK):
        for t in range(0, BLOCK, GROUP):
            if source.boolean:
                draw_signs(seed, TEST, (first + t) // GROUP, words, dim, x[t : t + GROUP])
            else:
                draw_group(seed, TEST, (first + t) // GROUP, scratch, x[t : t + GROUP])
        products(W, x, L)
        for t in range(min(BLOCK, out.size - first)):
            if t % GROUP == 0:
                labels(seed, (first + t) // GROUP, source, x[t : t + GROUP], He, units, h)
            lam = L[t]
            for j in range(lam.size):
                lam[j] = scale * lam[j] + b[j]
            activate(act, lam, s, ds)
            error = h[t % GROUP] - output(a, s)
            out[first + t] = 0.5 * error * error


@kernel
def norms(W, m, q):
    """Fill m = W[:, :P] and q_j = ‖w_j‖², summed in float64, from the rows that are no padding."""
    for j in range(q.size):
        w, total = W[j], 0.0
        for r in range(m.shape[1]):
            m[j, r] = w[r]
        for i in range(w.size):
            total += np.float64(w[i]) * np.float64(w[i])
        q[j] = total
