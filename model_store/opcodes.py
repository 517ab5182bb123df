"""The opcodes of a pickle, one after another, and the arrays that joblib puts between them.

Opcodes that only push plain data are those of Python's own reader; whatever names, calls, builds or
fills something is left to who reads. What refers outside of the file (extension codes, persistent
ids, buffers beside it) is refused.

Protocols: https://docs.python.org/3/library/pickletools.html. joblib: `joblib/numpy_pickle.py`.
"""

from __future__ import annotations

import _compat_pickle
import io
import pickle
from typing import Any, ClassVar, Final, NamedTuple

_PythonUnpickler: Any = pickle._Unpickler
"""The one that is written in Python: the other lets nobody in between two of its steps."""

_DATA: Final = (
    *(pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.POP, pickle.POP_MARK),
    *(pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.INT, pickle.BININT, pickle.BININT1),
    *(pickle.BININT2, pickle.LONG, pickle.LONG1, pickle.LONG4, pickle.FLOAT, pickle.BINFLOAT),
    *(pickle.STRING, pickle.BINSTRING, pickle.SHORT_BINSTRING, pickle.UNICODE, pickle.BINUNICODE),
    *(pickle.SHORT_BINUNICODE, pickle.BINUNICODE8, pickle.BINBYTES, pickle.SHORT_BINBYTES),
    *(pickle.BINBYTES8, pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2),
    *(pickle.TUPLE3, pickle.EMPTY_LIST, pickle.LIST, pickle.EMPTY_DICT, pickle.EMPTY_SET),
)
"""They push plain data, or put what is there into a tuple or a list."""


class Global(NamedTuple):
    """What a pickle names: a class or a function of a module. `name` may be dotted."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Reader(_PythonUnpickler):  # type: ignore[misc]
    """The walk through a pickle.

    `found` is what the names of the file stand for; a pickle within the file has that of the
    `outer` one.
    """

    def __init__(self, file: io.BytesIO, encoding: str, outer: Reader | None = None) -> None:
        super().__init__(file, encoding=encoding)
        self.file = file
        self.found: dict[Global, Any] = {} if outer is None else outer.found

    def resolve(self, named: Global) -> Any:
        """What is pushed for a name."""
        raise NotImplementedError

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
        return self.found[named]

    def get_extension(self, code: int) -> None:
        raise pickle.UnpicklingError("it uses extension codes, which only its writer knows")

    def load_reference(self) -> None:
        raise pickle.UnpicklingError("it uses persistent ids, which only its writer knows")

    def load_buffer(self) -> None:
        raise pickle.UnpicklingError("it uses buffers that do not lie in the file")

    def load_bytearray8(self) -> None:
        # The base class takes memory for whatever size is claimed.
        self.append(bytearray(self.read(int.from_bytes(self.read(8), "little"))))

    dispatch: ClassVar[dict[int, Any]] = {
        **{code[0]: _PythonUnpickler.dispatch[code[0]] for code in _DATA},
        pickle.BYTEARRAY8[0]: load_bytearray8,
        pickle.PERSID[0]: load_reference,
        pickle.BINPERSID[0]: load_reference,
        pickle.NEXT_BUFFER[0]: load_buffer,
        pickle.READONLY_BUFFER[0]: load_buffer,
        **{
            code[0]: _PythonUnpickler.dispatch[code[0]]
            for code in (pickle.GLOBAL, pickle.STACK_GLOBAL)
        },
        **{
            code[0]: _PythonUnpickler.dispatch[code[0]]
            for code in (pickle.EXT1, pickle.EXT2, pickle.EXT4)
        },
    }

    def array_bytes(self, padded: bool, size: int) -> memoryview:
        """The bytes of an array of joblib; where there is padding, its length stands before.

        Raises:
            UnpicklingError: there are fewer.
        """
        if padded:
            self.file.seek(int.from_bytes(self.file.read(1), "little"), io.SEEK_CUR)
        # The file's own buffer would be a copy of the whole, made while no other thread runs.
        found = self.file.read(max(size, 0))
        if len(found) != size:
            raise pickle.UnpicklingError("an array is cut off")
        return memoryview(found)
