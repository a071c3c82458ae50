"""``python -m benchmarks.work_precision``: error against time and evaluations, over tolerances, for every method.

Three flows: overlap (z1 + z1*z2*z3, erf, N = 8, d = 400, to t = 200, stiff towards the end), mean-field (the same on
Boolean data, N = 12, d = 100, to t = 30) and correlation (one neuron on the sphere, to t = 100). Our methods in full
lines; in broken ones ``solve_ivp`` (RK45, DOP853, LSODA) on the same compiled right-hand side, called from Python. What
such a call adds to the right-hand side itself, for handing over the problem's arrays, stands above each column; SciPy's
own work in Python comes on top. The error is the largest deviation in any entry of the state at any of 30 outputs from
DOP853 at tolerance 1e-12; the time is CPU time, the least of the repeats, all contenders of a tolerance in turn.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from benchmarks import overlap_flow
from benchmarks.integration import Integration
from benchmarks.machine import one_blas_thread
from benchmarks.timing import least_seconds
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

LOOKS = {
    "auto": ("black", "*", 2.2),
    "tsitouras": ("C0", "o", 1.1),
    "dopri5": ("C1", "s", 1.1),
    "dop853": ("C2", "^", 1.1),
    "rock4": ("C3", "v", 1.1),
    "rodas": ("C4", "D", 1.1),
    "RK45": ("C1", "x", 1.1),
    "DOP853": ("C2", "x", 1.1),
    "LSODA": ("C7", "x", 1.1),
}
"""Colour, mark and width of a line; a peer has the colour of the same method of ours."""


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
    m, R = network.m[0], network.R[0, 0]
    start = np.append(m / np.sqrt(m @ m + R), R / (m @ m + R))

    def slope(problem: Any, t: float, y: Array, out: Array) -> None:
        _correlation.value_and_slope(problem, y, out)

    return Flow("correlation flow", _correlation.solve_neuron, slope, problem, start, grid(100.0))


def measure(flow: Flow, tolerances: tuple[float, ...], repeats: int) -> dict[str, Array]:
    """Errors, seconds and evaluations (tolerances, 3) of every method, theirs with ``solve_ivp`` in the name."""
    truth = flow.theirs("DOP853", 1e-12).y.T
    flow.ours("auto", 1e-3).integrate()  # compiles
    rows: dict[str, list[tuple[float, float, int]]] = {name: [] for name in (*METHODS, *PEERS)}
    for rtol in tolerances:
        runs = {name: runner(flow, name, rtol) for name in rows}
        seconds = least_seconds(runs, repeats)
        for name, run in runs.items():
            states, evaluations = run()
            rows[name].append((abs(states - truth).max(), seconds[name], evaluations))
        print(f"{flow.name}: tolerance {rtol:g} done", flush=True)
    return {f"{name}, solve_ivp" if name in PEERS else name: np.array(found) for name, found in rows.items()}


def runner(flow: Flow, name: str, rtol: float) -> Callable[[], tuple[Array, int]]:
    """Return one integration as a call that gives states and evaluations."""
    if name in PEERS:

        def theirs() -> tuple[Array, int]:
            found = flow.theirs(name, rtol)
            return found.y.T, int(found.nfev)

        return theirs
    one = flow.ours(name, rtol)

    def ours() -> tuple[Array, int]:
        one.integrate()
        return one.out, one.evaluations

    return ours


def handing_over(flow: Flow) -> tuple[float, float]:
    """Seconds of a right-hand side called from Python, and of one in our integration by Tsitouras."""
    one = flow.ours("tsitouras", 1e-9)
    calls = 200
    least = least_seconds(
        {"called": lambda: [flow.rhs(0.0, flow.start) for _ in range(calls)], "ours": one.integrate}, 5
    )
    return least["called"] / calls, least["ours"] / one.evaluations


def draw(results: dict[str, dict[str, Array]], path: Path) -> None:
    """Error against time above, against evaluations below; a column a flow."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(results), 7.8), layout="constrained")
    axes = figure.subplots(2, len(results), squeeze=False)
    for column, (title, found) in zip(axes.T, results.items(), strict=True):
        for ax, index, label in zip(column, (1, 2), ("CPU time, s", "evaluations of the right-hand side"), strict=True):
            for name, rows in found.items():
                colour, mark, width = LOOKS[name.split(",")[0]]
                look = {"color": colour, "marker": mark, "lw": width, "zorder": 3 if name == "auto" else 2}
                ax.loglog(rows[:, index], rows[:, 0], "--" if "solve_ivp" in name else "-", ms=4, label=name, **look)
            ax.set_xlabel(label)
            ax.grid(alpha=0.3)
        column[0].set_title(title, fontsize="medium")
    for row in axes:
        row[0].set_ylabel("largest error of the state")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize="small", frameon=False)
    figure.savefig(path, dpi=80, pil_kwargs={"optimize": True})


def main(argv: list[str] | None = None) -> int:
    """Measure and draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.work_precision", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("work_precision.png"), metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="three tolerances, one repeat")
    flags = parser.parse_args(argv)
    tolerances, repeats = (TOLERANCES[1::3], 1) if flags.quick else (TOLERANCES, 3)
    results = {}
    with one_blas_thread():
        for flow in flows():
            found = measure(flow, tolerances, repeats)
            called, ours = handing_over(flow)
            cost = f"{1e6 * ours:.2g} µs in our loop, {1e6 * called:.2g} µs from Python"
            title = f"{flow.name}\nf(t, y): {cost}"
            results[title] = found
            print(title)
            for name, rows in found.items():
                cells = (f"{error:.1e} {1e3 * seconds:.3g} ms {n:.0f}" for error, seconds, n in rows)
                print(f"  {name}: " + " | ".join(cells))
    draw(results, flags.out)
    print(f"written to {flags.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
