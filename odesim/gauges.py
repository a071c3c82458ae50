"""Noise gauges: how much SGD's noise has added to the squared overlaps, in units of their start."""

from __future__ import annotations

import numpy as np

from odesim.trajectory import Trajectory


def noise_gauges(ode: Trajectory, until: list[float]) -> list[float | None]:
    """Largest noise gauge over the neurons up to each of these steps, and up to the last of them.

    ν_j = ∫ (eta d) Γ_jj dt, of the integrator where the flow has it and else by the trapezoid rule on the output
    grid, is what SGD's noise adds to a squared overlap, in units of its start size 1/d: where ν is not far below 1,
    the escape from a saddle of leap 2 or more is random. An escape that never happens counts up to the end.

    Returns
    -------
    list
        One for each entry of ``until`` and one more for them all; None if the flow recorded no noise rate.
    """
    ends = [*until, max(until, default=np.inf)]
    if ode.noise_rate is None:
        return [None] * len(ends)
    known = np.isfinite(ode.noise_rate).all(axis=1)
    time, rate = ode.time[known], ode.noise_rate[known]
    if time.size == 0:
        return [None] * len(ends)
    if ode.noise_gauge is not None:
        nu = ode.noise_gauge[known]
    else:
        pieces = np.diff(time)[:, None] * (rate[1:] + rate[:-1]) / 2
        nu = np.concatenate([np.zeros((1, rate.shape[1])), np.cumsum(pieces, axis=0)])
    times = np.interp(ends, ode.steps, ode.time)
    return [float(max(np.interp(t, time, one) for one in nu.T)) for t in times]
