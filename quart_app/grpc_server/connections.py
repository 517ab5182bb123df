"""Connections of the gRPC server: no more than there may be, and room for who comes.

gRPC itself refuses a connection beyond its limit, and knows nothing of who gives way. So where all
places are taken, or nearly, those that have been without a call for longest are closed, as those of
HTTP are. gRPC tells of no connection either: they are found among the descriptors of the process,
by the port, and one is closed by the end of its stream, which gRPC then notices. Where the system
does not list descriptors, an idle connection keeps its place until gRPC closes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import stat
import time
from typing import Final

from ..server.descriptors import open_descriptors

LOOK_AGAIN: Final = 0.5
LOOK_LATER: Final = 2.0
"""Seconds from one look at the connections to the next: while there are many, and else, since each
takes 8 ms where 1,000 descriptors are open."""

MOST_SPARE: Final = 16
SPARE_SHARE: Final = 8
"""One place of so many is kept for who comes, at most `MOST_SPARE`."""

Client = tuple[str, int]
"""The address and the port of the other end."""


class Connections:
    """Those of one server. Belongs to its event loop."""

    def __init__(self) -> None:
        self._calls: dict[Client, int] = {}  # that are being answered
        self._since: dict[Client, float] = {}  # when those without a call were last seen with one
        self._looking: asyncio.Task[None] | None = None

    def enter(self, client: Client | None) -> None:
        """Count a call that begins on a connection."""
        if client is not None:
            self._calls[client] = self._calls.get(client, 0) + 1

    def leave(self, client: Client | None) -> None:
        """Count a call no more."""
        if client is None:
            return
        calls = self._calls[client] = self._calls[client] - 1
        if not calls:
            del self._calls[client]
            self._since[client] = time.monotonic()

    def watch(self, port: int, most: int) -> None:
        """Make room from now on, on this port, where there may be `most`."""
        enough = max(1, most - max(1, min(MOST_SPARE, most // SPARE_SHARE)))
        self._looking = asyncio.create_task(self._watch(port, enough), name="gRPC connections")

    def close(self) -> None:
        """Make room no longer."""
        if self._looking is not None:
            self._looking.cancel()

    async def _watch(self, port: int, enough: int) -> None:
        there = 0
        while True:
            await asyncio.sleep(LOOK_AGAIN if there > enough // 2 else LOOK_LATER)
            there = self._look(port, enough)

    def _look(self, port: int, enough: int) -> int:
        """Close those that have been without a call for longest, where there are more than enough;
        how many there are, or may be."""
        numbers = open_descriptors()
        if len(numbers) <= enough:
            if len(self._since) > enough:
                self._since.clear()  # of those that have gone, for the most part
            return len(numbers)
        now = time.monotonic()
        found = {client: number for number in numbers if (client := client_at(number, port))}
        self._since = {client: self._since.get(client, now) for client in found}
        idle = [client for client in found if client not in self._calls]
        too_many = max(0, len(found) - enough)
        for client in sorted(idle, key=self._since.__getitem__)[:too_many]:
            end(found[client], port, client)
        return len(found)


def client_at(number: int, port: int) -> Client | None:
    """Who is at the other end of a descriptor; None where it is no connection to this port."""
    with contextlib.suppress(OSError), opened(number) as sock:
        if sock.type == socket.SOCK_STREAM and sock.getsockname()[1:2] == (port,):
            return client_of(sock.getpeername())
    return None


def end(number: int, port: int, client: Client) -> None:
    """Close the connection of this client, if it is still that of the descriptor."""
    with contextlib.suppress(OSError), opened(number) as sock:
        if sock.getsockname()[1:2] == (port,) and client_of(sock.getpeername()) == client:
            sock.shutdown(socket.SHUT_RDWR)


def opened(number: int) -> socket.socket:
    """A socket by a descriptor of its own, whose number nobody gives to another meanwhile.

    Raises:
        OSError: it is none, or has gone.
    """
    if not stat.S_ISSOCK(os.fstat(number).st_mode):
        raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK))
    own = os.dup(number)
    try:
        return socket.socket(fileno=own)
    except OSError:
        os.close(own)
        raise


def client_of(address: tuple[str, int]) -> Client:
    """The other end, in IPv4 where that is mapped into IPv6."""
    return address[0].removeprefix("::ffff:"), address[1]
