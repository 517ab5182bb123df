"""What a head may say, and how many requests are answered at a time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from werkzeug.exceptions import (
    HTTPException,
    HTTPVersionNotSupported,
    NotImplemented,
    RequestHeaderFieldsTooLarge,
    RequestURITooLarge,
)

from quart_app.asgi import Message, Receive, Scope, Send, state_of
from quart_app.inference import BUSY_RETRY_AFTER, InvalidRequest, NotReady, Overloaded
from quart_app.middleware import limits
from quart_app.middleware.limits import (
    HEAD_BYTES,
    HEADERS,
    LINGER_BYTES,
    TARGET_BYTES,
    Heads,
    InFlight,
    InFlightLimit,
    fault_of,
)

LENGTH = (b"content-length", b"5")
CHUNKED = (b"transfer-encoding", b"chunked")


def head(
    *headers: tuple[bytes, bytes],
    path: bytes = b"/",
    query: bytes = b"",
    version: str = "2",
) -> Any:
    return {
        "type": "http",
        "http_version": version,
        "raw_path": path,
        "query_string": query,
        "headers": list(headers),
    }


def host(*values: bytes, version: str = "1.1") -> Any:
    return head(*[(b"host", value) for value in values], version=version)


@pytest.mark.parametrize(
    "scope",
    [
        head(),
        head(LENGTH),
        head(CHUNKED),
        head(*[(b"x", b"y")] * HEADERS),
        head((b"x", b"y" * (HEAD_BYTES - 5))),
        head(path=b"/" * 10, query=b"q" * (TARGET_BYTES - 10)),
        host(version="1.0"),
        host(b""),
        host(b"localhost"),
        host(b"a_b-c.example.org.:8000"),
        host(b"127.0.0.1:80"),
        host(b"[::1]:8000"),
        host(b"xn--bcher-kva.example"),
        host(b"b%C3%BCcher.example", version="3"),
        head((b"transfer-encoding", b"Chunked")),
    ],
)
def test_a_head_within_its_bounds_has_no_fault(scope: Any) -> None:
    assert fault_of(scope) is None


@pytest.mark.parametrize(
    ("scope", "kind"),
    [
        (head(*[(b"x", b"y")] * (HEADERS + 1)), RequestHeaderFieldsTooLarge),
        (head((b"x", b"y" * (HEAD_BYTES - 4))), RequestHeaderFieldsTooLarge),
        (head(*[(b"x", b"y" * (HEAD_BYTES // 2))] * 2), RequestHeaderFieldsTooLarge),
        (head(path=b"/" * 11, query=b"q" * (TARGET_BYTES - 10)), RequestURITooLarge),
        (head(LENGTH, LENGTH), InvalidRequest),
        (head(LENGTH, CHUNKED), InvalidRequest),
        (head(CHUNKED, CHUNKED), InvalidRequest),
        (head((b"transfer-encoding", b"gzip, chunked")), NotImplemented),
        (head((b"transfer-encoding", b"identity")), NotImplemented),
        (host(), InvalidRequest),
        (host(b"x", b"x"), InvalidRequest),
        (host(b"x", b"y", version="1.0"), InvalidRequest),
        *(
            (host(each), InvalidRequest)
            for each in (
                b"a b<script>",
                b"a/b",
                b"a@b",
                b"a\xff",
                b"a:b",
                b"[::1",
                b"%zz",
                b"a:1:2",
            )
        ),
        (host(b"x", version="0.9"), InvalidRequest),
        (host(b"x", version="1.2"), HTTPVersionNotSupported),
        (host(b"x", version="3.0"), HTTPVersionNotSupported),
    ],
)
def test_what_is_beyond_them_is_a_fault(scope: Any, kind: type[Exception]) -> None:
    assert isinstance(fault_of(scope), kind)


def test_as_many_as_may_be_enter_and_those_who_leave_make_room() -> None:
    in_flight = InFlight(2)
    assert [in_flight.enter() is None for _ in range(3)] == [True, True, False]
    assert in_flight.requests == 3
    in_flight.leave()
    assert isinstance(in_flight.enter(), NotReady)
    in_flight.leave()
    in_flight.leave()
    assert in_flight.enter() is None
    in_flight.leave()
    in_flight.leave()
    assert in_flight.requests == 0


@pytest.mark.parametrize(
    ("scope", "sentence"),
    [
        (host(version="0.9"), "The request line names no version of HTTP."),
        (host(version="12345678901.0"), "Expected HTTP/1.1, got HTTP/1234567890."),
        (head(*[(b"x", b"")] * (HEADERS + 1)), "A request may have 100 headers."),
        (head(path=b"/" * 50_000), "The address of a request may have 49152 bytes."),
        (head((b"x", b"y" * 20_000)), "The headers of a request may have 16384 bytes."),
        (head((b"transfer-encoding", b"x")), "Transfer-Encoding: expected chunked alone."),
        (head(LENGTH, LENGTH), "The length of the body is said in more than one way."),
        (host(), "Expected one header Host, got none."),
        (host(b"x", b"y"), "Expected one header Host, got 2."),
        (host(b"/" * 61), f"Host: expected a host and a port, got '{'/' * 60}'."),
        (host(b"\xff/"), r"Host: expected a host and a port, got '\\xff/'."),
    ],
)
def test_a_fault_says_what_was_expected_and_what_came(scope: Any, sentence: str) -> None:
    fault = fault_of(scope)
    assert sentence == (fault.description if isinstance(fault, HTTPException) else str(fault))


def test_who_finds_no_room_learns_when_to_come_again() -> None:
    full = InFlight(0).enter()
    assert isinstance(full, Overloaded)
    assert str(full) == "As many requests are being answered as may be."
    assert full.retry_after == BUSY_RETRY_AFTER


class App:
    """An app that notes each scope, reads one message, and sends a response in two parts."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.received: list[Message] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        self.received.append(await receive())
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b"1", "more_body": True})
        await send({"type": "http.response.body", "body": b"2"})


