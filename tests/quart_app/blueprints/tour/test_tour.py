"""The tour from Flask to Quart: its addresses as their documents' users ask them, and its pages."""

from __future__ import annotations

import contextlib
import html
import inspect
import json
import logging
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from quart import Quart, Response
from quart.typing import TestClientProtocol as Client

from quart_app import create_app
from quart_app.blueprints.tour import STATUS, twins, views
from quart_app.blueprints.tour.stops import STOPS
from quart_app.extras import TOUR
from quart_app.tasks.task import MAX_TASKS, TasksError

from ....conftest import Server, started

ROOT = Path(__file__).parents[4]
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("QUART_APP_")},
    "PYTHONPATH": str(ROOT),
}
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PREFIXES = ["/tour", "", "/learn/flask"]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def make_app(folder: Path, **settings: Any) -> Quart:
    url = f"sqlite:///{folder}/tasks.sqlite3"
    return create_app(MODEL_STORE=folder / "models", RECIPES="", DATABASE_URL=url, **settings)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    """A client of an app whose tour stands at the root, as the documents print it."""
    async with started(make_app(tmp_path, TOUR_PREFIX="")) as running:
        yield running.test_client()


async def text(client: Client, path: str, status: int = 200) -> str:
    answer = await client.get(path, headers=HTML)
    assert answer.status_code == status, path
    assert answer.content_type == "text/html; charset=utf-8", path
    return await answer.get_data(as_text=True)


async def ask(client: Client, method: str, path: str) -> Response:
    options: dict[str, Any] = {"method": method}
    return await client.open(path, **options)


# The idioms ----------------------------------------------------------------------


async def test_a_view_says_hello_world(client: Client) -> None:
    assert await text(client, "/hello") == "<h1>hello world</h1>"


async def test_two_resources_say_which_they_are(client: Client) -> None:
    assert await text(client, "/1") == "Hello_world 1"
    assert await text(client, "/2") == "Hello_world 2"


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/Rahul", "Rahul"),
        ("/int/7", "7"),
        ("/float/1.50", "1.5"),
        ("/path/one/two", "one/two"),
        ("/gr%C3%B6%C3%9Fe", "größe"),
        ("/path/<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("/" + "x" * 10_240, "x" * 10_240),
    ],
    ids=["name", "int", "float", "path", "unicode", "html", "10 kB"],
)
async def test_a_matched_value_stands_in_the_heading(path: str, shown: str, client: Client) -> None:
    assert await text(client, path) == f"<h1>This is the {shown}'s profile.</h1>"


async def test_a_value_goes_to_the_template(client: Client) -> None:
    assert "<h1>Heading from python</h1>" in await text(client, "/heading")


async def test_a_template_extends_another(client: Client) -> None:
    page = await text(client, "/extend")
    assert page.startswith("<!doctype html>")
    assert "<h1>This page extends a base template</h1>" in page
    assert page.rstrip().endswith("</html>")


async def test_a_list_is_shown_item_by_item(client: Client) -> None:
    page = await text(client, "/list")
    assert re.findall("<li>(.*?)</li>", page) == ["Rahul", "Gandhi", "Virat", "Conor"]


async def test_a_condition_says_even_or_odd_and_never_both(client: Client) -> None:
    pages = [await text(client, "/condition") for _ in range(80)]
    assert {frozenset(re.findall(r"\b(even|odd)\b", page)) for page in pages} == {
        frozenset({"even"}),
        frozenset({"odd"}),
    }


async def test_the_form_of_the_prime_asks_for_a_number(client: Client) -> None:
    page = await text(client, "/prime")
    assert 'method="post"' in page
    assert 'name="number"' in page
    assert not {"True", "False"} & set(re.findall(r"\w+", page))


@pytest.mark.parametrize(
    ("number", "word"),
    [
        ("2", "True"),
        ("1", "False"),
        ("0", "False"),
        ("007", "True"),
        ("561", "False"),
        ("999999999999999989", "True"),
        ("999999999999999981", "False"),
        ("999999866000004473", "False"),
        ("170141183460469231731687303715884105727", "True"),
        ("9" * 40, "False"),
    ],
)
async def test_whether_a_number_is_prime(number: str, word: str, client: Client) -> None:
    answer = await client.post("/prime", form={"number": number})
    page = await answer.get_data(as_text=True)
    assert answer.status_code == 200
    assert set(re.findall(r"\b(True|False)\b", page)) == {word}


