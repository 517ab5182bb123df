"""One row by each protocol that is spoken in JSON, on one running server: the CPU it costs.

python -m bench --only protocols
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .contenders import Contender, Request, ours
from .load import load
from .processes import NotServing, Running
from .workloads import Workload, publish

MODEL = "logistic"
"""The cheapest prediction: what the protocols cost shows most beside it."""

CONNECTIONS = 32
WARM_UP = 1.0  # seconds
OWN = "own JSON"

Row = dict[str, Any]


def requests(workload: Workload) -> dict[str, Request]:
    """The first row of a workload of numbers, by protocol."""
    row, label = workload.rows[0], workload.labels[0]
    matrix = {"name": "rows", "shape": [1, len(row)], "datatype": "FP64", "data": row}
    columns = [
        {"name": name, "shape": [1], "datatype": "FP64", "data": [value]}
        for name, value in zip(workload.columns, row, strict=True)
    ]
    return {
        OWN: ours(workload)[0].one,
        "V1": Request(
            f"/v1/models/{workload.name}:predict",
            json.dumps({"instances": [row]}).encode(),
            lambda answer: answer["predictions"] == [label],
        ),
        "V2, one tensor": _v2(workload, [matrix]),
        "V2, a tensor a column": _v2(workload, columns),
    }


def measure(rounds: int, seconds: float) -> list[Row]:
    """For each HTTP server and protocol the median CPU time of a request, and the median of its
    ratio to own JSON in the same round."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        workload = publish(MODEL, Path(folder))
        return [
            {"server": contender.name, "protocol": protocol, **row}
            for contender in ours(workload)
            for protocol, row in _on(contender, requests(workload), rounds, seconds).items()
        ]


def _on(
    contender: Contender, by_protocol: Mapping[str, Request], rounds: int, seconds: float
) -> dict[str, Row]:
    with Running(contender) as server:
        for request in by_protocol.values():
            _cpu(server, request, WARM_UP)
        measured = [_round(server, by_protocol, number, seconds) for number in range(rounds)]
    return {
        protocol: {
            "cpu": statistics.median(cpu[protocol] for cpu in measured),
            "ratio": statistics.median(cpu[protocol] / cpu[OWN] for cpu in measured),
        }
        for protocol in by_protocol
    }


def _round(
    server: Running, by_protocol: Mapping[str, Request], number: int, seconds: float
) -> dict[str, float]:
    """The CPU time of a request by each protocol, in an order that turns from round to round."""
    order = list(by_protocol)[:: 1 if number % 2 == 0 else -1]
    cpu = {protocol: _cpu(server, by_protocol[protocol], seconds) for protocol in order}
    line = "  ".join(f"{name} {cpu[name]:.1f} µs" for name in by_protocol)
    print(f"round {number + 1}  {server.contender.name}  {line}", file=sys.stderr, flush=True)
    return cpu


def _cpu(server: Running, request: Request, seconds: float) -> float:
    """The microseconds of CPU that the server uses for a request.

    Raises:
        NotServing: an answer is wrong, or a request failed.
    """
    server.ask(request)
    found = load(server, CONNECTIONS, seconds, request)
    if found.bad:
        raise NotServing(f"{server.contender.name}: {found.bad} requests to {request.path} failed.")
    return found.cpu


def _v2(workload: Workload, inputs: list[Row]) -> Request:
    label = workload.labels[0]
    return Request(
        f"/v2/models/{workload.name}/infer",
        json.dumps({"inputs": inputs}).encode(),
        lambda answer: answer["outputs"][0]["data"] == [label],
    )
