"""The databases that tests use: a SQLite file, and PostgreSQL at TEST_POSTGRES_URL, whose user may
create schemas: each test has its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest


@contextlib.contextmanager
def postgres_schema() -> Iterator[str]:
    """The URL of a new schema, which is removed afterwards."""
    server = os.environ.get("TEST_POSTGRES_URL")
    if not server:
        if os.environ.get("REQUIRE_POSTGRES"):
            pytest.fail("TEST_POSTGRES_URL is not set")
        pytest.skip("TEST_POSTGRES_URL is not set")
    schema = f"test_{uuid.uuid4().hex}"
    execute(server, f"CREATE SCHEMA {schema}")
    try:
        yield f"{server}{'&' if '?' in server else '?'}options=-csearch_path%3D{schema}"
    finally:
        execute(server, f"DROP SCHEMA {schema} CASCADE")


def execute(url: str, statement: str) -> None:
    """Run a statement beside the app, and commit."""
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
            file.execute(statement)
            file.commit()
    else:
        import psycopg

        with psycopg.connect(url, autocommit=True) as server:
            server.execute(statement.encode())


class Proxy:
    """A port before PostgreSQL that can hang, and close with all connections."""

    def __init__(self, target: str, port: int) -> None:
        self.flows = asyncio.Event()
        self.flows.set()
        self.port = 0
        self._target = (target, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self.flows.set()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        self._writers |= {writer, back}
        try:
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        finally:
            self._writers -= {writer, back}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self.flows.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy before PostgreSQL, and the URL of the database through it."""
    from psycopg.conninfo import conninfo_to_dict

    told = conninfo_to_dict(url)
    target, port = str(told["host"]), int(told.get("port") or 5432)
    found = Proxy(target, port)
    await found.open()
    place = url.partition("@")[2].partition("/")[0]
    try:
        yield found, url.replace(f"@{place}/", f"@127.0.0.1:{found.port}/")
    finally:
        await found.close()
