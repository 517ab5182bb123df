"""What became of each request: one record of it, told to whoever observes when it has ended.

A layer around all others, so that no way of answering goes past it. The record stands in the state
of the request; those further inside add what they know: the route, the model, the kind of error.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, cast
from urllib.parse import quote_from_bytes

from quart import current_app, request
from werkzeug.routing import Rule

from ..asgi import ASGIApp, Message, Receive, Record, RequestState, Scope, Send, Tracing, state_of
from ..marks import marks_of

VISIBLE: Final = "".join(map(chr, range(0x21, 0x7F)))
"""What a path may show as it is; any other byte is shown as %XX."""


Observer = Callable[[Record], None]


def note_route(endpoint: str | None, values: dict[str, Any] | None) -> None:
    """Let the record of the current request have the pattern of its address, and where that
    predicts the model that it names.

    A preprocessor of Quart's: it is called at once and before all else, where a synchronous
    `before_request` goes through a thread.
    """
    record = state_of(cast(Scope, request.scope)).record
    if record is None or request.url_rule is None or endpoint is None:
        return
    record.route = shown_rule(request.url_rule)
    marks = marks_of(current_app.view_functions[endpoint])
    if marks.predicts and not marks.keeps and values is not None:
        record.named = values.get("name")
        record.door = None if marks.protocol is None else marks.protocol.door


def shown_rule(rule: Rule) -> str:
    """The pattern of an address as the documentation has it."""
    return rule.rule.replace("<unspoken:", "<")


class Recorder:
    """Records each request to `app`, and follows it by `tracing`. A handshake of a WebSocket is one
    as well.

    A record that stands in the scope already is gone on with.
    """

    def __init__(
        self, app: ASGIApp, observers: Sequence[Observer], tracing: Tracing | None = None
    ) -> None:
        self._app = app
        self._observers = observers
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        state = state_of(scope)
        record = state.record
        if record is None:
            record = state.record = Record(time.time(), _method(scope), shown_path(scope))
            if self._tracing is not None:
                self._tracing.begin(record, scope)
        exchange = _Exchange(record, receive, send)
        try:
            if self._tracing is None:
                await self._app(scope, exchange.receive, exchange.send)
            else:
                with self._tracing.current(record):
                    await self._app(scope, exchange.receive, exchange.send)
        finally:
            exchange.settle()
            tell(state, scope, self._observers)


def tell(state: RequestState, scope: Scope, observers: Sequence[Observer]) -> None:
    """Let the observers know of a request that has ended and has a record."""
    record = state.record
    if record is None:
        return
    record.seconds = time.perf_counter() - record.clock
    # Those inside know better than the server who asked, and by which id.
    record.request_id = state.request_id
    client = scope.get("client")
    record.client = client[0] if client else None
    for observer in observers:
        observer(record)


class _Exchange:
    """Both directions of a request, watched."""

    __slots__ = ("_ended", "_gone", "_receive", "_record", "_send")

    def __init__(self, record: Record, receive: Receive, send: Send) -> None:
        self._record = record
        self._receive = receive
        self._send = send
        self._gone = False
        self._ended = False

    async def receive(self) -> Message:
        event = await self._receive()
        if event["type"] in {"http.disconnect", "websocket.disconnect"} and not self._ended:
            self._gone = True
        return event

    async def send(self, event: Message) -> None:
        kind = event["type"]
        if kind == "http.response.start":
            self._record.status = event["status"]
        elif kind == "http.response.body":
            self._record.bytes += len(event.get("body", b""))
            self._ended = not event.get("more_body", False)
        elif kind == "websocket.close":
            self._record.status = self._record.status or 403  # as servers answer a handshake
            self._ended = True
        try:
            await self._send(event)
        except Exception:  # a cancellation may come after the last byte, from what the server does
            self._ended = False
            raise

    def settle(self) -> None:
        """Say how it ended. To an app that sends nothing, servers add the status 500."""
        record = self._record
        if record.method == "HEAD":
            record.bytes = 0
        if not self._ended and (self._gone or record.status != 0):
            record.give_up()
        record.status = record.status or 500


def _method(scope: Scope) -> str:
    return str(scope["method"]) if scope["type"] == "http" else "GET"


def shown_path(scope: Scope) -> str:
    """The path as it was sent, without the query, of visible ASCII only."""
    raw = scope.get("raw_path")
    path: bytes = scope["path"].encode("utf-8", "surrogateescape") if raw is None else raw
    if path.isascii() and (text := path.decode("ascii")).isprintable() and " " not in text:
        return text
    return quote_from_bytes(path, safe=VISIBLE)
