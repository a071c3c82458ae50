"""Slow twins of the correlation flow, in weight space and by quadrature; written to read like the theory."""

import itertools
import math

import naive_flow
import numpy as np
from scipy.integrate import solve_ivp


def points(target, nodes=24):
    """All of {±1}^P, or a tensor Gauss–Hermite rule: z (P, n) and weights (n)."""
    if target.data == "boolean":
        z = np.array(list(itertools.product([-1.0, 1.0], repeat=target.P))).T
        return z, np.full(z.shape[1], 1 / z.shape[1])
    return naive_flow.hermite_rule(target.P, nodes)


def correlation(name, target, w, b, nodes=24):
    """C = E[h(z) σ(<w, x> + b)], the part of <w, x> off the support a Gaussian."""
    z, weights = points(target, nodes)
    v = w[target.P :]
    return float(np.sum(weights * target.evaluate(z.T) * naive_flow.smoothed(name, w[: target.P] @ z + b, v @ v)))


def gradient(function, x, h=2e-3):
    """Central differences of order six."""
    out = np.zeros(x.size)
    for i in range(x.size):
        for step, weight in ((1, 45), (2, -9), (3, 1)):
            move = np.zeros(x.size)
            move[i] = step * h
            out[i] += weight * (function(x + move) - function(x - move))
    return out / (60 * h)


def velocity(name, target, w, a, b, sphere, nodes=24):
    """w' = a ∇C, or its part along the sphere."""
    g = a * gradient(lambda x: correlation(name, target, x, b, nodes), w)
    return g - (g @ w) * w / (w @ w) if sphere else g


def flow(name, target, w, a, b, times, sphere, nodes=24):
    """Weights (T, d) of one neuron at the given times."""
    return solve_ivp(
        lambda t, y: velocity(name, target, y, a, b, sphere, nodes),
        (0, times[-1]), w, method="DOP853", t_eval=times, rtol=1e-9, atol=1e-11,
    ).y.T  # fmt: skip


def risk(name, target, W, a, b):
    """½E[(h − f)²] of a network, the parts off the support jointly Gaussian: one z at a time."""
    P, (z, weights) = target.P, points(target)
    R, total = W[:, P:] @ W[:, P:].T, 0.0
    for x, weight in zip(z.T, weights, strict=True):
        u, h = W[:, :P] @ x + b, float(target.evaluate(x))
        f = a @ naive_flow.smoothed(name, u, np.diag(R))
        square = sum(
            a[j] * a[k] * naive_flow.pair(name, R[j, j], R[j, k], R[k, k], u[j], u[k])
            for j, k in itertools.product(range(a.size), repeat=2)
        )
        total += weight * (0.5 * h * h - h * f + 0.5 * square)
    return total


def enumerated(function, target, w, b):
    """E[h(z) function(<w, x> + b) x] over all of {±1}^d: no Gaussian anywhere."""
    x = np.array(list(itertools.product([-1.0, 1.0], repeat=w.size)))
    return (target.evaluate(x[:, : target.P]) * function(x @ w + b)) @ x / x.shape[0]


def power_law(m0, k, c, t):
    """Solution of m' = c m^{k−1}, m(0) = m0, k > 2; it blows up at t = m0^{−(k−2)} / ((k−2) c)."""
    return (m0 ** (2 - k) - (k - 2) * c * t) ** (-1 / (k - 2))


def moment(name, k, b=0.0):
    """c_k = E[σ(G + b) He_k(G)] at q = 1, on panels split at the kink."""
    g, weights = naive_flow.panels([-12, -6, -3, -1, 0, 1, 3, 6, 12, -b])
    he = np.polynomial.hermite_e.hermeval(g, [0] * k + [1])
    return float(np.sum(weights * he * naive_flow.value(name, g + b) * np.exp(-g * g / 2)) / math.sqrt(2 * math.pi))
