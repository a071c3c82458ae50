"""Events, methods and the noise gauge of whole flows."""

import numpy as np
import pytest

import odesim as od
from odesim.gauges import noise_gauges

TARGET = od.Target.parse("z1 + z1*z2*z3")
ETA = 0.2 / 400


def overlap_network():
    return od.Network.random(TARGET, width=4, dim=400, second_layer=0.5, rng=3)


def wide_network():
    return od.Network.random(TARGET, width=4, dim=400, scaling="mean_field", rng=3)


CASES = [
    (od.OverlapFlow(finite_step=False, rtol=1e-9, atol=1e-11), overlap_network()),
    (od.MeanFieldFlow(), wide_network()),
    (od.CorrelationFlow(rtol=1e-9, atol=1e-11), overlap_network()),
]


@pytest.mark.parametrize(("flow", "network"), CASES, ids=["overlap", "mean-field", "correlation"])
def test_times_and_states_are_those_of_runs_that_end_there(flow, network):
    """Levels from a recorded run; a run to the event's time, moved to a step, ends in the state of the event."""
    training, steps = od.Training(eta=ETA, eta_a=0 if isinstance(flow, od.CorrelationFlow) else None), 16_000
    plain = od.run(flow, TARGET, network, training, steps=steps, points=40)
    level = 0.5 * (plain.risk[0] + plain.risk[-1])
    j = int(abs(plain.m[-1, :, 0]).argmax())
    height = 0.5 * plain.m[-1, j, 0]
    overlap = (od.overlap_above if height > 0 else od.overlap_below)(j, 0, height)
    sought = [od.risk_below(level, name="half"), overlap, od.risk_above(10.0)]
    out = od.run(flow, TARGET, network, training, steps=steps, points=4, events=sought)
    assert set(out.events) == {"half", overlap.name, "risk_above_10"}
    assert np.isnan(out.events["risk_above_10"])
    assert np.isnan(out.at_events["risk_above_10"]["m"]).all()
    assert out.at_events["half"]["risk"] == pytest.approx(level, abs=1e-12)
    assert out.at_events[overlap.name]["m"][j, 0] == pytest.approx(height, abs=1e-12)
    for name in ("half", overlap.name):
        when, at = out.events[name], out.at_events[name]
        step = round(float(when) / ETA)
        near = od.run(flow, TARGET, network, training, t_eval=ETA * np.array([step - 1, step, step + 1]))
        share = when / ETA - (step - 1)
        for key in ("risk", "m", "a", "Q", "q"):
            if getattr(near, key) is not None:
                rows = getattr(near, key)[-3:]
                wanted = np.array([[np.interp(share, [0, 1, 2], one) for one in rows.reshape(3, -1).T]])
                assert at[key].ravel() == pytest.approx(wanted.ravel(), abs=1e-6)
    assert out.risk[-1] == pytest.approx(plain.risk[-1], rel=1e-6)


def test_a_terminal_event_ends_the_run_with_its_status_and_phases_go_on_looking(tmp_path):
    network = overlap_network()
    training = od.Training(eta=ETA, schedule=(od.Phase(until=500), od.Phase(rate=2.0)))
    flow = od.OverlapFlow()
    plain = od.run(flow, TARGET, network, training, steps=16_000, points=40)
    level = 0.5 * (plain.risk[0] + plain.risk[-1])
    out = od.run(flow, TARGET, network, training, steps=16_000, points=40, events=[od.risk_below(level, terminal=True)])
    (when,) = out.events.values()
    assert od.Status(int(out.status)) is od.Status.EVENT
    assert "terminal event" in out.message
    assert when > training.time_at(500)
    assert np.isfinite(out.risk[out.time <= when]).all()
    assert np.isnan(out.risk[out.time > when]).all()
    assert np.interp(when, plain.time, plain.risk) == pytest.approx(level, rel=0.05)
    out.save(tmp_path / "run.npz")
    read = od.Trajectory.load(tmp_path / "run.npz")
    assert read.events == out.events
    (name,) = read.at_events
    assert read.at_events[name].keys() == out.at_events[name].keys()
    for key, value in out.at_events[name].items():
        assert np.array_equal(read.at_events[name][key], value)
    assert np.array_equal(read.noise_gauge, out.noise_gauge, equal_nan=True)
    assert read.settings["run"]["events"][0]["terminal"] is True


