"""Predictions by JSON without what costs more than they: Quart's objects, and layer upon layer.

An ASGI app around all others. It takes what is surely one of the requests that `ROUTES` names, with
a plain body and for a client that reads JSON, and does in one place what the layers do for such a
request, by their own functions; decoding, asking and encoding are those of the views. All else goes
through the layers to Quart, untouched. So does a failure: the exception is handed on in the scope,
as a refused body is, so that it is answered by the one table of errors and nothing is predicted
twice.

Quart's hooks and signals do not run here. So an app to which anything of that kind was added, or
where another view answers at one of these addresses, has no fast path.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sized
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast

from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGISendCallable,
    HTTPScope,
    Scope,
)
from quart import Quart, signals
from werkzeug.exceptions import HTTPException

from .blueprints import invocations as invocations_views
from .blueprints import predict as native_views
from .blueprints import v1 as v1_views
from .blueprints import v2 as v2_views
from .context import Context, context_of
from .inference import InferenceRequest
from .middleware import cors
from .middleware.access import Access
from .middleware.bodies import BUFFERED, REFUSAL, TENSORS, in_time, replay
from .middleware.headers import NOSNIFF, apply_forwarded, identify
from .middleware.limits import InFlight
from .middleware.request_record import RECORD, Record, shown_rule, tell
from .middleware.slow_requests import ClientGone, Exchange, Lookout, TooSlow
from .negotiation import JSON
from .protocols import invocations, native, v1, v2, v2_binary
from .serving.select_model import choose
from .serving.servable import Servable

LARGEST: Final = 16 * 1024
"""Bytes of a body from which on what is saved here does not show."""

UNUSUAL: Final = frozenset(
    {
        b"content-encoding",
        b"expect",
        b"origin",
        b"sec-fetch-site",
        b"transfer-encoding",
        TENSORS,
    }
)
"""Headers that a layer further inside has to look at."""

USUAL_HEADERS: Final = 32
USUAL_BYTES: Final = 4 * 1024
"""A head with more headers, or more bytes in their values, is looked at by the layer for that."""

ADDRESSES: Final = 1024
"""Addresses whose routes are remembered."""

LONGEST: Final = 512
"""Characters of an address that is."""


class Asked(NamedTuple):
    """What the address and the body of a request hold."""

    record: Record
    name: str
    version: str | None
    body: bytes
    until: float


class NotHere(Exception):
    """Quart has to answer this one; nothing was predicted yet."""


Answer = Callable[[Context, Asked], Awaitable[bytes]]


async def _native(context: Context, asked: Asked) -> bytes:
    request = native.decode(asked.body, max_rows=context.config.max_rows)
    servable = _loaded(context, asked) or await _servable(context, asked)
    _note(asked, servable, request)
    response = await servable.infer(request, until=asked.until)
    return native.encode(response, many=request.many)


async def _v1(context: Context, asked: Asked) -> bytes:
    request = v1.decode(asked.body, max_rows=context.config.max_rows)
    servable = _loaded(context, asked) or await _servable(context, asked)
    _note(asked, servable, request)
    return v1.encode(await servable.infer(request, until=asked.until))


async def _v2(context: Context, asked: Asked) -> bytes:
    servable = _loaded(context, asked) or await _servable(context, asked)
    request = v2.decode(asked.body, max_rows=context.config.max_rows)
    if v2_binary.wants(request):
        raise NotHere
    _note(asked, servable, request)
    return v2.encode(await servable.infer(request, until=asked.until), request)


async def _invocations(context: Context, asked: Asked) -> bytes:
    request = invocations.decode(asked.body, max_rows=context.config.max_rows)
    default = context.config.default_model
    servable = await choose(
        context.registry, request.names, asked=None, default=default, until=asked.until
    )
    _note(asked, servable, request)
    return invocations.encode(await servable.infer(request, until=asked.until))


def _loaded(context: Context, asked: Asked) -> Servable | None:
    return context.registry.loaded(asked.name, asked.version)


async def _servable(context: Context, asked: Asked) -> Servable:
    return await context.registry.servable(asked.name, asked.version, until=asked.until)


def _note(asked: Asked, servable: Servable, request: InferenceRequest) -> None:
    record, manifest = asked.record, servable.manifest
    record.model, record.version, record.rows = manifest.name, manifest.version, request.rows


@dataclass(frozen=True, slots=True)
class Route:
    """How a protocol is answered, in place of its view.

    `typed` says that the content type must be JSON, where the view looks at it; `vary` is what the
    answer depends on.
    """

    answer: Answer
    typed: bool = False
    vary: tuple[str, ...] = ()


ROUTES: Final[Mapping[Callable[..., Any], Route]] = {
    native_views.by_body: Route(_native, typed=True, vary=("Accept",)),
    v1_views.predict: Route(_v1),
    v2_views.infer: Route(_v2, vary=("Accept-Encoding",)),
    invocations_views.predict: Route(_invocations, typed=True),
}
"""By the view that answers there in Quart."""


class Found(NamedTuple):
    """What is at an address of the pattern `rule`, which came as `path`, and the headers that all
    answers have there."""

    route: Route
    rule: str
    path: str
    name: str
    version: str | None
    headers: tuple[tuple[bytes, bytes], ...]


class FastPath:
    """Answers what it can, and gives `app` all else."""

    def __init__(
        self, quart: Quart, app: ASGIFramework, access: Access, in_flight: InFlight
    ) -> None:
        self._quart = quart
        self._app = app
        self._access = access
        self._in_flight = in_flight
        self._context = context_of(quart)
        self._lookout = Lookout()
        self._find = lru_cache(ADDRESSES)(self._find_anew)

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        found = self._find(scope["path"])
        headers = dict(scope["headers"])
        if found is None or not _is_plain(scope, headers, found):
            await self._app(scope, receive, send)
            return
        record = Record(time.time(), scope["method"], found.path, route=found.rule)
        extended = cast(dict[str, Any], scope)
        extended[RECORD] = record
        exchange = Exchange(receive)
        try:
            request_id = self._admit(scope, headers)
            answer = await self._answer(found, exchange, record)
        except ClientGone:
            record.give_up()
            self._tell(record, scope)
        except asyncio.CancelledError:
            record.status = 500  # which servers answer where an app sends nothing
            self._tell(record, scope)
            raise
        except Exception as error:
            if not isinstance(error, NotHere | TooSlow):
                extended[REFUSAL] = error
            await self._app(scope, replay(exchange.body, receive, more=exchange.more), send)
            return
        else:
            headers_sent = [
                (b"content-length", b"%d" % len(answer)),
                (b"x-request-id", request_id),
                *found.headers,
            ]
            try:
                await _send(send, headers_sent, answer, record)
            finally:
                self._tell(record, scope)

    def _find_anew(self, path: str) -> Found | None:
        """What Quart has at this address, if it may be answered here."""
        if len(path) > LONGEST or not path.isascii() or not _is_ours(self._quart):
            return None
        try:
            rule, names = self._quart.url_map.bind("localhost").match(
                path, method="POST", return_rule=True
            )
        except HTTPException:
            return None
        route = ROUTES.get(self._quart.view_functions[rule.endpoint])
        if route is None:
            return None
        name, version = names.get("name", ""), names.get("version")
        return Found(route, shown_rule(rule), path, name, version, self._headers(route))

    def _headers(self, route: Route) -> tuple[tuple[bytes, bytes], ...]:
        added = ("Origin",) if any(self._quart.after_request_funcs.values()) else ()
        vary = ", ".join(route.vary + added).encode()
        return (
            (b"content-type", JSON.encode()),
            *([(b"vary", vary)] if vary else ()),
            NOSNIFF,
            *cors.on_every_answer(self._context.config.cors_origins),
        )

    def _admit(self, scope: HTTPScope, headers: Mapping[bytes, bytes]) -> bytes:
        """Do what the layers do before a body is read; the id of the request.

        Raises:
            HTTPException: it may not be answered.
        """
        request_id = identify(scope, headers.get(b"x-request-id"))
        if self._context.config.proxies:
            apply_forwarded(scope, self._context.config.proxies)
        if not self._access.is_open:
            self._access.admit(scope)
        return request_id

    async def _answer(self, found: Found, exchange: Exchange, record: Record) -> bytes:
        """The body of the answer.

        Raises:
            ClientGone: nobody waits for it.
            NotHere, TooSlow: Quart has to answer; nothing was predicted yet.
        """
        self._lookout.add(exchange)
        try:
            await exchange.read(LARGEST)
            if exchange.more:
                raise NotHere
            full = self._in_flight.enter()
            try:
                if full is not None:
                    raise full
                until = asyncio.get_running_loop().time() + self._context.config.deadline
                asked = Asked(record, found.name, found.version, exchange.body, until)
                return await found.route.answer(self._context, asked)
            finally:
                self._in_flight.leave()
        except asyncio.CancelledError:
            exchange.explain()
            raise
        finally:
            self._lookout.discard(exchange)

    def _tell(self, record: Record, scope: HTTPScope) -> None:
        tell(record, scope, self._context.observers)


def register(app: Quart, access: Access, in_flight: InFlight) -> None:
    """Let the app answer predictions by JSON without its requests and responses. To be called when
    all middleware is in place."""
    app.asgi_app = FastPath(app, app.asgi_app, access, in_flight)  # type: ignore[method-assign]


# What is taken ------------------------------------------------------------------


def _is_plain(scope: HTTPScope, headers: Mapping[bytes, bytes], found: Found) -> bool:
    """Whether nothing in a request asks for anything but JSON for JSON."""
    route = found.route
    if (
        len(headers) != len(cast(Sized, scope["headers"]))  # one came twice
        or len(headers) > USUAL_HEADERS
        or sum(map(len, headers.values())) > USUAL_BYTES
        or not UNUSUAL.isdisjoint(headers)
        or scope["query_string"]
        or scope.get("root_path")
        or scope.get("raw_path") != found.path.encode()
        or b"text/" in headers.get(b"accept", b"").lower()
    ):
        return False
    if route.typed and not _is_json(headers.get(b"content-type", _JSON)):
        return False
    coding = headers.get(b"accept-encoding", _IDENTITY)
    return coding == _IDENTITY or "Accept-Encoding" not in route.vary


async def _send(
    send: ASGISendCallable, headers: list[tuple[bytes, bytes]], answer: bytes, record: Record
) -> None:
    if len(answer) >= BUFFERED:
        send = in_time(send)
    record.status = 200
    try:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer, "more_body": False})
    except Exception:
        record.give_up()
        raise
    record.bytes = len(answer)


def _is_json(content_type: bytes) -> bool:
    return content_type == _JSON or content_type.partition(b";")[0].strip().lower() == _JSON


_JSON: Final = JSON.encode()
_IDENTITY: Final = b"identity"


# Whether the app is as it was made ----------------------------------------------


def _is_ours(app: Quart) -> bool:
    """Whether nothing runs around a view but what `create_app` has registered."""
    package = __name__.partition(".")[0]
    around: tuple[Mapping[Any, Iterable[Callable[..., Any]]], ...] = (
        app.before_request_funcs,
        app.teardown_request_funcs,
        app.url_value_preprocessors,
    )
    hooks = [hook for table in around for found in table.values() for hook in found]
    after = [hook for found in app.after_request_funcs.values() for hook in found]
    return (
        all(hook.__module__.partition(".")[0] == package for hook in hooks)
        and all(hook is cors.vary for hook in after)
        and not app.teardown_appcontext_funcs
        and not any(signal.has_receivers_for(app) for signal in SIGNALS)
    )


SIGNALS: Final = (
    signals.appcontext_popped,
    signals.appcontext_pushed,
    signals.appcontext_tearing_down,
    signals.request_finished,
    signals.request_started,
    signals.request_tearing_down,
)
