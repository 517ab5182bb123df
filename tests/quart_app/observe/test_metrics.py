"""The metrics: what is counted is what was sent, in a format that parses, with bounded labels."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import openmetrics
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as parse_text
from quart.typing import TestClientProtocol as Client

from model_store import ModelStore
from quart_app import create_app
from quart_app.context import context_of
from quart_app.documents import State
from quart_app.errors import KINDS, kind_of
from quart_app.serving.statistics import ROWS, SECONDS, Histogram
from quart_app.serving.workers import Workers
from quart_app.version import VERSION

from ...conftest import started

ROW = {"X1": 61.1, "X2": 17.3}
PREDICT = "/models/<name>/predict"
EXAM = {"model": "exam", "version": "1"}
LONG = 30.0


def parse_openmetrics(text: str) -> list[Metric]:
    return list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]


class Scrape:
    """The metrics at one moment."""

    def __init__(self, text: str) -> None:
        self.families: list[Metric] = list(parse_text(text))
        self.samples = [sample for family in self.families for sample in family.samples]
        keys = [(sample.name, *sorted(sample.labels.items())) for sample in self.samples]
        assert len(keys) == len(set(keys)), "a series stands there twice"

    def value(self, name: str, **labels: str) -> float:
        """The value of the one series with these labels; 0 where there is none."""
        found = [each for each in self.samples if (each.name, each.labels) == (name, labels)]
        return found[0].value if found else 0.0

    def labels(self, name: str) -> set[str]:
        """Every value of every label of one name of samples, apart from the bounds."""
        return {
            value
            for sample in self.samples
            if sample.name == name
            for label, value in sample.labels.items()
            if label != "le"
        }

    def buckets(self, name: str, **labels: str) -> dict[float, float]:
        return {
            float(sample.labels["le"]): sample.value
            for sample in self.samples
            if sample.name == f"{name}_bucket"
            and {key: value for key, value in sample.labels.items() if key != "le"} == labels
        }


async def scrape(client: Client) -> Scrape:
    response = await client.get("/metrics")
    assert response.status_code == 200
    assert response.content_type == "text/plain; version=0.0.4; charset=utf-8"
    return Scrape(await response.get_data(as_text=True))


@pytest.fixture
async def small(store: ModelStore) -> AsyncIterator[Client]:
    """A client of an app with a store of its own."""
    async with started(create_app(MODEL_STORE=store.root, RECIPES="")) as app:
        yield app.test_client()


async def test_the_counts_equal_what_was_sent(client: Client) -> None:
    for rows in (1, 1, 3, 200, 300):
        await client.post("/models/exam/predict", json=[ROW] * rows)
    for _ in range(4):
        await client.post("/models/exam/predict", json={"X1": "many"})
    await client.get("/nothing")
    await client.get("/models/nothing/card")
    found = await scrape(client)
    asked = {"route": PREDICT, "method": "POST"}
    assert found.value("quart_app_requests_total", **asked, status="200") == 5
    assert found.value("quart_app_requests_total", **asked, status="400") == 4
    gone = {"route": "unmatched", "method": "GET", "status": "404"}
    assert found.value("quart_app_requests_total", **gone) == 1
    assert found.value("quart_app_failures_total", kind="invalid_rows") == 4
    assert found.value("quart_app_failures_total", kind="not_found") == 1
    assert found.value("quart_app_failures_total", kind="model_not_found") == 1
    assert found.value("quart_app_request_duration_seconds_count", route=PREDICT) == 9
    assert 0 < found.value("quart_app_request_duration_seconds_sum", route=PREDICT) < LONG * 9
    again = await scrape(client)
    scraped = {"route": "/metrics", "method": "GET", "status": "200"}
    assert again.value("quart_app_requests_total", **scraped) == 1


async def test_calls_of_predict_are_counted_by_rows_and_by_time(client: Client) -> None:
    for rows in (1, 1, 3, 200, 300):
        await client.post("/models/exam/predict", json=[ROW] * rows)
    found = await scrape(client)
    buckets = found.buckets("quart_app_batch_rows", **EXAM)
    assert list(buckets) == [*ROWS, float("inf")]
    assert [buckets[bound] for bound in (1, 2, 4, 128, 256, 1000, float("inf"))] == [
        *(2, 2, 3, 3, 4, 5, 5)
    ]
    assert found.value("quart_app_batch_rows_count", **EXAM) == 5
    assert found.value("quart_app_batch_rows_sum", **EXAM) == 505
    durations = found.buckets("quart_app_predict_duration_seconds", **EXAM)
    assert list(durations) == [*SECONDS, float("inf")]
    assert list(durations.values()) == sorted(durations.values())
    assert durations[float("inf")] == 5
    stats = (await (await client.get("/v2/models/exam/stats")).json)["model_stats"][0]
    assert stats["execution_count"] == 5
    assert found.value("quart_app_predict_duration_seconds_sum", **EXAM) == pytest.approx(
        sum(size["compute_infer"]["ns"] for size in stats["batch_stats"]) / 1e9
    )


async def test_models_tell_their_state_and_how_long_they_took_to_load(small: Client) -> None:
    app: Any = small.app
    registry = context_of(app).registry
    await registry.unload("iris")
    registry.entry("broken").fail(ValueError("odd"), words=False)
    found = await scrape(small)
    for name, state in (("exam", "ready"), ("iris", "unloaded"), ("broken", "failed")):
        for other in State:
            series = {"model": name, "state": other.value}
            assert found.value("quart_app_model_state", **series) == (other == state)
    assert 0 < found.value("quart_app_model_load_seconds", **EXAM) < LONG
    assert "iris" not in found.labels("quart_app_model_load_seconds")
    assert "iris" not in found.labels("quart_app_batch_rows_count")


async def test_a_version_that_is_loaded_twice_is_one_series(
    small: Client, store: ModelStore
) -> None:
    matrix = np.array([[1.0, 2.0], [80.0, 90.0]] * 10)
    store.publish(
        "exam", store.load(store.verify("exam", pickles="always")).pipeline, matrix, [0, 1] * 10
    )
    second = {"model": "exam", "version": "2"}
    app: Any = small.app
    registry = context_of(app).registry
    by_number = await registry.servable("exam", "2")
    row = dict.fromkeys(by_number.manifest.signature.names, 1)
    await small.post("/models/exam/versions/2/predict", json=row)
    await registry.load_again("exam")
    await small.post("/models/exam/predict", json=row)
    found = await scrape(small)
    assert await registry.servable("exam") is not by_number
    assert found.value("quart_app_batch_rows_count", **second) == 2
    assert found.value("quart_app_queue_rows", **second) == 0


async def test_threads_at_work_and_rows_that_wait_are_told(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    app: Any = client.app
    registry = context_of(app).registry
    servable = await registry.servable("exam")
    monkeypatch.setattr(servable._batcher, "_short", None)
    hold = threading.Event()
    taken = registry.workers.submit(hold.wait, LONG)
    assert (await scrape(client)).value("quart_app_busy_threads") == 1
    others = registry.workers.submit(hold.wait, LONG)
    asked = [asyncio.create_task(client.post("/models/exam/predict", json=ROW))]
    await asyncio.sleep(0.1)  # it has its turn, and no thread yet
    asked.append(asyncio.create_task(client.post("/models/exam/predict", json=[ROW] * 7)))
    async with asyncio.timeout(LONG):
        while servable.waiting_rows < 7:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    found = await scrape(client)
    assert found.value("quart_app_busy_threads") == 2
    assert found.value("quart_app_threads") == 2
    assert found.value("quart_app_hung_threads") == 0
    assert found.value("quart_app_requests_in_flight") == 3  # the two, and this one
    assert found.value("quart_app_queue_rows", **EXAM) == 7
    hold.set()
    await asyncio.gather(*asked)
    assert taken.result()
    assert others.result()
    found = await scrape(client)
    assert found.value("quart_app_busy_threads") == 0
    assert found.value("quart_app_requests_in_flight") == 1
    assert found.value("quart_app_queue_rows", **EXAM) == 0


def test_threads_are_counted_as_far_as_there_are_any() -> None:
    hold = threading.Event()
    threads = Workers(2, patience=LONG)
    futures = [threads.submit(hold.wait, LONG) for _ in range(5)]
    assert threads.busy == 2
    assert futures[-1].cancel()
    hold.set()
    threads.shutdown()
    deadline = time.monotonic() + LONG
    while threads.busy and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threads.busy == 0


async def test_labels_stay_bounded_under_a_thousand_random_requests(client: Client) -> None:
    chosen = random.Random(7)
    before = await scrape(client)
    for number in range(1000):
        word = "".join(chosen.choices("abcxyz%/.-_~é", k=12)).replace("%", "%25")
        path = chosen.choice(
            ["/{}", "/models/{}/predict", "/v2/models/{}", "/models/exam/versions/{}/predict",
             "/tour/{}", "/v1/models/{}:predict", "/static/{}", "/models/{}/files/{}"]
        ).replace("{}", f"{word.lstrip('/')}{number}")  # fmt: skip
        method = chosen.choice(["GET", "POST", "PROPFIND", f"X{number}"])
        async with client.request(path, method=method) as connection:
            await connection.send_complete()
            await connection.as_response()
    found = await scrape(client)
    app: Any = client.app
    rules = {rule.rule.replace("<unspoken:", "<") for rule in app.url_map.iter_rules()}
    methods = {"GET", "POST", "other"}
    statuses = {str(status) for status in range(200, 505)}
    known = rules | methods | statuses | {"unmatched"}
    assert found.labels("quart_app_requests_total") <= known
    assert found.labels("quart_app_request_duration_seconds_count") <= rules | {"unmatched"}
    kinds = {*KINDS.values(), "not_found", "method_not_allowed"}
    assert found.labels("quart_app_failures_total") <= kinds
    models = ("quart_app_model_state", "quart_app_queue_rows", "quart_app_batch_rows_count")
    for name in models:
        assert found.labels(name) == before.labels(name)
    told = [each for each in found.samples if each.name == "quart_app_requests_total"]
    assert sum(sample.value for sample in told) == 1001


async def test_both_formats_parse_and_hold_the_same(client: Client) -> None:
    await client.post("/models/exam/predict", json=ROW)
    text = await scrape(client)
    accept = "application/openmetrics-text; version=1.0.0, text/plain;version=0.0.4;q=0.5"
    response = await client.get("/metrics", headers={"Accept": accept})
    assert response.content_type == openmetrics.exposition.CONTENT_TYPE_LATEST
    body = await response.get_data(as_text=True)
    assert body.endswith("# EOF\n")
    families = parse_openmetrics(body)
    assert {family.name for family in families} == {family.name for family in text.families}
    assert {family.type for family in families} <= {"counter", "gauge", "histogram"}
    for family in text.families:
        assert family.documentation, family.name
        assert family.name.startswith(("quart_app_", "process_", "python_"))
    assert text.value("quart_app_build_info", version=VERSION) == 1
    assert text.value("process_resident_memory_bytes") > 0
    assert text.value("process_open_fds") > 0
    assert "python_info" in {family.name for family in text.families}


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "text/html", "application/openmetrics-text;version=x;escaping=\x7f", ",;=,", "é"],
)
async def test_any_accept_gets_a_format_that_parses(client: Client, accept: str) -> None:
    response = await client.get("/metrics", headers={"Accept": accept})
    body = await response.get_data(as_text=True)
    assert response.status_code == 200
    assert parse_openmetrics(body) if "openmetrics" in accept else list(parse_text(body))


async def test_two_apps_count_apart(bundled_root: Path) -> None:
    async with (
        started(create_app(MODEL_STORE=bundled_root, RECIPES="")) as one,
        started(create_app(MODEL_STORE=bundled_root, RECIPES="")) as two,
    ):
        await one.test_client().get("/health/live")
        live = {"route": "/health/live", "method": "GET", "status": "200"}
        for app, count in ((one, 1), (two, 0)):
            found = await scrape(app.test_client())
            assert found.value("quart_app_requests_total", **live) == count


async def test_without_the_setting_there_are_none(tmp_path: Path) -> None:
    app = create_app(MODEL_STORE=tmp_path, RECIPES="", METRICS=False)
    async with started(app) as running:
        assert (await running.test_client().get("/metrics")).status_code == 404
    assert context_of(app).observers == []


def test_every_error_of_the_table_has_a_kind_of_its_own() -> None:
    assert len(set(KINDS.values())) == len(KINDS)
    assert kind_of(ValueError()) == "internal_error"
    assert KINDS[next(kind for kind in KINDS if kind.__name__ == "QueueFull")] == "queue_full"


def test_a_histogram_counts_a_value_at_its_bound_below_it() -> None:
    histogram = Histogram((1, 2))
    for value in (0.5, 1, 1.5, 2, 2.5, 1000):
        histogram.add(value)
    assert (histogram.counts, histogram.total) == ([2, 2, 2], 1007.5)
    both = histogram + histogram
    assert (both.counts, both.total) == ([4, 4, 4], 2015.0)
    assert histogram.counts == [2, 2, 2]
