"""A skops file as it lies there: a zip of `schema.json`, which is a tree of nodes, and of arrays.

A node says by `__loader__` how its object is made, and by `__module__` and `__class__` of what
class. https://skops.readthedocs.io/en/stable/persistence.html
"""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ..errors import UnreadableFile
from ..opcodes import Global
from ..reconstruct.blank import VERSION_KEY
from ..stand_ins import VERSION, Listing

Node = dict[str, Any]

SCHEMA: Final = "schema.json"
PROTOCOL: Final = 2
"""The newest way of writing that is read here: that of skops 0.13 to 0.16."""
NAME: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")

GENERATOR: Final = Global("numpy.random._pickle", "__generator_ctor")
RANDOM_STATE: Final = Global("numpy.random._pickle", "__randomstate_ctor")
_UNNAMED: Final = frozenset(
    {"JsonNode", "SliceNode", "BytesNode", "BytearrayNode", "SparseMatrixNode", "CachedNode"}
)
"""Nodes whose class is that of what they hold, whatever they say."""
_FIXED: Final = {
    "MaskedArrayNode": Global("numpy.ma", "MaskedArray"),
    "DTypeNode": Global("numpy", "dtype"),
    "RandomStateNode": RANDOM_STATE,
    "RandomGeneratorNode": GENERATOR,
    "PartialNode": Global("functools", "partial"),
    "TreeNode": Global("sklearn.tree._tree", "Tree"),
}
_PLAIN: Final = frozenset(
    ("builtins", name) for name in ("dict", "list", "tuple", "set", "str", "NoneType")
)


class Archive:
    """The members of a skops file, each of them read as often as a node asks for it."""

    def __init__(self, data: bytes) -> None:
        """
        Raises:
            UnreadableFile: it is no skops file, or of a protocol that is not known.
        """
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
            self.size = len(data) + sum(each.file_size for each in self._zip.infolist())
            schema = json.loads(self._zip.read(SCHEMA))
        except MemoryError:
            raise
        except KeyError as error:
            raise _no_skops(f"it is a zip without {SCHEMA}") from error
        except RecursionError as error:
            raise _no_skops("its objects lie too deep within each other") from error
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            raise _no_skops("it is no whole zip") from error
        except (ValueError, NotImplementedError, RuntimeError) as error:
            raise _no_skops(f"its {SCHEMA} is none") from error
        self.root = as_node(schema)
        self.protocol: int = _protocol(schema)

    def member(self, name: Any) -> bytes:
        """The bytes of a member.

        Raises:
            UnreadableFile: there is none of this name, or it is broken.
        """
        try:
            return self._zip.read(name)
        except MemoryError:
            raise
        except Exception as error:
            raise _no_skops("one of its arrays is not there or is broken") from error

    def listing(self) -> Listing:
        """What the nodes name, in the order of the first mention, and the versions in their
        states."""
        found: dict[Global, None] = {}
        versions: dict[str, None] = {}
        for node in _nodes(self.root):
            named = name_of(node)
            if named is not None:
                found[named] = None
            version = _version(node)
            if version is not None:
                versions[version] = None
        return Listing(tuple(found), tuple(versions))


def as_node(found: Any) -> Node:
    """A node of the schema.

    Raises:
        UnreadableFile: it is none.
    """
    if type(found) is not dict or not all(
        type(found.get(key)) is str for key in ("__loader__", "__module__", "__class__")
    ):
        raise _no_skops(f"its {SCHEMA} holds what is no node")
    return found


def name_of(node: Node) -> Global | None:
    """What a node names beyond Python's own containers and values.

    Raises:
        UnreadableFile: it cannot be a name.
    """
    loader, module, name = node["__loader__"], node["__module__"], node["__class__"]
    if loader in _UNNAMED:
        return None
    if loader in _FIXED:
        return _FIXED[loader]
    content = node.get("content")
    if loader == "FunctionNode" and isinstance(content, Mapping):  # protocol 0
        module, name = str(content.get("module_path")), str(content.get("function"))
    if loader == "MethodNode" and isinstance(content, Mapping):
        name = f"{name}.{content.get('func')}"
    if (module, name) in _PLAIN:
        return None
    if not NAME.fullmatch(module) or not NAME.fullmatch(name):  # They end in sentences.
        raise _no_skops("it names what cannot be a name")
    return Global(module, name)


def _nodes(root: Node) -> Iterator[Node]:
    """All nodes, each after what it stands in."""
    waiting: list[Any] = [root]
    while waiting:
        part = waiting.pop()
        if type(part) is dict:
            if "__loader__" in part:
                yield as_node(part)
            waiting += reversed(part.values())
        elif type(part) is list:
            waiting += reversed(part)


def _version(node: Node) -> str | None:
    """The version of scikit-learn in the state of an estimator."""
    content = node.get("content")
    state = content.get(VERSION_KEY) if node["__loader__"] == "DictNode" and content else None
    text = state.get("content") if isinstance(state, dict) else None
    version = text.strip('"') if isinstance(text, str) else ""
    return version if VERSION.fullmatch(version) else None


def _protocol(schema: Node) -> int:
    found = schema.get("protocol")
    if type(found) is not int or found < 0:
        raise _no_skops(f"its {SCHEMA} does not say which protocol it has")
    if found > PROTOCOL:
        raise UnreadableFile(
            f"this was written by skops with protocol {found}, and up to {PROTOCOL} are read here; "
            "write it with joblib.dump, or with an older skops: pip install 'skops<=0.16'."
        )
    return found


def _no_skops(reason: str) -> UnreadableFile:
    return UnreadableFile(
        f"this is no skops file: {reason}. Copy it again in binary mode, or write it again with "
        "skops.io.dump(pipeline, file)."
    )
