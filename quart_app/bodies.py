"""Request bodies, read whole and within limits before the app sees the request.

A compressed body is inflated on the way, and the limit holds for what comes out.

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

from .compression import Inflater
from .config import Config
from .inference import InvalidRequest, RequestTooLarge
from .negotiation import FORMS
from .protocols import v2_binary

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
        except (InvalidRequest, RequestTimeout) as refusal:
            extended[REFUSAL] = refusal
            body = b""
        await self._app(scope, _replay(body, receive), send)

    async def _read(self, scope: HTTPScope, receive: ASGIReceiveCallable, until: float) -> bytes:
        """The body, inflated where it was compressed; a refused one is read on for a while."""
        limit = self._limit(scope)
        body, more = bytearray(), True
        try:
            async with asyncio.timeout_at(until):
                inflater = _inflater(scope, limit)
                while more:
                    part, more = await _receive(receive)
                    body += part if inflater is None else inflater.feed(part)
                    if len(body) > limit:
                        raise RequestTooLarge(f"A body of this kind may have {limit} bytes.")
                if inflater is not None:
                    inflater.finish()
        except TimeoutError:
            raise RequestTimeout from None
        except InvalidRequest:
            if more:
                await _drain(receive)
            raise
        return bytes(body)

    def _limit(self, scope: HTTPScope) -> int:
        if _header(scope, v2_binary.HEADER) is not None and scope["path"].startswith("/v2/"):
            return self._config.max_tensor_bytes
        kind = _header(scope, "Content-Type") or ""
        is_form = kind.lower().startswith(tuple(FORMS))
        return self._config.max_form_bytes if is_form else self._config.max_json_bytes


def _header(scope: HTTPScope, name: str) -> str | None:
    wanted = name.lower().encode()
    found = (value for key, value in scope["headers"] if key.lower() == wanted)
    return next((value.decode("latin-1") for value in found), None)


def _inflater(scope: HTTPScope, limit: int) -> Inflater | None:
    coding = (_header(scope, "Content-Encoding") or "identity").strip().lower()
    return None if coding in {"", "identity"} else Inflater(coding, limit)


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
