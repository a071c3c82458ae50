"""Slow twins of the chain: a step of SGD as written, on any weights; the growing basis; SGD in d dimensions."""

import math

import naive_sgd
import numpy as np

from odesim.sgd import _random
from odesim.training import INNER, TwoRadii

LENGTHS = 3


def activation(name, lam):
    """Return σ(λ) and σ'(λ)."""
    return (np.tanh(lam), 1 / np.cosh(lam) ** 2) if name == "tanh" else naive_sgd.activation(name, lam)


def dot(u, v):
    """<u, v> along the last axis, kept."""
    return (u * v).sum(axis=-1, keepdims=True)


def gradients(at, W, a, b, X, y, network, training):
    """Gradients of the batch's mean loss (N times it in mean-field scaling), the forward pass taken at ``at``.

    W, at (..., N, d), a and b (..., N), X (..., B, d), y (..., B). On the sphere each sample's part is projected
    along the tangent at W.
    """
    weight, times = (1 / a.shape[-1], a.shape[-1]) if network.scaling == "mean_field" else (1, 1)
    mean = times / X.shape[-2]
    g_w, g_a, g_b = np.zeros_like(W), np.zeros_like(a), np.zeros_like(b)
    for s in range(X.shape[-2]):
        x = X[..., s, None, :]
        sigma, slope = activation(network.activation.name, dot(at, x)[..., 0] + b)
        f = weight * (a * sigma).sum(axis=-1)
        residual = (y[..., s] - f if training.loss == "square" else y[..., s])[..., None]
        along = x - dot(W, x) * W if training.geometry == "sphere" else x
        g_w -= mean * (residual * weight * a * slope)[..., None] * along
        g_a -= mean * weight * residual * sigma
        g_b -= mean * weight * residual * a * slope
    return g_w, g_a, g_b


def step(W, a, b, X, y, network, training, number):
    """Return W, a, b after one step on a batch."""
    phase = naive_sgd.phase_of(training, number)
    eta = training.eta * phase.rate * phase.w
    at = W
    if training.reuse in INNER:
        rho = eta if training.rho is None else training.rho
        at = W - INNER[training.reuse] * rho * gradients(W, W, a, b, X, y, network, training)[0]
    g_w, g_a, g_b = gradients(at, W, a, b, X, y, network, training)
    if training.normalised:
        norm = np.sqrt((g_w**2).sum(axis=(-1, -2), keepdims=True))
        g_w = np.divide(g_w, norm, out=np.zeros_like(g_w), where=norm > 0)
    W = W - eta * training.decay_w * W - eta * g_w
    if training.geometry == "sphere":
        W = W / np.sqrt(dot(W, W))
    rate_a = training.rate_a * phase.rate * phase.a
    return W, a - rate_a * (training.decay_a * a + g_a), b - training.eta_b * phase.rate * phase.b * g_b


def whole_step(W, a, b, X, y, network, training, number):
    """Do it twice if the training says so."""
    for _ in range(2 if training.reuse == "twice" else 1):
        W, a, b = step(W, a, b, X, y, network, training, number)
    return W, a, b


def layerwise_step(W, a, b, x, y, network, training, number, free, checked):
    """One step under two radii; ``free`` (..., N, d) changes in place, of the first ``checked`` coordinates."""
    phase = naive_sgd.phase_of(training, number)
    eta, radii = training.eta * phase.rate * phase.w, training.geometry
    g_w, g_a, g_b = gradients(W, W, a, b, x[..., None, :], y[..., None], network, training)
    rate_a = training.rate_a * phase.rate * phase.a
    a, b = a - rate_a * (training.decay_a * a + g_a), b - training.eta_b * phase.rate * phase.b * g_b
    if eta == 0:
        return W, a, b
    inside = np.where(free, W, 0.0)
    moved = W - eta * np.where(free, g_w - dot(g_w, inside) * W, g_w)
    free[..., :checked] &= ~(np.abs(moved[..., :checked]) >= radii.r)
    moved[..., :checked] = np.clip(moved[..., :checked], -radii.delta, radii.delta)
    rest = np.sqrt((np.where(free, moved, 0.0) ** 2).sum(axis=-1, keepdims=True))
    return np.where(free, moved / np.where(rest > 0, rest, 1.0), moved), a, b


