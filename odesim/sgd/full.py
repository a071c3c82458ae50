"""SGD: the real network in d dimensions, trained sample by sample; the judge of every reduction."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odesim import checks, seeds
from odesim.activations.handed import act_of
from odesim.job import Job
from odesim.network import Network
from odesim.pool import in_threads
from odesim.sgd import _full as kernels
from odesim.sgd._labels import Source
from odesim.sgd._online import advance
from odesim.sgd._random import GROUP
from odesim.sgd.limits import MAX_WIDTH_OF_Q, NEURON_PADDING, check, padded, padded_shape
from odesim.sgd.mixed import risk
from odesim.targets.series import Target
from odesim.targets.teacher import TeacherTarget
from odesim.trajectory import Status, Trajectory

Array = NDArray[np.float64]

BLOW_UP = 1e8
"""A forward pass beyond this many times the start's own scale ends the run as diverged."""

WORK_A_CALL = 1e8
"""Operations between two looks at the progress bar and the stop flag: about 20 ms."""

UNBOUNDED = (
    "the weights grew without bound, as the correlation loss lets them; "
    "take fewer steps, a frozen second layer (eta_a=0) or weight decay"
)


@dataclass(frozen=True)
class SGD:
    """Online SGD of the whole network, one fresh sample a step, all data seeds from one start.

    Every step uses one forward pass for all updates: with Δ = y − f(x), or Δ = y under the correlation loss,
    w_j ← (1 − η_w λ_w) w_j + η_w Δ a_j σ'_j x, a_j ← (1 − η_a λ_a) a_j + η_a Δ σ_j, b_j ← b_j + η_b Δ a_j σ'_j, where
    f = Σ_j a_j σ_j and the rates are those of `Training.rates` at that step. x is N(0, I) or uniform on {±1}^d, as
    the target says; a teacher's labels come from its own activation.

    Parameters
    ----------
    dtype : str
        ``float64`` or ``float32`` for W and its products with x. The second layer, the biases and the
        overlaps are float64 in both; the samples are the same in both, of float32 resolution.
    threads : int, optional
        Seeds that run at a time; default all, up to the number of cores. It does not change the results.

    Raises
    ------
    InputError
        For another dtype or a number of threads below 1.
    """

    dtype: str = "float64"
    threads: int | None = None

    def __post_init__(self) -> None:
        checks.choice("dtype", self.dtype, ("float64", "float32"))
        if self.threads is not None:
            checks.integer("threads", self.threads, low=1, remedy="leave it out for one a core")

    def simulate(self, job: Job) -> Trajectory:
        """Train once for every data seed and record risk and overlaps at ``job.steps``.

        A run that diverges ends with a status and the step in its message; ctrl-C ends all runs with the rows
        recorded so far.

        Raises
        ------
        InputError
            If the network has no weights, the training has a batch, a geometry or anything else that this
            dynamics does not know, the risk of this network cannot be had or the memory does not suffice.
        """
        threads = min(job.seeds, self.threads or os.cpu_count() or 1)
        check(job, np.dtype(self.dtype), threads)
        ensemble = _Ensemble(job, np.dtype(self.dtype))
        in_threads(ensemble.run, job.seeds, job.stop, threads)
        return ensemble.trajectory()


@dataclass
class _State:
    """Zero-padded weights of one run after ``step`` steps; between calls a multiple of four.

    The first layer is ``scale`` · W, the second that of the plain network.
    """

    W: NDArray[Any]
    a: Array
    b: Array
    step: int = 0
    scale: float = 1.0

    @classmethod
    def start(cls, network: Network, dtype: np.dtype[Any]) -> _State:
        """Copy the start weights, padded: an even number of rows, each a whole number of vectors long."""
        rows, columns = padded_shape(network)
        state = cls(np.zeros((rows, columns), dtype), *np.zeros((2, padded(network.width, NEURON_PADDING))))
        assert network.weights is not None
        state.W[: network.width, : network.dim] = network.weights
        state.a[: network.width], state.b[: network.width] = network.plain_a, network.b
        return state

    def copy(self) -> _State:
        """Return a state that shares no arrays."""
        return _State(self.W.copy(), self.a.copy(), self.b.copy(), self.step, self.scale)


