"""A blocking call in a thread of its own, and its end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from quart_app.serving.threads import run_in_daemon

ROOT = Path(__file__).parents[3]
PATIENCE = 20.0


def raising(error: BaseException) -> Callable[[], NoReturn]:
    def call() -> NoReturn:
        raise error

    return call


async def test_the_result_is_that_of_the_call() -> None:
    assert await run_in_daemon(lambda: 3) == 3


async def test_the_call_runs_in_a_daemon_thread_and_the_loop_stays_free() -> None:
    def call() -> threading.Thread:
        assert called_from_loop.wait(PATIENCE)
        return threading.current_thread()

    called_from_loop = threading.Event()
    task = asyncio.create_task(run_in_daemon(call))
    await asyncio.sleep(0)
    called_from_loop.set()
    thread = await task
    assert thread.daemon
    assert thread is not threading.main_thread()
    await asyncio.to_thread(thread.join, PATIENCE)
    assert not thread.is_alive()


async def test_an_exception_is_raised_as_it_is() -> None:
    error = ValueError("bad")
    with pytest.raises(ValueError, match="bad") as caught:
        await run_in_daemon(raising(error))
    assert caught.value is error


@pytest.mark.parametrize(
    "error",
    [
        SystemExit(3),
        KeyboardInterrupt(),
        GeneratorExit(),
        StopIteration(),
        asyncio.CancelledError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_would_end_the_loop_or_strand_the_caller_is_a_runtime_error(
    error: BaseException,
) -> None:
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(RuntimeError, match=type(error).__name__):
            await run_in_daemon(raising(error))


@pytest.mark.parametrize("fails", [False, True])
async def test_when_the_caller_is_cancelled_the_thread_runs_on_and_its_result_is_dropped(
    fails: bool,
) -> None:
    def call() -> None:
        threads.append(threading.current_thread())
        entered.set()
        assert gate.wait(PATIENCE)
        if fails:
            raise ValueError

    threads: list[threading.Thread] = []
    entered, gate = threading.Event(), threading.Event()
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    task = asyncio.create_task(run_in_daemon(call))
    assert await asyncio.to_thread(entered.wait, PATIENCE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (thread,) = threads
    assert thread.is_alive()
    gate.set()
    await asyncio.to_thread(thread.join, PATIENCE)
    assert not thread.is_alive()
    assert await run_in_daemon(lambda: "the next one") == "the next one"
    assert errors == []


def test_a_thread_that_ends_after_its_loop_disturbs_nothing() -> None:
    def call() -> None:
        entered.set()
        assert gate.wait(PATIENCE)
        threads.append(threading.current_thread())

    async def give_up() -> None:
        task = asyncio.create_task(run_in_daemon(call))
        await asyncio.to_thread(entered.wait, PATIENCE)
        task.cancel()

    threads: list[threading.Thread] = []
    entered, gate = threading.Event(), threading.Event()
    asyncio.run(give_up())
    gate.set()
    for thread in [found for found in threading.enumerate() if found.name == "loader"]:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert len(threads) == 1


@pytest.mark.process
def test_a_call_that_hangs_does_not_hold_up_the_end_of_the_process() -> None:
    script = """
import asyncio, threading
from quart_app.serving.threads import run_in_daemon

async def main():
    entered = threading.Event()
    def hang():
        entered.set()
        threading.Event().wait()
    asyncio.create_task(run_in_daemon(hang))
    await asyncio.to_thread(entered.wait)

asyncio.run(main())
print("ended")
"""
    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert (ended.stdout, ended.stderr) == ("ended\n", "")
