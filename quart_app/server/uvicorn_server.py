"""Uvicorn as the HTTP server of `run.py`, with httptools. Needs the extra `uvicorn`.

Three things of its own are not used: its handlers of signals, its lifespan (`_Requests` answers
that one), and whatever it would read from the environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, cast

from hypercorn.typing import ASGIFramework

try:
    import uvicorn
    from uvicorn.protocols.http.flow_control import FlowControl
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
    from uvicorn.server import ServerState
except ImportError:
    raise ImportError(
        "The server uvicorn needs the packages of the extra uvicorn: "
        "pip install 'quart-app[uvicorn]'."
    ) from None

from .framing import MAX_LINES, Framing
from .options import ServerOptions
from .sockets import BACKLOG, FULL, HALF_CLOSED_SECONDS, LISTENERS, MAX_COPIED
from .turns import Turns

KIB = 1024
MAX_WAITING = 64 * KIB
"""Bytes of a head that has not ended, or of what comes between two parts of a body, such as the
extension of a chunk: httptools itself has no bound."""


def _refusal(status: bytes, sentence: bytes) -> bytes:
    """What a connection is told, before it is closed."""
    return (
        b"HTTP/1.1 %b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"
        b"Connection: close\r\n\r\n%b" % (status, len(sentence), sentence)
    )


LARGE_HEAD = b"431 Request Header Fields Too Large"
HEAD_TOO_LONG = _refusal(LARGE_HEAD, b"The head of the request is too long.\n")
TOO_MANY_LINES = _refusal(LARGE_HEAD, b"The request has too many headers or trailers.\n")
TOO_MUCH_FRAMING = _refusal(b"400 Bad Request", b"The body has too much framing for its data.\n")

PIECE = 4 * KIB
MAX_PIPELINED = 16
"""Requests of a connection that wait for the answer to one before, and in what pieces of what came
they are looked for: httptools itself makes all of them at once."""

CHUNKS_A_TURN = 500
"""Small chunks, and a piece more, that are parsed in one turn, in about half of its time."""

logger = logging.getLogger(__name__)


async def serve(
    app: ASGIFramework,
    sock: socket.socket,
    until_stop: Callable[[], Awaitable[None]],
    options: ServerOptions,
) -> None:
    """See `HttpServer`."""
    config = uvicorn.Config(
        cast(Any, app),
        http=_Connection,
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        log_level=logging.ERROR,
        access_log=False,
        workers=1,
        proxy_headers=False,
        server_header=False,
        forwarded_allow_ips=[],
        backlog=BACKLOG,
        timeout_keep_alive=math.ceil(options.keep_alive),
    )
    logging.getLogger("uvicorn.error").addFilter(_is_not_cut_off)
    with contextlib.ExitStack() as stack:
        count = LISTENERS if options.share is None else 0
        own = [stack.enter_context(sock.dup()) for _ in range(count)]
        await _Server(config, until_stop, options, sock).serve(sockets=own)


def _is_not_cut_off(record: logging.LogRecord) -> bool:
    """Whether a record is worth a line: not that of a request that `run.py` has cut off."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


