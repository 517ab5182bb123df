"""What holds for every request: whose it is, its id, and the headers of its answer."""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from quart import Response, request, url_for
from quart.typing import TestClientProtocol as Client

from model_store import ModelStore
from quart_app import create_app
from quart_app.asgi import state_of
from quart_app.middleware.headers import HEADERS, CommonHeaders

from ...conftest import Server, started

SAFE = {name.decode(): value.decode() for name, value in HEADERS}

# Everything that is answered otherwise: (method, path, headers, status).
ANSWERS: dict[str, tuple[str, str, dict[str, str], int]] = {
    "page": ("GET", "/", {"Accept": "text/html"}, 200),
    "JSON": ("GET", "/models/exam/predict?X1=61.1&X2=17.3", {}, 200),
    "head": ("HEAD", "/models/exam", {}, 200),
    "style": ("GET", "/static/css/style.css", {}, 200),
    "Swagger UI": ("GET", "/docs/assets/swagger-ui.css", {}, 200),
    "redirect": ("GET", "/models", {"Accept": "text/html"}, 302),
    "fault": ("GET", "/models/exam/predict?X1=many", {}, 400),
    "key": ("POST", "/v2/repository/models/exam/load", {}, 403),
    "another site": ("POST", "/tour/tasks", {"Sec-Fetch-Site": "cross-site"}, 403),
    "nothing": ("GET", "/nothing", {"Accept": "text/html"}, 404),
    "method": ("DELETE", "/docs", {}, 405),
    "what is allowed": ("OPTIONS", "/docs", {}, 200),
    "coding": ("POST", "/predict", {"Content-Encoding": "br"}, 415),
}


@pytest.mark.parametrize(("method", "path", "headers", "status"), ANSWERS.values(), ids=ANSWERS)
async def test_every_answer_has_safe_headers_and_an_id(
    method: str, path: str, headers: dict[str, str], status: int, client: Client
) -> None:
    answer = await client.open(path, method=method, json=None, headers=headers)
    assert answer.status_code == status
    for name, value in SAFE.items():
        assert answer.headers.getlist(name) == [value]
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])
    assert "Strict-Transport-Security" not in answer.headers


