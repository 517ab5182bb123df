"""Clusters, outliers, mixtures, transformations and Gaussian processes at every door."""

from __future__ import annotations

import csv
import io
import json
import struct
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import numpy as np
import pandas
import pytest
from quart.typing import TestClientProtocol as Client
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.impute import SimpleImputer
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from model_store import ModelStore
from quart_app import create_app
from quart_app.serving import servable

from ..conftest import started

draw = np.random.default_rng(7)
X = np.concatenate([draw.normal(4 * place, 1, (15, 2)) for place in range(3)])
VALUE = X[:, 0] * 2 + draw.normal(size=45)
FRAME = pandas.DataFrame(X, columns=["a", "b"]).assign(
    port=draw.choice(["Cork", "Faro"], 45).astype(object)
)
NUMBERS = FRAME[["a", "b"]]
WORDS = [" ".join(f"w{number}" for number in range(at, at + 60)) for at in range(0, 300, 20)]
HTML = {"Accept": "text/html"}


class Case(NamedTuple):
    """A pipeline with its data, what its documents say, and what its pages show."""

    pipeline: Any
    X: Any
    y: Any
    task: str
    outputs: list[str]
    shown: tuple[str, ...]
    about: tuple[str, ...]


CASES = {
    "clusters": Case(
        make_pipeline(StandardScaler(), KMeans(3, n_init=1, random_state=0)),
        NUMBERS, None, "clustering", ["prediction"],
        (">cluster: <strong>", "cluster 0</a>"), ("33.3&nbsp;%", "the cluster: one of 0, 1, 2"),
    ),
    "mixture": Case(
        GaussianMixture(3, random_state=0),
        NUMBERS, None, "clustering", ["prediction", "probabilities"],
        ("Probability of each cluster", "How likely"), ("Nobody says which answers are right",),
    ),
    "outliers": Case(
        make_pipeline(StandardScaler(), IsolationForest(n_estimators=10, random_state=0)),
        NUMBERS, None, "anomaly detection", ["prediction", "score"],
        (">it is: <strong>usual", "below 0 a row is unusual", "What the score is"),
        ("how usual it is: one of unusual, usual", "The offset -0.5 was taken off"),
    ),
    "process": Case(
        GaussianProcessRegressor(alpha=0.1, optimizer=None),
        NUMBERS, VALUE, "regression", ["prediction", "standard_deviation"],
        ("Standard deviation ",), ("standard deviation: a number beside that",),
    ),
    "processes": Case(
        GaussianProcessRegressor(alpha=0.1, optimizer=None),
        NUMBERS, np.column_stack([VALUE, -VALUE]), "regression",
        ["prediction", "prediction", "standard_deviation", "standard_deviation"],
        ("Standard deviation ",), ("standard deviation: a number beside each",),
    ),
    "prepared": Case(
        ColumnTransformer([("n", StandardScaler(), ["a"]), ("p", OneHotEncoder(), ["port"])]),
        FRAME[["a", "port"]], None, "transformation", ["prediction"] * 3,
        ("Transformed to 3 columns", '<th scope="row">p__port_Cork</th>', ">Transform</button>"),
        ("n__a: a number, from", "It transforms rows and predicts nothing"),
    ),
    "one column": Case(
        PCA(1), NUMBERS, None, "transformation", ["prediction"],
        ("Transformed to 1 column<",), ("pca0: a number",),
    ),
    "filled": Case(
        SimpleImputer(strategy="most_frequent"),
        FRAME[["a", "port"]], None, "transformation", ["prediction"] * 2,
        ("Transformed to 2 columns",), ("port: a text.",),
    ),
    "words": Case(
        CountVectorizer(), WORDS, None, "transformation", ["prediction"] * 340,
        ("Transformed to 340 columns", "that are not 0; all columns"), ("and 240 more columns",),
    ),
}  # fmt: skip


