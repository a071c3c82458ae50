"""The network's side of online SGD, batch 1: forward pass, steps and one sweep over W for four exact steps.

With W = scale · V the weights at the start of a group of four steps, c_q the updates found so far and
k_q = 1 − rate · decay what step q keeps of W, step t sees

    λ_t = (Π_{q<t} k_q) scale · V x_t + Σ_{q<t} (Π_{q<p<t} k_p) c_q <x_q, x_t> + b,

so one pass over V both adds the last group's updates, divided by the new scale, and multiplies by the next four
samples; decay costs nothing per weight until ``settle`` works the scale into V. W and x have the dtype of the
run; everything of length N is float64. Rows of W and x are padded with zeros.
"""

import math
from typing import NamedTuple

import numpy as np

from odesim._jit import FASTMATH, kernel
from odesim.activations._moments import ERF, RELU
from odesim.sgd._random import GROUP

# By comparison: math.isfinite tests x - x, which reassociation turns into 0.
LARGEST = np.finfo(np.float64).max

RUNNING, DIVERGED, NOT_FINITE = 0, 1, 2
"""What `advance` returns first: the numbers of the Trajectory's Status."""

OF_W, OF_A, OF_B, KEEP_W, KEEP_A, INNER = 0, 1, 2, 3, 4, 5
"""Columns of `Rule.rates`."""

# exp x = 2^n e^r: adding the magic number rounds to an integer and leaves n in the lowest bits of the sum.
LOG2E, MAGIC, SHIFT = 1.4426950408889634, 1.5 * 2.0**52, np.uint64(52)
LN2_HIGH, LN2_LOW = 0.693147180369123816490, 1.90821492927058770002e-10

ROOT_HALF, SLOPE_AT_0 = math.sqrt(0.5), math.sqrt(2.0 / math.pi)
FAR = 6.2  # erf is 1 to double precision from here on


class Rule(NamedTuple):
    """How the weights move: the phases of a schedule, what the residual is, and where it is taken."""

    stops: np.ndarray  # (phases) the first step that is no longer in it, increasing; no run reaches the last
    rates: np.ndarray  # (phases, 6) step sizes of W, a, b; what a step keeps of W and a, 1 − rate · decay; inner step
    feedback: float  # residual y − feedback · f: 1 for the square loss, 0 for the correlation loss
    sphere: int  # whether every w_j stays on the unit sphere
    twice: int  # whether a step is two steps on the same sample


@kernel(fastmath=FASTMATH - {"reassoc"})
def exp64(x):
    """e^x for -700 < x < 700, relative error 1e-15, no branch; reassociation would undo the rounding."""
    t = x * LOG2E + MAGIC
    n = t - MAGIC
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    p = 2.4801536409064087e-05 + r * (2.7625102005388107e-06 + r * 2.7613795545519859e-07)
    p = 8.3333333537171570e-03 + r * (1.3888888905871346e-03 + r * (1.9841208756992321e-04 + r * p))
    p = 0.5 + r * (0.16666666666648303 + r * (4.1666666666651367e-02 + r * p))
    power = (np.float64(t).view(np.uint64) << SHIFT) + np.uint64(0x3FF0000000000000)
    return (1.0 + r + r * r * p) * np.uint64(power).view(np.float64)


@kernel
def erf_and_slope(x):
    """σ(x) = erf(x/√2) and σ'(x), from one exponential; absolute error 1e-15.

    erf u = 1 - e^{-u²} g((u-4)/(u+4)), g a polynomial for e^{u²} erfc u on 0 <= u <= 6.2 (the variable of
    Shepherd and Laframboise, Math. Comp. 36, 1981).
    """
    u = min(abs(x) * ROOT_HALF, FAR)
    e = exp64(-u * u)
    y = (u - 4.0) / (u + 4.0)
    g = 6.3678968761451450e-06 + y * (1.3300760348301942e-06 + y * 2.8032552481420996e-08)
    g = 7.9757514001554243e-05 + y * (-2.0186549117087490e-05 + y * (1.8202074495653220e-06 + y * g))
    g = -7.9921198919295642e-04 + y * (-2.1751512337993376e-05 + y * g)
    g = 0.031299057773292393 + y * (-0.012843945079641254 + y * (0.0040602401587880133 + y * g))
    g = -0.16425781669961618 + y * (0.10896317737487798 + y * (-0.063107815550445979 + y * g))
    g = 0.13699945762506115 + y * (-0.25906804876015991 + y * (0.21871967891843621 + y * g))
    value = 1.0 - e * g
    return math.copysign(value, x), SLOPE_AT_0 * e


@kernel
def activate(act, lam, s, ds):
    """Fill s = σ(lam) and ds = σ'(lam)."""
    if act.code == ERF:
        for j in range(lam.size):
            s[j], ds[j] = erf_and_slope(lam[j])
    elif act.code == RELU:
        for j in range(lam.size):
            ds[j] = 1.0 if lam[j] > 0.0 else act.slope
            s[j] = lam[j] * ds[j]
    else:
        act.activate(act.kind, lam, s, ds)


@kernel
def gram(x, G):
    """Fill the strictly lower part of G (4, 4) with <x_t, x_q>."""
    x0, x1, x2, x3 = x[0], x[1], x[2], x[3]
    zero = x.dtype.type(0)
    g10, g20, g21, g30, g31, g32 = zero, zero, zero, zero, zero, zero
    for i in range(x0.size):
        g10 += x1[i] * x0[i]
        g20 += x2[i] * x0[i]
        g21 += x2[i] * x1[i]
        g30 += x3[i] * x0[i]
        g31 += x3[i] * x1[i]
        g32 += x3[i] * x2[i]
    G[1, 0], G[2, 0], G[2, 1], G[3, 0], G[3, 1], G[3, 2] = g10, g20, g21, g30, g31, g32


