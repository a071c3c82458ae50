"""First passages of the diffusion that a neuron's overlaps u = m√d follow before they are learned.

du = (Σ_t coefficients_t ∇Π u^S − decay u) ds + L dB, its noise the same everywhere. Heun's steps, whose length
depends on where u is; normals by counter from the run's own key, so a run's bits depend on nothing but its seed.
"""

import math

import numpy as np

from odesim._jit import kernel
from odesim.activations._normal import distribution
from odesim.sgd._random import GROUP, INPUTS, draw_group


@kernel
def drift(series, decay, u, out):
    """Fill Σ_t coefficients_t ∇Π_i u_i^{S_i} − decay u."""
    for r in range(u.size):
        out[r] = -decay * u[r]
    for term in range(series.coefficients.size):
        first, last = series.offsets[term], series.offsets[term + 1]
        for i in range(first, last):
            p = series.powers[i]
            slope = series.coefficients[term] * p * u[series.coordinates[i]] ** (p - 1)
            for k in range(first, last):
                if k != i:
                    slope *= u[series.coordinates[k]] ** series.powers[k]
            out[series.coordinates[i]] += slope


@kernel
def length(u):
    """Return |u|."""
    total = 0.0
    for r in range(u.size):
        total += u[r] * u[r]
    return math.sqrt(total)


@kernel
def touch(L, u, gap):
    """Return exp(−2 gap/v), v the variance rate of the noise along u; 0 without noise."""
    variance, size = 0.0, length(u)
    for k in range(u.size):
        along = 0.0
        for r in range(u.size):
            along += L[r, k] * u[r]
        variance += along * along
    variance /= size * size + 1e-300
    return math.exp(-2.0 * gap / variance) if variance > 0.0 else 0.0


@kernel
def escapes(series, decay, L, start, seeds, level, horizon, accuracy, out):
    """Fill the time of every run at which |u| first reaches ``level``, infinity if that is beyond ``horizon``.

    With x the smaller of 1 + |u| and the level, a step moves u by less than the share ``accuracy`` of x, and its
    noise has less than that share of x² for its variance. That |u| went to the level and back within a step has the
    chance exp(−2 (level − |u|)(level − |u'|)/variance) of a Brownian bridge, variance that of the radial noise.
    """
    n = start.shape[1]
    u, trial, one, two, push = np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    scratch, normals = np.empty((2 * GROUP, n + 1), np.uint32), np.empty((GROUP, n + 1))
    spread = 0.0
    for r in range(n):
        for k in range(n):
            spread += L[r, k] * L[r, k]
    for run in range(out.size):
        u[:] = start[run]
        now, s, step, before = 0, 0.0, 0, length(u)
        out[run] = 0.0 if before >= level else np.inf
        while before < level and s < horizon:
            drift(series, decay, u, one)
            scale = min(1.0 + before, level)
            h = accuracy * min(scale / (length(one) + 1e-300), scale * scale / (spread + 1e-300))
            h = min(h, horizon - s + 1e-12 * horizon)
            now = step % GROUP
            if now == 0:
                draw_group(seeds[run], INPUTS, step // GROUP, scratch, normals)
            root = math.sqrt(h)
            for r in range(n):
                push[r] = 0.0
                for k in range(n):
                    push[r] += root * L[r, k] * normals[now, k]
                trial[r] = u[r] + h * one[r] + push[r]
            drift(series, decay, trial, two)
            for r in range(n):
                u[r] += 0.5 * h * (one[r] + two[r]) + push[r]
            after = length(u)
            if after >= level:
                out[run] = s + h * (level - before) / (after - before)
            elif distribution(normals[now, n]) < touch(L, u, (level - before) * (level - after) / h):
                out[run], after = s + 0.5 * h, level
            s, before, step = s + h, after, step + 1
