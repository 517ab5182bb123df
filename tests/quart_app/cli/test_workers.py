"""`serve --workers` with real models, over HTTP."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from model_store import ModelStore
from quart_app.server.concurrency import workers_of

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[3]
LONG = 60.0


class Server:
    """One that runs, with what it wrote."""

    def __init__(self, store: ModelStore, *options: str, **settings: str) -> None:
        self.log = store.root.parent / "log"
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "QUART_APP_RECIPES": ""}
        environment |= {"QUART_APP_MODEL_STORE": str(store.root), "QUART_APP_FOLLOW": "0.2"}
        environment |= {"QUART_APP_TOUR": "false", "QUART_APP_SHUTDOWN_DELAY": "0.2"}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "quart_app", "serve", "--port", "0", *options],
                env=environment | {f"QUART_APP_{name}": value for name, value in settings.items()},
                cwd=store.root.parent,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r":(\d+) ", line)
        assert found, self.log.read_text()
        self.port = int(found[1])

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """The status and the JSON that is answered on a connection of its own."""
        connection = http.client.HTTPConnection("localhost", self.port, timeout=LONG)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request(method, path, json.dumps(body) if body else None, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def versions(self, name: str) -> set[object]:
        """Which versions answer, of many requests."""
        row = {"x0": 0.5, "x1": 0.5}
        answers = [self.ask("POST", f"/models/{name}/predict", row) for _ in range(20)]
        return {body.get("version", status) for status, body in answers}

    def wait_for(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LONG
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if holds():
                    return
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def wait_until_ready(self) -> None:
        self.wait_for(lambda: self.ask("GET", "/health/ready")[0] == 200)


def publish(store: ModelStore, name: str, C: float = 1.0) -> int:
    X = np.random.default_rng(0).random((60, 2))
    y = X[:, 0] > 0.5
    return store.publish(name, LogisticRegression(C=C).fit(X, y), X, y).version


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    found = ModelStore(tmp_path / "models")
    publish(found, "m")
    return found


@pytest.fixture
def serving(store: ModelStore) -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def serve(*options: str, **settings: str) -> Server:
        started.append(Server(store, *options, **settings))
        return started[-1]

    yield serve
    for server in started:
        server.process.terminate()
        try:
            server.process.wait(LONG)
        finally:
            server.process.kill()
            assert server.process.stdout is not None
            server.process.stdout.close()


def test_workers_follow_the_store_together(
    store: ModelStore, serving: Callable[..., Server]
) -> None:
    server = serving("--workers", "2")
    server.wait_until_ready()
    assert server.versions("m") == {1}
    publish(store, "m", C=2)
    server.wait_for(lambda: server.versions("m") == {2})
    store.promote("m", 1)
    server.wait_for(lambda: server.versions("m") == {1})
    publish(store, "later")
    server.wait_for(lambda: server.versions("later") == {1})
    server.process.terminate()
    assert server.process.wait(LONG) == 0


def test_a_file_that_is_being_answered_is_finished_by_the_workers_that_are_replaced(
    store: ModelStore, serving: Callable[..., Server]
) -> None:
    rows = 6_000_000
    publish(store, "m", C=2)
    store.promote("m", 1)
    server = serving("--workers", "2", DEADLINE="1")
    server.wait_until_ready()
    table = b"x0,x1\n" + b"0.25,0.5\n" * rows
    with httpx.Client(base_url=f"http://localhost:{server.port}", timeout=LONG) as client:
        sent = client.post(
            "/models/m/file",
            files={"file": ("rows.csv", table)},
            headers={"Accept": "application/json"},
        )
        job = sent.headers["Location"]
        store.promote("m", 2)
        server.wait_for(lambda: server.versions("m") == {2})
        assert server.ask("GET", job)[1]["state"] == "running"
        server.wait_for(lambda: server.ask("GET", job)[1]["state"] != "running")
        told = server.ask("GET", job)[1]
        assert (told["state"], told["rows"], told["version"]) == ("done", rows, 1)
        answered = client.get(told["download"]).text.splitlines()
    assert len(answered) == rows + 1


def test_a_version_that_does_not_load_leaves_what_serves_in_all_workers(
    store: ModelStore, serving: Callable[..., Server]
) -> None:
    server = serving("--workers", "2")
    server.wait_until_ready()
    store.promote("m", 1)
    publish(store, "m", C=2)
    for path in (store.root / "m" / "2").iterdir():
        if path.name in {"model.json", "pipeline.joblib"}:
            path.write_bytes(b"{}")
    store.promote("m", 2)

    def has_failed() -> bool:
        _, told = server.ask("GET", "/models/m")
        return bool((told.get("update") or {}).get("state") == "failed")

    server.wait_for(has_failed)
    assert server.versions("m") == {1}
    time.sleep(1)  # it is not tried again and again
    assert server.log.read_text().count("m failed:") <= 2


def test_a_challenger_is_loaded_for_all_and_tried_by_each(
    store: ModelStore, serving: Callable[..., Server]
) -> None:
    publish(store, "m", C=2)
    store.promote("m", 1)
    store.challenge("m", 2, "canary", share=0.5)
    server = serving("--workers", "2")
    server.wait_until_ready()
    server.wait_for(lambda: server.ask("GET", "/models/m/challenger")[0] == 200)
    store.stop("m")
    server.wait_for(lambda: server.versions("m") == {1})


def test_a_setting_that_is_wrong_ends_the_server_with_its_sentence(store: ModelStore) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "quart_app", "serve", "--workers", "2"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "QUART_APP_THREADS": "many"},
        cwd=store.root.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "QUART_APP_THREADS: expected a whole number from 1 on" in done.stderr


def test_a_port_that_is_in_use_ends_the_server_with_its_sentence(
    store: ModelStore, serving: Callable[..., Server]
) -> None:
    server = serving("--workers", "2", "--host", "127.0.0.1")
    done = subprocess.run(
        [sys.executable, "-m", "quart_app", "serve", "--workers", "2", "--port", str(server.port)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "HOST": "127.0.0.1"},
        cwd=store.root.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "is in use" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "workers"),
    [
        (["serve"], {}, 1),
        (["serve", "--workers", "3"], {"QUART_APP_WORKERS": "2"}, 3),
        (["serve", "--workers=3"], {}, 3),
        (["serve"], {"QUART_APP_WORKERS": "2", "WEB_CONCURRENCY": "4"}, 2),
        (["serve"], {"WEB_CONCURRENCY": "4"}, 4),
        (["serve"], {"WEB_CONCURRENCY": "4", "WEB_CONCURRENCY_SET_BY": "heroku"}, 1),
        (["serve"], {"QUART_APP_WORKERS": "many"}, 1),
        (["serve", "--workers"], {}, 1),
    ],
)
def test_how_many_workers_are_asked_for(
    arguments: list[str], environment: dict[str, str], workers: int
) -> None:
    assert workers_of(arguments, environment) == workers
