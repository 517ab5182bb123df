"""One of several workers, as a process: `python -m tests.worker PLACE SETTINGS`, both as JSON."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

from quart_app import create_app
from quart_app.context import context_of
from quart_app.observe.access_log import AccessLog
from quart_app.observe.line_writer import LineWriter
from quart_app.observe.standard_streams import queued
from quart_app.server import run, sockets
from quart_app.server.options import ServerOptions, Shutdown
from quart_app.server.place import Place


def main(place: str, settings: str) -> int:
    given = json.loads(place)
    found = Place(given["slot"], given["workers"], Path(given["folder"]), given["generation"])
    with queued(found.folder) as stdout:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
        return serve(found, json.loads(settings), stdout)


def serve(place: Place, settings: dict[str, Any], stdout: LineWriter | None) -> int:
    app = create_app(place=place, **settings)
    context = context_of(app)
    config, registry = context.config, context.registry
    if stdout is not None:
        context.observers.append(AccessLog(stdout))

    def drain(reason: run.Reason) -> None:
        registry.draining = True
        registry.out_of_memory = reason == "memory"

    return run.serve(
        app,
        sockets.bind(config.host, config.port),
        run.http_server(config.server),
        ServerOptions(shutdown=Shutdown.within(delay=0, drain=20)),
        on_stop=drain,
        release=registry.release,
    )


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
