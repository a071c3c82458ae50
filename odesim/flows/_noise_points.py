"""The finite-step term by points: Γ_jk = a_j a_k mean_i Δ_i² σ'_ji σ'_ki over a fixed rule for (z, g), λ = m z + L g.

L is a lower factor of the residuals' Gram matrix R = L Lᵀ. The points lie samples last, so every loop over
samples vectorises; they are worked through in blocks that stay in cache.
"""

import math
from typing import NamedTuple

import numpy as np

from odesim._jit import kernel
from odesim.activations._moments import ERF, RELU

BLOCK = 256
WIDTH = 0.05  # of the smoothed step Φ(u/WIDTH): without it ReLU makes the right-hand side discontinuous
# 1 − erf(x) = (1 + B1 x + … + B6 x⁶)^−16 to 3e-7, Abramowitz & Stegun 7.1.28
B1, B2, B3, B4, B5, B6 = 0.0705230784, 0.0422820123, 0.0092705272, 0.0001520143, 0.0002765672, 0.0000430638


class Points(NamedTuple):
    """A rule for the standard normal law of (z, g), and scratch."""

    z: np.ndarray  # (P, n)
    g: np.ndarray  # (N, n)
    h: np.ndarray  # (n) the target at the points
    L: np.ndarray  # (N, N)
    slopes: np.ndarray  # (N, BLOCK)
    squares: np.ndarray  # (N, BLOCK) σ'² on the diagonal, where a smoothed step is not squared
    lam: np.ndarray  # (BLOCK)
    f: np.ndarray  # (BLOCK)


@kernel
def factor(R, L):
    """Fill L, lower, with R = L Lᵀ for a positive semi-definite R: a vanishing pivot leaves its column 0."""
    n = R.shape[0]
    L[:] = 0.0
    for j in range(n):
        pivot = R[j, j]
        for k in range(j):
            pivot -= L[j, k] * L[j, k]
        if pivot > 1e-13 * R[j, j]:
            L[j, j] = math.sqrt(pivot)
            for i in range(j + 1, n):
                rest = R[i, j]
                for k in range(j):
                    rest -= L[i, k] * L[j, k]
                L[i, j] = rest / L[j, j]


@kernel
def smooth_step(u):
    """Return Φ(u/WIDTH) to 2e-7, without an exponential."""
    x = abs(u) * (1.0 / (WIDTH * math.sqrt(2.0)))
    p = 1.0 + x * (B1 + x * (B2 + x * (B3 + x * (B4 + x * (B5 + x * B6)))))
    p = p * p
    p = p * p
    p = p * p
    tail = 0.5 / (p * p)
    return 1.0 - tail if u > 0.0 else tail


@kernel
def outputs_relu(leak, lam, aj, f, slope, square):
    """Add a_j σ(λ) to f; fill σ' and its diagonal square, with a smoothed step between the slopes ``leak`` and 1."""
    for i in range(lam.size):
        f[i] += aj * (lam[i] if lam[i] > 0.0 else leak * lam[i])
        step = smooth_step(lam[i])
        slope[i] = leak + (1.0 - leak) * step
        square[i] = leak * leak + (1.0 - leak * leak) * step


@kernel
def outputs_other(act, lam, aj, f, slope, square):
    """Add a_j σ(λ) to f; fill σ' and its square, for GELU, a polynomial or a table."""
    act.activate(act.kind, lam, square, slope)
    for i in range(lam.size):
        f[i] += aj * square[i]
        square[i] = slope[i] * slope[i]


@kernel
def outputs_erf(lam, aj, f, slope, square):
    """Add a_j σ(λ) to f; fill σ' and its square."""
    for i in range(lam.size):
        f[i] += aj * math.erf(lam[i] / math.sqrt(2.0))
        slope[i] = math.sqrt(2.0 / math.pi) * math.exp(-0.5 * lam[i] * lam[i])
        square[i] = slope[i] * slope[i]


@kernel
def noise_points(act, diagonal, noise, m, R, a, b, s, front, out):
    """Fill Γ (N, N) of the first N rows, or its diagonal alone (``diagonal``), symmetric and positive semi-definite.

    ``a`` are the weights of all rows in the residual, ``front`` (N) the student's second layer. A teacher's rows,
    which have no residual, lie behind the student's and take none of the g.
    """
    factor(R, s.L)
    out[:] = 0.0
    n = s.h.size
    for first in range(0, n, BLOCK):
        last = min(first + BLOCK, n)
        size = last - first
        lam, f = s.lam[:size], s.f[:size]
        f[:] = 0.0
        for j in range(a.size):
            lam[:] = b[j]
            for r in range(m.shape[1]):
                x, z = m[j, r], s.z[r, first:last]
                for i in range(size):
                    lam[i] += x * z[i]
            for k in range(min(j + 1, s.g.shape[0])):
                x, g = s.L[j, k], s.g[k, first:last]
                for i in range(size):
                    lam[i] += x * g[i]
            if act.code == ERF:
                outputs_erf(lam, a[j], f, s.slopes[j, :size], s.squares[j, :size])
            elif act.code == RELU:
                outputs_relu(act.slope, lam, a[j], f, s.slopes[j, :size], s.squares[j, :size])
            else:
                outputs_other(act, lam, a[j], f, s.slopes[j, :size], s.squares[j, :size])
        h = s.h[first:last]
        for i in range(size):
            f[i] = (h[i] - f[i]) ** 2 + noise
        for j in range(front.size):
            mine, mine2 = s.slopes[j, :size], s.squares[j, :size]
            for k in range(j if diagonal else 0, j):
                other, total = s.slopes[k, :size], 0.0
                for i in range(size):
                    total += f[i] * mine[i] * other[i]
                out[j, k] += total
            total = 0.0
            for i in range(size):
                total += f[i] * mine2[i]
            out[j, j] += total
    for j in range(front.size):
        for k in range(j + 1):
            out[j, k] *= front[j] * front[k] / n
            out[k, j] = out[j, k]