def test_the_policy_allows_no_script_or_style_in_a_page_and_nothing_from_elsewhere() -> None:
    policy = dict(part.split(" ", 1) for part in SAFE["content-security-policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert not policy.keys() & {"script-src", "style-src", "connect-src"}
    assert "unsafe" not in SAFE["content-security-policy"]
    assert not re.search(r"\*|https?:", SAFE["content-security-policy"])


async def test_an_answer_keeps_a_header_of_its_own(bundled_root: Path) -> None:
    app = create_app(MODEL_STORE=bundled_root, RECIPES="")
    own = {"Content-Security-Policy": "default-src 'none'", "X-Request-Id": "own"}
    app.add_url_rule("/own", view_func=lambda: Response("", headers=own))
    async with started(app) as running:
        answer = await running.test_client().get("/own")
    for name, value in own.items():
        assert answer.headers.getlist(name) == [value]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


IDS = {
    "heroku's": ("9d6b1c84-8b5a-4a0c-9b1e-0d1b5c1f2a3b", True),
    "letters": ("A.b_c-1", True),
    "the longest": ("x" * 128, True),
    "too long": ("x" * 129, False),
    "none": ("", False),
    "with a space": ("a b", False),
    "with an escape": ('a","status":"200', False),
    "of another alphabet": ("idé", False),
}


@pytest.mark.parametrize(("sent", "is_taken"), IDS.values(), ids=IDS)
async def test_the_id_of_a_request_is_taken_when_it_is_well_formed(
    sent: str, is_taken: bool, client: Client
) -> None:
    answer = await client.get("/health/live", headers={"X-Request-ID": sent})
    assert (answer.headers["X-Request-ID"] == sent) == is_taken


async def test_of_two_ids_neither_is_taken_and_each_request_has_another() -> None:
    app, seen = recorded()
    two = [(b"x-request-id", b"one"), (b"x-request-id", b"two")]
    for _ in range(2):
        await app(scope_of(headers=two), never, never)
    first, second = (state_of(scope).request_id for scope in seen)
    assert len({first, second, "one", "two"}) == 4


# Proxies, headers, and the address and the scheme that come of them.
PROXIES: dict[str, tuple[int, dict[str, str], str, str]] = {
    "none": (0, {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"}, "peer", "http"),
    "one": (
        1,
        {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"},
        "192.0.2.1",
        "https",
    ),
    "one, and a claim": (1, {"X-Forwarded-For": "1.1.1.1, 192.0.2.1"}, "192.0.2.1", "http"),
    "two": (2, {"X-Forwarded-For": "1.1.1.1, 192.0.2.1,10.0.0.1"}, "192.0.2.1", "http"),
    "two, asked round one": (2, {"X-Forwarded-For": "192.0.2.1"}, "peer", "http"),
    "a port": (1, {"X-Forwarded-For": "192.0.2.1:4711"}, "192.0.2.1", "http"),
    "IPv6": (1, {"X-Forwarded-For": "2001:DB8::1"}, "2001:db8::1", "http"),
    "IPv6 with a port": (1, {"X-Forwarded-For": "[2001:db8::1]:80"}, "2001:db8::1", "http"),
    "a name": (1, {"X-Forwarded-For": "unknown"}, "peer", "http"),
    "a line": (1, {"X-Forwarded-For": 'x","a":"'}, "peer", "http"),
    "empty": (1, {"X-Forwarded-For": ""}, "peer", "http"),
    "a claimed scheme": (1, {"X-Forwarded-Proto": "https, http"}, "peer", "http"),
    "a replaced scheme": (2, {"X-Forwarded-Proto": "https"}, "peer", "https"),
    "no scheme": (1, {"X-Forwarded-Proto": "javascript"}, "peer", "http"),
}


@pytest.mark.parametrize(("proxies", "headers", "address", "scheme"), PROXIES.values(), ids=PROXIES)
async def test_only_as_many_proxies_are_believed_as_are_set(
    proxies: int, headers: dict[str, str], address: str, scheme: str
) -> None:
    app, seen = recorded(proxies)
    given = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = scope_of(headers=given)
    await app(scope, never, never)
    assert (seen[0]["client"][0], seen[0]["scheme"]) == (address, scheme)
    assert scope["client"] == seen[0]["client"], "a layer above sees it as well"


async def test_links_to_here_have_the_scheme_of_the_proxy_and_the_host_of_the_request(
    bundled_root: Path,
) -> None:
    app = create_app(MODEL_STORE=bundled_root, RECIPES="", PROXIES=1)

    @app.get("/whose")
    async def whose() -> dict[str, Any]:
        return {"link": url_for("whose", _external=True), "address": request.remote_addr}

    headers = {
        "Host": "models.example",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-For": "203.0.113.9, 192.0.2.1",
    }
    async with started(app) as running:
        answer = await running.test_client().get("/whose", headers=headers)
    assert await answer.get_json() == {
        "link": "https://models.example/whose",
        "address": "192.0.2.1",
    }


PATHS = {
    "/models/exam": "/models/exam",
    "//models": "//models",
    "http://other.example/models/exam": "/models/exam",
    "http://other.example": "/",
    "http://other.example//models": "/models",
    "x:models": "/models",
    "http://[other": "/http://[other",
    "*": "/*",
    "": "/",
}


@pytest.mark.parametrize(("target", "path"), PATHS.items())
async def test_the_path_is_a_path_where_a_whole_url_was_asked_for(target: str, path: str) -> None:
    app, seen = recorded()
    await app(scope_of(target), never, never)
    assert seen[0]["path"] == path


@pytest.mark.process
@pytest.mark.parametrize("part", ["length", "chunked"])
def test_a_refused_body_is_read_on_so_that_the_client_reads_the_answer(
    part: str, serve: Callable[..., Any], bundled: ModelStore, tmp_path: Path
) -> None:
    settings = {"QUART_APP_MODEL_STORE": bundled.root, "QUART_APP_RECIPES": ""}
    with serve(cwd=tmp_path, **settings, QUART_APP_KEYS_FOR="predictions") as server:
        server.wait_until_ready()
        for path in ("/v2/models/exam/infer", "/models/exam/predict", "/models/exam/file"):
            status, body = posted(server, path, chunked=part == "chunked")
            assert status == 403
            assert b"API key" in body


def posted(server: Server, path: str, *, chunked: bool) -> tuple[int, bytes]:
    """What 3 MB to this address are answered with, all of them being sent before it is read."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    body = b"x" * 3_000_000
    parts = iter([body[:1_000_000]] * 3)
    try:
        connection.request("POST", path, parts if chunked else body, {"Content-Type": "text/csv"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


async def never(*_: Any) -> Any:
    raise AssertionError("Nothing is received or sent.")


def recorded(proxies: int = 0) -> tuple[Any, list[Any]]:
    """The layer above an app that keeps the scopes that it was given."""
    seen: list[Any] = []

    async def below(scope: Any, receive: Any, send: Any) -> None:
        seen.append(dict(scope))

    return CommonHeaders(below, proxies), seen


def scope_of(path: str = "/", headers: Any = ()) -> Any:
    return {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "query_string": b"",
        "headers": list(headers),
        "client": ("peer", 1),
    }
