"""What turned out true, by every door of HTTP; and records, which are read with a key alone."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from quart.typing import TestClientProtocol as Client

from quart_app import create_app
from quart_app.context import context_of
from quart_app.keys import Keys
from quart_app.recording import Recording

from ...conftest import started
from ..memory.test_recorder import until

EXAM = {"X1": 61.1, "X2": 17.3}
IRIS = {
    "sepal length (cm)": 6.3,
    "sepal width (cm)": 3.3,
    "petal length (cm)": 6.0,
    "petal width (cm)": 2.5,
}
HTML = {"Accept": "text/html"}
SECRET, LINE = Keys.make("ann")
KEY = {"X-API-Key": SECRET}


class App:
    """An app that records everything, and its client."""

    def __init__(self, client: Client, recording: Recording) -> None:
        self.client = client
        self.recording = recording
        self._rows = 0

    async def predict(self, name: str, *rows: dict[str, Any]) -> str:
        """The id of a response, once it is recorded."""
        response = await self.client.post(f"/models/{name}/predict", json=list(rows))
        assert response.status_code == 200
        self._rows += len(rows)
        await until(lambda: self.recording.kept >= self._rows)
        id: str = (await response.get_json())["id"]
        return id

    async def tell(self, name: str, content: Any) -> Any:
        response = await self.client.post(f"/models/{name}/feedback", json=content)
        return response.status_code, await response.get_json()

    async def known(self, name: str, id: str) -> Any:
        """What is kept of an id."""
        response = await self.client.get(f"/models/{name}/predictions/{id}", headers=KEY)
        assert response.status_code == 200
        return await response.get_json()


@contextlib.asynccontextmanager
async def recording(store: Path, folder: Path, **settings: Any) -> AsyncIterator[App]:
    settings = {"RECORD": 1, "API_KEYS": str(LINE), **settings}
    url = f"sqlite:///{folder}/records.sqlite3"
    app = create_app(MODEL_STORE=store, RECIPES="", DATABASE_URL=url, **settings)
    async with started(app) as running:
        yield App(running.test_client(), context_of(app).recording)


@pytest.fixture
async def app(bundled_root: Path, tmp_path: Path) -> AsyncIterator[App]:
    async with recording(bundled_root, tmp_path) as found:
        yield found


async def test_truths_come_in_json_alone_or_as_a_list_and_the_later_one_counts(app: App) -> None:
    id = await app.predict("exam", EXAM, {"X1": 90, "X2": 90})
    assert await app.tell("exam", {"id": id, "truth": 1}) == (
        200,
        {"model": "exam", "kept": 1, "replaced": 0, "unknown": [], "empty": 0},
    )
    told = [{"id": id, "truth": 0}, {"id": id, "row": 1, "truth": "1"}, {"id": "x", "truth": 0}]
    status, body = await app.tell("exam", told)
    assert (status, body["kept"], body["replaced"]) == (200, 3, 1)
    assert body["unknown"] == [{"id": "x", "row": 0}]
    first, second = await app.known("exam", id)
    assert (first["truth"], [each["truth"] for each in first["former"]]) == (0, [1])
    assert (second["truth"], second["former"]) == (1, [])
    assert first["predictions"][0]["inputs"] == EXAM
    assert second["predictions"][0]["prediction"] == 1


async def test_a_truth_that_follows_its_prediction_at_once_finds_it(app: App) -> None:
    for _ in range(3):
        response = await app.client.post("/models/exam/predict", json=EXAM)
        id = (await response.get_json())["id"]
        assert (await app.tell("exam", {"id": id, "truth": 1}))[1]["unknown"] == []


async def test_a_table_of_truths_is_told_row_by_row(app: App) -> None:
    id = await app.predict("iris", IRIS, IRIS)
    table = f"row,id,note,truth\n1,{id},,virginica\n0,{id},not yet,\n0,lost,,setosa\n"
    response = await app.client.post(
        "/models/iris/feedback", data=table, headers={"Content-Type": "text/csv"}
    )
    assert await response.get_json() == {
        "model": "iris",
        "kept": 2,
        "replaced": 0,
        "unknown": [{"id": "lost", "row": 0}],
        "empty": 1,
    }
    assert [row["truth"] for row in await app.known("iris", id)] == [None, "virginica"]


async def test_nothing_is_kept_of_truths_of_which_one_does_not_fit(app: App) -> None:
    id = await app.predict("exam", EXAM)
    status, body = await app.tell("exam", [{"id": id, "truth": 1}, {"id": id, "truth": "maybe"}])
    assert status == 400
    assert body == {
        "error": 'row 1, truth: expected one of 0, 1, got "maybe"',
        "details": [
            {"row": 1, "column": "truth", "expected": "one of 0, 1", "got": '"maybe"'},
        ],
    }
    assert [row["truth"] for row in await app.known("exam", id)] == [None]
    assert (await app.tell("nothing", {"id": id, "truth": 1}))[0] == 404
    assert (await app.tell("exam", {"id": id, "label": 1}))[0] == 400


async def test_of_a_model_that_is_not_recorded_nothing_is_told(
    bundled_root: Path, tmp_path: Path
) -> None:
    async with recording(bundled_root, tmp_path, RECORD=0) as app:
        status, body = await app.tell("exam", {"id": "x", "truth": 1})
        assert (status, body["error"]) == (
            409,
            "Predictions of exam are not recorded, nor is what turned out true.",
        )
        page = await app.client.post("/models/exam/predict", form=EXAM, headers=HTML)
        assert "Was that right?" not in await page.get_data(as_text=True)


async def test_a_page_asks_of_those_answers_alone_that_are_recorded(
    bundled_root: Path, tmp_path: Path
) -> None:
    async with recording(bundled_root, tmp_path, RECORD=0.5) as app:
        asked = 0
        for _ in range(24):
            page = await app.client.post("/models/exam/predict", form=EXAM, headers=HTML)
            asked += "Was that right?" in await page.get_data(as_text=True)
        await until(lambda: app.recording.kept == asked)
        assert 0 < asked < 24


def forms(page: str) -> list[tuple[str, list[tuple[str, str]], list[str]]]:
    """The forms of a page that send feedback: where to, their hidden fields, their controls."""
    found = []
    for action, inside in re.findall(
        r'<form[^>]*action="([^"]*/feedback)"[^>]*>(.*?)</form>', page, re.DOTALL
    ):
        hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', inside)
        controls = re.findall(r'<(?:select|input)(?![^>]*hidden)[^>]*name="(\w+)"', inside)
        found.append((action, hidden, controls))
    return found


async def test_the_page_of_an_answer_asks_whether_it_was_right(app: App) -> None:
    shown = await app.client.post("/models/exam/predict", form=EXAM, headers=HTML)
    (yes, no) = forms(await shown.get_data(as_text=True))
    assert yes[0] == no[0] == "/models/exam/feedback"
    assert (dict(yes[1])["truth"], dict(no[1])["truth"]) == ("0", "1")
    await until(lambda: app.recording.kept >= 1)
    thanks = await app.client.post(no[0], form=dict(no[1]), headers=HTML)
    assert thanks.status_code == 200
    assert "kept beside the prediction" in await thanks.get_data(as_text=True)
    assert [row["truth"] for row in await app.known("exam", dict(no[1])["id"])] == [1]
    again = await app.client.post(yes[0], form=dict(yes[1]), headers=HTML)
    assert "in place of what was said before" in await again.get_data(as_text=True)


async def test_a_truth_that_no_button_has_is_entered_and_what_is_wrong_can_be_corrected(
    app: App,
) -> None:
    shown = await app.client.post("/models/iris/predict", form=IRIS, headers=HTML)
    yes, other = forms(await shown.get_data(as_text=True))
    assert dict(yes[1])["truth"] == "virginica"
    assert other[2] == ["truth"]
    await until(lambda: app.recording.kept >= 1)
    wrong = await app.client.post(other[0], form={**dict(other[1]), "truth": "rose"}, headers=HTML)
    assert wrong.status_code == 400
    page = await wrong.get_data(as_text=True)
    assert "expected one of setosa, versicolor, virginica, got" in page
    ((action, hidden, controls),) = forms(page)
    assert (action, dict(hidden), controls) == (other[0], dict(other[1]), ["truth"])
    right = await app.client.post(action, form={**dict(hidden), "truth": "setosa"}, headers=HTML)
    assert right.status_code == 200
    assert [row["truth"] for row in await app.known("iris", dict(hidden)["id"])] == ["setosa"]


async def test_a_person_tells_all_targets_at_once(kinds_root: Path, tmp_path: Path) -> None:
    async with recording(kinds_root, tmp_path) as app:
        model = await (await app.client.get("/models/several")).get_json()
        row = {column["name"]: 0.5 for column in model["inputs"]}
        shown = await app.client.post("/models/several/predict", form=row, headers=HTML)
        yes, other = forms(await shown.get_data(as_text=True))
        assert [name for name, _ in yes[1]] == ["id", "row", "truth", "truth"]
        assert other[2] == ["truth", "truth"]
        await until(lambda: app.recording.kept >= 1)
        body = "&".join(f"{name}={value}" for name, value in other[1])
        told = await app.client.post(
            other[0],
            data=f"{body}&truth=cold&truth=storm",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        assert told.status_code == 200
        ((known),) = await app.known("several", dict(other[1])["id"])
        assert known["truth"] == ["cold", "storm"]


async def test_no_page_of_another_site_tells_what_was_true(app: App) -> None:
    headers = {"Origin": "https://other.example", "Sec-Fetch-Site": "cross-site"}
    answer = await app.client.post(
        "/models/exam/feedback", form={"id": "x", "truth": "1"}, headers=headers
    )
    assert answer.status_code == 403


async def test_records_are_exported_as_json_lines_and_as_a_table_to_train_on(app: App) -> None:
    id = await app.predict("exam", EXAM, {"X1": 90, "X2": 90})
    await app.tell("exam", {"id": id, "row": 1, "truth": 1})
    whole = await app.client.get("/models/exam/predictions", headers=KEY)
    assert whole.content_type == "application/jsonl"
    lines = [json.loads(line) for line in (await whole.get_data(as_text=True)).splitlines()]
    assert [(line["id"], line["row"], line["inputs"]["X1"]) for line in lines] == [
        (id, 0, 61.1),
        (id, 1, 90),
    ]
    table = await app.client.get("/models/exam/predictions?format=csv&truth=true", headers=KEY)
    assert table.content_type == "text/csv; charset=utf-8"
    (row,) = csv.DictReader(io.StringIO(await table.get_data(as_text=True)))
    assert (row["id"], row["row"], row["X1"], row["prediction"], row["truth"]) == (
        id,
        "1",
        "90",
        "1",
        "1",
    )
    added = ["prediction", "probability_0", "probability_1", "error", "truth"]
    assert [*row][8:] == ["X1", "X2", *added]
    none = await app.client.get("/models/exam/predictions?until=2001-01-01", headers=KEY)
    assert (none.status_code, await none.get_data()) == (200, b"")
    recent = await app.client.get("/models/exam/predictions?since=1h", headers=KEY)
    assert len((await recent.get_data(as_text=True)).splitlines()) == 2


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("since=yesterday", "since: expected a date such as 2026-11-30, a date and time, or how"),
        ("format=xml", "The query: "),
        ("form=csv", "Expected format, since, truth, until, got 'form'."),
    ],
)
async def test_an_export_says_what_is_wrong_with_its_query(
    query: str, sentence: str, app: App
) -> None:
    answer = await app.client.get(f"/models/exam/predictions?{query}", headers=KEY)
    assert answer.status_code == 400
    assert sentence in (await answer.get_json())["error"]


async def test_records_are_read_with_a_key_alone_and_one_for_this_model(
    bundled_root: Path, tmp_path: Path
) -> None:
    secret, line = Keys.make("iris-only", ["iris"])
    keys = f"{LINE},{line}"
    async with recording(bundled_root, tmp_path, KEYS_FOR="none") as open_app:
        id = await open_app.predict("exam", EXAM)
        for path in ("/models/exam/predictions", f"/models/exam/predictions/{id}"):
            assert (await open_app.client.get(path)).status_code == 401
            assert (await open_app.client.get(path, headers=KEY)).status_code == 200
    settings: dict[str, Any] = {"MODEL_STORE": bundled_root, "RECIPES": "", "API_KEYS": keys}
    async with started(create_app(**settings)) as running:
        client = running.test_client()
        headers = {"X-API-Key": secret}
        assert (await client.get("/models/exam/predictions", headers=headers)).status_code == 403
        assert (await client.get("/models/iris/predictions/x", headers=headers)).status_code == 404


async def test_a_database_that_does_not_answer_is_a_503_that_names_no_file(
    app: App, tmp_path: Path
) -> None:
    await app.predict("exam", EXAM)
    (tmp_path / "records.sqlite3").unlink()
    (tmp_path / "records.sqlite3").mkdir()
    status, body = await app.tell("exam", {"id": "x", "truth": 1})
    assert (status, body) == (503, {"error": "The records are not available at the moment."})
    answer = await app.client.get("/models/exam/predictions", headers=KEY)
    assert answer.status_code == 503