@pytest.mark.parametrize(
    ("form", "got"),
    [
        ({}, "nothing"),
        ({"number": ""}, "nothing"),
        ({"number": "seven"}, "'seven'"),
        ({"number": "-7"}, "'-7'"),
        ({"number": "7.0"}, "'7.0'"),
        ({"number": "٣"}, "'٣'"),
        ({"number": "9" * 41}, f"'{'9' * 41}'"),
        ({"number": "9" * 10_000}, f"'{'9' * 60}…'"),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_what_is_no_number_is_refused_by_the_name_of_the_field(
    form: dict[str, str], got: str, client: Client
) -> None:
    answer = await client.post("/prime", form=form, headers={"Accept": "application/json"})
    assert answer.status_code == 400
    assert await answer.json == {"error": f"number: expected 1 to 40 digits, got {got}."}
    page = await client.post("/prime", form=form, headers=HTML)
    assert page.status_code == 400
    assert html.escape(f"got {got}.").replace("&#x27;", "&#39;") in await page.get_data(
        as_text=True
    )


FIRST = {"id": 1, "description": "Open the home page and choose a model.", "done": False}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, "title: expected a text, got nothing."),
        ({"title": 7}, "title: expected a text, got a number."),
        ({"title": " "}, "title: expected 1 to 200 characters, got none."),
        ({"title": "t", "description": None}, "description: expected a text, got null."),
        (["t"], "Expected a JSON object, got a list."),
    ],
)
async def test_a_task_without_a_title_or_of_other_types_is_refused_by_the_name_of_the_field(
    body: object, error: str, client: Client
) -> None:
    answer = await client.post("/tasks/", json=body)
    assert (answer.status_code, await answer.json) == (400, {"error": error})


@pytest.mark.parametrize("done", [1, 0, "true", None, []])
async def test_done_is_a_boolean_and_nothing_that_is_like_one(done: object, client: Client) -> None:
    answer = await client.put("/tasks/2", json={"done": done})
    assert answer.status_code == 400
    assert (await answer.json)["error"].startswith("done: expected a boolean, got ")
    assert (await (await client.get("/tasks/2")).json)["task"]["done"] is False


def curl(server: Server, command: str) -> tuple[int, dict[str, Any]]:
    """The status and the JSON that a command of the document prints; only the port is another."""
    script = command.replace("http://localhost:5000", server.url)
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    head, _, body = ran.stdout.partition("\n\n")
    assert "location:" not in head.lower()
    assert "content-type: application/json" in head.lower()
    return int(head.split()[1]), json.loads(body)


@pytest.mark.process
def test_the_commands_for_the_tasks_do_what_the_document_says(
    serve: Callable[..., AbstractContextManager[Server]], tmp_path: Path
) -> None:
    with serve(cwd=tmp_path, QUART_APP_TOUR_PREFIX="", QUART_APP_RECIPES="") as server:
        for command in (
            "curl -si http://localhost:5000/tasks",
            "curl -si -X GET http://localhost:5000/tasks",
            "curl -si http://localhost:5000/tasks/",
        ):
            status, told = curl(server, command)
            assert status == 200
            assert [task["id"] for task in told["tasks"]] == [1, 2, 3]
            assert {key: told["tasks"][0][key] for key in FIRST} == FIRST
        status, told = curl(server, "curl -si http://localhost:5000/tasks/2")
        assert (status, told["task"]["id"], told["task"]["done"]) == (200, 2, False)
        status, told = curl(server, "curl -si http://localhost:5000/tasks/4")
        assert (status, told) == (404, {"error": "There is no such task."})
        kind = '-H "Content-Type: application/json"'
        status, told = curl(
            server,
            f'curl -si {kind} -X POST -d \'{{"title":"Read a book"}}\' '
            "http://localhost:5000/tasks/",
        )
        book = {"id": 4, "title": "Read a book", "description": "", "done": False}
        assert (status, told) == (201, {"task": book})
        status, told = curl(
            server,
            f"curl -si {kind} -X PUT -d '{{\"done\":true}}' http://localhost:5000/tasks/2",
        )
        assert (status, told["task"]["id"], told["task"]["done"]) == (200, 2, True)
        assert curl(server, "curl -si -X DELETE http://localhost:5000/tasks/2") == (
            200,
            {"result": True},
        )
        status, told = curl(server, "curl -si http://localhost:5000/tasks")
        assert [task["id"] for task in told["tasks"]] == [1, 3, 4]


