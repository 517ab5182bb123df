"""UBJSON as XGBoost writes it: objects, arrays, texts and numbers. Arrays of one type are left out,
since only what stands beside them is asked for here.

https://ubjson.org/type-reference/
"""

from __future__ import annotations

import struct
from typing import Any, Final

from ..errors import UnreadableFile

DEEPEST: Final = 50
_NUMBERS: Final = {
    **{b"i": ">b", b"U": ">B", b"I": ">h", b"l": ">i", b"L": ">q", b"d": ">f", b"D": ">d"}
}
_CONSTANTS: Final = {b"Z": None, b"T": True, b"F": False}


def is_object(data: bytes) -> bool:
    """Whether it begins as an object in UBJSON does, whose first key has a length."""
    return data[:1] == b"{" and data[1:2] in _NUMBERS


def decode(data: bytes) -> Any:
    """The value; of an array whose items have one type its length.

    Raises:
        UnreadableFile: it is no whole UBJSON.
    """
    try:
        return _Reader(data).value(0)
    except (struct.error, UnicodeDecodeError, IndexError) as error:
        raise broken() from error


def broken() -> UnreadableFile:
    """What is said of a file that is cut off or is something else."""
    return UnreadableFile(
        'this is no whole UBJSON; write it again with model.save_model("model.ubj").'
    )


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def value(self, depth: int) -> Any:
        kind = self._take(1)
        if kind in _NUMBERS:
            return self._number(kind)
        if kind in _CONSTANTS:
            return _CONSTANTS[kind]
        if kind == b"S":
            return self._text()
        if kind == b"C":
            return self._take(1).decode()
        if depth > DEEPEST:
            raise broken()
        if kind == b"{":
            return self._object(depth)
        if kind == b"[":
            return self._array(depth)
        raise broken()

    def _object(self, depth: int) -> dict[str, Any]:
        found = {}
        while self._next() != b"}":
            key = self._text()
            found[key] = self.value(depth + 1)
        self._at += 1
        return found

    def _array(self, depth: int) -> Any:
        if self._next() == b"$":
            return self._typed()
        count = None
        if self._next() == b"#":
            self._at += 1
            count = self._length()
        found: list[Any] = []
        while self._next() != b"]" if count is None else len(found) < count:
            found.append(self.value(depth + 1))
        if count is None:
            self._at += 1
        return found

    def _typed(self) -> int:
        """How many items of one type follow, which are passed over."""
        _, kind, sign = (self._take(1) for _ in range(3))
        count = self._length()
        if kind not in _NUMBERS or sign != b"#":
            raise broken()
        self._take(count * struct.calcsize(_NUMBERS[kind]))
        return count

    def _text(self) -> str:
        return self._take(self._length()).decode()

    def _length(self) -> int:
        kind = self._take(1)
        found = self._number(kind) if kind in _NUMBERS else -1
        if type(found) is not int or found < 0:
            raise broken()
        return found

    def _number(self, kind: bytes) -> Any:
        form = _NUMBERS[kind]
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _next(self) -> bytes:
        if self._at >= len(self._data):
            raise broken()
        return self._data[self._at : self._at + 1]

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise broken()
        found = self._data[self._at : end]
        self._at = end
        return found
