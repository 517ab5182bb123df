"""The column type of docs/extending.md: a class and a line in a table, and all else knows it."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from quart.typing import TestClientProtocol as Client
from sklearn.linear_model import LinearRegression

from model_store import InvalidRows, ModelStore, Signature
from model_store.column_types import TYPES, ColumnType
from model_store.columns import Column
from quart_app import create_app

from .conftest import started
from .documents import ROOT, files

PAGE = (ROOT / "docs/extending.md").read_text()


@pytest.fixture(autouse=True)
def types(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of types with a line for that of the page."""
    scope: dict[str, Any] = {}
    exec(files(PAGE)["share.py"], scope)
    share = scope["ShareType"]()
    monkeypatch.setitem(TYPES, share.name, share)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    """Of an app with the model `mix`, which answers a hundred times the share of `milk`."""
    store = ModelStore(tmp_path)
    X = np.linspace(0, 1, 20)[:, None]
    pipeline = LinearRegression().fit(X, 100 * X[:, 0])
    store.publish("mix", pipeline, X, X[:, 0], feature_names=["milk"])
    path = store.root / "mix" / "1" / "manifest.json"
    manifest = json.loads(path.read_bytes())
    manifest["signature"]["columns"][0]["type"] = "share"
    path.write_text(json.dumps(manifest))
    async with started(create_app(MODEL_STORE=store.root, RECIPES="")) as app:
        yield app.test_client()


def test_the_page_tells_every_part() -> None:
    told = re.findall(r"^\| `(\w+)` \|", PAGE.split("\n## A column type\n")[1], re.MULTILINE)
    assert {*told, "name"} == ColumnType.__abstractmethods__


@pytest.mark.parametrize("values", [["45 %", 0.45, "0.45"], np.array([0.45] * 3), ["45%"] * 30])
@pytest.mark.parametrize("dtype", ["float64", "object"])
def test_the_signature_brings_its_values_to_cells(values: Any, dtype: str) -> None:
    signature = Signature(columns=(Column(name="x", type="share"),), dtype=dtype)
    assert signature.validate({"x": values}, len(values)).tolist() == [[0.45]] * len(values)
    with pytest.raises(InvalidRows, match=r'^row 1, x: expected a share such as 45 %, got "50"$'):
        signature.validate({"x": [0.5, "50"]}, 2)


async def test_json_is_answered(client: Client) -> None:
    answer = await client.post("/models/mix/predict", json=[{"milk": "45 %"}, {"milk": 0.5}])
    found = await answer.get_json()
    assert found["predictions"] == pytest.approx([45.0, 50.0])
    refused = await client.post("/models/mix/predict", json={"milk": 2})
    assert refused.status_code == 400
    assert (await refused.get_json())["details"] == [
        {"row": 0, "column": "milk", "expected": "a share such as 45 %", "got": "2"}
    ]


async def test_the_form_has_a_control_for_it(client: Client) -> None:
    html = {"Accept": "text/html"}
    page = await (await client.get("/models/mix", headers=html)).get_data(as_text=True)
    assert '<input type="text" id="field-1" name="milk"' in page
    posted = await client.post("/models/mix/predict", form={"milk": "45 %"}, headers=html)
    assert posted.status_code == 200
    assert "45" in await posted.get_data(as_text=True)
    wrong = await client.post("/models/mix/predict", form={"milk": "half"}, headers=html)
    told = "Expected a share such as 45 %, got &#34;half&#34;."
    assert told in await wrong.get_data(as_text=True)


async def test_the_documents_describe_it(client: Client) -> None:
    document = await (await client.get("/openapi.json")).get_json()
    assert json.dumps({"type": ["number", "string"]}) in json.dumps(document)
    metadata = await (await client.get("/v2/models/mix")).get_json()
    assert [tensor["datatype"] for tensor in metadata["inputs"]] == ["FP64"]
    described = await (await client.get("/models/mix")).get_json()
    assert described["inputs"][0]["type"] == "share"
