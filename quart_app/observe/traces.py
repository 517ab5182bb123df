"""Spans of requests, for OpenTelemetry: who called, how long the request waited and was predicted.

A request is followed by what it would cost least: when it begins, its ids are drawn and the sampler
is asked; when it has ended, its record is put into an outbox. Spans are made of the record in the
thread that sends them. So a collector that is slow or gone holds up no request, and what is not
sampled costs next to nothing.

No value of a request is told: neither query nor body nor headers.

Source: https://opentelemetry.io/docs/specs/semconv/ (http, rpc, mcp); https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, Final

from opentelemetry import context as contexts
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)

from ..asgi import RawHeaders, Record, Scope, Trace, Turn
from ..config import Config, ConfigError
from ..version import VERSION
from .access_log import MAX_PATH
from .counters import METHODS
from .outbox import Outbox

EXPORTERS: Final = "opentelemetry_traces_exporter"
"""The group of entry points by which packages bring exporters."""

PROBES: Final = ("/health/", "/v2/health/", "/metrics")
"""How the addresses begin that have no span: a platform asks them every few seconds."""

UNKNOWN_SERVICE: Final = "unknown_service"
"""What the name of a service begins with that nobody has given."""

FLUSH_SECONDS: Final = 1.0
"""For what waits to be sent when the server ends."""

SECONDS_BETWEEN_LINES: Final = 60.0
"""An exporter logs each failure, and what reads headers logs each that it cannot read; of these one
line a minute is enough."""

READERS: Final = (
    "opentelemetry.baggage.propagation",
    "opentelemetry.trace.propagation.tracecontext",
    "opentelemetry.trace.span",
)
"""The loggers of what reads headers."""

NANOSECONDS: Final = 1_000_000_000

NOBODY: Final = Context()
"""The context of a request that says nothing of who called."""

RPC_METHOD: Final = "rpc.method"


class RequestTrace(Trace, kw_only=True):
    """A trace with what it takes to make its spans: `own` is its span, `caller` that of who called,
    None where there is none, and `around` what was known of the call, such as its baggage."""

    own: SpanContext
    caller: SpanContext | None
    around: Context


class Traces:
    """The traces of one app. `begin` and calling it belong to the app's event loop.

    `provider` takes the spans of an operator's own code along.
    """

    def __init__(self, config: Config) -> None:
        self._exporters = [_exporter(name, config) for name in config.trace_exporters]
        self._resource = _resource(config)
        self.outbox: Outbox[Record | ReadableSpan] = Outbox(
            self._send,
            room=config.otel_bsp_max_queue_size,
            batch=config.otel_bsp_max_export_batch_size,
            delay=config.otel_bsp_schedule_delay / 1000,
        )
        self.provider = TracerProvider(resource=self._resource, shutdown_on_exit=False)
        self.provider.add_span_processor(_Along(self.outbox))
        self._ids = RandomIdGenerator()
        self._fields = frozenset(field.encode() for field in self.fields)

    @property
    def fields(self) -> set[str]:
        """The headers that say who called, in lower case."""
        return {field.lower() for field in propagate.get_global_textmap().fields}

    def begin(self, record: Record, scope: Scope) -> None:
        """Give the record of a request a trace, that of who called, if that is told."""
        if record.path.startswith(PROBES):
            return
        record.trace = self._begun(record, self._around(scope["headers"]))
        if "scheme" in scope:
            record.trace.attributes["url.scheme"] = scope["scheme"]

    def adopt(self, record: Record, meta: Mapping[str, Any]) -> None:
        """Let the request belong to who says so in the message itself, unless a header did."""
        known = record.trace
        if not isinstance(known, RequestTrace) or known.caller is not None:
            return
        around = self._around(
            (name.encode("utf-8", "replace"), value.encode("utf-8", "replace"))
            for name, value in meta.items()
            if isinstance(value, str)
        )
        if trace.get_current_span(around).get_span_context().is_valid:
            found = self._begun(record, around)
            found.name, found.attributes = known.name, known.attributes
            record.trace = found

    @contextlib.contextmanager
    def current(self, record: Record) -> Iterator[None]:
        """Let what is done meanwhile belong to the span of a request: what an operator's own code
        calls by instrumented clients."""
        known = record.trace
        if not isinstance(known, RequestTrace):
            yield
            return
        span = trace.set_span_in_context(NonRecordingSpan(known.own), known.around)
        token = contexts.attach(span)
        try:
            yield
        finally:
            contexts.detach(token)

    def __call__(self, record: Record) -> None:
        """Send the spans of a request that has ended, if it was sampled."""
        if record.turns is not None:
            self.outbox.put(record, 1 + 2 * len(record.turns))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send spans while the body runs, and afterwards for a moment what waits."""
        loggers = (*(type(exporter).__module__ for exporter in self._exporters), *READERS)
        with contextlib.ExitStack() as stack:
            for name in loggers:
                stack.enter_context(_seldom(logging.getLogger(name)))
            try:
                yield
            finally:
                await self.outbox.close(FLUSH_SECONDS)
                for exporter in self._exporters:
                    exporter.shutdown()

    def _around(self, headers: RawHeaders) -> Context:
        """What headers say of who called. What cannot be printed is no header, and could forge a
        line of the log."""
        found: dict[str, list[str]] = {}
        for name, value in headers:
            if name in self._fields and (text := value.decode("latin-1")).isprintable():
                found.setdefault(name.decode(), []).append(text)
        return propagate.extract(found, NOBODY) if found else NOBODY

    def _begun(self, record: Record, around: Context) -> RequestTrace:
        caller = trace.get_current_span(around).get_span_context()
        trace_id = caller.trace_id if caller.is_valid else self._ids.generate_trace_id()
        asked = {"http.request.method": record.method, "url.path": record.path}
        sampled = self.provider.sampler.should_sample(
            around, trace_id, record.method, SpanKind.SERVER, asked
        )
        is_sampled = sampled.decision is Decision.RECORD_AND_SAMPLE
        flags = TraceFlags(TraceFlags.SAMPLED if is_sampled else TraceFlags.DEFAULT)
        span_id = self._ids.generate_span_id()
        own = SpanContext(trace_id, span_id, False, flags, sampled.trace_state)
        return RequestTrace(
            trace.format_trace_id(trace_id),
            trace.format_span_id(span_id),
            [] if is_sampled else None,
            own=own,
            caller=caller if caller.is_valid else None,
            around=around,
        )

    def _send(self, things: Sequence[Record | ReadableSpan]) -> bool:
        """Runs in the thread of the outbox."""
        spans: list[ReadableSpan] = []
        for thing in things:
            spans += [thing] if isinstance(thing, ReadableSpan) else self._spans(thing)
        results = [exporter.export(spans) for exporter in self._exporters]
        return all(result is SpanExportResult.SUCCESS for result in results)

    def _spans(self, record: Record) -> Iterator[ReadableSpan]:
        """The span of a request, and two for each call of predict: its wait, and the call."""
        known = record.trace
        assert isinstance(known, RequestTrace)
        began = int(record.began * NANOSECONDS)
        offset = began - int(record.clock * NANOSECONDS)
        yield ReadableSpan(
            _name(record, known),
            known.own,
            known.caller,
            self._resource,
            attributes_of(record, known),
            kind=SpanKind.SERVER,
            status=_status(record),
            start_time=began,
            end_time=began + int(record.seconds * NANOSECONDS),
            instrumentation_scope=SCOPE,
        )
        before = 0  # when the call before has ended: of a request that failed with others
        for turn in known.turns or ():
            since = max(turn.since, before)
            before = turn.ended
            for name, start, end in ("queue", since, turn.begun), ("predict", turn.begun, before):
                yield ReadableSpan(
                    name,
                    self._below(known.own),
                    known.own,
                    self._resource,
                    _model_of(record) | _batch_of(turn),
                    start_time=start + offset,
                    end_time=end + offset,
                    instrumentation_scope=SCOPE,
                )

    def _below(self, parent: SpanContext) -> SpanContext:
        span_id = self._ids.generate_span_id()
        return SpanContext(parent.trace_id, span_id, False, parent.trace_flags, parent.trace_state)


