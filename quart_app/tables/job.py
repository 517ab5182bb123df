"""A table on its way through a model in the background, and what is to be said of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import IO, Final

import msgspec

from model_store import Manifest

from ..middleware.spool import BLOCK, write
from .scoring import Piece

FIRST_ROWS: Final = 20
"""Rows of a result that are kept in memory, to be shown; and as many of those with an error."""

CELL_KEPT: Final = 80
"""Characters of each of their cells; an error is kept whole."""


class State(StrEnum):
    """Where a job is on its way."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


class Status(msgspec.Struct, eq=False, kw_only=True):
    """What became of a table so far.

    `filename` is what its sender calls it, `size` its bytes, of which `read` were taken. `errors`
    counts the rows without an answer. `names` are those of the result's columns, `first` its first
    rows, `faulty` the first with an error, by their number from 0. `reason` says why it failed.
    `written` counts the bytes of the result.
    """

    id: str
    filename: str
    size: int
    state: State = State.RUNNING
    reason: str | None = None
    read: int = 0
    rows: int = 0
    errors: int = 0
    written: int = 0
    names: list[str] = msgspec.field(default_factory=list)
    first: list[list[str]] = msgspec.field(default_factory=list)
    faulty: dict[int, list[str]] = msgspec.field(default_factory=dict)

    @property
    def progress(self) -> float:
        """The share of the table that is answered, from 0 to 1."""
        return 1.0 if self.state is State.DONE else self.read / self.size


class Job(Status, eq=False, kw_only=True):
    """A table that this process answers."""

    manifest: Manifest
    table: IO[bytes]
    result: IO[bytes]

    async def add(self, piece: Piece) -> None:
        """Write a piece to the result, and count it.

        Raises:
            NotReady: it could not be written.
        """
        await asyncio.to_thread(write, self.result, piece.lines)
        if not piece.rows:
            self.names = [str(column[0]) for column in piece.columns]
        elif missing := FIRST_ROWS - len(self.first):
            self.first += [_cut(piece.row(i)) for i in range(min(missing, piece.rows))]
        if missing := FIRST_ROWS - len(self.faulty):
            for i in piece.faulty[:missing]:
                self.faulty[self.rows + i] = _cut(piece.row(i))
        self.written += len(piece.lines)
        self.read = piece.read
        self.rows += piece.rows
        self.errors += len(piece.faulty)

    def content(self) -> AsyncGenerator[bytes, None]:
        """The result, in pieces; to its end, even where it is no longer kept by then."""
        return _content(lambda: os.dup(self.result.fileno()))

    def close(self) -> None:
        """Let both files go."""
        for file in (self.table, self.result):
            with contextlib.suppress(OSError):  # what could not be written is tried once more
                file.close()


class Shelved(Status, eq=False, kw_only=True):
    """A table that another process answers, or answered, with the file of the result."""

    manifest: Manifest
    path: Path

    def content(self) -> AsyncGenerator[bytes, None]:
        """The result, in pieces; to its end, even where it is no longer kept by then."""
        return _content(lambda: os.open(self.path, os.O_RDONLY | os.O_CLOEXEC))


async def _content(opened: Callable[[], int]) -> AsyncGenerator[bytes, None]:
    handle = opened()
    try:
        position = 0
        while block := await asyncio.to_thread(os.pread, handle, BLOCK, position):
            yield block
            position += len(block)
    finally:
        os.close(handle)


def _cut(row: Sequence[str]) -> list[str]:
    *cells, error = row
    return [f"{cell[:CELL_KEPT]}…" if len(cell) > CELL_KEPT else cell for cell in cells] + [error]
