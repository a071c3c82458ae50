"""Numbers of docs/correlation-flow.md: distance to the square loss, central limit, cost of a neuron and of the risk."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from benchmarks.evaluations import CLASSES, activation, seconds_a_side
from benchmarks.reductions_overlap import BOOLEAN, all_signs
from benchmarks.tables import Table
from benchmarks.timing import least_seconds
from odesim.flows import _correlation as kernels
from odesim.flows import lone
from odesim.flows.correlation import CorrelationFlow
from odesim.flows.overlap import OverlapFlow, risk_of
from odesim.network import Network
from odesim.runner import run
from odesim.sgd.full import SGD
from odesim.targets.series import Target
from odesim.training import Training
from odesim.trajectory import Trajectory

Array = NDArray[np.float64]

ESCAPED = 0.3
"""A coordinate of a weight vector that counts as the first escape."""


def measure(quick: bool) -> list[Table]:
    """All tables."""
    sizes = (0.01, 0.2) if quick else (0.001, 0.002, 0.005, 0.01, 0.05, 0.2, 0.5)
    return [
        square_loss("z1*z2*z3", 100, sizes),
        square_loss("z1 + z1*z2*z3", 100, sizes),
        steps((50,) if quick else (100, 400, 1600), 4 if quick else 32),
        central_limit((7, 10) if quick else (7, 10, 14, 18)),
        cost_of_a_neuron(CLASSES[:2] if quick else CLASSES, quick),
        cost_of_the_risk(("erf",) if quick else ("erf", "relu", "tanh"), (8,) if quick else (8, 16, 64)),
    ]


def square_loss(expression: str, dim: int, sizes: tuple[float, ...]) -> Table:
    """Overlaps against the square loss's own flow with a frozen second layer, times scaled by |a|."""
    target, rows = Target.parse(expression), []
    for size in sizes:
        network = Network.random(target, width=8, dim=dim, second_layer=size, rng=3)
        training = Training(eta=0.001 / size, eta_a=0)
        times = np.linspace(0, 40, 8001) / size
        alone = run(CorrelationFlow(rtol=1e-8, atol=1e-10), target, network, training, t_eval=times)
        flow = OverlapFlow(finite_step=False, rtol=1e-8, atol=1e-10)
        together = run(flow, target, network, training, t_eval=times)
        first, second = (size * _escape(one) for one in (alone, together))
        until = np.searchsorted(size * alone.time, first)
        gap = float(abs(alone.m[:until] - together.m[:until]).max())
        rows.append((size, gap, gap / size, first, second, second / first - 1, _linear_part(together, second / size)))
    columns = (
        "a = ±",
        "gap in m",
        "gap / a",
        "a·t of escape, correlation flow",
        "square loss",
        "later by",
        "linear part",
    )
    settings = (
        f"{expression}, erf, N = 8, d = {dim}, second layer and biases frozen, no finite-step term; largest gap until "
        f"an overlap of the correlation flow reaches {ESCAPED}; linear part: length of Σ a_j w_j at the square loss's "
        "escape, over that at the start"
    )
    return Table("correlation flow against the square loss", settings, columns, rows)


def _linear_part(one: Trajectory, time: float) -> float:
    """|Σ_j a_j w_j| at the last output before a time, over that at the start."""
    assert one.Q is not None
    i = int(np.searchsorted(one.time, time)) - 1
    first, last = (float(one.a[k] @ one.Q[k] @ one.a[k]) for k in (0, i))
    return math.sqrt(last / first)


def _escape(one: Trajectory) -> float:
    """Time at which some overlap first reaches ESCAPED, linear between outputs; NaN if none does."""
    largest = abs(one.m).max(axis=(1, 2))
    over = largest >= ESCAPED
    if not over[1:].any():
        return math.nan
    i = int(np.argmax(over))
    return float(np.interp(ESCAPED, largest[i - 1 : i + 1], one.time[i - 1 : i + 1]))


def steps(dims: tuple[int, ...], seeds: int) -> Table:
    """Mean over runs of SGD on the correlation loss against the flow, with and without its finite-step term."""
    target, rows = Target.parse("z1 + z1*z2*z3"), []
    for d in dims:
        network = Network.random(target, width=8, dim=d, second_layer=0.5, rng=0)
        training = Training(eta=0.2 / d, eta_a=0, loss="correlation")
        options: Any = {"steps": 20 * d, "points": 21, "spacing": "linear"}
        sgd = run(SGD(), target, network, training, seeds=seeds, rng=1, **options)
        q = np.einsum("stjj->stj", sgd.Q)
        cells = []
        for finite_step in (True, False):
            flow = run(CorrelationFlow(finite_step=finite_step), target, network, training, **options)
            assert flow.q is not None
            cells += [float(abs(sgd.m.mean(axis=0) - flow.m).max()), float(abs(q.mean(axis=0) - flow.q).max())]
        error = float(sgd.m.std(axis=0).max() / math.sqrt(seeds))
        rows.append((d, *cells, error, float(q.std(axis=0).max() / math.sqrt(seeds))))
    columns = ("d", "m, with Γ", "q, with Γ", "m, without", "q, without", "standard error of m", "of q")
    settings = (
        f"z1 + z1*z2*z3, erf, N = 8, a = ±½ frozen, ηd = 0.2, correlation loss, t ≤ 4; largest gap of the mean over "
        f"{seeds} runs of SGD"
    )
    return Table("correlation flow against SGD", settings, columns, rows)


