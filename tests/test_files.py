"""Sealed files come back exactly or not at all."""

import json
import os

import numpy as np
import pytest

from odesim import files
from odesim.checks import InputError, RunError

ARRAYS = {"risk": np.array([1.0, np.nan, 0.1]), "steps": np.arange(3), "flag": np.array(True)}
ABOUT = {"settings": {"eta": 0.1, "none": None}, "seconds": float("nan")}


@pytest.fixture
def sealed(tmp_path):
    path = tmp_path / "run.npz"
    files.save_npz(path, "trajectory", ARRAYS, ABOUT)
    return path


def test_round_trip_is_exact(sealed):
    arrays, about = files.load_npz(sealed, "trajectory")
    assert arrays.keys() == ARRAYS.keys()
    for name, value in ARRAYS.items():
        assert arrays[name].dtype == value.dtype
        np.testing.assert_array_equal(arrays[name], value)
    assert about == {"settings": {"eta": 0.1, "none": None}, "seconds": None}


def test_numpy_reads_it_too(sealed):
    with np.load(sealed, allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["risk"], ARRAYS["risk"])
        assert json.loads(str(archive["metadata"]))["kind"] == "trajectory"


def test_the_same_content_gives_the_same_bytes(sealed, tmp_path):
    files.save_npz(tmp_path / "again.npz", "trajectory", ARRAYS, ABOUT)
    assert (tmp_path / "again.npz").read_bytes() == sealed.read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.95, 0.999])
def test_truncated_is_refused_by_name(sealed, share):
    content = sealed.read_bytes()
    sealed.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"run\.npz is .*not written by odesim"):
        files.load_npz(sealed, "trajectory")


def test_any_flipped_bit_is_refused(sealed):
    content = bytearray(sealed.read_bytes())
    for place in range(0, len(content), 7):
        for bit in (0, 5, 7):
            content[place] ^= 1 << bit
            sealed.write_bytes(content)
            with pytest.raises(InputError, match=r"run\.npz"):
                files.load_npz(sealed, "trajectory")
            content[place] ^= 1 << bit


def test_appended_bytes_are_refused(sealed):
    sealed.write_bytes(sealed.read_bytes() + b"x")
    with pytest.raises(InputError):
        files.load_npz(sealed, "trajectory")


def test_foreign_files_are_refused(tmp_path):
    np.savez(tmp_path / "foreign.npz", risk=np.ones(3))
    (tmp_path / "text.npz").write_text("hello")
    for name in ("foreign.npz", "text.npz"):
        with pytest.raises(InputError, match=f"{name} .*not written by odesim"):
            files.load_npz(tmp_path / name, "trajectory")


def test_other_kind_missing_file_and_folder_are_refused(sealed, tmp_path):
    with pytest.raises(InputError, match="kind 'trajectory'; give one of kind 'checkpoint'"):
        files.load_npz(sealed, "checkpoint")
    with pytest.raises(InputError, match="cannot be read"):
        files.load_npz(tmp_path / "nothing.npz", "trajectory")
    with pytest.raises(InputError, match="cannot be read"):
        files.load_npz(tmp_path, "trajectory")


def test_objects_are_not_written(tmp_path):
    with pytest.raises(InputError, match="Python objects"):
        files.save_npz(tmp_path / "x.npz", "trajectory", {"x": np.array([{}], dtype=object)}, {})
    assert not list(tmp_path.iterdir())


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "summary.json"
    files.write_json(path, {"a": 1})

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"summary\.json could not be written \(No space left"):
        files.write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [one.name for one in tmp_path.iterdir()] == ["summary.json"]


def test_json_is_strict(tmp_path):
    path = tmp_path / "x.json"
    content = {"nan": np.nan, "inf": [np.inf, 1.5], "array": np.arange(2), "flag": np.True_, "path": path}
    files.write_json(path, content)

    def refuse(name):
        raise AssertionError(name)

    read = json.loads(path.read_text(), parse_constant=refuse)
    assert read == {"nan": None, "inf": [None, 1.5], "array": [0, 1], "flag": True, "path": str(path)}
    with pytest.raises(InputError, match="no JSON form"):
        files.write_json(path, {"x": object()})


def test_missing_folder_is_bad_input(tmp_path):
    with pytest.raises(InputError, match="folder that does not exist"):
        files.write_json(tmp_path / "no" / "x.json", {})


def test_writable_folder(tmp_path):
    folder = files.writable_folder(tmp_path / "a" / "b")
    assert folder.is_dir()
    assert not list(folder.iterdir())
    (tmp_path / "file").touch()
    for bad in (tmp_path / "file", tmp_path / "file" / "below", "x\0y"):
        with pytest.raises(InputError, match=r"out=.*choose another folder"):
            files.writable_folder(bad)
