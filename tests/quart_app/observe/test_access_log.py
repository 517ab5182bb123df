"""The access log: one line a request, whatever is sent, and nobody who holds it up."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from quart_app import create_app
from quart_app.asgi import Record, state_of
from quart_app.middleware.request_record import Recorder, shown_path
from quart_app.observe.access_log import MAX_PATH, AccessLog, dropped_line, line, timestamp
from quart_app.observe.line_writer import LineWriter

from ...conftest import Server, serving, started

pytestmark = pytest.mark.process

ROW = {"X1": 61.1, "X2": 17.3}
PREDICT = "/models/<name>/predict"
LONG = 30.0

Lines = list[dict[str, Any]]


# What a line tells, at the wire ---------------------------------------------------


class Logged:
    """A server whose lines are read, and what they say."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.raw: list[bytes] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        stdout = self.server.process.stdout
        assert stdout is not None
        self.raw.extend(os.fsencode(text) for text in stdout)

    def send(self, data: bytes) -> bytes:
        """What is answered to these bytes, on a connection of their own."""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=LONG) as connection:
            connection.sendall(data)
            return connection.recv(65536)

    def told(self, path: str, count: int = 1) -> Lines:
        """The lines of this path, once there are as many."""
        deadline = time.monotonic() + LONG
        while True:
            found = [told for told in map(json.loads, self._json()) if told.get("path") == path]
            if len(found) >= count:
                return found
            assert time.monotonic() < deadline, (path, self.raw)
            time.sleep(0.02)

    def _json(self) -> list[bytes]:
        return [text for text in list(self.raw) if text.startswith(b"{")]

    def end(self) -> Lines:
        """Every line, after the server was told to end."""
        assert self.server.stop() == 0
        self._reader.join(LONG)
        return [json.loads(text) for text in self._json()]


@pytest.fixture(scope="module")
def logged(bundled_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    folder = tmp_path_factory.mktemp("logged")
    with serving(cwd=folder, QUART_APP_MODEL_STORE=bundled_root) as server:
        server.wait_until_ready()
        yield Logged(server)


def test_a_prediction_is_told_in_one_line(logged: Logged) -> None:
    path = "/models/exam/predict"
    answer = httpx.post(logged.server.url + path, json=[ROW, ROW, ROW])
    (told,) = logged.told(path)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told.pop("time"))
    assert 0 < told.pop("duration_ms") < LONG * 1000
    assert re.fullmatch("[0-9a-f]{32}", told.pop("request_id"))
    assert told == {
        "method": "POST",
        "route": PREDICT,
        "path": path,
        "status": 200,
        "bytes": len(answer.content),
        "model": "exam",
        "version": 1,
        "rows": 3,
        "error": None,
        "aborted": False,
        "client": "127.0.0.1",
    }


def instances(*rows: dict[str, float]) -> bytes:
    return json.dumps({"instances": [list(row.values()) for row in rows]}).encode()


INPUTS = [
    {"name": name, "datatype": "FP64", "shape": [2], "data": [value, value]}
    for name, value in ROW.items()
]
TABLE = b"X1,X2\n" + b"61.1,17.3\n" * 2500
UPLOAD = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"


