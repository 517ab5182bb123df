"""What a model's life costs the others: swaps under load, a swap to a large forest, following idle
models, and a shadow of all requests.

    python bench/swaps.py [swaps] [forest] [idle] [shadow]

Each figure is beside the same without, in one run on one machine, in turns. The clients are in this
process, so that on two cores a server and its load have one each; latencies are those of clients
that wait a little between two requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from model_store import ModelStore  # noqa: E402

SERVERS = ("hypercorn", "uvicorn")
CLIENTS = 4
PAUSE = 0.01
SWAPS = 200
SWAP_SECONDS = 0.2
SHADOW_SECONDS = 2.0
SHADOW_TURNS = 6
LOAD_SECONDS = 60.0
IDLE_SECONDS = 20.0
MODELS = 100

Asked = list[tuple[int, float]]
"""The status and the seconds of each request; 0 where there was no answer."""


def request(name: str, columns: int) -> bytes:
    body = "{" + ",".join(f'"x{i}":0.5' for i in range(columns)) + "}"
    head = (
        f"POST /models/{name}/predict HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode()


async def ask_for_ever(port: int, message: bytes, asked: Asked, pause: float) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while True:
        began = time.perf_counter()
        status = 0
        try:
            writer.write(message)
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head.split(None, 2)[1])
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            await reader.readexactly(int(length[1]) if length else 0)
        except (OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        asked.append((status, time.perf_counter() - began))
        await asyncio.sleep(pause)


@contextlib.asynccontextmanager
async def load(
    port: int, message: bytes, *, clients: int = CLIENTS, pause: float = PAUSE
) -> AsyncIterator[Asked]:
    asked: Asked = []
    tasks = [asyncio.create_task(ask_for_ever(port, message, asked, pause)) for _ in range(clients)]
    yield asked
    for task in tasks:
        task.cancel()


@contextlib.contextmanager
def serving(root: Path, server: str, **settings: str) -> Any:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PORT": "0", "HOST": "127.0.0.1"}
    environment |= {f"QUART_APP_{name}": value for name, value in settings.items()}
    environment |= {"QUART_APP_MODEL_STORE": str(root), "QUART_APP_ACCESS_LOG": "false"}
    environment |= {"QUART_APP_SERVER": server, "QUART_APP_TOUR": "false"}
    process = subprocess.Popen(
        [sys.executable, "-m", "quart_app", "serve"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=root.parent,
    )
    assert process.stdout is not None
    port, ready = 0, 0
    wanted = len([each for each in root.iterdir() if each.is_dir()])
    while not port or ready < wanted:
        line = process.stdout.readline()
        if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
            port = int(found[1])
        ready += "is ready" in line or "failed" in line
    os.set_blocking(process.stdout.fileno(), False)
    try:
        yield port, process
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def told(asked: Asked) -> tuple[int, float, float, float]:
    """How many failed; the median, the slowest hundredth and the slowest, in milliseconds."""
    seconds = sorted(took for _, took in asked)
    failed = sum(status != 200 for status, _ in asked)
    at = (len(seconds) // 2, int(len(seconds) * 0.99), -1)
    p50, p99, slowest = (1000 * seconds[place] for place in at)
    return failed, p50, p99, slowest


async def in_thread(call: Callable[[], object]) -> None:
    await asyncio.get_running_loop().run_in_executor(None, call)


async def swaps(folder: Path) -> None:
    store = ModelStore(folder / "swaps")
    draw = np.random.default_rng(1)
    X = draw.random((200, 4))
    for flip in (False, True):
        y = (X[:, 0] > 0.5) ^ flip
        store.publish("small", LogisticRegression().fit(X, y), X, y)
    for server in SERVERS:
        store.promote("small", 1)
        with serving(store.root, server, FOLLOW="0.1") as (port, _):
            still: Asked = []
            busy: Asked = []
            message = request("small", 4)
            for turn in range(4):
                async with load(port, message) as asked:
                    await asyncio.sleep(1 if turn else 2)
                    asked.clear()
                    await asyncio.sleep(SWAPS / 4 * SWAP_SECONDS / 2)
                    still += asked
                    asked.clear()
                    for number in range(SWAPS // 4):
                        await in_thread(partial(store.promote, "small", 1 + number % 2))
                        await asyncio.sleep(SWAP_SECONDS)
                    busy += asked
            print(line(f"{SWAPS} promotions, {server}", still, busy))


OWN = """
from sklearn.ensemble import RandomForestClassifier

class Own(RandomForestClassifier):
    pass