def slug(name: str) -> str:
    return name.replace(" ", "-")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    found = ModelStore(tmp_path_factory.mktemp("tasks") / "models")
    for name, case in CASES.items():
        case.pipeline.fit(case.X, case.y)
        found.publish(slug(name), case.pipeline, case.X, case.y)
    return found


@pytest.fixture
async def client(store: ModelStore) -> AsyncIterator[Client]:
    async with started(create_app(MODEL_STORE=store.root, RECIPES="", TOUR=False)) as app:
        yield app.test_client()


class Expected(NamedTuple):
    """What the pipeline itself says of rows: labels, probabilities, and the measure by its name."""

    labels: list[Any]
    shares: Any
    measures: dict[str, list[Any]]


def expected(case: Case, rows: Any) -> Expected:
    pipeline = case.pipeline
    if case.task == "transformation":
        found = pipeline.transform(rows)
        found = np.asarray(found.toarray() if hasattr(found, "toarray") else found)
        return Expected((found[:, 0] if found.shape[1] == 1 else found).tolist(), None, {})
    if case.outputs[-1] == "standard_deviation":
        numbers, deviations = pipeline.predict(rows, return_std=True)
        return Expected(
            numbers.tolist(), None, {"standard_deviation": np.asarray(deviations).tolist()}
        )
    labels = pipeline.predict(rows).tolist()
    if case.task == "anomaly detection":
        return Expected(labels, None, {"score": pipeline.decision_function(rows).tolist()})
    shares = pipeline.predict_proba(rows) if "probabilities" in case.outputs else None
    return Expected(labels, shares, {})


def same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    if isinstance(wanted, float):
        return bool(np.isclose(found, wanted, rtol=1e-9, atol=1e-9))
    return bool(found == wanted)


def rows_of(case: Case) -> tuple[Any, list[dict[str, Any]]]:
    """Three rows of training, as the pipeline and as clients have them."""
    if isinstance(case.X, list):
        return case.X[:3], [{"text": text} for text in case.X[:3]]
    return case.X[:3], case.X[:3].to_dict("records")


async def read(response: Any, status: int = 200) -> bytes:
    data: bytes = await response.get_data()
    assert response.status_code == status, data[:300]
    return data


@pytest.mark.parametrize("name", CASES)
async def test_every_door_tells_what_the_pipeline_says(name: str, client: Client) -> None:
    case = CASES[name]
    given, rows = rows_of(case)
    wanted = expected(case, given)
    path = f"/models/{slug(name)}/predict"
    many = json.loads(await read(await client.post(path, json=rows)))
    one = json.loads(await read(await client.post(path, json=rows[0])))
    assert same(many["predictions"], wanted.labels)
    assert same(one["prediction"], wanted.labels[0])
    for measure, numbers in wanted.measures.items():
        assert same(many[measure], numbers)
        assert same(one[measure], numbers[0])
    assert ("probabilities" in many) == (wanted.shares is not None)
    if wanted.shares is not None:
        assert same([list(row.values()) for row in many["probabilities"]], wanted.shares.tolist())
    await by_table(client, path, rows, wanted)
    await by_tensors(client, slug(name), rows, wanted)
    for other, body in (
        (f"/v1/models/{slug(name)}:predict", {"instances": rows}),
        (f"/invocations?model={slug(name)}", {"dataframe_records": rows}),
    ):
        told = json.loads(await read(await client.post(other, json=body)))
        assert list(told) == ["predictions"]
        assert same(told["predictions"], wanted.labels)


async def by_table(client: Client, path: str, rows: list[Any], wanted: Expected) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    headers = {"Content-Type": "text/csv"}
    answered = await read(await client.post(path, data=text.getvalue(), headers=headers))
    table = list(csv.DictReader(io.StringIO(answered.decode())))
    for row, cells in enumerate(table):
        for measure, numbers in wanted.measures.items():
            found = [float(cell) for head, cell in cells.items() if head.startswith(measure)]
            assert same(found, np.ravel(numbers[row]).tolist())
        predicted = [cell for head, cell in cells.items() if head.startswith("prediction")]
        labels = (
            wanted.labels[row] if isinstance(wanted.labels[row], list) else [wanted.labels[row]]
        )
        assert all(
            cell == label if isinstance(label, str) else same(float(cell), float(label))
            for cell, label in zip(predicted, labels, strict=True)
        )


