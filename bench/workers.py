"""What several workers cost and share: memory, processor time, connections, the start; and what is
lost when a worker is killed, and when the models are swapped again and again.

    python bench/workers.py [memory] [cpu] [connections] [start] [kill] [swaps]

Memory is the proportional set size (PSS) of all processes together, after requests to all workers.
The models of the first part are of classes of their own, so that they have no plain form: that is
mapped from its file, and shared by any processes. Times are best taken on a machine with nothing
else to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from sklearn.neural_network import MLPClassifier

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from bench.swaps import Asked, cpu, request  # noqa: E402
from model_store import ModelStore  # noqa: E402

SERVERS: Final = ("hypercorn", "uvicorn")
REQUESTS: Final = 10_000
CONNECTIONS: Final = 32
COLUMNS: Final = 6
CPU_SECONDS: Final = 4.0
STARTS: Final = 5

OWN = """
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

class Forest(RandomForestClassifier):
    pass

class Boosting(HistGradientBoostingClassifier):
    pass
"""


async def ask_for_ever(port: int, message: bytes, asked: Asked, pause: float) -> None:
    """Ask again and again, on a connection that is kept for as long as the server keeps it."""
    streams = None
    while True:
        began = time.perf_counter()
        status = 0
        try:
            if streams is None:
                streams = await asyncio.open_connection("127.0.0.1", port)
            reader, writer = streams
            writer.write(message)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            status = int(head.split(None, 2)[1])
            length = re.search(rb"content-length: (\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            if b"connection: close" in head:
                writer.close()
                streams = None
        except (OSError, asyncio.IncompleteReadError):
            streams = None
        asked.append((status, time.perf_counter() - began))
        await asyncio.sleep(pause)


@contextlib.asynccontextmanager
async def load(port: int, message: bytes, *, clients: int, pause: float) -> AsyncIterator[Asked]:
    """So many clients at once; each answer's status and seconds."""
    asked: Asked = []
    tasks = [asyncio.create_task(ask_for_ever(port, message, asked, pause)) for _ in range(clients)]
    yield asked
    for task in tasks:
        task.cancel()


