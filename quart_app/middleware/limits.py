"""What a request may be and how many there may be, before anything of it is understood.

`fault_of` looks at the head of a request, before its body is read: at its version, its size, its
one host, and at what frames the body, since a server and the proxy before it that disagree on where
a request ends can be made to answer one that nobody sent (RFC 9112, section 11.2). The parser of
neither server tells all of that. `InFlight` bounds what is answered at a
time, after the body has been read, so that slow senders take nobody's place. An ASGI middleware
around each asks it.

A refusal travels through the scope as an exception, so that the one table of errors answers it. It
is answered at once; then the body is read for a while, since a connection that is closed with
something unread is reset, and its client may not read the answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Sequence
from typing import Final

from werkzeug.exceptions import (
    HTTPVersionNotSupported,
    NotImplemented,
    RequestHeaderFieldsTooLarge,
    RequestURITooLarge,
)

from ..asgi import ASGIApp, Message, Receive, Scope, Send, state_of
from ..inference import BUSY_RETRY_AFTER, InvalidRequest, Overloaded

HEALTH: Final = "/health/"

HEADERS: Final = 100
HEAD_BYTES: Final = 16 * 1024
"""As many as Hypercorn takes of a head that comes piece by piece."""

FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})
"""Headers that say how long the body is."""

VERSIONS: Final = frozenset({"1.0", "1.1", "2", "3"})
"""As ASGI has them; a server's own command may speak the latter two."""

NO_VERSION: Final = "0.9"
"""What httptools makes of a request line without a version."""

TRANSFER_ENCODING: Final = b"transfer-encoding"

_HOST: Final = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]{2,64}\]|(?:[\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]{0,5})?",
    re.ASCII,
)
"""A host as an address has it, and a port (RFC 3986, section 3.2.2)."""

TARGET_BYTES: Final = 48 * 1024
"""A query may hold a value for each of a thousand columns."""

LINGER_BYTES: Final = 4 * 1024 * 1024
LINGER_SECONDS: Final = 2.0


class Heads:
    """Refuses requests by what their head says."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (fault := fault_of(scope)) is not None:
            state_of(scope).refusal = fault
            await self._app(scope, no_body(), last_word(scope, receive, send))
        else:
            await self._app(scope, receive, send)


class InFlight:
    """Counts the requests that are being answered: `enter` one, and `leave` when it has ended."""

    __slots__ = ("_most", "requests")

    def __init__(self, most: int) -> None:
        self.requests = 0
        self._most = most

    def enter(self) -> Overloaded | None:
        """Count one more; why it is to be refused, if there were as many as may be before."""
        full = self.requests >= self._most
        self.requests += 1
        if not full:
            return None
        return Overloaded("As many requests are being answered as may be.", BUSY_RETRY_AFTER)

    def leave(self) -> None:
        """Count one less."""
        self.requests -= 1


class InFlightLimit:
    """Refuses requests to `app` while as many as may be are being answered."""

    def __init__(self, app: ASGIApp, in_flight: InFlight) -> None:
        self._app = app
        self._in_flight = in_flight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(HEALTH):
            await self._app(scope, receive, send)
            return
        full = self._in_flight.enter()
        if full is not None:
            state = state_of(scope)
            state.refusal = state.refusal or full
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_flight.leave()


def is_host(value: bytes) -> bool:
    """Whether a header Host has a form that it may have."""
    return _HOST.fullmatch(value) is not None


def fault_of(scope: Scope) -> Exception | None:
    """Why a request is to be refused by what its head says, if it is."""
    version: str = scope["http_version"]
    if version not in VERSIONS:
        if version == NO_VERSION:
            return InvalidRequest("The request line names no version of HTTP.")
        return HTTPVersionNotSupported(f"Expected HTTP/1.1, got HTTP/{version:.10}.")
    headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
    if len(headers) > HEADERS:
        return RequestHeaderFieldsTooLarge(f"A request may have {HEADERS} headers.")
    if len(scope["raw_path"]) + len(scope["query_string"]) > TARGET_BYTES:
        return RequestURITooLarge(f"The address of a request may have {TARGET_BYTES} bytes.")
    size, framed, hosts = 0, 0, 0
    for name, value in headers:
        size += len(name) + len(value) + 4
        if name in FRAMING:
            framed += 1
            if name == TRANSFER_ENCODING and value.lower() != b"chunked":
                return NotImplemented("Transfer-Encoding: expected chunked alone.")
        elif name == b"host":
            hosts += 1
            if not is_host(value):
                return InvalidRequest(f"Host: expected a host and a port, got {_shown(value)}.")
    if size > HEAD_BYTES:
        return RequestHeaderFieldsTooLarge(f"The headers of a request may have {HEAD_BYTES} bytes.")
    if framed > 1:
        return InvalidRequest("The length of the body is said in more than one way.")
    if hosts > 1 or (not hosts and version == "1.1"):
        return InvalidRequest(f"Expected one header Host, got {hosts or 'none'}.")
    return None


def _shown(value: bytes) -> str:
    return repr(value[:60].decode("ascii", "backslashreplace"))


def last_word(scope: Scope, receive: Receive, send: Send) -> Send:
    """Send an answer at once, and close the connection after it, once the body has been read."""
    if scope["http_version"] in {"2", "3"}:
        return send

    async def send_last(event: Message) -> None:
        if event["type"] == "http.response.start":
            event = {**event, "headers": [*event["headers"], (b"connection", b"close")]}
        last = event["type"] == "http.response.body" and not event.get("more_body", False)
        if last:
            await send({**event, "more_body": True})
            await _linger(receive)
            event = {"type": "http.response.body", "body": b"", "more_body": False}
        await send(event)

    return send_last


async def _linger(receive: Receive) -> None:
    read, more = 0, True
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while more and read < LINGER_BYTES:
                message = await receive()
                if message["type"] != "http.request":
                    return
                read += len(message.get("body", b""))
                more = message.get("more_body", False)


def no_body() -> Receive:
    """What the app receives of a request whose body is not read."""
    received = False

    async def receive() -> Message:
        nonlocal received
        if received:  # frameworks go on receiving until the client has gone
            await asyncio.get_running_loop().create_future()
        received = True
        return {"type": "http.request", "body": b"", "more_body": False}

    return receive
