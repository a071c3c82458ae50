"""The stabilised method of order 4 from its definition (Abdulle 2002); run as a script it writes its table.

A method of s stages has the stability polynomial R(z) = w(z) P(z): w of degree 4, positive, with the zeros −α ± iβ and
−γ ± iδ, and P of degree s − 4 orthogonal on [−L, −e] for the weight w²/√((z + L)(−e − z)), both 1 at 0. Among those
with R = e^z + O(z⁵) and |R| <= e^{−e} on [−L, −e] the one of largest L is sought.
"""

import sys

import numpy as np

DAMPING = 0.5  # the largest |R| on [−L, −e]
DEGREES = [*range(5, 17), 18, 20, 22, 24, 26, 28, 31, 34, 37, 40, 44, 48, 53, 58, 64, 70, 77, 85, 93, 102, 112, 123]
DEGREES += [135, 149, 164, 180, 198, 218, 240, 264, 290, 320, 352, 387, 425, 468, 515]

# Elementary weights of the 17 rooted trees of orders 1 to 5: those of h f(g) from those of g
GAMMA = np.array([1, 2, 3, 6, 4, 8, 12, 24, 5, 10, 20, 15, 30, 20, 40, 60, 120.0])
SYMMETRY = np.array([1, 1, 2, 1, 6, 1, 2, 1, 24, 2, 2, 2, 1, 6, 1, 2, 1.0])
FOUR = slice(0, 8)  # orders 1 to 4


def slope(g):
    """Elementary weights of h f(g)."""
    p, pp, ppp, chain, a, b, c, d = g[FOUR]
    return np.array([1, p, p**2, pp, p**3, p * pp, ppp, chain, p**4, p**2 * pp, pp**2, p * ppp, p * chain, a, b, c, d])


def recurrence(alpha, beta, gamma, delta, L, s):
    """μ and κ (s − 4) of P_j = (μ_j z + 1 + κ_j) P_{j−1} − κ_j P_{j−2}, by the Stieltjes procedure."""
    e = -np.log(DAMPING)
    x = np.cos((2 * np.arange(s + 4) + 1) * np.pi / (2 * s + 8))  # Gauss–Chebyshev: exact for these products
    d = (L - e) / 2
    a = 1 + e / d  # z = d (x − a)
    z = d * (x - a)
    weight = (((z + alpha) ** 2 + beta**2) * ((z + gamma) ** 2 + delta**2)) ** 2
    weight /= weight.sum()
    mu, kappa = np.zeros(s - 4), np.zeros(s - 4)
    before, now, norm, ratio = np.zeros_like(x), np.ones_like(x), 0.0, 1.0
    for j in range(s - 4):
        centre = (weight * x * now) @ now
        new = (x - centre) * now - norm * before
        value = a - centre - norm**2 / ratio  # of the monic P_{j+1}/P_j at z = 0
        mu[j], kappa[j] = 1 / (value * d), norm**2 / (value * ratio)
        norm, ratio = np.sqrt((weight * new) @ new), value
        before, now = now, new / norm
    return mu, kappa


def last_factor(alpha, beta, gamma, delta):
    """Coefficients of w, lowest first."""
    w = np.polymul([1, 2 * alpha, alpha**2 + beta**2], [1, 2 * gamma, gamma**2 + delta**2])[::-1]
    return w / w[0]


def polynomial(zeros, L, s, z):
    """Return R(z)."""
    before, now = np.zeros_like(z), np.ones_like(z)
    for mu, kappa in zip(*recurrence(*zeros, L, s), strict=True):
        before, now = now, (mu * z + 1 + kappa) * now - kappa * before
    return np.polyval(last_factor(*zeros)[::-1], z) * now


def taylor(zeros, L, s):
    """Coefficients of R at 0 up to z⁴, times the factorials: all 1 for order 4."""
    before, now = np.zeros(5), np.eye(5)[0]
    for mu, kappa in zip(*recurrence(*zeros, L, s), strict=True):
        new = (1 + kappa) * now - kappa * before
        new[1:] += mu * now[:-1]
        before, now = now, new
    return np.convolve(last_factor(*zeros), now)[:5] * [1, 1, 2, 6, 24]


def interval(L, s):
    """Points of [−L, −e], dense enough for every extremum."""
    x = -np.cos(np.linspace(0, np.pi, 10 * s))
    e = -np.log(DAMPING)
    return -L + (L - e) * (x + 1) / 2


def optimum(zeros, L, s):
    """Return zeros and L of the longest interval, from a guess."""
    from scipy.optimize import minimize

    def room(p):
        z = interval(p[4] * s**2, s)
        # near −e, where R is the exponential, it is DAMPING but for rounding
        return np.where(z < -1, DAMPING - abs(polynomial(p[:4], p[4] * s**2, s, z)), 0.1)

    best = minimize(
        lambda p: -10 * p[4],
        [*zeros, L / s**2],
        method="SLSQP",
        constraints=[
            {"type": "eq", "fun": lambda p: taylor(p[:4], p[4] * s**2, s)[1:] - 1},
            {"type": "ineq", "fun": room},
        ],
        options={"maxiter": 200, "ftol": 1e-13},
    ).x
    return newton(best[:4], best[4] * s**2, s), best[4] * s**2


