"""A database, SQLite or PostgreSQL, that may be slow, hang or die. Knows of no table.

It is imported when the first task is asked for, and not before: SQLAlchemy takes its time.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import socket
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, event, func, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ..database_url import shown, sqlite_file
from .task import TasksUnavailable

if TYPE_CHECKING:
    import psycopg

CONNECTIONS: Final = 5
WAITING: Final = 0.6
"""The part of an operation's limit that it may wait for a lock of SQLite, for a new connection to
PostgreSQL, or for one of ours to become free; when that is over, the reason can still be told."""

PAUSE: Final = 0.02

PREPARATION_LOCK: Final = 7_061_115
"""Any number: the advisory lock of PostgreSQL under which the table is made."""


class Database:
    """The database at a URL. Every method raises TasksUnavailable."""

    def __init__(self, url: str, seconds: float) -> None:
        """Open nothing yet. `seconds` is what an operation may take."""
        self._wait = seconds * WAITING
        self._place = shown(url)
        self._file = sqlite_file(url)
        self._identity: tuple[int, int] | None = None
        self._connections: weakref.WeakSet[psycopg.AsyncConnection[Any]] = weakref.WeakSet()
        self._engine = (
            self._postgres_engine(url) if self._file is None else self._sqlite_engine(self._file)
        )

    async def prepare(self, make: Callable[[Connection], None]) -> None:
        """Have `make` see to the tables in a transaction, one process at a time."""
        if self.is_replaced():
            await self.close()
        if self._file is not None:
            await self._prepare_file(self._file)
        async with self.connected() as connection:
            begin = "BEGIN" if self._file is None else "BEGIN IMMEDIATE"
            await connection.exec_driver_sql(begin)
            if self._file is None:
                await connection.execute(select(func.pg_advisory_xact_lock(PREPARATION_LOCK)))
            await connection.run_sync(make)
            await connection.commit()
        self._identity = self._look()

    def is_replaced(self) -> bool:
        """Whether the file is no longer the one that was opened.

        What is written to a file that was removed is lost.
        """
        return self._identity is not None and self._look() != self._identity

    def cut(self) -> None:
        """End all talk with PostgreSQL, so that whoever waits for an answer gets an error.

        Cancelling would ask the server to end the statement, and a server that hangs does not.
        """
        for connection in list(self._connections):
            # A connection that was closed already has no descriptor.
            with (
                contextlib.suppress(Exception),
                socket.socket(fileno=os.dup(connection.fileno())) as wire,
            ):
                wire.shutdown(socket.SHUT_RDWR)

    async def close(self) -> None:
        """Close all connections; the next use opens new ones."""
        await self._engine.dispose()

    async def _prepare_file(self, file: Path) -> None:
        with self._reasons():
            await asyncio.to_thread(file.parent.mkdir, parents=True, exist_ok=True)
        until = time.monotonic() + self._wait
        while True:
            try:
                async with self.connected() as connection:
                    await connection.exec_driver_sql("PRAGMA journal_mode = WAL")
                    return
            except TasksUnavailable as error:
                # SQLite does not wait when two processes change the mode of a new file at once.
                if "locked" not in error.reason or time.monotonic() > until:
                    raise
                await asyncio.sleep(PAUSE)

    def _look(self) -> tuple[int, int] | None:
        if self._file is None:
            return None
        try:
            found = os.stat(self._file)
        except OSError:
            return (0, 0)
        return (found.st_dev, found.st_ino)

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[AsyncConnection]:
        """A connection on which each statement commits by itself."""
        with self._reasons():
            async with self._engine.connect() as connection:
                yield connection

    @contextlib.contextmanager
    def _reasons(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise self._unavailable(error.orig) from error
        except PoolTimeout as error:
            reason = f"all {CONNECTIONS} connections are busy"
            raise TasksUnavailable(f"{self._place}: {reason}") from error
        except OSError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: BaseException | None) -> TasksUnavailable:
        words = " ".join(str(error).split()) or type(error).__name__
        return TasksUnavailable(f"{self._place}: {words}")

    def _postgres_engine(self, url: str) -> AsyncEngine:
        """libpq parses the URL, so that it may be whatever psql takes."""
        try:
            from psycopg import AsyncConnection as PostgresConnection
        except ImportError as error:
            raise TasksUnavailable(
                "PostgreSQL needs the extra postgres: pip install 'quart-app[postgres]'"
            ) from error

        async def connect() -> psycopg.AsyncConnection[Any]:
            connection = await PostgresConnection.connect(
                url,
                connect_timeout=math.ceil(self._wait),  # libpq knows whole seconds
                prepare_threshold=None,  # poolers before the server know no prepared statements
            )
            self._connections.add(connection)
            return connection

        return self._make_engine("postgresql+psycopg://", async_creator=connect)

    def _sqlite_engine(self, file: Path) -> AsyncEngine:
        place = URL.create("sqlite+aiosqlite", database=os.fspath(file.absolute()))
        engine = self._make_engine(place, connect_args={"timeout": self._wait})

        @event.listens_for(engine.sync_engine, "connect")
        def set_up(connection: Any, record: object) -> None:
            connection.execute("PRAGMA synchronous = FULL")  # a commit is on disk when it returns

        return engine

    def _make_engine(self, url: str | URL, **options: Any) -> AsyncEngine:
        return create_async_engine(
            url,
            isolation_level="AUTOCOMMIT",
            pool_pre_ping=True,
            pool_size=CONNECTIONS,
            max_overflow=0,
            pool_timeout=self._wait,
            hide_parameters=True,
            **options,
        )
