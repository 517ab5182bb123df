"""Predictions by JSON without Quart's objects for requests and answers, which cost more than they.

An ASGI app before Quart's. It takes what is surely one of the requests that `ROUTES` names, with a
plain body and for a client that reads JSON; all else is Quart's, untouched. Decoding, asking and
encoding are those of the views. An exception is handed to Quart in the scope, as a refused body is,
so that it is answered there by the one table of errors and nothing is predicted twice.

Quart's hooks and signals do not run here. So an app to which anything of that kind was added, or
where another view answers at one of these addresses, has no fast path.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
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

from . import cors
from .blueprints import invocations as invocations_views
from .blueprints import predict as native_views
from .blueprints import v1 as v1_views
from .blueprints import v2 as v2_views
from .bodies import REFUSAL, TENSORS, UNTIL, replay
from .choice import choose
from .context import Context, context_of
from .inference import InferenceRequest, InferenceResponse
from .negotiation import JSON
from .protocols import invocations, native, v1, v2, v2_binary
from .record import note, shown_rule
from .servable import Servable

LARGEST: Final = 16 * 1024
"""Bytes of a body from which on what is saved here does not show."""

PATIENCE: Final = 0.1
"""Seconds that a request waits before it is watched whether its client is still there."""

ADDRESSES: Final = 1024
"""Addresses whose routes are remembered."""

LONGEST: Final = 512
"""Characters of an address that is."""


class Asked(NamedTuple):
    """What the address and the body of a request hold."""

    scope: HTTPScope
    name: str
    version: str | None
    body: bytes
    until: float


class NotHere(Exception):
    """Quart has to answer this one; nothing was predicted yet."""


Answer = Callable[[Context, Asked], Awaitable[bytes]]


async def _infer(servable: Servable, request: InferenceRequest, asked: Asked) -> InferenceResponse:
    manifest = servable.manifest
    note(asked.scope, model=manifest.name, version=manifest.version, rows=request.rows)
    return await servable.infer(request, until=asked.until)


async def _native(context: Context, asked: Asked) -> bytes:
    request = native.decode(asked.body, max_rows=context.config.max_rows)
    servable = await context.registry.servable(asked.name, asked.version, until=asked.until)
    response = await _infer(servable, request, asked)
    return native.encode(response, many=request.many)


async def _v1(context: Context, asked: Asked) -> bytes:
    request = v1.decode(asked.body, max_rows=context.config.max_rows)
    servable = await context.registry.servable(asked.name, asked.version, until=asked.until)
    return v1.encode(await _infer(servable, request, asked))


async def _v2(context: Context, asked: Asked) -> bytes:
    servable = await context.registry.servable(asked.name, asked.version, until=asked.until)
    request = v2.decode(asked.body, max_rows=context.config.max_rows)
    if v2_binary.wants(request):
        raise NotHere
    return v2.encode(await _infer(servable, request, asked), request)


async def _invocations(context: Context, asked: Asked) -> bytes:
    request = invocations.decode(asked.body, max_rows=context.config.max_rows)
    default = context.config.default_model
    servable = await choose(
        context.registry, request.names, asked=None, default=default, until=asked.until
    )
    return invocations.encode(await _infer(servable, request, asked))


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
    """What is at an address of the pattern `rule`. `vary` is the value of that header, empty where
    there is none."""

    route: Route
    rule: str
    name: str
    version: str | None
    vary: bytes


class FastPath:
    """Answers what it can, and gives `app` all else."""

    def __init__(self, quart: Quart, app: ASGIFramework) -> None:
        self._quart = quart
        self._app = app
        self._context = context_of(quart)
        self._find = lru_cache(ADDRESSES)(self._find_anew)

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or REFUSAL in scope:
            await self._app(scope, receive, send)
            return
        found = self._find(scope["path"])
        if found is None or not _is_plain(scope, found.route):
            await self._app(scope, receive, send)
            return
        message = await receive()
        body = cast(bytes, message.get("body", b""))
        extended = cast(dict[str, Any], scope)
        if message["type"] != "http.request" or len(body) > LARGEST:
            await self._app(scope, replay(body, receive), send)
            return
        note(scope, route=found.rule)
        asked = Asked(scope, found.name, found.version, body, extended[UNTIL])
        watch = _Watch(receive)
        try:
            with watch:
                answer = await found.route.answer(self._context, asked)
        except Exception as error:
            if not isinstance(error, NotHere):
                extended[REFUSAL] = error
            await self._app(scope, replay(body, receive), send)
            return
        if not watch.gone:
            await _send(send, answer, found.vary)

    def _find_anew(self, path: str) -> Found | None:
        """What Quart has at this address, if it may be answered here."""
        if len(path) > LONGEST or not _is_ours(self._quart):
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
        added = ("Origin",) if any(self._quart.after_request_funcs.values()) else ()
        vary = ", ".join(route.vary + added).encode()
        return Found(route, shown_rule(rule), names.get("name", ""), names.get("version"), vary)


def register(app: Quart) -> None:
    """Let the app answer predictions by JSON without its requests and responses."""
    app.asgi_app = FastPath(app, app.asgi_app)  # type: ignore[method-assign]


# What is taken ------------------------------------------------------------------


def _is_plain(scope: HTTPScope, route: Route) -> bool:
    """Whether nothing in a request asks for anything but JSON for JSON."""
    if scope["query_string"] or scope.get("root_path"):
        return False
    typed = False
    for name, value in scope["headers"]:
        if name == b"content-type":
            if typed or (route.typed and not _is_json(value)):
                return False
            typed = True
        elif name == b"accept":
            if b"text/" in value.lower():
                return False
        elif name == b"accept-encoding":
            if "Accept-Encoding" in route.vary and value != b"identity":
                return False
        elif name == TENSORS:
            return False
    return True


def _is_json(content_type: bytes) -> bool:
    return content_type.partition(b";")[0].strip().lower() == b"application/json"


# What is answered ---------------------------------------------------------------


async def _send(send: ASGISendCallable, answer: bytes, vary: bytes) -> None:
    headers = [
        (b"content-type", JSON.encode()),
        (b"content-length", b"%d" % len(answer)),
    ]
    if vary:
        headers.append((b"vary", vary))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer, "more_body": False})


class _Watch:
    """Cancels the body of the `with` when the client has gone, as Quart does; `gone` says so.

    A task for each request would cost more than most predictions take, so there is one only for
    those that wait for longer than `PATIENCE`.
    """

    def __init__(self, receive: ASGIReceiveCallable) -> None:
        self.gone = False
        self._receive = receive
        self._watcher: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._timer = asyncio.get_running_loop().call_later(PATIENCE, self._begin)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self._timer.cancel()
        if self._watcher is None:
            return False
        self._watcher.cancel()
        return self.gone and self._task.uncancel() <= 0 and kind is asyncio.CancelledError

    def _begin(self) -> None:
        self._watcher = asyncio.create_task(self._until_gone())

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        self._task.cancel()


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
