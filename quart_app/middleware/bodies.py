"""Request bodies, read whole and within limits before the app sees the request.

A compressed body is inflated on the way, and the limit holds for what comes out. A table in CSV or
JSON Lines is not held in memory but in a temporary file, which lasts as long as the request.

A layer, because here the limit also holds for a chunked body, and a refused one can be read to its
end: a server whose app stops reading leaves the connection hanging. A refusal is an exception in
the state of the request, which the app raises first of all, so that it is answered like any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from typing import IO, Final, TypeVar, cast

from quart import request
from werkzeug.exceptions import RequestTimeout
from werkzeug.http import parse_options_header

from ..asgi import ASGIApp, Receive, Scope, Send, SpooledTable, state_of
from ..config import Config
from ..inference import Bound, InvalidRequest, NotReady, tables_full, too_large
from ..protocols import csv, form, jsonl, upload
from ..protocols.protocol import Headers, Limits
from ..protocols.registry import Protocols
from .body_stream import (
    Disconnected,
    drain,
    first_headers,
    in_time,
    inflated,
    inflated_part,
    inflater_for,
    is_waiting,
    length_of,
    mimetype,
    parts,
    read_part,
    replay,
)
from .clients import client_of
from .limits import last_word, no_body
from .spool import spool
from .table_places import DiskRoom, Place, TablePlaces

TABLE_PATH: Final = re.compile(r"/models/[^/]+(/versions/[^/]+)?/predict")
UPLOAD_PATH: Final = re.compile(r"/models/[^/]+/file")
FORM_BYTES: Final = 64 * 1024
"""Bytes that a form may have beside its file."""

BODIES_RETRY_AFTER: Final = 1

ROOM_TIMES: Final = 2
"""All tables together may have so many times the bytes of the largest, in temporary files. Of eight
in gzip, which come in no time, the disk would take eight times as many."""

Refusal = TypeVar("Refusal", bound=Exception)

_TABLES: Final = frozenset(
    each.encode()
    for each in (csv.CONTENT_TYPE, "application/vnd.apache.parquet", *jsonl.CONTENT_TYPES)
)
_MULTIPART: Final = form.MULTIPART.encode()


class BodyLimit:
    """Gives `app` each request with its body in one piece, or a refusal in its place.

    No address here is a WebSocket; a handshake is refused, with status 403.
    """

    def __init__(self, app: ASGIApp, config: Config, protocols: Protocols, limits: Limits) -> None:
        self._app = app
        self._config = config
        self._protocols = protocols
        self._limits = limits
        self._table_limit = Bound(config.max_csv_bytes, "QUART_APP_MAX_CSV_BYTES")
        self._places = TablePlaces(config.max_tables)
        self._room = DiskRoom(ROOM_TIMES * config.max_csv_bytes)
        self._held = 0  # bytes of bodies in memory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000, "reason": None})
        elif scope["type"] != "http":
            await self._app(scope, receive, send)
        else:
            with contextlib.suppress(Disconnected):
                await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, and let the app answer.

        Raises:
            Disconnected: the client left before the body was there.
        """
        headers = first_headers(scope)
        state = state_of(scope)
        if is_waiting(headers) and state.refusal is None:
            state.refusal = self._refusal_of_head(scope, headers)
        if state.refusal is not None and is_waiting(headers):
            await self._app(scope, no_body(), last_word(scope, receive, send))
        elif state.refusal is not None:
            await drain(parts(receive))
            await self._app(scope, replay(b"", receive), in_time(send))
        elif _brings_table(scope, headers):
            await self._with_table(scope, headers, receive, send)
        else:
            await self._with_body(scope, headers, receive, send)

    def _refusal_of_head(self, scope: Scope, headers: Headers) -> InvalidRequest | None:
        """Why a body is not wanted, by its head, where the client waits to be told."""
        limit: int = self._table_limit
        beside = FORM_BYTES
        if not _brings_table(scope, headers):
            beside = 0
            limit = self._protocols.at(scope["path"]).body_limit(headers, self._limits)
        try:
            inflater_for(headers, limit + beside)
        except InvalidRequest as refusal:
            return _alone(refusal)
        if length_of(headers) > limit + beside:
            return too_large(f"A body of this kind may have {limit} bytes", limit)
        return None

    async def _with_body(
        self, scope: Scope, headers: Headers, receive: Receive, send: Send
    ) -> None:
        """Give the app a request with its body, or a refusal in its place."""
        state = state_of(scope)
        state.until = self._until()
        protocol = self._protocols.at(scope["path"])
        limit = protocol.body_limit(headers, self._limits)
        body, size = b"", 0
        try:
            read = await self._read(limit, headers, receive, state.until)
            size = len(read)
            # Not at every address that leads there, such as one that begins with two slashes.
            if protocol.raw_header in headers and protocol.serves(scope["path"]):
                state.body = read
            else:
                body = bytes(read)
            del read
        except (InvalidRequest, NotReady, RequestTimeout) as refusal:
            state.refusal = _alone(refusal)
        try:
            await self._app(scope, replay(body, receive), in_time(send))
        finally:
            self._held -= size
            state.body = None  # the scope may wait for the garbage collector

    async def _with_table(
        self, scope: Scope, headers: Headers, receive: Receive, send: Send
    ) -> None:
        """Give the app a request whose table is in a file, or a refusal in its place."""
        state = state_of(scope)
        try:
            place = self._places.enter(client_of(scope))
        except NotReady as refusal:
            state.refusal = _alone(refusal)
            await drain(parts(receive))
            await self._app(scope, replay(b"", receive), in_time(send))
            return
        try:
            with contextlib.ExitStack() as owner:
                try:
                    file, filename = await self._spool(headers, parts(receive), place)
                except (InvalidRequest, NotReady, RequestTimeout) as refusal:
                    state.refusal = _alone(refusal)
                else:
                    place.is_arriving = False
                    state.table = SpooledTable(owner.enter_context(file), owner, filename)
                    state.until = self._until()
                await self._app(scope, replay(b"", receive), in_time(send, place.wait))
        finally:
            self._places.leave(place)

    async def _spool(
        self, headers: Headers, body: AsyncIterator[bytes], place: Place
    ) -> tuple[IO[bytes], str | None]:
        """The table in a file, and what the sender calls it.

        Raises:
            Disconnected, InvalidRequest, NotReady, RequestTimeout
        """
        limit = self._table_limit
        decoder = None
        try:
            inflater = inflater_for(headers, limit)
            table = body if inflater is None else inflated(body, inflater)
            if mimetype(headers) == _MULTIPART:
                decoder = _form_decoder(headers)
                table = _uploaded(table, decoder, limit)
            file = await spool(
                table, limit=limit, seconds=self._config.deadline, room=self._room, wait=place.wait
            )
        except TimeoutError:
            raise (tables_full() if place.gave_way else RequestTimeout()) from None
        except (InvalidRequest, NotReady):
            await drain(body)
            raise
        return file, decoder.filename if decoder else None

    async def _read(
        self, limit: int, headers: Headers, receive: Receive, until: float
    ) -> bytearray:
        """The body, inflated where it was compressed; a refused one is read on for a while.

        Raises:
            Disconnected, InvalidRequest, NotReady, RequestTimeout
        """
        body, more = bytearray(), True
        before = 0
        try:
            async with asyncio.timeout_at(until):
                inflater = inflater_for(headers, limit)
                while more:
                    part, more = await read_part(receive)
                    if inflater is None:
                        body += part
                        before = self._hold(len(body), before, limit)
                        continue
                    async for piece in inflated_part(part, inflater):
                        body += piece
                        before = self._hold(len(body), before, limit)
                if inflater is not None:
                    inflater.finish()
        except BaseException as error:
            self._held -= before
            body.clear()
            if isinstance(error, TimeoutError):
                raise RequestTimeout from None
            if more and isinstance(error, InvalidRequest | NotReady):
                await drain(parts(receive))
            raise
        return body

    def _hold(self, size: int, before: int, limit: int) -> int:
        """Count a body of `size` bytes, of which `before` were counted; the size.

        Raises:
            RequestTooLarge, NotReady: it is too large, or all bodies are; it is counted as before.
        """
        if size > limit:
            raise too_large(f"A body of this kind may have {limit} bytes", limit)
        held = self._held + size - before
        if held > max(size, self._config.max_held_bytes):
            raise NotReady("Too much is arriving at once.", BODIES_RETRY_AFTER)
        self._held = held
        return size

    def _until(self) -> float:
        return asyncio.get_running_loop().time() + self._config.deadline


