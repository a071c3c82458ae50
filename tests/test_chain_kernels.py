"""The kernels of the chain by themselves: lengths, sweeps, compression, samples, labels."""

import hypothesis.strategies as st
import naive_chain
import numpy as np
import pytest
from hypothesis import given, settings
from scipy import stats

from odesim._packs import WIDTH
from odesim.job import Job
from odesim.network import Network
from odesim.sgd import _chain, _chi, _compress
from odesim.sgd.chain import Chain
from odesim.targets.series import Target
from odesim.training import Training


def keys_of(numbers):
    return np.array([[n & 0xFFFFFFFF, n >> 32] for n in numbers], dtype=np.uint32).T.copy()


def lengths(numbers, groups, freedom):
    """√χ² of the samples of these groups (groups, 4, WIDTH), as the chain draws them."""
    keys, words, spare = keys_of(numbers), _chi.words_for(3, WIDTH), _chi.words_for(2, WIDTH)
    out = np.empty((len(groups), 4, WIDTH))
    for i, group in enumerate(groups):
        _chi.lane_words(keys, _chi.LENGTHS, group, 0, 2, 1, words.rows)
        _chi.lane_normals(2, words)
        for r in range(4):
            x = words.normals[r, WIDTH : 2 * WIDTH]
            _chi.lane_lengths(keys, group, r, freedom, x, words.rows[r, 2], spare, out[i, r])
    return out


NUMBERS = [int(n) for n in np.random.SeedSequence(4).generate_state(WIDTH, np.uint64)]


@pytest.mark.parametrize("freedom", [1, 2, 3, 10, 400, 10**9])
def test_lengths_are_those_of_the_full_rejection_method(freedom):
    """A quick acceptance never differs from the full test; a rejected candidate goes on to its own next counters."""
    groups = [0, 1, 2, 3, 2**32 - 1, 2**40 + 5]
    got, retries = lengths(NUMBERS, groups, freedom), 0
    for i, group in enumerate(groups):
        for r in range(4):
            for lane, number in enumerate(NUMBERS):
                want, attempts = naive_chain.length(number, 4 * group + r, freedom)
                assert got[i, r, lane] == pytest.approx(want, rel=1e-10, abs=1e-12)
                retries += attempts
    assert (retries > 0) == (freedom in (2, 3, 10))


@pytest.mark.parametrize("freedom", [1, 2, 3, 10, 400])
def test_lengths_have_the_law_of_chi(freedom):
    """Kolmogorov–Smirnov on 128 000 of them, and the first two moments of χ²; ten tests at 1e-3 in all."""
    square = lengths(NUMBERS, range(100, 2100), freedom).ravel() ** 2
    n = square.size
    assert stats.kstest(square, stats.chi2(freedom).cdf).pvalue > 1e-4
    mean, spread = (square.mean() - freedom) / np.sqrt(2 * freedom / n), square.var() / (2 * freedom) - 1
    assert abs(mean) < 4.1
    assert abs(spread) < 4.1 * np.sqrt((2 + 12 / freedom) / n)  # kurtosis 3 + 12/ν


def test_a_length_does_not_depend_on_its_lane_or_neighbours():
    groups = range(200)
    whole = lengths(NUMBERS, groups, 2)
    order = np.random.default_rng(0).permutation(WIDTH)
    assert np.array_equal(lengths([NUMBERS[i] for i in order], groups, 2), whole[..., order])
    others = [NUMBERS[0], *(n + 1 for n in NUMBERS[1:])]
    assert np.array_equal(lengths(others, groups, 2)[..., 0], whole[..., 0])


