"""Correlation flow: one neuron alone in the field of the target, for Gaussian and Boolean data.

The flat state of a neuron is m (n) and R = |v|², v its residual; n is P, or more where some coordinates off the
support are followed one by one. With C = E[h(z) σ(<w, x> + b)], G = ∂C/∂m at fixed v and e = E[h σ''] = 2 ∂C/∂R,
the gradient of C is (G, e v) in weight space. Free: m' = aG − λm, R' = 2(ae − λ)R. On the sphere the radial part
κ = (m·G + eR)/(|m|² + R) is taken off: m' = a(G − κm), R' = 2a(e − κ)R; under the layerwise rule κ sums over the
kept coordinates alone, and the released follow aG. Steps of finite size add g = rate·Γ to |w|²: R' gains g, and
putting it back on the sphere gives m' −½gm and R' g(1 − R) (kept coordinates). A noise gauge may follow, ν' = g.
"""

from typing import NamedTuple

import numpy as np

from odesim._jit import kernel
from odesim.activations._act import Act
from odesim.activations._moments import moments
from odesim.activations._pairs import pair_sums
from odesim.flows._expectation import Series, correlation
from odesim.flows._noise_alone import square_moments, sum_of_terms
from odesim.flows._two_radii import HALVINGS, HELD, KEPT, LOOKS, NEVER, Radii, excess, loosen, settle
from odesim.integrate._explicit import ACCEPTED, DONE, EVALUATIONS, NEXT, RUNNING, TIME, combine
from odesim.integrate._loop import forget, integrate, no_value
from odesim.integrate._steps import EXPLICIT, STIFF, inside

BY_TERMS, BY_POINTS, BY_UNITS = 0, 1, 2
"""How E[h …] is formed: by Hermite terms, by points of z, by the units of a teacher."""

TINY = 1e-30
"""A variance below this counts as this: moments divide by it."""

FLOOR = 1e-8
"""By points, a variance below this share of |m|² + b² counts as this share.

Once a neuron has no residual left, a kink of the activation can hold some z at its edge, <m, z> + b = 0, where the
flow relaxes at the rate 1/√variance; the floor bounds that rate and moves the edge by 1e-4 of the argument's size.
"""


class Units(NamedTuple):
    """A teacher's K units beside the neuron, which is number 0, as `pair_sums` takes them."""

    w: np.ndarray  # (K, P)
    v: np.ndarray  # (K + 1), 0 first
    b: np.ndarray  # (K + 1)
    Q: np.ndarray  # (K + 1, K + 1)
    sums: np.ndarray  # (4, K + 1)
    k12: np.ndarray  # (K + 1, K + 1)


class Noise(NamedTuple):
    """The finite-step term: rate · Γ, with h² + noise by terms or by points; rate 0 leaves it out."""

    rate: float  # with a² in it
    series: Series
    weighted: np.ndarray  # (n) weight · (h² + noise)
    c: np.ndarray  # (k, 1) by terms, (1, n) by points


class Scratch(NamedTuple):
    """Work arrays of one right-hand side: n = 1 and k = degree + 3 by terms, n points and k = 3 by points."""

    q: np.ndarray  # (n)
    b: np.ndarray  # (n)
    c: np.ndarray  # (k, n)
    C: np.ndarray  # (1)
    G: np.ndarray  # (1, coordinates)
    by_q: np.ndarray  # (1)
    by_b: np.ndarray  # (1)
    before: np.ndarray  # (3, size of the state) state and slope at the start of a step, and the slope at its end


class Problem(NamedTuple):
    """Everything the right-hand side reads, in arrays; a and b are those of the neuron, a and decay times ξ_w."""

    act: Act
    sphere: int
    method: int
    a: float
    b: float
    decay: float
    series: Series
    z: np.ndarray  # (n, P); none by terms
    weighted: np.ndarray  # (n) weight · h(z)
    units: Units
    noise: Noise
    radii: Radii
    scratch: Scratch


@kernel
def field_by_terms(problem, m, R):
    """Fill C and G from the Hermite terms; return e."""
    s = problem.scratch
    q = R
    for r in range(m.size):
        q += m[r] * m[r]
    s.q[0], s.b[0] = max(q, TINY), problem.b
    moments(problem.act, s.q, s.b, s.c)
    correlation(problem.series, m.reshape(1, m.size), s.c, s.C, s.G, s.by_q, s.by_b)
    curvature = 2.0 * s.by_q[0]
    for r in range(m.size):
        # ∂C/∂m above holds q = |m|² + R fixed
        s.G[0, r] += curvature * m[r]
    return curvature