def test_names_of_events_are_readable():
    assert od.risk_below(0.3).name == "risk_below_0_3"
    assert od.overlap_above(1, 2, -0.5).name == "overlap_1_2_above_minus_0_5"
    assert od.overlap_below(0, 0, 1e-5).name == "overlap_0_0_below_1e_minus_05"
    assert od.risk_above(1e20, name="never").name == "never"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: od.risk_below(np.nan), "event.level"),
        (lambda: od.overlap_above(-1, 0, 0.5), "event.neuron=-1"),
        (lambda: od.risk_below(0.3, name="two words"), "event.name='two words'"),
        (lambda: attempt([od.overlap_above(4, 0, 0.5)]), "neuron=4 must be below 4"),
        (lambda: attempt([od.overlap_above(0, 3, 0.5)]), "coordinate=3 must be below 3"),
        (lambda: attempt([od.risk_below(0.3), od.risk_below(0.3)]), "'risk_below_0_3' twice"),
        (lambda: attempt(od.risk_below(0.3)), "give a list"),
        (lambda: attempt([0.3]), "holds 0.3"),
        (lambda: attempt([od.risk_below(0.3)], od.SGD()), "SGD finds no events"),
        (lambda: attempt([od.overlap_above(4, 0, 0.5)], od.CorrelationFlow()), "neuron=4 must be below 4"),
        (lambda: attempt([od.risk_below(0.3)], od.CorrelationFlow(risk=False)), "risk_below_0_3 is on the risk"),
        (lambda: attempt([od.risk_below(0.3)], od.OverlapFlow(discrete=True)), "discrete=False"),
        (lambda: attempt([od.risk_below(0.3)], od.MeanFieldFlow(discrete=True)), "discrete=False"),
        (lambda: od.OverlapFlow(method="RK45"), "choose one of auto, tsitouras, dopri5, dop853, rock4, rodas"),
        (lambda: od.MeanFieldFlow(method="euler"), "choose one of auto"),
        (lambda: od.CorrelationFlow(method=""), "choose one of auto"),
    ],
)
def test_what_cannot_be_is_refused_with_its_name(make, words):
    with pytest.raises(od.InputError) as caught:
        make()
    assert words in str(caught.value)


def attempt(events, dynamics=None):
    flow = od.OverlapFlow() if dynamics is None else dynamics
    return od.run(flow, TARGET, overlap_network(), od.Training(eta=ETA, eta_a=0), steps=10, events=events)


FLOWS = {
    "overlap": (lambda **o: od.OverlapFlow(finite_step=False, **o), overlap_network(), None),
    "mean-field": (lambda **o: od.MeanFieldFlow(**o), wide_network(), None),
    "correlation": (lambda **o: od.CorrelationFlow(**o), overlap_network(), 0),
}


@pytest.mark.parametrize("name", FLOWS)
def test_all_methods_give_the_same_flow(name):
    make, network, eta_a = FLOWS[name]
    training = od.Training(eta=ETA, eta_a=eta_a)
    runs = [
        od.run(make(method=method, rtol=1e-9, atol=1e-11), TARGET, network, training, steps=8000, points=12)
        for method in ("tsitouras", "dopri5", "dop853", "rock4", "rodas", "auto")
    ]
    for one in runs[1:]:
        assert abs(one.m - runs[0].m).max() < 2e-6
        assert one.risk == pytest.approx(runs[0].risk, abs=2e-6)


@pytest.mark.parametrize("method", ["dopri5", "dop853", "rock4", "rodas", "auto"])
def test_the_layerwise_rule_finds_its_releases_by_every_method(method):
    """Events inside steps on the dense output of each kind of step, where no output has asked for it before."""
    network = od.Network.random(TARGET, width=2, dim=50, second_layer=1.0, rng=1)
    training = od.Training(eta=0.01, eta_a=0, geometry=od.TwoRadii(0.35, 0.6))
    release, last = [], []
    for one in ("tsitouras", method):
        flow = od.CorrelationFlow(method=one, rtol=1e-9, atol=1e-11)
        out = od.run(flow, TARGET, network, training, steps=3000, points=3)
        release.append(out.events["release"])
        last.append(out.m[-1])
    assert np.isfinite(release[0]).any()
    assert release[1] == pytest.approx(release[0], abs=1e-5, nan_ok=True)
    assert last[1] == pytest.approx(last[0], abs=1e-5)