class _Server(uvicorn.Server):
    """Stops when `until_stop` returns, and at no signal."""

    def __init__(
        self,
        config: uvicorn.Config,
        until_stop: Callable[[], Awaitable[None]],
        options: ServerOptions,
        sock: socket.socket,
    ) -> None:
        super().__init__(config)
        self._sock, self._share = sock, options.share
        self.server_state = _State(options.max_connections)
        self._until_stop = until_stop
        self._patience = options.patience

    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]
        return contextlib.nullcontext()

    async def main_loop(self) -> None:
        ticking = asyncio.create_task(super().main_loop())  # renews the header `date`
        try:
            await self._until_stop()
        except Exception:
            await self.shutdown()
            raise
        finally:
            self.should_exit = True
            await ticking

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """With other processes that accept from the socket, `sockets` are none."""
        await super().startup(sockets)
        if self._share is not None:
            connections = self.server_state.connections
            acceptor = self._share.accept(self._sock, lambda: len(connections), self._connection)
            self.servers.append(cast(Any, acceptor))  # which are closed, and nothing else

    def _connection(self) -> asyncio.Protocol:
        return _Connection(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await super().shutdown(sockets)
        except TimeoutError:
            left = list(self.server_state.connections)
            logger.warning("Connections aborted, as they did not close in time: %d.", len(left))
            for connection in left:
                connection.transport.abort()


class _State(ServerState):
    """What the connections of a server share: the connections, and how many there may be."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.turns = Turns(asyncio.get_running_loop().time)
        self.idle: dict[_Connection, None] = {}  # those for longest first


class _Connection(HttpToolsProtocol):
    """A connection that has to send a whole header within `keep_alive`, as with Hypercorn.

    Uvicorn waits so long for the first byte of every request but the first, and for the rest of
    its header for ever. It closes the connection of a client that sends no more, though that may
    have closed its side alone.

    One too many takes the place of the one that has been idle for longest, and where each has a
    request it is told 503 and closed.
    """

    server_state: _State

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = self._flow = _Flow(transport)
        self._responses = _Responses(transport)
        self._cycles: deque[RequestResponseCycle] = deque()  # what was asked and not yet answered
        self._waiting = 0
        self._lines = 0  # among those bytes
        self._in_body = False
        self._framing = Framing(CHUNKS_A_TURN)
        self._unparsed = b""
        self._turn: asyncio.TimerHandle | None = None
        if len(self.connections) > self.server_state.most and not self._make_room():
            transport.write(FULL)
            transport.close()
            return
        self.server_state.idle[self] = None
        self._wait_until(self.loop.time() + self.timeout_keep_alive)

    def _make_room(self) -> bool:
        longest = next(iter(self.server_state.idle), None)
        if longest is None:
            return False
        del self.server_state.idle[longest]
        longest.transport.close()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.server_state.idle.pop(self, None)
        if self._turn is not None:
            self._turn.cancel()
        for cycle in self._cycles:  # Uvicorn tells the last one only, and the first one fails
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Go on for a while with requests that are complete, and close the connection then."""
        if not self._is_answering() or self.cycle.more_body:
            return False
        self.cycle.keep_alive = False  # closes it with the end of the last response
        self.loop.call_later(HALF_CLOSED_SECONDS, self.transport.close)
        return True

    def on_body(self, body: bytes) -> None:
        self._waiting = 0
        self._framing.add_data(len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._waiting = 0
        self._in_body = False
        super().on_message_complete()

    def on_headers_complete(self) -> None:
        self._waiting = 0
        self._in_body = True
        self._framing = Framing(CHUNKS_A_TURN)
        self.server_state.idle.pop(self, None)
        super().on_headers_complete()
        self.headers = []  # for trailers, which are not headers and nobody reads
        self._cycles.append(self.cycle)
        if not self.expect_100_continue:  # `100 Continue` is a head too, and does not wait
            self.cycle.transport = cast(asyncio.Transport, self._responses)

    def on_response_complete(self) -> None:
        self._cycles.popleft()
        self._responses.end()
        super().on_response_complete()
        if self._flow.is_held and self._turn is None:
            self._go_on()
        if not self.transport.is_closing() and not self._is_answering():
            self.server_state.idle[self] = None

    def data_received(self, data: bytes) -> None:
        if self._flow.is_held:  # it came in the same turn of the loop
            self._unparsed += data
        else:
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        """Parse what came. That takes the timer off, which goes on where nothing is asked."""
        timer = self.timeout_keep_alive_task
        self._parse_in_pieces(data)
        if self.transport.is_closing() or self._is_answering():
            return
        if timer and not self.timeout_keep_alive_task:
            self._wait_until(timer.when())

    def _parse_in_pieces(self, data: bytes) -> None:
        """Parse it, until too many requests wait or small chunks had their turn."""
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE]
            self._waiting += len(piece)
            super().data_received(piece)
            self._lines = self._lines + piece.count(b"\n") if self._waiting else 0
            if self._in_body:
                self._framing.add_read(len(piece))
            if self.transport.is_closing() or self._refuse():
                return
            has_turn_over = self._framing.is_turn_over
            if has_turn_over or len(self.pipeline) >= MAX_PIPELINED:
                self._unparsed = data[start + PIECE :]
                self._flow.hold()
                if has_turn_over:
                    self._turn = self.loop.call_later(
                        self.server_state.turns.take(), self._begin_turn
                    )
                return

    def _begin_turn(self) -> None:
        self._turn = None
        self._framing.begin_turn()
        self._go_on()

    def _go_on(self) -> None:
        """Read on, and parse what was left, unless too many requests wait still."""
        if self.transport.is_closing() or len(self.pipeline) >= MAX_PIPELINED:
            return
        self._flow.release()
        data, self._unparsed = self._unparsed, b""
        self._parse(data)

    def _refuse(self) -> bool:
        """Close the connection where it brings too much that is no data, and say why where no
        response is on its way. Returns whether that is so."""
        if self._waiting > MAX_WAITING:
            refusal = HEAD_TOO_LONG
        elif self._lines > MAX_LINES:
            refusal = TOO_MANY_LINES
        elif self._framing.is_too_much:
            refusal = TOO_MUCH_FRAMING
        else:
            return False
        if not self._is_answering() or not self._cycles[0].response_started:
            self.transport.write(refusal)
        self.transport.close()
        return True

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Start it; what has waited for the one before, when its turn comes."""
        if not self._cycles:  # it is not in the line, and so the first
            super()._start_asgi_task(cycle, app)
            return
        start = super()._start_asgi_task
        self.loop.call_later(self.server_state.turns.take(), start, cycle, app)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait_until(self, when: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_at(when, self.timeout_keep_alive_handler)


class _Flow(FlowControl):
    """Reads nothing while what was read waits to be parsed, even where the app wants more."""

    is_held = False

    def hold(self) -> None:
        """Read nothing from now on."""
        self.is_held = True
        self.pause_reading()

    def release(self) -> None:
        """Read on."""
        self.is_held = False
        self.resume_reading()

    def resume_reading(self) -> None:
        if not self.is_held:
            super().resume_reading()


class _Responses:
    """What the responses of a connection are written to, one after the other.

    A head is kept back until the first part of its body, as ASGI allows, and leaves with it: uvloop
    takes nearly twice the time for two writes in a row.
    """

    __slots__ = ("_head", "_in_body", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head: bytes | None = None
        self._in_body = False

    def write(self, data: bytes) -> None:
        if self._in_body:
            self._transport.write(data)
        elif self._head is None:
            self._head = data
        else:
            head, self._head, self._in_body = self._head, None, True
            if len(data) <= MAX_COPIED:
                self._transport.write(head + data)
            else:
                self._transport.write(head)
                self._transport.write(data)

    def end(self) -> None:
        """The response has ended, be it after its head. What is written next is another head."""
        if self._head is not None:
            self._transport.write(self._head)
        self._head, self._in_body = None, False

    def close(self) -> None:
        """Close the connection behind what was written."""
        self.end()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()
