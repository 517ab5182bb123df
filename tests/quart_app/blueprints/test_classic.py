"""The routes of the older Flask apps, each driven as its own user would drive it."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from quart import Quart, Response, template_rendered
from quart.typing import TestClientProtocol as Client

from model_store import ModelStore
from model_store.recipes import RECIPES
from quart_app import create_app
from quart_app.context import context_of

from ...conftest import started

ROOT = Path(__file__).parents[3]
HTML = {"Accept": "text/html"}
CHROME = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
TEXT = {"Accept": "text/plain"}
JSON = {"Accept": "application/json"}
LENGTHS = ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)")
SETOSA = dict(zip(LENGTHS, ("5.1", "3.5", "1.4", "0.2"), strict=True))
VIRGINICA = {"slen": "6.3", "swid": "3.3", "plen": "6.0", "pwid": "2.5"}
STUDENT = {"X1": "61.1", "X2": "17.3"}
DONOR = {"Recency": "2", "Frequency": "50", "Monetary": "12500", "Time": "98"}
STRANGER = {"Recency": "40", "Frequency": "1", "Monetary": "250", "Time": "40"}
PATIENT = {
    **{"age": "59", "sex": "2", "bmi": "32.1", "bp": "101", "s1": "157"},
    **{"s2": "93.2", "s3": "38", "s4": "4", "s5": "4.8598", "s6": "87"},
}
PASSENGER = {
    **{"pclass": "3", "sex": "male", "age": "", "sibsp": "0", "parch": "0"},
    **{"fare": "7.25", "embarked": "S"},
}
ROWS = {
    "iris": SETOSA,
    "exam": STUDENT,
    "blood-donation": DONOR,
    "diabetes": PATIENT,
    "titanic": PASSENGER,
}


class Page(HTMLParser):
    """The form of a page, the values in it, its labels, links and headings."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.form: dict[str, str] = {}
        self.sent: dict[str, str] = {}
        self.ids: dict[str, str] = {}
        self.labels: dict[str, str] = {}
        self.links: dict[str, str] = {}
        self.described: dict[str, str] = {}
        self.headings: list[str] = []
        self.buttons: list[str] = []
        self.data: list[str] = []
        self.texts: dict[str, str] = {}
        self._open: list[tuple[str, dict[str, str], list[str]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.form = found
        if tag in ("input", "select") and found.get("type") != "radio":
            self.sent[found["name"]] = found.get("value", "")
            self.ids[found["name"]] = found["id"]
            self.described[found["name"]] = found.get("aria-describedby", "")
        if tag == "data":
            self.data.append(found["value"])
        if tag in ("a", "label", "p", "h1", "h2", "button"):
            self._open.append((tag, found, []))

    def handle_data(self, data: str) -> None:
        for _, _, texts in self._open:
            texts.append(data)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1][0] != tag:
            return
        _, found, texts = self._open.pop()
        text = "".join(texts)
        if tag == "a":
            self.links[text] = found["href"]
        if tag == "label" and "for" in found:
            self.labels[found["for"]] = text
        if tag in ("h1", "h2"):
            self.headings.append(text)
        if tag == "button":
            self.buttons.append(text)
        if "id" in found:
            self.texts[found["id"]] = text


async def read(client: Client, path: str, status: int = 200, **more: Any) -> Page:
    """The page at an address; with `form` posted there."""
    method = "POST" if "form" in more or "json" in more else more.pop("method", "GET")
    answer = await client.open(path, method=method, **more)
    assert answer.status_code == status
    assert answer.content_type == "text/html; charset=utf-8"
    text = await answer.get_data(as_text=True)
    assert "<script>" not in text
    return Page(text)


async def ask(client: Client, path: str, status: int = 200, **more: Any) -> Any:
    """The JSON at an address, posted where there is a body."""
    method = "POST" if more.keys() & {"form", "json", "data"} else "GET"
    answer = await client.open(path, method=method, **more)
    assert answer.status_code == status
    assert answer.content_type == "application/json"
    return json.loads(await answer.get_data())


# The iris by the names of its features ----------------------------------------------


async def test_the_form_at_random_has_the_models_features_and_is_answered_by_the_class(
    client: Client, bundled: ModelStore
) -> None:
    page = await read(client, "/random")
    assert tuple(page.sent) == bundled.manifest("iris").signature.names == LENGTHS
    assert (page.form["method"], page.form["action"]) == ("post", "/predict")
    assert set(page.ids.values()) == page.labels.keys()
    for headers in ({}, {"Accept": "*/*"}, CHROME):
        result = await read(client, page.form["action"], form=SETOSA, headers=headers)
        assert result.headings == ["Iris", "Predicted species: Setosa"]
        assert result.data == ["setosa"]
        assert result.sent == SETOSA


async def test_predict_answers_as_page_text_and_json(client: Client) -> None:
    answer = await client.post("/predict", form=SETOSA, headers=TEXT)
    assert await answer.get_data() == b"setosa"
    assert answer.content_type == "text/plain; charset=utf-8"
    assert answer.headers["Vary"] == "Accept"
    assert (await ask(client, "/predict", form=SETOSA, headers=JSON))["prediction"] == "setosa"
    assert (await ask(client, "/predict", query_string=SETOSA))["prediction"] == "setosa"
    assert (await ask(client, "/predict", json=SETOSA))["prediction"] == "setosa"
    many = await client.post("/predict", json=[SETOSA, SETOSA], headers=TEXT)
    assert await many.get_data() == b"setosa\nsetosa"
    refused = await client.post("/predict", form=SETOSA | {LENGTHS[0]: "x"}, headers=TEXT)
    assert (refused.status_code, refused.mimetype) == (400, "text/plain")
    assert await refused.get_data() == b'sepal length (cm): expected a number, got "x"'


# The iris by short names ------------------------------------------------------------


async def test_the_form_at_home_goes_by_get_to_classify_and_retry_leads_back(
    client: Client,
) -> None:
    page = await read(client, "/home")
    assert tuple(page.sent) == tuple(VIRGINICA)
    assert page.ids == dict(zip(VIRGINICA, VIRGINICA, strict=True))
    assert page.labels == dict(zip(VIRGINICA, LENGTHS, strict=True))
    assert (page.form["method"], page.form["action"]) == ("get", "/classify")
    result = await read(client, page.form["action"], query_string=VIRGINICA, headers=CHROME)
    assert result.headings == ["Iris", "Virginica"]
    assert result.buttons == ["Retry"]
    again = await read(client, result.form["action"], headers=CHROME)
    assert (again.form, again.sent) == (page.form, page.sent)


async def test_classify_takes_a_query_a_form_and_json(client: Client) -> None:
    for more in (
        {"query_string": VIRGINICA},
        {"query_string": VIRGINICA, "method": "POST"},
        {"form": VIRGINICA},
        {"json": VIRGINICA, "headers": HTML},
    ):
        assert "Virginica" in (await read(client, "/classify", **more)).headings
    for headers, told in ((TEXT, "virginica"), (JSON, '{"prediction":"virginica"')):
        answer = await client.get("/classify", query_string=VIRGINICA, headers=headers)
        assert (await answer.get_data(as_text=True)).startswith(told)
    assert (await ask(client, "/classify", json=VIRGINICA))["prediction"] == "virginica"


async def test_classify_without_any_value_leads_a_person_to_the_form(client: Client) -> None:
    answer = await client.get("/classify", headers=CHROME)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/home")
    faults = (await ask(client, "/classify", 400, headers=JSON))["details"]
    assert [fault["column"] for fault in faults] == list(VIRGINICA)


async def test_every_fault_stands_beside_its_field_under_the_name_that_was_sent(
    client: Client,
) -> None:
    wrong = {"slen": "long", "swid": "3.3", "plen": "", "more": "1"}
    refused = await ask(client, "/classify", 400, query_string=wrong, headers=JSON)
    assert refused["error"] == (
        'slen: expected a number, got "long"; plen: expected a number, got nothing; '
        "pwid: expected a number, got nothing; "
        'more: expected one of the columns slen, swid, plen, pwid, got "1"'
    )
    page = await read(client, "/classify", 400, query_string=wrong)
    assert page.form["action"] == "/classify"
    assert page.sent == {"slen": "long", "swid": "3.3", "plen": "", "pwid": ""}
    for name, told in {
        "slen": 'Expected a number, got "long".',
        "plen": "Expected a number, got nothing.",
        "pwid": "Expected a number, got nothing.",
    }.items():
        assert page.texts[page.described[name].split()[0]] == told
    assert "error" not in page.described["swid"]
    assert {"#slen", "#plen", "#pwid"} <= set(page.links.values())


async def test_a_column_under_both_of_its_names_is_a_fault(client: Client) -> None:
    both = VIRGINICA | {LENGTHS[0]: "1"}
    (fault,) = (await ask(client, "/classify", 400, query_string=both, headers=JSON))["details"]
    assert fault["column"] == LENGTHS[0]
    both = DONOR | {"V1": "1"}
    (fault,) = (await ask(client, "/predict", 400, json=both))["details"]
    assert fault["column"] == "V1"


# The blood donation -----------------------------------------------------------------


async def test_the_home_page_leads_to_the_forms(client: Client) -> None:
    page = await read(client, "/", headers=CHROME)
    actions = {}
    for path in ("/models/blood-donation", "/ml-model", "/home", "/random"):
        assert path in page.links.values()
        actions[path] = (await read(client, path, headers=CHROME)).form["action"]
    assert actions["/ml-model"] == "/ml-model"


NAMES = {
    "own": tuple(DONOR),
    "small": ("recency", "frequency", "monetary", "time"),
    "capitals": ("RECENCY", "FREQUENCY", "MONETARY", "TIME"),
    "of OpenML": ("V1", "V2", "V3", "V4"),
    "of OpenML, small": ("v1", "v2", "v3", "v4"),
    "of UCI": tuple(name for (_, name) in RECIPES["blood-donation"].synonyms.values()),
    "mixed": ("V1", "frequency", "Monetary", "v4"),
}


async def test_the_donor_may_come_under_each_name_of_the_columns(client: Client) -> None:
    for row, prediction, words in ((DONOR, 1, "donates"), (STRANGER, 0, "does not donate")):
        for names in NAMES.values():
            sent = dict(zip(names, row.values(), strict=True))
            page = await read(client, "/ml-model", form=sent)
            assert page.headings == ["Blood donation", f"Predicted Donated: {words}"]
            assert page.sent == sent
            assert page.form["action"] == "/ml-model"
            answer = await ask(client, "/predict", json=sent)
            assert (answer["model"], answer["prediction"]) == ("blood-donation", prediction)
            assert await ask(client, "/predict_api", json=sent) == prediction
            many = await ask(client, "/predict", json=[sent, sent])
            assert many["predictions"] == [prediction] * 2


async def test_predict_api_takes_values_by_position_where_no_name_is_the_models(
    client: Client,
) -> None:
    values = [float(text) for text in DONOR.values()]
    by_position = dict(zip(("exp", "test", "interview", "x y"), values, strict=True))
    for headers in ({}, {"Content-Type": "application/x-www-form-urlencoded"}, JSON):
        answer = await client.post("/predict_api", data=json.dumps(by_position), headers=headers)
        assert (answer.status_code, answer.content_type) == (200, "application/json")
        assert await answer.get_data() == b"1"
    # By name, whatever the order.
    backwards = dict(reversed(dict(zip(NAMES["small"], values, strict=True)).items()))
    assert await ask(client, "/predict_api", json=backwards) == 1
    refused = await ask(client, "/predict_api", 400, json=by_position | {"test": "often"})
    assert refused["details"] == [
        {"row": 0, "column": "test", "expected": "a number or null", "got": '"often"'}
    ]


@pytest.mark.parametrize(
    ("sent", "columns"),
    [
        ({"V1": 2, "b": 50, "c": 12500, "d": 98}, ["Frequency", "Monetary", "Time", *"bcd"]),
        ({"a": 2, "b": 50, "c": 12500}, [*DONOR, *"abc"]),
        ({}, list(DONOR)),
        ({"V1": 2, "V2": 50, "V3": 12500}, ["Time"]),
    ],
    ids=["one name is the model's", "another count", "nothing", "one is absent"],
)
async def test_predict_api_goes_by_name_where_one_is_known_or_the_count_is_another(
    sent: dict[str, Any], columns: list[str], client: Client
) -> None:
    refused = await ask(client, "/predict_api", 400, json=sent)
    assert [fault["column"] for fault in refused["details"]] == columns


async def test_predict_api_takes_one_object(client: Client) -> None:
    for body in (b"", b"[]", b"[1, 2, 3, 4]", b'[{"V1": 1}]', b"1", b"Recency=2"):
        answer = await client.post("/predict_api", data=body)
        assert answer.status_code == 400, body


# Which model, and what it says -------------------------------------------------------


async def test_json_of_two_points_is_answered_by_the_exam(client: Client) -> None:
    body = b'{"X1":"61.1", "X2":"17.3"}'
    answer = await ask(client, "/predict", data=body, headers={"Content-Type": "application/json"})
    assert (answer["model"], answer["prediction"]) == ("exam", 0)
    assert (await ask(client, "/predict", json={"X1": 61.1, "X2": 17.3}))["prediction"] == 0
    assert (await ask(client, "/predict", json={"X1": 90, "X2": "85"}))["prediction"] == 1
    for missing, kept in (("X1", "X2"), ("X2", "X1")):
        refused = await ask(client, "/predict", 400, json={kept: "61.1"})
        assert refused["error"] == f"{missing}: expected a number, got nothing"


async def test_the_names_that_are_sent_find_the_model_at_each_address(client: Client) -> None:
    for name, row in ROWS.items():
        expected = await ask(client, f"/models/{name}/predict", query_string=row)
        for path in ("/", "/predict"):
            for answer in (
                await ask(client, path, query_string=row),
                await ask(client, path, form=row, headers=JSON),
            ):
                assert answer["model"] == name
                assert answer["prediction"] == expected["prediction"]
    # One that is named goes before the columns.
    refused = await ask(client, "/predict?model=exam", 400, json=SETOSA)
    assert {fault["column"] for fault in refused["details"]} == {"X1", "X2", *LENGTHS}
    answer = await ask(client, "/", query_string=STUDENT | {"model": "exam"})
    assert answer["model"] == "exam"


@contextlib.contextmanager
def rendering(app: Quart) -> Iterator[list[dict[str, Any]]]:
    """The values with which each template is filled meanwhile."""
    found: list[dict[str, Any]] = []

    async def record(sender: Quart, context: dict[str, Any], **_: Any) -> None:
        found.append(context)

    with template_rendered.connected_to(record, app):
        yield found


async def test_the_sentence_of_the_result_stands_in_the_page_at_each_address(
    bundled_root: Path,
) -> None:
    app = create_app(MODEL_STORE=bundled_root, RECIPES="")
    async with started(app) as running:
        client = running.test_client()
        with rendering(app) as contexts:
            pages = [
                await read(client, "/", query_string=PATIENT, headers=CHROME),
                await read(client, "/", form=PATIENT),
                await read(client, "/predict", form=PATIENT),
                await read(client, "/predict", query_string=PATIENT, headers=CHROME),
            ]
            assert len({context["prediction_text"] for context in contexts}) == 1
            for page in pages:
                assert page.headings == ["Diabetes", contexts[0]["prediction_text"]]
                assert page.sent == PATIENT
                assert page.form["action"] == "/predict"
            contexts.clear()
            await read(client, "/classify", query_string=VIRGINICA)
            assert contexts[0]["variety"] == "Virginica"
        assert (await ask(client, "/"))["status"] == "alive"


async def test_predict_without_values_is_the_form_for_a_person(client: Client) -> None:
    assert (await read(client, "/predict", headers=CHROME)).headings == ["Iris"]
    page = await read(client, "/?model=exam", headers=CHROME)
    assert (page.headings, tuple(page.sent)) == (["Exam"], ("X1", "X2"))
    refused = await read(client, "/predict", 400, form={})
    assert refused.headings == ["Iris", "There are 4 errors"]


async def test_a_form_asks_the_model_that_it_is_of(store: ModelStore) -> None:
    structs.replace(RECIPES["exam"], name="twin").train(store)
    async with started(create_app(MODEL_STORE=store.root, DEFAULT_MODEL="twin")) as app:
        client = app.test_client()
        page = await read(client, "/?model=exam", headers=CHROME)
        assert page.form["action"] == "/predict?model=exam"
        answer = await ask(client, page.form["action"], form=STUDENT, headers=JSON)
        assert answer["model"] == "exam"
        assert (await read(client, "/?model=twin", headers=CHROME)).form["action"] == "/predict"


# What is not there, and what must not be ---------------------------------------------

OF_A_MODEL = {
    "/random": ("GET", "iris"),
    "/home": ("GET", "iris"),
    "/classify?slen=1": ("GET", "iris"),
    "/classify": ("POST", "iris"),
    "/ml-model": ("POST", "blood-donation"),
    "/predict_api": ("POST", "blood-donation"),
    "/predict?model=exam": ("POST", "exam"),
    "/predict": ("POST", "iris"),
    "/?x=1": ("GET", "iris"),
}


async def send(client: Client, method: str, path: str, headers: dict[str, str]) -> Response:
    if method == "GET":
        return await client.get(path, headers=headers)
    return await client.post(path, headers=headers, data=b"{}")


async def test_an_absent_model_is_a_404_with_the_command_that_trains_it(tmp_path: Path) -> None:
    async with started(create_app(MODEL_STORE=tmp_path, RECIPES="")) as app:
        client = app.test_client()
        for path, (method, name) in OF_A_MODEL.items():
            for headers in (JSON, HTML):
                answer = await send(client, method, path, headers)
                assert answer.status_code == 404, path
                text = await answer.get_data(as_text=True)
                assert f"quart-app models train {name}" in text, path
        RECIPES["exam"].train(ModelStore(tmp_path))
        assert (await ask(client, "/predict?model=exam", json=STUDENT))["prediction"] == 0


async def test_a_model_on_its_way_is_a_503_that_says_when_to_come_again(
    bundled_root: Path,
) -> None:
    client = create_app(MODEL_STORE=bundled_root, RECIPES="").test_client()
    for path, (method, _) in OF_A_MODEL.items():
        answer = await send(client, method, path, JSON)
        assert answer.status_code == 503, path
        assert answer.headers["Retry-After"] == "2"
    page = await client.get("/home", headers=CHROME)
    assert page.status_code == 503
    assert 'http-equiv="refresh"' in await page.get_data(as_text=True)


HOSTILE = (
    "<script>alert(1)</script>",
    "\"><script>alert(1)</script>'",
    "größe ☃ 漢字 \U0001f33a",
    "{{ 7 * 7 }}",
    "9" * 10_000,
    "w" * 10_000,
    "\x00",
    "../../etc/passwd",
)


async def test_odd_values_and_names_are_refused_as_text(client: Client) -> None:
    for odd in HOSTILE:
        row = dict.fromkeys(VIRGINICA, odd)
        page = await read(client, "/classify", 400, form=row)
        assert (
            page.sent == {name: odd.replace("\x00", "\ufffd") for name in row} or page.sent == row
        )
        assert len([name for name in page.texts if name.endswith("-error")]) == 4
        page = await read(client, "/predict", 400, form=STUDENT | {odd: "1"})
        assert page.sent == STUDENT
        assert page.headings == ["Exam", "There is an error"]
        await ask(client, "/predict_api", 400, json=dict.fromkeys("abcd", odd))


# Other origins -----------------------------------------------------------------------

ORIGIN = "https://app.example.com"


@contextlib.asynccontextmanager
async def allowing(root: Path, origins: str) -> AsyncIterator[Client]:
    app = create_app(MODEL_STORE=root, RECIPES="", CORS_ORIGINS=origins)
    async with started(app) as running:
        yield running.test_client()


async def test_no_other_origin_reads_an_answer_unless_it_is_allowed(client: Client) -> None:
    answer = await client.post("/predict", json=STUDENT, headers={"Origin": ORIGIN})
    assert not [name for name, _ in answer.headers if name.lower().startswith("access-control")]


async def test_a_page_of_an_allowed_origin_asks_in_json(bundled_root: Path) -> None:
    async with allowing(bundled_root, f"http://localhost:3000,{ORIGIN}") as client:
        headers = {"Origin": ORIGIN}
        preflight = await client.options(
            "/predict_api",
            headers=headers
            | {
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "content-type",
            },
        )
        assert preflight.status_code == 200
        assert preflight.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "content-type" in preflight.headers["Access-Control-Allow-Headers"]
        assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
        for path, row, status in (
            ("/predict_api", DONOR, 200),
            ("/predict", STUDENT, 200),
            ("/predict", {}, 400),
            ("/models/nobody/predict", {}, 404),
        ):
            answer = await client.post(path, json=row, headers=headers)
            assert answer.status_code == status
            assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
            assert "Origin" in answer.headers["Vary"]
        for other in ("https://evil.example", "null", f"{ORIGIN}.evil.example", "http://app"):
            answer = await client.post("/predict", json=STUDENT, headers={"Origin": other})
            assert "Access-Control-Allow-Origin" not in answer.headers
            assert "Origin" in answer.headers["Vary"]


async def test_any_origin_may_be_allowed(bundled_root: Path) -> None:
    async with allowing(bundled_root, "*") as client:
        answer = await client.post("/predict", json=STUDENT, headers={"Origin": "https://a.b"})
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


# Where they are ----------------------------------------------------------------------

ROUTES = ("/random", "/home", "/classify", "/ml-model", "/predict", "/predict_api")


async def test_they_can_be_left_out(bundled_root: Path) -> None:
    async with started(create_app(MODEL_STORE=bundled_root, RECIPES="", CLASSIC="false")) as app:
        client = app.test_client()
        for path in ROUTES:
            assert (await client.get(path)).status_code == 404
        refused = await client.post("/", json=STUDENT)
        assert (refused.status_code, "POST" in refused.headers["Allow"]) == (405, False)
        assert (await ask(client, "/", query_string=STUDENT))["status"] == "alive"
        page = await read(client, "/", headers=CHROME)
        assert "/home" not in page.links.values()
        document = await ask(client, "/openapi.json")
        assert "/predict" not in document["paths"]
        assert document["paths"]["/"].keys() == {"get"}


async def test_they_can_have_a_prefix(bundled_root: Path) -> None:
    app = create_app(MODEL_STORE=bundled_root, RECIPES="", CLASSIC_PREFIX="/old")
    async with started(app) as running:
        client = running.test_client()
        for path in ROUTES:
            assert (await client.get(path)).status_code == 404
        assert (await read(client, "/old/home")).form["action"] == "/old/classify"
        result = await read(client, "/old/classify", query_string=VIRGINICA)
        assert result.form["action"] == "/old/home"
        assert (await read(client, "/old/random")).form["action"] == "/old/predict"
        assert (await read(client, "/old/ml-model")).form["action"] == "/old/ml-model"
        assert await ask(client, "/old/predict_api", json=DONOR) == 1
        for path in ("/old/predict", "/old/", "/"):
            assert (await ask(client, path, json=STUDENT))["prediction"] == 0
            assert (await ask(client, path, query_string=STUDENT))["prediction"] == 0
        answer = await client.get("/old/", headers=CHROME)
        assert (answer.status_code, answer.headers["Location"]) == (302, "/")
        document = await ask(client, "/openapi.json")
        assert {"/old/predict", "/old/predict_api"} <= document["paths"].keys()


async def test_the_document_of_the_api_has_what_is_for_programs_with_examples_that_work(
    client: Client,
) -> None:
    paths = (await ask(client, "/openapi.json"))["paths"]
    assert not paths.keys() & {"/random", "/home", "/classify", "/ml-model"}
    for path in ("/", "/predict"):
        content = paths[path]["post"]["requestBody"]["content"]
        for name, example in content["application/json"]["examples"].items():
            assert (await ask(client, path, json=example["value"]))["model"] == name
        for name, example in content["application/x-www-form-urlencoded"]["examples"].items():
            answer = await ask(client, path, form=example["value"], headers=JSON)
            assert answer["model"] == name
        assert {"400", "404", "503", "504"} <= paths[path]["post"]["responses"].keys()
    (example,) = paths["/predict_api"]["post"]["requestBody"]["content"]["application/json"][
        "examples"
    ].values()
    assert await ask(client, "/predict_api", json=example["value"]) in (0, 1)


async def test_each_page_has_the_one_stylesheet_of_the_project(client: Client) -> None:
    for path in ("/", "/random", "/home", "/ml-model", "/?X1=1&X2=2", "/classify?slen=1"):
        answer = await client.get(path, headers=CHROME)
        text = await answer.get_data(as_text=True)
        assert text.count('rel="stylesheet"') == 1
        assert 'href="/static/css/style.css"' in text
        assert "://" not in text
    style = await client.get("/static/css/style.css")
    assert (style.status_code, style.mimetype) == (200, "text/css")


# The process -------------------------------------------------------------------------


async def test_a_version_that_was_put_back_answers_from_the_next_start_on(
    store: ModelStore,
) -> None:
    RECIPES["exam"].train(store)
    for serves in (2, 1):
        async with started(create_app(MODEL_STORE=store.root, RECIPES="")) as app:
            answer = await ask(app.test_client(), "/predict", json=STUDENT)
            assert (answer["prediction"], answer["version"]) == (0, serves)
        if serves == 2:
            store.rollback("exam")


async def test_a_canary_answers_its_share_of_these_routes_too(store: ModelStore) -> None:
    for name in ("iris", "exam", "blood-donation"):
        store.promote(name, 1)
        RECIPES[name].train(store)
        store.challenge(name, 2, "canary", share=1)
    donor = {"Recency": 2, "Frequency": 50, "Monetary": 12500, "Time": 98}
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", "/classify", {"query_string": VIRGINICA}),
        ("POST", "/ml-model", {"form": DONOR}),
        ("POST", "/predict", {"form": STUDENT}),
        ("POST", "/predict", {"json": STUDENT}),
        ("GET", "/predict", {"query_string": STUDENT}),
        ("POST", "/predict_api", {"json": donor}),
    ]
    app = create_app(MODEL_STORE=store.root, RECIPES="")
    async with started(app) as running:
        registry, client = context_of(app).registry, running.test_client()
        for name in ("iris", "exam", "blood-donation"):
            await registry.follow(name)
        for method, path, given in asked:
            for accept in (JSON, HTML):
                answer = await client.open(path, method=method, headers=accept, **given)
                assert answer.status_code == 200, path
                assert answer.headers["X-Model-Version"] == "2", path
        answer = await ask(client, "/predict", json=STUDENT)
        assert (answer["version"], answer["variant"]) == (2, "canary")
        wrong = await client.get("/classify", query_string={"slen": "x"}, headers=JSON)
        assert (wrong.status_code, "slen" in await wrong.get_data(as_text=True)) == (400, True)
        counted = {
            name: registry.challenges[name].comparison.challenger for name in ("iris", "exam")
        }
        assert {name: side.requests for name, side in counted.items()} == {"iris": 2, "exam": 7}


