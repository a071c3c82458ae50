"""Schedules of the step size: one phase for each group of a leap path."""

from __future__ import annotations

import math
import warnings
from itertools import pairwise
from typing import Any

from odesim import checks
from odesim.complexity import LeapPath
from odesim.flag import IsoLeapPath
from odesim.training import Phase

GROUP_TIME = 20.0
"""Flow time of a phase in units of d^{D/2−1} log d where nothing is said: twice what eight erf neurons of second layer
±½ took to leave z1 and z1*z2*z3 behind at d = 400."""

LATEST = 2**53
"""Phases that would begin after so many steps are left out."""


def group_schedule(
    path: LeapPath | IsoLeapPath, *, dim: int, eta: float, time: float = GROUP_TIME, log_power: float = 1.0
) -> tuple[Phase, ...]:
    """Give each group of a leap path the step size and the number of steps that its own leap asks for.

    Group l of leap D_l, with D = max(D_l, 2), has the step size η_l = eta · d^{1 − D/2}, which is c d^{−D/2} for
    eta = c/d, and lasts for the flow time ``time`` · d^{D/2 − 1} (log d)^``log_power``, that is for
    (``time``/c) d^{D − 1} (log d)^``log_power`` steps; the last group's phase never ends. One step size for all,
    c d^{−D/2} with D the largest leap, takes d^{(D_l + D)/2 − 1} steps for group l instead.

    Noise limits the step to d^{−D_l/2} up to logarithms while a group of leap D_l is entered. Joint training of
    weights that move freely is stable only up to some c/d (`stable_step`) whatever is being learned, so that groups
    of leap 1 take the step size of leap 2; they need O(d) steps, which their phase has.

    Source: Abbe, Boix-Adserà & Misiakiewicz 2023, theorem 19, which proves these powers for the layerwise algorithm
    on nested products with increasing leaps; theorem 10 for one step size. For joint training, and for the constants
    and logarithms taken here, it is a rule of thumb.

    Parameters
    ----------
    path : LeapPath or IsoLeapPath
        Of `leap_path`, or of `isoleap_path` where Gaussian data are learned along other directions.
    dim : int
        Input dimension d ≥ 2.
    eta : float
        Step size of groups of leap 1 and 2: the ``eta`` of the training that takes the schedule, c/d.
    time : float
        Constant of the flow time of a phase.
    log_power : float
        Power of log d in it.

    Returns
    -------
    tuple of Phase
        For ``Training(eta=eta, schedule=...)``: the k-th serves the k-th group. Phases that would begin after step
        2^53 are left out.

    Raises
    ------
    InputError
        For a value out of bounds, a path without steps, or a group of smaller leap after one of a larger, above 2:
        its larger step size may destroy what was learned, and no theorem covers it.

    Warns
    -----
    UserWarning
        Where two groups of the same leap above 2 follow each other, which the theorem leaves open.
    """
    d = checks.integer("dim", dim, low=2, remedy="give the input dimension")
    checks.real("eta", eta, low=0.0, strict=True, remedy="give the step size of the training")
    checks.real("time", time, low=0.0, strict=True, remedy="it is a flow time")
    checks.real("log_power", log_power, low=0.0, remedy="0 leaves log d out")
    leaps = [step.leap for step in path.steps]
    _check_order(leaps, path.labels)
    phases: list[Phase] = []
    end = 0
    for leap in leaps:
        extra = max(leap, 2) / 2 - 1
        rate = d**-extra
        end += math.ceil(time * d**extra * math.log(d) ** log_power / (eta * rate))
        phases.append(Phase(until=end, rate=rate))
        if end > LATEST:
            break
    return (*phases[:-1], Phase(rate=phases[-1].rate))


def _check_order(leaps: list[int], labels: Any) -> None:
    """Refuse leaps that decrease, warn of equal ones; up to 2 all have one step size."""
    if not leaps:
        raise checks.InputError("path has no steps; give that of a target which is not constant")
    for k, (sooner, later) in enumerate(pairwise(leaps), 1):
        if later < sooner and sooner > 2:
            raise checks.InputError(
                f"path has {labels[k]}, of leap {later}, after a group of leap {sooner}; a step size for each group "
                "needs leaps that increase: give one step size, or phases of your own"
            )
        if later == sooner > 2:
            warnings.warn(
                f"{labels[k]} has leap {later} like the group before it; the schedule is proved for increasing leaps "
                "only",
                stacklevel=3,
            )
