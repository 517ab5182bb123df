"""Texts that pyarrow held, read from its buffers byte by byte and made anew.

So pyarrow itself is not needed, and never sees what a file says of its buffers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from .forms import DATA, INTEGER, NATURAL, NONE, Form, either, exact, items, many, only
from .row import Row, refuse

WIDTHS: Final = {"string": 4, "large_string": 8}
"""Bytes of an offset, by pyarrow's name for the type."""


@dataclass(frozen=True, slots=True)
class _TextType:
    name: str


@dataclass(frozen=True, slots=True)
class Texts:
    """What an array of pyarrow held."""

    values: list[str | None]


def _restored(parts: tuple[Any, ...]) -> Texts:
    """The texts in pyarrow's buffers: a bit for each that is there, where each begins, and all of
    them one after another. https://arrow.apache.org/docs/format/Columnar.html"""
    kind, length, _, start, (present, offsets, data), _, _ = parts
    if length == 0:
        return Texts([])
    width = WIDTHS[kind.name]
    if width * (start + length + 1) > len(offsets or b""):
        refuse(f"has {length} texts of pyarrow without offsets", "one more than there are texts")
    if present is not None and start + length > 8 * len(present):
        refuse(f"has {length} texts of pyarrow without a bit for each", "as many bits")
    ends = np.frombuffer(offsets, f"<i{width}", length + 1, start * width)
    text = bytes(data or b"")
    if ends[0] < 0 or (np.diff(ends) < 0).any() or ends[-1] > len(text):
        refuse("has texts of pyarrow that lie elsewhere", "offsets within their bytes")
    bounds = ends.tolist()
    there = (
        None
        if present is None
        else np.unpackbits(np.frombuffer(present, np.uint8), bitorder="little")
    )
    return Texts(
        [
            text[bounds[i] : bounds[i + 1]].decode() if there is None or there[start + i] else None
            for i in range(length)
        ]
    )


def _chunks(arrays: list[Texts], _kind: Any = None) -> Texts:
    return Texts([value for array in arrays for value in array.values])


_TEXT_TYPE: Final = exact("a type of texts", _TextType)
TEXTS: Final = exact("texts of pyarrow", Texts)
_BUFFER: Final = either(NONE, DATA)
_ARROW: Final = items(
    items(
        _TEXT_TYPE,
        NATURAL,
        INTEGER,
        NATURAL,
        Form(
            "three buffers",
            lambda value: type(value) is list and len(value) == 3 and all(map(_BUFFER.fits, value)),
        ),
        Form("no children", lambda value: type(value) is list and not value),
        NONE,
    )
)

ROWS: Final = (
    Row("pyarrow.lib.py_buffer", bytes, items(DATA)),
    Row("pyarrow.lib.type_for_alias", _TextType, items(only(*WIDTHS))),
    Row("pyarrow.lib._restore_array", _restored, _ARROW),
    Row(
        "pyarrow.lib.chunked_array",
        _chunks,
        items(many(TEXTS, list), either(NONE, _TEXT_TYPE), least=1),
    ),
)
