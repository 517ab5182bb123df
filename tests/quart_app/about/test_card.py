"""The card of a model, from its manifest and as the server answers it."""

from __future__ import annotations

import html
from typing import Any

import msgspec
import numpy as np
import pytest
from quart.typing import TestClientProtocol as Client
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, scale

from model_store import Manifest, ModelStore
from model_store.manifest import File, Source
from model_store.recipes import RECIPES
from quart_app import create_app
from quart_app.about.card import Card, card
from quart_app.context import context_of

from ...conftest import started


async def fetch(client: Client, path: str, status: int = 200) -> Any:
    answer = await client.get(path)
    assert answer.status_code == status, await answer.get_data()
    return await answer.get_json()


@pytest.mark.parametrize("name", RECIPES)
async def test_the_card_says_what_the_manifest_says(
    name: str, client: Client, bundled: ModelStore
) -> None:
    found = msgspec.convert(await fetch(client, f"/models/{name}/card"), Card)
    manifest = bundled.manifest(name)
    expected = card(manifest, versions=[1], aliases={}, serving=1)
    assert found == msgspec.convert(msgspec.to_builtins(expected), Card)
    assert found.measurement.scores == manifest.metrics
    assert found.measurement.how == manifest.validation
    assert tuple(found.measurement.evaluations) == manifest.evaluations
    assert found.origin.rows == len(RECIPES[name].data().X)
    assert found.origin.libraries == manifest.libraries
    assert found.origin.created == manifest.created
    assert tuple(found.targets) == manifest.targets
    assert [each.name for each in found.inputs] == list(manifest.signature.names)


async def test_each_column_tells_what_its_field_needs(client: Client) -> None:
    columns = {
        each["name"]: each for each in (await fetch(client, "/models/titanic/card"))["inputs"]
    }
    assert columns["age"] == {
        "name": "age",
        "type": "number",
        "label": "Age",
        "unit": "years",
        "description": None,
        "minimum": 0,
        "maximum": 71,
        "typical": 29,
        "quartiles": [20, 29, 39],
        "step": 1,
        "categories": None,
        "open": False,
        "missing": True,
    }
    assert columns["embarked"]["categories"] == ["C", "Q", "S"]


@pytest.mark.parametrize(
    ("versions", "aliases", "serving", "why"),
    [
        ([1], {}, 1, "It is the highest version, and there is no alias champion."),
        ([1, 4], {"champion": 1, "canary": 4}, 1, "The alias champion names it."),
        (
            [1, 2, 3],
            {"champion": 3},
            2,
            "Version 3 serves once it is loaded beside it, unless it does not load.",
        ),
        (
            [1, 2],
            {"canary": 1},
            1,
            "Version 2 serves once it is loaded beside it, unless it does not load.",
        ),
        ([1, 2], {"champion": 2}, None, None),
        ([2], {}, 1, None),
    ],
)
def test_the_version_that_serves_says_why(
    versions: list[int],
    aliases: dict[str, int],
    serving: int | None,
    why: str | None,
    bundled: ModelStore,
) -> None:
    found = card(bundled.manifest("iris"), versions=versions, aliases=aliases, serving=serving)
    assert [each.version for each in found.versions] == versions
    assert [each.why for each in found.versions if each.serves] == ([why] if why else [])
    assert all(each.why is None for each in found.versions if not each.serves)
    assert {alias: each.version for each in found.versions for alias in each.aliases} == aliases


def test_an_imported_model_tells_its_files(bundled: ModelStore) -> None:
    manifest: Manifest = msgspec.structs.replace(
        bundled.manifest("iris"),
        source=Source(files={"a.pkl": File.of(b"")}, scikit_learn="1.5.0"),
        code="mine.py",
        allowed=("posix.getcwd",),
    )
    found = card(manifest, versions=[1], aliases={}, serving=1).origin
    assert found.files == {"a.pkl": File.of(b"").sha256}
    assert (found.written_with, found.code) == ("1.5.0", "mine.py")
    assert found.reading == (
        "Reading the artifact may run code: "
        "it may call posix.getcwd and defines classes in mine.py."
    )


async def test_the_page_and_the_descriptions_say_what_it_is_to_read_a_model(
    client: Client, bundled: ModelStore
) -> None:
    reading = "Reading the artifact makes data and runs no code of its own."
    assert bundled.manifest("exam").reading == reading
    assert (await fetch(client, "/models/exam"))["reading"] == reading
    assert (await fetch(client, "/models/exam/card"))["origin"]["reading"] == reading
    assert reading in await (await client.get("/models/exam/about")).get_data(as_text=True)


