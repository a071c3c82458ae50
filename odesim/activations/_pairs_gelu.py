"""Pair kernel of GELU, σ(x) = x Φ(x), in closed form.

With t = 1 + q and F(b1, b2) = E[Φ(λ1+b1) Φ(λ2+b2)] = Φ₂(b1/√t1, b2/√t2; q12/√(t1 t2)), and since E[λ_i f] =
Σ_j q_ij ∂_bj E f,

K = (b1 + q1 ∂1 + q12 ∂2)(b2 + q12 ∂1 + q2 ∂2) F
  = A F + B ∂1F + C ∂2F + q1 q12 ∂1²F + (q1 q2 + q12²) ∂1∂2F + q12 q2 ∂2²F,
A = b1 b2 + q12, B = b1 q12 + q1 b2, C = b1 q2 + q12 b2; and ∂K/∂q12 = ∂1∂2K, ∂K/∂q1 = ½∂1²K, ∂K/∂b1 = ∂1K.
∂1∂2F is a normal density N, its derivatives are Hermite functions, and t1 ∂1²F + q12 N = −b1 ∂1F.
"""

import math

from odesim._jit import kernel
from odesim.activations._normal import density, distribution, distribution2


@kernel
def orthant(b1, b2, r1, r2, q12):
    """F, in closed form where both biases are 0; r = √t."""
    if b1 == 0.0 and b2 == 0.0:
        return 0.25 + math.asin(q12 / (r1 * r2)) / (2.0 * math.pi)
    return distribution2(b1 / r1, b2 / r2, q12 / (r1 * r2))


@kernel
def pair_gelu(q1, q12, q2, b1, b2):
    """Return K, ∂K/∂q12, ∂K/∂q1, ∂K/∂q2, ∂K/∂b1, ∂K/∂b2."""
    t1, t2 = 1.0 + q1, 1.0 + q2
    r1, r2 = math.sqrt(t1), math.sqrt(t2)
    D = t1 * t2 - q12 * q12
    y1, y2 = (t2 * b1 - q12 * b2) / D, (t1 * b2 - q12 * b1) / D
    F = orthant(b1, b2, r1, r2, q12)
    # F_ij = ∂1^i ∂2^j F
    F10 = density(b1 / r1) / r1 * distribution(y2 / math.sqrt(t1 / D))
    F01 = density(b2 / r2) / r2 * distribution(y1 / math.sqrt(t2 / D))
    F11 = math.exp(-0.5 * (b1 * y1 + b2 * y2)) / (2.0 * math.pi * math.sqrt(D))
    F21, F12 = -y1 * F11, -y2 * F11
    F31, F22, F13 = (y1 * y1 - t2 / D) * F11, (y1 * y2 + q12 / D) * F11, (y2 * y2 - t1 / D) * F11
    F20, F02 = -(q12 * F11 + b1 * F10) / t1, -(q12 * F11 + b2 * F01) / t2
    F30, F03 = -(q12 * F21 + b1 * F20 + F10) / t1, -(q12 * F12 + b2 * F02 + F01) / t2
    F40, F04 = -(q12 * F31 + b1 * F30 + 2.0 * F20) / t1, -(q12 * F13 + b2 * F03 + 2.0 * F02) / t2
    A, B, C = b1 * b2 + q12, b1 * q12 + q1 * b2, b1 * q2 + q12 * b2
    f, g, h = q1 * q12, q1 * q2 + q12 * q12, q12 * q2
    K = A * F + B * F10 + C * F01 + f * F20 + g * F11 + h * F02
    K10 = A * F10 + B * F20 + C * F11 + f * F30 + g * F21 + h * F12 + (b2 * F + q12 * F10 + q2 * F01)
    K01 = A * F01 + B * F11 + C * F02 + f * F21 + g * F12 + h * F03 + (b1 * F + q1 * F10 + q12 * F01)
    K20 = A * F20 + B * F30 + C * F21 + f * F40 + g * F31 + h * F22 + 2.0 * (b2 * F10 + q12 * F20 + q2 * F11)
    K02 = A * F02 + B * F12 + C * F03 + f * F22 + g * F13 + h * F04 + 2.0 * (b1 * F01 + q1 * F11 + q12 * F02)
    K11 = A * F11 + B * F21 + C * F12 + f * F31 + g * F22 + h * F13
    K11 += (b2 * F01 + q12 * F11 + q2 * F02) + (b1 * F10 + q1 * F20 + q12 * F11) + F
    return K, K11, 0.5 * K20, 0.5 * K02, K10, K01


@kernel
def pairs_gelu(Q, a, b, ka, k1, kb, k12):
    """GELU with or without biases, each pair once."""
    n = a.size
    ka[:] = 0.0
    k1[:] = 0.0
    kb[:] = 0.0
    for j in range(n):
        for l in range(j + 1):
            K, by_12, by_q1, by_q2, by_b1, by_b2 = pair_gelu(Q[j, j], Q[j, l], Q[l, l], b[j], b[l])
            k12[j, l], k12[l, j] = by_12, by_12
            ka[j] += a[l] * K
            k1[j] += a[l] * by_q1
            kb[j] += a[l] * by_b1
            if l < j:
                ka[l] += a[j] * K
                k1[l] += a[j] * by_q2
                kb[l] += a[j] * by_b2
