"""A JSON body as Python values, read alike by every protocol that speaks JSON."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from ..inference import InvalidRequest, RequestTooLarge
from . import unique_keys
from .unique_keys import Objects, outermost

Body = TypeVar("Body")

CONTAINERS: Final = 100_000
"""Lists and objects that a body may hold, and one more for each ten bytes above a million. Parsing
keeps the interpreter to itself, in a thread as well, and as many small ones as fit into 1 MiB keep
it for 0.1 s."""

BYTES_PER_CONTAINER: Final = 10

BEGINNING: Final = 16 * 1024
"""Bytes at the beginning of a body that show whether it is nested too deeply, mostly."""

_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


def parse(body: bytes, expected: str, objects: Objects) -> Any:
    """The values in a JSON body; `expected` says in words what should be there.

    Raises:
        InvalidRequest: it is empty or no JSON, or one of `objects` has a key twice.
        RequestTooLarge: it holds too many lists and objects. Brackets in texts count as well.
    """
    if not body.strip():
        raise InvalidRequest(f"Expected {expected}, got an empty body.")
    try:
        _require_few(body)
        content = msgspec.json.decode(body)
    except RecursionError:
        raise InvalidRequest("The JSON is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        content = _parse_leniently(body, error)
    unique_keys.require(body, content, objects)
    return content


def parse_object(body: bytes, objects: Objects = outermost) -> dict[str, Any]:
    """The members of a JSON object.

    Raises:
        InvalidRequest: it is none, or one of `objects` has a key twice.
    """
    content = parse(body, "a JSON object", objects)
    if not isinstance(content, dict):
        raise InvalidRequest(f"Expected a JSON object, got {kind(content)}.")
    return content


def parse_as(
    body: bytes,
    decoder: msgspec.json.Decoder[Body],
    entries: Callable[[Body], int],
    objects: Objects,
) -> Body:
    """A JSON body as the msgspec structure of `decoder`, in one pass.

    A body that this pass refuses is read again by `parse_object` and `convert`: they take what is
    lenient JSON, and say what is wrong. `entries` says how many keys a structure was surely made
    of, `objects` finds in parsed JSON those objects that may have no key twice.

    Raises:
        InvalidRequest, RequestTooLarge: as those two.
    """
    try:
        _require_few(body)
        if not body.isascii():
            body.decode()  # the decoder skips unknown members without a look at their UTF-8
        content = decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return convert(parse_object(body, objects), decoder.type)
    if not unique_keys.has_entries(body, entries(content)):
        unique_keys.require_by_parsing(body, objects)
    return content


def convert(content: Any, type_: type[Body]) -> Body:
    """Parsed values as a msgspec structure.

    Raises:
        InvalidRequest: a member is absent or of another type; its path is named.
    """
    try:
        return msgspec.convert(content, type_)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The body is not of this protocol: {error}.") from None


def kind(value: object) -> str:
    """What a JSON value is, in words."""
    kinds = {
        str: "a text",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "an object",
    }
    return "null" if value is None else kinds.get(type(value), "something else")


def _require_few(body: bytes) -> None:
    most = max(CONTAINERS, len(body) // BYTES_PER_CONTAINER)
    if len(body) > most and body.count(b"[") + body.count(b"{") > most:
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            msgspec.json.decode(body[:BEGINNING])  # a RecursionError says more
        raise RequestTooLarge(
            f"A body of this length may have {most} lists and objects; send fewer rows at once."
        )


def _parse_leniently(body: bytes, error: Exception) -> Any:
    """Read what many clients send as JSON and is none: a bare NaN or Infinity, a byte order mark,
    a number beyond a float. Then the signature can name the field that has it."""
    try:
        content = json.loads(body.decode("utf-8-sig"))
        if _SURROGATE.search(body):
            json.dumps(content, ensure_ascii=False).encode()  # raises where one stands alone
        return content
    except RecursionError:
        raise InvalidRequest("The JSON is nested too deeply.") from None
    except UnicodeDecodeError as undecodable:
        raise InvalidRequest(f"The body is not UTF-8 at byte {undecodable.start}.") from None
    except ValueError:
        reason = str(error).split(" - at ")[0]  # msgspec's path holds no name or index
        raise InvalidRequest(f"The body is not JSON: {reason}.") from None