@pytest.mark.parametrize(
    ("path", "route", "kind", "body", "rows"),
    [
        ("/models/exam/versions/1/predict", "/models/<name>/versions/<version>/predict",
         "application/json", json.dumps(ROW).encode(), 1),
        ("/predict", "/predict", FORM, b"X1=61.1&X2=17.3", 1),
        ("/v1/models/exam:predict", "/v1/models/<name>:predict", "", instances(ROW, ROW), 2),
        ("/v2/models/exam/infer", "/v2/models/<name>/infer", "",
         json.dumps({"inputs": INPUTS}).encode(), 2),
        ("/invocations", "/invocations", "text/csv", b"X1,X2\n61.1,17.3\n", 1),
        ("/models/exam/predict", PREDICT, "text/csv", TABLE, 2500),
        ("/models/exam/file", "/models/<name>/file", MULTIPART,
         UPLOAD + TABLE + b"\r\n--x--\r\n", None),
    ],
    ids=["version", "form", "v1", "v2", "invocations", "table", "file"],
)  # fmt: skip
def test_every_protocol_tells_the_model_and_the_rows(
    logged: Logged, path: str, route: str, kind: str, body: bytes, rows: int | None
) -> None:
    before = len([each for each in logged.raw if json.dumps(path).encode() in each])
    params = {"model": "exam"} if path == "/invocations" else {}
    headers = {"Accept-Encoding": "identity"} | ({"Content-Type": kind} if kind else {})
    url = logged.server.url + path
    answer = httpx.post(url, content=body, headers=headers, params=params, timeout=LONG)
    assert answer.status_code in {200, 303}
    told = logged.told(path, before + 1)[-1]
    assert told["route"] == route
    assert (told["model"], told["version"], told["rows"]) == ("exam", 1, rows)
    assert told["bytes"] == len(answer.content)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "error"),
    [
        ("POST", "/models/exam/predict?a", b'{"X1": "many", "X2": 1}', 400, "invalid_rows"),
        ("POST", "/models/exam/predict?b", b"{", 400, "invalid_request"),
        ("POST", "/models/exam/predict?c", b"[" * 1_100_000, 413, "request_too_large"),
        ("POST", "/models/nothing/predict", b"{}", 404, "model_not_found"),
        ("GET", "/models/exam/versions/7/predict?X1=1&X2=1", b"", 404, "model_not_found"),
        ("GET", "/nothing/here", b"", 404, "not_found"),
        ("DELETE", "/models/exam/predict", b"", 405, "method_not_allowed"),
    ],
)
def test_an_error_is_told_by_its_kind(
    logged: Logged, method: str, path: str, body: bytes, status: int, error: str
) -> None:
    bare = path.partition("?")[0]
    before = len([each for each in logged.raw if json.dumps(bare).encode() in each])
    answer = httpx.request(method, logged.server.url + path, content=body)
    assert answer.status_code == status
    told = logged.told(bare, before + 1)[-1]
    assert (told["method"], told["status"], told["error"]) == (method, status, error)
    assert (told["route"] is None) == (error in {"not_found", "method_not_allowed"})
    assert not told["aborted"]


def test_an_error_on_a_page_is_told_as_well(logged: Logged) -> None:
    path = "/models/diabetes/predict"
    page = httpx.get(f"{logged.server.url}{path}?age=old", headers={"Accept": "text/html"})
    assert page.status_code == 400
    (told,) = logged.told(path)
    assert (told["model"], told["rows"], told["error"]) == ("diabetes", 1, "invalid_rows")


FORGED = b'","status":200}\n{"time":"2000-01-01T00:00:00.000Z","forged":true'
SENT = [
    b"/a%0a%0d" + FORGED.replace(b"\n", b"%0A").replace(b'"', b"%22"),
    b'/b"},{"\\u000a\\n\\',
    b"/c%E2%80%A8%C2%85%00%1b[31m",
    b"/d%ff%fe%c0%af",
    b"/e/" + b"x" * 5000,
    b"//f//..//../%2e%2e/etc/passwd",
]


@pytest.mark.parametrize("target", SENT, ids=lambda target: target[:3].decode())
def test_a_path_is_told_as_it_was_sent_and_forges_no_line(logged: Logged, target: bytes) -> None:
    request = b"GET " + target + b"?secret=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert logged.send(request).startswith(b"HTTP/1.1 404")
    path = target.decode()
    (told,) = logged.told(path if len(path) <= MAX_PATH else f"{path[:MAX_PATH]}...")
    assert (told["status"], told["route"]) == (404, None)
    for each in logged.raw[1:]:
        assert each.isascii()
        assert b"secret" not in each
    assert not any("forged" in json.loads(each) for each in logged.raw if each[:1] == b"{")


def test_headers_forge_no_line(logged: Logged) -> None:
    request = (
        b"GET /headers HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-ID: a\xe2\x80\xa8b"
        b'"\r\nX-Forwarded-For: 1.2.3.4, {" folded\r\nUser-Agent: \x85\r\n\r\n'
    )
    logged.send(request)
    (told,) = logged.told("/headers")
    assert told["client"] == "127.0.0.1"
    assert re.fullmatch(r"[\w-]{1,128}", told["request_id"])


