"""How memory and time grow with the models that are loaded, and with the columns of one.

python -m bench --only growth
"""

from __future__ import annotations

import contextlib
import http.client
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .contenders import Contender, ours
from .load import load
from .processes import NotServing, Running
from .workloads import multiply, publish, publish_wide

MODELS = (1, 10, 100)
COLUMNS = (4, 30, 500)

Row = dict[str, Any]


def measure(seconds: float) -> list[Row]:
    """A row for each number of models, then one for each number of columns."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        workload = publish("logistic", Path(folder))
        for models in MODELS:
            store = multiply(workload, models, Path(folder))
            rows.append(_measure(ours(workload, store=store)[0], models, 4, seconds))
        for columns in COLUMNS:
            wide = publish_wide(columns, Path(folder))
            rows.append(_measure(ours(wide)[0], 1, columns, seconds))
    return rows


def _measure(contender: Contender, models: int, columns: int, seconds: float) -> Row:
    begun = time.perf_counter()
    with Running(contender) as server:
        _wait_until_ready(server)
        ready = time.perf_counter() - begun
        load(server, 32, 1)
        many, one = load(server, 32, seconds), load(server, 1, seconds)
        server.ask(contender.one)
        if many.bad or one.bad:
            raise NotServing(f"{many.bad + one.bad} requests failed with {models} models.")
        row: Row = {
            "models": models,
            "columns": columns,
            "ready": ready,
            "memory": server.memory(),
            "rate_32": many.rate,
            "p50_1": one.p50,
        }
    print(row, file=sys.stderr, flush=True)
    return row


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
