"""Coefficients given as a dictionary or as arrays: checked, sorted by degree, made into a series."""

from __future__ import annotations

import itertools
import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from odesim import checks, laws
from odesim.checks import InputError
from odesim.laws import Key
from odesim.targets.parse import MAX_COORDINATE
from odesim.targets.text import Series

MAX_COEFFICIENT = 1e150
"""Largest size of a coefficient: its square, the energy, must stay finite."""

Entries = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
"""(rows, coordinates, powers): term rows[i] has powers[i] on coordinates[i]."""

_DENSE_BLOCK = 1 << 24
_BASE = laws.MAX_DEGREE + 1


def sorted_series(terms: Mapping[Key, float]) -> Series:
    """Sort by degree and key, drop zeros, refuse coefficients too large."""
    for key, c in terms.items():
        allow_size(c, key)
    order = sorted((laws.degree(key), key) for key, c in terms.items() if c)
    return tuple((key, terms[key]) for _, key in order)


def allow_size(c: float, key: Key) -> None:
    """Refuse a coefficient whose square would overflow."""
    if not abs(c) <= MAX_COEFFICIENT:
        where = f"coefficient {c:.3g} at {laws.element_text(key)}"
        raise InputError(f"target has {where} (bound {MAX_COEFFICIENT:g}); scale it down")


def number(name: str, value: Any) -> float:
    """Return a finite float, refusing integers beyond floating point too."""
    try:
        return checks.real(name, value)
    except OverflowError:
        raise InputError(f"{name} is an integer beyond floating point; give a finite number") from None


def from_mapping(terms: Any, P: Any, data: str) -> tuple[int, Series]:
    """Read ``{exponents: ĥ_S}``, or ``{((coordinate, power), ...): ĥ_S}`` with coordinates from 0."""
    checks.choice("data", data, laws.LAWS)
    if not isinstance(terms, Mapping) or not terms:
        raise InputError(f"terms={terms!r} holds no terms; give a dict such as {{(1, 1, 0): 1.0}}")
    keys = list(terms)
    if any(not isinstance(key, Sequence) or isinstance(key, str) for key in keys):
        _refuse_one(keys)
    pairs = any(key and isinstance(key[0], Sequence) for key in keys)
    entries = _pair_entries(keys, data) if pairs else _dense_entries(keys, data)
    quick = all(type(c) is float and math.isfinite(c) for c in terms.values())
    sizes = terms.values() if quick else [number(f"terms[{_short(key)}]", c) for key, c in terms.items()]
    support = _support(entries[1]) if pairs else max(map(len, keys))
    return _coordinates(P, support), _series(entries, np.array(list(sizes)), merge=False)


def from_entries(
    rows: ArrayLike, coordinates: ArrayLike, powers: ArrayLike, coefficients: ArrayLike, P: Any, data: str
) -> tuple[int, Series]:
    """Read terms from arrays: term ``rows[i]`` has power ``powers[i]`` on coordinate ``coordinates[i]``."""
    checks.choice("data", data, laws.LAWS)
    names = ("rows", "coordinates", "powers")
    entries = [_integers(name, values) for name, values in zip(names, (rows, coordinates, powers), strict=True)]
    if len({len(values) for values in entries}) > 1:
        sizes = ", ".join(str(len(values)) for values in entries)
        raise InputError(f"rows, coordinates and powers have {sizes} entries; give one length")
    values = np.asarray(coefficients)
    if values.ndim != 1 or values.dtype.kind not in "fiu":
        raise InputError(f"coefficients has shape {values.shape} of {values.dtype}; give numbers of shape (n,)")
    values = checks.array("coefficients", values, values.shape)
    top = 1 if data == "boolean" else laws.MAX_DEGREE
    for name, given, high in zip(names, entries, (len(values) - 1, MAX_COORDINATE - 1, top), strict=True):
        wrong = np.flatnonzero((given < 0) | (given > high))
        if wrong.size:
            raise InputError(f"{name}[{wrong[0]}]={given[wrong[0]]} must lie in 0 ... {high}; mend or drop it")
    support = _support(entries[1])
    degrees = np.bincount(entries[0], weights=entries[2], minlength=len(values))
    if degrees.size and degrees.max() > laws.MAX_DEGREE:
        row = int(degrees.argmax())
        raise InputError(f"row {row} has degree {degrees[row]:.0f} (bound {laws.MAX_DEGREE}); lower its powers")
    return _coordinates(P, support), _series((entries[0], entries[1], entries[2]), values, merge=True)


