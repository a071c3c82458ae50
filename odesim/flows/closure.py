"""Sub-index tables: the Hermite indices below a target's, in graded order, with their recursion.

For a tilted Gaussian the expectations E[He_S(z) …] obey a recursion that lowers S one coordinate at a time
(the closed form of the finite-step term); the indices it visits and the steps it takes are tabulated once.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import comb, factorial, prod

import numpy as np

from odesim.flows._noise_erf import Closure

Index = tuple[int, ...]


def closure_of(series: dict[Index, float]) -> Closure:
    """Tabulate all indices at or below those of ``series`` (unnormalised Hermite coefficients by index).

    Entry n > 0 has ``parent[n]`` = S − e_r with r = ``lowered[n]``, and the pairs
    (u, S − e_r − e_u, multiplicity (S − e_r)_u) in ``edge_*[edges[n]:edges[n + 1]]``.
    """
    indices = _downward(series)
    place = {index: n for n, index in enumerate(indices)}
    parent, lowered, edges = [0], [0], [0, 0]
    edge_u: list[int] = []
    edge_to: list[int] = []
    edge_times: list[float] = []
    for index in indices[1:]:
        r = next(i for i, power in enumerate(index) if power)
        below = _lower(index, r)
        parent.append(place[below])
        lowered.append(r)
        for u, power in enumerate(below):
            if power:
                edge_u.append(u)
                edge_to.append(place[_lower(below, u)])
                edge_times.append(float(power))
        edges.append(len(edge_u))
    return Closure(
        degree=np.array([sum(index) for index in indices]),
        parent=np.array(parent),
        lowered=np.array(lowered),
        edges=np.array(edges),
        edge_u=np.array(edge_u, dtype=np.int64),
        edge_to=np.array(edge_to, dtype=np.int64),
        edge_times=np.array(edge_times),
        coefficients=np.array([series.get(index, 0.0) for index in indices]),
    )


MOST_TERMS, MOST_INDICES = 64, 20_000
"""Beyond this many terms, or indices below those of h², the closed form costs more than points do."""


def affordable(series: dict[Index, float]) -> bool:
    """Whether the tables of h and h² stay small, told before they are made."""
    if len(series) > MOST_TERMS:
        return False
    below = sum(prod(a + b + 1 for a, b in zip(first, second, strict=True)) for first in series for second in series)
    return below <= MOST_INDICES


def square(series: dict[Index, float]) -> dict[Index, float]:
    """Return the unnormalised Hermite series of h², by He_a He_b = Σ_k k! C(a,k) C(b,k) He_{a+b−2k}."""
    out: dict[Index, float] = {}
    for first, x in series.items():
        for second, y in series.items():
            for index, weight in _product(first, second).items():
                out[index] = out.get(index, 0.0) + x * y * weight
    return out


def _product(first: Index, second: Index) -> dict[Index, float]:
    out: dict[Index, float] = {(): 1.0}
    for a, b in zip(first, second, strict=True):
        out = {
            (*index, a + b - 2 * k): weight * factorial(k) * comb(a, k) * comb(b, k)
            for index, weight in out.items()
            for k in range(min(a, b) + 1)
        }
    return out


def _downward(indices: Iterable[Index]) -> list[Index]:
    """All indices at or below the given ones, by total degree."""
    seen: set[Index] = set()
    stack = list(indices)
    while stack:
        index = stack.pop()
        if index not in seen:
            seen.add(index)
            stack.extend(_lower(index, r) for r, power in enumerate(index) if power)
    return sorted(seen, key=lambda index: (sum(index), index))


def _lower(index: Index, r: int) -> Index:
    return (*index[:r], index[r] - 1, *index[r + 1 :])
