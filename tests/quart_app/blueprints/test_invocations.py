"""The scoring protocol of MLflow and SageMaker at its routes."""

from __future__ import annotations

import gzip
import json
import math
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, settings
from quart.typing import TestClientProtocol as Client

from model_store import ModelStore
from quart_app import create_app
from quart_app.context import context_of
from quart_app.version import VERSION

from ...conftest import started
from ...drawing import drawn_rows
from ...kinds import publish_mixed
from ...protocols import Case, Row, lists, mutated, refuse_constant

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATH = "/invocations"
ROW = {"X1": 61.1, "X2": 17.3}
SPLIT = {"dataframe_split": {"columns": ["X1", "X2"], "data": [[61.1, 17.3]]}}
JSON = "application/json"


@pytest.fixture(scope="module")
def store(bundled_root: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    """`exam`, `iris` and `mixed`; not to be written to."""
    root = tmp_path_factory.mktemp("models")
    for name in ("exam", "iris"):
        shutil.copytree(bundled_root / name, root / name)
    publish_mixed(ModelStore(root))
    return ModelStore(root)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(store: ModelStore) -> AsyncIterator[Client]:
    """A client of an app that serves them."""
    async with started(create_app(MODEL_STORE=store.root, RECIPES="")) as app:
        yield app.test_client()


async def post(client: Client, content: Any, path: str = PATH, **headers: str) -> tuple[int, Any]:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    answer = await client.post(path, data=body, headers={"Content-Type": JSON, **headers})
    assert answer.content_type == JSON
    return answer.status_code, json.loads(await answer.get_data(), parse_constant=refuse_constant)


CHOSEN: dict[str, tuple[str, Any, Any]] = {
    "columns of a split frame": ("", SPLIT, [0]),
    "records": ("", {"dataframe_records": [ROW, ROW]}, [0, 0]),
    "columns in another order": ("", {"instances": [{"X2": 17.3, "X1": 61.1}]}, [0]),
    "inputs by column": ("", {"inputs": {"X1": [61.1], "X2": [17.3]}}, [0]),
    "lists go to the default": ("", {"instances": [[6.3, 3.3, 6.0, 2.5]]}, ["virginica"]),
    "lists go to the model that is asked": ("?model=exam", {"instances": [[61.1, 17.3]]}, [0]),
    "inputs that are lists": ("?model=exam", {"inputs": [[61.1, 17.3]]}, [0]),
    "params": ("", {**SPLIT, "params": {"a": 1}}, [0]),
}


@pytest.mark.parametrize(("query", "content", "told"), CHOSEN.values(), ids=CHOSEN)
async def test_the_model_is_that_of_the_columns_or_the_one_that_is_asked(
    query: str, content: Any, told: Any, client: Client
) -> None:
    assert await post(client, content, PATH + query) == (200, {"predictions": told})


@pytest.mark.parametrize("kind", [f"{JSON}; charset=utf-8", "Application/JSON", ""])
async def test_json_may_have_a_charset_or_no_type(kind: str, client: Client) -> None:
    headers = {"Content-Type": kind} if kind else {}
    answer = await client.post(PATH, data=json.dumps(SPLIT).encode(), headers=headers)
    assert await answer.get_json() == {"predictions": [0]}


async def test_what_pandas_writes_of_what_is_missing_is_missing(
    client: Client, store: ModelStore
) -> None:
    rows = drawn_rows(store.manifest("mixed"), 2, 3)
    rows[0]["age"], rows[1]["port"] = None, None
    case = Case.of(store, "mixed", rows)
    sent = [[math.nan if value is None else value for value in row] for row in lists(rows)]
    split = {"index": [0, 1, 2], "columns": list(rows[0]), "data": sent}
    status, found = await post(client, {"dataframe_split": split})
    assert status == 200
    case.same(found["predictions"])
    rows[0]["boarded"] = "NaT"
    status, found = await post(client, {"dataframe_records": rows})
    assert status == 400
    assert "row 0, boarded: expected a date" in found["message"]


BAD: dict[str, tuple[str, Any, int, str]] = {
    "a broken body": ("", b'{"inputs":', 400, "not JSON"),
    "an empty body": ("", b"", 400, "empty body"),
    "a deep body": ("", b'{"inputs":' + b"[" * 100_000, 400, "nested too deeply"),
    "none of the forms": ("", {}, 400, "got none of them"),
    "two of the forms": ("", {**SPLIT, "instances": [ROW]}, 400, "dataframe_split and instances"),
    "NaN where none is allowed": (
        "",
        {"dataframe_records": [ROW, {**ROW, "X1": math.nan}]},
        400,
        "row 1, X1: expected a number, got NaN",
    ),
    "a missing column": (
        "",
        {"instances": [{"X1": 1}]},
        400,
        "X2: expected a number, got nothing",
    ),
    "an unknown column": (
        "",
        {"instances": [{**ROW, "X3": 1}]},
        400,
        "X3: expected one of the columns X1, X2",
    ),
    "a text for a number": (
        "",
        {"instances": [{**ROW, "X1": "1"}]},
        400,
        "X1: expected a number, got",
    ),
    "a wrong number of values": ("?model=exam", {"instances": [[1]]}, 400, "which are X1, X2"),
    "too many rows": ("", {"inputs": {"X1": [1] * 10_001}}, 413, "10000 rows, got 10001"),
    "too many bytes": ("", b" " * 2_000_000, 413, "1048576 bytes"),
    "an unknown model": ("?model=nobody", SPLIT, 404, "nobody"),
    "a model without a name": ("?model=", SPLIT, 404, ""),
}
CODES = {400: "BAD_REQUEST", 404: "RESOURCE_DOES_NOT_EXIST", 413: "BAD_REQUEST", 415: "BAD_REQUEST"}


@pytest.mark.parametrize(("query", "content", "status", "words"), BAD.values(), ids=BAD)
async def test_a_bad_request_gets_its_code_and_a_sentence(
    query: str, content: Any, status: int, words: str, client: Client
) -> None:
    require_refused(await post(client, content, PATH + query, Accept="text/html"), status, words)


def require_refused(answer: tuple[int, Any], status: int, words: str) -> None:
    assert answer[0] == status, answer
    assert answer[1].keys() == {"error_code", "message"}
    assert answer[1]["error_code"] == CODES[status]
    assert words in answer[1]["message"], answer


CHANGES: dict[str, tuple[Row, str]] = {
    "a text for an integer": ({"siblings": "two"}, 'siblings: expected a number, got "two"'),
    "an unknown category": ({"deck": "Z"}, "deck: expected one of A, B, C, D, E"),
    "2^63": ({"siblings": 2**63}, "siblings: expected an integer of at most 64 bits"),
}


@pytest.mark.parametrize(("change", "words"), CHANGES.values(), ids=CHANGES)
async def test_a_bad_value_is_a_400_that_names_its_row_and_column(
    change: Row, words: str, client: Client, store: ModelStore
) -> None:
    rows = drawn_rows(store.manifest("mixed"), 2, 3)
    rows[2] |= change
    split = {"columns": list(rows[0]), "data": lists(rows)}
    forms = [
        {"dataframe_split": split},
        {"dataframe_records": rows},
        {"instances": rows},
        {"inputs": {name: [row[name] for row in rows] for name in rows[0]}},
    ]
    for content in forms:
        require_refused(await post(client, content), 400, f"row 2, {words}")


@pytest.mark.parametrize("kind", ["application/xml", "text/plain", "image/png"])
async def test_another_type_is_a_415(kind: str, client: Client) -> None:
    answer = await post(client, SPLIT, **{"Content-Type": kind})
    require_refused(answer, 415, f"application/json or text/csv, got {kind}.")


CODED: dict[str, tuple[bytes, str, int]] = {
    "a gzip bomb": (gzip.compress(bytes(20_000_000)), "gzip", 413),
    "an unknown coding": (b"{}", "br", 415),
    "gzip that is cut off": (gzip.compress(b"{}")[:-1], "gzip", 400),
    "no gzip": (b"{}", "gzip", 400),
}


@pytest.mark.parametrize(("body", "coding", "status"), CODED.values(), ids=CODED)
async def test_a_body_that_cannot_be_inflated_is_refused(
    body: bytes, coding: str, status: int, client: Client
) -> None:
    require_refused(await post(client, body, **{"Content-Encoding": coding}), status, "")


VALID: list[Any] = [
    SPLIT,
    {"dataframe_records": [ROW, ROW]},
    {"instances": [ROW]},
    {"inputs": {"X1": [1, 2], "X2": [3, 4]}},
]


@settings(
    deadline=None,
    max_examples=60,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(content=mutated(VALID))
async def test_a_body_with_a_fault_anywhere_is_answered_or_a_400(
    content: Any, client: Client
) -> None:
    status, found = await post(client, content)
    assert (status, set(found)) in [(200, {"predictions"}), (400, {"error_code", "message"})]


async def test_ping_and_health_follow_ready_and_the_version_is_bare_text(
    store: ModelStore,
) -> None:
    app = create_app(MODEL_STORE=store.root, RECIPES="")
    async with started(app) as running:
        client = running.test_client()
        assert await (await client.get("/version")).get_data(as_text=True) == VERSION
        for path in ("/ping", "/health"):
            assert (await client.get(path)).status_code == 200
        context_of(app).registry.entry("later")
        for path in ("/ping", "/health"):
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")


async def test_a_wrong_method_is_refused_in_the_shape_of_the_protocol(client: Client) -> None:
    for path in ("/ping", "/version", PATH):
        answer = await (client.get if path == PATH else client.post)(path)
        assert answer.status_code == 405
        assert (await answer.get_json()).keys() == {"error_code", "message"}


async def test_while_models_are_on_their_way_what_may_be_theirs_is_a_503(
    store: ModelStore,
) -> None:
    app = create_app(MODEL_STORE=store.root, RECIPES="")
    async with started(app) as running:
        client = running.test_client()
        context_of(app).registry.entry("later")
        assert await post(client, SPLIT) == (200, {"predictions": [0]})
        for query, content in (("", {"instances": [{"a": 1}]}), ("?model=later", SPLIT)):
            answer = await client.post(PATH + query, json=content)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
            found = await answer.get_json()
            assert found["error_code"] == "TEMPORARILY_UNAVAILABLE"
            assert "way" in found["message"] or "not ready yet" in found["message"]
