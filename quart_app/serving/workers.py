"""The threads that predict, and which of them hang.

Python cannot stop a thread: one whose `predict` does not return is lost until it does. So the
moment is kept at which each thread began its call. One that is at it for longer than `patience`
seconds is hung: next to nobody is left who waits for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


class Workers(ThreadPoolExecutor):
    """An executor of so many threads that knows what they are at."""

    def __init__(self, threads: int, *, patience: float) -> None:
        super().__init__(threads, thread_name_prefix="predict")
        self.threads = threads
        self._patience = patience
        self._began: dict[int, float] = {}  # by the thread
        self._calls: set[object] = set()  # that run or wait for a thread

    @property
    def busy(self) -> int:
        """Threads that are at work at this moment, those that hang among them."""
        return min(len(self._calls), self.threads)

    @property
    def hung(self) -> int:
        """Threads that have been at one call for longer than anyone waits."""
        since = time.monotonic() - self._patience
        return sum(began < since for began in tuple(self._began.values()))

    @property
    def spare(self) -> bool:
        """Whether a call would begin at once."""
        return len(self._calls) < self.threads

    @property
    def exhausted(self) -> bool:
        """Whether every thread hangs, so that no call will begin."""
        return len(self._began) >= self.threads and self.hung >= self.threads

    def submit(self, call: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """Run `call` in a thread when one is free."""
        ticket = object()
        self._calls.add(ticket)
        try:
            future = super().submit(self._run, ticket, call, *args, **kwargs)
        except RuntimeError:
            self._calls.discard(ticket)
            raise
        # For one that is cancelled while it waits.
        future.add_done_callback(lambda future: self._calls.discard(ticket))
        return future

    def _run(
        self, ticket: object, call: Callable[..., Result], *args: Any, **kwargs: Any
    ) -> Result:
        """Runs in the thread."""
        thread = threading.get_ident()
        self._began[thread] = time.monotonic()
        try:
            return call(*args, **kwargs)
        finally:
            del self._began[thread]
            self._calls.discard(ticket)
