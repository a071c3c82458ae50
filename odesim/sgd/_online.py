"""The loop of online SGD, batch 1: four fresh samples, their labels, four exact steps, one sweep over W."""

import numpy as np

from odesim._jit import kernel
from odesim.sgd._full import RUNNING, rates_of_group, renew, settle
from odesim.sgd._labels import hermite_scratch, labels
from odesim.sgd._random import BITS, GROUP, INPUTS, draw_normals, draw_signs
from odesim.sgd._steps import steps_of_group
from odesim.sgd._sweep import gram, lay, samples_for, sweep

RENEWAL = 16
"""Groups between two corrections of what rounding has done to lengths on the sphere, counted from step 0.

A squared length that is off by ε is off by ε Π (1 − γλ)²/‖·‖² some steps later, which may grow.
"""


@kernel
def advance(W, scale, a, b, width, dim, start, count, seed, act, rule, bound, source):
    """Take ``count`` steps from step ``start``, a multiple of four, in place.

    The weights are scale_j · W_j; W is (N', d') with zeros beyond (width, dim), N' even; scale, a, b are float64 and
    of one length, at least N', a and b padded with zeros too. Returns (status, step): the step in which a forward pass
    was not finite or exceeded ``bound`` in Σ|λ_j| + |f|; all before that pass is applied.
    """
    x, rows = samples_for(W), np.zeros((GROUP, W.shape[1]), np.float32)
    words, bits = np.empty((GROUP, dim), np.uint32), np.empty((GROUP, -(-dim // BITS)), np.uint32)
    y, He, units = np.zeros(GROUP), hermite_scratch(source), np.zeros((3, source.second_layer.size))
    G, L, C = np.zeros((GROUP, GROUP)), np.zeros((GROUP, a.size)), np.zeros((GROUP, a.size))
    scratch, rates = np.zeros((5, a.size)), np.zeros((GROUP, rule.rates.shape[1]))
    status, done, old, new, phase = RUNNING, 0, 0, GROUP, 0
    while True:
        left = 0 if status != RUNNING else min(count - done, GROUP)
        group = (start + done) // GROUP
        if left > 0:
            if source.boolean:
                draw_signs(seed, INPUTS, group, bits, dim, rows)
            else:
                draw_normals(seed, INPUTS, group, words, rows)
            lay(rows, x, new)
        settle(W, C, scale)
        sweep(W, x, old, new, C, L)  # the only call, so that every update rounds alike
        if left == 0:
            return status, start + done
        if rule.sphere and group % RENEWAL == 0:
            renew(W, scale, width)
        gram(x, new, G)
        labels(seed, group, source, rows, He, units, y)
        phase = rates_of_group(rule, start + done, phase, rates)
        status, taken = steps_of_group(act, left, bound, rule, rates, scale, y, G, L, C, a, b, width, scratch)
        done, old, new = done + taken, new, old
