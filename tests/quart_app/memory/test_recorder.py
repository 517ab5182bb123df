"""What was predicted is recorded, by every door, as the settings say, in the way of no request."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from quart.typing import TestClientProtocol as Client

from model_store import ModelStore
from model_store.recipes import RECIPES
from quart_app import create_app
from quart_app.context import Context, context_of
from quart_app.memory.database import Database
from quart_app.memory.prediction import Prediction
from quart_app.memory.store import Records
from quart_app.memory.summary import Summary
from quart_app.memory.versions import StoredSummaries, Versions, read

from ...conftest import started

EXAM = {"X1": 61.1, "X2": 17.3}
HTML = {"Accept": "text/html"}
PATIENCE = 20.0


class Recorded:
    """An app that records, with what it has recorded."""

    def __init__(self, client: Client, context: Context, url: str) -> None:
        summaries = StoredSummaries(Versions(context.registry.store))
        self.client = client
        self.recording = context.recording
        self.registry = context.registry
        self._records = Records(Database.at(url, seconds=10), summaries)

    async def rows(self, count: int, model: str = "exam") -> list[Prediction]:
        """The rows of a model, once there are so many."""
        await until(lambda: self.recording.kept >= count)
        return await self.all(model)

    async def all(self, model: str = "exam") -> list[Prediction]:
        """The rows of a model that are in the database now."""
        return await asyncio.to_thread(lambda: list(self._records.predictions(model)))

    async def summaries(self, model: str = "exam") -> list[Summary]:
        """The hourly summaries of a model."""
        found = await asyncio.to_thread(self._records.summaries, model, 0, math.inf)
        return [read(each.body) for each in found]


async def until(holds: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never held"
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def recorded(url: str, store: Path, **settings: Any) -> AsyncIterator[Recorded]:
    settings = {"RECORD": 1, "MODEL_STORE": store, "RECIPES": "", **settings}
    app = create_app(DATABASE_URL=url, **settings)
    async with started(app) as running:
        yield Recorded(running.test_client(), context_of(app), url)


async def test_a_prediction_is_recorded_under_the_id_of_its_answer(
    url: str, bundled_root: Path
) -> None:
    async with recorded(url, bundled_root) as app:
        begun = time.time()
        response = await app.client.post("/models/exam/predict", json=[EXAM, EXAM])
        answer = await response.get_json()
        one, two = await app.rows(2)
        manifest = ModelStore(bundled_root).manifest("exam")
    assert (one.id, one.row, two.row) == (answer["id"], 0, 1)
    assert (one.model, one.version, one.variant) == ("exam", manifest.version, "champion")
    assert one.digest == manifest.files["pipeline.joblib"].sha256
    assert (one.door, one.status, one.error) == ("json", 200, None)
    assert one.inputs == EXAM
    assert [one.outputs, two.outputs] == answer["predictions"]
    assert one.probabilities == list(answer["probabilities"][0].values())
    assert begun - 1 < one.at < time.time() + 1
    assert 0 < one.milliseconds < 60_000


async def test_every_door_is_recorded(url: str, bundled_root: Path) -> None:
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [61.1, 17.3]}
    call = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "exam", "arguments": {"rows": [EXAM]}},
    }
    async with recorded(url, bundled_root) as app:
        post = app.client.post
        requests: list[tuple[str, dict[str, Any], dict[str, str]]] = [
            ("/models/exam/predict", {"json": EXAM}, {}),
            ("/models/exam/predict", {"form": {"X1": "61.1", "X2": "17.3"}}, HTML),
            ("/v1/models/exam:predict", {"json": {"instances": [EXAM]}}, {}),
            ("/v2/models/exam/infer", {"json": {"inputs": [tensor]}}, {}),
            ("/invocations", {"json": {"dataframe_records": [EXAM]}}, {}),
            ("/predict", {"json": EXAM}, {}),
            ("/mcp", {"json": call}, {}),
        ]
        for path, sent, headers in requests:
            response = await post(path, **sent, headers=headers)
            assert response.status_code == 200, (path, await response.get_data())
        await app.client.get("/models/exam/predict?X1=61.1&X2=17.3")
        rows = await app.rows(8)
    assert sorted(row.door for row in rows) == [
        "classic",
        "invocations",
        "json",
        "mcp",
        "page",
        "query",
        "v1",
        "v2",
    ]
    assert [row.inputs for row in rows] == [EXAM] * 8
    assert {row.outputs for row in rows} == {0}


async def test_what_was_refused_is_recorded_by_kind_without_the_values_that_do_not_fit(
    url: str, bundled_root: Path
) -> None:
    async with recorded(url, bundled_root, RATE_LIMIT="5/day") as app:
        for body in (
            b'{"X1": "many", "X2": 17.3}',
            b'{"X1": 1',
            b'{"X1": 1, "X2": 2, "X3": 3}',
            b"{}",
        ):
            headers = {"Content-Type": "application/json"}
            response = await app.client.post("/models/exam/predict", data=body, headers=headers)
            assert response.status_code == 400
        assert (await app.client.post("/models/nothing/predict", json=EXAM)).status_code == 404
        assert (await app.client.post("/models/exam/predict", json=EXAM)).status_code == 429
        rows = await app.rows(5)
        nothing = await app.all("nothing")
    assert [(row.status, row.error, row.inputs, row.outputs) for row in rows] == [
        (400, "invalid_rows", {"X2": 17.3}, None),
        (400, "invalid_request", None, None),
        (400, "invalid_rows", {"X1": 1, "X2": 2}, None),
        (400, "invalid_rows", None, None),
        (429, "too_many_requests", None, None),
    ]
    assert nothing == []


async def test_a_share_is_recorded_and_a_model_may_have_its_own(
    sqlite_url: str, store: ModelStore
) -> None:
    store.record("exam", share=0.0)
    store.record("iris", share=1.0)
    iris = dict.fromkeys(store.manifest("iris").signature.names, 1.0)
    async with recorded(sqlite_url, store.root, RECORD=0.5) as app:
        for _ in range(20):
            await app.client.post("/models/exam/predict", json=EXAM)
            await app.client.post("/models/iris/predict", json=iris)
        assert len(await app.rows(20, "iris")) == 20
        assert await app.all("exam") == []
        body = [{"recency": 2, "frequency": 50, "monetary": 12500, "time": 98}]
        for _ in range(200):
            await app.client.post("/models/blood-donation/predict", json=body)
        await until(lambda: app.recording.waiting_rows == 0)
        blood = await app.all("blood-donation")
        assert 50 < len(blood) < 150


async def test_nothing_is_recorded_unless_it_is_asked_for(
    sqlite_url: str, bundled_root: Path
) -> None:
    sqlite_file = Path(sqlite_url.removeprefix("sqlite:///"))
    async with recorded(sqlite_url, bundled_root, RECORD=0) as app:
        await app.client.post("/models/exam/predict", json=EXAM)
        assert app.recording.recorder is None
    assert not await asyncio.to_thread(sqlite_file.exists)


async def test_a_running_server_follows_what_the_head_says(
    sqlite_url: str, store: ModelStore
) -> None:
    async with recorded(sqlite_url, store.root, RECORD=0, FOLLOW=0.05) as app:
        await app.client.post("/models/exam/predict", json=EXAM)
        store.record("exam", share=1.0, columns={"X1": "drop", "X2": "hash"})
        await until(lambda: app.recording.recorder is not None)
        await app.client.post("/models/exam/predict", json=EXAM)
        await app.client.post("/models/exam/predict", json={"X1": 1, "X2": 17.3})
        one, two = await app.rows(2)
        settings = store.head("exam").records
    assert one.inputs == two.inputs == {"X2": settings.hashed(17.3)}
    assert settings.key not in str(one.inputs)


async def test_what_is_missing_is_told_at_the_start_and_all_else_goes_on(
    bundled_root: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quart_app.extras.RECORD_POSTGRES", ("no_such_driver",))
    async with recorded("postgresql://127.0.0.1:1/none", bundled_root) as app:
        (line,) = [each.message for each in caplog.records if "recorded" in each.message]
        assert line == (
            "predictions are not recorded without no_such_driver; pip install 'quart-app[record]' "
            "brings that, and QUART_APP_RECORD=0 says that nothing is to be recorded"
        )
        assert (await app.client.post("/models/exam/predict", json=EXAM)).status_code == 200


async def test_of_a_share_the_shadow_has_the_same_requests(
    sqlite_url: str, store: ModelStore
) -> None:
    RECIPES["exam"].train(store)
    store.challenge("exam", 1, "shadow", share=1)
    async with recorded(sqlite_url, store.root, FOLLOW=0.05, RECORD=0.5) as app:
        await until(lambda: "exam" in app.registry.challenges)
        for _ in range(40):
            await app.client.post("/models/exam/predict", json=EXAM)
        compared = app.registry.challenges["exam"].comparison
        await until(lambda: compared.challenger.requests == 40)
        await until(lambda: not app.recording.waiting_rows)
        rows = await app.all("exam")
    champion, shadow = (
        {row.id for row in rows if row.variant == variant} for variant in ("champion", "shadow")
    )
    assert champion == shadow
    assert 5 < len(champion) < 35


@pytest.mark.parametrize("kind", ["shadow", "canary"])
async def test_what_a_challenger_said_is_recorded_as_such(
    kind: Literal["shadow", "canary"], sqlite_url: str, store: ModelStore
) -> None:
    RECIPES["exam"].train(store)
    store.challenge("exam", 1, kind, share=1)
    async with recorded(sqlite_url, store.root, FOLLOW=0.05) as app:
        await until(lambda: "exam" in app.registry.challenges)
        for _ in range(5):
            await app.client.post("/models/exam/predict", json=EXAM)
        rows = await app.rows(10 if kind == "shadow" else 5)
    found = Counter((row.variant, row.version, row.status) for row in rows)
    if kind == "canary":
        assert found == {("canary", 1, 200): 5}
        return
    assert found == {("champion", 2, 200): 5, ("shadow", 1, 200): 5}
    champion, shadow = (
        sorted(row.id for row in rows if row.variant == variant)
        for variant in ("champion", "shadow")
    )
    assert champion == shadow
    assert {row.outputs for row in rows} == {0}


async def test_tables_are_recorded_by_summary_alone(sqlite_url: str, bundled_root: Path) -> None:
    async with recorded(sqlite_url, bundled_root) as app:
        table = "X1,X2\n" + "61.1,17.3\n" * 2_500
        headers = {"Content-Type": "text/csv"}
        response = await app.client.post("/models/exam/predict", data=table, headers=headers)
        assert len((await response.get_data()).splitlines()) == 2_501
        assert await app.rows(2_500) == []
        assert app.recording.dropped.total() == 0
        summaries = await app.summaries()
    assert sum(summary.traffic.rows for summary in summaries) == 2_500
    assert {door for summary in summaries for door in summary.traffic.doors} == {"csv"}
    assert sum(summary.answers[0].labels["0"] for summary in summaries) == 2_500
