"""Slow twins of rotation and isoLeap: quadrature in every frame, and a search over frames."""

import itertools
import math

import numpy as np
from naive_targets import hermite, path, points
from scipy.optimize import least_squares

from odesim.targets.series import Target


class Frames:
    """Coefficients of h(z R) for any R, by tensor Gauss–Hermite quadrature of the target's values."""

    def __init__(self, target):
        P, n = target.P, target.degree
        self.target = target
        self.z, self.weights = points(P, n, "gaussian")
        self.indices = np.array([S for S in itertools.product(range(n + 1), repeat=P) if sum(S) <= n])
        scale = np.sqrt([math.prod(map(math.factorial, S)) for S in self.indices.tolist()])
        tables = [[hermite(k, self.z[:, i]) for k in range(n + 1)] for i in range(P)]
        basis = [math.prod(tables[i][k] for i, k in enumerate(S)) for S in self.indices]
        self.projector = np.array(basis) * self.weights / scale[:, None]

    def coefficients(self, R):
        return self.projector @ self.target.evaluate(self.z @ R)

    def leap(self, R, tol=1e-5):
        """Leap in the frame of the rows of R; terms below tol count as zero."""
        c = self.coefficients(R)
        floor = tol * math.sqrt(self.target.energy)
        steps, _ = path({tuple(S): x for S, x in zip(self.indices.tolist(), c, strict=True) if abs(x) > floor})
        return max((k for k, _, _ in steps), default=0)

    def conditional_level(self, R, n):
        """½ E Var(h | the first n coordinates of the frame), by averaging values over the others."""
        P = self.target.P
        values = self.target.evaluate(self.z @ R)
        side = round(len(values) ** (1 / P))
        weights = self.weights.reshape([side] * P).sum(axis=tuple(range(1, P)))
        means = values.reshape([side] * P)
        for _ in range(P - n):
            means = means @ weights
        square = means**2
        for _ in range(n):
            square = square @ weights
        return 0.5 * (self.weights @ values**2 - float(square))


def frame(angles, P):
    """A rotation from P(P−1)/2 angles, one for every pair of axes."""
    R = np.eye(P)
    for angle, (i, j) in zip(angles, itertools.combinations(range(P), 2), strict=True):
        c, s = math.cos(angle), math.sin(angle)
        R[[i, j]] = np.array([[c, s], [-s, c]]) @ R[[i, j]]
    return R


def isoleap(target, rng, starts=5):
    """Largest leap over random frames and frames that make as many low masses vanish as they can.

    A leap of ℓ needs a subspace U, the first u axes, such that no term holds between 1 and ℓ − 1 powers outside it;
    these terms are made small by least squares from random starts, and the leap there is taken by definition.
    """
    frames, P = Frames(target), target.P
    angles = P * (P - 1) // 2
    best = frames.leap(np.eye(P))
    for u in range(P):
        outside = frames.indices[:, u:].sum(axis=1)
        for mass in range(2, target.degree + 1):
            small = (outside >= 1) & (outside < mass)
            for _ in range(starts):
                start = rng.uniform(-math.pi, math.pi, angles)
                best = max(best, frames.leap(frame(start, P)))
                if u:
                    found = least_squares(
                        lambda x, small=small: frames.coefficients(frame(x, P))[small],
                        start, xtol=1e-14, ftol=1e-14, gtol=1e-14, max_nfev=60,
                    ).x  # fmt: skip
                    best = max(best, frames.leap(frame(found, P)))
    return best


def relevant_projector(target):
    """Projector on the span of all gradients, from E[∇h ∇hᵀ] by quadrature."""
    z, weights = points(target.P, target.degree, "gaussian")
    steps = 1e-3 * np.eye(target.P)
    slopes = np.stack([target.evaluate(z + step) - target.evaluate(z - step) for step in steps], axis=-1) / 2e-3
    values, vectors = np.linalg.eigh((slopes * weights[:, None]).T @ slopes)
    kept = vectors[:, values > 1e-9 * values.max()]
    return kept @ kept.T


def random_rotation(rng, P):
    return np.linalg.qr(rng.normal(size=(P, P)))[0]


def random_target(rng, P, degree, terms):
    """A few random terms with coefficients of order one."""
    out = {}
    for _ in range(terms):
        S = [0] * P
        for i in rng.integers(0, P, rng.integers(1, degree + 1)):
            S[i] += 1
        out[tuple(S)] = float(rng.choice([-1.0, 1.0]) * rng.uniform(0.5, 2.0))
    return Target.from_terms(out)


def random_staircase(rng, P, degree):
    """Every coordinate, or pair of them, enters by one term on top of earlier ones, with mass up to 3."""
    out, seen = {}, []
    while len(seen) < P:
        new = list(range(len(seen), min(P, len(seen) + int(rng.integers(1, 3)))))
        S = [0] * P
        for i in new:
            S[i] += int(rng.integers(1, 3)) if len(new) == 1 else 1
        for i in rng.choice(seen, int(rng.integers(0, degree - sum(S) + 1))) if seen else []:
            S[i] += 1
        out[tuple(S)] = float(rng.choice([-1.0, 1.0]) * rng.uniform(0.5, 2.0))
        seen += new
    return Target.from_terms(out)
