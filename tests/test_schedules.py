"""One phase a group: the powers of d, what is refused, and that SGD learns sooner by it."""

import math

import numpy as np
import pytest

from odesim import InputError, Network, Phase, Target, Training, cli, isoleap_path, leap_path, run
from odesim.experiment import Experiment
from odesim.passages import first_passage
from odesim.schedules import GROUP_TIME, LATEST, group_schedule
from odesim.sgd.full import SGD

STAIRS = leap_path(Target.parse("z1 + z1*z2*z3 + z3*z4*z5*z6 + z6*z7*z8*z9*z10"))


def lengths(phases):
    """Steps of each phase but the last."""
    return np.diff([0, *(phase.until for phase in phases[:-1])])


def test_steps_and_step_sizes_are_the_powers_of_the_theorem():
    """Leaps 1, 2, 3, 4 at dimensions 10⁴ apart: η_l = c d^{−D/2} and (T/c) d^{D−1} steps, D = max(leap, 2)."""
    assert [step.leap for step in STAIRS.steps] == [1, 2, 3, 4]
    c = 0.25
    for d in (16, 256, 4096):
        phases = group_schedule(STAIRS, dim=d, eta=c / d, time=4.0, log_power=0.0)
        sizes = [c / d * phase.rate for phase in phases]
        np.testing.assert_allclose(sizes, [c / d, c / d, c * d**-1.5, c * d**-2.0], rtol=1e-14)
        assert list(lengths(phases)) == [16 * d, 16 * d, 16 * d**2]
        assert phases[-1].until is None
        Training(eta=c / d, schedule=phases)


def test_time_and_logarithm():
    """A phase's flow time is time · d^{D/2−1} (log d)^p, rounded up to a whole step."""
    d, eta = 300, 1e-4
    for p in (0.0, 1.0, 2.5):
        phases = group_schedule(STAIRS, dim=d, eta=eta, time=3.0, log_power=p)
        times = lengths(phases) * [eta * phase.rate for phase in phases[:-1]]
        wanted = 3.0 * np.array([1.0, 1.0, math.sqrt(d)]) * math.log(d) ** p
        assert ((times >= wanted * (1 - 1e-12)) & (times < wanted + eta)).all()
    default = group_schedule(STAIRS, dim=d, eta=eta)
    assert default == group_schedule(STAIRS, dim=d, eta=eta, time=GROUP_TIME, log_power=1.0)


def test_one_group_is_one_endless_phase_and_far_phases_are_left_out():
    (only,) = group_schedule(leap_path(Target.parse("z1*z2*z3")), dim=100, eta=0.01)
    assert only == Phase(rate=0.1)
    tenth, thirtieth = ("*".join(f"z{i}" for i in range(1, n + 1)) for n in (10, 30))
    parities = Target.parse(f"z1 + {tenth} + {thirtieth}", data="boolean")
    path = leap_path(parities)
    assert [step.leap for step in path.steps] == [1, 9, 20]
    phases = group_schedule(path, dim=1000, eta=1e-3)
    assert len(phases) == 2
    assert phases[0].until < LATEST


def test_the_isotropic_path_serves_too():
    """z1 + z2 + z1*z2 has one group of leap 1, and on Gaussian data two, of isoLeap 1 and 2."""
    phases = group_schedule(isoleap_path(Target.parse("z1 + z2 + z1*z2")), dim=100, eta=0.01)
    assert [phase.rate for phase in phases] == [1.0, 1.0]


def test_leaps_that_do_not_increase():
    with pytest.raises(InputError, match=r"path has z4, of leap 1, after a group of leap 3; .* leaps that increase"):
        group_schedule(_path_of([3, 1], ["z1*z2*z3", "z4"]), dim=100, eta=0.01)
    with pytest.warns(UserWarning, match=r"z4\*z5\*z6 has leap 3 like the group before it"):
        group_schedule(_path_of([3, 3], ["z1*z2*z3", "z4*z5*z6"]), dim=100, eta=0.01)
    group_schedule(_path_of([2, 1, 2], ["one", "two", "three"]), dim=100, eta=0.01)


