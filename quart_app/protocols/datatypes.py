"""The datatypes of the Open Inference Protocol: the one table of them, and values of each.

A tensor is a numpy array of the datatype's dtype; one of BYTES, or one that lacks values, is an
array of objects, with None where a value is missing.
"""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model_store import Column

from ..inference import InvalidRequest
from .json_body import kind

Tensor = NDArray[Any]


class Datatype(NamedTuple):
    """A datatype, its dtype as it lies on the wire, and its name in Triton's configurations."""

    name: str
    dtype: np.dtype[Any]
    config: str

    @property
    def size(self) -> int:
        """Bytes of a value; of BYTES only those of its length."""
        return LENGTH.size if self.dtype.kind == "O" else self.dtype.itemsize


LENGTH: Final = struct.Struct("<I")

DATATYPES: Final = {
    name: Datatype(name, np.dtype(dtype), config)
    for name, dtype, config in (
        ("BOOL", "?", "TYPE_BOOL"),
        ("UINT8", "<u1", "TYPE_UINT8"),
        ("UINT16", "<u2", "TYPE_UINT16"),
        ("UINT32", "<u4", "TYPE_UINT32"),
        ("UINT64", "<u8", "TYPE_UINT64"),
        ("INT8", "<i1", "TYPE_INT8"),
        ("INT16", "<i2", "TYPE_INT16"),
        ("INT32", "<i4", "TYPE_INT32"),
        ("INT64", "<i8", "TYPE_INT64"),
        ("FP16", "<f2", "TYPE_FP16"),
        ("FP32", "<f4", "TYPE_FP32"),
        ("FP64", "<f8", "TYPE_FP64"),
        ("BYTES", "O", "TYPE_STRING"),
    )
}
FEW: Final = 64
"""Values of a tensor up to which a list takes less time than an array."""

LARGE: Final = 64 * 1024
"""Bytes of a tensor from which on a copy of it is dear."""

BOOL, INT64, UINT64, FP64, BYTES = (
    DATATYPES[name] for name in ("BOOL", "INT64", "UINT64", "FP64", "BYTES")
)


def of_column(column: Column) -> Datatype:
    """What a client best sends for a column."""
    return DATATYPES[column.kind.datatype(column)]


def of_labels(labels: Tensor, expected: str) -> tuple[Datatype, Tensor]:
    """Labels as a tensor of the datatype of this name, which holds all classes. Numbers of a
    regression that it does not hold exactly, as none before were such, have another."""
    datatype = DATATYPES[expected]
    if datatype is BYTES:
        texts = _objects([str(label) for label in labels.ravel().tolist()])
        return datatype, texts.reshape(labels.shape)
    if labels.dtype.kind == datatype.dtype.kind:
        return datatype, labels.astype(datatype.dtype, copy=False)
    for each in (datatype, INT64, UINT64):
        tensor = _exactly(labels, each)
        if tensor is not None:
            return each, tensor
    return FP64, labels.astype(FP64.dtype)


def _exactly(labels: Tensor, datatype: Datatype) -> Tensor | None:
    try:
        with np.errstate(all="ignore"):
            tensor = labels.astype(datatype.dtype)
    except OverflowError:
        return None
    return tensor if tensor.tolist() == labels.tolist() else None


def few_from_json(datatype: Datatype, values: list[Any]) -> list[Any] | None:
    """As `from_json`, a list of Python values in place of an array, which costs more than a few
    values do. None where there are more than `FEW`, or where they need a closer look."""
    if len(values) > FEW:
        return None
    read = _READERS.get(datatype.name)
    return None if read is None else read(values)


def from_json(datatype: Datatype, values: Sequence[object], name: str) -> Tensor:
    """The values of a flat list as a tensor; null is a missing one.

    A float is rounded to the datatype, as it is on its way in bytes. The tensor is called `name`.

    Raises:
        InvalidRequest: a value is none of the datatype.
    """
    code = datatype.dtype.kind
    types = set(map(type, values))
    if not types <= _PYTHON_TYPES[code] or code in "iu":
        _check_each(datatype, values, name)
    if code == "O" or (type(None) in types and code != "f"):
        return _objects(values)
    try:
        with np.errstate(over="ignore"):
            return np.array(values, dtype=datatype.dtype)
    except OverflowError:
        _check_each(datatype, values, name)
        raise InvalidRequest(f"{name}: a value is beyond {datatype.name}.") from None


