"""How much memory a pickle may take, by how long it is.

A pickle refers to what it holds already in two bytes. So a short one can have the same bytes or the
same list copied as often as it likes, which none does that something real was written to.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Final

import numpy as np

from .reconstruct.arrow_texts import Texts
from .reconstruct.row import refuse

LEAST: Final = 64 * 1024**2
TIMES: Final = 32
"""Bytes for each byte of the file: an attribute may stand there in four, and takes so many times
that in a dict."""

REFERENCE: Final = 8
ENTRY: Final = 64
FEW: Final = 16
DEPTH: Final = 3
_ENTRIES: Final = (dict, set, frozenset, Counter, OrderedDict, defaultdict)
_LISTS: Final = (list, tuple, deque)


class Room:
    """The bytes that are left for copies of what a file holds."""

    def __init__(self, size: int) -> None:
        self.left = LEAST + TIMES * size

    def take(self, parts: Any) -> None:
        """Count what something is about to be made of.

        Raises:
            Untrusted: there is no room for it.
        """
        self.left -= _weight(parts, REFERENCE, DEPTH)
        if self.left < 0:
            refuse("has the same parts copied again and again", "each of them once")


def _weight(value: Any, width: int, depth: int) -> int:
    """About how many bytes a copy takes. Of long containers only the references are counted."""
    kind = type(value)
    if kind in (bytes, bytearray, str):
        return len(value)
    if kind is np.ndarray:
        return int(value.nbytes)
    if kind is Texts:
        return REFERENCE * len(value.values)
    if is_dataclass(value):
        return sum(_weight(part, width, depth) for part in _columns(value))
    if kind.__module__.startswith("pandas."):
        return int(getattr(value, "nbytes", 0))
    if kind not in (*_ENTRIES, *_LISTS):
        return 0
    own = len(value) * (ENTRY if kind in _ENTRIES else width)
    if not depth or len(value) > FEW:
        return own
    inner = value.values() if issubclass(kind, dict) else value
    return own + sum(_weight(each, _width(inner), depth - 1) for each in inner)


def _columns(block: Any) -> Iterator[Any]:
    """What stands in a block or a table of columns, each of which is copied whole."""
    for field in fields(block):
        part = getattr(block, field.name)
        yield from part if type(part) is list else (part,)


def _width(parts: Iterable[Any]) -> int:
    """What an item of a list takes that stands beside a dtype."""
    kinds = (each.itemsize for each in parts if isinstance(each, np.dtype))
    return max((REFERENCE, *kinds))