@kernel
def sweep(W, x, new, C, L):
    """W += Σ_q c_q x_qᵀ, then L = (W new_tᵀ)_t, two rows of W at a time."""
    x0, x1, x2, x3 = x[0], x[1], x[2], x[3]
    n0, n1, n2, n3 = new[0], new[1], new[2], new[3]
    T = W.dtype.type
    for j in range(0, W.shape[0], 2):
        w, v = W[j], W[j + 1]
        c0, c1, c2, c3 = T(C[0, j]), T(C[1, j]), T(C[2, j]), T(C[3, j])
        k = j + 1
        e0, e1, e2, e3 = T(C[0, k]), T(C[1, k]), T(C[2, k]), T(C[3, k])
        p0, p1, p2, p3, q0, q1, q2, q3 = T(0), T(0), T(0), T(0), T(0), T(0), T(0), T(0)
        for i in range(w.size):
            f = w[i] + (c0 * x0[i] + c1 * x1[i] + c2 * x2[i] + c3 * x3[i])
            g = v[i] + (e0 * x0[i] + e1 * x1[i] + e2 * x2[i] + e3 * x3[i])
            w[i] = f
            v[i] = g
            p0 += f * n0[i]
            p1 += f * n1[i]
            p2 += f * n2[i]
            p3 += f * n3[i]
            q0 += g * n0[i]
            q1 += g * n1[i]
            q2 += g * n2[i]
            q3 += g * n3[i]
        L[0, j], L[1, j], L[2, j], L[3, j] = p0, p1, p2, p3
        L[0, k], L[1, k], L[2, k], L[3, k] = q0, q1, q2, q3


@kernel
def rates_of_group(rule, first, phase, rows):
    """Fill rows (4, 6) with the rates of the steps first ... first + 3, none before ``phase``; returns their phase."""
    for t in range(GROUP):
        while rule.stops[phase] <= first + t:
            phase += 1
        rows[t] = rule.rates[phase]
    return phase


@kernel
def preactivations(lam, scale, b, G, C, t):
    """lam_t = scale · V x_t + Σ_{q<t} c_q <x_q, x_t> + b, in place; returns Σ_j |lam_j|."""
    if scale != 1.0:
        for j in range(lam.size):
            lam[j] *= scale
    for q in range(t):
        g, c = G[t, q], C[q]
        for j in range(lam.size):
            lam[j] += g * c[j]
    size = 0.0
    for j in range(lam.size):
        lam[j] += b[j]
        size += abs(lam[j])
    return size


@kernel
def output(a, s):
    """f = Σ_j a_j σ_j."""
    f = 0.0
    for j in range(a.size):
        f += a[j] * s[j]
    return f


@kernel
def descend(residual, rates, a, b, s, ds, c):
    """One step of a and b, and the factor c of W += c xᵀ, all from the same forward pass."""
    first, second, third = rates[OF_W] * residual, rates[OF_A] * residual, rates[OF_B] * residual
    keep = rates[KEEP_A]
    for j in range(a.size):
        slope = a[j] * ds[j]
        c[j] = first * slope
        b[j] += third * slope
        a[j] = keep * a[j] + second * s[j]


@kernel
def decay(keep, C, t):
    """Let the updates of this group before step t shrink with W."""
    for q in range(t):
        c = C[q]
        for j in range(c.size):
            c[j] *= keep


@kernel
def steps_of_group(act, count, bound, feedback, rates, scale, y, G, L, C, a, b, s, ds, width):
    """Take the first ``count`` steps of a group in turn; returns (status, steps taken, scale after them)."""
    C[:] = 0.0
    for t in range(count):
        lam = L[t]
        size = preactivations(lam, scale, b, G, C, t)
        activate(act, lam, s, ds)
        f = output(a, s)
        size = size + abs(f)
        if not size <= bound:
            return DIVERGED if size <= LARGEST else NOT_FINITE, t, scale
        descend(y[t] - feedback * f, rates[t], a, b, s, ds, C[t])
        a[width:] = 0.0  # padding
        keep = rates[t, KEEP_W]
        if keep != 1.0:
            decay(keep, C, t)
            scale *= keep
    return RUNNING, count, scale


@kernel
def settle(W, C, scale):
    """Divide the updates by the scale, after working it into W where it is not within [1/2, 1]; returns it."""
    if not 0.5 <= scale <= 1.0:
        factor = W.dtype.type(scale)
        for j in range(W.shape[0]):
            w = W[j]
            for i in range(w.size):
                w[i] *= factor
        scale = 1.0
    if scale != 1.0:
        C /= scale
    return scale


@kernel
def gram_of_rows(W, Q):
    """Q = W Wᵀ summed in float64, in a fixed order."""
    for j in range(Q.shape[0]):
        for k in range(j + 1):
            u, v = W[j], W[k]
            total = 0.0
            for i in range(u.size):
                total += np.float64(u[i]) * np.float64(v[i])
            Q[j, k] = total
            Q[k, j] = total


@kernel
def overlaps(W, m, Q):
    """Fill m = W[:, :P] and Q from the rows that are no padding."""
    for j in range(m.shape[0]):
        for r in range(m.shape[1]):
            m[j, r] = W[j, r]
    gram_of_rows(W, Q)
