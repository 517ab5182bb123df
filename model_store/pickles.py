"""Pickles and joblib files: what they name, and reading them with only that.

joblib writes a pickle in which the bytes of each array follow the object that describes it, and an
array of objects is a pickle of its own in that place. joblib's reader hands that inner one to plain
`pickle.load`; this one reads it as it reads the rest. Two readers share the walk: the `_Lister`
makes stand-ins of all that is named and so runs nothing, the `_Loader` asks `Trust` for each name.

Protocols: https://docs.python.org/3/library/pickletools.html. joblib: `joblib/numpy_pickle.py`.
"""

from __future__ import annotations

import _compat_pickle
import bz2
import gzip
import io
import lzma
import pickle
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple, cast

import numpy as np

from .errors import LoadFailed, UnreadableFile, Untrusted
from .trust import Trust

VERSION_KEY: Final = "_sklearn_version"
ARRAY_WRAPPER: Final = "NumpyArrayWrapper"

_DECOMPRESS: tuple[tuple[bytes, Callable[[bytes], bytes]], ...] = (
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


_PythonUnpickler: Any = pickle._Unpickler
"""The one that is written in Python: the other lets nobody in between two of its steps."""


class Global(NamedTuple):
    """What a pickle names: a class or a function of a module. `name` may be dotted."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, slots=True)
class Listing:
    """What a file names, in the order of the first mention, and the versions of scikit-learn that
    stand in the states of its estimators."""

    globals: tuple[Global, ...]
    versions: tuple[str, ...]


def listing(data: bytes) -> Listing:
    """What a file names. Nothing of it is imported or run.

    Raises:
        UnreadableFile: it is no pickle or is cut off.
    """
    file = io.BytesIO(_decompressed(data))
    lister = _Lister(file, [], [])
    _read(lister)
    if file.read(1):
        raise UnreadableFile(
            "more follows behind the first pickle; save each object in a file of its own."
        )
    return Listing(tuple(lister.names), tuple(lister.versions))


def load(data: bytes, trust: Trust) -> Any:
    """The object in a file. Raises whatever its classes raise.

    Raises:
        Untrusted: it names what is not allowed.
        UnreadableFile: it is no pickle or is cut off.
    """
    raw = _decompressed(data)
    try:
        return _Loader(io.BytesIO(raw), trust).load()
    except UnicodeDecodeError:
        # Texts that Python 2 wrote are bytes of no known encoding.
        return _read(_Loader(io.BytesIO(raw), trust, encoding="latin1"))
    except (pickle.UnpicklingError, EOFError, IndexError, struct.error) as error:
        raise _unreadable(error) from error


def _read(reader: Any) -> Any:
    try:
        return reader.load()
    except (UnreadableFile, Untrusted, LoadFailed, MemoryError):
        raise
    except Exception as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> UnreadableFile:
    reason = str(error) or type(error).__name__
    return UnreadableFile(f"this is no whole pickle or joblib file: {reason}.")


def _decompressed(data: bytes) -> bytes:
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


class _Reader(_PythonUnpickler):  # type: ignore[misc]
    """The walk through a pickle, and through the arrays that joblib put between."""

    def __init__(self, file: io.BytesIO, encoding: str) -> None:
        super().__init__(file, encoding=encoding)
        self._bytes = file

    def get_extension(self, code: int) -> None:
        raise pickle.UnpicklingError("it uses extension codes, which only its writer knows")

    def find_class(self, module: str, name: str) -> Any:
        if self.proto < 3:  # Python 2 wrote these, or somebody for it
            module, name = _compat_pickle.NAME_MAPPING.get((module, name), (module, name))
            module = _compat_pickle.IMPORT_MAPPING.get(module, module)
        return self.named(module, name)

    def named(self, module: str, name: str) -> Any:
        raise NotImplementedError

    def array_behind(self, built: Any) -> Any:
        """The array whose bytes follow, or what was built, where none does."""
        raise NotImplementedError

    def load_build(self) -> None:
        super().load_build()
        self.stack[-1] = self.array_behind(self.stack[-1])

    dispatch: ClassVar = {**_PythonUnpickler.dispatch, pickle.BUILD[0]: load_build}

    def array_bytes(self, padded: bool, size: int) -> memoryview:
        """The bytes of an array, behind what aligns them in the file."""
        if padded:
            self._bytes.seek(int.from_bytes(self._bytes.read(1), "little"), io.SEEK_CUR)
        start = self._bytes.tell()
        found = self._bytes.getbuffer()[start : start + size]
        if len(found) < size:
            raise pickle.UnpicklingError("an array is cut off")
        self._bytes.seek(size, io.SEEK_CUR)
        return found


class _Loader(_Reader):
    """Makes the objects."""

    def __init__(self, file: io.BytesIO, trust: Trust, encoding: str = "ASCII") -> None:
        super().__init__(file, encoding)
        self._trust = trust

    def named(self, module: str, name: str) -> Any:
        return self._trust.resolve(module, name)

    def array_behind(self, built: Any) -> Any:
        if type(built).__name__ != ARRAY_WRAPPER:
            return built
        if built.dtype.hasobject:
            return _Loader(self._bytes, self._trust, self.encoding).load()
        count = int(np.prod(built.shape, dtype=object)) if built.shape else 1
        padded = getattr(built, "numpy_array_alignment_bytes", None) is not None
        found = self.array_bytes(padded, count * built.dtype.itemsize)
        array = np.frombuffer(found, dtype=built.dtype, count=count).copy()
        array = array.reshape(built.shape, order="F" if built.order == "F" else "C")
        return array.view(np.matrix) if built.subclass is np.matrix else array


class _StandIn:
    """Stands for whatever was named: it may be called, built and filled, and does nothing."""

    module: ClassVar[str] = ""
    name: ClassVar[str] = ""

    def __new__(cls, *args: Any, **kwargs: Any) -> _StandIn:
        made = super().__new__(cls)
        made.args = args
        made.state = None
        return made

    args: tuple[Any, ...]
    state: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> _StandIn:
        return _StandIn(*args)

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        pass

    extend = add = append


class _Lister(_Reader):
    """Makes stand-ins, and notes what is named."""

    def __init__(self, file: io.BytesIO, names: list[Global], versions: list[str]) -> None:
        # Latin-1 reads any bytes that Python 2 wrote as a text.
        super().__init__(file, encoding="latin1")
        self.names = names
        self.versions = versions

    def named(self, module: str, name: str) -> Any:
        found = Global(str(module), str(name))
        if found not in self.names:
            self.names.append(found)
        return type("StandIn", (_StandIn,), {"module": found.module, "name": found.name})

    def array_behind(self, built: Any) -> Any:
        if not isinstance(built, _StandIn):
            return built
        self._note_version(built.state)
        if not _is_wrapper(built) or not isinstance(built.state, dict):
            return built
        size = _item_size(built.state.get("dtype"))
        if size is None:
            return _Lister(self._bytes, self.names, self.versions).load()
        for length in cast(tuple[int, ...], built.state.get("shape", ())):
            size *= length
        self.array_bytes(built.state.get("numpy_array_alignment_bytes") is not None, size)
        return built

    def _note_version(self, state: Any) -> None:
        parts = state if isinstance(state, tuple) else (state,)
        for part in parts:
            version = part.get(VERSION_KEY) if isinstance(part, dict) else None
            if isinstance(version, str) and version not in self.versions:
                self.versions.append(version)


def _is_wrapper(built: _StandIn) -> bool:
    """Whether it describes an array of joblib; old protocols rebuild it by a function."""
    kinds = [type(built), *(each for each in built.args if isinstance(each, type))]
    return any(getattr(kind, "name", None) == ARRAY_WRAPPER for kind in kinds)


def _item_size(dtype: Any) -> int | None:
    """The bytes of an item; None where they are objects, which come as a pickle."""
    if not isinstance(dtype, _StandIn) or not dtype.args:
        raise pickle.UnpicklingError("an array of no known dtype")
    fields = dtype.state[4] if isinstance(dtype.state, tuple) and len(dtype.state) > 4 else None
    if isinstance(fields, dict):
        inner = [_item_size(field[0]) for field in fields.values()]
        if None in inner:
            return None
    found = np.dtype(str(dtype.args[0]))
    return None if found.hasobject else found.itemsize
