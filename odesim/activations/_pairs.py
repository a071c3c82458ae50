"""Pair kernels K(q1, q12, q2; b1, b2) = E[σ(λ1+b1) σ(λ2+b2)] and their partials, summed over a second layer.

For every neuron j, with (j, l) the pair of neurons and l running over all:
ka[j] = Σ_l a_l K_jl, k1[j] = Σ_l a_l ∂K_jl/∂q1, kb[j] = Σ_l a_l ∂K_jl/∂b1, and the matrix k12[j, l] = ∂K_jl/∂q12.
"""

import math

from odesim._jit import YES, kernel
from odesim.activations._act import ERF, GELU, POLYNOMIAL, RELU
from odesim.activations._normal import arcsine, density, distribution, distribution2
from odesim.activations._pairs_gelu import pairs_gelu
from odesim.activations._pairs_series import pairs_polynomial, pairs_smooth
from odesim.activations._pairs_table import pairs_kinked

TWO_OVER_PI = 2.0 / math.pi


@kernel(inline="always")
def pairs_erf(rows, values, q, Q, a, t, ka, k1, k12):
    """erf without biases: K = (2/π) asin u, u = Q_jl t_j t_l, t = (1 + q)^{−1/2}; t is filled on the way.

    For the first ``rows`` neurons j, q all of the diagonal; without the sums ka where ``values`` is 0.
    """
    n = a.size
    for j in range(n):
        t[j] = 1.0 / math.sqrt(1.0 + q[j])
    for j in range(rows):
        row, slopes, tj, inner = Q[j], k12[j], t[j], 0.0
        for l in range(n):
            scale = tj * t[l]
            u = row[l] * scale
            g = TWO_OVER_PI / math.sqrt(1.0 - u * u)
            slopes[l] = g * scale
            inner += a[l] * g * u
        k1[j] = -0.5 * tj * tj * inner
    if values:
        for j in range(rows):
            row, tj, value = Q[j], t[j], 0.0
            for l in range(n):
                value += a[l] * arcsine(row[l] * (tj * t[l]))
            ka[j] = TWO_OVER_PI * value


@kernel
def pair_erf_value(q1, q12, q2, b1, b2):
    """K for erf with biases: 4Φ₂(x1, x2; q12/√(t1 t2)) − 2Φ(x1) − 2Φ(x2) + 1, t = 1 + q, x = b/√t."""
    s1, s2 = math.sqrt(1.0 + q1), math.sqrt(1.0 + q2)
    x1, x2 = b1 / s1, b2 / s2
    joint = distribution2(x1, x2, q12 / (s1 * s2))
    return 4.0 * joint - 2.0 * distribution(x1) - 2.0 * distribution(x2) + 1.0


@kernel
def pairs_erf_biased(Q, a, b, ka, k1, kb, k12):
    """erf with biases: the partials of `pair_erf_value` in closed form, D = t1 t2 − q12²."""
    n = a.size
    for j in range(n):
        t1, value, by_q, by_b = 1.0 + Q[j, j], 0.0, 0.0, 0.0
        front = 2.0 * density(b[j] / math.sqrt(t1)) / math.sqrt(t1)
        for l in range(n):
            q12, t2 = Q[j, l], 1.0 + Q[l, l]
            D = t1 * t2 - q12 * q12
            exponent = (t2 * b[j] ** 2 - 2.0 * q12 * b[j] * b[l] + t1 * b[l] ** 2) / (2.0 * D)
            slope = TWO_OVER_PI * math.exp(-exponent) / math.sqrt(D)
            shift = front * math.erf((b[l] - q12 * b[j] / t1) / math.sqrt(2.0 * D / t1))
            k12[j, l] = slope
            value += a[l] * pair_erf_value(Q[j, j], q12, Q[l, l], b[j], b[l])
            by_b += a[l] * shift
            by_q += a[l] * 0.5 * (-b[j] / t1 * shift - q12 / t1 * slope)
        ka[j], k1[j], kb[j] = value, by_q, by_b


