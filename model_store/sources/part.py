"""A file that holds a pipeline or a step of it, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..sample_file import SampleFile
from ..stand_ins import Listing
from ..trust import Trust

Reader = Callable[[bytes, Trust], Any]


@dataclass(frozen=True, slots=True)
class Format:
    """A way in which files are written."""

    name: str
    listing: Callable[[bytes], Listing]
    load: Reader


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes of a file, its path and its format; `example` are rows that came along."""

    path: str
    data: bytes
    format: Format
    example: SampleFile | None = None
