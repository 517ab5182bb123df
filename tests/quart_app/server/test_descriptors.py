"""More connections than the process has descriptors for."""

from __future__ import annotations

import contextlib
import re
import resource
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from quart_app.server.descriptors import connections_within

from ...conftest import Server, publish_own
from .test_surroundings import SERVE, SERVERS, errors, serving

LONG = 60.0
TABLE = "x0\n1\n2\n"

PLAIN = """
from sklearn.linear_model import LogisticRegression

class Model(LogisticRegression):
    pass
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of one model."""
    folder = tmp_path_factory.mktemp("plain")
    publish_own(folder, "plain", PLAIN)
    return folder


@contextlib.contextmanager
def connections(server: Server, count: int) -> Iterator[list[socket.socket]]:
    """So many connections to a server, which nobody closes meanwhile on this side."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, count + 200)), hard))
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=LONG))
            for _ in range(count)
        ]


def status_of(connection: socket.socket) -> bytes:
    """What a connection is answered, nothing if it has made room already.

    Asked one by one, since a connection that has a request makes no room.
    """
    with contextlib.suppress(ConnectionError):
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        return connection.recv(12)
    return b""


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="needs the limits of Linux")
@pytest.mark.parametrize("server_name", SERVERS)
@pytest.mark.parametrize(
    ("limit", "count", "answered"), [(256, 300, True), (1024, 1200, True), (64, 150, False)]
)
def test_the_longest_idle_connections_make_room_and_a_row_and_a_table_are_answered(
    server_name: str, limit: int, count: int, answered: bool, folder: Path
) -> None:
    command = f"ulimit -n {limit}; {SERVE}"
    settings: dict[str, Any] = {
        "QUART_APP_SERVER": server_name,
        "QUART_APP_RECIPES": "",
        "QUART_APP_KEEP_ALIVE": 60,
        "QUART_APP_MAX_CONNECTIONS": 2000,
    }
    with serving(command, folder, **settings) as server:
        server.wait_until_ready()
        with connections(server, count) as opened:
            if answered:
                for connection in opened:
                    with contextlib.suppress(ConnectionError):  # it has made room already
                        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
                for connection in opened[-10:]:
                    assert connection.recv(12) == b"HTTP/1.1 200"
            with httpx.Client(base_url=server.url, timeout=LONG) as client:
                path = "/models/plain/predict"
                for _ in range(3):
                    assert client.post(path, json={"x0": 1}).status_code == 200
                    table = client.post(path, content=TABLE, headers={"Content-Type": "text/csv"})
                    assert (table.status_code, len(table.text.splitlines())) == (200, 3)
                upload = client.post("/models/plain/file", files={"file": ("a.csv", TABLE)})
                assert upload.status_code in {200, 303}
                assert client.get("/tour/tasks").status_code == 200
            assert server.stop(timeout=LONG) == 0
    log = errors(folder)
    assert len(re.findall(rf"At most \d+ connections .* may have {limit} files", log)) == 1
    assert "Traceback" not in log
    assert "ERROR" not in log


@pytest.mark.parametrize(("wanted", "most"), [(10, 10), (10_000, 9_000)])
def test_there_are_as_many_as_are_wanted_or_as_descriptors_are_left_for(
    wanted: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (9_500, 9_500))
    assert min(wanted, most) <= connections_within(wanted) <= wanted
    monkeypatch.setattr(resource, "getrlimit", lambda which: (10, 10))
    assert connections_within(wanted) == 1
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda which: unlimited)
    assert connections_within(wanted) == wanted
