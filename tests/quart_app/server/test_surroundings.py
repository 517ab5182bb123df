"""What is around a server: streams that nobody reads or that are closed, signals, a store that
cannot be written, little address space."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ...conftest import Server, publish_own

pytestmark = pytest.mark.process

LONG = 60.0
SERVERS = ["hypercorn", "uvicorn"]
ROOT = Path(__file__).parent.parent.parent.parent
SERVE = f"exec {sys.executable} -m quart_app serve"

FAILING = """
import time

from sklearn.linear_model import LogisticRegression


class Model(LogisticRegression):
    def predict(self, X):
        if (X == 4711).any():
            raise RuntimeError("not this one " * 20)
        if (X == 4712).any():
            print("a model that prints " * 200)
        while (X == 4713).any():
            time.sleep(60)
        return super().predict(X)
"""


@contextlib.contextmanager
def serving(
    command: str, folder: Path, *, stream: int | None = None, **settings: Any
) -> Iterator[Server]:
    """A server by a command of bash, once it answers. Both its streams are this one; else stdout is
    nothing, and stderr a file. Its port is found here, since stdout need not announce it."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("QUART_APP_")},
        "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "QUART_APP_SHUTDOWN_DELAY": "0.2",
        "QUART_APP_MODEL_STORE": str(folder / "models"),
        **{name: str(value) for name, value in settings.items()},
    }
    with (folder / "stderr").open("w") as file:
        process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if stream is None else stream,
            stderr=file if stream is None else stream,
            text=True,
        )
    server = Server(f"http://127.0.0.1:{port}", process)
    try:
        deadline = time.monotonic() + LONG
        while status(server, "/health/live") is None:
            assert process.poll() is None, errors(folder)
            assert time.monotonic() < deadline, errors(folder)
            time.sleep(0.05)
        yield server
    finally:
        process.kill()
        process.wait()


def errors(folder: Path) -> str:
    return (folder / "stderr").read_text()


def status(server: Server, path: str, body: object = None) -> int | None:
    """The status of an answer; None where nobody listens."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{server.url}{path}", data, headers)
    try:
        with urllib.request.urlopen(request, timeout=LONG) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except urllib.error.URLError:
        return None


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store, of which the model `odd` raises, prints or hangs on some values."""
    folder = tmp_path_factory.mktemp("failing")
    publish_own(folder, "odd", FAILING)
    return folder


@pytest.fixture
def folder(bundled_root: Path, tmp_path: Path) -> Path:
    """A folder with a store of its own, of one bundled model."""
    shutil.copytree(bundled_root / "iris", tmp_path / "models" / "iris")
    return tmp_path


