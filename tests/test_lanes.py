"""Neurons in lanes: the same flow as one by one, and no bit that depends on neighbours, ensemble or threads."""

import math
import threading
from dataclasses import replace

import naive_correlation as naive
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from odesim import InputError, Network, Status, Target, Training, TwoRadii
from odesim import Phase as Stretch
from odesim._jit import kernel
from odesim._packs import WIDTH, load, store
from odesim.activations import _moments_lanes
from odesim.activations._moments import moments
from odesim.activations.catalogue import activation_named
from odesim.activations.handed import act_of
from odesim.flows import _correlation as alone
from odesim.flows import _correlation_lanes, lanes, lone
from odesim.flows.correlation import CorrelationFlow
from odesim.flows.residuals import start_of
from odesim.integrate import _lane_steps
from odesim.job import Job

LANES = _lane_steps.LANES
TARGET = Target.parse("0.2 + z1 + z1*z2*z3 - 0.4*He2(z2)")
CLOSED = ("erf", "relu", "leaky_relu", "gelu", "hermite:3")


def job_of(count, *, geometry="free", name="erf", biases=1.0, horizon=3.0, decay=0.0, rng=5, scaling="plain"):
    """Neurons of very different speeds, so that lanes end and are taken again at different times."""
    network = Network.random(
        TARGET, width=count, dim=30, activation=activation_named(name), biases=biases, second_layer=2.0,
        second_layer_law="uniform", rng=rng, scaling=scaling,
    )  # fmt: skip
    training = Training(eta=horizon / 20, geometry=geometry, decay_w=decay)
    return Job(TARGET, network, training, np.arange(0, 21, 4))


def part_of(job, rows):
    """The same job with some of its neurons, in that order."""
    n = job.network
    chosen = Network(n.dim, n.activation, n.m[rows], n.R[np.ix_(rows, rows)], n.a[rows], n.b[rows])
    return replace(job, network=chosen)


def solve(job, threads=1, rtol=1e-6):
    """Run a job in lanes."""
    found = lanes.LaneRun(job, start_of(job), rtol, 1e-2 * rtol)
    found.run(threads)
    return found


@pytest.fixture(scope="module")
def whole():
    """An ensemble of three blocks and one more."""
    job = job_of(3 * LANES + 1)
    return job, solve(job).outputs


@kernel(counted=False)
def functions(x, out):
    """Rows: log2 and inverse root of x[0], its inverse, 2^x[1], the bell of x[2]."""
    for lane in range(0, x.shape[1], WIDTH):
        a = load(x, (0, lane))
        store(out, (0, lane), _lane_steps.log2(a))
        store(out, (1, lane), _moments_lanes.inverse_root(a))
        store(out, (2, lane), _lane_steps.inverse(a))
        store(out, (3, lane), _lane_steps.exp2(load(x, (1, lane))))
        store(out, (4, lane), _moments_lanes.bell(load(x, (2, lane))))


def test_functions_of_packs_are_those_of_the_library():
    x, out = np.zeros((3, 4096)), np.zeros((5, 4096))
    x[0] = np.geomspace(1e-300, 1e300, 4096)
    x[0, :3] = [1.0, math.sqrt(0.5), 2.0]
    x[1, 1:], x[2, 1:] = np.linspace(-40, 40, 4095), np.linspace(-36, 36, 4095)
    functions(x, out)
    assert np.abs(out[0] - np.log2(x[0])).max() < 1e-7
    assert np.abs(out[1] * np.sqrt(x[0]) - 1).max() < 1e-15
    assert np.abs(out[2] * x[0] - 1).max() < 1e-5
    assert np.abs(out[3] / np.exp2(x[1]) - 1).max() < 1e-6
    assert np.abs(out[4] / np.exp(-x[2] * x[2] / 2) - 1).max() < 1e-13
    assert out[3, 0] == out[4, 0] == 1.0


@kernel(counted=False)
def steps(order, y, k, trial, error, t, h, last, largest, tried):
    """`step_lanes` is compiled into what calls it."""
    _lane_steps.step_lanes(order, y, k, trial, error, t, h, last, largest, tried)