async def test_a_dead_database_fails_the_tasks_and_no_other_stop(tmp_path: Path) -> None:
    (tmp_path / "tasks.sqlite3").mkdir()
    async with started(make_app(tmp_path, TOUR_PREFIX="")) as running:
        client = running.test_client()
        answer = await client.get("/tasks")
        assert answer.status_code == 503
        assert await answer.json == {"error": "The tasks are not available at the moment."}
        assert (await client.get("/stops/tasks")).status_code == 200
        assert (await client.get("/hello")).status_code == 200


async def test_more_tasks_than_are_kept_are_refused(client: Client, tmp_path: Path) -> None:
    kept = len((await (await client.get("/tasks")).json)["tasks"])
    with contextlib.closing(sqlite3.connect(tmp_path / "tasks.sqlite3")) as database, database:
        row = "INSERT INTO quart_app_tasks (title, description, done) VALUES ('A', '', 0)"
        database.executemany(row, [()] * (MAX_TASKS - kept))
    answer = await client.post("/tasks", json={"title": "One more"})
    assert answer.status_code == 409
    assert f"{MAX_TASKS} tasks" in (await answer.json)["error"]


def test_each_error_of_the_tasks_has_a_status() -> None:
    assert set(STATUS) == set(TasksError.__subclasses__())


# Without the tour -----------------------------------------------------------------


async def nothing_of_the_tour_is_served(app: Quart) -> None:
    """Require that the addresses lead nowhere, that the home page has no link to them, and that
    models answer."""
    assert not [each for each in app.view_functions if each.startswith("tour")]
    async with app.test_app() as running:
        client = running.test_client()
        for path in ("/tour/", "/tour/stops/tasks", "/tour/hello", "/tour/tasks", "/hello"):
            assert (await client.get(path)).status_code == 404
        assert (await client.post("/tour/tasks", json={"title": "A"})).status_code == 404
        assert "tour" not in await text(client, "/")
        assert (await client.get("/models")).status_code == 200


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_a_tour_that_is_not_wanted_is_not_served(prefix: str, tmp_path: Path) -> None:
    app = make_app(tmp_path, TOUR="false", TOUR_PREFIX=prefix)
    await nothing_of_the_tour_is_served(app)
    assert not (tmp_path / "tasks.sqlite3").exists()


@pytest.mark.process
def test_a_tour_that_is_not_wanted_is_not_imported(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys, quart_app\n"
        "async def main():\n"
        "    app = quart_app.create_app(MODEL_STORE=sys.argv[1], RECIPES='', TOUR=sys.argv[2])\n"
        "    async with app.test_app() as running:\n"
        "        for path in ('/', '/tour/prime', '/tour/tasks', '/nowhere'):\n"
        "            await running.test_client().get(path, headers={'Accept': 'text/html'})\n"
        "asyncio.run(main())\n"
        "print(*sys.modules)"
    )

    def of_the_tour(wanted: str) -> set[str]:
        command = [sys.executable, "-c", script, str(tmp_path / "models"), wanted]
        done = subprocess.run(
            command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, check=True
        )
        return {
            name
            for name in done.stdout.decode().split()
            if name.partition(".")[0] in {"aiosqlite", "gmpy2", "greenlet", "sqlalchemy"}
            or name.startswith(("quart_app.blueprints.tour", "quart_app.tasks"))
        }

    assert {"gmpy2", "sqlalchemy", "quart_app.tasks.database"} <= of_the_tour("true")
    assert of_the_tour("false") == set()


