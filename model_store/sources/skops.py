"""skops files, read so that they make data and never act.

skops asks of each name whether it is trusted, and then calls it as the node says that names it: a
function that an estimator may hold would be called with whatever stands in a list. So its own
reader is not used, nor needed: nodes are made into objects as `loader.py` makes them of opcodes, by
the same table and in the same forms. Of what has no row there an empty object is made, and is given
its attributes.

What an operator allowed by name (`Trust`) is made as skops makes it: then to read the file may run
code.
"""

from __future__ import annotations

import io
import json
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

import numpy as np

from ..errors import LoadFailed, ModelStoreError, UnreadableFile, Untrusted
from ..loader import require_keys
from ..opcodes import Global
from ..reconstruct import arrays, blank
from ..reconstruct.row import Named, Row, Unbuilt, shown
from ..reconstruct.table import TABLE
from ..room import Room
from ..stand_ins import Listing
from ..trust import Trust
from .skops_archive import GENERATOR, RANDOM_STATE, SCHEMA, Archive, Node, as_node, name_of

__all__ = ["ENDING", "SCHEMA", "listing", "load"]

ENDING: Final = ".skops"

_SEEDS: Final = "numpy.random.bit_generator.SeedSequence"
_BITS: Final = "numpy.random._pickle.__bit_generator_ctor"
_TRUTHS: Final = {"true": True, "True": True, "false": False, "False": False}
_MAKING: Final = object()


def listing(data: bytes) -> Listing:
    """What a skops file names. Nothing of it is imported or run.

    Raises:
        UnreadableFile: it is none.
    """
    return Archive(data).listing()


def load(data: bytes, trust: Trust) -> Any:
    """The object in a skops file. Raises whatever a class raises that the operator allowed.

    Raises:
        Untrusted: it names what is not allowed, or makes of it what no estimator holds.
        LoadFailed: what it names is not there, or does not take what it is given.
        UnreadableFile: it is no skops file.
    """
    archive = Archive(data)
    try:
        return _Maker(archive, trust).made(archive.root)
    except (ModelStoreError, MemoryError):
        raise
    except RecursionError as error:
        raise UnreadableFile(
            "the objects of this skops file lie too deep within each other; write it with "
            "joblib.dump."
        ) from error
    except Exception as error:
        if trust.acts:
            raise
        raise UnreadableFile(
            "this is no skops file: a node lacks a part, or has another in its place. Write it "
            "again with skops.io.dump(pipeline, file)."
        ) from error


