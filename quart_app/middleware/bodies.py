"""Request bodies, read whole and within limits before the app sees the request.

A compressed body is inflated on the way, and the limit holds for what comes out.

An ASGI middleware, because here the limit also holds for a chunked body, and a refused one can be
read to its end: a server whose app stops reading leaves the connection hanging. A refusal is an
exception in the scope, which the app raises first of all, so that it is answered like any other.

A table in CSV is not held in memory but in a temporary file, which lasts as long as the request.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from typing import IO, Any, Final, cast

from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
    HTTPScope,
    Scope,
)
from quart import Quart, request
from werkzeug.exceptions import RequestTimeout
from werkzeug.http import parse_options_header

from ..config import Config
from ..inference import InvalidRequest, NotReady, RequestTooLarge
from ..negotiation import FORMS
from ..protocols import csv, form, upload, v2_binary
from .compression import Inflater
from .spool import spool

REFUSAL: Final = "quart_app.refusal"
UNTIL: Final = "quart_app.until"
"""The moment, in the loop's time, by which the request must be answered: one for all its stages."""

TENSOR_BODY: Final = "quart_app.body"
"""The body of a request with tensors in bytes: it is large, and Quart would copy it twice."""

TABLE: Final = "quart_app.table"
"""The file with the table in CSV that the request brought."""

OWNER: Final = "quart_app.owner"
"""The ExitStack that closes that file with the request; `pop_all` lets it stay open."""

FILENAME: Final = "quart_app.filename"
"""What the sender calls that file, where it came in a form; None where the form had none."""

TABLE_PATH: Final = re.compile(r"/models/[^/]+(/versions/[^/]+)?/predict")
INFER_PATH: Final = re.compile(r"/v2/models/[^/]+(/versions/[^/]+)?/infer")
UPLOAD_PATH: Final = re.compile(r"/models/[^/]+/file")
FORM_BYTES: Final = 64 * 1024
"""Bytes that a form may have beside its file."""

TABLES_RETRY_AFTER: Final = 5
BODIES_RETRY_AFTER: Final = 1
BUFFERED: Final = 4096
"""A smaller piece of an answer mostly goes to a buffer, and costs less than to watch it."""

STALL_SECONDS: Final = 60.0
"""How long a client may take no more of an answer: it holds the place of another."""

INFLATED_AT_ONCE: Final = 4096
"""Compressed bytes that are inflated at once: they may hold a thousand times as many."""

TENSORS: Final = v2_binary.HEADER.lower().encode()
_CSV: Final = csv.CONTENT_TYPE.encode()
_MULTIPART: Final = form.MULTIPART.encode()
_FORMS: Final = tuple(each.encode() for each in FORMS)

DRAIN_BYTES: Final = 64 * 1024 * 1024
DRAIN_SECONDS: Final = 5.0


Headers = dict[bytes, bytes]


class _Disconnected(Exception):
    pass