def length(seed, number, freedom):
    """√χ² of a sample and the attempts it took: Marsaglia and Tsang, the logarithm always taken."""
    attempt, d = 0, freedom / 2 - 1 / 3
    while True:
        x = normals(seed, LENGTHS, number, 2 * attempt + 1)[2 * attempt]
        if freedom == 1:
            return abs(x), 0
        key = (seed % naive_sgd.WORD, seed // naive_sgd.WORD)
        group = number // 4
        counter = (2 * attempt + 1, group % naive_sgd.WORD, group // naive_sgd.WORD, LENGTHS)
        u = 1 - (naive_sgd.philox(counter, key)[number % 4] + 0.5) / naive_sgd.WORD
        v = (1 + x / math.sqrt(9 * d)) ** 3
        if v > 0 and math.log(u) < x * x / 2 + d * (1 - v + math.log(v)):
            return math.sqrt(2 * d * v), attempt
        attempt += 1


def normals(seed, stream, number, count):
    """The first ``count`` normals of a sample, of float32 resolution."""
    out = np.empty((1, count), np.float32)
    _random.samples(np.uint64(seed), np.uint32(stream), number, out)
    return out[0].astype(float)


def reflect(V, P, rank):
    """Turn the coordinates from P on so that row j has none beyond P + j: Householder, one reflection a row."""
    V = V.copy()
    for j in range(min(rank, V.shape[0])):
        tail = V[j, P + j :].copy()
        end = -np.linalg.norm(tail) if tail[0] > 0 else np.linalg.norm(tail)
        u = tail.copy()
        u[0] -= end
        if u @ u > 0:
            V[:, P + j :] -= 2 / (u @ u) * np.outer(V[:, P + j :] @ u, u)
    return V


def chain(job, seed, V, block):
    """Yield (V, a, b, free, size) before every step: the weights in a basis that grows by one direction a fresh sample.

    V (N, P + K) is the start; every ``block`` steps K comes down to N. ``free`` (N, P): which of the support are not
    released; ``size`` the largest Σ|λ_j + b_j| + |f| of the step's samples.
    """
    network, training, target = job.network, job.training, job.target
    N, d, P, B = network.width, network.dim, target.P, int(training.batch)
    a, b = network.a.copy(), network.b.copy()
    free = np.ones((N, max(d, P + N)), dtype=bool)
    number = 0
    while True:
        known, last = V.shape[1], min(V.shape[1] + B, d)
        X, y = np.zeros((B, last)), np.zeros(B)
        for s in range(B):
            rows = min(known + s, d)
            X[s, :rows] = normals(seed, 0, number * B + s, rows)
            if rows < d:
                X[s, rows] = length(seed, number * B + s, d - rows)[0]
            y[s] = target.evaluate(X[s, :P]) + math.sqrt(training.noise) * normals(seed, 1, number * B + s, 1)[0]
        lam = X[:, :known] @ V.T + b
        f = network.unit * activation(network.activation.name, lam)[0] @ a
        yield V, a, b, free[:, :P].copy(), (np.abs(lam).sum(axis=1) + np.abs(f)).max()
        V = np.hstack([V, np.zeros((N, last - known))])
        if isinstance(training.geometry, TwoRadii):
            rest = free[:, :last].copy()
            V, a, b = layerwise_step(V, a, b, X[0], y[0], network, training, number, rest, P)
            free[:, :last] = rest
        else:
            V, a, b = whole_step(V, a, b, X, y, network, training, number)
        number += 1
        if number % block == 0 and V.shape[1] > P + N:
            V = reflect(V, P, N)[:, : P + N]


def sgd(network, target, training, runs, steps, rng):
    """Yield (W, a, b) of ``runs`` runs in d dimensions before every one of ``steps`` steps, and after them."""
    B, d = int(training.batch), network.dim
    W, a, b = (np.repeat(one[None], runs, axis=0) for one in (network.weights, network.a, network.b))
    if training.geometry == "sphere":
        W = W / np.sqrt(dot(W, W))
    free = np.ones_like(W, dtype=bool)
    for number in range(steps):
        yield W, a, b
        X = rng.standard_normal((runs, B, d))
        y = target.evaluate(X[..., : target.P]) + math.sqrt(training.noise) * rng.standard_normal((runs, B))
        if isinstance(training.geometry, TwoRadii):
            W, a, b = layerwise_step(W, a, b, X[:, 0], y[:, 0], network, training, number, free, d)
        else:
            W, a, b = whole_step(W, a, b, X, y, network, training, number)
    yield W, a, b
