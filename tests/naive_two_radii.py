"""Slow twins of the layerwise rule: the lemmas' formulas, the flow in all d coordinates, Algorithm 1 as printed."""

import math

import naive_correlation
import naive_flow
import numpy as np


def moments(name, q, b, top):
    """c_k(q, b), k <= top, as slopes of E[σ(√q G + x)] in x at b: q-independent of any recursion."""
    g, weights = naive_flow.panels([-12, -6, -3, -1, 0, 1, 3, 6, 12, -b / math.sqrt(q)])
    density = weights * np.exp(-g * g / 2) / math.sqrt(2 * math.pi)
    values = naive_flow.value(name, math.sqrt(q) * g + b)
    he = [np.polynomial.hermite_e.hermeval(g, [0] * k + [1]) for k in range(top + 1)]
    return [float(np.sum(density * values * he[k])) / q ** (k / 2) for k in range(top + 1)]


def lemma(name, sets, w, released, a, b):
    """The lemmas of the layerwise flow for Σ coefficient · Π He_{k_j}(z_j), in all coordinates of w.

    ``sets`` has pairs (powers (P), coefficient); ``released`` is a mask over all of w.
    """
    q = 1 + float((w[released] ** 2).sum())
    out = np.zeros(w.size)
    for powers, coefficient in sets:
        k = np.append(powers, np.zeros(w.size - len(powers))).astype(int)
        degree, kept = int(k.sum()), int(k[~released].sum())
        c = moments(name, q, b, degree + 2)
        chi = float(np.prod(w**k))
        for i in range(w.size):
            others = float(np.prod(np.delete(w, i) ** np.delete(k, i)))
            partial = k[i] * w[i] ** (k[i] - 1) * others if k[i] else 0.0
            if released[i]:
                out[i] += coefficient * a * (partial * c[degree] + w[i] * chi * c[degree + 2])
            else:
                out[i] += coefficient * a * (partial - w[i] * chi * kept) * c[degree]
    return out


def flow(velocity, w, r, delta, times, h):
    """Follow the rule in all coordinates by Heun steps of length ``h``: w at the times, and the release times."""
    w, released = w / np.linalg.norm(w), np.zeros(w.size, dtype=bool)
    when, rows, t = np.full(w.size, np.nan), [], 0.0
    w = release(w, released, when, r, delta, t)
    for end in times:
        while t < end - 1e-12:
            step = min(h, end - t)
            one = held(velocity(w, released), w, released, delta)
            two = held(velocity(w + step * one, released), w, released, delta)
            w, t = w + step / 2 * (one + two), t + step
            w = release(w, released, when, r, delta, t)
        rows.append(w.copy())
    return np.array(rows), when


def held(v, w, released, delta):
    """No velocity outward at the outer radius."""
    return np.where(released & (np.abs(w) >= delta) & (v * w > 0), 0.0, v)


def release(w, released, when, r, delta, t):
    """Let go of what reaches r, rescale the rest to length 1, again and again; clip."""
    while (new := ~released & (np.abs(w) >= r * (1 - 1e-9))).any():
        released[new], when[new] = True, t
        w = np.where(released, w, w / math.sqrt(float((w[~released] ** 2).sum())))
    return np.where(released, np.clip(w, -delta, delta), w)


def algorithm_1(rng, target, name, w, a, b, r, delta, eta, steps):
    """Phase 1 of the layerwise algorithm on Gaussian data under the loss −y f, one fresh sample a step.

    ``w`` (runs, d) are runs of one and the same neuron; returns w after the last step.
    """
    w = w / np.linalg.norm(w, axis=1, keepdims=True)
    kept = np.ones(w.shape, dtype=bool)
    for _ in range(steps):
        x = rng.standard_normal(w.shape)
        y = target.evaluate(x[:, : target.P])
        gradient = -(y * a * naive_flow.slope(name, (w * x).sum(axis=1) + b))[:, None] * x
        radial = (np.where(kept, w * gradient, 0.0)).sum(axis=1, keepdims=True)
        w = w - eta * np.where(kept, gradient - radial * w, gradient)
        kept &= np.abs(w) < r
        w = np.clip(w, -delta, delta)
        rest = np.sqrt(np.where(kept, w * w, 0.0).sum(axis=1, keepdims=True))
        w = np.where(kept, w / rest, w)
    return w


def velocity_by_differences(name, target, a, b, nodes=24):
    """The rule's velocity from ∇C by finite differences, any target: kept part along the sphere, the rest free."""

    def velocity(w, released):
        g = a * naive_correlation.gradient(lambda x: naive_correlation.correlation(name, target, x, b, nodes), w)
        kept = np.where(released, 0.0, w)
        return g - (g @ kept) / (kept @ kept) * kept

    return velocity
