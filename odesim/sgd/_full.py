"""The network's side of online SGD, whatever the batch: rules, activations, scales of W, overlaps.

Neuron j's weights are scale_j · W_j: decay, and staying on the sphere, cost nothing per weight until ``settle`` works
the scale into W. W and x have the dtype of the run; everything of length N is float64. Rows of W and x are padded with
zeros.
"""

import math
from typing import NamedTuple

import numpy as np

from odesim._jit import kernel
from odesim.activations._moments import ERF, RELU
from odesim.sgd._erf import F, erf_and_slope, erf_and_slope32
from odesim.sgd._random import GROUP

# By comparison: math.isfinite tests x - x, which reassociation turns into 0.
LARGEST = np.finfo(np.float64).max

RUNNING, DIVERGED, NOT_FINITE = 0, 1, 2
"""What `advance` returns first: the numbers of the Trajectory's Status."""

OF_W, OF_A, OF_B, KEEP_W, KEEP_A, INNER = 0, 1, 2, 3, 4, 5
"""Columns of `Rule.rates`."""


class Rule(NamedTuple):
    """How the weights move: the phases of a schedule, what the residual is, and where it is taken."""

    stops: np.ndarray  # (phases) the first step that is no longer in it, increasing; no run reaches the last
    rates: np.ndarray  # (phases, 6) step sizes of W, a, b; what a step keeps of W and a, 1 − rate · decay; inner step
    feedback: float  # residual y − feedback · f: 1 for the square loss, 0 for the correlation loss
    sphere: int  # whether every w_j stays on the unit sphere
    twice: int  # whether a step is two steps on the same sample


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
def activate_in(single, act, lam, s, ds):
    """Do the same, where ``single`` to the precision of float32."""
    if single and act.code == ERF:
        for j in range(lam.size):
            s[j], ds[j] = erf_and_slope32(F(lam[j]))
    else:
        activate(act, lam, s, ds)


@kernel
def rates_of_group(rule, first, phase, rows):
    """Fill rows (4, 6) with the rates of the steps first ... first + 3, none before ``phase``; returns their phase."""
    for t in range(GROUP):
        while rule.stops[phase] <= first + t:
            phase += 1
        rows[t] = rule.rates[phase]
    return phase


@kernel
def output(a, s):
    """f = Σ_j a_j σ_j."""
    f = 0.0
    for j in range(a.size):
        f += a[j] * s[j]
    return f


@kernel
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


@kernel
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
