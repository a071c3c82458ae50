"""chain-joint, chain-vs-sgd, chain-flat: one step of one replica of the exact chain, 16 side by side on one thread.

Beside it: what was promised; one step of one run of SGD itself in d dimensions, float64, as a user runs it; and the
chain at d = 100 beside d = 10^9.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.report import Result, Row, row
from benchmarks.timing import least_seconds
from odesim._packs import WIDTH
from odesim.checks import RunError
from odesim.job import Job
from odesim.network import Network
from odesim.sgd import chain, full, handed
from odesim.sgd.state import State
from odesim.targets.series import Target
from odesim.training import Training
from odesim.trajectory import Status

STEPS = 4000
"""Steps of one timed call of the chain: some 10 ms at N = 8, as in a run."""

SGD_WORK = 2_000_000
"""Weights that a timed call of SGD moves."""

PROMISED = {8: 170e-9, 32: 1e-6}
"""Seconds a step of a replica may take, by the number of neurons."""

LEAST = {400: 3.0, 100_000: 800.0}
"""How many times as long a step of SGD must take, by d."""

NEAR, FAR = 100, 10**9


def measure(repeats: int) -> Result:
    """Time all in turn."""
    chains = {f"chain {N} {d}": chain_steps(N, d) for N, d in ((8, 400), (32, 400), (8, NEAR), (8, FAR))}
    sgd = {f"sgd {d}": sgd_steps(8, d) for d in LEAST}
    least = least_seconds(chains | {name: call for name, (call, _) in sgd.items()}, repeats)
    each = {name: least[name] / (STEPS * WIDTH) for name in chains}
    each |= {name: least[name] / steps for name, (_, steps) in sgd.items()}
    rows = [
        row(f"chain-joint-{N}", each[f"chain {N} 400"], "promise", seconds, promised=1.0)
        for N, seconds in PROMISED.items()
    ]
    rows += [_against_sgd(each, d) for d in LEAST]
    rows.append(row("chain-flat", each[f"chain 8 {FAR}"], "d=100", each[f"chain 8 {NEAR}"]))
    note = f"chain-*: a step of one of {WIDTH} replicas side by side; a single replica costs as much as all {WIDTH}"
    return Result(rows, [note])


def _against_sgd(each: dict[str, float], dim: int) -> Row:
    name = f"1e{len(str(dim)) - 1}" if dim >= 1000 else str(dim)
    return row(f"chain-vs-sgd-{name}", each["chain 8 400"], "sgd", each[f"sgd {dim}"], promised=LEAST[dim])


def job_of(width: int, dim: int, weights: bool) -> Job:
    """The demo's target at that size, both layers trained."""
    target = Target.parse("z1 + z1*z2*z3")
    network = Network.random(target, width=width, dim=dim, weights=weights)
    return Job(target, network, Training(eta=0.2 / dim), np.array([0, 1]), WIDTH)


def chain_steps(width: int, dim: int) -> Callable[[], None]:
    """STEPS steps of a bundle; each call goes on where the last one stopped."""
    job = job_of(width, dim, weights=False)
    walk = chain.begin(job, range(WIDTH))

    def call() -> None:
        target = walk.step + STEPS
        while walk.step < target:
            walk.advance(target)
        if (walk.lanes.status != Status.DONE).any():
            raise RunError(f"chain: a replica ended before step {walk.step}")

    return call


def sgd_steps(width: int, dim: int) -> tuple[Callable[[], None], int]:
    """Return steps of one run of SGD, and how many."""
    job = job_of(width, dim, weights=True)
    state, constants = State.start(job.network, np.dtype(np.float64)), handed.constants_of(job, 0)
    steps = max(4, SGD_WORK // (width * dim) // 4 * 4)

    def call() -> None:
        status = full._advance(state, steps, job.network, constants)
        if status != Status.DONE:
            raise RunError(f"chain-vs-sgd: SGD ended at step {state.step}: {status.text}")

    return call, steps