@contextlib.contextmanager
def full_pipe() -> Iterator[int]:
    """The end to write to of a pipe that holds little and that nobody reads."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    try:
        yield write
    finally:
        os.close(read)
        os.close(write)


@contextlib.contextmanager
def full_socket() -> Iterator[int]:
    """The same of a pair of sockets, which are not opened anew by a name."""
    near, far = socket.socketpair()
    with near, far:
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        yield near.fileno()


# Nobody reads ---------------------------------------------------------------------


@pytest.mark.parametrize("server_name", SERVERS)
@pytest.mark.parametrize("unread", [full_pipe, full_socket], ids=["pipe", "socket"])
def test_streams_that_nobody_reads_hold_up_neither_a_request_nor_the_end(
    server_name: str, unread: Any, failing: Path
) -> None:
    settings = {"QUART_APP_SERVER": server_name, "QUART_APP_RECIPES": ""}
    with unread() as stream, serving(SERVE, failing, stream=stream, **settings) as server:
        server.wait_until_ready()
        for _ in range(200):
            assert status(server, "/models/odd/predict", {"x0": 4711}) == 500
        for _ in range(5):
            assert status(server, "/models/odd/predict", {"x0": 4712}) == 200
        assert status(server, "/health/live") == 200
        assert server.stop(timeout=LONG) == 0


@pytest.mark.parametrize(
    ("unread", "code"), [(full_pipe, 1), (full_socket, -signal.SIGALRM)], ids=["pipe", "socket"]
)
def test_the_watchdog_ends_a_server_that_hangs_also_where_nobody_reads_why(
    unread: Any, code: int, failing: Path
) -> None:
    settings = {"QUART_APP_DEADLINE": 1, "QUART_APP_RECIPES": ""}
    with unread() as stream, serving(SERVE, failing, stream=stream, **settings) as server:
        server.wait_until_ready()
        for _ in range(20):
            assert status(server, "/models/odd/predict", {"x0": 4711}) == 500
        assert status(server, "/models/odd/predict", {"x0": 4713}) == 504
        assert server.stop(timeout=LONG) == code


# Streams that are closed -----------------------------------------------------------


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_a_server_whose_streams_are_closed_starts_answers_and_ends(
    closed: str, folder: Path
) -> None:
    with serving(f"{SERVE} {closed}", folder, QUART_APP_RECIPES="") as server:
        server.wait_until_ready()
        descriptors = Path(f"/proc/{server.process.pid}/fd")
        for number in range(3):
            assert not os.readlink(descriptors / str(number)).startswith("socket")
        assert status(server, "/models/iris") == 200
        assert server.stop(timeout=LONG) == 0
    assert "Traceback" not in errors(folder)
    assert "ERROR" not in errors(folder)


# Signals ---------------------------------------------------------------------------


@pytest.mark.parametrize("server_name", SERVERS)
def test_sighup_is_an_orderly_end(server_name: str, folder: Path) -> None:
    with serving(SERVE, folder, QUART_APP_SERVER=server_name, QUART_APP_RECIPES="") as server:
        server.wait_until_ready()
        assert server.stop(signal.SIGHUP, timeout=LONG) == 0


def test_sighup_that_is_ignored_at_the_start_stays_ignored(folder: Path) -> None:
    with serving(SERVE.replace("exec", "exec nohup"), folder, QUART_APP_RECIPES="") as server:
        server.wait_until_ready()
        server.process.send_signal(signal.SIGHUP)
        assert status(server, "/health/ready") == 200
        assert server.stop(timeout=LONG) == 0


# The store and the memory ------------------------------------------------------------


def can_mount() -> bool:
    try:
        return subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


MOUNT = "mount --bind models models && mount -o remount,ro,bind models"
READ_ONLY = f"exec unshare -m bash -c '{MOUNT} && {SERVE}'"


@pytest.mark.skipif(not can_mount(), reason="no mounts can be made here")
@pytest.mark.parametrize(
    ("marked", "recipes", "warnings"),
    [
        (False, None, []),
        (True, "iris", ["models/.unfinished cannot be removed"]),
        (False, "iris,exam", ["/models. These models are not trained: exam."]),
    ],
)
def test_a_store_that_cannot_be_written_is_served_and_no_error_of_the_start(
    marked: bool, recipes: str | None, warnings: list[str], folder: Path
) -> None:
    if marked:
        (folder / "models" / ".unfinished").touch()
    settings: dict[str, Any] = {} if recipes is None else {"QUART_APP_RECIPES": recipes}
    with serving(READ_ONLY, folder, **settings) as server:
        deadline = time.monotonic() + LONG
        while status(server, "/models/iris/predict?sepal_length=1") == 503:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert server.stop(timeout=LONG) == 0
    lines = errors(folder).splitlines()
    assert [line for line in lines if "ERROR" in line or "Traceback" in line] == []
    told = [line for line in lines if "WARNING" in line]
    assert len(told) == len(warnings)
    for line, warning in zip(told, warnings, strict=True):
        assert warning in line


def test_little_address_space_is_said_before_anything_hangs(folder: Path) -> None:
    with serving(f"ulimit -v 450000; {SERVE}", folder, QUART_APP_RECIPES=""):
        deadline = time.monotonic() + LONG
        while "WARNING" not in errors(folder):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert re.search(
        r"WARNING The address space is limited to 439 MB \(ulimit -v\)\. With less than 1024 MB",
        errors(folder),
    )
