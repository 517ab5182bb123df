"""What the views and their twins check alike: pure functions, which know no framework."""

from __future__ import annotations

from typing import Any, Final, NotRequired, TypedDict, cast

from ...inference import InvalidRequest
from ...protocols import json_body
from ...tasks.task import require_description, require_title

MAX_DIGITS: Final = 40
SHOWN: Final = 60
"""Characters of a wrong value that an error repeats."""


class NewTask(TypedDict):
    """A task that has no id yet, as a client sends it."""

    title: str
    description: NotRequired[str]


class Changes(TypedDict, total=False):
    """The fields of a task that a client wants otherwise."""

    title: str
    description: str
    done: bool


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


def new_task(body: str | bytes) -> NewTask:
    """The task in a JSON object; what else is in it is not looked at.

    Raises:
        InvalidRequest, InvalidTask: it has no title, or a field is of another type or too long.
    """
    sent = _fields(body, "title", "description")
    if "title" not in sent:
        raise InvalidRequest("title: expected a text, got nothing.")
    return cast(NewTask, sent)


def changes(body: str | bytes) -> Changes:
    """The fields to change, in a JSON object; what else is in it is not looked at.

    Raises:
        InvalidRequest, InvalidTask: a field is of another type or too long.
    """
    return cast(Changes, _fields(body, *KINDS))


def _fields(body: str | bytes, *names: str) -> dict[str, Any]:
    sent = json_body.parse_object(body.encode() if isinstance(body, str) else body)
    fields = {name: sent[name] for name in names if name in sent}
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
