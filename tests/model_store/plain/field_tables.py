"""The fields of all nodes, as docs/plain-form.md has them."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import numpy as np

from model_store.plain.background import Background
from model_store.plain.form import Form, Span
from model_store.plain.kinds import kind_names, kind_of
from model_store.plain.node import Label, Node, Predictor, Transform

_WORDS: Final[dict[Any, str]] = {
    Predictor: "predictor",
    Transform: "transform",
    Label: "label",
    int: "integer",
    float: "number",
    str: "text",
    bool: "truth",
    type(None): "null",
    None: "null",
}


def heading(name: str) -> str:
    """Under which a struct stands: a part of nodes says that it is one."""
    return f"`{name}`" if kind_of(name) else f"`{name}`, a part"


def _anchor(name: str) -> str:
    return name.lower() if kind_of(name) else f"{name.lower()}-a-part"


def documented() -> dict[str, type]:
    """All structs that stand in a header, by the names that they have in the document: nodes by
    their kinds, others by their classes."""
    found: dict[str, type] = {"Form": Form, "Span": Span, "Background": Background}
    for kind in kind_names():
        node = kind_of(kind)
        assert node is not None
        found[kind] = node
        found.update({part.__name__: part for part in parts(node)})
    return found


def parts(node: type) -> list[type]:
    """The structs within a node that are no nodes, and those within them."""
    found: list[type] = []
    waiting = [node]
    while waiting:
        inner = [part for hint in hints(waiting.pop()).values() for part in _structs(hint)]
        new = [part for part in dict.fromkeys(inner) if part not in found]
        found += new
        waiting += new
    return found


def _structs(hint: Any) -> Iterator[type]:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        yield hint
    for inner in get_args(hint):
        yield from _structs(inner)


def hints(struct: type) -> dict[str, Any]:
    """The type of each field."""
    found = get_type_hints(struct)
    return {field.encode_name: found[field.name] for field in msgspec.structs.fields(struct)}


def table(struct: type) -> str:
    """A table of the fields, first of that by which a part is told from others in its place."""
    fields = msgspec.structs.fields(struct)
    lines = ["| field | type | where it is left out |", "| --- | --- | --- |"]
    tag: Any = struct.__struct_config__  # type: ignore[attr-defined]
    if tag.tag is not None and not issubclass(struct, Node):
        lines.append(f'| `{tag.tag_field}` | `"{tag.tag}"` | |')
    for field, (name, hint) in zip(fields, hints(struct).items(), strict=True):
        default = _default(field)
        lines.append(f"| `{name}` | {described(hint)} | {default}{' ' if default else ''}|")
    return "\n".join(lines)


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default is not msgspec.NODEFAULT:
        return f"`{msgspec.json.encode(field.default).decode()}`"
    if field.default_factory is not msgspec.NODEFAULT:
        return f"`{msgspec.json.encode(field.default_factory()).decode()}`"
    return ""


def described(hint: Any) -> str:
    """A type in words."""
    try:
        if hint in _WORDS:
            return _WORDS[hint]
    except TypeError:  # what cannot be hashed
        pass
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return described(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{msgspec.json.encode(each).decode()}`" for each in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(described(each) for each in arguments)
    if origin is list:
        return f"list of {described(arguments[0])}"
    if origin is tuple and arguments[-1] is not Ellipsis:
        return "list of: " + ", ".join(described(each) for each in arguments)
    if origin is dict:
        return f"object of {described(arguments[1])}"
    if origin is np.ndarray:
        return "array"
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return f"[{hint.__name__}](#{_anchor(hint.__name__)})"
    raise TypeError(f"there are no words for {hint}")
