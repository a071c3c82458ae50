"""Events of neurons that move alone: of an overlap inside the steps of its neuron, of the risk between common times.

Neurons do not know of each other, so that all go to the end, and what a terminal event ends is cut off afterwards. An
integration's steps do not depend on where it is recorded: recorded anew at other times, the network is seen on the same
dense output. So the state at an event is found, and the time at which the joint risk crosses a level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from odesim.checks import InputError
from odesim.events import OVERLAP, RISK, Event
from odesim.flows.alone_record import Course, record, rows_of
from odesim.flows.residuals import Start
from odesim.integrate._events import Events
from odesim.integrate.events import at_events, check_overlaps, crossing, rows
from odesim.job import Job
from odesim.trajectory import Status, Trajectory

Array = NDArray[np.float64]

LOOKS = 1000
"""Times, spaced as the outputs are, at which the risk is looked at at least: it may cross and come back between two."""

PARTS, PASSES = 512, 7
"""Parts into which a crossing's interval is cut, again and again; 512^7 of them leave nothing between two floats."""


class Follow(Protocol):
    """Integrates all neurons, recorded at these times, and looks for events on their overlaps."""

    def __call__(self, times: Array, events: Sequence[Event] = ()) -> Course:
        """Return how they went."""
        ...


def check_events(job: Job, with_risk: bool) -> None:
    """Refuse events on overlaps that are not there, or on a risk that is left out.

    Raises
    ------
    InputError
        Naming the event.
    """
    check_overlaps(job.events, job.network.width, job.target.P)
    for one in job.events:
        if one.quantity == RISK and not with_risk:
            raise InputError(f"event {one.name} is on the risk, which risk=False leaves out; give risk=True")


def of_neuron(events: Sequence[Event], neuron: int, size: int) -> Events:
    """Lay out the events on the overlaps of one neuron, whose flat state has ``size`` entries."""
    own = [one for one in events if one.quantity == OVERLAP and one.neuron == neuron]
    return rows([crossing(one.coordinate, one.level, direction=1 if one.upward else -1) for one in own], size)


def with_events(job: Job, start: Start, follow: Follow, with_risk: bool) -> Trajectory:
    """Return the recorded run with its events and the states at them."""
    course = follow(job.time, job.events)
    when = np.array([_time_of_overlap(one, job.events, course.sought) for one in job.events])

    def risk_at(times: Array) -> Array:
        return rows_of(job, start, follow(times).states, with_risk)["risk"]

    for i, high in _times_on_risk(job, risk_at).items():
        when[i] = high
    end = min((t for t, one in zip(when, job.events, strict=True) if one.terminal and t == t), default=np.inf)
    when[when > end] = np.nan
    behind = np.nextafter(when, np.inf)  # where a release moves other coordinates at once, the state after it
    times = np.unique(behind[np.isfinite(behind)])
    at = np.where(np.isfinite(behind), np.searchsorted(times, behind), times.size)
    seen = follow(times).states if times.size else [one[:0] for one in course.states]
    padded = [np.vstack([one, np.full((1, one.shape[1]), np.nan)])[at] for one in seen]
    fields = rows_of(job, start, padded, with_risk)
    out = record(job, start, _cut(course, job, end), with_risk)
    events = {one.name: np.array(t) for one, t in zip(job.events, when, strict=True)}
    return replace(out, events={**out.events, **events}, at_events=at_events(job.events, fields))


def _time_of_overlap(one: Event, events: Sequence[Event], sought: Sequence[Events]) -> float:
    """When its neuron's integration met it; NaN for never, and for events on the risk."""
    if one.quantity == RISK:
        return np.nan
    own = [other.name for other in events if other.quantity == OVERLAP and other.neuron == one.neuron]
    return float(sought[one.neuron].time[own.index(one.name)])


def _times_on_risk(job: Job, risk_at: Callable[[Array], Array]) -> dict[int, float]:
    """Times of the events on the risk that happen, by their places among all events."""
    sought = {i: one for i, one in enumerate(job.events) if one.quantity == RISK}
    spans: dict[int, tuple[float, float]] = {}
    parts = -(-LOOKS // (job.time.size - 1))
    cuts = [np.linspace(*ends, parts + 1) for ends in pairwise(job.time)]
    for _ in range(PASSES if sought else 0):
        times = np.unique(np.concatenate(cuts))
        risk = risk_at(times)
        for i, one in sought.items():
            low, high = spans.get(i, (0.0, np.inf))
            inside = (times >= low) & (times <= high)
            found = _first_crossing(one, times[inside], risk[inside])
            if found is not None:
                spans[i] = found
        cuts = [np.linspace(*span, PARTS + 1) for span in spans.values() if np.nextafter(span[0], np.inf) < span[1]]
        if not cuts:
            break
    return {} if job.stop.is_set() else {i: high for i, (_, high) in spans.items()}


def _first_crossing(one: Event, times: Array, risk: Array) -> tuple[float, float] | None:
    """The two times between which the risk first goes through the level; arriving there counts, leaving it does not."""
    short = one.level - risk if one.upward else risk - one.level
    (hits,) = np.nonzero((short[:-1] > 0) & (short[1:] <= 0))
    return (float(times[hits[0]]), float(times[hits[0] + 1])) if hits.size else None


def _cut(course: Course, job: Job, end: float) -> Course:
    """End all that goes on beyond the time ``end``, or that was stopped on the way to its events."""
    stopped = (Status.INTERRUPTED, float(job.time[-1]))
    if job.stop.is_set():
        course = course._replace(ends=[stopped if one[0] is Status.DONE else one for one in course.ends])
    if end == np.inf:
        return course
    late = (job.time > end)[:, None]
    return Course(
        states=[np.where(late, np.nan, one) for one in course.states],
        ends=[(Status.EVENT, end) if one[0] is Status.DONE or one[1] > end else one for one in course.ends],
        gauges=None if course.gauges is None else np.where(late, np.nan, course.gauges),
        releases=None if course.releases is None else np.where(course.releases > end, np.nan, course.releases),
    )
