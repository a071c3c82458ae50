"""The benchmarks: peers do the same work as the kernels, the errors match, and the file says what it should."""

import json
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from conftest import ROOT

if str(ROOT) not in sys.path:  # they are not installed with the package
    sys.path.insert(0, str(ROOT))

from benchmarks import (
    command,
    demo,
    limits,
    normals,
    overlap_flow,
    report,
    sgd_peers,
    sgd_runs,
    thousand_neurons,
    timing,
    two_runs,
)
from odesim import seeds
from odesim.checks import RunError
from odesim.flows import _overlap as kernels
from odesim.flows._correlation_lanes import rhs_lanes
from odesim.flows.lanes import LaneRun, problem_of
from odesim.flows.residuals import start_of
from odesim.integrate import _lanes as lanes
from odesim.network import Network
from odesim.sgd._random import INPUTS, samples, signs
from odesim.targets.series import Target

TARGET = Target.parse("z1 + z1*z2*z3")
COLUMNS = {"case", "ours_s", "peer", "peer_s", "ratio", "error_ours", "error_peer", "promised"}
LIMITS = {"floor", "product", "sweep", "pair", "promise"}
"""What stands in a peer's place and is no peer: ours may take longer."""


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """What the quick form of all cases prints and writes."""
    path = tmp_path_factory.mktemp("benchmarks") / "rows.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--json", path], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(path.read_text(encoding="utf-8"))


def test_the_file_has_its_schema(quick):
    _, content = quick
    assert set(content) == {"machine", "versions", "rows", "notes"}
    assert all(note in quick[0] for note in content["notes"])
    assert {"cpu", "cores", "platform", "load_average"} <= set(content["machine"])
    assert {"python", "numpy", "scipy", "numba", "odesim"} <= set(content["versions"])
    with_torch = ("sgd-batch1", "sgd-batch64", "normals", "signs")
    torch = {(case, "torch") for case in with_torch} if find_spec("torch") else set()
    found = {(row["case"], row["peer"]) for row in content["rows"]}
    expected = {("overlap-flow", "scipy"), ("stiff-demo", "scipy"), ("sgd-batch1", "numpy"), ("sgd-batch1", "scipy")}
    expected |= {("sgd-batch1", "product"), ("sgd-batch1", "sweep"), ("sgd-two-runs", "one-run")}
    expected |= {("sgd-batch64", peer) for peer in ("numpy", "pair", "product")} | {("sgd-two-runs-64", "one-run")}
    expected |= {("normals", peer) for peer in ("numpy", "numpy-philox", "promise")} | {("signs", "numpy")}
    expected |= {("leap-arrays", "numpy"), ("leap-dict", "numpy"), ("parse-1e4", "plain")}
    expected |= {
        ("thousand-neurons", "scipy"),
        ("thousand-neurons", "scipy-tuned"),
        ("saad-solla", "scipy"),
        ("import", "numpy"),
        ("chain-one-neuron", "numpy"),
        ("chain-one-neuron", "python"),
    }
    expected |= {("overlap-rhs-64", "plain"), ("overlap-rhs-64", "floor")}
    expected |= {(f"chain-joint-{N}", "promise") for N in (8, 32)} | {("chain-flat", "d=100")}
    expected |= {(f"chain-vs-sgd-{d}", "sgd") for d in ("400", "1e5")}
    diffrax = {("thousand-neurons", "diffrax"), ("saad-solla", "diffrax")} if find_spec("diffrax") else set()
    assert found == expected | torch | diffrax
    for row in content["rows"]:
        assert set(row) == COLUMNS
        assert row["ratio"] == pytest.approx(row["peer_s"] / row["ours_s"])


def test_ours_is_the_quicker_one(quick):
    """But for parsing, where the peer is a parser in C that computes no coefficients, and signs, which NumPy takes from
    a table eight at a time; two runs want two idle cores.
    """
    peers = [
        row
        for row in quick[1]["rows"]
        if row["peer"] not in (*LIMITS, "promise", "d=100") and "two-runs" not in row["case"]
    ]
    assert all(row["ratio"] > 1 for row in peers if row["case"] not in ("parse-1e4", "signs"))