async def test_a_model_whose_answers_vary_says_so_and_answers_each_row_as_if_alone(
    store: ModelStore,
) -> None:
    X = np.array([[9.0, 1.0], [1.0, 9.0], [8.0, 2.0], [3.0, 6.0]] * 5)
    pipeline = make_pipeline(FunctionTransformer(scale), LogisticRegression())
    pipeline.fit(X, [1, 0, 1, 0] * 5)
    sentence = store.publish("scaled", pipeline, X, allow_varying=True).variation
    assert sentence is not None
    async with started(create_app(MODEL_STORE=store.root, RECIPES="")) as app:
        client = app.test_client()
        assert (await fetch(client, "/models/scaled"))["varies"] == sentence
        assert (await fetch(client, "/models/scaled/card"))["varies"] == sentence
        assert (await fetch(client, "/models/exam/card"))["varies"] is None
        for page in ("/models/scaled/about", "/models/scaled"):
            shown = await client.get(page, headers={"Accept": "text/html"})
            assert html.escape(sentence) in await shown.get_data(as_text=True)
        rows = X[:4].tolist()
        together = await client.post("/v1/models/scaled:predict", json={"instances": rows})
        found = (await together.get_json())["predictions"]
        for row, answer in zip(rows, found, strict=True):
            alone = await fetch(client, f"/models/scaled/predict?x0={row[0]}&x1={row[1]}")
            assert alone["prediction"] == answer


async def test_each_version_has_a_card_and_is_not_loaded_for_it(store: ModelStore) -> None:
    X = np.array([[0.0], [1.0]])
    store.publish("exam", LinearRegression().fit(X, [0.0, 1.0]), X, [0.0, 1.0], title="Another")
    store.promote("exam", 1)
    store.promote("exam", 2, "next")
    app = create_app(MODEL_STORE=store.root, RECIPES="")
    async with started(app) as running:
        client = running.test_client()
        serving = await fetch(client, "/models/exam/card")
        other = await fetch(client, "/models/exam/versions/2/card")
        assert await fetch(client, "/models/exam/versions/next/card") == other
        assert await fetch(client, "/models/exam/versions/champion/card") == serving
        assert (serving["version"], other["version"]) == (1, 2)
        assert (serving["title"], other["title"]) == ("Exam", "Another")
        assert other["measurement"] == {"how": None, "scores": {}, "evaluations": []}
        assert serving["versions"] == other["versions"]
        assert context_of(app).registry.others == {}
        await fetch(client, "/models/exam/versions/3/card", 404)
        await fetch(client, "/models/nobody/card", 404)


async def test_a_model_that_failed_or_came_later_has_a_card(store: ModelStore) -> None:
    (store.root / "iris" / "1" / "sample.json").write_bytes(b"damaged")
    async with started(create_app(MODEL_STORE=store.root, RECIPES="")) as app:
        client = app.test_client()
        failed = await fetch(client, "/models/iris/card")
        assert failed["title"] == "Iris"
        assert [each["serves"] for each in failed["versions"]] == [False]
        X = np.array([[0.0], [1.0]])
        store.publish("later", LinearRegression().fit(X, [0.0, 1.0]), X, [0.0, 1.0])
        assert (await fetch(client, "/models/later/card"))["version"] == 1


async def test_a_model_that_is_being_trained_says_so(tmp_path: Any) -> None:
    app = create_app(MODEL_STORE=tmp_path / "none", RECIPES="exam")
    async with app.test_app() as running:
        answer = await running.test_client().get("/models/exam/card")
        assert answer.status_code == 503
        assert "Retry-After" in answer.headers


async def test_the_document_describes_the_card(client: Client) -> None:
    document = await fetch(client, "/openapi.json")
    for path in ("/models/{name}/card", "/models/{name}/versions/{version}/card"):
        content = document["paths"][path]["get"]["responses"]["200"]["content"]
        assert content == {"application/json": {"schema": {"$ref": "#/components/schemas/Card"}}}
    known = document["components"]["schemas"]
    assert {"Card", "Origin", "Measurement", "Evaluation", "Confusion", "Input"} <= set(known)
