"""The predict routes: one contract, whatever the wire."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from quart.typing import TestClientProtocol as Client

from model_store import Model, ModelStore
from model_store.recipes import RECIPES
from quart_app import create_app

from ..conftest import started
from ..drawing import Row, as_trained, drawn_rows

HTML = {"Accept": "text/html"}
IRIS = {
    "sepal length (cm)": 6.3,
    "sepal width (cm)": 3.3,
    "petal length (cm)": 6.0,
    "petal width (cm)": 2.5,
}


def load(store: ModelStore, name: str) -> Model:
    return store.load(store.verify(name))


def expected(model: Model, rows: list[Row]) -> tuple[list[Any], Any]:
    """What the bare pipeline says, asked without anything of ours between."""
    matrix = as_trained(model.manifest, rows)
    labels = model.pipeline.predict(matrix).tolist()
    if not hasattr(model.pipeline, "predict_proba"):
        return labels, None
    classes = [str(label) for label in model.pipeline.classes_.tolist()]
    shares = model.pipeline.predict_proba(matrix).tolist()
    return labels, [dict(zip(classes, row, strict=True)) for row in shares]


def as_text(row: Row) -> dict[str, str]:
    return {name: "" if value is None else str(value) for name, value in row.items()}


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
            await client.post(path, form=as_text(row), headers={"Accept": "application/json"}),
            await client.get(f"{path}?{urlencode(as_text(row))}"),
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
    if isinstance(labels[0], str | int):
        assert found == labels
    else:
        np.testing.assert_allclose(found, labels, rtol=1e-12)


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
    "an empty list": (b"[]", "empty list"),
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
