"""First passages of the diffusion that a neuron's overlaps u = m√d follow before they are learned.

du = (Σ_t coefficients_t ∇Π u^S − decay u) ds + L dB, its noise the same everywhere. Heun's steps, whose length
depends on where u is; normals by counter from the run's own key, so a run's bits depend on nothing but its seed.
"""

import math

import numpy as np

from odesim._jit import kernel
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
def escapes(series, decay, L, start, seeds, level, horizon, accuracy, out):
    """Fill the time of every run at which |u| first reaches ``level``, infinity if that is beyond ``horizon``.

    A step moves u by less than the share ``accuracy`` of 1 + |u|, and its noise has less than that share of
    (1 + |u|)² for its variance. Within the last one |u| is taken as linear.
    """
    n = start.shape[1]
    u, trial, one, two, push = np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    scratch, normals = np.empty((2 * GROUP, n), np.uint32), np.empty((GROUP, n))
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
            scale = 1.0 + before
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
            s, before, step = s + h, after, step + 1
