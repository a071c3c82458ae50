"""Numbers of docs/mean-field-flow.md: width, dimension, batch, nodes, particles, cost."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from benchmarks.evaluations import CLASSES, activation, seconds_a_side
from benchmarks.tables import Table
from odesim.activations.catalogue import activation_named
from odesim.flows import _mean_field as kernels
from odesim.flows import mean_field
from odesim.flows.mean_field import MeanFieldFlow
from odesim.flows.overlap import OverlapFlow, risk_of
from odesim.flows.points import points_of
from odesim.job import Dynamics
from odesim.network import Network
from odesim.runner import run
from odesim.targets.series import Target
from odesim.training import Training
from odesim.trajectory import Trajectory

Array = NDArray[np.float64]

TARGET = "z1 + z1*z2/2"


def measure(quick: bool) -> list[Table]:
    """All tables."""
    return [
        width((4, 8) if quick else (4, 8, 16, 32, 64)),
        dimension((24, 96) if quick else (24, 96, 384, 1536), 1 if quick else 4),
        batch((50,) if quick else (50, 100, 200), (4,) if quick else (4, 16, 64), 1 if quick else 4),
        nodes((16, 64) if quick else (8, 16, 32, 64, 128)),
        particles((32, 128) if quick else (32, 128, 512), 2 if quick else 24),
        quadrature((10, 20) if quick else (10, 20, 40, 80)),
        cost(CLASSES[:2] if quick else CLASSES, quick),
    ]


def orthonormal(width: int, dim: int | None = None, seed: int = 0) -> Network:
    """Return neurons of one draw, f = Σ a σ, with orthonormal residuals or random unit ones in dim − 2 dimensions."""
    rng = np.random.default_rng(7)
    m, a, b = (rng.normal(size=(128, 2)) / 7)[:width], rng.choice([-1.0, 1.0], 128), rng.uniform(-0.5, 0.5, 128)
    R = np.eye(width)
    if dim is not None:
        v = np.random.default_rng([seed, dim]).normal(size=(width, dim - 2))
        v /= np.linalg.norm(v, axis=1)[:, None]
        R = v @ v.T
    return Network(dim or 10**6, activation_named("erf"), m, R, a[:width] / width, b[:width])


def moved(flow: Dynamics, network: Network) -> Trajectory:
    """Run to t = 10 in mean-field units."""
    steps = Training(eta=0.01 * network.width, eta_a=0.01 / network.width)
    return run(flow, Target.parse(TARGET), network, steps, steps=1000, points=20)


def gaps(one: Trajectory, other: Trajectory) -> Array:
    """Largest gap, over time, of the risk, and of |w_j|² and N a_j in root mean square over neurons."""
    left, right = (np.einsum("tjj->tj", out.Q) if out.q is None else out.q for out in (one, other))
    q, a = (np.sqrt((x**2).mean(axis=1)).max() for x in (left - right, one.a.shape[1] * (one.a - other.a)))
    return np.array([abs(one.risk - other.risk).max(), q, a])


def width(widths: tuple[int, ...]) -> Table:
    """The overlap flow of orthonormal residuals against the mean-field flow."""
    exact, rows = OverlapFlow(finite_step=False), []
    for n in widths:
        network = orthonormal(n)
        rows.append((n, *(float(gap) for gap in gaps(moved(exact, network), moved(MeanFieldFlow(nodes=10), network)))))
    settings = (
        f"{TARGET}, Gaussian data, erf with biases in ±½, a = ±1/N, t ≤ 10; overlap flow with orthonormal residuals; "
        "largest gap of the risk, and of q and N a in root mean square over neurons"
    )
    return Table("width", settings, ("N", "risk", "q", "N a"), rows)


def dimension(dims: tuple[int, ...], draws: int) -> Table:
    """The overlap flow of random residuals against that of orthonormal ones."""
    exact = OverlapFlow(finite_step=False)
    limit, rows = moved(exact, orthonormal(16)), []
    for d in dims:
        each = [gaps(moved(exact, orthonormal(16, d, seed)), limit) for seed in range(draws)]
        rows.append((d, *(float(gap) for gap in np.sqrt(np.mean(np.square(each), axis=0)))))
    settings = f"the same with N = 16 and random unit residuals, against orthonormal ones; {draws} draws"
    return Table("dimension", settings, ("d", "risk", "q", "N a"), rows)


def batch(dims: tuple[int, ...], ratios: tuple[int, ...], runs: int) -> Table:
    """Literal batch SGD in d dimensions against the discrete-time mean-field dynamics."""
    target, n, steps, eta = Target.parse("z1 + z1*z2", data="boolean"), 100, 40, 0.5
    training, rows = Training(eta=eta), []
    for d in dims:
        for ratio in ratios:
            found = []
            for seed in range(runs):
                network = Network.random(
                    target, width=n, dim=d, second_layer=1.0, biases=0.5, scaling="mean_field", rng=seed
                )
                flow = run(
                    MeanFieldFlow(discrete=True), target, network, training, steps=steps, points=41, spacing="linear"
                )
                found.append(_batch_gaps(target, network, flow, ratio * d, eta, seed))
            risk, function, m = (float(gap) for gap in np.sqrt(np.mean(np.square(found), axis=0)))
            rows.append((d, ratio, risk, function, m))
    columns = ("d", "B/d", "risk", "f, at the end", "m, at the end")
    settings = (
        f"z1 + z1*z2, Boolean data, erf with biases in ±½, N = {n}, a = ±1 trained, η = {eta}, t ≤ {steps * eta:g}, "
        f"both from the same weights; NumPy batch SGD, {runs} runs; largest gap of the risk, else root mean square"
    )
    return Table("batch", settings, columns, rows)


def _batch_gaps(target: Target, network: Network, flow: Trajectory, size: int, eta: float, seed: int) -> Array:
    """Gaps of one run: of the risk over time, of f over fresh inputs and of m over neurons at the end."""
    assert network.weights is not None
    rng, n = np.random.default_rng([seed, size]), network.width
    W, a, b = network.weights.astype(np.float32), network.a.astype(np.float32), network.b.astype(np.float32)

    def signs(count: int) -> NDArray[np.float32]:
        return 2 * rng.integers(0, 2, (count, network.dim), dtype=np.int8).astype(np.float32) - 1

    def limit(step: int) -> Array:
        """f of the mean-field dynamics on the test inputs."""
        m, q = flow.m[step], flow.q
        assert q is not None
        s = np.sqrt(np.maximum(q[step] - (m * m).sum(axis=1), 0.0))
        return np.asarray(erf((test[:, :2] @ m.T + network.b) / np.sqrt(2 * (1 + s * s))) @ flow.a[step] / n)

    test = signs(8192)
    h, largest = target.evaluate(test[:, :2].astype(float)), 0.0
    for step in range(flow.steps.size):
        f, g = erf((test @ W.T + b) / np.float32(math.sqrt(2))) @ a / n, limit(step)
        largest = max(largest, 0.5 * abs(np.mean((h - f) ** 2 - (h - g) ** 2)))  # both on the same inputs
        if step == flow.steps.size - 1:
            break
        x = signs(size)
        u = x @ W.T + b
        value = erf(u / np.float32(math.sqrt(2)))
        delta = (x[:, 0] * (1 + x[:, 1]) - value @ a / n) / size
        slope = np.float32(math.sqrt(2 / math.pi)) * np.exp(-u * u / 2)
        W, a = W + eta * (slope * delta[:, None] * a).T @ x, a + eta * value.T @ delta
    return np.array([largest, np.sqrt(np.mean((f - g) ** 2)), np.sqrt(np.mean((W[:, :2] - flow.m[-1]) ** 2))])


def nodes(counts: tuple[int, ...]) -> Table:
    """Error of the risk by Gauss–Hermite nodes, the worst of 16 networks of one neuron."""
    target, rows, rng = Target.parse(TARGET), [], np.random.default_rng(0)
    m, b = rng.normal(size=(16, 2)), rng.uniform(-0.5, 0.5, 16)
    for count in counts:
        cells = [
            max(_node_error(target, name, m[j], s, b[j], count) for j in range(b.size))
            for name in ("erf", "relu")
            for s in (0.0, 0.1, 1.0)
        ]
        rows.append((count, *cells))
    heads = [f"{name}, s = {s}" for name in ("erf", "ReLU") for s in (0, 0.1, 1)]
    settings = (
        f"{TARGET}, 16 networks of one neuron, m ~ N(0, I), a = 1, bias in ±½; largest relative error of the risk"
    )
    return Table("Gauss–Hermite nodes", settings, ("nodes", *heads), rows)


def _node_error(target: Target, name: str, m: Array, s: float, b: float, count: int) -> float:
    """Relative error of the risk of one neuron; the exact one by its moments."""
    kind, one = activation_named(name), np.ones(1)
    problem = mean_field.problem_of(points_of(target, count), kind, one)
    found = kernels.risk_mean_field(problem, np.array([*m, s, 1.0, b]))
    # two halves of the neuron with independent residuals have ½E[h²] − C + ¼(K_11 + K_12), it alone ½E[h²] − C + ½K_11,
    # and E_z V², which the mean-field flow has in place of K_11, is K_12
    twice, Q = np.stack([m, m]), m @ m + s * s * np.eye(2)
    halves = float(risk_of(target, kind, twice, Q, np.full(2, 0.5), np.full(2, b)))
    exact = 2.0 * halves - float(risk_of(target, kind, m[None], Q[:1, :1], one, np.full(1, b)))
    return abs(found - exact) / exact


def particles(widths: tuple[int, ...], draws: int) -> Table:
    """Final risk of randomly drawn neurons against quadrature."""
    limit, rows = final(40), []
    for n in widths:
        each = [final(0, np.random.default_rng([n, seed]).uniform(-1, 1, n)) - limit for seed in range(draws)]
        gap = float(np.sqrt(np.mean(np.square(each))))
        rows.append((n, gap, gap * math.sqrt(n)))
    settings = (
        "z1 + z1*z2, Boolean data, zero start, erf with biases ½, a ~ Unif[−1, 1], t = 4; risk against 40 quadrature "
        f"particles, {draws} draws"
    )
    return Table("particles at random", settings, ("N", "gap", "gap times √N"), rows)


def quadrature(counts: tuple[int, ...]) -> Table:
    """Final risk of quadrature particles against 320 of them, early and late."""
    limits = {t: final(320, t=t) for t in (4.0, 20.0)}
    rows = [(n, *(abs(final(n, t=t) - limit) for t, limit in limits.items())) for n in counts]
    columns = ("particles", *(f"t = {t:g}" for t in limits))
    return Table("particles by quadrature", "the same; gap of the risk to 320 particles", columns, rows)


def final(count: int, a: Array | None = None, t: float = 4.0) -> float:
    """Risk at time t from zero overlaps: of quadrature particles, or of neurons with these a."""
    target, second = Target.parse("z1 + z1*z2", data="boolean"), np.zeros(1) if a is None else a
    n, flow = (
        second.size,
        MeanFieldFlow("zero", particles=count, start_bias=0.5 if count else 0.0, rtol=1e-6, atol=1e-8),
    )
    kind = activation_named("erf")
    network = Network(100, kind, np.zeros((n, 2)), np.eye(n), second, np.full(n, 0.5), scaling="mean_field")
    out = run(flow, target, network, Training(eta=0.01, eta_b=0.01), steps=round(t / 0.01), points=2)
    return float(out.risk[-1])


def cost(names: tuple[str, ...], quick: bool) -> Table:
    """Milliseconds of one right-hand side."""
    laws: list[tuple[str, int]] = [("boolean", 3), ("boolean", 10), ("gaussian", 2), ("gaussian", 3)]
    rows: list[Any] = []
    for data, P in laws[:1] if quick else laws:
        target = Target.parse("z1 + " + "*".join(f"z{i}" for i in range(1, P + 1)), data=data)
        for n in (8,) if quick else (8, 16, 64):
            cells = [1e3 * _seconds(target, name, n, 0.002 if quick else 0.03) for name in names]
            rows.append((data, P, n, *cells))
    settings = "ms of one right-hand side, z1 + z1⋯zP, 2^P points or 16^P nodes, one thread"
    return Table("cost", settings, ("data", "P", "N", *names), rows)


def _seconds(target: Target, name: str, width: int, least: float) -> float:
    """Seconds of one right-hand side."""
    network = Network.random(
        target, width=width, dim=100, activation=activation(name), scaling="mean_field", biases=0.3
    )
    neurons = MeanFieldFlow().neurons(network)
    problem = mean_field.problem_of(points_of(target), network.activation, neurons.weights, smoothing=1e-3)
    return seconds_a_side(kernels.solve_mean_field, kernels.derivative, problem, neurons.flat(), least)
