"""The models as JSON and as pages, health, and the API's documentation."""

from __future__ import annotations

import json
import shlex
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import joblib
import msgspec
import pytest
from quart.typing import TestClientProtocol as Client
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from model_store import ModelStore
from model_store.recipes import RECIPES
from quart_app import create_app

from ...conftest import started
from ...kinds import AWKWARD
from ..conftest import Command

HTML = {"Accept": "text/html"}


async def test_the_root_is_a_page_for_a_person_and_alive_for_a_client(
    client: Client,
) -> None:
    answer = await client.get("/")
    assert await answer.json == {"models": sorted(RECIPES), "status": "alive"}
    page = await (await client.get("/", headers=HTML)).get_data(as_text=True)
    for name in RECIPES:
        assert f'href="/models/{name}"' in page


class Commands(HTMLParser):
    """The commands that a page shows, each in a `pre` of its own."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag == "pre"
        if self._inside:
            self.found.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.found[-1] += data


@pytest.mark.process
async def test_the_commands_on_the_page_of_an_empty_server_bring_models_that_it_serves(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = load_iris(return_X_y=True)
    joblib.dump(LogisticRegression(max_iter=1000).fit(X, y), tmp_path / "pipeline.joblib")
    monkeypatch.chdir(tmp_path)
    store = tmp_path / "models"
    async with started(create_app(MODEL_STORE=store, RECIPES="")) as app:
        client = app.test_client()
        page = await (await client.get("/", headers=HTML)).get_data(as_text=True)
        for line in Commands(page).found:
            program, *arguments = shlex.split(line)
            assert program == "quart-app"
            ended = command(*arguments, QUART_APP_MODEL_STORE=str(store))
            assert ended.code == 0, ended.stderr
        assert (await client.get("/models/iris", headers=HTML)).status_code == 200
        assert (await client.get("/models/flowers", headers=HTML)).status_code == 200


async def test_models_are_listed_with_what_they_take_and_tell(
    client: Client,
) -> None:
    models = (await (await client.get("/models")).json)["models"]
    assert [model["name"] for model in models] == sorted(RECIPES)
    exam = await (await client.get("/models/exam")).json
    assert exam == models[2]
    assert exam["state"] == "ready"
    assert (exam["version"], exam["versions"], exam["aliases"]) == (1, [1], {})
    assert exam["task"] == "classification"
    assert [(column["name"], column["type"]) for column in exam["inputs"]] == [
        ("X1", "number"),
        ("X2", "number"),
    ]
    assert exam["outputs"][0] == {
        "name": "prediction",
        "type": "integer",
        "target": "result",
        "classes": [0, 1],
    }
    assert 0.8 < exam["metrics"]["accuracy"] < 1


class Fields(HTMLParser):
    """The names of the inputs and the texts of the labels of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.inputs: dict[str, str] = {}
        self.labels: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "input":
            self.inputs[found["name"]] = found["id"]
        if tag == "label":
            self.labels.add(found["for"])


@pytest.mark.parametrize("name", ["iris", "exam", "diabetes"])
async def test_the_form_has_a_labelled_field_for_each_column(
    name: str, client: Client, bundled: ModelStore
) -> None:
    answer = await client.get(f"/models/{name}", headers=HTML)
    fields = Fields(await answer.get_data(as_text=True))
    assert tuple(fields.inputs) == bundled.manifest(name).signature.names
    assert set(fields.inputs.values()) == fields.labels


async def test_a_failed_model_is_visible_with_its_reason(store: ModelStore) -> None:
    artifact = store.root / "exam" / "1" / "sample.json"
    artifact.write_bytes(artifact.read_bytes()[:-1])
    async with started(create_app(MODEL_STORE=store.root)) as app:
        client = app.test_client()
        ready = await client.get("/health/ready")
        assert ready.status_code == 200
        assert (await ready.json)["models"]["exam"]["state"] == "failed"
        answer = await client.post("/models/exam/predict", json={"X1": 1, "X2": 2})
        assert answer.status_code == 503
        assert "Retry-After" not in answer.headers
        assert "bytes" in (await answer.json)["error"]
        about = await (await client.get("/models/exam")).json
        assert about["state"] == "failed"
        page = await client.get("/models/exam", headers=HTML)
        assert page.status_code == 503
        assert 'http-equiv="refresh"' not in await page.get_data(as_text=True)
        home = await (await client.get("/", headers=HTML)).get_data(as_text=True)
        assert "failed" in home