def test_a_client_that_goes_away_before_its_answer_is_told_as_499(logged: Logged) -> None:
    head = b"POST /models/exam/predict?gone HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
    with socket.create_connection(("127.0.0.1", logged.server.port), timeout=LONG) as connection:
        connection.sendall(head)
        time.sleep(0.1)
    deadline = time.monotonic() + LONG
    while not (gone := [t for t in logged.told("/models/exam/predict") if t["aborted"]]):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert (gone[0]["status"], gone[0]["error"], gone[0]["bytes"]) == (499, "client_gone", 0)


def test_a_handshake_of_a_websocket_is_told(logged: Logged) -> None:
    request = (
        b"GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert logged.send(request).startswith(b"HTTP/1.1 403")
    (told,) = logged.told("/socket")
    assert (told["method"], told["status"]) == ("GET", 403)


def test_every_request_has_a_line_also_those_answered_after_the_signal(
    bundled_root: Path, tmp_path: Path
) -> None:
    with serving(cwd=tmp_path, QUART_APP_MODEL_STORE=bundled_root) as server:
        logged = Logged(server)
        with httpx.Client(base_url=server.url) as client:
            for number in range(100):
                client.get(f"/health/live?{number}")
        lines = logged.end()
    assert [told["path"] for told in lines] == ["/health/live"] * 100
    assert len({told["request_id"] for told in lines}) == 100


def test_without_the_setting_nothing_is_told(bundled_root: Path, tmp_path: Path) -> None:
    settings = {"QUART_APP_MODEL_STORE": bundled_root, "QUART_APP_ACCESS_LOG": "false"}
    with serving(cwd=tmp_path, **settings) as server:
        logged = Logged(server)
        assert httpx.get(f"{server.url}/health/live").status_code == 200
        assert logged.end() == []


def test_a_server_whose_stdout_nobody_reads_answers_and_ends(
    bundled_root: Path, tmp_path: Path
) -> None:
    with serving(cwd=tmp_path, QUART_APP_MODEL_STORE=bundled_root) as server:
        stdout = server.process.stdout
        assert stdout is not None
        fcntl.fcntl(stdout, fcntl.F_SETPIPE_SZ, 4096)
        with httpx.Client(base_url=server.url, timeout=LONG) as client:
            for _ in range(60):
                assert client.get("/health/live").status_code == 200
        assert server.stop() == 0


def test_a_server_whose_stdout_is_closed_answers_and_ends(
    bundled_root: Path, tmp_path: Path
) -> None:
    with serving(cwd=tmp_path, QUART_APP_MODEL_STORE=bundled_root) as server:
        assert server.process.stdout is not None
        server.process.stdout.close()
        try:
            for _ in range(3):
                assert httpx.get(f"{server.url}/health/live").status_code == 200
                time.sleep(0.1)
            assert server.stop() == 0
        finally:
            server.process.stdout = None  # `communicate` would read it


# The writer ------------------------------------------------------------------------


def test_a_piece_is_never_longer_than_what_a_pipe_takes_whole(pipe: tuple[int, int]) -> None:
    read, write = pipe
    record = Record(0.0, "GET", "/" + "x" * 10_000, request_id="0" * 128)
    told = line(record)
    assert len(told) < 2048
    writer = LineWriter(write, dropped_line)
    for _ in range(10):
        writer.write(told)
    writer.close(LONG / 100)
    piece = os.read(read, 65536)
    assert len(piece) % len(told) == 0
    assert piece == told * (len(piece) // len(told))


# A line, and the record --------------------------------------------------------------


def test_a_line_is_ascii_with_one_end_whatever_the_record_holds() -> None:
    odd = 'a\r\n\u2028\u2029\x85\x00\x1b"\\é\U0001f600'
    record = Record(0.0, odd, odd, client=odd, request_id=odd, route=odd, model=odd, error=odd)
    told = line(record)
    assert told.isascii()
    assert len(told.splitlines()) == 1
    assert told.endswith(b"}\n")
    assert json.loads(told)["route"] == odd


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_700_000_000.9996, "2023-11-14T22:13:20.999Z"),
        (1_700_000_000.0004, "2023-11-14T22:13:20.000Z"),
    ],
)
def test_a_moment_is_told_in_utc_to_the_millisecond(seconds: float, told: str) -> None:
    assert timestamp(seconds) == told


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        ({"path": "/a b", "raw_path": b"/a%20b"}, "/a%20b"),
        ({"path": "/a b\n\u2028"}, "/a%20b%0A%E2%80%A8"),
        ({"path": "/x", "raw_path": b"/\xff\n \x7f%0a"}, "/%FF%0A%20%7F%0a"),
        ({"path": "/\udcff"}, "/%FF"),
    ],
)
def test_a_path_is_shown_in_visible_ascii(scope: Any, path: str) -> None:
    assert shown_path(scope) == path