@given(draw=st.data())
@settings(max_examples=30)
def test_a_sweep_moves_all_rows_and_multiplies(draw):
    N, rows, rest = draw.draw(st.integers(1, 7)), draw.draw(st.integers(1, 9)), draw.draw(st.integers(0, 3))
    rng = np.random.default_rng(draw.draw(st.integers(0, 99)))
    V, (old, new) = rng.standard_normal((N, rows + rest, WIDTH)), rng.standard_normal((2, rows + rest, WIDTH))
    (keep, c), lam, want = rng.standard_normal((2, N, WIDTH)), np.zeros((N, WIDTH)), V.copy()
    want[:, :rows] = keep[:, None] * V[:, :rows] + c[:, None] * old[:rows]
    _chain.sweep(V, old, new, rows, keep, c, lam)
    np.testing.assert_allclose(V, want, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(lam, np.einsum("jql,ql->jl", want[:, :rows], new[:rows]), rtol=1e-12, atol=1e-12)
    _chain.multiply(V, old, rows, lam)
    np.testing.assert_allclose(lam, np.einsum("jql,ql->jl", want[:, :rows], old[:rows]), rtol=1e-12, atol=1e-12)


@given(draw=st.data())
@settings(max_examples=40)
def test_compression_is_that_of_householder_and_keeps_the_gram_matrix(draw):
    """Also of rows that are equal, zero or of all sizes."""
    N, P, more = draw.draw(st.integers(1, 6)), draw.draw(st.integers(0, 3)), draw.draw(st.integers(1, 7))
    rng = np.random.default_rng(draw.draw(st.integers(0, 99)))
    V = rng.standard_normal((N, P + N + more, WIDTH)) * 10.0 ** draw.draw(st.integers(-8, 8))
    for row in draw.draw(st.sets(st.integers(0, N - 1))):
        V[row, P:] = draw.draw(st.sampled_from([0.0, 1.0])) * V[0, P:]
    before = V.copy()
    _compress.compress(V, P, P + N + more, N, np.zeros((P + N + more, WIDTH)))
    gram = np.einsum("jql,kql->ljk", before, before)
    np.testing.assert_allclose(np.einsum("jql,kql->ljk", V, V), gram, rtol=1e-11, atol=1e-12 * gram.max())
    assert np.array_equal(V[:, :P], before[:, :P])
    assert not V[:, P + N :].any()
    for lane in range(0, WIDTH, 5):
        want = naive_chain.reflect(before[..., lane], P, N)
        if np.linalg.matrix_rank(before[:, P:, lane]) == N:
            np.testing.assert_allclose(V[..., lane], want[:, : V.shape[1]], rtol=1e-9, atol=1e-9 * np.abs(want).max())
            lower = np.linalg.qr(before[:, P:, lane].T).R.T
            np.testing.assert_allclose(np.abs(V[:, P : P + N, lane]), np.abs(lower), rtol=1e-9, atol=1e-9 * want.max())


def job_of(dim=12, width=4, steps=(0, 5), seeds=3, **options):
    target = Target.parse("z1 + z1*z2*z3")
    network = Network.random(target, width=width, dim=dim, rng=3)
    training = Training(**({"eta": 0.3 / dim} | options))
    return Job(target, network, training, np.array(steps), seeds, np.random.SeedSequence(11))


@pytest.mark.parametrize(("dim", "rows"), [(12, 5), (12, 10), (12, 12), (10**9, 7)])
def test_a_batch_is_normal_along_what_is_known_and_has_a_length_outside(dim, rows):
    """Every sample adds a direction for those after it, while there is freedom; past samples have none of it."""
    batch, most = 6, 24
    draws, x = _chain.draws_of(most, WIDTH), np.full((batch, most, WIDTH), np.nan)
    drawn = _chain.fill_batch(keys_of(NUMBERS), 5, rows, dim, np.int64(-1), np.int64(0), draws, x)
    assert drawn == (10 // 4, min(rows + 3 + 3, dim))
    last = min(rows + batch, dim)
    assert np.isnan(x[:, last:]).all()
    for s in range(batch):
        known = min(rows + s, dim)
        for lane, number in enumerate(NUMBERS):
            assert np.array_equal(x[s, :known, lane], naive_chain.normals(number, 0, 5 + s, known))
        if known < dim:
            want = [naive_chain.length(number, 5 + s, dim - known)[0] for number in NUMBERS]
            np.testing.assert_allclose(x[s, known], want, rtol=1e-10)
        assert not x[s, known + 1 : last].any()


def test_neurons_that_coincide_stay_together_and_r_stays_semi_definite():
    """A million steps with R of rank 2 for four neurons, and fewer with more neurons than d − P has room for."""
    target = Target.parse("z1 + z1*z2")
    W = np.random.default_rng(0).standard_normal((2, 30)) / np.sqrt(30)
    twins = Network.from_weights(target, W[[0, 0, 1, 0]], np.array([0.5, 0.5, -0.5, 0.5]))
    crowd = Network.random(target, width=6, dim=5, rng=1)
    for network, rank, steps in ((twins, 2, 10**6), (crowd, 3, 10**5)):
        training = Training(eta=0.1 / network.dim, noise=0.1, decay_w=0.5)
        job = Job(target, network, training, np.array([0, 1000, steps]), 16, np.random.SeedSequence(1))
        got = Chain().simulate(job)
        assert (got.status == 0).all()
        R = got.Q[:, -1] - got.m[:, -1] @ np.swapaxes(got.m[:, -1], 1, 2)
        values = np.linalg.eigvalsh(R)
        assert values.min() > -1e-13 * np.abs(values).max()
        assert np.abs(values[:, : network.width - rank]).max() < 1e-13 * values.max()
    got = Chain().simulate(Job(target, twins, Training(eta=0.01), np.array([0, 20_000]), 2, np.random.SeedSequence(1)))
    np.testing.assert_allclose(got.m[:, -1, 0], got.m[:, -1, 3], rtol=0, atol=1e-12)


@pytest.mark.slow
def test_r_stays_semi_definite_for_a_hundred_million_steps():
    job = job_of(dim=400, width=4, steps=(0, 10**8), seeds=1, noise=0.1)
    got = Chain().simulate(job)
    assert got.status[0] == 0
    values = np.linalg.eigvalsh(got.Q[0, -1] - got.m[0, -1] @ got.m[0, -1].T)
    assert values.min() > 0
