"""What stands between the listening socket and Hypercorn: how many connections there are, and that
each of them ends.

Hypercorn's own loop of accepting has no bound, keeps the connection of a client that has gone until
the keep-alive time is over, lets a head arrive for as long as that, and waits for ever for a client
that does not read the end of an answer. So its `TCPServer`, which serves one connection, is run
here, with a context of its own for each, whose `terminated` tells an idle connection to close.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections.abc import Mapping
from typing import Any, Final

from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.typing import ASGIFramework

CONNECTION: Final = "quart_app.connection"
"""Where the state of a scope holds its connection."""

HEAD_SECONDS: Final = 10.0
"""How long a head may take from its first byte on, within the keep-alive time; up to two fifths
less, so that many that came at once do not end at once, which would hold up all others."""

LATE_HEAD_SECONDS: Final = 2.0
"""How long one may take from the moment on in which the server is to end."""

LINGER_SECONDS: Final = 5.0
"""How long a client may take to read the last of what was sent to it."""

HTTP_2: Final = b"PRI"

FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)

logger = logging.getLogger(__name__)


class Connection:
    """One connection: what it is at, and how it ends.

    To Hypercorn it is the reader and the writer of the connection.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, owner: Connections
    ) -> None:
        self.context = WorkerContext(None)
        self._reader = reader
        self._writer = writer
        self._owner = owner
        self._requests = 0
        self._new = True
        self._ended = False
        self._timer: asyncio.TimerHandle | None = None  # of a head that is arriving
        self.write = writer.write
        self.drain = writer.drain
        self.write_eof = writer.write_eof
        self.wait_closed = writer.wait_closed
        self.get_extra_info = writer.get_extra_info

    # What Hypercorn asks -----------------------------------------------------------

    async def read(self, size: int) -> bytes:
        """The next bytes; none at the end.

        A client that begins with HTTP/2 is at its end: its only way here is to upgrade.
        """
        try:
            data = await self._reader.read(size)
            while self._new and HTTP_2.startswith(data) and data not in (b"", HTTP_2):
                more = await self._reader.read(size)
                if not more:
                    break
                data += more
        except OSError:
            await self.end()
            raise
        if self._new and data.startswith(HTTP_2):
            data = b""
        self._new = False
        if not data:
            self._ended = True
        elif not self._requests and self._timer is None:
            self._allow(self._owner.head_seconds * random.uniform(0.6, 1))
        return data

    def at_eof(self) -> bool:
        """Whether nothing more will be read. When the client has gone, an idle connection closes
        at once."""
        self._ended = self._ended or self._reader.at_eof()
        if self._ended and not self.context.terminated.is_set():
            self._owner.spawn(self.end())
        return self._ended

    def close(self) -> None:
        """Close it when all is sent, and in `LINGER_SECONDS` whatever is not."""
        if not self._writer.is_closing():
            loop = asyncio.get_running_loop()
            loop.call_later(LINGER_SECONDS, self._writer.transport.abort)
        self._writer.close()

    # What the server tells -----------------------------------------------------------

    def begin(self) -> None:
        """A request has come."""
        self._requests += 1
        self._stop_timer()
        self._owner.idle.pop(self, None)

    def finish(self) -> None:
        """It has been answered."""
        self._requests -= 1
        if not self._requests:
            self._owner.idle[self] = None

    async def end(self) -> None:
        """Close it as soon as it is idle."""
        self._stop_timer()
        await self.context.terminated.set()

    async def end_soon(self) -> None:
        """Close it as soon as it is idle, and no head is arriving."""
        if self._timer is None:
            await self.end()
        else:
            self._stop_timer()
            self._allow(LATE_HEAD_SECONDS)

    def _allow(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(seconds, self._expire)

    def _expire(self) -> None:
        self._owner.spawn(self.end())
        self.close()  # it may be waiting for something else, as after a handshake that was refused

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Connections:
    """Accepts connections and serves an app on each, at most `most` at a time.

    One too many takes the place of the one that has been idle for longest, and where each has a
    request it is told 503 and closed.
    """

    def __init__(
        self, app: ASGIFramework, config: Config, state: Mapping[str, Any], *, most: int
    ) -> None:
        self.idle: dict[Connection, None] = {}
        self.head_seconds = min(HEAD_SECONDS, config.keep_alive_timeout)
        self._app = ASGIWrapper(app)
        self._config = config
        self._state = state
        self._most = most
        self._open: dict[Connection, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending = False

    def __len__(self) -> int:
        return len(self._open)

    async def listen(self, sock: socket.socket, backlog: int) -> asyncio.Server:
        """Accept from now on."""
        return await asyncio.start_server(self._serve, sock=sock, backlog=backlog)

    async def end(self, seconds: float) -> bool:
        """Close each connection as soon as it is idle; those that are left then are cut off.

        Returns whether there were none.
        """
        self._ending = True
        for connection in list(self._open):
            await connection.end_soon()
        if not self._open:
            return True
        _, left = await asyncio.wait(list(self._open.values()), timeout=seconds)
        for task in left:
            task.cancel()
        return not left

    def spawn(self, work: Any) -> None:
        """Run a coroutine in a task that is kept until its end."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer, self)
        if len(self._open) >= self._most and not await self._make_room():
            writer.write(FULL)
            connection.close()
            return
        task = asyncio.current_task()
        assert task is not None
        self._open[connection] = task
        self.idle[connection] = None
        try:
            await self._run(connection)
        except ExceptionGroup:
            logger.exception("A connection has failed.")
        finally:
            del self._open[connection]
            self.idle.pop(connection, None)
            await connection.end()
            connection.close()

    async def _make_room(self) -> bool:
        longest = next(iter(self.idle), None)
        if longest is None:
            return False
        del self.idle[longest]
        await longest.end()
        return True

    async def _run(self, connection: Connection) -> None:
        await TCPServer(
            self._app,
            asyncio.get_running_loop(),
            self._config,
            connection.context,
            {**self._state, CONNECTION: connection},
            connection,  # type: ignore[arg-type]
            connection,  # type: ignore[arg-type]
        )
