"""One store of several processes: servers that follow it, publishers, killed ones, and servers that
may not write it."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from model_store import ModelStore
from model_store.bucket import BucketStore

from ...buckets import S3, s3
from ...conftest import Server, serving
from ...mounts import mounted

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[3]
URL = "s3://models/here"
SECONDS = 6.0
"""For which three publish and promote; a minute of it was tried by hand."""

KEY = {"X-API-Key": "secret"}
DIGEST = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"  # of it

# Says what it has done, a line each. Nearest neighbours by this metric have no plain form, whose
# proof takes longer than all else.
PUBLISHER = """
import sys, time
import numpy
from sklearn.neighbors import KNeighborsClassifier
from model_store.bucket import BucketStore

who, url, cache, seconds = sys.argv[1:]
store = BucketStore.open(url, cache)
X, y = numpy.array([[1.0], [2.0], [3.0]]), numpy.array([0, 1, 1])
end = time.monotonic() + float(seconds)
while time.monotonic() < end:
    pipeline = KNeighborsClassifier(1, metric="canberra").fit(X, y)
    number = store.publish("m", pipeline, X, y, who=who).version
    print("publish", number, flush=True)
    store.promote("m", number, who=who)
    print("promote", number, flush=True)
"""


class Publisher:
    """A process that publishes and promotes; `done` is what it said it had done."""

    def __init__(self, bucket: S3, who: str, cache: Path, seconds: float) -> None:
        self.who = who
        self.process = subprocess.Popen(
            [sys.executable, "-c", PUBLISHER, who, URL, str(cache), str(seconds)],
            env={**os.environ, **bucket.settings(), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait(self) -> list[tuple[str, int]]:
        output, _ = self.process.communicate(timeout=120)
        return [(what, int(number)) for what, number in map(str.split, output.splitlines())]


class Asking(threading.Thread):
    """Asks a server for the model again and again."""

    def __init__(self, server: Server, pause: float = 0.02) -> None:
        super().__init__()
        self.statuses: list[int] = []
        self._server = server
        self._pause = pause
        self._over = threading.Event()

    def run(self) -> None:
        with httpx.Client(base_url=self._server.url, timeout=60) as client:
            while not self._over.wait(self._pause):
                try:
                    answer = client.post("/models/m/predict", json={"x0": 1.0})
                except httpx.HTTPError:
                    self.statuses.append(0)
                else:
                    self.statuses.append(answer.status_code)

    def stop(self) -> list[int]:
        self._over.set()
        self.join()
        return self.statuses


@contextlib.contextmanager
def server_of(settings: dict[str, Any], folder: Path, kind: str = "hypercorn") -> Iterator[Server]:
    folder.mkdir()
    with serving(
        cwd=folder,
        **{"QUART_APP_RECIPES": "", "QUART_APP_SERVER": kind, "QUART_APP_TOUR": "false"} | settings,
    ) as server:
        server.wait_until_ready()
        yield server


def version_served(server: Server) -> int:
    answer = httpx.post(f"{server.url}/models/m/predict", json={"x0": 1.0}, timeout=60)
    return int(answer.json()["version"])


def test_two_servers_and_three_publishers_of_one_bucket_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3() as bucket, contextlib.ExitStack() as stack:
        for name, value in bucket.settings().items():
            monkeypatch.setenv(name, value)
        first = Publisher(bucket, "first", tmp_path / "first", 0.01)
        assert first.wait() == [("publish", 1), ("promote", 1)]
        settings = bucket.settings() | {"QUART_APP_MODEL_STORE": URL, "QUART_APP_FOLLOW": "0.5"}
        servers = [
            stack.enter_context(server_of(settings, tmp_path / kind, kind))
            for kind in ("hypercorn", "uvicorn")
        ]
        asking = [Asking(server) for server in servers]
        for each in asking:
            each.start()
        publishers = [Publisher(bucket, f"p{i}", tmp_path / f"p{i}", SECONDS) for i in range(3)]
        time.sleep(SECONDS * random.uniform(0.6, 0.9))
        publishers[0].process.kill()
        done = {each.who: each.wait() for each in publishers}
        assert [each.process.returncode for each in publishers] == [-9, 0, 0]

        store = BucketStore.open(URL, tmp_path / "reader")
        champion, head = store.resolve("m"), store.head("m")
        end = time.monotonic() + 60
        while {version_served(server) for server in servers} != {champion}:
            assert time.monotonic() < end
            time.sleep(0.2)
        for each in asking:
            statuses = each.stop()
            assert set(statuses) == {200}
            assert len(statuses) > 10

        # Nothing that anybody was told was done is lost, and nothing is there that is not whole.
        history = store.history("m")
        for who, acts in done.items():
            told = [(each.what, each.version) for each in history if each.who == who]
            assert told[: len(acts)] == acts
            # What was killed may have done one thing more than it could say.
            assert len(told) - len(acts) <= (who == "p0")
        changes = [each for each in history if each.what != "failed load"]
        assert [each.generation for each in changes] == list(range(1, head.generation + 1))
        published = sorted(each.version or 0 for each in changes if each.what == "publish")
        assert published == store.versions("m")
        for version in published:
            store.load(store.verify("m", version)).replay()
        assert champion == [each.version for each in changes if each.what == "promote"][-1]
        assert len(published) > 6
        assert len(changes) == len(history), "no server met a version that was not whole"


CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("canary", {"version": 1, "share": 0.5}),
    ("shadow", {"version": 1}),
    ("promote", {"version": 1}),
    ("rollback", {}),
    ("stop", {}),
]


def refused(server: Server, why: str) -> None:
    """Each change is a 409 that says why, and the server goes on as before."""
    for what, given in CHANGES:
        answer = httpx.post(f"{server.url}/models/m/{what}", json=given, headers=KEY, timeout=60)
        assert answer.status_code == 409, answer.text
        assert answer.json()["error"] == why
    assert version_served(server) == 2
    assert "quart_app_store_reachable 1.0" in httpx.get(f"{server.url}/metrics").text


def lived_in(store: ModelStore) -> None:
    """Version 2 serves, and version 1 is tried."""
    from sklearn.linear_model import LinearRegression

    X = [[0.0], [1.0], [2.0]]
    for number in (1.0, 2.0):
        store.publish("m", LinearRegression().fit(X, [number] * 3), X, [number] * 3)
    store.promote("m", 2)
    store.challenge("m", 1, "shadow", share=1)


def test_changes_of_a_folder_that_cannot_be_written_are_refused_with_why(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "models")
    lived_in(store)
    settings = {"QUART_APP_MODEL_STORE": str(store.root), "QUART_APP_API_KEYS": f"ann:{DIGEST}"}
    with (
        mounted(store.root, "-o", "bind,ro", os.fspath(store.root)),
        server_of(settings, tmp_path / "server") as server,
    ):
        refused(server, f"The store {store.root} cannot be written: Read-only file system.")


def test_changes_of_a_bucket_by_a_key_that_may_only_read_are_refused_with_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3() as bucket:
        for name, value in bucket.settings().items():
            monkeypatch.setenv(name, value)
        lived_in(BucketStore.open(URL, tmp_path / "writer"))
        settings = bucket.reading_settings() | {
            "QUART_APP_MODEL_STORE": URL,
            "QUART_APP_API_KEYS": f"ann:{DIGEST}",
        }
        with server_of(settings, tmp_path / "server") as server:
            refused(
                server,
                f"The store {URL} cannot be written: the bucket does not allow it to this key.",
            )
