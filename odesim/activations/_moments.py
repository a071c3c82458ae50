"""Gaussian moments c_k(q, b) = E[σ^(k)(√q G + b)] of each activation."""

import math

from odesim._jit import kernel
from odesim.activations._act import ERF, GELU, POLYNOMIAL, RELU
from odesim.activations._normal import density, distribution
from odesim.activations._quadrature import moments_table


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
def moments_relu(slope, q, b, c):
    """Fill c[k, j] for max(x, 0): with s² = q, x = b/s, c_k = (−1)^k He_{k−2}(x) φ(x)/s^{k−1}, k >= 2.

    With another slope below 0 it is slope·x + (1 − slope) max(x, 0).
    """
    for j in range(q.size):
        s = math.sqrt(q[j])
        x = b[j] / s
        rest = 1.0 - slope
        c[1, j] = distribution(x)
        c[0, j] = slope * b[j] + rest * (b[j] * c[1, j] + s * density(x))
        c[1, j] = slope + rest * c[1, j]
        if c.shape[0] > 2:
            c[2, j] = rest * density(x) / s
        before = 0.0
        for k in range(2, c.shape[0] - 1):
            c[k + 1, j] = -(x * c[k, j] + (k - 2) * before / s) / s
            before = c[k, j]


@kernel
def moments_gelu(q, b, c):
    """Fill c[k, j] for x Φ(x): with g_0 = Φ(b/τ), g_k = φ-type moments of Φ, c_k = (b g_k + (k + q) g_{k−1})/τ².

    This is b g_k + k g_{k−1} + q g_{k+1} with the recursion of g_{k+1} put in: no cancellation at large q.
    """
    for j in range(q.size):
        t = 1.0 / math.sqrt(1.0 + q[j])
        x = b[j] * t
        before, now = distribution(x), density(x) * t
        c[0, j] = b[j] * before + q[j] * now
        c[1, j] = t * t * b[j] * now + before
        before, now = now, -t * x * now
        for k in range(2, c.shape[0]):
            c[k, j] = t * t * (b[j] * now + (k + q[j]) * before)
            before, now = now, -t * (x * now + t * (k - 1) * before)


@kernel
def moments_polynomial(act, q, b, c):
    """Fill c[k, j] of Σ_n s_n h_n: e_n = E h_n(√q G + b) obeys √(n+1) e_{n+1} = b e_n − √n (1−q) e_{n−1}."""
    terms = act.table.shape[1]
    last = min(terms, c.shape[0])
    c[:] = 0.0
    for j in range(q.size):
        before, now = 0.0, 1.0
        for n in range(terms):
            for k in range(last):
                c[k, j] += act.table[k, n] * now
            before, now = now, (b[j] * now - math.sqrt(n) * (1.0 - q[j]) * before) / math.sqrt(n + 1.0)


@kernel
def moments_other(act, q, b, c):
    """Fill c[k, j] for GELU, a polynomial or a table."""
    if act.code == GELU:
        moments_gelu(q, b, c)
    elif act.code == POLYNOMIAL:
        moments_polynomial(act, q, b, c)
    else:
        moments_table(act, q, b, c)


@kernel
def moments(act, q, b, c):
    """Fill c[k, j], k < c.shape[0] >= 2, for this activation."""
    if act.code == ERF:
        moments_erf(q, b, c)
    elif act.code == RELU:
        moments_relu(act.slope, q, b, c)
    else:
        act.moments(act.kind, q, b, c)