def test_the_noise_gauge_is_the_integral_of_the_noise_rate():
    """Against a trapezoid on a fine grid, through a schedule; and coarse rows give the same gauge as fine ones."""
    network = overlap_network()
    training = od.Training(eta=2e-3, schedule=(od.Phase(until=1000), od.Phase(rate=0.5)))
    fine, coarse = (
        od.run(od.OverlapFlow(), TARGET, network, training, steps=6000, points=n, spacing="linear") for n in (3001, 7)
    )
    pieces = np.diff(fine.time)[:, None] * (fine.noise_rate[1:] + fine.noise_rate[:-1]) / 2
    assert fine.noise_gauge[0].tolist() == [0] * 4
    assert fine.noise_gauge[-1] == pytest.approx(pieces.sum(axis=0), rel=1e-3)  # the rate jumps between phases
    assert coarse.noise_gauge == pytest.approx(fine.noise_gauge[::500], rel=1e-4)
    assert noise_gauges(coarse, [6000.0])[-1] == pytest.approx(fine.noise_gauge[-1].max(), rel=1e-4)
    assert od.run(od.OverlapFlow(finite_step=False), TARGET, network, training, steps=9, points=3).noise_gauge is None


def one_relu(a=0.6, m=0.2):
    """A neuron whose flow under z1, with decay λ and any a, is m' = ξ(a/2 − λm), R' = −2ξλR."""
    target = od.Target.parse("z1")
    network = od.Network.from_overlaps([[m]], [[m * m + 1.0]], [a], dim=9, activation="relu")
    return target, network, (lambda s: a / 0.6 + (m - a / 0.6) * np.exp(-0.3 * s)), lambda s: np.exp(-0.6 * s)


def test_events_of_neurons_alone_have_their_closed_form():
    """Through a schedule that stands still and then goes twice as far at half the clock; m in time s of the first."""
    target, network, m, R = one_relu()
    eta = 0.01
    training = od.Training(
        eta, eta_a=0.0, decay_w=0.3, schedule=(od.Phase(100), od.Phase(150, w=0.0), od.Phase(rate=0.5, w=2.0))
    )

    def risk(s):  # C = m/2, K = q/2
        return 0.5 - 0.6 * m(s) / 2 + 0.36 * (m(s) ** 2 + R(s)) / 4

    early, late = 0.7, 2.2  # in the last phase a step moves w as in the first, and takes half the time
    clock = {early: early, late: 1.0 + 0.5 + 0.5 * (late - 1.0)}
    sought = [
        od.overlap_above(0, 0, m(early), name="early"),
        od.overlap_above(0, 0, m(late), name="late"),
        od.overlap_below(0, 0, m(late), name="never"),
        od.risk_below(risk(early), name="risk_early"),
        od.risk_below(risk(late), name="risk_late"),
        od.risk_above(risk(0.0), name="start"),
    ]
    flow = od.CorrelationFlow(rtol=1e-11, atol=1e-13)
    out = od.run(flow, target, network, training, steps=600, points=5, events=sought)
    for name, s in (("early", early), ("late", late), ("risk_early", early), ("risk_late", late)):
        assert out.events[name] == pytest.approx(clock[s], abs=1e-8)
        assert out.at_events[name]["m"][0, 0] == pytest.approx(m(s), abs=1e-8)
        assert out.at_events[name]["risk"] == pytest.approx(risk(s), abs=1e-8)
        assert out.at_events[name]["q"][0] == pytest.approx(m(s) ** 2 + R(s), abs=1e-8)
    assert np.isnan([out.events["never"], out.events["start"]]).all()
    assert np.isnan(out.at_events["never"]["Q"]).all()
    plain = od.run(flow, target, network, training, steps=600, points=5)
    assert np.array_equal(out.m, plain.m)


def test_what_crosses_and_returns_between_two_outputs_is_found():
    """An overlap up to its maximum and halfway back, and the risk down and up again as the output overshoots."""
    network, training = od.Network.random(TARGET, width=3, dim=40, rng=7), od.Training(1e-2, eta_a=0)
    fine = od.run(od.CorrelationFlow(), TARGET, network, training, steps=10_000, points=2000, spacing="linear")
    overlap, risk = fine.m[:, 1, 2], fine.risk
    assert max(overlap[0], overlap[-1]) < 0.185 < overlap.max()
    assert min(risk[0], risk[-1]) > 0.6 > risk.min()
    sought = [od.overlap_above(1, 2, 0.185, name="up"), od.overlap_below(1, 2, 0.185, name="back"),
              od.risk_below(0.6, name="down"), od.risk_above(0.6, name="again")]  # fmt: skip
    out = od.run(od.CorrelationFlow(), TARGET, network, training, steps=10_000, points=2, events=sought)
    first, least = int(overlap.argmax()), int(risk.argmin())
    for name, values, turn, level in (("up", overlap, first, 0.185), ("down", -risk, least, -0.6)):
        assert out.events[name] == pytest.approx(np.interp(level, values[:turn], fine.time[:turn]), abs=1e-3)
    for name, values, turn, level in (("back", -overlap, first, -0.185), ("again", risk, least, 0.6)):
        assert out.events[name] == pytest.approx(np.interp(level, values[turn:], fine.time[turn:]), abs=1e-3)


