"""docs/from-flask.md holds: its two apps answer alike, its traps print what stands below them, and
the old app answers beside the new one over a real port."""

from __future__ import annotations

import ast
import asyncio
import builtins
import contextlib
import gc
import importlib
import inspect
import io
import itertools
import json
import logging
import re
import signal
import socket
import subprocess
import sys
import time
import types
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import flask
import httpx
import pytest
import quart
from hypercorn.middleware import AsyncioWSGIMiddleware, DispatcherMiddleware
from quart_schema import hide
from werkzeug.local import LocalProxy
from werkzeug.wsgi import ClosingIterator

from quart_app import create_app
from quart_app.cli.main import cli

pytestmark = pytest.mark.process

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/from-flask.md").read_text()
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "SECRET_KEY": "of both apps",
    "HOST": "127.0.0.1",
    "PORT": "0",
    "PYTHONUNBUFFERED": "1",
    "QUART_APP_SHUTDOWN_DELAY": "1.5",
}


class Block(NamedTuple):
    """A block of code, the section it stands in, and the file that the line above it names."""

    section: str
    file: str
    language: str
    text: str


def blocks() -> list[Block]:
    found, section = [], ""
    pattern = r"^(#+ [^\n]*)$|(?:`([\w./]+\.(?:py|html))`[^`\n]*:\n\n)?^```(\w+)\n(.*?)^```$"
    for match in re.finditer(pattern, PAGE, re.MULTILINE | re.DOTALL):
        heading, file, language, text = match.groups()
        if heading:
            section = heading.lstrip("# ")
        else:
            found.append(Block(section, file or "", language, text))
    return found


BLOCKS = blocks()
FILES = {block.file: block.text for block in BLOCKS if block.file}
PRELUDE = next(block.text for block in BLOCKS if block.section == "Traps")
TRAPS = [
    (block, below.text)
    for block, below in itertools.pairwise(BLOCKS)
    if block.language == "python" and below.language == "text" and not block.file
]
NOTEBOOK = next(block.text for block in BLOCKS if block.section == "Before" and not block.file)
IMPORT = next(block.text for block in BLOCKS if block.language == "console")
STARTS = [block.text for block in BLOCKS if block.text.startswith("python -m quart_app serve")]
"""The commands that serve the app after, and both in one."""
LOGGED = "Something went wrong here. It has been logged."


def test_every_block_of_the_document_is_run_here() -> None:
    run = {NOTEBOOK, IMPORT, PRELUDE, *STARTS, *FILES.values()}
    run |= {text for block, below in TRAPS for text in (block.text, below)}
    assert [block for block in BLOCKS if block.text not in run] == []
    assert set(FILES) == {
        *("flask_app.py", "templates/tea/page.html", "tea.py", "app.py", "both.py", "test_tea.py")
    }
    assert len(TRAPS) == 9


# Before and after ----------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reader's folder, when every step has been taken."""
    found = tmp_path_factory.mktemp("tea")
    for name, text in FILES.items():
        (found / name).parent.mkdir(parents=True, exist_ok=True)
        (found / name).write_text(text)
    command, _, output = IMPORT.removeprefix("$ quart-app ").partition("\n")
    with contextlib.chdir(found), contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(NOTEBOOK, {})
        cli.main(command.split(), standalone_mode=False)
    pattern = ".*?".join(re.escape(part) for part in output.strip().split("..."))
    assert re.fullmatch(pattern, printed.getvalue().strip(), re.DOTALL), printed.getvalue()
    return found


@dataclass(frozen=True, slots=True)
class Running:
    """A program of the document that serves, and where it writes its log."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def ready(self) -> bool:
        with self.client() as client:
            return client.get("/health/ready").status_code == 200

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30)


@contextlib.contextmanager
def started(folder: Path, log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program of the document, which writes into this log; killed at the end."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=folder,
            env=ENVIRONMENT | {"PYTHONPATH": str(ROOT)},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(met: Callable[[], object], log: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def announced(process: subprocess.Popen[bytes], log: Path) -> str:
    """The URL that it writes when it listens."""
    found: list[str] = []

    def ended() -> bool:
        found.extend(re.findall(r"http://127\.0\.0\.1:\d+", log.read_text()))
        return bool(found) or process.poll() is not None

    wait_for(ended, log)
    assert found, log.read_text()
    return found[0]


@pytest.fixture(scope="module")
def servers(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Running]]:
    """The app after and both in one, which start side by side."""
    commands = [start.split()[1:] for start in STARTS]
    logs = [tmp_path_factory.mktemp("log") / "log" for _ in commands]
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(started(folder, log, *command))
            for log, command in zip(logs, commands, strict=True)
        ]
        running = [
            Running(announced(process, log), process, log)
            for process, log in zip(processes, logs, strict=True)
        ]
        for server in running:
            wait_for(server.ready, server.log)
        yield running


@pytest.fixture
def after(servers: list[Running]) -> Running:
    return servers[0]


@pytest.fixture
def both(servers: list[Running]) -> Running:
    return servers[1]


@pytest.fixture
def imported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """How to import modules of the reader's, which are forgotten at the end."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("SECRET_KEY", ENVIRONMENT["SECRET_KEY"])
    yield importlib.import_module
    for name in FILES:
        sys.modules.pop(Path(name).stem, None)


