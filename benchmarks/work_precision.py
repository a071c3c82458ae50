"""``python -m benchmarks.work_precision``: error against time and evaluations, over tolerances, for every method.

Three flows: overlap (z1 + z1*z2*z3, erf, N = 8, d = 400, to t = 200, stiff towards the end), mean-field (the same on
Boolean data, N = 12, d = 100, to t = 30) and correlation (one neuron on the sphere, to t = 100). Our methods in full
lines; in broken ones ``solve_ivp`` (RK45, DOP853, LSODA) on the same compiled right-hand side, called from Python:
each call hands over all arrays of the problem, 0.2 to 0.7 ms, so compare with them by evaluations. The error is the
largest deviation in any entry of the state at any of 30 outputs from DOP853 at tolerance 1e-12; the time is CPU time,
the least of the repeats.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from benchmarks import overlap_flow
from benchmarks.integration import Integration
from odesim.checks import RunError
from odesim.flows import _correlation, _mean_field, _overlap, lone, mean_field
from odesim.flows.points import points_of
from odesim.integrate.methods import METHODS
from odesim.network import Network
from odesim.targets.series import Target
from odesim.training import Training

Array = NDArray[np.float64]

PEERS = ("RK45", "DOP853", "LSODA")
TOLERANCES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9)
OUTPUTS = 30


@dataclass(frozen=True)
class Flow:
    """A flow: its compiled entry, its slope for Python, start and output times."""

    name: str
    entry: Callable[..., int]
    slope: Callable[..., object]
    problem: Any
    start: Array
    times: Array

    def rhs(self, t: float, y: Array) -> Array:
        """The right-hand side as ``solve_ivp`` wants it."""
        out = np.empty(y.size)
        self.slope(self.problem, t, np.ascontiguousarray(y), out)
        return out

    def ours(self, method: str, rtol: float) -> Integration:
        """Our integration at a tolerance."""
        atol = overlap_flow.ATOL_SHARE * rtol
        return Integration(self.entry, self.problem, self.start, self.times, method, rtol, atol)

    def theirs(self, method: Any, rtol: float) -> Any:
        """Their integration at a tolerance."""
        span, atol = (0.0, float(self.times[-1])), overlap_flow.ATOL_SHARE * rtol
        found = solve_ivp(self.rhs, span, self.start, method, t_eval=self.times, rtol=rtol, atol=atol)
        if not found.success:
            raise RunError(f"{self.name}: {method} failed: {found.message}")
        return found


def flows() -> list[Flow]:
    """The three of the picture."""
    return [overlap(), wide(), lonely()]


def grid(horizon: float) -> Array:
    """Output times: 0 and a geometric sequence."""
    return np.concatenate([[0.0], np.geomspace(1e-2 * horizon, horizon, OUTPUTS - 1)])


def overlap() -> Flow:
    """All neurons interacting, Gaussian data."""
    one = overlap_flow.ours(overlap_flow.Setting.reference())
    return Flow("overlap flow", _overlap.solve_overlap, _overlap.derivative, one.problem, one.start, grid(200.0))


def wide() -> Flow:
    """A wide network on Boolean data."""
    target = Target.parse(overlap_flow.TARGET, data="boolean")
    network = Network.random(target, width=12, dim=100, scaling="mean_field", rng=0)
    neurons = mean_field.MeanFieldFlow().neurons(network)
    (pace,) = mean_field.paces(Training(eta=1e-3), network)
    problem = mean_field.problem_of(points_of(target, 16), network.activation, neurons.weights, pace, smoothing=1e-3)
    return Flow(
        "mean-field flow", _mean_field.solve_mean_field, _mean_field.derivative, problem, neurons.flat(), grid(30.0)
    )


def lonely() -> Flow:
    """One neuron alone, on the sphere."""
    target = Target.parse(overlap_flow.TARGET)
    network = Network.random(target, width=1, dim=400, rng=0)
    problem = lone.problem_of(target, network.activation, sphere=True)
    start = np.append(network.m[0], network.R[0, 0])
    start[:-1] /= np.sqrt(network.q[0]) if hasattr(network, "q") else 1.0
    start[-1] = 1.0 - start[:-1] @ start[:-1]

    def slope(problem: Any, t: float, y: Array, out: Array) -> None:
        _correlation.value_and_slope(problem, y, out)

    return Flow("correlation flow", _correlation.solve_neuron, slope, problem, start, grid(100.0))


def measure(flow: Flow, tolerances: tuple[float, ...], repeats: int) -> dict[str, Array]:
    """Errors, seconds and evaluations (tolerances, 3) of every method, theirs with ``solve_ivp`` in the name."""
    truth = flow.theirs("DOP853", 1e-12).y.T
    flow.ours("auto", 1e-3).integrate()  # compiles
    found: dict[str, Array] = {}
    for name in (*METHODS, *PEERS):
        rows = []
        for rtol in tolerances:
            states, seconds, evaluations = timed(flow, name, rtol, repeats)
            rows.append((abs(states - truth).max(), seconds, evaluations))
        found[f"{name}, solve_ivp" if name in PEERS else name] = np.array(rows, dtype=np.float64)
        print(f"{flow.name}: {name} done", flush=True)
    return found


def timed(flow: Flow, name: str, rtol: float, repeats: int) -> tuple[Array, float, int]:
    """States, least CPU seconds and evaluations of one integration."""
    seconds = np.inf
    one = None if name in PEERS else flow.ours(name, rtol)
    for _ in range(repeats):
        start = time.thread_time()
        if one is None:
            found = flow.theirs(name, rtol)
            states, evaluations = found.y.T, int(found.nfev)
        else:
            one.integrate()
            states, evaluations = one.out, one.evaluations
        seconds = min(seconds, time.thread_time() - start)
    return states, seconds, evaluations


def draw(results: dict[str, dict[str, Array]], path: Path) -> None:
    """Error against time above, against evaluations below; a column a flow."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(results), 7.4), layout="constrained")
    axes = figure.subplots(2, len(results), squeeze=False)
    marks = dict(zip([*METHODS, *(f"{name}, solve_ivp" for name in PEERS)], "*os^vD+x1", strict=True))
    for column, (flow, found) in zip(axes.T, results.items(), strict=True):
        for ax, index, label in zip(column, (1, 2), ("CPU seconds", "evaluations of the right-hand side"), strict=True):
            for i, (name, rows) in enumerate(found.items()):
                style = "--" if "solve_ivp" in name else "-"
                width = 2.4 if name == "auto" else 1.1
                ax.loglog(
                    rows[:, index], rows[:, 0], style, marker=marks[name], ms=4, lw=width, color=f"C{i}", label=name
                )
            ax.set_xlabel(label)
            ax.grid(alpha=0.3)
        column[0].set_title(flow)
    for row in axes:
        row[0].set_ylabel("largest error of the state")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize="small", frameon=False)
    figure.savefig(path, dpi=130)


def main(argv: list[str] | None = None) -> int:
    """Measure and draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.work_precision", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("work_precision.png"), metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="three tolerances, one repeat")
    flags = parser.parse_args(argv)
    tolerances, repeats = (TOLERANCES[1::3], 1) if flags.quick else (TOLERANCES, 2)
    draw({flow.name: measure(flow, tolerances, repeats) for flow in flows()}, flags.out)
    print(f"written to {flags.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
