"""The Model Context Protocol over HTTP: both eras, what is wrong, who may, and what is listed."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import jsonschema
import numpy as np
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from quart.typing import TestClientProtocol as Client
from sklearn.linear_model import LinearRegression

from model_store import ModelStore
from quart_app import create_app
from quart_app.answering import Call
from quart_app.context import context_of
from quart_app.mcp import messages, revisions
from quart_app.mcp.messages import RpcError
from quart_app.mcp.server import MANY, Server
from quart_app.protocols.protocol import Payload

from ...conftest import started

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODERN: Final = revisions.MODERN[0]
META: Final = {revisions.VERSION_KEY: MODERN, revisions.CAPABILITIES_KEY: {}}
EXAM: Final = {"rows": [{"X1": 61.1, "X2": 17.3}]}
KEY: Final = "secret"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(bundled_root: Path) -> AsyncIterator[Client]:
    """A client of one app for all of these tests: they leave nothing behind."""
    async with started(create_app(MODEL_STORE=bundled_root, RECIPES="")) as app:
        yield app.test_client()


async def send(client: Client, content: Any, **headers: str) -> Any:
    """The response to a message of the older era, or to bytes."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    sent = {"Content-Type": "application/json", **headers}
    return await client.post("/mcp", data=body, headers={k: v for k, v in sent.items() if v})


