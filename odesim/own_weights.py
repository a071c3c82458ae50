"""Start weights of a user's own, from an .npz or .npy file; never unpickled."""

from __future__ import annotations

import hashlib
import inspect
import io
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from odesim import memory
from odesim.checks import InputError
from odesim.network import Network, second_layer_and_biases
from odesim.targets.series import Target

NAMES = ("W", "a", "b")
HOW = "write it with np.savez(file, W=W, a=a, b=b), of which a and b may be left out, or np.save(file, W)"
DRAWN = {"a": ("second_layer", "second_layer_law"), "b": ("biases",)}
"""Fields of a network by which an array is drawn where the file does not hold it."""


class OwnWeights(NamedTuple):
    """What a file holds.

    Attributes
    ----------
    arrays : dict of arrays
        ``W`` (N, d) and, where it has them, ``a`` (N,) and ``b`` (N,).
    sha256 : str
        Hash of the file.
    """

    arrays: dict[str, NDArray[np.float64]]
    sha256: str


def read_weights(path: str, width: int, dim: int) -> OwnWeights:
    """Read the start weights of a network of these sizes.

    Raises
    ------
    InputError
        If the file cannot be read, is no .npz or .npy file of real numbers, holds other arrays than W, a and b, or
        arrays of other shapes; the message names file and array.
    """
    name = f"network.weights={path!r}"
    try:
        memory.refuse(name, 3 * os.path.getsize(path), "give a file of float32, or of fewer weights")
        content = Path(path).read_bytes()
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{name} cannot be read ({getattr(error, 'strerror', None) or error}); check it") from error
    arrays = _arrays(name, content)
    _check_names(name, arrays)
    shape = np.shape(arrays["W"])
    if shape != (width, dim):
        sizes = "" if len(shape) != 2 else f"; give --width {shape[0]} --dim {shape[1]}"
        raise InputError(f"{name} has W of shape {shape}, not (width, dim) = ({width}, {dim}){sizes or '; ' + HOW}")
    shapes = {"W": (width, dim), "a": (width,), "b": (width,)}
    found = {key: _numbers(f"{name} has {key}", value, shapes[key]) for key, value in arrays.items()}
    return OwnWeights(found, hashlib.sha256(content).hexdigest())


def own_network(own: OwnWeights, target: Target, options: Mapping[str, Any], rng: Any) -> Network:
    """Return the network of these weights; a and b are drawn as `Network.random` draws them where there are none.

    Parameters
    ----------
    options : dict
        Those of `Network.random`.

    Raises
    ------
    InputError
        If an option says how to draw what the file holds.
    """
    usual = inspect.signature(Network.random).parameters
    for key, fields in DRAWN.items():
        for one in fields:
            if key in own.arrays and options[one] != usual[one].default:
                raise InputError(f"network.{one}={options[one]!r}, but network.weights holds {key}; drop either")
    a, b = second_layer_and_biases(
        options["width"], options["second_layer"], options["second_layer_law"], options["biases"], rng
    )
    found = {"a": a, "b": b} | own.arrays
    kind = {name: options[name] for name in ("activation", "scaling")}
    return Network.from_weights(target, found["W"], found["a"], found["b"], **kind)


def _arrays(name: str, content: bytes) -> dict[str, Any]:
    """The arrays of an .npz file, or that of an .npy file as W."""
    try:
        with memory.named(name, "give a file of fewer weights"):
            loaded = np.load(io.BytesIO(content), allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"W": loaded}
            with loaded as archive:
                return {key: archive[key] for key in archive.files}
    except InputError:
        raise
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{name} holds no readable arrays ({error}); {HOW}") from error


def _check_names(name: str, arrays: dict[str, Any]) -> None:
    """W is there, and nothing that would be passed over."""
    others = [key for key in arrays if key not in NAMES]
    if others:
        raise InputError(f"{name} holds {', '.join(others)} besides W, a and b; {HOW}")
    if "W" not in arrays:
        raise InputError(f"{name} holds no array W; {HOW}")


def _numbers(what: str, value: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Finite real numbers of that shape."""
    if value.dtype.kind not in "fiu":
        raise InputError(f"{what} of type {value.dtype}; give real numbers")
    if value.shape != shape:
        raise InputError(f"{what} of shape {value.shape}; give shape {shape}")
    if not np.isfinite(value).all():
        raise InputError(f"{what} with NaN or infinite entries; give finite ones")
    return np.ascontiguousarray(value, dtype=np.float64)