def newton(zeros, L, s):
    """Polish the zeros for order 4 at fixed L."""
    zeros = np.array(zeros)
    for _ in range(4):
        rest = taylor(zeros, L, s)[1:] - 1
        slopes = [(taylor(zeros + e, L, s) - taylor(zeros - e, L, s))[1:] / 2e-6 for e in 1e-6 * np.eye(4)]
        zeros = zeros - np.linalg.solve(np.transpose(slopes), rest)
    return zeros


def first_part(zeros, L, s):
    """Elementary weights of g_{s−4}, before the last four stages."""
    before, now = np.zeros(17), np.zeros(17)
    for mu, kappa in zip(*recurrence(*zeros, L, s), strict=True):
        before, now = now, mu * slope(now) + (1 + kappa) * now - kappa * before
    return now


def stages(g, v):
    """Elementary weights of the slopes of the last four stages and of the solution."""
    a21, a31, a32, a41, a42, a43, *b = v
    k1 = slope(g)
    k2 = slope(g + a21 * k1)
    k3 = slope(g + a31 * k1 + a32 * k2)
    k4 = slope(g + a41 * k1 + a42 * k2 + a43 * k3)
    return np.array([k1, k2, k3, k4]), g + b @ np.array([k1, k2, k3, k4])


def conditions(zeros, g, v):
    """The eight conditions on the last four stages: their stability polynomial is w, and all has order 4."""
    a21, a31, a32, a41, a42, a43, b1, b2, b3, b4 = v
    c3, c4 = a31 + a32, a41 + a42 + a43
    own = np.array([
        b1 + b2 + b3 + b4,
        b2 * a21 + b3 * c3 + b4 * c4,
        b3 * a32 * a21 + b4 * (a42 * a21 + a43 * c3),
        b4 * a43 * a32 * a21,
    ])  # fmt: skip
    w = last_factor(*zeros)[1:]
    return np.concatenate([own / w - 1, (stages(g, v)[1] * GAMMA - 1)[[2, 4, 5, 6]]])


def ending(zeros, L, s, guess, pull=0.3):
    """Coefficients of the last four stages: small terms of order 5, small coefficients, conditions exact."""
    from scipy.optimize import least_squares

    g = first_part(zeros, L, s)

    def cost(v):
        fifth = ((stages(g, v)[1] * GAMMA - 1) * 120 / (GAMMA * SYMMETRY))[8:16]
        return np.concatenate([1e4 * conditions(zeros, g, v), fifth, pull * v])

    v = least_squares(cost, guess, xtol=1e-15, ftol=1e-15, gtol=1e-15).x
    for _ in range(20):
        steps = 1e-6 * np.eye(10)
        slopes = [(conditions(zeros, g, v + e) - conditions(zeros, g, v - e)) / 2e-6 for e in steps]
        v = v - np.linalg.lstsq(np.transpose(slopes), conditions(zeros, g, v), rcond=None)[0]
    return v


def error_weights(zeros, L, s, v):
    """Weights of g_{s−4} − y and of the last four slopes that vanish up to order 3; the last weight is 1.

    The estimate stays bounded at large −z. The slope at the end of the step would add z R(z).
    """
    g = first_part(zeros, L, s)
    rows = np.vstack([g, stages(g, v)[0]])[:, :4]
    return np.append(np.linalg.solve(rows[:4].T, -rows[4]), 1.0)


def optima():
    """Zeros and L by degree: sought up to 85, beyond that by their limits, smooth in 1/s²."""
    start = np.array([0.26, 3.5, 2.46, 1.31]), 0.3176 * 12**2
    found = {}
    for degrees in (range(12, 4, -1), [s for s in DEGREES if 12 < s <= 85]):
        zeros, L = found.get(12, start)
        last = 12
        for s in degrees:
            zeros, L = found[s] = optimum(zeros, L * (s / last) ** 2, s)
            last = s
    known = [s for s in found if s >= 20]
    powers = np.array([[float(s) ** -k for k in (0, 2, 4, 6)] for s in DEGREES])
    rows = [DEGREES.index(s) for s in known]
    fit = np.linalg.lstsq(powers[rows], [[*found[s][0], found[s][1] / s**2] for s in known], rcond=None)[0]
    for s, (*zeros, ratio) in zip(DEGREES, powers @ fit, strict=True):
        if s not in found:
            L = ratio * s**2
            found[s] = newton(zeros, L, s), L
    return dict(sorted(found.items()))


def table():
    """Rows (s, L, α, β, γ, δ, a21, a31, a32, a41, a42, a43, b1 … b4, error weights but the last), one a degree."""
    v = np.array([0.27, -0.29, 0.63, 0.04, 0.15, 0.51, 0.04, 0.35, 0.18, 0.11])
    rows = []
    for s, (zeros, L) in reversed(optima().items()):
        v = ending(zeros, L, s, v)
        rows.append([s, L, *zeros, *v, *error_weights(zeros, L, s, v)[:4]])
    return np.array(rows[::-1])


if __name__ == "__main__":
    np.savetxt(sys.stdout, table(), fmt=["%d"] + ["%.17g"] * 19, delimiter=",")
