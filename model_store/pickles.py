"""Pickles and joblib files: what they name, and reading them so that they make data and never act.

joblib writes a pickle in which the bytes of each array follow the object that describes it, and an
array of objects is a pickle of its own in that place. joblib's reader hands that inner one to plain
`pickle.load`; here it is read as the rest is. `stand_ins.py` lists what is named and makes nothing
of it, `loader.py` makes the objects.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import struct
import zlib
from collections.abc import Callable
from typing import Any, Final

from .carriers import carrier_of
from .code_reader import read
from .errors import ModelStoreError, UnreadableFile
from .loader import Loader
from .opcodes import Global
from .stand_ins import ARRAY_WRAPPER, Lister, Listing
from .trust import Trust

__all__ = ["Global", "Listing", "listing", "load"]

_DECOMPRESS: Final[tuple[tuple[bytes, Callable[[bytes], bytes]], ...]] = (
    (b"\x1f\x8b", gzip.decompress),
    (b"BZh", bz2.decompress),
    (b"\xfd7zXZ", lzma.decompress),
    (b"\x5d\x00", lzma.decompress),
    (b"x\x01", zlib.decompress),
    (b"x\x5e", zlib.decompress),
    (b"x\x9c", zlib.decompress),
    (b"x\xda", zlib.decompress),
)
_UNREADABLE: Final = {
    b"\x04\x22\x4d\x18": "it is compressed with lz4; compress it with zlib",
    b"ZF": "a joblib before 0.10 wrote it; write it again with a newer one",
    b"PK": "it is a zip file; name what is in it",
}


def listing(data: bytes) -> Listing:
    """What a file names. Nothing of it is imported or run.

    Raises:
        UnreadableFile: it is no pickle or is cut off.
    """
    return _listing(decompressed(data))


def _listing(raw: bytes) -> Listing:
    file = io.BytesIO(raw)
    lister = Lister(file)
    try:
        lister.load()
    except (ModelStoreError, MemoryError):
        raise
    except Exception as error:
        raise _unreadable(error) from error
    if file.read(1):
        raise UnreadableFile(
            "more follows behind the first pickle; save each object in a file of its own."
        )
    return lister.listing


def load(data: bytes, trust: Trust, *, inflate: bool = True) -> Any:
    """The object in a file. Raises whatever a class raises that the operator allowed.

    What is compressed may take a thousand times its size. Without `inflate` it is refused.

    Raises:
        Untrusted: it names what is not allowed, or calls it as no estimator's pickle does.
        LoadFailed: what it names is not there, or does not take what it is given.
        UnreadableFile: it is no pickle or is cut off.
    """
    raw = decompressed(data) if inflate else _uncompressed(data)
    try:
        if trust.carries and _is_carrier(raw):
            return read(raw, trust)
        try:
            return Loader(io.BytesIO(raw), trust, "ASCII").load()
        except UnicodeDecodeError:
            # Texts that Python 2 wrote are bytes of no known encoding.
            return Loader(io.BytesIO(raw), trust, "latin1").load()
    except MemoryError:
        raise
    except ModelStoreError as error:
        # A name that is cut off leads elsewhere.
        if _is_cut_off(raw):
            raise _unreadable(EOFError()) from error
        raise
    except Exception as error:
        if trust.acts and not isinstance(error, pickle.UnpicklingError):
            _listing(raw)
            raise
        raise _unreadable(error) from error


def _is_carrier(raw: bytes) -> bool:
    """Whether a file carries code, and no arrays of joblib, which Python's reader does not know."""
    found = _listing(raw).globals
    arrays = any((each.module.rpartition(".")[2], each.name) == ARRAY_WRAPPER for each in found)
    return carrier_of(found) is not None and not arrays


def _is_cut_off(raw: bytes) -> bool:
    try:
        Lister(io.BytesIO(raw)).load()
    except EOFError:
        return True
    except Exception:
        return False
    return False


def _unreadable(error: Exception) -> UnreadableFile:
    if isinstance(error, EOFError | IndexError | struct.error):
        reason = "it is cut off"
    elif isinstance(error, pickle.UnpicklingError):
        reason = str(error).rstrip(".")
    else:
        reason = "it holds what no pickle does"
    return UnreadableFile(f"this is no whole pickle or joblib file: {reason}.")


def _uncompressed(data: bytes) -> bytes:
    if any(data.startswith(magic) for magic, _ in _DECOMPRESS):
        raise UnreadableFile("this is compressed, which no artifact of a store is; import it.")
    return data


def decompressed(data: bytes) -> bytes:
    """The pickle in a file that may be compressed.

    Raises:
        UnreadableFile: its compression is broken, or is none that is read here.
    """
    for magic, reason in _UNREADABLE.items():
        if data.startswith(magic):
            raise UnreadableFile(f"this cannot be read: {reason}.")
    for magic, decompress in _DECOMPRESS:
        if data.startswith(magic):
            try:
                return decompress(data)
            except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
                raise UnreadableFile(f"its compression is broken or cut off: {error}.") from error
    return data
