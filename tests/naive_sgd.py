"""Slow twins of the SGD room: Philox on Python integers, Box–Muller in double precision, SGD as written."""

import math

import naive_flow
import numpy as np

WORD = 2**32


def philox(counter, key):
    """Ten rounds of Philox4x32 (Salmon et al. 2011, section 3.3)."""
    c, k = list(counter), list(key)
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(q // WORD) ^ c[1] ^ k[0], q % WORD, (p // WORD) ^ c[3] ^ k[1], p % WORD]
        k = [(k[0] + 0x9E3779B9) % WORD, (k[1] + 0xBB67AE85) % WORD]
    return c


def normal_pair(radius, angle):
    """Box–Muller with the angle in a quadrant and two signs apart."""
    r = math.sqrt(-2 * math.log((radius // 2 + 0.5) / 2**31))
    signed = angle // 4 if angle // 4 < 2**29 else angle // 4 - 2**30
    theta = math.pi / 4 + math.pi / 4 * signed / 2**29
    signs = (1 - 2 * (angle % 2), 1 - 2 * (angle // 2 % 2))
    return r * math.cos(theta) * signs[0], r * math.sin(theta) * signs[1]


def sample(seed, stream, step, coordinate):
    """One normal of a data stream."""
    return pair(seed, stream, step, coordinate)[step % 2]


def pair(seed, stream, step, coordinate):
    """That normal and the one of the same radius."""
    group, first = step // 4, step % 4 // 2 * 2
    words = philox((coordinate, group % WORD, group // WORD, stream), (seed % WORD, seed // WORD))
    return normal_pair(words[first], words[first + 1])


def sign(seed, stream, step, coordinate):
    """One sign of a data stream: 32 coordinates share a word, the lowest bit belongs to the first of them."""
    group = step // 4
    words = philox((coordinate // 32, group % WORD, group // WORD, stream), (seed % WORD, seed // WORD))
    return 1 - 2 * (words[step % 4] // 2 ** (coordinate % 32) % 2)


def phase_of(training, step):
    """The phase of the schedule that a step is in."""
    return next(phase for phase in training.phases if phase.until is None or step < phase.until)


def forward(network, W, a, b, x):
    """Preactivations, σ, σ' and the output f = Σ a_j σ_j or (1/N) Σ a_j σ_j of every sample of a batch."""
    lam = x @ W.T + b
    name = network.activation.name
    s = naive_flow.value(name, lam)
    return lam, s, naive_flow.slope(name, lam), (s @ a) * network.unit


def one_step(network, training, step, W, a, b, x, y):
    """The state after one whole step.

    With f = Σ a_j σ_j the gradient is that of the batch's mean loss; with f = (1/N) Σ a_j σ_j that of N times that. An
    inner step moves the W of the gradients, in the plain free case by `rho` times the gradient, on the sphere along its
    tangent. A normalised gradient has norm 1 over all neurons.
    """
    times = 1 / network.unit
    phase = phase_of(training, step)
    eta_w = training.eta * phase.rate * phase.w
    eta_a = training.rate_a * phase.rate * phase.a
    eta_b = training.eta_b * phase.rate * phase.b
    sphere = training.geometry == "sphere"

    def gradients(W):
        _, s, ds, f = forward(network, W, a, b, x)
        residual = y - f if training.loss == "square" else y
        weight = (times * residual * network.unit)[:, None]
        return -(weight * a * ds).T @ x / len(x), -(weight * s).mean(axis=0), -(weight * a * ds).mean(axis=0)

    def tangent(gradient):
        return gradient - (gradient * W).sum(axis=1, keepdims=True) * W if sphere else gradient

    at = W
    if training.reuse in ("extragradient", "sam"):
        rho = eta_w if training.rho is None else training.rho
        at = W - (rho if training.reuse == "extragradient" else -rho) * tangent(gradients(W)[0])
    grad_w, grad_a, grad_b = gradients(at)
    down = tangent(grad_w)
    if training.normalised and down.any():
        down /= np.linalg.norm(down)
    W = W - eta_w * training.decay_w * W - eta_w * down
    if sphere:
        W = W / np.linalg.norm(W, axis=1, keepdims=True)
    return W, a - eta_a * training.decay_a * a - eta_a * grad_a, b - eta_b * grad_b


def sgd(network, training, x, y):
    """Yield (W, a, b, λ, f) for every step: the state before it, and the first forward pass of its samples there."""
    batch = int(training.batch)
    x, y = x.reshape(-1, batch, x.shape[1]), y.reshape(-1, batch)
    W, a, b = network.weights.copy(), network.a.copy(), network.b.copy()
    if training.geometry == "sphere":
        W /= np.linalg.norm(W, axis=1, keepdims=True)
    for step, (sample_x, sample_y) in enumerate(zip(x, y, strict=True)):
        lam, _, _, f = forward(network, W, a, b, sample_x)
        yield W, a, b, lam, f
        for _ in range(2 if training.reuse == "twice" else 1):
            W, a, b = one_step(network, training, step, W, a, b, sample_x, sample_y)
    yield W, a, b, None, None
