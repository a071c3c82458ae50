"""saddle: the stationary point of a flow under a plateau, its unstable directions and the escape that they predict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odesim import checks
from odesim.checks import InputError
from odesim.flows.plain import RightHandSide
from odesim.network import Network
from odesim.rebuild import flow_of, network_at, target_of, training_of
from odesim.spectrum import spectrum, squares_of, trained
from odesim.training import Training
from odesim.trajectory import Trajectory

Array = NDArray[np.float64]

STEPS, RETRIES = 80, 12
"""Levenberg–Marquardt steps, and shorter tries of each."""

AIM, ARRIVED = 1e-14, 1e-9
"""Residual at which polishing stops, and the largest that counts as 0, in units of rate times size of the state."""

ZERO = 1e-5
"""Share of the fastest rate below which a rate counts as 0: a root of order k is found to AIM^(1/k) only."""

SIZES, TRIES, OUTWARD = (0.01, 0.03, 0.1, 0.3), 100, 1e-6
"""Lengths and number of excursions along zero modes, and the growth, in units of the fastest rate, that counts."""

SAME = 1e-3
"""Relative error to which the trajectory's risk must come out again."""


@dataclass(frozen=True, eq=False)
class Saddle:
    """What `saddle` found.

    Attributes
    ----------
    verdict : {"saddle", "degenerate saddle", "stable", "drift"}
        "saddle": stationary with unstable directions. "degenerate saddle": stationary, no unstable eigenvalue, but
        the flow leaves along directions of eigenvalue 0, as at leaps of 3 and more from zero overlaps; the escape is
        algebraic in the distance and no rate describes it. "stable": stationary and neither was found. "drift": no
        stationary point within reach; all else is then of the trajectory's own state.
    time : float
        Flow time of the recorded state that was taken.
    names, parts : tuples
        The stationary state, as `RightHandSide.unpack` gives it; ``state`` is flat.
    risk, start_risk : float
        Population risk there and at the recorded state.
    residual, start_residual : float
        Largest entry of |y'| there and at the recorded state.
    moved : float
        Distance between both, relative to the state's norm.
    eigenvalues : complex array (k,)
        Growth rates of small changes of the weights, per unit of flow time, largest real part first.
    local_rate : float
        Largest growth rate at the recorded state: what the run shows there where it is still far from the saddle.
    zero : float
        Real parts within ± this count as 0.
    direction : array (n,)
        Unstable direction of the largest rate, flat, of length 1; zeros if there is none.
    """

    verdict: str
    time: float
    names: tuple[str, ...]
    parts: tuple[Array, ...]
    state: Array
    risk: float
    start_risk: float
    residual: float
    start_residual: float
    moved: float
    eigenvalues: NDArray[np.complex128]
    local_rate: float
    zero: float
    direction: Array

    @property
    def unstable(self) -> NDArray[np.complex128]:
        """Eigenvalues of positive real part."""
        return self.eigenvalues[self.eigenvalues.real > self.zero]

    @property
    def zero_modes(self) -> int:
        """Number of directions that neither grow nor decay to first order."""
        return int((abs(self.eigenvalues.real) <= self.zero).sum())

    @property
    def rate(self) -> float:
        """Escape rate: the distance grows as exp(rate · t), the drop of the risk as exp(2 · rate · t); 0 if none."""
        return float(self.unstable.real.max(initial=0.0))