SCOPE: Final = InstrumentationScope("quart_app", VERSION)


class _Along(SpanProcessor):
    """Sends spans of an operator's own code with those of requests."""

    def __init__(self, outbox: Outbox[Record | ReadableSpan]) -> None:
        self._outbox = outbox

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is not None and span.context.trace_flags.sampled:
            self._outbox.put(span)


class _Seldom(logging.Filter):
    """Lets a line pass now and then."""

    def __init__(self) -> None:
        super().__init__()
        self._next = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + SECONDS_BETWEEN_LINES
        return True


@contextlib.contextmanager
def _seldom(noisy: logging.Logger) -> Iterator[None]:
    """Let a logger say little meanwhile."""
    seldom = _Seldom()
    noisy.addFilter(seldom)
    try:
        yield
    finally:
        noisy.removeFilter(seldom)


# What is set --------------------------------------------------------------------


def _resource(config: Config) -> Resource:
    """What the server is, by the variables for that; else by our own name."""
    found = Resource.create()
    name = config.otel_service_name or str(found.attributes[SERVICE_NAME])
    if name.startswith(UNKNOWN_SERVICE):
        name = "quart-app"
    ours = Resource({SERVICE_VERSION: VERSION})
    return ours.merge(found).merge(Resource({SERVICE_NAME: name}))


