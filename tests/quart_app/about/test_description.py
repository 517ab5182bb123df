"""What the server says of a model's columns and of what it tells."""

from __future__ import annotations

import html
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from quart.typing import TestClientProtocol as Client
from sklearn.neighbors import KNeighborsClassifier

from model_store import Column, ModelStore, backend
from quart_app import create_app
from quart_app.about.description import outputs
from quart_app.documents import Input

from ...conftest import started
from ...kinds import DECKS, PORTS, SEXES

PUBLIC = (
    *("name", "type", "label", "unit", "description", "minimum", "maximum", "typical"),
    *("quartiles", "step", "categories", "open", "missing"),
)

INPUTS: dict[str, dict[str, Any]] = {
    "age": {
        "type": "number",
        "label": "Age",
        "unit": "years",
        "missing": True,
        "categories": None,
    },
    "siblings": {"type": "integer", "minimum": 0, "maximum": 5, "missing": False, "unit": None},
    "sex": {"type": "category", "categories": list(SEXES), "open": False, "minimum": None},
    "class": {"type": "category", "categories": [1, 2, 3]},
    "port": {
        "type": "category",
        "categories": list(PORTS),
        "missing": True,
        "description": "Where the passenger came aboard.",
    },
    "deck": {"type": "category", "categories": list(DECKS)},
    "title": {"type": "category", "open": True, "missing": True},
    "alone": {"type": "boolean", "missing": False},
    "boarded": {"type": "date", "minimum": "1912-04-10", "maximum": "1912-04-13"},
    "woken": {"type": "date"},
    "note": {"type": "text", "categories": None},
}


async def test_each_column_is_told_with_its_public_fields_alone(kinds_client: Client) -> None:
    for name in ("mixed", "objects"):
        found = (await (await kinds_client.get(f"/models/{name}")).json)["inputs"]
        assert [column["name"] for column in found] == list(INPUTS)
        assert {tuple(column) for column in found} == {PUBLIC}
    found = (await (await kinds_client.get("/models/mixed")).json)["inputs"]
    for column in found:
        told = INPUTS[column["name"]]
        assert {key: column[key] for key in told} == told


def test_no_field_of_a_column_is_told_but_those_that_a_client_may_use() -> None:
    assert Input.__struct_fields__ == PUBLIC
    assert set(Column.__struct_fields__) - set(PUBLIC) == {"dtype", "null", "ordered"}


CLASSES = {"water": ["cold", "warm"], "wind": ["calm", "storm"]}
OUTPUTS: dict[str, list[dict[str, Any]]] = {
    "mixed": [
        {"name": "prediction", "type": "integer", "target": "survived", "classes": [0, 1]},
        {"name": "probabilities", "type": "number", "target": "survived", "classes": [0, 1]},
    ],
    "objects": [
        {
            "name": "prediction",
            "type": "number",
            "target": "fare",
            "label": "Fare",
            "unit": "pounds",
        }
    ],
    "several": [
        {"name": "prediction", "type": "string", "target": "water", "classes": CLASSES["water"]},
        {
            "name": "prediction",
            "type": "string",
            "target": "wind",
            "label": "Wind at sea",
            "classes": CLASSES["wind"],
        },
        *(
            {"name": "probabilities", "type": "number", "target": name, "classes": classes}
            for name, classes in CLASSES.items()
        ),
    ],
    "numbers": [
        {"name": "prediction", "type": "number", "target": "mass", "unit": "kg"},
        {"name": "prediction", "type": "number", "target": "length"},
    ],
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_there_is_an_output_for_each_target(name: str, kinds: ModelStore) -> None:
    found = msgspec.to_builtins(outputs(kinds.manifest(name)))
    ranges = [(output.pop("minimum", None), output.pop("maximum", None)) for output in found]
    assert found == OUTPUTS[name]
    for output, (low, high) in zip(found, ranges, strict=True):
        assert (low is None) == (high is None) == ("classes" in output)
        assert low is None or low < high


async def test_a_model_says_whether_its_pipeline_or_its_plain_form_answers_and_why(
    client: Client, kinds_client: Client
) -> None:
    for asked, name, who in (
        (client, "iris", "plain data: "),
        (kinds_client, "mixed", "the pipeline itself: "),
    ):
        told = (await (await asked.get(f"/models/{name}")).json)["served"]
        assert told.startswith(who)
        page = await asked.get(f"/models/{name}", headers={"Accept": "text/html"})
        assert f"answered by {told}" in html.unescape(await page.get_data(as_text=True))


@pytest.mark.skipif(
    not all(map(find_spec, ("onnxruntime", "skl2onnx"))), reason="the extra onnx is not installed"
)
async def test_a_model_says_that_it_answers_in_onnx_and_without_onnxruntime_that_it_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ModelStore(tmp_path)
    rows = np.random.default_rng(0).normal(size=(80, 3))
    # No node knows this metric.
    pipeline = KNeighborsClassifier(metric="cosine").fit(rows, rows[:, 0] > 0)
    store.publish("m", pipeline, rows, rows[:, 0] > 0)
    for onnxruntime, who, why in (
        (True, "its steps converted to ONNX: ", "answers of the pipeline"),
        (False, "the pipeline itself: ", "onnxruntime is not installed"),
    ):
        if not onnxruntime:
            monkeypatch.setattr(backend, "version_of", lambda package: None)
        async with started(create_app(MODEL_STORE=tmp_path, RECIPES="")) as app:
            client = app.test_client()
            answer = await client.post("/models/m/predict", json={"x0": 1, "x1": 2, "x2": 3})
            assert (await answer.json)["prediction"] is True
            told = (await (await client.get("/models/m")).json)["served"]
            assert told.startswith(who)
            assert why in told
            assert (await (await client.get("/models/m/card")).json)["served"] == told
            page = await client.get("/models/m/about", headers={"Accept": "text/html"})
            assert told in html.unescape(await page.get_data(as_text=True))
