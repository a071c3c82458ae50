"""The search phase without d: its coefficients, exact exit times, and the chain in d dimensions."""

import math
from dataclasses import replace

import naive_correlation
import naive_flow
import naive_search_phase as naive
import numpy as np
import pytest

from odesim import InputError, Target, search_phase
from odesim.activations.catalogue import CATALOGUE
from odesim.searching import diffusion

# h_3 as an activation: matched to the target h_3(z1)
H3 = replace(
    CATALOGUE["erf"],
    name="h3",
    function=lambda x: (x**3 - 3 * x) / math.sqrt(6),
    derivative=lambda x: math.sqrt(3 / 2) * (x * x - 1),
)
MATCHED = Target.parse("He3(z1)/sqrt(6)")


def matched(k):
    """h_k as target and activation."""
    he = np.polynomial.hermite_e.HermiteE([0] * k + [1 / math.sqrt(math.factorial(k))])
    kind = replace(CATALOGUE["erf"], name=f"h{k}", function=he, derivative=he.deriv())
    return Target.parse(f"He{k}(z1)/sqrt({math.factorial(k)})"), kind


@pytest.mark.parametrize("k", [2, 3, 4])
def test_matched_polynomials_have_the_known_diffusion(k):
    """du = (k u^{k−1} − ½κku)ds + √(κk(2k+1)) dB."""
    target, kind = matched(k)
    law = diffusion(target, kind, 1.0, 0.0, 0.0, "correlation")
    assert law.degree == k
    assert k * law.series.coefficients[0] == pytest.approx(k, rel=1e-10)
    assert law.gamma == pytest.approx(k, rel=1e-10)
    assert law.spread[0, 0] == pytest.approx(k * (2 * k + 1), rel=1e-10)


@pytest.mark.parametrize("law", ["gaussian", "boolean"])
@pytest.mark.parametrize("loss", ["correlation", "square"])
@pytest.mark.parametrize("name", ["erf", "relu"])
def test_coefficients_are_averages_over_z_and_an_independent_argument(law, loss, name):
    text = "0.4 + z1*z2 - 0.6*z2*z3 + z1*z2*z3" + (" + He2(z1)/3 + He3(z2)/5" if law == "gaussian" else "")
    target, kind, a, b, noise = Target.parse(text, data=law), CATALOGUE[name], -0.8, 0.5, 0.3
    ours = diffusion(target, kind, a, b, noise, loss)
    z, p = naive_correlation.points(target, 9)
    g, w = naive_flow.panels([-12, -6, -3, -1, 0, 1, 3, 6, 12, -b])
    w = w * np.exp(-g * g / 2) * naive_flow.PHI
    output = a * naive_flow.value(name, g + b) if loss == "square" else 0 * g
    delta2 = (target.evaluate(z.T)[:, None] - output) ** 2 + noise
    weight = p[:, None] * w * a * a * naive_flow.slope(name, g + b) ** 2 * delta2
    assert ours.coordinates == (0, 1, 2)
    assert ours.gamma == pytest.approx(weight.sum(), rel=1e-6)
    assert ours.spread == pytest.approx((z * weight.sum(axis=1)) @ z.T, rel=1e-6, abs=1e-6)
    c2 = naive_correlation.moment(name, 2, b)
    assert ours.strength == pytest.approx(a * c2, rel=1e-6)
    # drift from the terms of degree 2 at a point
    u, h = np.array([0.3, -0.7, 1.1]), 1e-6
    series = ours.series

    def potential(u):
        parts = [slice(series.offsets[t], series.offsets[t + 1]) for t in range(series.coefficients.size)]
        monomials = [np.prod(u[series.coordinates[part]] ** series.powers[part]) for part in parts]
        return float(series.coefficients @ monomials)

    share = 0.0 if law == "boolean" else 1 / 3
    expected = a * c2 * (u[0] * u[1] - 0.6 * u[1] * u[2] + share * u[0] ** 2)
    assert potential(u) == pytest.approx(expected, rel=1e-6)
    assert h > 0


@pytest.mark.parametrize(("kappa", "level"), [(0.03, 5.0), (0.3, 5.0), (1.0, 3.0)])
def test_mean_exit_time_is_that_of_the_boundary_problem(kappa, level):
    """One coordinate, h_3: 3000 runs within four standard errors (level 5: .3077 and .5348)."""
    exact = naive.mean_exit_time(lambda u: 3 * u * u - 1.5 * kappa * u, 21 * kappa, level, 1.0)
    out = search_phase(MATCHED, activation=H3, kappa=kappa, start=[1.0], level=level, runs=3000, horizon=60.0)
    assert out.censored == 0
    assert abs(out.times.mean() - exact) < 4 * out.times.std() / math.sqrt(3000) + 2e-3


def test_two_members_diffuse_by_their_covariance():
    """At c_D → 0 the squared distance grows as κ tr Σ s: z1z2 with a weak erf bias, exit of a disc in the mean.

    Without drift E[T] = level²/(κ tr Σ) for an isotropic Σ; erf's c_2 at b = 1e-3 is 3e-4.
    """
    target = Target.parse("z1*z2")
    law = diffusion(target, CATALOGUE["erf"], 1.0, 1e-3, 0.0, "correlation")
    assert law.spread == pytest.approx(law.spread[0, 0] * np.eye(2), abs=1e-12)
    runs = 20_000
    out = search_phase(target, b=1e-3, kappa=1.0, start=[0.0, 0.0], level=0.2, runs=runs, horizon=50.0)
    # (r²)' = tr Σ − Γ r² in the mean: within Γ level²/tr Σ of it; steps may add half a percent
    exact = 0.04 / np.trace(law.spread)
    slack = law.gamma * exact + 0.005
    error = out.times.std() / math.sqrt(runs) / exact
    assert abs(out.times.mean() / exact - 1) < 4 * error + slack


