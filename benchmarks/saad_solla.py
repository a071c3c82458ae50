"""saad-solla: one trajectory of Saad and Solla's setting against ``solve_ivp`` (RK45, NumPy) and diffrax.

erf, 4 student and 4 orthonormal teacher units, second layers 1 and frozen, the gradient flow to t = 100 with 101
outputs, at tolerance 1e-6. Each peer integrates the overlaps themselves, teacher and student, by the same pair kernels
in array operations, at the loosest tolerance, in eighths of a decade, at which its error is at most FACTOR times ours.
Errors are the largest deviations in any overlap at any output from DOP853 at tolerance 1e-12. Ours is the flow as the
package runs it (m, R, a, b: 40 numbers) with its default method, which goes from Tsitouras to ROCK4 on the way.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from benchmarks.integration import Integration
from benchmarks.overlap_flow import Rhs
from benchmarks.report import Result, row
from benchmarks.timing import least_seconds
from odesim.checks import RunError
from odesim.flows import _overlap as kernels
from odesim.flows.overlap_problem import problem_of
from odesim.network import Network
from odesim.targets.series import Target

Array = NDArray[np.float64]

UNITS, DIM = 4, 500
HORIZON, OUTPUTS, RTOL = 100.0, 101, 1e-6
METHOD = "auto"

FACTOR = 1.25
"""How many times our error a peer's may be: one step of the tolerance changes an error by a third."""

BATCH = 10
"""Integrations of ours a turn: a peer of tens of milliseconds leaves none of our code in the processor's caches."""

TWO_OVER_PI = 2 / math.pi


def measure(repeats: int) -> Result:
    """Match the errors, then time."""
    network, times = network_of(), np.linspace(0.0, HORIZON, OUTPUTS)
    target = Target.teacher(units=UNITS, activation="erf")
    start = np.hstack([network.m, network.m @ network.m.T + network.R])
    truth = _scipy(start, times, 1e-12, "DOP853")
    problem = problem_of(target, network.activation, UNITS, biased=False, kappas=(0.0, 0.0))
    y = np.concatenate([part.ravel() for part in (network.m, network.R, network.a, network.b)])
    ours = Integration(kernels.solve_overlap, problem, y, times, METHOD, RTOL, RTOL)
    error = _error(overlaps(ours.states()), truth)
    rtol, peer = _matched(lambda tolerance: _scipy(start, times, tolerance), truth, error)
    batch = {"ours": lambda: [ours.integrate() for _ in range(BATCH)]}
    least = least_seconds(batch | {"scipy": lambda: _scipy(start, times, rtol)}, repeats)
    rows = [row("saad-solla", least["ours"] / BATCH, "scipy", least["scipy"], (error, peer))]
    notes = [
        f"saad-solla: ours ({METHOD}) at tolerance {RTOL:g} with {ours.evaluations} evaluations, RK45 at {rtol:.1e}"
    ]
    if find_spec("jax") and find_spec("diffrax"):
        solve = diffrax_solver(start, times)
        rtol, peer = _matched(solve, truth, error)
        # it computes in threads of its own
        least = least_seconds(batch | {"diffrax": lambda: solve(rtol)}, repeats, time.process_time)
        rows.append(row("saad-solla", least["ours"] / BATCH, "diffrax", least["diffrax"], (error, peer)))
        notes.append(f"saad-solla: diffrax (Tsit5, compiled) at {rtol:.1e}, CPU time of all threads")
    else:
        notes.append("saad-solla: diffrax: not installed, skipped")
    return Result(rows, notes)


def network_of() -> Network:
    """Return small random students."""
    weights = 0.5 * np.random.default_rng(1).normal(size=(UNITS, DIM)) / math.sqrt(DIM)
    return Network.from_weights(
        Target.teacher(units=UNITS, activation="erf"), weights, np.ones(UNITS), activation="erf"
    )


def overlaps(states: Array) -> Array:
    """Turn rows (m, R, a, ...) into rows of (m | Q), one student after the other, as the peers have them."""
    m = states[:, : UNITS * UNITS].reshape(-1, UNITS, UNITS)
    R = states[:, UNITS * UNITS : 2 * UNITS * UNITS].reshape(-1, UNITS, UNITS)
    return np.concatenate([m, m @ m.swapaxes(1, 2) + R], axis=2).reshape(len(states), -1)


def numpy_rhs(t: float, y: Array) -> Array:
    """Fill the slopes of (m | Q): w_j' = Σ_v s_v (D_jv v + E_jv w_j) over teachers (s = 1) and students (s = −1)."""
    both = y.reshape(UNITS, 2 * UNITS)
    m, Q = both[:, :UNITS], both[:, UNITS:]
    own = 1 + Q.diagonal()
    teachers = TWO_OVER_PI / np.sqrt(2 * own[:, None] - m * m)
    students = TWO_OVER_PI / np.sqrt(np.outer(own, own) - Q * Q)
    pull = ((students * Q).sum(1) - (teachers * m).sum(1)) / own
    among = np.diag(pull) - students
    half = teachers @ m.T + among @ Q
    return np.hstack([teachers + among @ m, half + half.T]).ravel()


def _scipy(start: Array, times: Array, rtol: float, method: Any = "RK45") -> Array:
    rhs: Rhs = numpy_rhs
    found = solve_ivp(rhs, (0.0, HORIZON), start.ravel(), method, t_eval=times, rtol=rtol, atol=rtol)
    if not found.success:
        raise RunError(f"saad-solla: {method} failed: {found.message}")
    return found.y.T


def diffrax_solver(start: Array, times: Array) -> Callable[[float], Array]:
    """Return the compiled integration by diffrax as a function of the tolerance, in double precision."""
    import diffrax
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    def rhs(t: Any, y: Any, _: Any) -> Any:
        m, Q = y[:, :UNITS], y[:, UNITS:]
        own = 1 + jnp.diag(Q)
        teachers = TWO_OVER_PI / jnp.sqrt(2 * own[:, None] - m * m)
        students = TWO_OVER_PI / jnp.sqrt(jnp.outer(own, own) - Q * Q)
        pull = ((students * Q).sum(1) - (teachers * m).sum(1)) / own
        among = jnp.diag(pull) - students
        half = teachers @ m.T + among @ Q
        return jnp.hstack([teachers + among @ m, half + half.T])

    @jax.jit
    def integrate(y: Any, tolerance: Any) -> Any:
        return diffrax.diffeqsolve(
            diffrax.ODETerm(rhs),
            diffrax.Tsit5(),
            0.0,
            HORIZON,
            None,
            y,
            saveat=diffrax.SaveAt(ts=jnp.asarray(times)),
            stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance),
            max_steps=4096,
        ).ys

    first = jnp.asarray(start)
    return lambda tolerance: np.asarray(integrate(first, tolerance)).reshape(times.size, -1)


def _matched(solve: Callable[[float], Array], truth: Array, error: float) -> tuple[float, float]:
    """Find the loosest tolerance at which the error is at most FACTOR times ours; return both."""
    for eighths in range(24, 90):
        rtol = 10 ** (-eighths / 8)
        peer = _error(solve(rtol), truth)
        if peer <= FACTOR * error:
            return rtol, peer
    raise RunError(f"saad-solla: a peer does not reach our error of {error:.1e} at any tolerance")


def _error(states: Array, truth: Array) -> float:
    return float(np.abs(states - truth).max())
