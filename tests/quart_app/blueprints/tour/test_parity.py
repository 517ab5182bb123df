"""The views of the tour answer what their twins answer, which run in Flask."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jinja2 import BaseLoader
from quart import Quart
from quart.typing import TestClientProtocol as Client
from werkzeug.exceptions import HTTPException

from quart_app import create_app
from quart_app.blueprints.tour.twins import create_twin

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
SCRIPT = "<script>alert(1)</script>"


@dataclass(frozen=True, slots=True)
class Ask:
    method: str
    path: str
    body: bytes = b""
    content_type: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        found = {"Accept": JSON}
        return found | {"Content-Type": self.content_type} if self.content_type else found


def get(*paths: str) -> list[Ask]:
    return [Ask("GET", path) for path in paths]


def every_method(*paths: str) -> list[Ask]:
    methods = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE")
    return [Ask(method, path) for path in paths for method in methods]


def send(method: str, path: str, content: object) -> Ask:
    return Ask(method, path, json.dumps(content).encode(), JSON)


def post_number(body: str, content_type: str = FORM) -> Ask:
    return Ask("POST", "/prime", body.encode(), content_type)


NAMES = [
    "Ada",
    "<b>Ada<b>",
    "'\"&<>",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "%s %(a)s {0}",
    "größe ☃ 木 \U0001f600",
    "e\u0301 é \u202e",
    "a b+c",
    "50%",
    "a?b#c;d=e,f",
    "\\",
    ".",
    "..",
    "\n",
    "\r\nX-Injected: 1",
    "\0",
    "hello.html",
    "HELLO",
    "x" * 10_240,
    "☃" * 3_000,
]

CHANGES: list[object] = [
    *({"done": 1}, {"done": "true"}, {"done": None}, {"title": ""}, {"title": 1}),
    *({"description": []}, {"title": "t" * 201}, {"done": True, "title": None}),
    *([], None, "x", {"done": True}, {}),
]
"""Sent for a task that is there, and for one that is not."""

TABLE: dict[str, list[Ask]] = {
    "hello": every_method("/hello") + get("/hello/", "/hello?a=b"),
    "resources": every_method("/1", "/2") + get("/1/"),
    "names": get(
        *(f"/{quote(name, safe='')}" for name in NAMES),
        f"/{quote(SCRIPT, safe='')}",
        f"/{SCRIPT}",
        "/%FF%FE",
        "/%",
        "/%zz",
        "/a/b",
        "/a/",
        "/a%2Fb",
    )
    + every_method("/Ada"),
    "paths": get(
        *(f"/path/{quote(name, safe='')}" for name in NAMES),
        f"/path/{SCRIPT}",
        f"/path/{quote(SCRIPT, safe='')}",
        "/path/a/b/c",
        "/path/a//b",
        "/path//a",
        "/path/a/",
        "/path/",
        "/path",
        "/path/../hello",
        "/path/%FF",
        "/path/" + "a/" * 5_000,
    )
    + every_method("/path/a/b"),
    "whole numbers": get(
        *("/int/7", "/int/0", "/int/007", "/int/-1", "/int/+1", "/int/1.5", "/int/x", "/int/"),
        *("/int", "/int/7/", "/int/%D9%A3", "/int/1_0", "/int/ 1", "/int/0x1", "/int/1e3"),
        *(f"/int/{'9' * digits}" for digits in (40, 4_300, 4_301, 10_000)),
    )
    + every_method("/int/7"),
    "decimal numbers": get(
        *("/float/1.5", "/float/01.50", "/float/7", "/float/-1.5", "/float/nan", "/float/inf"),
        *("/float/1e3", "/float/x", "/float/", "/float", "/float/.5", "/float/1."),
        f"/float/0.{'1' * 10_000}",
        f"/float/{'9' * 10_000}.0",
    )
    + every_method("/float/1.5"),
    "templates": every_method("/heading", "/extend", "/list"),
    # Of a form that is no UTF-8 the two decode the wrong bytes each in its own way: 400 in both.
    "prime": [
        *every_method("/prime"),
        *(
            post_number(f"number={number}")
            for number in (
                *("0", "1", "2", "7", "9", "007", "+7", "-7", "7.0", "1e3", "", "+", "x", "0x7"),
                *("999999999999999989", "999999999999999981", "%D9%A3", "%C2%B2", "1_000"),
                *("9" * 40, "9" * 41, "9" * 10_000, quote(SCRIPT), "%00", "7%0A8"),
            )
        ),
        post_number("number=7&number=8"),
        post_number("Number=7"),
        post_number("other=7"),
        post_number(""),
        post_number("number=7", "text/plain"),
        post_number('{"number": 7}', JSON),
        Ask("POST", "/prime?number=7"),
    ],
    "tasks: reading": [
        *get("/tasks", "/tasks/", "/tasks?done=true", "/tasks/1", "/tasks/3", "/tasks/4"),
        *get("/tasks/0", "/tasks/-1", "/tasks/x", "/tasks/1/", "/tasks//", "/tasks/1.5"),
        *get(f"/tasks/{2**63}", f"/tasks/{'9' * 40}", f"/tasks/{'9' * 5_000}"),
        *(Ask("HEAD", path) for path in ("/tasks", "/tasks/", "/tasks/1", "/tasks/9")),
        *(
            Ask(method, path)
            for method in ("OPTIONS", "PUT", "PATCH", "DELETE")
            for path in ("/tasks", "/tasks/")
        ),
        *(Ask(method, "/tasks/1") for method in ("OPTIONS", "POST", "PATCH")),
        *get("/tasks/"),
    ],
    "tasks: adding": [
        send("POST", "/tasks/", {"title": "Read a book"}),
        send("POST", "/tasks", {"title": "Größe ☃ \U0001f600", "description": "木"}),
        send("POST", "/tasks", {"description": "d", "title": SCRIPT}),
        send("POST", "/tasks", {"title": "t", "done": True, "id": 99, "more": [1]}),
        Ask("POST", "/tasks", b'{"title": "no content type"}'),
        Ask("POST", "/tasks", b'{"title": "as curl sends it"}', FORM),
        Ask("POST", "/tasks", b'\xef\xbb\xbf{"title": "a byte order mark"}', JSON),
        *get("/tasks", "/tasks/4", "/tasks/9", "/tasks/10", "/tasks/11"),
    ],
    "tasks: what is not added": [
        *(
            send("POST", "/tasks", content)
            for content in (
                *({}, {"description": "d"}, {"Title": "t"}, [], [{"title": "t"}], None),
                *("t", 7, {"title": None}, {"title": 7}, {"title": ["t"]}, {"title": ""}),
                *({"title": " \t"}, {"title": "t" * 200}, {"title": "t" * 201}),
                *({"title": "t", "description": None}, {"title": "t", "description": 1}),
                *({"title": "t", "description": "d" * 10_001}, {"title": "a\0b"}),
                {"title": "\ud800"},
            )
        ),
        *(
            Ask("POST", "/tasks", body, JSON)
            for body in (
                *(b"", b" ", b"{", b"title=t", b'{"title": "t"', b"{'title': 't'}", b"\xff"),
                *(b'{"title": "\xff"}', b'{"title": NaN}', b"[" * 20_000, b'{"a":' * 20_000),
            )
        ),
        *get("/tasks"),
    ],
    "tasks: changing": [
        send("PUT", "/tasks/2", {"done": True}),
        send("PUT", "/tasks/2", {"title": "x", "description": "☃", "done": False, "id": 7}),
        send("PUT", "/tasks/2", {"description": ""}),
        send("PUT", "/tasks/1", {}),
        *(send("PUT", path, content) for path in ("/tasks/2", "/tasks/9") for content in CHANGES),
        *(Ask("PUT", "/tasks/2", body, JSON) for body in (b"", b"{", b"\xff", b"[" * 20_000)),
        *get("/tasks"),
    ],
    "tasks: removing": [
        *(Ask("DELETE", "/tasks/2") for _ in range(2)),
        *get("/tasks/2", "/tasks"),
        Ask("DELETE", "/tasks/9"),
        Ask("DELETE", "/tasks/x"),
        Ask("DELETE", "/tasks/3"),
        send("POST", "/tasks", {"title": "ids are not used twice"}),
        Ask("DELETE", "/tasks/4"),
        send("POST", "/tasks", {"title": "nor is the last one"}),
        send("PUT", "/tasks/2", {"done": True}),
        *(Ask("DELETE", f"/tasks/{id}") for id in (1, 5)),
        *get("/tasks"),
    ],
}


@pytest.fixture
def app(tmp_path: Path) -> Quart:
    """Ours, with the tour at the root and a new database."""
    return create_app(
        MODEL_STORE=tmp_path / "models",
        RECIPES="",
        TOUR_PREFIX="",
        DATABASE_URL=f"sqlite:///{tmp_path}/tasks.sqlite3",
    )


@pytest.fixture
async def client(app: Quart) -> AsyncIterator[Client]:
    async with app.test_app() as running:
        yield running.test_client()


@pytest.fixture
def twin(app: Quart) -> Flask:
    """The twins, in Flask, with the same templates."""
    return create_twin(cast(BaseLoader, app.jinja_loader))


Told = dict[str, object]


async def ours(client: Client, ask: Ask) -> Told:
    answer = await client.open(ask.path, **options(ask))
    body = await answer.get_data(as_text=False)
    return told(ask, answer.status_code, dict(answer.headers), body)


def theirs(client: FlaskClient, ask: Ask) -> Told:
    answer = client.open(ask.path, **options(ask))
    return told(ask, answer.status_code, dict(answer.headers), answer.get_data())


def options(ask: Ask) -> dict[str, Any]:
    return {"method": ask.method, "headers": ask.headers, "data": ask.body or None}


def told(ask: Ask, status: int, headers: dict[str, str], body: bytes) -> Told:
    """What must be alike. The server leaves out the body of HEAD, and Quart's client is none."""
    named = {name.lower(): value for name, value in headers.items()}
    return {
        "status": status,
        "body": b"" if ask.method == "HEAD" else body,
        "allow": set(named["allow"].split(", ")) if "allow" in named else None,
        **{name: named.get(name) for name in ("content-type", "content-length", "location")},
    }


