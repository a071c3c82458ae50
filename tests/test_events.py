"""Events inside steps: times and states of crossings, directions, ends of runs."""

import math

import numpy as np
import pytest
from test_methods import BROKEN, COUPLED, MAP, Run, exact

from odesim.integrate import _explicit as ex
from odesim.integrate import _steps as st
from odesim.integrate.events import crossing, rows

SQUARE = 1  # the kind of `quantity` in test_methods: y[index]²


def seek(*events):
    return rows(events, 2)


def test_times_and_states_of_crossings_by_direction():
    """cos t falls through ½ at π/3 and rises at 5π/3; exp(sin t) falls through 1 at π, its square too."""
    for name in ("tsitouras", "dopri5", "dop853", "rodas", "rock4", "auto"):
        events = seek(
            crossing(1, 0.5, direction=-1),
            crossing(1, 0.5, direction=1),
            crossing(1, 0.5),
            crossing(0, 1.0, direction=-1),
            crossing(0, 1.0, kind=SQUARE, direction=-1),
            crossing(0, 7.0),
        )
        run = Run(COUPLED, name, [1, 1], np.array([0.0, 6.0]), 1e-10, 1e-10, events)
        assert run.go() == ex.DONE
        wanted = np.array([math.pi / 3, 5 * math.pi / 3, math.pi / 3, math.pi, math.pi])
        assert events.time[:5] == pytest.approx(wanted, abs=1e-8)
        assert events.state[:5] == pytest.approx(exact(wanted), abs=1e-8)
        assert np.isnan(events.time[5])
        assert np.isnan(events.state[5]).all()


def test_the_state_is_at_the_level_to_the_last_bits():
    events = seek(crossing(1, 0.3))
    Run(COUPLED, "tsitouras", [1, 1], np.array([0.0, 3.0]), 1e-4, 1e-4, events).go()
    assert events.state[0, 1] == pytest.approx(0.3, abs=1e-15)
    assert events.state[0, 1] <= 0.3  # on the far side


def test_a_terminal_event_ends_the_run_there_and_later_ones_are_not_seen():
    events = seek(crossing(1, 0.5, terminal=True), crossing(1, 0.499), crossing(1, 0.51))
    run = Run(COUPLED, "tsitouras", [1, 1], np.array([0.0, 1.0, 1.04, 1.06, 4.0]), 1e-9, 1e-9, events)
    assert run.go() == st.EVENT
    assert run.control[ex.TIME] == events.time[0] == pytest.approx(math.pi / 3, abs=1e-8)
    assert np.array_equal(run.y, events.state[0])
    assert run.counts[ex.NEXT] == 3
    assert np.isnan(run.out[3:]).all()
    assert np.isnan(events.time[1])
    assert np.isnan(events.state[1]).all()
    assert events.time[2] == pytest.approx(math.acos(0.51), abs=1e-8)


def test_an_event_at_the_end_of_a_step_is_found_once_and_one_at_the_start_not():
    """1, 2, 3, 6, 7, 14, 15 at the times 0, 1, …: exact, each level is met at a step's end."""
    events = rows([crossing(0, 6.0), crossing(0, 1.0), crossing(0, 7.0, direction=-1), crossing(0, 15.0)], 1)
    run = Run(MAP, "euler", [1.0], np.arange(7.0), 1, 1, events)
    run.control[[ex.STEP, st.LONGEST]] = 1.0
    assert run.go() == ex.DONE
    assert events.time[[0, 3]] == pytest.approx([3, 6], rel=1e-14)
    assert np.isnan(events.time[1:3]).all()
    assert events.state[0, 0] == pytest.approx(6, rel=1e-14)


def test_nothing_after_the_last_output_is_an_event():
    """The last step reaches beyond the crossing at π/3."""
    events = seek(crossing(1, 0.5), crossing(1, 0.5, terminal=True))
    run = Run(COUPLED, "dop853", [1, 1], np.array([0.0, 1.0]), 1e-3, 1e-3, events)
    run.control[ex.STEP] = 1.1
    assert run.go() == ex.DONE
    assert run.control[ex.TIME] > 1.05
    assert np.isnan(events.time).all()
    assert np.isnan(events.state).all()


def test_rejected_steps_show_no_events():
    """Every step that reaches beyond 0.5 is rejected, where the slope is NaN; a level beyond is never met."""
    events = rows([crossing(0, 0.49), crossing(0, 0.51)], 1)
    run = Run(BROKEN, "tsitouras", [0.0], np.array([0.0, 1.0]), events=events)
    run.control[ex.STEP] = 0.7
    assert run.go() == ex.STEP_TOO_SMALL
    assert run.counts[ex.REJECTED] > 0
    assert events.time[0] == pytest.approx(0.49, abs=1e-12)
    assert np.isnan(events.time[1])


@pytest.mark.parametrize("budget", [1, 7, 200])
def test_events_do_not_depend_on_the_length_of_calls(budget):
    found = []
    for calls in (10**6, budget):
        events = seek(crossing(1, 0.2), crossing(1, 0.0, direction=1), crossing(0, 2.0, kind=SQUARE, direction=-1))
        run = Run(COUPLED, "auto", [1, 1], np.linspace(0, 9, 10), 1e-6, 1e-6, events)
        while run.go(calls) == ex.RUNNING:
            pass
        found.append((events.time, events.state, run.out))
    for one, other in zip(*found, strict=True):
        assert np.array_equal(one, other)


def test_a_crossing_and_its_return_within_one_step_are_found_at_the_quarters():
    """cos t dips below −0.9 between 2.69 and 3.59, inside one step of size 2."""
    events = seek(crossing(1, -0.9, direction=-1), crossing(1, -0.9, direction=1))
    run = Run(COUPLED, "dop853", [1, 1], np.array([0.0, 2.2, 4.2]), 1e-3, 1e-3, events)
    run.control[ex.STEP] = 2.2
    assert run.go() == ex.DONE
    assert events.time == pytest.approx([math.acos(-0.9), 2 * math.pi - math.acos(-0.9)], abs=0.02)