def test_steps_are_taken_refused_and_followed_by_others_as_for_one_system():
    """Gustafsson's controller; an error that is no number shrinks the step hard and moves nothing."""
    rng, order = np.random.default_rng(0), 5.0
    error = np.full(LANES, 0.5)
    error[:8] = [0.0, 1e-12, 1e-3, 1.0, 1.001, 300.0, math.inf, math.nan]
    y, trial, k = rng.normal(size=(2, LANES)), rng.normal(size=(2, LANES)), rng.normal(size=(7, 2, LANES))
    t, h, last = rng.uniform(1, 2, LANES), rng.uniform(0.1, 1.0, LANES), rng.uniform(-10, 0, LANES)
    before = [one.copy() for one in (y, k, t, h, last)]
    largest, tried = np.zeros(LANES), np.zeros(LANES)
    steps(order, y, k, trial, error * error, t, h, last, largest, tried)
    for lane in range(LANES):
        e, good = error[lane], error[lane] <= 1.0
        e = max(e, 1e-10)
        if good:
            damping = 2.0 ** (0.4 / order * before[4][lane])
            factor = min(8.0, max(0.2, 0.9 * e ** (-0.7 / order) * damping))
            assert last[lane] == pytest.approx(math.log2(max(e, 1e-4)), abs=1e-7)
        else:
            factor = min(1.0, max(0.1, 0.9 * e ** (-1 / order))) if e < 1e10 else 0.1
            assert last[lane] == before[4][lane]
        assert h[lane] == pytest.approx(before[3][lane] * factor, rel=1e-6)
        assert t[lane] == before[2][lane] + (before[3][lane] if good else 0.0)
        assert np.array_equal(y[:, lane], trial[:, lane] if good else before[0][:, lane])
        assert np.array_equal(k[0, :, lane], before[1][6 if good else 0, :, lane])
    assert np.array_equal(largest, abs(y).max(axis=0))
    assert (tried == 1).all()


def slopes(job, y):
    """Right-hand side (n, lanes) of the job's first neurons in the states y (n, lanes), and one by one."""
    run, problem = lanes.LaneRun(job, start_of(job), 1e-6, 1e-8), lanes.problem_of(job)
    together, each = np.zeros_like(y), np.zeros_like(y)
    _correlation_lanes.rhs_lanes(problem, np.ascontiguousarray(run.members.parameters.T), y, together)
    sphere = job.training.geometry == "sphere"
    bare = lone.problem_of(job.target, job.network.activation, sphere=sphere)
    for j, (a, b, decay) in enumerate(run.members.parameters):
        out = np.empty(y.shape[0])
        alone.value_and_slope(bare._replace(a=a, b=b, decay=decay), np.ascontiguousarray(y[:, j]), out)
        each[:, j] = out
    return together, each


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize(("geometry", "biases", "decay"), [("free", 1.5, 0.3), ("sphere", 0.0, 0.0)])
def test_the_right_hand_side_is_that_of_one_neuron(name, geometry, biases, decay):
    job = job_of(LANES, geometry=geometry, name=name, biases=biases, decay=decay)
    rng = np.random.default_rng(1)
    y = np.vstack([rng.normal(size=(3, LANES)), rng.uniform(0.1, 2.0, LANES)])
    together, each = slopes(job, y)
    assert together == pytest.approx(each, rel=1e-11, abs=1e-12)


@given(seed=st.integers(0, 999), sphere=st.booleans())
@settings(max_examples=3, deadline=None, phases=[Phase.generate])
def test_the_flow_is_the_gradient_of_the_correlation_in_weight_space(seed, sphere):
    job, rng = job_of(LANES, geometry="sphere" if sphere else "free", rng=seed), np.random.default_rng(seed)
    w = np.append(0.5 * rng.normal(size=3), [0.6, -0.4])
    w = w / np.linalg.norm(w) if sphere else w
    y = np.repeat(np.append(w[:3], w[3:] @ w[3:])[:, None], LANES, axis=1)
    together, _ = slopes(job, y)
    for j in (0, LANES - 1):
        expected = naive.velocity("erf", TARGET, w, job.network.a[j], job.network.b[j], sphere, 30)
        assert together[:3, j] == pytest.approx(expected[:3], abs=1e-7)
        assert together[3, j] == pytest.approx(2 * w[3:] @ expected[3:], abs=1e-7)


@pytest.mark.parametrize(("name", "geometry", "scaling"), [("erf", "free", "plain"), ("relu", "sphere", "mean_field")])
def test_trajectories_are_those_of_neurons_one_by_one(name, geometry, scaling):
    """At the same tolerance step by step the same; and at a small one the same solution."""
    job = job_of(LANES + 9, name=name, geometry=geometry, scaling=scaling)
    for rtol, bound in ((1e-6, 1e-7), (1e-10, 1e-9)):
        flow = CorrelationFlow(rtol=rtol, atol=1e-2 * rtol)
        runs = flow._runs(job, start_of(job))
        for one in runs:
            while one.running:
                one.advance()
        ours = np.stack(solve(job, rtol=rtol).states())
        assert np.isfinite(ours).all()
        assert np.abs(ours - np.stack([one.states() for one in runs])).max() < bound


def test_no_bit_depends_on_the_size_of_the_ensemble(whole):
    job, out = whole
    for count in range(1, 3 * LANES + 1):
        assert np.array_equal(solve(part_of(job, np.arange(count))).outputs, out[:count]), count