class _Maker:
    """Makes the objects, each once: `_made` has them by the ids that the file gives them."""

    def __init__(self, archive: Archive, trust: Trust) -> None:
        self._archive = archive
        self._trust = trust
        self._room = Room(archive.size)
        self._made: dict[Any, Any] = {}

    def made(self, found: Any) -> Any:
        """The object of a node."""
        node = as_node(found)
        saved = node.get("__id__")
        if type(saved) not in (int, str):
            return self._make(node)
        if saved not in self._made:
            self._made[saved] = _MAKING
            self._made[saved] = self._make(node)
        if self._made[saved] is _MAKING:
            _refuse("has an object that holds itself", "one that ends")
        return self._made[saved]

    def _make(self, node: Node) -> Any:
        maker = _MAKERS.get(node["__loader__"])
        if maker is None:
            _refuse(f"has a node of the kind {shown(node['__loader__'])}", "one that skops writes")
        return maker(self, node)

    def _all(self, found: Any) -> list[Any]:
        if type(found) is not list:
            _refuse(f"has {shown(found)} for items", "a list")
        return [self.made(each) for each in found]

    # What is named ---------------------------------------------------------------

    def _resolved(self, node: Node) -> tuple[Any, bool]:
        """What a node names, and whether the operator allowed it by name."""
        named = name_of(node) or Global(node["__module__"], node["__class__"])
        return self._trust.resolve(*named), self._trust.frees(*named)

    def _row(self, named: Global) -> Row:
        found = self._trust.resolve(*named)
        assert type(found) is Row
        return found

    def value(self, node: Node) -> Any:
        """A function or class that an object holds."""
        found, _ = self._resolved(node)
        if isinstance(found, Row | Named):
            if not found.value:
                _refuse(f"has an object hold {found.name}", "what an estimator may hold")
            return found.callable
        return found

    # Containers ------------------------------------------------------------------

    def dict(self, node: Node) -> Any:
        content = node["content"]
        kinds = self._all(as_node(node["key_types"])["content"])
        if len(kinds) != len(content):
            _refuse(f"has a dict of {len(content)} keys with {len(kinds)} types", "as many")
        keys = [_key(kind, text) for kind, text in zip(kinds, content, strict=True)]
        require_keys(keys)
        items = dict(zip(keys, map(self.made, content.values()), strict=True))
        named = Global(node["__module__"], node["__class__"])
        if named == ("builtins", "dict"):
            return items
        found, free = self._resolved(node)
        if free:
            made = found()
            for key, value in items.items():
                made[key] = value
            return made
        if isinstance(found, Row) and found.name.startswith("collections."):
            made = found.call(())
            made.update(items)
            return made
        if isinstance(found, type) and issubclass(found, dict) and blank.is_plain(found):
            made = blank.make(found)
            for key, value in items.items():
                blank.put(made, key, value)
            return made
        _refuse(f"makes a dict of {named}", "a class of dicts")

    def default_dict(self, node: Node) -> Any:
        content = node["content"]
        factory = self.made(content["default_factory"])
        made = self._row(Global("collections", "defaultdict")).call((factory,))
        made.update(self.made(content["main"]))
        return made

    def sequence(self, node: Node) -> Any:
        """A list or a set, or a tuple whose places may have names."""
        items = self._all(node["content"])
        named = (node["__module__"], node["__class__"])
        if named == ("builtins", "list"):
            return items
        if named == ("builtins", "tuple"):
            return tuple(items)
        if named == ("builtins", "set"):
            require_keys(items)
            return set(items)
        found, free = self._resolved(node)
        is_class = isinstance(found, type)
        if is_class and blank.is_record(found):
            return found(*items) if free else blank.record(found, tuple(items))
        if free:
            return found(items)
        _refuse(f"makes a container of {'.'.join(named)}", "a list, a tuple or a set")

    # numpy and scipy -------------------------------------------------------------

    def array(self, node: Node) -> Any:
        if node["type"] == "json":
            return self._objects(node)
        made = self._numbers(self._archive.member(node["file"]))
        found, _ = self._resolved(node)
        if isinstance(found, Named) and found.name in arrays.ARRAYS:
            return arrays.as_named(made, found)
        if isinstance(found, type) and issubclass(found, np.generic) and made.ndim == 0:
            return made[()] if type(made[()]) is found else made.astype(found)[()]
        _refuse(f"makes an array of {shown(found)}", "an array or a number of numpy")

    def _numbers(self, data: bytes) -> Any:
        """The array of a file of numpy, which holds no objects."""
        file = io.BytesIO(data)
        version = np.lib.format.read_magic(file)
        head = {(1, 0): np.lib.format.read_array_header_1_0}.get(
            version, np.lib.format.read_array_header_2_0
        )
        shape, fortran, kind = head(file)
        contents = file.getbuffer()[file.tell() :]
        self._room.take(data)
        return arrays.of_bytes(kind, shape, contents, "F" if fortran else "C")

    def _objects(self, node: Node) -> Any:
        shape = self.made(node["shape"])
        if type(shape) is not tuple or not all(type(n) is int and n >= 0 for n in shape):
            _refuse(f"has an array of the shape {shown(shape)}", "a tuple of numbers")
        if not shape:
            _refuse("has an array of one object without a shape", "a shape")
        items = self._all(node["content"])
        for _ in shape[1:]:
            if not all(type(row) is list for row in items):
                _refuse("has an array of objects without its rows", f"the shape {shown(shape)}")
            items = [each for row in items for each in row]
        self._room.take(items)
        return arrays.of_list(np.dtype(object), shape, items, "C")

    def masked(self, node: Node) -> Any:
        data, mask = (self.made(node["content"][part]) for part in ("data", "mask"))
        if type(data) is not np.ndarray or data.dtype.names is not None:
            _refuse(f"has a mask over {shown(data)}", "an array of plain values")
        whole = type(mask) is np.ndarray and mask.dtype == bool and mask.shape == data.shape
        if not whole and type(mask) is not np.bool_:
            _refuse(f"has the mask {shown(mask)}", "a truth for each value")
        return np.ma.MaskedArray(data, mask)

    def dtype(self, node: Node) -> Any:
        made = self.made(node["content"])
        if type(made) is not np.ndarray:
            _refuse(f"has the dtype of {shown(made)}", "that of an array")
        return made.dtype

    def random_state(self, node: Node) -> Any:
        return self._of_state(self._row(RANDOM_STATE), ("MT19937",), self.made(node["content"]))

    def generator(self, node: Node) -> Any:
        content = node["content"]
        state = self.made(content["bit_generator"])
        name = state.get("bit_generator") if type(state) is dict else None
        seeds = None
        if "seed_seq" in content:
            given = self.made(content["seed_seq"])
            rest = (given["n_children_spawned"], np.empty(0), given["pool_size"])
            entropy, key = given["entropy"], tuple(given["spawn_key"])
            row = TABLE["numpy.random.bit_generator.__pyx_unpickle_SeedSequence"]
            assert isinstance(row, Row)
            seeds = self._of_state(row, (TABLE[_SEEDS], 0, None), (entropy, *rest, key))
        row = TABLE[_BITS]
        assert isinstance(row, Row)
        bits = self._of_state(row, (name,), (state, seeds))
        return self._row(GENERATOR).call((bits,))

    def sparse(self, node: Node) -> Any:
        """A sparse matrix, which scipy makes of arrays that hold no objects."""
        import scipy.sparse

        data = self._archive.member(node["file"])
        self._room.take(data)
        try:
            return scipy.sparse.load_npz(io.BytesIO(data))
        except MemoryError:
            raise
        except Exception as error:
            raise LoadFailed("scipy does not take a sparse matrix of the file.") from error

    # Objects ---------------------------------------------------------------------

    def object(self, node: Node) -> Any:
        """An object of a class, made empty and given its state."""
        content = node.get("content")
        state = None if content is None else self.made(content)
        found, free = self._resolved(node)
        if free:
            return _restored(found.__new__(found), state)
        if isinstance(found, Named):
            module, _, _ = found.name.rpartition(".")
            row = TABLE.get(f"{module}.newObj")
            if isinstance(row, Row):
                return self._of_state(row, (found,), state)
        if isinstance(found, Row):
            return self._of_state(found, (), state)
        if isinstance(found, type) and blank.is_plain(found):
            self._room.take(state)
            made = blank.make(found)
            blank.fill(made, state)
            return made
        _refuse(f"makes an object of {shown(found)}", "a class of estimators or of their parts")

    def called(self, node: Node) -> Any:
        """An object that its class makes of some arguments."""
        args = self.made(node["content"])
        found, free = self._resolved(node)
        if free:
            return found(*args)
        if not isinstance(found, Row):
            _refuse(f"calls {shown(found)}", "what is only named not to be called")
        return self._called(found, args)

    def reduced(self, node: Node) -> Any:
        """The same with a state: a loss, or a forest of a package that was allowed by name."""
        args, state = self.made(node["__reduce__"]["args"]), self.made(node["content"])
        found, free = self._resolved(node)
        if free:
            return _restored(found(*args), state or None)
        if not isinstance(found, Row):
            _refuse(f"calls {shown(found)}", "what is only named not to be called")
        if found.state is not None:
            return self._of_state(found, args, state)
        if state not in ({}, ()):
            _refuse(f"gives {found.name} the state {shown(state)}", "none")
        return self._called(found, args)

    def partial(self, node: Node) -> Any:
        content = node["content"]
        function, args, keywords, namespace = (
            self.made(content[part]) for part in ("func", "args", "kwds", "namespace")
        )
        row = self._row(Global("functools", "partial"))
        return self._of_state(row, (function,), (function, args, keywords, namespace))

    def method(self, node: Node) -> Any:
        """A method of an object, which only an operator allows."""
        named = name_of(node)
        assert named is not None
        if not self._trust.frees(*named):
            raise Untrusted(f"The file names {named}, which is not allowed.")
        return getattr(self.made(node["content"]["obj"]), node["content"]["func"])

    def of_operator(self, node: Node) -> Any:
        """What looks up an attribute or an item, which only an operator allows."""
        found, free = self._resolved(node)
        if not free or node["__module__"] != "operator":
            raise Untrusted(f"The file names {name_of(node)}, which is not allowed.")
        assert getattr(operator, node["__class__"]) is found
        return found(*self.made(node["attrs"]))

    # Values ----------------------------------------------------------------------

    def json(self, node: Node) -> Any:
        return json.loads(node["content"])

    def slice(self, node: Node) -> Any:
        edges = tuple(node["content"][part] for part in ("start", "stop", "step"))
        return self._called(self._row(Global("builtins", "slice")), edges)

    def bytes(self, node: Node) -> Any:
        data = self._archive.member(node["file"])
        self._room.take(data)
        return data

    def byte_array(self, node: Node) -> Any:
        return bytearray(self.bytes(node))

    def seen(self, node: Node) -> Any:
        _refuse("refers to an object that it does not hold", "one that came before")

    # Rows ------------------------------------------------------------------------

    def _called(self, row: Row, args: Any) -> Any:
        self._room.take(args)
        made = row.call(args)
        if type(made) is Unbuilt:
            _refuse(f"makes a {row.name} without a state", "a state")
        return made

    def _of_state(self, row: Row, args: Any, state: Any) -> Any:
        """What a row makes of arguments and a state."""
        self._room.take(args)
        self._room.take(state)
        made = row.call(args)
        if type(made) is not Unbuilt:
            _refuse(f"gives {row.name} a state", "none")
        return row.finish(args, state)


