"""The body of a request as it comes: read, inflated, thrown away, and given on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from ..asgi import Message, Receive, Scope, Send
from ..protocols.protocol import Headers
from .compression import Inflater
from .table_places import Wait

BUFFERED: Final = 4096
"""A smaller piece of a response mostly goes to a buffer, and costs less than to watch it."""

STALL_SECONDS: Final = 60.0
"""Drop a client that reads nothing for this long."""

INFLATED_AT_ONCE: Final = 4096
"""Compressed bytes that are inflated at once: they may hold a thousand times as many."""

DRAIN_BYTES: Final = 64 * 1024 * 1024
DRAIN_SECONDS: Final = 5.0


class Disconnected(Exception):
    """The client left before the body was there."""


def first_headers(scope: Scope) -> dict[bytes, bytes]:
    """The headers by their names; if a header repeats, the first wins."""
    return dict(reversed(list(scope["headers"])))


def mimetype(headers: Headers) -> bytes:
    """The content type of a body without its parameters, in lower case."""
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


def inflater_for(headers: Headers, limit: int) -> Inflater | None:
    """What inflates a body of this head; None where it is not compressed.

    Raises:
        UnsupportedBody: the coding is not known.
    """
    coding = headers.get(b"content-encoding", b"").decode("latin-1").strip().lower()
    return None if coding in {"", "identity"} else Inflater(coding, limit)


def is_waiting(headers: Headers) -> bool:
    """Whether a client sends no body before it is told to (RFC 9110, section 10.1.1). The server
    tells it as soon as something is received."""
    return headers.get(b"expect", b"").lower() == b"100-continue"


def length_of(headers: Headers) -> int:
    """How long a body is by its head; 0 where that does not tell."""
    length = headers.get(b"content-length", b"")
    return int(length) if length.isdigit() else 0


async def read_part(receive: Receive) -> tuple[bytes, bool]:
    """The next part of the body, and whether more will come.

    Raises:
        Disconnected
    """
    message = await receive()
    if message["type"] != "http.request":
        raise Disconnected
    return message.get("body", b""), message.get("more_body", False)


async def parts(receive: Receive) -> AsyncIterator[bytes]:
    """What is left of the body, as it comes.

    Raises:
        Disconnected
    """
    more = True
    while more:
        part, more = await read_part(receive)
        yield part


async def inflated(compressed: AsyncIterator[bytes], inflater: Inflater) -> AsyncIterator[bytes]:
    """What a compressed body holds.

    Raises:
        InvalidRequest: it is not of its coding.
        RequestTooLarge: it holds more than the limit.
    """
    async for part in compressed:
        async for piece in inflated_part(part, inflater):
            yield piece
    inflater.finish()


async def inflated_part(part: bytes, inflater: Inflater) -> AsyncIterator[bytes]:
    """What a part of a body holds; others have their turn after each piece."""
    for start in range(0, len(part), INFLATED_AT_ONCE):
        yield inflater.feed(part[start : start + INFLATED_AT_ONCE])
        await asyncio.sleep(0)


async def drain(rest: AsyncIterator[bytes]) -> None:
    """Read on for a while, so that the client finishes sending and reads the response."""
    read = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            async for part in rest:
                read += len(part)
                if read > DRAIN_BYTES:
                    break


def in_time(send: Send, wait: Wait = asyncio.timeout_at) -> Send:
    """Give up a client that takes no more; the connection is closed then."""

    async def send_in_time(event: Message) -> None:
        if event["type"] != "http.response.body" or len(event.get("body", b"")) < BUFFERED:
            await send(event)
            return
        async with wait(asyncio.get_running_loop().time() + STALL_SECONDS):
            await send(event)

    return send_in_time


def replay(body: bytes, receive: Receive, *, more: bool = False) -> Receive:
    """The body in one piece, or with `more` its beginning, and then what `receive` brings."""
    replayed = False

    async def receive_again() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": body, "more_body": more}

    return receive_again
