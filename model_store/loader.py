"""Reading a pickle so that it makes data and never acts.

Whatever an opcode would call is looked up in the table (`reconstruct/table.py`): a row is called in
its own form, of a class without a row an empty object is made, and nothing else is called. Items go
into what is a list, a dict or a set, and states into what was made empty here.

An operator may allow more (`Trust`). What was allowed by name, and what comes of it, is called as
the file says: then to read the file may run code.
"""

from __future__ import annotations

import collections
import io
import pickle
from collections.abc import Callable
from typing import Any, ClassVar, Final

import numpy as np

from .opcodes import Global, Reader
from .reconstruct import arrays, blank
from .reconstruct.plain import is_key
from .reconstruct.row import Named, Row, Unbuilt, refuse, shown
from .reconstruct.table import NEW, NEW_OBJECT, NEW_OBJECT_EX, Described
from .room import Room
from .trust import Trust

DEPTH: Final = 50
"""Pickles within pickles, as joblib writes them for arrays of objects."""
_FILLED: Final = (list, dict, set)


def _size_of(file: io.BytesIO) -> int:
    """The bytes of a file that is read from its beginning. Its own buffer would be a copy of all of
    them, made while no other thread runs."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    return size


class Loader(Reader):
    """Makes the objects.

    `_bound` are the ids of what the default allows, which is called by the table alone; `_tokens`
    what stands in the table for such an id, where the thing itself was pushed; `_freed` what was
    made by calling something as the file says, by its id; `_whole` what was made by a row after
    which a state may follow. `_waiting` counts what waits for its state.
    """

    def __init__(
        self, file: io.BytesIO, trust: Trust, encoding: str, outer: Loader | None = None
    ) -> None:
        super().__init__(file, encoding, outer)
        self._trust = trust
        self._tokens: dict[int, Row | Named] = {} if outer is None else outer._tokens
        self._bound: set[int] = set() if outer is None else outer._bound
        self._depth: int = 0 if outer is None else outer._depth + 1
        self._freed: dict[int, Any] = {}
        self._whole: dict[int, tuple[Any, Row]] = {}
        self._room: Room = Room(_size_of(file)) if outer is None else outer._room
        self._waiting = 0

    def load(self) -> Any:
        """The object.

        Raises:
            Untrusted: something in the file is called, built or filled in another way than by the
                table, or names what is not allowed.
            LoadFailed: a row does not take what it is given.
            UnpicklingError: it is no pickle.
        """
        if self._depth > DEPTH:
            raise pickle.UnpicklingError("its arrays lie within each other without an end")
        made = super().load()
        if self._waiting or type(made) in (Named, Row, Unbuilt):
            refuse("ends before its objects are whole", "a state for each")
        return made

    def resolve(self, named: Global) -> Any:
        found = self._trust.resolve(*named)
        if self._trust.frees(*named):
            return found
        if isinstance(found, Row | Named) and (found.value or self._trust.acts):
            token, found = found, found.callable
            self._tokens[id(found)] = token
        self._bound.add(id(found))
        return found

    # Calls -----------------------------------------------------------------------

    def _call(self, what: Any, args: Any) -> Any:
        """What a file makes by a call, whatever its opcode."""
        token = what if type(what) in (Row, Named) else self._tokens.get(id(what))
        if type(token) is Named and token.name in NEW:
            return self._new(token, args)
        if self._is_free(what) or (token is not None and self._takes_free(token, args)):
            made = what(*args)
            self._freed[id(made)] = made
            return made
        self._room.take(args)
        if type(token) is Row:
            made = token.call(self._as_tokens(args))
            if type(made) is Unbuilt:
                self._waiting += 1
            elif token.unused is not None:
                self._whole[id(made)] = made, token
            return made
        if _is_class(what) and blank.is_record(what):
            return blank.record(what, args)
        if _is_class(what) and blank.is_plain(what):
            if type(args) is not tuple or args:
                refuse(f"calls {shown(what)} with {shown(args)}", "no arguments")
            return blank.make(what)
        refuse(f"calls {shown(what)}", "what is only named not to be called")

    def _new(self, what: Named, args: Any) -> Any:
        """An object of a class, as `copyreg` makes it, which old protocols name for that."""
        if type(args) is not tuple or not args:
            refuse(f"calls {what.name} with {shown(args)}", "a class")
        kind, *rest = args
        if what.name == NEW_OBJECT:
            return self._create(kind, tuple(rest))
        if len(rest) != 2:
            refuse(f"calls {what.name} with {shown(args)}", "a class and what it is made of")
        if what.name == NEW_OBJECT_EX:
            return self._create(kind, *rest)
        base, items = rest
        if base is tuple:
            return self._create(kind, items)
        made = self._create(kind, ())
        if items is not None:
            if base is not dict or type(items) is not dict or not isinstance(made, dict):
                refuse(f"makes {shown(kind)} of {shown(items)}", "nothing, or a dict")
            self._room.take(items)
            for key, value in items.items():
                blank.put(made, key, value)
        return made

    def _create(self, kind: Any, args: Any, keywords: Any = None) -> Any:
        """A new object of a class, without its `__init__`."""
        if self._is_free(kind) and _is_class(kind):
            return kind.__new__(kind, *args, **(keywords or {}))
        if keywords:
            refuse(f"calls {shown(kind)} with named arguments", "arguments in their order")
        return self._call(kind, args)

    def _is_free(self, what: Any) -> bool:
        """Whether the operator allowed it, or it came of what was allowed."""
        return self._trust.acts and id(what) not in self._bound and type(what) not in (Named, Row)

    def _takes_free(self, token: Row | Named, args: Any) -> bool:
        """Whether what the default allows is called with a class that the operator allowed."""
        return (
            type(token) is Row
            and self._trust.acts
            and type(args) is tuple
            and any(_is_class(each) and self._is_free(each) for each in args)
        )

    def _as_tokens(self, parts: Any) -> Any:
        """The parts, with what stands in the table for them, if anything does: as they are where
        nothing is allowed beyond it."""
        if not self._trust.acts:
            return parts
        if type(parts) is tuple:
            return tuple(map(self._as_token, parts))
        if type(parts) is dict:
            return {name: self._as_token(each) for name, each in parts.items()}
        return parts

    def _as_token(self, part: Any) -> Any:
        token = self._tokens.get(id(part))
        return part if token is None or token.value else token

    def load_reduce(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = self._call(self.stack[-1], args)

    def load_newobj(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = self._create(self.stack[-1], args)

    def load_newobj_ex(self) -> None:
        keywords = self.stack.pop()
        args = self.stack.pop()
        self.stack[-1] = self._create(self.stack[-1], args, keywords)

    def load_inst(self) -> None:
        module = self.readline()[:-1].decode("ascii")
        name = self.readline()[:-1].decode("ascii")
        self.append(self._call(self.find_class(module, name), tuple(self.pop_mark())))

    def load_obj(self) -> None:
        kind, *args = self.pop_mark()
        self.append(self._call(kind, tuple(args)))

    # States ----------------------------------------------------------------------

    def load_build(self) -> None:
        state = self.stack.pop()
        made = self.stack[-1]
        if type(made) is Unbuilt:
            self._waiting -= 1
            self._put_in_place(made, self._finished(made, state))
        elif id(made) in self._whole:
            self._whole[id(made)][1].pass_over(state)
        elif id(made) in self._bound:  # It belongs to the whole process.
            refuse(f"would change {shown(made)} itself", "an object")
        elif id(type(made)) in self._bound and blank.is_plain(type(made)):
            self._room.take(state)
            blank.fill(made, state)
        elif id(made) in self._freed or (self._trust.acts and id(type(made)) not in self._bound):
            self.append(state)
            super().load_build()
        else:
            refuse(f"gives {shown(made)} a state", "an object that has attributes")

    def _finished(self, unbuilt: Unbuilt, state: Any) -> Any:
        self._room.take(state)
        made = unbuilt.row.finish(unbuilt.args, self._as_tokens(state))
        return self._array(made) if type(made) is Described else made

    def _put_in_place(self, unbuilt: Unbuilt, made: Any) -> None:
        self.stack[-1] = made
        for place in unbuilt.places:
            if self.memo.get(place) is unbuilt:
                self.memo[place] = made

    def _array(self, described: Described) -> Any:
        """The array of joblib that follows."""
        kind, shape = described.dtype, described.shape
        if kind.hasobject:
            made = Loader(self.file, self._trust, self.encoding, self).load()
            if not isinstance(made, np.ndarray) or made.dtype != kind:
                refuse("has an array of objects hold none", f"an array of {kind}")
            return made
        count = 1
        for size in shape:
            count *= size
        data = self.array_bytes(described.padded, count * kind.itemsize)
        return arrays.as_named(
            arrays.of_bytes(kind, shape, data, described.order), described.subclass
        )

    # Items -----------------------------------------------------------------------

    def load_append(self) -> None:
        value = self.stack.pop()
        self._extend(self.stack[-1], [value])

    def load_appends(self) -> None:
        values = self.pop_mark()
        self._extend(self.stack[-1], values)

    def _extend(self, made: Any, values: list[Any]) -> None:
        if type(made) is list or type(made) is collections.deque or self._acts_on(made):
            made.extend(values)
        else:
            refuse(f"gives {shown(made)} items", "a list")

    def load_setitem(self) -> None:
        value = self.stack.pop()
        key = self.stack.pop()
        self._set(self.stack[-1], [key, value])

    def load_setitems(self) -> None:
        pairs = self.pop_mark()
        self._set(self.stack[-1], pairs)

    def _set(self, made: Any, pairs: list[Any]) -> None:
        keys, values = pairs[::2], pairs[1::2]
        if type(made) is dict or self._acts_on(made):
            require_keys(keys)
            for key, value in zip(keys, values, strict=True):
                made[key] = value
        elif type(made) is collections.OrderedDict:
            require_keys(keys)
            made.update(zip(keys, values, strict=True))
        elif isinstance(made, dict):
            require_keys(keys)
            for key, value in zip(keys, values, strict=True):
                blank.put(made, key, value)
        else:
            refuse(f"gives {shown(made)} items", "a dict")

    def load_dict(self) -> None:
        pairs = self.pop_mark()
        made: dict[Any, Any] = {}
        self._set(made, pairs)
        self.append(made)

    def load_additems(self) -> None:
        values = self.pop_mark()
        made = self.stack[-1]
        if type(made) is not set:
            refuse(f"gives {shown(made)} members", "a set")
        require_keys(values)
        made.update(values)

    def load_frozenset(self) -> None:
        values = self.pop_mark()
        require_keys(values)
        self.append(frozenset(values))

    def _acts_on(self, made: Any) -> bool:
        """Whether it came of what the operator allowed."""
        return (
            self._trust.acts
            and type(made) not in (Named, Row, Unbuilt, *_FILLED)
            and id(type(made)) not in self._bound
            and type(made).__module__.partition(".")[0] not in ("builtins", "numpy")
        )

    # The memo --------------------------------------------------------------------

    def _remember(self, place: int) -> None:
        value = self.stack[-1]
        if type(value) is Unbuilt:
            value.places.append(place)
        self.memo[place] = value

    def _recall(self, place: int) -> None:
        if place not in self.memo:
            raise pickle.UnpicklingError("it refers to what it does not hold")
        value = self.memo[place]
        if type(value) is Unbuilt:
            refuse(f"refers to a {value.row.name} before its state", "the whole")
        self.append(value)

    def load_put(self) -> None:
        place = int(self.readline()[:-1])
        if place < 0:
            raise pickle.UnpicklingError("it refers to what it does not hold")
        self._remember(place)

    def load_binput(self) -> None:
        self._remember(self.read(1)[0])

    def load_long_binput(self) -> None:
        self._remember(int.from_bytes(self.read(4), "little"))

    def load_memoize(self) -> None:
        self._remember(len(self.memo))

    def load_get(self) -> None:
        self._recall(int(self.readline()[:-1]))

    def load_binget(self) -> None:
        self._recall(self.read(1)[0])

    def load_long_binget(self) -> None:
        self._recall(int.from_bytes(self.read(4), "little"))

    def load_dup(self) -> None:
        if type(self.stack[-1]) is Unbuilt:
            refuse(f"refers to a {self.stack[-1].row.name} before its state", "the whole")
        self.append(self.stack[-1])

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        **Reader.dispatch,
        **{
            code[0]: load
            for code, load in (
                (pickle.REDUCE, load_reduce),
                (pickle.NEWOBJ, load_newobj),
                (pickle.NEWOBJ_EX, load_newobj_ex),
                (pickle.OBJ, load_obj),
                (pickle.INST, load_inst),
                (pickle.BUILD, load_build),
                (pickle.APPEND, load_append),
                (pickle.APPENDS, load_appends),
                (pickle.SETITEM, load_setitem),
                (pickle.SETITEMS, load_setitems),
                (pickle.DICT, load_dict),
                (pickle.ADDITEMS, load_additems),
                (pickle.FROZENSET, load_frozenset),
                (pickle.PUT, load_put),
                (pickle.BINPUT, load_binput),
                (pickle.LONG_BINPUT, load_long_binput),
                (pickle.MEMOIZE, load_memoize),
                (pickle.GET, load_get),
                (pickle.BINGET, load_binget),
                (pickle.LONG_BINGET, load_long_binget),
                (pickle.DUP, load_dup),
            )
        },
    }


def _is_class(what: Any) -> bool:
    return issubclass(type(what), type)


def require_keys(keys: list[Any]) -> None:
    """Raises Untrusted where to look for a key would run what a class defines."""
    for key in keys:
        if type(key) is not str and not is_key(key):
            refuse(f"looks for {shown(key)} in a dict or a set", "a plain value")
