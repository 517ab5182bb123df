"""Traces: what a collector gets of requests at each door, and that it is in nobody's way."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import grpc
import numpy as np
import pytest
from opentelemetry import propagate, trace
from quart import Quart
from quart.typing import TestAppProtocol as RunningApp
from quart.typing import TestClientProtocol as Client

from quart_app import create_app
from quart_app.asgi import Record
from quart_app.config import ConfigError
from quart_app.context import context_of
from quart_app.observe.outbox import Outbox
from quart_app.protocols import v2_grpc

from ...conftest import MakeApp, serving, started
from .collector import ERROR, SERVER, Collector, Span, collecting

CALLER: Final = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE, SPAN = CALLER.split("-")[1:3]
UNSAMPLED: Final = CALLER[:-2] + "00"
ROW: Final = {"X1": 61.1, "X2": 17.3}
JSON: Final = {"Content-Type": "application/json"}
TENSOR: Final = {"name": "x", "shape": [1, 2], "datatype": "FP64"}
RAW: Final = json.dumps(
    {"inputs": [{**TENSOR, "parameters": {"binary_data_size": 16}}]}, separators=(",", ":")
).encode()
CALL: Final = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "exam", "arguments": {"rows": [ROW]}},
}

# A door, what it is asked, and what its span is called.
DOORS: Final[dict[str, tuple[str, str, dict[str, Any], str]]] = {
    "own JSON": (
        "POST",
        "/models/exam/predict",
        {"data": json.dumps(ROW), "headers": JSON},
        "POST /models/<name>/predict",
    ),
    "a query": (
        "GET",
        "/models/exam/predict?X1=61.1&X2=17.3",
        {"headers": {}},
        "GET /models/<name>/predict",
    ),
    "V1": (
        "POST",
        "/v1/models/exam:predict",
        {"data": json.dumps({"instances": [[61.1, 17.3]]}), "headers": JSON},
        "POST /v1/models/<name>:predict",
    ),
    "V2": (
        "POST",
        "/v2/models/exam/infer",
        {"data": json.dumps({"inputs": [{**TENSOR, "data": [61.1, 17.3]}]}), "headers": JSON},
        "POST /v2/models/<name>/infer",
    ),
    "V2 in bytes": (
        "POST",
        "/v2/models/exam/infer",
        {
            "data": RAW + np.array([61.1, 17.3]).tobytes(),
            "headers": {"Inference-Header-Content-Length": str(len(RAW))},
        },
        "POST /v2/models/<name>/infer",
    ),
    "MLflow": (
        "POST",
        "/invocations?model=exam",
        {"data": json.dumps({"dataframe_records": [ROW]}), "headers": JSON},
        "POST /invocations",
    ),
    "MCP": (
        "POST",
        "/mcp",
        {"data": json.dumps(CALL), "headers": JSON},
        "tools/call exam",
    ),
}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


def settings(collector: Collector, **others: Any) -> dict[str, Any]:
    """Of an app whose spans arrive soon."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": 10,
        **others,
    }


async def ask(client: Client, door: str, **headers: str) -> None:
    method, path, given, _ = DOORS[door]
    given = {**given, "headers": {**given["headers"], **headers}}
    response = await client.open(path, method=method, **given)
    assert response.status_code == 200, await response.get_data(as_text=True)


async def arrived(collector: Collector, *names: str) -> list[Span]:
    return await asyncio.to_thread(collector.wait_for, *names)


def outbox_of(app: RunningApp) -> Outbox[Any]:
    tracing = context_of(app.app).tracing  # type: ignore[attr-defined]
    assert tracing is not None
    return tracing.outbox


async def counted(outbox: Outbox[Any], count: int) -> None:
    """Return once so many things were sent, or were not."""
    async with asyncio.timeout(20):
        while outbox.sent + outbox.failed < count:  # noqa: ASYNC110 - a thread counts
            await asyncio.sleep(0.005)


def only(spans: Sequence[Span], name: str) -> Span:
    (found,) = [span for span in spans if span.name == name]
    return found


# What is told --------------------------------------------------------------------


