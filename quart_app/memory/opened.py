"""The records of an app or of a command: opened in one way, and asked from an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from functools import partial
from typing import Final, TypeVar

from model_store import ModelStore

from ..inference import DeadlineExceeded, NotReady
from ..serving.threads import run_in_daemon
from .database import Database, RecordsUnavailable
from .store import Records
from .versions import StoredSummaries, Versions

AT_ONCE: Final = 4
"""Calls that are made at a time; each has a connection of its own."""
SECONDS: Final = 5.0
"""What a transaction, or the lock of somebody else, may take."""
RETRY_AFTER: Final = 5
UNAVAILABLE: Final = "The records are not available at the moment."

Result = TypeVar("Result")


def open_records(url: str, store: ModelStore, *, seconds: float = SECONDS) -> Records:
    """The records in the database of a URL; nothing is opened yet. `store` has the models that they
    are of: what is unpacked stands in their summaries."""
    summaries = StoredSummaries(Versions(store))
    return Records(Database.at(url, seconds=seconds), summaries)


class SharedRecords:
    """The records for the event loop that it belongs to: what blocks is done in threads, a few at a
    time."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self._places = asyncio.Semaphore(AT_ONCE)

    async def call(self, function: Callable[[Records], Result], until: float | None) -> Result:
        """What a function does with the records, before the moment `until` of the loop's time.

        Raises:
            NotReady: the database does not answer.
            DeadlineExceeded
        """
        try:
            async with asyncio.timeout_at(until), self._places:
                return await run_in_daemon(partial(function, self.records))
        except TimeoutError:
            raise DeadlineExceeded("The records took too long.") from None
        except RecordsUnavailable as error:
            raise NotReady(UNAVAILABLE, RETRY_AFTER, str(error)) from error

    async def stream(
        self, pieces: Callable[[Records], Generator[bytes, None, None]]
    ) -> AsyncGenerator[bytes, None]:
        """What a function reads of the records piece by piece, one in a thread at a time.

        Raises:
            NotReady: the database does not answer, or no longer.
        """
        read = pieces(self.records)
        turn = threading.Lock()

        def following() -> bytes | None:
            with turn:
                return next(read, None)

        def close() -> None:
            with turn:  # a piece may be on its way still, when the client has gone
                read.close()

        try:
            while True:
                async with self._places:
                    piece = await run_in_daemon(following)
                if piece is None:
                    return
                yield piece
        except RecordsUnavailable as error:
            raise NotReady(UNAVAILABLE, RETRY_AFTER, str(error)) from error
        finally:
            threading.Thread(target=close, name="records", daemon=True).start()
