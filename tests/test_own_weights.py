"""Start weights from a file, and separate seeds for weights and data."""

import hashlib
import io
import pickle
import zipfile

import numpy as np
import pytest

from odesim import Network, Target, Trajectory, cli
from odesim.experiment import Experiment

SIZES = ["--dim", "9", "--width", "3"]
WORDS = ["simulate", "z1 + z1*z2*z3", *SIZES, "--steps", "60", "--points", "8", "--seeds", "2", "--quiet"]
SGD = [*WORDS, "--dynamics", "sgd"]


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {"W": rng.standard_normal((3, 9)) / 3, "a": rng.standard_normal(3), "b": rng.uniform(-1, 1, 3)}


@pytest.fixture
def go(tmp_path, monkeypatch):
    """Run words in an empty folder; return the trajectory."""
    monkeypatch.chdir(tmp_path)

    def run(*words, out="results"):
        assert cli.main([*words, "--out", out]) == 0
        return Trajectory.load(tmp_path / out / "trajectory.npz")

    return run


def test_the_shell_starts_where_python_does(arrays, go, tmp_path):
    """All three arrays; the file's name and hash are recorded, and config.toml runs to the same bits."""
    np.savez(tmp_path / "start.npz", **arrays)
    got = go(*SGD, "--weights", "start.npz", "--activation", "relu")
    np.testing.assert_array_equal(got.m[:, 0], np.broadcast_to(arrays["W"][:, :3], (2, 3, 3)))
    np.testing.assert_array_equal(got.a[1, 0], arrays["a"])
    np.testing.assert_array_equal(got.b[1, 0], arrays["b"])
    np.testing.assert_allclose(got.Q[0, 0], arrays["W"] @ arrays["W"].T, rtol=1e-12, atol=1e-15)
    digest = hashlib.sha256((tmp_path / "start.npz").read_bytes()).hexdigest()
    assert got.settings["weights"] == {"file": "start.npz", "sha256": digest}
    again = go("simulate", "--config", "results/config.toml", "--quiet", out="again")
    for name in ("risk", "m", "a", "b"):
        assert getattr(again, name).tobytes() == getattr(got, name).tobytes()


def test_a_flow_takes_them_too(arrays, go, tmp_path):
    np.savez(tmp_path / "start.npz", **arrays)
    got = go(*WORDS, "--weights", "start.npz")
    np.testing.assert_array_equal(got.m[0], arrays["W"][:, :3])


@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_what_a_file_lacks_is_drawn_as_ever(kind, arrays, go, tmp_path):
    if kind == "npy":
        np.save(tmp_path / "W.npy", arrays["W"].astype(np.float32))
    else:
        np.savez(tmp_path / "W.npz", W=arrays["W"].astype(np.float32))
    got = go(*SGD, "--weights", f"W.{kind}", "--second-layer", "0.7", "--biases", "0.2", "--rng", "8")
    drawn = Network.random(Target.parse("z1 + z1*z2*z3"), width=3, dim=9, second_layer=0.7, biases=0.2, rng=8)
    np.testing.assert_array_equal(got.a[0, 0], drawn.a)
    np.testing.assert_array_equal(got.b[0, 0], drawn.b)
    np.testing.assert_array_equal(got.m[0, 0], arrays["W"].astype(np.float32)[:, :3])


def test_without_a_file_nothing_is_recorded_of_one(go):
    got = go(*SGD)
    assert "weights" not in got.settings
    assert "data_rng" not in got.settings["experiment"]["run"]


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


