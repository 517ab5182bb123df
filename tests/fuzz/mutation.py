"""A pickle with one of the values in it changed, without making the changed object here."""

from __future__ import annotations

import io
import pickle
import zlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Random = np.random.Generator

INTEGERS: Final = (-1, 0, 1, 2, 255, 256, 2**31 - 1, 2**31, 10**9, -(10**9), 2**62)
FLOATS: Final = (0.0, -1.0, float("nan"), float("inf"), 1e300, -1e300, 1e-300)
TEXTS: Final = ("", "filename", "precomputed", "/etc/passwd", "kd_tree", "csr", "x" * 100)

_PythonPickler: Any = pickle._Pickler


class _Pickler(_PythonPickler):  # type: ignore[misc]
    """Counts the values on their way, and changes the one at a place; -1 changes none."""

    def __init__(self, file: io.BytesIO, at: int, random: Random) -> None:
        super().__init__(file, 4)
        self.at, self.random = at, random
        self.count = 0
        self.kept: list[Any] = []

    def save(self, value: Any, save_persistent_id: bool = True) -> None:
        if isinstance(value, bool | int | float | str | list | tuple | dict | np.ndarray):
            if self.count == self.at:
                value = changed(value, self.random)
                self.kept.append(value)
            self.count += 1
        super().save(value, save_persistent_id)


def seed_of(name: str, number: int) -> int:
    """The same for the same case in any process."""
    return zlib.crc32(f"{name}:{number}".encode())


def mutated(pipeline: Any, random: Random) -> bytes:
    """The pickle of a pipeline in which one value, or a bit or the end of it, is another."""
    kind = random.integers(10)
    if kind < 8:
        counted = _Pickler(io.BytesIO(), -1, random)
        counted.dump(pipeline)
        file = io.BytesIO()
        _Pickler(file, int(random.integers(counted.count)), random).dump(pipeline)
        return file.getvalue()
    data = bytearray(pickle.dumps(pipeline))
    if kind == 8:
        data[random.integers(len(data))] ^= 1 << random.integers(8)
        return bytes(data)
    return bytes(data[: random.integers(len(data))])


def changed(value: Any, random: Random) -> Any:
    """Another value in place of one: flipped, cut, raised or lowered."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return int(random.choice([value + 1, value - 1, -value, *INTEGERS]))
    if isinstance(value, float):
        return float(random.choice([value + 1, -value, value * 1e6, *FLOATS]))
    if isinstance(value, str):
        return str(random.choice([value[:-1], value + "_", *TEXTS]))
    if isinstance(value, np.ndarray):
        return changed_array(value, random)
    if isinstance(value, dict):
        return _changed_dict(value, random)
    return type(value)(_changed_items(list(value), random))


def _changed_items(items: list[Any], random: Random) -> list[Any]:
    if not items:
        return [0]
    at = int(random.integers(len(items)))
    kind = random.integers(4)
    if kind == 0:
        return items[:at]
    if kind == 1:
        return [*items, items[at]]
    other = int(random.integers(len(items)))
    items[at] = items[other] if kind == 2 else changed_or_none(items[at], random)
    return items


def _changed_dict(items: dict[Any, Any], random: Random) -> dict[Any, Any]:
    if not items:
        return {"a": 0}
    keys = list(items)
    at = keys[int(random.integers(len(keys)))]
    kind = random.integers(3)
    if kind == 0:
        return {key: value for key, value in items.items() if key != at}
    other = keys[int(random.integers(len(keys)))]
    return {**items, at: items[other] if kind == 1 else changed_or_none(items[at], random)}


def changed_or_none(value: Any, random: Random) -> Any:
    if isinstance(value, bool | int | float | str | np.ndarray):
        return changed(value, random)
    return None


def changed_array(array: NDArray[Any], random: Random) -> NDArray[Any]:
    """An array with another item, length, order or dtype."""
    kind = random.integers(8)
    if kind == 0 and array.ndim:
        return array[: int(random.integers(len(array) + 1))]
    if kind == 1 and array.ndim:
        return np.concatenate([array, array])
    if kind == 2:
        return array.reshape(-1)
    if kind == 3 and array.dtype.kind in "biuf":
        return array.astype(random.choice(["f4", "i4", "u1", "f8", "i8"]))
    if kind == 4 and array.ndim > 1:
        return np.ascontiguousarray(array[..., :-1])
    array = array.copy()
    flat: Any = array.reshape(-1)
    if not flat.size:
        return np.zeros(1, dtype=array.dtype)
    at = int(random.integers(flat.size))
    if array.dtype.names:
        field = str(random.choice(array.dtype.names))
        flat[field][at] = _changed_number(flat[field][at], random)
    elif array.dtype.kind in "biuf":
        flat[at] = _changed_number(flat[at], random)
    else:
        flat[at] = flat[int(random.integers(flat.size))]
    return array


def _changed_number(number: Any, random: Random) -> Any:
    value = changed(number.item(), random)
    if number.dtype.kind in "iu":
        limits = np.iinfo(number.dtype)
        return min(max(int(value), limits.min), limits.max)
    return value
