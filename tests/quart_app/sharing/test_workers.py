"""Several workers of one server, asked one by one: what one says all say."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model_store import ModelStore
from model_store.recipes import RECIPES

from ...workers import LONG, Series, Workers, samples, until, workers

pytestmark = pytest.mark.process

EXAM = {"X1": 61.1, "X2": 17.3}
EXAM_LABELS = (("model", "exam"), ("version", "1"))
PREDICT = "/models/exam/predict"
MANY = 3
LARGE = 3_000_000
"""Rows of a file that takes some seconds."""

SECRET = "k" * 32
KEY = {"X_API_Key": SECRET}


@pytest.fixture(scope="module")
def exam_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two versions of one model, of which the first serves."""
    store = ModelStore(tmp_path_factory.mktemp("exam"))
    for _ in range(2):
        RECIPES["exam"].train(store)
    store.promote("exam", 1)
    return store.root


def settings_of(root: Path, folder: Path) -> dict[str, Any]:
    """Settings of workers that serve a copy of this store."""
    shutil.copytree(root, folder / "models")
    return {
        "MODEL_STORE": str(folder / "models"),
        "API_KEYS": f"me:{hashlib.sha256(SECRET.encode()).hexdigest()}",
        "DATABASE_URL": f"sqlite:///{folder / 'records.db'}",
        "RECORD": "1",
        "MAX_CSV_BYTES": "50000000",
        "TOUR": "false",
    }