@pytest.mark.parametrize("door", DOORS)
async def test_a_request_has_a_span_below_its_callers_with_one_for_its_wait_and_one_for_predict(
    make_app: MakeApp, collector: Collector, door: str
) -> None:
    name = DOORS[door][3]
    async with make_app(**settings(collector)) as app:
        begun = time.time_ns()
        await ask(app.test_client(), door, traceparent=CALLER)
        spans = await arrived(collector, name, "queue", "predict")
    request, queue, predict = (only(spans, each) for each in (name, "queue", "predict"))
    assert {span.trace for span in spans} == {TRACE}
    assert (request.parent, queue.parent, predict.parent) == (SPAN, request.id, request.id)
    assert request.kind == SERVER
    assert begun - 10**7 < request.start <= queue.start <= queue.end == predict.start
    assert predict.start < predict.end <= request.end < time.time_ns()
    of_model = {"quart_app.model": "exam", "quart_app.version": 1}
    of_batch = {"quart_app.batch_rows": 1, "quart_app.batch_requests": 1}
    assert queue.attributes == predict.attributes == of_model | of_batch
    attributes = request.attributes
    assert attributes.items() >= (of_model | of_batch | {"quart_app.rows": 1}).items()
    assert attributes["quart_app.queue_seconds"] == pytest.approx((queue.end - queue.start) / 1e9)
    assert attributes["http.response.status_code"] == 200
    assert "61.1" not in repr(spans)
    assert request.resource["service.name"] == "quart-app"
    assert collector.paths == {"/v1/traces"}


async def test_a_request_that_nobody_has_traced_begins_a_trace_and_probes_have_none(
    make_app: MakeApp, collector: Collector
) -> None:
    async with make_app(**settings(collector, OTEL_SERVICE_NAME="scores")) as app:
        client = app.test_client()
        await client.get("/health/live")
        await client.get("/metrics")
        for _ in range(2):
            await ask(client, "own JSON", traceparent="00-nonsense-01")
        await counted(outbox_of(app), 2 * 3)
    spans = collector.spans
    requests = [span for span in spans if not span.parent]
    assert [span.name for span in requests] == ["POST /models/<name>/predict"] * 2
    assert len({span.trace for span in requests}) == 2
    assert {span.resource["service.name"] for span in spans} == {"scores"}


async def test_an_agent_says_in_the_message_itself_who_calls(
    make_app: MakeApp, collector: Collector
) -> None:
    meta = {"traceparent": CALLER, "tracestate": "agent=1", "progressToken": 7}
    call = {**CALL, "params": {**CALL["params"], "_meta": meta}}  # type: ignore[dict-item]
    async with make_app(**settings(collector)) as app:
        client = app.test_client()
        await client.post("/mcp", data=json.dumps(call), headers=JSON)
        spans = await arrived(collector, "tools/call exam", "predict")
        assert {span.trace for span in spans} == {TRACE}
        assert only(spans, "tools/call exam").parent == SPAN
        other = CALLER.replace(TRACE, "1" * 32)
        call["method"] = "tools/list"
        await client.post("/mcp", data=json.dumps(call), headers={**JSON, "traceparent": other})
        spans = await arrived(collector, "tools/list")
    assert only(spans, "tools/list").trace == "1" * 32


