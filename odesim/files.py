"""Files that are whole or refused: atomic npz with JSON beside the arrays, sealed by a checksum, no pickle.

A sealed file is an ordinary ``.npz`` (``np.load(path)["risk"]`` reads it) whose archive comment is the
SHA-256 of every byte before it, so truncation and any flipped bit are found before a single array is parsed.
"""

from __future__ import annotations

import contextlib
import enum
import glob
import hashlib
import io
import json
import math
import os
import secrets
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from odesim.checks import InputError, RunError

MARK = b"odesim sha256 "
DIGEST = 64
METADATA = "metadata"
PathLike = str | os.PathLike[str]


def save_npz(path: PathLike, kind: str, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> None:
    """Write arrays under their own names and ``metadata`` as JSON, all or nothing.

    Parameters
    ----------
    path : path
        The file, written under exactly this name; its folder must exist.
    kind : str
        What the file is ("trajectory"), asked for again by `load_npz`.
    arrays : mapping
        Arrays without Python objects; the name ``metadata`` is taken.
    metadata : mapping
        Anything `plain` turns into JSON.

    Raises
    ------
    InputError
        If the folder does not exist or an array holds Python objects.
    RunError
        If the disk refuses; a file that was there before is then untouched.
    """
    text = json.dumps({"kind": kind, **plain(metadata)}, allow_nan=False)
    fields = {name: np.asarray(value) for name, value in arrays.items()}
    objects = [name for name, value in fields.items() if value.dtype.hasobject]
    if objects:
        raise InputError(f"{objects[0]} holds Python objects; give arrays of numbers")
    with replacing(path) as handle:
        np.savez(handle, allow_pickle=False, **{METADATA: np.array(text)}, **fields)  # type: ignore[arg-type]
        _seal(handle)


def load_npz(
    path: PathLike, kind: str, *, remedy: str = "write it again"
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read what `save_npz` wrote; ``remedy`` ends the message where that is not what the file says it is.

    Returns
    -------
    arrays, metadata : dict, dict

    Raises
    ------
    InputError
        If the file is missing, truncated, altered, not one of ours or of another kind; the message names it.
    """
    content = _sealed_bytes(path, remedy)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        metadata = json.loads(str(arrays.pop(METADATA)))
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} holds no readable arrays ({error}); {remedy}") from error
    found = metadata.pop("kind", None)
    if found != kind:
        raise InputError(f"{path} is a file of kind {found!r}; give one of kind {kind!r}")
    return arrays, metadata


def write_json(path: PathLike, content: Any) -> None:
    """Write ``content`` as strict JSON, all or nothing; NaN and infinities become null.

    Raises
    ------
    InputError
        If the folder does not exist or an object has no JSON form.
    RunError
        If the disk refuses.
    """
    write_text(path, json.dumps(plain(content), indent=2, allow_nan=False) + "\n")


def write_text(path: PathLike, text: str) -> None:
    """Write ``text`` in UTF-8, all or nothing (errors as in `write_json`)."""
    with replacing(path) as handle:
        handle.write(text.encode())


def writable_folder(path: PathLike) -> Path:
    """Make the folder and prove, with a probe file, that it can be written.

    Raises
    ------
    InputError
        If it cannot be made or written.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{secrets.token_hex(8)}"
        probe.touch(exist_ok=False)
        probe.unlink()
    except (OSError, ValueError) as error:
        raise InputError(f"out={str(folder)!r} cannot be written ({_reason(error)}); choose another folder") from error
    return folder


@contextlib.contextmanager
def replacing(path: PathLike) -> Iterator[BinaryIO]:
    """Open a temporary neighbour of ``path`` that takes its place once it is complete and on the disk.

    Raises
    ------
    InputError
        If the folder does not exist.
    RunError
        If the disk refuses; the temporary file is removed and the old one kept.
    """
    final = Path(os.path.realpath(path))
    if not final.parent.is_dir():
        raise InputError(f"{path} lies in a folder that does not exist; make it first")
    temporary = final.with_name(f".{final.name}.{secrets.token_hex(8)}.part")
    try:
        with open(temporary, "x+b") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, final)
        _sync_folder(final.parent)
    except OSError as error:
        raise RunError(
            f"{path} could not be written ({_reason(error)}); free the disk or choose another folder"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_parts(path: PathLike) -> None:
    """Remove what processes that were killed while they wrote ``path`` have left beside it."""
    final = Path(os.path.realpath(path))
    for part in final.parent.glob(f".{glob.escape(final.name)}.{'[0-9a-f]' * 16}.part"):
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def plain(value: Any) -> Any:
    """Turn nested dicts, sequences, NumPy scalars and arrays, enums and paths into what strict JSON can hold.

    Numbers that are not finite become None.

    Raises
    ------
    InputError
        For an object of any other type.
    """
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise InputError(f"{value!r} has no JSON form; give numbers, text, lists and dicts")


def _reason(error: Exception) -> str:
    """Say what the system said, without its number and path."""
    return getattr(error, "strerror", None) or str(error)


def _seal(handle: BinaryIO) -> None:
    """Give the archive its comment: the mark and the hash of all bytes up to there."""
    with zipfile.ZipFile(handle, "a") as archive:
        archive.comment = MARK + b"0" * DIGEST
    handle.seek(0)
    size = handle.seek(0, os.SEEK_END) - DIGEST
    handle.seek(0)
    digest = hashlib.sha256()
    while size > 0:
        block = handle.read(min(size, 1 << 20))
        digest.update(block)
        size -= len(block)
    handle.write(digest.hexdigest().encode())


def _sealed_bytes(path: PathLike, remedy: str) -> bytes:
    """Read the file and check its seal."""
    try:
        content = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({_reason(error)}); check the name") from error
    body, seal = content[:-DIGEST], content[-DIGEST:]
    if not body.endswith(MARK):
        what = "is truncated or altered, or was" if content[:2] == b"PK" else "is altered or was"
        raise InputError(f"{path} {what} not written by odesim; {remedy}")
    if hashlib.sha256(body).hexdigest().encode() != seal:
        raise InputError(f"{path} is altered: its checksum does not match; {remedy}")
    return content


def _sync_folder(folder: Path) -> None:
    """Put a rename itself on the disk, where the system lets a folder be opened."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
