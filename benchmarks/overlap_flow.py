"""overlap-flow: one integration by our kernel against a vectorised right-hand side under ``solve_ivp`` (RK45).

z1 + z1*z2*z3, erf, N = 8, d = 400, a = ±½ trained, no finite-step term, to t = 100, with 300 outputs. The error
of either is its largest deviation in any entry of (m, R, a) at any output from DOP853 at tolerance 1e-11.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from benchmarks.report import Result, row
from benchmarks.timing import least_seconds
from odesim.checks import RunError
from odesim.flows import _overlap as kernels
from odesim.flows.overlap import OverlapFlow, problem_of
from odesim.integrate import _explicit
from odesim.integrate.grids import step_grid
from odesim.integrate.methods import method as method_of
from odesim.integrate.methods import no_events, places, workspace
from odesim.network import Network
from odesim.targets.series import Target

Array = NDArray[np.float64]
Rhs = Callable[[float, Array], Array]

TARGET, WIDTH, DIM = "z1 + z1*z2*z3", 8, 400
HORIZON, OUTPUTS = 100.0, 300

FACTOR = 2.0
"""The peer runs at the loosest tolerance, in eighths of a decade, with at most this many times our error."""

ATOL_SHARE = 1e-2
"""atol/rtol, for both: what our defaults have."""


@dataclass(frozen=True)
class Setting:
    """A start and an output grid; y = (m, R, a), flat."""

    network: Network
    start: Array
    times: Array

    @classmethod
    def reference(cls) -> Setting:
        """Return the setting of the case."""
        network = Network.random(Target.parse(TARGET), width=WIDTH, dim=DIM, second_layer=0.5)
        start = np.concatenate([part.ravel() for part in (network.m, network.R, network.a)])
        eta = 0.2 / DIM
        return cls(network, start, eta * step_grid(round(HORIZON / eta), OUTPUTS, "log"))


def measure(repeats: int) -> Result:
    """Match the errors, then time."""
    setting = Setting.reference()
    ours, rhs = Ours.of(setting), numpy_rhs(WIDTH)
    truth = solve(setting, rhs, 1e-11, "DOP853").y.T
    error = _error(ours.states(), truth)
    rtol, error_peer, evaluations = matching_tolerance(setting, rhs, truth, error)
    least = least_seconds({"ours": ours.integrate, "scipy": lambda: solve(setting, rhs, rtol)}, repeats)
    note = (
        f"overlap-flow: one integration to t = {HORIZON:g}; ours at rtol {OverlapFlow.rtol:g} with "
        f"{ours.evaluations} evaluations, RK45 at rtol {rtol:.1e} with {evaluations}"
    )
    return Result([row("overlap-flow", least["ours"], "scipy", least["scipy"], (error, error_peer))], [note])


class Ours:
    """Our integration: arrays laid out once, the state and the controller set back before every run."""

    def __init__(
        self, problem: Any, network: Network, times: Array, rtol: float, atol: float, method: str = "auto"
    ) -> None:
        self.problem, self.times, self.tolerances = problem, times, (rtol, atol)
        self.start = np.concatenate([part.ravel() for part in (network.m, network.R, network.a, network.b)])
        size = self.start.size
        self.method, self.events = method_of(method, size), no_events(size)
        self.control, self.counts = places()
        self.out, self.work = np.zeros((times.size, size)), workspace(self.method, size)

    @classmethod
    def of(cls, setting: Setting) -> Ours:
        """Return that of this case."""
        network = setting.network
        problem = problem_of(Target.parse(TARGET), network.activation, network.width, biased=False)
        return cls(problem, network, setting.times, OverlapFlow.rtol, OverlapFlow.atol)

    def integrate(self) -> None:
        """Integrate once, into ``out``."""
        y = self.start.copy()
        self.control[:], self.counts[:] = 0.0, 0
        self.control[_explicit.RTOL], self.control[_explicit.ATOL] = self.tolerances
        self.control[_explicit.BOUND] = 1e12
        status = kernels.solve_overlap(
            self.problem,
            self.method,
            y,
            self.control,
            self.counts,
            self.times,
            self.out,
            self.events,
            self.work,
            10**9,
        )
        if status != _explicit.DONE:
            raise RunError(f"our integration ended with status {status}")

    @property
    def evaluations(self) -> int:
        """Evaluations of the right-hand side in the last integration."""
        return int(self.counts[_explicit.EVALUATIONS])

    def states(self) -> Array:
        """Integrate and return (m, R, a) at the outputs, one row each."""
        self.integrate()
        return self.out[:, : -self.problem.scratch.S.shape[0]].copy()


def numpy_rhs(width: int) -> Rhs:
    """Return the same flow for this one target, erf and no biases, in array operations: y = (m, R, a) -> dy/dt.

    c_1 = √(2/π) t, c_3 = −c_1 t², c_5 = 3 c_1 t⁴ with t = (1 + q)^{−1/2}; K = (2/π) asin u, u = Q_jl t_j t_l.
    """
    n, end_m, end_R = width, 3 * width, 3 * width + width * width
    front, two_over_pi = math.sqrt(2 / math.pi), 2 / math.pi

    def rhs(time: float, y: Array) -> Array:
        m, R, a = y[:end_m].reshape(n, 3), y[end_m:end_R].reshape(n, n), y[end_R:]
        m1, m2, m3 = m.T
        Q = m @ m.T + R
        t2 = 1 / (1 + Q.diagonal())
        t = np.sqrt(t2)
        tt = t[:, None] * t
        u = Q * tt
        slope = two_over_pi / np.sqrt(1 - u * u)
        c1 = front * t
        c3 = -c1 * t2
        product = m1 * m2 * m3
        C = c1 * m1 + c3 * product
        by_q = 0.5 * c3 * (m1 - 3 * t2 * product)
        k1 = -0.5 * t2 * ((slope * u) @ a)
        B = slope * tt * (a[:, None] * -a)
        B.ravel()[:: n + 1] += 2 * a * (by_q - k1)
        out = np.empty_like(y)
        dm = out[:end_m].reshape(n, 3)
        np.matmul(B, m, out=dm)
        dm[:, 0] += a * (c1 + c3 * (m2 * m3))
        dm[:, 1] += a * c3 * (m1 * m3)
        dm[:, 2] += a * c3 * (m1 * m2)
        S = B @ R
        np.add(S, S.T, out=out[end_m:end_R].reshape(n, n))
        out[end_R:] = C - two_over_pi * (np.arcsin(u) @ a)
        return out

    return rhs


def solve(setting: Setting, rhs: Rhs, rtol: float, method: Any = "RK45") -> Any:
    """Integrate with ``solve_ivp``; ``.y`` of what it returns has a column for each output."""
    found = solve_ivp(
        rhs,
        (0.0, float(setting.times[-1])),
        setting.start,
        method,
        t_eval=setting.times,
        rtol=rtol,
        atol=ATOL_SHARE * rtol,
    )
    if not found.success:
        raise RunError(f"overlap-flow: {method} failed: {found.message}")
    return found


def matching_tolerance(setting: Setting, rhs: Rhs, truth: Array, error: float) -> tuple[float, float, int]:
    """Find the loosest rtol at which the peer's error is at most FACTOR times ours.

    Returns
    -------
    rtol, error, evaluations : float, float, int
    """
    for eighths in range(16, 96):
        rtol = 10 ** (-eighths / 8)
        found = solve(setting, rhs, rtol)
        peer = _error(found.y.T, truth)
        if peer <= FACTOR * error:
            return rtol, peer, int(found.nfev)
    raise RunError(f"overlap-flow: RK45 does not reach our error of {error:.1e} at any tolerance")


def _error(states: Array, truth: Array) -> float:
    return float(np.abs(states - truth).max())