@pytest.mark.parametrize("k", [2, 3, 4])
def test_without_noise_it_is_the_flow_in_closed_form(k):
    target, kind = matched(k)
    out = search_phase(target, activation=kind, kappa=0.0, start=[0.5], level=8.0, runs=1, horizon=20.0)
    exact = math.log(16) / 2 if k == 2 else (0.5 ** (2 - k) - 8.0 ** (2 - k)) / (k * (k - 2))
    assert out.times[0] == pytest.approx(exact, rel=1e-4)


def test_without_noise_a_monomial_grows_with_the_right_sign_alone():
    """z1z2z3 with erf, c_3 < 0 and a = −1: u' = |c_3| u² from equal entries; the wrong sign never escapes."""
    target, c3 = Target.parse("z1*z2*z3"), abs(naive_correlation.moment("erf", 3))
    out = search_phase(target, a=-1.0, kappa=0.0, start=[1.0, -1.0, -1.0], level=6 * math.sqrt(3), runs=2)
    assert out.times == pytest.approx(np.full(2, (1 - 1 / 6) / c3), rel=1e-4)
    assert out.horizon == pytest.approx(10 / c3)
    never = search_phase(target, a=-1.0, kappa=0.0, start=[-1.0, -1.0, -1.0], level=6.0, runs=3)
    assert never.censored == 3
    assert never.median is None


CASES = {
    "matched h_3": (MATCHED, H3, 1.0, 0.0, 0.3, 3.0, 0.6, {}),
    "square loss, label noise": (
        Target.parse("z1*z2*z3"),
        CATALOGUE["erf"],
        -1.0,
        0.0,
        2.0,
        3.0,
        2.0,
        {"loss": "square", "noise": 0.2},
    ),
    "z1z2z3 with erf": (Target.parse("z1*z2*z3"), CATALOGUE["erf"], -1.0, 0.0, 2.0, 3.0, 2.0, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_escapes_of_the_chain_in_d_dimensions(case):
    """Distribution at four times, d = 64, 400 chains: within four standard errors plus |m|² at the level."""
    target, kind, a, b, kappa, level, horizon, options = CASES[case]
    dim, runs, D = 64, 400, 3
    ours = search_phase(
        target, activation=kind, a=a, b=b, kappa=kappa, level=level, runs=4000, horizon=horizon, rng=2, **options
    )
    rng = np.random.default_rng(5)
    eta = kappa * dim ** (-D / 2)
    start = rng.standard_normal((runs, target.P))
    most = int(horizon * dim ** (D / 2 - 1) / eta)
    theirs = naive.escapes(rng, target, kind, a, b, dim, eta, start, level, most, **options)
    steps = ours.steps(dim)
    bias = level**2 / dim
    for share in (0.2, 0.4, 0.7, 1.0):
        one, two = (steps <= share * most).mean(), (theirs <= share * most).mean()
        error = math.sqrt(one * (1 - one) * (1 / 4000 + 1 / runs))
        print(case, share, one, two, error, bias)
        assert abs(one - two) < 4 * error + bias


def test_a_run_depends_on_its_own_key_alone_and_steps_undo_the_scaling():
    target = Target.parse("z1*z2*z3")
    options = {"a": -1.0, "kappa": 1.0, "level": 3.0, "horizon": 3.0}
    one, two = (search_phase(target, runs=runs, rng=4, **options) for runs in (30, 12))
    assert np.array_equal(one.times[:12], two.times)
    other = search_phase(target, runs=12, rng=5, **options)
    assert not np.array_equal(other.times, two.times)
    assert 0 < one.censored < 30
    assert one.quantile(0.0) == one.times.min()
    assert one.steps(100) == pytest.approx(one.times * 100**2)
    assert one.steps(100, eta=0.01) == pytest.approx(one.times * 10 / 0.01)
    assert one.coordinates == (0, 1, 2)
    at_once = search_phase(target, runs=3, start=np.full((3, 3), 2.0), **options)
    assert at_once.times.tolist() == [0.0, 0.0, 0.0]


def test_bad_arguments_are_named():
    target = Target.parse("z1*z2")
    with pytest.raises(InputError, match="moment c_2 of erf vanishes"):
        search_phase(target, kappa=1.0)
    with pytest.raises(InputError, match="constant"):
        search_phase(Target.parse("2", data="gaussian"), kappa=1.0)
    for options in ({"kappa": -1.0}, {"level": 0.0}, {"runs": 0}, {"horizon": 0.0}, {"loss": "hinge"}, {"noise": -1.0}):
        with pytest.raises(InputError, match=next(iter(options))):
            search_phase(target, b=1.0, **{"kappa": 1.0, **options})
    with pytest.raises(InputError, match="start"):
        search_phase(target, b=1.0, kappa=1.0, start=[1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="eta"):
        search_phase(target, b=1.0, kappa=0.0, start=[1.0, 1.0], runs=1).steps(10)
