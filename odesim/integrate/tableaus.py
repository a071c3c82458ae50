"""Methods as data."""

from __future__ import annotations

from functools import cache

import numpy as np

from odesim.integrate._explicit import Tableau


@cache
def tsitouras() -> Tableau:
    """Tsitouras 5(4) with its free interpolant of order 4.

    Source: Ch. Tsitouras, *Runge–Kutta pairs of order 5(4) satisfying only the first column simplifying
    assumption*, Comput. Math. Appl. 62 (2011) 770–775.
    """
    c = np.array([0, 0.161, 0.327, 0.9, 0.9800255409045097, 1, 1])
    a = np.zeros((7, 7))
    a[1, :1] = [0.161]
    a[2, :2] = [-0.008480655492356989, 0.335480655492357]
    a[3, :3] = [2.8971530571054935, -6.359448489975075, 4.3622954328695815]
    a[4, :4] = [5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525]
    a[5, :5] = [
        5.86145544294642,
        -12.92096931784711,
        8.159367898576159,
        -0.071584973281401,
        -0.028269050394068383,
    ]
    a[6, :6] = [
        0.09646076681806523,
        0.01,
        0.4798896504144996,
        1.379008574103742,
        -3.290069515436081,
        2.324710524099774,
    ]
    error = np.array([
        -0.00178001105222577714, -0.0008164344596567469, 0.007880878010261995, -0.1447110071732629,
        0.5823571654525552, -0.45808210592918697, 1 / 66,
    ])  # fmt: skip
    # b_i(θ) as products of factors in θ, multiplied out (lowest power first, the constant 0 dropped)
    factors = [
        (-1.0530884977290216, [0, 1], [-1.3299890189751412, 1], [0.7139816917074209, -1.4364028541716351, 1]),
        (0.1017, [0, 0, 1], [1.2949852507374631, -2.1966568338249754, 1]),
        (2.490627285651252793, [0, 0, 1], [1.57803468208092486, -2.38535645472061657, 1]),
        (-16.54810288924490272, [0, 0, 1], [-1.21712927295533244, 1], [-0.61620406037800089, 1]),
        (47.37952196281928122, [0, 0, 1], [-1.203071208372362603, 1], [-0.658047292653547382, 1]),
        (-34.87065786149660974, [0, 0, 1], [-1.2, 1], [-2 / 3, 1]),
        (2.5, [0, 0, 1], [-1, 1], [-0.6, 1]),
    ]
    dense = np.zeros((7, 4))
    for i, (scale, *parts) in enumerate(factors):
        product = np.array([scale])
        for part in parts:
            product = np.polynomial.polynomial.polymul(product, np.array(part, dtype=float))
        dense[i] = product[1:]
    return Tableau(c=c, a=a, error=error, dense=dense, order=5)
