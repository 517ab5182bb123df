"""A listening socket that several processes accept connections from, about as many each.

All workers wait for the one socket that they were forked with. The kernel wakes all of them and
gives the connection to who is first, so that one that is idle gets more than one that is not; but
of many connections at once a single process may take most. So a worker that has more than another
leaves a connection to the others for a moment, and takes it only if it is still there then. Which
have how many stands on the board.

A socket each (SO_REUSEPORT) would let the kernel choose by a hash: of 32 connections two workers
had 12 or fewer and 20 or more one time in five, and what is queued for one that ends, or hangs, is
lost. Of this one nothing is: the others take it.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Final

import msgspec

from .board import Board, Row, State

BEAT_SECONDS: Final = 0.25
"""How often a worker says that its event loop turns."""

LEFT_SECONDS: Final = 0.002
LONGEST_LEFT: Final = 0.02
"""How long a connection is left to one that has fewer, for each that it has fewer, and at most:
others may be about to wake up, or busy with what they have."""

STALE_BEATS: Final = 8
"""Of a worker that has not said anything for so many of our beats, no connection is left to it."""

NO_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
PAUSE_SECONDS: Final = 0.1

logger = logging.getLogger(__name__)


class Other(msgspec.Struct):
    """What was last seen of another worker."""

    row: Row
    beat: int = -1
    silent: int = 0


class Share:
    """What one worker says of itself to the others of its server, and knows of them."""

    def __init__(self, board: Board, number: int, generation: int) -> None:
        self._board = board
        self._row = board.row(number)
        self._generation = generation
        self._acceptor: Acceptor | None = None
        self._has_left = False
        self._others = [
            Other(board.row(other)) for other in range(2 * board.workers + 1) if other != number
        ]

    @property
    def stopping(self) -> bool:
        """Whether the whole server ends; else others take what is queued and what comes."""
        return self._board.stopping

    def want_newer(self) -> None:
        """Ask for workers that have what the store says now."""
        self._board.want(self._generation)

    def accept(
        self,
        sock: socket.socket,
        connections: Callable[[], int],
        factory: Callable[[], asyncio.Protocol],
    ) -> Acceptor:
        """Accept connections from now on."""
        self._acceptor = Acceptor(sock, self, connections, factory)
        self._row.state = State.SERVING
        return self._acceptor

    def leave(self, *, for_good: bool = False) -> None:
        """Let the others take what comes, unless there are none. One that leaves `for_good` writes
        nothing more: it may go on for so long that its row is another's."""
        self._row.state = State.LEAVING
        self._has_left = for_good
        if self._acceptor is not None and not self.stopping:
            self._acceptor.close()

    async def beat(self) -> None:
        """Say that the event loop turns, until it has left."""
        while not self._has_left:
            self._row.tick()
            if self._acceptor is not None:
                self._row.connections = self._acceptor.count
            for other in self._others:
                beat = other.row.beat
                other.silent = 0 if beat != other.beat else other.silent + 1
                other.beat = beat
            await asyncio.sleep(BEAT_SECONDS)

    def tell(self, connections: int) -> None:
        """Say how many connections there are."""
        if not self._has_left:
            self._row.connections = connections

    def surplus(self, connections: int) -> int:
        """How many these are more than the fewest of another that would take one."""
        return connections - min(
            (
                other.row.connections
                for other in self._others
                if other.silent < STALE_BEATS and other.row.state is State.SERVING
            ),
            default=connections,
        )


class Acceptor:
    """Accepts connections for one worker. `connections` says how many it has."""

    def __init__(
        self,
        sock: socket.socket,
        share: Share,
        connections: Callable[[], int],
        factory: Callable[[], asyncio.Protocol],
    ) -> None:
        self._sock = sock.dup()
        self._sock.setblocking(False)
        self._share = share
        self._connections = connections
        self._factory = factory
        self._loop = asyncio.get_running_loop()
        self._coming: set[asyncio.Task[None]] = set()
        self._later: asyncio.TimerHandle | None = None
        self._listen()

    @property
    def count(self) -> int:
        """Connections that there are, and those that are being made."""
        return self._connections() + len(self._coming)

    def close(self) -> None:
        """Accept no more. To be called again does nothing."""
        if self._sock.fileno() < 0:
            return
        if self._later is not None:
            self._later.cancel()
        else:
            self._loop.remove_reader(self._sock)
        self._sock.close()

    async def wait_closed(self) -> None:
        """Do nothing: as of a server of asyncio, its connections are somebody else's."""

    def _listen(self) -> None:
        self._later = None
        self._loop.add_reader(self._sock, self._choose)

    def _choose(self) -> None:
        """There are connections: take one, or leave it to others for a moment."""
        surplus = self._share.surplus(self.count)
        if surplus > 0:
            self._pause(min(LONGEST_LEFT, LEFT_SECONDS * surplus), self._take_what_is_left)
        else:
            self._accept()

    def _pause(self, seconds: float, then: Callable[[], None]) -> None:
        self._loop.remove_reader(self._sock)
        self._later = self._loop.call_later(seconds, then)

    def _take_what_is_left(self) -> None:
        self._listen()
        self._accept()

    def _accept(self) -> None:
        try:
            sock, _ = self._sock.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in NO_DESCRIPTORS:
                raise
            logger.error("A connection waits, as none can be opened: %s", error.strerror)
            self._pause(PAUSE_SECONDS, self._listen)
            return
        sock.setblocking(False)
        task = self._loop.create_task(self._connect(sock))
        self._coming.add(task)
        task.add_done_callback(self._coming.discard)
        self._share.tell(self.count)

    async def _connect(self, sock: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._factory, sock)
        except OSError:
            sock.close()