class Tree:
    """A server with so many workers, which is ready."""

    def __init__(
        self, store: Path, workers: int, server: str = "hypercorn", **settings: str
    ) -> None:
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{store.parent}", "PORT": "0"}
        environment |= {"HOST": "127.0.0.1", "QUART_APP_WORKERS": str(workers)}
        environment |= {"QUART_APP_MODEL_STORE": str(store), "QUART_APP_ACCESS_LOG": "false"}
        environment |= {"QUART_APP_SERVER": server, "QUART_APP_TOUR": "false"}
        environment |= {f"QUART_APP_{name}": value for name, value in settings.items()}
        begun = time.perf_counter()
        self.errors = (store.parent / "errors").open("a")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "quart_app", "serve"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            cwd=store.parent,
        )
        assert self.process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+)", self.process.stdout.readline())
        assert found, "it does not listen"
        self.port = int(found[1])
        while not self._is_ready():
            time.sleep(0.005)
        self.seconds = time.perf_counter() - begun

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/ready") as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def pids(self) -> list[int]:
        """All of its processes."""
        parents = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        found = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return sorted(found)

    def pss(self) -> float:
        """Megabytes of all of them."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
                total += int(re.findall(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)[0])
        return total / 1000

    def cpu(self) -> float:
        """Seconds of processor time that they have taken."""
        total = 0.0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                total += cpu(pid)
        return total

    def connections(self) -> list[int]:
        """How many each process has that has any."""
        port = f":{self.port:04X}"
        there = {
            fields[9]
            for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
            if (fields := line.split())[1].endswith(port) and fields[3] == "01"
        }
        counts = []
        for pid in self.pids():
            names = []
            with contextlib.suppress(OSError):
                names = [os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()]
            counts.append(sum(f"socket:[{inode}]" in names for inode in there))
        return [count for count in counts if count]

    def workers(self) -> list[int]:
        """The processes that have the listening socket and connections or none: all but the two
        that were there before them."""
        first, *rest = self.pids()
        return [pid for pid in rest if _parent(pid) == first][1:]

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.errors.close()


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@contextlib.contextmanager
def serving(
    store: Path, workers: int, server: str = "hypercorn", **settings: str
) -> Iterator[Tree]:
    tree = Tree(store, workers, server, **settings)
    try:
        yield tree
    finally:
        tree.close()


def data(rows: int) -> tuple[Any, Any]:
    draw = np.random.default_rng(1)
    X = draw.random((rows, COLUMNS))
    return X, (X.sum(axis=1) + draw.normal(0, 1.2, len(X)) > 3).astype(int)


def large_models(folder: Path) -> Iterator[tuple[str, ModelStore]]:
    """A store each for a forest, boosting and a network, and what it has."""
    (folder / "own.py").write_text(OWN)
    sys.path.insert(0, str(folder))
    own = importlib.import_module("own")
    X, y = data(60_000)
    made = {
        "forest": own.Forest(38, n_jobs=2, random_state=0),
        "boosting": own.Boosting(max_iter=300, max_leaf_nodes=127, min_samples_leaf=2),
        "network": MLPClassifier((1500, 1500), max_iter=1, random_state=0),
    }
    for name, model in made.items():
        store = ModelStore(folder / name)
        rows = len(X) if name != "network" else 1000
        code = folder / "own.py" if name != "network" else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(X[:rows], y[:rows])
        published = store.publish(name, model, X[:500], y[:500], code=code)
        served = published.served.by if published.served else "pipeline"
        size = sum(file.size for file in published.files.values()) / 1e6
        yield f"{name} by its {served}, files of {size:.0f} MB", store


async def ask(tree: Tree, name: str, requests: int, clients: int = 16) -> None:
    """So many requests, on connections to all workers."""
    message = request(name, COLUMNS)
    async with load(tree.port, message, clients=clients, pause=0) as asked:
        while len(asked) < requests:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        failed = sum(status != 200 for status, _ in asked)
        assert not failed, failed


async def memory(folder: Path) -> None:
    for what, store in large_models(folder):
        (name,) = store.models()
        found = {}
        for workers in (1, 2, 4):
            with serving(store.root, workers) as tree:
                await asyncio.sleep(2)
                await ask(tree, name, REQUESTS)
                found[workers] = tree.pss()
        one = found[1]
        shares = ", ".join(
            f"{workers} workers {pss:.0f} MB ({pss / one:.2f})" for workers, pss in found.items()
        )
        print(f"memory, {what}: {shares}", flush=True)


def publish_small(folder: Path) -> ModelStore:
    from sklearn.linear_model import LogisticRegression

    store = ModelStore(folder / "small")
    if not store.root.exists():
        X, y = data(500)
        for turn in range(2):
            store.publish("small", LogisticRegression(C=1 + turn).fit(X, y), X, y)
        store.promote("small", 1)
    return store


async def cpu_seconds(folder: Path) -> None:
    store = publish_small(folder)
    for server in SERVERS:
        rates: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(3):
            for workers in rates:
                with serving(store.root, workers, server) as tree:
                    await asyncio.sleep(1)
                    rates[workers].append(await _rate(tree))
        one, two = (statistics.median(rates[workers]) for workers in (1, 2))
        print(
            f"processor, {server}: {one:.0f} requests per CPU second with one worker, {two:.0f} "
            f"with two ({two / one:.2f})",
            flush=True,
        )


async def _rate(tree: Tree) -> float:
    async with load(tree.port, request("small", COLUMNS), clients=32, pause=0) as asked:
        await asyncio.sleep(1)
        begun = tree.cpu()
        asked.clear()
        await asyncio.sleep(CPU_SECONDS)
        return len(asked) / (tree.cpu() - begun)


async def connections(folder: Path) -> None:
    store = publish_small(folder)
    for server in SERVERS:
        for workers in (2, 4):
            for pause in (0.0, 0.01):
                found = []
                with serving(store.root, workers, server) as tree:
                    await asyncio.sleep(2)
                    for _ in range(5):
                        message = request("small", COLUMNS)
                        async with load(tree.port, message, clients=CONNECTIONS, pause=pause):
                            await asyncio.sleep(0.7)
                            found.append(sorted(tree.connections()))
                        await asyncio.sleep(0.3)
                least = min(counts[0] if len(counts) == workers else 0 for counts in found)
                print(
                    f"connections, {server}, {workers} workers, pause {pause:g} s: {found}; least "
                    f"{100 * least / CONNECTIONS:.0f} %",
                    flush=True,
                )


async def start(folder: Path) -> None:
    store = publish_small(folder)
    seconds: dict[int, list[float]] = {1: [], 2: [], 4: []}
    for _ in range(STARTS):
        for workers, found in seconds.items():
            with serving(store.root, workers, SHUTDOWN_DELAY="0") as tree:
                found.append(tree.seconds)
    told = ", ".join(
        f"{workers} workers {statistics.median(found):.2f} s" for workers, found in seconds.items()
    )
    print(f"start until ready: {told}", flush=True)


async def kill(folder: Path) -> None:
    store = publish_small(folder)
    for server in SERVERS:
        with serving(store.root, 2, server) as tree:
            await asyncio.sleep(2)
            async with load(tree.port, request("small", COLUMNS), clients=16, pause=0) as asked:
                for _ in range(5):
                    await asyncio.sleep(1)
                    with contextlib.suppress(IndexError, ProcessLookupError):
                        os.kill(tree.workers()[0], signal.SIGKILL)
                await asyncio.sleep(1)
                failed = sum(status != 200 for status, _ in asked)
        print(f"5 workers killed, {server}, 16 connections: {failed} of {len(asked)} lost")


async def swaps(folder: Path) -> None:
    store = publish_small(folder)
    for server in SERVERS:
        for pause in (0.0, 0.01):
            store.promote("small", 1)
            with serving(store.root, 4, server, FOLLOW="0.2") as tree:
                await asyncio.sleep(2)
                message = request("small", COLUMNS)
                before = set(tree.pids())
                async with load(tree.port, message, clients=8, pause=pause) as asked:
                    for number in range(20):
                        await asyncio.to_thread(store.promote, "small", 1 + (number + 1) % 2)
                        await asyncio.sleep(1)
                    failed = sum(status != 200 for status, _ in asked)
                    gone = len(before - set(tree.pids()))
            print(
                f"20 promotions, one a second, 4 workers, {server}, pause {pause:g} s: {failed} of "
                f"{len(asked)} lost; {gone} of the first processes have gone",
                flush=True,
            )


async def main() -> None:
    parts = {
        "memory": memory,
        "cpu": cpu_seconds,
        "connections": connections,
        "start": start,
        "kill": kill,
        "swaps": swaps,
    }
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or parts:
            await parts[name](Path(folder))


if __name__ == "__main__":
    asyncio.run(main())
