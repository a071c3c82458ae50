"""Slow twins of lone neurons: their draws on Python integers, their step as SGD in P + 2 coordinates; full SGD."""

import math

import naive_sgd
import numpy as np
from scipy.special import erf

FREE, SPHERE = "free", "sphere"


def words(key, stream, step, i):
    """Number ``step`` mod 4 of the words of counter i."""
    group = step // 4
    counter = (i, group % naive_sgd.WORD, group // naive_sgd.WORD, stream)
    return naive_sgd.philox(counter, (key % naive_sgd.WORD, key // naive_sgd.WORD))


def normal(key, stream, step, i):
    """The same of its normals."""
    four = words(key, stream, step, i)
    return (*naive_sgd.normal_pair(*four[:2]), *naive_sgd.normal_pair(*four[2:]))[step % 4]


def chi_square(key, stream, step, i, freedom, x):
    """χ² by Marsaglia and Tsang from the normal x; its words are those of counter i, more attempts i + 1, i + 2, ..."""
    if freedom == 1:
        return x * x
    d = freedom / 2 - 1 / 3
    word = words(key, stream, step, i)[step % 4]
    while True:
        v = (1 + x / math.sqrt(9 * d)) ** 3
        if v > 0 and math.log1p(-(word + 0.5) / 2**32) < x * x / 2 + d - d * v + d * math.log(v):
            return 2 * d * v
        x, word = normal(key, stream, step, i + 1), words(key, stream, step, i + 2)[step % 4]
        i += 2


def activation(name, x):
    """σ and σ'."""
    if name == "erf":
        return erf(x / np.sqrt(2)), np.sqrt(2 / np.pi) * np.exp(-x * x / 2)
    if name == "relu":
        return np.maximum(x, 0), (x > 0).astype(float)
    if name == "hermite:3":
        return (x**3 - 3 * x) / math.sqrt(6), (3 * x * x - 3) / math.sqrt(6)
    return np.tanh(x), 1 - np.tanh(x) ** 2


def step(training, rates, name, w, a, b, kept, x, y, P=None):
    """One step of SGD on weights (runs, n), a and b (runs), samples x (B, runs, n), labels y (B, runs).

    ``kept`` marks the coordinates on the sphere, none of them in the free geometry. Under two radii the first P
    coordinates are looked at, by default all.
    """
    for _ in range(2 if training.reuse == "twice" else 1):
        lam = (x * w).sum(axis=-1)
        feedback = 1.0 if training.loss == "square" else 0.0
        value, slope = activation(name, lam + b)
        delta = y - feedback * a * value
        if rates.inner:
            on_sphere = (x * np.where(kept, w, 0.0)).sum(axis=-1)
            room = (x * x).sum(axis=-1) - on_sphere**2
            value, slope = activation(name, lam + b + rates.inner * delta * a * slope * room)
            delta = y - feedback * a * value
        gradient = -((delta * a * slope)[..., None] * x).mean(axis=0)
        radial = np.where(kept, w * gradient, 0.0).sum(axis=-1, keepdims=True)
        a_new = a - rates.a * rates.decay_a * a + rates.a * (delta * value).mean(axis=0)
        b = b + rates.b * (delta * a * slope).mean(axis=0)
        w = w - rates.w * rates.decay_w * w - rates.w * np.where(kept, gradient - radial * w, gradient)
        a = a_new
        if training.geometry != FREE:
            if training.geometry != SPHERE:
                looked, delta = np.arange(w.shape[-1]) < (w.shape[-1] if P is None else P), training.geometry.delta
                kept = kept & ((np.abs(w) < training.geometry.r) | ~looked)
                w = np.where(looked, np.clip(w, -delta, delta), w)
            rest = np.sqrt(np.where(kept, w * w, 0.0).sum(axis=-1, keepdims=True))
            w = np.where(kept, w / rest, w)
    return w, a, b, kept


def full(rng, target, training, network, runs, steps):
    """SGD of one neuron with all its d weights, ``runs`` times: (m, |v|², a, b) after the last step."""
    P, d = target.P, network.dim
    w = np.repeat(network.weights, runs, axis=0)
    a, b = np.full(runs, network.plain_a[0]), np.full(runs, network.b[0])
    kept = np.full(w.shape, training.geometry != FREE)
    if training.geometry != FREE:
        w = w / np.linalg.norm(w, axis=1, keepdims=True)
    for n in range(steps):
        x = rng.standard_normal((training.batch, runs, d))
        y = target.evaluate(x[..., :P].reshape(-1, P)).reshape(training.batch, runs)
        y = y + math.sqrt(training.noise) * rng.standard_normal(y.shape)
        rates = next(one for one in training.rates(network) if n < one.stop)
        w, a, b, kept = step(training, rates, network.activation.name, w, a, b, kept, x, y)
    return w[:, :P], (w[:, P:] ** 2).sum(axis=1), a, b


def chain(target, training, network, j, draw, steps):
    """(m, |v|², a, b, kept) of neuron j before every step and after the last, in P + 2 coordinates.

    ``draw(step)`` gives x on the support (B, P), g (B), ξ (B) and χ² of that step.
    """
    P = target.P
    square = float(network.R[j, j])
    length = 1.0 if training.geometry == FREE else math.sqrt(network.m[j] @ network.m[j] + square)
    w = np.append(network.m[j], [math.sqrt(square), 0.0])[None] / length
    a, b = network.plain_a[j : j + 1].copy(), network.b[j : j + 1].copy()
    kept = np.full(w.shape, training.geometry != FREE)
    rows = [(w[0, :P], w[0, P] ** 2, a[0], b[0], kept[0, :P])]
    for n in range(steps):
        z, g, xi, chi2 = draw(n)
        y = target.evaluate(z) + math.sqrt(training.noise) * xi
        x = np.concatenate([z, g[:, None], np.full((g.size, 1), math.sqrt(chi2))], axis=1)[:, None]
        rates = next(one for one in training.rates(network) if n < one.stop)
        if training.batch > 1:
            w, a, b, kept = batch_step(training, rates, network.activation.name, w, a, b, kept, x, y[:, None], P)
        else:
            w, a, b, kept = step(training, rates, network.activation.name, w, a, b, kept, x, y[:, None], P)
        rows.append((w[0, :P].copy(), float((w[0, P:] ** 2).sum()), a[0], b[0], kept[0, :P].copy()))
        w = np.append(w[0, :P], [math.sqrt(rows[-1][1]), 0.0])[None]
        kept[:, P:] = training.geometry != FREE
    return [np.array(column) for column in zip(*rows, strict=True)]


def batch_step(training, rates, name, w, a, b, kept, x, y, P):
    """`step` where the samples' parts outside are orthogonal in law: Σ c χ_n there has the length √(Σ c²) χ."""
    count = x.shape[0]
    apart = np.zeros((count, 1, x.shape[-1] - 1 + count))
    apart[..., : x.shape[-1] - 1] = x[..., :-1]
    for n in range(count):
        apart[n, 0, x.shape[-1] - 1 + n] = x[n, 0, -1]
    more = np.zeros((1, count - 1))
    w, a, b, kept = step(
        training, rates, name, np.concatenate([w, more], axis=1), a, b,
        np.concatenate([kept, np.full((1, count - 1), training.geometry != FREE)], axis=1), apart, y, P,
    )  # fmt: skip
    return w, a, b, kept[:, : x.shape[-1]]
