"""Numbers of docs/overlap-flow.md: points of the finite-step term, central limit, flow and steps, cost."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from benchmarks.evaluations import BY_POINTS, CLASSES, activation, seconds_a_side
from benchmarks.tables import Table
from odesim.activations.catalogue import Activation, activation_named
from odesim.flows import _overlap as kernels
from odesim.flows.overlap import REFUSED_AT, OverlapFlow, problem_of, risk_of
from odesim.network import Network
from odesim.runner import run
from odesim.targets.series import Target
from odesim.training import Training

Array = NDArray[np.float64]

EXPRESSION = "z1 + z1*z2*z3"
BOOLEAN = "z1 + z1*z2*z3/2"


def measure(quick: bool) -> list[Table]:
    """All tables."""
    return [
        points_of_the_finite_step_term((8,) if quick else (8, 32), (10, 12) if quick else (10, 12, 14)),
        risk_by_points(*((1, 2000) if quick else (4, 200_000))),
        central_limit((7, 10) if quick else (7, 10, 14, 17, 20)),
        flow_and_steps((0.2, 0.1) if quick else (0.8, 0.4, 0.2, 0.1, 0.05)),
        cost(
            "gaussian",
            CLASSES[:2] if quick else (CLASSES[0], BY_POINTS, *CLASSES[1:]),
            (8,) if quick else (8, 16, 64),
            quick,
        ),
        cost_of_long_neurons(("erf",) if quick else ("erf", "gelu", "tanh"), (8,) if quick else (8, 16, 64), quick),
        cost_of_coordinates((3,) if quick else (3, 6, 10), quick),
    ]


def state(network: Network) -> Array:
    """Return the flow's state at the start."""
    return np.concatenate([part.ravel() for part in (network.m, network.R, network.plain_a, network.b)])


def gamma(network: Network, kind: Activation, log2: int = 4, rng: int = 0) -> Array:
    """Return Γ (N, N) at the start."""
    target = Target.parse(EXPRESSION)
    problem = problem_of(target, kind, network.width, biased=False, eta_d=1.0, samples=2**log2, rng=rng)
    y = state(network)
    kernels.derivative(problem, 0.0, y, np.empty_like(y))
    return problem.scratch.gamma.copy()


def points_of_the_finite_step_term(widths: tuple[int, ...], log2s: tuple[int, ...], draws: int = 8) -> Table:
    """Error of Γ by Sobol points, in the largest entry of Γ: root mean square over scramblings."""
    rows: list[Any] = []
    for width in widths:
        network = Network.random(Target.parse(EXPRESSION), width=width, dim=400, second_layer=0.5, rng=0)
        exact = gamma(network, activation_named("erf"))
        for log2 in log2s:
            off = [abs(gamma(network, activation(BY_POINTS), log2, rng) - exact).max() for rng in range(draws)]
            rows.append((width, 2**log2, float(np.sqrt(np.mean(np.square(off))) / abs(exact).max())))
    settings = f"{EXPRESSION}, erf, d = 400, a = ±½, at the start; largest error of an entry over the largest entry"
    return Table("finite-step term by points", settings, ("N", "points", "error"), rows)


def risk_by_points(starts: int, steps: int) -> Table:
    """What the points' error, and that of the integration, do to the risk of the reference run."""
    target, training, rows = Target.parse(EXPRESSION), Training(eta=0.2 / 400), []
    for rng in range(starts):
        network = Network.random(target, width=8, dim=400, second_layer=0.5, rng=rng)
        closed = run(OverlapFlow(), target, network, training, steps=steps)
        tight = run(OverlapFlow(rtol=1e-11, atol=1e-13), target, network, training, steps=steps)
        points = run(OverlapFlow(), target, replace(network, activation=activation(BY_POINTS)), training, steps=steps)
        rows.append(
            (rng, *(float(abs(one.risk - closed.risk).max()) for one in (points, tight)), float(closed.risk[0]))
        )
    settings = f"{EXPRESSION}, erf, N = 8, d = 400, a = ±½ trained, ηd = 0.2, t ≤ {steps * 0.2 / 400:g}, 2^12 points"
    columns = ("start (rng)", "Γ by points", "tolerances 1e-11", "risk at 0")
    return Table("gap of the risk to default settings", settings, columns, rows)


def all_signs(d: int) -> Array:
    """Return all of {±1}^d, (2^d, d)."""
    return 2.0 * (np.arange(2**d)[:, None] >> np.arange(d) & 1) - 1.0


def central_limit(dims: tuple[int, ...], seeds: int = 6) -> Table:
    """Risk with Gaussian residuals against all 2^d inputs, root mean square over starts."""
    target, rows = Target.parse(BOOLEAN, data="boolean"), []
    for d in dims:
        x = all_signs(d)
        h, gaps = target.evaluate(x[:, :3]), []
        for seed in range(seeds):
            one = Network.random(target, width=3, dim=d, biases=0.5, rng=seed)
            assert one.weights is not None
            f = erf((x @ one.weights.T + one.b) / math.sqrt(2)) @ one.a
            reduced = risk_of(target, one.activation, one.m, one.weights @ one.weights.T, one.a, one.b)
            gaps.append(float(reduced) - 0.5 * np.mean((h - f) ** 2))
        gap = float(np.sqrt(np.mean(np.square(gaps))))
        rows.append((d, gap, gap * d))
    settings = f"{BOOLEAN} on Boolean data, erf, N = 3, a = ±½, biases in ±½, six starts"
    return Table("central-limit gap of the risk", settings, ("d", "gap", "gap times d"), rows)


