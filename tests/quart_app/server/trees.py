"""A server of several workers without models, whose processes fail on request."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
LONG = 60.0
"""Seconds; no test waits this long unless it fails."""

HEARTBEAT = 5.0


class Tree:
    """One that runs. `model` is the file that its loaders load."""

    def __init__(self, folder: Path, *, workers: int = 2, server: str = "hypercorn") -> None:
        self.model = folder / "model"
        self.errors = folder / "errors"
        if not self.model.exists():
            self.load("1")
        with self.errors.open("a") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(workers), server, str(self.model)],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.port = 0

    def load(self, what: str) -> None:
        """Let loaders load this from now on."""
        fresh = self.model.with_suffix(".new")
        fresh.write_text(what)
        fresh.replace(self.model)

    def wait_until_it_listens(self) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r":(\d+)", line)
        assert found, self.errors.read_text()
        self.port = int(found[1])

    def ask(self, path: str, seconds: float = LONG) -> Any:
        """The JSON that is answered on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def workers(self, count: int = 60) -> dict[int, dict[str, Any]]:
        """Who answers, by the process id."""
        found = {}
        for _ in range(count):
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                answer = self.ask("/", seconds=5)
                found[answer["pid"]] = answer
        return found

    def wait_for(self, holds: Callable[[dict[int, dict[str, Any]]], bool]) -> dict[int, Any]:
        """The workers, once this holds for them."""
        deadline = time.monotonic() + LONG
        while time.monotonic() < deadline:
            found = self.workers(20)
            if holds(found):
                return found
        raise AssertionError(f"{found}\n{self.errors.read_text()}")

    def wait_for_models(self, model: str, workers: int = 2) -> dict[int, Any]:
        """The workers, once so many have this model, and no other has another."""
        return self.wait_for(
            lambda found: (
                len(found) == workers and {each["model"] for each in found.values()} == {model}
            )
        )

    def descendants(self) -> set[int]:
        """The processes below this one that live."""
        parents = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                state, parent = path.read_text().rpartition(")")[2].split()[:2]
                if state != "Z":
                    parents[int(path.parent.name)] = int(parent)
        found = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return found - {self.process.pid}

    def loader(self) -> int:
        """The one that is no worker, once those that leave have gone."""
        deadline = time.monotonic() + LONG
        while time.monotonic() < deadline:
            found = self.descendants() - set(self.workers())
            if len(found) == 1:
                return found.pop()
            time.sleep(0.1)
        raise AssertionError(found)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(LONG)

    def close(self) -> None:
        """Kill all that is left."""
        left = self.descendants()
        self.process.kill()
        self.process.wait()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert self.process.stdout is not None
        self.process.stdout.close()


class Load:
    """Clients that ask again and again, each on a connection of its own or on one that is kept."""

    def __init__(self, port: int, clients: int = 4, *, kept: bool = False) -> None:
        self.answered = 0
        self.lost: list[str] = []
        self._port, self._kept = port, kept
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join(LONG)

    def _ask(self) -> None:
        connection = None
        while not self._ends.is_set():
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=LONG)
            try:
                connection.request("GET", "/")
                response = connection.getresponse()
                response.read()
                assert response.status == 200, response.status
                self.answered += 1
                if not self._kept or response.will_close:
                    connection.close()
                    connection = None
            except Exception as error:
                self.lost.append(repr(error))
                if connection is not None:
                    connection.close()
                connection = None
        if connection is not None:
            connection.close()


@contextlib.contextmanager
def growing(folder: Path, *, workers: int = 2, server: str = "hypercorn") -> Iterator[Tree]:
    """A tree that listens, and has its workers."""
    tree = Tree(folder, workers=workers, server=server)
    try:
        tree.wait_until_it_listens()
        tree.wait_for_models("1", workers)
        yield tree
    finally:
        tree.close()


# What runs in its processes ------------------------------------------------------


def _supervise(workers: int, server: str, model: str) -> int:
    from quart_app.server import concurrency
    from quart_app.server.inherited import log_without_waiting
    from quart_app.server.supervisor import Supervisor

    log_without_waiting()
    command = [sys.executable, "-m", __spec__.name, str(workers), server, model]
    return Supervisor(command, concurrency.with_one_thread(os.environ), workers).run()


def _load(server: str, model: str, orders: str) -> int:
    import logging
    import socket

    from quart_app.server import run, sockets
    from quart_app.server.inherited import log_without_waiting
    from quart_app.server.loader import Loader, Post, Work
    from quart_app.server.options import ServerOptions, Shutdown
    from quart_app.server.orders import Orders

    log_without_waiting()
    shutdown = Shutdown(delay=0.2, drain=5, background=0.5, watchdog=7)

    class Texts(Work[str]):
        def open(self) -> tuple[list[socket.socket], Mapping[str, Any]]:
            sock = sockets.bind("127.0.0.1", 0)
            return [sock], {
                "announcement": sockets.url(sock),
                "heartbeat": HEARTBEAT,
                "watchdog": shutdown.watchdog,
            }

        def load(
            self,
            served: Mapping[str, int],
            skipped: Mapping[tuple[str, int], str],
            on_load: Callable[[str, int], None],
        ) -> str:
            text = Path(model).read_text()
            if ("m", 2) in skipped:
                return f"without {skipped['m', 2]}"
            on_load("m", 2)
            match text.split():
                case ["crash"]:
                    os.kill(os.getpid(), signal.SIGSEGV)
                case ["raise"]:
                    raise ValueError("no such model")
                case ["sleep", seconds]:
                    time.sleep(float(seconds))
                case _:
                    pass
            return text

        def versions(self, models: str) -> Mapping[str, int]:
            return {"m": 1}

        def workers(self, most: int) -> int:
            return most

        def serve(self, post: Post, models: str | None, *, forerun: bool) -> int:
            logging.info("worker %d of %d", post.place.slot, post.place.workers)
            if models == "exit":
                return 3
            app = _app(post, "awaited" if forerun else str(models))
            options = ServerOptions(shutdown=shutdown, share=post.share)
            http = run.http_server(server)
            return run.serve(app, post.sockets[0], http, options, on_stop=lambda reason: None)

    return Loader(Orders.read(orders), Texts()).run()


def _app(post: Any, model: str) -> Any:
    import asyncio

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        match scope["path"].split("/")[1:]:
            case ["sleep", seconds]:
                await asyncio.sleep(float(seconds))
            case ["hang"]:
                sum(range(10**13))  # with the interpreter's lock, whatever signals come
            case ["crash"]:
                os.kill(os.getpid(), signal.SIGSEGV)
            case ["want"]:
                post.share.want_newer()
            case _:
                pass
        place = post.place
        told = {"pid": os.getpid(), "slot": place.slot, "generation": place.generation}
        body = json.dumps({**told, "model": model}).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def _main(arguments: Sequence[str]) -> int:
    workers, server, model, *orders = arguments
    return _load(server, model, *orders) if orders else _supervise(int(workers), server, model)


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
