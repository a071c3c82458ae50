"""The residuals in as few coordinates as they need: an LQ step by Householder reflections, WIDTH replicas side by side.

Orthogonal transformations of the directions that depend on the past alone change nothing in law, and V Vᵀ stays what it
is, positive semi-definite by construction, singular or not.
"""

from odesim._jit import kernel
from odesim._packs import choose, filled, fma, load, root, store

SMALLEST = 1e-290
"""A squared length below this needs no reflection."""


@kernel(inline="always", counted=False)
def reflector(V, j, first, last, u):
    """Fill u with the reflector that sends V_j[first:last] to its first coordinate, and V_j there; return 2/|u|²."""
    square = filled(0.0)
    for q in range(first, last):
        v = load(V, (j, q, 0))
        store(u, (q, 0), v)
        square = fma(v, v, square)
    head = load(V, (j, first, 0))
    length = root(square)
    end = choose(head > 0.0, -length, length)
    store(u, (first, 0), head - end)
    store(V, (j, first, 0), end)
    for q in range(first + 1, last):
        store(V, (j, q, 0), filled(0.0))
    norm = 2.0 * (square - head * end)
    return choose(norm > SMALLEST, 2.0 / choose(norm > SMALLEST, norm, filled(1.0)), filled(0.0))


@kernel(counted=False)
def compress(V, first, last, rank, u):
    """Reflect the coordinates first ... last − 1 of all rows of V so that row j has none beyond first + j, j < rank."""
    N = V.shape[0]
    for j in range(rank):
        start = first + j
        tau = reflector(V, j, start, last, u)
        for k in range(j + 1, N):
            along = filled(0.0)
            for q in range(start, last):
                along = fma(load(V, (k, q, 0)), load(u, (q, 0)), along)
            along = -tau * along
            for q in range(start, last):
                store(V, (k, q, 0), fma(along, load(u, (q, 0)), load(V, (k, q, 0))))
