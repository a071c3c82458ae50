"""Losses of the real network on a fixed set of test inputs.

Test input 4g + r is the sample of step 4g + r in the stream TEST of the run's seed. It is drawn anew in every call:
that costs less than to keep and read them. A block of eight shares one sweep over W.
"""

import numpy as np

from odesim._jit import kernel
from odesim.sgd._full import activate, output
from odesim.sgd._labels import hermite_scratch, labels
from odesim.sgd._products import multiply
from odesim.sgd._random import BITS, GROUP, draw_group, draw_signs

TEST = np.uint32(2)
"""Stream of the test inputs, beside INPUTS and LABELS."""

BLOCK = 2 * GROUP
"""Test inputs to one sweep."""


@kernel
def losses(W, scale, a, b, dim, seed, act, source, out):
    """Fill out (M,) with ½(h − f)² at the first M test inputs, f = Σ_j a_j σ(scale_j <W_j, x> + b_j).

    W (N', d') is padded with zeros to an even number of rows; scale, a and b are float64, of one length of at
    least N', a zero beyond the neurons. ``source`` has noise 0.
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
        multiply(W, x, L)
        for t in range(min(BLOCK, out.size - first)):
            if t % GROUP == 0:
                labels(seed, (first + t) // GROUP, source, x[t : t + GROUP], He, units, h)
            lam = L[t]
            for j in range(lam.size):
                lam[j] = scale[j] * lam[j] + b[j]
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
