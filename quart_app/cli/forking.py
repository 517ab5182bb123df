"""The command `serve` below a supervisor: loads the models, and serves them in workers.

`server.loader` knows of processes and nothing of models; here it is the other way round.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final

from model_store.memory import memory_here

from .. import app as imported_before_forks
from ..config import Config
from ..context import context_of
from ..observe.standard_streams import queued
from ..server import memory, sockets
from ..server.inherited import log_without_waiting
from ..server.loader import Loader, Post, Work
from ..server.orders import Orders
from ..serving.loading import AWAITED, Loaded
from ..startup import load_before
from .app_option import MakeApp, make
from .options import log_to_stderr
from .serving import announcement, grpc_server, http_server, serve_app, shutdown_of

__all__ = ["imported_before_forks", "obey"]

WORKER_BYTES: Final = 48 * 1024 * 1024
"""What a worker takes beside what it shares with the others (docs/workers.md)."""

LEAST_HEARTBEAT: Final = 30.0
BEYOND_DEADLINE: Final = 10.0
"""Seconds after the deadline of a request until a worker that says nothing is given up: nobody is
left who waits for its answers."""

logger = logging.getLogger(__name__)


def obey(orders: str, factory: MakeApp, given: Mapping[str, Any]) -> int:
    """Load and fork as the supervisor says in the file of this name. Returns in each process, with
    its exit code."""
    log_without_waiting()
    return Loader(Orders.read(orders), Models(factory, given)).run()


class Models(Work[Loaded | None]):
    """The models of an app. Those in a bucket are loaded by each worker: what reads a bucket has
    threads, which no worker would have that was forked. So is that of a mounted folder, which may
    come later."""

    def __init__(self, factory: MakeApp, given: Mapping[str, Any]) -> None:
        self._factory, self._given = factory, given
        self._config = Config.read(**given)
        self._http = http_server(self._config)

    def open(self) -> tuple[list[socket.socket], Mapping[str, Any]]:
        """The sockets of HTTP, and of gRPC where that is asked for."""
        config = self._config
        opened = [sockets.bind(config.host, config.port)]
        said = announcement(config, sockets.url(opened[0]))
        if config.grpc_port is not None:
            from ..grpc_server.port import address, reserve

            opened.append(reserve(config))
            said += f"\ngRPC on {address(config, opened[1])}"
        told = {
            "announcement": said,
            "heartbeat": max(LEAST_HEARTBEAT, config.deadline + BEYOND_DEADLINE),
            "watchdog": shutdown_of(config).watchdog,
        }
        return opened, told

    def load(
        self,
        served: Mapping[str, int],
        skipped: Mapping[tuple[str, int], str],
        on_load: Callable[[str, int], None],
    ) -> Loaded | None:
        """Load what is to be served."""
        if not self._config.has_folder or self._config.model_dir is not None:
            return None
        return load_before(self._config, served=served, skipped=skipped, on_load=on_load)

    def versions(self, models: Loaded | None) -> Mapping[str, int]:
        """The champions."""
        return {} if models is None else models.champions

    def workers(self, most: int) -> int:
        """As many as there is the memory for."""
        here, used = memory_here(), memory.resident()
        if here is None or used is None:
            return most
        enough = max(1, min(most, (here - used) // WORKER_BYTES))
        if enough < most:
            logger.warning(
                "There are %d workers and not %d: there are %d MB of memory, of which the models "
                "and the program take %d and each worker about %d.",
                *(enough, most, here // 10**6, used // 10**6, WORKER_BYTES // 10**6),
            )
        return int(enough)

    def serve(self, post: Post, models: Loaded | None, *, forerun: bool) -> int:
        """Serve as a worker, or as who says that the models are on their way."""
        with queued(post.place.folder) as stdout:
            log_to_stderr()
            loaded = AWAITED if forerun else models
            app = make(self._factory, self._given, place=post.place, loaded=loaded)
            context = context_of(app)
            context.registry.on_want = post.share.want_newer
            beside = None
            if len(post.sockets) > 1 and not forerun:
                beside = grpc_server(context, shared=post.sockets[1].getsockname()[1])
            return serve_app(
                *(app, post.sockets[0], self._http, stdout),
                beside=beside,
                share=post.share,
                waits=not forerun,
            )
