"""Trajectories: shapes, statistics over runs that may have ended, storage."""

import numpy as np
import pytest

from odesim.checks import InputError
from odesim.trajectory import Status, Trajectory

T, N, P, S = 6, 3, 2, 5


def ensemble(seed=0, **changes):
    rng = np.random.default_rng(seed)
    steps = np.arange(T) ** 2
    fields = {
        "steps": steps, "time": 0.1 * steps, "risk": rng.random((S, T)), "m": rng.random((S, T, N, P)),
        "a": rng.random((S, T, N)), "b": rng.random((S, T, N)), "Q": rng.random((S, T, N, N)),
        "status": np.array([0, 0, 1, 0, 4]), "message": ("", "", "grew", "", "stopped"), "kind": "SGD",
        "q": rng.random((S, T, N)), "events": {"release": np.where(rng.random((S, N, P)) < 0.5, np.nan, 2.0)},
        "settings": {"target": {"expression": "z1"}}, "versions": {"numpy": "2"}, "seconds": 1.5,
    }  # fmt: skip
    return Trajectory(**{**fields, **changes})


def single(**changes):
    steps = np.arange(T)
    fields = {
        "steps": steps,
        "time": 0.1 * steps,
        "risk": np.ones(T),
        "m": np.ones((T, N, P)),
        "a": np.ones((T, N)),
    }
    return Trajectory(**{**fields, **changes})


MADE = [
    ensemble(),
    ensemble()[2],
    single(noise_rate=np.ones((T, N)), message="fine"),
    single(q=np.full((T, N), 2.0), weights=np.array([0.5, 0.3, 0.2]), events={"release": np.full((N, P), np.nan)}),
]


@pytest.mark.parametrize("made", MADE)
def test_save_and_load(made, tmp_path):
    made.save(tmp_path / "x.npz")
    read = Trajectory.load(tmp_path / "x.npz")
    for name in ("steps", "time", "risk", "m", "a", "b", "Q", "q", "weights", "status", "noise_rate"):
        left, right = getattr(made, name), getattr(read, name)
        assert (left is None) == (right is None)
        if left is not None:
            np.testing.assert_array_equal(left, right)
            assert np.asarray(left).dtype == right.dtype
    for name in ("message", "kind", "settings", "versions", "seconds", "ensemble", "seeds"):
        assert getattr(made, name) == getattr(read, name)
    assert made.events.keys() == read.events.keys()
    with np.load(tmp_path / "x.npz") as archive:
        for name, times in made.events.items():
            np.testing.assert_array_equal(read.events[name], times)
            np.testing.assert_array_equal(archive[f"event_{name}"], times)
        np.testing.assert_array_equal(archive["risk"], made.risk)


def test_a_file_without_the_fields_is_refused(tmp_path):
    from odesim.files import save_npz

    save_npz(tmp_path / "x.npz", "trajectory", {"risk": np.ones(3)}, {"message": "", "dynamics": ""})
    with pytest.raises(InputError, match=r"x\.npz lacks the fields"):
        Trajectory.load(tmp_path / "x.npz")


def test_one_run_of_an_ensemble():
    runs = ensemble()
    assert (len(runs), runs.seeds, runs.ensemble) == (S, S, True)
    third = runs[2]
    assert (third.ensemble, third.seeds, third.message, int(third.status)) == (
        False,
        1,
        "grew",
        Status.DIVERGED,
    )
    np.testing.assert_array_equal(third.Q, runs.Q[2])
    np.testing.assert_array_equal(third.q, runs.q[2])
    np.testing.assert_array_equal(third.events["release"], runs.events["release"][2])
    np.testing.assert_array_equal(runs[-1].m, runs.m[-1])
    assert len(list(runs)) == S
    with pytest.raises(IndexError):
        runs[S]


def test_a_single_run_is_its_own_only_member():
    run = single()
    assert run[0] is run
    np.testing.assert_array_equal(run.mean("risk"), run.risk)
    np.testing.assert_array_equal(run.median("m"), run.m)
    assert np.isnan(run.stderr("risk")).all()


def test_statistics_against_numpy():
    runs = ensemble()
    for name in ("risk", "m", "a", "b", "Q", "q"):
        values = getattr(runs, name)
        np.testing.assert_allclose(runs.mean(name), values.mean(axis=0))
        np.testing.assert_allclose(runs.stderr(name), values.std(axis=0, ddof=1) / np.sqrt(S))
        np.testing.assert_allclose(runs.quantile(name, [0.1, 0.9]), np.quantile(values, [0.1, 0.9], axis=0))


def test_ended_runs_do_not_count():
    risk = ensemble().risk.copy()
    risk[2, 3:], risk[:, -1] = np.nan, np.nan
    risk[1:, -2] = np.nan
    runs = ensemble(risk=risk)
    alive = np.delete(risk, 2, axis=0)
    np.testing.assert_allclose(runs.mean("risk")[3], alive[:, 3].mean())
    np.testing.assert_allclose(runs.stderr("risk")[3], alive[:, 3].std(ddof=1) / 2)
    np.testing.assert_allclose(runs.median("risk")[3], np.median(alive[:, 3]))
    assert runs.mean("risk")[-2] == risk[0, -2]
    assert np.isnan([runs.stderr("risk")[-2], runs.mean("risk")[-1], runs.median("risk")[-1]]).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": np.array([0, 1, 1, 2, 3, 4])}, "steps does not increase"),
        ({"steps": np.arange(1, T + 1)}, "steps does not increase from 0"),
        ({"steps": np.linspace(0, 1, T)}, "whole numbers"),
        ({"time": np.zeros(T + 1)}, "time has shape"),
        ({"risk": np.ones((S, T - 1))}, "risk has shape"),
        ({"risk": np.ones((2, S, T))}, "risk has shape"),
        ({"m": np.ones((S, T, N))}, "m has shape"),
        ({"a": None}, "a has shape"),
        ({"q": np.ones((S, T))}, "q has shape"),
        ({"weights": np.full(N + 1, 1 / (N + 1))}, "weights has shape"),
        ({"weights": np.full(N, 1.0)}, "weights has the sum 3"),
        ({"weights": np.array([1.5, -0.5, 0.0])}, "from 0 up"),
        ({"events": {"release": np.ones((N, P))}}, r"events\['release'\] has shape"),
        ({"events": {"release": np.ones((S, N), dtype=int)}}, "array of times"),
        ({"events": {"two radii": np.ones(S)}}, "events has the name 'two radii'"),
        ({"message": ("one",)}, "message has 1 entries"),
    ],
)
def test_shapes_that_do_not_fit(changes, message):
    with pytest.raises(InputError, match=message):
        ensemble(**changes)


def test_unknown_names():
    with pytest.raises(InputError, match="choose one of risk, m, a"):
        single().mean("Q")
    with pytest.raises(InputError):
        single().mean("steps")


def test_weights_stay_with_every_run_and_are_no_statistic():
    runs = ensemble(weights=np.array([0.5, 0.3, 0.2]))
    assert runs[1].weights is runs.weights
    with pytest.raises(InputError, match=r"choose one of risk, m, a, b, Q, q$"):
        runs.mean("weights")


def test_every_status_has_a_text():
    assert len({status.text for status in Status}) == len(Status)