@pytest.fixture
def before(imported: Callable[[str], Any]) -> Iterator[httpx.Client]:
    """A client of the app before, in Flask."""
    transport = httpx.WSGITransport(imported("flask_app").app, raise_app_exceptions=False)
    with httpx.Client(transport=transport, base_url="http://127.0.0.1") as client:
        yield client


CUP = {"grams": "2", "minutes": "3"}

REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/tea", {}),
    ("HEAD", "/tea", {}),
    ("GET", "/cups", {}),
    ("POST", "/predict", {"data": {"grams": "1", "minutes": "2"}}),
    ("POST", "/predict", {"data": {"grams": "5", "minutes": "1"}}),
    ("POST", "/predict", {"data": {"grams": "5", "minutes": "10"}}),
    ("POST", "/predict", {"files": {name: (None, text) for name, text in CUP.items()}}),
    ("GET", "/cups", {}),
    ("POST", "/api/predict", {"json": {"grams": 1, "minutes": 2}}),
    ("POST", "/api/predict", {"json": {"grams": "2", "minutes": 5.5}}),
    ("POST", "/api/predict", {"json": {"grams": 5, "minutes": 10, "milk": True}}),
]


def test_before_and_after_answer_the_same_requests_alike(
    before: httpx.Client, after: Running
) -> None:
    answers = []
    with after.client() as new:
        for method, path, sent in REQUESTS:
            one, other = (client.request(method, path, **sent) for client in (before, new))
            assert one.status_code == other.status_code, (method, path, one.text, other.text)
            assert one.content == other.content
            assert one.headers["Content-Type"] == other.headers["Content-Type"]
            assert ("Set-Cookie" in one.headers) == ("Set-Cookie" in other.headers)
            answers.append(one.text)
    assert {'{"cups":0}\n', '{"cups":4}\n', '{"answer":"weak"}\n'} <= set(answers)
    assert [word for word in ("weak", "good", "bitter") if word not in "".join(answers)] == []


def test_what_was_a_failure_before_is_a_sentence_after(
    before: httpx.Client, after: Running
) -> None:
    sent = {"grams": "many", "minutes": "3"}
    with after.client() as new:
        assert before.post("/predict", data=sent).status_code == 500
        page = new.post("/predict", data=sent)
        assert page.status_code == 400
        assert "grams: expected a number, got &#34;many&#34;" in page.text
        answer = new.post("/api/predict", json=sent)
        assert answer.status_code == 400
        assert answer.json()["error"] == 'grams: expected a number, got "many"'
        assert before.post("/predict", data={"grams": "1"}).status_code == 400
        assert new.post("/predict", data={"grams": "1"}).status_code == 400
        assert before.post("/api/predict", content=b'{"grams": 1}').status_code == 415


def test_the_limits_are_as_the_document_says(after: Running) -> None:
    with after.client() as client:
        for size, status in (64 * 1024 - 100, 400), (64 * 1024, 413):
            assert client.post("/predict", data={"leaf": "x" * size}).status_code == status
            files = {"leaf": ("leaf.txt", b"x" * (size - 200 if status == 400 else size))}
            assert client.post("/predict", files=files).status_code == status
        for size, status in (1024 * 1024 - 100, 200), (1024 * 1024, 413):
            sent = {"grams": 1, "minutes": 2, "leaf": "x" * size}
            assert client.post("/api/predict", json=sent).status_code == status
        handshake = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==",
        }
        assert client.get("/tea", headers=handshake).status_code == 403


async def test_the_readers_own_test_passes(imported: Callable[[str], Any]) -> None:
    await imported("test_tea").test_the_tea_is_weak()


async def test_a_client_alone_starts_nothing(imported: Callable[[str], Any]) -> None:
    client = imported("app").create().test_client()
    response = await client.post("/api/predict", json={"grams": 1, "minutes": 2})
    assert response.status_code == 503


# The table -----------------------------------------------------------------------


