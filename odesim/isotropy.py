"""isoLeap of a Gaussian target: the leap in the worst orthonormal frame, and the path SGD takes there.

For a subspace U with complement V let T_k(z_U) = E[∇_V^k h | z_U] and k(U) the smallest k ≥ 1 at which T_k is not
zero for every z_U. From U = 0, record k(U), add to U the directions of T_{k(U)}(z_U) over all z_U, and repeat
until U holds every relevant direction: the largest k recorded is the isoLeap. In a frame adapted to U the first
term that leaves U brings a mass of at least k(U), so a frame adapted to all of the U attains it.
"""

from __future__ import annotations

import math
import warnings

import numpy as np

from odesim import checks, complexity
from odesim.checks import InputError
from odesim.entries import Floats, Ints, Series, joined
from odesim.flag import Frame, IsoLeapPath, IsoLeapStep
from odesim.rotation import turned
from odesim.slopes import Slopes
from odesim.targets.series import Target
from odesim.turns import decomposed

TOLERANCE = 1e-10
"""Singular values, relative to ‖h‖, that never count."""

MAX_NOISE = 0.01
"""Bound on the relative error of the coefficients."""

_SAFETY = 1e3
_MARGIN = 10.0
_MACHINE = float(np.finfo(np.float64).eps)


def isoleap(target: Target, *, noise: float | None = None) -> int:
    """Largest leap complexity over all rotations of a Gaussian target, max over R of Leap(h∘R).

    Parameters
    ----------
    target : Target
        On Gaussian data.
    noise : float, optional
        Error of the coefficients relative to ‖h‖; by default rounding.

    Returns
    -------
    int
        0 for a constant; never below `leap`.

    Raises
    ------
    InputError
        On Boolean data, for a negative noise, and where a rotation would be too large.

    Warns
    -----
    UserWarning
        Where the verdict is close to the tolerance.
    """
    path = isoleap_path(target, noise=noise)
    for message in path.warnings:
        warnings.warn(message, stacklevel=2)
    return path.isoleap


def isoleap_path(target: Target, *, noise: float | None = None) -> IsoLeapPath:
    """Find the flag of subspaces along which the target is learned in its worst frame.

    Parameters
    ----------
    target, noise
        As in `isoleap`.

    Raises
    ------
    InputError
        As `isoleap`.
    """
    if target.data != "gaussian":
        raise InputError(f"data={target.data!r} has no isoLeap: its law admits no rotation; use leap, or gaussian data")
    epsilon = 0.0 if noise is None else checks.real("noise", noise, low=0.0)
    if epsilon > MAX_NOISE:
        raise InputError(f"noise={noise} must be at most {MAX_NOISE:g}; estimate the coefficients better")
    return _Search(target, max(_MACHINE, epsilon)).run()


def relevant_directions(target: Target) -> Floats:
    """Orthonormal rows (r, P) that span the directions on which the target depends.

    On Boolean data these are the coordinates that it holds.

    Raises
    ------
    InputError
        Where a rotation would be too large.
    """
    if target.data != "gaussian":
        steps = complexity.leap_path(target).steps
        return np.eye(target.P)[sorted(i for step in steps for i in step.coordinates)]
    path = isoleap_path(target)
    return path.basis[: sum(len(step.axes) for step in path.steps)]


