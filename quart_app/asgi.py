"""ASGI as the layers use it: its types, and what they know of one request.

Source: https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence, Set
from contextlib import AbstractContextManager, ExitStack
from typing import IO, Any, Final, NamedTuple, Protocol

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


class Turn(NamedTuple):
    """A call of predict that took the rows of a request, with how many rows of how many requests.

    `since` is when it began to wait for its turn, in nanoseconds of `time.perf_counter_ns`.
    """

    since: int
    begun: int
    ended: int
    rows: int
    requests: int


class Trace(msgspec.Struct):
    """The span of a request, by its ids in hexadecimal digits.

    `turns` are the calls of predict that it waited for, None where nobody wants to know. `name` and
    `attributes` are what a door says of it beside what the record has.
    """

    trace_id: str
    span_id: str
    turns: list[Turn] | None = None
    name: str | None = None
    attributes: dict[str, str | int] = msgspec.field(default_factory=dict)


class Record(msgspec.Struct):
    """A request and its response, for the log, the metrics and the traces.

    `began` is in seconds since 1970, `seconds` is how long it took, `bytes` the length of the body
    that was handed to the server. `clock` is when it began, in seconds of `time.perf_counter`.

    `path` is as it was sent, without the query and with what is not visible ASCII as %XX. `route`
    is the pattern of the address, None where none fits. `error` is the kind of error that it ended
    in. `aborted` says that the response was not handed over whole. `named` is the model that a
    request for a prediction names, whether or not there is one, and `door` what it came by; `told`
    says that who subscribes to predictions was told what became of it, and `recorded` that the
    prediction is kept, or on its way to be.
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
    recorded: bool = False
    clock: float = msgspec.field(default_factory=time.perf_counter)
    trace: Trace | None = None

    @property
    def turns(self) -> list[Turn] | None:
        """Where calls of predict are noted; None where nobody wants to know."""
        return None if self.trace is None else self.trace.turns

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

    @property
    def reference(self) -> str:
        """The request, as lines of the log name it."""
        trace = None if self.record is None else self.record.trace
        found = f"request {self.request_id}"
        return found if trace is None else f"{found}, trace {trace.trace_id}"


class Tracing(Protocol):
    """Follows requests for traces, where there are any."""

    @property
    def fields(self) -> Set[str]:
        """The headers that say who called, in lower case."""

    def begin(self, record: Record, scope: Scope) -> None:
        """Give the record of a request that begins a trace."""

    def adopt(self, record: Record, meta: Mapping[str, Any]) -> None:
        """Let the request belong to who says so in the message itself, unless a header did."""

    def current(self, record: Record) -> AbstractContextManager[None]:
        """Let what is done meanwhile belong to the span of a request."""


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