@pytest.mark.parametrize("name", TABLE)
async def test_every_request_is_answered_as_in_flask(
    name: str, client: Client, twin: Flask
) -> None:
    flask_client = twin.test_client()
    for ask in TABLE[name]:
        assert await ours(client, ask) == theirs(flask_client, ask), ask


async def test_what_is_drawn_is_shown_as_in_flask(client: Client, twin: Flask) -> None:
    flask_client = twin.test_client()
    shown = set()
    for seed in range(12):
        random.seed(seed)
        answer = await ours(client, Ask("GET", "/condition"))
        random.seed(seed)
        assert answer == theirs(flask_client, Ask("GET", "/condition"))
        shown.add(answer["body"])
    assert len(shown) == 2
    for ask in every_method("/condition")[1:]:
        found, expected = await ours(client, ask), theirs(flask_client, ask)
        if ask.method == "HEAD":  # two draws
            del found["content-length"], expected["content-length"]
        assert found == expected


def rules(app: Quart | Flask) -> set[tuple[str, str, frozenset[str]]]:
    return {
        (rule.endpoint, rule.rule, frozenset(rule.methods or ()))
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("tour.")
    }


def test_the_twins_have_the_addresses_and_methods_of_the_views(app: Quart, twin: Flask) -> None:
    assert rules(app) == rules(twin)


def test_every_view_is_asked_by_the_table(twin: Flask) -> None:
    adapter = twin.url_map.bind("localhost")
    asked = {"tour.condition"}
    for ask in (ask for asks in TABLE.values() for ask in asks):
        try:
            asked.add(adapter.match(ask.path.partition("?")[0], ask.method)[0])
        except HTTPException:
            continue
    assert asked == {endpoint for endpoint, *_ in rules(twin)}
