"""What stands between the listening socket and Hypercorn: how many connections there are, and that
each of them ends.

Hypercorn's own loop of accepting has no bound, keeps the connection of a client that has gone until
the keep-alive time is over, lets a head arrive for as long as that, and waits for ever for a client
that does not read the end of an answer. It also starts two tasks after each answer, to wait for the
next request. So its `TCPServer`, which serves one connection, is run here. To it a `Connection` is
the reader, the writer and the task that waits while nothing is asked; one timer for all looks which
of them have waited for too long.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import re
import socket
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final, cast

import h11
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Event, RawData
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
    ConnectionState,
    Scope,
)
from hypercorn.utils import parse_socket_addr

from .framing import MAX_LINES, Framing, lines_of
from .share import Acceptor, Share
from .sockets import FULL, HALF_CLOSED_SECONDS, MAX_COPIED
from .turns import Turns

HEAD_SECONDS: Final = 10.0
"""How long a head may take from its first byte on, within the keep-alive time; up to two fifths
less, so that many that came at once do not end at once, which would hold up all others."""

LATE_HEAD_SECONDS: Final = 2.0
"""How long one may take from the moment on in which the server is to end."""

LINGER_SECONDS: Final = 5.0
"""How long a client may take to read the last of what was sent to it."""

LOOK_SECONDS: Final = 0.25
"""How often it is looked which connections have waited for too long."""

SMALL: Final = 256
SMALL_READS: Final = 8
SMALL_SECONDS: Final = 0.1
"""After so many reads of fewer bytes within one request, it is waited so long before the next: what
has trickled in meanwhile costs as much as a single byte."""

CHUNKS_A_TURN: Final = 128
"""Small chunks that are parsed in one turn, in about half of its time."""

HTTP_2: Final = b"PRI"
VERSIONS: Final = frozenset({b"1.0", b"1.1"})
LENGTHS: Final = re.compile(rb"\ncontent-length:([^\n]*)", re.IGNORECASE)

Action = Callable[[], Coroutine[Any, Any, None]]

logger = logging.getLogger(__name__)


class Connection:
    """One connection: what it is at, and how it ends."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, owner: Connections
    ) -> None:
        self.context = WorkerContext(None)
        self.head_until = 0.0  # when the head that is arriving has to be there; 0: there is none
        self.turns = owner.turns
        self._reader = reader
        self._writer = writer
        self._owner = owner
        self._patience = owner.head_seconds * random.uniform(0.6, 1)
        self._close_idle: Action | None = None
        self._protocol: Http1 | None = None
        self._new = True
        self._small = 0  # reads of a few bytes in this request
        self._ended = False
        self.write = writer.write
        self.drain = writer.drain
        self.write_eof = writer.write_eof
        self.wait_closed = writer.wait_closed
        self.get_extra_info = writer.get_extra_info

    # As a reader and a writer ------------------------------------------------------

    async def read(self, size: int) -> bytes:
        """The next bytes; none at the end."""
        if self._small >= SMALL_READS:
            await asyncio.sleep(SMALL_SECONDS)
        data = await self._reader.read(size)
        if len(data) < SMALL:
            self._small += 1
        if self._new:
            data = await self._refuse_http_2(data, size)
        if not data:
            await self._end_answer()
        if data and self in self._owner.idle and not self.head_until:
            self.head_until = self._owner.now() + self._patience
            self._owner.arriving[self] = None
        return data

    async def _refuse_http_2(self, data: bytes, size: int) -> bytes:
        """The first bytes; a client that begins with HTTP/2 is at its end, since its only way here
        is to upgrade."""
        while HTTP_2.startswith(data) and data not in (b"", HTTP_2):
            more = await self._reader.read(size)
            if not more:
                break
            data += more
        self._new = False
        if data.startswith(HTTP_2):
            self._ended = True
            return b""
        return data

    async def _end_answer(self) -> None:
        """Wait a while for the answer to a request that is complete."""
        if self._protocol is not None and self._protocol.is_answering:
            with contextlib.suppress(TimeoutError):
                self._protocol.answered.clear()
                await asyncio.wait_for(self._protocol.answered.wait(), HALF_CLOSED_SECONDS)

    def at_eof(self) -> bool:
        """Whether nothing more will be read."""
        return self._ended or self._reader.at_eof()

    def close(self) -> None:
        """Close it when all is sent, and in `LINGER_SECONDS` whatever is not."""
        if not self._writer.is_closing():
            loop = asyncio.get_running_loop()
            loop.call_later(LINGER_SECONDS, self._writer.transport.abort)
        self._writer.close()

    def serve_by(self, protocol: Http1) -> None:
        """Let this parse what is read."""
        self._protocol = protocol

    # As the task that waits --------------------------------------------------------

    async def restart(self, group: object, close: Action) -> None:
        """Nothing is asked from now on. `close` does so when the context is terminated."""
        self._close_idle = close
        self._small = 0
        self._owner.idle.pop(self, None)
        self._owner.idle[self] = self._owner.now()

    async def stop(self) -> None:
        """A head is there, or the connection is closed."""
        self._small = 0
        self._owner.idle.pop(self, None)

    # As the app --------------------------------------------------------------------

    async def answer(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Give the app a request. What it leaves of the body is thrown away."""
        self.stop_head()
        is_awaited = self._protocol is not None and self._protocol.is_awaited
        body = _Body(receive, send, self._invite_body if is_awaited else None)
        try:
            await self._owner.app(scope, body.receive, body.send)
        finally:
            body.discard()
            if scope["type"] == "websocket":  # refused; if more came, Hypercorn would not close it
                self.close()

    async def _invite_body(self) -> None:
        """Tell a client that waits for it that its body is wanted (RFC 9110, section 10.1.1)."""
        if self._protocol is not None:
            await self._protocol.send_100_continue()

    def stop_head(self) -> None:
        """No head is arriving any more."""
        if self.head_until:
            self.head_until = 0.0
            self._owner.arriving.pop(self, None)

    # How it ends -------------------------------------------------------------------

    async def end(self) -> None:
        """Close it as soon as it is idle."""
        await self.context.terminated.set()
        if self._close_idle is not None and self in self._owner.idle:
            await self.stop()
            await self._close_idle()

    async def expire(self) -> None:
        """Close it, since no head has come. Hypercorn may be waiting for something else, as after a
        handshake that it has refused."""
        self.stop_head()
        await self.end()
        self.close()

    async def end_soon(self) -> None:
        """Close it as soon as it is idle, and no head is arriving."""
        if self.head_until:
            self.head_until = min(self.head_until, self._owner.now() + LATE_HEAD_SECONDS)
        else:
            await self.end()


class Connections:
    """Accepts connections and serves an app on each, at most `most` at a time.

    One too many takes the place of the one that has been idle for longest, and where each has a
    request it is told 503 and closed.
    """

    def __init__(
        self, app: ASGIFramework, config: Config, state: Mapping[str, Any], *, most: int
    ) -> None:
        self.idle: dict[Connection, float] = {}  # and since when, those for longest first
        self.arriving: dict[Connection, None] = {}  # those of them from which a head has begun
        self.head_seconds = min(HEAD_SECONDS, config.keep_alive_timeout)
        self.app = app
        self._config = config
        self._state = dict(state)
        self._most = most
        self._open: dict[Connection, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self.turns = Turns(self.now)
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._open)

    async def listen(self, sock: socket.socket, backlog: int) -> asyncio.Server:
        """Accept from now on."""
        return await asyncio.start_server(self._serve, sock=sock, backlog=backlog)

    def share(self, sock: socket.socket, share: Share) -> Acceptor:
        """Accept from now on what other processes leave."""
        return share.accept(sock, lambda: len(self._open), self._protocol)

    def _protocol(self) -> asyncio.StreamReaderProtocol:
        reader = asyncio.StreamReader(loop=self._loop)
        return asyncio.StreamReaderProtocol(reader, self._serve, loop=self._loop)

    async def end(self, seconds: float) -> bool:
        """Close each connection as soon as it is idle; those that are left then are cut off.

        Returns whether there were none.
        """
        for connection in list(self._open):
            await connection.end_soon()
        if not self._open:
            return True
        _, left = await asyncio.wait(list(self._open.values()), timeout=seconds)
        for task in left:
            task.cancel()
        return not left

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer, self)
        if len(self._open) >= self._most and not await self._make_room():
            writer.write(FULL)
            connection.close()
            return
        task = asyncio.current_task()
        assert task is not None
        self._open[connection] = task
        if self._timer is None:
            self._timer = self._loop.call_later(LOOK_SECONDS, self._look)
        try:
            await self._run(connection)
        except ExceptionGroup:
            logger.exception("A connection has failed.")
        finally:
            del self._open[connection]
            self.idle.pop(connection, None)
            connection.stop_head()
            connection.close()

    async def _run(self, connection: Connection) -> None:
        server = _Server(
            ASGIWrapper(connection.answer),
            self._loop,
            self._config,
            connection.context,
            self._state,
            connection,  # type: ignore[arg-type]
            connection,  # type: ignore[arg-type]
        )
        server.idle_task = connection  # type: ignore[assignment]
        await server.run()

    async def _make_room(self) -> bool:
        longest = next(iter(self.idle), None)
        if longest is None:
            return False
        await longest.end()
        return True

    def _look(self) -> None:
        """End what has waited for too long."""
        self._timer = self._loop.call_later(LOOK_SECONDS, self._look) if self._open else None
        now = self.now()
        for connection in [each for each in self.arriving if each.head_until < now]:
            self._spawn(connection.expire())
        for connection, since in self.idle.items():
            if since + self._config.keep_alive_timeout > now:
                break
            if not connection.head_until:
                self._spawn(connection.end())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it in a task that is kept until its end."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Server(TCPServer):
    """One connection without TLS, in HTTP/1.1."""

    async def run(self) -> None:
        connection = cast(Connection, self.reader)
        try:
            sock = connection.get_extra_info("socket")
            client = parse_socket_addr(sock.family, sock.getpeername())
            server = parse_socket_addr(sock.family, sock.getsockname())
            async with TaskGroup(self.loop) as group:
                self._task_group = group
                protocol = Http1(
                    connection.turns,
                    self.app,
                    self.config,
                    self.context,
                    group,
                    ConnectionState(self.state),
                    False,
                    client,
                    server,
                    self.protocol_send,
                )
                self.protocol = protocol  # type: ignore[assignment]
                connection.serve_by(protocol)
                await self.idle_task.restart(group, self._idle_timeout)
                await self._read_data()
        except OSError:
            pass
        finally:
            await self._close()


class Http1(H11Protocol):
    """HTTP/1.1 and nothing else."""

    def __init__(self, turns: Turns, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._turns = turns
        self._head = b""  # of a response, until its body comes
        self.answered = asyncio.Event()
        """Set with each end of an answer."""
        self.connection = _Requests(
            h11.SERVER, max_incomplete_event_size=self.config.h11_max_incomplete_size
        )

    @property
    def is_answering(self) -> bool:
        """Whether all of a request is there, and not all of its answer."""
        complete = self.connection.their_state in {h11.DONE, h11.MUST_CLOSE}
        return complete and self.stream is not None

    @property
    def is_awaited(self) -> bool:
        """Whether the client waits for `100 Continue`."""
        return bool(getattr(self.connection, "client_is_waiting_for_100_continue", False))

    async def handle(self, event: Event) -> None:
        """Take what was read. Small chunks are parsed turn by turn, and nothing more is read
        meanwhile; of a request that has ended they are left."""
        await super().handle(event)
        requests = self.connection  # of a request to go on otherwise, something else
        while isinstance(requests, _Requests) and requests.is_turn_over and self.stream is not None:
            await asyncio.sleep(self._turns.take())
            requests.begin_turn()
            await self._handle_events()

    async def send_100_continue(self) -> None:
        """Answer `100 Continue` to a client that waits for it."""
        if self.is_awaited:
            headers = self.config.response_headers("h11")
            await self._send_h11_event(h11.InformationalResponse(status_code=100, headers=headers))

    async def _send_h11_event(self, event: Any) -> None:
        """Send a part of a response. A head that says how long its body is leaves with that in one
        write, which takes less time than two."""
        try:
            data = self.connection.send(event) or b""
        except h11.LocalProtocolError:
            if self.connection.their_state != h11.ERROR:
                raise
            return
        head, self._head = self._head, b""
        if isinstance(event, h11.Response) and any(
            name == b"content-length" for name, _ in event.headers
        ):
            self._head = data
        elif head and len(data) > MAX_COPIED:
            await self.send(RawData(data=head))
            await self.send(RawData(data=data))
        elif head or data:
            await self.send(RawData(data=head + data))

    async def _close_stream(self) -> None:
        self.answered.set()
        await super()._close_stream()

    async def _maybe_recycle(self) -> None:
        """Begin with the next request; one that is there already has to wait for its turn."""
        if self.connection.trailing_data[0]:
            await asyncio.sleep(self._turns.take())
        await super()._maybe_recycle()

    async def _check_protocol(self, event: h11.Request) -> None:
        """A request to go on in HTTP/2 is answered in HTTP/1.1."""


class _Requests(h11.Connection):
    """Ignores what follows a request that said it is the last: h11 finds fault with it, and then
    Hypercorn answers that, in the place of the request. Refuses what h11 takes in a head and other
    servers may not, or may read otherwise: see `fault_of_head`. Reads no more chunks than those of
    a turn: see `_Chunks`."""

    chunks: _Chunks | None = None
    """What reads the body, where that comes in chunks."""

    @property
    def they_are_waiting_for_100_continue(self) -> bool:
        """Never, to Hypercorn, which would answer that before anybody has looked at the head."""
        return False

    @property
    def is_turn_over(self) -> bool:
        """Whether the next chunk has to wait."""
        return self.chunks is not None and self.chunks.framing.is_turn_over

    def begin_turn(self) -> None:
        """Read on."""
        if self.chunks is not None:
            self.chunks.framing.begin_turn()

    def receive_data(self, data: bytes) -> None:
        if self.their_state is not h11.MUST_CLOSE:
            super().receive_data(data)

    def next_event(self) -> Any:
        if self.their_state is h11.MUST_CLOSE or (self.chunks is not None and self.is_turn_over):
            return h11.NEED_DATA
        if self.their_state is not h11.IDLE:
            return super().next_event()
        before = self.trailing_data[0]
        if lines_of(before) > MAX_LINES:
            raise h11.RemoteProtocolError("The head has too many lines.", 431)
        event = super().next_event()
        if isinstance(event, h11.Request):
            head = before[: len(before) - len(self.trailing_data[0])]
            fault = fault_of_head(head, event)
            if fault is not None:
                raise fault
            self.chunks = None
            if isinstance(self._reader, ChunkedReader):
                self._reader = self.chunks = _Chunks()
        return event


class _Chunks(ChunkedReader):
    """Reads chunks, and gives the small ones of a turn as one part of the body: each part costs
    several times as much as to parse a chunk. What a body may have beside its data is bounded."""

    def __init__(self) -> None:
        super().__init__()
        self.framing = Framing(CHUNKS_A_TURN)
        self._end: h11.EndOfMessage | None = None

    def __call__(self, buf: ReceiveBuffer) -> h11.Data | h11.EndOfMessage | None:
        if self._end is not None:
            return self._end
        if self._reading_trailer:
            return self._read_trailers(buf)
        data = bytearray()
        while not self.framing.is_turn_over:
            before = len(buf)
            event = super().__call__(buf)  # which calls this again for the trailers
            self.framing.add_read(before - len(buf))
            if not isinstance(event, h11.Data):
                self._end = event
                break
            self.framing.add_data(len(event.data))
            data += event.data
        if self.framing.is_too_much:
            raise h11.LocalProtocolError("The body has too much framing for its data.", 400)
        return h11.Data(data=bytes(data)) if data else self._end

    def _read_trailers(self, buf: ReceiveBuffer) -> h11.Data | h11.EndOfMessage | None:
        if lines_of(bytes(buf)) > MAX_LINES:
            raise h11.LocalProtocolError("The body has too many trailers.", 431)
        return super().__call__(buf)


def fault_of_head(head: bytes, request: h11.Request) -> h11.RemoteProtocolError | None:
    """What is wrong with a head that h11 takes.

    - a version that is not HTTP/1.0 or HTTP/1.1;
    - lines that do not end in CRLF, or that go on the line before (RFC 9112, sections 2.2 and 5.2);
    - a method in small letters, which Hypercorn would raise: methods are what they are, to the
      letter (RFC 9110, section 9.1);
    - two lengths of the body, also where they are equal (RFC 9110, section 8.6).
    """
    if request.http_version not in VERSIONS:
        return h11.RemoteProtocolError("This version of HTTP is not spoken.", 505)
    if head.count(b"\n") != head.count(b"\r\n"):
        return h11.RemoteProtocolError("A line of the head does not end in CRLF.")
    if b"\n " in head or b"\n\t" in head:
        return h11.RemoteProtocolError("A header goes on in the next line.")
    if request.method != request.method.upper():
        return h11.RemoteProtocolError("The method is not in capital letters.")
    lengths = LENGTHS.findall(head)
    if len(lengths) > 1 or (lengths and b"," in lengths[0]):
        return h11.RemoteProtocolError("The length of the body is said more than once.")
    return None


class _Body:
    """The body of a request, of which what the app leaves is thrown away.

    Hypercorn puts what arrives into a short queue, and when nobody takes it from there neither
    notices that the answer is complete nor that the client has gone.
    """

    __slots__ = ("_invite", "_more", "_receive", "_rest", "_send")

    def __init__(
        self, receive: ASGIReceiveCallable, send: ASGISendCallable, invite: Action | None
    ) -> None:
        self._receive = receive
        self._send = send
        self._invite = invite
        self._more = True
        self._rest: asyncio.Task[None] | None = None

    async def receive(self) -> ASGIReceiveEvent:
        if self._invite is not None:
            invite, self._invite = self._invite, None
            await invite()
        message = await self._receive()
        if not message.get("more_body", False):
            self._more = False
        return message

    def send(self, message: ASGISendEvent) -> Awaitable[None]:
        if self._more and not message.get("more_body", message["type"] != "http.response.body"):
            self.discard()
        return self._send(message)

    def discard(self) -> None:
        """Take the rest of it, until the connection is closed."""
        if self._more and self._rest is None:
            self._rest = asyncio.create_task(self._discard())

    async def _discard(self) -> None:
        self._invite = None  # nobody wants it
        with contextlib.suppress(asyncio.CancelledError):
            while self._more:
                await self.receive()