@kernel
def fill_arguments(problem, m, R):
    """Fill the mean and the variance of the neuron's argument at every point z."""
    s, P = problem.scratch, problem.z.shape[1]
    size, variance = problem.b * problem.b, R
    for r in range(m.size):
        size += m[r] * m[r]
        if r >= P:
            variance += m[r] * m[r]
    variance = max(variance, FLOOR * size, TINY)
    for i in range(s.q.size):
        s.q[i], s.b[i] = variance, problem.b
        for r in range(P):
            s.b[i] += m[r] * problem.z[i, r]


@kernel
def field_by_points(problem, m, R):
    """Fill C and G from sums over z, <v, x> a Gaussian of variance R; return e."""
    s = problem.scratch
    fill_arguments(problem, m, R)
    moments(problem.act, s.q, s.b, s.c)
    s.C[0], curvature = 0.0, 0.0
    s.G[:] = 0.0
    for i in range(s.q.size):
        s.C[0] += problem.weighted[i] * s.c[0, i]
        curvature += problem.weighted[i] * s.c[2, i]
        for r in range(problem.z.shape[1]):
            s.G[0, r] += problem.weighted[i] * s.c[1, i] * problem.z[i, r]
    for r in range(problem.z.shape[1], m.size):
        s.G[0, r] = curvature * m[r]
    return curvature


@kernel
def field_by_units(problem, m, R):
    """Fill C = Σ_k v_k K(q, <w_k, m>, |w_k|²; b, 0) and G for a teacher; return e."""
    s, u = problem.scratch, problem.units
    q = R
    for r in range(m.size):
        q += m[r] * m[r]
    u.Q[0, 0], u.b[0] = max(q, TINY), problem.b
    for k in range(u.w.shape[0]):
        overlap = 0.0
        for r in range(u.w.shape[1]):
            overlap += u.w[k, r] * m[r]
        u.Q[0, k + 1] = overlap
        u.Q[k + 1, 0] = overlap
    pair_sums(problem.act, np.int64(problem.b != 0.0), u.Q, u.v, u.b, u.sums[0], u.sums[1], u.sums[2], u.sums[3], u.k12)
    s.C[0] = u.sums[1, 0]
    curvature = 2.0 * u.sums[2, 0]
    for r in range(m.size):
        s.G[0, r] = curvature * m[r]
    for k in range(u.w.shape[0]):
        for r in range(u.w.shape[1]):
            s.G[0, r] += u.v[k + 1] * u.k12[0, k + 1] * u.w[k, r]
    return curvature


@kernel
def field(problem, m, R):
    """Fill C and G by the problem's method; return e."""
    if problem.method == BY_POINTS:
        return field_by_points(problem, m, R)
    if problem.method == BY_UNITS:
        return field_by_units(problem, m, R)
    return field_by_terms(problem, m, R)


@kernel
def growth(problem, m, R):
    """Return what steps of finite size add to |w|² in a unit of time, rate · Γ; `field` has gone before."""
    s, noise = problem.scratch, problem.noise
    if problem.method != BY_POINTS:
        square_moments(problem.act, s.q, s.b, noise.c)
        return noise.rate * sum_of_terms(noise.series, m, noise.c)
    square_moments(problem.act, s.q, s.b, noise.c)
    total = 0.0
    for i in range(s.q.size):
        total += noise.weighted[i] * noise.c[0, i]
    return noise.rate * total


@kernel
def rhs_correlation(problem, t, y, dy):
    """Fill dy/dt, t the flow time."""
    mode = problem.radii.mode
    last = mode.size
    m, R = y[:last], y[last]
    curvature = field(problem, m, R)
    G = problem.scratch.G[0]
    radial = 0.0
    if problem.sphere:
        q, radial = R, R * curvature
        for r in range(last):
            if mode[r] == KEPT:
                q += m[r] * m[r]
                radial += m[r] * G[r]
        radial /= max(q, TINY)
    gain = growth(problem, m, R) if problem.noise.rate > 0.0 else 0.0
    for r in range(last):
        slope = problem.a * G[r] - problem.decay * m[r]
        if problem.sphere and mode[r] == KEPT:
            slope -= (problem.a * radial + 0.5 * gain) * m[r]
        # a coordinate at the outer radius stays there while it is pushed outward
        dy[r] = 0.0 if mode[r] == HELD and slope * m[r] > 0.0 else slope
    dy[last] = 2.0 * (problem.a * (curvature - radial) - problem.decay) * R + gain * (1.0 - problem.sphere * R)
    for i in range(last + 1, y.size):
        dy[i] = gain


