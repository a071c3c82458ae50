"""Slow twins of the search phase: one neuron's exact chain on the sphere, and the mean exit time of a diffusion."""

import math

import numpy as np


def escapes(rng, target, kind, a, b, dim, eta, start, level, most, noise=0.0, loss="correlation"):
    """Steps after which |m|√d first reaches the level, for runs from u = ``start`` (runs, P); infinity if never.

    One step of online SGD in the overlaps, exact in law: given (m, L), L the residual's length, (z, λ = m·z + Lg)
    is Gaussian and the rest of x has an independent χ² of d − P − 1 degrees of freedom; c = ηΔaσ'(λ + b),
    m += c(z − λm), the residual gains c(g − λL) along itself and c√χ² across; then |w| = 1 again.
    """
    runs, P = start.shape
    m = start / math.sqrt(dim)
    L, out = np.sqrt(1 - (m * m).sum(axis=1)), np.full(runs, np.inf)
    alive = np.arange(runs)
    for step in range(1, most + 1):
        z, g = rng.standard_normal((alive.size, P)), rng.standard_normal(alive.size)
        chi2 = rng.chisquare(dim - P - 1, alive.size)
        lam = (m * z).sum(axis=1) + L * g
        residual = target.evaluate(z) + (math.sqrt(noise) * rng.standard_normal(alive.size) if noise else 0.0)
        if loss == "square":
            residual = residual - a * kind.function(lam + b)
        c = eta * residual * a * kind.derivative(lam + b)
        m = m + c[:, None] * (z - lam[:, None] * m)
        L = np.sqrt((L + c * (g - lam * L)) ** 2 + c * c * chi2)
        length = np.sqrt((m * m).sum(axis=1) + L * L)
        m, L = m / length[:, None], L / length
        gone = (m * m).sum(axis=1) * dim >= level**2
        if gone.any():
            out[alive[gone]] = step
            m, L, alive = m[~gone], L[~gone], alive[~gone]
            if alive.size == 0:
                break
    return out


def mean_exit_time(drift, variance, level, start, nodes=4001):
    """E[T] out of (−level, level): ½ variance T'' + drift T' = −1, T = 0 at the ends, by central differences."""
    from scipy.linalg import solve_banded

    u = np.linspace(-level, level, nodes)
    h, inner = u[1] - u[0], u[1:-1]
    low, high = variance / (2 * h * h) - drift(inner) / (2 * h), variance / (2 * h * h) + drift(inner) / (2 * h)
    bands = np.zeros((3, inner.size))
    bands[0, 1:], bands[1], bands[2, :-1] = high[:-1], -(low + high), low[1:]
    return float(np.interp(start, inner, solve_banded((1, 1), bands, -np.ones(inner.size))))
