"""A JSON body as Python values, read alike by every protocol that speaks JSON."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

from ..inference import InvalidRequest

Body = TypeVar("Body")


def parse(body: bytes, expected: str) -> Any:
    """The values in a JSON body; `expected` says in words what should be there.

    Raises:
        InvalidRequest: it is empty or no JSON.
    """
    if not body.strip():
        raise InvalidRequest(f"Expected {expected}, got an empty body.")
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        raise InvalidRequest("The JSON is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _parse_leniently(body, error)


def parse_object(body: bytes) -> dict[str, Any]:
    """The members of a JSON object.

    Raises:
        InvalidRequest: it is none.
    """
    content = parse(body, "a JSON object")
    if not isinstance(content, dict):
        raise InvalidRequest(f"Expected a JSON object, got {kind(content)}.")
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


def _parse_leniently(body: bytes, error: Exception) -> Any:
    """Read what many clients send as JSON and is none: a bare NaN or Infinity, a byte order mark,
    a number beyond a float. Then the signature can name the field that has it."""
    try:
        content = json.loads(body.decode("utf-8-sig"))
        json.dumps(content, ensure_ascii=False).encode()  # raises where a surrogate stands alone
        return content
    except RecursionError:
        raise InvalidRequest("The JSON is nested too deeply.") from None
    except UnicodeDecodeError as undecodable:
        raise InvalidRequest(f"The body is not UTF-8 at byte {undecodable.start}.") from None
    except ValueError:
        reason = str(error).split(" - at ")[0]  # msgspec's path holds no name or index
        raise InvalidRequest(f"The body is not JSON: {reason}.") from None
