"""Layerwise: Algorithm 1 of Abbe, Boix-Adserà & Misiakiewicz 2023, first layer under two radii, then second layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from odesim import checks
from odesim.job import Job
from odesim.network import Network
from odesim.sgd import _layerwise as kernels
from odesim.sgd import full, handed
from odesim.sgd._full import overlaps
from odesim.sgd.ensemble import Ensemble, Look, threads_for
from odesim.sgd.limits import (
    MAX_WIDTH_OF_Q,
    NEURON_PADDING,
    PAIR,
    ROW_PADDING,
    check_memory,
    check_risk,
    check_start,
    padded,
)
from odesim.sgd.mixed import risk
from odesim.sgd.sampled import Sampler, inputs_for, row_risk
from odesim.sgd.second_layer import best_second_layer
from odesim.training import Rates, TwoRadii
from odesim.trajectory import Status, Trajectory

Array = NDArray[np.float64]

SECOND_PHASES = ("sgd", "ridge")

LENGTH = 1e-6
"""How far the start's row lengths may be from 1."""


@dataclass(frozen=True)
class Layerwise:
    """Layerwise SGD of the whole network, one fresh sample a step: first w under two radii, then a; b is frozen.

    What `Training.layerwise` makes, or any training under ``TwoRadii(r, delta)`` whose phases move one layer each.
    With Δ = y − f(x) (or y under the correlation loss), a step of w takes, at one forward pass,

        w̃_j = w_j + η Δ a_j σ'_j (x − ρ_j w_j) on S_j, the coordinates not yet released, ρ_j = Σ_{i∈S_j} w_ji x_i,
        w̃_j = w_j + η Δ a_j σ'_j x             elsewhere;

    releases, for ever, what is in S_j with |w̃_ji| ≥ r; clips every entry to [−delta, delta]; and rescales what is then
    in S_j to length 1 (unless nothing is left of it). S_j is everything at the start. A step of a is
    a ← (1 − η_a λ_a) a + η_a Δ σ. Entries are coordinates of x: unlike SGD this is no rotation-invariant rule. In
    mean-field scaling the gradient is N times that of the loss, as everywhere.
    (Abbe, Boix-Adserà & Misiakiewicz 2023, Algorithm 1, which prints (1 − λ_a) a in the second phase, a misprint.)

    Parameters
    ----------
    dtype : str
        ``float64`` or ``float32`` for W and its products with x. All else is float64 in both; the samples are the
        same in both, of float32 resolution.
    threads : int, optional
        Seeds that run at a time; default all, up to the number of cores. It does not change the results.
    second_phase : {"sgd", "ridge"}
        Whether the second layer learns from samples, or jumps in the first step of its phase to the minimum of
        risk + (λ_a/2) ‖a‖² (see `ridge`) and stays there.
    test_samples : int, optional
        As of `SGD`: sample the risk on so many test inputs, with its standard error in ``risk_se``.

    Raises
    ------
    InputError
        For another dtype or second phase, a number of threads below 1 or of test samples below 2.
    """

    keeps_checkpoints: ClassVar[bool] = True
    dtype: str = "float64"
    threads: int | None = None
    second_phase: str = "sgd"
    test_samples: int | None = None

    def __post_init__(self) -> None:
        checks.choice("dtype", self.dtype, ("float64", "float32"))
        if self.test_samples is not None:
            checks.integer("test_samples", self.test_samples, low=2, remedy="leave it out for the exact risk")
        checks.choice("second_phase", self.second_phase, SECOND_PHASES)
        if self.threads is not None:
            checks.integer("threads", self.threads, low=1, remedy="leave it out for one a core")

    def simulate(self, job: Job) -> Trajectory:
        """Train once for every data seed and record risk, overlaps and releases at ``job.steps``.

        Returns
        -------
        Trajectory
            ``events["release"]`` (S, N, P) has the flow time, Σ η over all steps of either phase, after the step that
            released a coordinate of the support, NaN for none up to the last recorded row; ``strays`` (S, T, N) the
            number of coordinates off the support that each neuron has released.

        Raises
        ------
        InputError
            If the network has no weights or not all its rows have length 1, the training is of another geometry,
            moves two layers at a time or has a batch, decay of w or re-used samples, the exact risk, or ridge, of this
            network cannot be had or the memory does not suffice.
        """
        dtype, threads = np.dtype(self.dtype), threads_for(job, self.threads)
        inputs = inputs_for(job.target.data, job.target.P, job.network.width, self.test_samples)
        _check(job, dtype, threads, inputs)
        (N, P), shared, ridge = job.network.m.shape, handed.shared_of(job), self.second_phase == "ridge"
        if ridge or not inputs:
            check_risk(job)
        sampler = Sampler.of(inputs, shared[0], shared[-1])

        def start(index: int) -> _Walk:
            seed, state = handed.seed_of(job, index), _State.start(job.network, dtype)
            return _Walk(job, state, seed, shared, ridge, sampler and sampler.of_run(seed))

        ensemble = Ensemble(job, start, {**full.shapes(job, inputs), "strays": (N,), "release": (N, P)})
        ensemble.run(threads)
        release = _last(ensemble.rows.pop("release"))
        trajectory = ensemble.trajectory("layerwise SGD")
        times = job.training.time_at(np.maximum(release, 0.0))
        return replace(trajectory, events={"release": np.where(release >= 0, times, np.nan)})


