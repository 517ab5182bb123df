"""A server that records, in a process of its own: how it ends, and how it does meanwhile."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from quart_app.memory.database import Database
from quart_app.memory.store import Records

from ...conftest import Server, serving

ROW = json.dumps({"X1": 61.1, "X2": 17.3}).encode()
HEADERS = {"Content-Type": "application/json"}

pytestmark = pytest.mark.process


def ask(server: Server) -> str:
    """The id of a prediction."""
    request = urllib.request.Request(f"{server.url}/models/exam/predict", ROW, HEADERS)
    with urllib.request.urlopen(request, timeout=30) as response:
        assert response.status == 200
        found: str = json.load(response)["id"]
    return found


def recorded(url: str) -> set[str]:
    """The ids that are in the database."""
    return {row.id for row in Records(Database.at(url, seconds=10)).predictions("exam")}


def settings(url: str, store: Path) -> dict[str, Any]:
    return {
        "DATABASE_URL": url,
        "QUART_APP_RECORD": 1,
        "QUART_APP_MODEL_STORE": store,
        "QUART_APP_RECIPES": "",
    }


def test_term_loses_nothing_and_kill_what_came_in_the_last_second(
    url: str, bundled_root: Path, tmp_path: Path
) -> None:
    with serving(cwd=tmp_path, **settings(url, bundled_root)) as server:
        server.wait_until_ready()
        ids = {ask(server) for _ in range(50)}
        assert server.stop() == 0
    assert recorded(url) == ids
    with serving(cwd=tmp_path, **settings(url, bundled_root)) as server:
        server.wait_until_ready()
        end = time.monotonic() + 2
        asked = []
        while time.monotonic() < end:
            asked.append((time.monotonic(), ask(server)))
        server.stop(signal.SIGKILL)
        killed = time.monotonic()
    kept = recorded(url)
    assert all(at > killed - 1 for at, id in asked if id not in kept)
    assert len(kept) > len(ids)


def test_predictions_are_as_fast_while_the_file_is_locked(
    sqlite_url: str, bundled_root: Path, tmp_path: Path
) -> None:
    with serving(cwd=tmp_path, **settings(sqlite_url, bundled_root)) as server:
        server.wait_until_ready()
        ids = {ask(server) for _ in range(20)}
        with contextlib.closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as other:
            other.execute("BEGIN IMMEDIATE")
            took = []
            end = time.monotonic() + 3
            while time.monotonic() < end:
                begun = time.monotonic()
                ids.add(ask(server))
                took.append(time.monotonic() - begun)
            assert sorted(took)[len(took) // 2] < 0.25
            assert max(took) < 2
        assert server.stop() == 0
    assert recorded(sqlite_url) == ids