_MAKERS: Final[Mapping[str, Callable[[_Maker, Node], Any]]] = {
    "BytearrayNode": _Maker.byte_array,
    "BytesNode": _Maker.bytes,
    "CachedNode": _Maker.seen,
    "ConstructorFromReduceNode": _Maker.called,
    "DTypeNode": _Maker.dtype,
    "DefaultDictNode": _Maker.default_dict,
    "DictNode": _Maker.dict,
    "FunctionNode": _Maker.value,
    "JsonNode": _Maker.json,
    "ListNode": _Maker.sequence,
    "LossNode": _Maker.reduced,
    "MaskedArrayNode": _Maker.masked,
    "MethodNode": _Maker.method,
    "NdArrayNode": _Maker.array,
    "ObjectNode": _Maker.object,
    "OperatorFuncNode": _Maker.of_operator,
    "PartialNode": _Maker.partial,
    "QuantileForestNode": _Maker.reduced,
    "RandomGeneratorNode": _Maker.generator,
    "RandomStateNode": _Maker.random_state,
    "SetNode": _Maker.sequence,
    "SliceNode": _Maker.slice,
    "SparseMatrixNode": _Maker.sparse,
    "TreeNode": _Maker.reduced,
    "TupleNode": _Maker.sequence,
    "TypeNode": _Maker.value,
}


def _key(kind: Any, text: str) -> Any:
    """The key of a dict, of which JSON has a text."""
    if kind is type(None):
        return None
    if kind in (bool, np.bool_):
        if text not in _TRUTHS:
            _refuse(f"has the key {shown(text)}", "true or false")
        return kind(_TRUTHS[text])
    if kind in (str, int, float):
        return kind(text)
    if isinstance(kind, type) and issubclass(kind, np.integer):
        return kind(int(text))
    if isinstance(kind, type) and issubclass(kind, np.floating | np.str_):
        return kind(text)
    _refuse(f"has a key of the class {shown(kind)}", "a text or a number")


def _restored(made: Any, state: Any) -> Any:
    """An object of a class that the operator allowed, with its state, as skops gives it."""
    if state is not None:
        if hasattr(made, "__setstate__"):
            made.__setstate__(state)
        else:
            made.__dict__.update(state)
    return made


def _refuse(what: str, expected: str) -> NoReturn:
    raise Untrusted(f"The file {what}, which skops does not write: expected {expected}.")
