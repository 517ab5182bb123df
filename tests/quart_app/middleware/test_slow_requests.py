from __future__ import annotations

import asyncio

from quart_app.middleware.slow_requests import Lookout


def test_the_current_task_is_that_of_the_loop_that_runs() -> None:
    lookout = Lookout()

    async def is_current() -> bool:
        return lookout.current_task() is asyncio.current_task()

    async def several() -> list[bool]:
        return list(await asyncio.gather(is_current(), is_current()))

    assert asyncio.run(several()) == asyncio.run(several()) == [True, True]