"""
"""A forest that has no plain form, so that a server unpickles it."""


async def forest(folder: Path) -> None:
    (folder / "own.py").write_text(OWN)
    sys.path.insert(0, str(folder))
    own = importlib.import_module("own")
    store = ModelStore(folder / "forest")
    draw = np.random.default_rng(1)
    X = draw.random((60_000, 6))
    y = (X.sum(axis=1) + draw.normal(0, 1.2, len(X)) > 3).astype(int)
    settings = {"n_estimators": 48, "n_jobs": 2, "random_state": 0}
    store.publish("large", LogisticRegression().fit(X, y), X[:500], y[:500])
    store.promote("large", 1)
    for made, code in ((RandomForestClassifier, None), (own.Own, folder / "own.py")):
        model = made(**settings).fit(X, y)
        published = store.publish("large", model, X[:500], y[:500], code=code)
        model = None
        served = published.served and published.served.by
        read = "model.bin" if served == "plain" else "pipeline.joblib"
        what = f"swap to a forest by its {served}, {published.files[read].size / 1e6:.0f} MB"
        for server in SERVERS:
            store.promote("large", 1)
            await swap_once(store, server, published.version, what)


async def swap_once(store: ModelStore, server: str, version: int, what: str) -> None:
    with serving(store.root, server, FOLLOW="0.1", KEEP_FORMER="0") as (port, process):
        async with load(port, request("large", 6)) as asked:
            await asyncio.sleep(2)
            asked.clear()
            await asyncio.sleep(5)
            still = [*asked]
            asked.clear()
            store.promote("large", version)
            said, end = "", time.monotonic() + LOAD_SECONDS
            while f"version {version} is ready" not in said and time.monotonic() < end:
                await asyncio.sleep(0.5)
                with contextlib.suppress(BlockingIOError):
                    said += os.read(process.stdout.fileno(), 1 << 20).decode()
            busy = [*asked]
        assert f"version {version} is ready" in said, said
        print(line(f"{what}, {server}", still, busy))


def line(what: str, still: Asked, busy: Asked) -> str:
    failed, p50, p99, slowest = told(busy)
    _, p50_still, p99_still, slowest_still = told(still)
    return (
        f"{what}: {len(busy)} requests, {failed} failed; median {p50:.2f} ms beside "
        f"{p50_still:.2f} without, p99 {p99:.2f} beside {p99_still:.2f} "
        f"({p99 / p99_still:.2f} times), slowest {slowest:.1f} beside {slowest_still:.1f}"
    )


async def idle(folder: Path) -> None:
    store = ModelStore(folder / "idle")
    X = np.random.default_rng(1).random((20, 2))
    y = X[:, 0] > 0.5
    pipeline = LogisticRegression().fit(X, y)
    for number in range(MODELS):
        store.publish(f"m{number}", pipeline, X, y)
    for follow in ("0", "2"):
        with serving(store.root, "hypercorn", FOLLOW=follow) as (_, process):
            await asyncio.sleep(3)
            before = cpu(process.pid)
            await asyncio.sleep(IDLE_SECONDS)
            share = (cpu(process.pid) - before) / IDLE_SECONDS
            print(f"{MODELS} idle models, FOLLOW={follow}: {100 * share:.2f} % of a core")


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def shadow(folder: Path) -> None:
    store = ModelStore(folder / "shadow")
    draw = np.random.default_rng(1)
    X = draw.random((2_000, 6))
    y = X.sum(axis=1) > 3
    made = {
        "regression": LogisticRegression().fit(X, y),
        "forest": RandomForestClassifier(100, max_depth=10, random_state=0).fit(X, y),
    }
    for name, model in made.items():
        for _ in range(2):
            store.publish(name, model, X[:300], y[:300])
        store.promote(name, 1)
    for server in SERVERS:
        with serving(store.root, server, FOLLOW="0.1") as (port, process):
            for name in made:
                await shadow_of(store, name, server, port, process.pid)


async def shadow_of(store: ModelStore, name: str, server: str, port: int, pid: int) -> None:
    """The server's own CPU time for a request, since wall time says more of a busy machine."""
    costs: dict[bool, list[float]] = {False: [], True: []}
    compared: list[float] = []
    async with load(port, request(name, 6), clients=16, pause=0) as asked:
        await asyncio.sleep(1)
        for turn in range(SHADOW_TURNS):
            shadowed = bool(turn % 2)
            if shadowed:
                store.challenge(name, 2, "shadow", share=1)
            elif turn:
                store.stop(name)
            await asyncio.sleep(1)
            asked.clear()
            before, seen = cpu(pid), await compared_by(port, name)
            await asyncio.sleep(SHADOW_SECONDS)
            costs[shadowed].append((cpu(pid) - before) / len(asked))
            if shadowed:
                compared.append((await compared_by(port, name) - seen) / len(asked))
    store.stop(name)
    alone, beside = (statistics.median(costs[each]) for each in (False, True))
    print(
        f"shadow of all requests, {name}, {server}: {1e6 * beside:.0f} µs of CPU a request beside "
        f"{1e6 * alone:.0f} alone, so {alone / beside:.2f} of the throughput; "
        f"{100 * statistics.median(compared):.0f} % of the requests were compared"
    )


async def compared_by(port: int, name: str) -> int:
    """How many requests were compared so far."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"GET /models/{name}/challenger HTTP/1.1\r\nHost: localhost\r\n"
        "Connection: close\r\n\r\n".encode()
    )
    found = re.search(rb'"compared":\{"requests":(\d+)', await reader.read())
    writer.close()
    return int(found[1]) if found else 0


async def main() -> None:
    parts = {"swaps": swaps, "forest": forest, "idle": idle, "shadow": shadow}
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or parts:
            await parts[name](Path(folder))


if __name__ == "__main__":
    asyncio.run(main())