async def test_with_ready_all_a_failed_model_keeps_the_server_unready(store: ModelStore) -> None:
    (store.root / "exam" / "1" / "sample.json").write_bytes(b"")
    async with started(create_app(MODEL_STORE=store.root, READY="all")) as app:
        ready = await app.test_client().get("/health/ready")
        assert ready.status_code == 503


async def test_before_the_start_everything_but_live_says_so(bundled: ModelStore) -> None:
    client = create_app(MODEL_STORE=bundled.root, RECIPES="").test_client()
    assert (await client.get("/health/live")).status_code == 200
    ready = await client.get("/health/ready")
    assert ready.status_code == 503
    assert (await ready.json)["status"] == "starting"
    answer = await client.post("/models/iris/predict", json={})
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "2"
    page = await client.get("/models/iris", headers=HTML)
    assert page.status_code == 503
    assert 'http-equiv="refresh" content="2"' in await page.get_data(as_text=True)


async def test_an_empty_store_says_what_to_do_and_is_not_ready(tmp_path: Path) -> None:
    async with started(create_app(MODEL_STORE=tmp_path / "none", RECIPES="")) as app:
        client = app.test_client()
        assert (await client.get("/health/ready")).status_code == 503
        page = await (await client.get("/", headers=HTML)).get_data(as_text=True)
        assert "models train iris" in page


async def test_the_openapi_document_has_a_path_for_each_model_and_examples_that_work(
    client: Client,
) -> None:
    document = await (await client.get("/openapi.json")).json
    assert document["openapi"].startswith("3.1")
    for name in RECIPES:
        path = f"/models/{name}/predict"
        operations = document["paths"][path]
        content = operations["post"]["requestBody"]["content"]["application/json"]
        for example in content["examples"].values():
            answer = await client.post(path, json=example["value"])
            assert answer.status_code == 200
        query = {p["name"]: p["example"] for p in operations["get"]["parameters"]}
        assert (await client.get(path, query_string=query)).status_code == 200
        assert operations["post"]["responses"].keys() >= {"200", "400", "404", "503"}
    row = document["components"]["schemas"]["iris.Row"]
    assert next(iter(row["properties"])) == "sepal length (cm)"
    assert "/models/{name}/predict" not in document["paths"]
    assert "/models/{name}" in document["paths"]


async def test_every_reference_in_the_openapi_document_leads_somewhere(
    client: Client,
) -> None:
    text = await (await client.get("/openapi.json")).get_data(as_text=True)
    document = json.loads(text)

    def references(node: Any) -> set[str]:
        if isinstance(node, dict):
            own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
            return own.union(*map(references, node.values()))
        return set().union(*map(references, node)) if isinstance(node, list) else set()

    found = references(document)
    assert found
    for reference in found:
        schema: Any = document
        for part in reference.removeprefix("#/").split("/"):
            schema = schema[part]


async def test_the_openapi_document_leaves_out_a_model_that_is_not_loaded(
    store: ModelStore,
) -> None:
    (store.root / "exam" / "1" / "sample.json").write_bytes(b"")
    async with started(create_app(MODEL_STORE=store.root)) as app:
        document = await (await app.test_client().get("/openapi.json")).json
        assert "/models/exam/predict" not in document["paths"]
        assert "/models/iris/predict" in document["paths"]


async def test_the_docs_come_from_here_and_hold_no_inline_script(
    client: Client,
) -> None:
    page = await (await client.get("/docs", headers=HTML)).get_data(as_text=True)
    assert "://" not in page
    assert "<script>" not in page
    for asset in ("/docs/assets/swagger-ui-bundle.js", "/docs/assets/swagger-ui.css"):
        assert asset in page
        assert (await client.get(asset)).status_code == 200
    assert (await client.get("/docs/assets/../index.html")).status_code == 404


async def test_json_of_every_page_route_is_utf8_json(client: Client) -> None:
    for path in ("/", "/models", "/models/iris", "/health/live", "/health/ready"):
        answer = await client.get(path)
        assert answer.content_type == "application/json"
        msgspec.json.decode(await answer.get_data())


