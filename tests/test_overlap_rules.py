"""The overlap flow under every rule of Training, on every target: right-hand side against the loss in weight space."""

import naive_flow as naive
import numpy as np
import pytest
from test_overlap import central, draw

from odesim import Activation, InputError, Network, OverlapFlow, Phase, Target, Training, run
from odesim.flows import _overlap as kernels
from odesim.flows import overlap
from odesim.flows.overlap_problem import paced, problem_of

TEACHER = Target.teacher(weights=[[0.8, -0.3], [0.2, 1.1]], second_layer=[1.0, -0.6])
CASES = {
    "gaussian": (Target.parse("z1 + z1*z2 - He2(z2)/3 + 0.2"), naive.risk),
    "boolean": (Target.parse("z1 + z1*z2/2 + 0.2", data="boolean"), naive.risk_boolean),
    "teacher": (TEACHER, naive.risk_teacher),
}


def teach(target, name):
    """The target, a teacher with units of this name."""
    if target is not TEACHER:
        return target
    return Target.teacher(activation=name, weights=target.weights, second_layer=target.second_layer)


def slopes_of(target, W, a, b, training, name, scaling="plain", finite_step=False):
    """The flow's derivative of (m, R, a in the named scaling, b), by the rates of the first phase."""
    network = Network.from_weights(target, W, a, b, activation=name, scaling=scaling)
    problem = problem_of(
        target, network.activation, a.size, biased=True, noise=training.noise, loss=training.loss, samples=64
    )
    rates = training.rates(network)[0]
    problem = paced(problem, training, rates, network.dim, finite_step=finite_step, discrete=False)
    y = np.concatenate([part.ravel() for part in (network.m, network.R, network.plain_a, b)])
    out = np.empty_like(y)
    kernels.derivative(problem, 0.0, y, out)
    dm, dR, da, db = overlap.unpack(out, a.size, target.P)
    return dm, dR, da / network.unit, db


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ["erf", "relu"])
@pytest.mark.parametrize(("loss", "scaling"), [("square", "mean_field"), ("correlation", "plain")])
def test_every_rule_follows_the_gradient_of_its_loss(case, name, loss, scaling):
    """Time is η · steps: w' = −S(∂ℓ/∂w + …), S = N in mean-field scaling; decay adds ½λ_w |w|² + ½λ_a a²."""
    target, risk = CASES[case]
    target = teach(target, name)
    W, a, b = draw(7, n=2)
    n = a.size if scaling == "mean_field" else 1
    training = Training(eta=0.3, eta_a=0.15, eta_b=0.6, loss=loss, decay_w=0.4, decay_a=0.7)

    def objective(W, a, b):
        f = a / n
        value = risk(name, target, W, f, b)
        if loss == "correlation":  # the part of the risk that is linear in f: (L(f) − L(−f))/2
            value = (value - risk(name, target, W, -f, b)) / 2
        return n * value + 0.2 * np.sum(W * W) + 0.35 * np.sum(a * a)

    dm, dR, da, db = slopes_of(target, W, a, b, training, name, scaling)
    gW = -central(lambda x: objective(x, a, b), W)
    ga, gb = -central(lambda x: objective(W, x, b), a), -central(lambda x: objective(W, a, x), b)
    v, gv = W[:, 2:], gW[:, 2:]
    size = max(1.0, abs(gW).max())
    assert dm == pytest.approx(gW[:, :2], abs=1e-7 * size)
    assert dR == pytest.approx(gv @ v.T + v @ gv.T, abs=1e-7 * size)
    assert da == pytest.approx(0.5 * ga, abs=1e-7 * size)
    assert db == pytest.approx(2.0 * gb, abs=1e-7 * size)


@pytest.mark.parametrize("case", CASES)
def test_risk_of_serves_every_target(case):
    target, risk = CASES[case]
    W, a, b = draw(3, n=3)
    m, Q = W[:, :2], W @ W.T
    kind = Network.from_weights(target, W, a, b).activation
    assert overlap.risk_of(target, kind, m, Q, a, b) == pytest.approx(risk("erf", target, W, a, b), rel=1e-10)
    rows = overlap.risk_of(target, kind, *(np.stack([x, x]) for x in (m, Q, a, b)))
    assert rows == pytest.approx(np.full(2, risk("erf", target, W, a, b)), rel=1e-10)