def _series(entries: Entries, coefficients: NDArray[np.float64], *, merge: bool) -> Series:
    """Sort checked terms; those of the same element are added up where ``merge``, else refused."""
    keys, degrees, words = _keys(entries, len(coefficients))
    big_endian = np.concatenate([degrees[:, None], words], axis=1).astype(">u4")
    order = np.argsort(big_endian.view(f"S{4 * big_endian.shape[1]}")[:, 0], kind="stable")
    size = coefficients[order]
    again = np.flatnonzero((big_endian[order[1:]] == big_endian[order[:-1]]).all(axis=1))
    if again.size and not merge:
        key = keys[order[again[0]]]
        raise InputError(f"terms has {laws.element_text(key)} twice, as {key!r} in another form; give it once")
    if again.size:
        first = np.setdiff1d(np.arange(len(order)), again + 1)
        order, size = order[first], np.add.reduceat(size, first)
    for t in np.flatnonzero(~(np.abs(size) <= MAX_COEFFICIENT))[:1]:
        allow_size(float(size[t]), keys[order[t]])
    return tuple((keys[t], c) for t, c in zip(order.tolist(), size.tolist(), strict=True) if c)


def _keys(entries: Entries, n: int) -> tuple[list[Key], NDArray[np.int64], NDArray[np.int64]]:
    """Return the sparse keys, their degrees, and the pairs as sortable words (n, longest key), 0 beyond the end."""
    rows, coordinates, powers = (values[entries[2] > 0] for values in entries)
    order = np.lexsort((coordinates, rows))
    rows, words = rows[order], coordinates[order] * _BASE + powers[order]
    twice = np.flatnonzero((rows[1:] == rows[:-1]) & (words[1:] // _BASE == words[:-1] // _BASE))
    if twice.size:
        coordinate = int(words[twice[0]]) // _BASE
        raise InputError(f"term {rows[twice[0]]} has two powers on coordinate {coordinate}; give one")
    distinct, where = np.unique(words, return_inverse=True)
    pairs = [(word // _BASE, word % _BASE) for word in distinct.tolist()]
    flat = [pairs[i] for i in where.tolist()]
    offsets = np.searchsorted(rows, np.arange(n + 1))
    keys = [tuple(flat[a:b]) for a, b in itertools.pairwise(offsets.tolist())]
    table = np.zeros((n, int(np.diff(offsets).max(initial=0))), dtype=np.int64)
    table[rows, np.arange(len(rows)) - offsets[rows]] = words
    return keys, np.bincount(rows, weights=powers[order], minlength=n).astype(np.int64), table


def _dense_entries(keys: Sequence[Any], data: str) -> Entries:
    """Entries of tuples of exponents, quickly; slowly where something is wrong, for the message."""
    P = max(map(len, keys))
    keys = [key or (0,) * P for key in keys]
    try:
        rows, coordinates, powers = _packed(keys, P)
    except (TypeError, ValueError):
        return _from_keys(_equally_long([_checked(key, data) for key in keys], keys))
    degrees = np.bincount(rows, weights=powers, minlength=len(keys))
    top = 1 if data == "boolean" else laws.MAX_DEGREE
    if P > MAX_COORDINATE or degrees.max() > laws.MAX_DEGREE or powers.max(initial=0) > top:
        return _from_keys([_checked(key, data) for key in keys])
    return rows, coordinates, powers


def _packed(keys: Sequence[Any], P: int) -> Entries:
    """Non-zero exponents; ``bytes`` reads a thousand in microseconds, or raises TypeError or ValueError."""
    parts: list[NDArray[np.int64]] = []
    step = max(1, _DENSE_BLOCK // max(1, P))
    for start in range(0, len(keys), step):
        block = keys[start : start + step]
        if any(len(key) != P for key in block):
            raise ValueError("ragged")
        table = np.frombuffer(b"".join(map(bytes, block)), dtype=np.uint8).reshape(len(block), P)
        row, column = np.nonzero(table)
        if any(isinstance(block[t][i], bool) for t, i in zip(row.tolist(), column.tolist(), strict=True)):
            raise TypeError("a truth value")
        parts.append(np.stack([row + start, column, table[row, column]]).astype(np.int64))
    rows, coordinates, powers = np.concatenate(parts, axis=1)
    return rows, coordinates, powers


def _equally_long(checked: list[Key], keys: Sequence[Any]) -> list[Key]:
    """Refuse tuples of exponents of different length."""
    for key in keys:
        if len(key) != len(keys[0]):
            both = f"{_short(keys[0])} and {_short(key)}"
            raise InputError(f"terms has {both} of different length; give one length P")
    return checked


def _pair_entries(keys: Sequence[Any], data: str) -> Entries:
    """Entries of tuples of (coordinate, power) pairs."""
    try:
        pairs = list(itertools.chain.from_iterable(keys))
        plain = set(map(type, pairs)) <= {tuple} and set(map(type, itertools.chain.from_iterable(pairs))) <= {int}
        flat = np.array(pairs if plain else [], dtype=np.int64)
    except (TypeError, ValueError, OverflowError):
        flat = np.array([], dtype=np.int64)
    if flat.ndim != 2 or flat.shape[1] != 2:
        return _from_keys([_checked_pairs(key, data) for key in keys])
    rows = np.repeat(np.arange(len(keys)), [len(key) for key in keys])
    top = 1 if data == "boolean" else laws.MAX_DEGREE
    degrees = np.bincount(rows, weights=np.clip(flat[:, 1], -1, _BASE), minlength=len(keys))
    low, high = flat.min(axis=0), flat.max(axis=0)
    if low.min() < 0 or high[0] >= MAX_COORDINATE or high[1] > top or degrees.max() > laws.MAX_DEGREE:
        return _from_keys([_checked_pairs(key, data) for key in keys])
    return rows, flat[:, 0].copy(), flat[:, 1].copy()


def _from_keys(keys: Sequence[Key]) -> Entries:
    rows = np.repeat(np.arange(len(keys)), [len(key) for key in keys])
    flat = np.array([pair for key in keys for pair in key], dtype=np.int64).reshape(-1, 2)
    return rows, flat[:, 0].copy(), flat[:, 1].copy()


def _refuse_one(keys: Sequence[Any]) -> None:
    """Name the first key that is no sequence."""
    for key in keys:
        if not isinstance(key, Sequence) or isinstance(key, str):
            raise InputError(f"terms has the key {key!r}; give a tuple of exponents such as (1, 0, 2)")


def checked_key(exponents: Any, data: str) -> Key:
    """Check one tuple of exponents and keep its non-zero ones."""
    _refuse_one([exponents])
    return tuple((i, power) for i, power in _checked(exponents, data) if power)


def _checked(exponents: Any, data: str) -> Key:
    """Check one tuple of exponents, slowly, with a message for everything that may be wrong."""
    if len(exponents) > MAX_COORDINATE:
        raise InputError(f"terms has {len(exponents)} coordinates; give at most {MAX_COORDINATE}")
    for power in exponents:
        if isinstance(power, Sequence):
            raise InputError(f"terms has {_short(exponents)} among tuples of exponents; use one form of key")
        if isinstance(power, bool) or not isinstance(power, numbers.Integral) or power < 0:
            raise InputError(f"terms has the exponent {power!r} in {_short(exponents)}; give non-negative integers")
    if data == "boolean" and max(exponents, default=0) > 1:
        raise InputError(f"terms has {_short(exponents)} on boolean data; give exponents 0 and 1, since z**2 = 1")
    if sum(exponents) > laws.MAX_DEGREE:
        raise InputError(f"terms has {_short(exponents)} of degree above {laws.MAX_DEGREE}; lower the exponents")
    return tuple((i, int(power)) for i, power in enumerate(exponents))


def _checked_pairs(key: Any, data: str) -> Key:
    """Check one tuple of pairs, slowly, with a message for everything that may be wrong."""
    top = 1 if data == "boolean" else laws.MAX_DEGREE
    for pair in key:
        if not isinstance(pair, Sequence) or len(pair) != 2:
            raise InputError(f"terms has {pair!r} in {_short(key)}; give (coordinate, power) pairs or exponents only")
        for value, high in zip(pair, (MAX_COORDINATE - 1, top), strict=True):
            whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
            if not whole or not 0 <= value <= high:
                raise InputError(f"terms has {pair!r} in {_short(key)}; give integers 0 ... {high} there")
    if sum(power for _, power in key) > laws.MAX_DEGREE:
        raise InputError(f"terms has {_short(key)} of degree above {laws.MAX_DEGREE}; lower the powers")
    return tuple((int(i), int(power)) for i, power in key)


def _short(key: Any) -> str:
    text = repr(key)
    return text if len(text) <= 60 else text[:57] + "..."


def _integers(name: str, values: ArrayLike) -> NDArray[np.int64]:
    try:
        out = np.asarray(values)
    except ValueError:
        out = np.empty((0, 0))
    if out.ndim != 1 or (out.size and out.dtype.kind not in "iu"):
        raise InputError(f"{name} is not an array of integers; give shape (entries,)")
    if out.dtype.kind == "u" and out.size and out.max() > np.iinfo(np.int64).max:
        raise InputError(f"{name} holds {out.max()}; give smaller integers")
    return out.astype(np.int64)


def _support(coordinates: NDArray[np.int64]) -> int:
    return int(coordinates.max(initial=-1)) + 1


def _coordinates(P: Any, support: int) -> int:
    """Check a given number of coordinates; by default it is the highest one mentioned."""
    if P is None:
        return support
    remedy = "it counts every coordinate mentioned"
    return checks.integer("P", P, low=support, high=MAX_COORDINATE, remedy=remedy)