def _exporter(name: str, config: Config) -> SpanExporter:
    """The exporter of this name, which reads the other variables of its kind itself.

    Raises:
        ConfigError: it is not installed.
    """
    protocol = config.otel_exporter_otlp_traces_protocol or config.otel_exporter_otlp_protocol
    is_grpc = protocol == "grpc"
    options = {}
    package = name
    if name == "otlp":
        package = "otlp_proto_grpc" if is_grpc else "otlp_proto_http"
        if endpoint := _endpoint(config, below="" if is_grpc else "/v1/traces"):
            options["endpoint"] = endpoint
    for entry in entry_points(group=EXPORTERS, name=package):
        found: SpanExporter = entry.load()(**options)
        return found
    if name == "otlp" and is_grpc:
        raise ConfigError(
            "OTEL_EXPORTER_OTLP_PROTOCOL: grpc needs opentelemetry-exporter-otlp-proto-grpc."
        )
    raise ConfigError(f"OTEL_TRACES_EXPORTER: there is no exporter {name} here.")


def _endpoint(config: Config, *, below: str) -> str | None:
    if config.otel_exporter_otlp_traces_endpoint is not None:
        return config.otel_exporter_otlp_traces_endpoint
    found = config.otel_exporter_otlp_endpoint
    return None if found is None else found.rstrip("/") + below


# What a span says ---------------------------------------------------------------


def _name(record: Record, known: Trace) -> str:
    method = record.method if record.method in METHODS else "HTTP"
    return known.name or (method if record.route is None else f"{method} {record.route}")


def attributes_of(record: Record, known: Trace) -> dict[str, str | int | float]:
    """What the span of a request says of it."""
    found: dict[str, str | int | float] = {**known.attributes}
    if RPC_METHOD not in found:
        found["http.request.method"] = record.method if record.method in METHODS else "_OTHER"
        found["url.path"] = record.path[:MAX_PATH]
        found["http.response.status_code"] = record.status
        if record.route is not None:
            found["http.route"] = record.route
    for name, value in (
        ("client.address", record.client),
        ("error.type", record.error),
        ("quart_app.request_id", record.request_id),
        ("quart_app.rows", record.rows),
    ):
        if value is not None:
            found[name] = value
    found |= _model_of(record)
    if known.turns:
        turn = known.turns[-1]
        found |= _batch_of(turn)
        found["quart_app.queue_seconds"] = (turn.begun - turn.since) / NANOSECONDS
    return found


def _model_of(record: Record) -> dict[str, str | int]:
    if record.model is None or record.version is None:
        return {}
    return {"quart_app.model": record.model, "quart_app.version": record.version}


def _batch_of(turn: Turn) -> dict[str, str | int]:
    return {"quart_app.batch_rows": turn.rows, "quart_app.batch_requests": turn.requests}


def _status(record: Record) -> Status:
    """An error is what is wrong with the server; what is wrong with a request is its client's."""
    if record.status < 500:
        return Status(StatusCode.UNSET)
    return Status(StatusCode.ERROR, record.error)
