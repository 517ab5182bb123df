"""What the views and their twins check alike: pure functions, which know no framework."""

from __future__ import annotations

from typing import Any, Final, TypedDict

from ...inference import InvalidRequest
from ...protocols import json_body
from ...tasks import require_description, require_title

MAX_DIGITS: Final = 40
SHOWN: Final = 60
"""Characters of a wrong value that an error repeats."""


class Changes(TypedDict, total=False):
    """Fields of a task, as a client sends them."""

    title: str
    description: str
    done: bool


class NewTask(TypedDict, total=False):
    """Fields of a task that is not there yet; the title always is."""

    title: str
    description: str


KINDS: Final = {
    "title": (str, "a text"),
    "description": (str, "a text"),
    "done": (bool, "a boolean"),
}


def number_of(digits: str) -> int:
    """The number of the field `number`.

    Raises:
        InvalidRequest: it is not written in 1 to MAX_DIGITS digits.
    """
    digits = digits.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= MAX_DIGITS):
        raise InvalidRequest(f"number: expected 1 to {MAX_DIGITS} digits, got {_shown(digits)}.")
    return int(digits)


def new_task(body: bytes) -> NewTask:
    """The task in a JSON object. What else is in it is not looked at.

    Raises:
        InvalidRequest, InvalidTask: it has no title, or a field is of another type or too long.
    """
    sent = json_body.parse_object(body)
    if "title" not in sent:
        raise InvalidRequest("title: expected a text, got nothing.")
    fields = _fields(sent)
    fields.pop("done", None)
    return NewTask(**fields)


def changes(body: bytes) -> Changes:
    """The fields to change, in a JSON object. What else is in it is not looked at.

    Raises:
        InvalidRequest, InvalidTask: a field is of another type or too long.
    """
    return Changes(**_fields(json_body.parse_object(body)))


def _fields(sent: dict[str, Any]) -> Any:
    fields = {name: sent[name] for name in KINDS if name in sent}
    for name, value in fields.items():
        type_, expected = KINDS[name]
        if not isinstance(value, type_):
            raise InvalidRequest(f"{name}: expected {expected}, got {json_body.kind(value)}.")
    if "title" in fields:
        require_title(fields["title"])
    if "description" in fields:
        require_description(fields["description"])
    return fields


def _shown(text: str) -> str:
    if not text:
        return "nothing"
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")
