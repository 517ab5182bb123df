"""The database of the records, SQLite or PostgreSQL, by plain drivers. Knows of no table.

A session is one connection, of one thread at a time. Whatever a driver says of a failure becomes
`RecordsUnavailable`; the session is then of no more use, and its owner opens another. psycopg is
the driver of PostgreSQL here as for the tasks: libpq takes what URLs platforms hand out, and it
has a synchronous API, which a thread of our own can block in.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..database_url import shown, sqlite_file

if TYPE_CHECKING:
    import sqlite3

    import psycopg

Row = tuple[Any, ...]
Values = Sequence[Any]

DAMAGED: Final = frozenset({11, 26})
"""What SQLite says of a file that is no database, or no longer a sound one (SQLITE_CORRUPT,
SQLITE_NOTADB)."""

FULL: Final = 13
"""What it says where the disk has no room (SQLITE_FULL)."""

LOCK: Final = 7_061_116
"""Any number: the advisory lock of PostgreSQL that one transaction at a time has."""

WAL_LIMIT: Final = 64 * 1024 * 1024
"""Bytes to which the log of SQLite is cut once it was longer."""


class RecordsUnavailable(Exception):
    """The database does not answer, or not as it should.

    The message names its place, without a password. `damaged` says that the file is no sound
    database, `full` that its disk has no room, and `unfit` that it was the data which it refused.
    """

    def __init__(
        self, message: str, *, damaged: bool = False, full: bool = False, unfit: bool = False
    ) -> None:
        super().__init__(message)
        self.damaged = damaged
        self.full = full
        self.unfit = unfit


class Session(ABC):
    """A connection, on which each statement commits by itself outside of a transaction.

    SQL has `?` where a value belongs, and no other question mark. Every method raises
    RecordsUnavailable.
    """

    @abstractmethod
    def execute(self, sql: str, values: Values = ()) -> list[Row]:
        """The rows of a statement, none of one that returns nothing."""

    @abstractmethod
    def change(self, sql: str, values: Values = ()) -> int:
        """How many rows a statement has changed."""

    @abstractmethod
    def many(self, sql: str, rows: Sequence[Values]) -> None:
        """A statement for each of these rows of values."""

    @abstractmethod
    def has_table(self, name: str) -> bool:
        """Whether there is such a table."""

    @abstractmethod
    def transaction(self) -> contextlib.AbstractContextManager[None]:
        """All or nothing of what is done inside. One at a time in all processes, and bounded in
        time."""

    @abstractmethod
    def rewrite(self, tables: Sequence[str]) -> None:
        """Write the files of these tables anew, so that nothing is left there of what was deleted.
        Outside of a transaction."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection, whatever state it is in."""

    def is_current(self) -> bool:
        """Whether what is written goes to the database that is there now."""
        return True


class Database(ABC):
    """The database at a URL."""

    def __init__(self, place: str) -> None:
        self.place = place

    @classmethod
    def at(cls, url: str, *, seconds: float = 30.0) -> Database:
        """The database of a URL that `require_url` takes; nothing is opened yet. `seconds` is what
        a transaction, or another's lock, may take."""
        file = sqlite_file(url)
        if file is None:
            return Postgres(url, seconds)
        return SQLite(file, seconds)

    @property
    def is_there(self) -> bool:
        """Whether there may be something in it; a server always may."""
        return True

    @property
    @abstractmethod
    def types(self) -> dict[str, str]:
        """The names of this database for the types in `schema.py`."""

    @abstractmethod
    def open(self) -> Session:
        """A new connection.

        Raises:
            RecordsUnavailable
        """

    def set_aside(self) -> Path | None:
        """Give a file that is damaged another name, so that a new one can be made; None where that
        is not possible."""
        return None

    def session(self) -> AbstractContextManager[Session]:
        """A connection that is closed afterwards."""
        return contextlib.closing(self.open())


# SQLite ---------------------------------------------------------------------------


class SQLite(Database):
    """A file."""

    def __init__(self, file: Path, seconds: float) -> None:
        super().__init__(str(file))
        self.file = file.absolute()
        self._seconds = seconds

    @property
    def is_there(self) -> bool:
        return self.file.exists()

    @property
    def types(self) -> dict[str, str]:
        return {"serial": "INTEGER PRIMARY KEY AUTOINCREMENT", "real": "REAL", "bytes": "BLOB"}

    def open(self) -> Session:
        import sqlite3

        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self.file, timeout=self._seconds, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise RecordsUnavailable(f"{self.place}: {_words(error)}") from error
        session = SQLiteSession(self.place, self.file, connection)
        try:
            session.execute("PRAGMA journal_mode = WAL")
            # A commit is then in the file, or after a loss of power not there at all.
            session.execute("PRAGMA synchronous = NORMAL")
            session.execute("PRAGMA secure_delete = ON")
            session.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
        except RecordsUnavailable:
            session.close()
            raise
        return session

    def set_aside(self) -> Path | None:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        aside = self.file.with_name(f"{self.file.name}.damaged-{stamp}")
        try:
            self.file.rename(aside)
        except OSError:
            return None
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(OSError):
                Path(f"{self.file}{suffix}").rename(f"{aside}{suffix}")
        return aside


