"""Listening sockets: opened with a sentence where that fails, closed without losing anyone."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import ipaddress
import select
import socket
import struct
import sys
from contextlib import suppress

HOST, PORT = "127.0.0.1", 8000
BACKLOG = 1024  # connections the kernel may queue; it lowers this to net.core.somaxconn
LISTENERS = 8
"""Duplicates of the socket on which connections are accepted: uvloop takes one connection of each
in a turn of the event loop, and with many busy connections a turn takes long."""
FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)
"""What a connection is told that is one too many, before it is closed."""

MAX_COPIED = 64 * 1024
"""Bytes of a body up to which it is copied behind its head, to leave with it in one write."""

HALF_CLOSED_SECONDS = 0.5
"""How long a request goes on whose client sends no more: it may be gone, or have closed its side
alone, and nothing tells which."""
UNSENT = 64 * 1024
"""Bytes that the kernel takes of a connection beyond what its client has room for. By itself it
takes up to 4 MB, and a client that reads nothing has that many responses made."""
NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", 25)
"""Its number on Linux, which Python did not know before 3.12."""

SETTLE = 0.25  # seconds, a round trip: the end of a handshake, the request that follows it


class BindError(OSError):
    """The address cannot be listened on. The message is a sentence that says what to do."""


def bind(host: str | None, port: int | None) -> socket.socket:
    """A listening socket: connections queue in the kernel until `serve` accepts them.

    Neither given: 127.0.0.1:8000. A port alone: that port on all interfaces, IPv6 and IPv4 by
    one socket, or IPv4 alone where there is no IPv6. Port 0: a free one. A host name with
    addresses of both families is bound on IPv4. Raises BindError.
    """
    everywhere = host in ("", "::") or (host is None and port is not None)
    host = HOST if host is None else host
    port = PORT if port is None else port
    if not 0 <= port <= 65535:
        raise BindError(f"Port {port} does not exist; set PORT to a number from 0 to 65535.")
    try:
        sock = _listen_everywhere(port) if everywhere else _listen(host, port)
        if sys.platform == "linux":  # what is accepted inherits it
            sock.setsockopt(socket.IPPROTO_TCP, NOTSENT_LOWAT, UNSENT)
        return sock
    except (OSError, UnicodeError) as error:
        name = "all interfaces" if everywhere else host
        raise BindError(_advice(error, name, port)) from error


def _listen(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    families = {family for family, *_ in found}
    family = socket.AF_INET if socket.AF_INET in families else socket.AF_INET6
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def _listen_everywhere(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                ("::", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True
            )
        except OSError as error:
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise
    return socket.create_server(("0.0.0.0", port), backlog=BACKLOG)


def _advice(error: Exception, host: str, port: int) -> str:
    if isinstance(error, socket.gaierror | UnicodeError):
        return f"No host is called {host!r}; set HOST to an address of this machine."
    where = f"Port {port} on {host}"
    match getattr(error, "errno", None):
        case errno.EADDRINUSE:
            return f"{where} is in use; set PORT to another or stop the other program."
        case errno.EACCES | errno.EPERM:
            return f"{where} is not open to this user; set PORT to 1024 or above."
        case errno.EADDRNOTAVAIL:
            return f"{host} is no address of this machine; set HOST to one that is."
    return f"{where} cannot be opened ({error}); set HOST or PORT to another."


def url(sock: socket.socket) -> str:
    """The address to type into a browser on this machine."""
    host, port = sock.getsockname()[:2]
    address = ipaddress.ip_address(host.partition("%")[0])
    if address.is_unspecified:
        host = "localhost"
    elif address.version == 6:
        host = f"[{host}]"
    return f"http://{host}:{port}"


async def stop_accepting(sock: socket.socket) -> None:
    """Return when no connection is left in the kernel's queue and none can come."""
    _drop_handshakes(sock)
    await asyncio.sleep(SETTLE)
    queue = select.poll()
    queue.register(sock, select.POLLIN)
    for _ in range(100):  # bounded, for a process that has no file descriptors left
        if not queue.poll(0):
            break
        await asyncio.sleep(0.01)
    sock.close()


def _drop_handshakes(sock: socket.socket) -> None:
    """Let the kernel drop each SYN for this listener; the client repeats it after a second.

    Closing a listener resets the connections that it has queued, and Linux has no call that
    stops the queueing first. The filter is classic BPF on the TCP header (`man 7 socket`).
    """
    if sys.platform != "linux":
        return
    program = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in (
            (0x30, 0, 0, 13),  # load the byte of flags
            (0x45, 0, 1, 0x02),  # SYN is set?
            (0x06, 0, 0, 0),  # drop
            (0x06, 0, 0, 0xFFFFFFFF),  # pass
        )
    )
    memory = ctypes.create_string_buffer(program)
    with suppress(OSError):  # a sandbox may forbid it: then as on other systems
        so_attach_filter = 26
        fprog = struct.pack("@HP", len(program) // 8, ctypes.addressof(memory))
        sock.setsockopt(socket.SOL_SOCKET, so_attach_filter, fprog)
