"""Predictions by JSON without what costs more than they do: Quart's objects, and layer upon layer.

The outermost layer. It takes what is surely a request of a protocol with a plain body, for a client
that reads JSON, and does in one place what the layers do for such a request, by their own
functions. All else goes through the layers to Quart, untouched. So does a failure: the exception is
handed on in the state of the request, as a refused body is, so that the one table of errors answers
it and nothing is predicted twice.

Quart's hooks and signals do not run here. So an app to which anything of that kind was added, or
where another view answers at one of these addresses, has no fast path.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

from quart import Quart, signals
from werkzeug.exceptions import HTTPException

from .answering import Call, InBytes
from .asgi import ASGIApp, Receive, Record, RequestState, Scope, Send, state_of
from .context import context_of
from .marks import marks_of
from .middleware import cors
from .middleware.access import Access
from .middleware.body_stream import BUFFERED, in_time, replay
from .middleware.clients import route_key
from .middleware.headers import MODEL_VERSION, NOSNIFF, apply_forwarded, identify
from .middleware.limits import VERSIONS, InFlight, is_host
from .middleware.request_record import shown_rule, tell
from .middleware.slow_requests import ClientGone, Exchange, Lookout, TooSlow
from .protocols.protocol import JSON, Payload, Protocol
from .random_ids import RandomIds

LARGEST: Final = 16 * 1024
"""Larger bodies gain nothing here."""

UNUSUAL: Final = frozenset(
    {b"content-encoding", b"expect", b"origin", b"sec-fetch-site", b"transfer-encoding"}
)
"""Headers that a layer further inside has to look at."""

USUAL_HEADERS: Final = 32
USUAL_BYTES: Final = 4 * 1024
"""A head with more headers, or more bytes in their values, is looked at by the layer for that."""

ADDRESSES: Final = 1024
"""Addresses whose routes are remembered."""

LONGEST: Final = 512
"""Longest path that is remembered."""

_JSON: Final = JSON.encode()
_IDENTITY: Final = b"identity"


class TooLarge(Exception):
    """The body is for the layers; nothing was predicted yet."""


class Elsewhere(Exception):
    """The view has to answer, since this is no JSON with status 200; nothing was predicted."""


Answers = Callable[[Scope, Call], Awaitable[bytes]]
"""Answers a request with the body of a response. Raises Elsewhere."""


class Route(NamedTuple):
    """What answers at an address of the pattern `rule`, which came as `path`, and the headers that
    all responses have there. `answers` does it for a protocol that is more than predictions."""

    protocol: Protocol
    rule: str
    path: str
    name: str | None
    version: str | None
    headers: tuple[tuple[bytes, bytes], ...]
    answers: Answers | None = None


class FastPath:
    """Answers what it can, and gives `app` all else."""

    def __init__(self, app: ASGIApp, quart: Quart, access: Access, in_flight: InFlight) -> None:
        self._app = app
        self._quart = quart
        self._access = access
        self._in_flight = in_flight
        self._context = context_of(quart)
        self._hooks = _hooks_of(quart)
        self._lookout = Lookout()
        self._ids = RandomIds()
        self._find = lru_cache(ADDRESSES)(self._find_anew)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        route = self._find(scope["path"])
        headers = dict(scope["headers"])
        if route is None or not _is_plain(scope, headers, route):
            await self._app(scope, receive, send)
            return
        state = state_of(scope)
        record = state.record = Record(time.time(), "POST", route.path, route=route.rule)
        if self._context.tracing is not None:
            self._context.tracing.begin(record, scope)
        exchange = Exchange(receive, self._lookout.current_task())
        try:
            request_id = self._admit(scope, state, headers)
            body = await self._answer(route, exchange, scope, record, state.models)
        except ClientGone:
            record.give_up()
            self._tell(state, scope)
        except asyncio.CancelledError:
            record.status = 500  # which servers answer where an app sends nothing
            self._tell(state, scope)
            raise
        except Exception as error:
            if not isinstance(error, Elsewhere | InBytes | TooLarge | TooSlow):
                state.refusal = error
            await self._app(scope, replay(exchange.body, receive, more=exchange.more), send)
        else:
            head = [
                (b"content-length", b"%d" % len(body)),
                (b"x-request-id", request_id),
                (MODEL_VERSION, b"%d" % (record.version or 0)),
                *route.headers,
            ]
            try:
                await _send(send, head, body, record)
            finally:
                self._tell(state, scope)

    def _find_anew(self, path: str) -> Route | None:
        """What Quart has at this address, if it may be answered here."""
        if len(path) > LONGEST or not path.isascii() or not self._is_as_made():
            return None
        try:
            rule, names = self._quart.url_map.bind("localhost").match(
                path, method="POST", return_rule=True
            )
        except HTTPException:
            return None
        marks = marks_of(self._quart.view_functions[rule.endpoint])
        protocol = marks.protocol
        if protocol is None or not _speaks_json(protocol):
            return None
        name, version = names.get("name"), names.get("version")
        headers = self._headers(protocol)
        return Route(protocol, shown_rule(rule), path, name, version, headers, marks.answers)

    def _headers(self, protocol: Protocol) -> tuple[tuple[bytes, bytes], ...]:
        origins = self._context.config.cors_origins
        vary = ", ".join(protocol.vary + (("Origin",) if cors.varies(origins) else ()))
        return (
            (b"content-type", _JSON),
            *([(b"vary", vary.encode())] if vary else ()),
            NOSNIFF,
            *cors.on_every_answer(origins),
        )

    def _admit(self, scope: Scope, state: RequestState, headers: Mapping[bytes, bytes]) -> bytes:
        """Do what the layers do before a body is read; the id of the request.

        Raises:
            HTTPException: it may not be answered.
        """
        request_id = identify(state, headers.get(b"x-request-id"), self._ids)
        if self._context.config.proxies:
            apply_forwarded(scope, self._context.config.proxies)
        if not self._access.is_open:
            self._access.admit(scope)
        return request_id

    async def _answer(
        self,
        route: Route,
        exchange: Exchange,
        scope: Scope,
        record: Record,
        models: tuple[str, ...] | None,
    ) -> bytes:
        """The body of the response, by one of these models or by any.

        Raises:
            ClientGone: nobody waits for it.
            Elsewhere, InBytes, TooLarge, TooSlow: Quart has to answer; nothing was predicted yet.
        """
        self._lookout.add(exchange)
        try:
            await exchange.read(LARGEST)
            if exchange.more or len(exchange.body) > self._context.answering.limits.json_bytes:
                raise TooLarge
            full = self._in_flight.enter()
            try:
                if full is not None:
                    raise full
                until = exchange.now + self._context.config.deadline
                headers = () if route.answers is None else scope["headers"]
                payload = Payload(exchange.body, headers=headers)
                key = partial(route_key, scope)
                call = Call(payload, route.name, route.version, until, record, models, key)
                if route.answers is not None:
                    return await route.answers(scope, call)
                reply = await self._context.answering.answer(route.protocol, call, in_json=True)
                return reply.body
            finally:
                self._in_flight.leave()
        except asyncio.CancelledError:
            exchange.explain()
            raise
        finally:
            self._lookout.discard(exchange)

    def _tell(self, state: RequestState, scope: Scope) -> None:
        tell(state, scope, self._context.observers)

    def _is_as_made(self) -> bool:
        """Whether nothing runs around a view but what `create_app` has registered."""
        return _hooks_of(self._quart) == self._hooks and not any(
            signal.has_receivers_for(self._quart) for signal in SIGNALS
        )


# What is taken ------------------------------------------------------------------


def _speaks_json(protocol: Protocol) -> bool:
    """Whether a protocol takes JSON and replies with it."""
    return protocol.reply_type == JSON and JSON in (protocol.content_types or (JSON,))


def _is_plain(scope: Scope, headers: Mapping[bytes, bytes], route: Route) -> bool:
    """Whether nothing in a request asks for anything but JSON for JSON."""
    protocol = route.protocol
    if (
        len(headers) != len(scope["headers"])  # one came twice
        or len(headers) > USUAL_HEADERS
        or sum(map(len, headers.values())) > USUAL_BYTES
        or not UNUSUAL.isdisjoint(headers)
        or protocol.raw_header in headers
        or scope["query_string"]
        or scope["http_version"] not in VERSIONS
        or not is_host(headers.get(b"host", b" "))
        or scope.get("root_path")
        or scope.get("raw_path") != route.path.encode()
        or (b"text/" if route.answers is None else b"text/html")
        in headers.get(b"accept", b"").lower()
    ):
        return False
    if protocol.content_types and not _is_json(headers.get(b"content-type", _JSON)):
        return False
    coding = headers.get(b"accept-encoding", _IDENTITY)
    return coding == _IDENTITY or "Accept-Encoding" not in protocol.vary


async def _send(
    send: Send, head: Sequence[tuple[bytes, bytes]], body: bytes, record: Record
) -> None:
    if len(body) >= BUFFERED:
        send = in_time(send)
    record.status = 200
    try:
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body, "more_body": False})
    except Exception:
        record.give_up()
        raise
    record.bytes = len(body)


def _is_json(content_type: bytes) -> bool:
    return content_type == _JSON or content_type.partition(b";")[0].strip().lower() == _JSON


# Whether the app is as it was made ----------------------------------------------


def _hooks_of(app: Quart) -> list[Callable[..., Any]]:
    """What runs around every view."""
    tables: tuple[Mapping[Any, Sequence[Callable[..., Any]]], ...] = (
        app.before_request_funcs,
        app.after_request_funcs,
        app.teardown_request_funcs,
        app.url_value_preprocessors,
    )
    around = [hook for table in tables for hooks in table.values() for hook in hooks]
    return [*around, *app.teardown_appcontext_funcs]


SIGNALS: Final = (
    signals.appcontext_popped,
    signals.appcontext_pushed,
    signals.appcontext_tearing_down,
    signals.request_finished,
    signals.request_started,
    signals.request_tearing_down,
)
