"""The threads that predict, and which of them hang.

Python cannot stop a thread: one whose `predict` does not return is lost until it does. So the calls
are counted here, with the moment at which each began. One that runs longer than `patience` seconds
is hung: next to nobody is left who waits for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


class Workers(Executor):
    """As many threads as `threads`, which know what they are at. Its methods may be called in any
    thread."""

    def __init__(self, threads: int, *, patience: float) -> None:
        self.threads = threads
        self._patience = patience
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="predict")
        self._began: dict[int, float] = {}
        self._waiting = 0
        self._lock = threading.Lock()

    @property
    def busy(self) -> int:
        """Threads that predict at this moment."""
        return len(self._began)

    @property
    def hung(self) -> int:
        """Threads that have been at one call for longer than anyone waits."""
        if not self._began:
            return 0
        since = time.monotonic() - self._patience
        return sum(began < since for began in list(self._began.values()))

    @property
    def spare(self) -> bool:
        """Whether a call would begin at once."""
        return self.busy + self._waiting < self.threads

    @property
    def exhausted(self) -> bool:
        """Whether every thread hangs, so that no call will begin."""
        return self.hung >= self.threads

    def submit(
        self, call: Callable[..., Result], /, *arguments: Any, **named: Any
    ) -> Future[Result]:
        """As `Executor.submit`."""
        with self._lock:
            self._waiting += 1
        try:
            future = self._executor.submit(self._run, call, *arguments, **named)
        except BaseException:
            self._leave_queue()
            raise
        future.add_done_callback(self._forget_cancelled)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As `Executor.shutdown`."""
        self._executor.shutdown(wait, cancel_futures=cancel_futures)

    def _run(self, call: Callable[..., Result], *arguments: Any, **named: Any) -> Result:
        self._leave_queue()
        thread = threading.get_ident()
        self._began[thread] = time.monotonic()
        try:
            return call(*arguments, **named)
        finally:
            del self._began[thread]

    def _forget_cancelled(self, future: Future[Result]) -> None:
        if future.cancelled():
            self._leave_queue()

    def _leave_queue(self) -> None:
        with self._lock:
            self._waiting -= 1
