"""Five hundred clients that are slow on purpose, beside four good ones: what the good ones wait.

A third of them sends a head byte by byte, a third a body, and a third asks for /openapi.json sixty
times in one go and reads nothing. The good ones ask a model in turn, first alone and then beside
them; both are measured in the same run, and the ratio is what counts.

    python bench/slow_clients.py [hypercorn | uvicorn]
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
PUBLISH = """
import numpy
from sklearn.linear_model import LogisticRegression
from model_store import ModelStore
X = numpy.array([[0.0], [1.0], [2.0], [3.0]])
y = numpy.array([0, 0, 1, 1])
ModelStore("models").publish("plain", LogisticRegression().fit(X, y), X, y)
"""
BODY = b'{"x0": 1}'
HEAD = (
    b"POST /models/plain/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
)
REQUEST = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
DOCUMENTS = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 60
SLOW = 500
GOOD = 4
SECONDS = 10.0
DRIP_SECONDS = 0.5


@contextmanager
def serving(server: str) -> Iterator[int]:
    """The port of a server with one model."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PORT": "0",
            "HOST": "127.0.0.1",
            "QUART_APP_SERVER": server,
            "QUART_APP_RECIPES": "",
            "QUART_APP_ACCESS_LOG": "false",
        }
        subprocess.run([sys.executable, "-c", PUBLISH], cwd=folder, env=environment, check=True)
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "quart_app", "serve", "--store", "models"],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+:(\d+)", process.stdout.readline())
            assert found is not None
            yield int(found[1])
        finally:
            process.terminate()
            process.wait()


async def ask(port: int, seconds: float, took: list[float]) -> None:
    """Ask in turn on one connection; append how long each took."""
    until = time.perf_counter() + seconds
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (begun := time.perf_counter()) < until:
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        assert length is not None
        await reader.readexactly(int(length[1]))
        took.append(time.perf_counter() - begun)
    writer.close()


async def good(port: int, seconds: float) -> float:
    """The 99th percentile of the good ones, in seconds."""
    took: list[float] = []
    await asyncio.gather(*(ask(port, seconds, took) for _ in range(GOOD)))
    return statistics.quantiles(took, n=100)[98]


async def slow(port: int, kind: int) -> None:
    """One slow client, anew whenever it is closed."""
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
            if kind == 2:
                writer.transport.pause_reading()  # type: ignore[attr-defined]
                writer.write(DOCUMENTS)
                await asyncio.sleep(SECONDS)
                continue
            writer.write(HEAD if kind == 0 else HEAD + b"Content-Length: 1000\r\n\r\n")
            while not writer.is_closing():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(DRIP_SECONDS)


async def attack(port: int) -> None:
    """All slow ones, for ever."""
    await asyncio.gather(*(slow(port, number % 3) for number in range(SLOW)))


def measure(port: int) -> tuple[float, float]:
    """The 99th percentile alone, and from the first second of the slow ones on."""
    asyncio.run(good(port, 1))
    alone = asyncio.run(good(port, SECONDS))
    attacker = subprocess.Popen([sys.executable, __file__, "attack", str(port)])
    try:
        return alone, asyncio.run(good(port, SECONDS))
    finally:
        attacker.kill()
        attacker.wait()


def main(arguments: list[str]) -> None:
    """Measure both servers, or one."""
    if arguments[:1] == ["attack"]:
        asyncio.run(attack(int(arguments[1])))
    for server in arguments or ["hypercorn", "uvicorn"]:
        with serving(server) as port:
            alone, beside = measure(port)
        print(
            f"{server}: p99 {1000 * alone:.1f} ms alone, {1000 * beside:.1f} ms beside {SLOW} slow "
            f"clients, {beside / alone:.1f} times",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
