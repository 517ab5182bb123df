"""Messages on their way: within limits, before anything of them is understood.

gRPC makes a message whole before it hands it over, and tells neither its length nor how much of it
has come. So who brings a large one slowly is known by the time it takes: a message that is not
there after one look, or two, is slow, and of these there may be `MOST_SLOW`. What comes at once
waits for nobody.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from grpc import aio
from werkzeug.exceptions import RequestTimeout

from ..inference import BUSY_RETRY_AFTER, NotReady, Overloaded

LOOK_AGAIN: Final = 0.1
"""Seconds from one look to the next."""

MOST_SLOW: Final = 16
"""Slow messages that may be on their way at a time."""


class EndOfStream(Exception):
    """The client sends no more."""


class Arrival:
    """A task that waits for a message, until a moment of the loop's time. Without one it waits for
    as long as the client likes, as a stream does."""

    __slots__ = ("_task", "refusal", "seen", "until")

    def __init__(self, task: asyncio.Task[Any], until: float | None) -> None:
        self.until = until
        self.seen = False
        self.refusal: Exception | None = None
        self._task = task

    def end(self, refusal: Exception) -> None:
        """Let the task wait no longer."""
        if self.refusal is None:
            self.refusal = refusal
            self._task.cancel()


class Arrivals:
    """What is on its way to one server. Belongs to its event loop.

    Messages that are there already take `max_held` bytes at a time, or are one.
    """

    def __init__(self, max_held: int) -> None:
        self._max_held = max_held
        self._held = 0
        self._waiting: dict[Arrival, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closed: Exception | None = None

    async def read(self, context: aio.ServicerContext, until: float | None) -> bytes:
        """The next message of a call.

        Raises:
            EndOfStream: there is none.
            Overloaded: too many slow ones are on their way.
            RequestTimeout: it has not come in time.
            NotReady: the server stops.
        """
        if self._closed is not None:
            raise self._closed
        task = asyncio.current_task()
        assert task is not None
        arrival = Arrival(task, until)
        self._waiting[arrival] = None
        if self._timer is None:
            self._look_later()
        try:
            message = await context.read()
        except asyncio.CancelledError:
            if arrival.refusal is None:
                raise
            task.uncancel()
            raise arrival.refusal from None
        finally:
            del self._waiting[arrival]
        if message is aio.EOF:
            raise EndOfStream
        assert isinstance(message, bytes)
        return message

    def hold(self, message: bytes) -> None:
        """Count a message that is answered, until it is given up by `let_go`.

        Raises:
            Overloaded: too much is held already.
        """
        size = len(message)
        if self._held and self._held + size > self._max_held:
            raise Overloaded("Too much is arriving at once.", BUSY_RETRY_AFTER)
        self._held += size

    def let_go(self, message: bytes) -> None:
        """Count a message no more."""
        self._held -= len(message)

    def close(self) -> None:
        """Let no task wait for a message any longer."""
        self._closed = NotReady("The server is stopping.", BUSY_RETRY_AFTER)
        for arrival in self._waiting:
            arrival.end(self._closed)

    def _look_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(LOOK_AGAIN, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if not self._waiting:
            return
        self._look_later()
        slow, now = 0, loop.time()
        for arrival in self._waiting:
            if arrival.until is None:
                continue
            if arrival.until <= now:
                arrival.end(RequestTimeout())
            elif arrival.seen:
                slow += 1
                if slow > MOST_SLOW:
                    arrival.end(Overloaded("Too much is arriving at once.", BUSY_RETRY_AFTER))
            arrival.seen = True