@pytest.mark.parametrize("absent", TOUR)
async def test_without_one_of_its_packages_it_is_off_and_one_line_says_how_to_get_it(
    absent: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(sys.modules, absent, None)
    caplog.set_level(logging.INFO, "quart_app")
    await nothing_of_the_tour_is_served(make_app(tmp_path))
    (line,) = [record.getMessage() for record in caplog.records if "tour" in record.getMessage()]
    assert f"without {absent};" in line
    assert "pip install 'quart-app[tour]'" in line
    caplog.clear()
    make_app(tmp_path, TOUR="false")
    assert caplog.records == []


# What the tour leaves to others --------------------------------------------------


async def test_without_a_prefix_no_address_of_another_is_a_profile(tmp_path: Path) -> None:
    beside = make_app(tmp_path, CLASSIC_PREFIX="")
    at_the_root = make_app(tmp_path, TOUR_PREFIX="")
    others = [
        rule
        for rule in beside.url_map.iter_rules()
        if not rule.endpoint.startswith(("tour.", "tour_pages."))
    ]
    addresses = {re.sub(r"<[^>]*>", "x", rule.rule) for rule in others}
    assert {"/predict_api", "/docs", "/ping", "/invocations", "/static/x"} <= addresses
    async with beside.test_app() as one, at_the_root.test_app() as other:
        for address in sorted(addresses):
            for method in METHODS:
                usual = await ask(one.test_client(), method, address)
                found = await ask(other.test_client(), method, address)
                assert found.status_code == usual.status_code, (method, address)
                assert allowed(found.headers) == allowed(usual.headers), (method, address)
                if method in ("GET", "POST") and address not in ("/openapi.json", "/metrics"):
                    assert await found.get_data() == await usual.get_data(), (method, address)


def allowed(headers: Any) -> set[str]:
    return set(headers.get("Allow", "").split(", "))


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/predict_api", 405, {"POST", "OPTIONS"}),
        ("HEAD", "/predict_api", 405, {"POST", "OPTIONS"}),
        ("PUT", "/predict_api", 405, {"POST", "OPTIONS"}),
        ("DELETE", "/hello", 405, {"GET", "HEAD", "OPTIONS"}),
        ("POST", "/Ada", 405, {"GET", "HEAD", "OPTIONS"}),
        ("PUT", "/prime", 405, {"GET", "POST", "HEAD", "OPTIONS"}),
        ("DELETE", "/tasks", 405, {"GET", "POST", "HEAD", "OPTIONS"}),
        ("POST", "/tasks/1", 405, {"GET", "PUT", "DELETE", "HEAD", "OPTIONS"}),
        ("GET", "/predict_apis", 200, {""}),
        ("GET", "/nothing/there", 404, {""}),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(
    method: str, path: str, status: int, allow: set[str], client: Client
) -> None:
    answer = await ask(client, method, path)
    assert answer.status_code == status
    assert allowed(answer.headers) == allow


async def test_the_tour_and_the_older_apps_stand_side_by_side(tmp_path: Path) -> None:
    async with started(make_app(tmp_path, TOUR_PREFIX="/a", CLASSIC_PREFIX="/a")) as running:
        client = running.test_client()
        assert await text(client, "/a/hello") == "<h1>hello world</h1>"
        assert "quart-app models train iris" in await text(client, "/a/home", 404)


# The pages -----------------------------------------------------------------------


class Page(HTMLParser):
    """The links of a page by their text, its frames, its sources and its headings."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: dict[str, str] = {}
        self.relations: dict[str, str] = {}
        self.frames: list[dict[str, str | None]] = []
        self.sources: list[str] = []
        self.headings: list[str] = []
        self._read: list[str] = []
        self._link: dict[str, str | None] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert "style" not in dict(attrs)
        assert tag not in ("script", "style")
        if tag == "iframe":
            self.frames.append(dict(attrs))
        if tag == "a":
            self._link = dict(attrs)
        if tag in ("a", "code", "h1"):
            self._read = []

    def handle_data(self, data: str) -> None:
        self._read.append(data)

    def handle_endtag(self, tag: str) -> None:
        found = "".join(self._read)
        if tag == "a":
            self.links[found] = self._link["href"] or ""
            if relation := self._link.get("rel"):
                self.relations[relation] = self._link["href"] or ""
        if tag == "code":
            self.sources.append(found)
        if tag == "h1":
            self.headings.append(found)


@contextlib.asynccontextmanager
async def touring(folder: Path, prefix: str) -> AsyncIterator[tuple[Client, str]]:
    """A client of the tour below a prefix, and where its list of stops is."""
    async with started(make_app(folder, TOUR_PREFIX=prefix)) as running:
        yield running.test_client(), f"{prefix}/" if prefix else "/tour/"


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_home_leads_to_the_list_which_leads_to_each_stop(prefix: str, tmp_path: Path) -> None:
    async with touring(tmp_path, prefix) as (client, index):
        assert index in Page(await text(client, "/")).links.values()
        links = Page(await text(client, index)).links
        assert {
            stop.title: f"{prefix}/stops/{stop.name}" for stop in STOPS
        }.items() <= links.items()
        assert len(STOPS) == len({stop.name for stop in STOPS}) == 9


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_previous_and_next_lead_through_the_stops_and_back(
    prefix: str, tmp_path: Path
) -> None:
    async with touring(tmp_path, prefix) as (client, _):
        path, walked = f"{prefix}/stops/{STOPS[0].name}", []
        while path:
            page = Page(await text(client, path))
            walked.extend(page.headings)
            before, path = path, page.relations.get("next", "")
            if path:
                assert Page(await text(client, path)).relations["prev"] == before
        assert walked == [stop.title for stop in STOPS]


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_a_stop_shows_what_answers_at_its_addresses(prefix: str, tmp_path: Path) -> None:
    async with touring(tmp_path, prefix) as (client, _):
        for stop in STOPS:
            page = Page(await text(client, f"{prefix}/stops/{stop.name}"))
            (frame,) = page.frames
            assert frame["title"]
            assert frame["src"] in page.links.values()
            for link in page.links.values():
                assert link.startswith(("/", "#"))
                assert (await client.get(link)).status_code == 200, link


@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: stop.name)
async def test_a_stop_shows_the_very_sources(stop: Any, client: Client) -> None:
    page = await text(client, f"/stops/{stop.name}")
    *_, quart, flask = Page(page).sources
    for view in stop.views:
        twin = getattr(twins, view.__name__)
        assert inspect.getsource(getattr(views, view.__name__)) in quart
        assert inspect.getsource(twin) in flask
        assert inspect.iscoroutinefunction(view)
        assert not inspect.iscoroutinefunction(twin)
    assert html.escape(stop.change) in page


def test_every_view_has_one_stop() -> None:
    shown = [view.__name__ for stop in STOPS for view in stop.views]
    served = {
        name
        for name, function in vars(views).items()
        if inspect.isfunction(function) and function.__module__ == views.__name__
    }
    assert sorted(shown) == sorted(served)


async def test_the_commands_of_the_tasks_name_this_server(tmp_path: Path) -> None:
    async with started(make_app(tmp_path)) as running:
        answer = await running.test_client().get(
            "/tour/stops/tasks", headers={"Host": "tasks.example:8080"}
        )
        commands = Page(await answer.get_data(as_text=True)).sources[0].split("\n")
    assert [command for command in commands if command] == [
        "curl -i http://tasks.example:8080/tour/tasks/",
        "curl -i http://tasks.example:8080/tour/tasks/2",
        "curl -i -X POST http://tasks.example:8080/tour/tasks/ "
        "-H 'Content-Type: application/json' -d '{\"title\": \"Read a book\"}'",
        "curl -i -X PUT http://tasks.example:8080/tour/tasks/2 "
        "-H 'Content-Type: application/json' -d '{\"done\": true}'",
        "curl -i -X DELETE http://tasks.example:8080/tour/tasks/2",
    ]


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_an_unknown_stop_is_not_found(prefix: str, tmp_path: Path) -> None:
    async with touring(tmp_path, prefix) as (client, _):
        for name in ("nothing", "Hello", "hello%2F", "x" * 10_000):
            assert (await client.get(f"{prefix}/stops/{name}")).status_code == 404


async def test_the_document_of_the_api_tells_nothing_of_the_tour(tmp_path: Path) -> None:
    async with started(make_app(tmp_path)) as running:
        document = await (await running.test_client().get("/openapi.json")).json
    assert not [path for path in document["paths"] if path.startswith("/tour")]


@pytest.mark.process
def test_the_twins_are_imported_when_a_page_shows_them() -> None:
    script = (
        "import sys\n"
        "from quart_app.blueprints.tour.stops import STOPS\n"
        "print('quart_app.blueprints.tour.twins' in sys.modules)\n"
        "STOPS[0].flask_source()\n"
        "print('quart_app.blueprints.tour.twins' in sys.modules)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[4],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == ["False", "True"]
