"""Who is measured: our server, the peers that are installed, the bare servers below."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .workloads import Workload

ROOT = Path(__file__).parent.parent
SERVERS = Path(__file__).parent / "servers"
Kind = Literal["ours", "peer", "bare"]


@dataclass(frozen=True, slots=True)
class Request:
    """What is posted as JSON, and whether an answer to it is right."""

    path: str
    body: bytes
    is_right: Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Contender:
    """A server with one model: what it is sent with one row, and with many where it takes them.

    `{port}`, `{port2}`, `{port3}` and `{folder}` are replaced in the command, the environment and
    the files, which are written before it starts.
    """

    name: str
    kind: Kind
    command: tuple[str, ...]
    one: Request
    many: Request | None = None
    environment: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


def ours(workload: Workload, *, store: Path | None = None) -> list[Contender]:
    """Our server on each HTTP server that is installed, with all that is on by default."""
    row = dict(zip(workload.columns, workload.rows[0], strict=True))
    one = Request(
        f"/models/{workload.name}/predict",
        json.dumps(row).encode(),
        lambda answer: answer["prediction"] == workload.labels[0],
    )
    many = Request(
        f"/v1/models/{workload.name}:predict",
        json.dumps({"instances": workload.rows}).encode(),
        lambda answer: answer["predictions"] == workload.labels,
    )
    environment = {
        "PYTHONPATH": str(ROOT),
        "QUART_APP_MODEL_STORE": str(store or workload.store),
        "QUART_APP_RECIPES": "",
        "HOST": "127.0.0.1",
        "PORT": "{port}",
    }
    command = (sys.executable, "-m", "quart_app", "serve", "--server")
    return [
        Contender(f"quart-app, {server}", "ours", (*command, server), one, many, environment)
        for server in http_servers()
    ]


def bare(workload: Workload) -> list[Contender]:
    """The bare ASGI app on each HTTP server that is installed, sent what our server is sent."""
    request = ours(workload)[0].one
    sent = json.loads(request.body)
    one = Request("/", request.body, lambda answer: answer == sent)
    arguments = {
        "hypercorn": "--bind 127.0.0.1:{port} -w 0 -k uvloop bare:app",
        "uvicorn": "--host 127.0.0.1 --port {port} --no-access-log --log-level warning "
        "--loop uvloop --http httptools bare:app",
    }
    return [
        Contender(
            f"bare ASGI, {server}",
            "bare",
            (sys.executable, "-m", server, *arguments[server].split()),
            one,
            environment={"PYTHONPATH": str(SERVERS)},
        )
        for server in http_servers()
    ]


def http_servers() -> list[str]:
    """Those that our server runs on here."""
    complete = None not in map(importlib.util.find_spec, ("uvicorn", "httptools"))
    return ["hypercorn", "uvicorn"] if complete else ["hypercorn"]


# Peers ----------------------------------------------------------------------------------

PEERS = {
    "Flask, gunicorn": ("flask", "gunicorn"),
    "FastAPI, uvicorn": ("fastapi", "uvicorn", "httptools"),
    "MLServer, batching": ("mlserver", "mlserver_sklearn", "httptools"),
}
"""The packages that each needs, beside scikit-learn."""


def installed(python: str) -> dict[str, str]:
    """The peers that an interpreter has: name → the versions of their packages."""
    script = (
        "import importlib.util, importlib.metadata, json, sys\n"
        "found = {}\n"
        "for name in sys.argv[1:] + ['sklearn']:\n"
        "    if importlib.util.find_spec(name):\n"
        "        package = {'sklearn': 'scikit-learn'}.get(name, name.replace('_', '-'))\n"
        "        found[name] = importlib.metadata.version(package)\n"
        "print(json.dumps(found))"
    )
    packages = sorted({package for needed in PEERS.values() for package in needed})
    output = subprocess.run(
        [python, "-c", script, *packages], check=True, capture_output=True, text=True
    ).stdout
    found = json.loads(output)
    return {
        name: ", ".join(f"{each} {found[each]}" for each in (*needed, "sklearn"))
        for name, needed in PEERS.items()
        if {*needed, "sklearn"} <= found.keys()
    }


def peers(workload: Workload, pythons: Sequence[str]) -> list[Contender]:
    """The peers that can take the model, each in the first of these interpreters that has it."""
    makers = {
        "Flask, gunicorn": _flask,
        "FastAPI, uvicorn": _fastapi,
        "MLServer, batching": _mlserver,
    }
    first = {name: python for python in reversed(pythons) for name in installed(python)}
    return [
        makers[name](workload, name, first[name])
        for name in PEERS
        if name in first and (workload.numeric or name != "MLServer, batching")
    ]


def _by_rows(workload: Workload, name: str, python: str, arguments: tuple[str, ...]) -> Contender:
    def request(count: int) -> Request:
        return Request(
            "/predict",
            json.dumps({"inputs": workload.rows[:count]}).encode(),
            lambda answer: answer["predictions"] == workload.labels[:count],
        )

    environment = {
        "PYTHONPATH": str(SERVERS),
        "MODEL": str(workload.artifact),
        "DTYPE": "float" if workload.numeric else "object",
    }
    command = (python, "-m", *arguments)
    return Contender(name, "peer", command, request(1), request(len(workload.rows)), environment)


def _flask(workload: Workload, name: str, python: str) -> Contender:
    arguments = ("gunicorn", "-b", "127.0.0.1:{port}", "-w", "1", "flask_app:app")
    return _by_rows(workload, name, python, arguments)


def _fastapi(workload: Workload, name: str, python: str) -> Contender:
    arguments = ("uvicorn", "--host", "127.0.0.1", "--port", "{port}", "--no-access-log")
    return _by_rows(
        workload, name, python, (*arguments, "--log-level", "warning", "fastapi_app:app")
    )


def _mlserver(workload: Workload, name: str, python: str) -> Contender:
    def request(count: int) -> Request:
        tensor = {
            "name": "x",
            "shape": [count, len(workload.columns)],
            "datatype": "FP64",
            "data": [value for row in workload.rows[:count] for value in row],
        }
        return Request(
            f"/v2/models/{workload.name}/infer",
            json.dumps({"inputs": [tensor]}).encode(),
            lambda answer: answer["outputs"][0]["data"] == workload.labels[:count],
        )

    model = {
        "name": workload.name,
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(workload.artifact)},
        "max_batch_size": 32,
        "max_batch_time": 0.005,
    }
    settings = {
        "debug": False,
        "host": "127.0.0.1",
        "http_port": "{port}",
        "grpc_port": "{port2}",
        "metrics_port": "{port3}",
        "parallel_workers": 0,
        "environments_dir": "{folder}",
        "metrics_dir": "{folder}",
    }
    return Contender(
        name,
        "peer",
        (str(Path(python).with_name("mlserver")), "start", "{folder}"),
        request(1),
        request(len(workload.rows)),
        files={"settings.json": json.dumps(settings), "model-settings.json": json.dumps(model)},
    )
