"""Two radii in the chain: the layerwise algorithm's release, clipping and rescaling, WIDTH replicas at once.

Coordinates of the support are entries of V; those outside it are taken never to reach r, so that all directions of the
residuals stay on the sphere with the coordinates not released.
"""

from odesim._jit import kernel
from odesim._packs import choose, filled, fma, load, root, size_of, store


@kernel(counted=False)
def inside(V, x, when, n, j):
    """ρ_j = <w_j, x> over what is not released."""
    rho = load(n.lam, (0, j, 0))
    for i in range(when.shape[1]):
        gone = filled(-0.5) < load(when, (j, i, 0))
        rho = choose(gone, fma(-load(V, (j, i, 0)), load(x, (i, 0)), rho), rho)
    return rho


@kernel(counted=False)
def move(V, x, rows, r, delta, number, when, n):
    """Move every w_j by c_j (x − ρ_j w_j) where it is not released and by c_j x where it is; release, clip, rescale.

    ``when`` (N, P, WIDTH) holds the number of steps at a coordinate's release, −1 before. Leaves keep = 1 and c = 0.
    """
    P, alive = when.shape[1], load(n.alive, (0, 0)) > 0.5
    for j in range(V.shape[0]):
        c = load(n.c, (0, j, 0))
        keep, total = 1.0 - c * inside(V, x, when, n, j), filled(0.0)
        for i in range(P):
            w, time = load(V, (j, i, 0)), load(when, (j, i, 0))
            free = time < filled(-0.5)
            moved = fma(c, load(x, (i, 0)), choose(free, keep * w, w))
            size = size_of(moved)
            reached = free & alive & (filled(r) <= size)
            time = choose(reached, filled(number + 1.0), time)
            moved = choose(filled(delta) < size, choose(moved > 0.0, filled(delta), filled(-delta)), moved)
            store(when, (j, i, 0), time)
            store(V, (j, i, 0), choose(alive, moved, w))
            total = choose(time < filled(-0.5), fma(moved, moved, total), total)
        for q in range(P, rows):
            moved = fma(c, load(x, (q, 0)), keep * load(V, (j, q, 0)))
            total = fma(moved, moved, total)
            store(V, (j, q, 0), moved)
        some = alive & (total > 0.0)
        shrink = choose(some, 1.0 / root(choose(some, total, filled(1.0))), filled(1.0))
        for i in range(P):
            w = load(V, (j, i, 0))
            store(V, (j, i, 0), choose(load(when, (j, i, 0)) < filled(-0.5), shrink * w, w))
        for q in range(P, rows):
            store(V, (j, q, 0), shrink * load(V, (j, q, 0)))
        store(n.keep, (j, 0), filled(1.0))
        store(n.c, (0, j, 0), filled(0.0))
