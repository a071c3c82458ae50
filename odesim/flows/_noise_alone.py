"""SGD's noise on one neuron alone: Γ = a² E[(h² + noise) ψ(λ + b)], ψ = σ'², without f in the residual.

By Hermite terms (Gaussian data) Γ = a² Σ_S w_S m^S c_|S|, w_S the unnormalised series of h² + noise and c_k the
moments E[ψ^(k)]; by points, an average over z of c_0 at the residual's variance. Closed forms for erf and ReLU.
"""

import math

from odesim._jit import kernel
from odesim.activations._moments import ERF
from odesim.activations._normal import density, distribution


@kernel
def square_moments(act, q, b, c):
    """Fill c[k, j] = E[ψ^(k)(√q G + b)] for erf (else branch: ReLU, whose ψ is a step).

    erf: c_k = (2/√π) (−1)^k He_k(x) φ(x)/v^{k+1} with v² = ½ + q, x = b/v; ReLU: c_0 = Φ(x) and
    c_k = (−1)^{k−1} He_{k−1}(x) φ(x)/s^k with s² = q, x = b/s.
    """
    for j in range(q.size):
        s = math.sqrt(0.5 + q[j]) if act.code == ERF else math.sqrt(q[j])
        x = b[j] / s
        # the first k at which c_k ~ He_0, whence the recursion of He runs
        first = 0 if act.code == ERF else 1
        if act.code == ERF:
            c[0, j] = 2.0 / math.sqrt(math.pi) * density(x) / s
        else:
            c[0, j] = distribution(x)
            if c.shape[0] > 1:
                c[1, j] = density(x) / s
        before = 0.0
        for k in range(first, c.shape[0] - 1):
            c[k + 1, j] = -(x * c[k, j] + (k - first) * before / s) / s
            before = c[k, j]


@kernel
def sum_of_terms(series, m, c):
    """Return Σ_S w_S m^S c_|S|, c (k) of this neuron."""
    total = 0.0
    for term in range(series.coefficients.size):
        product, degree = series.coefficients[term], 0
        for i in range(series.offsets[term], series.offsets[term + 1]):
            product *= m[series.coordinates[i]] ** series.powers[i]
            degree += series.powers[i]
        total += product * c[degree, 0]
    return total