class SQLiteSession(Session):
    """A connection to a file."""

    def __init__(self, place: str, file: Path, connection: sqlite3.Connection) -> None:
        self._place = place
        self._file = file
        self._connection = connection
        self._seen = _look(file)

    def execute(self, sql: str, values: Values = ()) -> list[Row]:
        with self._reasons():
            return self._connection.execute(sql, values).fetchall()

    def change(self, sql: str, values: Values = ()) -> int:
        with self._reasons():
            return self._connection.execute(sql, values).rowcount

    def many(self, sql: str, rows: Sequence[Values]) -> None:
        with self._reasons():
            self._connection.executemany(sql, rows)

    def is_current(self) -> bool:
        """It is not where the file was removed, replaced, or became shorter, which SQLite does at
        its own wish alone."""
        found = _look(self._file)
        if found[:2] != self._seen[:2] or found[2] < self._seen[2]:
            return False
        self._seen = found
        return True

    def has_table(self, name: str) -> bool:
        return bool(self.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (name,)))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            # Of some errors SQLite has rolled back itself.
            with contextlib.suppress(RecordsUnavailable):
                self.execute("ROLLBACK")
            raise

    def rewrite(self, tables: Sequence[str]) -> None:
        # secure_delete leaves copies of what was moved within a page before it was deleted.
        self.execute("VACUUM")
        (busy, *_), *_ = self.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if busy:
            raise RecordsUnavailable(
                f"{self._place}: another process reads it, so its log still has what was deleted; "
                "delete it again"
            )

    def close(self) -> None:
        import sqlite3

        with contextlib.suppress(sqlite3.Error):
            self._connection.close()

    @contextlib.contextmanager
    def _reasons(self) -> Iterator[None]:
        import sqlite3

        try:
            yield
        except (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeError) as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            unfit = not isinstance(error, sqlite3.OperationalError | sqlite3.DatabaseError)
            raise RecordsUnavailable(
                f"{self._place}: {_words(error)}",
                damaged=code in DAMAGED,
                full=code == FULL,
                unfit=unfit or isinstance(error, sqlite3.IntegrityError | sqlite3.DataError),
            ) from error


# PostgreSQL -----------------------------------------------------------------------


class Postgres(Database):
    """A server."""

    def __init__(self, url: str, seconds: float) -> None:
        super().__init__(shown(url))
        self._url = url
        self._seconds = seconds

    @property
    def types(self) -> dict[str, str]:
        return {
            "serial": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
            "real": "DOUBLE PRECISION",
            "bytes": "BYTEA",
        }

    def open(self) -> Session:
        try:
            import psycopg
        except ImportError as error:
            raise RecordsUnavailable(
                "PostgreSQL needs the extra record: pip install 'quart-app[record]'"
            ) from error
        try:
            connection = psycopg.connect(
                self._url,
                autocommit=True,
                connect_timeout=max(2, math.ceil(self._seconds)),  # libpq knows whole seconds
                prepare_threshold=None,  # poolers before the server know no prepared statements
            )
        except (psycopg.Error, OSError) as error:
            raise RecordsUnavailable(f"{self.place}: {_words(error)}") from error
        return PostgresSession(self.place, connection, self._seconds)


class PostgresSession(Session):
    """A connection to a server."""

    def __init__(self, place: str, connection: psycopg.Connection[Row], seconds: float) -> None:
        self._place = place
        self._connection = connection
        self._seconds = seconds
        self._is_bounded = False

    def execute(self, sql: str, values: Values = ()) -> list[Row]:
        with self._reasons():
            cursor = self._connection.execute(_in_postgres(sql), values)
            return cursor.fetchall() if cursor.description is not None else []

    def change(self, sql: str, values: Values = ()) -> int:
        with self._reasons():
            return self._connection.execute(_in_postgres(sql), values).rowcount

    def many(self, sql: str, rows: Sequence[Values]) -> None:
        with self._reasons(), self._connection.cursor() as cursor:
            cursor.executemany(_in_postgres(sql), rows)

    def has_table(self, name: str) -> bool:
        return self.execute("SELECT to_regclass(?)", (name,))[0][0] is not None

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        with self._bounded():
            self.execute("BEGIN")
            try:
                self.execute("SELECT pg_advisory_xact_lock(?)", (LOCK,))
                yield
                self.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(RecordsUnavailable):
                    self.execute("ROLLBACK")
                raise

    def rewrite(self, tables: Sequence[str]) -> None:
        # A plain VACUUM frees rows and leaves most of their bytes.
        for table in tables:
            self.execute(f"VACUUM (FULL) {table}")

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._connection.close()

    @contextlib.contextmanager
    def _reasons(self) -> Iterator[None]:
        import psycopg

        try:
            with self._bounded():
                yield
        except (psycopg.Error, OSError, OverflowError, UnicodeError) as error:
            unfit = isinstance(
                error,
                psycopg.DataError
                | psycopg.IntegrityError
                | psycopg.errors.ProgramLimitExceeded
                | OverflowError
                | UnicodeError,
            )
            raise RecordsUnavailable(f"{self._place}: {_words(error)}", unfit=unfit) from error

    @contextlib.contextmanager
    def _bounded(self) -> Iterator[None]:
        """Cut the connection when the time is over: a server that is stopped answers nothing, and
        no request to end a statement either."""
        if self._is_bounded:
            yield
            return
        timer = threading.Timer(self._seconds, self._cut)
        timer.daemon = True
        timer.start()
        self._is_bounded = True
        try:
            yield
        finally:
            self._is_bounded = False
            timer.cancel()

    def _cut(self) -> None:
        # A connection that was closed already has no descriptor.
        with (
            contextlib.suppress(Exception),
            socket.socket(fileno=os.dup(self._connection.fileno())) as wire,
        ):
            wire.shutdown(socket.SHUT_RDWR)


def _look(file: Path) -> tuple[int, int, int]:
    """Which file it is, and its size."""
    try:
        found = file.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_dev, found.st_ino, found.st_size)


def _in_postgres(sql: str) -> bytes:
    return sql.replace("?", "%s").encode()


def _words(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