class Wire:
    """A client that sends these messages, then nothing more, and keeps what it was sent."""

    def __init__(self, *messages: Message) -> None:
        self.left = list(messages)
        self.sent: list[Message] = []
        self.left_at_answer: list[int] = []

    async def receive(self) -> Message:
        if not self.left:
            await asyncio.get_running_loop().create_future()
        return self.left.pop(0)

    async def send(self, event: Message) -> None:
        self.sent.append(event)
        self.left_at_answer.append(len(self.left))


def part(size: int = 1, more: bool = True) -> Message:
    return {"type": "http.request", "body": b"x" * size, "more_body": more}


START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]}
CLOSING: Message = {**START, "headers": [(b"a", b"b"), (b"connection", b"close")]}
FIRST: Message = {"type": "http.response.body", "body": b"1", "more_body": True}
LAST: Message = {"type": "http.response.body", "body": b"2"}
END: Message = {"type": "http.response.body", "body": b"", "more_body": False}


async def test_a_sound_head_passes_as_it_is() -> None:
    app, wire, scope = App(), Wire(part(more=False)), host(b"x")
    await Heads(app)(scope, wire.receive, wire.send)
    assert app.scopes == [scope]
    assert app.received == [part(more=False)]
    assert wire.sent == [START, FIRST, LAST]
    assert state_of(scope).refusal is None


async def test_what_is_no_request_of_http_is_not_looked_at() -> None:
    app, wire = App(), Wire({"type": "lifespan.startup"})
    await Heads(app)({"type": "lifespan"}, wire.receive, wire.send)
    assert app.received == [{"type": "lifespan.startup"}]
    assert wire.sent == [START, FIRST, LAST]