@dataclass
class _State:
    """One run after ``step`` steps: V, scales and releases as the kernels keep them, all padded with zeros."""

    V: NDArray[Any]
    scale: Array
    a: Array
    b: Array
    released: kernels.Released
    step: int = 0

    @classmethod
    def start(cls, network: Network, dtype: np.dtype[Any]) -> _State:
        """Copy the start weights; nothing is released."""
        (N, P), columns, rows = network.m.shape, padded(network.dim, ROW_PADDING), padded(network.width, NEURON_PADDING)
        none = kernels.Released(np.zeros(N, np.int64), np.zeros((N, columns), np.int32), np.full((N, P), -1, np.int64))
        state = cls(np.zeros((N, columns), dtype), np.ones(N), np.zeros(rows), np.zeros(rows), none)
        assert network.weights is not None
        state.V[:, : network.dim] = network.weights
        state.a[:N], state.b[:N] = network.plain_a, network.b
        return state

    def settle(self) -> None:
        """Make V the weights themselves."""
        kernels.settle(self.V, self.scale, self.released, np.empty(self.V.shape[1], self.V.dtype))

    @property
    def weights(self) -> NDArray[Any]:
        """The first layer (N, d'), padded."""
        W = self.V.copy()
        kernels.settle(W, self.scale.copy(), self.released, np.empty(W.shape[1], W.dtype))
        return W


