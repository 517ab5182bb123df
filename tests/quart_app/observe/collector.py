"""A collector of traces that takes them by OTLP over HTTP, as quickly or slowly as a test likes."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


class Span(NamedTuple):
    """A span as it arrived; its ids in hexadecimal digits, `parent` empty where there is none."""

    name: str
    trace: str
    id: str
    parent: str
    kind: int
    start: int
    end: int
    status: int
    attributes: dict[str, Any]
    resource: dict[str, Any]


SERVER = 2
ERROR = 2


class Collector:
    """Listens in a thread. It answers with `status`, once `is_open` is set."""

    def __init__(self) -> None:
        self.status = 200
        self.is_open = threading.Event()
        self.is_open.set()
        self.spans: list[Span] = []
        self.paths: set[str] = set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.is_open.wait()
                outer.paths.add(self.path)
                if outer.status == 200:
                    outer.spans += spans_in(body)
                self.send_response(outer.status)
                self.end_headers()
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    self.wfile.write(ExportTraceServiceResponse().SerializeToString())

            def log_message(self, *_: Any) -> None:
                """Print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def wait_for(self, *names: str, seconds: float = 20) -> list[Span]:
        """All spans, once there is one of each of these names."""
        end = time.monotonic() + seconds
        while not set(names) <= {span.name for span in self.spans}:
            assert time.monotonic() < end, [span.name for span in self.spans]
            time.sleep(0.02)
        return list(self.spans)


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield collector
    finally:
        collector.is_open.set()
        collector.server.shutdown()
        thread.join()
        collector.server.server_close()


def spans_in(body: bytes) -> Iterator[Span]:
    for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = _attributes(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield Span(
                    span.name,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    span.kind,
                    span.start_time_unix_nano,
                    span.end_time_unix_nano,
                    span.status.code,
                    _attributes(span.attributes),
                    resource,
                )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
