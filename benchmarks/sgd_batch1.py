"""sgd-batch1: one step of full SGD, batch 1, d = 1000, N = 100, float32, random numbers included, one thread.

Peers do the same step by hand: NumPy alone, NumPy with SciPy's BLAS for the rank-one update in place, PyTorch.
They draw their samples in blocks, which is quicker than one by one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import get_blas_funcs
from scipy.special import erf

from benchmarks.report import Result, row
from benchmarks.timing import least_seconds
from odesim.checks import RunError
from odesim.job import Job
from odesim.network import Network
from odesim.sgd import full
from odesim.targets.series import Target
from odesim.training import Training
from odesim.trajectory import Status

Array = NDArray[Any]

DIM, WIDTH = 1000, 100
ETA = 0.2 / DIM
OUR_STEPS, PEER_STEPS = 2000, 200
"""Steps of one timed call: about 10 ms for each."""

ROOT_HALF, SLOPE_AT_0 = math.sqrt(0.5), math.sqrt(2 / math.pi)


def measure(repeats: int) -> Result:
    """Time all that is installed."""
    network = Network.random(Target.parse("z1 + z1*z2*z3"), width=WIDTH, dim=DIM, second_layer=0.1)
    contenders = {"ours": ours(network), "numpy": numpy_loop(network), "scipy": scipy_loop(network)}
    notes = [
        "sgd-batch1: one step; the peer numpy adds an outer product, scipy is the same loop with BLAS's rank-one "
        "update in place"
    ]
    if find_spec("torch") is not None:
        contenders["torch"] = torch_loop(network)
    else:
        notes.append('torch: not installed, skipped (pip install "odesim[bench]")')
    least = least_seconds(contenders, repeats)
    per_step = least.pop("ours") / OUR_STEPS
    return Result([row("sgd-batch1", per_step, peer, time / PEER_STEPS) for peer, time in least.items()], notes)


def ours(network: Network) -> Callable[[], None]:
    """Our kernel, as a run calls it; each call goes on where the last one stopped."""
    job = Job(Target.parse("z1 + z1*z2*z3"), network, Training(eta=ETA), np.array([0, OUR_STEPS]))
    state, constants = full._State.start(network, np.dtype(np.float32)), full._constants(job, 0)

    def call() -> None:
        status = full._advance(state, OUR_STEPS, network, constants)
        if status != Status.DONE:
            raise RunError(f"sgd-batch1: our run ended at step {state.step}: {status.text}")

    return call


def numpy_loop(network: Network) -> Callable[[], None]:
    """Return PEER_STEPS steps in NumPy alone."""
    W, a = _float32(network)
    samples, buffer = _numpy_samples(), np.empty_like(W)
    return lambda: numpy_steps(W, a, next(samples), ETA, buffer)


def scipy_loop(network: Network) -> Callable[[], None]:
    """Return PEER_STEPS steps in NumPy and SciPy's BLAS."""
    W, a = _float32(network)
    samples = _numpy_samples()
    return lambda: scipy_steps(W, a, next(samples), ETA)


def torch_loop(network: Network) -> Callable[[], None]:
    """Return PEER_STEPS steps in PyTorch, on one thread."""
    import torch

    W, a = (torch.from_numpy(part) for part in _float32(network))
    generator = torch.Generator().manual_seed(0)

    def call() -> None:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            torch_steps(W, a, torch.randn(PEER_STEPS, DIM, generator=generator), ETA)
        finally:
            torch.set_num_threads(before)

    return call


def numpy_steps(W: Array, a: Array, X: Array, eta: float, buffer: Array) -> None:
    """One step of W (N, d) and a (N), in place, for every row of X; ``buffer`` is like W."""
    for x, y in zip(X, labels(X), strict=True):
        # NumPy's quickest outer product: a third less than np.multiply or np.outer
        np.einsum("i,j->ij", descend(W, a, x, y, eta), x, out=buffer)
        W += buffer


def scipy_steps(W: Array, a: Array, X: Array, eta: float) -> None:
    """Do the same; W must be contiguous, so that BLAS updates it in place."""
    ger = get_blas_funcs("ger", (W,))
    for x, y in zip(X, labels(X), strict=True):
        ger(1.0, x, descend(W, a, x, y, eta), a=W.T, overwrite_a=1)


def labels(X: Any) -> Any:
    """h = z1 + z1 z2 z3 of every row, arrays or tensors."""
    return X[:, 0] * (1 + X[:, 1] * X[:, 2])


def descend(W: Array, a: Array, x: Array, y: float, eta: float) -> Array:
    """Update a and return the factor c of W += c xᵀ, both from the same forward pass."""
    lam = W @ x
    s = erf(lam * ROOT_HALF)
    rate = eta * (y - a @ s)
    c = rate * SLOPE_AT_0 * a * np.exp(lam * lam * -0.5)
    a += rate * s
    return c


def torch_steps(W: Any, a: Any, X: Any, eta: float) -> None:
    """Do the same on tensors, the gradient by hand and the update of W in place."""
    import torch

    with torch.inference_mode():
        for x, y in zip(X, labels(X), strict=True):
            lam = torch.mv(W, x)
            s = torch.erf(lam * ROOT_HALF)
            rate = eta * (y - torch.dot(a, s))
            c = rate * SLOPE_AT_0 * a * torch.exp(lam * lam * -0.5)
            a.add_(rate * s)
            W.addr_(c, x)


def _float32(network: Network) -> tuple[Array, Array]:
    """Return copies of the start weights."""
    assert network.weights is not None
    return network.weights.astype(np.float32, order="C"), network.a.astype(np.float32)


def _numpy_samples() -> Iterator[Array]:
    """Blocks of PEER_STEPS samples from the quickest of NumPy's generators, in one array over and over."""
    rng = np.random.Generator(np.random.SFC64(0))
    X = np.empty((PEER_STEPS, DIM), np.float32)
    while True:
        yield rng.standard_normal(dtype=np.float32, out=X)
