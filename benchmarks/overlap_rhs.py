"""overlap-rhs-64, finite-step-8: one evaluation of the overlap flow's right-hand side; z1 + z1*z2*z3, erf, a trained.

- overlap-rhs-64, N = 64, against two loops compiled by numba in the same run. ``plain`` is the flow straight from its
  formulas: full matrices, ``math.asin``, Python's division. ``floor`` is the work that cannot be left out, and no more:
  N² square roots, divisions and arcsines, and the two products BR and RB; a ratio of 1/3 means three times as long as
  that. Errors are the largest deviations in any slope from the same flow in NumPy.
- finite-step-8, N = 8: the finite-step term in closed form, the difference of an evaluation with and without it. No
  peer: its time stands in a note.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from benchmarks.overlap_flow import TARGET, numpy_rhs
from benchmarks.report import Result, row
from benchmarks.timing import least_seconds
from odesim.activations._normal import arcsine
from odesim.flows._overlap import derivatives
from odesim.flows.overlap_problem import problem_of
from odesim.network import Network
from odesim.targets.series import Target

Array = NDArray[np.float64]

WIDE, SMALL, DIM = 64, 8, 400
EVALUATIONS = 200
"""Evaluations a call, so that entering the kernel does not count."""

TWO_OVER_PI = 2 / math.pi
FRONT = math.sqrt(2 / math.pi)


def measure(repeats: int) -> Result:
    """Time both widths."""
    network, y = _start(WIDE)
    size, n = y.size - WIDE, WIDE
    problem = problem_of(Target.parse(TARGET), network.activation, n, biased=False)
    ours, theirs, square = np.zeros_like(y), np.zeros(size), [np.zeros((n, n)) for _ in range(4)]
    rest = [np.zeros(n) for _ in range(3)]
    m, R, a = network.m, network.R, network.a
    square[0][:] = m @ m.T + R
    seconds = least_seconds(
        {
            "ours": lambda: derivatives(problem, y, ours, EVALUATIONS),
            "plain": lambda: plain(EVALUATIONS, m, R, a, theirs, *square[1:3], *rest),
            "floor": lambda: floor(EVALUATIONS, square[0], R, a, *square[1:]),
        },
        repeats,
    )
    truth = numpy_rhs(n)(0.0, y[:-n])
    error, error_plain = (float(abs(found - truth).max()) for found in (ours[:-n], theirs))
    each = {name: value / EVALUATIONS for name, value in seconds.items()}
    rows = [
        row("overlap-rhs-64", each["ours"], "plain", each["plain"], (error, error_plain)),
        row("overlap-rhs-64", each["ours"], "floor", each["floor"]),
    ]
    return Result(rows, [f"finite-step-8: the term takes {1e3 * finite_step(repeats):.3g} ms, closed, for 8 neurons"])


def finite_step(repeats: int) -> float:
    """Return the seconds of one finite-step term."""
    network, y = _start(SMALL)
    dy = np.empty_like(y)
    bare, noisy = (
        problem_of(Target.parse(TARGET), network.activation, SMALL, biased=False, eta_d=eta_d) for eta_d in (0.0, 0.2)
    )
    seconds = least_seconds(
        {
            "bare": lambda: derivatives(bare, y, dy, EVALUATIONS),
            "noisy": lambda: derivatives(noisy, y, dy, EVALUATIONS),
        },
        repeats,
    )
    return (seconds["noisy"] - seconds["bare"]) / EVALUATIONS


def _start(width: int) -> tuple[Network, Array]:
    network = Network.random(Target.parse(TARGET), width=width, dim=DIM, second_layer=4 / width)
    return network, np.concatenate([part.ravel() for part in (network.m, network.R, network.a, network.b)])


@njit
def plain(count: int, m: Any, R: Any, a: Any, out: Any, Q: Any, B: Any, C: Any, by_q: Any, k1: Any) -> None:
    """The flow as its formulas stand: y' (m, R, a), ``count`` times."""
    n = a.size
    dm, dR, da = out[: 3 * n].reshape(n, 3), out[3 * n : 3 * n + n * n].reshape(n, n), out[3 * n + n * n :]
    for _ in range(count):
        for j in range(n):
            for k in range(n):
                total = R[j, k]
                for r in range(3):
                    total += m[j, r] * m[k, r]
                Q[j, k] = total
        for j in range(n):
            tau = math.sqrt(1 + Q[j, j])
            c1, c3, c5 = FRONT / tau, -FRONT / tau**3, 3 * FRONT / tau**5
            x, y, z = m[j, 0], m[j, 1], m[j, 2]
            C[j], by_q[j] = x * c1 + x * y * z * c3, 0.5 * (x * c3 + x * y * z * c5)
            dm[j, 0], dm[j, 1], dm[j, 2] = a[j] * (c1 + y * z * c3), a[j] * x * z * c3, a[j] * x * y * c3
            total, k1[j] = 0.0, 0.0
            for k in range(n):
                den = math.sqrt((1 + Q[j, j]) * (1 + Q[k, k]))
                u = Q[j, k] / den
                g = TWO_OVER_PI / math.sqrt(1 - u * u)
                total += a[k] * TWO_OVER_PI * math.asin(u)
                k1[j] -= a[k] * g * u / (2 * (1 + Q[j, j]))
                B[j, k] = -a[j] * a[k] * g / den
            B[j, j] += 2 * a[j] * (by_q[j] - k1[j])
            da[j] = C[j] - total
        for j in range(n):
            for r in range(3):
                for k in range(n):
                    dm[j, r] += B[j, k] * m[k, r]
            for k in range(n):
                total = 0.0
                for l in range(n):
                    total += B[j, l] * R[l, k] + R[j, l] * B[l, k]
                dR[j, k] = total


@njit(fastmath={"reassoc", "contract", "nsz", "arcp", "afn"}, error_model="numpy")
def floor(count: int, Q: Any, R: Any, a: Any, B: Any, S: Any, T: Any) -> None:
    """N² square roots, divisions and arcsines, and two products, ``count`` times."""
    n = a.size
    for _ in range(count):
        for j in range(n):
            q, b, total = Q[j], B[j], 0.0
            for k in range(n):
                b[k] = TWO_OVER_PI / math.sqrt(1.5 - q[k] * q[k])
                total += a[k] * arcsine(0.5 * q[k])
            b[j] += total
        for left, right, out in ((B, R, S), (R, B, T)):
            for j in range(n):
                row, weights = out[j], left[j]
                for l in range(n):
                    row[l] = 0.0
                for k in range(n):
                    weight, other = weights[k], right[k]
                    for l in range(n):
                        row[l] += weight * other[l]
