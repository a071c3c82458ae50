"""Slow twins of the leaps with label transformations, from their definitions."""

import itertools
import math

import numpy as np
from naive_targets import hermite
from naive_targets import leap as leap_of_exponents


class IrrelevantError(Exception):
    """Not every direction matters, which the twin wants."""


def sq_leap(values_of, P):
    """Leap of the sets S with E[1(h = v) χ_S] ≠ 0 for some value v, over all points of {±1}^P."""
    z = np.array(list(itertools.product([-1, 1], repeat=P))).reshape(2**P, P)
    values = np.round(values_of(z), 9)
    sets = []
    for S in itertools.product([0, 1], repeat=P):
        signs = np.prod(z ** np.array(S), axis=1)
        if any(S) and any(signs[values == v].sum() for v in np.unique(values)):
            sets.append(S)
    return leap_by_growth(sets)


def leap_by_growth(sets):
    """Leap of a system of exponent tuples: the smallest k whose steps of new mass ≤ k reach every set."""
    if len(sets) <= 5:
        return leap_of_exponents(tuple(sets))
    for k in itertools.count():
        seen = set()
        while True:
            near = [S for S in sets if sum(s for i, s in enumerate(S) if i not in seen) <= k]
            now = {i for S in near for i, s in enumerate(S) if s}
            if now <= seen:
                break
            seen |= now
        if all(i in seen for S in sets for i, s in enumerate(S) if s):
            return k
    raise AssertionError


def coefficients(values_of, P, degree, power, nodes):
    """E[h^power h_S] for |S| ≤ degree, by tensor quadrature exact up to total degree 2·nodes − 1 each way."""
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    w = w / w.sum()
    z = np.stack(np.meshgrid(*[x] * P, indexing="ij"), -1).reshape(-1, P)
    weights = np.prod(np.stack(np.meshgrid(*[w] * P, indexing="ij"), -1).reshape(-1, P), axis=1)
    values = values_of(z) ** power * weights
    basis = [[hermite(k, z[:, i]) / math.sqrt(math.factorial(k)) for k in range(degree + 1)] for i in range(P)]
    out = {}
    for S in itertools.product(range(degree + 1), repeat=P):
        if 0 < sum(S) <= degree:
            out[S] = float(values @ math.prod(basis[i][k] for i, k in enumerate(S)))
    return out


def generative_leap(values_of, P, degree, powers):
    """Return the recursion of the isotropic leap on h, …, h^powers, in a basis turned after every step.

    All P directions must matter.
    """
    R, known, largest = np.eye(P), 0, 0
    nodes = degree * (powers + 1) // 2 + 1
    while known < P:
        turned = [
            coefficients(lambda u: values_of(u @ R.T), P, degree, p, nodes)  # noqa: B023 - used at once
            for p in range(1, powers + 1)
        ]
        k, directions = first_step(turned, P, known, degree)
        largest = max(largest, k)
        grown = R @ np.hstack([np.eye(P)[:, :known], directions])
        known = grown.shape[1]
        R = np.linalg.qr(np.hstack([grown, np.random.default_rng(known).standard_normal((P, P - known))]))[0]
    return largest


def first_step(turned, P, known, degree):
    """Return the smallest order k in the unknown directions that any function has, and the span it opens."""
    for k in range(1, degree + 1):
        columns = []
        for function in turned:
            for rest in itertools.product(range(degree), repeat=P):
                column = np.zeros(P)
                for a in range(known, P):
                    S = tuple(s + (i == a) for i, s in enumerate(rest))
                    if sum(S[known:]) == k:
                        column[a] = math.sqrt(S[a]) * function.get(S, 0.0)
                columns.append(column)
        left, singular, _ = np.linalg.svd(np.array(columns).T, full_matrices=False)
        if singular[0] > 1e-7:
            return k, left[:, singular > 1e-7]
    raise IrrelevantError
