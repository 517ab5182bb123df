"""How models do in use: the figures as JSON, the page "Live", the home page, the metrics and the
command, of records that servers have left."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families
from quart.typing import TestClientProtocol as Client

from model_store import ModelStore
from quart_app import create_app
from quart_app.cli.main import cli
from quart_app.window import DAY, HOUR

from ... import recorded
from ...conftest import started
from ...recorded import NAME, Asked

HTML = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def loans(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    store = ModelStore(tmp_path_factory.mktemp("loans"))
    recorded.publish(store)
    recorded.publish(store, "unasked")
    return store


@pytest.fixture(scope="module")
def drifted(loans: ModelStore) -> Asked:
    return recorded.ask(loans, recorded.customers(600, 6, age=0.8))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/records.sqlite3"


@pytest.fixture
def filled(loans: ModelStore, drifted: Asked, url: str) -> str:
    """A database in which ages drifted yesterday and today, and half of the truths are known."""
    records, _ = recorded.records_of(url, loans)
    now = time.time() // HOUR * HOUR
    ids = []
    for day in (1, 0):
        end = now - day * DAY
        ids = recorded.record(records, drifted, [end - (row + 1) * 100 for row in range(600)])
        recorded.refuse(records, [end - 10, end - 20])
    recorded.tell(records, dict(zip(ids, drifted.labels[:300], strict=False)), now)
    return url


@pytest.fixture
def settings(loans: ModelStore) -> dict[str, Any]:
    return {"MODEL_STORE": loans.root, "RECIPES": "", "TOUR": "false"}


@pytest.fixture
async def client(settings: dict[str, Any], filled: str) -> AsyncIterator[Client]:
    """A client of a server that records, with that database."""
    async with started(create_app(DATABASE_URL=filled, RECORD="1", **settings)) as app:
        yield app.test_client()


async def text_of(client: Client, path: str, status: int = 200, **headers: str) -> str:
    response = await client.get(path, headers=HTML | headers)
    assert response.status_code == status
    return unescape(await response.get_data(as_text=True))


async def test_the_figures_are_json(client: Client) -> None:
    response = await client.get(f"/models/{NAME}/monitor?window=7d")
    assert response.status_code == 200
    found = await response.get_json()
    assert (found["model"], found["version"], found["window"]) == (NAME, 1, "7d")
    assert found["requests"]["requests"] == 1_204
    assert found["requests"]["kinds"] == {"invalid_rows": 4}
    assert found["recording"] == {"share": 1.0, "reason": None}
    (scores,) = found["scores"]["targets"]
    assert scores["scores"][0] | {"low": 0, "high": 0} == {
        "name": "accuracy",
        "value": 1.0,
        "low": 0,
        "high": 0,
        "interval": "Wilson",
        "rows": 300,
        "published": None,
    }
    assert found["drift"]["columns"][0]["name"] == "age"
    assert found["drift"]["columns"][0]["drifts"]


async def test_what_a_server_is_asked_stands_in_its_figures(
    settings: dict[str, Any], url: str, drifted: Asked
) -> None:
    async with started(create_app(DATABASE_URL=url, RECORD="1", **settings)) as app:
        client = app.test_client()
        rows = [
            dict(zip(drifted.columns, values, strict=True))
            for values in zip(*drifted.columns.values(), strict=True)
        ]
        for start in range(0, 600, 150):
            answer = await client.post(f"/models/{NAME}/predict", json=rows[start : start + 150])
            assert answer.status_code == 200
        await client.post(f"/models/{NAME}/predict", json={"age": "old"})
        for length in ("7d", "1h"):
            found: dict[str, Any] = {"requests": {"requests": 0}}
            async with asyncio.timeout(20):
                while found["requests"]["requests"] < 5:
                    await asyncio.sleep(0.1)
                    reply = await client.get(f"/models/{NAME}/monitor?window={length}")
                    found = await reply.get_json()
            requests = found["requests"]
            assert (requests["requests"], requests["rows"], requests["errors"]) == (5, 600, 1)
            assert found["answers"][0]["rows"] == 600
            assert found["drift"]["columns"][0]["name"] == "age"


async def test_each_record_is_read_on_wish(client: Client) -> None:
    found = await (await client.get(f"/models/{NAME}/monitor?exact=true")).get_json()
    assert found["source"] == "records"
    assert found["requests"]["requests"] == 1_204


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("window=7", "window: expected a length of time such as 7d, 24h, 90m or 30s, up to 400d"),
        ("window=", "window: expected a length of time"),
        ("exact=perhaps", "The query: Expected `bool`, got `str` - at `$.exact`"),
    ],
)
async def test_a_query_that_says_nothing_is_refused(
    client: Client, query: str, sentence: str
) -> None:
    response = await client.get(f"/models/{NAME}/monitor?{query}")
    assert response.status_code == 400
    assert sentence in (await response.get_json())["error"]


async def test_of_a_model_that_is_not_there_nothing_is_said(client: Client) -> None:
    for path in ("monitor", "live"):
        assert (await client.get(f"/models/nobody/{path}")).status_code == 404


async def test_the_page_shows_what_drifts_first(client: Client) -> None:
    page = await text_of(client, f"/models/{NAME}/live?window=24h")
    told = " ".join(re.sub(r"<[^>]+>", "", page).split())
    assert "It drifts: age, outcome have been far from the training data for two windows" in told
    captions = re.findall(r"<figcaption>(\w+)", page)
    assert captions[0] == "age"
    assert "for two windows" in page
    assert page.count("<svg") == page.count("</svg>") > 6
    assert "<script" not in page
    assert "accuracy" in page
    assert 'href="/models/loans/monitor?window=24h"' in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


async def test_the_page_of_a_model_that_nobody_asked_says_so(client: Client) -> None:
    page = await text_of(client, "/models/unasked/live")
    assert "Nothing was recorded of it in this time." in page
    assert "Recording is off" not in page


async def test_where_nothing_is_recorded_the_page_says_how_it_would_be(
    settings: dict[str, Any], url: str, tmp_path: Path
) -> None:
    async with started(create_app(DATABASE_URL=url, **settings)) as app:
        page = await text_of(app.test_client(), f"/models/{NAME}/live")
    assert "quart-app models edit loans --record 1" in page
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240
    assert "Nothing was recorded of it in this time." in page


async def test_a_database_that_fails_is_said_and_all_else_goes_on(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    url = f"sqlite:///{tmp_path}/folder"
    async with started(create_app(DATABASE_URL=url, RECORD="1", **settings)) as app:
        client = app.test_client()
        assert "The records are not available at the moment." in await text_of(
            client, f"/models/{NAME}/live", status=503
        )
        assert (await client.get(f"/models/{NAME}/monitor")).status_code == 503
        assert NAME in await text_of(client, "/")
        assert (await client.get("/metrics")).status_code == 200


async def test_the_home_page_marks_what_drifts_in_two_windows(client: Client) -> None:
    page = await text_of(client, "/")
    assert page.count("drift from the training data") == 1
    assert f'<a href="/models/{NAME}/live">Its requests drift from the training data</a>' in page


async def test_prometheus_is_told_of_drift_and_scores(client: Client) -> None:
    text = await (await client.get("/metrics")).get_data(as_text=True)
    found = {
        (sample.name, sample.labels.get("model"), sample.labels.get("column")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["quart_app_model_drifts", NAME, None] == 1
    assert found["quart_app_model_drifts", "unasked", None] == 0
    distance = found["quart_app_drift_distance", NAME, "age"]
    assert distance > found["quart_app_drift_threshold", NAME, "age"]
    assert found["quart_app_live_score", NAME, None] is not None


async def test_with_keys_figures_need_one_and_without_they_do_not(
    settings: dict[str, Any], filled: str
) -> None:
    keys = f"ann:{hashlib.sha256(b'secret').hexdigest()}"
    for keys_for in ("changes", "predictions", "none"):
        given = {**settings, "API_KEYS": keys, "KEYS_FOR": keys_for, "DATABASE_URL": filled}
        async with started(create_app(**given)) as app:
            client = app.test_client()
            for path in ("monitor", "live"):
                address = f"/models/{NAME}/{path}"
                assert (await client.get(address)).status_code == 401
                answer = await client.get(address, headers={"X-API-Key": "secret"})
                assert answer.status_code == 200
    async with started(create_app(DATABASE_URL=filled, **settings)) as app:
        assert (await app.test_client().get(f"/models/{NAME}/monitor")).status_code == 200


async def test_the_document_has_the_figures(client: Client) -> None:
    document = await (await client.get("/openapi.json")).get_json()
    operation = document["paths"]["/models/{name}/monitor"]["get"]
    assert {each["name"] for each in operation["parameters"]} == {"name", "window", "exact"}
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema["$ref"].endswith("Monitor")
    assert "/models/{name}/live" not in document["paths"]


# The command --------------------------------------------------------------------


def run(store: ModelStore, url: str, *arguments: str) -> Any:
    return CliRunner().invoke(
        cli,
        ["models", "--store", str(store.root), "monitor", *arguments],
        env={"DATABASE_URL": url},
    )


def test_the_command_shows_the_figures(loans: ModelStore, filled: str) -> None:
    done = run(loans, filled, NAME)
    assert done.exit_code == 0
    assert "1204 requests, 1200 rows answered, 4 refused or failed (0.332 %)" in done.output
    assert re.search(r"^age +yes +0\.\d{3} +0\.\d{3}", done.output, re.MULTILINE)
    assert re.search(r"^accuracy of outcome +1 +0\.98\d* to 1 ", done.output, re.MULTILINE)


def test_the_command_prints_json_on_wish(loans: ModelStore, filled: str) -> None:
    done = run(loans, filled, NAME, "--json", "--window", "30d")
    assert '"requests": 1204' in done.output


def test_the_command_refuses_what_is_no_window(loans: ModelStore, url: str) -> None:
    done = run(loans, url, NAME, "--window", "soon")
    assert done.exit_code == 2
    assert "a length of time such as 7d" in done.output


def test_the_command_says_why_records_cannot_be_read(loans: ModelStore, tmp_path: Path) -> None:
    done = run(loans, f"sqlite:///{tmp_path}", NAME)
    assert done.exit_code == 1
    assert "The records cannot be read:" in done.output
