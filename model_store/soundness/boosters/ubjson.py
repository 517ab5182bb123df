"""UBJSON as XGBoost writes it (https://ubjson.org), read without belief and written again.

Arrays of one type of number are arrays of numpy, of the type that they have there.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import numpy as np

from ..faults import Wrong

DEEPEST: Final = 30
_ARRAYS: Final = {
    **{b"d": ">f4", b"D": ">f8", b"U": "u1", b"i": "i1"},
    **{b"I": ">i2", b"l": ">i4", b"L": ">i8"},
}
_CODES: Final = {np.dtype(kind): code for code, kind in _ARRAYS.items()}
_NUMBERS: Final = {
    **{b"i": ">b", b"U": ">B", b"I": ">h", b"l": ">i", b"L": ">q", b"d": ">f", b"D": ">d"},
}
_SINGLE: Final = {b"Z": None, b"T": True, b"F": False}


def read(data: bytes) -> Any:
    """What a document holds: dicts, lists, arrays, texts and numbers.

    Raises:
        Wrong: it is none, is cut off, or has a key twice.
    """
    reader = _Reader(data)
    found = reader.value(reader.take(1), 0)
    if reader.at != len(data):
        raise Wrong(f"{len(data) - reader.at} bytes follow behind its end")
    return found


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        if count < 0 or count > len(self.data) - self.at:
            raise Wrong("it is cut off")
        self.at += count
        return self.data[self.at - count : self.at]

    def value(self, kind: bytes, depth: int) -> Any:
        if depth > DEEPEST:
            raise Wrong(f"its parts lie more than {DEEPEST} deep within each other")
        if kind in _NUMBERS:
            return self._number(kind)
        if kind in _SINGLE:
            return _SINGLE[kind]
        if kind == b"S":
            return self._text()
        if kind == b"{":
            return self._object(depth)
        if kind == b"[":
            return self._array(depth)
        raise Wrong(f"{kind!r} at byte {self.at - 1} is no value")

    def _number(self, kind: bytes) -> int | float:
        form = _NUMBERS[kind]
        found: int | float = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return found

    def _length(self) -> int:
        kind = self.take(1)
        found = self._number(kind) if kind in _NUMBERS else -1
        if not isinstance(found, int) or found < 0:
            raise Wrong("it has a part without a length")
        return found

    def _text(self) -> str:
        try:
            return self.take(self._length()).decode()
        except UnicodeDecodeError as error:
            raise Wrong("one of its texts is not UTF-8") from error

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self.data[self.at : self.at + 1] != b"}":
            name = self._text()
            if name in found:
                raise Wrong(f"it has {name[:60]!r} twice")
            found[name] = self.value(self.take(1), depth + 1)
        self.take(1)
        return found

    def _array(self, depth: int) -> Any:
        kind = self.data[self.at : self.at + 1]
        if kind == b"$":
            return self._typed()
        if kind == b"#":
            self.take(1)
            count = self._length()
            if count > len(self.data) - self.at:
                raise Wrong("it is cut off")
            return [self.value(self.take(1), depth + 1) for _ in range(count)]
        found = []
        while self.data[self.at : self.at + 1] != b"]":
            found.append(self.value(self.take(1), depth + 1))
        self.take(1)
        return found

    def _typed(self) -> Any:
        _, kind, hash_ = self.take(1), self.take(1), self.take(1)
        if kind not in _ARRAYS or hash_ != b"#":
            raise Wrong(f"it has an array of {kind!r}")
        dtype = np.dtype(_ARRAYS[kind])
        raw = self.take(self._length() * dtype.itemsize)
        return np.frombuffer(raw, dtype).astype(dtype.newbyteorder("="))


def write(value: Any) -> bytes:
    """The document of what `read` gives."""
    parts: list[bytes] = []
    _write(value, parts)
    return b"".join(parts)


def _write(value: Any, parts: list[bytes]) -> None:
    if isinstance(value, str):
        text = value.encode()
        parts += [b"S", _length_of(text), text]
    elif isinstance(value, dict):
        parts.append(b"{")
        for name, each in value.items():
            key = name.encode()
            parts += [_length_of(key), key]
            _write(each, parts)
        parts.append(b"}")
    elif isinstance(value, list):
        parts += [b"[#", _length_of(value)]
        for each in value:
            _write(each, parts)
    elif isinstance(value, np.ndarray):
        big = value.astype(value.dtype.newbyteorder(">"))
        parts += [b"[$", _CODES[big.dtype], b"#", _length_of(value), big.tobytes()]
    elif isinstance(value, int):
        parts += [b"L", struct.pack(">q", value)]
    else:
        parts += [b"d", struct.pack(">f", value)]


def _length_of(value: Any) -> bytes:
    return b"L" + struct.pack(">q", len(value))
