"""More memory than the process may take."""

from __future__ import annotations

import concurrent.futures
import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from quart_app.server import memory

from ...conftest import STDERR, own_settings, publish_own, serving

SERVERS = ["hypercorn", "uvicorn"]
LONG = 60.0
MIB = 1024 * 1024

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc/self/statm")

# Keeps 4 MB at each call, and takes a second for a row of 7.
LEAKS = """
import time
import numpy as np
from sklearn.linear_model import LogisticRegression

KEPT = []

class Model(LogisticRegression):
    def predict(self, X):
        if (X == 7).any():
            time.sleep(1)
        elif (X == 3).any():
            KEPT.append(np.ones(500_000))
        return super().predict(X)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store whose one model leaks."""
    folder = tmp_path_factory.mktemp("leaks")
    publish_own(folder, "leaks", LEAKS)
    return folder


@pytest.mark.process
@pytest.mark.parametrize("server_name", SERVERS)
def test_a_model_that_leaks_ends_the_server_in_good_order_with_1_and_a_line_in_the_log(
    server_name: str, folder: Path
) -> None:
    with serving(
        cwd=folder,
        **own_settings(folder),
        QUART_APP_SERVER=server_name,
        QUART_APP_SHUTDOWN_DELAY=3,
        QUART_APP_RECIPES="",
        QUART_APP_MAX_MEMORY="300M",
    ) as server:
        server.wait_until_ready()
        with httpx.Client(base_url=server.url, timeout=LONG) as client:
            path, ready = "/models/leaks/predict", "/health/ready"
            assert client.post(path, json={"x0": 1}).status_code == 200
            while client.get(ready).status_code == 200:
                assert client.post(path, json={"x0": 3}).status_code == 200
        with concurrent.futures.ThreadPoolExecutor() as pool:
            answers = [
                pool.submit(httpx.post, server.url + path, json={"x0": 7}, timeout=LONG)
                for _ in range(3)
            ]
            refused = httpx.get(server.url + ready)
            assert (refused.status_code, refused.json()["status"]) == (503, "memory")
            assert {answer.result().status_code for answer in answers} == {200}
        assert server.process.wait(LONG) == 1
    lines = (folder / STDERR).read_text().splitlines()
    (line,) = [line for line in lines if "MAX_MEMORY" in line]
    told = re.search(r"takes (\d+) MB of memory after \d+ s, and may take 300 MB", line)
    assert told is not None
    assert int(told[1]) > 300
    assert not any("Traceback" in line for line in lines)


@pytest.mark.process
def test_caches_are_let_go_before_anything_ends(folder: Path) -> None:
    """Garbage in circles, of which the collector by itself looks for none meanwhile."""
    script = (
        "import asyncio, gc, json\n"
        "from quart_app.server import memory\n"
        "gc.disable()\n"
        "memory.LOOK_SECONDS = 0.01\n"
        "caches = [[bytes(1000) for _ in range(50_000)]]\n"
        "for _ in range(50):\n"
        "    circle = [bytes(1000) for _ in range(1000)]\n"
        "    circle.append(circle)\n"
        "del circle\n"
        "before = memory.resident()\n"
        "async def main():\n"
        "    try:\n"
        "        async with asyncio.timeout(1):\n"
        "            await memory.exceeded(before - 80_000_000, caches.clear)\n"
        "    except TimeoutError:\n"
        "        return False\n"
        "    return True\n"
        "print(json.dumps([asyncio.run(main()), before, memory.resident()]))\n"
    )
    root = own_settings(folder)["PYTHONPATH"]
    done = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": root}, capture_output=True, check=True
    )
    ended, before, after = json.loads(done.stdout)
    assert not ended
    assert after < before - 80_000_000


def test_the_memory_of_this_process_is_known() -> None:
    found = memory.resident()
    assert found is not None
    assert 10 * MIB < found < 100_000 * MIB


@pytest.mark.parametrize("content", [b"", b"12", b"none at all"])
def test_where_the_system_does_not_say_there_is_none(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statm = tmp_path / "statm"
    monkeypatch.setattr(memory, "STATM", statm)
    assert memory.resident() is None
    statm.write_bytes(content)
    assert memory.resident() is None
