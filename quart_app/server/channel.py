"""Messages between a supervisor and a loader: JSON, each whole, some with descriptors.

Several processes may write to one end.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from typing import Any, Final

LARGEST: Final = 64 * 1024
MOST_DESCRIPTORS: Final = 8


class Channel:
    """One end. What is not read is kept by the kernel when the other end has gone."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.fileno = sock.fileno
        self.close = sock.close

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Both ends, the first of which does not block."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        return cls(ours), cls(theirs)

    @classmethod
    def of(cls, descriptor: int) -> Channel:
        """The end with this descriptor, which no program that is started gets."""
        sock = socket.socket(fileno=descriptor)
        sock.set_inheritable(False)
        return cls(sock)

    def send(self, message: Mapping[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Raises OSError: nobody reads any more."""
        socket.send_fds(self._sock, [json.dumps(message).encode()], list(descriptors))

    def receive(self) -> tuple[Any, list[int]] | None:
        """The next message and its descriptors; None where there is no other end any more.

        Raises:
            BlockingIOError: there is none yet, at an end that does not block.
            OSError: the other end was lost.
        """
        data, descriptors, *_ = socket.recv_fds(self._sock, LARGEST, MOST_DESCRIPTORS)
        return (json.loads(data), descriptors) if data else None
