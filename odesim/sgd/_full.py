"""The network's side of online SGD, whatever the batch: rules, activations, scales of W, overlaps.

Neuron j's weights are scale_j · W_j: decay, and staying on the sphere, cost nothing per weight until ``settle`` works
the scale into W. W and x have the dtype of the run; everything of length N is float64. Rows of W and x are padded with
zeros.
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
SMALLEST = 1e-290
"""A squared norm below this counts as 0: no gradient, no step."""

ACROSS = 1e-12
"""A share of a square below this, across a w_j on the sphere, is rounding and counts as 0."""

FAR = 6.2  # erf is 1 to double precision from here on


class Rule(NamedTuple):
    """How the weights move: the phases of a schedule, what the residual is, and where it is taken."""

    stops: np.ndarray  # (phases) the first step that is no longer in it, increasing; no run reaches the last
    rates: np.ndarray  # (phases, 6) step sizes of W, a, b; what a step keeps of W and a, 1 − rate · decay; inner step
    feedback: float  # residual y − feedback · f: 1 for the square loss, 0 for the correlation loss
    sphere: int  # whether every w_j stays on the unit sphere
    twice: int  # whether a step is two steps on the same sample
    normalised: int  # whether the step of W has the length of its rate, whatever the gradient's


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


@kernel(inline="always")
def scaled_erfc(u):
    """e^{u²} erfc u on 0 <= u <= 6.2, of a number or a pack: a polynomial in (u-4)/(u+4).

    The variable is that of Shepherd and Laframboise, Math. Comp. 36, 1981.
    """
    y = (u - 4.0) / (u + 4.0)
    g = 6.3678968761451450e-06 + y * (1.3300760348301942e-06 + y * 2.8032552481420996e-08)
    g = 7.9757514001554243e-05 + y * (-2.0186549117087490e-05 + y * (1.8202074495653220e-06 + y * g))
    g = -7.9921198919295642e-04 + y * (-2.1751512337993376e-05 + y * g)
    g = 0.031299057773292393 + y * (-0.012843945079641254 + y * (0.0040602401587880133 + y * g))
    g = -0.16425781669961618 + y * (0.10896317737487798 + y * (-0.063107815550445979 + y * g))
    return 0.13699945762506115 + y * (-0.25906804876015991 + y * (0.21871967891843621 + y * g))


@kernel
def erf_and_slope(x):
    """σ(x) = erf(x/√2) and σ'(x), from one exponential; absolute error 1e-15."""
    u = min(abs(x) * ROOT_HALF, FAR)
    e = exp64(-u * u)
    value = 1.0 - e * scaled_erfc(u)
    return math.copysign(value, x), SLOPE_AT_0 * e


@kernel(counted=False)
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


@kernel(counted=False)
def rates_of_group(rule, first, phase, rows):
    """Fill rows (4, 6) with the rates of the steps first ... first + 3, none before ``phase``; returns their phase."""
    for t in range(GROUP):
        while rule.stops[phase] <= first + t:
            phase += 1
        row, rates = rows[t], rule.rates[phase]
        for k in range(row.size):
            row[k] = rates[k]
    return phase


@kernel(counted=False)
def output(a, s):
    """f = Σ_j a_j σ_j."""
    f = 0.0
    for j in range(a.size):
        f += a[j] * s[j]
    return f


@kernel(counted=False)
def settle(W, C, scale):
    """Divide the updates C (steps, ·) by the scales, after working into W those outside [1/2, 2]."""
    for j in range(W.shape[0]):
        if not 0.5 <= scale[j] <= 2.0:
            factor, w = W.dtype.type(scale[j]), W[j]
            for i in range(w.size):
                w[i] *= factor
            scale[j] = 1.0
    for t in range(C.shape[0]):
        c = C[t]
        for j in range(c.size):
            c[j] /= scale[j]


@kernel(counted=False)
def renew(W, scale, width):
    """Choose the scales of the first ``width`` rows so that all are of length 1, whatever rounding has done."""
    for j in range(width):
        w, total = W[j], 0.0
        for i in range(w.size):
            total += np.float64(w[i]) * np.float64(w[i])
        scale[j] = 1.0 / math.sqrt(total)


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
