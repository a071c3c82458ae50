"""Escape steps with censoring: Kaplan and Meier by hand, intervals and their coverage, which runs count as what."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import odesim as od
from odesim import EscapeSteps, InputError, NeuronChain, Status, Target, Training, Trajectory, escape_steps


def by_hand(steps, escaped):
    """(step, surviving share, Greenwood's Σ d/(n(n − d))) at every escape, counted as in the textbook."""
    rows, share, total = [], 1.0, 0.0
    for step in sorted({s for s, e in zip(steps, escaped, strict=True) if e}):
        at_risk = sum(s >= step for s in steps)
        deaths = sum(s == step and e for s, e in zip(steps, escaped, strict=True))
        share *= 1 - deaths / at_risk
        total += deaths / (at_risk * (at_risk - deaths)) if at_risk > deaths else math.inf
        rows.append((step, share, total))
    return rows


def quantile_by_hand(rows, q):
    return next((float(step) for step, share, _ in rows if share <= 1 - q + 1e-12), None)


def interval_by_hand(rows, q, z):
    """The steps at which S^exp(± z √Greenwood / ln S) first falls to 1 − q."""
    ends = [None, None]
    for step, share, total in rows:
        if 0 < share < 1:
            width = z * math.sqrt(total) / abs(math.log(share))
            for side, sign in enumerate((1, -1)):
                if ends[side] is None and share ** math.exp(sign * width) <= 1 - q + 1e-12:
                    ends[side] = float(step)
    return tuple(ends)


SAMPLES = st.lists(st.tuples(st.integers(1, 12), st.booleans()), min_size=1, max_size=25)


@given(SAMPLES, st.sampled_from([0.1, 0.25, 0.5, 0.8]))
def test_quantiles_intervals_and_survival_are_those_by_hand(sample, q):
    steps, escaped = (np.array(column) for column in zip(*sample, strict=True))
    found, rows = EscapeSteps(steps.astype(float), escaped), by_hand(steps.tolist(), escaped.tolist())
    assert found.censored == (~escaped).sum()
    assert found.quantile(q) == quantile_by_hand(rows, q)
    assert found.median == quantile_by_hand(rows, 0.5)
    low, high = found.interval(q)
    assert (low, high) == interval_by_hand(rows, q, 1.959963984540054)
    for step in (0, 3.5, 6, 12, 20):
        share = next((s for t, s, _ in reversed(rows) if t <= step), 1.0)
        assert found.survival(step) == pytest.approx(share, abs=1e-12)


def test_the_textbook_example():
    # Freireich et al. 1963, 6-MP arm (weeks of remission): median 23, its 95 % interval on the log-log scale from 13
    steps = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
    seen = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
    found = EscapeSteps(np.array(steps, float), np.array(seen, bool))
    assert found.median == 23
    assert found.interval() == (13.0, None)
    assert found.survival([6, 10, 23]) == pytest.approx([0.857, 0.753, 0.448], abs=5e-4)


BIAS = 0.01
"""How far coverage may be from what an interval says of sixty runs, on a scale where Greenwood's formula is no more."""


@pytest.mark.parametrize("censoring", [0.2, 0.9, 3.0])
def test_the_interval_covers_the_median_as_often_as_it_says(censoring):
    """Within three standard errors and BIAS; where most runs are censored it has no upper end, and covers more."""
    rng, hits, open_ended, count = np.random.default_rng(1), 0, 0, 1000
    for _ in range(count):
        times = rng.exponential(1 / math.log(2), 60)
        ends = np.minimum(3.0, rng.exponential(1 / censoring, 60))
        low, high = EscapeSteps(np.minimum(times, ends), times <= ends).interval()
        hits += (low is None or low <= 1.0) and (high is None or high >= 1.0)
        open_ended += high is None
    room = 3 * math.sqrt(0.95 * 0.05 / count) + BIAS
    assert hits / count > 0.95 - room
    assert hits / count < 0.95 + room or open_ended > count / 2


def trajectory_of(risk, status=None, events=None, steps=(0, 10, 100)):
    risk = np.asarray(risk, float)
    m = np.where(np.isnan(risk), np.nan, 0.0)[..., None, None]
    return Trajectory(
        np.array(steps), 0.1 * np.array(steps), risk, m, m[..., 0],
        status=np.zeros(risk.shape[:-1], int) if status is None else np.array(status), events=events or {},
    )  # fmt: skip


def test_runs_without_an_escape_are_censored_where_they_were_last_seen():
    found = escape_steps(
        trajectory_of([[1, 0.9, 0.1], [1, 0.9, 0.8], [1, 0.9, np.nan]], [0, 0, Status.DIVERGED]), level=0.5
    )
    assert found.escaped.tolist() == [True, False, False]
    assert found.steps == pytest.approx([10 ** (1 + 0.5), 100, 10])
    assert found.censored == 2
    assert escape_steps(trajectory_of([1, 1, 0.1]), level=0.55).steps == pytest.approx([10**1.5])
    assert escape_steps(trajectory_of([1, 1, 1]), level=2.0).steps == [0]


def test_of_several_events_the_first_counts_and_a_terminal_one_ends_the_watch():
    events = {"up": np.array([0.5, np.nan, np.nan, 3.0]), "down": np.array([2.0, 7.0, np.nan, np.nan])}
    status = [Status.EVENT, Status.EVENT, 0, Status.EVENT]
    one = trajectory_of(np.full((4, 3), 1.0), status, events)
    assert escape_steps(one, event=["up", "down"]).steps == pytest.approx([5, 70, 100, 30])
    assert escape_steps(one, event=["up", "down"]).escaped.tolist() == [True, True, False, True]
    gone = trajectory_of([[1, np.nan, np.nan]] * 4, status, events | {"early_end": np.array([0.5, 7.0, np.nan, 3.0])})
    only = escape_steps(gone, event="up")
    assert only.escaped.tolist() == [True, False, False, True]
    assert only.steps == pytest.approx([5, 70, 0, 30])


def test_steps_of_events_follow_the_schedule():
    target = Target.parse("z1")
    network = od.Network.from_overlaps([[0.1]], [[1.0]], [1.0], dim=50)
    training = Training(
        eta=0.05, loss="correlation", schedule=(od.Phase(until=3), od.Phase(rate=0.3)), geometry="sphere"
    )
    events = [od.overlap_above(0, 0, 0.4, terminal=True)]
    grid = od.run(
        NeuronChain(), target, network, training, steps=200, points=201, spacing="linear", seeds=30, events=events
    )
    found = escape_steps(grid, event="overlap_0_0_above_0_4")
    assert found.escaped.all()
    for run, step in enumerate(found.steps):
        assert step == int(step)
        assert grid.m[run, int(step), 0, 0] >= 0.4 > grid.m[run, int(step) - 1, 0, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "exactly one"), ({"level": 0.5, "event": "up"}, "exactly one"), ({"event": "up"}, "'up' is not in"),
        ({"level": np.nan}, "level"),
    ],
)  # fmt: skip
def test_what_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        escape_steps(trajectory_of([1, 1, 1]), **arguments)