async def run(app: Any, *events: dict[str, Any]) -> Record:
    """The record of one request to an app that receives these events."""
    records: list[Record] = []
    left = list(events)

    async def receive() -> Any:
        return left.pop(0)

    async def send(event: Any) -> None:
        if event.get("body") == b"fails":
            raise TimeoutError

    scope: Any = {"type": "http", "method": "GET", "path": "/", "headers": []}
    with contextlib.suppress(Exception, asyncio.CancelledError):
        await Recorder(app, [records.append])(scope, receive, send)
    (record,) = records
    return record


START = {"type": "http.response.start", "status": 201, "headers": []}
PART = {"type": "http.response.body", "body": b"12345", "more_body": True}
LAST = {"type": "http.response.body", "body": b"67"}
FAILS = {"type": "http.response.body", "body": b"fails"}
GONE = {"type": "http.disconnect"}


@pytest.mark.parametrize(
    ("steps", "status", "size", "aborted"),
    [
        ((START, PART, LAST), 201, 7, False),
        ((START, LAST, GONE), 201, 2, False),
        ((START, PART, GONE), 201, 5, True),
        ((START, PART), 201, 5, True),
        ((GONE,), 499, 0, True),
        ((), 500, 0, False),
        ((START, FAILS), 201, 5, True),
    ],
    ids=["whole", "gone after it", "gone within", "cut off", "gone", "nothing", "stalled"],
)
async def test_how_a_request_ended_is_recorded(
    steps: tuple[dict[str, Any], ...], status: int, size: int, aborted: bool
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for event in steps:
            await (receive() if event is GONE else send(event))

    record = await run(app, GONE)
    assert (record.status, record.bytes, record.aborted) == (status, size, aborted)
    assert record.error == ("client_gone" if aborted else None)


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
async def test_an_app_that_raises_is_recorded_as_500(error: type[BaseException]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise error

    record = await run(app)
    assert (record.status, record.aborted) == (500, False)


async def test_the_id_and_the_client_are_those_found_further_inside() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        state = state_of({**scope})
        state.request_id = "theirs"
        scope["client"] = ("2001:db8::1", 0)
        record = state.record
        assert record is not None
        record.model, record.version, record.rows = "iris", 2, 3
        record.route, record.error = "/x", "odd"

    record = await run(app)
    assert (record.request_id, record.client) == ("theirs", "2001:db8::1")
    assert (record.model, record.version, record.rows) == ("iris", 2, 3)
    assert (record.route, record.error) == ("/x", "odd")


async def test_an_unexpected_error_is_logged_with_the_id_and_a_path_of_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(MODEL_STORE=tmp_path, RECIPES="")

    @app.get("/fails/<rest>")
    async def fails(rest: str) -> str:
        raise ValueError("odd")

    records: list[Record] = []
    app.extensions["quart_app"].observers.append(records.append)
    async with started(app) as running:
        await running.test_client().get("/fails/a%0aforged%E2%80%A8")
    (record,) = records
    assert (record.route, record.error) == ("/fails/<rest>", "internal_error")
    (logged,) = [each for each in caplog.records if "failed" in each.message]
    assert logged.message == (
        f"GET '/fails/a\\nforged\\u2028' failed (request {record.request_id})"
    )


async def test_a_log_observes(pipe: tuple[int, int]) -> None:
    writer = LineWriter(pipe[1], dropped_line)
    AccessLog(writer)(Record(0.0, "GET", "/", status=200))
    writer.close(LONG)
    assert json.loads(os.read(pipe[0], 4096))["status"] == 200
