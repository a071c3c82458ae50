"""The loop of online SGD, batch 1: four fresh samples, their labels, four exact steps, one sweep over W."""

import numpy as np

from odesim._jit import kernel
from odesim.sgd._full import RUNNING, gram, rates_of_group, settle, steps_of_group, sweep
from odesim.sgd._labels import hermite_scratch, labels
from odesim.sgd._random import BITS, GROUP, INPUTS, draw_group, draw_signs


@kernel
def advance(W, scale, a, b, width, dim, start, count, seed, act, rule, bound, source):
    """Take ``count`` steps from step ``start``, a multiple of four, in place.

    The weights are scale · W; W is (N', d') with zeros beyond (width, dim), N' even; a, b are float64, at least
    N' long, padded with zeros too. Returns (status, step, scale): the step whose forward pass was not finite or
    exceeded ``bound`` in Σ|λ_j| + |f|; all before it is applied.
    """
    x = np.zeros((2, GROUP, W.shape[1]), W.dtype)
    scratch, words = np.empty((2 * GROUP, dim), np.uint32), np.empty((GROUP, -(-dim // BITS)), np.uint32)
    y, He, units = np.zeros(GROUP), hermite_scratch(source), np.zeros((3, source.second_layer.size))
    G, L, C = np.zeros((GROUP, GROUP)), np.zeros((GROUP, a.size)), np.zeros((GROUP, a.size))
    s, ds, rates = np.zeros(a.size), np.zeros(a.size), np.zeros((GROUP, rule.rates.shape[1]))
    status, done, now, phase = RUNNING, 0, 0, 0
    while True:
        left = 0 if status != RUNNING else min(count - done, GROUP)
        group = (start + done) // GROUP
        if left > 0:
            if source.boolean:
                draw_signs(seed, INPUTS, group, words, dim, x[1 - now])
            else:
                draw_group(seed, INPUTS, group, scratch, x[1 - now])
        scale = settle(W, C, scale)
        sweep(W, x[now], x[1 - now], C, L)  # the only call, so that every update rounds alike
        if left == 0:
            return status, start + done, scale
        now = 1 - now
        gram(x[now], G)
        labels(seed, group, source, x[now], He, units, y)
        phase = rates_of_group(rule, start + done, phase, rates)
        status, taken, scale = steps_of_group(
            act, left, bound, rule.feedback, rates, scale, y, G, L, C, a, b, s, ds, width
        )
        done += taken