def flow_and_steps(etas: tuple[float, ...]) -> Table:
    """The flow against the map of discrete steps, for infinite batches and batches of d."""
    target, dim, rows = Target.parse(EXPRESSION), 400, []
    network = Network.random(target, width=8, dim=dim, second_layer=0.5, rng=0)
    times = np.linspace(0.0, 20.0, 26)
    for eta in etas:
        gaps = []
        for batch in (math.inf, dim):
            training = Training(eta=eta, batch=batch)
            flow, steps = (
                run(OverlapFlow(discrete=discrete, rtol=1e-8, atol=1e-10), target, network, training, t_eval=times)
                for discrete in (False, True)
            )
            gaps += [float(abs(flow.risk - steps.risk).max()), float(abs(flow.Q - steps.Q).max())]
        rows.append((eta, *gaps))
    columns = ("η", "risk, batch ∞", "Q, batch ∞", "risk, batch d", "Q, batch d")
    settings = f"{EXPRESSION}, erf, N = 8, d = 400, a = ±½ trained, t ≤ 20; largest gap"
    return Table("flow against steps", settings, columns, rows)


def sides(target: Target, name: str, width: int, biased: bool, least: float) -> tuple[float | None, float | None]:
    """Milliseconds of one right-hand side without and with the finite-step term; None where refused."""
    kind = activation(name)
    if width > REFUSED_AT * kind.practical_width:
        return None, None
    network = Network.random(
        target,
        width=width,
        dim=10 * width + target.P,
        second_layer=0.5 / width,
        activation=kind,
        biases=0.3 if biased else 0.0,
    )
    problem, found = problem_of(target, kind, width, biased=biased, samples=2**12), []
    for factor in (0.0, 0.2):
        one = problem._replace(eta_d=factor)
        found.append(1e3 * seconds_a_side(kernels.solve_overlap, kernels.derivative, one, state(network), least))
    return found[0], found[1]


def cost(data: str, names: tuple[str, ...], widths: tuple[int, ...], quick: bool) -> Table:
    """Milliseconds by activation and width."""
    target, rows = Target.parse(EXPRESSION, data=data), []
    least = 0.002 if quick else 0.05
    for name in names:
        for biased in (False, True):
            cells = [cell for width in widths for cell in sides(target, name, width, biased, least)]
            rows.append((name, "yes" if biased else "no", *cells))
    heads = [f"N = {width}{tail}" for width in widths for tail in ("", ", with Γ")]
    settings = f"ms of one right-hand side, {EXPRESSION}, {data} data, 2^12 points where Γ is by points, one thread"
    return Table("cost", settings, ("activation", "biases", *heads), rows)


def cost_of_long_neurons(names: tuple[str, ...], widths: tuple[int, ...], quick: bool) -> Table:
    """Milliseconds where neurons are long and nearly parallel, as several that have learned the same term."""
    target, rows = Target.parse(EXPRESSION), []
    for name in names:
        cells = []
        for width in widths:
            m = np.tile([2.5, 0.3, -0.3], (width, 1)) + 0.1 * np.random.default_rng(0).normal(size=(width, 3))
            Q = m @ m.T + 0.05 * np.eye(width)
            network = Network.from_overlaps(
                m, Q, np.full(width, 0.5 / width), dim=10 * width + 3, activation=activation(name)
            )
            problem = problem_of(target, network.activation, width, biased=False)
            seconds = seconds_a_side(
                kernels.solve_overlap, kernels.derivative, problem, state(network), 0.002 if quick else 0.05
            )
            cells.append(1e3 * seconds)
        rows.append((name, *cells))
    settings = f"ms of one right-hand side without Γ, {EXPRESSION}, no biases, q about 6.5, correlations above 0.97"
    return Table("cost of long, parallel neurons", settings, ("activation", *(f"N = {n}" for n in widths)), rows)


def cost_of_coordinates(counts: tuple[int, ...], quick: bool) -> Table:
    """Milliseconds on Boolean data by the number of coordinates."""
    rows = []
    for name in ("erf",) if quick else ("erf", "relu", "gelu", "hermite:3", "tanh"):
        cells = []
        for P in counts:
            target = Target.parse("z1 + " + "*".join(f"z{i}" for i in range(1, P + 1)), data="boolean")
            cells += sides(target, name, 8, True, 0.002 if quick else 0.05)
        rows.append((name, *cells))
    heads = [f"P = {P}{tail}" for P in counts for tail in ("", ", with Γ")]
    return Table(
        "cost on Boolean data",
        "ms of one right-hand side, N = 8, z1 + z1⋯zP, biases, Γ by 2^12 points, one thread",
        ("activation", *heads),
        rows,
    )