@kernel
def value_and_slope(problem, y, dy):
    """Give Python the correlation C, and the right-hand side in ``dy``."""
    rhs_correlation(problem, 0.0, y, dy)
    return problem.scratch.C[0]


@kernel
def first_event(problem, stiff, method, h, work):
    """Return the share of the step at which its first event falls, with the state there in work.z; 2 if none does."""
    y, radii = problem.scratch.before[0], problem.radii
    low = 0.0
    for look in range(1, LOOKS + 1):
        high = look / LOOKS
        inside(stiff, method, y, work, h, high, work.z)
        if excess(radii, work.z) >= 0.0:
            for _ in range(HALVINGS):
                middle = 0.5 * (low + high)
                inside(stiff, method, y, work, h, middle, work.z)
                if excess(radii, work.z) >= 0.0:
                    high = middle
                else:
                    low = middle
            inside(stiff, method, y, work, h, high, work.z)
            return high
        low = high
    return 2.0


@kernel
def rewind(events, t, y):
    """Take back what was found after the time t, at which the step is cut in the state y, and go on from there."""
    forget(events, t)
    for e in range(events.level.size):
        events.before[e] = y[events.entry[e]] - events.level[e]


@kernel
def follow_rule(problem, stiff, method, start, y, control, counts, t_out, events, work):
    """Cut the step just taken, of the kind ``stiff``, at the first event in it; return whether there was one."""
    radii, before, tableau = problem.radii, problem.scratch.before, method.tableau
    before[2] = work.k[0]
    work.k[0] = before[1]
    h = control[TIME] - start
    if stiff == EXPLICIT:
        for i in range(tableau.error.size, tableau.c.size):
            combine(before[0], work.k, tableau.a[i], i, h, work.z)
            rhs_correlation(problem, start + tableau.c[i] * h, work.z, work.k[i])
    share = first_event(problem, stiff, method, h, work)
    # what comes after the last output may not happen: a phase of the schedule can end there
    if share <= 1.0 and start + share * h <= t_out[-1]:
        control[TIME] = start + share * h
        y[:] = work.z
        rewind(events, control[TIME], y)
        settle(radii, control[TIME], y)
        while counts[NEXT] > 0 and t_out[counts[NEXT] - 1] > control[TIME]:
            counts[NEXT] -= 1
        rhs_correlation(problem, control[TIME], y, work.k[0])
        return True
    work.k[0] = before[2]
    if loosen(radii, y) > 0:
        rhs_correlation(problem, control[TIME], y, work.k[0])
    return False


@kernel
def solve_neuron(problem, method, y, control, counts, t_out, out, events, work, budget):
    """Advance the integration by at most ``budget`` steps, with the events of the layerwise rule; see `integrate`."""
    before, ruled = problem.scratch.before, problem.radii.r < NEVER
    if counts[EVALUATIONS] == 0 and ruled:
        rhs_correlation(problem, control[TIME], y, work.k[0])  # the slope that `integrate` begins with
    status = RUNNING
    for _ in range(budget if ruled else 1):
        start, accepted = control[TIME], counts[ACCEPTED]
        stiff = counts[STIFF] if counts[EVALUATIONS] > 0 else method.kind
        before[0] = y
        before[1] = work.k[0]
        status = integrate(
            rhs_correlation, no_value, problem, method, y, control, counts, t_out, out, events, work,
            1 if ruled else budget,
        )  # fmt: skip
        stepped = ruled and counts[ACCEPTED] > accepted and status <= DONE
        if stepped and follow_rule(problem, stiff, method, start, y, control, counts, t_out, events, work):
            status = RUNNING if counts[NEXT] < t_out.size else DONE
        if status != RUNNING:
            break
    return status
