"""Request bodies, read whole and within limits before the app sees the request.

An ASGI middleware, because here the limit also holds for a chunked body, and a refused one can be
read to its end: a server whose app stops reading leaves the connection hanging. A refusal is an
exception in the scope, which the app raises first of all, so that it is answered like any other.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final, cast

from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    HTTPScope,
    Scope,
)
from quart import Quart, request
from werkzeug.exceptions import RequestTimeout

from .config import Config
from .inference import RequestTooLarge
from .negotiation import FORMS

REFUSAL: Final = "quart_app.refusal"
UNTIL: Final = "quart_app.until"
"""The moment, in the loop's time, by which the request must be answered: one for all its stages."""

DRAIN_BYTES: Final = 64 * 1024 * 1024
DRAIN_SECONDS: Final = 5.0


class _Disconnected(Exception):
    pass


class BodyLimit:
    """Gives `app` each request with its body in one piece, or a refusal in its place.

    No address here is a WebSocket; a handshake is refused, with status 403.
    """

    def __init__(self, app: ASGIFramework, config: Config) -> None:
        self._app = app
        self._config = config

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000, "reason": None})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        until = asyncio.get_running_loop().time() + self._config.deadline
        extended = cast(dict[str, Any], scope)
        extended[UNTIL] = until
        try:
            body = await self._read(scope, receive, until)
        except _Disconnected:
            return
        except (RequestTooLarge, RequestTimeout) as refusal:
            extended[REFUSAL] = refusal
            body = b""
        await self._app(scope, _replay(body, receive), send)

    async def _read(self, scope: HTTPScope, receive: ASGIReceiveCallable, until: float) -> bytes:
        limit = self._limit(scope)
        body = bytearray()
        more = True
        try:
            async with asyncio.timeout_at(until):
                while more and len(body) <= limit:
                    part, more = await _receive(receive)
                    body += part
        except TimeoutError:
            raise RequestTimeout from None
        if len(body) <= limit:
            return bytes(body)
        if more:
            await _drain(receive)
        raise RequestTooLarge(f"A body of this kind may have {limit} bytes.")

    def _limit(self, scope: HTTPScope) -> int:
        kind = next((v for k, v in scope["headers"] if k.lower() == b"content-type"), b"")
        is_form = kind.decode("latin-1").lower().startswith(tuple(FORMS))
        return self._config.max_form_bytes if is_form else self._config.max_json_bytes


def register(app: Quart, config: Config) -> None:
    """Let the app have bodies within their limits only."""
    app.config |= {"MAX_CONTENT_LENGTH": None, "BODY_TIMEOUT": None}
    app.asgi_app = BodyLimit(app.asgi_app, config)  # type: ignore[method-assign]
    app.before_request(_raise_refusal)


def _raise_refusal() -> None:
    refusal = request.scope.get(REFUSAL)
    if isinstance(refusal, Exception):
        raise refusal


async def _receive(receive: ASGIReceiveCallable) -> tuple[bytes, bool]:
    """The next part of the body, and whether more will come."""
    message = await receive()
    if message["type"] != "http.request":
        raise _Disconnected
    return message.get("body", b""), message.get("more_body", False)


async def _drain(receive: ASGIReceiveCallable) -> None:
    """Read on for a while, so that the client finishes sending and reads the answer."""
    read, more = 0, True
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while more and read <= DRAIN_BYTES:
                part, more = await _receive(receive)
                read += len(part)


def _replay(body: bytes, receive: ASGIReceiveCallable) -> ASGIReceiveCallable:
    replayed = False

    async def receive_again() -> ASGIReceiveEvent:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
