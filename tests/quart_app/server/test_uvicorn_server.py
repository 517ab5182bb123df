"""What Uvicorn writes to a connection: whole responses, each in its turn."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import re
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

if None in map(importlib.util.find_spec, ("uvicorn", "httptools")):
    pytest.skip("needs the extra uvicorn", allow_module_level=True)

from quart_app.server.options import ServerOptions, Shutdown
from quart_app.server.sockets import MAX_COPIED
from quart_app.server.uvicorn_server import _Flow, _Responses, serve

OPTIONS = ServerOptions(shutdown=Shutdown(drain=1), max_connections=10)
LONG = 30.0  # seconds; no test waits this long unless it fails
LARGE = b"x" * (MAX_COPIED + 1)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers as the path says."""
    if scope["type"] == "lifespan":
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})
        return
    kind = scope["path"][1:]
    body = {"large": LARGE, "empty": b""}.get(kind, b"whole")
    length = [] if kind == "parts" else [(b"content-length", b"%d" % len(body))]
    if kind == "expects":
        body = (await receive())["body"]
        length = [(b"content-length", b"%d" % len(body))]
    if kind == "headers":
        while (await receive())["more_body"]:
            pass
        body = b" ".join(name for name, _ in scope["headers"])
        length = [(b"content-length", b"%d" % len(body))]
    status = 204 if kind == "empty" else 200
    await send({"type": "http.response.start", "status": status, "headers": length})
    if kind == "fails":
        raise RuntimeError
    if kind == "parts":
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await receive()
        await receive()  # until the client has closed its side, or the connection
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def connection() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a server of that app, in this loop."""
    stop = asyncio.Event()
    started = asyncio.Event()

    async def until_stop() -> None:
        started.set()
        await stop.wait()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        serving = asyncio.create_task(serve(app, listener, until_stop, OPTIONS))
        async with asyncio.timeout(LONG):
            await started.wait()
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            yield reader, writer
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            stop.set()
            await serving


def request(path: str, method: str = "GET", *headers: str, body: str = "") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *headers, "", body]).encode()


CHUNKED = "Transfer-Encoding: chunked"
CLOSE = "Connection: close"
HEAD = rb"HTTP/1\.1 200 OK\r\n(?:[a-z-]+: [^\r\n]+\r\n)+\r\n"
EXPECTS = ("Expect: 100-continue", "Content-Length: 2")

WIRE: dict[str, tuple[bytes, bytes]] = {
    "a whole response": (request("/", "GET", CLOSE), HEAD + b"whole"),
    "the head alone": (request("/", "HEAD", CLOSE), HEAD),
    "no body": (request("/empty", "GET", CLOSE), HEAD.replace(b"200 OK", b"204 No Content")),
    "a large body": (request("/large", "GET", CLOSE), HEAD + LARGE),
    "two at once": (request("/") + request("/", "GET", CLOSE), HEAD + b"whole" + HEAD + b"whole"),
    "a head, then a whole response": (
        request("/", "HEAD") + request("/", "GET", CLOSE),
        HEAD + HEAD + b"whole",
    ),
    "a response after no body": (
        request("/empty") + request("/large", "GET", CLOSE),
        HEAD.replace(b"200 OK", b"204 No Content") + HEAD + LARGE,
    ),
    "a client that waits to be asked for its body": (
        request("/expects", "POST", *EXPECTS, CLOSE, body="ok"),
        rb"HTTP/1\.1 100 Continue\r\n\r\n" + HEAD + b"ok",
    ),
    "trailers, which are no headers": (
        request("/headers", "POST", CHUNKED, CLOSE, body="1\r\nx\r\n0\r\nX-One: 1\r\n\r\n"),
        HEAD + b"host transfer-encoding connection",
    ),
    "an app that fails after the head": (request("/fails"), HEAD),
}


@pytest.mark.parametrize(("sent", "expected"), WIRE.values(), ids=WIRE)
async def test_responses_are_whole_and_in_order(
    sent: bytes,
    expected: bytes,
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    reader, writer = connection
    writer.write(sent)
    found = await reader.read()
    assert re.fullmatch(expected, found), found[:1000]


async def test_the_first_part_of_a_body_does_not_wait_for_the_second(
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    reader, writer = connection
    writer.write(request("/parts"))
    assert (await reader.readuntil(b"one\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_of_requests_whose_answers_nobody_reads_the_rest_is_not_even_read(
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    _, writer = connection
    writer.write(request("/large") * 500_000)  # more than the kernel takes for both ends
    before = -1
    while (unsent := writer.transport.get_write_buffer_size()) != before:
        before = unsent
        await asyncio.sleep(0.2)
    writer.transport.abort()
    assert unsent


@pytest.mark.parametrize(
    ("calls", "is_paused"),
    [
        (["pause_reading"], True),
        (["pause_reading", "resume_reading"], False),
        (["hold"], True),
        (["hold", "resume_reading"], True),
        (["hold", "resume_reading", "release"], False),
        (["pause_reading", "hold", "release"], False),
    ],
)
def test_nothing_is_read_while_what_was_read_waits_to_be_parsed(
    calls: list[str], is_paused: bool
) -> None:
    transport = Written()
    flow = _Flow(transport)
    for call in calls:
        getattr(flow, call)()
    assert transport.is_paused == is_paused


class Written(asyncio.Transport):
    """A transport that keeps what is written, and whether it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.is_paused = False

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def write(self, data: bytes | bytearray | memoryview[int]) -> None:
        self.writes.append(bytes(data))


@pytest.mark.parametrize(
    ("parts", "writes"),
    [
        ([b"head", b"body"], [b"headbody"]),
        ([b"head", b""], [b"head"]),
        ([b"head"], [b"head"]),
        ([b"head", b"one", b"two", b"three"], [b"headone", b"two", b"three"]),
        ([b"head", LARGE], [b"head", LARGE]),
    ],
)
def test_a_head_leaves_in_one_write_with_the_first_part_of_its_body(
    parts: list[bytes], writes: list[bytes]
) -> None:
    transport = Written()
    responses = _Responses(transport)
    for _ in range(2):
        for part in parts:
            responses.write(part)
        responses.end()
    assert transport.writes == writes * 2