@pytest.mark.parametrize("kind", ["series", "teacher"])
@pytest.mark.parametrize("loss", ["square", "correlation"])
def test_terms_and_points_are_two_forms_of_one_flow(kind, loss):
    """A tensor Gauss–Hermite rule in place of the Hermite terms, or of the teacher's units: same slopes, same risk."""
    target = Target.parse("z1 + He2(z2)*z1/2 - z2") if kind == "series" else TEACHER
    W, a, b = draw(5, n=3, size=0.7)
    network = Network.from_weights(target, W, a, b)
    z, weights = naive.hermite_rule(2, 40)
    y = np.concatenate([part.ravel() for part in (network.m, network.R, a, b)])
    found = []
    for points in (None, (z.T, weights)):
        problem = problem_of(
            target, network.activation, 3, biased=True, kappas=(1.0, 1.0), loss=loss, points=points, samples=16
        )
        found.append(np.empty_like(y))
        kernels.derivative(problem, 0.0, y, found[-1])
        found[-1] = np.append(found[-1], kernels.risk_overlap(problem, y))
    assert found[1] == pytest.approx(found[0], abs=1e-9)


def test_correlation_loss_has_the_target_alone_in_its_finite_step_term():
    """Γ with Δ = h + √noise ξ: closed and by points, against the quadrature at a second layer of 0."""
    target = Target.parse("z1 + z1*z2/2")
    W, a, b = draw(2, n=2, size=0.4)
    training = Training(eta=0.1, loss="correlation", noise=0.3)
    with_term = slopes_of(target, W, a, b, training, "erf", finite_step=True)[1]
    without = slopes_of(target, W, a, b, training, "erf")[1]
    tiny = 1e-9
    expected = naive.noise_matrix("erf", target, W, tiny * a, b, 0.3, nodes=30) / tiny**2
    assert (with_term - without) / (0.1 * 5) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("batch", [1, 5])
def test_the_batch_divides_the_finite_step_term_and_the_noise_rate(batch):
    target = Target.parse("z1 + z1*z2*z3")
    network = Network.random(target, width=3, dim=20, rng=1)
    training = Training(eta=0.01, batch=batch)
    out = run(OverlapFlow(), target, network, training, steps=20, points=3, spacing="linear")
    plain = run(OverlapFlow(), target, network, Training(eta=0.01), steps=20, points=3, spacing="linear")
    assert out.noise_rate[0] == pytest.approx(plain.noise_rate[0] / batch, rel=1e-12)
    if batch > 1:
        still = run(OverlapFlow(finite_step=False), target, network, training, steps=20, points=3, spacing="linear")
        gain, whole = ((x.Q - still.Q)[-1] for x in (out, plain))
        assert gain == pytest.approx(whole / batch, rel=0.02, abs=1e-6)


def test_scalings_are_the_same_run_in_other_units():
    """Mean-field scaling of (η, η_a, a) is plain scaling of (Nη, η_a/N, a/N); times and a are stored as named."""
    target, n = Target.parse("z1 + z1*z2*z3"), 4
    named = Network.random(target, width=n, dim=30, second_layer=2.0, scaling="mean_field", rng=3)
    plain = Network.from_weights(target, named.weights, named.a / n)
    training = Training(eta=0.002, eta_a=0.004, batch=3, noise=0.1, decay_w=0.02, decay_a=0.03)
    same = Training(eta=n * 0.002, eta_a=0.004 / n, batch=3, noise=0.1, decay_w=0.02 / n, decay_a=0.03 * n)
    for flow in (OverlapFlow(rtol=1e-9, atol=1e-12), OverlapFlow(discrete=True)):
        one = run(flow, target, named, training, steps=3000, points=10)
        two = run(flow, target, plain, same, steps=3000, points=10)
        assert one.risk == pytest.approx(two.risk, rel=1e-6)
        assert one.a == pytest.approx(n * two.a, rel=1e-6)
        assert one.noise_rate == pytest.approx(n * two.noise_rate, rel=1e-5)
        assert one.time == pytest.approx(two.time / n)


