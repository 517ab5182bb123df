"""How the command `serve` serves an app: alone in its process, or as one of several workers."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import click
from quart import Quart

from ..config import Config
from ..context import Context, context_of
from ..observe.access_log import AccessLog
from ..observe.line_writer import LineWriter
from ..server import concurrency, descriptors, run, sockets
from ..server.options import ServerOptions, Shutdown
from ..server.share import Share

if TYPE_CHECKING:
    from ..grpc_server.server import GrpcServer

ANSWERING: Final = 0.5
"""Seconds beyond its deadline in which a request can still be told that it was missed."""


def serve_alone(app: Quart, stdout: LineWriter | None) -> int:
    """Serve the app by its settings; the exit code. Without stdout there is no access log."""
    context = context_of(app)
    config = context.config
    if config.workers > 1:
        raise click.UsageError(
            f"{concurrency.VARIABLE} and {concurrency.OPTION} are read before all else, so that an "
            "app cannot say how many workers there are."
        )
    http = http_server(config)
    beside = grpc_server(context)

    def announce(url: str) -> None:
        print(announcement(config, url))
        if beside is not None:
            print(f"gRPC on {beside.address}")

    sock = sockets.bind(config.host, config.port)
    return serve_app(app, sock, http, stdout, on_listening=announce, beside=beside)


def serve_app(
    app: Quart,
    sock: socket.socket,
    http: run.HttpServer,
    stdout: LineWriter | None,
    *,
    on_listening: Callable[[str], None] | None = None,
    beside: GrpcServer | None = None,
    share: Share | None = None,
    waits: bool = False,
) -> int:
    """Serve an app on a socket, alone or with others; the exit code. With `waits` no connection is
    accepted before the models are there."""
    context = context_of(app)
    config, registry = context.config, context.registry

    def drain(reason: run.Reason) -> None:
        registry.draining = reason != "replaced"
        registry.out_of_memory = reason == "memory"

    async def opening() -> None:
        await registry.started.wait()

    descriptors.allow_many()
    if config.access_log and stdout is not None:
        context.observers.append(AccessLog(stdout))
    options = ServerOptions(
        keep_alive=config.keep_alive,
        max_connections=config.max_connections,
        max_memory=config.max_memory,
        share=share,
        shutdown=shutdown_of(config),
    )
    return run.serve(
        app,
        sock,
        http,
        options,
        on_stop=drain,
        on_listening=on_listening,
        release=registry.release,
        beside=beside,
        opening=opening if waits else None,
        finishing=context.jobs.ended,
    )


def shutdown_of(config: Config) -> Shutdown:
    """How long each step of an exit may take."""
    return Shutdown.within(delay=config.shutdown_delay, drain=config.deadline + ANSWERING)


def announcement(config: Config, url: str) -> str:
    """What is said of a server that listens."""
    return f"Serving on {url} (CTRL+C to quit)\nModels in {config.place}"


def http_server(config: Config) -> run.HttpServer:
    """What parses HTTP."""
    try:
        return run.http_server(config.server)
    except ImportError as error:
        raise click.ClickException(str(error)) from None


def grpc_server(context: Context, *, shared: int | None = None) -> GrpcServer | None:
    """What serves gRPC, where a port is set for it; `shared` is that of several processes."""
    if context.config.grpc_port is None:
        return None
    try:
        from ..grpc_server.server import GrpcServer
    except ImportError as error:
        raise click.ClickException(
            f"QUART_APP_GRPC_PORT needs the extra grpc: pip install 'quart-app[grpc]' ({error})"
        ) from None
    return GrpcServer(context, shared=shared)