async def test_a_refusal_is_sent_at_once_and_the_body_read_before_the_connection_closes() -> None:
    app, wire, scope = App(), Wire(part(), part(), part(more=False), part()), host()
    await Heads(app)(scope, wire.receive, wire.send)
    assert isinstance(state_of(scope).refusal, InvalidRequest)
    assert app.scopes == [scope]
    assert app.received == [part(0, more=False)]
    assert wire.sent == [CLOSING, FIRST, {**LAST, "more_body": True}, END]
    assert wire.left_at_answer == [4, 4, 4, 1]


@pytest.mark.parametrize("version", ["2", "3"])
async def test_a_stream_of_a_later_http_is_left_to_its_server(version: str) -> None:
    app, wire, scope = App(), Wire(part()), head(LENGTH, LENGTH, version=version)
    await Heads(app)(scope, wire.receive, wire.send)
    assert wire.sent == [START, FIRST, LAST]
    assert wire.left == [part()]


@pytest.mark.parametrize(
    ("messages", "left"),
    [
        ((part(LINGER_BYTES - 1), part(), part()), 1),
        ((part(LINGER_BYTES // 2), part(LINGER_BYTES // 2), part()), 1),
        (({"type": "http.request"}, part()), 1),
        (({"type": "http.request", "more_body": True}, part(more=False), part()), 1),
        (({"type": "http.disconnect"}, part()), 1),
    ],
    ids=["a long body", "in two parts", "none that is said", "an empty part", "a client that left"],
)
async def test_a_refused_body_is_read_to_its_end_or_its_bound(
    messages: tuple[Message, ...], left: int
) -> None:
    wire = Wire(*messages)
    await Heads(App())(host(), wire.receive, wire.send)
    assert len(wire.left) == left
    assert wire.sent[-1] == END


async def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LINGER_SECONDS", 0.01)
    wire = Wire(part())
    async with asyncio.timeout(5):
        await Heads(App())(host(), wire.receive, wire.send)
    assert wire.sent[-1] == END


async def test_who_reads_on_behind_no_body_waits() -> None:
    receive = limits.no_body()
    assert await receive() == part(0, more=False)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(receive(), 0.01)


class Busy:
    """An app that notes how many requests there were while it ran and why each was refused."""

    def __init__(self, in_flight: InFlight) -> None:
        self.in_flight = in_flight
        self.seen: list[tuple[int, Exception | None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = state_of(scope).refusal if scope["type"] == "http" else None
        self.seen.append((self.in_flight.requests, refusal))
        await receive()
        await send(LAST)
        if scope["path"] == "/fails":
            raise ValueError


@pytest.mark.parametrize(("path", "counted"), [("/", 1), ("/health/ready", 0), ("/fails", 1)])
async def test_a_request_is_counted_while_it_is_answered(path: str, counted: int) -> None:
    in_flight = InFlight(1)
    app, wire = Busy(in_flight), Wire(part())
    try:
        await InFlightLimit(app, in_flight)({**head(), "path": path}, wire.receive, wire.send)
    except ValueError:
        assert path == "/fails"
    assert app.seen == [(counted, None)]
    assert wire.sent == [LAST]
    assert in_flight.requests == 0


async def test_one_too_many_is_refused_unless_it_was_before() -> None:
    in_flight, earlier = InFlight(0), ValueError("earlier")
    app, first, second = Busy(in_flight), {**head(), "path": "/"}, {**head(), "path": "/"}
    state_of(second).refusal = earlier
    for scope in (first, second):
        wire = Wire(part())
        await InFlightLimit(app, in_flight)(scope, wire.receive, wire.send)
    assert isinstance(app.seen[0][1], Overloaded)
    assert app.seen[1][1] is earlier


async def test_what_is_no_request_is_not_counted() -> None:
    in_flight = InFlight(0)
    app, wire = Busy(in_flight), Wire(part())
    await InFlightLimit(app, in_flight)({"type": "websocket", "path": "/"}, wire.receive, wire.send)
    assert app.seen == [(0, None)]
