"""Mean-field flow: neurons that meet only through f(z), their residuals independent Gaussians.

The flat state is m (N·P), s (N), a (N), b (N), s_j = ‖v_j‖ the residual's norm. With weights w_j that sum to 1,
f(z) = Σ_j w_j a_j V_j(z), V_j = E_G σ(u_j + s_j G), u_j = <m_j, z> + b_j, and e = h − f:
a' = ξ_a (E[e V] − λ_a a), m' = ξ_w (a E[e ∂_uV z] − λ_w m), s' = ξ_w (a E[e ∂_sV] − λ_w s), b' = ξ_b a E[e ∂_uV],
where ∂_uV = E_G σ' and ∂_sV = E_G σ'G. Under the correlation loss e = h.
Points go by in blocks, all neurons at each, so the memory is O(N).
"""

import math
from typing import NamedTuple

import numpy as np

from odesim._jit import kernel
from odesim.activations._act import Act
from odesim.activations._moments import ERF, RELU
from odesim.activations._normal import ROOT_2, density, distribution
from odesim.integrate._explicit import largest
from odesim.integrate._loop import integrate

BLOCK = 512
"""Points taken at once."""

TINY = 1e-150
"""Residual norm that stands for 0: u/TINY is finite, and its square, possibly infinite, only enters exp(−x²/2)."""


class Scratch(NamedTuple):
    """Work arrays of one right-hand side."""

    value: np.ndarray  # (N, BLOCK) V
    slope: np.ndarray  # (N, BLOCK) ∂V/∂u
    spread: np.ndarray  # (N, BLOCK) ∂V/∂s
    u: np.ndarray  # (BLOCK)
    error: np.ndarray  # (BLOCK)
    turned: np.ndarray  # (P)


class Problem(NamedTuple):
    """Everything the right-hand side reads, in arrays."""

    act: Act
    smoothing: float  # of ReLU's kink
    held: int  # whether m' is projected
    alone: int  # whether e = h, in which neurons do not meet
    xi_w: float
    xi_a: float
    xi_b: float
    decay_w: float
    decay_a: float
    weights: np.ndarray  # (N), of the neurons, sum 1
    z: np.ndarray  # (P, n) points
    p: np.ndarray  # (n) their weights, sum 1
    h: np.ndarray  # (n) the target there
    projector: np.ndarray  # (P, P)
    scratch: Scratch


@kernel
def views(problem, y):
    """Split a flat state into m (N, P), s (N), a (N), b (N)."""
    n, p = problem.weights.size, problem.z.shape[0]
    end = n * p
    return y[:end].reshape(n, p), y[end : end + n], y[end + n : end + 2 * n], y[end + 2 * n :]


@kernel
def smoothed_erf(u, s, value, slope, spread):
    """erf(x/√2), with τ² = 1 + s²: V = erf(u/(√2 τ)), ∂_uV = 2φ(u/τ)/τ, ∂_sV = −(us/τ²) ∂_uV."""
    t = 1.0 / math.sqrt(1.0 + s * s)
    for i in range(u.size):
        x = u[i] * t
        value[i] = math.erf(x / ROOT_2)
        slope[i] = 2.0 * t * density(x)
        spread[i] = -s * t * x * slope[i]


@kernel
def smoothed_relu(leak, u, s, smoothing, value, slope, spread):
    """max(x, 0): with c = √(s² + smoothing²), V = c φ(u/c) + u Φ(u/c), ∂_uV = Φ(u/c), ∂_sV = (s/c) φ(u/c).

    With another slope ``leak`` below 0, leak·x + (1 − leak) max(x, 0).
    """
    size = max(math.sqrt(s * s + smoothing * smoothing), TINY)
    share = s / size
    for i in range(u.size):
        x = u[i] / size
        bell = density(x)
        step = distribution(x)
        value[i] = leak * u[i] + (1.0 - leak) * (size * bell + u[i] * step)
        slope[i] = leak + (1.0 - leak) * step
        spread[i] = (1.0 - leak) * share * bell


@kernel
def smoothed(act, u, s, smoothing, value, slope, spread):
    """Fill V(u, s) and its partials at the points u for this activation."""
    if act.code == ERF:
        smoothed_erf(u, s, value, slope, spread)
    elif act.code == RELU:
        smoothed_relu(act.slope, u, s, smoothing, value, slope, spread)
    else:
        act.smoothed(act.kind, u, s, smoothing, value, slope, spread)


