"""The exact chain over ODE and SGD: same start, own samples, files, findings, picture, refusals."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest

import odesim as od
from odesim import cli
from odesim.checks import InputError
from odesim.comparison import compare
from odesim.distances import distance
from odesim.experiment import Experiment
from odesim.trajectory import Trajectory

PATH = SimpleNamespace(plateau_levels=(1.0, 0.0), labels=("z1*z2*z3",))
STEPS = np.array([0, 10, 100, 1000])
SMALL = Experiment().replace(
    {
        "target.expression": "z1*z2*z3",
        "network.dim": 12,
        "network.width": 3,
        "training.eta_d": 0.2,
        "run.steps": 2000,
        "run.points": 30,
        "run.seeds": 5,
        "run.chain": True,
    }
)


@pytest.fixture(scope="module")
def result():
    return SMALL.run(progress=False)


def story(risk, **fields):
    risk = np.asarray(risk, dtype=float)
    m = fields.pop("m", np.zeros((*risk.shape, 2, 3)))
    return Trajectory(STEPS, 1e-3 * STEPS, risk, m, np.zeros(m.shape[:-1]), **fields)


def test_all_three_start_from_the_same_network_to_the_bit(result):
    chain, network = result.comparison.chain, result.network
    assert chain.seeds == result.sgd.seeds == 5
    for name in ("m", "a"):
        for one in result.runs.values():
            rows = getattr(one, name)[..., 0, :, :] if name == "m" else getattr(one, name)[..., 0, :]
            np.testing.assert_array_equal(rows, np.broadcast_to(getattr(network, name), rows.shape))
    np.testing.assert_allclose(chain.Q[:, 0], result.sgd.Q[:, 0], rtol=0, atol=1e-14)


def test_the_chain_has_samples_of_its_own_and_leaves_those_of_sgd(result):
    alone = SMALL.replace({"run.chain": False}).run(progress=False)
    assert alone.comparison.chain is None
    assert "chain_distance" not in alone.summary()
    np.testing.assert_array_equal(alone.sgd.risk, result.sgd.risk)
    np.testing.assert_array_equal(alone.ode.risk, result.ode.risk)
    settings = {"steps": 2000, "points": 30, "seeds": 5, "rng": SMALL.runs.rng, "progress": False}
    three = result.target, result.network, SMALL.start.training
    np.testing.assert_array_equal(od.run(od.SGD(), *three, **settings).risk, result.sgd.risk)
    shared = od.run(od.Chain(), *three, **settings)
    assert not np.array_equal(shared.risk, result.comparison.chain.risk)


def test_chain_and_sgd_agree_in_law(result):
    gap = result.comparison.chain_distance["sgd"]
    assert gap["mean_se"] < 2.5
    assert gap["overlaps"]["mean_se"] < 2.5


def test_summary_has_the_chain_beside_the_others(result):
    read = json.loads(json.dumps(result.summary(), allow_nan=False))
    three = {"ode", "sgd", "chain"}
    assert read["plateaus"].keys() == read["learned"].keys() == read["seconds"].keys() == three
    assert all(one["chain"].keys() == {"median", "q25", "q75", "censored"} for one in read["escape_steps"])
    assert read["chain_distance"].keys() == {"ode", "sgd"}
    pairs = {"sgd_over_ode", "chain_over_ode", "sgd_over_chain"}
    assert all(one.keys() == {"level", "terms"} | pairs for one in read["ratios"])
    sizes = {"sup", "mean", "sup_se", "mean_se"}
    assert all(gap.keys() == sizes | {"overlaps"} for gap in read["chain_distance"].values())
    assert all(gap["overlaps"].keys() == sizes for gap in read["chain_distance"].values())
    assert read["settings"]["run"]["chain"] is True


def test_files_and_config_round_trip(tmp_path, capsys):
    SMALL.save(tmp_path / "in.toml")
    off = SMALL.replace({"run.chain": False})
    off.save(tmp_path / "off.toml")
    assert Experiment.load(tmp_path / "in.toml") == SMALL
    for k, words in enumerate((["--config", "in.toml"], ["--config", "off.toml", "--chain"])):
        words[1] = str(tmp_path / words[1])
        assert cli.main(["compare", *words, "--out", str(out := tmp_path / str(k))]) == 0
        text = capsys.readouterr().out
        assert "by the chain" in text
        assert "|mean of SGD - mean of the chain|" in text
        files = {"compare.png", "ode.npz", "sgd.npz", "chain.npz", "summary.json", "config.toml"}
        assert {one.name for one in out.iterdir()} == files
        assert Experiment.load(out / "config.toml") == SMALL
    chains = [Trajectory.load(tmp_path / k / "chain.npz") for k in "01"]
    assert chains[0].kind == "chain"
    np.testing.assert_array_equal(chains[0].risk, chains[1].risk)


def test_boolean_data_are_refused_before_anything_is_run(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("odesim.experiment.run", lambda *args, **kwargs: pytest.fail("it ran"))
    out = tmp_path / "none"
    assert cli.main(["compare", "z1*z2", "--data", "boolean", "--chain", "--out", str(out)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert "run.chain=true, but target.data='boolean'" in shown.err
    assert not out.exists()
    with pytest.raises(InputError, match="no exact chain"):
        Experiment.from_dict({"target": {"data": "boolean"}, "run": {"chain": True}})


def test_simulate_has_no_such_flag(capsys):
    assert cli.main(["simulate", "z1*z2", "--chain"]) == 2
    assert "--chain" in capsys.readouterr().err


def test_picture_has_three_labels_in_three_colours(result):
    ax = od.plot_comparison(result.comparison)
    lines = {line.get_label(): line.get_color() for line in ax.get_lines() if line.get_label()[0] != "_"}
    names = ["ODE (overlap flow)", "SGD, median of 5 runs", "chain, median of 5 runs"]
    assert len({lines[name] for name in names}) == 3
    shown = [text.get_text() for text in ax.get_legend().get_texts()]
    assert set(names) <= set(shown)
    assert len(shown) == len(set(shown))
    (median,) = [line for line in ax.get_lines() if line.get_label() == names[2]]
    np.testing.assert_array_equal(median.get_ydata(), result.comparison.chain.median("risk")[1:])
    without = od.plot_comparison(dataclasses.replace(result.comparison, chain=None))
    assert not any("chain" in str(line.get_label()) for line in without.get_lines())


def test_where_noise_is_large_the_chains_spread_is_named():
    noisy = {"noise_rate": np.full((4, 2), 5.0)}
    falls, stays = [1.0, 0.9, 0.4, 0.1], [1.0] * 4
    chain = story([falls, falls, falls, stays])
    quiet = compare(story(falls), story([falls]), chain, path=PATH)
    assert quiet.noise_sentence == ""
    bare = compare(story(stays, **noisy), story([falls]), path=PATH)
    assert "the ODE is not expected to give the mean curve" in bare.noise_sentence
    assert "compare medians" in bare.noise_sentence
    c = compare(story(stays, **noisy), story([falls]), chain, path=PATH)
    assert "the ODE is not expected to give the mean curve" in c.noise_sentence
    passed = f"{10 * 10**0.8:.0f}"
    end = f"the chain's runs learn z1*z2*z3 at step {passed} (quartiles {passed} .. never, never in 1 of 4)."
    assert c.noise_sentence.endswith(end)
    assert c.noise_sentence in c.text()


def test_distances_to_the_chain_have_known_values():
    chain = story([[1.0, 1.0, 0.5, 0.2], [1.0, 1.0, 0.7, 0.4]])
    sgd = story([[1.0, 1.0, 0.9, 0.3], [1.0, 1.0, 0.5, 0.1]])
    c = compare(story([1.0, 1.0, 0.4, 0.3]), sgd, chain, path=PATH)
    ode, mean = c.chain_distance["ode"], c.chain_distance["sgd"]
    assert (ode["sup"], ode["mean"]) == (pytest.approx(0.2), pytest.approx(0.05))
    assert (ode["sup_se"], ode["mean_se"]) == (pytest.approx(2.0), pytest.approx(1.0))
    assert (mean["sup"], mean["mean"]) == (pytest.approx(0.1), pytest.approx(0.05))
    by_point = [0.1 / np.hypot(0.1, 0.2), 0.1 / np.hypot(0.1, 0.1)]  # both samples have an error
    assert mean["sup_se"] == pytest.approx(max(by_point))
    assert mean["mean_se"] == pytest.approx(np.mean(by_point))


def test_ratios_are_those_of_the_median_escape_steps():
    """In ln(step) the risk falls linearly: through the middle at 10·10^0.8, by the chain at 100·10^0.8."""
    early, late, never = [1.0, 0.9, 0.4, 0.1], [1.0, 0.9, 0.9, 0.4], [1.0] * 4
    passed = {"early": 10 * 10**0.8, "late": 100 * 10**0.8}
    c = compare(story(early), story([early, late, late]), story([early, early, never]), path=PATH)
    (one,) = c.ratios
    assert one == {
        "level": 1.0,
        "terms": ["z1*z2*z3"],
        "sgd_over_ode": pytest.approx(10),
        "chain_over_ode": pytest.approx(1),
        "sgd_over_chain": pytest.approx(10),
    }
    assert one["sgd_over_chain"] == pytest.approx(passed["late"] / passed["early"])
    assert c.summary()["ratios"] == c.ratios
    (first, second) = [line.split() for line in c.text().splitlines() if "of 3" in line]
    assert (first[4], second[4]) == ("10", "1")


@pytest.mark.parametrize(
    ("ode", "chain", "known"),
    [("early", "never", {"sgd_over_ode"}), ("never", "early", {"sgd_over_chain"}), ("beyond", "beyond", set())],
)
def test_where_one_never_escapes_or_starts_beyond_there_is_no_ratio(ode, chain, known):
    lines = {"early": [1.0, 0.9, 0.4, 0.1], "never": [1.0] * 4, "beyond": [0.2] * 4}
    c = compare(story(lines[ode]), story([lines["early"]]), story([lines[chain]]), path=PATH)
    (one,) = json.loads(json.dumps(c.summary(), allow_nan=False))["ratios"]
    assert {name for name in ("sgd_over_ode", "chain_over_ode", "sgd_over_chain") if one[name] is not None} == known
    (alone,) = compare(story(lines["early"]), story([lines["early"]]), path=PATH).ratios
    assert alone == {"level": 1.0, "terms": ["z1*z2*z3"], "sgd_over_ode": 1.0}


def test_what_stands_in_the_wrong_place_is_named():
    line = [1.0, 0.9, 0.4, 0.1]
    path = od.leap_path(od.Target.parse("z1*z2*z3"))
    with pytest.raises(
        InputError, match=r"chain is of type LeapPath, not a Trajectory; .*compare\(ode, sgd, path=path\)"
    ):
        compare(story(line), story([line]), path)
    with pytest.raises(InputError, match=r"sgd is of type NoneType, not a Trajectory; give runs of SGD\(\)"):
        compare(story(line), None)
    with pytest.raises(
        InputError, match=r"path is of type Target, not a LeapPath; give leap_path\(target\), or target="
    ):
        compare(story(line), story([line]), path=od.Target.parse("z1"))


def test_a_chain_of_another_network_is_refused():
    line = [1.0, 0.9, 0.4, 0.1]
    with pytest.raises(InputError, match="ode and chain have overlaps of shape"):
        compare(story(line), story([line]), story([line], m=np.zeros((1, 4, 2, 2))), path=PATH)
    late = dataclasses.replace(story([line]), steps=np.array([0, 11, 101, 1001]))
    with pytest.raises(InputError, match="sgd and chain share no output steps"):
        distance(story([line]), late, ("sgd", "chain"))


def test_an_early_end_of_the_chain_is_told(result):
    chain = result.comparison.chain
    ended = dataclasses.replace(chain, status=np.array([0, 1, 0, 0, 0]))
    broken = dataclasses.replace(result, comparison=dataclasses.replace(result.comparison, chain=ended))
    assert result.failure is None
    assert broken.failure.startswith("chain: 1 of 5 runs ended early")
