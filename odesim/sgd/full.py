"""SGD: the real network in d dimensions, trained sample by sample; the judge of every reduction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from odesim import checks
from odesim.job import Job
from odesim.memory import Memory
from odesim.network import Network
from odesim.sgd import _full as kernels
from odesim.sgd._online import advance
from odesim.sgd._products import NEURONS
from odesim.sgd._random import GROUP
from odesim.sgd.ensemble import Ensemble, Look, threads_for
from odesim.sgd.handed import seed_of, shared_of
from odesim.sgd.limits import (
    MAX_WIDTH_OF_Q,
    PAIR,
    Sizes,
    check,
    needed,
)
from odesim.sgd.mixed import risk
from odesim.sgd.sampled import Sampler, inputs_for, norms, row_risk
from odesim.sgd.state import State, placed
from odesim.training import Training
from odesim.trajectory import Status, Trajectory

Array = NDArray[np.float64]

WORK_A_CALL = 1e8
"""Operations between two looks at the progress bar and the stop flag: about 20 ms."""


@dataclass(frozen=True)
class SGD:
    """Online SGD of the whole network, a batch of fresh samples a step, all data seeds from one start.

    Every step uses one forward pass for all updates: with Δ = y − f(x), or Δ = y under the correlation loss,
    w_j ← (1 − η_w λ_w) w_j + η_w Δ a_j σ'_j x, a_j ← (1 − η_a λ_a) a_j + η_a Δ σ_j, b_j ← b_j + η_b Δ a_j σ'_j, where
    f = Σ_j a_j σ_j and the rates are those of `Training.rates` at that step. x is N(0, I) or uniform on {±1}^d, as
    the target says; a teacher's labels come from its own activation.

    On the sphere (``training.geometry``) every w_j starts scaled to length 1 and steps to
    w_j + η_w Δ a_j σ'_j (x − <w_j, x> w_j), scaled back to length 1. With ``training.reuse`` an inner step of size ρ
    first moves the preactivations to λ_j ± ρ Δ a_j σ'_j ‖x‖², where Δ, σ_j and σ'_j of the step above are then taken;
    on the sphere it moves along the tangent, ‖x‖² − <w_j, x>² in the place of ‖x‖². "twice" takes the whole step twice.
    With ``training.normalised`` what is added to W, on the sphere along the tangents, has the Frobenius norm η_w over
    all neurons, or is 0; decay, an inner step and the other layers are as ever.

    A batch takes the mean over its samples of all that is added above, of an inner step too; on the sphere before the
    scaling back. Step t sees the samples Bt, …, Bt + B − 1 of one sequence, whatever the batch B.

    Parameters
    ----------
    dtype : str
        ``float64`` or ``float32`` for W and its products with x. The second layer, the biases and the
        overlaps are float64 in both; the samples are the same in both, of float32 resolution.
    threads : int, optional
        Seeds that run at a time; default all, up to the number of cores. It does not change the results.
    test_samples : int, optional
        Sample the risk on this many test inputs of the run's own, the same at every row, and record its standard
        error in ``risk_se``. By default the risk is exact (for Boolean data up to O(1/d)), and sampled on 16384 inputs
        where that is too dear: Boolean targets of more than 10 coordinates, or above a million pairs of neurons, N²/2,
        times 2^P for Boolean data.

    Raises
    ------
    InputError
        For another dtype, a number of threads below 1 or of test samples below 2.
    """

    keeps_checkpoints: ClassVar[bool] = True
    dtype: str = "float64"
    threads: int | None = None
    test_samples: int | None = None

    def __post_init__(self) -> None:
        checks.choice("dtype", self.dtype, ("float64", "float32"))
        if self.threads is not None:
            checks.integer("threads", self.threads, low=1, remedy="leave it out for one a core")
        if self.test_samples is not None:
            checks.integer("test_samples", self.test_samples, low=2, remedy="leave it out for the exact risk")

    def simulate(self, job: Job) -> Trajectory:
        """Train once for every data seed and record risk and overlaps at ``job.steps``.

        A run that diverges ends with a status and the step in its message; ctrl-C ends all runs with the rows
        recorded so far.

        Raises
        ------
        InputError
            If the network has no weights, or on the sphere one neuron none but zeros, the training has an infinite
            batch, a geometry or anything else that this dynamics does not know, the risk of this network cannot be had
            or the memory does not suffice.
        """
        self.check(job)
        dtype, inputs = np.dtype(self.dtype), self._inputs(job)
        job = placed(job)
        shared, (walk, rows) = shared_of(job), _walk(job)
        sampler = Sampler.of(inputs, shared[0], shared[-1])

        def start(index: int) -> _Walk:
            seed = seed_of(job, index)
            state = State.start(job.network, dtype, rows)
            return walk(job, state, (seed, *shared), sampler and sampler.of_run(seed))

        ensemble = Ensemble(job, start, shapes(job, inputs))
        ensemble.run(threads_for(job, self.threads))
        return ensemble.trajectory("SGD")

    def check(self, job: Job) -> None:
        """Refuse what `simulate` would refuse, before anything is allocated.

        Raises
        ------
        InputError
            As `simulate` does.
        """
        check(job, np.dtype(self.dtype), threads_for(job, self.threads), self._inputs(job))

    def _inputs(self, job: Job) -> int:
        """Test inputs of a run; 0 where the risk is exact."""
        return inputs_for(job.target.data, job.target.P, job.network.width, self.test_samples)

    def memory(
        self,
        *,
        width: int,
        dim: int,
        coordinates: int,
        data: str = "gaussian",
        training: Training | None = None,
        seeds: int = 1,
        points: int = 300,
        checkpoint: bool = False,
    ) -> Memory:
        """Say what a run will need, before anything is drawn: ``print(SGD().memory(width=100, dim=10**6, ...))``.

        ``coordinates`` are the target's P, ``data`` the law of the inputs, ``points`` the rows recorded of each of
        ``seeds`` runs, by default of one sample a step; ``checkpoint`` says whether they keep one.
        """
        sizes = Sizes(width, dim, coordinates, seeds, points)
        rule = training or Training(eta=1.0)
        return needed(sizes, data, rule, checkpoint, self.dtype, self.threads, self.test_samples)


@dataclass
class _Walk:
    """One run, in whole groups of four steps; output steps inside a group are seen ahead, on a copy."""

    job: Job
    state: State
    constants: tuple[Any, ...]
    sampler: Sampler | None = None
    """What samples the risk; None where it is exact."""

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
        """With Q kept, exact risks are quicker found all at once."""
        if "Q" in rows and self.sampler is None:
            rows["risk"][:] = risk(self.job, *(rows[name] for name in ("m", "Q", "a", "b")))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return a copy of the weights and where they stand."""
        state = self.state.copy()
        return {
            "W": state.W,
            "a": state.a,
            "b": state.b,
            "step": np.array(state.step, dtype=np.int64),
            "scale": state.scale,
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take the weights from `arrays`."""
        state = self.state
        state.W[:], state.a[:], state.b[:] = arrays["W"], arrays["a"], arrays["b"]
        state.scale[:], state.step = arrays["scale"], int(arrays["step"])

    def _values(self, state: State) -> dict[str, Array]:
        network, N = self.job.network, self.job.network.width
        m, scale = np.empty((N, self.job.target.P)), state.scale[:N]
        values = {"a": state.a[:N] / network.unit, "b": state.b[:N].copy()}
        if self.sampler and N > MAX_WIDTH_OF_Q:
            values["q"] = scale**2 * norms(state.W, m)
        else:
            Q = np.empty((N, N))
            kernels.overlaps(state.W, m, Q)
            Q *= np.outer(scale, scale)
            values["Q"], values["q"] = Q, np.diagonal(Q)
        values["m"] = m
        m *= scale[:, None]
        if self.sampler or N > MAX_WIDTH_OF_Q:
            values |= row_risk(self.job, self.sampler, values, state.W, state.scale, state.a, state.b)
        return values


def _walk(job: Job) -> tuple[type[_Walk], int]:
    """Return what runs this batch, and the number of rows of W that it takes at a time."""
    if job.training.batch == 1:
        return _Walk, PAIR
    from odesim.sgd.batch import BatchWalk  # which builds on this file

    return BatchWalk, NEURONS


def shapes(job: Job, inputs: int = 0) -> dict[str, tuple[int, ...]]:
    """Return what a run of the whole network records, each with the shape of one row."""
    N, P = job.network.width, job.target.P
    gram = {"q": (N,)} if N > MAX_WIDTH_OF_Q else {"Q": (N, N)}
    return {"risk": (), **({"risk_se": ()} if inputs else {}), "m": (N, P), "a": (N,), "b": (N,), **gram}


def _advance(state: State, count: int, network: Network, constants: tuple[Any, ...]) -> Status:
    """Take ``count`` steps in place."""
    status, state.step = advance(
        state.W, state.scale, state.a, state.b, network.width, network.dim, state.step, count, *constants
    )
    return Status(status)


def _steps_a_call(network: Network) -> int:
    """Steps that take a few hundredths of a second."""
    work = 1000 + 20 * network.width + 10 * network.dim + network.width * network.dim
    return GROUP * max(1, int(WORK_A_CALL / (GROUP * work)))
