from __future__ import annotations

import http.client
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[3]
LOOPS = ["asyncio"] + ["uvloop"] * (importlib.util.find_spec("uvloop") is not None)
NEEDS_UVICORN = pytest.mark.skipif(
    None in map(importlib.util.find_spec, ("uvicorn", "httptools")),
    reason="needs the extra uvicorn",
)
HTTP_SERVERS = ["hypercorn", pytest.param("uvicorn", marks=NEEDS_UVICORN)]
SERVERS = [
    *((loop, "hypercorn") for loop in LOOPS),
    pytest.param(LOOPS[-1], "uvicorn", marks=NEEDS_UVICORN),
]
IPV6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="needs IPv6")
LONG = 30.0  # seconds; no test waits this long unless it fails

# An app that sleeps as long as the query says, reads the body, and answers with its length.
APP = """
import asyncio, time

async def startup(): pass
async def shutdown(): print("shut down", flush=True)

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await startup()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await shutdown()
        await send({"type": "lifespan.shutdown.complete"})
        return
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message["body"])
        more = message["more_body"]
    await answer(float(scope["query_string"] or 0), size, send)

async def answer(seconds, size, send):
    await asyncio.sleep(seconds)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d bytes" % size})
"""

RUN = """
import sys
if {loop!r} == "asyncio":
    sys.modules["uvloop"] = None
from quart_app.server.options import ServerOptions, Shutdown
from quart_app.server.run import http_server, serve
from quart_app.server.sockets import bind

code = serve(
    app,
    bind("127.0.0.1", 0),
    http_server({http_server!r}),
    ServerOptions(
        shutdown=Shutdown(**{shutdown!r}),
        startup_timeout={startup_timeout!r},
        keep_alive={keep_alive!r},
        max_connections={max_connections!r},
    ),
    on_stop=lambda reason: print(reason, flush=True),
    on_listening={on_listening},
)
print("code", code, flush=True)
sys.exit(code)
"""


