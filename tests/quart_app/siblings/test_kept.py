"""What workers have counted: told by the living, kept of the dead, never twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from quart_app.server.place import Place
from quart_app.siblings.channel import Channel
from quart_app.siblings.kept import GONE, Kept, Piece


class Worker:
    """Counts, and can die."""

    def __init__(self, folder: Path, slot: int) -> None:
        self.count = 0
        self.channel = Channel(Place(slot, 3, folder))
        self.kept = Kept(self.channel, lambda: b"%d" % self.count, fold)

    async def total(self) -> int:
        return sum(int(piece.body) for piece in await self.kept.gather())


def fold(bodies: Sequence[bytes]) -> bytes:
    return b"%d" % sum(map(int, bodies))


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.counts")}


@contextlib.asynccontextmanager
async def three(folder: Path) -> AsyncIterator[list[Worker]]:
    found = [Worker(folder, slot) for slot in range(3)]
    for each in found:
        await each.channel.start()
    try:
        yield found
    finally:
        for each in found:
            await each.channel.close()


async def test_all_say_the_sum_of_all(tmp_path: Path) -> None:
    async with three(tmp_path) as found:
        for number, each in enumerate(found):
            each.count = 10**number
        assert [await each.total() for each in found] == [111] * 3
        found[0].count = 2
        assert await found[1].total() == 112


async def test_what_one_that_died_had_told_counts_on_in_one_file_of_all(tmp_path: Path) -> None:
    async with three(tmp_path) as (one, two, last):
        last.count = 7
        assert await one.total() == 7
        last.count = 8  # which nobody was told
        await last.channel.close()
        assert await one.kept.gather() == [Piece(True, b"0"), Piece(True, b"0"), Piece(False, b"7")]
        assert len(files(tmp_path)) == 3
        two.count = 1
        await two.kept.write()
        await two.channel.close()
        assert await one.kept.gather() == [Piece(True, b"0"), Piece(False, b"8")]
        assert files(tmp_path) == {f"{one.channel.name}.counts", GONE}


async def test_a_fold_that_ended_before_it_removed_the_files_counts_nothing_twice(
    tmp_path: Path,
) -> None:
    async with three(tmp_path) as (one, two, last):
        last.count = 7
        await one.kept.gather()
        file = tmp_path / f"{last.channel.name}.counts"
        content = file.read_bytes()
        await last.channel.close()
        await one.kept.gather()
        file.write_bytes(content)  # as if the folding process had been killed before
        assert await two.total() == 7
        assert await one.total() == 7


async def test_one_that_hangs_counts_with_what_it_told_last(tmp_path: Path) -> None:
    async with three(tmp_path) as (one, _, last):
        last.count = 7
        assert await one.total() == 7
        last.count = 9

        async def hang(body: bytes) -> bytes:
            await asyncio.sleep(10)
            return b""

        last.channel.on("counts", hang)
        assert await one.total() == 7
        assert len(await one.kept.gather()) == 3


async def test_those_that_ask_at_once_are_answered_together_and_of_what_came_before(
    tmp_path: Path,
) -> None:
    async with three(tmp_path) as (one, two, _):
        asked = [asyncio.create_task(one.total()) for _ in range(20)]
        await asyncio.sleep(0)
        two.count = 1
        asked += [asyncio.create_task(one.total()) for _ in range(20)]
        found = await asyncio.gather(*asked)
        assert found[20:] == [1] * 20


async def test_a_folder_that_cannot_be_written_leaves_what_the_living_say(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with three(tmp_path) as (one, two, _):
        (tmp_path / f"{two.channel.name}.counts").mkdir()
        two.count = 5
        assert await one.total() == 5
        assert await two.total() == 5
        assert caplog.text.count("what is counted cannot be kept") == 1
