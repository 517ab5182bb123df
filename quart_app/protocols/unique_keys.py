"""Refuse a JSON body in which an object that holds values has a key twice.

Parsers keep the last of two values, and some programs the first; a request must not mean one row
here and another one to whoever checked it before.

A key is followed by a colon, so a body has at least as many colons as its objects have keys. Where
the parsed objects have as many keys as the body has colons, none stood twice. Most bodies are so.
Any other (texts with colons, members that nobody counts, a key twice) is parsed once more, in a way
that remembers keys that repeat. Objects that nobody reads may repeat theirs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from ..inference import InvalidRequest

Objects = Callable[[Any], Sequence[Any]]
"""Finds the objects that hold values in a parsed body; other values among them are not looked at.
The body may be of any shape."""

SHOWN: Final = 60
"""Characters of a key that an error repeats."""

_SPACED: Final = re.compile(rb"[ \t\r\n]:")


class Repeating(dict[str, Any]):
    """An object in which keys stand twice: `again` are those, the first one first."""

    again: list[str]


def outermost(content: Any) -> Sequence[Any]:
    """The body itself, as the only object that holds values."""
    return (content,)


def members(content: Any, *names: str) -> Sequence[Any]:
    """An object, and the values of these members of it, or what those hold that are lists."""
    if not isinstance(content, dict):
        return ()
    found = [content]
    for name in names:
        if name in content:
            value = content[name]
            if type(value) is list:
                found += value
            else:
                found.append(value)
    return found


def narrowed(value: Any, names: Sequence[str]) -> Any:
    """An object of which only these members are read: the others may repeat."""
    if not isinstance(value, Repeating):
        return value
    again = [key for key in value.again if key in names]
    return _repeating(value, again) if again else None


def require(body: bytes, content: Any, objects: Objects) -> None:
    """Refuse a body, parsed as `content`, in which one of `objects` has a key twice.

    Raises:
        InvalidRequest: the key is named.
    """
    entries = 0
    for each in objects(content):
        if type(each) is dict:
            entries += len(each)
    if not has_entries(body, entries):
        require_by_parsing(body, objects)


def has_entries(body: bytes, entries: int) -> bool:
    """Whether a body surely has no more keys than `entries`; never True where it has."""
    if body.count(b":") == entries:
        return True
    return body.count(b'":') == entries and _SPACED.search(body) is None


def require_by_parsing(body: bytes, objects: Objects) -> None:
    """Do the same, exactly and slowly. The body is JSON, or lenient JSON.

    Raises:
        InvalidRequest: the key is named.
    """
    try:
        content = json.loads(
            body.decode("utf-8-sig"), object_pairs_hook=_object, parse_int=str, parse_float=str
        )
    except RecursionError:
        raise InvalidRequest("The JSON is nested too deeply.") from None
    for each in objects(content):
        if isinstance(each, Repeating):
            raise InvalidRequest(f"The key {_shown(each.again[0])} stands twice in one object.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    seen: set[str] = set()
    again = [key for key, _ in pairs if key in seen or seen.add(key)]  # type: ignore[func-returns-value]
    return _repeating(members, again)


def _repeating(members: dict[str, Any], again: list[str]) -> Repeating:
    repeating = Repeating(members)
    repeating.again = again
    return repeating


def _shown(key: str) -> str:
    return repr(key if len(key) <= SHOWN else f"{key[:SHOWN]}…")