class _Refused(Exception):
    """The app is to answer with `reason`."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(reason)
        self.reason = reason


class BodyLimit:
    """Gives `app` each request with its body in one piece, or a refusal in its place.

    No address here is a WebSocket; a handshake is refused, with status 403.
    """

    def __init__(self, app: ASGIFramework, config: Config) -> None:
        self._app = app
        self._config = config
        self._tables = 0
        self._held = 0  # bytes of bodies in memory

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000, "reason": None})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if REFUSAL in scope:
            await self._refused(scope, receive, send)
            return
        headers = _headers(scope)
        if _brings_table(scope, headers):
            await self._with_table(scope, headers, receive, send)
            return
        until = asyncio.get_running_loop().time() + self._config.deadline
        extended = cast(dict[str, Any], scope)
        extended[UNTIL] = until
        body, size = b"", 0
        try:
            read = await self._read(self._limit(scope, headers), headers, receive, until)
            size = len(read)
            if _brings_tensors(scope, headers):
                extended[TENSOR_BODY] = read
            else:
                body = bytes(read)
            del read
        except _Disconnected:
            return
        except (InvalidRequest, NotReady, RequestTimeout) as refusal:
            extended[REFUSAL] = _alone(refusal)
        try:
            await self._app(scope, replay(body, receive), in_time(send))
        finally:
            self._held -= size
            extended.pop(TENSOR_BODY, None)  # the scope may wait for the garbage collector

    async def _refused(
        self, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Read on for a while, and let the app answer with what another layer refused it for."""
        try:
            await _drain(receive)
        except _Disconnected:
            return
        await self._app(scope, replay(b"", receive), in_time(send))

    async def _with_table(
        self,
        scope: HTTPScope,
        headers: Headers,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
    ) -> None:
        """Give the app a request whose table is in a file, or a refusal in its place."""
        extended = cast(dict[str, Any], scope)
        self._tables += 1
        try:
            with contextlib.ExitStack() as owner:
                extended[TABLE] = owner.enter_context(await self._spool(scope, headers, receive))
                extended[OWNER] = owner
                extended[UNTIL] = asyncio.get_running_loop().time() + self._config.deadline
                await self._app(scope, replay(b"", receive), in_time(send))
        except _Disconnected:
            return
        except _Refused as refused:
            extended[REFUSAL] = _alone(refused.reason)
            await self._app(scope, replay(b"", receive), send)
        finally:
            self._tables -= 1

    async def _spool(
        self, scope: HTTPScope, headers: Headers, receive: ASGIReceiveCallable
    ) -> IO[bytes]:
        limit = self._config.max_csv_bytes
        parts = _parts(receive)
        try:
            if self._tables > self._config.max_tables:
                raise NotReady("As many tables are on their way as may be.", TABLES_RETRY_AFTER)
            inflater = _inflater(headers, limit)
            inflated = parts if inflater is None else _inflated(parts, inflater)
            if _mimetype(headers) == _MULTIPART:
                inflated = _uploaded(inflated, scope, headers, limit)
            return await spool(inflated, limit=limit, seconds=self._config.deadline)
        except TimeoutError:
            raise _Refused(RequestTimeout()) from None
        except (InvalidRequest, NotReady) as refusal:
            await _drain_parts(parts)
            raise _Refused(refusal) from None

    async def _read(
        self, limit: int, headers: Headers, receive: ASGIReceiveCallable, until: float
    ) -> bytearray:
        """The body, inflated where it was compressed; a refused one is read on for a while."""
        body, more = bytearray(), True
        before = 0
        try:
            async with asyncio.timeout_at(until):
                inflater = _inflater(headers, limit)
                while more:
                    part, more = await _receive(receive)
                    if inflater is None:
                        body += part
                        before = self._hold(len(body), before, limit)
                        continue
                    async for inflated in _in_pieces(part, inflater):
                        body += inflated
                        before = self._hold(len(body), before, limit)
                if inflater is not None:
                    inflater.finish()
        except BaseException as error:
            self._held -= before
            body.clear()
            if isinstance(error, TimeoutError):
                raise RequestTimeout from None
            if more and isinstance(error, InvalidRequest | NotReady):
                await _drain(receive)
            raise
        return body

    def _hold(self, size: int, before: int, limit: int) -> int:
        """Count a body of `size` bytes, of which `before` were counted; the size.

        Raises:
            RequestTooLarge, NotReady: it is too large, or all bodies are; it is counted as before.
        """
        if size > limit:
            raise RequestTooLarge(f"A body of this kind may have {limit} bytes.")
        held = self._held + size - before
        if held > max(size, self._config.max_held_bytes):
            raise NotReady("Too much is arriving at once.", BODIES_RETRY_AFTER)
        self._held = held
        return size

    def _limit(self, scope: HTTPScope, headers: Headers) -> int:
        if scope["path"].startswith(("/v1/", "/v2/")):  # whatever the content type says
            in_bytes = TENSORS in headers
            return self._config.max_tensor_bytes if in_bytes else self._config.max_json_bytes
        is_form = headers.get(b"content-type", b"").lower().startswith(_FORMS)
        return self._config.max_form_bytes if is_form else self._config.max_json_bytes


def _headers(scope: HTTPScope) -> Headers:
    """The headers by their names, which ASGI has in lower case; of several alike the first."""
    return dict(reversed(list(scope["headers"])))


def _inflater(headers: Headers, limit: int) -> Inflater | None:
    coding = headers.get(b"content-encoding", b"").decode("latin-1").strip().lower()
    return None if coding in {"", "identity"} else Inflater(coding, limit)