async def test_what_a_stranger_says_of_the_caller_forges_and_floods_no_log(
    make_app: MakeApp, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    meta = {"traceparent": CALLER, "baggage": "a b\nERROR forged", "tracestate": "\u2028=1"}
    call = {**CALL, "params": {**CALL["params"], "_meta": meta}}  # type: ignore[dict-item]
    async with make_app(**settings(collector)) as app:
        client = app.test_client()
        for _ in range(3):
            await ask(client, "own JSON", traceparent=CALLER, baggage="a b", tracestate="a b=c")
            await client.post("/mcp", data=json.dumps(call), headers=JSON)
        await arrived(collector, "tools/call exam", "predict")
    lines = [each for each in caplog.records if each.name.startswith("opentelemetry")]
    assert len(lines) <= 2
    assert "forged" not in caplog.text


@pytest.mark.usefixtures("in_threads")
async def test_what_is_wrong_is_told_by_its_kind_and_is_an_error_where_it_is_the_servers(
    make_app: MakeApp, collector: Collector
) -> None:
    faulty = {**CALL, "params": {"name": "exam", "arguments": {"rows": [{"X1": "many"}]}}}
    async with make_app(**settings(collector)) as app:
        client = app.test_client()
        await client.post("/models/exam/predict", json={"X1": "many"})
        context_of(app.app).registry.entry("exam").servable._workers.shutdown()  # type: ignore
        await client.post("/models/exam/predict", json=ROW)
        await client.post("/mcp", data=json.dumps(faulty), headers=JSON)
        spans = await arrived(collector, "tools/call exam")
    told = [
        (span.attributes["http.response.status_code"], span.attributes.get("error.type"))
        for span in spans
        if span.kind == SERVER
    ]
    assert told[0] == (400, "invalid_rows")
    assert (200, "invalid_rows") in told
    failed = [span for span in spans if span.status == ERROR]
    assert [span.attributes["http.response.status_code"] for span in failed] == [500]


async def test_requests_that_are_predicted_together_say_so(
    make_app: MakeApp, collector: Collector
) -> None:
    async with make_app(**settings(collector)) as app:
        client = app.test_client()
        await asyncio.gather(*(ask(client, "own JSON") for _ in range(8)))
        await counted(outbox_of(app), 8 * 3)
    spans = collector.spans
    batches = [span.attributes["quart_app.batch_requests"] for span in spans if not span.parent]
    assert len(batches) == 8
    assert max(batches) > 1


async def test_a_caller_that_is_not_sampled_is_not_and_the_log_has_its_trace_all_the_same(
    make_app: MakeApp, collector: Collector
) -> None:
    async with make_app(**settings(collector)) as app:
        records: list[Record] = []
        context_of(app.app).observers.append(records.append)  # type: ignore[attr-defined]
        await ask(app.test_client(), "own JSON", traceparent=UNSAMPLED)
        await ask(app.test_client(), "own JSON", traceparent=CALLER)
        await arrived(collector, "predict")
    assert {span.trace for span in collector.spans} == {TRACE}
    assert len(collector.spans) == 3
    assert [record.trace.trace_id for record in records if record.trace] == [TRACE, TRACE]


async def test_what_a_view_of_an_operator_calls_belongs_to_the_request(
    bundled_root: Path, collector: Collector
) -> None:
    made: Quart = create_app(MODEL_STORE=bundled_root, RECIPES="", **settings(collector))
    tracing = context_of(made).tracing
    assert tracing is not None
    sent: dict[str, str] = {}

    @made.get("/own")
    async def own() -> str:
        propagate.inject(sent)
        with trace.get_tracer("own", tracer_provider=tracing.provider).start_as_current_span("x"):
            return "done"

    async with started(made) as app:
        await app.test_client().get("/own", headers={"traceparent": CALLER, "baggage": "a=1"})
        spans = await arrived(collector, "GET /own", "x")
        assert not trace.get_current_span().get_span_context().is_valid
    request = only(spans, "GET /own")
    assert only(spans, "x").parent == request.id
    assert sent == {"traceparent": f"00-{TRACE}-{request.id}-01", "baggage": "a=1"}


@pytest.mark.usefixtures("in_threads")
async def test_lines_of_a_failure_refer_to_the_trace(
    make_app: MakeApp, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    async with make_app(**settings(collector)) as app:
        context_of(app.app).registry.entry("exam").servable._workers.shutdown()  # type: ignore
        client = app.test_client()
        await client.post("/models/exam/predict", json=ROW, headers={"traceparent": CALLER})
    assert any(f", trace {TRACE})" in line for line in caplog.messages)


# Where it goes -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (
            {"OTEL_TRACES_EXPORTER": "zipkin"},
            "OTEL_TRACES_EXPORTER: there is no exporter zipkin here.",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL: grpc needs opentelemetry-exporter-otlp-proto-grpc.",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SPAN_EVENT_COUNT_LIMIT": "many"},
            "A variable OTEL_...: OpenTelemetry says ",
        ),
    ],
    ids=["an exporter", "a protocol", "what OpenTelemetry reads itself"],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    sentence: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        create_app(MODEL_STORE=tmp_path)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"},
    ],
)
def test_without_a_place_for_them_there_are_no_traces(
    tmp_path: Path, given: dict[str, Any]
) -> None:
    app = create_app(MODEL_STORE=tmp_path, **given)
    assert context_of(app).tracing is None


