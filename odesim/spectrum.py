"""Linearised flows in reduced coordinates: which move, which are squares of weights, and the rates of weights."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from odesim.flows.plain import RightHandSide

Array = NDArray[np.float64]

NULL = 1e-8
"""Eigenvalue of R that counts as 0, in units of max(1, |R|)."""


def trained(f: RightHandSide, rates: dict[str, float]) -> Array:
    """Orthonormal columns (n, k) that span the coordinates that train, symmetric changes of R only."""
    columns = []
    for i, (name, shape) in enumerate(zip(f.names, f.shapes, strict=True)):
        if not rates[name] > 0:
            continue
        each = np.ndindex(*shape)
        for index in each:
            unit = np.zeros(f.start.size)
            part = f.unpack(unit)[i]
            if name == "R" and len(shape) == 2:
                j, k = index
                if j > k:
                    continue
                part[j, k] = part[k, j] = 1.0 if j == k else np.sqrt(0.5)
            else:
                part[index] = 1.0
            columns.append(unit)
    return np.array(columns).reshape(-1, f.start.size).T


class Squares(NamedTuple):
    """Changes of R within its null space, which are squares of weights.

    ``columns`` (k, s) are orthonormal in the basis, one for each of the ``pairs`` (i, j ≤ i) of null vectors.
    """

    columns: Array
    pairs: list[tuple[int, int]]


def squares_of(f: RightHandSide, state: Array, basis: Array) -> Squares:
    """Find R's null space; none for a flow whose state has no R."""
    columns, pairs = [], []
    R = f.unpack(state)[f.names.index("R")] if "R" in f.names else np.ones(1)
    matrix = np.diag(R) if R.ndim == 1 else R
    values, vectors = np.linalg.eigh(matrix)
    null = vectors[:, values <= NULL * max(1.0, float(abs(matrix).max()))].T
    for i, u in enumerate(null):
        for j, v in enumerate(null[: i + 1]):
            if R.ndim == 1 and i != j:
                continue
            unit = np.zeros(state.size)
            f.unpack(unit)[f.names.index("R")][...] = u * v if R.ndim == 1 else np.outer(u, v) + np.outer(v, u)
            columns.append(basis.T @ (unit / np.linalg.norm(unit)))
            pairs.append((i, j))
    return Squares(np.array(columns).reshape(-1, basis.shape[1]).T, pairs)


def spectrum(J: Array, squares: Squares) -> tuple[NDArray[np.complex128], Array]:
    """Rates of weights, largest first, and the direction of the first.

    The flow keeps R ≥ 0, so that what is no square never makes one to first order, and J is block triangular.
    """
    columns = squares.columns
    rest = np.eye(len(J)) if not squares.pairs else np.linalg.qr(columns, mode="complete")[0][:, columns.shape[1] :]
    one, modes = np.linalg.eig(rest.T @ J @ rest)
    two, square_modes = _rates(columns.T @ J @ columns, squares.pairs)
    values = np.concatenate([one, two])
    order = np.argsort(-values.real, kind="stable")
    first = order[0]
    mode = rest @ modes[:, first].real if first < one.size else columns @ square_modes[:, first - one.size].real
    return values[order].astype(np.complex128), mode / np.linalg.norm(mode)


def _rates(J: Array, pairs: list[tuple[int, int]]) -> tuple[Array, Array]:
    """Rates of the weights whose squares change by J, and the squares that do.

    In the plain flow v' = Bv for each residual, so that R' = BR + RB and J applied to 1 is 2B. The finite-step term
    adds to that; then rates are halves of those of the squares.
    """
    if not pairs:
        return np.zeros(0), np.zeros((0, 0))
    size = max(i for i, _ in pairs) + 1
    scale = np.array([1.0 if i == j else np.sqrt(0.5) for i, j in pairs])
    index = tuple(np.array(pairs).T)

    def matrix(column: Array) -> Array:
        out = np.zeros((size, size))
        out[index] = column * scale
        return out + np.tril(out, -1).T

    B = 0.5 * matrix(J @ np.array([float(i == j) for i, j in pairs]))
    changes = [matrix(column) for column in np.eye(len(pairs))]
    plain = np.array([(B @ R + R @ B)[index] / scale for R in changes]).T
    # with fewer pairs the null vectors are neurons that do not meet
    if len(pairs) == size or np.allclose(plain, J, rtol=0.0, atol=1e-6 * float(abs(J).max())):
        rates, vectors = np.linalg.eigh(B)
        return rates, np.array([np.outer(v, v)[index] / scale for v in vectors.T]).T
    rates, modes = np.linalg.eig(J)
    return 0.5 * rates, modes