@pytest.mark.parametrize("q", [0, 1, -0.2, np.nan])
def test_shares_lie_inside(q):
    found = EscapeSteps(np.ones(3), np.ones(3, bool))
    for call in (found.quantile, found.interval, lambda q: found.interval(confidence=q)):
        with pytest.raises(InputError):
            call(q)


def test_without_any_escape_nothing_is_known():
    found = EscapeSteps(np.ones(3), np.zeros(3, bool))
    assert (found.median, found.interval(), found.censored) == (None, (None, None), 3)
    assert found.survival([0, 5]).tolist() == [1, 1]


def test_where_no_run_escapes_the_median_lies_beyond_what_enough_runs_were_seen_to():
    """Six runs without an escape by step c have a chance of 1/64 < 2.5 % if the median lies before c; five do not."""
    steps = np.array([50.0, 40.0, 30.0, 20.0, 10.0, 5.0, 1.0])
    found = EscapeSteps(steps, np.zeros(7, bool))
    assert found.interval() == (5.0, None)
    assert found.interval(confidence=0.9) == (10.0, None)
    assert found.interval(0.9, 0.9) == (40.0, None)
    assert EscapeSteps(steps[:5], np.zeros(5, bool)).interval() == (None, None)
    assert str(found) == (
        "median escape step beyond what was seen (95 % interval 5 .. unknown), 7 of 7 runs not seen to escape"
    )
    seen = EscapeSteps(np.array([10.0, 20.0, 30.0]), np.array([True, True, False]))
    assert str(seen).startswith("median escape step 20 (95 % interval ")


