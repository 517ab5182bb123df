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


def test_what_came_by_grpc_is_recorded(sqlite_url: str, bundled_root: Path, tmp_path: Path) -> None:
    # Imported here: grpc starts threads, and this module is collected with others.
    import grpc

    from quart_app import protobuf

    request = protobuf.message_class("inference.ModelInferRequest")
    tensor = {"name": "x", "datatype": "FP64", "shape": [2, 2]}
    contents = {"contents": {"fp64_contents": [61.1, 17.3, 1, 2]}}
    sent = {"model_name": "exam", "id": "mine", "inputs": [tensor | contents]}
    bad = sent | {"inputs": [tensor]}
    port = {"QUART_APP_GRPC_PORT": 0}
    with serving(cwd=tmp_path, **settings(sqlite_url, bundled_root), **port) as server:
        address = server.grpc_address()
        server.wait_until_ready()
        with grpc.insecure_channel(address) as channel:
            infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            infer(request(**sent).SerializeToString(), timeout=30)
            with pytest.raises(grpc.RpcError, match="INVALID_ARGUMENT"):
                infer(request(**bad).SerializeToString(), timeout=30)
        assert server.stop() == 0
    rows = list(Records(Database.at(sqlite_url)).predictions("exam"))
    found = {(row.id, row.row, row.inputs["X1"]) for row in rows if row.inputs is not None}
    assert found == {("mine", 0, 61.1), ("mine", 1, 1)}
    assert {(row.door, row.status, row.error) for row in rows} == {
        ("grpc", 200, None),
        ("grpc", 400, "invalid_request"),
    }


def test_predictions_are_as_fast_while_the_file_is_locked(
    sqlite_url: str, bundled_root: Path, tmp_path: Path
) -> None:
    with serving(cwd=tmp_path, **settings(sqlite_url, bundled_root)) as server:
        server.wait_until_ready()
        ids = {ask(server) for _ in range(20)}
        end = time.monotonic() + 20
        while recorded(sqlite_url) != ids:
            assert time.monotonic() < end
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