def test_sgd_and_chain_keep_their_promises(quick):
    """Half of every ratio that is promised, as others may be busy here; two runs may have but one core."""
    rows = [row for row in quick[1]["rows"] if row["promised"] is not None]
    assert {row["case"] for row in rows} == {
        "sgd-batch1", "sgd-batch64", "normals", "sgd-two-runs", "sgd-two-runs-64", "chain-joint-8", "chain-joint-32",
        "chain-vs-sgd-400", "chain-vs-sgd-1e5",
    }  # fmt: skip
    for row in rows:
        assert row["ratio"] > (0.5 if "two-runs" in row["case"] else row["promised"] / 2), row


def test_the_limits_are_those_of_a_machine(quick):
    """Nothing beats the rate of a product of matrices by far, nor the two products that a mini-batch needs."""
    ratio = {(row["case"], row["peer"]): row["ratio"] for row in quick[1]["rows"] if row["peer"] in LIMITS}
    assert 0 < ratio["sgd-batch1", "product"] < 2
    assert 0 < ratio["sgd-batch64", "product"] < ratio["sgd-batch64", "pair"] < 1.2
    assert "GFLOP/s" in quick[0]
    assert "GB/s" in quick[0]


def test_a_step_of_the_chain_does_not_grow_with_d(quick):
    ratio = {row["case"]: row["ratio"] for row in quick[1]["rows"]}
    assert 0.7 < ratio["chain-flat"] < 1.4


def test_the_flow_keeps_its_promises(quick):
    """Ratios at equal error, with room for a busy machine; what loads, and the finite-step term's time."""
    ratio = {(row["case"], row["peer"]): row["ratio"] for row in quick[1]["rows"]}
    assert ratio["saad-solla", "scipy"] > 25
    assert ratio["overlap-rhs-64", "plain"] > 3
    assert ratio["overlap-rhs-64", "floor"] > 1 / 3
    assert "loads neither numba nor scipy" in quick[0]


def test_what_is_known_before_training_keeps_its_times(quick):
    """Leap of 10^5 terms, parsing of 10^4: the promised seconds, with room for a machine half as quick."""
    seconds = {row["case"]: row["ours_s"] for row in quick[1]["rows"]}
    assert seconds["leap-arrays"] < 2
    assert seconds["leap-dict"] < 5
    assert seconds["parse-1e4"] < 2
    assert "isoleap-10-8: isoLeap 2 of" in quick[0]


def test_errors_are_equal_within_the_stated_factor(quick):
    for row in quick[1]["rows"]:
        if row["case"] in ("overlap-flow", "stiff-demo"):
            assert 0 < row["error_ours"] < 1e-5
            assert row["error_ours"] / 4 < row["error_peer"] <= overlap_flow.FACTOR * row["error_ours"]
        elif row["case"] == "thousand-neurons":
            assert 0 < row["error_ours"] < 1e-6
            assert row["error_ours"] / 4 < row["error_peer"] <= thousand_neurons.FACTOR * row["error_ours"]
        elif row["case"] == "saad-solla":
            assert 0 < row["error_ours"] < 1e-5
            assert 0 < row["error_peer"] < 1e-5
        elif (row["case"], row["peer"]) == ("overlap-rhs-64", "plain"):
            assert row["error_ours"] < 1e-12
            assert row["error_peer"] < 1e-12
        else:
            assert row["error_ours"] is None
            assert row["error_peer"] is None


def test_the_table_shows_every_row_and_what_was_skipped(quick):
    text, content = quick
    for row in content["rows"]:
        assert any(line.startswith(row["case"]) and f" {row['peer']} " in line for line in text.splitlines())
    for peer in ("torch", "diffrax"):
        assert (f"{peer}: not installed, skipped" in text) == (find_spec(peer) is None)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("width", [1, 3, 8])
def test_the_numpy_right_hand_side_is_the_kernels(seed, width):
    network = Network.random(TARGET, width=width, dim=5, second_layer=0.7, rng=seed)
    y = np.concatenate([part.ravel() for part in (network.m, network.R, network.a)])
    problem = overlap_flow.problem_of(TARGET, network.activation, width, biased=False)
    dy = np.empty(y.size + width)
    kernels.derivative(problem, 0.0, np.concatenate([y, network.b]), dy)
    np.testing.assert_allclose(overlap_flow.numpy_rhs(width)(0.0, y), dy[:-width], rtol=1e-12, atol=1e-12)
    assert not dy[-width:].any()


