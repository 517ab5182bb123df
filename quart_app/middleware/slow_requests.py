"""Requests that take long, looked after by one timer for all of them.

A timer and a task for each request would cost more than most predictions do. So every `PATIENCE`
those that began before the last look are told apart: one whose body has not come is given up here,
and one that waits for its answer is watched whether its client is still there.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from ..asgi import Receive

PATIENCE: Final = 0.1
"""Seconds that a request may take before anybody looks after it; it may be twice as many."""


class ClientGone(Exception):
    """The client has gone, and nothing needs to be answered."""


class TooSlow(Exception):
    """The body has not come in time. What came of it stands in the exchange."""


class Exchange:
    """A request whose body is read, and which is then answered, by the task.

    `body` is what came of it, `more` whether there is more.
    """

    __slots__ = ("_cancelled_by", "_receive", "_seen", "_task", "_watcher", "body", "more")

    def __init__(self, receive: Receive, task: asyncio.Task[Any]) -> None:
        self.body = b""
        self.more = True
        self._task = task
        self._receive = receive
        self._seen = False
        self._watcher: asyncio.Task[None] | None = None
        self._cancelled_by: type[ClientGone | TooSlow] | None = None

    @property
    def now(self) -> float:
        """The time of the loop in which it is answered."""
        return self._task.get_loop().time()

    async def read(self, limit: int) -> None:
        """Read the body, until there is no more or more than `limit` bytes have come.

        Raises:
            ClientGone
        """
        while self.more and len(self.body) <= limit:
            message = await self._receive()
            if message["type"] != "http.request":
                raise ClientGone
            self.body += message.get("body", b"")
            self.more = message.get("more_body", False)

    def explain(self) -> None:
        """To be called where the task was cancelled: return if that came from elsewhere.

        Raises:
            ClientGone, TooSlow: why it was cancelled from here.
        """
        if self._cancelled_by is not None and self._task.uncancel() <= 0:
            raise self._cancelled_by

    def look(self) -> None:
        """Look after it, if it was there at the last look already."""
        if not self._seen:
            self._seen = True
        elif self.more:
            self._cancel(TooSlow)
        elif self._watcher is None:
            self._watcher = asyncio.create_task(self._watch())

    def end(self) -> None:
        """Look after it no longer."""
        if self._watcher is not None:
            self._watcher.cancel()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._cancel(ClientGone)

    def _cancel(self, reason: type[ClientGone | TooSlow]) -> None:
        if self._cancelled_by is None:
            self._cancelled_by = reason
            self._task.cancel()


class Lookout:
    """Looks after exchanges. Belongs to one event loop."""

    def __init__(self) -> None:
        self._exchanges: set[Exchange] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def current_task(self) -> asyncio.Task[Any]:
        """The task that runs.

        The loop is remembered: to ask which one runs is a system call before Python 3.12.
        """
        task = None if self._loop is None else asyncio.current_task(self._loop)
        if task is None:  # the first request, or the app goes on in another loop
            self._loop = asyncio.get_running_loop()
            task = asyncio.current_task(self._loop)
            assert task is not None
        return task

    def add(self, exchange: Exchange) -> None:
        """Look after it until it is discarded."""
        self._exchanges.add(exchange)
        if self._timer is None:
            self._start()

    def discard(self, exchange: Exchange) -> None:
        """Look after it no longer."""
        self._exchanges.discard(exchange)
        exchange.end()

    def _start(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(PATIENCE, self._look)

    def _look(self) -> None:
        self._timer = None
        for exchange in self._exchanges:
            exchange.look()
        if self._exchanges:
            self._start()
