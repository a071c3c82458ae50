"""Network: scalings, laws of the start, and overlaps that do not depend on how it was made."""

import numpy as np
import pytest

from odesim import InputError, Network, Target

TARGET = Target.parse("z1 + z1*z2*z3")


def drawn(**options):
    return Network.random(TARGET, **({"width": 5, "dim": 30, "rng": 4} | options))


def test_scalings_start_from_the_same_numbers():
    """``second_layer`` speaks of a in the named scaling, so mean-field f is 1/N of the plain one."""
    plain, wide = drawn(second_layer=0.7, biases=0.4), drawn(second_layer=0.7, biases=0.4, scaling="mean_field")
    for name in ("a", "b", "m", "R", "weights"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(wide, name))
    assert (plain.scaling, plain.unit, wide.scaling, wide.unit) == ("plain", 1.0, "mean_field", 0.2)
    np.testing.assert_array_equal(plain.plain_a, plain.a)
    assert wide.plain_a == pytest.approx(plain.a / 5)
    assert set(plain.a) == {-0.7, 0.7}


def test_second_layer_law():
    """Unif[−A, A]: mean 0 and variance A²/3, within four standard errors (kurtosis 9/5)."""
    n, A = 1500, 2.0
    network = drawn(width=n, dim=3, second_layer=A, second_layer_law="uniform")
    assert abs(network.a).max() <= A
    assert abs(network.a.mean()) < 4 * A / np.sqrt(3 * n)
    assert network.a.var() == pytest.approx(A**2 / 3, rel=4 * np.sqrt(0.8 / n))
    signs = drawn(width=n, dim=3, second_layer=A).a
    assert set(signs) == {-A, A}
    assert abs(signs.mean()) < 4 * A / np.sqrt(n)


def test_the_law_of_a_changes_nothing_else():
    one, other = drawn(biases=0.4), drawn(biases=0.4, second_layer_law="uniform")
    for name in ("b", "m", "R", "weights"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert abs(other.a).max() < 0.5


def test_overlaps_are_those_of_the_weights():
    network = drawn(biases=0.4)
    assert network.weights.shape == (5, 30)
    assert network.m == pytest.approx(network.weights[:, :3])
    assert network.m @ network.m.T + network.R == pytest.approx(network.weights @ network.weights.T)
    assert abs(network.b).max() <= 0.4
    assert network.has_biases
    assert not drawn().has_biases
    again = Network.from_weights(TARGET, network.weights, network.a, network.b, scaling="mean_field")
    np.testing.assert_array_equal(again.R, network.R)
    assert again.scaling == "mean_field"


def test_the_same_draw_at_every_dimension():
    small, large = drawn(biases=0.4), drawn(biases=0.4, dim=3000)
    assert small.m * np.sqrt(30) == pytest.approx(large.m * np.sqrt(3000))
    np.testing.assert_array_equal(small.a, large.a)
    np.testing.assert_array_equal(small.b, large.b)
    assert np.diag(large.R) == pytest.approx(1, abs=5 * np.sqrt(2 / 3000))


def test_overlaps_alone_have_the_same_m_a_and_b():
    whole, alone = drawn(biases=0.4), drawn(biases=0.4, weights=False)
    for name in ("m", "a", "b"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(whole, name))
    assert alone.weights is None
    far = drawn(dim=10**9, weights=False)
    assert far.m * np.sqrt(1e9) == pytest.approx(whole.m * np.sqrt(30))
    np.testing.assert_allclose(far.R, np.eye(5), rtol=0, atol=6 * np.sqrt(2e-9))


@pytest.mark.parametrize("dim", [5, 9, 40])
def test_residuals_alone_have_the_law_of_those_of_weights(dim):
    """Also where they are fewer than the neurons: R of rank dim − 3."""
    from scipy.stats import ks_2samp

    whole, alone = (
        np.array([drawn(width=4, dim=dim, weights=weights, rng=rng).R for rng in range(first, first + 800)])
        for weights, first in ((True, 0), (False, 5000))
    )
    assert np.linalg.matrix_rank(alone[0]) == min(4, dim - 3)
    least, lowest = (np.linalg.eigvalsh(R)[:, -1] for R in (whole, alone))
    pairs = [(least, lowest), *((whole[:, j, k], alone[:, j, k]) for j, k in ((0, 0), (3, 3), (1, 0), (3, 2)))]
    assert min(ks_2samp(one, other).pvalue for one, other in pairs) > 1e-3 / 15


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"scaling": "ntk"}, r"^network\.scaling="),
        ({"second_layer_law": "normal"}, r"^network\.second_layer_law="),
        ({"second_layer": 0.0}, r"^network\.second_layer="),
        ({"biases": -1.0}, r"^network\.biases="),
        ({"width": 0}, r"^network\.width="),
        ({"dim": 2}, r"^network\.dim=2 is below the target's 3 coordinates"),
        ({"activation": "sine"}, r"^network\.activation="),
    ],
)
def test_bad_starts_are_named(options, match):
    with pytest.raises(InputError, match=match):
        drawn(**options)