@pytest.mark.process
def test_the_procfile_starts_it_on_the_port_of_the_platform_and_the_curl_of_old_is_answered(
    bundled_root: Path, tmp_path: Path, unused_tcp_port: int
) -> None:
    kind, _, command = (ROOT / "Procfile").read_text().partition(":")
    assert kind == "web"
    process = subprocess.Popen(
        [sys.executable if word == "python" else word for word in shlex.split(command)],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "PORT": str(unused_tcp_port),
            "QUART_APP_MODEL_STORE": str(bundled_root),
            "QUART_APP_RECIPES": "",
            "QUART_APP_SHUTDOWN_DELAY": "0",
            "DATABASE_URL": f"sqlite:///{tmp_path}/tasks.sqlite3",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    url = f"http://localhost:{unused_tcp_port}"
    try:
        wait_until_ready(url)
        curl = (
            'curl -s -i -H "Content-Type: application/json" -X POST '
            f"""-d '{{"X1":"61.1", "X2":"17.3"}}' {url}/predict"""
        )
        answer = subprocess.run(shlex.split(curl), capture_output=True, text=True, check=True)
        assert answer.stdout.startswith("HTTP/1.1 200")
        assert '{"prediction":0,' in answer.stdout
        with urllib.request.urlopen(f"{url}/classify?slen=6.3&swid=3.3&plen=6.0&pwid=2.5") as page:
            assert b"Virginica" in page.read()
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError):  # which an answer of 503 is as well
            urllib.request.urlopen(f"{url}/health/ready", timeout=10).close()
            return
        assert time.monotonic() < deadline, "the server did not get ready"
        time.sleep(0.05)