def register(app: Quart, config: Config) -> None:
    """Let the app have bodies within their limits only."""
    app.config |= {"MAX_CONTENT_LENGTH": None, "BODY_TIMEOUT": None}
    app.asgi_app = BodyLimit(app.asgi_app, config)  # type: ignore[method-assign]
    app.before_request(_raise_refusal)


async def _raise_refusal() -> None:
    # Asynchronous, though it waits for nothing: Quart would run it in a thread otherwise.
    refusal = request.scope.get(REFUSAL)
    if isinstance(refusal, Exception):
        raise refusal


def _alone(refusal: Exception) -> Exception:
    """The exception without what was going on when it was raised. The frames there hold parts of
    the body, and the scope, which is to hold the exception: a circle that would keep them until
    garbage is looked for."""
    refusal.__context__ = None
    return refusal.with_traceback(None)


async def _receive(receive: ASGIReceiveCallable) -> tuple[bytes, bool]:
    """The next part of the body, and whether more will come."""
    message = await receive()
    if message["type"] != "http.request":
        raise _Disconnected
    return message.get("body", b""), message.get("more_body", False)


async def _drain(receive: ASGIReceiveCallable) -> None:
    """Read on for a while, so that the client finishes sending and reads the answer."""
    await _drain_parts(_parts(receive))


async def _drain_parts(parts: AsyncIterator[bytes]) -> None:
    read = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            async for part in parts:
                read += len(part)
                if read > DRAIN_BYTES:
                    break


async def _parts(receive: ASGIReceiveCallable) -> AsyncIterator[bytes]:
    """What is left of the body, as it comes."""
    more = True
    while more:
        part, more = await _receive(receive)
        yield part


async def _inflated(parts: AsyncIterator[bytes], inflater: Inflater) -> AsyncIterator[bytes]:
    async for part in parts:
        async for inflated in _in_pieces(part, inflater):
            yield inflated
    inflater.finish()


async def _in_pieces(part: bytes, inflater: Inflater) -> AsyncIterator[bytes]:
    """What a part of a body holds; others have their turn after each piece."""
    for start in range(0, len(part), INFLATED_AT_ONCE):
        yield inflater.feed(part[start : start + INFLATED_AT_ONCE])
        await asyncio.sleep(0)


async def _uploaded(
    parts: AsyncIterator[bytes], scope: HTTPScope, headers: Headers, limit: int
) -> AsyncIterator[bytes]:
    """The bytes of the one file in a form. What else is in it is skipped, within bounds."""
    options = parse_options_header(headers.get(b"content-type", b"").decode("latin-1"))[1]
    decoder = upload.Decoder(options.get("boundary", ""))
    received = 0
    async for part in parts:
        received += len(part)
        if received > limit + FORM_BYTES:
            raise RequestTooLarge(f"A table may have {limit} bytes.")
        yield decoder.feed(part)
    decoder.finish()
    cast(dict[str, Any], scope)[FILENAME] = decoder.filename


def _brings_table(scope: HTTPScope, headers: Headers) -> bool:
    """Whether the body is a table in CSV, or a form with one."""
    if scope["method"] != "POST":
        return False
    mimetype = _mimetype(headers)
    if mimetype == _MULTIPART:
        return UPLOAD_PATH.fullmatch(scope["path"]) is not None
    return mimetype == _CSV and TABLE_PATH.fullmatch(scope["path"]) is not None


def _brings_tensors(scope: HTTPScope, headers: Headers) -> bool:
    """Whether the body is tensors in bytes."""
    return TENSORS in headers and INFER_PATH.fullmatch(scope["path"]) is not None


def _mimetype(headers: Headers) -> bytes:
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


def in_time(send: ASGISendCallable) -> ASGISendCallable:
    """Give up a client that takes no more; the connection is closed then."""

    async def send_in_time(event: ASGISendEvent) -> None:
        if event["type"] != "http.response.body" or len(event.get("body", b"")) < BUFFERED:
            await send(event)
            return
        async with asyncio.timeout(STALL_SECONDS):
            await send(event)

    return send_in_time


def replay(body: bytes, receive: ASGIReceiveCallable, *, more: bool = False) -> ASGIReceiveCallable:
    """The body in one piece, or with `more` its beginning, and then what `receive` tells."""
    replayed = False

    async def receive_again() -> ASGIReceiveEvent:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": body, "more_body": more}

    return receive_again
