"""Memory: what there is in a container, what a run needs, and what is refused before anything is allocated."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from conftest import Decay
from test_sgd import STAIRS, make_job

from odesim import InputError, Network, Training, cli, memory
from odesim.runner import run
from odesim.sgd.full import SGD
from odesim.trajectory import Status


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """A machine of 1 GB whose control groups the test writes."""
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "groups")
    monkeypatch.setattr(memory, "MEMBERSHIP", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_of_machine", lambda: 10**9)

    def write(membership, files):
        (tmp_path / "cgroup").write_text(membership)
        for place, text in files.items():
            path = tmp_path / "groups" / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


@pytest.mark.parametrize(
    ("membership", "files", "wanted"),
    [
        ("0::/\n", {"memory.max": "300000000\n"}, 3 * 10**8),
        ("0::/\n", {"memory.max": "max\n"}, 10**9),
        ("0::/a/b\n", {"memory.max": "max\n", "a/memory.max": "200000000", "a/b/memory.max": "max"}, 2 * 10**8),
        ("0::/a\n", {"a/memory.max": "9000000000"}, 10**9),
        ("5:cpu:/x\n4:cpu,memory:/a\n", {"memory/a/memory.limit_in_bytes": "100000000"}, 10**8),
        ("4:memory:/gone\n", {"memory/memory.limit_in_bytes": "9223372036854771712"}, 10**9),
        ("0::/../../a\nnonsense\n", {}, 10**9),
        ("0::/\n", {"memory.max": "lots"}, 10**9),
    ],
)
def test_a_container_may_have_less_than_the_machine(groups, membership, files, wanted):
    groups(membership, files)
    assert memory.physical_memory() == wanted


def test_one_unknown_limit_leaves_the_others(groups, monkeypatch):
    monkeypatch.setattr(memory, "_of_machine", lambda: 0)
    groups("0::/", {"memory.max": "5000"})
    assert memory.physical_memory() == 5000


def test_where_the_system_says_nothing_nothing_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "MEMBERSHIP", tmp_path / "none")
    monkeypatch.setattr(memory, "_of_machine", lambda: 0)
    assert memory.physical_memory() == 0
    memory.refuse("everything", 10**18, "lower it")


def test_the_text_names_the_largest_part_first():
    need = memory.Memory({"rows": 3_000, "weights": 2_500_000_000, "nothing": 0}, start=5)
    assert need.text() == str(need) == "memory: 2.5 GB (weights 2.5 GB, rows 3.0 kB)"
    assert memory.Memory({"rows": 3}, start=7_000_000).text() == "memory: 7.0 MB, to draw the start weights"
    assert memory.size(12) == "12 B"


@pytest.mark.parametrize(
    "options",
    [{"width": 40, "dim": 20_000}, {"width": 400, "dim": 50}, {"width": 20, "dim": 40}, {"width": 80, "dim": 3_000}],
    ids=["large dim", "wide", "many rows", "both"],
)
@pytest.mark.parametrize("samples", [None, 64], ids=["exact", "sampled"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_forecast_is_what_is_allocated(options, samples, dtype):
    """NumPy's own count of its peak, the start weights and the run, within a fifth and a megabyte."""
    dynamics, points = SGD(dtype=dtype, threads=1, test_samples=samples), 1000 if options["width"] == 20 else 2
    steps = np.arange(points)
    dynamics.simulate(make_job([0, 1], **options))  # compiled
    need = dynamics.memory(coordinates=3, seeds=2, points=points, **options)
    tracemalloc.start()
    try:
        job = make_job(steps, seeds=2, **options)
        drawn = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        dynamics.simulate(job)
        ran = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert drawn == pytest.approx(need.start, rel=0.2, abs=1e6)
    assert ran == pytest.approx(sum(need.parts.values()), rel=0.2, abs=1e6)


