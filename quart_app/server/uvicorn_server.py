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
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
    from uvicorn.server import ServerState
except ImportError:
    raise ImportError(
        "The server uvicorn needs the packages of the extra uvicorn: "
        "pip install 'quart-app[uvicorn]'."
    ) from None

from .options import ServerOptions
from .sockets import BACKLOG, FULL, HALF_CLOSED_SECONDS, LISTENERS, MAX_COPIED
from .turns import Turns

KIB = 1024
MAX_WAITING = 64 * KIB
"""Bytes of a head that has not ended, or of what comes between two parts of a body, such as the
extension of a chunk: httptools itself has no bound."""

TOO_LONG = b"The head of the request is too long.\n"
HEAD_TOO_LONG = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(TOO_LONG), TOO_LONG)
)

PIECE = 4 * KIB
MAX_PIPELINED = 16
"""Requests of a connection that wait for the answer to one before, and in what pieces of what came
they are looked for: httptools itself makes all of them at once."""

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
        own = [stack.enter_context(sock.dup()) for _ in range(LISTENERS)]
        await _Server(config, until_stop, options).serve(sockets=own)


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
    ) -> None:
        super().__init__(config)
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
        self._responses = _Responses(transport)
        self._cycles: deque[RequestResponseCycle] = deque()  # what was asked and not yet answered
        self._waiting = 0
        self._unparsed = b""
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
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._waiting = 0
        super().on_message_complete()

    def on_headers_complete(self) -> None:
        self._waiting = 0
        self.server_state.idle.pop(self, None)
        super().on_headers_complete()
        self._cycles.append(self.cycle)
        if not self.expect_100_continue:  # `100 Continue` is a head too, and does not wait
            self.cycle.transport = cast(asyncio.Transport, self._responses)

    def on_response_complete(self) -> None:
        self._cycles.popleft()
        self._responses.end()
        super().on_response_complete()
        if self._unparsed and not self.transport.is_closing():
            data, self._unparsed = self._unparsed, b""
            self._parse(data)
        if not self.transport.is_closing() and not self._is_answering():
            self.server_state.idle[self] = None

    def data_received(self, data: bytes) -> None:
        timer = self.timeout_keep_alive_task
        self._parse(data)
        if self.transport.is_closing():
            return
        if self._waiting > MAX_WAITING:
            self._refuse_head()
        elif timer and not self.timeout_keep_alive_task and not self._is_answering():
            self._wait_until(timer.when())

    def _parse(self, data: bytes) -> None:
        """Parse what came, until too many requests wait; the rest when one of them is answered."""
        if self._unparsed:
            self._unparsed += data
            return
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE]
            self._waiting += len(piece)
            super().data_received(piece)
            if self.transport.is_closing():
                return
            if len(self.pipeline) >= MAX_PIPELINED:
                self._unparsed = data[start + PIECE :]
                self.flow.pause_reading()
                return

    def _refuse_head(self) -> None:
        """Close the connection, and say why where no response is on its way."""
        if not self._is_answering() or not self._cycles[0].response_started:
            self.transport.write(HEAD_TOO_LONG)
        self.transport.close()

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
