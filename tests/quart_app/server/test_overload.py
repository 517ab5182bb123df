"""More than the server can do: a predict that hangs, more requests than are taken at a time, more
rows than their model answers in time."""

from __future__ import annotations

import concurrent.futures
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from ...conftest import Server, own_settings, publish_own, serving

pytestmark = pytest.mark.process

# Waits for a row of -1 until there is a file, and 20 ms for each batch.
WAITS = """
import os, time
from sklearn.linear_model import LogisticRegression

class Model(LogisticRegression):
    def predict(self, X):
        time.sleep(0.02)
        while (X == -1).any() and not os.path.exists("go"):
            time.sleep(0.01)
        return super().predict(X)
"""
Starter = Callable[..., Server]
HANGS = -1
DEADLINE = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store whose one model waits."""
    folder = tmp_path_factory.mktemp("waits")
    publish_own(folder, "waits", WAITS)
    return folder


@pytest.fixture
def start(folder: Path) -> Iterator[Starter]:
    """Starts servers of that model."""
    with ExitStack() as stack:

        def start(**settings: object) -> Server:
            names = {f"QUART_APP_{name}": value for name, value in settings.items()}
            server = stack.enter_context(
                serving(
                    cwd=folder,
                    **own_settings(folder),
                    QUART_APP_DEADLINE=DEADLINE,
                    **names,
                )
            )
            server.wait_until_ready()
            return server

        yield start
    (folder / "go").unlink(missing_ok=True)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(40) as pool:
        yield pool


def ask(server: Server, value: float = 3) -> httpx.Response:
    return httpx.post(f"{server.url}/models/waits/predict", json={"x0": value}, timeout=20)


def get(server: Server, path: str) -> httpx.Response:
    return httpx.get(server.url + path, timeout=20)


def test_a_predict_that_hangs_costs_its_own_batch_and_all_that_hang_the_readiness(
    start: Starter, pool: ThreadPoolExecutor, folder: Path
) -> None:
    server = start(THREADS=2)
    hung = pool.submit(ask, server, HANGS)
    time.sleep(0.3)
    others = [pool.submit(ask, server) for _ in range(5)]
    assert {other.result().status_code for other in others} == {200}
    assert not hung.done()  # they have overtaken it
    assert hung.result().status_code == 504
    assert ask(server).status_code == 200
    assert get(server, "/health/ready").status_code == 200

    assert ask(server, HANGS).status_code == 504
    ready = get(server, "/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (503, "hung")
    refused = ask(server)
    assert refused.status_code == 503
    assert "Retry-After" in refused.headers
    assert "hangs" in refused.json()["error"]
    assert get(server, "/health/live").status_code == 200

    (folder / "go").touch()
    end = time.monotonic() + 10
    while ask(server).status_code != 200:
        assert time.monotonic() < end
    assert get(server, "/health/ready").status_code == 200
    assert server.stop() == 0


def test_more_requests_than_are_taken_are_refused_at_once_and_live_is_answered(
    start: Starter, pool: ThreadPoolExecutor, folder: Path
) -> None:
    server = start(MAX_REQUESTS=3, THREADS=1)
    slow_senders = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(5)]
    for sender in slow_senders:  # take nobody's place
        sender.sendall(
            b"POST /models/waits/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
        )
    waiting = [pool.submit(ask, server, HANGS) for _ in range(3)]
    time.sleep(0.5)
    refused = [pool.submit(ask, server).result() for _ in range(3)]
    assert not any(one.done() for one in waiting)
    assert [answer.status_code for answer in refused] == [503] * 3
    assert {answer.headers["Retry-After"] for answer in refused} == {"1"}
    assert get(server, "/health/live").status_code == 200
    assert get(server, "/health/ready").status_code == 200
    (folder / "go").touch()
    assert {one.result().status_code for one in waiting} == {200}
    assert ask(server).status_code == 200
    for sender in slow_senders:
        sender.close()


def test_ten_times_too_much_is_answered_or_refused_and_nobody_waits_for_the_deadline(
    start: Starter, pool: ThreadPoolExecutor
) -> None:
    server = start(MAX_BATCH_SIZE=1, MAX_WAIT=0.2)
    asked: list[Future[httpx.Response]] = [pool.submit(ask, server) for _ in range(100)]
    found = [one.result() for one in concurrent.futures.as_completed(asked)]
    statuses = Counter(answer.status_code for answer in found)
    assert set(statuses) == {200, 503}
    assert all("Retry-After" in answer.headers for answer in found if answer.status_code == 503)
    assert ask(server).status_code == 200


def test_an_idle_connection_gives_way_to_a_new_one_and_where_there_is_none_the_new_one_is_closed(
    start: Starter, pool: ThreadPoolExecutor, folder: Path
) -> None:
    server = start(MAX_CONNECTIONS=3, THREADS=1, KEEP_ALIVE=60)
    first, *_ = idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
    time.sleep(0.2)
    first.settimeout(10)
    assert ask(server).status_code == 200
    assert first.recv(1) == b""
    busy = [pool.submit(ask, server, HANGS) for _ in range(3)]
    time.sleep(0.5)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as one_too_many:
        assert one_too_many.recv(1000).startswith(b"HTTP/1.1 503 ")
        assert one_too_many.recv(1000) == b""
    (folder / "go").touch()
    assert {one.result().status_code for one in busy} == {200}
    for connection in idle:
        connection.close()