def test_the_numpy_right_hand_side_of_many_neurons_is_the_kernels():
    job = thousand_neurons.reference(width=lanes.LANES)
    run = LaneRun(job, start_of(job), 1e-6, 1e-8)
    y = np.vstack([np.random.default_rng(0).normal(size=(3, lanes.LANES)), np.full(lanes.LANES, 0.6)])
    dy = np.empty_like(y)
    rhs_lanes(problem_of(job), np.ascontiguousarray(run.members.parameters.T), y, dy)
    a, b = job.network.plain_a, job.network.b
    for rhs in (thousand_neurons.numpy_rhs(job.target, a, b), thousand_neurons.tuned_rhs(a, b)):
        np.testing.assert_allclose(rhs(0.0, y.ravel()).reshape(dy.shape), dy, rtol=1e-11, atol=1e-12)


def test_our_integration_repeats_itself():
    ours = overlap_flow.ours(overlap_flow.Setting.reference())
    first = ours.states()
    np.testing.assert_array_equal(ours.states(), first)
    np.testing.assert_array_equal(first[0], ours.start[: first.shape[1]])


def loops():
    """Each peer's steps on weights (N, d) and a, for batches (steps, B, d)."""

    def numpy_steps(W, a, X):
        sgd_peers.numpy_steps(W, a, X[:, 0], sgd_runs.ETA, np.empty_like(W))

    def scipy_steps(W, a, X):
        sgd_peers.scipy_steps(W, a, X[:, 0], sgd_runs.ETA)

    def torch_steps(W, a, X):
        from torch import from_numpy

        sgd_peers.torch_steps(from_numpy(W), from_numpy(a), from_numpy(X[:, 0]), sgd_runs.ETA)

    def numpy_batch(W, a, X):
        for batch in X:
            sgd_peers.numpy_batch(W, a, batch, sgd_runs.ETA, np.empty_like(W))

    def torch_batch(W, a, X):
        from torch import from_numpy

        for batch in X:
            sgd_peers.torch_batch(from_numpy(W), from_numpy(a), from_numpy(batch), sgd_runs.ETA)

    single = [numpy_steps, scipy_steps, numpy_batch] + ([torch_steps, torch_batch] if find_spec("torch") else [])
    several = [numpy_batch] + ([torch_batch] if find_spec("torch") else [])
    return [(1, loop) for loop in single] + [(24, loop) for loop in several]


@pytest.mark.parametrize(("batch", "loop"), loops(), ids=lambda part: getattr(part, "__name__", str(part)))
@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1e-4), ("float64", 1e-11)])
def test_the_peers_take_our_steps(batch, loop, dtype, bound):
    network, count = Network.random(TARGET, width=7, dim=40, second_layer=0.3), 60
    ours = sgd_runs.train(network, count, batch, dtype=dtype)

    X = np.empty((count * batch, network.dim), np.float32)
    seed = seeds.child(np.random.SeedSequence(0), seeds.DATA, 0).generate_state(1, np.uint64)[0]
    samples(seed, INPUTS, 0, X)
    W, a = network.weights.astype(dtype, order="C"), network.plain_a.astype(dtype)
    loop(W, a, X.astype(dtype).reshape(count, batch, network.dim))
    found = {"m": W[:, : TARGET.P], "Q": W @ W.T, "a": a / network.unit}
    for name, values in found.items():
        start, end = getattr(ours, name)[0]
        moved = abs(end - start).max()
        assert moved > 1e-4
        # every sample that goes into W is rounded to float32
        assert abs(values - end).max() < bound * moved * (batch if dtype == "float32" else 1)


def test_a_run_of_ours_that_ends_early_is_no_time():
    network = Network.random(TARGET, width=4, dim=10, activation="relu", second_layer=1e3)
    with pytest.raises(RunError, match="ended early"):
        sgd_runs.train(network, 4000)


def test_a_step_is_what_more_steps_take_longer():
    assert sgd_runs.seconds_a_step({"ours": 5.0, "short": 1.0}, sgd_runs.SHORT + 8) == 0.5


def test_limits_count_operations_and_bytes_both_ways():
    found = limits.of({"product": 2.0, "sweep": 4.0, "memory": 8.0}, 10)
    assert found == (2**30, 8 * 10 * limits.PASSES / 4, limits.FAR)
    x = np.full(5, 0.25, np.float32)
    limits.sweep(x, 3)
    assert (x == 0.75).all()


