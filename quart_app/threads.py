"""Blocking calls in threads: one that cannot hold up the end of the process, others counted."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class CountedThreads(ThreadPoolExecutor):
    """An executor that knows how many of its threads are at work."""

    def __init__(self, threads: int, name: str) -> None:
        super().__init__(threads, thread_name_prefix=name)
        self._threads_at_most = threads
        self._taken = 0
        self._taking = threading.Lock()

    @property
    def busy(self) -> int:
        """Threads at work."""
        return min(self._taken, self._threads_at_most)

    def submit(
        self,
        call: Callable[Parameters, Result],
        /,
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Future[Result]:
        """Run `call` in a thread when one is free."""
        future = super().submit(call, *args, **kwargs)
        with self._taking:
            self._taken += 1
        future.add_done_callback(self._give_back)
        return future

    def _give_back(self, future: Future[Any]) -> None:
        with self._taking:
            self._taken -= 1


async def run_in_daemon(call: Callable[[], Result]) -> Result:
    """Run `call` in a daemon thread of its own and wait for it.

    Executors join their threads before the interpreter ends, so that a model that takes a minute
    to load would hold up a shutdown for a minute. When the caller is cancelled the thread runs on,
    its result is dropped, and it ends with the process.

    Raises:
        RuntimeError: `call` raised what is no Exception, such as SystemExit; else what it raised.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def settle(result: Result | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = call()
        except BaseException as raised:
            error = raised
            if not isinstance(raised, Exception) or isinstance(raised, StopIteration):
                # SystemExit and its like would end the event loop, a future takes no StopIteration.
                error = RuntimeError(f"{type(raised).__name__}: {raised}")
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="loader", daemon=True).start()
    return await future


async def run_aside(call: Callable[[], Result], *, large: bool) -> Result:
    """The result of `call`, which is made at once, or where it is `large` in a thread, so that it
    does not hold up the event loop."""
    return await asyncio.to_thread(call) if large else call()
