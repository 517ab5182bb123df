"""Tables that are answered in the background, each into a temporary file, for who looks again.

They live in this process: what it held is gone when it ends, and another process knows nothing of
it. A client that has the id of a job may read its result, and nobody guesses one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
from collections.abc import AsyncGenerator, Sequence
from enum import StrEnum
from typing import IO, Final

import msgspec

from model_store import Manifest

from ..config import Config
from ..inference import INTERNAL, InferenceError, tables_full
from ..middleware.spool import BLOCK, temporary_file, write
from .scoring import Piece, Scorer

KEPT_SECONDS: Final = 15 * 60.0
"""How long a result is kept."""

RESULT_TIMES: Final = 4
"""A result may be larger than the largest table by this factor."""

FIRST_ROWS: Final = 20
"""Rows of a result that are kept in memory, to be shown; and as many of those with an error."""

CELL_KEPT: Final = 80
"""Characters of each of their cells; an error is kept whole."""


logger = logging.getLogger(__name__)


class JobNotFound(Exception):
    """There is no such job, or not any more."""


class State(StrEnum):
    """Where a job is on its way."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


class Job(msgspec.Struct, eq=False):
    """A table on its way through a model, and what became of it so far.

    `filename` is what its sender calls it, `size` its bytes, of which `read` were taken. `errors`
    counts the rows without an answer. `names` are those of the result's columns, `first` its first
    rows, `faulty` the first with an error, by their number from 0. `reason` says why it failed.
    `written` counts the bytes of the result.
    """

    id: str
    manifest: Manifest
    filename: str
    size: int
    table: IO[bytes]
    result: IO[bytes]
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

    async def content(self) -> AsyncGenerator[bytes, None]:
        """The result, in pieces; to its end, even where it is no longer kept by then."""
        own = os.dup(self.result.fileno())
        try:
            position = 0
            while block := await asyncio.to_thread(os.pread, own, BLOCK, position):
                yield block
                position += len(block)
        finally:
            os.close(own)

    def close(self) -> None:
        """Let both files go."""
        for file in (self.table, self.result):
            with contextlib.suppress(OSError):  # what could not be written is tried once more
                file.close()


def _cut(row: Sequence[str]) -> list[str]:
    *cells, error = row
    return [f"{cell[:CELL_KEPT]}…" if len(cell) > CELL_KEPT else cell for cell in cells] + [error]


class Jobs:
    """At most MAX_TABLES jobs that run, and as many that have ended, each kept for `kept` seconds.

    Belongs to one event loop; all its methods are called there.
    """

    def __init__(self, config: Config, *, kept: float = KEPT_SECONDS) -> None:
        self.kept = kept
        self._limit = config.max_tables
        self._max_bytes = RESULT_TIMES * config.max_csv_bytes
        self._starting = 0
        self._jobs: dict[str, Job] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._ended: dict[str, asyncio.TimerHandle] = {}

    async def start(self, scorer: Scorer, table: IO[bytes], filename: str) -> Job:
        """A new job, once its first rows were checked and answered; the file is its own then.

        Raises:
            NotReady: as many jobs as may be are running, or there is no room for a file.
            And what `Scorer.answer` raises before its first piece.
        """
        if len(self._running) + self._starting >= self._limit:
            raise tables_full()
        self._starting += 1
        try:
            with contextlib.ExitStack() as files:
                result = files.enter_context(temporary_file())
                pieces = scorer.answer(table)
                first = await anext(pieces)
                files.pop_all()
        finally:
            self._starting -= 1
        size = os.fstat(table.fileno()).st_size
        job = Job(secrets.token_urlsafe(16), scorer.manifest, filename, size, table, result)
        self._jobs[job.id] = job
        task = asyncio.create_task(self._run(job, first, pieces), name=f"job {job.id}")
        self._running[job.id] = task
        task.add_done_callback(lambda task: self._end(job, task))
        return job

    def get(self, model: str, id: str) -> Job:
        """The job of this model with this id.

        Raises:
            JobNotFound: there is none, or not any more.
        """
        job = self._jobs.get(id)
        if job is None or job.manifest.name != model:
            raise JobNotFound(
                "There is no such file here. What was answered is kept for "
                f"{self.kept / 60:.0f} minutes, less where many files come after it."
            )
        return job

    async def wait(self, job: Job, seconds: float) -> None:
        """Wait for the end of a job, but not for long."""
        if task := self._running.get(job.id):
            await asyncio.wait({task}, timeout=seconds)

    def cancel(self, job: Job) -> None:
        """Let a job that runs end soon."""
        if task := self._running.get(job.id):
            task.cancel()

    async def close(self) -> None:
        """Stop every job, and keep nothing."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for id in list(self._jobs):
            self._remove(id)

    async def _run(self, job: Job, first: Piece, pieces: AsyncGenerator[Piece, None]) -> None:
        async with contextlib.aclosing(pieces):
            await job.add(first)
            async for piece in pieces:
                if job.written + len(piece.lines) > self._max_bytes:
                    raise InferenceError(f"The answer has more than {self._max_bytes} bytes.")
                await job.add(piece)

    def _end(self, job: Job, task: asyncio.Task[None]) -> None:
        del self._running[job.id]
        error = None if task.cancelled() else task.exception()
        if task.cancelled():
            job.state = State.STOPPED
        elif error is None:
            job.state = State.DONE
        elif isinstance(error, InferenceError):
            job.state, job.reason = State.FAILED, str(error)
        else:
            job.state, job.reason = State.FAILED, INTERNAL
            logger.error("A table of %s failed", job.manifest.name, exc_info=error)
        if job.state is State.DONE:
            job.table.close()
        else:
            job.close()
        timer = asyncio.get_running_loop().call_later(self.kept, self._remove, job.id)
        self._ended[job.id] = timer
        if len(self._ended) > self._limit:
            self._remove(next(iter(self._ended)))

    def _remove(self, id: str) -> None:
        self._jobs.pop(id).close()
        self._ended.pop(id).cancel()