@dataclass
class _Walk:
    """One run."""

    job: Job
    state: _State
    seed: np.uint64
    shared: tuple[Any, ...]
    ridge: bool
    sampler: Sampler | None = None
    """What samples the risk; None where it is exact."""

    @property
    def step(self) -> int:
        return self.state.step

    def advance(self, until: int) -> Status:
        """Advance within the present phase."""
        state, row = self.state, self._rates
        count = min(full._steps_a_call(self.job.network), row.stop - state.step, until - state.step)
        if count <= 0:
            return Status.DONE
        status, taken = int(Status.DONE), count
        if row.w > 0:
            status, taken = self._first_phase(count, row)
        elif row.a > 0 and not self.ridge:
            status, taken = self._second_phase(count, row)
        elif row.a > 0 and state.step == row.start:
            state.settle()
            state.a[: self.job.network.width] = self._best(row)
        state.step += taken
        return Status(status)

    def look(self, step: int) -> Look:
        """Return what the network is like now."""
        return Look(Status.DONE, step, self._values())

    def finish(self, rows: Mapping[str, Array]) -> None:
        """With Q kept, exact risks are quicker found all at once."""
        if "Q" in rows and self.sampler is None:
            rows["risk"][:] = risk(self.job, *(rows[name] for name in ("m", "Q", "a", "b")))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return copies of all that changes; of the releases what there is."""
        state, released = self.state, self.state.released
        return {
            "V": state.V.copy(),
            "scale": state.scale.copy(),
            "a": state.a.copy(),
            "number": released.number.copy(),
            "which": released.which[:, : released.number.max()].copy(),
            "when": released.when.copy(),
            "step": np.array(state.step, dtype=np.int64),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take the state from `arrays`."""
        state, released = self.state, self.state.released
        state.V[:], state.scale[:], state.a[:] = arrays["V"], arrays["scale"], arrays["a"]
        released.number[:], released.when[:] = arrays["number"], arrays["when"]
        released.which[:, : arrays["which"].shape[1]] = arrays["which"]
        state.step = int(arrays["step"])

    @property
    def _rates(self) -> Rates:
        return next(row for row in self.job.training.rates(self.job.network) if self.state.step < row.stop)

    def _first_phase(self, count: int, row: Rates) -> tuple[int, int]:
        state, (act, rule, bound, source), radii = self.state, self.shared, self.job.training.geometry
        assert isinstance(radii, TwoRadii)
        return kernels.first_phase(
            state.V, state.scale, state.a, state.b, self.job.network.dim, state.step, count, self.seed, act,
            row.w, rule.feedback, bound, source, radii.r, radii.delta, state.released,
        )  # fmt: skip

    def _second_phase(self, count: int, row: Rates) -> tuple[int, int]:
        state, (act, rule, bound, source) = self.state, self.shared
        state.settle()
        return kernels.second_phase(
            state.V, state.a, state.b, self.job.network.dim, state.step, count, self.seed, act,
            row.a, 1 - row.a * row.decay_a, rule.feedback, bound, source,
        )  # fmt: skip

    def _best(self, row: Rates) -> Array:
        now = self._overlaps(self.state.weights)
        return best_second_layer(self.job.target, self.job.network.activation, *now, row.decay_a).a

    def _overlaps(self, W: NDArray[Any]) -> tuple[Array, Array, Array]:
        N, P = self.job.network.width, self.job.target.P
        m, Q = np.empty((N, P)), np.empty((N, N))
        overlaps(W, m, Q)
        return m, Q, self.state.b[:N].copy()

    def _values(self) -> dict[str, Array]:
        state, released, N, W = self.state, self.state.released, self.job.network.width, self.state.weights
        m, Q, b = self._overlaps(W)
        strays = released.number - (released.when >= 0).sum(axis=1)
        values = {"m": m, "Q": Q, "a": state.a[:N] / self.job.network.unit, "b": b}
        values |= {"strays": strays.astype(np.float64), "release": released.when.astype(np.float64)}
        if self.sampler or N > MAX_WIDTH_OF_Q:
            even = np.concatenate([W, np.zeros((N % PAIR, W.shape[1]), W.dtype)])
            values["q"] = np.diagonal(Q)
            values |= row_risk(self.job, self.sampler, values, even, np.ones(state.a.size), state.a, state.b)
        return values


def _last(rows: Array) -> Array:
    """The last row (S, ...) that each run recorded, of rows (S, T, ...); −1 where there is none."""
    count = np.isfinite(rows[:, :, 0, 0]).sum(axis=1)
    last = rows[np.arange(len(rows)), np.maximum(count - 1, 0)]
    return np.where(count[:, None, None] > 0, last, -1.0)


def _check(job: Job, dtype: np.dtype[Any], threads: int, inputs: int) -> None:
    """Refuse what this dynamics cannot run; ``inputs`` is 0 where its risk is exact."""
    training, network = job.training, job.network
    if not isinstance(training.geometry, TwoRadii):
        raise checks.InputError(
            f"training.geometry={training.geometry!r} is not the two radii of the layerwise algorithm; use "
            "Training.layerwise(...) or geometry=TwoRadii(r, delta) (--geometry two_radii:r,delta)"
        )
    training.need("Layerwise", batch=(1,), decay_w=(0,), reuse=("none",), normalised=(False,))
    if training.trains("b"):
        raise checks.InputError(
            f"training.eta_b={training.eta_b} trains the biases, which the layerwise algorithm freezes; use 0"
        )
    for number, row in enumerate(training.rates(network)):
        if row.w > 0 and row.a > 0:
            raise checks.InputError(
                f"training.schedule moves w and a together in phase {number}, the layerwise algorithm one after the "
                "other; use Training.layerwise(...) (--steps1 T), or eta_a=0 for its first phase alone"
            )
    columns = padded(network.dim, ROW_PADDING)
    check_memory(job, dtype, threads, inputs, beside=(2 + (job.checkpoint is not None)) * network.width * columns * 4)
    check_start(job, "Layerwise")
    lengths = np.linalg.norm(np.asarray(network.weights), axis=1)
    worst = int(np.argmax(abs(lengths - 1)))
    if abs(lengths[worst] - 1) > LENGTH:
        raise checks.InputError(
            f"network.weights of neuron {worst} have length {lengths[worst]:.4g}, not 1; draw them by "
            "Network.random(..., first_layer='signs') (--first-layer signs), or divide each row by its length"
        )
