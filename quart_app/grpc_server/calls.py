"""A call of gRPC, from its head to its status: who may make it, its record, its limits, its errors.

What the layers do for a request of HTTP is done here for a call, with the same parts: keys and
rates, the id, the record for log and metrics, the requests in flight, the deadline, and the one
table of errors. A call is admitted before its message is taken.

The record says POST, as gRPC is sent, the path of the call as its route, and the HTTP status that
stands for its code.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import grpc
import msgspec
from grpc import aio
from werkzeug.exceptions import NotImplemented, RequestTimeout

from .. import errors
from ..asgi import STATE, Record, RequestState, Scope
from ..config import Config
from ..context import Context
from ..inference import BUSY_RETRY_AFTER, InvalidRequest, Overloaded
from ..marks import NONE, Marks
from ..middleware.headers import apply_forwarded, identify
from ..middleware.request_record import tell
from ..random_ids import RandomIds
from .arrivals import Arrivals, EndOfStream
from .connections import Client, Connections
from .status import code_of, details_of

MAX_STREAMS: Final = 100
"""Streams that are open at a time."""

READ_SECONDS: Final = 20.0
"""Drop a stream whose client reads nothing for this long."""

METADATA: Final = frozenset(
    {"authorization", "x-api-key", "x-forwarded-for", "x-request-id", "x-route-key"}
)
"""What is read of what a client says beside its message."""

STATUS_SECONDS: Final = 1.0
"""For the status of a stream whose client reads nothing."""

logger = logging.getLogger(__name__)


class Exchange(msgspec.Struct):
    """A call, or a message of a stream, and what is known of it.

    `until` is the moment, in the loop's time, by which it must be answered. `peer` is the other end
    of its connection; whose the call is says the scope.
    """

    scope: Scope
    state: RequestState
    until: float
    peer: Client | None


Answer = Callable[[Exchange, bytes], Awaitable[bytes]]
"""Answers one message with one."""

Write = Callable[[bytes], Awaitable[None]]


class Unary(NamedTuple):
    """A method that takes one message and answers with one.

    `marks` are those of the view that does the same. `is_counted` says that a rate and the limit of
    requests in flight hold for it, as for all but what a platform asks.
    """

    answer: Answer
    marks: Marks = NONE
    is_counted: bool = True


class Streamed(NamedTuple):
    """A method that answers each message of a stream with one, in order.

    `failed` makes the message that tells of an error.
    """

    answer: Answer
    failed: Callable[[str], bytes]
    marks: Marks = NONE


class Watched(NamedTuple):
    """A method that takes one message and answers with as many as it likes."""

    answer: Callable[[Exchange, bytes, Write], Awaitable[None]]


Method = Unary | Streamed | Watched


class Calls(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers the calls of one server by its methods, which are known by their paths."""

    def __init__(self, context: Context, methods: Mapping[str, Method]) -> None:
        self.arrivals = Arrivals(context.config.max_held_bytes)
        self.connections = Connections()
        self._context = context
        self._config: Config = context.config
        self._ids = RandomIds()
        self._tracing = context.tracing
        self._metadata = METADATA if context.tracing is None else METADATA | context.tracing.fields
        self._streams = 0
        self._handlers = {path: self._handler(path, method) for path, method in methods.items()}
        self._unknown = grpc.stream_stream_rpc_method_handler(self._answer_unknown)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """What answers at a path. No message is parsed by gRPC itself."""
        return self._handlers.get(details.method, self._unknown)

    def _handler(self, path: str, method: Method) -> grpc.RpcMethodHandler:
        # Of a unary call, gRPC would take the message before anything is known of the call.
        if isinstance(method, Unary):

            async def answer(_: Any, context: aio.ServicerContext) -> bytes:
                return await self._answer(path, method, context)

            return grpc.stream_unary_rpc_method_handler(answer)

        async def stream(_: Any, context: aio.ServicerContext) -> None:
            client = _client(context.peer())
            self.connections.enter(client)
            try:
                await self._stream(path, method, context)
            finally:
                self.connections.leave(client)

        return grpc.stream_stream_rpc_method_handler(stream)

    # One message --------------------------------------------------------------------

    async def _answer(self, path: str, method: Unary, context: aio.ServicerContext) -> bytes:
        exchange = self._begin(path, context, is_counted=method.is_counted)
        client = exchange.peer
        self.connections.enter(client)
        try:
            self._admit(exchange, method.marks, is_counted=method.is_counted)
            message = await self.arrivals.read(context, exchange.until)
            if not method.is_counted:
                return _ended(exchange, await method.answer(exchange, message))
            return await self._answered(exchange, method.answer, message)
        except asyncio.CancelledError:
            _give_up(exchange)
            raise
        except Exception as error:
            await self._abort(context, exchange, error)
            raise
        finally:
            self.connections.leave(client)
            self._tell(exchange)

    async def _answered(self, exchange: Exchange, answer: Answer, message: bytes) -> bytes:
        """The response to a message, which counts among the requests in flight."""
        in_flight = self._context.in_flight
        full = in_flight.enter()
        try:
            if full is not None:
                raise full
            self.arrivals.hold(message)
            try:
                reply = await answer(exchange, message)
            finally:
                self.arrivals.let_go(message)
        finally:
            in_flight.leave()
        return _ended(exchange, reply)

    # Streams ------------------------------------------------------------------------

    async def _stream(
        self, path: str, method: Streamed | Watched, context: aio.ServicerContext
    ) -> None:
        if self._streams >= MAX_STREAMS:
            await self._refuse(
                path, context, Overloaded("As many streams are open as may be.", BUSY_RETRY_AFTER)
            )
            return
        self._streams += 1
        try:
            if isinstance(method, Watched):
                await self._watch(path, method, context)
            else:
                await self._answer_each(path, method, context)
        except RequestTimeout as error:
            # Who takes no message may take no status either, and would keep its place for it.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STATUS_SECONDS):
                    await self._refuse(path, context, error)
        finally:
            self._streams -= 1

    async def _answer_each(self, path: str, method: Streamed, context: aio.ServicerContext) -> None:
        """Answer message by message; what fails is told in the stream, which goes on."""
        first = True
        while True:
            try:
                message = await self.arrivals.read(context, None)
            except EndOfStream:
                return
            except Exception as error:
                await self._refuse(path, context, error)
                return
            exchange = self._begin(path, context)
            try:
                self._admit(exchange, method.marks)
                reply = await self._answered(exchange, method.answer, message)
            except asyncio.CancelledError:
                _give_up(exchange)
                raise
            except Exception as error:
                if first and code_of(error) in REFUSED:
                    await self._abort(context, exchange, error)
                reply = method.failed(self._note(exchange, error))
            finally:
                self._tell(exchange)
            del message
            first = False
            await _written(context, reply)

    async def _watch(self, path: str, method: Watched, context: aio.ServicerContext) -> None:
        exchange = self._begin(path, context, is_counted=False)
        try:
            self._admit(exchange, NONE, is_counted=False)
            message = await self.arrivals.read(context, exchange.until)
            await method.answer(exchange, message, lambda reply: _written(context, reply))
            exchange.state.record.status = 200  # type: ignore[union-attr]
        except asyncio.CancelledError:
            _give_up(exchange)
            raise
        except RequestTimeout:
            raise
        except Exception as error:
            await self._abort(context, exchange, error)
        finally:
            self._tell(exchange)

    async def _answer_unknown(self, _: Any, context: aio.ServicerContext) -> None:
        error = NotImplemented("There is no such method here.")
        await self._refuse(None, context, error)

    # What holds for each ------------------------------------------------------------

    def _begin(
        self, path: str | None, context: aio.ServicerContext, *, is_counted: bool = True
    ) -> Exchange:
        """The exchange of a call that has come at this moment."""
        now = asyncio.get_running_loop().time()
        left = context.time_remaining()
        deadline = self._config.deadline
        record = Record(time.time(), "POST", path or UNKNOWN_PATH, route=path)
        state = RequestState(record=record)
        headers = [
            (name.encode(), value.encode("utf-8", "surrogateescape"))
            for name, value in context.invocation_metadata() or ()
            if name in self._metadata
        ]
        peer = _client(context.peer())
        scope: Scope = {"headers": headers, "client": peer, STATE: state}
        if self._config.proxies:
            apply_forwarded(scope, self._config.proxies)
        if self._tracing is not None and is_counted:
            self._tracing.begin(record, scope)
            _note_method(record, path)
        sent = [value for name, value in headers if name == b"x-request-id"]
        identify(state, sent[0] if len(sent) == 1 else None, self._ids)
        until = now + (deadline if left is None else min(left, deadline))
        return Exchange(scope, state, until, peer)

    def _admit(self, exchange: Exchange, marks: Marks, *, is_counted: bool = True) -> None:
        access = self._context.access
        if marks.changes or not access.is_open:
            access.admit_call(exchange.scope, marks, is_counted=is_counted)

    async def _refuse(
        self, path: str | None, context: aio.ServicerContext, error: Exception
    ) -> None:
        """End a call before anything of it was answered."""
        exchange = self._begin(path, context)
        try:
            await self._abort(context, exchange, error)
        finally:
            self._tell(exchange)

    async def _abort(
        self, context: aio.ServicerContext, exchange: Exchange, error: Exception
    ) -> None:
        """End a call with the status of an exception. Raises what gRPC knows as its end."""
        if isinstance(error, EndOfStream):
            error = InvalidRequest("Expected a message, got none.")
        message = self._note(exchange, error)
        metadata = [("x-request-id", exchange.state.request_id or "")]
        if (seconds := errors.retry_after_of(error)) is not None:
            metadata.append(("retry-after", str(seconds)))
        await context.abort(code_of(error), details_of(message), tuple(metadata))

    def _note(self, exchange: Exchange, error: Exception) -> str:
        """Let the record and the log know of an error; the sentence for the client."""
        status = errors.status_of(error)
        errors.note_in(exchange.state, error, errors.kind_of(error))
        record = exchange.state.record
        assert record is not None
        record.status = status
        _note_code(record, code_of(error).name)
        if status == 500:
            what = record.path, exchange.state.reference
            logger.error("%s failed (%s)", *what, exc_info=error)
        return errors.message_of(error, status, words=self._config.show_errors)

    def _tell(self, exchange: Exchange) -> None:
        tell(exchange.state, exchange.scope, self._context.observers)


