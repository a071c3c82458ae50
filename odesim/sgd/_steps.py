"""The steps inside a group of four of online SGD, batch 1: all that happens between two sweeps over W.

With w_j = scale_j W_j at the start of the group, c_q the updates found so far and k_q what step q keeps of the weights,

    λ_t = (Π_{q<t} k_q) scale · W x_t + Σ_{q<t} (Π_{q<p<t} k_p) c_q <x_q, x_t>,

neuron by neuron, is the next step's preactivation without its bias, exactly: step q is w ← k_q w + c_q x_q with

    free      k = 1 − rate · decay,     c = rate · Δ a σ',
    sphere    k = (1 − γλ)/‖·‖,         c = γ/‖·‖,     γ = rate · Δ a σ',   ‖·‖² = 1 + γ² (‖x‖² − λ²),

where ‖·‖ is the length of w + γ(x − λw) if w has length 1. A normalised step scales all neurons' c, or γ, so that the
step's length over all of W is the rate.
"""

import math

from odesim._jit import kernel
from odesim.sgd._full import (
    ACROSS,
    DIVERGED,
    INNER,
    KEEP_A,
    KEEP_W,
    LARGEST,
    NOT_FINITE,
    OF_A,
    OF_B,
    OF_W,
    RUNNING,
    SMALLEST,
    activate,
    output,
)


@kernel(counted=False)
def clear(C):
    """C = 0."""
    for t in range(C.shape[0]):
        c = C[t]
        for j in range(c.size):
            c[j] = 0.0


@kernel(counted=False)
def preactivations(lam, scale, G, C, t):
    """lam_t = scale · W x_t + Σ_{q<t} c_q <x_q, x_t>, in place."""
    for j in range(lam.size):
        lam[j] *= scale[j]
    for q in range(t):
        g, c = G[t, q], C[q]
        for j in range(lam.size):
            lam[j] += g * c[j]


@kernel(counted=False)
def forward(act, a, z, s, ds):
    """Fill s = σ(z) and ds = σ'(z); returns f = Σ_j a_j σ_j, and Σ_j |z_j| + |f|."""
    activate(act, z, s, ds)
    f, size = output(a, s), 0.0
    for j in range(z.size):
        size += abs(z[j])
    return f, size + abs(f)


@kernel(counted=False)
def lean(inner, residual, square, sphere, lam, a, ds, z):
    """Move z to where an inner step of W takes it: along x, on the sphere along the tangent; square = ‖x‖²."""
    first = inner * residual
    for j in range(z.size):
        way = square - lam[j] * lam[j] if sphere else square
        z[j] += first * a[j] * ds[j] * way


@kernel(counted=False)
def normalise(rate, sphere, square, lam, c):
    """Scale c so that the step has length ``rate`` over all neurons; without a gradient there is none."""
    total = 0.0
    for j in range(c.size):
        room = square - lam[j] * lam[j] if sphere else square
        if room > ACROSS * square:
            total += c[j] * c[j] * room
    factor = rate / math.sqrt(total) if total > SMALLEST else 0.0
    for j in range(c.size):
        c[j] *= factor


@kernel(counted=False)
def descend(residual, rates, rule, square, lam, a, b, s, ds, c, keep):
    """One step of a and b, and c and keep of w_j ← keep_j w_j + c_j x, all from the same forward pass."""
    first, second, third = rates[OF_W] * residual, rates[OF_A] * residual, rates[OF_B] * residual
    kept, kept_a = rates[KEEP_W], rates[KEEP_A]
    for j in range(a.size):
        slope = a[j] * ds[j]
        c[j] = first * slope
        keep[j] = kept
        b[j] += third * slope
        a[j] = kept_a * a[j] + second * s[j]
    if rule.normalised:
        normalise(rates[OF_W], rule.sphere, square, lam, c)
    if rule.sphere:
        for j in range(a.size):
            along = c[j] * lam[j]
            inverse = 1.0 / math.sqrt(1.0 + (c[j] * c[j] * square - along * along))
            keep[j] = (1.0 - along) * inverse
            c[j] *= inverse


@kernel(counted=False)
def shrink(keep, C, scale):
    """Let the updates of this group so far shrink with the weights."""
    for q in range(C.shape[0]):
        c = C[q]
        for j in range(c.size):
            c[j] *= keep[j]
    for j in range(scale.size):
        scale[j] *= keep[j]


@kernel(counted=False)
def steps_of_group(act, count, bound, rule, rates, scale, y, G, L, C, a, b, width, scratch):
    """Take the first ``count`` steps of a group in turn, scratch (5, N); returns (status, steps taken)."""
    z, s, ds, c, keep = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4]
    clear(C)
    for t in range(count):
        lam, square, leans, total = L[t], G[t, t], rates[t, INNER] != 0.0, C[t]
        preactivations(lam, scale, G, C, t)
        for look in range(2 if leans or rule.twice else 1):
            if look == 0 or rule.twice:
                for j in range(lam.size):
                    z[j] = lam[j] + b[j]
            f, size = forward(act, a, z, s, ds)
            if not size <= bound:
                return DIVERGED if size <= LARGEST else NOT_FINITE, t
            residual = y[t] - rule.feedback * f
            if leans and look == 0:
                lean(rates[t, INNER], residual, square, rule.sphere, lam, a, ds, z)
                continue
            descend(residual, rates[t], rule, square, lam, a, b, s, ds, c, keep)
            for j in range(width, a.size):
                a[j] = 0.0  # padding
            if rule.sphere or rates[t, KEEP_W] != 1.0:
                shrink(keep, C[: t + 1], scale)
            for j in range(lam.size):
                total[j] += c[j]
            if rule.twice:
                for j in range(lam.size):
                    lam[j] = keep[j] * lam[j] + square * c[j]
    return RUNNING, count
