"""Trajectory: what a run leaves behind, of whatever dynamics; Status: why it ended."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from odesim import files
from odesim.checks import InputError
from odesim.trajectory_shapes import check_event, check_grid, check_shape, check_weights, one_a_run

Floats = NDArray[np.float64]


class Status(IntEnum):
    """Why a run ended; `text` says it with a remedy."""

    DONE = 0
    DIVERGED = 1
    NOT_FINITE = 2
    STEP_TOO_SMALL = 3
    INTERRUPTED = 4
    TOO_FAST = 5
    EVENT = 6
    DISK_FULL = 7

    @property
    def text(self) -> str:
        """One line for a reader, with what to do about it."""
        return _TEXTS[self]


_TEXTS = {
    Status.DONE: "reached the last step",
    Status.DIVERGED: "the weights grew without bound; take a smaller step size",
    Status.NOT_FINITE: "a value became NaN or infinite; take a smaller step size or a smaller start",
    Status.STEP_TOO_SMALL: "the integrator's step fell below the spacing of floats; loosen rtol and atol, "
    "or take a smaller step size if the risk was growing",
    Status.TOO_FAST: "the overlaps change within single SGD steps, where no flow describes SGD; "
    "take a smaller step size",
    Status.EVENT: "a terminal event happened, which ends the run",
    Status.INTERRUPTED: "stopped before the last step; what was computed until then is kept",
    Status.DISK_FULL: "the checkpoint could not be written and the one before is untouched; free the disk and resume",
}

_AXES = {"risk": 1, "risk_se": 1, "m": 3, "a": 2, "b": 2, "Q": 3, "q": 2}
_AXES |= {"noise_rate": 2, "noise_gauge": 2, "strays": 2}
PER_RUN = tuple(_AXES)
"""Fields with the axis of runs, where there is one."""

_OPTIONAL = ("risk_se", "b", "Q", "q", "noise_rate", "noise_gauge", "strays")
_EVENT, _AT = "event_", "at_"


@dataclass(frozen=True, eq=False)
class Trajectory:
    """One run, or an ensemble of runs that share their output grid.

    In the shapes below ``...`` is empty for a single run (a flow from one network) and (S,) for an ensemble of S data
    seeds, or of a flow's S start networks, also at S = 1. Row 0 is step 0; rows after a run's early end are NaN.

    Attributes
    ----------
    steps : int64 array (T,)
        SGD steps, increasing from 0.
    time : array (T,)
        Flow time, the sum of eta over the steps.
    risk : array (..., T)
        Population risk ½E[(h − f)²], without label noise.
    risk_se : array (..., T), optional
        Standard error of ``risk`` where it is a mean over test inputs, the same in all rows of a run and others in
        each run; None where the risk is computed.
    m : array (..., T, N, P)
        Overlaps of the neurons with the support coordinates.
    a : array (..., T, N)
        Second layer, in the scaling that the network names.
    b : array (..., T, N), optional
        Biases; None where there are none.
    Q : array (..., T, N, N), optional
        W Wᵀ; None where it was not kept.
    q : array (..., T, N), optional
        Squared norms of the weight vectors, the diagonal of W Wᵀ, where they are all there is.
    weights : array (N,), optional
        Weights, of sum 1, of neurons that are nodes of a quadrature: f = sum_j weights_j a_j sigma_j; None where
        the neurons are those of a network.
    status : int array (...)
        A `Status` for each run.
    message : str or tuple of str
        The status in words, one a run.
    noise_rate : array (..., T, N), optional
        Growth of m_jr² by SGD's noise per unit of flow time, (eta d) Γ_jj; flows only.
    noise_gauge : array (..., T, N), optional
        ν_j, the integral of ``noise_rate`` over the flow time, where the flow integrates it along with its state.
    strays : array (..., T, N), optional
        Number of coordinates off the support that a neuron has released under two radii; `Layerwise` only.
    events : dict of arrays (..., any)
        Times at which something happened, NaN for never: ``release`` (..., N, P) under two radii, and what
        ``run(events=)`` asked for, such as ``risk_below_0_3`` (...). A file holds them as ``event_release``.
    at_events : dict of dicts of arrays
        The state at these events, where it was kept: ``at_events["risk_below_0_3"]["m"]`` (N, P), beside ``risk``,
        ``a``, ``b``, ``Q`` or ``q`` as the rows have them, without the axis of time; NaN for never. A file holds
        them as ``at_m_risk_below_0_3``.
    kind : str
        The dynamics, in words ("overlap flow", "SGD").
    settings, versions : dict
        What was run, and with which software; both JSON-able.
    seconds : float
        Wall-clock time of the run.

    Raises
    ------
    InputError
        If shapes do not fit together or the grid does not increase from step 0.
    """

    steps: NDArray[np.int64]
    time: Floats
    risk: Floats
    m: Floats
    a: Floats
    b: Floats | None = None
    Q: Floats | None = None
    q: Floats | None = None
    weights: Floats | None = None
    risk_se: Floats | None = None
    status: NDArray[np.int64] = field(default_factory=lambda: np.zeros((), dtype=np.int64))
    message: str | tuple[str, ...] = ""
    noise_rate: Floats | None = None
    noise_gauge: Floats | None = None
    strays: Floats | None = None
    events: Mapping[str, Floats] = field(default_factory=dict)
    at_events: Mapping[str, Mapping[str, Floats]] = field(default_factory=dict)
    kind: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        check_grid(self.steps, self.time)
        lead = np.shape(self.risk)[:-1]
        if len(lead) > 1:
            raise InputError(f"risk has shape {np.shape(self.risk)}; give (T,) or (seeds, T)")
        for name in PER_RUN:
            if getattr(self, name) is not None or name not in _OPTIONAL:
                check_shape(name, getattr(self, name), (*lead, self.steps.size), _AXES[name])
        if self.weights is not None:
            check_weights(self.weights, np.shape(self.a)[-1])
        for name, times in self.events.items():
            check_event(name, times, lead)
        if not self.at_events.keys() <= self.events.keys():
            raise InputError(f"at_events has {', '.join(self.at_events.keys() - self.events.keys())}; name only events")
        status = np.broadcast_to(np.asarray(self.status, dtype=np.int64), lead).copy()
        object.__setattr__(self, "status", status)
        object.__setattr__(self, "message", one_a_run(self.message, lead))

    @property
    def ensemble(self) -> bool:
        """Whether there is a seed axis."""
        return self.risk.ndim == 2

    @property
    def seeds(self) -> int:
        """Number of runs."""
        return self.risk.shape[0] if self.ensemble else 1

    def __len__(self) -> int:
        return self.seeds

    def __getitem__(self, index: int) -> Trajectory:
        """Return one run without the seed axis; a single run has the index 0."""
        if not -self.seeds <= index < self.seeds:
            raise IndexError(f"run {index} of {self.seeds}")
        if not self.ensemble:
            return self
        fields = {name: getattr(self, name) for name in PER_RUN if getattr(self, name) is not None}
        rows: dict[str, Any] = {name: value[index] for name, value in fields.items()}
        rows["events"] = {name: times[index] for name, times in self.events.items()}
        rows["at_events"] = {name: {key: x[index] for key, x in at.items()} for name, at in self.at_events.items()}
        return replace(self, **rows, status=self.status[index], message=self.message[index])

    def mean(self, name: str) -> Floats:
        """Mean over the runs of the field ``name``, shape (T, ...); runs that have ended do not count.

        Where every run has ended it is NaN. This holds for `stderr`, `median` and `quantile` alike.
        """
        values = self._runs(name)
        alive = ~np.isnan(values)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            return np.where(alive, values, 0.0).sum(axis=0) / alive.sum(axis=0)

    def stderr(self, name: str) -> Floats:
        """Standard error of `mean`, shape (T, ...); NaN where fewer than two runs are left."""
        values = self._runs(name)
        count = (~np.isnan(values)).sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            squares = np.nansum((values - self.mean(name)) ** 2, axis=0)
            return np.sqrt(squares / np.where(count > 1, (count - 1) * count, np.nan))

    def median(self, name: str) -> Floats:
        """Pointwise median over the runs, shape (T, ...)."""
        return self.quantile(name, 0.5)

    def quantile(self, name: str, q: ArrayLike) -> Floats:
        """Pointwise quantile over the runs, shape (T, ...), with an axis before it if ``q`` is an array."""
        return quantile_of_runs(self._runs(name), q)

    def save(self, path: files.PathLike) -> None:
        """Write everything to one npz file; ``np.load(path)["risk"]`` reads it too.

        Raises
        ------
        InputError
            If the folder does not exist or ``settings`` cannot be put in JSON.
        RunError
            If the disk refuses; a file that was there before is then untouched.
        """
        names = ("steps", "time", *PER_RUN, "weights", "status")
        arrays = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        arrays |= {_EVENT + name: times for name, times in self.events.items()}
        arrays |= {f"{_AT}{key}_{name}": value for name, at in self.at_events.items() for key, value in at.items()}
        about = {name: getattr(self, name) for name in ("message", "settings", "versions", "seconds")}
        files.save_npz(path, "trajectory", arrays, {**about, "dynamics": self.kind})

    @classmethod
    def load(cls, path: files.PathLike) -> Trajectory:
        """Read what `save` wrote.

        Raises
        ------
        InputError
            If the file is missing, truncated, altered or not a trajectory.
        """
        arrays, about = files.load_npz(path, "trajectory")
        events = {name[len(_EVENT) :]: arrays.pop(name) for name in list(arrays) if name.startswith(_EVENT)}
        at_events: dict[str, dict[str, Floats]] = {}
        for key in [key for key in arrays if key.startswith(_AT)]:
            entry, _, name = key[len(_AT) :].partition("_")
            at_events.setdefault(name, {})[entry] = arrays.pop(key)
        fields: dict[str, Any] = {**arrays, **about, "events": events, "at_events": at_events}
        try:
            message = fields.pop("message")
            message = message if isinstance(message, str) else tuple(message)
            return cls(kind=fields.pop("dynamics"), message=message, **fields)
        except (TypeError, KeyError) as error:
            raise InputError(f"{path} lacks the fields of a trajectory ({error}); write it again") from error

    def _runs(self, name: str) -> Floats:
        """Field with a seed axis in any case."""
        values = getattr(self, name, None) if name in PER_RUN else None
        if values is None:
            known = [one for one in PER_RUN if getattr(self, one) is not None]
            raise InputError(f"name={name!r} is no field of these runs; choose one of {', '.join(known)}")
        return values if self.ensemble else values[None]


def squared_norms(trajectory: Trajectory) -> Floats:
    """Squared norms ‖w_j‖² of the weight vectors, shape (..., T, N), from whichever field holds them.

    Raises
    ------
    InputError
        If neither Q nor q was kept.
    """
    if trajectory.q is not None:
        return trajectory.q
    if trajectory.Q is None:
        raise InputError("trajectory has neither Q nor q, the squared norms of the weights; run it again")
    return np.diagonal(trajectory.Q, axis1=-2, axis2=-1)


def quantile_of_runs(values: Floats, q: ArrayLike) -> Floats:
    """Quantile over the first axis, where NaN marks a run that has ended; NaN where all have."""
    q = np.asarray(q, dtype=np.float64)
    if np.isfinite(values).all():  # the same numbers, all columns at once
        return np.quantile(values, q, axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanquantile(values, q, axis=0)