REFUSED: Final = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})
"""Codes that end a stream whose first message they stand for: no other would fare better."""

UNKNOWN_PATH: Final = "/"
"""What the log says of a path at which there is nothing: gRPC does not tell it to who answers."""


def _ended(exchange: Exchange, reply: bytes) -> bytes:
    """The reply, of which the record is told."""
    record = exchange.state.record
    if record is not None:
        record.status, record.bytes = 200, len(reply)
        _note_code(record, "OK")
    return reply


def _give_up(exchange: Exchange) -> None:
    if exchange.state.record is not None:
        exchange.state.record.give_up()
        _note_code(exchange.state.record, "CANCELLED")


def _note_method(record: Record, path: str | None) -> None:
    """Let a span say which method was called, as the conventions for remote calls have it."""
    if record.trace is not None:
        method = "_OTHER" if path is None else path.removeprefix("/")
        record.trace.name = method
        record.trace.attributes = {"rpc.system.name": "grpc", "rpc.method": method}


def _note_code(record: Record, code: str) -> None:
    if record.trace is not None:
        record.trace.attributes["rpc.response.status_code"] = code


async def _written(context: aio.ServicerContext, reply: bytes) -> None:
    """Send a message of a stream.

    Raises:
        RequestTimeout: the client takes nothing.
    """
    try:
        async with asyncio.timeout(READ_SECONDS):
            await context.write(reply)
    except TimeoutError:
        raise RequestTimeout from None


@lru_cache(maxsize=4096)
def _client(peer: str) -> tuple[str, int] | None:
    """The address in what gRPC says of who calls, as `ipv4:127.0.0.1:5000` or
    `ipv6:%5B::1%5D:5000`; None of a socket in the file system."""
    family, _, address = unquote(peer).partition(":")
    if family not in {"ipv4", "ipv6"}:
        return None
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port) if port.isdigit() else 0