def saddle(
    trajectory: Trajectory,
    t: float,
    *,
    flow: Any = None,
    target: Any = None,
    network: Network | None = None,
    training: Training | None = None,
    reach: float = 0.5,
) -> Saddle:
    """Polish a state of a trajectory to a stationary point of its flow, and linearise the flow there.

    The recorded state nearest to t is moved by Levenberg–Marquardt steps on y' = 0, in the coordinates that train,
    with the upper triangle of R in place of R, by a Jacobian of central differences. Steps have least norm, so they do
    not move along zero modes: stationary points mostly come in families (neurons that share one role, residuals
    that turn together; permutations only map one point to another), and the one near the state is meant. After each
    step the state goes back to possible ones, R ≥ 0.

    Eigenvalues are growth rates of the weights. Where R is singular, which it is at most saddles of the plain flow, a
    change of R within its null space is the square of a change of weights and its rate is halved; all other changes
    of R keep theirs. It takes dim − P ≥ N for granted, without which some of these directions do not exist. Under
    the finite-step term rates are those of the mean dynamics.

    A run shows the largest rate once its direction has outgrown the others, late where several rates are close.

    A second layer that trains often has no stationary point at all near a plateau: for erf the fit of a linear term
    improves for ever as w shrinks and a grows. The verdict is then "drift", and eigenvalues at the recorded state
    describe the escape as long as they exceed |y'|/|y|.

    Parameters
    ----------
    trajectory : Trajectory
        A single run; of an ensemble, take one as in ``trajectory[0]``.
    t : float
        Flow time on the plateau.
    flow, target, network, training : optional
        What was run; by default as ``trajectory.settings`` say, which know neither teachers nor a user's activation,
        nor a flow for runs of SGD. Of ``network`` only dimension, activation and scaling count.
    reach : float
        How far the state may move, relative to its norm.

    Returns
    -------
    Saddle

    Raises
    ------
    InputError
        For an ensemble, a time outside the run or after its early end, or settings that do not give back the
        recorded risk.
    """
    checks.real("reach", reach, low=0.0, strict=True, remedy="0.5 is usual")
    row = _row(trajectory, t)
    flow, target = flow or flow_of(trajectory), target or target_of(trajectory)
    training = training or training_of(trajectory)
    here = network_at(trajectory, row, network)
    f = flow.right_hand_side(target, here, training)
    start, time = _state(f, here), float(trajectory.time[row])
    risk = float(f.risk(start))
    exact = trajectory.Q is not None or "s" in f.names  # else angles between residuals are unknown
    if exact and not abs(risk - trajectory.risk[row]) <= SAME * abs(trajectory.risk[row]) + 1e-9:
        raise InputError(
            f"trajectory.risk={trajectory.risk[row]:.6g} at t={time:g} comes out as {risk:.6g}: the flow is of another "
            "target, network or training; give the ones that were run"
        )
    rates = training.rates(here)[f.phase(time)]
    basis = trained(f, {"m": rates.w, "R": rates.w, "s": rates.w, "a": rates.a, "b": rates.b})
    if basis.shape[1] == 0:
        raise InputError(f"training moves nothing at t={time:g}; give a time in a phase in which a layer trains")
    J = basis.T @ f.along(time, start, basis)
    local = float(spectrum(J, squares_of(f, start, basis))[0].real.max(initial=0.0))
    fastest, size = float(np.linalg.norm(J, 2)), max(float(np.linalg.norm(start)), 1e-3)
    state, arrived = _polish(f, time, start, basis, fastest * size, reach * size)
    if arrived:
        J = basis.T @ f.along(time, state, basis)
        fastest = max(fastest, float(np.linalg.norm(J, 2)))
    eigenvalues, leading = spectrum(J, squares_of(f, state, basis))
    zero = ZERO * fastest
    unstable = eigenvalues.real.max(initial=0.0) > zero
    lowers = training.loss == "square"
    if not arrived:
        verdict = "drift"
    elif unstable:
        verdict = "saddle"
    else:
        verdict = "degenerate saddle" if _leaves(f, time, state, basis, J, zero, fastest, lowers) else "stable"
    direction = basis @ leading if unstable else np.zeros(state.size)
    return Saddle(
        verdict=verdict,
        time=time,
        names=f.names,
        parts=f.unpack(state),
        state=state,
        risk=float(f.risk(state)),
        start_risk=risk,
        residual=float(abs(f(time, state)).max()),
        start_residual=float(abs(f(time, start)).max()),
        moved=float(np.linalg.norm(state - start)) / size,
        eigenvalues=eigenvalues,
        local_rate=local,
        zero=zero,
        direction=direction,
    )


