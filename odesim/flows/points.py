"""The law of z in points: all signs for Boolean data, a tensor Gauss–Hermite rule for Gaussian data."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from odesim import checks
from odesim.targets.series import Target
from odesim.targets.teacher import TeacherTarget

Array = NDArray[np.float64]

MAX_POINTS = 1 << 20
"""Points of z that are still taken."""


class Points(NamedTuple):
    """Points z (P, n), their weights p (n), which sum to 1, and the target h (n) there."""

    z: Array
    p: Array
    h: Array


def points_of(target: Target | TeacherTarget, nodes: int = 16) -> Points:
    """Lay out the law of z: all 2^P signs, or the tensor Gauss–Hermite rule.

    Raises
    ------
    InputError
        If there would be more than 2^20 points, or fewer nodes than E[h²] needs.
    """
    boolean = target.data == "boolean"
    degree = getattr(target, "degree", 0)  # a teacher network has none
    if not boolean and nodes <= degree:
        raise checks.InputError(f"nodes={nodes} is too few for degree {degree}; give {degree + 1} or more")
    per, P = 2 if boolean else nodes, target.P
    if per**P > MAX_POINTS:
        remedy = "take a target of fewer coordinates" + ("" if boolean else " or fewer nodes")
        raise checks.InputError(f"target has {P} coordinates: {per}^{P} points exceed {MAX_POINTS}; {remedy}")
    x, w = (np.array([-1.0, 1.0]), np.ones(2)) if boolean else np.polynomial.hermite_e.hermegauss(nodes)
    which = np.indices((per,) * P).reshape(P, -1)
    z = np.ascontiguousarray(x[which])
    return Points(z, np.prod((w / w.sum())[which], axis=0), np.ascontiguousarray(target.evaluate(z.T)))
