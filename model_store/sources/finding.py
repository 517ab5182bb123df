"""The file of a path that an operator names, and its format: told by what it begins with."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from .. import pickles
from ..errors import UnreadableFile
from . import boosters, folders, onnx_model, skops
from .part import Format, Part

PICKLE: Final = Format("pickle", pickles.listing, pickles.load)
SKOPS: Final = Format("skops", skops.listing, skops.load)
ZIP: Final = b"PK\x03\x04"


def find(path: str, *, code: bool = False) -> Part:
    """The file, or that of a folder. `code` says that the operator named a module.

    Raises:
        UnreadableFile: there is none, or the folder is of no known kind.
        Untrusted: the folder has code of its own, and no module is named.
    """
    if not Path(path).is_dir():
        data = _read(path)
        return Part(path, data, format_of(path, data))
    file, example = folders.find(Path(path), code=code)
    data = _read(str(file))
    return Part(str(file), data, format_of(str(file), data), example)


def format_of(path: str, data: bytes) -> Format:
    """How a file is written. What says nothing of itself is taken for a pickle."""
    if Path(path).suffix.lower() == skops.ENDING:
        return SKOPS
    if Path(path).suffix.lower() == onnx_model.ENDING:
        return onnx_model.ONNX
    if data.startswith(ZIP) and skops.SCHEMA.encode() in data:
        return SKOPS
    return next(boosters.found_in(data), PICKLE)


def _read(path: str) -> bytes:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be read: {error.strerror}.") from error
    if not data:
        raise UnreadableFile(f"{path} is empty.")
    return data
