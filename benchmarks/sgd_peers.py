"""The same SGD by hand, as the best simple loops have it: NumPy, NumPy with SciPy's BLAS in place, PyTorch; one thread.

z1 + z1*z2*z3, erf, the gradient written out, updates of W in place where the library can. Batch 1 draws its samples in
blocks, which is quicker than one by one; a mini-batch is a block, drawn into the same array over and over.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import get_blas_funcs
from scipy.special import erf

from benchmarks.sgd_runs import ETA
from odesim.network import Network

Array = NDArray[Any]
Loop = Callable[[], object]

ROOT_HALF, SLOPE_AT_0 = math.sqrt(0.5), math.sqrt(2 / math.pi)


def one_by_one(network: Network, steps: int, torch: bool) -> dict[str, Loop]:
    """Loops of that many steps of one sample each."""
    W, a = weights(network)
    V, b = weights(network)
    samples, others, buffer = blocks(steps, network.dim), blocks(steps, network.dim), np.empty_like(W)
    loops: dict[str, Loop] = {
        "numpy": lambda: numpy_steps(W, a, next(samples), ETA, buffer),
        "scipy": lambda: scipy_steps(V, b, next(others), ETA),
    }
    return loops | ({"torch": _torch_one_by_one(network, steps)} if torch else {})


def in_batches(network: Network, steps: int, batch: int, torch: bool) -> dict[str, Loop]:
    """Loops of that many steps of a mini-batch each."""
    W, a = weights(network)
    batches, gradient = blocks(batch, network.dim), np.empty_like(W)

    def numpy_loop() -> None:
        for _ in range(steps):
            numpy_batch(W, a, next(batches), ETA, gradient)

    return {"numpy": numpy_loop} | ({"torch": _torch_in_batches(network, steps, batch)} if torch else {})


def weights(network: Network) -> tuple[Array, Array]:
    """Return copies of the start weights."""
    assert network.weights is not None
    return network.weights.astype(np.float32, order="C"), network.plain_a.astype(np.float32)


def blocks(count: int, dim: int) -> Iterator[Array]:
    """Blocks of samples from the quickest of NumPy's generators, in one array over and over."""
    rng = np.random.Generator(np.random.SFC64(0))
    X = np.empty((count, dim), np.float32)
    while True:
        yield rng.standard_normal(dtype=np.float32, out=X)


def labels(X: Any) -> Any:
    """h = z1 + z1 z2 z3 of every row, arrays or tensors."""
    return X[:, 0] * (1 + X[:, 1] * X[:, 2])


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


def descend(W: Array, a: Array, x: Array, y: float, eta: float) -> Array:
    """Update a and return the factor c of W += c xᵀ, both from the same forward pass."""
    lam = W @ x
    s = erf(lam * ROOT_HALF)
    rate = eta * (y - a @ s)
    c = rate * SLOPE_AT_0 * a * np.exp(lam * lam * -0.5)
    a += rate * s
    return c


def torch_steps(W: Any, a: Any, X: Any, eta: float) -> None:
    """Do the same on tensors."""
    import torch

    for x, y in zip(X, labels(X), strict=True):
        lam = torch.mv(W, x)
        s = torch.erf(lam * ROOT_HALF)
        rate = eta * (y - torch.dot(a, s))
        c = rate * SLOPE_AT_0 * a * torch.exp(lam * lam * -0.5)
        a.add_(rate * s)
        W.addr_(c, x)


def numpy_batch(W: Array, a: Array, X: Array, eta: float, gradient: Array) -> None:
    """One step of W and a, in place, along the mean gradient over the rows of X; ``gradient`` is like W."""
    lam = W @ X.T  # this way round is the quicker
    s = erf(lam * ROOT_HALF)
    rate = eta / len(X) * (labels(X) - a @ s)
    c = np.exp(lam * lam * -0.5)
    c *= (SLOPE_AT_0 * a)[:, None]
    c *= rate
    np.matmul(c, X, out=gradient)
    W += gradient
    a += s @ rate


def torch_batch(W: Any, a: Any, X: Any, eta: float) -> None:
    """Do the same on tensors."""
    import torch

    lam = torch.mm(W, X.T)
    s = torch.erf(lam * ROOT_HALF)
    rate = eta / len(X) * (labels(X) - torch.mv(s.T, a))
    c = torch.exp(lam * lam * -0.5).mul_((SLOPE_AT_0 * a)[:, None]).mul_(rate)
    W.addmm_(c, X)
    a.addmv_(s, rate)


def on_one_thread(loop: Loop) -> Loop:
    """Hold PyTorch at one thread and without its records for gradients."""
    import torch

    def call() -> object:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with torch.inference_mode():
                return loop()
        finally:
            torch.set_num_threads(before)

    return call


def _torch_one_by_one(network: Network, steps: int) -> Loop:
    import torch

    W, a = (torch.from_numpy(part) for part in weights(network))
    X, generator = torch.empty(steps, network.dim), torch.Generator().manual_seed(0)
    return on_one_thread(lambda: torch_steps(W, a, X.normal_(generator=generator), ETA))


def _torch_in_batches(network: Network, steps: int, batch: int) -> Loop:
    import torch

    W, a = (torch.from_numpy(part) for part in weights(network))
    X, generator = torch.empty(batch, network.dim), torch.Generator().manual_seed(0)

    def loop() -> None:
        for _ in range(steps):
            torch_batch(W, a, X.normal_(generator=generator), ETA)

    return on_one_thread(loop)