async def raise_refusal() -> None:
    """Raise what a layer refused the current request for, before its view is called.

    Asynchronous, though it waits for nothing: Quart runs a synchronous hook in a thread.
    """
    refusal = state_of(cast(Scope, request.scope)).refusal
    if refusal is not None:
        raise refusal


def _alone(refusal: Refusal) -> Refusal:
    """The exception without what was going on when it was raised. The frames there hold parts of
    the body, and the scope, which is to hold the exception: a circle that would keep them until
    garbage is looked for."""
    refusal.__context__ = None
    return refusal.with_traceback(None)


def _form_decoder(headers: Headers) -> upload.Decoder:
    options = parse_options_header(headers.get(b"content-type", b"").decode("latin-1"))[1]
    return upload.Decoder(options.get("boundary", ""))


async def _uploaded(
    body: AsyncIterator[bytes], decoder: upload.Decoder, limit: int
) -> AsyncIterator[bytes]:
    """The bytes of the one file in a form. What else is in it is skipped, within bounds."""
    received = 0
    async for part in body:
        received += len(part)
        if received > limit + FORM_BYTES:
            raise too_large(f"A table may have {limit} bytes", limit)
        yield decoder.feed(part)
    decoder.finish()


def _brings_table(scope: Scope, headers: Headers) -> bool:
    """Whether the body is a table in CSV, Parquet or JSON Lines, or a form with one."""
    if scope["method"] != "POST":
        return False
    kind = mimetype(headers)
    if kind == _MULTIPART:
        return UPLOAD_PATH.fullmatch(scope["path"]) is not None
    return kind in _TABLES and TABLE_PATH.fullmatch(scope["path"]) is not None