ALONE = Training(eta=1e-3, loss="correlation", geometry="sphere", eta_a=0)


def lone(width=1, **options):
    network = od.Network.from_overlaps([[0.1]] * width, np.eye(width) * 0.99 + 0.01, [1.0] * width, dim=50)
    return od.run(NeuronChain(), Target.parse("z1"), network, ALONE, steps=2000, seeds=9, **options)


def test_lone_neurons_and_the_joint_chain_are_asked_alike():
    event = od.overlap_above(0, 0, 0.5)
    one = lone(reduce=True, events=[event])
    by_event, by_name = escape_steps(one, event=event), escape_steps(one, event=[event.name])
    np.testing.assert_array_equal(by_event.steps, by_name.steps)
    assert by_event.escaped.all()
    network = od.Network.random(Target.parse("z1"), width=2, dim=50, weights=False, rng=0)
    joint = od.run(
        od.Chain(), Target.parse("z1"), network, Training(eta=2e-3), steps=3000, points=30, seeds=9, reduce=True,
        events=[od.risk_below(0.4)],
    )  # fmt: skip
    assert escape_steps(joint, event=od.risk_below(0.4)).median > 10
    with pytest.raises(InputError, match=r"level=0.4 cannot be found where reduce=True .*; there is risk_below_0_4"):
        escape_steps(joint, level=0.4)


@pytest.mark.parametrize(
    ("options", "question", "message"),
    [
        ({}, {"event": "overlap_0_0_above_0_5"}, r"there is none: give run\(\.\.\., events="),
        ({"reduce": True}, {"event": od.overlap_above(0, 0, 0.5)}, r"there is none: give run\(\.\.\., events="),
        ({"reduce": True}, {}, r"give exactly one of level=, a risk, and event=; there is none"),
        ({"reduce": True}, {"event": "early_end"}, "'early_end' is where runs ended early"),
        ({}, {"event": 0}, "event=0 is no event; give its name"),
        ({}, {"event": [3]}, "event=3 is no event; give its name"),
        ({}, {"event": []}, "event is an empty list"),
        ({"width": 2}, {"level": 0.3}, "level=0.3, but trajectory has no risk"),
    ],
)
def test_what_was_not_looked_for_cannot_be_asked(options, question, message):
    with pytest.raises(InputError, match=message):
        escape_steps(lone(points=3, **options), **question)


def test_bad_kinds_are_named():
    with pytest.raises(InputError, match=r"trajectory is of type NoneType; give what run\(\.\.\.\) returns"):
        escape_steps(None, level=0.3)
    with pytest.raises(InputError, match=r"escaped has shape \(2,\); give one truth value a step, \(3,\)"):
        EscapeSteps([1, 2, 3], [True, False])
    with pytest.raises(InputError, match="steps"):
        EscapeSteps([1, np.nan], [True, False])
    assert EscapeSteps([1, 2, 3], [True, True, False]).median == 2
    with pytest.raises(InputError, match=r"run\.events=0\.5 is no list of events"):
        lone(points=3, events=0.5)