async def by_tensors(client: Client, name: str, rows: list[Any], wanted: Expected) -> None:
    inputs = [
        {
            "name": column,
            "shape": [len(rows)],
            "datatype": "BYTES" if isinstance(value, str) else "FP64",
            "data": [row[column] for row in rows],
        }
        for column, value in rows[0].items()
    ]
    told = json.loads(
        await read(await client.post(f"/v2/models/{name}/infer", json={"inputs": inputs}))
    )
    found = {output["name"]: output for output in told["outputs"]}
    described = json.loads(await read(await client.get(f"/v2/models/{name}")))
    assert [output["name"] for output in described["outputs"]] == list(found)
    shape = list(np.shape(wanted.labels))
    assert found["predict"]["shape"] == shape
    for measure, numbers in wanted.measures.items():
        assert found[measure]["shape"] == shape
        assert same(found[measure]["data"], np.ravel(numbers).tolist())
        body = {
            "inputs": inputs,
            "outputs": [{"name": measure, "parameters": {"binary_data": True}}],
        }
        head = json.dumps(body).encode()
        headers = {"Inference-Header-Content-Length": str(len(head))}
        response = await client.post(f"/v2/models/{name}/infer", data=head, headers=headers)
        tail = (await read(response))[int(response.headers["Inference-Header-Content-Length"]) :]
        assert same(list(struct.unpack(f"<{len(tail) // 8}d", tail)), np.ravel(numbers).tolist())


async def shown(client: Client, path: str, **values: Any) -> str:
    """A page, with a space for whatever white space there is."""
    page = await read(await client.get(path, query_string=values, headers=HTML))
    return " ".join(page.decode().split())


@pytest.mark.parametrize("name", CASES)
async def test_pages_and_documents_name_the_task(name: str, client: Client) -> None:
    case = CASES[name]
    _, rows = rows_of(case)
    base = f"/models/{slug(name)}"
    described = json.loads(await read(await client.get(base)))
    assert described["task"] == case.task
    assert [output["name"] for output in described["outputs"]] == case.outputs
    card = json.loads(await read(await client.get(f"{base}/card")))
    assert card["task"] == case.task
    page = await shown(client, f"{base}/predict", **rows[0])
    about = await shown(client, f"{base}/about")
    for words in case.shown:
        assert words in page
    for words in case.about:
        assert words in about
    if case.task != "regression":
        assert "regression" not in page + about
    home = await shown(client, "/")
    assert "One of 3 clusters" in home
    assert "Usual or not" in home
    document = json.loads(await read(await client.get("/openapi.json")))
    schema = document["components"]["schemas"][f"{slug(name)}.Prediction"]
    assert set(case.outputs) <= set(schema["properties"])


async def test_the_threshold_of_a_score_is_told(client: Client) -> None:
    described = json.loads(await read(await client.get("/models/outliers")))
    (score,) = [output for output in described["outputs"] if output["name"] == "score"]
    assert score["threshold"] == 0.0
    assert score["offset"] == -0.5
    metadata = json.loads(await read(await client.get("/v2/models/outliers")))
    assert metadata["outputs"][-1]["parameters"] == {"threshold": "0.0"}
    names = json.loads(await read(await client.get("/v2/models/prepared")))
    assert json.loads(names["outputs"][0]["parameters"]["columns"])[0] == "n__a"


async def test_a_request_is_refused_whose_transformed_rows_would_be_too_many(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servable, "MOST_VALUES", 1000)
    rows = [{"text": "w1"}] * 3
    refused = json.loads(await read(await client.post("/models/words/predict", json=rows), 413))
    assert refused["error"].startswith(
        "The model words transforms each row to 340 columns, so a request may bring 2 rows, got 3;"
    )
    await read(await client.post("/models/words/predict", json=rows[:2]))
