"""Ensembles of starts: networks of one shape, each trained from its own start, in one Trajectory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from odesim.checks import InputError
from odesim.job import Dynamics, Job
from odesim.network import Network
from odesim.pool import Result, in_threads
from odesim.trajectory import PER_RUN, Floats, Trajectory

SAME = ("width", "dim", "activation", "scaling")
"""What all networks of an ensemble share."""


def starts_of(network: Any) -> tuple[Network, ...]:
    """Return the networks of an ensemble, or the only one.

    Raises
    ------
    InputError
        If there is none, or one that is no network or differs from the first in shape, activation or scaling.
    """
    if isinstance(network, Network):
        return (network,)
    if not isinstance(network, Iterable):
        raise InputError(f"network={network!r} is no Network; give one, or a list of them")
    found = tuple(network)
    if not found:
        raise InputError("network is an empty list; give at least one Network")
    for i, one in enumerate(found):
        if not isinstance(one, Network):
            raise InputError(f"network[{i}]={one!r} is no Network; give Network.random(...) and its like")
        for name in SAME:
            value, first = getattr(one, name), getattr(found[0], name)
            if value != first:
                value, first = (getattr(x, "name", x) for x in (value, first))
                raise InputError(
                    f"network[{i}].{name}={value!r} is not the {first!r} of network[0]; give networks that differ in "
                    "their numbers alone"
                )
        if one.m.shape != found[0].m.shape:
            raise InputError(
                f"network[{i}].m has {one.m.shape[1]} support coordinates, network[0].m {found[0].m.shape[1]}; "
                "draw all networks for one target"
            )
    return found


def simulate_all(dynamics: Dynamics, job: Job, networks: Sequence[Network]) -> Trajectory:
    """Run a dynamics from every network, and lay the runs into one Trajectory, in that order.

    A dynamics says that it can by ``many_starts = True``. Where its class has ``simulate_all(job, networks)``, that
    returns the trajectories; else every start is a run of its own, and they share the cores.

    Raises
    ------
    InputError
        If the dynamics starts from a single network, or refuses one of these.
    """
    if not getattr(dynamics, "many_starts", False):
        raise InputError(
            f"network is a list of {len(networks)}, and {type(dynamics).__name__} starts from one; give one Network, "
            "or take a flow"
        )
    together = getattr(dynamics, "simulate_all", None)
    return stacked(together(job, networks) if together else one_by_one(dynamics.simulate, job, networks))


def one_by_one(
    work: Callable[[Job], Result], job: Job, networks: Sequence[Network], threads: int | None = None
) -> list[Result]:
    """Return what ``work`` makes of the job with each network, on one thread a core unless told.

    Raises
    ------
    InputError
        If it refuses one; the message says which, as in ``network[3].weights``.
    """
    show = _together(job.progress, len(networks))

    def one(index: int) -> Result:
        try:
            return work(replace(job, network=networks[index], progress=show(index)))
        except InputError as error:
            if str(error).startswith("network."):
                raise InputError(f"network[{index}]{str(error).removeprefix('network')}") from error
            raise

    return in_threads(one, len(networks), job.stop, threads)


def stacked(runs: Sequence[Trajectory]) -> Trajectory:
    """Lay single runs of one kind and grid into an ensemble; where some have no biases, theirs are 0."""
    names = {name: [getattr(one, name) for one in runs] for name in PER_RUN}
    rows = {name: _stack(name, values, names["a"]) for name, values in names.items()}
    first = runs[0]
    at_events = {
        event: {
            key: _stack(key, [one.at_events[event].get(key) for one in runs], [x.at_events[event]["a"] for x in runs])
            for key in dict.fromkeys(key for one in runs for key in one.at_events[event])
        }
        for event in first.at_events
    }
    return replace(
        first,
        **rows,  # type: ignore[arg-type]
        status=np.array([int(one.status) for one in runs]),
        message=tuple(str(one.message) for one in runs),
        events={name: np.stack([one.events[name] for one in runs]) for name in first.events},
        at_events=at_events,
    )


def _stack(name: str, values: Sequence[Floats | None], a: Sequence[Floats]) -> Any:
    """Stack a field; None if any run lacks it, but for biases some runs have."""
    if name == "b" and any(value is not None for value in values):
        rest = [np.where(np.isnan(one), np.nan, 0.0) for one in a]
        values = [other if value is None else value for value, other in zip(values, rest, strict=True)]
    known = [value for value in values if value is not None]
    return np.stack(known) if len(known) == len(values) else None


def _together(show: Callable[[float], None], count: int) -> Callable[[int], Callable[[float], None]]:
    """Return, for each of so many runs, what takes its share of the work done; ``show`` is told the mean."""
    shares, lock = np.zeros(count), threading.Lock()

    def of(index: int) -> Callable[[float], None]:
        def progress(share: float) -> None:
            with lock:
                shares[index] = max(shares[index], share)
                mean = float(shares.mean())
            show(mean)

        return progress

    return of
