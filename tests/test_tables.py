"""Functions of a user's own: tables, their errors and their kinks."""

import math

import naive_flow as naive
import numpy as np
import pytest
from conftest import act
from test_pairs import sums

from odesim.activations._moments import moments
from odesim.activations._pairs import pair_sums
from odesim.activations.activation import Activation
from odesim.activations.catalogue import activation_named
from odesim.activations.handed import act_of
from odesim.checks import InputError
from odesim.flows._mean_field import smoothed
from odesim.sgd._full import activate


def elu(x):
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0.0)))


KINKED = {"hat": (lambda x: np.maximum(0.0, 1 - np.abs(x)), (-1, 0, 1)), "elu": (elu, (0,)),
          "relu": (lambda x: np.maximum(x, 0.0), (0.0,))}  # fmt: skip


@pytest.mark.parametrize("title", KINKED)
def test_a_function_with_kinks(title):
    """Moments and pairs of a table with kinks: by definition on fine panels, and those of ReLU in closed form."""
    function, kinks = KINKED[title]
    activation = Activation.from_function(function, kinks=kinks, name=title)
    kernel = act_of(activation)
    assert max(activation.error) < 1e-10
    q, b = np.array([0.9, 1e-4]), np.array([0.2, -0.003])
    c = np.zeros((5, 2))
    moments(kernel, q, b, c)
    for j in range(2):
        g, w = naive.panels([-12, -5, -2, 0, 2, 5, 12, *((np.array(kinks) - b[j]) / math.sqrt(q[j]))])
        values = w * naive.PHI * np.exp(-g * g / 2) * function(math.sqrt(q[j]) * g + b[j])
        for k in range(5):
            he = np.polynomial.hermite_e.hermeval(g, [0] * k + [1])
            assert c[k, j] * q[j] ** (k / 2) == pytest.approx(np.sum(values * he), abs=1e-11)
    if title == "relu":
        for rho in (0.5, -0.99, 1.0):
            Q, a, u = np.array([[1.0, rho], [rho, 1.0]]), np.array([1.0, 0.7]), np.array([0.2, 0.5])
            out = [np.zeros(2) for _ in range(4)] + [np.zeros((2, 2))]
            pair_sums(kernel, 1, Q, a, u, *out)
            for mine, closed in zip(out[1:], sums("relu", Q, a, u, True), strict=True):
                assert mine == pytest.approx(closed, abs=1e-9)
        x, value, slope, spread = np.array([-0.3, 0.0, 0.8]), np.zeros(3), np.zeros(3), np.zeros(3)
        expected = [np.zeros(3) for _ in range(3)]
        smoothed(kernel, x, 0.4, 0.1, value, slope, spread)
        smoothed(act("relu"), x, 0.4, 0.1, *expected)
        assert np.array([value, slope, spread]) == pytest.approx(np.array(expected), abs=1e-10)


def test_reported_error_of_a_table_is_its_error():
    activation = Activation.from_function(lambda x: np.tanh(2 * x), name="steep")
    x = np.random.default_rng(8).uniform(-20, 20, 20000)
    value, slope = np.empty(x.size), np.empty(x.size)
    activate(act_of(activation), x, value, slope)
    worst = np.max(np.abs(value - np.tanh(2 * x))), np.max(np.abs(slope - 2 / np.cosh(2 * x) ** 2))
    assert worst[0] < 2 * activation.error.value
    assert activation.error.slope / 2 < worst[1] < 2 * activation.error.slope
    assert activation.function(x) == pytest.approx(np.tanh(2 * x), abs=1e-15)


def test_a_table_goes_on_linearly_and_passes_nan_on():
    activation = Activation.from_function(lambda x: 0.1 * x**2, reach=5.0)
    x, value, slope = np.array([7.0, -1e6, 5.0, np.nan, np.inf]), np.empty(5), np.empty(5)
    activate(act_of(activation), x, value, slope)
    assert value[:3] == pytest.approx([2.5 + 2.0, 2.5 + 1e6 - 5.0, 2.5])
    assert slope[:3] == pytest.approx([1.0, -1.0, 1.0])
    assert np.isnan(value[3])
    assert not np.isfinite(value[4])


def test_tables_that_miss_the_function_are_refused_or_warned_of():
    with pytest.raises(InputError, match=r"misses the function by .* above 1e-06 and 0.0001; name its kinks"):
        Activation.from_function(lambda x: np.maximum(x - 0.013, 0.0))
    with pytest.raises(InputError, match=r"jumps by 1 at the kink x=0.5"):
        Activation.from_function(lambda x: (x > 0.5).astype(float), kinks=(0.5,))
    with pytest.raises(InputError, match=r"log: the function is not finite at x=-"), np.errstate(invalid="ignore"):
        Activation.from_function(np.log, name="log")
    with pytest.raises(InputError, match=r"maps shape \(.*\) to \(\)"):
        Activation.from_function(np.sum)
    with pytest.raises(InputError, match=r"the function failed on an array"):
        Activation.from_function(math.tanh)
    with pytest.raises(InputError, match=r"kinks=\(30.0,\) must lie inside ±20"):
        Activation.from_function(np.abs, kinks=(30,))
    with pytest.warns(UserWarning, match=r"misses the function by"):
        Activation.from_function(lambda x: np.tanh(8 * x))
    assert Activation.from_function(np.abs, kinks=(0,)).practical_width < activation_named("tanh").practical_width