def central_limit(dims: tuple[int, ...], seeds: int = 12) -> Table:
    """C and the drift of m on Boolean data against all 2^d inputs, root mean square over neurons."""
    target, rows = Target.parse(BOOLEAN, data="boolean"), []
    for d in dims:
        x = all_signs(d)
        z, h, gaps, sizes = x[:, :3], target.evaluate(x[:, :3]), [], []
        for seed in range(seeds):
            one = Network.random(target, width=3, dim=d, biases=0.5, rng=seed)
            assert one.weights is not None
            problem = lone.problem_of(target, one.activation, sphere=False)
            for j in range(one.width):
                u = x @ one.weights[j] + one.b[j]
                slope = math.sqrt(2 / math.pi) * np.exp(-u * u / 2)
                exact = np.array([np.mean(h * erf(u / math.sqrt(2))), *(np.mean((h * slope)[:, None] * z, axis=0))])
                dy, y = np.empty(4), np.array([*one.m[j], one.R[j, j]])
                reduced = kernels.value_and_slope(problem._replace(b=float(one.b[j])), y, dy)
                gaps.append(np.array([reduced, *dy[:3]]) - exact)
                sizes.append(exact)
        gap, size = (np.sqrt(np.mean(np.square(part), axis=0)) for part in (gaps, sizes))
        drift, whole = float(np.linalg.norm(gap[1:])), float(np.linalg.norm(size[1:]))
        rows.append((d, float(gap[0]), drift, drift / whole, d * drift))
    settings = f"{BOOLEAN} on Boolean data, erf, biases in ±½, {3 * seeds} neurons, a = 1, at the start"
    columns = ("d", "gap of C", "gap of m'", "relative", "gap of m' times d")
    return Table("central-limit gap of a neuron", settings, columns, rows)


def _slope(problem: Any, time: float, y: Array, dy: Array) -> None:
    kernels.value_and_slope(problem, y, dy)


def cost_of_a_neuron(names: tuple[str, ...], quick: bool) -> Table:
    """Microseconds of one neuron's right-hand side."""
    laws: list[tuple[str, int]] = [("gaussian", 3), ("boolean", 3), ("boolean", 6), ("boolean", 10)]
    laws, rows, least = laws[:1] if quick else laws, [], 0.002 if quick else 0.05
    for name in names:
        cells: list[float | None] = []
        for data, P in laws:
            target = Target.parse("z1 + " + "*".join(f"z{i}" for i in range(1, P + 1)), data=data)
            cells.append(_neuron(target, name, None, least))
            if data == "gaussian":
                cells.append(_neuron(target, name, 0.01, least) if name in lone.CLOSED else None)
        rows.append((name, *cells))
    heads = [f"{data}, P = {P}" for data, P in laws]
    heads.insert(1, f"{heads[0]}, with Γ")
    settings = "µs of one neuron's right-hand side, z1 + z1⋯zP, with a bias, one thread"
    return Table("cost of a neuron", settings, ("activation", *heads), rows)


def _neuron(target: Target, name: str, rate: float | None, least: float) -> float:
    """Microseconds, with the finite-step term at this rate."""
    one = Network.random(target, width=1, dim=100, activation=activation(name), rng=1)
    problem = lone.problem_of(target, one.activation, sphere=False, noise=None if rate is None else 0.0)
    problem = lone.fresh(problem)._replace(a=1e-3, b=0.2)
    if rate is not None:
        problem = problem._replace(noise=problem.noise._replace(rate=rate * 1e-3))
    gauge = np.zeros(0 if rate is None else 1)  # Γ brings the noise gauge with it
    y = np.array([*one.m[0], one.R[0, 0], *gauge])
    return 1e6 * seconds_a_side(kernels.solve_neuron, _slope, problem, y, least)


def cost_of_the_risk(names: tuple[str, ...], widths: tuple[int, ...]) -> Table:
    """Milliseconds of one row of the risk."""
    rows: list[Any] = []
    for name in names:
        cells = []
        for data in ("gaussian", "boolean"):
            target = Target.parse("z1 + z1*z2*z3", data=data)
            for width in widths:
                one = Network.random(target, width=width, dim=10 * width, activation=activation(name), biases=0.3)
                many = [np.repeat(part[None], 16, axis=0) for part in (one.m, one.m @ one.m.T + one.R, one.a, one.b)]
                calls = {"risk": lambda t=target, n=one, p=many: risk_of(t, n.activation, *p)}
                cells.append(1e3 * least_seconds(calls, 3)["risk"] / 16)
        rows.append((name, *cells))
    heads = [f"{data}, N = {width}" for data in ("Gaussian", "Boolean") for width in widths]
    settings = "ms of one recorded row, z1 + z1*z2*z3, biases, one thread"
    return Table("cost of the risk", settings, ("activation", *heads), rows)
