"""The risk of the real network on test inputs, with its standard error, where the exact sum is too dear."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from odesim.flows.corners import MAX_BOOLEAN
from odesim.job import Job
from odesim.sgd import _sampled as kernels
from odesim.sgd._labels import Source
from odesim.sgd.mixed import risk

Array = NDArray[np.float64]

TEST_INPUTS = 16_384
"""Test inputs where a run does not say: they give the risk to some 1 %."""

MOST_PAIRS = 1_000_000
"""Pairs of neurons, at all signs of the support, over which a row's risk is still summed: half a second at most."""


def inputs_for(data: str, coordinates: int, width: int, wanted: int | None) -> int:
    """Return on how many test inputs a run's risk is sampled, 0 where it is exact.

    ``wanted`` is what the user asked for; None leaves it to the cost of the exact risk, a sum over the N²/2 pairs of
    neurons, for Boolean data at all 2^P signs.
    """
    if wanted is not None:
        return wanted
    signs = 2.0**coordinates if data == "boolean" else 1.0
    many = data == "boolean" and coordinates > MAX_BOOLEAN
    return TEST_INPUTS if many or signs * width**2 / 2 > MOST_PAIRS else 0


class Sampler(NamedTuple):
    """The test inputs of one run, the same at all of its rows: stream TEST of its seed.

    Attributes
    ----------
    number : int
        How many, M ≥ 2.
    act, source
        The activation, and the law of inputs and labels without noise, as kernels take them.
    seed : uint64
        Key of the run's samples.
    """

    number: int
    act: Any
    source: Source
    seed: np.uint64 = np.uint64(0)

    @classmethod
    def of(cls, number: int, act: Any, source: Source) -> Sampler | None:
        """Return the sampler of all runs, before they have seeds; None for no test inputs."""
        return cls(number, act, source._replace(noise=0.0)) if number else None

    def of_run(self, seed: np.uint64) -> Sampler:
        """Return that of one run; what kernels look through stays the same object, numba types it but once."""
        return self._replace(seed=seed)

    def risk(self, W: NDArray[Any], scale: Array, a: Array, b: Array, dim: int) -> tuple[float, float]:
        """Return ½E[(h − f)²] of f = Σ_j a_j σ(scale_j <W_j, x> + b_j), unbiased, and its standard error.

        There is no label noise in it, and its bits depend on weights, seed and number alone.

        Parameters
        ----------
        W : array (N', d')
            Float32 or float64, padded with zeros; N' even.
        scale, a, b : arrays, at least N' long
            Scales of the rows; second layer of the plain network, and biases, padded with zeros.
        dim : int
            d ≤ d'.
        """
        losses = np.empty(self.number)
        kernels.losses(W, scale, a, b, dim, self.seed, self.act, self.source, losses)
        with np.errstate(over="ignore", invalid="ignore"):  # of a run that blows up
            return float(losses.mean()), float(losses.std(ddof=1)) / math.sqrt(self.number)


def row_risk(
    job: Job, sampler: Sampler | None, values: Mapping[str, Array], W: NDArray[Any], scale: Array, a: Array, b: Array
) -> dict[str, Any]:
    """Return the risk of a row: exact from its values m, Q, a and b, or sampled from the weights; {} if not finite.

    Parameters
    ----------
    W, scale, a, b : arrays
        As `Sampler.risk` takes them.
    """
    if not all(np.isfinite(value).all() for value in values.values()):
        return {}
    if sampler is None:
        return {"risk": risk(job, *(values[name] for name in ("m", "Q", "a", "b")))}
    return dict(zip(("risk", "risk_se"), sampler.risk(W, scale, a, b, job.network.dim), strict=True))


def norms(W: NDArray[Any], m: Array) -> Array:
    """Fill m (N, P) from the first columns of W; return ‖w_j‖² (N,), without any Gram matrix."""
    q = np.empty(m.shape[0])
    kernels.norms(W, m, q)
    return q