@pytest.mark.parametrize("name", CLOSED)
def test_no_bit_depends_on_neighbours_or_the_lane(name):
    """In another order, and without those that have biases: some branch may be left out, no bit may change."""
    job = job_of(2 * LANES, name=name)
    bare = np.arange(0, 2 * LANES, 3)
    job = replace(job, network=replace(job.network, b=np.where(np.arange(2 * LANES) % 3 == 0, 0.0, job.network.b)))
    out = solve(job).outputs
    order = np.random.default_rng(3).permutation(2 * LANES)
    assert np.array_equal(solve(part_of(job, order)).outputs, out[order], equal_nan=True)
    assert np.array_equal(solve(part_of(job, bare)).outputs, out[bare], equal_nan=True)


@pytest.mark.parametrize("together", [1, 50, LANES])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_no_bit_depends_on_threads_tasks_or_the_length_of_calls(whole, monkeypatch, together, threads):
    job, out = whole
    monkeypatch.setattr(lanes, "TOGETHER", together)
    monkeypatch.setattr(lanes, "ROUNDS_A_CALL", 3)
    part = part_of(job, np.arange(LANES + 5))
    assert np.array_equal(solve(part, threads).outputs, out[: LANES + 5])


def test_every_neuron_has_its_own_status_and_the_others_do_not_notice(whole, monkeypatch):
    """One that is no number, one that grows without bound, one that is said to be too fast."""
    job, out = whole
    monkeypatch.setattr(lanes, "GRACE", 30)
    monkeypatch.setattr(lanes, "STEPS_TO_ONE", 0)
    found = lanes.LaneRun(job, start_of(job), 1e-6, 1e-8)
    found.members.start[7, 1] = np.nan
    found.members.start[50, 3] = 2e12
    found.members.parameters[90, _correlation_lanes.A] = 1e5
    found.run(1)
    status = found.members.status
    assert (status[7], status[50], status[90]) == (Status.STEP_TOO_SMALL, Status.DIVERGED, Status.TOO_FAST)
    assert np.isnan(found.outputs[[7, 90], :, -1]).all()
    others = np.delete(np.arange(job.network.width), [7, 50, 90])
    assert (status[others] == Status.DONE).all()
    assert np.array_equal(found.outputs[others], out[others])
    reached = np.array([time for _, time in found.ends()])
    assert (reached[others] >= job.time[-1]).all()
    assert reached[90] < job.time[-1]


def test_a_set_stop_flag_ends_all_threads(monkeypatch):
    monkeypatch.setattr(lanes, "TOGETHER", LANES)
    event = threading.Event()
    job = replace(job_of(3 * LANES, horizon=1e6), progress=lambda share: event.set(), stop=event)
    monkeypatch.setattr(lanes, "ROUNDS_A_CALL", 2)
    found = solve(job, threads=2)
    assert {status for status, _ in found.ends()} == {Status.INTERRUPTED}
    assert 0 < found.share < 1
    assert np.isnan(found.outputs[:, :, -1]).all()


def test_lanes_are_taken_where_they_apply():
    """Elsewhere neurons go one by one: a rule with events, sums over points, teachers, tables, schedules."""
    plain = job_of(3)
    teacher, boolean = Target.teacher(2), Target.parse("z1 + z1*z2", data="boolean")
    assert lanes.lanes_do(plain)
    assert not lanes.lanes_do(replace(plain, training=Training(eta=0.1, geometry=TwoRadii(0.3, 1.0))))
    assert not lanes.lanes_do(replace(plain, training=Training(eta=0.1, schedule=(Stretch(5), Stretch(w=0.5)))))
    assert not lanes.lanes_do(replace(plain, target=teacher))
    assert not lanes.lanes_do(replace(plain, target=boolean))
    assert not lanes.lanes_do(job_of(3, name="tanh"))


def test_the_risk_can_be_left_out():
    job = job_of(5)
    full, bare = CorrelationFlow().simulate(job), CorrelationFlow(risk=False).simulate(job)
    assert np.isfinite(full.risk).all()
    assert np.isnan(bare.risk).all()
    assert np.array_equal(full.m, bare.m)
    assert bare.status == Status.DONE
    with pytest.raises(InputError, match="risk='no'"):
        CorrelationFlow(risk="no")


@kernel(counted=False)
def moments_of(kind, q, b, c, out):
    """Moments of one pack."""
    _moments_lanes.moments_pack(kind.code, kind.slope, kind.table, 1, load(q, (0,)), load(b, (0,)), c)
    for k in range(c.shape[0]):
        store(out, (k, 0), load(c, (k, 0)))


def test_moments_of_packs_are_the_moments():
    rng = np.random.default_rng(0)
    for name in CLOSED:
        act = act_of(activation_named(name))
        q, b = rng.uniform(0.1, 3.0, WIDTH), rng.normal(size=WIDTH)
        c, found, expected = np.zeros((8, WIDTH)), np.zeros((8, WIDTH)), np.zeros((8, WIDTH))
        moments_of(act.kind, q, b, c, found)
        moments(act, q, b, expected)
        assert found[1:] == pytest.approx(expected[1:], rel=1e-11, abs=1e-13), name
