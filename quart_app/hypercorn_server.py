"""Hypercorn as the HTTP server of `server.py`."""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable

from hypercorn.asyncio import serve as serve_hypercorn
from hypercorn.config import Config
from hypercorn.typing import ASGIFramework

from .sockets import BACKLOG

logger = logging.getLogger(__name__)


async def serve(
    app: ASGIFramework,
    sock: socket.socket,
    until_stop: Callable[[], Awaitable[None]],
    *,
    keep_alive: float,
    patience: float,
) -> None:
    """See `HttpServer`."""
    config = Config()
    config.bind = [f"fd://{sock.dup().detach()}"]  # Hypercorn closes the one it gets
    config.backlog = BACKLOG
    config.keep_alive_timeout = keep_alive
    config.graceful_timeout = patience
    config.errorlog = logger
    config.errorlog.setLevel(logging.ERROR)
    await serve_hypercorn(app, config, shutdown_trigger=until_stop, mode="asgi")