def test_a_terminal_event_of_one_neuron_ends_all_of_them():
    network, training = overlap_network(), od.Training(eta=ETA, eta_a=0)
    flow = od.CorrelationFlow(finite_step=True)
    plain = od.run(flow, TARGET, network, training, steps=16_000, points=40)
    j = int(abs(plain.m[-1, :, 0]).argmax())
    height = 0.5 * plain.m[-1, j, 0]
    stop = (od.overlap_above if height > 0 else od.overlap_below)(j, 0, height, terminal=True)
    after = od.risk_below(plain.risk[-1] + 1e-6, name="after")
    out = od.run(flow, TARGET, network, training, steps=16_000, points=40, events=[stop, after])
    when = out.events[stop.name]
    assert od.Status(int(out.status)) is od.Status.EVENT
    assert out.message.startswith(f"at flow time {when:.6g}: a terminal event")
    before = out.time <= when
    for name in ("risk", "m", "q", "noise_gauge", "noise_rate"):
        values = getattr(out, name)
        assert np.array_equal(values[before], getattr(plain, name)[before])
        assert np.isnan(values[~before]).all()
    assert np.isnan(out.events["after"])


def test_levels_passed_by_a_jump_at_a_release_are_met_there():
    """Under two radii the kept coordinates grow at once when one is released; nothing after it is found before it."""
    target = od.Target.parse("z1*z2")
    m = np.array([[0.3, 0.2]])
    network = od.Network.from_overlaps(m, m @ m.T + [[0.87]], [1.0], dim=30, activation="relu")
    training = od.Training(eta=1e-3, eta_a=0, geometry=od.TwoRadii(0.4, 0.7))
    flow = od.CorrelationFlow(rtol=1e-9, atol=1e-11)
    plain = od.run(flow, target, network, training, steps=20_000, points=4000, spacing="linear")
    first = plain.events["release"][0, 0]
    row = int(np.searchsorted(plain.time, first))
    left, right = plain.m[row - 1, 0, 1], plain.m[row, 0, 1]
    assert right / left > 1.05
    sought = [
        od.overlap_above(0, 1, 0.5 * (left + right), name="by_the_jump"),
        od.overlap_above(0, 0, 0.41, name="after"),
        od.overlap_above(0, 0, 0.399, name="before"),
    ]
    out = od.run(flow, target, network, training, steps=20_000, points=9, events=sought)
    assert out.events["release"] == pytest.approx(plain.events["release"])
    assert out.events["by_the_jump"] == pytest.approx(first, abs=1e-12)
    assert out.at_events["by_the_jump"]["m"][0, 1] == pytest.approx(right, rel=1e-2)
    assert out.at_events["by_the_jump"]["m"][0, 1] > 0.5 * (left + right)
    for name, level in (("before", 0.399), ("after", 0.41)):
        assert out.at_events[name]["m"][0, 0] == pytest.approx(level, abs=1e-12)
        assert out.events[name] == pytest.approx(
            np.interp(level, plain.m[: row + 200, 0, 0], plain.time[: row + 200]), abs=2e-3
        )
    assert out.events["before"] < first < out.events["after"]


@pytest.mark.parametrize("geometry", ["free", "sphere", od.TwoRadii(0.2, 0.6)], ids=["free", "sphere", "two radii"])
def test_the_noise_gauge_of_neurons_alone_is_the_integral_of_their_noise_rate(geometry):
    training = od.Training(eta=2e-3, eta_a=0, geometry=geometry, schedule=(od.Phase(until=1000), od.Phase(rate=0.5)))
    flow, network = od.CorrelationFlow(finite_step=True), overlap_network()
    fine, coarse = (od.run(flow, TARGET, network, training, steps=3000, points=n, spacing="linear") for n in (1501, 7))
    pieces = np.diff(fine.time)[:, None] * (fine.noise_rate[1:] + fine.noise_rate[:-1]) / 2
    assert fine.noise_gauge[0].tolist() == [0] * 4
    assert fine.noise_gauge[-1] == pytest.approx(pieces.sum(axis=0), rel=1e-3)
    assert coarse.noise_gauge == pytest.approx(fine.noise_gauge[::250], rel=1e-4)
    assert od.run(od.CorrelationFlow(), TARGET, network, od.Training(2e-3, eta_a=0), steps=9).noise_gauge is None
