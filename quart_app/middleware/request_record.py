"""What became of each request: one record of it, told to whoever observes when it has ended.

An ASGI middleware around all others, so that no way of answering goes past it. The record stands in
the scope, and `note` adds what is known further inside: the route, the model, the kind of error.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast
from urllib.parse import quote_from_bytes

import msgspec
from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
    HTTPScope,
    Scope,
    WebsocketScope,
)
from quart import Quart, request
from werkzeug.routing import Rule

RECORD: Final = "quart_app.record"
REQUEST_ID: Final = "quart_app.request_id"
"""Where `headers.py` puts the id of the request, a text, into the scope."""

CLIENT_GONE: Final = 499
"""The status of a request whose client went away before there was one. It is not sent, of course;
the number is nginx's."""

CLIENT_GONE_KIND: Final = "client_gone"
VISIBLE: Final = "".join(map(chr, range(0x21, 0x7F)))
"""What a path may show as it is; any other byte is shown as %XX."""


class Record(msgspec.Struct):
    """A request and its answer. `began` is in seconds since 1970, `seconds` how long it took,
    `bytes` the length of the body that was handed to the server to be sent. `clock` is when it
    began, in seconds of `time.perf_counter`.

    `path` is as it was sent, without the query and with what is not visible ASCII as %XX. `route`
    is the template that fits it, None where none does. `error` is the kind of error that it ended
    in. `aborted` says that the answer was not handed over whole.
    """

    began: float
    method: str
    path: str
    client: str | None = None
    request_id: str | None = None
    route: str | None = None
    status: int = 0
    seconds: float = 0.0
    bytes: int = 0
    model: str | None = None
    version: int | None = None
    rows: int | None = None
    error: str | None = None
    aborted: bool = False
    clock: float = msgspec.field(default_factory=time.perf_counter)

    def give_up(self) -> None:
        """Note that the client went away before it had the whole answer."""
        self.aborted = True
        self.error = self.error or CLIENT_GONE_KIND
        self.status = self.status or CLIENT_GONE


Observer = Callable[[Record], None]


def note(
    scope: Any,
    *,
    route: str | None = None,
    model: str | None = None,
    version: int | None = None,
    rows: int | None = None,
    error: str | None = None,
) -> None:
    """Add to the record of the request what is given. Without a record nothing happens."""
    record: Record | None = cast(Mapping[str, Any], scope).get(RECORD)
    if record is None:
        return
    if route is not None:
        record.route = route
    if model is not None:
        record.model = model
    if version is not None:
        record.version = version
    if rows is not None:
        record.rows = rows
    if error is not None:
        record.error = error


def register(app: Quart, observers: Sequence[Observer]) -> None:
    """Let these know of every request of the app. To be called after all other middleware is in
    place. An observer is called in the event loop, and what it raises is a defect."""
    app.asgi_app = Recorder(app.asgi_app, observers)  # type: ignore[method-assign]
    # Called at once and first of all, where a synchronous `before_request` goes through a thread.
    app.url_value_preprocessor(_note_route)


def _note_route(endpoint: str | None, values: dict[str, Any] | None) -> None:
    if request.url_rule is not None:
        note(request.scope, route=shown_rule(request.url_rule))


def shown_rule(rule: Rule) -> str:
    """The pattern of an address as the documentation has it."""
    return rule.rule.replace("<unspoken:", "<")


class Recorder:
    """Records each request to `app`. A handshake of a WebSocket is one as well.

    A record that stands in the scope already is gone on with.
    """

    def __init__(self, app: ASGIFramework, observers: Sequence[Observer]) -> None:
        self._app = app
        self._observers = observers

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        extended = cast(dict[str, Any], scope)
        record = extended.get(RECORD)
        if record is None:
            record = Record(time.time(), _method(scope), shown_path(scope))
            extended[RECORD] = record
        exchange = _Exchange(record, receive, send)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        finally:
            exchange.settle()
            tell(record, scope, self._observers)


def tell(record: Record, scope: HTTPScope | WebsocketScope, observers: Sequence[Observer]) -> None:
    """Let the observers know of a request that has ended."""
    record.seconds = time.perf_counter() - record.clock
    # Those inside know better than the server who asked, and by which id.
    record.request_id = cast(dict[str, Any], scope).get(REQUEST_ID)
    client = scope.get("client")
    record.client = client[0] if client else None
    for observer in observers:
        observer(record)


class _Exchange:
    """Both directions of a request, watched."""

    __slots__ = ("_ended", "_gone", "_receive", "_record", "_send")

    def __init__(
        self, record: Record, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        self._record = record
        self._receive = receive
        self._send = send
        self._gone = False
        self._ended = False

    async def receive(self) -> ASGIReceiveEvent:
        event = await self._receive()
        if event["type"] in {"http.disconnect", "websocket.disconnect"} and not self._ended:
            self._gone = True
        return event

    async def send(self, event: ASGISendEvent) -> None:
        kind = event["type"]
        if kind == "http.response.start":
            self._record.status = event["status"]  # type: ignore[typeddict-item]
        elif kind == "http.response.body":
            self._record.bytes += len(event.get("body", b""))  # type: ignore[arg-type]
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


def _method(scope: HTTPScope | WebsocketScope) -> str:
    return scope["method"] if scope["type"] == "http" else "GET"


def shown_path(scope: HTTPScope | WebsocketScope) -> str:
    """The path as it was sent, without the query, of visible ASCII only."""
    raw = scope.get("raw_path")
    path = scope["path"].encode("utf-8", "surrogateescape") if raw is None else raw
    if path.isascii() and (text := path.decode("ascii")).isprintable() and " " not in text:
        return text
    return quote_from_bytes(path, safe=VISIBLE)