class _Search:
    """The recursion: the series in the present frame, and what has entered U.

    ``live`` are the terms that U does not hold yet, ``done`` the others. An error θ of U's directions is carried
    along: it grows where a rank-deficient block was rotated, from the smallest singular value kept there.
    """

    def __init__(self, target: Target, epsilon: float) -> None:
        series = Series.of(target)
        # A power of two near the norm: dividing by it neither rounds nor overflows.
        norm = math.hypot(*series.coefficients.tolist())
        self.scale = math.ldexp(1.0, math.frexp(norm)[1])
        self.norm = norm / self.scale
        self.live = series._replace(coefficients=series.coefficients / self.scale)
        self.done: list[Series] = []
        self.frame = Frame(target.P)
        self.new = np.ones(target.P, dtype=bool)
        self.degree = target.degree
        self.epsilon = epsilon
        self.theta = 0.0
        self.warnings: list[str] = []

    @property
    def tolerance(self) -> float:
        return max(TOLERANCE, _MARGIN * (self.epsilon + self.degree * self.theta))

    def run(self) -> IsoLeapPath:
        steps = []
        while step := self._step():
            steps.append(step)
            self.new[list(step.axes)] = False
            held = self.live.mass(self.new) == 0
            self.done.append(self.live.take(held))
            self.live = self.live.take(~held)
        series = joined([*self.done, self.live])
        energies = [float(part.coefficients @ part.coefficients) for part in self.done]
        levels = [0.5 * self.scale * self.scale * math.fsum(energies[i:]) for i in range(len(energies) + 1)]
        series = series._replace(coefficients=series.coefficients * self.scale)
        return IsoLeapPath(tuple(steps), tuple(levels), tuple(self.warnings), self.tolerance, self.frame, series)

    def _step(self) -> IsoLeapStep | None:
        """Find the next k and the axes that enter, turning the frame where they are no coordinates."""
        mass = self.live.mass(self.new)
        for k in np.unique(mass).tolist():
            slopes = Slopes.of(self.live.take(mass == k), self.new, self.norm)
            axes = self._directions(slopes, k)
            if axes:
                return IsoLeapStep(k, tuple(sorted(axes)), self.frame)
        return None

    def _directions(self, slopes: Slopes, k: int) -> list[int]:
        """Return axes that span the columns of M_k."""
        tolerance, held = self.tolerance, np.count_nonzero(~self.new)
        axes, slopes = slopes.peeled(_SAFETY * tolerance)
        deficient = []
        for rows, M in slopes.blocks(self.epsilon):
            left, sizes, _ = np.linalg.svd(M, full_matrices=False)
            rank = int((sizes > tolerance).sum())
            self._doubt(sizes, rank)
            if rank == rows.size:
                axes += rows.tolist()
            elif rank:
                deficient.append((rows, left[:, :rank].T, np.append(sizes, 0.0)))
        for rows, directions, _ in deficient:
            axes += self._enter(rows, directions)
        if deficient:
            ranks = [len(directions) for _, directions, _ in deficient]
            kept = min(sizes[rank - 1] for rank, (_, _, sizes) in zip(ranks, deficient, strict=True))
            dropped = max(sizes[rank] for rank, (_, _, sizes) in zip(ranks, deficient, strict=True))
            room = math.comb(held + self.degree - k, held) > max(ranks)
            self._inherit(float(kept), float(dropped) if room else math.inf)
        return axes

    def _inherit(self, kept: float, dropped: float) -> None:
        """Carry the error of U on through the smallest singular value kept: θ grows by (ε + Dθ)/σ.

        Dθ bounds what that error leaves in M_k, and alone would make θ grow D/σ-fold a step. Where M_k has more
        columns than its rank, what is left shows as singular values that are dropped, and counts for no more than
        ten times the largest of those.
        """
        inherited = min(self.degree * self.theta, _MARGIN * dropped)
        self.theta += (self.epsilon + inherited) / kept

    def _enter(self, axes: Ints, directions: Floats) -> list[int]:
        """Rotate the frame on these axes such that some of them span the directions (r, c); return those.

        Axes in terms of low degree go first: there a few of them can stand in for the rest, at little cost.
        """
        r = len(directions)
        largest = np.abs(directions).argmax(axis=1)
        directions = np.sign(directions[np.arange(r), largest])[:, None] * directions
        degrees = self._degrees(axes)
        for n in np.unique(degrees)[:-1]:
            low = degrees <= n
            if np.count_nonzero(low) > r:
                rows, upper = np.linalg.qr(directions[:, low].T)
                self._turn(axes[low], rows.T)
                kept = ~low
                kept[np.flatnonzero(low)[:r]] = True
                directions[:, np.flatnonzero(low)[:r]] = upper.T
                axes, degrees, directions = axes[kept], degrees[kept], directions[:, kept]
        self._turn(axes, directions)
        return axes[:r].tolist()

    def _degrees(self, axes: Ints) -> Ints:
        """Largest degree in all these axes of the terms that hold each."""
        chosen = np.zeros(self.new.size, dtype=bool)
        chosen[axes] = True
        out = np.zeros(self.new.size, dtype=np.int64)
        np.maximum.at(out, self.live.coordinate, self.live.mass(chosen)[self.live.owner])
        return out[axes]

    def _turn(self, axes: Ints, rows: Floats) -> None:
        turns, signs = decomposed(rows)
        self.live = turned(self.live, axes, turns, signs)
        self.frame.turns.append((axes, turns, signs))

    def _doubt(self, sizes: Floats, rank: int) -> None:
        """Note a close decision: a singular value kept near its tolerance, or dropped for inherited errors alone."""
        tolerance = self.tolerance
        close = rank and sizes[rank - 1] < _SAFETY * tolerance
        lost = rank < sizes.size and sizes[rank] > max(TOLERANCE, _MARGIN * self.epsilon)
        if close or lost:
            size, verdict = (sizes[rank - 1], "kept") if close else (sizes[rank], "taken for an error")
            what = f"isoLeap is in doubt: a singular value {size:.1e} of ‖h‖ was {verdict} (tolerance {tolerance:.1e})"
            self.warnings.append(f"{what}; give more exact coefficients, or a frame in which fewer terms mix")
