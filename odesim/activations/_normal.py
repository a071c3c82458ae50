"""Normal densities and distributions in one and two variables, and an arcsine that vectorises."""

import math

import numpy as np

from odesim._jit import kernel

ROOT_2 = math.sqrt(2.0)
ROOT_2PI = math.sqrt(2.0 * math.pi)

# Half of the 20 Gauss–Legendre nodes on [-1, 1]; the other half is its mirror image.
_X, _W = np.polynomial.legendre.leggauss(20)
HALF_NODES, HALF_WEIGHTS = _X[10:].copy(), _W[10:].copy()

# asin(√z)/√z = 1 + z·(Σ_n binom(2n+2, n+1)/(4^{n+1} (2n+3)) z^n) on z in [0, 1/4], the series replaced by its
# Chebyshev fit of degree 13.
_N = np.arange(1, 60)
_SERIES = np.cumprod((2 * _N - 1) / (2 * _N)) / (2 * _N + 1)


def _arcsine_polynomial() -> np.ndarray:
    z = 0.125 * (1 + np.cos(np.pi * (np.arange(64) + 0.5) / 64))
    values = np.polynomial.polynomial.polyval(z, _SERIES)
    fit = np.polynomial.Chebyshev.fit(z, values, 13, domain=[0, 0.25])
    return fit.convert(kind=np.polynomial.Polynomial).coef


ASIN = tuple(float(c) for c in _arcsine_polynomial())
A0, A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11, A12, A13 = ASIN


@kernel(inline="always")
def arcsine(u):
    """Return asin(u) for |u| <= 1 without a branch, to about 2e-16: above 1/2 by asin u = π/2 − 2 asin √((1−u)/2)."""
    x = abs(u)
    big = x > 0.5
    z = 0.5 * (1.0 - x) if big else x * x
    s = math.sqrt(max(z, 0.0))
    p = A9 + z * (A10 + z * (A11 + z * (A12 + z * A13)))
    p = A4 + z * (A5 + z * (A6 + z * (A7 + z * (A8 + z * p))))
    p = A0 + z * (A1 + z * (A2 + z * (A3 + z * p)))
    y = s + s * z * p
    y = 0.5 * math.pi - 2.0 * y if big else y
    return y if u >= 0.0 else -y


@kernel(inline="always")
def density(x):
    """Return the standard normal density φ(x)."""
    return math.exp(-0.5 * x * x) / ROOT_2PI


@kernel(inline="always")
def distribution(x):
    """Return the standard normal distribution function Φ(x)."""
    return 0.5 * math.erfc(-x / ROOT_2)


@kernel
def _inner(a, b, rho):
    """Φ₂ for |ρ| <= 0.9: Φ(a)Φ(b) plus (1/2π) ∫₀^{asin ρ} exp(−(a² + b² − 2ab sin θ)/(2 cos² θ)) dθ."""
    half = 0.5 * math.asin(rho)
    total = 0.0
    for i in range(HALF_NODES.size):
        for side in (-1.0, 1.0):
            s = math.sin(half * (1.0 + side * HALF_NODES[i]))
            total += HALF_WEIGHTS[i] * math.exp(-(a * a + b * b - 2.0 * a * b * s) / (2.0 * (1.0 - s * s)))
    return distribution(a) * distribution(b) + half * total / (2.0 * math.pi)


@kernel
def _outer(a, b, rho):
    """Φ₂ for ρ > 0.9: Φ(min(a, b)) minus the rest of the same integral, ρ..1.

    With x = cos θ the rest is (1/2π) ∫₀^h exp(−δ²/(2x²)) g(x) dx, δ = |a − b|, h = √(1−ρ²),
    g(x) = exp(−ab/(1+w))/w, w = √(1−x²). The first terms of g in x² are integrated in closed form, since the
    first factor varies on the scale δ, which may be far below h; what remains is O(x⁶) and smooth.
    """
    top = distribution(min(a, b))
    h = math.sqrt(max((1.0 - rho) * (1.0 + rho), 0.0))
    ab, delta = a * b, abs(a - b)
    if h == 0.0 or -0.5 * (delta / h) ** 2 - 0.5 * ab < -700.0:
        return top
    c2 = 0.5 - ab / 8.0
    c4 = 0.375 - ab / 8.0 + ab * ab / 128.0
    e0 = math.exp(-0.5 * ab)
    edge = math.exp(-0.5 * (delta / h) ** 2)
    i0 = h * edge - delta * ROOT_2PI * distribution(-delta / h)
    i2 = (h**3 * edge - delta**2 * i0) / 3.0
    i4 = (h**5 * edge - delta**2 * i2) / 5.0
    total = e0 * (i0 + c2 * i2 + c4 * i4)
    for i in range(HALF_NODES.size):
        for side in (-1.0, 1.0):
            x = 0.5 * h * (1.0 + side * HALF_NODES[i])
            w = math.sqrt(1.0 - x * x)
            g = math.exp(-ab / (1.0 + w)) / w - e0 * (1.0 + x * x * (c2 + x * x * c4))
            total += 0.5 * h * HALF_WEIGHTS[i] * math.exp(-0.5 * (delta / x) ** 2) * g
    return top - total / (2.0 * math.pi)


@kernel
def distribution2(a, b, rho):
    """Return the bivariate normal distribution function Φ₂(a, b; ρ), also at ρ = ±1."""
    if rho > 0.9:
        return _outer(a, b, rho)
    if rho < -0.9:
        return distribution(a) - _outer(a, -b, -rho)
    return _inner(a, b, rho)
