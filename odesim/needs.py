"""Needs: the memory that each dynamics of the menu takes, alone and one after the other, before anything is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from odesim.memory import Memory
from odesim.network import DRAWN
from odesim.training import Training

if TYPE_CHECKING:
    from odesim.sgd.limits import Sizes

KEPT = "recorded rows"
"""The part that stays when the next run begins."""

STAGES = 20
"""Flat states that an integrator works on, at most."""


def needs(
    name: str,
    sizes: Sizes,
    data: str,
    training: Training,
    options: Mapping[str, Any],
    *,
    dtype: str = "float64",
    checkpoint: bool = False,
    weights: bool = True,
    starts: int = 1,
) -> Memory:
    """Return what the dynamics of that name will need.

    Parameters
    ----------
    name : str
        As in ``menu.DYNAMICS``.
    sizes : Sizes
        Its ``seeds`` do not count for a flow.
    options : dict
        The dynamics' own, as far as they are set.
    weights : bool
        Whether the start has its weights.
    starts : int
        Starts of a flow.
    """
    from odesim.sgd.chain_memory import joint_needs
    from odesim.sgd.limits import needed

    threads = options.get("threads")
    if name == "chain":
        return joint_needs(sizes, training, threads, checkpoint, weights)
    if name in ("sgd", "layerwise"):
        released = name == "layerwise"
        return needed(sizes, data, training, checkpoint, dtype, threads, options.get("test_samples"), released)
    return _flow_needs(name, sizes, data, options, weights, starts)


def one_after_the_other(parts: Sequence[Memory]) -> Memory:
    """Return what these runs need at the worst of them, the rows of those before it being kept."""
    before, found = 0, []
    for one in parts:
        found.append({**one.parts, "rows of the runs before": before})
        before += one.parts.get(KEPT, 0)
    return Memory(max(found, key=lambda held: sum(held.values())), max(one.start for one in parts))


def _flow_needs(name: str, sizes: Sizes, data: str, options: Mapping[str, Any], weights: bool, starts: int) -> Memory:
    """Return what a flow needs: flat states at every output, twice while fields are made of them, and its work."""
    N, d = sizes.width, sizes.dim
    rows, work = {"overlap": _overlap, "correlation": _correlation, "mean_field": _mean_field}[name](
        sizes, data, options
    )
    parts = {
        "start weights": 8 * starts * N * ((d if weights else 0) + (0 if name == "mean_field" else N)),
        KEPT: starts * rows,
        "the flow itself": work,
    }
    return Memory(parts, DRAWN * N * d if weights else 0)


def _overlap(sizes: Sizes, data: str, options: Mapping[str, Any]) -> tuple[int, int]:
    from odesim.sgd.limits import PROBLEM, REMEMBERED

    N, _, P, _, points = sizes
    sobol = 2 ** int(options.get("log2_samples", 12)) * (P + N)  # four times that while they are drawn
    work = max(N * N * (PROBLEM * (1 + REMEMBERED) + STAGES) + sobol, 4 * sobol)
    return 3 * 8 * points * N * (P + N + 3), 8 * work


def _correlation(sizes: Sizes, data: str, options: Mapping[str, Any]) -> tuple[int, int]:
    from odesim.flows.alone_record import ENTRIES_AT_ONCE, MAX_WIDTH_OF_Q
    from odesim.sgd.limits import PROBLEM

    N, _, P, _, points = sizes
    pieces = min(points, 1 + points * N * N // ENTRIES_AT_ONCE)
    risk = 4 * -(-points // pieces) * N * N if options.get("risk", True) else 0
    Q = 3 * points * N * N if N <= MAX_WIDTH_OF_Q else 0
    return 8 * (5 * points * N * (P + 3) // 2 + max(Q, risk)), 8 * N * N * PROBLEM


def _mean_field(sizes: Sizes, data: str, options: Mapping[str, Any]) -> tuple[int, int]:
    N, _, P, _, points = sizes
    neurons = int(options.get("particles", 0)) or N
    corners = float(2 if data == "boolean" else options.get("nodes", 16)) ** P
    work = corners * (P + 12) + neurons * (P + 3) * STAGES
    return 5 * 4 * points * neurons * (P + 3), int(8 * np.minimum(work, 1e17))