async def legacy(client: Client, method: str, **params: Any) -> dict[str, Any]:
    answer = await send(client, {"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
    assert answer.status_code == 200
    found: dict[str, Any] = await answer.get_json()
    assert found["jsonrpc"] == "2.0"
    assert found["id"] == 7
    return found


async def modern(client: Client, method: str, **params: Any) -> Any:
    head = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
    if "name" in params:
        head["Mcp-Name"] = params["name"]
    content = {"jsonrpc": "2.0", "id": "a", "method": method, "params": {"_meta": META, **params}}
    return await send(client, content, **head)


async def listed(client: Client, **headers: str) -> list[dict[str, Any]]:
    tools: list[dict[str, Any]] = []
    params: dict[str, Any] = {}
    while True:
        content = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": params}
        result = (await (await send(client, content, **headers)).get_json())["result"]
        tools += result["tools"]
        if "nextCursor" not in result:
            return tools
        params = {"cursor": result["nextCursor"]}


# Tools ---------------------------------------------------------------------------


async def test_the_example_of_each_tool_is_answered_as_its_schema_says(client: Client) -> None:
    tools = await listed(client)
    assert [tool["name"] for tool in tools] == [
        "blood-donation",
        "diabetes",
        "exam",
        "iris",
        "titanic",
    ]
    for tool in tools:
        (example,) = tool["inputSchema"]["examples"]
        jsonschema.Draft202012Validator.check_schema(tool["inputSchema"])
        jsonschema.validate(example, tool["inputSchema"], jsonschema.Draft202012Validator)
        result = (await legacy(client, "tools/call", name=tool["name"], arguments=example))[
            "result"
        ]
        assert result["isError"] is False
        structured = result["structuredContent"]
        jsonschema.validate(structured, tool["outputSchema"], jsonschema.Draft202012Validator)
        assert json.loads(result["content"][0]["text"]) == structured
        native = await client.post(f"/models/{tool['name']}/predict", json=example["rows"])
        told = await native.get_json()
        assert {**structured, "id": ""} == {**told, "id": ""}


async def test_tools_of_every_kind_of_column_hold_to_their_schemas(kinds_root: Path) -> None:
    async with started(create_app(MODEL_STORE=kinds_root, RECIPES="")) as app:
        client = app.test_client()
        for tool in await listed(client):
            (example,) = tool["inputSchema"]["examples"]
            jsonschema.validate(example, tool["inputSchema"], jsonschema.Draft202012Validator)
            called = await legacy(client, "tools/call", name=tool["name"], arguments=example)
            structured = called["result"]["structuredContent"]
            jsonschema.validate(structured, tool["outputSchema"], jsonschema.Draft202012Validator)


async def test_a_tool_says_units_ranges_categories_and_notice(client: Client) -> None:
    tools = {tool["name"]: tool for tool in await listed(client)}
    titanic = tools["titanic"]["inputSchema"]["properties"]["rows"]["items"]["properties"]
    assert titanic["sex"]["enum"] == ["female", "male"]
    assert titanic["age"]["type"] == ["number", "null"]
    assert titanic["age"]["description"].startswith("In years. Between 0.0 and 71.0")
    assert "generated sample" in tools["titanic"]["description"]
    assert "one of setosa, versicolor, virginica" in tools["iris"]["description"]
    for tool in tools.values():
        assert tool["annotations"]["readOnlyHint"] is True
        assert tool["inputSchema"]["additionalProperties"] is False


FAULTY: Final[list[tuple[Any, str]]] = [
    ({"rows": [{"X1": "many"}]}, 'X1: expected a number, got "many"; X2: expected a number'),
    ({"rows": []}, "Expected at least one row, got none."),
    ({"rows": {"X1": 1, "X2": 2}}, "rows: expected a list of rows, got an object."),
    ({"rows": [[1, 2]]}, "Row 0: expected a JSON object, got a list."),
    ({"X1": 1, "X2": 2}, "X1: there is no such argument; expected rows alone."),
    ({}, "rows: expected a list of rows, got nothing."),
    ([1], "Expected a JSON object, got a list."),
    ("rows", "Expected a JSON object, got a text."),
    ({"rows": [{"X1": 1, "X2": 2}] * 10_001}, "A request may bring 10000 rows, got 10001"),
]


@pytest.mark.parametrize(("arguments", "sentence"), FAULTY)
async def test_faulty_rows_are_a_result_that_says_what_was_expected(
    arguments: Any, sentence: str, client: Client
) -> None:
    result = (await legacy(client, "tools/call", name="exam", arguments=arguments))["result"]
    assert result["isError"] is True
    assert result["content"][0]["text"].startswith(sentence)
    assert "structuredContent" not in result


async def test_a_column_that_stands_twice_in_a_row_is_refused(client: Client) -> None:
    body = (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"exam",'
        b'"arguments":{"rows":[{"X1":1,"X2":2,"X1":3}]}}}'
    )
    result = (await (await send(client, body)).get_json())["result"]
    assert result["content"][0]["text"] == "The key 'X1' stands twice in one object."


# Eras ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("requested", "answered"),
    [
        *((each, each) for each in revisions.LEGACY),
        ("2024-11-05", "2025-11-25"),
        (None, "2025-11-25"),
    ],
)
async def test_an_opening_is_answered_with_a_revision_that_is_spoken(
    requested: str | None, answered: str, client: Client
) -> None:
    told = await legacy(client, "initialize", protocolVersion=requested, capabilities={})
    assert told["result"]["protocolVersion"] == answered
    assert told["result"]["capabilities"] == {"tools": {}}
    assert told["result"]["serverInfo"]["name"] == "quart-app"


async def test_the_older_era_has_pings_and_none_of_the_new_members(client: Client) -> None:
    assert (await legacy(client, "ping"))["result"] == {}
    told = await legacy(client, "tools/list")
    assert told["result"].keys() == {"tools"}
    notified = await send(client, {"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert (notified.status_code, await notified.get_data()) == (202, b"")


async def test_the_newer_era_discovers_lists_and_calls_without_an_opening(client: Client) -> None:
    told = (await (await modern(client, "server/discover")).get_json())["result"]
    assert told["supportedVersions"][0] == MODERN
    assert told["resultType"] == "complete"
    assert told["cacheScope"] == "public"
    tools = (await (await modern(client, "tools/list")).get_json())["result"]
    assert tools["ttlMs"] == 0
    called = await modern(client, "tools/call", name="exam", arguments=EXAM)
    result = (await called.get_json())["result"]
    assert result["structuredContent"]["predictions"] == [0]
    assert result["resultType"] == "complete"
    assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "quart-app"


WRONG_HEADS: Final[list[tuple[dict[str, str], dict[str, Any], int, int]]] = [
    ({"MCP-Protocol-Version": ""}, {}, 400, messages.HEADER_MISMATCH),
    ({"MCP-Protocol-Version": "2025-11-25"}, {}, 400, messages.HEADER_MISMATCH),
    ({"Mcp-Method": ""}, {}, 400, messages.HEADER_MISMATCH),
    ({"Mcp-Method": "tools/list"}, {}, 400, messages.HEADER_MISMATCH),
    ({"Mcp-Name": ""}, {}, 400, messages.HEADER_MISMATCH),
    ({"Mcp-Name": "iris"}, {}, 400, messages.HEADER_MISMATCH),
    ({"Mcp-Name": "=?base64?aXJpcw==?="}, {}, 400, messages.HEADER_MISMATCH),
    ({"Mcp-Name": "=?base64?%%%?="}, {}, 400, messages.HEADER_MISMATCH),
    ({"Mcp-Name": "=?base64?ZXhhbQ==?="}, {}, 200, 0),
    ({}, {revisions.VERSION_KEY: None}, 400, messages.HEADER_MISMATCH),
    ({}, {revisions.CAPABILITIES_KEY: ...}, 400, messages.INVALID_PARAMS),
    ({}, {revisions.VERSION_KEY: ...}, 400, messages.INVALID_PARAMS),
    (
        {"MCP-Protocol-Version": "2030-01-01"},
        {revisions.VERSION_KEY: "2030-01-01"},
        400,
        messages.UNSUPPORTED_VERSION,
    ),
]


@pytest.mark.parametrize(("head", "meta", "status", "code"), WRONG_HEADS)
async def test_a_head_that_says_something_else_than_the_body_is_refused(
    head: dict[str, str], meta: dict[str, Any], status: int, code: int, client: Client
) -> None:
    told = {key: value for key, value in (META | meta).items() if value is not ...}
    usual = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": "exam"}
    params = {"_meta": told, "name": "exam", "arguments": EXAM}
    content = {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": params}
    answer = await send(client, content, **(usual | head))
    assert answer.status_code == status
    found = await answer.get_json()
    assert found["id"] == 3
    assert found.get("error", {"code": 0})["code"] == code
    if code == messages.UNSUPPORTED_VERSION:
        data = found["error"]["data"]
        assert data == {"supported": list(revisions.SUPPORTED), "requested": "2030-01-01"}


async def test_an_unknown_method_is_404_since_2026_and_an_error_with_200_before(
    client: Client,
) -> None:
    assert (await legacy(client, "prompts/list"))["error"]["code"] == messages.METHOD_NOT_FOUND
    answer = await modern(client, "prompts/list")
    assert answer.status_code == 404
    assert (await answer.get_json())["error"]["code"] == messages.METHOD_NOT_FOUND
    unknown = await modern(client, "tools/call", name="nope", arguments={})
    assert unknown.status_code == 400
    assert (await unknown.get_json())["error"]["code"] == messages.INVALID_PARAMS


# What is no message ----------------------------------------------------------------

DEEP: Final = b"[" * 100_000
BODIES: Final[list[tuple[bytes, int]]] = [
    (b"", messages.PARSE_ERROR),
    (b"{", messages.PARSE_ERROR),
    (b"\xff", messages.PARSE_ERROR),
    (b'{"jsonrpc":"2.0","id":1,"method":"ping","x":"\xff"}', messages.PARSE_ERROR),
    (b'{"jsonrpc":"2.0","id":1,"method":"ping","x":NaN}', messages.PARSE_ERROR),
    (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + DEEP, messages.PARSE_ERROR),
    (b"null", messages.INVALID_REQUEST),
    (b"7", messages.INVALID_REQUEST),
    (b"[]", messages.INVALID_REQUEST),
    (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', messages.INVALID_REQUEST),
    (b"{}", messages.INVALID_REQUEST),
    (b'{"jsonrpc":"2.0","id":1,"result":{}}', messages.INVALID_REQUEST),
    (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', messages.INVALID_REQUEST),
    (b'{"id":1,"method":"ping"}', messages.INVALID_REQUEST),
    (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', messages.INVALID_REQUEST),
    (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', messages.INVALID_REQUEST),
    (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', messages.INVALID_REQUEST),
    (b'{"jsonrpc":"2.0","id":1,"method":7}', messages.INVALID_REQUEST),
    (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', messages.INVALID_PARAMS),
    (b'{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":[]}}', -32602),
]


@pytest.mark.parametrize(("body", "code"), BODIES)
async def test_what_is_no_message_is_answered_by_the_error_for_that(
    body: bytes, code: int, client: Client
) -> None:
    answer = await send(client, body)
    assert answer.status_code == 400
    found = await answer.get_json()
    assert found["error"]["code"] == code
    assert found["error"]["message"].endswith(".")
    assert "id" in found


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{" + b" " * (1024 * 1024) + b"}", {}, 413),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"{}", {"Content-Encoding": "br"}, 415),
    ],
)
async def test_what_a_layer_refuses_has_the_shape_of_the_protocol(
    content: bytes, headers: dict[str, str], status: int, client: Client
) -> None:
    answer = await send(client, content, **headers)
    assert answer.status_code == status
    found = await answer.get_json()
    assert found["id"] is None
    assert found["error"]["code"] == -32000


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=8,
)
MEMBERS: Final = {
    "jsonrpc": st.just("2.0") | JSON,
    "id": st.integers() | st.text(max_size=5) | JSON,
    "method": st.sampled_from(["tools/call", "tools/list", "ping", "x"]) | JSON,
    "params": st.fixed_dictionaries(
        {},
        optional={"_meta": JSON | st.just(META), "name": JSON, "arguments": JSON, "cursor": JSON},
    )
    | JSON,
}


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=150, deadline=None)
@given(st.fixed_dictionaries({}, optional=MEMBERS))
async def test_any_json_is_a_message_or_refused_by_one_of_the_codes(
    content: dict[str, Any],
) -> None:
    with contextlib.suppress(RpcError):  # whose code has a status, by its type
        message = messages.read(json.dumps(content).encode())
        if message.params is not None:
            revisions.is_modern(message, message.params, Payload(b""))


# Who may ---------------------------------------------------------------------------

HOSTS: Final[list[tuple[str, str, int]]] = [
    ("localhost:8000", "", 200),
    ("127.0.0.1:8000", "http://127.0.0.1:8000", 200),
    ("[::1]:8000", "", 200),
    ("app.localhost", "", 200),
    ("evil.example:8000", "", 421),
    ("evil.example:8000", "http://evil.example:8000", 421),
    ("localhost:8000", "http://evil.example", 403),
    ("localhost:8000", "http://localhost:9000", 403),
    ("localhost:8000", "null", 403),
    ("localhost:8000", "https://good.example", 200),
]


@pytest.mark.parametrize(("host", "origin", "status"), HOSTS)
async def test_a_rebound_name_and_a_page_of_another_site_are_refused(
    host: str, origin: str, status: int, bundled_root: Path
) -> None:
    app = create_app(MODEL_STORE=bundled_root, RECIPES="", CORS_ORIGINS="https://good.example")
    async with started(app) as running:
        headers = {"Content-Type": "application/json", "Host": host}
        answer = await running.test_client().post(
            "/mcp",
            data=b'{"jsonrpc":"2.0","id":1,"method":"ping"}',
            headers=headers | ({"Origin": origin} if origin else {}),
            scope_base={"server": ("127.0.0.1", 8000)},
        )
        assert answer.status_code == status
        assert ("error" in await answer.get_json()) == (status != 200)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def guarded(bundled_root: Path) -> AsyncIterator[Client]:
    """A server that wants keys for predictions, one of them for one model alone."""
    keys = f"all:{_digest(KEY)},one:{_digest('one')}:exam"
    app = create_app(MODEL_STORE=bundled_root, RECIPES="", KEYS_FOR="predictions", API_KEYS=keys)
    async with started(app) as running:
        yield running.test_client()


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


async def test_keys_say_who_may_and_which_tools_are_there(guarded: Client) -> None:
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    refused = await send(guarded, ping)
    assert refused.status_code == 401
    assert (await refused.get_json())["error"]["message"].startswith("This needs an API key")
    assert len(await listed(guarded, Authorization=f"Bearer {KEY}")) == 5
    one = {"X-API-Key": "one"}
    assert [tool["name"] for tool in await listed(guarded, **one)] == ["exam"]
    for name, is_there in (("exam", True), ("iris", False)):
        params = {"name": name, "arguments": EXAM}
        content = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        found = await (await send(guarded, content, **one)).get_json()
        assert ("result" in found) is is_there


async def test_the_page_says_where_a_key_goes(guarded: Client) -> None:
    page = await guarded.get("/mcp", headers={"Accept": "text/html"})
    text = str(await page.get_data(as_text=True))
    assert '/mcp"\nhttp_headers = { "Authorization" = "Bearer KEY" }\n' in text


PAGES = ("/", "/docs", "/models/exam/about")
"""Those that say where agents go."""


async def test_without_the_setting_there_is_nothing_and_no_page_leads_there(
    bundled_root: Path,
) -> None:
    app = create_app(MODEL_STORE=bundled_root, RECIPES="", MCP=False)
    async with started(app) as running:
        client = running.test_client()
        ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        assert (await send(client, ping)).status_code == 404
        assert (await client.get("/mcp")).status_code == 404
        for path in PAGES:
            page = await client.get(path, headers={"Accept": "text/html"})
            assert page.status_code == 200
            assert 'href="/mcp"' not in await page.get_data(as_text=True)


@pytest.mark.parametrize("path", PAGES)
async def test_a_person_is_led_to_the_page_for_agents(client: Client, path: str) -> None:
    page = await client.get(path, headers={"Accept": "text/html"})
    assert 'href="/mcp"' in await page.get_data(as_text=True)


async def test_only_a_person_gets_a_page(client: Client) -> None:
    page = await client.get("/mcp", headers={"Accept": "text/html"})
    assert page.status_code == 200
    text = str(await page.get_data(as_text=True))
    assert "claude mcp add --transport http quart-app http://localhost/mcp" in text
    for method in (client.get, client.delete):
        refused = await method("/mcp", headers={"Accept": "text/event-stream"})
        assert refused.status_code == 405


# What changes while it runs ----------------------------------------------------------


def publish(store: ModelStore, name: str, slope: float) -> None:
    X = np.arange(8.0).reshape(-1, 1)
    store.publish(name, LinearRegression().fit(X, slope * X[:, 0]), X, slope * X[:, 0])


async def test_a_model_that_is_published_or_promoted_is_there_at_the_next_list(
    tmp_path: Path,
) -> None:
    store = ModelStore(tmp_path / "models")
    publish(store, "line", 1)
    async with started(create_app(MODEL_STORE=store.root, RECIPES="")) as app:
        client = app.test_client()
        assert [tool["name"] for tool in await listed(client)] == ["line"]
        publish(store, "other", 3)
        tool = (await listed(client))[1]
        (example,) = tool["inputSchema"]["examples"]
        called = await legacy(client, "tools/call", name="other", arguments=example)
        assert called["result"]["structuredContent"]["model"] == "other"
        publish(store, "line", 2)
        store.promote("line", 2)
        await context_of(app.app).registry.load_again("line")  # type: ignore[attr-defined]
        (example,) = (await listed(client))[0]["inputSchema"]["examples"]
        called = await legacy(client, "tools/call", name="line", arguments=example)
        assert called["result"]["structuredContent"]["version"] == 2


async def test_of_many_models_there_is_a_tool_that_lists_and_describes_them(
    tmp_path: Path,
) -> None:
    store = ModelStore(tmp_path / "models")
    for number in range(MANY + 1):
        publish(store, f"line-{number:02}", number)
    async with started(create_app(MODEL_STORE=store.root, RECIPES="")) as app:
        client = app.test_client()
        names = [tool["name"] for tool in await listed(client)]
        assert names == ["list_models", *store.models()]
        found = await asked(client, {"search": "LINE-1"})
        assert (found["total"], found["models"][0]["name"]) == (10, "line-10")
        (one,) = (await asked(client, {"model": "line-03"}))["models"]
        assert one["inputSchema"]["properties"]["rows"]["items"]["required"]
        for arguments in ({"model": "nope"}, {"search": 1}, {"x": ""}):
            params = {"name": "list_models", "arguments": arguments}
            assert (await legacy(client, "tools/call", **params))["result"]["isError"] is True
        context = context_of(app.app)  # type: ignore[attr-defined]
        server = Server(context.registry, context.answering, context.config, page=5)
        pages, cursor = [], None
        while True:
            params = {} if cursor is None else {"cursor": cursor}
            content = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": params}
            call = Call(Payload(json.dumps(content).encode()))
            outcome = await server.answer({"headers": []}, call)
            result = json.loads(outcome.body)["result"]
            pages.append([tool["name"] for tool in result["tools"]])
            cursor = result.get("nextCursor")
            if cursor is None:
                break
        assert [len(page) for page in pages] == [6, 5, 5, 5, 1]
        assert [name for page in pages for name in page] == names


async def asked(client: Client, arguments: dict[str, Any]) -> Any:
    """What the tool that lists the models says."""
    found = await legacy(client, "tools/call", name="list_models", arguments=arguments)
    return found["result"]["structuredContent"]
