"""A target as JSON values, read back to the bit or refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from odesim import checks, laws
from odesim.checks import InputError
from odesim.laws import Key
from odesim.targets.given import from_mapping
from odesim.targets.parse import MAX_COORDINATE
from odesim.targets.text import Series

FORMAT = "odesim target 1"
BASES = {"gaussian": "normalised Hermite", "boolean": "parity"}
"""What a coefficient belongs to: Π He_k(z_i)/√(k!), or Π z_i."""


def write(data: str, P: int, series: Series) -> dict[str, Any]:
    """Return format, data, basis, P and the terms, each ``{"powers": {"z1": 2}, "coefficient": 0.5}``."""
    terms = [{"powers": {f"z{i + 1}": power for i, power in key}, "coefficient": c} for key, c in series]
    return {"format": FORMAT, "data": data, "basis": BASES[data], "P": P, "terms": terms}


def read(source: Any) -> tuple[str, int, Series]:
    """Check what `write` gave, or its JSON text, and return (data, P, series)."""
    record = _loaded(source) if isinstance(source, str) else source
    if not isinstance(record, Mapping):
        raise InputError(f"json={_short(source)} is no object; give what to_json returned")
    expected = {"format", "data", "basis", "P", "terms"}
    if record.keys() != expected:
        different = sorted(map(str, record.keys() ^ expected))
        raise InputError(f"json lacks or adds {', '.join(different)[:80]}; give what to_json returned")
    _same("format", record["format"], FORMAT)
    data = record["data"]
    if not isinstance(data, str):
        raise InputError(f"json.data={_short(data)} is not text; choose one of {', '.join(laws.LAWS)}")
    _same("basis", record["basis"], BASES[checks.choice("json.data", data, laws.LAWS)])
    P = record["P"]
    if type(P) is not int or not 0 <= P <= MAX_COORDINATE:
        raise InputError(f"json.P={_short(P)} is no integer 0 ... {MAX_COORDINATE}; mend it")
    terms = _terms(record["terms"])
    return (data, *from_mapping(terms, P, data)) if terms else (data, P, ())


def _terms(entries: Any) -> dict[Key, float]:
    if not isinstance(entries, list | tuple):
        raise InputError(f"json.terms={_short(entries)} is no list; give what to_json returned")
    out: dict[Key, float] = {}
    for t, entry in enumerate(entries):
        where = f"json.terms[{t}]"
        if not isinstance(entry, Mapping) or entry.keys() != {"powers", "coefficient"}:
            raise InputError(f"{where}={_short(entry)} is no term; give powers and coefficient")
        key = _key(where, entry["powers"])
        if key in out:
            raise InputError(f"{where} repeats the element {laws.element_text(key)}; give it once")
        value = entry["coefficient"]
        if type(value) not in (int, float):
            raise InputError(f"{where}.coefficient={_short(value)} is not a number; give a finite number")
        out[key] = value
    return out


def _key(where: str, powers: Any) -> Key:
    if not isinstance(powers, Mapping):
        raise InputError(f"{where}.powers={_short(powers)} is no object; write it as in {{'z1': 2}}")
    pairs = []
    for name, power in powers.items():
        digits = name[1:] if isinstance(name, str) and name[:1] == "z" else ""
        plain = digits.isascii() and digits.isdigit() and len(digits) <= 5 and digits[0] != "0"
        if not plain or int(digits) > MAX_COORDINATE:
            raise InputError(f"{where}.powers has the coordinate {_short(name)}; write z1 ... z{MAX_COORDINATE}")
        if type(power) is not int or not 1 <= power <= laws.MAX_DEGREE:
            raise InputError(f"{where}.powers has the power {_short(power)}; give 1 ... {laws.MAX_DEGREE}")
        pairs.append((int(digits) - 1, power))
    return tuple(sorted(pairs))


def _same(name: str, value: Any, expected: str) -> None:
    if value != expected:
        raise InputError(f"json.{name}={_short(value)} is not {expected!r}; give what to_json returned")


def _loaded(source: str) -> Any:
    try:
        return json.loads(source, parse_constant=_no_constant, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"json={_short(source)} is not valid JSON ({error}); give what to_json returned") from None


def _no_constant(name: str) -> NoReturn:
    raise InputError(f"json holds {name}; give finite numbers")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys must differ."""
    out = dict(pairs)
    if len(out) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InputError(f"json holds the key {_short(twice)} twice; give it once")
    return out


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
