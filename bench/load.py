"""Load on one address: by wrk where it is installed, else by the little generator below.

The generator is a program, so that it runs in a process of its own; it takes the body from stdin:

    python -m bench.load http://127.0.0.1:8000/models/iris/predict --connections 32 --seconds 3
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .contenders import Request
from .processes import LOAD_CORE, Running, pinned

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it: requests per second, latencies in ms, requests that failed, and the
    microseconds of CPU that the server used for a request."""

    rate: float
    p50: float
    p99: float
    bad: int
    cpu: float


def generator() -> str:
    """What makes the load here."""
    return "wrk" if shutil.which("wrk") else "bench.load"


def load(server: Running, connections: int, seconds: float, request: Request | None = None) -> Load:
    """A request, the server's usual one if none is given, over and over on so many connections."""
    request = request or server.contender.one
    url = server.url + request.path
    if generator() == "wrk":
        command = ["wrk", "-t1", f"-c{connections}", f"-d{round(seconds)}s", "--timeout", "5s"]
        command += ["-s", str(HERE / "post.lua"), url]
    else:
        command = [sys.executable, "-m", "bench.load", url]
        command += ["--connections", str(connections), "--seconds", str(seconds)]
    before = server.cpu()
    with pinned(LOAD_CORE):
        output = subprocess.run(
            command,
            cwd=HERE.parent,
            input=request.body,
            env=os.environ | {"BENCH_BODY": request.body.decode()},
            check=True,
            capture_output=True,
            timeout=seconds + 60,
        ).stdout.decode()
    used = server.cpu() - before
    found = json.loads(output.partition("JSON ")[2].splitlines()[0])
    return Load(
        rate=found["requests"] / found["seconds"],
        p50=found["p50"],
        p99=found["p99"],
        bad=found["bad"],
        cpu=used / max(1, found["requests"]) * 1e6,
    )


# The generator --------------------------------------------------------------------------


class _Client:
    """One connection that asks again as soon as it is answered."""

    def __init__(self, url: str, body: bytes) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._request = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body
        self.took: list[float] = []
        self.bad = 0

    async def run(self, until: float) -> None:
        streams = None
        while (begun := time.perf_counter()) < until:
            try:
                if streams is None:
                    streams = await asyncio.open_connection(self._host, self._port)
                reader, writer = streams
                writer.write(self._request)
                status, closing = await _answer(reader)
            except (OSError, EOFError):
                status, closing = 0, True
            self.took.append(time.perf_counter() - begun)
            self.bad += status != 200
            if closing and streams is not None:
                streams[1].close()
                streams = None
        if streams is not None:
            streams[1].close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Read one answer: its status, and whether the connection ends with it."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    headers = dict(line.split(b": ", 1) for line in head.splitlines()[1:-1])
    if headers.get(b"transfer-encoding") == b"chunked":
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    else:
        await reader.readexactly(int(headers[b"content-length"]))
    return int(head[9:12]), headers.get(b"connection") == b"close"


async def _generate(url: str, body: bytes, connections: int, seconds: float) -> str:
    clients = [_Client(url, body) for _ in range(connections)]
    begun = time.perf_counter()
    await asyncio.gather(*(client.run(begun + seconds) for client in clients))
    elapsed = time.perf_counter() - begun
    took = sorted(each for client in clients for each in client.took)
    found = {
        "requests": len(took),
        "seconds": elapsed,
        "p50": took[len(took) // 2] * 1e3,
        "p99": took[len(took) * 99 // 100] * 1e3,
        "bad": sum(client.bad for client in clients),
    }
    return f"JSON {json.dumps(found)}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Load on one address; the body comes from stdin.")
    parser.add_argument("url")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=3)
    options = parser.parse_args()
    body = sys.stdin.buffer.read()
    print(asyncio.run(_generate(options.url, body, options.connections, options.seconds)))


if __name__ == "__main__":
    main()
