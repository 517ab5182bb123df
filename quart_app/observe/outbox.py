"""Things on their way to where they may be taken slowly or not at all, such as a collector.

Who puts something in never waits: what has no room is dropped and counted. A daemon thread, which
begins with the first thing, takes them out in batches and sends them.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

Thing = TypeVar("Thing")

LOOK_AGAIN: Final = 0.02
"""Seconds from one look to the next at whether all has been sent, at the end."""

logger = logging.getLogger(__name__)


class Outbox(Generic[Thing]):
    """Sends things in batches that weigh at least `batch`, or that have waited for `delay` seconds.

    What waits weighs at most `room`. `send` runs in the thread, and says whether what it was given
    has arrived; what it raises is logged. `sent`, `dropped` and `failed` add up weights.
    """

    def __init__(
        self, send: Callable[[Sequence[Thing]], bool], *, room: int, batch: int, delay: float
    ) -> None:
        self.sent = 0
        self.dropped = 0
        self.failed = 0
        self.waiting = 0
        self._send = send
        self._room = room
        self._batch = min(batch, room)
        self._delay = delay
        self._things: deque[tuple[Thing, int]] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None

    def put(self, thing: Thing, weight: int = 1) -> None:
        """Send it soon, or drop it where there is no room."""
        with self._changed:
            if self._closing or self.waiting + weight > self._room:
                self.dropped += weight
                return
            self._things.append((thing, weight))
            before, self.waiting = self.waiting, self.waiting + weight
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
                self._thread.start()
            elif not before or before < self._batch <= self.waiting:
                self._changed.notify()

    async def close(self, seconds: float) -> bool:
        """Take no more, and send what waits. Returns whether that was done in this time."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        end = time.monotonic() + seconds
        while self._thread is not None and self._thread.is_alive():
            if time.monotonic() >= end:
                return False
            await asyncio.sleep(LOOK_AGAIN)
        return True

    def _run(self) -> None:
        while batch := self._next():
            weight = sum(weight for _, weight in batch)
            try:
                has_arrived = self._send([thing for thing, _ in batch])
            except Exception:
                logger.exception("What was to be sent is lost.")
                has_arrived = False
            if has_arrived:
                self.sent += weight
            else:
                self.failed += weight

    def _next(self) -> list[tuple[Thing, int]]:
        """The next batch; none once it is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._things or self._closing)
            self._changed.wait_for(
                lambda: self.waiting >= self._batch or self._closing, timeout=self._delay
            )
            batch: list[tuple[Thing, int]] = []
            weight = 0
            while self._things and weight < self._batch:
                batch.append(self._things.popleft())
                weight += batch[-1][1]
            self.waiting -= weight
            return batch
