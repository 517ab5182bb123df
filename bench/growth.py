"""How memory and time grow with the models that are loaded, and with the columns of one.

python -m bench --only growth
"""

from __future__ import annotations

import contextlib
import http.client
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from .contenders import Contender, ours
from .load import load
from .processes import NotServing, Running
from .workloads import Workload, multiply, publish, publish_wide

MODELS = (1, 10, 100)
COLUMNS = (4, 30, 500)
FETCHED = 9
"""How often each page is asked for, after the first time."""

Row = dict[str, Any]


def measure(seconds: float) -> list[Row]:
    """A row for each number of models, then one for each number of columns."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        workload = publish("logistic", Path(folder))
        for models in MODELS:
            store = multiply(workload, models, Path(folder))
            found = _measure(ours(workload, store=store)[0], workload, models, seconds)
            rows.append({"more": "models", **found})
        for columns in COLUMNS:
            wide = publish_wide(columns, Path(folder))
            rows.append({"more": "columns", **_measure(ours(wide)[0], wide, 1, seconds)})
    return rows


def _measure(contender: Contender, workload: Workload, models: int, seconds: float) -> Row:
    begun = time.perf_counter()
    with Running(contender) as server:
        _wait_until_ready(server)
        ready = time.perf_counter() - begun
        load(server, 32, 1)
        many, one = load(server, 32, seconds), load(server, 1, seconds)
        server.ask(contender.one)
        made = documents(server, workload)
        if many.bad or one.bad:
            raise NotServing(f"{many.bad + one.bad} requests failed with {models} models.")
        row: Row = {
            "models": models,
            "columns": len(workload.columns),
            "ready": ready,
            "memory": server.memory(),
            "rate_32": many.rate,
            "p50_1": one.p50,
            **made,
        }
    print(row, file=sys.stderr, flush=True)
    return row


def documents(server: Running, workload: Workload) -> dict[str, float]:
    """The milliseconds that each of what is made for people and programs takes.

    Raises:
        NotServing: one of them is refused.
    """
    page = f"/models/{workload.name}"
    row = urlencode(dict(zip(workload.columns, workload.rows[0], strict=True)))
    return {
        "form": _median(server, "GET", page),
        "result": _median(server, "POST", f"{page}/predict", row),
        "openapi": _median(server, "GET", "/openapi.json"),
    }


def _median(server: Running, method: str, path: str, form: str | None = None) -> float:
    headers = {"Accept": "text/html", "Content-Type": "application/x-www-form-urlencoded"}
    took = []
    for _ in range(1 + FETCHED):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        with contextlib.closing(connection):
            begun = time.perf_counter()
            connection.request(method, path, form, headers)
            response = connection.getresponse()
            response.read()
            took.append(1000 * (time.perf_counter() - begun))
        if response.status != 200:
            raise NotServing(f"{method} {path}: {response.status}")
    return statistics.median(took[1:])  # the first reads and compiles the templates


def _wait_until_ready(server: Running) -> None:
    """Return when no model is on its way any more: `/health/ready` is 200."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.request("GET", "/health/ready")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.02)
    raise NotServing("The models do not get ready.")
