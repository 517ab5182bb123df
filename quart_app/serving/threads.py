"""Blocking calls in threads, which cannot hold up the end of the process."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


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
