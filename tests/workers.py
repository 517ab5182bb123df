"""Several workers of one server, each a process with a port of its own, so that a test chooses whom
it asks."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parent.parent
LONG = 180.0
"""Seconds: a busy machine starts a worker in that."""

Series = tuple[str, tuple[tuple[str, str], ...]]
"""The name of a sample, and its labels."""


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Any
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Leaves a redirect to whoever asked."""

    def redirect_request(self, *_: Any) -> None:
        return None


_opener = urllib.request.build_opener(NoRedirect)


class Worker:
    """One process."""

    def __init__(self, folder: Path, slot: int, workers: int, settings: dict[str, Any], out: int):
        place = {"slot": slot, "workers": workers, "folder": str(folder), "generation": 0}
        self.slot = slot
        self._log = folder.parent / f"log-{slot}-{time.monotonic_ns()}"
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.worker", json.dumps(place), json.dumps(settings)],
                cwd=ROOT,
                stdout=out or log,
                stderr=log,
            )
        self.url = f"http://127.0.0.1:{settings['PORT']}"

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def wait(self) -> None:
        """Until it listens and its models are loaded."""
        until(self._is_loaded)

    def ask(self, path: str, body: Any = None, method: str | None = None, **headers: str) -> Answer:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        if data is not None and "Content-Type" not in names:
            names["Content-Type"] = "application/json"
        request = urllib.request.Request(self.url + path, data, names, method=method)
        try:
            with _opener.open(request, timeout=LONG) as response:
                return Answer(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    def end(self, number: int = signal.SIGTERM) -> int:
        """The exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(LONG)

    def _is_loaded(self) -> bool:
        assert self.process.poll() is None, self.log
        try:
            models = self.ask("/models").json()["models"]
        except OSError:
            return False
        return all(model["state"] == "ready" for model in models)


class Workers:
    """All of them, by slot."""

    def __init__(self, folder: Path, workers: int, settings: dict[str, Any], out: int = 0) -> None:
        self.folder = folder
        self._settings = {"HOST": "127.0.0.1", "RECIPES": "", "FOLLOW": "0", **settings}
        self._workers = workers
        self._out = out
        self.all = [self._begun(slot) for slot in range(workers)]

    def __getitem__(self, slot: int) -> Worker:
        return self.all[slot]

    def wait(self) -> None:
        for worker in self.all:
            worker.wait()

    def begin(self, slot: int) -> None:
        """Begin another worker in the slot of one that has ended."""
        self.all[slot] = self._begun(slot)

    def replace(self, slot: int) -> None:
        """Begin one, and wait until it serves."""
        self.begin(slot)
        self.all[slot].wait()

    def end(self) -> list[int]:
        for worker in self.all:
            if worker.process.poll() is None:
                worker.process.send_signal(signal.SIGTERM)
        return [worker.end() for worker in self.all]

    def _begun(self, slot: int) -> Worker:
        settings = {**self._settings, "PORT": str(free_port())}
        return Worker(self.folder, slot, self._workers, settings, self._out)


@contextlib.contextmanager
def workers(folder: Path, many: int, *, out: int = 0, **settings: Any) -> Iterator[Workers]:
    """So many workers that serve, in a folder that they share below this one."""
    shared = folder / "shared"
    shared.mkdir(mode=0o700)
    running = Workers(shared, many, settings, out)
    try:
        running.wait()
        yield running
    finally:
        for worker in running.all:
            if worker.process.poll() is None:
                worker.process.send_signal(signal.SIGCONT)
        running.end()


def until(look: Any, seconds: float = LONG) -> Any:
    """What `look` finds, as soon as it finds something."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.05)
    return found


def samples(text: str) -> dict[Series, float]:
    """All series of a scrape."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])
