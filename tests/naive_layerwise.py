"""Algorithm 1 of Abbe, Boix-Adserà & Misiakiewicz 2023 as it is written, set by set and coordinate by coordinate."""

import math

import naive_flow
import numpy as np
from naive_sgd import phase_of


def first_phase_step(w, g, eta, S, r, delta):
    """One neuron's w^{t+1}, S_{t+1} and what is released, from w^t, the gradient g and the set S_t."""
    radial = sum(w[k] * g[k] for k in S)
    spherical = [g[i] - w[i] * radial if i in S else g[i] for i in range(len(w))]
    unprojected = [w[i] - eta * spherical[i] for i in range(len(w))]
    gone = {i for i in S if abs(unprojected[i]) >= r}
    rest = S - gone
    clipped = [min(max(value, -delta), delta) for value in unprojected]
    norm = math.sqrt(sum(clipped[i] ** 2 for i in rest))
    return np.array([clipped[i] / norm if i in rest and norm > 0 else clipped[i] for i in range(len(w))]), rest, gone


def layerwise(network, training, x, y):
    """Yield (W, a, S, when, λ, f) for every sample: the state before its step, and the forward pass there.

    S is a set of coordinates a neuron, ``when`` {(neuron, coordinate): steps taken at its release}. In the scaling
    f = (1/N) Σ a_j σ_j the gradient is that of N times the loss.
    """
    W, a, b = network.weights.copy(), network.a.copy(), network.b
    N, d = W.shape
    weight, times = (1 / N, N) if network.scaling == "mean_field" else (1, 1)
    r, delta = training.geometry.r, training.geometry.delta
    S, when = [set(range(d)) for _ in range(N)], {}
    for t, (sample, label) in enumerate(zip(x, y, strict=True)):
        lam = W @ sample + b
        name = network.activation.name
        s, ds = naive_flow.value(name, lam), naive_flow.slope(name, lam)
        f = weight * (a @ s)
        yield W.copy(), a.copy(), [set(one) for one in S], dict(when), lam, f
        residual = label - f if training.loss == "square" else label
        phase = phase_of(training, t)
        if phase.w > 0:
            for j in range(N):
                g = -times * residual * weight * a[j] * ds[j] * sample
                W[j], S[j], gone = first_phase_step(W[j], g, training.eta * phase.rate * phase.w, S[j], r, delta)
                when |= {(j, i): t + 1 for i in gone}
        else:
            eta = training.rate_a * phase.rate * phase.a
            a = (1 - eta * training.decay_a) * a + eta * times * residual * weight * s
    yield W, a, S, when, None, None


def second_moments(name, target, W, b, nodes=40):
    """C = E[h σ_j] and K = E[σ_j σ_l] for x in few dimensions by the tensor Gauss–Hermite rule, or over {±1}^d."""
    d = W.shape[1]
    if target.data == "boolean":
        x, weights = np.array([-1.0, 1.0]), np.array([0.5, 0.5])
    else:
        x, weights = np.polynomial.hermite_e.hermegauss(nodes)
        weights = weights / weights.sum()
    which = np.indices((len(x),) * d).reshape(d, -1)
    points, p = x[which].T, np.prod(weights[which], axis=0)
    s = naive_flow.value(name, points @ W.T + b)
    return (p * target.evaluate(points[:, : target.P])) @ s, (s * p[:, None]).T @ s
