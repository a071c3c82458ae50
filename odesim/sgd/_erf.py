"""erf of SGD: value and slope from loops that the compiler turns into vectors, in double and in single precision."""

import math

import numpy as np

from odesim._jit import FASTMATH, kernel

# exp x = 2^n e^r: adding the magic number rounds to an integer and leaves n in the lowest bits of the sum.
LOG2E, MAGIC, SHIFT = 1.4426950408889634, 1.5 * 2.0**52, np.uint64(52)
LN2_HIGH, LN2_LOW = 0.693147180369123816490, 1.90821492927058770002e-10

ROOT_HALF, SLOPE_AT_0 = math.sqrt(0.5), math.sqrt(2.0 / math.pi)
FAR = 6.2  # erf is 1 to double precision from here on

F, U = np.float32, np.uint32

LOG2E_32, MAGIC_32, SHIFT_32, ONE_BITS_32 = F(LOG2E), F(1.5 * 2.0**23), U(23), U(127 << 23)
LN2_HIGH_32, LN2_LOW_32 = F(0.693359375), F(-2.12194440e-4)
E0, E2, E3, E4, E5, E6 = F(1), F(0.5), F(1.6666665459e-1), F(4.1665795894e-2), F(8.3334519073e-3), F(1.3981999507e-3)

HALF_32, ROOT_HALF_32, SLOPE_AT_0_32 = F(0.5), F(ROOT_HALF), F(SLOPE_AT_0)
FAR_32, FARTHEST_32 = F(4.0), F(80.0)  # erf is 1 to single precision; least exponent
# erf u = u P(u²)/Q(u²) on |u| <= 4: the fit of the Eigen library.
P0, P1, P2, P3 = F(-1.60960333262415e-02), F(-2.95459980854025e-03), F(-7.34990630306855e-04), F(-5.69250639462346e-05)
P4, P5, P6 = F(-2.10102402082508e-06), F(2.77068142495902e-08), F(-2.72614225801306e-10)
Q0, Q1, Q2 = F(-1.42647390514189e-02), F(-7.37332916720468e-03), F(-1.68282697438203e-03)
Q3, Q4 = F(-2.13374055278905e-04), F(-1.45660718464996e-05)


@kernel(fastmath=FASTMATH - {"reassoc"})
def exp64(x):
    """e^x for -700 < x < 700, relative error 1e-15, no branch; reassociation would undo the rounding."""
    t = x * LOG2E + MAGIC
    n = t - MAGIC
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    p = 2.4801536409064087e-05 + r * (2.7625102005388107e-06 + r * 2.7613795545519859e-07)
    p = 8.3333333537171570e-03 + r * (1.3888888905871346e-03 + r * (1.9841208756992321e-04 + r * p))
    p = 0.5 + r * (0.16666666666648303 + r * (4.1666666666651367e-02 + r * p))
    power = (np.float64(t).view(np.uint64) << SHIFT) + np.uint64(0x3FF0000000000000)
    return (1.0 + r + r * r * p) * np.uint64(power).view(np.float64)


@kernel
def erf_and_slope(x):
    """σ(x) = erf(x/√2) and σ'(x), from one exponential; absolute error 1e-15.

    erf u = 1 - e^{-u²} g((u-4)/(u+4)), g a polynomial for e^{u²} erfc u on 0 <= u <= 6.2 (the variable of
    Shepherd and Laframboise, Math. Comp. 36, 1981).
    """
    u = min(abs(x) * ROOT_HALF, FAR)
    e = exp64(-u * u)
    y = (u - 4.0) / (u + 4.0)
    g = 6.3678968761451450e-06 + y * (1.3300760348301942e-06 + y * 2.8032552481420996e-08)
    g = 7.9757514001554243e-05 + y * (-2.0186549117087490e-05 + y * (1.8202074495653220e-06 + y * g))
    g = -7.9921198919295642e-04 + y * (-2.1751512337993376e-05 + y * g)
    g = 0.031299057773292393 + y * (-0.012843945079641254 + y * (0.0040602401587880133 + y * g))
    g = -0.16425781669961618 + y * (0.10896317737487798 + y * (-0.063107815550445979 + y * g))
    g = 0.13699945762506115 + y * (-0.25906804876015991 + y * (0.21871967891843621 + y * g))
    value = 1.0 - e * g
    return math.copysign(value, x), SLOPE_AT_0 * e


@kernel(fastmath=FASTMATH - {"reassoc"})
def exp32(x):
    """e^x of a float32 -86 < x < 86, relative error 2e-7, no branch."""
    t = F(x * LOG2E_32 + MAGIC_32)
    n = F(t - MAGIC_32)
    r = F(x - n * LN2_HIGH_32) - n * LN2_LOW_32
    p = E0 + (r + r * r * (E2 + r * (E3 + r * (E4 + r * (E5 + r * E6)))))
    return F(p * U(U(t.view(U) << SHIFT_32) + ONE_BITS_32).view(F))


@kernel
def erf_and_slope32(x):
    """σ(x) = erf(x/√2) and σ'(x) of a float32; error 5e-7, relative for σ."""
    u = min(max(x * ROOT_HALF_32, -FAR_32), FAR_32)
    z = u * u
    p = P0 + z * (P1 + z * (P2 + z * (P3 + z * (P4 + z * (P5 + z * P6)))))
    q = Q0 + z * (Q1 + z * (Q2 + z * (Q3 + z * Q4)))
    return u * p / q, SLOPE_AT_0_32 * exp32(max(-HALF_32 * x * x, -FARTHEST_32))