def _path_of(leaps, labels):
    """A path as a schedule sees it; greedy paths hardly ever descend."""
    from types import SimpleNamespace

    return SimpleNamespace(steps=[SimpleNamespace(leap=leap) for leap in leaps], labels=tuple(labels))


@pytest.mark.parametrize(
    ("options", "culprit"),
    [({"dim": 1}, "dim=1"), ({"eta": 0.0}, "eta="), ({"time": -1.0}, "time="), ({"log_power": math.nan}, "log_power=")],
)
def test_bad_values_are_named(options, culprit):
    with pytest.raises(InputError, match=f"^{culprit}"):
        group_schedule(STAIRS, **({"dim": 10, "eta": 0.1} | options))
    with pytest.raises(InputError, match="path has no steps"):
        group_schedule(leap_path(Target.from_terms({(0,): 1.0})), dim=10, eta=0.1)


def test_sgd_learns_both_groups_sooner_than_with_one_step_size():
    """Leaps 1, 3 at d = 40: every run leaves either plateau before any run at c d^{−3/2} does."""
    target, d, c = Target.parse("z1 + 2*z2*z3*z4"), 40, 0.1
    path = leap_path(target)
    network = Network.random(target, width=12, dim=d, rng=3)
    middles = [2.25, 1.0]
    found = []
    for training in (
        Training(eta=c / d, schedule=group_schedule(path, dim=d, eta=c / d, time=10.0)),
        Training(eta=c * d**-1.5),
    ):
        got = run(SGD(), target, network, training, steps=120_000, points=400, seeds=4, rng=1, progress=False)
        found.append([first_passage(got.steps, got.risk, middle) for middle in middles])
    (z1, rest), (z1_alone, rest_alone) = found
    assert 3 * z1.max() < z1_alone.min()
    assert rest.max() < rest_alone.min() < 110_000


def small(**changes):
    return Experiment().replace({"network.dim": 60, "network.width": 3, **changes})


def test_an_experiment_takes_the_word_and_keeps_it(tmp_path):
    for text, time in (("per_group", GROUP_TIME), ("per_group:7.5", 7.5)):
        one = small(**{"training.schedule": text, "training.eta_d": 0.2, "target.expression": "z1 + z2*z3*z4"})
        start = one.start
        assert start.training.schedule == group_schedule(start.path, dim=60, eta=0.2 / 60, time=time)
        assert len(start.training.schedule) == 2
        one.save(tmp_path / "config.toml")
        again = Experiment.load(tmp_path / "config.toml")
        assert again == one
        assert f'schedule = "{text}"' in (tmp_path / "config.toml").read_text()
        assert hash(again) == hash(one)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--schedule", "per_group:"], "training.schedule='per_group:' has no number after the colon"),
        (["--schedule", "per_group:0"], "training.schedule=0.0 must be above 0"),
        (["--schedule", "per_group:nan"], "training.schedule=nan is not finite"),
        (["--schedule", "pergroup"], "training.schedule='pergroup' is no list of tables; write per_group"),
        (["--schedule", "per_group", "--dim", "1"], "training.schedule='per_group': dim=1 must be at least 2"),
    ],
)
def test_the_command_line_refuses_in_one_line(words, message, capsys, tmp_path):
    assert cli.main(["simulate", "z1", "--dynamics", "sgd", "--out", str(tmp_path), *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"odesim: error: {message}")


def test_the_command_line_runs_it(tmp_path):
    words = [
        "simulate",
        "z1 + z2*z3*z4",
        "--dynamics",
        "sgd",
        "--schedule",
        "per_group:0.1",
        "--dim",
        "20",
        "--seeds",
        "1",
    ]
    assert cli.main([*words, "--width", "2", "--steps", "900", "--out", str(tmp_path), "--quiet"]) == 0
    assert 'schedule = "per_group:0.1"' in (tmp_path / "config.toml").read_text()