def test_a_start_that_cannot_fit_is_refused_before_it_is_drawn(monkeypatch):
    monkeypatch.setattr(memory, "physical_memory", lambda: 10**6)
    with pytest.raises(
        InputError, match=r"width=40 with network.dim=800 needs 544.0 kB, above 50% of .* 1.0 MB; lower"
    ):
        Network.random(STAIRS, width=40, dim=800)
    assert Network.random(STAIRS, width=40, dim=700).weights.shape == (40, 700)
    with pytest.raises(InputError, match=r"network.count=3 with network.width=40 and network.dim=700 needs 672.0 kB"):
        Network.ensemble(STAIRS, 3, width=40, dim=700)
    assert len(Network.ensemble(STAIRS, 2, width=40, dim=700)) == 2


def test_weights_that_the_system_refuses_are_named(monkeypatch):
    """Where nothing says how much there is, NumPy's MemoryError becomes an error of the arguments."""
    monkeypatch.setattr(memory, "physical_memory", lambda: 0)
    with pytest.raises(InputError, match=r"network.dim=10\d+ does not fit into memory \(.*\); lower network.width"):
        Network.random(STAIRS, width=100, dim=10**13)
    with pytest.raises(InputError, match=r"the run does not fit into memory \(no reason given\); lower"):
        run(Decay(status=MemoryError()), STAIRS, Network.random(STAIRS, width=2, dim=9), Training(eta=0.1), steps=9)


def test_residuals_are_found_when_they_are_asked_for(monkeypatch):
    """SGD on test inputs never needs them; their diagonal comes without them, and replacing weights keeps them."""
    network = Network.random(STAIRS, width=70, dim=30)
    job = make_job([0, 3], width=70, dim=30)
    assert SGD(test_samples=16).simulate(job).status[0] == Status.DONE
    assert vars(job.network)["R"] is None
    v = network.weights[:, 3:]
    np.testing.assert_allclose(network.residual_norms, (v * v).sum(axis=1), rtol=1e-14)
    assert vars(network)["R"] is None
    monkeypatch.setattr(memory, "physical_memory", lambda: 70_000)
    with pytest.raises(InputError, match=r"network\.R for network\.width=70 needs 39.2 kB.*SGD\(test_samples"):
        network.R  # noqa: B018
    monkeypatch.undo()
    np.testing.assert_array_equal(network.R, v @ v.T)
    assert network.R is network.R


def test_the_command_line_refuses_and_tells(capsys, tmp_path, monkeypatch):
    """One line and exit code 2 before a weight is drawn; from WORTH_SAYING on the need is printed."""
    words = ["simulate", "z1", "--dynamics", "sgd", "--steps", "8", "--out", str(tmp_path), "--width", "100"]
    monkeypatch.setattr(memory, "physical_memory", lambda: 24 * 10**9)
    monkeypatch.setattr(Network, "random", None)
    assert cli.main([*words, "--dim", "10000000"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("odesim: error: network.width=100 with network.dim=10000000, run.seeds=8 and run.points=30")
    assert line.endswith("or take run.dtype='float32'")
    monkeypatch.undo()
    for least, told in ((1, True), (1e12, False)):
        monkeypatch.setattr(cli, "WORTH_SAYING", least)
        assert cli.main([*words, "--dim", "9", "--seeds", "2"]) == 0
        assert ("memory: " in capsys.readouterr().out) == told


@pytest.mark.skipif(sys.platform != "linux", reason="limits of a process are Linux's")
def test_a_process_that_runs_out_of_memory_says_so_in_one_line(tmp_path):
    """1.2 GB of address space, which no forecast knows of, and 1 GB of start weights."""
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (12 * 10**8,) * 2); "
        "from odesim import memory, cli; memory.physical_memory = lambda: 0; "
        f"sys.exit(cli.main(['compare', 'z1', '--dim', '2000000', '--width', '60', '--out', {str(tmp_path)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert "network.width=60 with network.dim=2000000 does not fit into memory" in line
