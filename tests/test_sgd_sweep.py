"""The passes over W and x, line by line, against the same in NumPy."""

import numpy as np
import pytest

from odesim._jit import kernel
from odesim._lines import BYTES, fill_line, lanes_of, load_as, load_line, multiply_add, total
from odesim._packs import store
from odesim.sgd import _sweep

DTYPES = ["float32", "float64"]


@kernel
def through_lines(x, rows, out):
    """out[0] = 2.5 x + rows, line by line; returns the lanes and the total of the last line."""
    last = fill_line(x, 0.0)
    for k in range(0, x.size, lanes_of(x)):
        last = multiply_add(fill_line(x, 2.5), load_line(x, (k,)), load_as(rows, (1, k), x))
        store(out, (0, k), last)
    return lanes_of(x), total(last)


@pytest.mark.parametrize("dtype", DTYPES)
def test_lines_are_the_numbers_of_the_array(dtype):
    rng = np.random.default_rng(0)
    x, rows = rng.standard_normal(48).astype(dtype), rng.standard_normal((2, 48)).astype("float32")
    out = np.zeros((1, 48), dtype)
    lanes, last = through_lines(x, rows, out)
    assert lanes == BYTES // x.itemsize
    np.testing.assert_allclose(out[0], 2.5 * x + rows[1], rtol=1e-6 if dtype == "float32" else 1e-15, atol=1e-6)
    np.testing.assert_allclose(last, out[0, -lanes:].sum(), rtol=1e-6)


def samples(dtype, columns, rng):
    """Two groups of samples, in rows and laid side by side."""
    W = np.zeros((2, columns), dtype)
    x, rows = _sweep.samples_for(W), rng.standard_normal((8, columns)).astype("float32")
    _sweep.lay(rows[:4], x, 0)
    _sweep.lay(rows[4:], x, 4)
    return x, rows.astype(float)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [16, 80])
def test_samples_begin_with_a_line_and_lie_side_by_side(dtype, columns):
    x, rows = samples(dtype, columns, np.random.default_rng(1))
    assert x.ctypes.data % BYTES == 0
    lanes = BYTES // x.itemsize
    assert np.array_equal(x.reshape(-1, 8, lanes).transpose(1, 0, 2).reshape(8, columns), rows)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("old", "new"), [(0, 4), (4, 0)])
@pytest.mark.parametrize(("neurons", "columns"), [(2, 16), (6, 80)])
def test_a_sweep_is_two_matrix_products(dtype, old, new, neurons, columns):
    rng = np.random.default_rng(2)
    x, rows = samples(dtype, columns, rng)
    W, C = rng.standard_normal((neurons, columns)).astype(dtype), rng.standard_normal((4, 16))
    L, want = np.zeros((4, 16)), W + C[:, :neurons].T @ rows[old : old + 4]
    _sweep.sweep(W, x, old, new, C, L)
    close = {"rtol": 0, "atol": 2e-5 if dtype == "float32" else 1e-13}
    np.testing.assert_allclose(W, want, **close)
    np.testing.assert_allclose(L[:, :neurons], rows[new : new + 4] @ want.T, **close)
    assert not L[:, neurons:].any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("first", [0, 4])
def test_the_gram_matrix_is_that_of_the_samples(dtype, first):
    x, rows = samples(dtype, 80, np.random.default_rng(3))
    G, four = np.zeros((4, 4)), rows[first : first + 4]
    _sweep.gram(x, first, G)
    np.testing.assert_allclose(G, np.tril(four @ four.T), rtol=2e-5 if dtype == "float32" else 1e-13, atol=1e-5)
