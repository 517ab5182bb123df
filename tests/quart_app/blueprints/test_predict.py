"""The predict routes: one contract, whatever the wire."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import httpx
import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from quart.typing import TestClientProtocol as Client

from model_store import Column, Model, ModelStore
from model_store.recipes import RECIPES
from quart_app import create_app
from quart_app.blueprints.fields import as_text

from ...conftest import started
from ...drawing import Row, as_trained, drawn_rows
from ...kinds import frame_of, objects

HTML = {"Accept": "text/html"}
JSON = {"Accept": "application/json"}
IRIS = {
    "sepal length (cm)": 6.3,
    "sepal width (cm)": 3.3,
    "petal length (cm)": 6.0,
    "petal width (cm)": 2.5,
}


def load(store: ModelStore, name: str) -> Model:
    return store.load(store.verify(name, pickles="always"))


def expected(model: Model, rows: list[Row]) -> tuple[list[Any], Any]:
    """What the bare pipeline says, asked without anything of ours between."""
    matrix = as_trained(model.manifest, rows)
    labels = model.pipeline.predict(matrix).tolist()
    if not hasattr(model.pipeline, "predict_proba"):
        return labels, None
    classes = [str(label) for label in model.pipeline.classes_.tolist()]
    shares = model.pipeline.predict_proba(matrix).tolist()
    return labels, [dict(zip(classes, row, strict=True)) for row in shares]


def texts(row: Row) -> dict[str, str]:
    return {name: as_text(value) for name, value in row.items()}


@pytest.mark.parametrize("name", RECIPES)
async def test_json_form_query_and_list_equal_the_pipeline(
    name: str, client: Client, bundled: ModelStore
) -> None:
    model = load(bundled, name)
    rows = drawn_rows(model.manifest, 7, 20)
    path = f"/models/{name}/predict"
    labels, shares = expected(model, rows)
    many = await (await client.post(path, json=rows)).get_json()
    assert_same(many["predictions"], labels)
    if shares is not None:
        assert_same([list(row.values()) for row in many["probabilities"]], values_of(shares))
    for i, row in enumerate(rows):
        answers = [
            await client.post(path, json=row),
            await client.post(path, form=texts(row), headers={"Accept": "application/json"}),
            await client.get(f"{path}?{urlencode(texts(row))}"),
            await client.post(path, json={key: value and str(value) for key, value in row.items()}),
        ]
        for answer in answers:
            assert answer.status_code == 200
            found = await answer.get_json()
            assert_same([found["prediction"]], [labels[i]])
            assert type(found["prediction"]) is type(labels[i])
            assert (found["model"], found["version"]) == (name, 1)
            assert found["id"]
            if shares is not None:
                assert found["probabilities"].keys() == shares[i].keys()
                assert_same(list(found["probabilities"].values()), list(shares[i].values()))


def values_of(shares: list[dict[str, float]]) -> list[list[float]]:
    return [list(row.values()) for row in shares]


def assert_same(found: list[Any], labels: list[Any]) -> None:
    if np.asarray(labels).dtype.kind == "f":
        np.testing.assert_allclose(found, labels, rtol=1e-12)
    else:
        assert found == labels


async def test_a_model_trained_on_generated_data_says_so(client: Client) -> None:
    answer = await (await client.post("/models/exam/predict", json={"X1": 61.1, "X2": 17.3})).json
    assert "generator" in answer["notice"]
    answer = await (await client.post("/models/iris/predict", json=IRIS)).json
    assert "notice" not in answer


async def test_values_that_the_pipeline_cannot_work_with_are_a_400(client: Client) -> None:
    answer = await client.post("/models/iris/predict", json=dict.fromkeys(IRIS, 1e308))
    assert answer.status_code == 400
    assert "The model iris has no answer to these values" in (await answer.json)["error"]
    answer = await client.post("/models/iris/predict", form=dict.fromkeys(IRIS, "1e308"))
    assert answer.status_code == 400
    page = await answer.get_data(as_text=True)
    assert "The model iris has no answer to these values" in page
    assert page.count('value="1e308"') == len(IRIS)


async def test_a_row_without_an_answer_is_named_among_others(client: Client) -> None:
    rows = [IRIS] * 40
    rows[23] = {**IRIS, "petal length (cm)": 1e308, "sepal width (cm)": -1e308}
    answer = await client.post("/models/iris/predict", json=rows)
    assert answer.status_code == 400
    assert (await answer.json)["error"].startswith("Row 23: The model iris has no answer")


async def test_a_byte_order_mark_is_passed_over(client: Client) -> None:
    answer = await client.post("/models/exam/predict", data=b'\xef\xbb\xbf{"X1": 1, "X2": 2}')
    assert answer.status_code == 200


async def test_the_page_of_a_version_keeps_asking_that_version(client: Client) -> None:
    answer = await client.get("/models/exam/versions/1/predict", headers=HTML)
    assert answer.status_code == 200
    page = await answer.get_data(as_text=True)
    assert 'action="/models/exam/versions/1/predict"' in page
    answer = await client.get("/models/exam/versions/9/predict", headers=HTML)
    assert answer.status_code == 404


async def test_a_list_of_rows_is_answered_by_json_to_a_browser_as_well(client: Client) -> None:
    answer = await client.post("/models/iris/predict", json=[IRIS, IRIS], headers=HTML)
    assert (await answer.json)["predictions"] == ["virginica", "virginica"]


async def test_a_list_of_one_row_is_answered_by_a_list(client: Client) -> None:
    answer = await (await client.post("/models/iris/predict", json=[IRIS])).json
    assert answer["predictions"] == ["virginica"]
    assert len(answer["probabilities"]) == 1


BAD_JSON: dict[str, tuple[bytes, str]] = {
    "broken": (b'{"X1": 1, ', "JSON"),
    "empty": (b"", "empty body"),
    "deep": (b"[" * 100_000, "nested"),
    "deep in a value": (b'{"X1":' + b"[" * 100_000, "nested"),
    "not UTF-8": (b'{"X1": "\xff\xfe", "X2": 1}', "UTF-8"),
    "a bare NaN": (b'{"X1": NaN, "X2": 1}', "X1: expected a number, got NaN"),
    "a bare Infinity": (b'{"X1": Infinity, "X2": 1}', "X1: expected a finite number"),
    "a number alone": (b"5", "a number"),
    "a text alone": (b'"5"', "a text"),
    "null alone": (b"null", "null"),
    "true alone": (b"true", "a boolean"),
    "an empty list": (b"[]", "at least one row"),
    "a list of lists": (b"[[1, 2]]", "Row 0"),
    "a missing column": (b'{"X1": 1}', "X2"),
    "an unknown column": (b'{"X1": 1, "X2": 2, "X3": 3}', "X3"),
    "null": (b'{"X1": null, "X2": 1}', "X1"),
    "a text for a number": (b'{"X1": "many", "X2": 1}', "X1"),
    "a boolean for a number": (b'{"X1": true, "X2": 1}', "X1"),
    "a list for a number": (b'{"X1": [1], "X2": 1}', "X1"),
    "too large for a float": (b'{"X1": 1e999, "X2": 1}', "X1: expected a finite number"),
    "an integer too large for a float": (b'{"X1": 1' + b"0" * 400 + b', "X2": 1}', "X1"),
    "infinity as text": (b'{"X1": "inf", "X2": 1}', "X1"),
    "NaN as text": (b'{"X1": "nan", "X2": 1}', "X1"),
    "a lone surrogate": (b'{"X1": "\\ud800", "X2": 1}', ""),
    "an object with nothing": (b"{}", "X1"),
}


@pytest.mark.parametrize(("body", "word"), BAD_JSON.values(), ids=BAD_JSON)
async def test_a_bad_body_is_a_400_that_says_what_was_wrong(
    body: bytes, word: str, client: Client
) -> None:
    answer = await client.post(
        "/models/exam/predict", data=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
    assert answer.content_type == "application/json"
    assert word in (await answer.json)["error"]


async def test_all_faults_of_all_rows_are_reported_at_once(client: Client) -> None:
    rows = [{"X1": 1, "X2": 2}, {"X1": "a", "X2": None}, {"X1": 3, "X4": 5}]
    answer = await client.post("/models/exam/predict", json=rows)
    assert answer.status_code == 400
    found = {(fault["row"], fault["column"]): fault for fault in (await answer.json)["details"]}
    assert found.keys() == {(1, "X1"), (1, "X2"), (2, "X2"), (2, "X4")}
    assert found[1, "X1"] == {"row": 1, "column": "X1", "expected": "a number", "got": '"a"'}
    assert found[1, "X2"]["got"] == "null"
    assert found[2, "X2"]["got"] == "nothing"
    assert "X1, X2" in found[2, "X4"]["expected"]


async def test_a_field_that_comes_twice_is_a_fault(client: Client) -> None:
    answer = await client.get("/models/exam/predict?X1=1&X2=2&X1=3")
    assert answer.status_code == 400
    assert (await answer.json)["details"][0]["got"] == '["1", "3"]'


async def test_an_empty_field_is_a_missing_value(client: Client) -> None:
    answer = await client.get("/models/exam/predict?X1=&X2=2")
    assert answer.status_code == 400
    assert (await answer.json)["details"] == [
        {"row": 0, "column": "X1", "expected": "a number", "got": "nothing"}
    ]


async def test_json_sent_as_a_form_is_told_which_header_to_send(client: Client) -> None:
    answer = await client.post(
        "/models/exam/predict",
        data=json.dumps({"X1": 1, "X2": 2}),
        headers={"Content-Type": "application/x-www-form-urlencoded", "Accept": "*/*, a/b"},
    )
    assert answer.status_code == 400
    assert "Content-Type: application/json" in (await answer.json)["error"]


async def test_a_body_without_a_content_type_is_json(client: Client) -> None:
    answer = await client.post("/models/exam/predict", data=b'{"X1": 1, "X2": 2}')
    assert answer.status_code == 200


async def test_a_content_type_that_is_not_spoken_is_a_415(client: Client) -> None:
    answer = await client.post(
        "/models/exam/predict", data=b"<x/>", headers={"Content-Type": "application/xml"}
    )
    assert answer.status_code == 415
    assert "application/xml" in (await answer.json)["error"]


async def test_a_multipart_form_is_a_form(client: Client) -> None:
    body = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % field
        for field in ((b"X1", b"61.1"), (b"X2", b"17.3"))
    )
    answer = await client.post(
        "/models/exam/predict",
        data=body + b"--b--\r\n",
        headers={"Content-Type": "multipart/form-data; boundary=b", "Accept": "application/json"},
    )
    assert (await answer.json)["prediction"] == 0


async def test_more_rows_than_allowed_are_a_413(client: Client) -> None:
    answer = await client.post("/models/exam/predict", json=[{"X1": 1, "X2": 2}] * 10_001)
    assert answer.status_code == 413
    assert "10000" in (await answer.json)["error"]


async def test_as_many_rows_as_allowed_are_answered(client: Client) -> None:
    answer = await client.post("/models/exam/predict", json=[{"X1": 1, "X2": 2}] * 10_000)
    assert len((await answer.json)["predictions"]) == 10_000


UNKNOWN = {
    "/models/nobody": "nobody",
    "/models/nobody/predict?X1=1": "nobody",
    "/models/exam/versions/9/predict?X1=1&X2=2": "9",
    "/models/exam/versions/blue/predict?X1=1&X2=2": "blue",
    "/models/..%2Fexam/predict?X1=1": "",
    "/models/%00/predict?X1=1": "",
    "/nowhere": "nothing at this address",
}


@pytest.mark.parametrize(("path", "word"), UNKNOWN.items())
async def test_what_does_not_exist_is_a_404_that_names_it(
    path: str, word: str, client: Client
) -> None:
    answer = await client.get(path)
    assert answer.status_code == 404
    assert word in (await answer.json)["error"]


async def test_another_method_is_a_405_that_names_those_it_takes(
    client: Client,
) -> None:
    answer = await client.delete("/models/exam/predict")
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]
    assert "error" in await answer.json


async def test_a_version_is_asked_by_number_and_by_alias(store: ModelStore) -> None:
    RECIPES["exam"].train(store)
    store.promote("exam", 1)
    store.promote("exam", 2, "next")
    async with started(create_app(MODEL_STORE=store.root)) as app:
        client = app.test_client()
        for path, version in {
            "/models/exam/predict": 1,
            "/models/exam/versions/1/predict": 1,
            "/models/exam/versions/2/predict": 2,
            "/models/exam/versions/next/predict": 2,
            "/models/exam/versions/champion/predict": 1,
        }.items():
            for answer in (
                await client.get(f"{path}?X1=61.1&X2=17.3"),
                await client.post(path, json={"X1": 61.1, "X2": 17.3}),
            ):
                assert (await answer.json)["version"] == version
        about = await (await client.get("/models/exam")).json
        assert about["versions"] == [1, 2]
        assert about["aliases"] == {"champion": 1, "next": 2}
        assert about["version"] == 1


# Columns of every kind ------------------------------------------------------------


# In a form every line ends with CRLF, and a blank text is a missing value.
ANY = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=4)
PIECES = st.sampled_from(("\n", "\n\n", " ", "quiet", "é")) | ANY
TEXTS = st.lists(PIECES, min_size=1, max_size=6).map("".join).filter(str.strip)
MOMENTS = st.datetimes(datetime(1912, 4, 1), datetime(1912, 5, 1))


def values(column: Column) -> st.SearchStrategy[Any]:
    """What a client may send for a column, as JSON; close to the training data, since far from it
    a probability is 0 or 1 whatever else is sent."""
    if column.missing:
        return st.none() | values(msgspec.structs.replace(column, missing=False))
    if column.type == "category":
        known = st.sampled_from(column.categories or ())
        return known | TEXTS.map(str.strip) if column.open else known
    return {
        "number": st.floats(-100, 100) | st.integers(-100, 100),
        "integer": st.integers(-10, 10),
        "boolean": st.booleans(),
        "date": MOMENTS.map(datetime.isoformat) | MOMENTS.map(lambda moment: str(moment.date())),
        "text": TEXTS,
    }[column.type]


def as_sent(row: Row) -> dict[str, str]:
    """The fields of a form as a browser sends them."""
    return {name: text.replace("\n", "\r\n") for name, text in texts(row).items()}


def as_parts(fields: Mapping[str, str]) -> tuple[bytes, dict[str, str]]:
    """The fields as multipart/form-data, written by another hand; and its headers."""
    request = httpx.Request(
        "POST", "http://localhost", files=[(name, (None, text)) for name, text in fields.items()]
    )
    return request.read(), {"Content-Type": request.headers["Content-Type"], **JSON}


async def by_every_wire(client: Client, path: str, row: Row) -> list[Any]:
    """The answers to a row as JSON, as a form of both kinds, and in a query."""
    body, headers = as_parts(as_sent(row))
    answers = [
        await client.post(path, json=row),
        await client.post(path, form=as_sent(row), headers=JSON),
        await client.post(path, data=body, headers=headers),
        await client.get(f"{path}?{urlencode(as_sent(row))}"),
        await client.get(f"{path}?{urlencode(texts(row))}"),
    ]
    assert [answer.status_code for answer in answers] == [200] * len(answers)
    return [await answer.json for answer in answers]


@pytest.mark.parametrize("name", ["mixed", "objects"])
@settings(
    deadline=None,
    max_examples=12,
    phases=(Phase.reuse, Phase.generate),  # shrinking would take minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
async def test_values_of_every_kind_get_the_answer_of_the_pipeline_on_every_wire(
    name: str, kinds_client: Client, kinds: ModelStore, data: st.DataObject
) -> None:
    model = load(kinds, name)
    columns = model.manifest.signature.columns
    row = st.fixed_dictionaries({column.name: values(column) for column in columns})
    rows = data.draw(st.lists(row, min_size=1, max_size=3))
    frame = frame_of(rows)
    trained = frame if name == "mixed" else objects(frame)
    labels = model.pipeline.predict(trained).tolist()
    shares = model.pipeline.predict_proba(trained).tolist() if name == "mixed" else None
    path = f"/models/{name}/predict"
    many = await (await kinds_client.post(path, json=rows)).json
    assert_same(many["predictions"], labels)
    for i, each in enumerate(rows):
        for answer in await by_every_wire(kinds_client, path, each):
            assert_same([answer["prediction"]], labels[i : i + 1])
            if shares is not None:
                found = list(answer["probabilities"].values())
                np.testing.assert_allclose(found, shares[i], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ["several", "numbers", "awkward", "many"])
async def test_every_wire_tells_every_target_of_odd_models(
    name: str, kinds_client: Client, kinds: ModelStore
) -> None:
    model = load(kinds, name)
    rows = drawn_rows(model.manifest, 5, 8)
    labels = model.pipeline.predict(as_trained(model.manifest, rows)).tolist()
    path = f"/models/{name}/predict"
    many = await (await kinds_client.post(path, json=rows)).json
    assert_same(many["predictions"], labels)
    for i, row in enumerate(rows):
        for answer in await by_every_wire(kinds_client, path, row):
            assert_same([answer["prediction"]], labels[i : i + 1])


async def test_probabilities_of_several_targets_are_a_list_of_tables(
    kinds_client: Client, kinds: ModelStore
) -> None:
    model = load(kinds, "several")
    rows = drawn_rows(model.manifest, 6, 5)
    tables = model.pipeline.predict_proba(as_trained(model.manifest, rows))
    many = await (await kinds_client.post("/models/several/predict", json=rows)).json
    one = await (await kinds_client.post("/models/several/predict", json=rows[0])).json
    assert one["probabilities"] == many["probabilities"][0]
    for i, told in enumerate(many["probabilities"]):
        assert [list(table) for table in told] == [["cold", "warm"], ["calm", "storm"]]
        for shares, table in zip(told, tables, strict=True):
            np.testing.assert_allclose(list(shares.values()), table[i], rtol=1e-12)


FAULTS: dict[str, tuple[Any, str, str]] = {
    # the value as text, what was expected, and what was got
    "age": ("old", "a number or null", '"old"'),
    "siblings": ("two", "a number", '"two"'),
    "sex": ("other", "one of female, male", '"other"'),
    "class": ("4", "one of 1, 2, 3", '"4"'),
    "port": ("Oslo", "one of Cherbourg, Queenstown, Southampton or null", '"Oslo"'),
    "deck": ("", "one of A, B, C, D, E", "nothing"),
    "alone": ("perhaps", "true or false", '"perhaps"'),
    "boarded": ("1912-04-31", "a date such as 2024-12-31", '"1912-04-31"'),
    "woken": ("midnight", "a date such as 2024-12-31", '"midnight"'),
    "note": (" ", "a text", '" "'),
}


async def test_a_fault_in_a_column_of_any_kind_says_what_was_expected(
    kinds_client: Client,
) -> None:
    row = {name: text for name, (text, _, _) in FAULTS.items()} | {"title": "Captain"}
    answer = await kinds_client.get("/models/mixed/predict", query_string=row)
    assert answer.status_code == 400
    details = (await answer.json)["details"]
    assert {fault["column"]: (fault["expected"], fault["got"]) for fault in details} == {
        name: (expected, got) for name, (_, expected, got) in FAULTS.items()
    }


# As a person sees it ---------------------------------------------------------------


async def test_a_form_without_a_preference_is_answered_by_the_page(
    client: Client,
) -> None:
    answer = await client.post("/models/iris/predict", form=IRIS)
    assert answer.content_type.startswith("text/html")
    assert "Accept" in answer.headers["Vary"]
    page = await answer.get_data(as_text=True)
    assert "<strong>Virginica</strong>" in page
    assert 'value="6.3"' in page


async def test_json_is_for_who_does_not_ask_for_a_page(client: Client) -> None:
    answer = await client.get(f"/models/iris/predict?{urlencode(IRIS)}")
    assert answer.content_type == "application/json"
    assert "Accept" in answer.headers["Vary"]


async def test_all_errors_of_a_form_stand_on_the_page_with_what_was_entered(
    client: Client,
) -> None:
    form = IRIS | {"sepal width (cm)": "wide", "petal width (cm)": ""}
    answer = await client.post("/models/iris/predict", form=form)
    assert answer.status_code == 400
    page = await answer.get_data(as_text=True)
    assert page.count('aria-invalid="true"') == 2
    assert 'value="wide"' in page
    assert 'value="6.3"' in page


async def test_markup_in_a_value_is_shown_as_text(client: Client) -> None:
    evil = "<script>alert(1)</script>"
    for answer in (
        await client.post("/models/exam/predict", form={"X1": evil, "X2": "1"}),
        await client.post("/models/exam/predict", form={evil: "1"}),
        await client.get(f"/models/{evil.replace('/', '')}", headers=HTML),
    ):
        page = await answer.get_data(as_text=True)
        assert answer.status_code in {400, 404}
        assert "<script>alert" not in page
        assert "&lt;script&gt;" in page


async def test_predict_without_a_query_leads_a_person_to_the_form(
    client: Client,
) -> None:
    answer = await client.get("/models/iris/predict", headers=HTML)
    assert answer.status_code == 302
    assert answer.location == "/models/iris"
