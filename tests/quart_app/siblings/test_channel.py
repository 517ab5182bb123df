"""Questions between workers: answered, bounded in time and size, and never to one that died."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from quart_app.server.place import Place
from quart_app.siblings.channel import MOST, Channel, Name

HUGE = b"\xff\xff\xff\xff"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "shared"
    found.mkdir(mode=0o700)
    return found


@contextlib.asynccontextmanager
async def channels(folder: Path, many: int) -> AsyncIterator[list[Channel]]:
    found = [Channel(Place(slot, many, folder)) for slot in range(many)]
    for each in found:
        await each.start()
    try:
        yield found
    finally:
        for each in found:
            await each.close()


async def echo(body: bytes) -> bytes:
    return body + b"!"


async def test_a_question_is_answered_by_all_others(folder: Path) -> None:
    async with channels(folder, 3) as (one, *others):
        for each in others:
            each.on("echo", echo)
        found = await one.ask("echo", b"hello")
        assert found == {each.name: b"hello!" for each in others}
        assert one.others() == [each.name for each in others]


async def test_one_that_answers_late_or_fails_or_knows_nothing_of_it_answers_none(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def late(body: bytes) -> bytes:
        await asyncio.sleep(10)
        return b""

    async def fails(body: bytes) -> bytes:
        raise ValueError("no")

    async with channels(folder, 4) as (one, second, third, fourth):
        second.on("it", late)
        third.on("it", fails)
        begun = time.monotonic()
        found = await one.ask("it", seconds=0.2)
        assert time.monotonic() - begun < 5
        assert found == {second.name: None, third.name: None, fourth.name: None}
    assert "what another worker asked about it failed" in caplog.text


async def test_one_that_died_is_passed_over_and_its_socket_removed(folder: Path) -> None:
    async with channels(folder, 2) as (one, other):
        name = Name(2, 0, 1, "dead")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(folder / f"{name}.sock"))
        assert not one.is_there(name)
        assert one.is_there(other.name)
        assert one.is_there(one.name)
        other.on("echo", echo)
        assert await one.ask("echo") == {other.name: b"!"}
        assert not (folder / f"{name}.sock").exists()
        assert await one.ask("echo") == {other.name: b"!"}
    assert os.listdir(folder) == []


@pytest.mark.parametrize("sent", [b"", b"\0", HUGE, HUGE + b"x" * 1000, b"\0\0\0\5hello"])
async def test_what_is_no_question_harms_nobody(folder: Path, sent: bytes) -> None:
    async with channels(folder, 2) as (one, other):
        other.on("echo", echo)
        reader, writer = await asyncio.open_unix_connection(folder / f"{other.name}.sock")
        writer.write(sent)
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        assert await one.ask("echo") == {other.name: b"!"}


async def test_an_answer_of_some_megabytes_comes_whole_and_one_too_long_not_at_all(
    folder: Path,
) -> None:
    async def long(body: bytes) -> bytes:
        return b"x" * int(body)

    async with channels(folder, 2) as (one, other):
        other.on("long", long)
        found = await one.ask("long", b"%d" % (MOST // 4), seconds=10)
        assert found == {other.name: b"x" * (MOST // 4)}
        assert not any((await one.ask("long", b"%d" % (MOST + 1), seconds=10)).values())


async def test_a_folder_whose_path_is_longer_than_an_address_will_do(folder: Path) -> None:
    deep = folder / ("x" * 120)
    deep.mkdir()
    async with channels(deep, 2) as (one, other):
        other.on("echo", echo)
        assert await one.ask("echo") == {other.name: b"!"}
        assert one.is_there(other.name)


async def test_a_folder_that_has_gone_is_an_error_at_the_start_alone(folder: Path) -> None:
    async with channels(folder, 2) as (one, _):
        shutil.rmtree(folder)
        assert await one.ask("echo") == {}
    with pytest.raises(OSError, match="No such file"):
        await Channel(Place(0, 2, folder)).start()
