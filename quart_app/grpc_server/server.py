"""The gRPC server of an app: listens on a port of its own, in the loop of the HTTP server.

It is made and used in one event loop: gRPC has one poller for a process, which serves one loop.
Connections are bounded (`connections`), and so are messages on their way (`arrivals`).

Source: github.com/grpc/grpc, include/grpc/impl/channel_arg_names.h
"""

from __future__ import annotations

from typing import Final

from grpc import aio

from ..config import KIB, Config
from ..context import Context
from ..protocols import v2_grpc
from ..protocols.protocol import Limits
from ..server.descriptors import connections_beside
from ..server.run import ServeError
from . import reflection
from .calls import Calls
from .health import HealthService
from .inference import InferenceService
from .port import EVERYWHERE, host_of

MORE_CALLS: Final = 100
"""A connection may have more calls than are answered at a time: a call beyond its limit waits in
the client, and is not told that there are too many."""
METADATA_BYTES: Final = 16 * KIB
PING_MS: Final = 10_000
"""Clients may ask as often whether the server is there, also without a call; by itself gRPC closes
a connection that does so more than twice in five minutes."""
IDLE_MS: Final = 300_000
"""A connection without a call is closed after this time."""
HANDSHAKE_MS: Final = 20_000


class GrpcServer:
    """Serves the app of this context. Belongs to the event loop in which it is started.

    With `shared` other processes listen on that port, which `port.reserve` holds.
    """

    def __init__(self, context: Context, *, shared: int | None = None) -> None:
        self.address = ""
        self._shared = shared
        self._config = context.config
        self._limits = context.answering.limits
        self._health = HealthService(context)
        self._calls = Calls(
            context,
            {
                **InferenceService(context).methods,
                **self._health.methods,
                **reflection.methods(),
            },
        )
        self._connections = self._calls.connections
        self.connections = 0
        self._server: aio.Server | None = None

    async def start(self) -> None:
        """Listen and answer; `address` then says where.

        Raises:
            ServeError: the port cannot be opened.
        """
        self.connections = connections_beside(self._config.max_connections)
        is_shared = self._shared is not None
        options = _options(self._config, self._limits, self.connections, is_shared)
        server = aio.server(options=options)
        server.add_generic_rpc_handlers((self._calls,))
        host = host_of(self._config)
        port = self._config.grpc_port if self._shared is None else self._shared
        try:
            port = server.add_insecure_port(f"{host}:{port}")
        except RuntimeError:
            raise ServeError(
                f"Port {port} on {host} cannot be opened for gRPC, as when another program has it; "
                "set QUART_APP_GRPC_PORT to another."
            ) from None
        await server.start()
        self._server = server
        self._connections.watch(port, self.connections)
        self.address = f"{'localhost' if host == EVERYWHERE else host}:{port}"

    async def stop(self, seconds: float) -> None:
        """Take no more calls. Those that are being answered have so long; then they are cut off."""
        server, self._server = self._server, None
        if server is None:
            return
        self._health.closing = True
        self._calls.arrivals.close()
        self._connections.close()
        await server.stop(seconds)


def _options(
    config: Config, limits: Limits, connections: int, is_shared: bool
) -> list[tuple[str, int]]:
    return [
        ("grpc.max_allowed_incoming_connections", connections),
        ("grpc.max_receive_message_length", v2_grpc.body_limit(limits)),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", METADATA_BYTES),
        ("grpc.max_concurrent_streams", 2 * config.max_requests + MORE_CALLS),
        ("grpc.so_reuseport", int(is_shared)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", PING_MS),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", PING_MS),
        ("grpc.max_connection_idle_ms", IDLE_MS),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
    ]
