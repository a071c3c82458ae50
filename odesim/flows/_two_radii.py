"""The layerwise rule of one neuron: what is released, rescaled and held, and where inside a step.

Coordinates are KEPT on the unit sphere, together with the residual, until |m_i| first reaches r; then they are LOOSE
for ever, except that one at ±Δ is HELD while its velocity points outward. The flat state is m (n) and R.
"""

import math
from typing import NamedTuple

import numpy as np

from odesim._jit import kernel

KEPT, LOOSE, HELD = 0, 1, 2

NEVER = 1e300
"""A radius that is never reached: there are no events."""

TIE = 1e-9
"""Coordinates within this share of a radius reach it in the same instant."""

LOOKS = 4
"""Places inside a step where an event is looked for: one that |m_i| passes and takes back between two is missed."""

HALVINGS = 50


class Radii(NamedTuple):
    """The two radii, and each coordinate's mode (int64) and time of release (infinity before it)."""

    r: float
    delta: float
    mode: np.ndarray  # (n)
    times: np.ndarray  # (n)


@kernel
def excess(radii, y):
    """Return the largest |m_i| − r of the kept and |m_i| − Δ of the loose: an event is where it reaches 0."""
    top = -NEVER
    for i in range(radii.mode.size):
        if radii.mode[i] == KEPT:
            top = max(top, abs(y[i]) - radii.r)
        elif radii.mode[i] == LOOSE:
            top = max(top, abs(y[i]) - radii.delta)
    return top


@kernel
def settle(radii, t, y):
    """Release the kept that have reached r, put the rest back on the sphere, repeat; hold the loose at ±Δ."""
    last = radii.mode.size
    while True:
        count, rest = 0, y[last]
        for i in range(last):
            if radii.mode[i] == KEPT:
                if abs(y[i]) >= radii.r * (1.0 - TIE):
                    radii.mode[i], radii.times[i] = LOOSE, t
                    count += 1
                else:
                    rest += y[i] * y[i]
        if count == 0:
            break
        scale = 1.0 / math.sqrt(rest) if rest > 0.0 else 1.0
        for i in range(last):
            if radii.mode[i] == KEPT:
                y[i] *= scale
        y[last] *= scale * scale
    for i in range(last):
        if radii.mode[i] == LOOSE and abs(y[i]) >= radii.delta * (1.0 - TIE):
            y[i] = math.copysign(radii.delta, y[i])
            radii.mode[i] = HELD


@kernel
def loosen(radii, y):
    """Let go of the held that moved inward; return how many."""
    count = 0
    for i in range(radii.mode.size):
        if radii.mode[i] == HELD and abs(y[i]) < radii.delta:
            radii.mode[i] = LOOSE
            count += 1
    return count
