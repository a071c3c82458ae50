"""Slow twin of the mean-field flow: averages over G by quadrature, everything else by plain sums over all points."""

import itertools
import math

import numpy as np
from naive_flow import PHI, panels, slope, value


def average(function, kink):
    """E[function(G)] of a function with at most one kink, near which the panels are finer."""
    edges = [kink + d for d in (-1, -0.1, 0, 0.1, 1)]
    g, w = panels([-12, -6, -3, -1, 0, 1, 3, 6, 12, *edges])
    return float(np.sum(w * PHI * np.exp(-g * g / 2) * function(g)))


def smoothed(name, u, s):
    """E σ(u + sG), E σ'(u + sG) and E σ'(u + sG) G."""
    kink = -u / s
    return (
        average(lambda g: value(name, u + s * g), kink),
        average(lambda g: slope(name, u + s * g), kink),
        average(lambda g: slope(name, u + s * g) * g, kink),
    )


def law(data, P, nodes):
    """Points (n, P) of z and their weights (n)."""
    if data == "boolean":
        x, w = np.array([1.0, -1.0]), np.array([0.5, 0.5])
    else:
        x, w = np.polynomial.hermite_e.hermegauss(nodes)
        w = w / math.sqrt(2 * math.pi)
    z = np.array(list(itertools.product(x, repeat=P)))
    return z, np.array([math.prod(c) for c in itertools.product(w, repeat=P)])


def risk(name, target, neurons, nodes=10):
    """½E[(h − f)²] for neurons (m, s, a, b, weights)."""
    total = 0.0
    for z, p in zip(*law(target.data, target.P, nodes), strict=True):
        f = sum(w * a * smoothed(name, m @ z + b, s)[0] for m, s, a, b, w in zip(*neurons, strict=True))
        total += 0.5 * p * (float(target.evaluate(z)) - f) ** 2
    return total


def slopes(name, target, neurons, nodes=10):
    """E[eσ], E[eσ'z], E[eσ'G], E[eσ'] of every neuron, without a, rates and decay."""
    m, s, a, b, weights = neurons
    out = [np.zeros(a.size), np.zeros(m.shape), np.zeros(a.size), np.zeros(a.size)]
    for z, p in zip(*law(target.data, target.P, nodes), strict=True):
        each = np.array([smoothed(name, m[j] @ z + b[j], s[j]) for j in range(a.size)])
        e = float(target.evaluate(z)) - np.sum(weights * a * each[:, 0])
        out[0] += p * e * each[:, 0]
        out[1] += p * e * each[:, 1:2] * z
        out[2] += p * e * each[:, 2]
        out[3] += p * e * each[:, 1]
    return out
