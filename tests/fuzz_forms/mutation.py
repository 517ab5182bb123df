"""The two files of a form with some values changed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any, Final

import numpy as np

Random = np.random.Generator
Files = tuple[bytes, bytes]
"""The header and the data."""

INTEGERS: Final = (-1, 0, 1, 2, 3, 7, 63, 64, 128, 255, 2**20, 2**31, 2**40, 2**62, 10**30)
FLOATS: Final = (0.0, -0.0, -1.0, 0.5, 1e-300, 1e300, -1e300, 5e-324)
TEXTS: Final = ("", "a", "nan", "exp", "float32", "int64", "uint8", "shares", "scores", "labels")
WORDS: Final = (b"NaN", b"Infinity", b"-1e999", b"1e400", b"\xff", b"\\ud800", b"[", b"{", b"\x00")
EIGHT: Final = (
    np.array([np.nan, np.inf, -np.inf, 0.0, -1.0, 1e300, 5e-324]).view(np.uint64).tolist()
)
"""Floats as the eight bytes that they are."""
WHOLE: Final = (0, 1, 2, 255, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)
"""The same of integers."""


def mutated(files: Files, others: list[Any], random: Random) -> Files:
    """The files with one change to the header, to the data, or with some of both. `others` are the
    roots of other forms, of which parts may be put in."""
    header, data = files
    for _ in range(int(random.choice([1, 1, 1, 2, 4]))):
        kind = random.integers(10)
        if kind < 7:
            header = _changed_json(header, others, random)
        elif kind < 8:
            header = _changed_bytes(header, random)
        else:
            data = _changed_data(data, random)
    return header, data


# JSON ----------------------------------------------------------------------------


def _changed_json(header: bytes, others: list[Any], random: Random) -> bytes:
    try:
        decoded = json.loads(header)
    except ValueError:
        return header
    places = list(_places(decoded))
    if not places:
        return header
    holder, key = places[int(random.integers(len(places)))]
    kinds: list[Callable[[Any, Any, list[Any], Random], None]] = [
        _another_value,
        _another_value,
        _another_value,
        _no_value,
        _twice,
        _swapped,
        _of_another_form,
        _within_itself,
    ]
    kinds[int(random.integers(len(kinds)))](holder, key, others, random)
    return json.dumps(decoded).encode()


def _places(value: Any) -> Any:
    """Each list or dictionary in a value with each of its keys."""
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        if isinstance(holder, dict):
            keys: list[Any] = list(holder)
        elif isinstance(holder, list):
            keys = list(range(len(holder)))
        else:
            continue
        for key in keys:
            yield holder, key
            waiting.append(holder[key])


def _another_value(holder: Any, key: Any, others: list[Any], random: Random) -> None:
    holder[key] = changed(holder[key], random)


def _no_value(holder: Any, key: Any, others: list[Any], random: Random) -> None:
    del holder[key]


def _twice(holder: Any, key: Any, others: list[Any], random: Random) -> None:
    if isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
    else:
        holder[f"{key}_"] = holder[key]


def _swapped(holder: Any, key: Any, others: list[Any], random: Random) -> None:
    keys = list(holder) if isinstance(holder, dict) else range(len(holder))
    other = list(keys)[int(random.integers(len(keys)))]
    holder[key], holder[other] = holder[other], holder[key]


def _of_another_form(holder: Any, key: Any, others: list[Any], random: Random) -> None:
    """Put in a part of another form that is of the same type."""
    other = others[int(random.integers(len(others)))]
    parts = [inner[place] for inner, place in _places(other)]
    same = [part for part in parts if _kind(part) == _kind(holder[key])]
    if same:
        holder[key] = copy.deepcopy(same[int(random.integers(len(same)))])


def _kind(part: Any) -> str:
    """Its type, and of a node that it is one."""
    return "node" if isinstance(part, dict) and "kind" in part else type(part).__name__


def _within_itself(holder: Any, key: Any, others: list[Any], random: Random) -> None:
    """Put what is there into a copy of what holds it."""
    if isinstance(holder[key], dict):
        inner = copy.deepcopy(holder[key])
        for place in list(holder[key]):
            if isinstance(holder[key][place], dict):
                holder[key][place] = inner
                return


def changed(value: Any, random: Random) -> Any:
    """Another value in place of one."""
    if random.integers(8) == 0:
        pool: list[Any] = [None, True, 0, -1, 1.5, "", [], {}, [[]], {"kind": []}, 10**30]
        return pool[int(random.integers(len(pool)))]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        near = [value + 1, value - 1, value * 2, value // 2, -value, value + 64, value - 64]
        pool = [*near, *INTEGERS]
    elif isinstance(value, float):
        pool = [value + 1, -value, value * 1e6, value * 1e-6, *FLOATS]
    elif isinstance(value, str):
        pool = [value[:-1], value + "_", value.upper(), *TEXTS]
    elif isinstance(value, list):
        pool = [value[:-1], value * 2, value[::-1], [], [value]]
    else:
        pool = [None, [value], {}, 0]
    return pool[int(random.integers(len(pool)))]


# Bytes ---------------------------------------------------------------------------


def _changed_bytes(data: bytes, random: Random) -> bytes:
    found = bytearray(data)
    at = int(random.integers(len(found) + 1))
    kind = random.integers(4)
    if kind == 0 and at < len(found):
        found[at] ^= 1 << int(random.integers(8))
    elif kind == 1:
        del found[at:]
    elif kind == 2:
        found[at:at] = WORDS[int(random.integers(len(WORDS)))]
    else:
        del found[at : at + int(random.integers(1, 9))]
    return bytes(found)


def _changed_data(data: bytes, random: Random) -> bytes:
    """Another number in place of one, as a float or an integer of some size, or another length."""
    if not data or random.integers(8) == 0:
        return _changed_bytes(data, random)
    found = bytearray(data)
    size = int(random.choice([8, 8, 8, 4, 2, 1]))
    at = int(random.integers(max(len(found) // size, 1))) * size
    values = EIGHT + list(WHOLE) if size == 8 else list(WHOLE)
    value = int(values[int(random.integers(len(values)))]) % (1 << 8 * size)
    kind = random.integers(4)
    if kind == 0:
        found[at : at + size] = value.to_bytes(size, "little")
    elif kind == 1:
        # Many of them, as in all of an array.
        count = min(int(random.integers(1, 65)), (len(found) - at) // size)
        found[at : at + count * size] = value.to_bytes(size, "little") * count
    elif kind == 2 and at < len(found):
        found[at] ^= 1 << int(random.integers(8))
    else:
        # What stands elsewhere.
        other = int(random.integers(max(len(found) // size, 1))) * size
        found[at : at + size] = found[other : other + size]
    return bytes(found)
