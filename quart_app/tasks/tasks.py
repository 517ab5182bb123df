"""The tasks of the tour, kept in a database that may be slow, hang or die at any moment.

Every operation is one statement that commits by itself: when it has returned, it is on disk. It
runs in a job of its own, so that a client who leaves does not cut it in half, and within a limit
of time, so that a database that hangs holds up nobody for long.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

from ..database_url import require_url
from .task import (
    MAX_ID,
    Task,
    TaskNotFound,
    TasksUnavailable,
    TooManyTasks,
    require_description,
    require_title,
)

if TYPE_CHECKING:
    from .table import TaskTable

SECONDS: Final = 5.0
"""After so long an operation is given up."""

FIRST_TASKS: Final = (
    ("Look around", "Open the home page and choose a model."),
    ("Ask for a prediction", "Fill in the form of a model and send it."),
    ("Publish a pipeline", "Train one of your own and put it into the store."),
)
"""Title and description of the tasks 1 to 3, which a new database holds."""

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class Tasks:
    """The tasks in the database at a URL, which is opened on first use and belongs to one loop.

    Where the database is new its table is made, with the first tasks. All methods raise
    TasksUnavailable; the next call tries again. A caller that is cancelled leaves the operation
    to end by itself.
    """

    def __init__(self, url: str, *, seconds: float = SECONDS) -> None:
        """`seconds` is the limit of an operation.

        Raises:
            ValueError: this is no URL of SQLite or PostgreSQL.
        """
        self._url = require_url(url)
        self._seconds = seconds
        self._table: TaskTable | None = None
        self._preparation: asyncio.Task[TaskTable] | None = None
        self._jobs: set[asyncio.Task[object]] = set()
        self._closed = False

    async def all(self) -> list[Task]:
        """Every task, by id."""
        return await self._run(lambda table: table.all())

    async def get(self, id: int) -> Task:
        """Raises TaskNotFound."""
        _require_id(id)
        return _found(id, await self._run(lambda table: table.get(id)))

    async def add(self, title: str, description: str = "") -> Task:
        """A new task, not done, with the next id.

        Raises:
            InvalidTask: a blank title, a text that is too long or that no database can hold.
            TooManyTasks: there are MAX_TASKS already.
        """
        require_title(title)
        require_description(description)
        task = await self._run(lambda table: table.add(title, description))
        if task is None:
            raise TooManyTasks
        return task

    async def update(
        self,
        id: int,
        *,
        title: str | None = None,
        description: str | None = None,
        done: bool | None = None,
    ) -> Task:
        """The task after the change; what is None stays as it was.

        Raises:
            TaskNotFound, InvalidTask
        """
        if title is not None:
            require_title(title)
        if description is not None:
            require_description(description)
        given = {"title": title, "description": description, "done": done}
        changes = {name: value for name, value in given.items() if value is not None}
        if not changes:
            return await self.get(id)
        _require_id(id)
        return _found(id, await self._run(lambda table: table.update(id, changes)))

    async def remove(self, id: int) -> None:
        """Raises TaskNotFound."""
        _require_id(id)
        if not await self._run(lambda table: table.remove(id)):
            raise TaskNotFound(id)

    async def close(self) -> None:
        """Let what runs end, within the limit, and close the database; it is not opened again."""
        self._closed = True
        if self._jobs:
            await asyncio.wait(self._jobs, timeout=self._seconds)
        table, self._table = self._table, None
        if table is not None:
            table.database.cut()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await table.database.close()

    async def _run(self, work: Callable[[TaskTable], Awaitable[Result]]) -> Result:
        """What `work` gives, in a job that goes on when this caller is cancelled."""
        job = asyncio.create_task(self._within_limit(work), name="tasks")
        self._jobs.add(job)
        job.add_done_callback(self._end)
        await asyncio.wait({job}, timeout=self._seconds)
        try:
            if not job.done():
                raise TasksUnavailable(f"no answer within {self._seconds:g} seconds")
            return job.result()
        except TasksUnavailable as error:
            logger.warning("tasks are not available: %s", error.reason)
            raise

    def _end(self, job: asyncio.Task[object]) -> None:
        self._jobs.discard(job)
        if not job.cancelled():
            job.exception()  # it is known, also where nobody waits any more

    async def _within_limit(self, work: Callable[[TaskTable], Awaitable[Result]]) -> Result:
        timer = asyncio.get_running_loop().call_later(self._seconds, self._cut)
        try:
            return await work(await self._prepared())
        except TasksUnavailable:
            self._preparation = None  # who knows what is there when it comes back
            raise
        finally:
            timer.cancel()

    def _cut(self) -> None:
        if self._table is not None:
            self._table.database.cut()

    async def _prepared(self) -> TaskTable:
        """The table in its database; all who come meanwhile wait for one preparation."""
        if self._closed:
            raise TasksUnavailable("they have been closed")
        if self._table is not None and self._table.database.is_replaced():
            self._preparation = None
        if self._preparation is None:
            self._preparation = asyncio.create_task(self._prepare(), name="tasks: preparation")
            self._preparation.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._preparation)

    async def _prepare(self) -> TaskTable:
        if self._table is None:
            self._table = await asyncio.to_thread(_open, self._url, self._seconds)
        await self._table.prepare(FIRST_TASKS)
        return self._table


def _open(url: str, seconds: float) -> TaskTable:
    """In a thread, because importing SQLAlchemy takes longer than others should wait."""
    from .database import Database
    from .table import TaskTable

    return TaskTable(Database(url, seconds))


def _found(id: int, task: Task | None) -> Task:
    if task is None:
        raise TaskNotFound(id)
    return task


def _require_id(id: int) -> None:
    if not 0 < id <= MAX_ID:
        raise TaskNotFound(id)
