"""What a pickle names, found out with stand-ins for all of it: nothing is imported or run."""

from __future__ import annotations

import io
import math
import pickle
import re
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from .carriers import is_importer
from .opcodes import Global, Reader
from .reconstruct.arrays import CODE
from .reconstruct.blank import VERSION_KEY

VERSION: Final = re.compile(r"[0-9][0-9A-Za-z.+]{0,40}")
ARRAY_WRAPPER: Final = ("numpy_pickle", "NumpyArrayWrapper")
"""Its class, and the end of its module: joblib once stood in `sklearn.externals` as well."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a file names, in the order of the first mention, and the versions of scikit-learn that
    stand in the states of its estimators. `imports` are modules that code in it imports by text.
    `guest` is the library that wrote a model in its own format, with its version, where that says
    which."""

    globals: tuple[Global, ...]
    versions: tuple[str, ...]
    imports: tuple[str, ...] = ()
    guest: str | None = None


class StandIn:
    """Stands for whatever was named: it may be called, built and filled, and does nothing."""

    named: ClassVar[Global | None] = None
    args: tuple[Any, ...]
    state: Any

    def __new__(cls, /, *args: Any, **kwargs: Any) -> StandIn:
        made = super().__new__(cls)
        made.args = args
        made.state = None
        return made

    def __call__(self, /, *args: Any, **kwargs: Any) -> StandIn:
        return StandIn(*args)

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def append(self, *values: Any) -> None:
        pass

    extend = add = __setitem__ = append


class Lister(Reader):
    """Makes stand-ins, and notes the versions in their states."""

    def __init__(self, file: io.BytesIO, outer: Lister | None = None) -> None:
        # Latin-1 reads any bytes that Python 2 wrote as a text.
        super().__init__(file, "latin1", outer)
        self.versions: dict[str, None] = {} if outer is None else outer.versions
        self.imports: dict[str, None] = {} if outer is None else outer.imports

    @property
    def listing(self) -> Listing:
        """What was found so far."""
        return Listing(tuple(self.found), tuple(self.versions), tuple(self.imports))

    def resolve(self, named: Global) -> Any:
        return type("StandIn", (StandIn,), {"named": named})

    def load_newobj(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = _stand_in(self.stack[-1], args)

    def load_newobj_ex(self) -> None:
        self.stack.pop()
        self.load_newobj()

    def load_reduce(self) -> None:
        args = self.stack.pop()
        called = self.stack[-1]
        if is_importer(getattr(called, "named", None)) and args and type(args[0]) is str:
            self.imports[args[0]] = None
        self.stack[-1] = called(*args)

    def load_setitem(self) -> None:
        value = self.stack.pop()
        key = self.stack.pop()
        _put(self.stack[-1], [key, value])

    def load_setitems(self) -> None:
        pairs = self.pop_mark()
        _put(self.stack[-1], pairs)

    def load_dict(self) -> None:
        pairs = self.pop_mark()
        made: dict[Any, Any] = {}
        _put(made, pairs)
        self.append(made)

    def load_members(self) -> None:
        self.pop_mark()

    def load_frozenset(self) -> None:
        self.pop_mark()
        self.append(frozenset())

    def load_build(self) -> None:
        if isinstance(self.stack[-2], type):
            raise pickle.UnpicklingError("it would change a class or function itself")
        super().load_build()
        built = self.stack[-1]
        if isinstance(built, StandIn):
            self._note_version(built.state)
            if _wraps(built) and isinstance(built.state, dict):
                self._pass_array(built.state)

    dispatch: ClassVar[dict[int, Any]] = {
        **pickle._Unpickler.dispatch,
        **Reader.dispatch,
        pickle.NEWOBJ[0]: load_newobj,
        pickle.NEWOBJ_EX[0]: load_newobj_ex,
        pickle.REDUCE[0]: load_reduce,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.DICT[0]: load_dict,
        pickle.ADDITEMS[0]: load_members,
        pickle.FROZENSET[0]: load_frozenset,
        pickle.BUILD[0]: load_build,
    }

    def _pass_array(self, state: dict[Any, Any]) -> None:
        """Go behind an array, whose contents follow."""
        size = _item_size(state.get("dtype"))
        if size is None:
            Lister(self.file, self).load()
        else:
            padded = state.get("numpy_array_alignment_bytes") is not None
            self.array_bytes(padded, size * _count(state.get("shape")))

    def _note_version(self, state: Any) -> None:
        for part in state if isinstance(state, tuple) else (state,):
            version = part.get(VERSION_KEY) if isinstance(part, dict) else None
            if isinstance(version, str) and VERSION.fullmatch(version):
                self.versions[version] = None


def _put(made: Any, pairs: list[Any]) -> None:
    """Keep what has a text for its key. A file may have keys whose hash takes without an end."""
    if type(made) is dict:
        made.update(
            pair for pair in zip(pairs[::2], pairs[1::2], strict=False) if type(pair[0]) is str
        )


def _stand_in(kind: Any, args: Any) -> StandIn:
    """For an object of a class, which may itself have been made by what a file calls."""
    made: StandIn = (kind if isinstance(kind, type) else StandIn)(*args)
    return made


def _wraps(built: StandIn) -> bool:
    """Whether it describes an array of joblib; old protocols rebuild it by a function."""
    kinds: list[Any] = [type(built), *(each for each in built.args if isinstance(each, type))]
    names = [getattr(kind, "named", None) for kind in kinds]
    return any(
        isinstance(name, Global) and (name.module.rpartition(".")[2], name.name) == ARRAY_WRAPPER
        for name in names
    )


def _count(shape: Any) -> int:
    """The items of an array."""
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise pickle.UnpicklingError("an array of no shape")
    return math.prod(shape)


def _item_size(dtype: Any) -> int | None:
    """The bytes of an item; None where they are objects, which come as a pickle."""
    if not isinstance(dtype, StandIn) or not dtype.args:
        raise pickle.UnpicklingError("an array of no dtype")
    code = dtype.args[0]
    if not isinstance(code, str):
        return None  # To joblib, the texts of any length that numpy 2 has are objects.
    if not CODE.fullmatch(code):
        raise pickle.UnpicklingError("an array of no dtype")
    inner: list[Any] = []
    if isinstance(dtype.state, tuple) and len(dtype.state) > 4:
        subarray, fields = dtype.state[2], dtype.state[4]
        inner += [subarray[0]] if isinstance(subarray, tuple) else []
        inner += [field[0] for field in fields.values()] if isinstance(fields, dict) else []
    found = np.dtype(code)
    holds = found.hasobject or any(_item_size(each) is None for each in inner)
    return None if holds else found.itemsize