@kernel
def pairs_relu(Q, a, b, ka, k1, kb, k12):
    """ReLU with or without biases: x = b1/s1, y = b2/s2, P = Φ₂(x, y; ρ), and the limits at ρ = ±1."""
    n = a.size
    for j in range(n):
        s1, value, by_q, by_b = math.sqrt(Q[j, j]), 0.0, 0.0, 0.0
        x = b[j] / s1
        for l in range(n):
            s2 = math.sqrt(Q[l, l])
            y = b[l] / s2
            # √(q1 q2), not s1 s2: on the diagonal this ratio is exactly 1
            rho = max(-1.0, min(1.0, Q[j, l] / math.sqrt(Q[j, j] * Q[l, l])))
            r = math.sqrt((1.0 - rho) * (1.0 + rho))
            P = distribution2(x, y, rho) if x != 0.0 or y != 0.0 else 0.25 + math.asin(rho) / (2.0 * math.pi)
            mu, mu_x = y - rho * x, x - rho * y
            if r > 0.0:
                A, B = density(y) * distribution(mu_x / r), density(x) * distribution(mu / r)
                edge = r * math.exp(-0.5 * (x * x + mu * mu / (r * r))) / (2.0 * math.pi)
                ramp = mu * distribution(mu / r) + r * density(mu / r)
            else:
                A = density(y) * (1.0 if mu_x > 0.0 else (0.5 if mu_x == 0.0 else 0.0))
                B = density(x) * (1.0 if mu > 0.0 else (0.5 if mu == 0.0 else 0.0))
                edge, ramp = 0.0, max(mu, 0.0)
            k12[j, l] = P
            value += a[l] * s1 * s2 * ((x * y + rho) * P + x * A + y * B + edge)
            by_b += a[l] * s2 * (y * P + A + rho * B)
            by_q += a[l] * density(x) / (2.0 * s1) * s2 * ramp
        ka[j], k1[j], kb[j] = value, by_q, by_b


@kernel
def add_leak(slope, Q, a, b, ka, k1, kb, k12):
    """Turn the sums of max(x, 0) into those of slope·x + (1 − slope) max(x, 0), with ReLU's moments c.

    K = α²(q12 + b1b2) + (1−α)² K_relu + α(1−α)[b1c_0(2) + q12c_1(2) + b2c_0(1) + q12c_1(1)].
    """
    rest, mixed, square = (1.0 - slope) ** 2, slope * (1.0 - slope), slope * slope
    for j in range(a.size):
        s1 = math.sqrt(Q[j, j])
        x = b[j] / s1
        bell, step = density(x), distribution(x)
        mean = b[j] * step + s1 * bell
        value, by_q, by_b = rest * ka[j], rest * k1[j], rest * kb[j]
        for l in range(a.size):
            s2, q12 = math.sqrt(Q[l, l]), Q[j, l]
            y = b[l] / s2
            step2 = distribution(y)
            mean2 = b[l] * step2 + s2 * density(y)
            cross = b[j] * mean2 + q12 * step2 + b[l] * mean + q12 * step
            value += a[l] * (square * (q12 + b[j] * b[l]) + mixed * cross)
            # c_2 = φ(x)/s1, c_3 = −x c_2/s1
            by_q += a[l] * 0.5 * mixed * (b[l] - q12 * x / s1) * bell / s1
            by_b += a[l] * (square * b[l] + mixed * (mean2 + b[l] * step + q12 * bell / s1))
            k12[j, l] = square + rest * k12[j, l] + mixed * (step + step2)
        ka[j], k1[j], kb[j] = value, by_q, by_b


@kernel
def pairs_other(act, Q, a, b, ka, k1, kb, k12):
    """Fill the four sums for GELU, a polynomial or a table."""
    if act.code == GELU:
        pairs_gelu(Q, a, b, ka, k1, kb, k12)
    else:
        ka[:] = 0.0
        k1[:] = 0.0
        kb[:] = 0.0
        k12[:] = 0.0
        if act.code == POLYNOMIAL:
            pairs_polynomial(act, Q, a, b, ka, k1, kb, k12)
        elif act.grid.shape[0] > 1:
            pairs_kinked(act, Q, a, b, ka, k1, kb, k12)
        else:
            pairs_smooth(act, Q, a, b, ka, k1, kb, k12)


@kernel(counted=False)
def pair_sums(act, biased, Q, a, b, t, ka, k1, kb, k12):
    """Fill the four sums for this activation; without biases (``biased`` = 0) kb may be 0 in place of its value."""
    if act.code == ERF:
        if biased:
            pairs_erf_biased(Q, a, b, ka, k1, kb, k12)
        else:
            for j in range(a.size):
                kb[j], k1[j] = 0.0, Q[j, j]
            pairs_erf(a.size, YES, k1, Q, a, t, ka, k1, k12)
    elif act.code == RELU:
        pairs_relu(Q, a, b, ka, k1, kb, k12)
        if act.slope != 0.0:
            add_leak(act.slope, Q, a, b, ka, k1, kb, k12)
    else:
        act.pairs(act.kind, Q, a, b, ka, k1, kb, k12)
