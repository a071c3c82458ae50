"""Slow twins on all of {±1}^P: the smallest trapped subspace by linear algebra, its floor by conditioning."""

import itertools

import numpy as np


def cube(P):
    return np.array(list(itertools.product([-1.0, 1.0], repeat=P))).reshape(2**P, P)


def values(terms, z):
    """h at points z (n, P), from the definition of its terms."""
    out = np.zeros(len(z))
    for S, c in terms.items():
        out += c * np.prod(z[:, [i for i, k in enumerate(S) if k]], axis=1)
    return out


def groups(z, basis):
    """Number of the group of each point: points of equal projection on the rows of ``basis``."""
    _, group = np.unique(np.round(z @ basis.T, 7) + 0.0, axis=0, return_inverse=True)
    return group.ravel()


def means(group, x):
    """Mean of x (n, ...) over every group."""
    counts = np.bincount(group)
    return np.array([np.bincount(group, column) / counts for column in np.atleast_2d(x.T)]).T


def span(vectors):
    """Orthonormal rows of the span."""
    _, s, rows = np.linalg.svd(vectors, full_matrices=False)
    return rows[s > 1e-8]


def trap(terms, P):
    """Smallest F with E[z | P_F z] ∈ F and E[h z | P_F z] ∈ F: grow from {0} until both hold."""
    z = cube(P)
    h = values(terms, z)
    basis = np.zeros((0, P))
    while True:
        group = groups(z, basis) if len(basis) else np.zeros(len(z), dtype=int)
        grown = span(np.vstack([basis, means(group, z), means(group, h[:, None] * z)]))
        if len(grown) == len(basis):
            return basis
        basis = grown


def is_trap(terms, basis, P):
    """Whether both conditions hold for the span of orthonormal rows."""
    z = cube(P)
    h = values(terms, z)
    group = groups(z, basis) if len(basis) else np.zeros(len(z), dtype=int)
    conditional = np.vstack([means(group, z), means(group, h[:, None] * z)])
    return np.abs(conditional - conditional @ basis.T @ basis).max() < 1e-9


def floor(terms, basis, P):
    """½ E (h − E[h | P_F z])²."""
    z = cube(P)
    h = values(terms, z)
    group = groups(z, basis) if len(basis) else np.zeros(len(z), dtype=int)
    return 0.5 * np.mean((h - means(group, h).ravel()[group]) ** 2)


def signed_partitions(P):
    """Orthonormal bases of all subspaces with u_i = ±u_j within cells and u = 0 in one more."""
    for labels in itertools.product(range(P + 1), repeat=P):
        for signs in itertools.product([1.0, -1.0], repeat=P):
            cells = [[i for i in range(P) if labels[i] == c] for c in range(1, P + 1)]
            cells = [cell for cell in cells if cell]
            if any(signs[cell[0]] < 0 for cell in cells) or any(signs[i] < 0 for i in range(P) if labels[i] == 0):
                continue
            rows = np.zeros((len(cells), P))
            for row, cell in zip(rows, cells, strict=True):
                row[cell] = [signs[i] / np.sqrt(len(cell)) for i in cell]
            yield rows
