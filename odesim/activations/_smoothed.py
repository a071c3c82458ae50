"""V(u, s) = E σ(u + sG) and its partials at many u, of activations other than erf and ReLU; s may be 0."""

import math

from odesim._jit import kernel
from odesim.activations._act import GELU, POLYNOMIAL
from odesim.activations._normal import density, distribution
from odesim.activations._pairs_table import narrow_rule, smoothed_panels
from odesim.activations._table import value_slope


@kernel
def smoothed_gelu(u, s, value, slope, spread):
    """x Φ(x), with τ² = 1 + s², x = u/τ: V = uΦ(x) + s²φ(x)/τ, ∂_uV = Φ(x) + uφ(x)/τ³, ∂_sV = s c_2."""
    q = s * s
    t = 1.0 / math.sqrt(1.0 + q)
    for i in range(u.size):
        x = u[i] * t
        bell, step = density(x) * t, distribution(x)
        value[i] = u[i] * step + q * bell
        slope[i] = step + t * t * u[i] * bell
        spread[i] = s * t * t * bell * (2.0 + q - x * x)


@kernel
def smoothed_polynomial(act, u, s, value, slope, spread):
    """Σ_n s_n h_n: V, ∂_uV and ∂_sV = s c_2 by the recursion of `moments_polynomial`."""
    terms, shrink = act.table.shape[1], 1.0 - s * s
    for i in range(u.size):
        before, now, total, by_u, by_2 = 0.0, 1.0, 0.0, 0.0, 0.0
        for n in range(terms):
            total += act.table[0, n] * now
            by_u += act.table[1, n] * now
            by_2 += act.table[2, n] * now if terms > 2 else 0.0
            before, now = now, (u[i] * now - math.sqrt(n) * shrink * before) / math.sqrt(n + 1.0)
        value[i], slope[i], spread[i] = total, by_u, s * by_2


@kernel
def smoothed_table(act, u, s, value, slope, spread):
    """Fill V, E σ' and E[σ' G] by a rule in G: Gauss–Hermite where s is below the scale of σ, else trapezoid."""
    table, grid = act.table, act.grid
    g, weights = narrow_rule(act, abs(s))  # s may cross 0
    value[:] = 0.0
    slope[:] = 0.0
    spread[:] = 0.0
    for k in range(g.size):
        weight, sideways, shift = weights[k], weights[k] * g[k], s * g[k]
        for i in range(u.size):
            v, d = value_slope(table, grid, u[i] + shift)
            value[i] += weight * v
            slope[i] += weight * d
            spread[i] += sideways * d


@kernel
def smoothed_kinked(act, u, s, smoothing, value, slope, spread):
    """The same on panels split at the kinks, with √(s² + smoothing²) for s."""
    size = math.sqrt(s * s + smoothing * smoothing)
    share = s / size if size > 0.0 else 0.0
    for i in range(u.size):
        value[i], slope[i], spread[i] = smoothed_panels(act, u[i], size)
        spread[i] *= share


@kernel
def smoothed_other(act, u, s, smoothing, value, slope, spread):
    """Fill V and its partials for GELU, a polynomial or a table."""
    if act.code == GELU:
        smoothed_gelu(u, s, value, slope, spread)
    elif act.code == POLYNOMIAL:
        smoothed_polynomial(act, u, s, value, slope, spread)
    elif act.grid.shape[0] > 1:
        smoothed_kinked(act, u, s, smoothing, value, slope, spread)
    else:
        smoothed_table(act, u, s, value, slope, spread)
