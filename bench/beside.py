"""Our server beside its peers and the bare servers, one after the other, in several rounds."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .contenders import Contender, bare, ours, peers
from .load import load
from .processes import NotServing, Running
from .workloads import NAMES, Workload, publish

WARM_UP = 1.0  # seconds
BATCHES = 3

Row = dict[str, Any]


def measure(
    pythons: Sequence[str], rounds: int, seconds: float, models: Sequence[str] = NAMES
) -> list[Row]:
    """For each model and contender the medians of all rounds. `pythons` may have peers.

    A round starts every contender once, in an order that turns around from round to round, so
    that what else the machine does falls on all of them.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        jobs = list(_jobs([publish(name, Path(folder)) for name in models], pythons))
        found: dict[tuple[str, str], list[Row]] = {}
        for number in range(rounds):
            for model, contender in jobs if number % 2 == 0 else reversed(jobs):
                try:
                    row = _once(contender, seconds)
                except NotServing as error:
                    if contender.kind != "peer":
                        raise
                    print(error, file=sys.stderr)
                    continue
                found.setdefault((model, contender.name), []).append(row)
                print(_line(number, model, contender.name, row), file=sys.stderr, flush=True)
    kinds = {(model, contender.name): contender.kind for model, contender in jobs}
    return [
        {"model": model, "name": name, "kind": kinds[model, name], **_median(runs)}
        for (model, name), runs in found.items()
    ]


def _jobs(workloads: Sequence[Workload], pythons: Sequence[str]) -> Iterator[tuple[str, Contender]]:
    for workload in workloads:
        for contender in [*bare(workload), *ours(workload), *peers(workload, pythons)]:
            yield workload.name, contender


def _once(contender: Contender, seconds: float) -> Row:
    """Start it, measure, stop it. Its answers are right before and after the load."""
    with Running(contender) as server:
        load(server, 32, WARM_UP)
        memory = server.memory()
        many = load(server, 32, seconds)
        server.ask(contender.one)
        one = load(server, 1, max(1.0, seconds / 2))
        server.ask(contender.one)
        row: Row = {"cold": server.cold, "memory": memory}
        row |= {f"{key}_32": value for key, value in asdict(many).items()}
        row |= {f"{key}_1": value for key, value in asdict(one).items()}
        if contender.many is not None:
            took = [server.ask(contender.many) for _ in range(BATCHES)]
            row["batch"] = statistics.median(took) * 1e3
    return row


def _median(runs: Sequence[Row]) -> Row:
    """The median of each figure; failures are added up, and the rates all told."""
    row: Row = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    for key in ("bad_32", "bad_1"):
        row[key] = sum(run[key] for run in runs)
    row["rates"] = [run["rate_32"] for run in runs]
    return row


def _line(number: int, model: str, name: str, row: Row) -> str:
    return (
        f"round {number + 1}  {model:9} {name:22} {row['rate_32']:8.0f}/s "
        f"p50 {row['p50_32']:.2f} p99 {row['p99_32']:.2f} ms, alone {row['p50_1']:.2f} ms, "
        f"cold {row['cold']:.2f} s, {row['memory']:.0f} MiB"
    )