GOOD = np.ones((3, 9))
BAD = {
    "missing": (None, "cannot be read (No such file or directory)"),
    "text": (b"hello", "holds no readable arrays"),
    "empty": (b"", "holds no readable arrays"),
    "truncated": (npz(W=GOOD)[:-60], "holds no readable arrays"),
    "flipped": (npz(W=GOOD).replace(np.float64(1.0).tobytes(), np.float64(2.0).tobytes(), 1), "holds no readable"),
    "pickle": (pickle.dumps(GOOD), "holds no readable arrays"),
    "objects": (npy(np.array([[{}]]), allow_pickle=True), "holds no readable arrays"),
    "objects in npz": (npz(W=np.array([[{}]], dtype=object)), "holds no readable arrays"),
    "no W": (npz(a=np.ones(3)), "holds no array W"),
    "a typo": (npz(W=GOOD, bias=np.ones(3)), "holds bias besides W, a and b"),
    "other sizes": (npz(W=np.ones((4, 7))), "has W of shape (4, 7), not (width, dim) = (3, 9); give --width 4 --dim 7"),
    "a vector": (npy(np.ones(27)), "has W of shape (27,), not (width, dim)"),
    "a of other length": (npz(W=GOOD, a=np.ones(4)), "has a of shape (4,); give shape (3,)"),
    "b of two axes": (npz(W=GOOD, b=np.ones((3, 1))), "has b of shape (3, 1); give shape (3,)"),
    "NaN": (npz(W=GOOD * np.nan), "has W with NaN or infinite entries"),
    "infinite": (npz(W=GOOD, a=np.array([1, np.inf, 0])), "has a with NaN or infinite entries"),
    "complex": (npz(W=GOOD * 1j), "has W of type complex128; give real numbers"),
    "words": (npz(W=np.full((3, 9), "x")), "has W of type <U1; give real numbers"),
    "no zip inside": (b"PK\x03\x04 and then nothing", "holds no readable arrays"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_one_line_that_names_them(case, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content, message = BAD[case]
    if content is not None:
        (tmp_path / "start.npz").write_bytes(content)
    assert cli.main([*SGD, "--weights", "start.npz"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"odesim: error: network.weights='start.npz' {message}")


def test_a_folder_and_a_strange_name(capsys, tmp_path):
    for name in (str(tmp_path), "a\0b", ""):
        assert cli.main([*SGD, "--weights", name, "--out", str(tmp_path)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "network.weights=" in line


def test_a_file_that_unpacks_to_more_than_there_is(capsys, tmp_path, monkeypatch):
    """An archive of a few bytes whose array says it is 80 TB."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**13,)})
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive:
        archive.writestr("W.npy", header.getvalue())
    assert cli.main([*SGD, "--weights", str(tmp_path / "bomb.npz"), "--out", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "network.weights=" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--second-layer", "0.3"], "network.second_layer=0.3, but network.weights holds a; drop either"),
        (["--first-layer", "signs"], "network.first_layer='signs', but network.weights holds W; drop either"),
        (["--second-layer-law", "uniform"], "network.second_layer_law='uniform', but network.weights holds a"),
        (["--biases", "1"], "network.biases=1.0, but network.weights holds b"),
        (["--dim", "8"], "network.weights='start.npz' has W of shape (3, 9), not (width, dim) = (3, 8); give"),
        (
            ["--starts", "2", "--dynamics", "overlap"],
            "run.starts=2 needs starts to draw, but network.weights gives one",
        ),
    ],
)
def test_flags_that_the_file_settles_are_refused(words, message, arrays, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "start.npz", **arrays)
    assert cli.main([*SGD, "--weights", "start.npz", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"odesim: error: {message}")


def test_weights_and_data_have_seeds_of_their_own(go):
    """--rng alone sets both; with --data-rng it sets the weights, and that sets the data."""
    both = go(*SGD, "--rng", "5")
    said = go(*SGD, "--rng", "5", "--data-rng", "5")
    other = go(*SGD, "--rng", "5", "--data-rng", "6")
    swapped = go(*SGD, "--rng", "6", "--data-rng", "5")
    assert said.risk.tobytes() == both.risk.tobytes()
    np.testing.assert_array_equal(other.m[:, 0], both.m[:, 0])
    assert (other.m[:, -1] != both.m[:, -1]).any()
    assert (swapped.m[:, 0] != both.m[:, 0]).any()
    experiment = Experiment().replace({"network.dim": 9, "network.width": 3, "run.rng": 5, "run.data_rng": 6})
    assert experiment.start.network.weights[0, 0] == both.m[0, 0, 0, 0]
    assert other.settings["run"]["rng"] == 6
    assert other.settings["experiment"]["run"]["rng"] == 5


@pytest.mark.parametrize("seed", ["-1", "x", "1.5"])
def test_bad_data_seeds_are_refused(seed, capsys, tmp_path):
    assert cli.main([*SGD, "--data-rng", seed, "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("odesim: error: run.data_rng=")
