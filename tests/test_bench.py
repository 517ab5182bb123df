"""The benchmark measures what it says: right answers, all processes, the right ratios."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import columns, growth, protocols, report
from bench.contenders import bare, ours
from bench.processes import NotServing, Running
from bench.workloads import BATCH, Workload, multiply, publish
from model_store import ModelStore

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> Workload:
    return publish("logistic", tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def running(workload: Workload) -> Iterator[Running]:
    with Running(ours(workload)[0]) as server:
        yield server


def test_what_is_asked_has_the_answers_of_the_pipeline(workload: Workload) -> None:
    assert len(workload.rows) == len(workload.labels) == BATCH
    assert set(workload.labels) == {0, 1, 2}


@pytest.mark.process
def test_one_row_and_ten_thousand_are_answered_rightly(running: Running) -> None:
    many = running.contender.many
    assert many is not None
    assert running.ask(running.contender.one) > 0
    assert running.ask(many) > 0


@pytest.mark.process
@pytest.mark.parametrize("protocol", ["own JSON", "V1", "V2, one tensor", "V2, a tensor a column"])
def test_one_row_is_answered_rightly_by_each_protocol(
    protocol: str, running: Running, workload: Workload
) -> None:
    assert running.ask(protocols.requests(workload)[protocol]) > 0


@pytest.mark.process
def test_a_wrong_answer_is_an_error(running: Running) -> None:
    other = dataclasses.replace(running.contender.one, is_right=lambda answer: False)
    with pytest.raises(NotServing, match="200"):
        running.ask(other)


@pytest.mark.process
def test_its_memory_and_cpu_are_those_of_its_processes(running: Running) -> None:
    assert 30 < running.memory() < 1000
    assert running.cpu() > 0.1


@pytest.mark.process
def test_the_generator_tells_requests_latencies_and_failures(running: Running) -> None:
    options = ("--connections", "4", "--seconds", "0.3")

    def generated(path: str) -> dict[str, float]:
        output = subprocess.run(
            [sys.executable, "-m", "bench.load", running.url + path, *options],
            cwd=ROOT,
            input=running.contender.one.body,
            check=True,
            capture_output=True,
        ).stdout.decode()
        found: dict[str, float] = json.loads(output.removeprefix("JSON "))
        return found

    right = generated(running.contender.one.path)
    assert right["requests"] > 4
    assert right["bad"] == 0
    assert 0 < right["p50"] <= right["p99"]
    wrong = generated("/models/nobody/predict")
    assert wrong["bad"] == wrong["requests"] > 0


@pytest.mark.process
def test_when_it_has_stopped_no_process_is_left(workload: Workload) -> None:
    with Running(bare(workload)[0]) as server:
        assert 0 < server.cold < 60
        pid = server.process.pid
    with pytest.raises(ProcessLookupError):
        os.killpg(pid, 0)


def test_copies_of_a_model_are_models(workload: Workload, tmp_path: Path) -> None:
    store = ModelStore(multiply(workload, 3, tmp_path))
    for name in ("logistic", "logistic-1", "logistic-2"):
        assert store.load(store.verify(name)).manifest.name == name


def figures(name: str, kind: str, **given: float) -> dict[str, Any]:
    row: dict[str, Any] = {"model": "logistic", "name": name, "kind": kind, "bad_1": 0, "bad_32": 0}
    row |= dict.fromkeys(["cold", "memory", "cpu_32", "rate_1", "p50_1", "p99_1"], 1.0)
    return row | {"rate_32": 1.0, "p50_32": 1.0, "p99_32": 1.0} | given


def test_ratios_are_taken_against_bare_peer_flask_and_fastapi() -> None:
    on = {"versions": {}, "generator": "wrk"}
    on |= dict.fromkeys(["date", "processor", "cores", "load", "system", "python"], "x")
    rows = [
        figures("bare ASGI, hypercorn", "bare", rate_32=5000.0),
        figures("bare ASGI, uvicorn", "bare", rate_32=20000.0),
        figures("quart-app, hypercorn", "ours", rate_32=4000.0, p50_1=0.3, p50_32=2, p99_32=6),
        figures("quart-app, uvicorn", "ours", rate_32=10000.0, cold=1.5, memory=90.0),
        figures("Flask, gunicorn", "peer", rate_32=1000.0, cold=2.0, memory=100.0),
        figures("FastAPI, uvicorn", "peer", rate_32=2000.0, p50_1=0.6),
    ]
    part = {"rows": rows, "peers": {}, "rounds": 3, "seconds": 2, "on": on}
    text = report.document({"beside": part})
    assert "Requests/s on Uvicorn against Hypercorn: 2.5 (logistic)." in text
    cells = {
        line.split(" | ")[0].removeprefix("| "): line.split(" | ")[1:]
        for line in text.splitlines()
        if line.startswith("| quart-app")
    }
    assert cells["quart-app, hypercorn"][:5] == ["4,000", "0.80", "2.00", "2.00 / 6.00", "3.00"]
    assert cells["quart-app, hypercorn"][7] == "0.50"
    assert cells["quart-app, uvicorn"][1:3] == ["0.50", "5.00"]
    assert cells["quart-app, uvicorn"][8:10] == [
        "1.50 s (0.75 of Flask's)",
        "90 MiB (0.90 of Flask's)",
    ]


def test_each_protocol_is_shown_against_own_json() -> None:
    on = {"versions": {}, "generator": "wrk"}
    on |= dict.fromkeys(["date", "processor", "cores", "load", "system", "python"], "x")
    rows = [
        {"server": "quart-app, uvicorn", "protocol": "own JSON", "cpu": 80.0, "ratio": 1.0},
        {"server": "quart-app, uvicorn", "protocol": "V1", "cpu": 84.4, "ratio": 1.049},
    ]
    text = report.document({"protocols": {"rows": rows, "rounds": 3, "seconds": 2, "on": on}})
    assert "| quart-app, uvicorn | own JSON | 80 | 1.00 |" in text
    assert "| quart-app, uvicorn | V1 | 84 | 1.05 |" in text


def test_growth_is_told_as_the_most_against_the_least() -> None:
    on = {"versions": {}, "generator": "wrk"}
    on |= dict.fromkeys(["date", "processor", "cores", "load", "system", "python"], "x")
    one = dict.fromkeys(["ready", "memory", "rate_32", "p50_1", "form", "result", "openapi"], 2.0)
    rows = [
        {"more": "models", "models": 1, "columns": 4, **one},
        {"more": "models", "models": 100, "columns": 4, **one, "memory": 5.0, "openapi": 7.0},
        {"more": "columns", "models": 1, "columns": 4, **one},
        {"more": "columns", "models": 1, "columns": 500, **one, "ready": 3.0, "p50_1": 6.0},
    ]
    text = report.document({"growth": {"rows": rows, "on": on}})
    assert "100 times the models take 2.50 times the memory" in text
    assert "125 times the columns take 1.00 times the memory" in text
    assert "ready after 1.50 times the time, and answer after 3.00 times" in text
    assert "| 100 | 4 | 2.00 | 5 | 2 | 2.00 | 2.0 | 2.0 | 7.0 |" in text


@pytest.mark.process
def test_growth_asks_for_what_is_made_for_people_and_programs(
    running: Running, workload: Workload
) -> None:
    made = growth.documents(running, workload)
    assert made.keys() == {"form", "result", "openapi"}
    assert min(made.values()) > 0


def test_columns_are_measured_of_the_same_table_whatever_holds_it(bundled_root: Path) -> None:
    values = columns.lists(50)
    assert None in values["age"]
    for holder in columns.HOLDERS:
        held = columns.held(holder, values)
        assert [len(each) for each in held.values()] == [50] * 7
        took = columns.turn(bundled_root, holder, 50)
        assert took["answer"] > 0
        assert took.keys() == set(columns.STEPS)


def test_the_document_is_what_the_kept_figures_make() -> None:
    kept = json.loads((ROOT / "bench/result.json").read_bytes())
    assert (ROOT / "docs/performance.md").read_text() == report.document(kept)
