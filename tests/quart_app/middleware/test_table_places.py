"""Which table gives way to another one when all places are taken."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from quart_app.inference import NotReady
from quart_app.middleware.table_places import Place, TablePlaces

LONG = 60.0


async def waiting(place: Place) -> bool:
    """Wait for the client, until the place is given to another; whether it was."""
    with contextlib.suppress(TimeoutError):
        async with place.wait(asyncio.get_running_loop().time() + LONG):
            await asyncio.Event().wait()
    return place.gave_way


@contextlib.asynccontextmanager
async def all_waiting(*places: Place) -> AsyncIterator[list[asyncio.Task[bool]]]:
    tasks = [asyncio.create_task(waiting(place)) for place in places]
    await asyncio.sleep(0)
    yield tasks
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_table_that_stands_still_for_longest_gives_way_to_another_client() -> None:
    places = TablePlaces(3)
    taken = [places.enter("a") for _ in range(3)]
    async with all_waiting(*taken) as tasks:
        with pytest.raises(NotReady):
            places.enter("a")
        places.enter("b")
        assert await tasks[0]
        assert not tasks[1].done()
        with pytest.raises(NotReady):  # which would have more than the other then
            places.enter("b")


async def test_a_table_that_is_answered_or_written_does_not_give_way() -> None:
    places = TablePlaces(2)
    written, answered = places.enter("a"), places.enter("a")
    answered.is_arriving = False
    async with all_waiting(answered):
        with pytest.raises(NotReady):
            places.enter("b")
        places.leave(written)
        places.enter("b")


async def test_places_that_were_left_are_free() -> None:
    places = TablePlaces(1)
    for _ in range(3):
        place = places.enter("a")
        with pytest.raises(NotReady):
            places.enter("b")
        places.leave(place)
