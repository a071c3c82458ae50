"""The overlap flow's expectations by Hermite terms, for Gaussian data, and its small matrix products."""

from odesim._jit import kernel
from odesim.activations._act import ERF
from odesim.activations._moments import moments
from odesim.activations._pairs import pairs_erf
from odesim.flows._expectation import correlation


@kernel(counted=False)
def inner_products(rows, size, B, X, out):
    """out_jl = Σ_k B_jk X_lk over k < size, for j < rows, in blocks of 2 × 4: every number read serves several sums."""
    columns = out.shape[1]
    even, whole = rows - rows % 2, columns - columns % 4
    for j in range(0, even, 2):
        a, b, out_a, out_b = B[j], B[j + 1], out[j], out[j + 1]
        for l in range(0, whole, 4):
            x0, x1, x2, x3 = X[l], X[l + 1], X[l + 2], X[l + 3]
            s0, s1, s2, s3, t0, t1, t2, t3 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for k in range(size):
                s0 += a[k] * x0[k]
                s1 += a[k] * x1[k]
                s2 += a[k] * x2[k]
                s3 += a[k] * x3[k]
                t0 += b[k] * x0[k]
                t1 += b[k] * x1[k]
                t2 += b[k] * x2[k]
                t3 += b[k] * x3[k]
            out_a[l], out_a[l + 1], out_a[l + 2], out_a[l + 3] = s0, s1, s2, s3
            out_b[l], out_b[l + 1], out_b[l + 2], out_b[l + 3] = t0, t1, t2, t3
        for l in range(whole, columns):
            x, s0, t0 = X[l], 0.0, 0.0
            for k in range(size):
                s0 += a[k] * x[k]
                t0 += b[k] * x[k]
            out_a[l], out_b[l] = s0, t0
    for j in range(even, rows):
        a = B[j]
        for l in range(columns):
            x, s0 = X[l], 0.0
            for k in range(size):
                s0 += a[k] * x[k]
            out[j, l] = s0


@kernel(inline="always")
def fill_Q(rows, m, R, Q, q):  # noqa: N802
    """Fill the first rows of Q = m mᵀ + R, and its diagonal q."""
    n, p = m.shape
    inner_products(rows, p, m, m, Q)
    for j in range(rows):
        row, old = Q[j], R[j]
        for k in range(n):
            row[k] += old[k]
        q[j] = row[j]
    for j in range(rows, n):
        total = R[j, j]
        for r in range(p):
            total += m[j, r] * m[j, r]
        q[j] = total


@kernel(inline="always")
def sums_over_terms(pairs, act, biased, crowd, rows, values, series, m, R, w, b, Q, q, t, c, e):
    """Fill Q, the moments, C and its partials, and the sums over pairs.

    Only the first ``rows`` neurons need them, and where ``values`` is 0 those of C and K themselves may be left out.
    """
    plain = act.code == ERF and not biased
    fill_Q(rows if plain else w.size, m, R, Q, q)  # the other sums read all of Q
    if series.coefficients.size > 0:  # without terms the sums stay 0
        moments(act, q, b, c)
        correlation(series, m, c, e.C, e.by_m, e.by_q, e.by_b)
    if crowd and plain:
        pairs_erf(rows, values, q, Q, w, t, e.ka, e.k1, e.B)
        for j in range(w.size):
            e.kb[j] = 0.0
    elif crowd:
        pairs(act, biased, Q, w, b, t, e.ka, e.k1, e.kb, e.B)
    else:
        for j in range(w.size):
            e.ka[j], e.k1[j], e.kb[j] = 0.0, 0.0, 0.0
            for k in range(w.size):
                e.B[j, k] = 0.0
