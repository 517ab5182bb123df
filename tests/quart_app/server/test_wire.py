"""The whole, over a real port: start, answers, refusals, and a stop that loses nothing."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from model_store import ModelStore
from model_store.recipes import RECIPES

from ...conftest import Server, own_settings, publish_own, serving

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[3]
ROW = {"X1": 61.1, "X2": 17.3}
PATH = "/models/exam/predict"

SLOW = """
import time
from sklearn.linear_model import LogisticRegression

class Model(LogisticRegression):
    def __setstate__(self, state):
        super().__setstate__(state)
        with open("seconds") as file:
            time.sleep(float(file.read()))
"""


@pytest.fixture
def server(bundled_root: Path, tmp_path: Path) -> Iterator[Server]:
    """A server of the bundled models, once it is ready."""
    with serving(cwd=tmp_path, QUART_APP_MODEL_STORE=bundled_root) as running:
        running.wait_until_ready()
        yield running


def test_a_running_server_answers_json_form_and_query(server: Server) -> None:
    answers = [
        httpx.post(server.url + PATH, json=ROW),
        httpx.post(server.url + PATH, data=ROW, headers={"Accept": "application/json"}),
        httpx.get(server.url + PATH, params=ROW),
    ]
    for answer in answers:
        assert answer.status_code == 200
        assert answer.json()["prediction"] == 0


def test_a_fresh_folder_is_served_after_training_the_bundled_models(tmp_path: Path) -> None:
    with serving(cwd=tmp_path) as server:
        assert httpx.get(f"{server.url}/health/live").status_code == 200
        server.wait_until_ready()
        names = httpx.get(f"{server.url}/models").json()["models"]
        assert [model["name"] for model in names] == sorted(RECIPES)
        assert server.stop() == 0
    assert ModelStore(tmp_path / "instance/models").models() == sorted(RECIPES)


@pytest.fixture
def slow_folder(tmp_path: Path) -> Path:
    """A folder with a store whose one model takes as many seconds to load as its file says."""
    (tmp_path / "seconds").write_text("0")
    publish_own(tmp_path, "slow", SLOW)
    return tmp_path


def serving_slowly(folder: Path) -> contextlib.AbstractContextManager[Server]:
    return serving(cwd=folder, **own_settings(folder))


def test_live_and_the_stage_are_answered_while_a_model_takes_a_minute_to_load(
    slow_folder: Path,
) -> None:
    (slow_folder / "seconds").write_text("60")
    with serving_slowly(slow_folder) as server:
        assert httpx.get(f"{server.url}/health/live").status_code == 200
        deadline = time.monotonic() + 20
        stage = ""
        while stage != "loading" and time.monotonic() < deadline:
            ready = httpx.get(f"{server.url}/health/ready")
            assert ready.status_code == 503
            assert "Retry-After" in ready.headers
            stage = ready.json()["models"].get("slow", {}).get("state", "")
        assert stage == "loading"
        for path in ("/models/slow/predict", "/models/slow/versions/1/predict"):
            answer = httpx.post(server.url + path, json={"x0": 1}, timeout=5)
            assert answer.status_code == 503
            assert answer.headers["Retry-After"] == "2"
            assert "loading" in answer.json()["error"]
        assert server.stop(timeout=10) == 0


def test_ready_turns_200_when_the_slow_model_is_loaded(slow_folder: Path) -> None:
    (slow_folder / "seconds").write_text("1")
    with serving_slowly(slow_folder) as server:
        assert httpx.get(f"{server.url}/health/ready").status_code == 503
        server.wait_until_ready()
        answer = httpx.post(f"{server.url}/models/slow/predict", json={"x0": 3})
        assert answer.json()["prediction"] == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_under_load_loses_nothing_that_was_accepted(
    number: signal.Signals, server: Server
) -> None:
    answered: list[int] = []
    lost: list[str] = []
    stop = threading.Event()

    def ask() -> None:
        body = json.dumps([ROW] * 50)
        while not stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
            try:
                connection.connect()
            except ConnectionRefusedError:
                return  # never accepted
            try:
                connection.request("POST", PATH, body, {"Content-Type": "application/json"})
                answered.append(connection.getresponse().status)
            except (OSError, http.client.HTTPException) as error:
                lost.append(repr(error))
                return
            finally:
                connection.close()

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    while len(answered) < 100:
        time.sleep(0.01)
    assert server.stop(number) == 0
    stop.set()
    for thread in threads:
        thread.join()
    assert lost == []
    assert set(answered) == {200}


def test_ready_is_503_between_the_signal_and_the_end(bundled_root: Path, tmp_path: Path) -> None:
    with serving(
        cwd=tmp_path, QUART_APP_MODEL_STORE=bundled_root, QUART_APP_SHUTDOWN_DELAY=3
    ) as server:
        server.wait_until_ready()
        server.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 2
        while (ready := httpx.get(f"{server.url}/health/ready")).status_code == 200:
            assert time.monotonic() < deadline
        assert ready.json()["status"] == "draining"
        assert httpx.post(server.url + PATH, json=ROW).status_code == 200
        assert httpx.get(f"{server.url}/health/live").status_code == 200
        assert server.process.wait(10) == 0


def test_500_clients_that_go_away_leave_the_server_answering(server: Server) -> None:
    body = json.dumps(ROW).encode()
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    before = open_files(server)
    for i in range(500):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            whole = head + body
            connection.sendall(whole[: len(whole) * (i % 7 + 1) // 7])
    assert httpx.post(server.url + PATH, json=ROW).status_code == 200
    deadline = time.monotonic() + 20
    while open_files(server) > before + 2:
        assert time.monotonic() < deadline, "connections were left open"
        time.sleep(0.1)
    assert server.stop() == 0


def open_files(server: Server) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def test_a_body_that_is_too_large_is_a_413_and_leaves_no_connection(server: Server) -> None:
    def parts(size: int) -> Iterator[bytes]:
        for _ in range(0, size, 10_000):
            yield b"x" * 10_000

    sizes = {"application/json": 8_000_000, "application/x-www-form-urlencoded": 80_000}
    for content_type, size in sizes.items():
        for content in (parts(size), b"x" * size):  # chunked, and with a length
            answer = httpx.post(
                server.url + PATH,
                content=content,
                headers={"Content-Type": content_type, "Accept": "application/json"},
            )
            assert answer.status_code == 413
            assert "bytes" in answer.json()["error"]
    assert server.stop(timeout=10) == 0


def test_a_port_in_use_is_a_sentence_and_exit_code_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "-m", "quart_app", "serve"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "HOST": "127.0.0.1", "PORT": str(port)},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert ended.returncode == 1
    assert f"{port}" in ended.stderr
    assert "Traceback" not in ended.stderr


OTHER_SERVERS = {
    "hypercorn": ["hypercorn", "--bind", "127.0.0.1:{port}", "quart_app:create_app()"],
    "uvicorn": ["uvicorn", "--factory", "--port", "{port}", "quart_app:create_app"],
}


@pytest.mark.parametrize("command", OTHER_SERVERS.values(), ids=OTHER_SERVERS)
def test_the_app_runs_under_the_servers_own_commands(
    command: list[str], bundled_root: Path, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", *(part.format(port=port) for part in command)],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "QUART_APP_MODEL_STORE": str(bundled_root),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{port}/health/ready").status_code == 200:
                    break
            assert time.monotonic() < deadline
            time.sleep(0.1)
        answer = httpx.post(f"http://127.0.0.1:{port}{PATH}", json=ROW)
        assert answer.json()["prediction"] == 0
    finally:
        process.terminate()
        process.wait(30)


def test_a_websocket_is_refused(server: Server) -> None:
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    assert httpx.get(server.url, headers=handshake).status_code == 403


def test_port_0_of_the_command_line_takes_a_free_port(bundled_root: Path, tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        serving(
            "--port",
            "0",
            cwd=tmp_path,
            QUART_APP_MODEL_STORE=bundled_root,
            PORT=taken.getsockname()[1],
        ) as server,
    ):
        assert server.port not in {8000, taken.getsockname()[1]}


def test_the_command_line_says_how_long_an_idle_connection_is_kept(
    bundled_root: Path, tmp_path: Path
) -> None:
    with (
        serving(
            "--keep-alive",
            "0.5",
            cwd=tmp_path,
            QUART_APP_MODEL_STORE=bundled_root,
            QUART_APP_KEEP_ALIVE=60,
        ) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=30) as idle,
    ):
        assert idle.recv(1) == b""


HANGS = """
import time
from sklearn.linear_model import LogisticRegression

class Model(LogisticRegression):
    def predict(self, X):
        if len(X) == 1 and X[0, 0] == -1:
            time.sleep(6)
        return super().predict(X)
"""


def test_one_deadline_holds_for_all_stages_of_a_request(tmp_path: Path) -> None:
    publish_own(tmp_path, "hangs", HANGS)

    def slowly() -> Iterator[bytes]:
        yield b'{"x0": '
        time.sleep(2)
        yield b"-1}"

    with serving(
        cwd=tmp_path,
        QUART_APP_DEADLINE=3,
        **own_settings(tmp_path),
    ) as server:
        server.wait_until_ready()
        began = time.monotonic()
        answer = httpx.post(
            f"{server.url}/models/hangs/predict",
            content=slowly(),
            headers={"Content-Type": "application/json"},
            timeout=20,
        )
        assert answer.status_code == 504
        assert time.monotonic() - began < 4.5  # and not 2 + 3