def test_the_table_says_what_is_awaited_in_quart() -> None:
    """By the rows whose right side names a function or a property of the request."""
    section = PAGE.split("\n## What changes\n")[1].split("\n## ")[0]
    awaited = set(re.findall(r"`await (\w+|request\.\w+)(?:\(\))?`", section))
    same = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| .*the same", section, re.MULTILINE)
    plain = {name for cell in same for name in re.findall(r"\w+", cell)} - awaited
    assert len(awaited) == 11
    assert plain == {
        *("session", "get_flashed_messages", "g", "abort", "redirect", "jsonify", "url_for")
    }
    for name in awaited | plain:
        owner, _, attribute = name.rpartition(".")
        found = inspect.getattr_static(quart.Request if owner else quart, attribute)
        function = found.fget if isinstance(found, property) else found
        is_proxy = isinstance(function, LocalProxy)
        assert (not is_proxy and inspect.iscoroutinefunction(function)) == (name in awaited), name
        assert owner or hasattr(flask, name)


async def test_the_rest_of_the_table_holds_in_a_blueprint(tmp_path: Path) -> None:
    for name, text in {"static/leaf.txt": "a leaf", "templates/base.html": "mine"}.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    blueprint = quart.Blueprint(
        "tea",
        __name__,
        root_path=str(tmp_path),
        template_folder="templates",
        static_folder="static",
        static_url_path="/tea/static",
    )

    @blueprint.before_request
    def greet() -> None:
        quart.g.greeting = "hello"

    @blueprint.after_request
    async def sign(response: quart.Response) -> quart.Response:
        response.headers["X-Tea"] = "green"
        return response

    @blueprint.errorhandler(404)
    async def absent(error: Exception) -> tuple[str, int]:
        return "no tea", 404

    @blueprint.get("/flashed")
    async def flashed() -> list[str]:
        await quart.flash(quart.g.greeting)
        return [quart.url_for(".flashed"), *quart.get_flashed_messages()]

    @blueprint.get("/absent")
    async def abort() -> str:
        quart.abort(404)

    @blueprint.get("/broken")
    @hide
    async def broken() -> str:
        raise KeyError("grams")

    app = create_app(MODEL_STORE=tmp_path / "models", RECIPES="", CLASSIC=False)
    app.secret_key = "of a test"
    app.register_blueprint(blueprint)
    client = app.test_client()

    async def told(path: str) -> str:
        return await (await client.get(path)).get_data(as_text=True)

    assert json.loads(await told("/flashed")) == ["/flashed", "hello"]
    assert (await client.get("/flashed")).headers["X-Tea"] == "green"
    assert await told("/absent") == "no tea"
    assert json.loads(await told("/broken")) == {"error": LOGGED}
    assert LOGGED in PAGE
    paths = json.loads(await told("/openapi.json"))["paths"]
    assert "/flashed" in paths
    assert "/broken" not in paths
    assert await told("/tea/static/leaf.txt") == "a leaf"
    async with app.test_request_context("/"):
        assert quart.url_for("tea.static", filename="leaf.txt") == "/tea/static/leaf.txt"
        assert await quart.render_template_string("{% if 1 %}\nx\n{% endif %}\n") == "x\n"
        assert await quart.render_template("base.html") != "mine"


# Traps ---------------------------------------------------------------------------


