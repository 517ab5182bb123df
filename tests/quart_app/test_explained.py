"""Explanations by every door: what is asked, what comes back, and what is refused in words."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pytest
from quart.typing import TestClientProtocol as Client
from sklearn.cluster import KMeans
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from model_store import ModelStore
from model_store.recipes import RECIPES
from quart_app import create_app
from quart_app.client import Prediction, Predictions

from ..conftest import started
from ..protocols import unpacked

JSON: Final = {"Content-Type": "application/json"}
RANDOM: Final = np.random.default_rng(8)
WIDE: Final = RANDOM.normal(size=(80, 12))
TWO: Final = RANDOM.normal(size=(80, 2))
ROW: Final = {"a": 0.5, "b": -1.0}
SIDES: Final = np.where(TWO[:, 0] + TWO[:, 1] ** 2 > 1, "right", "left")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = ModelStore(tmp_path_factory.mktemp("explained"))
    names = ["a", "b"]

    def publish(name: str, pipeline: Any, X: Any, y: Any, **more: Any) -> None:
        store.publish(name, pipeline.fit(X, y), X, y, **more)

    publish(
        "sides",
        make_pipeline(StandardScaler(), LogisticRegression()),
        TWO,
        SIDES,
        feature_names=names,
        words={"right": "to the right"},
    )
    publish("forest", RandomForestClassifier(5, random_state=0), TWO, SIDES, feature_names=names)
    publish(
        "both",
        LinearRegression(),
        TWO,
        np.stack([TWO[:, 0], TWO.sum(axis=1)], axis=1),
        feature_names=names,
        target_name=["first", "sum"],
    )
    publish("near", KNeighborsRegressor(), TWO, TWO[:, 0], feature_names=names)
    publish("explain", LinearRegression(), pd.DataFrame(TWO, columns=["a", "explain"]), TWO[:, 0])
    publish(
        "mixed",
        make_pipeline(PolynomialFeatures(2), LinearRegression()),
        WIDE,
        WIDE[:, 0] * WIDE[:, 1],
    )
    publish("bare", LogisticRegression(), TWO, SIDES, feature_names=names, background=False)
    store.publish("groups", KMeans(2, random_state=0).fit(TWO), TWO, feature_names=names)
    RECIPES["titanic"].train(store)
    return store.root


@pytest.fixture
async def client(root: Path) -> AsyncIterator[Client]:
    async with started(create_app(MODEL_STORE=root, RECIPES="", MAX_EXPLAINED_ROWS=20)) as app:
        yield app.test_client()


async def asked(client: Client, path: str, content: Any, status: int = 200) -> Any:
    response = await client.post(path, data=json.dumps(content), headers=JSON)
    body = await response.get_data(as_text=True)
    assert response.status_code == status, body
    return json.loads(body)


def total(told: dict[str, Any]) -> float:
    return float(told["base"] + sum(told["contributions"].values()))


async def test_a_row_is_explained_beside_its_answer(client: Client) -> None:
    path = "/models/sides/predict"
    answers = [
        await asked(client, path, {"rows": ROW, "explain": True}),
        await asked(client, path, ROW | {"explain": True}),
        await asked(client, f"{path}?explain", ROW),
        await asked(client, f"{path}?explain=probability", ROW),
        json.loads(await (await client.get(f"{path}?a=0.5&b=-1&explain=1")).get_data()),
        json.loads(
            await (
                await client.post(
                    path,
                    form={"a": "0.5", "b": "-1", "explain": "yes"},
                    headers={"Accept": "application/json"},
                )
            ).get_data()
        ),
    ]
    told = answers[0]["explanation"]
    assert all(answer["explanation"] == told for answer in answers)
    assert list(told) == ["base", "scale", "class", "contributions", "method"]
    assert (told["scale"], told["method"]) == ("probability", "exact")
    assert told["class"] == answers[0]["prediction"]
    assert list(told["contributions"]) == ["a", "b"]
    assert total(told) == pytest.approx(answers[0]["probabilities"][told["class"]], abs=1e-9)


@pytest.mark.parametrize("content", [ROW, {"rows": ROW, "explain": False}, ROW | {"explain": "no"}])
async def test_who_does_not_ask_gets_no_explanation(client: Client, content: Any) -> None:
    assert "explanation" not in await asked(client, "/models/sides/predict", content)


async def test_rows_are_explained_each_by_itself_and_with_all_targets(client: Client) -> None:
    rows = [{"a": float(a), "b": float(b)} for a, b in TWO[:9]]
    answer = await asked(client, "/models/forest/predict", {"rows": rows, "explain": True})
    assert len(answer["explanations"]) == 9
    for told, shares in zip(answer["explanations"], answer["probabilities"], strict=True):
        assert total(told) == pytest.approx(shares[told["class"]], abs=1e-9)
    answer = await asked(client, "/models/both/predict", {"rows": rows, "explain": "number"})
    for told, numbers in zip(answer["explanations"], answer["predictions"], strict=True):
        assert [total(each) for each in told] == pytest.approx(numbers, abs=1e-9)
        assert "class" not in told[0]


async def test_v1_has_a_verb_for_it(client: Client) -> None:
    body = {"instances": [[0.5, -1.0], [2.0, 1.0]]}
    answer = await asked(client, "/v1/models/sides:explain", body)
    assert list(answer) == ["explanations", "predictions"]
    assert [told["class"] for told in answer["explanations"]] == answer["predictions"]
    assert await asked(client, "/v1/models/sides/versions/1:explain", body) == answer
    refused = await asked(client, "/v1/models/groups:explain", body, 400)
    assert list(refused) == ["error"]


@pytest.mark.parametrize("binary", [False, True])
async def test_v2_has_an_output_for_it(client: Client, binary: bool) -> None:
    names = ["predict", "predict_proba", "explain"]
    body = {
        "inputs": [{"name": "m", "shape": [2, 2], "datatype": "FP64", "data": [0.5, -1, 2, 1]}],
        "outputs": [{"name": name, "parameters": {"binary_data": binary}} for name in names],
    }
    head = json.dumps(body).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    response = await client.post("/v2/models/sides/infer", data=head, headers=headers)
    assert response.status_code == 200
    data = await response.get_data(as_text=False)
    length = response.headers.get("Inference-Header-Content-Length")
    content = json.loads(data) if length is None else unpacked(data, int(length))
    assert (length is not None) == binary
    told = {each["name"]: each for each in content["outputs"]}
    told["explain"]["parameters"].pop("binary_data_size", None)
    assert told["explain"]["shape"] == [2, 3]
    assert told["explain"]["parameters"] == {
        "scale": "probability",
        "method": "exact",
        "columns": '["a","b","base"]',
        "classes": json.dumps(told["predict"]["data"], separators=(",", ":")),
    }
    sums = np.reshape(told["explain"]["data"], (2, 3)).sum(axis=1)
    shares = np.reshape(told["predict_proba"]["data"], (2, 2)).max(axis=1)
    np.testing.assert_allclose(sums, shares, atol=1e-9)


async def test_a_table_has_a_column_for_each_reason(client: Client) -> None:
    lines = "\r\n".join(f"{a},{b}" for a, b in TWO[:50].tolist())
    response = await client.post(
        "/models/sides/predict?explain=log-odds",
        data=f"a,b\r\n{lines}\r\nmany,1\r\n",
        headers={"Content-Type": "text/csv"},
    )
    # A fault among the first rows is that of the request.
    assert response.status_code == 400
    response = await client.post(
        "/models/sides/predict?explain=log-odds",
        data=f"a,b\r\n{lines}\r\n",
        headers={"Content-Type": "text/csv"},
    )
    rows = list(csv.DictReader(io.StringIO(await response.get_data(as_text=True))))
    assert list(rows[0])[-4:] == ["base", "reason_a", "reason_b", "error"]
    assert len(rows) == 50  # more than one request may have explained
    for row in rows:
        share = float(row[f"probability_{row['prediction']}"])
        odds = sum(float(row[name]) for name in ("base", "reason_a", "reason_b"))
        assert 1 / (1 + np.exp(-odds)) == pytest.approx(share, abs=1e-9)


async def test_each_line_of_json_lines_has_its_explanation(client: Client) -> None:
    lines = [json.dumps({"a": a, "b": b}) for a, b in TWO[:50].tolist()]
    response = await client.post(
        "/models/sides/predict?explain",
        data="\n".join([*lines, '{"a": "many", "b": 1}']),
        headers={"Content-Type": "application/jsonl"},
    )
    assert response.status_code == 200
    *answers, faulty = map(json.loads, (await response.get_data(as_text=True)).splitlines())
    assert len(answers) == 50  # more than one request may have explained
    for answer in answers:
        told = answer["explanation"]
        together = told["base"] + sum(told["contributions"].values())
        assert together == pytest.approx(answer["probabilities"][str(told["class"])], abs=1e-9)
    assert faulty == {"error": 'a: expected a number, got "many"', "row": 50}


async def test_a_column_of_that_name_is_a_column(client: Client) -> None:
    row = {"a": 1.0, "explain": 2.0}
    answer = await asked(client, "/models/explain/predict", row)
    assert answer["prediction"] == pytest.approx(1.0)
    told = await asked(client, "/models/explain/predict", {"rows": row, "explain": True})
    assert list(told["explanation"]["contributions"]) == ["a", "explain"]


REFUSED: Final[dict[str, tuple[str, Any, int, str]]] = {
    "no word": ("sides", {"rows": ROW, "explain": "loud"}, 400, "true, false or a scale among"),
    "no such scale": (
        "sides",
        {"rows": ROW, "explain": "number"},
        400,
        "expected probability, log",
    ),
    "a number": ("sides", ROW | {"explain": 1}, 400, "got 1"),
    "no probability": ("groups", {"rows": ROW, "explain": True}, 400, "tells a class alone"),
    "no background": ("bare", {"rows": ROW, "explain": True}, 400, "keeps no rows"),
    "too many rows": ("sides", {"rows": [ROW] * 21, "explain": True}, 413, "EXPLAINED_ROWS"),
    "a key twice": ("sides", None, 400, "twice"),
    "no row": ("sides", {"rows": 3, "explain": True}, 400, "rows"),
    "too many columns": (
        "mixed",
        {"rows": {f"x{i}": 0.1 for i in range(12)}, "explain": True},
        400,
        "EXPLAIN_SAMPLING",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_cannot_be_explained_is_said(client: Client, name: str) -> None:
    model, content, status, words = REFUSED[name]
    body = json.dumps(content)
    if content is None:
        body = '{"rows": {"a": 1, "a": 2, "b": 1}, "explain": true}'
    response = await client.post(f"/models/{model}/predict", data=body, headers=JSON)
    told = json.loads(await response.get_data())
    assert response.status_code == status, told
    assert words in told["error"]


async def test_estimates_and_time_are_settings(root: Path) -> None:
    row = {f"x{i}": 0.3 for i in range(12)}
    settings: dict[str, Any] = {"MODEL_STORE": root, "RECIPES": ""}
    async with started(create_app(**settings, EXPLAIN_SAMPLING=True)) as app:
        content = {"rows": row, "explain": True}
        answer = await asked(app.test_client(), "/models/mixed/predict", content)
        told = answer["explanation"]
        assert told["method"] == "sampling"
        assert list(told["error"]) == list(row)
        assert total(told) == pytest.approx(answer["prediction"], abs=1e-9)
    async with started(create_app(**settings, EXPLAIN_SECONDS=1e-9)) as app:
        content = {"rows": ROW, "explain": True}
        refused = await asked(app.test_client(), "/models/near/predict", content, 400)
        assert "takes longer than" in refused["error"]
        assert "explanation" not in await asked(app.test_client(), "/models/near/predict", ROW)


async def test_the_client_reads_what_is_sent(client: Client) -> None:
    import msgspec

    path = "/models/both/predict"
    for kind, rows in ((Prediction, ROW), (Predictions, [ROW])):
        answer = await asked(client, path, {"rows": rows, "explain": True})
        found: Any = msgspec.convert(answer, kind)
        told = found.explanation if kind is Prediction else found.explanations[0]
        assert told[1].contributions.keys() == {"a", "b"}
        assert told[1].class_ is None


async def test_the_api_tells_of_it_where_it_is_answered(client: Client) -> None:
    document = json.loads(await (await client.get("/openapi.json")).get_data())
    paths = document["paths"]
    assert "/v1/models/sides:explain" in paths
    assert "/v1/models/bare:explain" not in paths
    (query,) = paths["/models/sides/predict"]["post"]["parameters"]
    assert query["name"] == "explain"
    schema = document["components"]["schemas"]["sides.Prediction"]["properties"]["explanation"]
    assert schema["properties"]["contributions"]["required"] == ["a", "b"]


PASSENGER: Final = "pclass=3&sex=male&age=&sibsp=1&parch=0&fare=7.25&embarked=S"


async def page_of(client: Client, path: str) -> str:
    response = await client.get(path, headers={"Accept": "text/html"})
    assert response.status_code == 200
    return await response.get_data(as_text=True)


async def test_the_page_says_why(client: Client) -> None:
    page = await page_of(client, f"/models/titanic/predict?{PASSENGER}")
    words = " ".join(page.split())
    assert page.index("Why?") < page.index("What if?")
    assert "<strong>Sex</strong> of male speaks for “did not survive”:" in words
    assert "<strong>Age</strong> is missing and" in words
    assert "points" in words
    assert "No reasons are shown" not in words
    page = await page_of(client, "/models/bare/predict?a=1&b=2")
    assert "No reasons are shown. The model bare cannot be explained: it was" in page


async def test_about_says_which_columns_matter(client: Client) -> None:
    page = await page_of(client, "/models/titanic/about")
    assert page.count("chart-strip") == 5
    assert "over 200 rows of the training data" in page
    page = await page_of(client, "/models/bare/about")
    assert "cannot be explained: it was published without training data" in page
