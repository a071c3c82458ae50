"""The correlation C_j = E[h(z) σ(λ_j + b_j)] and its partials, by Hermite terms.

A target enters as terms in data: term t is coefficients[t] · Π_i He_{powers[i]}(z_{coordinates[i]}) over
offsets[t] <= i < offsets[t+1], and by Stein's lemma
C_j = Σ_t coefficients[t] (Π_i m_{j, coordinates[i]}^{powers[i]}) c_{degree t}(q_j, b_j).
"""

from typing import NamedTuple

import numpy as np

from odesim._jit import kernel


class Series(NamedTuple):
    """A target in data: int64 offsets (n+1), coordinates, powers, and float64 coefficients (n)."""

    offsets: np.ndarray
    coordinates: np.ndarray
    powers: np.ndarray
    coefficients: np.ndarray


@kernel(counted=False)
def correlation(series, m, c, C, by_m, by_q, by_b):
    """Fill C (N), ∂C/∂m (N, P), ∂C/∂q (N) = ½ Σ … c_{D+2} and ∂C/∂b (N) = Σ … c_{D+1}, c (degree+3, N)."""
    for j in range(C.size):
        C[j], by_q[j], by_b[j] = 0.0, 0.0, 0.0
        for r in range(by_m.shape[1]):
            by_m[j, r] = 0.0
    for term in range(series.coefficients.size):
        first, last = series.offsets[term], series.offsets[term + 1]
        degree = 0
        for i in range(first, last):
            degree += series.powers[i]
        for j in range(C.size):
            product = series.coefficients[term]
            for i in range(first, last):
                for _ in range(series.powers[i]):
                    product *= m[j, series.coordinates[i]]
            C[j] += product * c[degree, j]
            by_q[j] += 0.5 * product * c[degree + 2, j]
            by_b[j] += product * c[degree + 1, j]
            for i in range(first, last):
                # the factor of coordinate i differentiated, not the product divided: m may be 0
                slope = series.coefficients[term] * series.powers[i]
                for k in range(first, last):
                    for _ in range(series.powers[k] - 1 if k == i else series.powers[k]):
                        slope *= m[j, series.coordinates[k]]
                by_m[j, series.coordinates[i]] += slope * c[degree, j]
