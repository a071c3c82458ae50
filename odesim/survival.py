"""escape_steps: when the runs of an ensemble escape, those that never do counted as what they are: censored."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from odesim import checks
from odesim.events import Event
from odesim.passages import first_passage
from odesim.rebuild import training_of
from odesim.reduction import END
from odesim.trajectory import Trajectory

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class EscapeSteps:
    """At which SGD step each run escaped, or was last seen without having escaped.

    The share of runs that have not escaped is estimated by Kaplan and Meier's product limit, which a run leaves
    unchanged when it is only no longer seen (scipy.stats.ecdf).

    Attributes
    ----------
    steps : array (runs,)
        Of the escape, or the last at which the run was seen.
    escaped : bool array (runs,)
        False for a run that is censored.

    Raises
    ------
    InputError
        If the two are not of one length, or a step is NaN or infinite.
    """

    steps: Array
    escaped: NDArray[np.bool_]

    def __post_init__(self) -> None:
        steps = checks.array("steps", self.steps, (np.size(self.steps),))
        escaped = np.asarray(self.escaped, dtype=bool)
        if escaped.shape != steps.shape:
            raise checks.InputError(f"escaped has shape {escaped.shape}; give one truth value a step, {steps.shape}")
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "escaped", escaped)

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """Return one line: median, its interval, and how many never escaped."""
        low, high = ("unknown" if end is None else f"{end:.6g}" for end in self.interval())
        median = "beyond what was seen" if self.median is None else f"{self.median:.6g}"
        never = f"{self.censored} of {self.steps.size} runs not seen to escape"
        return f"median escape step {median} (95 % interval {low} .. {high}), {never}"

    @property
    def censored(self) -> int:
        """Number of runs that were not seen to escape."""
        return int((~self.escaped).sum())

    @property
    def median(self) -> float | None:
        """Median escape step; None if the share of runs that have not escaped never falls to one half."""
        return self.quantile(0.5)

    def quantile(self, q: float) -> float | None:
        """First step at which a share 1 − q or less of the runs has not escaped; None if there is none."""
        _check_share("q", q)
        curve = self._curve()
        return None if curve is None else _first(curve.sf, q)

    def interval(self, q: float = 0.5, confidence: float = 0.95) -> tuple[float | None, float | None]:
        """Confidence interval of a quantile; None for an end that the runs do not tell.

        After Brookmeyer and Crowley (Biometrics 38, 1982) it holds the steps at which 1 − q lies in the interval of
        the surviving share, which is Greenwood's on the scale log(−log). Where no run escapes at all, the lower end is
        the last step to which so many runs were seen that this would be improbable if the quantile lay before it.

        Parameters
        ----------
        q : float
            Which quantile, by default the median.
        confidence : float
            Probability, to leading order in the number of runs, with which the interval holds the quantile.

        Raises
        ------
        InputError
            For a share that is not inside (0, 1).
        """
        _check_share("q", q)
        _check_share("confidence", confidence)
        curve = self._curve()
        if curve is None:
            return self._beyond(q, confidence), None
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore", RuntimeWarning)  # 0 and 1 have no interval on that scale
            band = curve.sf.confidence_interval(confidence_level=confidence, method="log-log")
        return _first(band.low, q), _first(band.high, q)

    def survival(self, steps: ArrayLike) -> Array:
        """Share of runs that have not escaped at these steps; after the last run was seen it stays what it was."""
        curve, when = self._curve(), np.asarray(steps, dtype=np.float64)
        return np.ones(when.shape) if curve is None else np.asarray(curve.sf.evaluate(when))

    def _beyond(self, q: float, confidence: float) -> float | None:
        """The last step c by which no escape at all has a chance below (1 − confidence)/2, if the quantile is before c.

        That chance is at most (1 − q) to the power of the runs that were seen until c.
        """
        least = int(np.ceil(np.log((1.0 - confidence) / 2) / np.log1p(-q)))
        return float(np.sort(self.steps)[-least]) if 0 < least <= self.steps.size else None

    def _curve(self) -> Any:
        """The estimate of scipy, which does not take samples without any escape."""
        from scipy.stats import CensoredData, ecdf

        if not self.escaped.any():
            return None
        return ecdf(CensoredData.right_censored(self.steps, ~self.escaped))


def escape_steps(
    trajectory: Trajectory,
    *,
    level: float | None = None,
    event: str | Event | Sequence[str | Event] | None = None,
) -> EscapeSteps:
    """When each run escapes: its risk first reaches a level, or an event happens.

    A run that has not escaped at its end is censored there, whatever ended it, and so is one that diverged: look at
    ``trajectory.status`` if that may have to do with escaping.

    Parameters
    ----------
    trajectory : Trajectory
        Single runs count as ensembles of one.
    level : float, optional
        Risk that counts as escaped. Between outputs the risk is taken as linear in ln(step); a run that starts at or
        below the level escapes at step 0.
    event : str or Event, or list of them, optional
        Names in ``trajectory.events``, or the events themselves, in place of the level; of several the first that
        happens counts.

    Returns
    -------
    EscapeSteps

    Raises
    ------
    InputError
        Unless exactly one of ``level`` and ``event`` is given, for an event that was not looked for, and for a level
        where there is no risk to reach it or, after ``reduce=True``, no rows in which to look.
    """
    if not isinstance(trajectory, Trajectory):
        raise checks.InputError(f"trajectory is of type {type(trajectory).__name__}; give what run(...) returns")
    if level is None and event is None:
        raise checks.InputError(f"give exactly one of level=, a risk, and event=; there is {_known(trajectory)}")
    if level is not None and event is not None:
        raise checks.InputError("level and event say the same thing; give exactly one of them")
    if level is not None:
        found = _of_level(trajectory, checks.real("level", level))
    else:
        found = _of_events(trajectory, _names(event))
    escaped = np.isfinite(found)
    return EscapeSteps(np.where(escaped, found, _last_seen(trajectory)), escaped)


def _of_level(trajectory: Trajectory, level: float) -> Array:
    """Steps at which the risk first reaches a level, infinite for never."""
    remedy = f"give run(..., events=[...]) and event=; there is {_known(trajectory)}"
    if trajectory.settings.get("run", {}).get("reduce"):
        raise checks.InputError(
            f"level={level:g} cannot be found where reduce=True has dropped the rows between first and last; {remedy}"
        )
    if np.isnan(np.atleast_2d(trajectory.risk)[:, 0]).all():
        raise checks.InputError(f"level={level:g}, but trajectory has no risk (neurons alone have none); {remedy}")
    return np.atleast_1d(first_passage(trajectory.steps, trajectory.risk, level))


def _names(event: Any) -> list[str]:
    """The names of events, however they are given."""
    events = [event] if isinstance(event, str | Event) or not isinstance(event, Iterable) else list(event)
    if not events:
        raise checks.InputError("event is an empty list; give the name of at least one event")
    for one in events:
        if not isinstance(one, str | Event):
            raise checks.InputError(
                f"event={one!r} is no event; give its name in trajectory.events, or what overlap_above(...) returned"
            )
    return [one if isinstance(one, str) else one.name for one in events]


def _known(trajectory: Trajectory) -> str:
    """The events that were looked for, as text."""
    return ", ".join(name for name in trajectory.events if name != END) or "none: give run(..., events=[...])"


def _of_events(trajectory: Trajectory, names: Sequence[str]) -> Array:
    """Steps at which the first of these events happens, infinite for never."""
    first = np.full(trajectory.seeds, np.inf)
    for name in names:
        if name not in trajectory.events:
            raise checks.InputError(f"event={name!r} is not in trajectory.events; there is {_known(trajectory)}")
        if name == END:
            raise checks.InputError(f"event={name!r} is where runs ended early; give an event: {_known(trajectory)}")
        first = np.fmin(first, _steps_of(trajectory, _per_run(trajectory.events[name], trajectory.seeds)))
    return first


def _per_run(times: Array, runs: int) -> Array:
    """The first time of each run, where the event can happen to several of its neurons."""
    return np.fmin.reduce(np.reshape(times, (runs, -1)), axis=1)


def _steps_of(trajectory: Trajectory, times: Array) -> Array:
    """Steps at which these flow times are reached."""
    if trajectory.settings.get("training"):
        steps = training_of(trajectory).steps_before(times)
    else:
        steps = np.interp(times, trajectory.time, trajectory.steps)
    steps = np.where(np.isnan(times), np.nan, steps)
    whole = np.round(steps)
    return np.where(np.abs(steps - whole) <= 1e-9 * np.maximum(whole, 1.0), whole, steps)


def _last_seen(trajectory: Trajectory) -> Array:
    """The last step at which each run was seen: its last row, or where it is said to have ended."""
    m = np.reshape(trajectory.m, (trajectory.seeds, trajectory.steps.size, -1))
    rows = np.asarray(np.isfinite(m).any(axis=2))
    last = trajectory.steps[np.maximum(rows.shape[1] - 1 - np.argmax(rows[:, ::-1], axis=1), 0)].astype(float)
    if END in trajectory.events:
        last = np.fmax(last, _steps_of(trajectory, np.atleast_1d(trajectory.events[END])))
    return last


def _first(curve: Any, q: float) -> float | None:
    """First step at which a curve is at or below 1 − q, up to rounding."""
    below = np.flatnonzero(curve.probabilities <= 1.0 - q + 1e-12)
    return float(curve.quantiles[below[0]]) if below.size else None


def _check_share(name: str, value: float) -> None:
    if not 0.0 < checks.real(name, value) < 1.0:
        raise checks.InputError(f"{name}={value} is not inside (0, 1); give a share such as 0.5")
