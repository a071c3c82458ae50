"""The risk of the real network on test inputs, with its standard error, where the exact sum is too dear."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from odesim.flows.corners import MAX_BOOLEAN
from odesim.job import Job
from odesim.sgd import _sampled as kernels
from odesim.sgd._labels import Source

Array = NDArray[np.float64]

TEST_INPUTS = 16_384
"""Test inputs where a run does not say: they give the risk to some 1 %."""

MOST_PAIRS = 1_000_000
"""Pairs of neurons, at all signs of the support, over which a row's risk is still summed: half a second at most."""


def inputs_for(job: Job, wanted: int | None) -> int:
    """Return on how many test inputs a run's risk is sampled, 0 where it is exact.

    ``wanted`` is what the user asked for; None leaves it to the cost of the exact risk, a sum over the N²/2 pairs of
    neurons, for Boolean data at all 2^P signs.
    """
    if wanted is not None:
        return wanted
    boolean, P = job.target.data == "boolean", job.target.P
    pairs = (2.0**P if boolean else 1.0) * job.network.width**2 / 2
    return 0 if pairs <= MOST_PAIRS and not (boolean and P > MAX_BOOLEAN) else TEST_INPUTS


class Sampler(NamedTuple):
    """The test inputs of one run, the same at all of its rows: stream TEST of its seed.

    Attributes
    ----------
    number : int
        How many, M ≥ 2.
    seed : uint64
        Key of the run's samples.
    act, source
        The activation, and the law of inputs and labels, as kernels take them.
    """

    number: int
    seed: np.uint64
    act: Any
    source: Source

    def risk(self, W: NDArray[Any], scale: float, a: Array, b: Array, dim: int) -> tuple[float, float]:
        """Return ½E[(h − f)²] of f = Σ_j a_j σ(scale · <w_j, x> + b_j), unbiased, and its standard error.

        There is no label noise in it, and its bits depend on weights, seed and number alone.

        Parameters
        ----------
        W : array (N', d')
            Float32 or float64, padded with zeros; N' even.
        a, b : arrays, at least N' long
            Second layer of the plain network, and biases, padded with zeros.
        dim : int
            d ≤ d'.
        """
        losses = np.empty(self.number)
        kernels.losses(W, scale, a, b, dim, self.seed, self.act, self.source._replace(noise=0.0), losses)
        with np.errstate(over="ignore", invalid="ignore"):  # of a run that blows up
            return float(losses.mean()), float(losses.std(ddof=1)) / math.sqrt(self.number)


def norms(W: NDArray[Any], m: Array) -> Array:
    """Fill m (N, P) from the first columns of W; return ‖w_j‖² (N,), without any Gram matrix."""
    q = np.empty(m.shape[0])
    kernels.norms(W, m, q)
    return q