def from_bytes(datatype: Datatype, data: memoryview, count: int, name: str) -> Tensor:
    """`count` values in the bytes of a tensor, which is called `name`.

    Raises:
        InvalidRequest: there are more or fewer bytes, or a text is not UTF-8.
    """
    if datatype is BYTES:
        return _texts(data, count, name)
    expected = count * datatype.size
    if len(data) != expected:
        raise InvalidRequest(
            f"{name}: expected {expected} bytes for {count} values of {datatype.name}, "
            f"got {len(data)}."
        )
    if datatype is BOOL:
        return np.frombuffer(data, dtype=np.uint8).astype(bool)
    return np.frombuffer(data, dtype=datatype.dtype)


def to_bytes(tensor: Tensor) -> bytes | memoryview:
    """A tensor as it lies on the wire; a large one where it is, if it lies there like that."""
    if tensor.dtype.kind != "O":
        if tensor.nbytes < LARGE:
            return tensor.tobytes()
        return np.ascontiguousarray(tensor).data.cast("B")
    encoded = [text.encode() for text in tensor.ravel().tolist()]
    return b"".join(part for text in encoded for part in (LENGTH.pack(len(text)), text))


def shown(value: object) -> str:
    """A JSON value in a sentence; one that holds others is named and not written out."""
    return kind(value) if isinstance(value, list | dict) else f"{value!r:.60}"


_NUMBERS: Final[frozenset[type]] = frozenset({float, int})
_INTEGERS: Final[frozenset[type]] = frozenset({int})
_FLOATS: Final[frozenset[type]] = frozenset({float})

_Reader = Callable[[list[Any]], list[Any] | None]


def _double(values: list[Any]) -> list[Any] | None:
    types = set(map(type, values))
    if types == _FLOATS:
        return values
    try:
        return list(map(float, values)) if types <= _NUMBERS else None
    except OverflowError:
        return None


def _single(values: list[Any]) -> list[Any] | None:
    try:
        return array("f", values).tolist() if set(map(type, values)) <= _NUMBERS else None
    except OverflowError:
        return None


def _within(low: int, high: int) -> _Reader:
    def read(values: list[Any]) -> list[Any] | None:
        fit = set(map(type, values)) == _INTEGERS and low <= min(values) and max(values) <= high
        return values if fit else None

    return read


def _all_of(*kinds: type) -> _Reader:
    expected = frozenset(kinds)
    return lambda values: values if expected.issuperset(map(type, values)) else None


_READERS: Final[dict[str, _Reader]] = {
    "BOOL": _all_of(bool, type(None)),
    "BYTES": _all_of(str, type(None)),
    "FP32": _single,
    "FP64": _double,
    **{
        name: _within(int(np.iinfo(each.dtype).min), int(np.iinfo(each.dtype).max))
        for name, each in DATATYPES.items()
        if each.dtype.kind in "iu"
    },
}
"""How a list is read of the datatypes whose values are Python's own."""

_PYTHON_TYPES: Final[dict[str, set[type]]] = {
    "b": {bool, type(None)},
    "i": {int, float, type(None)},
    "u": {int, float, type(None)},
    "f": {int, float, type(None)},
    "O": {str, type(None)},
}


def _check_each(datatype: Datatype, values: Sequence[object], name: str) -> None:
    fits = _fits(datatype)
    for position, value in enumerate(values):
        if value is not None and not fits(value):
            raise InvalidRequest(
                f"{name}: expected values of {datatype.name}, got {shown(value)} at position "
                f"{position}."
            )


def _fits(datatype: Datatype) -> Callable[[Any], bool]:
    code = datatype.dtype.kind
    if code in "iu":
        bounds = np.iinfo(datatype.dtype)
        low, high = int(bounds.min), int(bounds.max)
        return lambda value: _is_whole(value) and low <= value <= high
    if code == "f":
        return lambda value: (
            type(value) is float or (type(value) is int and abs(value) < _BEYOND_FLOAT)
        )
    return lambda value: type(value) in _PYTHON_TYPES[code]


_BEYOND_FLOAT: Final = 2**1024


def _is_whole(value: object) -> bool:
    return type(value) is int or (
        type(value) is float and math.isfinite(value) and value.is_integer()
    )


def _texts(data: memoryview, count: int, name: str) -> Tensor:
    found: list[str] = []
    at = 0
    try:
        while at < len(data):
            (length,) = LENGTH.unpack_from(data, at)
            at += LENGTH.size + length
            if at > len(data):
                raise InvalidRequest(f"{name}: value {len(found)} ends beyond the tensor.")
            found.append(str(data[at - length : at], "utf-8"))
    except struct.error:
        raise InvalidRequest(f"{name}: value {len(found)} has no whole length.") from None
    except UnicodeDecodeError:
        raise InvalidRequest(f"{name}: value {len(found)} is not UTF-8.") from None
    if len(found) != count:
        raise InvalidRequest(f"{name}: expected {count} values, got {len(found)}.")
    return _objects(found)


def _objects(values: Sequence[object]) -> Tensor:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found
