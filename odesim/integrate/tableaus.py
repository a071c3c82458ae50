"""Methods as data."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from odesim.integrate._explicit import Tableau

NONE = np.zeros(0)


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
    return Tableau(c=c, a=a, error=error, dense=dense, order=5, coarse=NONE, bound=real_bound(a))


@cache
def dopri5() -> Tableau:
    """Dormand & Prince 5(4) with its dense output of order 4.

    Source: J. R. Dormand & P. J. Prince, J. Comput. Appl. Math. 6 (1980) 19–26; the dense output as in Hairer, Nørsett
    & Wanner I, II.6.
    """
    a = np.zeros((7, 7))
    a[1, :1] = [1 / 5]
    a[2, :2] = [3 / 40, 9 / 40]
    a[3, :3] = [44 / 45, -56 / 15, 32 / 9]
    a[4, :4] = [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729]
    a[5, :5] = [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656]
    a[6, :6] = [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84]
    error = np.array([71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40])
    bend = np.array([
        -12715105075 / 11282082432, 0, 87487479700 / 32700410799, -10690763975 / 1880347072,
        701980252875 / 199316789632, -1453857185 / 822651844, 69997945 / 29380423,
    ])  # fmt: skip
    # with u = 1 − θ: θ(F0 + u(F1 + θ(F2 + u F3))), F0 the increment, F1 and F2 those of the cubic Hermite polynomial
    start, end = np.eye(7)[0], np.eye(7)[6]
    dense, basis = np.zeros((7, 4)), np.array([0.0, 1.0])
    for k, factor in enumerate([a[6], start - a[6], 2 * a[6] - start - end, bend]):
        dense[:, : basis.size - 1] += np.outer(factor, basis[1:])
        basis = np.polynomial.polynomial.polymul(basis, [1.0, -1.0] if k % 2 == 0 else [0.0, 1.0])
    return Tableau(a.sum(axis=1), a, error, dense, order=5, coarse=NONE, bound=real_bound(a))


@cache
def euler() -> Tableau:
    """Steps y + h f(y) without error estimate: a map in discrete time, with h = 1 kept by the longest step."""
    a = np.array([[0.0, 0.0], [1.0, 0.0]])
    dense = np.array([[1.0], [0.0]])
    return Tableau(a.sum(axis=1), a, np.zeros(2), dense, order=1, coarse=NONE, bound=real_bound(a))


def real_bound(a: NDArray[np.float64]) -> float:
    """Largest x with |R(−x)| <= 1 on [0, x], R the stability polynomial of the weights in the last row of a."""
    powers, coefficients = np.ones(a.shape[0]), [1.0]
    for _ in range(a.shape[0] - 1):
        coefficients.append(float(a[-1] @ powers))
        powers = a @ powers
    x = np.linspace(0.0, 20.0, 20_001)
    beyond = np.flatnonzero(abs(np.polynomial.polynomial.polyval(-x, coefficients)) > 1.0 + 1e-9)
    return float(x[beyond[0] - 1])
