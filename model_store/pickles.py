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
import math
import pickle
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np

from .errors import ModelStoreError, UnreadableFile
from .trust import Trust

VERSION_KEY: Final = "_sklearn_version"
VERSION: Final = re.compile(r"[0-9][0-9A-Za-z.+]{0,40}")
ARRAY_WRAPPER: Final = ("numpy_pickle", "NumpyArrayWrapper")
"""Its class, and the end of its module: joblib once stood in `sklearn.externals` as well."""

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
    return _listing(_decompressed(data))


def _listing(raw: bytes) -> Listing:
    file = io.BytesIO(raw)
    lister = _Lister(file)
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
    return Listing(tuple(lister.found), tuple(lister.versions))


def load(data: bytes, trust: Trust) -> Any:
    """The object in a file. Raises whatever its classes raise.

    Raises:
        Untrusted: it names what is not allowed.
        UnreadableFile: it is no pickle or is cut off.
    """
    raw = _decompressed(data)
    try:
        try:
            return _Loader(io.BytesIO(raw), trust, "ASCII").load()
        except UnicodeDecodeError:
            # Texts that Python 2 wrote are bytes of no known encoding.
            return _Loader(io.BytesIO(raw), trust, "latin1").load()
    except pickle.UnpicklingError as error:
        raise _unreadable(error) from error
    except MemoryError:
        raise
    except Exception:
        # A broken file may have led to it, as a name that is cut off does; a listing tells.
        _listing(raw)
        raise


def _unreadable(error: Exception) -> UnreadableFile:
    if isinstance(error, EOFError | IndexError | struct.error):
        reason = "it is cut off"
    elif isinstance(error, pickle.UnpicklingError):
        reason = str(error).rstrip(".")
    else:
        reason = "it holds what no pickle does"
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
    """The walk through a pickle, and through the arrays that joblib put between.

    `found` is what the names of the file stand for, `shared` their ids; a pickle within the file
    has those of the `outer` one.
    """

    def __init__(self, file: io.BytesIO, encoding: str, outer: _Reader | None = None) -> None:
        super().__init__(file, encoding=encoding)
        self.file = file
        self.found: dict[Global, Any] = {} if outer is None else outer.found
        self.shared: set[int] = set() if outer is None else outer.shared

    def get_extension(self, code: int) -> None:
        raise pickle.UnpicklingError("it uses extension codes, which only its writer knows")

    def find_class(self, module: str, name: str) -> Any:
        if self.proto < 3:  # Python 2 wrote these, or somebody for it
            if (module, name) in _compat_pickle.NAME_MAPPING:
                module, name = _compat_pickle.NAME_MAPPING[module, name]
            else:
                module = _compat_pickle.IMPORT_MAPPING.get(module, module)
        named = Global(str(module), str(name))
        if not str(named).isprintable():  # Names end in sentences on a terminal.
            raise pickle.UnpicklingError("it names what cannot be a name")
        if named not in self.found:
            self.found[named] = self.resolve(named)
            self.shared.add(id(self.found[named]))
        return self.found[named]

    def resolve(self, named: Global) -> Any:
        raise NotImplementedError

    def array_behind(self, built: Any) -> Any:
        """The array whose bytes follow, or what was built, where none does."""
        raise NotImplementedError

    def load_build(self) -> None:
        if id(self.stack[-2]) in self.shared:  # It belongs to the whole process.
            raise pickle.UnpicklingError("it would change a class or function itself")
        super().load_build()
        self.stack[-1] = self.array_behind(self.stack[-1])

    def load_bytearray8(self) -> None:
        # The base class takes memory for whatever size is claimed.
        self.append(bytearray(self.read(int.from_bytes(self.read(8), "little"))))

    dispatch: ClassVar = {
        **_PythonUnpickler.dispatch,
        pickle.BUILD[0]: load_build,
        pickle.BYTEARRAY8[0]: load_bytearray8,
    }

    def array_bytes(self, padding: Any, size: int) -> memoryview:
        """The bytes of an array; where there is padding, its length stands before."""
        if padding is not None:
            self.file.seek(int.from_bytes(self.file.read(1), "little"), io.SEEK_CUR)
        start = self.file.tell()
        found = self.file.getbuffer()[start : start + size]
        if len(found) < size:
            raise pickle.UnpicklingError("an array is cut off")
        self.file.seek(size, io.SEEK_CUR)
        return found


def _is_wrapper(kind: Global) -> bool:
    """Whether the class describes an array of joblib, whose bytes follow."""
    return (kind.module.rpartition(".")[2], kind.name) == ARRAY_WRAPPER


def _count(shape: Any) -> int:
    """The items of an array."""
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise pickle.UnpicklingError("an array of no shape")
    return math.prod(shape)


_MAKING: Final = (
    pickle.REDUCE + pickle.NEWOBJ + pickle.NEWOBJ_EX + pickle.OBJ + pickle.INST + pickle.BUILD
)


