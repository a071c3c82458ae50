"""overlap-flow, stiff-demo: one integration by our kernel against a vectorised right-hand side under ``solve_ivp``.

z1 + z1*z2*z3, erf, N = 8, d = 400, a = ±½ trained, no finite-step term, with 300 outputs: to t = 100 against RK45,
and to t = 10^4, where the flow is stiff, against LSODA. The error of either is its largest deviation in any entry of
(m, R, a) at any output from DOP853, or LSODA, at tolerance 1e-11.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from benchmarks.integration import Integration
from benchmarks.report import Result, row
from benchmarks.timing import least_seconds
from odesim.checks import RunError
from odesim.flows import _overlap as kernels
from odesim.flows.overlap import OverlapFlow, problem_of
from odesim.integrate.grids import step_grid
from odesim.network import Network
from odesim.targets.series import Target

Array = NDArray[np.float64]
Rhs = Callable[[float, Array], Array]

TARGET, WIDTH, DIM = "z1 + z1*z2*z3", 8, 400
HORIZON, OUTPUTS = 100.0, 300
FAR, FAR_RTOL = 1e4, 1e-6

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
    def reference(cls, horizon: float = HORIZON) -> Setting:
        """Return the setting of the cases."""
        network = Network.random(Target.parse(TARGET), width=WIDTH, dim=DIM, second_layer=0.5)
        start = np.concatenate([part.ravel() for part in (network.m, network.R, network.a)])
        eta = 0.2 / DIM
        return cls(network, start, eta * step_grid(round(horizon / eta), OUTPUTS, "log"))


def measure(repeats: int) -> Result:
    """Match the errors, then time."""
    results = [
        compare("overlap-flow", HORIZON, OverlapFlow.rtol, "RK45", repeats),
        compare("stiff-demo", FAR, FAR_RTOL, "LSODA", min(repeats, 5)),
    ]
    return Result([row for one in results for row in one.rows], [note for one in results for note in one.notes])


def compare(case: str, horizon: float, rtol: float, peer: str, repeats: int) -> Result:
    """One integration to a horizon by ours and by a method of ``solve_ivp``, at the same error."""
    setting = Setting.reference(horizon)
    one, rhs = ours(setting, rtol=rtol), numpy_rhs(WIDTH)
    truth = solve(setting, rhs, 1e-11, "DOP853" if peer == "RK45" else peer).y.T
    error = _error(one.states()[:, :-WIDTH], truth)
    rtol_peer, error_peer, evaluations = matching_tolerance(setting, rhs, truth, error, peer)
    least = least_seconds({"ours": one.integrate, "scipy": lambda: solve(setting, rhs, rtol_peer, peer)}, repeats)
    note = (
        f"{case}: one integration to t = {horizon:g}; ours at rtol {rtol:g} with {one.evaluations} evaluations, "
        f"{peer} at rtol {rtol_peer:.1e} with {evaluations}"
    )
    return Result([row(case, least["ours"], "scipy", least["scipy"], (error, error_peer))], [note])


def ours(setting: Setting, method: str = "auto", rtol: float = OverlapFlow.rtol) -> Integration:
    """Return our integration; its state is (m, R, a, b)."""
    network = setting.network
    problem = problem_of(Target.parse(TARGET), network.activation, network.width, biased=False)
    start = np.concatenate([setting.start, network.b])
    return Integration(kernels.solve_overlap, problem, start, setting.times, method, rtol, ATOL_SHARE * rtol)


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
        raise RunError(f"{method} failed: {found.message}")
    return found


def matching_tolerance(setting: Setting, rhs: Rhs, truth: Array, error: float, method: str) -> tuple[float, float, int]:
    """Find the loosest rtol at which the peer's error is at most FACTOR times ours.

    Returns
    -------
    rtol, error, evaluations : float, float, int
    """
    for eighths in range(16, 96):
        rtol = 10 ** (-eighths / 8)
        found = solve(setting, rhs, rtol, method)
        peer = _error(found.y.T, truth)
        if peer <= FACTOR * error:
            return rtol, peer, int(found.nfev)
    raise RunError(f"{method} does not reach our error of {error:.1e} at any tolerance")


def _error(states: Array, truth: Array) -> float:
    return float(np.abs(states - truth).max())
