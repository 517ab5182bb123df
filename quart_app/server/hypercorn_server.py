"""Hypercorn as the HTTP server of `run.py`."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Any, NoReturn

from hypercorn.config import Config
from hypercorn.typing import ASGIFramework

from .connections import Connections
from .options import ServerOptions
from .share import Acceptor
from .sockets import BACKLOG, LISTENERS

logger = logging.getLogger(__name__)


async def serve(
    app: ASGIFramework,
    sock: socket.socket,
    until_stop: Callable[[], Awaitable[None]],
    options: ServerOptions,
) -> None:
    """See `HttpServer`."""
    config = _Config()
    config.keep_alive_timeout = options.keep_alive
    config.keep_alive_max_requests = sys.maxsize  # it protects from nothing here
    config.errorlog = logger
    config.errorlog.setLevel(logging.ERROR)
    connections = Connections(app, config, await _state_of(app), most=options.max_connections)
    listeners: list[asyncio.Server] | list[Acceptor]
    if options.share is None:
        listeners = [await connections.listen(sock.dup(), BACKLOG) for _ in range(LISTENERS)]
    else:
        listeners = [connections.share(sock, options.share)]
    try:
        await until_stop()
    finally:
        for listener in listeners:
            listener.close()
    if not await connections.end(options.patience):
        logger.warning("Connections were left open, as they did not close in time.")


class _Config(Config):
    """Hypercorn's, with the header `date` made once a second, and without `server`."""

    _second = 0
    _date = b""

    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:
        """What every answer has."""
        second = int(time.time())
        if second != self._second:
            self._second, self._date = second, formatdate(second, usegmt=True).encode()
        return [(b"date", self._date)]


async def _state_of(app: ASGIFramework) -> dict[str, Any]:
    """What the app's lifespan has left for the scope of each request."""
    state: dict[str, Any] = {}
    await app(
        {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": state},
        _nothing,
        _nothing,
    )
    return state


async def _nothing(*event: object) -> NoReturn:
    raise NotImplementedError("The lifespan is not the HTTP server's.")
