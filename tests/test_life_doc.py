"""docs/life.md, run: each command, and each request to a server that follows the store."""

from __future__ import annotations

import asyncio
import re
import shlex
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from quart.typing import TestClientProtocol as Client

from model_store import ModelStore
from quart_app import create_app
from quart_app.cli.main import cli

from .conftest import started
from .documents import ADDRESS, commands

PAGE = (Path(__file__).parent.parent / "docs/life.md").read_text()
PATIENCE = 20.0


def fits(output: str, printed: str) -> bool:
    pattern = ".*?".join(re.escape(part) for part in output.strip("\n").split("..."))
    return re.fullmatch(pattern, printed.strip("\n"), re.DOTALL) is not None


async def curl(client: Client, command: str) -> str:
    """What curl would print."""
    words = shlex.split(command)
    url = next(word for word in words if word.startswith(ADDRESS)).removeprefix(ADDRESS)
    pairs = [words[i + 1] for i, word in enumerate(words) if word == "-H"]
    headers = dict(pair.split(": ") for pair in pairs)
    if "-d" not in words:
        return await (await client.get(url)).get_data(as_text=True)
    body = words[words.index("-d") + 1]
    return await (await client.post(url, data=body, headers=headers)).get_data(as_text=True)


async def expect(client: Client, command: str, output: str) -> None:
    """The server follows by itself: what it answers is as the document says in the end."""
    end = time.monotonic() + PATIENCE
    while True:
        printed = await curl(client, command)
        if fits(output, printed):
            return
        assert time.monotonic() < end, printed
        await asyncio.sleep(0.05)


async def test_a_version_becomes_the_champion_and_goes_back_as_the_document_says(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUART_APP_MODEL_STORE", str(store.root))
    ran = 0
    async with started(create_app(MODEL_STORE=store.root, RECIPES="", FOLLOW="0.05")) as app:
        client = app.test_client()
        for command, output in commands(PAGE):
            if command.startswith("curl "):
                await expect(client, command, output)
            else:
                arguments = shlex.split(command)[1:]
                result = await asyncio.to_thread(CliRunner().invoke, cli, arguments)
                assert result.exit_code == 0, result.output
                assert fits(output, result.stdout), result.stdout
            ran += 1
    assert ran == 14
