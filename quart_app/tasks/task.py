"""A task of the tour: what it may hold, and what can go wrong with one."""

from __future__ import annotations

from typing import Final

import msgspec

MAX_TITLE: Final = 200
MAX_DESCRIPTION: Final = 10_000
MAX_TASKS: Final = 1_000
"""All are listed at once and anybody may add some, so more are not kept."""

MAX_ID: Final = 2**63 - 1


class Task(msgspec.Struct, frozen=True):
    """Something to do. Ids count from 1 and are not used twice."""

    id: int
    title: str
    description: str = ""
    done: bool = False


class TasksError(Exception):
    """What was asked of the tasks was not done."""


class TaskNotFound(TasksError):
    """There is no task with this id."""

    def __init__(self, id: int) -> None:
        super().__init__("There is no such task.")
        self.id = id


class InvalidTask(TasksError):
    """A title or a description that is not kept."""


class TooManyTasks(TasksError):
    """There are as many tasks as are kept."""

    def __init__(self) -> None:
        super().__init__(f"There are {MAX_TASKS} tasks, and no more are kept: remove one first.")


class TasksUnavailable(TasksError):
    """The database does not answer, or not as it should.

    The message is for clients, `reason` for the log: it names the place of the database, without
    its password.
    """

    def __init__(self, reason: str) -> None:
        super().__init__("The tasks are not available at the moment.")
        self.reason = reason


def require_title(title: str) -> None:
    """Raises InvalidTask."""
    _require_text("title", title, MAX_TITLE)
    if not title.strip():
        raise InvalidTask(f"title: expected 1 to {MAX_TITLE} characters, got none.")


def require_description(description: str) -> None:
    """Raises InvalidTask."""
    _require_text("description", description, MAX_DESCRIPTION)


def _require_text(name: str, text: str, limit: int) -> None:
    if len(text) > limit:
        raise InvalidTask(f"{name}: expected at most {limit} characters, got {len(text)}.")
    # PostgreSQL holds no NUL, and half a surrogate pair is no character.
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidTask(f"{name}: expected characters that UTF-8 can write, and no NUL.")
