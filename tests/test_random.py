"""Philox against its published answers, normals and signs against their law, streams against one another."""

import naive_sgd
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from odesim.sgd import _random

U = np.uint32


def normals(seed, steps, dim, *, first=0, stream=_random.INPUTS, dtype=np.float32):
    out = np.empty((steps, dim), dtype)
    _random.samples(np.uint64(seed), stream, first, out)
    return out


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_published_answers(counter, key, answer):
    words = _random.philox(*(U(c) for c in counter), *(U(k) for k in key))
    assert tuple(int(word) for word in words) == answer
    assert tuple(naive_sgd.philox(counter, key)) == answer


@given(
    seed=st.integers(0, 2**64 - 1),
    stream=st.integers(0, 2**32 - 1),
    group=st.integers(0, 2**61),
    n=st.integers(1, 40),
)
def test_words_are_philox_of_coordinate_step_and_stream(seed, stream, group, n):
    words = np.empty((4, n), U)
    _random.draw_words(np.uint64(seed), U(stream), group, words)
    i = n - 1
    key, counter = (seed % 2**32, seed // 2**32), (i, group % 2**32, group // 2**32, stream)
    assert words[:, i].tolist() == naive_sgd.philox(counter, key)


@given(seed=st.integers(0, 2**64 - 1), first=st.integers(0, 2**60), dim=st.integers(1, 20))
def test_samples_are_box_muller_of_those_words(seed, first, dim):
    """To a few roundings of the radius r, and of the uniform u to float32, which moves r² = −2 ln u by 1e-7."""
    x = normals(seed, 6, dim, first=first)
    pairs = np.array([[naive_sgd.pair(seed, 0, first + t, i) for i in range(dim)] for t in range(6)])
    want = pairs[np.arange(6), :, (first + np.arange(6)) % 2]
    r = np.linalg.norm(pairs, axis=2)
    assert (abs(x - want) < 5e-7 * r + 2e-7 / r).all()


def test_extreme_words_give_finite_normals_below_the_bound():
    edges = np.array([0, 1, 2, 3, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF], U)
    radius, angle = (grid.ravel().copy() for grid in np.meshgrid(edges, edges))
    out = np.empty((2, radius.size), np.float32)
    _random.box_muller(radius, angle, out[0], out[1])
    assert np.isfinite(out).all()
    assert 6.6 < np.abs(out).max() < 6.7


def test_logarithm_is_accurate_over_the_whole_unit_interval():
    x = np.concatenate([np.geomspace(2.0**-32, 1, 20001), 1 - np.geomspace(2.0**-24, 0.5, 20001)])
    x = x.astype(np.float32)
    got = np.array([_random.log32(v) for v in x[::7]])
    np.testing.assert_allclose(got, np.log(x[::7].astype(float)), rtol=3e-7, atol=0)


def test_moments():
    n, sums = 0, np.zeros(8)
    for seed in range(4):
        x = normals(seed, 4000, 1000).astype(float).ravel()
        power = np.ones_like(x)
        for k in range(8):
            power *= x
            sums[k] += power.sum()
        n += x.size
    double_factorial = np.array([1, 0, 1, 0, 3, 0, 15, 0, 105, 0, 945, 0, 10395, 0, 135135, 0, 2027025])
    mean = double_factorial[1:9]
    error = np.sqrt((double_factorial[2:17:2] - mean**2) / n)
    assert (np.abs(sums / n - mean) < 4 * error).all()


def test_tails_to_five_sigma():
    levels = np.array([2.0, 3.0, 4.0, 4.5, 5.0])
    counts, n = np.zeros((2, 5)), 0
    for seed in range(10):
        x = normals(100 + seed, 4000, 1600)
        counts += [[(x > level).sum() for level in levels], [(x < -level).sum() for level in levels]]
        n += x.size
    expected = n * stats.norm.sf(levels)
    assert (np.abs(counts - expected) < 4 * np.sqrt(expected)).all()


@pytest.mark.parametrize("row", [0, 1, 2, 3])
def test_kolmogorov_smirnov_of_each_of_the_four_normals(row):
    x = normals(7, 400, 5000)[row::4].ravel()
    assert stats.kstest(x, "norm").pvalue > 1e-3


def test_streams_steps_coordinates_and_seeds_are_uncorrelated():
    steps, dim = 4000, 16
    variants = {
        "seed 1": normals(1, steps, dim),
        "next seed": normals(2, steps, dim),
        "high half of the seed": normals(1 + 2**32, steps, dim),
        "label stream": normals(1, steps, dim, stream=_random.LABELS),
        "later": normals(1, steps, dim, first=4 * 2**32),
    }
    x = np.concatenate([part.astype(float) for part in variants.values()], axis=1)
    shifted = [x[: steps - 7], x[1 : steps - 6], x[4 : steps - 3]]  # also against later steps
    for transform in (lambda v: v, lambda v: v * v - 1):
        z = np.concatenate([transform(part) for part in shifted], axis=1)
        c = np.corrcoef(z.T)[: x.shape[1]]
        off = np.abs(c[c < 0.999]) * np.sqrt(steps)
        assert off.max() < 5.5  # some 20 000 pairs
        assert abs(np.mean(off**2) - 1) < 0.05


def test_sums_over_a_sample_are_chi_square():
    x = normals(3, 20000, 30).astype(float)
    assert stats.kstest((x * x).sum(axis=1), stats.chi2(30).cdf).pvalue > 1e-3


def test_a_sample_depends_on_neither_dimension_nor_start_nor_dtype():
    whole = normals(5, 23, 37)
    assert np.array_equal(normals(5, 23, 10), whole[:, :10])
    assert np.array_equal(normals(5, 9, 37, first=6), whole[6:15])
    assert np.array_equal(normals(5, 23, 37, dtype=np.float64), whole.astype(float))


# --- signs


def signs(seed, steps, dim, *, first=0, stream=_random.INPUTS, dtype=np.float32):
    out = np.empty((steps, dim), dtype)
    _random.signs(np.uint64(seed), stream, first, out)
    return out


@given(seed=st.integers(0, 2**64 - 1), first=st.integers(0, 2**60), dim=st.integers(1, 70))
def test_signs_are_the_bits_of_those_words(seed, first, dim):
    want = [[naive_sgd.sign(seed, 0, first + t, i) for i in range(dim)] for t in range(6)]
    assert np.array_equal(signs(seed, 6, dim, first=first), want)


def test_signs_of_known_words():
    """0x6627E8D5 and its three successors, the published answer of the counter 0, from the lowest bit on."""
    want = ["10101011000101111110010001100110", "10110001101000111001011010000111"]
    assert ["".join("1" if s < 0 else "0" for s in row) for row in signs(0, 2, 32)] == want


def test_signs_are_fair_alone_and_in_products():
    """Means of x_i, x_i x_j and x_i x_j x_k over a run, of coordinates of one word, of one bit and of one step."""
    steps, dim = 20_000, 70
    x = signs(1, steps, dim).astype(float)
    assert set(np.unique(x)) == {-1.0, 1.0}
    assert np.abs(x.mean(axis=0)).max() * np.sqrt(steps) < 4.5
    products = x.T @ x / np.sqrt(steps)
    off = products[np.triu_indices(dim, 1)]
    assert np.abs(off).max() < 5
    assert abs(np.mean(off**2) - 1) < 0.1
    triple = (x[:, :1] * x).T @ x / np.sqrt(steps)
    assert np.abs(triple[1:, 1:][np.triu_indices(dim - 1, 1)]).max() < 5


def test_sign_streams_steps_and_seeds_are_uncorrelated():
    steps, dim = 4000, 40
    parts = [
        signs(1, steps, dim),
        signs(2, steps, dim),
        signs(1 + 2**32, steps, dim),
        signs(1, steps, dim, stream=_random.LABELS),
        signs(1, steps, dim, first=4 * 2**32),
    ]
    x = np.concatenate(parts, axis=1).astype(float)
    z = np.concatenate([x[: steps - 4], x[1 : steps - 3], x[4:]], axis=1)
    c = (z.T @ z)[: x.shape[1]] / np.sqrt(len(z))
    off = c[np.abs(c) < 0.99 * np.sqrt(len(z))]
    assert np.abs(off).max() < 5.5  # some 100 000 pairs
    assert abs(np.mean(off**2) - 1) < 0.05


def test_signs_depend_on_neither_dimension_nor_start_nor_dtype():
    whole = signs(5, 23, 77)
    assert np.array_equal(signs(5, 23, 40), whole[:, :40])
    assert np.array_equal(signs(5, 9, 77, first=6), whole[6:15])
    assert np.array_equal(signs(5, 23, 77, dtype=np.float64), whole.astype(float))
