"""The document of the API: what it says of values of every kind, and whether that is so."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from quart.typing import TestClientProtocol as Client
from quart_schema.validation import QUART_SCHEMA_RESPONSE_ATTRIBUTE
from sklearn.dummy import DummyRegressor

from model_store import ModelStore
from quart_app import create_app
from quart_app.openapi import Provider, answer_schema, row_schema
from quart_app.serving.servable import Servable

from ...conftest import started
from ...kinds import DECKS, PORTS, PUBLISHED, SEXES, TITLES

VALUES: dict[str, dict[str, Any]] = {
    "age": {"type": ["number", "null"], "title": "Age", "description": "In years."},
    "siblings": {"type": "number", "title": "Siblings aboard"},
    "sex": {"type": "string", "enum": list(SEXES)},
    "class": {"type": "number", "enum": [1, 2, 3]},
    "port": {
        "type": ["string", "null"],
        "enum": [*PORTS, None],
        "title": "Port of embarkation",
        "description": "Where the passenger came aboard.",
    },
    "deck": {"type": "string", "enum": list(DECKS)},
    "title": {"type": ["string", "null"], "examples": list(TITLES)},
    "alone": {"type": "boolean"},
    "boarded": {"type": "string", "format": "date"},
    "woken": {"type": "string", "format": "date-time"},
    "note": {"type": "string"},
}


def test_each_kind_of_column_has_its_schema(kinds: ModelStore) -> None:
    assert row_schema(kinds.manifest("mixed")) == {
        "type": "object",
        "properties": VALUES,
        "required": list(VALUES),
        "additionalProperties": False,
    }


def test_several_targets_are_a_list_with_a_schema_each(kinds: ModelStore) -> None:
    share = {"type": "number", "minimum": 0, "maximum": 1}
    labels = [
        {"type": "string", "enum": ["cold", "warm"]},
        {"type": "string", "enum": ["calm", "storm"]},
    ]
    shares = [
        {"type": "object", "properties": dict.fromkeys(label["enum"], share)} for label in labels
    ]
    one = answer_schema(kinds.manifest("several"), many=False)["properties"]
    many = answer_schema(kinds.manifest("several"), many=True)["properties"]
    for found, name, schemas in (
        (one["prediction"], "prediction", labels),
        (one["probabilities"], "probabilities", shares),
        (many["predictions"]["items"], "predictions", labels),
        (many["probabilities"]["items"], "probabilities", shares),
    ):
        assert found == {"type": "array", "prefixItems": schemas, "minItems": 2}, name
    numbers = answer_schema(kinds.manifest("numbers"), many=False)
    assert numbers["properties"]["prediction"]["prefixItems"] == [{"type": "number"}] * 2
    assert "probabilities" not in numbers["properties"]


@pytest.mark.parametrize("name", PUBLISHED)
async def test_every_example_is_answered_alike_on_every_wire(
    name: str, kinds_client: Client, kinds: ModelStore
) -> None:
    document = await (await kinds_client.get("/openapi.json")).json
    path = f"/models/{name}/predict"
    get, post = document["paths"][path]["get"], document["paths"][path]["post"]
    content = post["requestBody"]["content"]
    query = {each["name"]: each["example"] for each in get["parameters"]}
    parts = httpx.Request(
        "POST",
        "http://localhost",
        files=[
            (key, (None, str(value)))
            for key, value in content["multipart/form-data"]["example"].items()
        ],
    )
    answers = [
        await kinds_client.get(path, query_string=query),
        await kinds_client.post(
            path,
            form=content["application/x-www-form-urlencoded"]["example"],
            headers={"Accept": "application/json"},
        ),
        await kinds_client.post(
            path,
            data=parts.read(),
            headers={**parts.headers, "Accept": "application/json"},
        ),
        *[
            await kinds_client.post(path, json=example["value"])
            for example in content["application/json"]["examples"].values()
        ],
    ]
    assert {answer.status_code for answer in answers} == {200}
    read = [await answer.json for answer in answers]
    ones = [each for each in read if "prediction" in each]
    (many,) = [each for each in read if "predictions" in each]
    explained = [each for each in read if "explanation" in each]
    assert len(explained) == ("explained" in content["application/json"]["examples"])
    first = kinds.load(kinds.verify(name)).sample.predictions[0]
    assert many["predictions"] == [pytest.approx(first)]
    assert [one["prediction"] for one in ones] == many["predictions"] * (len(read) - 1)


async def test_a_missing_value_is_empty_in_the_example_of_a_query(kinds_client: Client) -> None:
    document = await (await kinds_client.get("/openapi.json")).json
    operations = document["paths"]["/models/mixed/predict"]
    parameters = {each["name"]: each for each in operations["get"]["parameters"]}
    example = operations["post"]["requestBody"]["content"]["application/json"]["examples"]["one"]
    missing = {name for name, value in example["value"].items() if value is None}
    assert missing == {"age", "port"}
    for name, parameter in parameters.items():
        assert (parameter["example"] == "") == (name in missing)
        assert parameter.get("allowEmptyValue", False) == (name in {"age", "port", "title"})


Example = tuple[str, str, str, Any]


def examples(document: dict[str, Any]) -> list[Example]:
    """Each example of a body: its path, its content type, its name, and its value."""
    found = []
    for path, operations in document["paths"].items():
        body = operations.get("post", {}).get("requestBody", {"content": {}})
        for kind, content in body["content"].items():
            if kind == "multipart/form-data":
                continue  # written by the test above
            if "example" in content:
                found.append((path, kind, "", content["example"]))
            for name, example in content.get("examples", {}).items():
                found.append((path, kind, name, example["value"]))
    return found


async def test_every_example_of_every_protocol_is_answered_when_it_is_sent(
    kinds_client: Client, kinds: ModelStore
) -> None:
    document = await (await kinds_client.get("/openapi.json")).json
    found = examples(document)
    for path, kind, _, value in found:
        address = path.replace("{version}", "1")
        body: dict[str, Any] = {"json": value} if kind == "application/json" else {"data": value}
        if kind == "application/x-www-form-urlencoded":
            body = {"form": value}
        headers = {
            "Content-Type": kind,
            "Accept": "*/*" if kind == "text/csv" else "application/json",
        }
        answer = await kinds_client.post(address, headers=headers, **body)
        assert answer.status_code == 200, (address, kind, await answer.get_data(as_text=True))
    protocols = {path.split("/")[1] for path, *_ in found}
    assert protocols == {"", "predict", "models", "v1", "v2", "invocations"}
    columns = {name: frozenset(kinds.manifest(name).signature.names) for name in PUBLISHED}
    told_apart = {name for name in columns if [*columns.values()].count(columns[name]) == 1}
    assert {name for path, _, name, _ in found if path == "/invocations"} == told_apart != set()


async def test_an_example_is_shown_where_its_columns_tell_the_model(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    for name, columns in {"one": ["a"], "twin1": ["b"], "twin2": ["b"]}.items():
        X, y = [[0.0], [1.0]], [0.0, 1.0]
        store.publish(name, DummyRegressor().fit(X, y), X, y, feature_names=columns)
    async with started(create_app(MODEL_STORE=tmp_path, RECIPES="")) as app:
        document = await (await app.test_client().get("/openapi.json")).json
    operation = document["paths"]["/invocations"]["post"]
    for content in operation["requestBody"]["content"].values():
        assert list(content["examples"]) == ["one"]
    assert operation["parameters"][0]["schema"]["enum"] == ["one", "twin1", "twin2"]


KEY = f"operator:{hashlib.sha256(b'secret').hexdigest()}"


async def test_the_document_follows_what_is_loaded_and_published(tmp_path: Path) -> None:
    store, rows = ModelStore(tmp_path), [[0.0], [1.0]]
    pipeline = DummyRegressor().fit(rows, [0.0, 1.0])
    store.publish("one", pipeline, rows, feature_names=["a"])
    async with started(create_app(MODEL_STORE=tmp_path, RECIPES="", API_KEYS=KEY)) as app:
        client = app.test_client()

        async def after(action: str) -> list[str]:
            path, key = f"/v2/repository/models/one/{action}", {"X-API-Key": "secret"}
            assert (await client.post(path, headers=key)).status_code == 200
            return list((await described()).get("one.Row", {}).get("properties", {}))

        async def described() -> dict[str, Any]:
            document = await (await client.get("/openapi.json")).json
            schemas: dict[str, Any] = document["components"]["schemas"]
            return schemas

        first, *others = await asyncio.gather(*[described() for _ in range(5)])
        assert list(first["one.Row"]["properties"]) == ["a"]
        assert all(other == first for other in others)
        assert await after("unload") == []
        assert await after("load") == ["a"]
        store.publish("one", pipeline, rows, feature_names=["b"])
        assert await after("load") == ["b"]


async def test_the_document_is_made_aside_and_once_for_what_is_loaded(
    kinds: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    make = Provider.document

    def observed(self: Provider, servables: Sequence[Servable]) -> dict[str, Any]:
        threads.append(threading.get_ident())
        return make(self, servables)

    monkeypatch.setattr(Provider, "document", observed)
    async with started(create_app(MODEL_STORE=kinds.root, RECIPES="")) as app:
        client = app.test_client()
        await asyncio.gather(*[client.get("/openapi.json") for _ in range(3)])
        await client.get("/openapi.json")
    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def test_what_changes_the_server_says_that_it_needs_a_key(kinds_client: Client) -> None:
    document = await (await kinds_client.get("/openapi.json")).json
    keys = document["components"]["securitySchemes"]
    assert keys["bearer"].items() >= {"type": "http", "scheme": "bearer"}.items()
    assert keys["key"].items() >= {"type": "apiKey", "in": "header", "name": "X-API-Key"}.items()
    guarded = {
        path
        for path, operations in document["paths"].items()
        for operation in operations.values()
        if operation.get("security") == [{"bearer": []}, {"key": []}]
    }
    changes = ("promote", "rollback", "canary", "shadow", "stop")
    assert guarded == {
        *(f"/v2/repository/models/{{name}}/{action}" for action in ("load", "unload")),
        *(f"/models/{{name}}/{action}" for action in changes),
        "/models/{name}/predictions",
        "/models/{name}/predictions/{id}",
    }


async def test_every_operation_tells_every_status_and_has_an_id_of_its_own(
    kinds_client: Client,
) -> None:
    document = await (await kinds_client.get("/openapi.json")).json
    operations = [
        (path, operation)
        for path, methods in document["paths"].items()
        for operation in methods.values()
    ]
    for path, operation in operations:
        expected = {"200", "400", "408", "413", "415", "500", "503"}
        if "predict" in path or "infer" in path or path == "/invocations":
            expected |= {"404", "504"}
        if path.endswith("load"):
            expected |= {"401", "403", "404"}
        assert expected <= operation["responses"].keys(), path
    identifiers = [operation["operationId"] for _, operation in operations]
    assert len(set(identifiers)) == len(identifiers)


async def test_an_error_is_described_in_the_shape_of_its_protocol(kinds_client: Client) -> None:
    document = await (await kinds_client.get("/openapi.json")).json
    shapes = {
        "/models/mixed/predict": ({}, "ErrorBody"),
        "/v1/models/mixed:predict": ({}, "Error"),
        "/v2/models/mixed/infer": ({}, "Error"),
        "/invocations": ({"a": 1}, "ScoringError"),
    }
    for path, (body, name) in shapes.items():
        described = document["paths"][path]["post"]["responses"]["400"]["content"]
        schema = document["components"]["schemas"][name]
        assert described["application/json"]["schema"]["$ref"].endswith(f"/{name}")
        answer = await kinds_client.post(path, json=body)
        assert answer.status_code == 400
        told = await answer.json
        assert set(schema["required"]) <= told.keys() <= set(schema["properties"])


def test_no_two_structures_of_responses_have_the_same_name(tmp_path: Path) -> None:
    views = create_app(MODEL_STORE=tmp_path).view_functions.values()
    schemas = [getattr(view, QUART_SCHEMA_RESPONSE_ATTRIBUTE, {}) for view in views]
    models = {model for found in schemas for model, _ in found.values()}
    _, components = msgspec.json.schema_components(models)
    assert len(components) > 20
    assert [name for name in components if "." in name] == []