def _row(trajectory: Trajectory, t: float) -> int:
    """The recorded row nearest to t."""
    if trajectory.ensemble:
        raise InputError(f"trajectory holds {trajectory.seeds} runs; take one, as in trajectory[0]")
    checks.real("t", t)
    alive = np.flatnonzero(np.isfinite(trajectory.risk))
    last = float(trajectory.time[alive[-1]]) if alive.size else 0.0
    if not 0.0 <= t <= last * (1 + 1e-9):
        raise InputError(f"t={t:g} is outside the run, which was recorded from 0 to {last:g}; give a time in it")
    return int(alive[np.argmin(abs(trajectory.time[alive] - t))])


def _state(f: RightHandSide, network: Network) -> Array:
    """The network as a state, also where the flow itself starts elsewhere (from m = 0)."""
    R = np.maximum(np.diag(network.R), 0.0)
    parts = {"m": network.m, "R": network.R, "s": np.sqrt(R), "a": f.unit * network.a, "b": network.b}
    if "a" not in f.names:
        parts["R"] = R
    return f.nearest(f.pack(*(parts[name] for name in f.names)))


def _polish(f: RightHandSide, t: float, start: Array, basis: Array, unit: float, far: float) -> tuple[Array, bool]:
    """Return a state of y' = 0, or the start where there is none within the distance ``far``; and which.

    The damping is ν |y'|, with which steps converge quadratically to a point of a family of solutions (Yamashita &
    Fukushima 2001).
    """
    y, damping = start, 1.0
    slope = basis.T @ f(t, y)
    for _ in range(STEPS):
        error = float(np.linalg.norm(slope))
        if not error > AIM * unit:
            break
        J = basis.T @ f.along(t, y, basis)
        for _ in range(RETRIES):
            mu = np.sqrt(damping * error * np.linalg.norm(J, 2) / max(float(np.linalg.norm(y)), 1e-3))
            stacked = np.vstack([J, mu * np.eye(J.shape[1])])
            step = np.linalg.lstsq(stacked, np.append(-slope, np.zeros(J.shape[1])), rcond=None)[0]
            tried = f.nearest(y + basis @ step)
            new = basis.T @ f(t, tried)
            if np.linalg.norm(new) < error:
                y, slope, damping = tried, new, max(damping / 4, 1e-6)
                break
            damping *= 8
        else:
            break
        if np.linalg.norm(y - start) > far:
            return start, False
    arrived = bool(np.linalg.norm(slope) <= ARRIVED * unit)
    return (y if arrived else start), arrived


def _leaves(
    f: RightHandSide, t: float, state: Array, basis: Array, J: Array, zero: float, fastest: float, lowers: bool
) -> bool:
    """Whether the flow leaves along zero modes: some excursion along them goes on outwards, to lower risk."""
    _, sizes, rows = np.linalg.svd(J)
    modes = basis @ rows[sizes <= zero].T
    if modes.shape[1] == 0:
        return False
    rng, risk = np.random.default_rng(0), float(f.risk(state))
    length = max(float(np.linalg.norm(state)), 1e-3)
    for size in SIZES:
        for way in _ways(modes, rng):
            there = f.nearest(state + size * length * way)
            off = there - state
            outward = float(off @ f(t, there)) / max(float(off @ off), 1e-300)
            if outward > OUTWARD * fastest and (not lowers or float(f.risk(there)) < risk - 1e-12):
                return True
    return False


def _ways(modes: Array, rng: np.random.Generator) -> Array:
    """Random directions (TRIES, n) within the span of the modes' columns."""
    ways = rng.standard_normal((TRIES, modes.shape[1])) @ modes.T
    return ways / np.linalg.norm(ways, axis=1, keepdims=True)
