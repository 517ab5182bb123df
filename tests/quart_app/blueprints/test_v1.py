"""V1 at its routes: answers, refusals and readiness."""

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

from ...conftest import started
from ...drawing import drawn_rows
from ...kinds import publish_mixed
from ...protocols import Case, Row, lists, mutated, refuse_constant

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXAM = "/v1/models/exam:predict"
MIXED = "/v1/models/mixed:predict"
ROW = {"X1": 61.1, "X2": 17.3}


@pytest.fixture(scope="module")
def store(bundled_root: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    """`exam` and `mixed`; not to be written to."""
    root = tmp_path_factory.mktemp("models")
    shutil.copytree(bundled_root / "exam", root / "exam")
    store = ModelStore(root)
    store.promote("exam", 1, "best")
    publish_mixed(store)
    return store


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(store: ModelStore) -> AsyncIterator[Client]:
    """A client of an app that serves them."""
    async with started(create_app(MODEL_STORE=store.root, RECIPES="")) as app:
        yield app.test_client()


@pytest.fixture(scope="module")
def passenger(store: ModelStore) -> Row:
    """A row without a gap."""
    return next(
        row for row in drawn_rows(store.manifest("mixed"), 1, 50) if None not in row.values()
    )


async def predictions(client: Client, path: str, content: Any) -> Any:
    answer = await client.post(path, data=json.dumps(content).encode())
    data = await answer.get_data()
    assert answer.status_code == 200, data
    assert answer.content_type == "application/json"
    content = json.loads(data, parse_constant=refuse_constant)
    assert content.keys() == {"predictions"}
    return content["predictions"]


async def test_versions_and_aliases_answer(client: Client) -> None:
    for part in ("", "/versions/1", "/versions/best"):
        path = f"/v1/models/exam{part}"
        assert await predictions(client, f"{path}:predict", {"instances": [ROW]}) == [0]
        found = await client.get(path)
        assert (found.status_code, await found.get_json()) == (200, {"name": "exam", "ready": True})
    models = await (await client.get("/v1/models")).get_json()
    assert models == {"models": ["exam", "mixed"]}


async def test_values_of_every_type_may_be_the_whole_of_another(
    client: Client, store: ModelStore, passenger: Row
) -> None:
    whole = passenger | {"age": 30.0}
    case = Case.of(store, "mixed", [whole])
    for siblings in (passenger["siblings"], float(passenger["siblings"])):
        for age in (30, 30.0):
            row = whole | {"siblings": siblings, "age": age}
            case.same(await predictions(client, MIXED, {"instances": [row]}))
            case.same(await predictions(client, MIXED, {"instances": lists([row])}))
            inputs = {name: [[value]] for name, value in row.items()}
            case.same(await predictions(client, MIXED, {"inputs": inputs}))


Change = dict[str, Any]
ROWS: dict[str, tuple[Change, str]] = {
    "a text for an integer": ({"siblings": "1"}, 'siblings: expected a number, got "1"'),
    "2^63": ({"siblings": 2**63}, "siblings: expected an integer of at most 64 bits"),
    "a text for a number": ({"age": "30"}, 'age: expected a number or null, got "30"'),
    "a truth for a number": ({"age": True}, "age: expected a number or null, got true"),
    "Infinity": ({"age": math.inf}, "age: expected a finite number"),
    "a list for a number": ({"age": [1, 2]}, "age: expected a number or null, got [1, 2]"),
    "an object for a number": ({"age": {}}, "age: expected a number or null, got {}"),
    "NaN where none is allowed": ({"siblings": math.nan}, "siblings: expected a number, got NaN"),
    "null where none is allowed": ({"sex": None}, "sex: expected one of female, male, got null"),
    "an unknown category": ({"sex": "x"}, 'sex: expected one of female, male, got "x"'),
    "no date": ({"boarded": "soon"}, "boarded: expected a date"),
    "an unknown column": ({"cabin": 1}, "cabin: expected one of the columns age, siblings"),
}


@pytest.mark.parametrize(("change", "words"), ROWS.values(), ids=ROWS)
async def test_a_bad_value_is_a_400_that_names_its_row_and_column(
    change: Change, words: str, client: Client, passenger: Row
) -> None:
    row = passenger | change
    await require_refused(client, MIXED, {"instances": [passenger, row]}, 400, f"row 1, {words}")
    columns = {name: [passenger.get(name), value] for name, value in row.items()}
    if change.keys() <= passenger.keys():
        await require_refused(client, MIXED, {"inputs": columns}, 400, f"row 1, {words}")
        rows = lists([passenger, row])
        await require_refused(client, MIXED, {"instances": rows}, 400, f"row 1, {words}")


async def require_refused(
    client: Client, path: str, content: Any, status: int, words: str, **headers: str
) -> None:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    answer = await client.post(path, data=body, headers={"Accept": "text/html", **headers})
    data = await answer.get_data()
    assert answer.status_code == status, data
    assert answer.content_type == "application/json"
    found = json.loads(data)
    assert found.keys() == {"error"}
    assert words in found["error"], found


BAD: dict[str, tuple[str, Any, int, str]] = {
    "a broken body": (EXAM, b'{"instances":[', 400, "not JSON"),
    "an empty body": (EXAM, b"", 400, "empty body"),
    "a deep body": (EXAM, b'{"instances":' + b"[" * 100_000, 400, "nested too deeply"),
    "a deep value": (
        EXAM,
        b'{"instances":[[1,' + b"[" * 900 + b"]" * 900 + b"]]}",
        400,
        "X2: expected a number",
    ),
    "neither member": (EXAM, {"rows": []}, 400, "either instances or inputs"),
    "both members": (EXAM, {"instances": [ROW], "inputs": [ROW]}, 400, "instances and inputs"),
    "a missing column": (
        EXAM,
        {"instances": [{"X1": 1}]},
        400,
        "X2: expected a number, got nothing",
    ),
    "a value too few": (
        EXAM,
        {"instances": [[1]]},
        400,
        "Expected 2 values in each row, which are",
    ),
    "a value too many": (EXAM, {"instances": [[1, 2, 3]]}, 400, "which are X1, X2; got 3."),
    "an unknown model": ("/v1/models/nobody:predict", {"instances": [ROW]}, 404, "nobody"),
    "an unknown version": (
        "/v1/models/exam/versions/9:predict",
        {"instances": [ROW]},
        404,
        "9",
    ),
    "too many rows": (EXAM, {"instances": [[1, 2]] * 10_001}, 413, "10000 rows, got 10001"),
    "too many bytes": (EXAM, b" " * 2_000_000, 413, "1048576 bytes"),
    "a verb that is not spoken": ("/v1/models/exam:praise", {"instances": [ROW]}, 404, "address"),
    "no verb": ("/v1/models/exam", {"instances": [ROW]}, 405, "method"),
}


@pytest.mark.parametrize(("path", "content", "status", "words"), BAD.values(), ids=BAD)
async def test_a_bad_request_gets_its_status_and_a_sentence(
    path: str, content: Any, status: int, words: str, client: Client
) -> None:
    await require_refused(client, path, content, status, words)


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
    await require_refused(client, EXAM, body, status, "", **{"Content-Encoding": coding})


async def test_a_verb_is_no_part_of_a_name(client: Client) -> None:
    for path in (EXAM, "/v1/models/exam/versions/1:predict"):
        answer = await client.get(path)
        assert answer.status_code == 405
        assert set(answer.headers["Allow"].split(", ")) == {"OPTIONS", "POST"}


async def test_a_compressed_body_is_answered(client: Client) -> None:
    body = gzip.compress(json.dumps({"instances": [ROW]}).encode())
    answer = await client.post(EXAM, data=body, headers={"Content-Encoding": "gzip"})
    assert await answer.get_json() == {"predictions": [0]}


VALID: list[Any] = [
    {"instances": [ROW, ROW]},
    {"instances": [[61.1, 17.3]]},
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
    answer = await client.post(EXAM, data=json.dumps(content).encode())
    found = json.loads(await answer.get_data(), parse_constant=refuse_constant)
    assert (answer.status_code, set(found)) in [(200, {"predictions"}), (400, {"error"})]


async def test_while_a_model_is_on_its_way_it_is_a_503(store: ModelStore) -> None:
    app = create_app(MODEL_STORE=store.root, RECIPES="")
    async with started(app) as running:
        client = running.test_client()
        context_of(app).registry.entry("later")
        for answer in (
            await client.post("/v1/models/later:predict", json={"instances": [ROW]}),
            await client.get("/v1/models/later"),
        ):
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
            assert "not ready yet" in (await answer.get_json())["error"]
        assert await predictions(client, EXAM, {"instances": [ROW]}) == [0]