def test_the_timed_numbers_are_those_of_the_streams():
    for draw, stream in ((normals.normal_groups, samples), (normals.sign_groups, signs)):
        scratch, x, expected = np.empty((8, normals.DIM), np.uint32), *np.empty((2, 4, normals.DIM), np.float32)
        draw(np.uint64(1), scratch, x)
        stream(np.uint64(1), INPUTS, 4 * (normals.GROUPS - 1), expected)
        np.testing.assert_array_equal(x, expected)


def test_the_peers_draw_normals_and_signs():
    peers = [(normals.numpy_normals(np.random.Philox(0)), normals.numpy_signs())]
    if find_spec("torch"):
        peers.append(normals.torch_peers())
    for normal, sign in peers:
        X = np.asarray(normal())
        assert abs(X.mean()) < 0.02
        assert abs(X.std() - 1) < 0.02
        X = np.asarray(sign())
        assert abs(X.mean()) < 0.02
        assert set(np.unique(X)) == {-1, 1}


def test_two_runs_on_two_threads_are_counted_as_two(monkeypatch):
    calls = []
    monkeypatch.setattr(two_runs.sgd_runs, "train", lambda *_, seeds, threads: calls.append((seeds, threads)))
    monkeypatch.setattr(
        two_runs,
        "least_seconds",
        lambda contenders, *_: [call() for call in contenders.values()] and {"two": 3.0, "one": 2.0},
    )
    one, many = two_runs.measure(1).rows
    assert calls == 2 * [(2, 2), (1, 1)]
    assert one.ours_s == 1.5
    assert one.ratio == many.ratio == pytest.approx(4 / 3)


def test_the_demo_starts_in_a_process_of_its_own(monkeypatch):
    monkeypatch.setattr(demo, "WORDS", (*demo.WORDS, "z1", "--steps", "400", "--seeds", "1", "--dim", "20"))
    (row,) = demo.measure(1).rows
    assert 0.2 < row.ours_s < 60
    assert row.ratio == demo.PROMISED / row.ours_s
    monkeypatch.setattr(demo, "WORDS", (*demo.WORDS, "--steps", "0"))
    with pytest.raises(RunError, match="code 2"):
        demo.measure(1)


def test_the_first_call_is_not_timed(monkeypatch):
    clock = iter([0.0, 5.0, 10.0, 13.0, 20.0, 24.0, 30.0, 37.0])
    monkeypatch.setattr(timing.time, "thread_time", lambda: next(clock))
    calls = []
    contenders = {name: lambda name=name: calls.append(name) for name in "ab"}
    assert timing.least_seconds(contenders, 2) == {"a": 4.0, "b": 3.0}
    assert calls == ["a", "b", "a", "b", "a", "b"]


def test_only_the_chosen_cases_run(monkeypatch, tmp_path, capsys):
    row = report.row("overlap-flow", 2e-3, "scipy", 0.5, (1e-7, 2e-7))
    seen = []
    monkeypatch.setattr(
        overlap_flow, "measure", lambda repeats: seen.append(repeats) or report.Result([row], ["a note"])
    )
    path = tmp_path / "rows.json"
    assert command.main(["--json", str(path), "--cases", "overlap-flow"]) == 0
    assert seen == [command.REPEATS]
    text = capsys.readouterr().out
    assert all(part in text for part in ("2 ms", "500 ms", "250.0", "1.0e-07", "a note"))
    (written,) = json.loads(path.read_text(encoding="utf-8"))["rows"]
    assert written == {**row._asdict(), "ratio": 250.0}


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--cases", "nonsense"], "--cases='nonsense'"),
        (["--cases", "overlap-flow,"], "--cases=''"),
        (["--json", "missing/rows.json"], "--json='missing/rows.json'"),
        (["--json", "."], "is a folder"),
        (["--json", 300 * "x"], "File name too long"),
        (["--json", "rows.json\0"], "--json="),
        (["--nonsense"], "--nonsense"),
        (["--json"], "--json"),
    ],
)
def test_bad_input_is_one_line_and_code_2_before_any_work(words, part, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "_measure", lambda *arguments: pytest.fail("computed"))
    assert command.main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert part in err
    assert list(tmp_path.iterdir()) == []
