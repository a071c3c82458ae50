"""thousand-neurons: 1000 neurons alone in the field of z1 + z1*z2*z3, against the stacked system and against vmap.

Correlation flow on the sphere, erf, d = 400, a ~ Unif[-½, ½], biases in [-1, 1], to t = 50, with 81 outputs. Ours
integrates each neuron on its own step sizes, in lanes of one thread, and takes the target as data. The peers:
``solve_ivp`` (RK45) of all 4000 unknowns at once with a right-hand side in NumPy's array operations, one that takes any
target ("scipy") and one tuned by hand to this target ("scipy-tuned"); and, if it is installed, diffrax (Tsit5) under
vmap with the tuned formulas. Times are CPU times of the whole process, as diffrax computes in threads of its own. The
error of each is its largest deviation in any m or R at any output from ours at tolerance 1e-12.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from benchmarks.report import Result, row
from benchmarks.timing import least_seconds
from odesim.checks import RunError
from odesim.flows.correlation import CorrelationFlow
from odesim.flows.lanes import LaneRun
from odesim.flows.residuals import Start, start_of
from odesim.job import Job
from odesim.network import Network
from odesim.targets.series import Target
from odesim.training import Training
from odesim.trajectory import Status

Array = NDArray[np.float64]
Rhs = Callable[[float, Array], Array]
Peer = Callable[[float], Array]

TARGET, WIDTH, DIM = "z1 + z1*z2*z3", 1000, 400
HORIZON, OUTPUTS = 50.0, 81

FACTOR = 1.25
"""A peer runs at the loosest tolerance, in eighths of a decade, with at most this many times our error."""

ATOL_SHARE = 1e-2
"""atol/rtol, for all: what our defaults have."""

FRONT = math.sqrt(2 / math.pi)


def measure(repeats: int) -> Result:
    """Match the errors, then time."""
    job = reference()
    start = start_of(job)
    truth, ours = states(job, start, 1e-12), states(job, start, CorrelationFlow.rtol)
    error = float(abs(ours - truth).max())
    a, b = job.network.plain_a, job.network.b
    plain, tuned = numpy_rhs(job.target, a, b), tuned_rhs(a, b)
    peers: dict[str, Peer] = {
        "scipy": lambda rtol: stacked(plain, job, start, rtol),
        "scipy-tuned": lambda rtol: stacked(tuned, job, start, rtol),
    }
    notes = ["thousand-neurons: per integration of all neurons; trajectories alone, without the network's risk"]
    if find_spec("diffrax"):
        peers["diffrax"] = diffrax_peer(job, start)
    else:
        notes.append('thousand-neurons: diffrax: not installed, skipped (pip install "odesim[bench]")')
    contenders: dict[str, Callable[[], object]] = {"ours": lambda: states(job, start, CorrelationFlow.rtol)}
    errors = {}
    for name, peer in peers.items():
        rtol, errors[name] = matching_tolerance(name, peer, truth, error)
        contenders[name] = lambda peer=peer, rtol=rtol: peer(rtol)  # type: ignore[misc]
        notes.append(f"thousand-neurons: {name} at rtol {rtol:.1e}, ours at {CorrelationFlow.rtol:g}")
    least = least_seconds(contenders, repeats, time.process_time)
    rows = [row("thousand-neurons", least["ours"], name, least[name], (error, errors[name])) for name in peers]
    return Result(rows, notes)


def reference(width: int = WIDTH) -> Job:
    """Return the job of the case."""
    target = Target.parse(TARGET)
    network = Network.random(
        target, width=width, dim=DIM, second_layer=0.5, second_layer_law="uniform", biases=1.0, rng=0
    )
    training = Training(eta=HORIZON / (100 * (OUTPUTS - 1)), geometry="sphere")
    return Job(target, network, training, 100 * np.arange(OUTPUTS))


def states(job: Job, start: Start, rtol: float) -> Array:
    """(m, R) of all neurons, shape (N, 4, T), by ours."""
    run = LaneRun(job, start, rtol, ATOL_SHARE * rtol)
    run.run(threads=1)
    if (run.members.status != Status.DONE).any():
        raise RunError("thousand-neurons: our integration did not reach its end")
    return run.outputs


def numpy_rhs(target: Target, a: Array, b: Array) -> Rhs:
    """Return the flow of all neurons, y = (m, R) one after another, in array operations, for any target.

    c_k = c_1 (−t)^{k−1} He_{k−1}(x), t = (1 + q)^{−1/2}, x = bt, by the recursion of He; on the sphere the radial part
    of the gradient G = ∂C/∂m, (m·G)/q, is taken off.
    """
    offsets, coordinates, powers, coefficients = target.arrays()
    factors = [np.repeat(coordinates[i:j], powers[i:j]) for i, j in pairwise(offsets)]
    most = max(len(one) for one in factors)
    terms = [
        (c, one, [np.delete(one, i) for i in range(len(one))]) for c, one in zip(coefficients, factors, strict=True)
    ]

    def rhs(time: float, y: Array) -> Array:
        state = y.reshape(-1, a.size)
        m, R = state[:-1], state[-1]
        q = (m * m).sum(axis=0) + R
        t = 1 / np.sqrt(1 + q)
        x = b * t
        c = [np.zeros_like(t), FRONT * t * np.exp(-0.5 * x * x)]
        for k in range(1, most):
            c.append(-t * (x * c[k] + (k - 1) * t * c[k - 1]))
        G = np.zeros_like(m)
        for coefficient, factors, others in terms:
            weight = coefficient * c[len(factors)]
            for r, rest in zip(factors, others, strict=True):
                G[r] += weight * m[rest].prod(axis=0)
        radial = (m * G).sum(axis=0) / q
        return np.vstack([a * (G - radial * m), -2 * a * radial * R]).ravel()

    return rhs


def tuned_rhs(a: Array, b: Array) -> Rhs:
    """Return the same of z1 + z1*z2*z3, written out and with common factors taken together by hand."""
    front = FRONT * a

    def rhs(time: float, y: Array) -> Array:
        m1, m2, m3, R = state = y.reshape(4, -1)
        q = m1 * m1 + m2 * m2 + m3 * m3 + R
        t2 = 1 / (1 + q)
        t = np.sqrt(t2)
        x2 = t2 * b2
        c1 = front * t * np.exp(-0.5 * x2)
        c3 = c1 * t2 * (x2 - 1)
        m23 = m2 * m3
        slope = np.empty_like(state)
        slope[0] = c1 + c3 * m23
        c3m1 = c3 * m1
        slope[1] = c3m1 * m3
        slope[2] = c3m1 * m2
        slope[3] = 0.0
        radial = -(m1 * slope[0] + 2 * c3m1 * m23) / q
        slope[:3] += radial * state[:3]
        slope[3] = 2 * radial * R
        return slope.ravel()

    b2 = b * b
    return rhs


def stacked(rhs: Rhs, job: Job, start: Start, rtol: float) -> Array:
    """Return the same of the stacked system, by ``solve_ivp``."""
    found = solve_ivp(
        rhs,
        (0.0, float(job.time[-1])),
        np.column_stack([start.m, start.R]).T.ravel(),
        "RK45",
        t_eval=job.time,
        rtol=rtol,
        atol=ATOL_SHARE * rtol,
    )
    if not found.success:
        raise RunError(f"thousand-neurons: RK45 failed: {found.message}")
    return np.moveaxis(found.y.reshape(4, -1, job.time.size), 0, 1)


def diffrax_peer(job: Job, start: Start) -> Peer:
    """Return the same by diffrax, each neuron on its own step sizes under vmap; compiled once."""
    import os

    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
    import diffrax
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    times = jnp.asarray(job.time)

    def slope(time: Any, y: Any, numbers: Any) -> Any:
        a, b = numbers
        m1, m2, m3, R = y
        q = m1 * m1 + m2 * m2 + m3 * m3 + R
        t2 = 1 / (1 + q)
        x2 = b * b * t2
        c1 = FRONT * a * jnp.sqrt(t2) * jnp.exp(-0.5 * x2)
        c3 = c1 * t2 * (x2 - 1)
        G = jnp.stack([c1 + c3 * m2 * m3, c3 * m1 * m3, c3 * m1 * m2])
        radial = -(m1 * G[0] + m2 * G[1] + m3 * G[2]) / q
        return jnp.stack([G[0] + radial * m1, G[1] + radial * m2, G[2] + radial * m3, 2 * radial * R])

    def one(y: Any, numbers: Any, rtol: Any) -> Any:
        found = diffrax.diffeqsolve(
            diffrax.ODETerm(slope),
            diffrax.Tsit5(),
            0.0,
            times[-1],
            None,
            y,
            args=numbers,
            saveat=diffrax.SaveAt(ts=times),
            stepsize_controller=diffrax.PIDController(rtol=rtol, atol=ATOL_SHARE * rtol),
            max_steps=4096,
        )
        return found.ys.T

    all_of_them = jax.jit(jax.vmap(one, in_axes=(0, 0, None)))
    y = jnp.asarray(np.column_stack([start.m, start.R]))
    numbers = (jnp.asarray(job.network.plain_a), jnp.asarray(job.network.b))
    return lambda rtol: np.asarray(all_of_them(y, numbers, rtol).block_until_ready())


def matching_tolerance(name: str, peer: Peer, truth: Array, error: float) -> tuple[float, float]:
    """Find the loosest rtol at which the peer's error is at most FACTOR times ours; return it and the error."""
    for eighths in range(24, 96):
        rtol = 10 ** (-eighths / 8)
        found = float(abs(peer(rtol) - truth).max())
        if found <= FACTOR * error:
            return rtol, found
    raise RunError(f"thousand-neurons: {name} does not reach our error of {error:.1e} at any tolerance")