@kernel
def fill_block(problem, m, s, a, b, first, last, alone):
    """V, its partials and e = h − f, or h where the neurons are alone, at points first <= i < last, in the scratch."""
    work = problem.scratch
    count = last - first
    u, error = work.u[:count], work.error[:count]
    error[:] = problem.h[first:last]
    for j in range(a.size):
        u[:] = b[j]
        for r in range(m.shape[1]):
            overlap, z = m[j, r], problem.z[r, first:last]
            for i in range(count):
                u[i] += overlap * z[i]
        value = work.value[j, :count]
        slope, spread = work.slope[j, :count], work.spread[j, :count]
        smoothed(problem.act, u, s[j], problem.smoothing, value, slope, spread)
        share = 0.0 if alone else problem.weights[j] * a[j]
        for i in range(count):
            error[i] -= share * value[i]


@kernel
def add_block(problem, dm, ds, da, db, first, last):
    """Add the block's part of E[e ∂_uV z], E[e ∂_sV], E[e V] and E[e ∂_uV]; spoils the scratch."""
    work = problem.scratch
    count = last - first
    error, weighted = work.error[:count], work.u[:count]
    for i in range(count):
        error[i] *= problem.p[first + i]
    for j in range(da.size):
        value, slope, spread = work.value[j], work.slope[j], work.spread[j]
        of_a, of_b, of_s = 0.0, 0.0, 0.0
        for i in range(count):
            weighted[i] = error[i] * slope[i]
            of_a += error[i] * value[i]
            of_b += weighted[i]
            of_s += error[i] * spread[i]
        da[j] += of_a
        db[j] += of_b
        ds[j] += of_s
        for r in range(dm.shape[1]):
            z, of_m = problem.z[r, first:last], 0.0
            for i in range(count):
                of_m += weighted[i] * z[i]
            dm[j, r] += of_m


@kernel
def project(projector, rows, turned):
    """Apply the projector to every row, in place."""
    for j in range(rows.shape[0]):
        for r in range(turned.size):
            turned[r] = 0.0
            for k in range(turned.size):
                turned[r] += projector[r, k] * rows[j, k]
        rows[j] = turned


@kernel
def rhs_mean_field(problem, t, y, dy):
    """Fill dy/dt."""
    m, s, a, b = views(problem, y)
    dm, ds, da, db = views(problem, dy)
    dy[:] = 0.0
    for first in range(0, problem.h.size, BLOCK):
        last = min(first + BLOCK, problem.h.size)
        fill_block(problem, m, s, a, b, first, last, problem.alone)
        add_block(problem, dm, ds, da, db, first, last)
    for j in range(a.size):
        for r in range(m.shape[1]):
            dm[j, r] = problem.xi_w * (a[j] * dm[j, r] - problem.decay_w * m[j, r])
        ds[j] = problem.xi_w * (a[j] * ds[j] - problem.decay_w * s[j])
        da[j] = problem.xi_a * (da[j] - problem.decay_a * a[j])
        db[j] *= problem.xi_b * a[j]
    if problem.held:
        project(problem.projector, dm, problem.scratch.turned)


@kernel
def risk_mean_field(problem, y):
    """Return ½E[(h − f)²] over the points."""
    m, s, a, b = views(problem, y)
    total = 0.0
    for first in range(0, problem.h.size, BLOCK):
        last = min(first + BLOCK, problem.h.size)
        fill_block(problem, m, s, a, b, first, last, 0)
        for i in range(last - first):
            total += 0.5 * problem.p[first + i] * problem.scratch.error[i] ** 2
    return total


@kernel
def risks(problem, states, out):
    """Fill the risk of every row of ``states``."""
    for i in range(out.size):
        out[i] = risk_mean_field(problem, states[i])


@kernel
def derivative(problem, t, y, dy):
    """Give Python the right-hand side."""
    rhs_mean_field(problem, t, y, dy)


@kernel
def iterate(problem, clock, y, dy, count, bound):
    """Take up to ``count`` steps y += clock · y'; return whether every entry stayed below ``bound``."""
    for _ in range(count):
        rhs_mean_field(problem, 0.0, y, dy)
        for i in range(y.size):
            y[i] += clock * dy[i]
        if not largest(y) < bound:
            return False
    return True


@kernel
def quantity(problem, kind, entry, y):
    """Return the risk, for events; the only kind beside components of the state."""
    return risk_mean_field(problem, y)


@kernel
def solve_mean_field(problem, method, y, control, counts, t_out, out, events, work, budget):
    """Advance the integration by at most ``budget`` steps; see `integrate`."""
    return integrate(rhs_mean_field, quantity, problem, method, y, control, counts, t_out, out, events, work, budget)
