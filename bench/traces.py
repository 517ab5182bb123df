"""What traces cost: the server's CPU for a request of one row, in rounds on servers side by side.

python -m bench.traces --before ../other-checkout

Without traces, where nobody is sampled, where all are, and where the collector of those does not
answer; with `--before` also the server of another checkout, without traces. CPU is that of the
whole process, the thread that sends included.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from model_store import ModelStore

from .csv_rows import ROOT, Server
from .doors import asked, cpu, requests
from .workloads import publish

NAME: Final = "logistic"


class Collector(BaseHTTPRequestHandler):
    """Takes spans and looks at none; below /slow it takes for ever."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.startswith("/slow"):
            threading.Event().wait()
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


def variants(collector: str, before: Path | None) -> Mapping[str, tuple[dict[str, str], Path]]:
    """The settings and the checkout of each server."""
    asked_for = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector}
    found = {
        "no traces": ({}, ROOT),
        "nobody is sampled": ({**asked_for, "OTEL_TRACES_SAMPLER": "always_off"}, ROOT),
        "one in ten is": (
            {
                **asked_for,
                "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
                "OTEL_TRACES_SAMPLER_ARG": "0.1",
            },
            ROOT,
        ),
        "all are": (asked_for, ROOT),
        "no answer": ({"OTEL_EXPORTER_OTLP_ENDPOINT": f"{collector}/slow"}, ROOT),
    }
    return found if before is None else {"before": ({}, before), **found}


def main() -> None:
    parser = argparse.ArgumentParser(description="What traces cost.")
    parser.add_argument("--before", type=Path, help="another checkout")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    collector = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as stack:
        root = publish(NAME, Path(folder)).store
        store = ModelStore(root)
        row = store.load(store.verify(NAME)).sample.rows[0]
        request = requests(NAME, row)["own JSON"]
        servers: dict[str, Server] = {}
        for name, (given, checkout) in variants(
            f"http://127.0.0.1:{collector.server_port}", options.before
        ).items():
            servers[name] = Server(root, settings=given, root=checkout)
            stack.callback(servers[name].process.kill)
        took: dict[str, list[float]] = {name: [] for name in servers}
        for number in range(options.rounds + 1):
            for name, server in servers.items():
                before = cpu(server)
                asyncio.run(asked(server.port, request, options.count, options.connections))
                used = (cpu(server) - before) / options.count / options.connections
                if number:  # the first is to warm up
                    took[name].append(used * 1e6)
    usual = statistics.median(took["no traces"])
    for name, found in took.items():
        cost = statistics.median(found)
        print(f"{name:20} {cost:6.0f} us of CPU   of no traces {cost / usual:.2f}")


if __name__ == "__main__":
    main()
