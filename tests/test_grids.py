import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from odesim import Training
from odesim.checks import InputError
from odesim.integrate.grids import LARGEST_STEP, step_grid, steps_at


@given(st.integers(1, 10**12), st.integers(2, 500), st.sampled_from(["log", "linear"]))
def test_grid_increases_from_zero_to_the_horizon(steps, points, spacing):
    grid = step_grid(steps, points, spacing)
    assert grid.dtype == np.int64
    assert grid[0] == 0
    assert grid[-1] == steps
    assert (np.diff(grid) > 0).all()
    assert grid.size <= points


def test_log_grid_has_equal_ratios_where_rounding_does_not_matter():
    grid = step_grid(10**9, 91, "log")
    assert grid[1] == 1
    late = grid[grid > 10**5]
    assert np.allclose(late[1:] / late[:-1], 10 ** (9 / 89), rtol=2e-5)


def test_linear_grid_has_equal_distances():
    assert step_grid(1000, 11, "linear").tolist() == list(range(0, 1001, 100))


def test_few_steps_are_kept_once():
    assert step_grid(3, 300).tolist() == [0, 1, 2, 3]
    assert step_grid(1, 2).tolist() == [0, 1]


def test_the_largest_horizon_is_exact():
    assert step_grid(LARGEST_STEP)[-1] == LARGEST_STEP


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        ({"steps": 0}, "run.steps=0"),
        ({"steps": -5}, "run.steps=-5"),
        ({"steps": 1.5}, "run.steps=1.5"),
        ({"steps": float("nan")}, "run.steps=nan"),
        ({"steps": "many"}, "run.steps='many'"),
        ({"steps": 2**60}, f"run.steps={2**60}"),
        ({"steps": 10, "points": 1}, "run.points=1"),
        ({"steps": 10, "spacing": "cubic"}, "run.spacing='cubic'"),
    ],
)
def test_bad_grids_are_named(arguments, culprit):
    with pytest.raises(InputError) as caught:
        step_grid(**arguments)
    assert culprit in str(caught.value)


def test_times_move_to_the_nearest_step_and_zero_is_put_first():
    assert steps_at([0.0, 0.1, 0.26], Training(eta=0.05)).tolist() == [0, 2, 5]
    assert steps_at([0.1, 1.0], Training(eta=0.05)).tolist() == [0, 2, 20]


@pytest.mark.parametrize("times", [[], [0.0], [-1.0, 1.0], [0.0, 1.0, 0.5], [0.0, 0.1, 0.101], [0.0, np.nan], [[0, 1]]])
def test_bad_times_are_named(times):
    with pytest.raises(InputError, match=r"run\.t_eval"):
        steps_at(times, Training(eta=0.05))
