"""The weights of a run of SGD as its kernels keep them, and where a run starts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odesim._lines import BYTES as LINE
from odesim.job import Job
from odesim.network import LATER, Network
from odesim.sgd.limits import NEURON_PADDING, PAIR, padded, padded_shape

Array = NDArray[np.float64]


@dataclass
class State:
    """Zero-padded weights of one run after ``step`` steps; between calls a multiple of four.

    Neuron j's first layer is scale_j · W_j; the second layer is that of the plain network.
    """

    W: NDArray[Any]
    a: Array
    b: Array
    scale: Array
    step: int = 0

    @classmethod
    def start(cls, network: Network, dtype: np.dtype[Any], rows: int = PAIR) -> State:
        """Copy the start weights, padded: a multiple of ``rows`` rows, each a whole number of vectors long."""
        shape = padded_shape(network, rows)
        neurons = padded(shape[0], NEURON_PADDING)
        state = cls(zeros_on_lines(shape, dtype), np.zeros(neurons), np.zeros(neurons), np.ones(neurons))
        assert network.weights is not None
        state.W[: network.width, : network.dim] = network.weights
        state.a[: network.width], state.b[: network.width] = network.plain_a, network.b
        return state

    def copy(self) -> State:
        """Return a state that shares no arrays."""
        W = zeros_on_lines(self.W.shape, self.W.dtype)
        W[:] = self.W
        return State(W, self.a.copy(), self.b.copy(), self.scale.copy(), self.step)


def placed(job: Job) -> Job:
    """Return the job with its start where the geometry has it: on the sphere, weights of length 1."""
    network = job.network
    if job.training.geometry != "sphere" or network.weights is None:
        return job
    length = np.linalg.norm(network.weights, axis=1)
    m, weights = network.m / length[:, None], network.weights / length[:, None]
    return replace(job, network=replace(network, m=m, R=LATER, weights=weights))


def zeros_on_lines(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Zeros that begin with a line of memory: a vector across two lines costs twice."""
    count = int(np.prod(shape))
    spare = LINE // dtype.itemsize
    zeros = np.zeros(count + spare, dtype)
    first = -zeros.ctypes.data % LINE // dtype.itemsize
    return zeros[first : first + count].reshape(shape)