class Server:
    """A process that serves an app, and what it prints."""

    def __init__(
        self,
        folder: Path,
        app: str,
        *,
        loop: str = LOOPS[-1],
        http_server: str = "hypercorn",
        keep_alive: float = 60,
        max_connections: int = 1000,
        startup_timeout: float = LONG,
        warnings: str = "error",
        on_listening: str = "lambda url: print(url, flush=True)",
        **shutdown: float,
    ) -> None:
        script = folder / "serve.py"
        shutdown = {"delay": 0.0, "drain": LONG, "watchdog": LONG} | shutdown
        script.write_text(
            app
            + RUN.format(
                loop=loop,
                http_server=http_server,
                keep_alive=keep_alive,
                max_connections=max_connections,
                on_listening=on_listening,
                shutdown=shutdown,
                startup_timeout=startup_timeout,
            )
        )
        self.process = subprocess.Popen(
            [sys.executable, "-W", warnings, str(script)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def listening(self) -> Server:
        self.port = int(self.line().removeprefix("http://127.0.0.1:"))
        return self

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, list[str], str]:
        """Exit code, the lines not yet read from stdout, stderr."""
        out, err = self.process.communicate(timeout=LONG)
        return self.process.returncode, out.splitlines(), err

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=LONG)

    def request(self, seconds: float = 0) -> socket.socket:
        connection = self.connect()
        connection.sendall(f"GET /?{seconds} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return connection


def response(connection: socket.socket) -> tuple[int, bytes, bool]:
    """Status, body, and whether the server says that it closes the connection."""
    reply = http.client.HTTPResponse(connection)
    reply.begin()
    return reply.status, reply.read(), reply.getheader("Connection") == "close"


Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    servers = []

    def start(app: str = APP, **options: Any) -> Server:
        servers.append(Server(tmp_path, app, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.process.kill()
        server.process.communicate()


CUT_OFF = "Requests cut off, as they did not end in time: 1.\n"
ENDED = ["signal", "shut down", "code 0"]


@pytest.mark.parametrize(("loop", "http_server"), SERVERS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_code_0_whatever_idle_connections_there_are(
    start: Start, number: signal.Signals, loop: str, http_server: str
) -> None:
    server = start(loop=loop, http_server=http_server).listening()
    silent, begun, kept = server.connect(), server.connect(), server.request()
    begun.sendall(b"GET / HTTP/1.1\r\nHo")
    assert response(kept) == (200, b"0 bytes", False)
    server.signal(number)
    assert server.end() == (0, ENDED, "")
    for connection in silent, begun, kept:
        assert connection.recv(1) == b""
        connection.close()


@pytest.mark.parametrize("http_server", HTTP_SERVERS)
def test_after_the_signal_connections_are_accepted_and_asked_to_close(
    start: Start, http_server: str
) -> None:
    server = start(http_server=http_server, delay=1.0).listening()
    kept = server.request()
    assert response(kept) == (200, b"0 bytes", False)
    server.signal()
    assert server.line() == "signal"
    kept.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    with kept, server.request() as new:
        assert response(kept) == response(new) == (200, b"0 bytes", True)
    assert server.end() == (0, ENDED[1:], "")


@pytest.mark.parametrize(("loop", "http_server"), SERVERS)
def test_what_is_being_received_or_answered_is_answered(
    start: Start, loop: str, http_server: str
) -> None:
    server = start(loop=loop, http_server=http_server).listening()
    slow = [server.request(1.2) for _ in range(20)]
    upload = server.connect()
    upload.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc")
    time.sleep(0.2)
    server.signal()
    assert server.line() == "signal"
    time.sleep(0.5)  # the listener is closed by now
    with pytest.raises(ConnectionRefusedError):
        server.connect()
    upload.sendall(b"def")
    assert response(upload) == (200, b"6 bytes", True)
    assert {response(connection) for connection in slow} == {(200, b"0 bytes", True)}
    assert server.end() == (0, ENDED[1:], "")
    for connection in upload, *slow:
        connection.close()


def test_a_head_that_has_begun_to_arrive_at_the_signal_is_answered(start: Start) -> None:
    server = start().listening()
    with server.connect() as begun:
        begun.sendall(b"GET / HTTP/1.1\r\nHo")
        time.sleep(0.2)
        server.signal()
        assert server.line() == "signal"
        time.sleep(0.7)  # the listener is closed by now
        begun.sendall(b"st: x\r\n\r\n")
        assert response(begun) == (200, b"0 bytes", True)
    assert server.end() == (0, ENDED[1:], "")


STREAM = """
async def answer(seconds, size, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"begun ", "more_body": True})
    await asyncio.sleep(seconds)
    await send({"type": "http.response.body", "body": b"ended"})
"""


def test_a_response_that_has_begun_is_completed(start: Start) -> None:
    server = start(APP + STREAM).listening()
    with server.request(1) as connection:
        reply = http.client.HTTPResponse(connection)
        reply.begin()
        assert reply.read(6) == b"begun "
        server.signal()
        assert server.end() == (0, ENDED, "")
        assert reply.read() == b"ended"


def load(server: Server, outcomes: Counter[str]) -> None:
    """Send requests, each as soon as the last is answered, until connections are refused."""
    while True:
        try:
            connection = server.connect()
        except ConnectionRefusedError:
            return
        closing = False
        while not closing:
            try:
                connection.sendall(b"GET /?0.02 HTTP/1.1\r\nHost: x\r\n\r\n")
                status, body, closing = response(connection)
                outcomes[f"{status} {body.decode()}"] += 1
            except (OSError, http.client.HTTPException) as error:
                outcomes[f"lost: {error!r}"] += 1
                break
        connection.close()


@pytest.mark.parametrize(("loop", "http_server"), SERVERS)
def test_under_load_every_connection_is_refused_or_answered(
    start: Start, loop: str, http_server: str
) -> None:
    server = start(loop=loop, http_server=http_server, delay=0.5).listening()
    counts: list[Counter[str]] = [Counter() for _ in range(32)]
    clients = [threading.Thread(target=load, args=(server, count)) for count in counts]
    for client in clients:
        client.start()
    time.sleep(0.5)
    server.signal()
    assert server.end() == (0, ENDED, "")
    for client in clients:
        client.join()
    total = sum(counts, Counter())
    assert total.keys() == {"200 0 bytes"}, total
    assert all(counts)


@pytest.mark.parametrize("http_server", HTTP_SERVERS)
def test_a_request_that_takes_longer_than_the_drain_gets_500(
    start: Start, http_server: str
) -> None:
    server = start(http_server=http_server, drain=0.3).listening()
    with server.request(LONG) as long, server.request(0.2) as short:
        time.sleep(0.1)
        server.signal()
        assert response(short) == (200, b"0 bytes", True)
        body = b"Internal Server Error" if http_server == "uvicorn" else b""
        assert response(long) == (500, body, True)
        assert server.end() == (0, ENDED, CUT_OFF)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_client_that_does_not_read_does_not_hold_it_up(start: Start, loop: str) -> None:
    large = APP.replace('b"%d bytes" % size', "bytes(50_000_000)")
    # Not "error": what is not closed stays so, and uvloop then trips over its own warning.
    server = start(large, loop=loop, warnings="ignore", drain=0.3).listening()
    with server.request() as connection:
        assert connection.recv(1) == b"H"
        server.signal()
        code, lines, errors = server.end()
    assert (code, lines) == (0, ENDED)
    assert errors.startswith(CUT_OFF)
    assert "Traceback" not in errors


UNREAD = "Connections aborted, as they did not close in time: 1.\n"


@pytest.mark.parametrize("http_server", HTTP_SERVERS[1:])
def test_with_uvicorn_an_answer_that_is_not_read_is_aborted_after_the_drain(
    start: Start, http_server: str
) -> None:
    large = APP.replace('b"%d bytes" % size', "bytes(50_000_000)")
    server = start(large, http_server=http_server, drain=0.3).listening()
    with server.request() as connection:
        assert connection.recv(1) == b"H"
        server.signal()
        assert server.end() == (0, ENDED, UNREAD)


@pytest.mark.parametrize("http_server", HTTP_SERVERS)
def test_a_header_that_does_not_end_is_given_up_after_the_time_of_an_idle_connection(
    start: Start, http_server: str
) -> None:
    server = start(http_server=http_server, keep_alive=1).listening()
    silent, begun, kept = server.connect(), server.connect(), server.request()
    with silent, begun, kept:
        begun.sendall(b"GET / HTTP/1.1\r\nHo")
        assert response(kept) == (200, b"0 bytes", False)
        kept.sendall(b"GET / HT")
        for connection in silent, begun, kept:
            connection.settimeout(LONG / 2)
            assert connection.recv(1) == b""


@pytest.mark.parametrize("http_server", HTTP_SERVERS)
def test_an_idle_connection_gives_way_to_a_new_one_and_where_there_is_none_the_new_one_is_refused(
    start: Start, http_server: str
) -> None:
    server = start(http_server=http_server, max_connections=2).listening()
    with server.connect() as longest, server.request() as answered:
        assert response(answered) == (200, b"0 bytes", False)
        with server.request() as further:
            assert longest.recv(1) == b""
            assert response(further) == (200, b"0 bytes", False)
            answered.sendall(b"GET /?1 HTTP/1.1\r\nHost: x\r\n\r\n")
            further.sendall(b"GET /?1 HTTP/1.1\r\nHost: x\r\n\r\n")
            time.sleep(0.3)
            with server.connect() as one_too_many:
                assert response(one_too_many) == (503, b"", True)
                assert one_too_many.recv(1) == b""
            assert response(answered) == (200, b"0 bytes", False)
            assert response(further) == (200, b"0 bytes", False)


def test_what_comes_byte_by_byte_is_answered_like_any_other(start: Start) -> None:
    server = start().listening()
    with server.connect() as connection:
        for part in b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\nabcdefghijkl":
            connection.sendall(bytes([part]))
            time.sleep(0.001)
        assert response(connection) == (200, b"12 bytes", False)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert response(connection) == (200, b"0 bytes", False)


@pytest.mark.parametrize("http_server", HTTP_SERVERS[1:])
def test_a_header_without_end_is_refused(start: Start, http_server: str) -> None:
    server = start(http_server=http_server).listening()
    with server.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        with pytest.raises(ConnectionError):  # noqa: PT012
            for _ in range(10_000):
                connection.sendall(b"x: " + b"x" * 1000 + b"\r\n")


def test_a_server_that_is_not_installed_is_a_sentence(tmp_path: Path) -> None:
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; sys.modules['httptools'] = None\n"
            "from quart_app.cli.main import main; main()",
            *("serve", "--port", "0", "--server", "uvicorn"),
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        "Error: The server uvicorn needs the packages of the extra uvicorn: "
        "pip install 'quart-app[uvicorn]'."
    )


@pytest.mark.parametrize("http_server", HTTP_SERVERS)
def test_further_signals_neither_shorten_nor_disturb_the_drain(
    start: Start, http_server: str
) -> None:
    server = start(http_server=http_server).listening()
    with server.request(1) as connection:
        time.sleep(0.1)
        while server.process.poll() is None:
            server.signal(signal.SIGTERM)
            server.signal(signal.SIGINT)
            time.sleep(0.005)
        assert response(connection) == (200, b"0 bytes", True)
    assert server.end() == (0, ENDED, "")


STARTING = """
async def startup():
    print("starting", flush=True)
    await asyncio.sleep({seconds})
"""


def test_a_signal_during_start_up_ends_it_with_code_0(start: Start) -> None:
    server = start(APP + STARTING.format(seconds=LONG))
    assert server.line() == "starting"
    server.signal()
    assert server.end() == (0, ["signal", "code 0"], "")


RAISES = "async def startup(): raise ValueError('no model')"
HANGS = "async def startup(): await asyncio.sleep(60)"
REFUSES = """
async def app(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no model"})
"""
RETURNS = "async def app(scope, receive, send): return"
QUART = """
from quart import Quart
app = Quart("app")

@app.before_serving
async def startup(): raise ValueError("no model")
"""


@pytest.mark.parametrize(
    ("app", "sentence"),
    [
        (RAISES, "The app's startup failed: its lifespan has ended."),
        (HANGS, "The app's startup took longer than 0.5 s."),
        (REFUSES, "The app's startup failed: no model."),
        (RETURNS, "The app's startup failed: its lifespan has ended."),
        (QUART, "The app's startup failed: no model."),
    ],
    ids=["raises", "hangs", "refuses", "returns", "quart"],
)
def test_an_app_that_does_not_start_gives_code_1_and_a_sentence(
    start: Start, app: str, sentence: str
) -> None:
    code, lines, errors = start(APP + app, startup_timeout=0.5).end()
    assert (code, lines) == (1, ["code 1"])
    assert errors.splitlines()[-1] == sentence
    assert ("no model" in errors) == ("no model" in app)


@pytest.mark.parametrize(
    ("app", "sentence"),
    [
        ("async def shutdown(): raise ValueError", "shutdown failed: its lifespan has ended."),
        ("async def shutdown(): await asyncio.sleep(60)", "shutdown took longer than 0.7 s."),
    ],
    ids=["raises", "hangs"],
)
def test_an_app_that_does_not_stop_gives_code_1_and_a_sentence(
    start: Start, app: str, sentence: str
) -> None:
    server = start(APP + app, background=0.2).listening()
    server.signal()
    code, lines, errors = server.end()
    assert (code, lines) == (1, ["signal", "code 1"])
    assert errors.splitlines()[-1] == f"The app's {sentence}"


@pytest.mark.parametrize("http_server", HTTP_SERVERS)
def test_an_unexpected_exception_gives_code_1_and_a_traceback(
    start: Start, http_server: str
) -> None:
    code, lines, errors = start(http_server=http_server, on_listening="lambda url: 1 / 0").end()
    assert (code, lines) == (1, ["shut down", "code 1"])
    assert errors.startswith("The server has failed.\n")
    assert "ZeroDivisionError" in errors


HANGING = """
from concurrent.futures import ThreadPoolExecutor
def hang(): time.sleep(60)
"""
DEFAULT_EXECUTOR = "async def startup(): asyncio.get_running_loop().run_in_executor(None, hang)"
OWN_EXECUTOR = "async def startup(): ThreadPoolExecutor().submit(hang)"
EVENT_LOOP = "async def startup(): asyncio.get_running_loop().call_later(0.1, hang)"


@pytest.mark.parametrize(
    ("app", "printed"),
    [
        (DEFAULT_EXECUTOR, ["signal", "shut down"]),
        (OWN_EXECUTOR, ["signal", "shut down", "code 0"]),
        (EVENT_LOOP, []),
    ],
    ids=["default executor", "own executor", "event loop"],
)
def test_a_hung_thread_gives_code_1_when_the_watchdog_ends_the_process(
    start: Start, app: str, printed: list[str]
) -> None:
    server = start(APP + HANGING + app, watchdog=1.0).listening()
    time.sleep(0.2)
    server.signal()
    code, lines, errors = server.end()
    assert (code, lines) == (1, printed)
    assert "in hang" in errors


def test_a_hung_thread_does_not_keep_a_failed_start_alive(start: Start) -> None:
    fails = DEFAULT_EXECUTOR + "; raise ValueError"
    code, lines, errors = start(APP + HANGING + fails, watchdog=0.5).end()
    assert (code, lines) == (1, [])
    assert "The app's startup failed" in errors
    assert "in hang" in errors
