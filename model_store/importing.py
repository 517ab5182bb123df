"""A process that imports files into a store, for a server, which imports nothing of that itself.

It reads a `Task` from stdin and writes a line of JSON to stdout for each message; the last is
`Imported` or `Failed`. The files are read and tried in a process of its own below it, in the cage
(`isolated.py`), which SIGTERM ends with it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

import msgspec

from .errors import ModelStoreError, words_of

if TYPE_CHECKING:
    from .manifest import Manifest


class Task(msgspec.Struct, frozen=True):
    """What to import, a file or a folder, under which name, and into the store of which folder."""

    path: str
    name: str
    root: str
    allow_version: bool = False


class Step(msgspec.Struct, frozen=True, tag=True):
    """What it does now; with `is_warning`, what the operator should know."""

    text: str
    is_warning: bool = False


class Failed(msgspec.Struct, frozen=True, tag=True):
    """Why nothing was imported: our sentence, and what somebody else's code said."""

    message: str
    words: str | None = None


class Imported(msgspec.Struct, frozen=True, tag=True):
    """The version that is there now."""

    version: int


Message = Step | Failed | Imported


def main() -> None:
    """Carry out a task. Blocks for as long as `isolated.Limits` allow."""
    signal.signal(signal.SIGTERM, _end)
    stdout = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what libraries print is no message

    def send(message: Message) -> None:
        stdout.write(msgspec.json.encode(message) + b"\n")

    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    try:
        found = _import(task, send)
    except ModelStoreError as error:
        send(Failed(str(error), error.words))
    except Exception as error:
        send(Failed("It cannot be imported.", words_of(error)))
    else:
        send(Imported(found.version))


def _import(task: Task, send: Callable[[Message], None]) -> Manifest:
    from .importer import ImportRequest
    from .isolated import Limits, run
    from .store import ModelStore

    def progress(step: str) -> None:
        send(Step(step))

    order = ImportRequest(name=task.name, files=(task.path,), allow_version=task.allow_version)
    report, draft = run(order, Limits.fitting(order), progress)
    assert draft is not None
    for warning in report.warnings:
        send(Step(warning, is_warning=True))
    for note in report.notes:
        send(Step(note))
    return ModelStore(task.root).add(draft, progress)


def _end(*_: object) -> NoReturn:
    """End by an exception, so that the process below and its folder are gone too."""
    raise SystemExit(128 + signal.SIGTERM)


if __name__ == "__main__":
    main()
