"""Slow twins of the flow's kernels, in NumPy, by quadrature over Gaussians; written to read like the theory."""

import itertools
import math

import numpy as np
from scipy.special import erf, ndtr

PHI = 1 / math.sqrt(2 * math.pi)


def smoothed(name, mean, variance):
    """E[σ(mean + √variance G)]."""
    if name == "erf":
        return erf(mean / np.sqrt(2 * (1 + variance)))
    s = np.sqrt(np.maximum(variance, 1e-300))
    return mean * ndtr(mean / s) + s * PHI * np.exp(-0.5 * (mean / s) ** 2)


def slope(name, x):
    return 2 * PHI * np.exp(-0.5 * x * x) if name == "erf" else (x > 0).astype(float)


def value(name, x):
    return erf(x / math.sqrt(2)) if name == "erf" else np.maximum(x, 0.0)


def panels(points, order=40):
    """Gauss–Legendre nodes and weights on consecutive panels."""
    x, w = np.polynomial.legendre.leggauss(order)
    edges = np.unique(np.clip(points, -12, 12))
    nodes = [(hi + lo) / 2 + (hi - lo) / 2 * x for lo, hi in itertools.pairwise(edges)]
    weights = [(hi - lo) / 2 * w for lo, hi in itertools.pairwise(edges)]
    return np.concatenate(nodes), np.concatenate(weights)


def pair(name, q1, q12, q2, b1, b2):
    """E[σ(λ1 + b1) σ(λ2 + b2)], the inner average in closed form, the outer one on panels split at the kink."""
    s1 = math.sqrt(q1)
    kinks = [-b1 / s1, -b2 * s1 / q12 if q12 else 0.0]
    g, w = panels([-12, -6, -3, -1, 0, 1, 3, 6, 12, *[k + d for k in kinks for d in (-0.3, -0.03, 0, 0.03, 0.3)]])
    inner = smoothed(name, b2 + q12 / s1 * g, max(q2 - q12**2 / q1, 0.0))
    return float(np.sum(w * PHI * np.exp(-g * g / 2) * value(name, s1 * g + b1) * inner))


def hermite_rule(dimension, nodes=24):
    """Tensor Gauss–Hermite rule of the standard normal law: points (dimension, n) and weights (n)."""
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    points = np.array(list(itertools.product(x, repeat=dimension))).T
    weights = np.array([math.prod(c) for c in itertools.product(w / w.sum(), repeat=dimension)])
    return points, weights


def correlation(name, target, m, q, b, nodes=40):
    """E[h(z) σ(<m, z> + √(q − |m|²) G + b)] for one neuron."""
    z, w = hermite_rule(target.P, nodes)
    return float(np.sum(w * target.evaluate(z.T) * smoothed(name, m @ z + b, q - m @ m)))


def risk(name, target, W, a, b):
    """½E[(h − f)²] in weight space."""
    P, Q = target.P, W @ W.T
    total = 0.5 * sum(c**2 for c in target.terms.values())
    for j in range(a.size):
        total -= a[j] * correlation(name, target, W[j, :P], Q[j, j], b[j])
        for k in range(a.size):
            total += 0.5 * a[j] * a[k] * pair(name, Q[j, j], Q[j, k], Q[k, k], b[j], b[k])
    return total


def noise_matrix(name, target, W, a, b, noise, nodes=24):
    """Γ_jk = a_j a_k E[Δ² σ'_j σ'_k] by tensor quadrature over the span of support and residuals (smooth σ)."""
    P, v = target.P, W[:, target.P :]
    z, w = hermite_rule(P + a.size, nodes)
    factor = np.linalg.cholesky(v @ v.T)
    lam = W[:, :P] @ z[:P] + factor @ z[P:] + b[:, None]
    delta2 = (target.evaluate(z[:P].T) - a @ value(name, lam)) ** 2 + noise
    s = a[:, None] * slope(name, lam)
    return (s * (w * delta2)) @ s.T


def risk_given(name, h, weights, u, R, a):
    """½E[(h − f)²] where, given each z, λ + b is Gaussian of mean u (n, N) and covariance R; h (n)."""
    total = 0.0
    for i in range(h.size):
        f = sum(a[j] * smoothed(name, u[i, j], R[j, j]) for j in range(a.size))
        f2 = sum(
            a[j] * a[k] * pair(name, R[j, j], R[j, k], R[k, k], u[i, j], u[i, k])
            for j in range(a.size)
            for k in range(a.size)
        )
        total += weights[i] * (0.5 * h[i] ** 2 - h[i] * f + 0.5 * f2)
    return float(total)


def cube(P):
    """All signs (2^P, P)."""
    return np.array(list(itertools.product([-1.0, 1.0], repeat=P)))


def risk_boolean(name, target, W, a, b):
    """The Boolean risk with Gaussian residuals, in weight space."""
    z, v = cube(target.P), W[:, target.P :]
    weights = np.full(len(z), 1.0 / len(z))
    return risk_given(name, target.evaluate(z), weights, z @ W[:, : target.P].T + b, v @ v.T, a)


def risk_teacher(name, target, W, a, b):
    """½E[f²] of student and teacher in one network, the teacher's second layer −v."""
    K, rest = target.units, W.shape[1] - target.P
    every = np.vstack([W, np.hstack([target.weights, np.zeros((K, rest))])])
    c, s = np.append(a, -target.second_layer), np.append(b, np.zeros(K))
    Q = every @ every.T
    return 0.5 * sum(
        c[j] * c[k] * pair(name, Q[j, j], Q[j, k], Q[k, k], s[j], s[k]) for j in range(c.size) for k in range(c.size)
    )


def risk_erf(target, W, a):
    """The risk without biases, for erf, analytic in W and a so that it may be differentiated by complex steps."""
    Q, m = W @ W.T, W[:, : target.P]
    tau = np.sqrt(1 + np.diag(Q))
    total = 0.5 * sum(c**2 for c in target.terms.values())
    total = total + 0.5 * a @ (2 / np.pi * np.arcsin(Q / np.outer(tau, tau))) @ a
    for S, c in target.terms.items():
        k = sum(S)
        if k % 2:
            he = np.polynomial.hermite_e.hermeval(0.0, [0] * (k - 1) + [1])
            moment = 2 * he * PHI / tau**k
            total = total - c / math.sqrt(math.prod(map(math.factorial, S))) * a @ (
                np.prod(m ** np.array(S), axis=1) * moment
            )
    return total


def complex_gradient(function, x):
    """Derivative of an analytic function to rounding."""
    out = np.zeros(x.size)
    for i in range(x.size):
        moved = x.astype(complex).ravel()
        moved[i] += 1e-30j
        out[i] = function(moved.reshape(x.shape)).imag / 1e-30
    return out.reshape(x.shape)