@dataclass
class _Ensemble:
    """All runs of a job and the rows recorded so far."""

    job: Job
    dtype: np.dtype[Any]
    shared: tuple[Any, ...] = field(init=False)
    rows: dict[str, Array] = field(init=False)
    status: NDArray[np.int64] = field(init=False)
    message: list[str] = field(init=False)
    done: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.shared = _shared(self.job)
        S, T, N, P = self.job.seeds, self.job.steps.size, self.job.network.width, self.job.target.P
        shapes = {"risk": (), "m": (N, P), "a": (N,), "b": (N,)}
        if self._narrow:
            shapes["Q"] = (N, N)
        self.rows = {name: np.full((S, T, *shape), np.nan) for name, shape in shapes.items()}
        self.status = np.full(S, Status.INTERRUPTED, dtype=np.int64)
        self.message = [Status.INTERRUPTED.text] * S
        self.done = [0] * S

    def run(self, index: int) -> None:
        """Run one seed from its start to the last output step, or to an early end."""
        state, constants = _State.start(self.job.network, self.dtype), (_seed(self.job, index), *self.shared)
        for row, step in enumerate(self.job.steps.tolist()):
            status = self._advance(state, index, step - step % GROUP, constants)
            seen = state
            if status == Status.DONE and step > state.step:  # inside a group: look ahead on a copy
                seen = state.copy()
                status = _advance(seen, step - seen.step, self.job.network, constants)
            if status == Status.DONE and not self._record(index, row, seen):
                status = Status.NOT_FINITE
            if status != Status.DONE:
                return self._end(index, status, seen.step)
            self._progress(index, step)
        self._end(index, Status.DONE, state.step)

    def trajectory(self) -> Trajectory:
        """Return what was recorded."""
        biased = self.job.network.has_biases or self.job.training.trains("b")
        rows: dict[str, Any] = self.rows | ({} if biased else {"b": None})
        return Trajectory(
            self.job.steps,
            self.job.time,
            **rows,
            status=self.status,
            message=tuple(self.message),
            kind="SGD",
        )

    def _advance(self, state: _State, index: int, until: int, constants: tuple[Any, ...]) -> Status:
        """Advance to the step ``until``, a multiple of four, in calls that are short enough to be stopped."""
        network = self.job.network
        length = _steps_a_call(network)
        while state.step < until:
            if self.job.stop.is_set():
                return Status.INTERRUPTED
            status = _advance(state, min(length, until - state.step), network, constants)
            if status != Status.DONE:
                return status
            self._progress(index, state.step)
        return Status.INTERRUPTED if self.job.stop.is_set() else Status.DONE

    def _record(self, index: int, row: int, state: _State) -> bool:
        """Write one row; False, with nothing written, if it is not finite."""
        job, N = self.job, self.job.network.width
        a = state.a[:N] / job.network.unit
        seen = {"m": np.empty((N, job.target.P)), "Q": np.empty((N, N)), "a": a, "b": state.b[:N]}
        kernels.overlaps(state.W, seen["m"], seen["Q"])
        seen["m"] *= state.scale
        seen["Q"] *= state.scale**2
        if not all(np.isfinite(values).all() for values in seen.values()):
            return False
        for name in seen.keys() & self.rows.keys():
            self.rows[name][index, row] = seen[name]
        if not self._narrow:
            self.rows["risk"][index, row] = self._risk(**seen)
        return True

    def _risk(self, m: Array, Q: Array, a: Array, b: Array) -> Array:
        return risk(self.job, m, Q, a, b)

    @property
    def _narrow(self) -> bool:
        return self.job.network.width <= MAX_WIDTH_OF_Q

    def _end(self, index: int, status: Status, step: int) -> None:
        """Note why a run ended; with Q kept, its risks are quicker found all at once."""
        if self._narrow:
            self.rows["risk"][index] = self._risk(**{name: self.rows[name][index] for name in ("m", "Q", "a", "b")})
        self.status[index] = status
        where = "" if status == Status.DONE else f"at step {step}: "
        unbounded = status == Status.DIVERGED and self.job.training.loss == "correlation"
        self.message[index] = where + (UNBOUNDED if unbounded else status.text)

    def _progress(self, index: int, step: int) -> None:
        self.done[index] = step
        self.job.progress(sum(self.done) / max(self.job.seeds * int(self.job.steps[-1]), 1))


def _advance(state: _State, count: int, network: Network, constants: tuple[Any, ...]) -> Status:
    """Take ``count`` steps in place."""
    status, state.step, state.scale = advance(
        state.W, state.scale, state.a, state.b, network.width, network.dim, state.step, count, *constants
    )
    return Status(status)


def _constants(job: Job, index: int) -> tuple[Any, ...]:
    """Return the kernel's arguments that stay the same through one run."""
    return _seed(job, index), *_shared(job)


def _seed(job: Job, index: int) -> np.uint64:
    """Return the key of one run's samples."""
    return seeds.child(job.rng, seeds.DATA, index).generate_state(1, np.uint64)[0]


def _shared(job: Job) -> tuple[Any, ...]:
    """Return those constants that all runs share; the same objects in every call, numba types them but once."""
    bound = BLOW_UP * _scale(job.network, job.target)
    return act_of(job.network.activation), _rule(job), bound, _source(job)


def _rule(job: Job) -> kernels.Rule:
    """Lay out the rates of the plain network and the loss."""
    rows = job.training.rates(job.network)
    return kernels.Rule(
        stops=np.array([row.stop for row in rows], dtype=np.int64),
        rates=np.array([(row.w, row.a, row.b, 1 - row.w * row.decay_w, 1 - row.a * row.decay_a) for row in rows]),
        feedback=1.0 if job.training.loss == "square" else 0.0,
    )


def _source(job: Job) -> Source:
    """Lay out the law of the samples and the target."""
    target, none = job.target, np.zeros(0, dtype=np.int64)
    terms: Any = (none, none, none, np.zeros(0))
    teacher: Any = (np.zeros((0, 0)), np.zeros(0), act_of(job.network.activation))
    if isinstance(target, TeacherTarget):
        teacher = (target.weights, target.second_layer, act_of(target.activation))
    else:
        terms = target.arrays()
    return Source(int(target.data == "boolean"), float(job.training.noise), *terms, *teacher)


def _scale(network: Network, target: Target | TeacherTarget) -> float:
    """Bound the size of a usual forward pass at the start, Σ|λ_j| + |f|, and that of the target.

    Under the correlation loss nothing feeds back through f, yet weights may grow for ever where σ is not bounded;
    a run so far from its start has nothing more to tell, and ends by the same bound.
    """
    spread = np.sqrt(np.einsum("jr,jr->j", network.m, network.m) + np.diagonal(network.R)) + np.abs(network.b)
    outputs = np.abs(network.plain_a) @ np.maximum(spread, 1.0)
    return float(1.0 + spread.sum() + outputs + np.sqrt(target.energy + target.constant**2))


def _steps_a_call(network: Network) -> int:
    """Steps that take a few hundredths of a second."""
    work = 1000 + 20 * network.width + 10 * network.dim + network.width * network.dim
    return GROUP * max(1, int(WORK_A_CALL / (GROUP * work)))
