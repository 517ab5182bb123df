"""How many tables are on their way at a time, and how much of the disk they take."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

from ..inference import TABLES_RETRY_AFTER, NotReady, tables_full

STILL_SECONDS: Final = 2.0
"""A table stands still when its client has sent or taken nothing for so long."""

Wait = Callable[[float], AbstractAsyncContextManager[object]]
"""Around what waits for a client: raises TimeoutError at a moment of the loop's time."""


class Place:
    """The place of a table of `client`, that is first sent by it and then answered."""

    def __init__(self, client: str) -> None:
        self.client = client
        self.is_arriving = True
        self.gave_way = False
        self._since = 0.0
        self._waiting: asyncio.Timeout | None = None

    @contextlib.asynccontextmanager
    async def wait(self, until: float) -> AsyncGenerator[None]:
        """Wait for the client, at most until this moment of the loop's time.

        Raises:
            TimeoutError: it came, or the place was given to another client.
        """
        self._since = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(until) as self._waiting:
                yield
        finally:
            self._waiting = None

    def seconds_waited(self) -> float | None:
        """For how long the client has sent or taken nothing; None where it is not waited for, or
        reads its answer and has paused for a moment only."""
        if self._waiting is None:
            return None
        seconds = asyncio.get_running_loop().time() - self._since
        return seconds if self.is_arriving or seconds >= STILL_SECONDS else None

    def give_way(self) -> None:
        """End the wait."""
        if self._waiting is not None:
            self.gave_way = True
            self._waiting.reschedule(asyncio.get_running_loop().time())


class TablePlaces:
    """The places of tables that are on their way, at most `most`.

    When all are taken, a table that waits for its client gives way to one of another client that
    has fewer places. So nobody keeps out others by tables that stand still. Belongs to one event
    loop.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._places: set[Place] = set()

    def enter(self, client: str) -> Place:
        """Take a place, to be left when the table has ended.

        Raises:
            NotReady: there is none.
        """
        if len(self._places) >= self._most:
            self._make_room(client)
        place = Place(client)
        self._places.add(place)
        return place

    def leave(self, place: Place) -> None:
        """Give a place back, if another client does not have it already."""
        self._places.discard(place)

    def _make_room(self, client: str) -> None:
        taken = Counter(place.client for place in self._places)
        found: list[tuple[int, float, Place]] = []
        for place in self._places:
            seconds = place.seconds_waited()
            if seconds is None:
                continue
            more = taken[place.client] - taken[client]
            if more > 1 or (more == 1 and seconds >= STILL_SECONDS):
                found.append((more, seconds, place))
        if not found:
            raise tables_full()
        *_, place = max(found, key=lambda each: each[:2])
        place.give_way()
        self.leave(place)


class DiskRoom:
    """The bytes that all tables in temporary files may have together: `most`."""

    def __init__(self, most: int) -> None:
        self.taken = 0
        self._most = most

    def take(self, size: int) -> None:
        """Take room for so many bytes more.

        Raises:
            NotReady: there is not as much.
        """
        if self.taken + size > self._most:
            raise NotReady(
                f"All tables on their way may have {self._most} bytes together.", TABLES_RETRY_AFTER
            )
        self.taken += size

    def give_back(self, size: int) -> None:
        """Give room back that was taken."""
        self.taken -= size


class TableFile(io.BufferedRandom):
    """A file that gives its room back when it is closed."""

    def __init__(self, raw: io.FileIO, room: DiskRoom) -> None:
        super().__init__(raw)
        self._room = room
        self._size = 0

    def take_room(self, size: int) -> None:
        """Take room for so many bytes more. Raises NotReady."""
        self._room.take(size)
        self._size += size

    def close(self) -> None:
        """Close it, once or again."""
        size, self._size = self._size, 0
        self._room.give_back(size)
        super().close()
