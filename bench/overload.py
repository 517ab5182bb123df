"""Ten times what a model can answer: what is answered, how soon the rest is refused, and how long
the server takes to be itself again.

The model takes 20 ms for a batch, of one row at most. First a few clients ask as fast as they are
answered: the peak. Then ten times as many requests a second are sent, whatever becomes of those
before; then a lone client asks until it is answered within half a second.

    python bench/overload.py
"""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent

SLOW = """
import time
from sklearn.linear_model import LogisticRegression

class Slow(LogisticRegression):
    def predict(self, X):
        time.sleep(0.02)
        return super().predict(X)
"""
PUBLISH = """
import numpy, slow
from model_store import ModelStore
X = numpy.array([[0.0], [1.0], [2.0], [3.0]])
y = numpy.array([0, 0, 1, 1])
ModelStore("models").publish("slow", slow.Slow().fit(X, y), X, y, code="slow.py")
"""
BODY = b'{"x0": 1}'
REQUEST = (
    b"POST /models/slow/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(BODY)
) + BODY
SECONDS = 6.0
CLIENTS = 4
LOAD = 10
PROMPT = 0.5


@dataclass
class Answers:
    """How many had each status, and the seconds that each of a status took."""

    took: dict[int, list[float]] = field(default_factory=dict)

    def add(self, status: int, seconds: float) -> None:
        self.took.setdefault(status, []).append(seconds)

    def count(self, status: int) -> int:
        return len(self.took.get(status, ()))

    def __str__(self) -> str:
        counts = Counter({status: len(took) for status, took in self.took.items()})
        return ", ".join(f"{status}: {count}" for status, count in sorted(counts.items()))


async def ask(port: int, answers: Answers) -> None:
    """One request on a connection of its own. Status 0 is none."""
    began = time.perf_counter()
    status = 0
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        status = int((await reader.readline()).split()[1])
        await reader.read()
        writer.close()
    except (OSError, IndexError):
        pass
    answers.add(status, time.perf_counter() - began)


async def peak(port: int) -> Answers:
    """A few clients, each asking as fast as it is answered."""
    answers, end = Answers(), time.monotonic() + SECONDS

    async def client() -> None:
        while time.monotonic() < end:
            await ask(port, answers)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return answers


async def overload(port: int, rate: float) -> tuple[Answers, set[asyncio.Task[None]]]:
    """`rate` requests a second, whatever becomes of them; the answers, and who still waits."""
    answers, tasks = Answers(), set()
    began = time.monotonic()
    sent = 0
    while (now := time.monotonic() - began) < SECONDS:
        while sent < now * rate:
            tasks.add(asyncio.create_task(ask(port, answers)))
            sent += 1
        await asyncio.sleep(0.005)
    return answers, {task for task in tasks if not task.done()}


async def recovery(port: int) -> float:
    """Seconds until a request is answered promptly."""
    began = time.monotonic()
    while True:
        answers = Answers()
        await ask(port, answers)
        if answers.count(200) and answers.took[200][0] < PROMPT:
            return time.monotonic() - began
        await asyncio.sleep(0.05)


async def measure(port: int) -> None:
    at_peak = await peak(port)
    rate = at_peak.count(200) / SECONDS
    print(f"peak      {rate:.1f}/s  ({at_peak})")
    answers, waiting = await overload(port, LOAD * rate)
    goodput = answers.count(200) / SECONDS
    print(f"at {LOAD} x   {goodput:.1f}/s, {goodput / rate:.0%} of the peak  ({answers})")
    print(f"recovery  {await recovery(port):.1f} s")
    await asyncio.gather(*waiting)
    refused = sorted(answers.took.get(503, [0.0]))
    print(
        f"refusals  {1000 * statistics.median(refused):.1f} ms in the median, "
        f"{1000 * refused[-1 - len(refused) // 100]:.1f} ms at 99 %"
    )
    print(f"answered  {max(answers.took.get(200, [0.0])):.1f} s at most; all: {answers}")


@contextmanager
def serving(folder: Path) -> Iterator[int]:
    """The port of a server of the slow model."""
    (folder / "slow.py").write_text(SLOW)
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}",
        "PYTHONUNBUFFERED": "1",
        "HOST": "127.0.0.1",
        "PORT": "0",
        "QUART_APP_MODEL_STORE": "models",
        "QUART_APP_MAX_BATCH_SIZE": "1",
    }
    subprocess.run([sys.executable, "-c", PUBLISH], cwd=folder, env=environment, check=True)
    server = subprocess.Popen(
        [sys.executable, "-m", "quart_app", "serve"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout is not None
        found = next(filter(None, (re.search(r"http://\S+:(\d+)", line) for line in server.stdout)))
        time.sleep(2)  # to be ready
        yield int(found[1])
        pss = re.search(r"Pss: +(\d+)", Path(f"/proc/{server.pid}/smaps_rollup").read_text())
        print(f"memory    {int(pss[1]) / 1024:.0f} MiB" if pss else "")
    finally:
        server.terminate()
        server.communicate()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name, serving(Path(name)) as port:
        asyncio.run(measure(port))