@pytest.fixture(scope="module")
def three(exam_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """Workers that no test ends."""
    folder = tmp_path_factory.mktemp("three")
    with workers(folder, MANY, **settings_of(exam_root, folder)) as running:
        yield running


@pytest.fixture
def fragile(exam_root: Path, tmp_path: Path) -> Iterator[Workers]:
    """Workers of the test's own."""
    with workers(tmp_path, MANY, **settings_of(exam_root, tmp_path)) as running:
        yield running


def answered(text: str) -> float:
    return sum(
        value
        for (name, labels), value in samples(text).items()
        if name == "quart_app_requests_total" and ("method", "POST") in labels
    )


def metrics(running: Workers, slot: int) -> str:
    answer = running[slot].ask("/metrics")
    assert answer.status == 200
    return answer.body.decode()


# Metrics ---------------------------------------------------------------------------


def test_metrics_are_those_of_all_workers_whichever_is_asked(three: Workers) -> None:
    for slot, times in enumerate((1, 2, 4)):
        for _ in range(times):
            assert three[slot].ask(PREDICT, EXAM).status == 200
    until(lambda: answered(metrics(three, 0)) == 7)  # a request is counted after its last byte
    for slot in range(MANY):
        text = metrics(three, slot)
        assert answered(text) == 7
        found = samples(text)
        assert found["quart_app_workers", ()] == MANY
        assert found["quart_app_predict_duration_seconds_count", EXAM_LABELS] == 7
        assert found["quart_app_threads", ()] % MANY == 0
        assert found["quart_app_model_state", (("model", "exam"), ("state", "ready"))] == 1
        assert found["process_cpu_seconds_total", ()] > 0


def test_the_statistics_of_a_version_are_those_of_all_workers(three: Workers) -> None:
    before = inferences(three)
    for slot in range(MANY):
        three[slot].ask(PREDICT, EXAM)
    until(lambda: inferences(three) == before + MANY)


def inferences(running: Workers) -> int:
    (found,) = running[1].ask("/v2/models/exam/stats").json()["model_stats"]
    return int(found["inference_count"])


def test_counters_never_go_back_while_workers_are_killed_and_replaced(fragile: Workers) -> None:
    stop = threading.Event()
    sent = [0, 0]

    def load(slot: int) -> None:
        while not stop.is_set():
            sent[slot] += fragile[slot].ask(PREDICT, EXAM).status == 200

    before: dict[Series, float] = {}
    loading = [threading.Thread(target=load, args=(slot,)) for slot in range(2)]
    for thread in loading:
        thread.start()
    try:
        for _ in range(2):
            before = not_less(metrics(fragile, 0), before)
            fragile[2].ask(PREDICT, EXAM)
            before = not_less(metrics(fragile, 1), before)
            fragile[2].end(signal.SIGKILL)
            before = not_less(metrics(fragile, 1), before)
            fragile.replace(2)
            before = not_less(metrics(fragile, 2), before)
    finally:
        stop.set()
        for thread in loading:
            thread.join(LONG)
    until(lambda: answered(metrics(fragile, 1)) == sum(sent) + 2)
    # Of those that died nothing is left but their sum.
    assert len([*fragile.folder.glob("*.counts")]) == MANY + 1
    assert len([*fragile.folder.glob("*.sock")]) == MANY


def not_less(text: str, before: dict[Series, float]) -> dict[Series, float]:
    """The series of this scrape, of which no counter is less than it was before."""
    now = samples(text)
    for series, value in before.items():
        if series[0].endswith(("_total", "_bucket", "_count", "_sum")):
            assert now[series] >= value, series
    return now


def test_a_worker_that_hangs_keeps_nobody_from_figures_or_from_being_ready(
    fragile: Workers,
) -> None:
    fragile[2].ask(PREDICT, EXAM)
    assert fragile[0].ask("/health/ready").status == 200
    until(lambda: answered(metrics(fragile, 0)) == 1)
    fragile[2].process.send_signal(signal.SIGSTOP)
    begun = time.monotonic()
    text = metrics(fragile, 0)
    ready = fragile[0].ask("/health/ready")
    assert time.monotonic() - begun < 5
    assert answered(text) == 1
    assert samples(text)["quart_app_workers", ()] == MANY
    assert (ready.status, ready.json()["workers"]["2"]) == (200, None)


# Readiness -------------------------------------------------------------------------


def test_a_server_is_ready_once_all_workers_were_and_while_one_is_replaced(
    exam_root: Path, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o700)
    running = Workers(shared, 2, settings_of(exam_root, tmp_path))
    running[1].end(signal.SIGKILL)
    try:
        running[0].wait()
        answer = running[0].ask("/health/ready")
        assert (answer.status, answer.json()["status"]) == (503, "starting")
        assert answer.json()["workers"] == {"0": "serving", "1": None}
        running.replace(1)
        for slot in range(2):
            answer = running[slot].ask("/health/ready")
            assert answer.status == 200
            assert answer.json()["workers"] == {"0": "serving", "1": "serving"}
        running[1].end(signal.SIGKILL)
        time.sleep(0.2)
        assert running[0].ask("/v2/health/ready").status == 200
        assert running[0].ask("/health/ready").json()["workers"] == {"0": "serving", "1": None}
    finally:
        assert running.end()[0] == 0


# What operators do --------------------------------------------------------------------


def test_what_one_worker_unloads_all_unload_and_one_that_comes_later(fragile: Workers) -> None:
    assert fragile[0].ask("/v2/repository/models/exam/unload", {}, **KEY).status == 200
    assert [worker.ask(PREDICT, EXAM).status for worker in fragile.all] == [503] * MANY
    fragile[2].end()
    fragile.begin(2)
    until(lambda: is_unloaded(fragile, 2))
    assert fragile[1].ask("/v2/repository/models/exam/load", {}, **KEY).status == 200
    assert [worker.ask(PREDICT, EXAM).status for worker in fragile.all] == [200] * MANY


def is_unloaded(running: Workers, slot: int) -> bool:
    try:
        models = running[slot].ask("/models").json()["models"]
    except OSError:
        return False
    return [model["state"] for model in models] == ["unloaded"]


def test_a_version_that_one_worker_promotes_is_what_all_serve_at_once(three: Workers) -> None:
    for version in (2, 1):
        given = {"version": version}
        assert three[0].ask("/models/exam/promote", given, **KEY).status == 200
        assert [versions(three, slot) for slot in range(MANY)] == [version] * MANY


def versions(running: Workers, slot: int) -> int:
    return int(running[slot].ask(PREDICT, EXAM).json()["version"])


# Challengers ------------------------------------------------------------------------------


def test_a_canary_is_judged_on_what_all_workers_counted_and_promoted_once(
    three: Workers,
) -> None:
    given = {"version": 2, "share": 0.5, "after": 60, "promote_after": 60}
    assert three[0].ask("/models/exam/canary", given, **KEY).status == 200
    for number in range(60):
        answer = three[number % MANY].ask(PREDICT, EXAM, X_Route_Key=f"client {number}")
        assert answer.status == 200
    for slot in range(MANY):
        found = three[slot].ask("/models/exam/challenger").json()
        assert found["champion"]["requests"] + found["challenger"]["requests"] == 60
        assert 0 < found["challenger"]["requests"] < 60
    for number in range(120):
        three[number % MANY].ask(PREDICT, EXAM, X_Route_Key=f"other {number}")
    until(lambda: three[0].ask("/models/exam/challenger").status == 404)
    until(lambda: [versions(three, slot) for slot in range(MANY)] == [2] * MANY)
    history = three[1].ask("/models/exam/history").json()
    by_gate = [change for change in history if change["who"] == "gate"]
    assert [change["what"] for change in by_gate] == ["promote"]
    assert by_gate[0]["why"].startswith("All gates held for ")


def test_what_a_worker_that_died_had_counted_of_a_challenger_counts(fragile: Workers) -> None:
    given = {"version": 2, "share": 1}
    assert fragile[0].ask("/models/exam/shadow", given, **KEY).status == 200
    for number in range(30):
        assert fragile[number % MANY].ask(PREDICT, EXAM).status == 200
    until(lambda: compared(fragile, 0) == 30)
    fragile[2].end(signal.SIGKILL)
    assert compared(fragile, 0) == compared(fragile, 1) == 30
    fragile.replace(2)
    until(lambda: fragile[2].ask("/models/exam/challenger").json()["state"] == "running")
    assert compared(fragile, 2) == 30


def compared(running: Workers, slot: int) -> int:
    return int(running[slot].ask("/models/exam/challenger").json()["compared"]["requests"])


# Files --------------------------------------------------------------------------------------


def upload(running: Workers, slot: int, rows: int) -> str:
    table = "X1,X2\n" + "61.1,17.3\n" * rows
    body = (
        '--xx\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n'
        f"Content-Type: text/csv\r\n\r\n{table}\r\n--xx--\r\n"
    ).encode()
    form = "multipart/form-data; boundary=xx"
    answer = running[slot].ask("/models/exam/file", body, Content_Type=form)
    assert answer.status == 303, answer.body
    return str(answer.headers["Location"])


def state(running: Workers, slot: int, path: str) -> str:
    return str(running[slot].ask(path).json()["state"])


def test_a_file_of_one_worker_is_watched_fetched_and_stopped_at_another(three: Workers) -> None:
    path = upload(three, 0, 50_000)
    until(lambda: state(three, 1, path) == "done")
    for slot in range(MANY):
        status = three[slot].ask(path).json()
        assert (status["rows"], status["errors"], status["filename"]) == (50_000, 0, "a.csv")
        assert len(three[slot].ask(f"{path}/download").body.splitlines()) == 50_001
        page = three[slot].ask(path, Accept="text/html").body.decode()
        assert "Download all 50,000 rows" in page
        assert three[slot].ask(path.replace("exam", "iris")).status == 404
    long = upload(three, 1, LARGE)
    seen = three[2].ask(long).json()
    assert seen["state"] == "running"
    until(lambda: three[2].ask(long).json()["progress"] > seen["progress"])
    assert three[0].ask(f"{long}/stop", b"").status == 303
    assert [state(three, slot, long) for slot in range(MANY)] == ["stopped"] * MANY
    assert [worker.ask(f"{long}/download").status for worker in three.all] == [404] * MANY


def test_a_result_stays_when_its_worker_ends_and_a_file_that_was_not_done_fails(
    fragile: Workers,
) -> None:
    done = upload(fragile, 2, 1_000)
    cut, killed = upload(fragile, 2, LARGE), upload(fragile, 1, LARGE)
    assert state(fragile, 0, done) == "done"
    fragile[1].end(signal.SIGKILL)
    assert fragile[2].end() == 0
    assert len(fragile[0].ask(f"{done}/download").body.splitlines()) == 1_001
    for path in (cut, killed):
        status = fragile[0].ask(path).json()
        assert status["state"] == "failed"
        assert status["reason"] == "The worker that answered it has ended. Send the file again."


@pytest.mark.parametrize("id", ["..%2F..%2Fstarted", "a" * 22, "x" * 500, "%00" * 22])
def test_an_id_of_nothing_finds_nothing(three: Workers, id: str) -> None:
    assert three[0].ask(f"/models/exam/files/{id}").status == 404


# Records --------------------------------------------------------------------------------------


def test_a_prediction_of_one_worker_is_read_at_another_at_once(three: Workers) -> None:
    for slot in range(MANY):
        id = three[slot].ask(PREDICT, EXAM).json()["id"]
        other = three[(slot + 1) % MANY]
        assert other.ask(f"/models/exam/predictions/{id}", **KEY).status == 200


# The access log ---------------------------------------------------------------------------------


def test_lines_of_several_workers_to_one_pipe_are_not_mixed(
    exam_root: Path, tmp_path: Path
) -> None:
    read, write = os.pipe()
    found: list[bytes] = []

    def collect() -> None:
        while block := os.read(read, 65536):
            found.append(block)

    reading = threading.Thread(target=collect)
    reading.start()
    with workers(tmp_path, MANY, out=write, **settings_of(exam_root, tmp_path)) as running:
        os.close(write)

        def ask(slot: int) -> None:
            for number in range(100):
                long = "%F0%9F%8C%B8" * 900 if number % 3 == 0 else "x"
                running[slot].ask(f"/nothing/{slot}/{number}/{long}")

        asking = [threading.Thread(target=ask, args=(slot,)) for slot in range(MANY)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join(LONG)
    reading.join(LONG)
    os.close(read)
    lines = b"".join(found).splitlines()
    paths = [json.loads(line)["path"] for line in lines]
    assert len([path for path in paths if path.startswith("/nothing/")]) == MANY * 100