@pytest.mark.parametrize(("trap", "below"), TRAPS, ids=[trap.section for trap, _ in TRAPS])
async def test_a_trap_prints_what_stands_below_it(
    trap: Block, below: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)  # a record would hold on to what was never awaited
    printed = io.StringIO()
    names = {"__name__": "notebook", "__builtins__": builtins}
    with warnings.catch_warnings(record=True) as warned, contextlib.redirect_stdout(printed):
        warnings.simplefilter("always")
        for text in (PRELUDE, trap.text):
            code = compile(text, "notebook", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            result = types.FunctionType(code, names)()
            if inspect.isawaitable(result):
                await result
        names.clear()
        gc.collect()
    assert printed.getvalue() == below
    told = {str(warning.message) for warning in warned}
    assert all("was never awaited" in message for message in told)
    if "before the body" in trap.section:
        assert told == {"coroutine 'Request.form' was never awaited"}


# Side by side --------------------------------------------------------------------


def test_both_apps_answer_at_one_port(both: Running, before: httpx.Client) -> None:
    with both.client() as client:
        for method, path, sent in REQUESTS:
            expected = before.request(method, path, **sent)
            for prefix in ("/old", ""):
                client.cookies.clear()
                answer = client.request(method, prefix + path, **sent)
                assert answer.status_code == expected.status_code
                if path != "/cups":
                    text = answer.text.replace('action="/old/', 'action="/')
                    assert text == expected.text


def test_the_old_app_builds_addresses_below_its_own(both: Running) -> None:
    with both.client() as client:
        assert 'action="/old/predict"' in client.get("/old/tea").text
        assert 'action="/predict"' in client.get("/tea").text
        for path, kind in ("/older", "application/json"), ("/old/no", "text/html; charset=utf-8"):
            answer = client.get(path)
            assert answer.status_code == 404
            assert answer.headers["Content-Type"] == kind
        assert client.get("/models").json()["models"][0]["name"] == "tea"
        assert "/api/predict" in client.get("/openapi.json").text


def test_both_apps_share_the_session_and_a_kept_address_is_the_old_apps(both: Running) -> None:
    with both.client() as client:
        client.post("/predict", data=CUP)
        client.post("/old/predict", data=CUP)
        answer = client.get("/cups")
        assert answer.json() == {"cups": 2}
        assert client.delete("/cups").headers["Content-Type"].startswith("text/html")
        assert client.delete("/tea").headers["Content-Type"] == "application/json"


def test_answers_without_a_body_pass_the_middleware(both: Running) -> None:
    with both.client() as client:
        assert client.head("/old/tea").headers["Content-Type"].startswith("text/html")
        assert client.head("/old/tea").status_code == 200
        options = client.options("/old/predict")
        assert options.status_code == 200
        assert "POST" in options.headers["Allow"]


def test_a_large_body_reaches_the_old_app_and_a_larger_one_is_refused(both: Running) -> None:
    with both.client() as client:
        large = {"grams": 1, "minutes": 2, "milk": "x" * (2 * 1024 * 1024)}
        assert client.post("/api/predict", json=large).status_code == 413
        assert client.post("/old/api/predict", json=large).json() == {"answer": "weak"}
        assert client.post("/old/predict", content=b"x" * (17 * 1024 * 1024)).status_code == 400


def test_at_the_signal_the_old_app_finishes_what_it_was_sent(both: Running) -> None:
    body = b'{"grams": 1, "minutes": 2}'
    head = (
        "POST /old/api/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with both.client() as client, socket.create_connection(("127.0.0.1", both.port), 30) as raw:
        raw.sendall(head.encode() + body[:5])
        assert client.get("/health/ready").status_code == 200
        both.process.send_signal(signal.SIGTERM)
        wait_for(lambda: client.get("/health/ready").status_code == 503, both.log)
        raw.sendall(body[5:])
        answer = raw.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b'{"answer":"weak"}\n')
    assert both.process.wait(30) == 0
    assert "Traceback" not in both.log.read_text()


EMPTY = flask.Flask("empty")


@EMPTY.get("/none")
def none() -> tuple[str, int]:
    """An answer without a body."""
    return "", 204


async def sent_by(wsgi_app: Any, method: str) -> list[str]:
    """The kinds of messages that Hypercorn's middleware sends for a request."""
    kinds: list[str] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        kinds.append(message["type"].removeprefix("http.response."))

    scope = {"type": "http", "method": method, "path": "/none", "query_string": b""}
    scope |= {"http_version": "1.1", "headers": []}
    middleware: Any = AsyncioWSGIMiddleware(wsgi_app)
    await middleware(scope, receive, send)
    return kinds


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_hypercorns_middleware_begins_no_answer_without_a_body(
    method: str, imported: Callable[[str], Any]
) -> None:
    """As long as this is so, `with_body` is needed."""
    assert await sent_by(EMPTY, method) == ["body"]
    with_body, closed = imported("both").with_body, []

    def noticing(environ: Any, start_response: Any) -> Any:
        return ClosingIterator(EMPTY(environ, start_response), lambda: closed.append(True))

    assert await sent_by(with_body(noticing), method) == ["start", "body", "body"]
    assert closed == [True]


async def test_hypercorns_dispatcher_waits_for_a_lifespan_that_wsgi_has_not() -> None:
    """Why the document shows a function of its own."""
    paths: list[tuple[str, str]] = []

    async def new(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            paths.append((scope["path"], scope["root_path"]))
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        new_started.set()

    new_started, sent = asyncio.Event(), list[Any]()
    events: asyncio.Queue[Any] = asyncio.Queue()
    events.put_nowait({"type": "lifespan.startup"})

    async def send(event: Any) -> None:
        sent.append(event)

    wsgi = AsyncioWSGIMiddleware(flask.Flask("old"))
    dispatcher: Any = DispatcherMiddleware({"/old": wsgi, "/": new})
    task = asyncio.create_task(dispatcher({"type": "lifespan"}, events.get, send))
    await new_started.wait()
    assert dispatcher.startup_complete == {"/old": False, "/": True}
    assert sent == []
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    dispatcher = DispatcherMiddleware({"/old": new, "/": new})
    for path in "/tea", "/older":
        await dispatcher({"type": "http", "path": path, "root_path": ""}, events.get, send)
    assert paths == [("/tea", "/"), ("/older", "/old")]
