"""Tables that are answered in the background, each into a temporary file, for who looks again.

They live in this process: what it held is gone when it ends. Where it is one of several workers the
results lie in their folder, with what is to be said of them (`shelf.py`): each of them finds every
job, and a result stays when the worker that made it ends. A client that has the id of a job may
read its result, and nobody guesses one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
from collections.abc import AsyncGenerator
from functools import partial
from typing import IO, TYPE_CHECKING, Final

from ..config import Config
from ..inference import INTERNAL, InferenceError, tables_full
from ..middleware.spool import temporary_file
from ..serving.threads import run_in_daemon
from .job import Job, Shelved, State
from .scoring import Piece, Scorer

if TYPE_CHECKING:
    from .shelf import Shelf

KEPT_SECONDS: Final = 15 * 60.0
"""How long a result is kept."""

STOPPING: Final = 0.5
"""Seconds that are waited for a job that another worker was told to stop."""

NOTED_AFTER: Final = 0.3
"""Seconds after which the other workers are told how far a job is."""

SWEPT_AFTER: Final = 60.0
"""Seconds between two looks for results that nobody has removed."""

RESULT_TIMES: Final = 4
"""A result may be larger than the largest table by this factor."""

logger = logging.getLogger(__name__)


class JobNotFound(Exception):
    """There is no such job, or not any more."""


class Jobs:
    """At most MAX_TABLES jobs that run, and as many that have ended, each kept for `kept` seconds.

    Belongs to one event loop; all its methods are called there.
    """

    def __init__(
        self, config: Config, *, kept: float = KEPT_SECONDS, shelf: Shelf | None = None
    ) -> None:
        """With a `shelf`, the results lie there, for the other workers of this server."""
        self.kept = kept
        self._limit = config.max_tables
        self._max_bytes = RESULT_TIMES * config.max_csv_bytes
        self._shelf = shelf
        self._starting = 0
        self._closing = False
        self._jobs: dict[str, Job] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._ended: dict[str, asyncio.TimerHandle] = {}
        self._sweeping: asyncio.Task[None] | None = None
        if shelf is not None:
            shelf.channel.on("stop", self._stop_for_others)

    async def start(self, scorer: Scorer, table: IO[bytes], filename: str) -> Job:
        """A new job, once its first rows were checked and answered; the file is its own then.

        Raises:
            NotReady: as many jobs as may be are running, or there is no room for a file.
            And what `Scorer.answer` raises before its first piece.
        """
        if len(self._running) + self._starting >= self._limit:
            raise tables_full()
        self._starting += 1
        id = secrets.token_urlsafe(16)
        try:
            with contextlib.ExitStack() as files:
                result = self._new_result(id, files)
                pieces = scorer.answer(table)
                first = await anext(pieces)
                size = os.fstat(table.fileno()).st_size
                job = Job(
                    id=id,
                    manifest=scorer.manifest,
                    filename=filename,
                    size=size,
                    table=table,
                    result=result,
                )
                if self._shelf is not None:
                    self._shelf.describe(job)
                files.pop_all()
        finally:
            self._starting -= 1
        self._jobs[job.id] = job
        task = asyncio.create_task(self._run(job, first, pieces), name=f"job {job.id}")
        self._running[job.id] = task
        task.add_done_callback(lambda task: self._end(job, task))
        return job

    async def find(self, model: str, id: str) -> Job | Shelved:
        """The job of this model with this id, whichever worker of this server has it.

        Raises:
            JobNotFound: there is none, or not any more.
        """
        if id in self._jobs or self._shelf is None:
            return self.get(model, id)
        found = await run_in_daemon(partial(self._shelf.find, id))
        if found is None or found.manifest.name != model:
            raise self._not_found()
        return found

    def get(self, model: str, id: str) -> Job:
        """The job of this model with this id, if it is one of this worker.

        Raises:
            JobNotFound: there is none, or not any more.
        """
        job = self._jobs.get(id)
        if job is None or job.manifest.name != model:
            raise self._not_found()
        return job

    async def wait(self, job: Job, seconds: float) -> None:
        """Wait for the end of a job, but not for long."""
        if task := self._running.get(job.id):
            await asyncio.wait({task}, timeout=seconds)

    async def ended(self) -> None:
        """Wait until no job runs."""
        while running := [*self._running.values()]:
            await asyncio.wait(running)

    def cancel(self, job: Job) -> None:
        """Let a job that runs end soon."""
        if task := self._running.get(job.id):
            task.cancel()

    async def stop(self, job: Job | Shelved, seconds: float) -> None:
        """Let a job end, whichever worker runs it, and wait for that, but not for long."""
        if isinstance(job, Job):
            self.cancel(job)
            await self.wait(job, seconds)
        elif self._shelf is not None:
            await self._shelf.stop(job.id)

    async def watch(self) -> None:
        """For ever, remove what workers have left that are no more."""
        while self._shelf is not None:
            await run_in_daemon(partial(self._shelf.sweep, self._limit))
            await asyncio.sleep(SWEPT_AFTER)

    async def close(self) -> None:
        """Stop every job, and keep nothing but what lies on the shelf."""
        self._closing = True
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for id in list(self._ended):
            self._remove(id)

    def _new_result(self, id: str, files: contextlib.ExitStack) -> IO[bytes]:
        """A file for a result, which `files` lets go."""
        if self._shelf is None:
            return files.enter_context(temporary_file())
        result = files.enter_context(self._shelf.create(id))
        files.callback(self._shelf.remove, id)
        return result

    async def _run(self, job: Job, first: Piece, pieces: AsyncGenerator[Piece, None]) -> None:
        loop = asyncio.get_running_loop()
        noted = loop.time()
        async with contextlib.aclosing(pieces):
            await job.add(first)
            async for piece in pieces:
                if job.written + len(piece.lines) > self._max_bytes:
                    raise InferenceError(f"The answer has more than {self._max_bytes} bytes.")
                await job.add(piece)
                if self._shelf is not None and loop.time() - noted > NOTED_AFTER:
                    self._shelf.note(job)
                    noted = loop.time()

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
        if self._shelf is None:
            self._keep(job)
        else:
            self._put_away(job, self._shelf)

    def _keep(self, job: Job) -> None:
        """Keep a job that has ended for a while, and of such so many."""
        timer = asyncio.get_running_loop().call_later(self.kept, self._remove, job.id)
        self._ended[job.id] = timer
        if len(self._ended) > self._limit:
            self._remove(next(iter(self._ended)))

    def _put_away(self, job: Job, shelf: Shelf) -> None:
        """Leave a job that has ended to the shelf, from which all workers tell of it."""
        shelf.end(job, cut_off=self._closing)
        self._jobs.pop(job.id).close()
        self._sweeping = asyncio.create_task(run_in_daemon(partial(shelf.sweep, self._limit)))

    def _remove(self, id: str) -> None:
        self._jobs.pop(id).close()
        self._ended.pop(id).cancel()

    def _not_found(self) -> JobNotFound:
        return JobNotFound(
            "There is no such file here. What was answered is kept for "
            f"{self.kept / 60:.0f} minutes, less where many files come after it."
        )

    async def _stop_for_others(self, body: bytes) -> bytes:
        job = self._jobs.get(body.decode())
        if job is not None:
            await self.stop(job, STOPPING)
        return b""