def _checked(load: Callable[[Any], None]) -> Callable[[Any], None]:
    """An opcode that makes something, which must not lead into memory that is no object."""

    def run(reader: Any) -> None:
        load(reader)
        made = reader.stack[-1]
        if isinstance(made, np.dtype) and _holds_objects(made) and not made.hasobject:
            raise pickle.UnpicklingError("a dtype hides its objects")
        if isinstance(made, np.ndarray) and made.dtype.hasobject:
            while isinstance(made, np.ndarray):
                made = made.base
            if made is not None:
                raise pickle.UnpicklingError("an array takes bytes for objects")

    return run


def _holds_objects(dtype: Any) -> bool:
    """What `hasobject` should say. A pickle may set it otherwise."""
    if dtype.subdtype is not None:
        return _holds_objects(dtype.subdtype[0])
    if dtype.fields is not None:
        return any(_holds_objects(field[0]) for field in dtype.fields.values())
    return bool(dtype.hasobject)


class _Loader(_Reader):
    """Makes the objects."""

    def __init__(
        self, file: io.BytesIO, trust: Trust, encoding: str, outer: _Loader | None = None
    ) -> None:
        super().__init__(file, encoding, outer)
        self._trust = trust

    def resolve(self, named: Global) -> Any:
        return self._trust.resolve(*named)

    def array_behind(self, built: Any) -> Any:
        kind = type(built)
        if not _is_wrapper(Global(kind.__module__, kind.__name__)):
            return built
        state = vars(built)
        dtype = state.get("dtype")
        if not isinstance(dtype, np.dtype):
            raise pickle.UnpicklingError("an array of no dtype")
        if dtype.hasobject:
            return _Loader(self.file, self._trust, self.encoding, self).load()
        count = _count(state.get("shape"))
        padding = state.get("numpy_array_alignment_bytes")
        found = self.array_bytes(padding, count * dtype.itemsize)
        try:
            array = np.ndarray(count, dtype, found).copy()
            array = array.reshape(state["shape"], order="F" if state.get("order") == "F" else "C")
        except (ValueError, OverflowError) as error:
            raise pickle.UnpicklingError("an array of no shape") from error
        return array.view(np.matrix) if state.get("subclass") is np.matrix else array

    dispatch: ClassVar = {
        **_Reader.dispatch,
        **{code: _checked(_Reader.dispatch[code]) for code in _MAKING},
    }


class _StandIn:
    """Stands for whatever was named: it may be called, built and filled, and does nothing."""

    named: ClassVar[Global | None] = None
    args: tuple[Any, ...]
    state: Any

    def __new__(cls, /, *args: Any, **kwargs: Any) -> _StandIn:
        made = super().__new__(cls)
        made.args = args
        made.state = None
        return made

    def __call__(self, /, *args: Any, **kwargs: Any) -> _StandIn:
        return _StandIn(*args)

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def append(self, *values: Any) -> None:
        pass

    extend = add = __setitem__ = append


class _Lister(_Reader):
    """Makes stand-ins, and notes the versions in their states."""

    def __init__(self, file: io.BytesIO, outer: _Lister | None = None) -> None:
        # Latin-1 reads any bytes that Python 2 wrote as a text.
        super().__init__(file, "latin1", outer)
        self.versions: dict[str, None] = {} if outer is None else outer.versions

    def resolve(self, named: Global) -> Any:
        return type("StandIn", (_StandIn,), {"named": named})

    def array_behind(self, built: Any) -> Any:
        if not isinstance(built, _StandIn):
            return built
        self._note_version(built.state)
        if not _wraps(built) or not isinstance(built.state, dict):
            return built
        size = _item_size(built.state.get("dtype"))
        if size is None:
            return _Lister(self.file, self).load()
        count = _count(built.state.get("shape"))
        self.array_bytes(built.state.get("numpy_array_alignment_bytes"), size * count)
        return built

    def _note_version(self, state: Any) -> None:
        for part in state if isinstance(state, tuple) else (state,):
            version = part.get(VERSION_KEY) if isinstance(part, dict) else None
            if isinstance(version, str) and VERSION.fullmatch(version):
                self.versions[version] = None


def _wraps(built: _StandIn) -> bool:
    """Whether it describes an array of joblib; old protocols rebuild it by a function."""
    kinds: list[Any] = [type(built), *(each for each in built.args if isinstance(each, type))]
    names = [getattr(kind, "named", None) for kind in kinds]
    return any(isinstance(name, Global) and _is_wrapper(name) for name in names)


def _item_size(dtype: Any) -> int | None:
    """The bytes of an item; None where they are objects, which come as a pickle."""
    if not isinstance(dtype, _StandIn) or not dtype.args:
        raise pickle.UnpicklingError("an array of no dtype")
    if not isinstance(dtype.args[0], str):
        return None  # To joblib, the texts of any length that numpy 2 has are objects.
    inner: list[Any] = []
    if isinstance(dtype.state, tuple) and len(dtype.state) > 4:
        subarray, fields = dtype.state[2], dtype.state[4]
        inner += [subarray[0]] if isinstance(subarray, tuple) else []
        inner += [field[0] for field in fields.values()] if isinstance(fields, dict) else []
    found = np.dtype(dtype.args[0])
    holds = found.hasobject or any(_item_size(each) is None for each in inner)
    return None if holds else found.itemsize
