"""ASGI as the layers use it: its types, and what they know of one request.

Source: https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from contextlib import ExitStack
from typing import IO, Any, Final

import msgspec

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Layer = Callable[[ASGIApp], ASGIApp]
"""Puts an app around another."""

RawHeaders = Iterable[tuple[bytes, bytes]]
"""Names in lower case and values, as a scope has them."""

STATE: Final = "quart_app"
"""Where the scope of a request has its `RequestState`."""

CLIENT_GONE: Final = 499
"""The status of a request whose client left before there was one. It is never sent; the number is
nginx's."""

CLIENT_GONE_KIND: Final = "client_gone"


class Record(msgspec.Struct):
    """A request and its response, for the log and the metrics.

    `began` is in seconds since 1970, `seconds` is how long it took, `bytes` the length of the body
    that was handed to the server. `clock` is when it began, in seconds of `time.perf_counter`.

    `path` is as it was sent, without the query and with what is not visible ASCII as %XX. `route`
    is the pattern of the address, None where none fits. `error` is the kind of error that it ended
    in. `aborted` says that the response was not handed over whole. `named` is the model that a
    request for a prediction names, whether or not there is one, and `door` what it came by; `told`
    says that who subscribes to predictions was told what became of it.
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
    named: str | None = None
    door: str | None = None
    told: bool = False
    clock: float = msgspec.field(default_factory=time.perf_counter)

    def give_up(self) -> None:
        """Note that the client left before it had the whole response."""
        self.aborted = True
        self.error = self.error or CLIENT_GONE_KIND
        self.status = self.status or CLIENT_GONE


class SpooledTable(msgspec.Struct):
    """The table that a request brought, in a file that lasts as long as the request.

    `filename` is what the sender calls it, None where it came without a form or without a name.
    """

    file: IO[bytes]
    owner: ExitStack
    filename: str | None = None

    def keep(self) -> None:
        """Let the file stay open after the request."""
        self.owner.pop_all()


class RequestState(msgspec.Struct):
    """What the layers know of one request; each fills in its own part.

    `refusal` is what the request ends in, whoever would have answered it. `admitted` says that
    access was looked at, and `key` is the name of the API key, where a known one was asked for;
    `is_signed_in` says that a browser sent it by HTTP Basic, and `models` are those that may be
    asked with it, None where all may.
    `until` is the moment, in the loop's time, by which the response must be there. `body` is the
    body of a request with tensors in bytes: it is large, and Quart would copy it twice.
    """

    record: Record | None = None
    request_id: str | None = None
    refusal: Exception | None = None
    admitted: bool = False
    key: str | None = None
    is_signed_in: bool = False
    models: tuple[str, ...] | None = None
    until: float | None = None
    body: bytearray | None = None
    table: SpooledTable | None = None


def state_of(scope: Scope) -> RequestState:
    """The state of a request, made where it has none yet."""
    state: RequestState | None = scope.get(STATE)
    if state is None:
        state = scope[STATE] = RequestState()
    return state


def stack(app: ASGIApp, layers: Sequence[Layer]) -> ASGIApp:
    """The app inside all layers, of which the first is the outermost."""
    for layer in reversed(layers):
        app = layer(app)
    return app
