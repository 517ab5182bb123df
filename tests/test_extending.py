"""docs/extending.md: its files are written and its commands run; what it promises of a protocol."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from quart.typing import TestClientProtocol as Client

from quart_app import create_app
from quart_app.answering import Answer
from quart_app.context import context_of
from quart_app.protocols.protocol import Protocol

from .conftest import Server, serving, started
from .documents import ROOT, files, require_outputs, serve_command, write_files

PAGE = (ROOT / "docs/extending.md").read_text()
PLAIN = {"Content-Type": "text/plain"}
SECRET = "a random key"
KEYS = f"ann:{hashlib.sha256(SECRET.encode()).hexdigest()}"


@pytest.fixture(scope="module")
def folder(bundled_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of whoever follows the page, with one bundled model."""
    folder = tmp_path_factory.mktemp("extended")
    shutil.copytree(bundled_root / "exam", folder / "instance/models/exam")
    write_files(PAGE, folder)
    return folder


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    """The server of the page."""
    with serving(*serve_command(PAGE), cwd=folder) as running:
        running.wait_until_ready()
        yield running


@pytest.mark.process
def test_the_commands_print_what_stands_below_them(server: Server, folder: Path) -> None:
    assert require_outputs(PAGE, folder, server.url) == 5
    assert server.stop() == 0


def lines() -> Protocol:
    """The protocol of the page."""
    scope: dict[str, Any] = {}
    exec(files(PAGE)["lines.py"], scope)
    protocol = scope["PROTOCOL"]
    assert isinstance(protocol, Protocol)
    return protocol


@pytest_asyncio.fixture
async def client(bundled_root: Path) -> Any:
    app = create_app(
        [lines()],
        MODEL_STORE=bundled_root,
        RECIPES="",
        KEYS_FOR="predictions",
        API_KEYS=KEYS,
        MAX_JSON_BYTES=100,
    )
    async with started(app) as running:
        yield running.test_client()


async def test_an_added_protocol_needs_a_key_where_predictions_do(client: Client) -> None:
    refused = await client.post("/lines/exam", data="61.1,17.3", headers=PLAIN)
    assert refused.status_code == 401
    assert (await refused.get_json()).keys() == {"status", "problem"}
    taken = await client.post(
        "/lines/exam", data="61.1,17.3", headers=PLAIN | {"X-API-Key": SECRET}
    )
    assert (taken.status_code, await taken.get_data(as_text=True)) == (200, "0\n")
    assert taken.content_type == "text/plain"


async def test_every_failure_at_its_addresses_has_its_shape(client: Client) -> None:
    key = {"X-API-Key": SECRET}
    for path, body, status in (
        ("/lines/exam", "1,2\n" * 50, 413),
        ("/lines/exam", "", 400),
        ("/lines/exam", "1", 400),
        ("/lines/nobody", "1,2", 404),
        ("/lines/exam", None, 405),
        ("/lines/a/b", None, 404),
    ):
        if body is None:
            answer = await client.get(path, headers=key)
        else:
            answer = await client.post(path, data=body, headers=PLAIN | key)
        content = await answer.get_json()
        assert (answer.status_code, content["status"]) == (status, status), (path, body)
        assert content["problem"]


async def test_the_document_lists_an_added_protocol(client: Client) -> None:
    document = await (await client.get("/openapi.json")).get_json()
    operation = document["paths"]["/lines/{name}"]["post"]
    assert operation["summary"] == "Predict for lines of values"
    assert operation["requestBody"]["content"].keys() == {"text/plain"}
    assert operation["responses"]["200"]["content"].keys() == {"text/plain"}
    assert operation["security"]


def test_the_setting_of_the_page_is_one_line(tmp_path: Path) -> None:
    (line,) = re.findall(r"^```py\n(.*?\n)```$", PAGE, re.MULTILINE | re.DOTALL)
    source = (ROOT / "quart_app/config.py").read_text()
    first = "    host: str | None = _setting("
    assert source.count(first) == 1
    module = types.ModuleType("quart_app.config_with_a_motto")
    module.__package__ = "quart_app"
    sys.modules[module.__name__] = module  # where dataclasses look their annotations up
    try:
        exec(source.replace(first, line + first), vars(module))
        assert module.Config.read({"QUART_APP_MOTTO": "Per aspera"}).motto == "Per aspera"
        assert module.Config.read({}, MOTTO="Ad astra").motto == "Ad astra"
        assert module.Config().motto is None
    finally:
        del sys.modules[module.__name__]


async def test_whoever_subscribes_is_told_of_every_prediction_whatever_the_protocol(
    bundled_root: Path,
) -> None:
    answers: list[Answer] = []
    app = create_app([lines()], MODEL_STORE=bundled_root, RECIPES="")
    context_of(app).answering.on_answer(answers.append)
    row, table = {"X1": 61.1, "X2": 17.3}, "X1,X2\n61.1,17.3\n"
    values = "X1=61.1&X2=17.3"
    async with started(app) as running:
        client = running.test_client()
        for path, body in {
            "/models/exam/predict": row,
            "/v1/models/exam:predict": {"instances": [row]},
            "/v2/models/exam/infer": {
                "inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [61.1, 17.3]}]
            },
            "/invocations": {"dataframe_records": [row]},
            "/predict": row,
            "/?unused": row,
        }.items():
            assert (await client.post(path, json=body)).status_code == 200, path
        await client.post("/lines/exam", data="61.1,17.3", headers=PLAIN)
        await client.get(f"/models/exam/predict?{values}")
        await client.get(f"/models/exam/predict?{values}", headers={"Accept": "text/html"})
        await client.get(f"/predict?{values}", headers={"Accept": "text/html"})
        table_headers = {"Content-Type": "text/csv"}
        await client.post("/models/exam/predict", data=table, headers=table_headers)
    assert len(answers) == 11
    names = ("X1", "X2")
    for answer in answers:
        assert (answer.manifest.name, answer.request.rows) == ("exam", 1)
        (x1,), (x2,) = answer.request.named(names).values()
        assert (float(str(x1)), float(str(x2))) == (61.1, 17.3)
        assert answer.response.labels.tolist() == [0]
    routes = [answer.record.route for answer in answers if answer.record is not None]
    assert len(routes) == 10


async def test_nobody_is_told_of_what_was_refused(bundled_root: Path) -> None:
    answers: list[Answer] = []
    app = create_app(MODEL_STORE=bundled_root, RECIPES="")
    context_of(app).answering.on_answer(answers.append)
    async with started(app) as running:
        refused = await running.test_client().post("/models/exam/predict", json={"X1": "many"})
        assert refused.status_code == 400
    assert answers == []


async def test_columns_under_older_names_are_told_under_those_of_the_model(
    bundled_root: Path,
) -> None:
    answers: list[Answer] = []
    app = create_app(MODEL_STORE=bundled_root, RECIPES="")
    context_of(app).answering.on_answer(answers.append)
    async with started(app) as running:
        query = "slen=6.3&swid=3.3&plen=6.0&pwid=2.5"
        await running.test_client().get(f"/classify?{query}")
    (answer,) = answers
    assert answer.request.names == answer.manifest.signature.names