def test_a_schedule_is_run_phase_by_phase():
    """First w alone, then a alone at twice the rate: what is frozen stays, and the pieces join up."""
    target = Target.parse("z1 + z1*z2*z3")
    network = Network.random(target, width=4, dim=30, rng=3)
    training = Training(eta=0.004, schedule=(Phase(until=500, a=0.0), Phase(rate=2.0, w=0.0)))
    for flow in (OverlapFlow(rtol=1e-9, atol=1e-12), OverlapFlow(discrete=True)):
        out = run(flow, target, network, training, steps=1000, points=11, spacing="linear")
        assert np.array_equal(out.a[:6], np.broadcast_to(network.a, (6, 4)))
        assert out.m[5:] == pytest.approx(np.broadcast_to(out.m[5], (6, 4, 3)), abs=1e-12)
        assert abs(out.a[-1] - network.a).max() > 0.05
        assert (out.noise_rate[:5] > 0).all()
        assert not out.noise_rate[5:].any()
        middle = Network.from_overlaps(out.m[5], out.Q[5], network.a, dim=30)
        rest = run(flow, target, middle, Training(eta=0.008), steps=500, points=6, spacing="linear")
        alone = run(
            flow, target, middle, Training(eta=0.008, schedule=(Phase(w=0.0),)), steps=500, points=6, spacing="linear"
        )
        assert out.a[5:] == pytest.approx(alone.a, abs=1e-7)
        assert abs(rest.a - alone.a).max() > 1e-6


@pytest.mark.parametrize("case", ["boolean", "teacher", "correlation"])
def test_the_loss_never_increases_along_the_exact_flow(case):
    """At rtol 1e-9 the risk falls at every output, and R stays positive; on Boolean data and teachers too."""
    target = CASES["boolean" if case == "boolean" else "teacher"][0]
    network = Network.random(target, width=4, dim=30, biases=0.5, rng=3)
    loss = "correlation" if case == "correlation" else "square"
    training = Training(eta=0.01, loss=loss, eta_b=0.01)
    out = run(OverlapFlow(finite_step=False, rtol=1e-9, atol=1e-12), target, network, training, steps=1000, points=40)
    value = out.risk
    if loss == "correlation":
        value = value - overlap.risk_of(target, network.activation, out.m, out.Q, -out.a, out.b)
    assert (np.diff(value) < 1e-9 * abs(value).max()).all()
    assert value[-1] < value[0] - 0.1 * abs(value[0])
    assert np.linalg.eigvalsh(out.Q - out.m @ np.swapaxes(out.m, 1, 2)).min() > -1e-10


def test_widths_beyond_the_practical_one_are_warned_of_and_refused(monkeypatch):
    monkeypatch.setattr(Activation, "practical_width", 3)
    target = Target.parse("z1")
    narrow, wide, huge = (Network.random(target, width=n, dim=20) for n in (3, 4, 13))
    run(OverlapFlow(), target, narrow, Training(eta=0.01), steps=2, points=2)
    with pytest.warns(UserWarning, match=r"width=4 is above the 3 neurons"):
        run(OverlapFlow(), target, wide, Training(eta=0.01), steps=2, points=2)
    with pytest.raises(InputError, match=r"width=13 is beyond 4 times"):
        run(OverlapFlow(), target, huge, Training(eta=0.01), steps=2, points=2)


def test_the_sphere_is_refused():
    target = Target.parse("z1")
    network = Network.random(target, width=1, dim=5)
    with pytest.raises(InputError, match="geometry='sphere' is unknown to OverlapFlow; use 'free'"):
        run(OverlapFlow(), target, network, Training(eta=0.01, geometry="sphere"), steps=2)
