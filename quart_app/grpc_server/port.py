"""Where gRPC listens."""

from __future__ import annotations

import socket
from typing import Final

from ..config import Config
from ..server.sockets import BindError

LOCAL, EVERYWHERE = "127.0.0.1", "[::]"
ANY: Final = {"", "::"}


def host_of(config: Config) -> str:
    """The address that HTTP listens on as well, as gRPC takes it."""
    host = config.host
    if host is None:
        return LOCAL if config.port is None else EVERYWHERE
    if host in ANY:
        return EVERYWHERE
    return f"[{host}]" if ":" in host else host


def address(config: Config, sock: socket.socket) -> str:
    """Where clients find the port that a socket holds."""
    host = host_of(config)
    return f"{'localhost' if host == EVERYWHERE else host}:{sock.getsockname()[1]}"


def reserve(config: Config) -> socket.socket:
    """A socket that holds the port, for servers in several processes that share it: as gRPC has no
    way to take a socket, each opens one of its own, and the kernel chooses among them by a hash.

    Raises:
        BindError: the port cannot be opened.
    """
    host, port = host_of(config).strip("[]"), config.grpc_port
    assert port is not None
    family = socket.AF_INET6 if ":" in host and socket.has_dualstack_ipv6() else socket.AF_INET
    address = "" if family == socket.AF_INET and ":" in host else host
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((address, port))
    except OSError as error:
        sock.close()
        raise BindError(
            f"Port {port} on {host} cannot be opened for gRPC ({error.strerror}); set "
            "QUART_APP_GRPC_PORT to another."
        ) from None
    return sock
