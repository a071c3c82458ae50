"""Gaussian moments c_k(q, b) = E[σ^(k)(√q G + b)] of each activation."""

import math

from odesim._jit import kernel
from odesim.activations._normal import density, distribution

ERF, RELU = 0, 1


@kernel
def moments_erf(q, b, c):
    """Fill c[k, j] for erf(x/√2): with τ² = 1 + q, x = b/τ, c_k = 2 (−1)^{k−1} He_{k−1}(x) φ(x)/τ^k, k >= 1."""
    for j in range(q.size):
        t = 1.0 / math.sqrt(1.0 + q[j])
        x = b[j] * t
        if b[j] == 0.0:
            c[0, j], c[1, j] = 0.0, math.sqrt(2.0 / math.pi) * t
        else:
            c[0, j], c[1, j] = math.erf(x / math.sqrt(2.0)), 2.0 * density(x) * t
        before = 0.0
        for k in range(1, c.shape[0] - 1):
            # He_k = x He_{k−1} − (k−1) He_{k−2}, written for c_k
            c[k + 1, j] = -t * (x * c[k, j] + (k - 1) * t * before)
            before = c[k, j]


@kernel
def moments_relu(q, b, c):
    """Fill c[k, j] for max(x, 0): with s² = q, x = b/s, c_k = (−1)^k He_{k−2}(x) φ(x)/s^{k−1}, k >= 2."""
    for j in range(q.size):
        s = math.sqrt(q[j])
        x = b[j] / s
        c[1, j] = distribution(x)
        c[0, j] = b[j] * c[1, j] + s * density(x)
        if c.shape[0] > 2:
            c[2, j] = density(x) / s
        before = 0.0
        for k in range(2, c.shape[0] - 1):
            c[k + 1, j] = -(x * c[k, j] + (k - 2) * before / s) / s
            before = c[k, j]


@kernel
def moments(act, q, b, c):
    """Fill c[k, j], k < c.shape[0], for this activation."""
    if act.code == ERF:
        moments_erf(q, b, c)
    else:
        moments_relu(q, b, c)