async def test_a_collector_that_does_not_answer_holds_up_no_request_and_spans_are_counted(
    make_app: MakeApp, collector: Collector
) -> None:
    collector.is_open.clear()
    limits = {"OTEL_BSP_MAX_QUEUE_SIZE": 10, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": 3}
    async with make_app(**settings(collector, **limits)) as app:
        client = app.test_client()
        begun = time.perf_counter()
        for _ in range(10):
            await ask(client, "own JSON")
        assert time.perf_counter() - begun < 5
        metrics = await (await client.get("/metrics")).get_data(as_text=True)
        begun = time.perf_counter()
    assert time.perf_counter() - begun < 5
    told = {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in metrics.splitlines()
        if line.startswith("quart_app_") and "span" in line
    }
    waiting = told["quart_app_waiting_spans"]
    dropped = told['quart_app_spans_total{outcome="dropped"}']
    assert 0 < waiting <= 10
    assert 30 - 3 <= waiting + dropped <= 30  # three may be on their way
    assert told['quart_app_spans_total{outcome="sent"}'] == 0


async def test_a_collector_that_refuses_is_logged_once_and_counted(
    make_app: MakeApp, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.status = 401
    async with make_app(**settings(collector)) as app:
        outbox = outbox_of(app)
        for count in (3, 6):
            await ask(app.test_client(), "own JSON")
            await counted(outbox, count)
        assert outbox.failed == 6
        collector.status = 200
        await ask(app.test_client(), "own JSON")
        await arrived(collector, "predict")
    lines = [each for each in caplog.records if each.name.startswith("opentelemetry")]
    assert [each.levelno for each in lines] == [logging.ERROR]
    assert "401" in lines[0].getMessage()


# The outbox ----------------------------------------------------------------------


async def test_an_outbox_sends_in_order_in_batches_and_what_waits_at_the_end() -> None:
    batches: list[Sequence[int]] = []

    def send(things: Sequence[int]) -> bool:
        batches.append(things)
        return True

    outbox: Outbox[int] = Outbox(send, room=100, batch=4, delay=60)
    for thing in range(10):
        outbox.put(thing)
    await counted(outbox, 8)
    assert await outbox.close(5)
    assert batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    outbox.put(10)
    assert (outbox.sent, outbox.dropped, outbox.failed, outbox.waiting) == (10, 1, 0, 0)


async def test_an_outbox_goes_on_after_an_error_and_is_closed_in_time_while_it_sends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    held = threading.Event()

    def send(things: Sequence[str]) -> bool:
        if things[0] == "wrong":
            raise ValueError("no such thing")
        return held.wait(30)

    outbox: Outbox[str] = Outbox(send, room=10, batch=1, delay=0.01)
    outbox.put("wrong", weight=2)
    await counted(outbox, 2)
    assert "What was to be sent is lost." in caplog.text
    outbox.put("right")
    assert not await outbox.close(0.05)
    held.set()
    assert await outbox.close(5)
    assert outbox.sent == 1


# By a server ---------------------------------------------------------------------


@pytest.mark.process
def test_a_server_sends_traces_of_http_and_grpc_and_its_log_carries_their_ids(
    bundled_root: Path, tmp_path: Path, collector: Collector
) -> None:
    given = {
        "QUART_APP_MODEL_STORE": bundled_root,
        "QUART_APP_GRPC_PORT": 0,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        "OTEL_BSP_SCHEDULE_DELAY": 60_000,  # what waits is sent at the end
    }
    tensor = {"name": "x", "datatype": "FP64", "shape": [1, 2]}
    raw = [np.array([61.1, 17.3]).tobytes()]
    message = v2_grpc.REQUEST(model_name="exam", inputs=[tensor], raw_input_contents=raw)
    method = "inference.GRPCInferenceService/ModelInfer"
    with serving(cwd=tmp_path, **given) as server:
        address = server.grpc_address()
        server.wait_until_ready()
        with grpc.insecure_channel(address) as channel:
            infer = channel.unary_unary(f"/{method}")
            infer(message.SerializeToString(), metadata=(("traceparent", CALLER),), timeout=30)
            message.model_name = "nowhere"
            with pytest.raises(grpc.RpcError):
                infer(message.SerializeToString(), timeout=30)
        server.process.terminate()
        written, _ = server.process.communicate(timeout=30)
        assert server.process.returncode == 0
    spans = collector.wait_for(method, "predict")
    request = next(span for span in spans if span.name == method and span.trace == TRACE)
    assert request.parent == SPAN
    assert {span.parent for span in spans if span.trace == TRACE} == {SPAN, request.id}
    told = {
        span.trace == TRACE: (span.attributes["rpc.response.status_code"], span.status)
        for span in spans
        if span.name == method
    }
    assert told == {True: ("OK", 0), False: ("NOT_FOUND", 0)}
    assert request.attributes["rpc.system.name"] == "grpc"
    assert not any(name.startswith("http.") for name in request.attributes)
    assert request.resource["deployment.environment.name"] == "test"
    lines = [json.loads(line) for line in written.splitlines() if line.startswith("{")]
    line = next(line for line in lines if line.get("trace_id") == TRACE)
    assert (line["span_id"], line["path"]) == (request.id, f"/{method}")
    assert all("trace_id" not in line for line in lines if "/health/" in line["path"])
