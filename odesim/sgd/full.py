"""SGD: the real network in d dimensions, trained sample by sample; the judge of every reduction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from odesim import checks, seeds
from odesim.activations.handed import act_of
from odesim.job import Job
from odesim.network import Network
from odesim.sgd import _full as kernels
from odesim.sgd._labels import Source
from odesim.sgd._online import advance
from odesim.sgd._random import GROUP
from odesim.sgd.ensemble import Ensemble, Look, threads_for
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

    keeps_checkpoints: ClassVar[bool] = True
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
        dtype, threads = np.dtype(self.dtype), threads_for(job, self.threads)
        check(job, dtype, threads)
        shared = _shared(job)
        ensemble = Ensemble(
            job,
            lambda index: _Walk(job, _State.start(job.network, dtype), (_seed(job, index), *shared)),
            shapes(job),
        )
        ensemble.run(threads)
        return ensemble.trajectory("SGD")


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
class _Walk:
    """One run, in whole groups of four steps; output steps inside a group are seen ahead, on a copy."""

    job: Job
    state: _State
    constants: tuple[Any, ...]

    @property
    def step(self) -> int:
        return self.state.step

    def advance(self, until: int) -> Status:
        """Advance to the last multiple of four, or towards it."""
        network = self.job.network
        count = min(_steps_a_call(network), until - until % GROUP - self.state.step)
        return _advance(self.state, count, network, self.constants) if count > 0 else Status.DONE

    def look(self, step: int) -> Look:
        """Return the overlaps at a step of this group."""
        state, status = self.state, Status.DONE
        if step > state.step:
            state = state.copy()
            status = _advance(state, step - state.step, self.job.network, self.constants)
        return Look(status, state.step, self._values(state) if status == Status.DONE else {})

    def finish(self, rows: Mapping[str, Array]) -> None:
        """With Q kept, the risks are quicker found all at once."""
        if "Q" in rows:
            rows["risk"][:] = risk(self.job, *(rows[name] for name in ("m", "Q", "a", "b")))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return a copy of the weights and where they stand."""
        state = self.state.copy()
        return {
            "W": state.W,
            "a": state.a,
            "b": state.b,
            "step": np.array(state.step, dtype=np.int64),
            "scale": np.array(state.scale),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take the weights from `arrays`."""
        state = self.state
        state.W[:], state.a[:], state.b[:] = arrays["W"], arrays["a"], arrays["b"]
        state.step, state.scale = int(arrays["step"]), float(arrays["scale"])

    def _values(self, state: _State) -> dict[str, Array]:
        N = self.job.network.width
        m, Q = np.empty((N, self.job.target.P)), np.empty((N, N))
        kernels.overlaps(state.W, m, Q)
        m *= state.scale
        Q *= state.scale**2
        values = {"m": m, "Q": Q, "a": state.a[:N] / self.job.network.unit, "b": state.b[:N].copy()}
        if N > MAX_WIDTH_OF_Q and all(np.isfinite(value).all() for value in values.values()):
            values |= {"q": np.diagonal(Q), "risk": risk(self.job, m, Q, values["a"], values["b"])}
        return values


def shapes(job: Job) -> dict[str, tuple[int, ...]]:
    """Return what a run of the whole network records, each with the shape of one row."""
    N, P = job.network.width, job.target.P
    gram = {"q": (N,)} if N > MAX_WIDTH_OF_Q else {"Q": (N, N)}
    return {"risk": (), "m": (N, P), "a": (N,), "b": (N,), **gram}


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
    return seeds.child(job.rng, seeds.DATA, job.first + index).generate_state(1, np.uint64)[0]


def _shared(job: Job) -> tuple[Any, ...]:
    """Return those constants that all runs share; the same objects in every call, numba types them but once."""
    bound = BLOW_UP * _scale(job.network, job.target)
    return act_of(job.network.activation), _rule(job), bound, _source(job)


def _rule(job: Job) -> kernels.Rule:
    """Lay out the rates of the plain network and the loss."""
    rows = job.training.rates(job.network)
    return kernels.Rule(
        stops=np.array([row.stop for row in rows], dtype=np.int64),
        rates=np.array(
            [(row.w, row.a, row.b, 1 - row.w * row.decay_w, 1 - row.a * row.decay_a, row.inner) for row in rows]
        ),
        feedback=1.0 if job.training.loss == "square" else 0.0,
        sphere=int(job.training.geometry == "sphere"),
        twice=int(job.training.reuse == "twice"),
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