async def test_a_damaged_model_that_is_published_later_is_shown_as_failed_beside_the_others(
    store: ModelStore,
) -> None:
    async with started(create_app(MODEL_STORE=store.root)) as app:
        client = app.test_client()
        folder = store.root / "later" / "1"
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{")
        models = {
            model["name"]: model for model in (await (await client.get("/models")).json)["models"]
        }
        assert models["later"]["state"] == "failed"
        assert "manifest" in models["later"]["reason"]
        assert models["iris"]["state"] == "ready"
        page = await (await client.get("/", headers=HTML)).get_data(as_text=True)
        assert "failed" in page


async def test_an_unknown_model_is_told_without_the_place_of_the_store(
    client: Client, bundled: ModelStore
) -> None:
    error = (await (await client.get("/models/nobody")).json)["error"]
    assert error == f"There is no model 'nobody'; the models are: {', '.join(sorted(RECIPES))}."


async def test_a_server_that_began_with_no_models_turns_ready_with_the_first(
    bundled: ModelStore, tmp_path: Path
) -> None:
    async with started(create_app(MODEL_STORE=tmp_path, RECIPES="")) as app:
        client = app.test_client()
        assert (await client.get("/health/ready")).status_code == 503
        RECIPES["exam"].train(ModelStore(tmp_path))
        assert (await client.get("/models/exam/predict?X1=1&X2=2")).status_code == 200
        assert (await client.get("/health/ready")).status_code == 200


async def test_a_model_of_later_is_described_by_the_version_that_answers(
    tmp_path: Path,
) -> None:
    async with started(create_app(MODEL_STORE=tmp_path, RECIPES="")) as app:
        client = app.test_client()
        store = ModelStore(tmp_path)
        for _ in range(2):
            RECIPES["exam"].train(store)
        for version, serves in (("2", 2), ("1", 1)):
            store.promote("exam", version)
            answer = await (await client.get("/models/exam/predict?X1=1&X2=2")).json
            about = await (await client.get("/models/exam")).json
            assert (answer["version"], about["version"], about["state"]) == (
                serves,
                serves,
                "ready",
            )


# Models of every kind -------------------------------------------------------------


class Page(HTMLParser):
    """What a page's form would send as it stands, and the text of its headings and links."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.sent: dict[str, str] = {}
        self.headings: list[str] = []
        self.links: dict[str, str] = {}
        self._select = ""
        self._into: str | None = None
        self._text = ""
        self.feed(page)

    @property
    def answers(self) -> list[str]:
        return [
            heading for heading in self.headings if not heading.startswith(("What if?", "Why?"))
        ]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "input" and (found["type"] != "radio" or "checked" in found):
            self.sent[found["name"]] = found.get("value", "")
        if tag == "select":
            self._select = found["name"]
        if tag == "option" and "selected" in found:
            self.sent[self._select] = found["value"]
        if tag in ("h2", "a", "textarea"):
            self._into, self._text = found.get("name", found.get("href")), ""

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "h2":
            self.headings.append(self._text)
        if tag == "a" and self._into is not None:
            self.links[self._text] = self._into
        if tag == "textarea" and self._into is not None:
            self.sent[self._into] = self._text.removeprefix("\n")


PASSENGER = {
    "age": "34.5",
    "siblings": "1",
    "sex": "female",
    "class": "2",
    "port": "",
    "deck": "C",
    "title": "Captain",
    "alone": "true",
    "boarded": "1912-04-11",
    "woken": "1912-04-14T23:40",
    "note": '\n two lines\nand <more> & "more" ',
}
"""A row of `mixed`, as its form sends it but for the line ends."""


async def read(client: Client, path: str, **more: Any) -> Page:
    answer = await client.get(path, headers=HTML, **more)
    return Page(await answer.get_data(as_text=True))


async def test_a_fresh_form_chooses_nothing(kinds_client: Client) -> None:
    for name in ("mixed", "objects"):
        page = await read(kinds_client, f"/models/{name}")
        assert page.sent == dict.fromkeys(PASSENGER.keys() - {"sex", "class", "alone"}, "")


@pytest.mark.parametrize("name", ["mixed", "objects"])
async def test_a_form_comes_back_with_what_was_entered_and_a_link_that_gives_the_same(
    name: str, kinds_client: Client
) -> None:
    sent = {column: text.replace("\n", "\r\n") for column, text in PASSENGER.items()}
    answer = await kinds_client.post(f"/models/{name}/predict", form=sent, headers=HTML)
    page = Page(await answer.get_data(as_text=True))
    assert answer.status_code == 200
    assert {name: text.replace("\r\n", "\n") for name, text in page.sent.items()} == PASSENGER
    again = await read(kinds_client, page.links["Link to this result"])
    assert (again.sent, again.headings) == (page.sent, page.headings)
    assert again.links["Link to this result"] == page.links["Link to this result"]


async def test_json_of_every_kind_is_shown_and_linked_as_a_form_would_send_it(
    kinds_client: Client,
) -> None:
    row = PASSENGER | {"age": None, "siblings": 1, "class": 2, "port": None, "alone": False}
    answer = await kinds_client.post("/models/mixed/predict", json=row, headers=HTML)
    page = Page(await answer.get_data(as_text=True))
    assert answer.status_code == 200
    assert page.sent == PASSENGER | {"age": "", "alone": "false"}
    again = await read(kinds_client, page.links["Link to this result"])
    assert (again.sent, again.headings) == (page.sent, page.headings)


async def test_each_fault_stands_on_the_page_with_what_was_entered(kinds_client: Client) -> None:
    wrong = PASSENGER | {"sex": "other", "deck": "Z", "boarded": "1912-04-31", "woken": "later"}
    answer = await kinds_client.get("/models/mixed/predict", query_string=wrong, headers=HTML)
    text = await answer.get_data(as_text=True)
    assert answer.status_code == 400
    for sentence in (
        "Expected one of female, male, got &#34;other&#34;.",
        "Expected one of A, B, C, D, E, got &#34;Z&#34;.",
        "Expected a date such as 2024-12-31, got &#34;1912-04-31&#34;.",
        "Expected a date such as 2024-12-31, got &#34;later&#34;.",
    ):
        assert sentence in text
    assert text.count('aria-invalid="true"') == 4
    kept = PASSENGER | {"boarded": "1912-04-31", "woken": "later"}
    found = Page(text).sent
    assert {name: found[name] for name in kept.keys() - {"sex", "deck"}} == {
        name: kept[name] for name in kept.keys() - {"sex", "deck"}
    }
    assert "sex" not in found
    assert "deck" not in found


async def test_each_target_is_told_with_its_label_and_unit(kinds_client: Client) -> None:
    page = await read(kinds_client, "/models/several/predict?x0=2&x1=2")
    assert page.answers == ["water: warm", "Wind at sea: storm"]
    page = await read(kinds_client, "/models/numbers/predict?x0=1&x1=1")
    assert page.answers == ["mass: 4 kg", "length: 6"]
    page = await read(kinds_client, "/models/objects/predict", query_string=PASSENGER)
    (heading,) = page.answers
    assert heading.startswith("Fare: ")
    assert heading.endswith(" pounds")
    page = await read(kinds_client, "/models/mixed/predict", query_string=PASSENGER)
    assert page.answers in (["survived: did not survive"], ["survived: survived"])


async def test_names_of_any_characters_are_shown_as_text_and_sent_as_they_are(
    kinds_client: Client,
) -> None:
    row = {name: str(i) for i, name in enumerate(AWKWARD)}
    answer = await kinds_client.post("/models/awkward/predict", form=row)
    text = await answer.get_data(as_text=True)
    assert "<script>" not in text
    page = Page(text)
    assert page.sent == row
    again = await read(kinds_client, page.links["Link to this result"])
    assert (again.sent, again.headings) == (row, page.headings)


async def test_a_form_of_500_fields_tells_500_faults(kinds_client: Client) -> None:
    page = await read(kinds_client, "/models/many")
    assert len(page.sent) == 500
    answer = await kinds_client.post("/models/many/predict", form=dict.fromkeys(page.sent, "x"))
    text = await answer.get_data(as_text=True)
    assert answer.status_code == 400
    assert text.count('class="error"') == 500
    assert Page(text).sent == dict.fromkeys(page.sent, "x")
