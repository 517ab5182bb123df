"""A file of rows over HTTP: uploaded, answered in the background, looked at, downloaded."""

from __future__ import annotations

import asyncio
import html
import io
import re
import resource
import shutil
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from quart.typing import TestClientProtocol as Client
from sklearn.base import BaseEstimator, RegressorMixin
from werkzeug.datastructures import FileStorage

from model_store import ModelStore
from quart_app import create_app
from quart_app.blueprints.files import attachment, shown_filename
from quart_app.context import context_of
from quart_app.serving.registry import Registry
from quart_app.tables.job import State
from quart_app.tables.jobs import Jobs

from ...conftest import Server, serving, started
from ...kinds import PUBLISHED
from ..tables.test_csv import begin, open_files, resident

EXAM = "/models/exam/file"
SLOW = "/models/slow/file"
HEADER = b"X1,X2\n"
HTML = {"Accept": "text/html"}
JSON = {"Accept": "application/json"}


class Slow(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Answers a row with itself, after a while; fails at 13, and at 14 because of it."""

    def fit(self, X: Any, y: Any) -> Slow:
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X: Any) -> Any:
        if (X[:, 0] == 13).any():
            raise RuntimeError("thirteen")
        if (X[:, 0] == 14).any():
            raise ValueError("fourteen")
        if len(X) > 100:
            time.sleep(0.1)
        return X[:, 0]


@pytest.fixture(scope="module")
def slow_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store with the model `slow`, which answers 10,000 rows in a second."""
    store = ModelStore(tmp_path_factory.mktemp("slow"))
    X = np.arange(8.0).reshape(-1, 1)
    store.publish("slow", Slow().fit(X, X[:, 0]), X, X[:, 0])
    return store.root


@pytest.fixture
async def slow(slow_root: Path) -> AsyncIterator[Client]:
    async with started(create_app(MODEL_STORE=slow_root, RECIPES="", MAX_TABLES=2)) as app:
        yield app.test_client()


def jobs_of(client: Any) -> Jobs:
    return context_of(client.app).jobs


def registry_of(client: Any) -> Registry:
    return context_of(client.app).registry


async def send(
    client: Client, body: bytes, path: str = EXAM, filename: str = "rows.csv", **headers: str
) -> Any:
    files = {"file": FileStorage(io.BytesIO(body), filename)}
    return await client.post(path, files=files, headers=headers or HTML)


async def begun(client: Client, body: bytes, path: str = EXAM, filename: str = "rows.csv") -> str:
    """The address of the job that the file began."""
    answer = await send(client, body, path, filename)
    assert answer.status_code == 303, await answer.get_data()
    return str(answer.headers["Location"])


async def status(client: Client, job: str) -> dict[str, Any]:
    answer = await client.get(job)
    assert answer.status_code == 200
    found: dict[str, Any] = await answer.get_json()
    return found


async def ended(client: Client, job: str) -> dict[str, Any]:
    """The job's last status."""
    for _ in range(1000):
        if (found := await status(client, job))["state"] != "running":
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(found)


async def source_of(answer: Any) -> str:
    return str((await answer.get_data()).decode())


async def page_of(answer: Any) -> str:
    """The text of a page, without its tags."""
    text = await source_of(answer)
    assert answer.content_type == "text/html; charset=utf-8"
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", text)))


def numbers(count: int, *others: int) -> bytes:
    """A table of the model `slow`."""
    return b"x0\n" + b"7\n" * count + b"".join(b"%d\n" % n for n in others)


# The form ------------------------------------------------------------------------


async def test_the_form_tells_what_a_file_must_have(client: Client) -> None:
    page = await page_of(await client.get("/models/titanic/file"))
    for text in ("At most 512.0 MiB", "embarked", "a number", "or empty", "first 1,000 rows"):
        assert text in page
    model = await (await client.get("/models/titanic", headers=HTML)).get_data()
    assert b'href="/models/titanic/file"' in model


@pytest.mark.parametrize("name", PUBLISHED)
async def test_the_example_of_a_model_of_any_kind_is_answered(
    name: str, kinds_client: Client
) -> None:
    example = await kinds_client.get(f"/models/{name}/file/example.csv")
    assert f'filename="{name}-example.csv"' in example.headers["Content-Disposition"]
    job = await begun(kinds_client, (await source_of(example)).encode(), f"/models/{name}/file")
    assert await ended(kinds_client, job) | {"download": ""} == {
        "state": "done",
        "rows": 1,
        "errors": 0,
        "progress": 1.0,
        "model": name,
        "version": 1,
        "filename": "rows.csv",
        "download": "",
    }
    page = await page_of(await kinds_client.get(job, headers=HTML))
    assert "Download all 1 row" in page


async def test_a_model_that_is_not_there_has_no_form(client: Client) -> None:
    for path in ("/models/none/file", "/models/none/file/example.csv", "/models/none/files/x"):
        assert (await client.get(path)).status_code == 404
    assert (await send(client, HEADER + b"1,2\n", "/models/none/file")).status_code == 404


# A good file ---------------------------------------------------------------------


async def test_the_result_is_what_the_same_table_gets_at_once(client: Client) -> None:
    body = HEADER + b"61.1,17.3\n90,85\n" * 15_000 + b"late,1\n"
    job = await begun(client, body, filename="students.csv")
    found = await ended(client, job)
    assert (found["state"], found["rows"], found["errors"]) == ("done", 30_001, 1)
    result, again = await asyncio.gather(*[client.get(found["download"]) for _ in range(2)])
    at_once = await client.post(
        "/models/exam/predict", data=body, headers={"Content-Type": "text/csv"}
    )
    assert await result.get_data() == await at_once.get_data()
    assert await result.get_data() == await again.get_data()
    assert result.content_type == "text/csv; charset=utf-8"
    assert int(result.headers["Content-Length"]) == len(await result.get_data())
    disposition = 'attachment; filename="exam-students.csv"'
    assert result.headers["Content-Disposition"] == disposition
    assert result.headers["Cache-Control"] == "no-store"


async def test_the_page_shows_the_first_rows_and_the_first_errors(client: Client) -> None:
    body = HEADER + b"61.1,17.3\n" * 1500 + b"late,1\n" * 30
    job = await begun(client, body)
    await ended(client, job)
    answer = await client.get(job, headers=HTML)
    page = await page_of(answer)
    assert "1,530 rows answered, 30 of them with an error" in page
    assert "The first 20 rows with their answers" in page
    assert "The first 20 rows with an error" in page
    assert ' 1,502 X1: expected a number, got "late" late 1 ' in page
    assert "1,522" not in page
    assert "prediction probability_0 probability_1 X1 X2" in page
    assert " 2 0 1.0000 0.0000 61.1 17.3 " in page
    assert "Download all 1,530 rows" in page
    assert "refresh" not in await source_of(answer)
    assert answer.headers["Cache-Control"] == "no-store"


async def test_cells_with_html_are_shown_as_text_and_formulas_are_made_harmless(
    kinds_client: Client,
) -> None:
    example = await kinds_client.get("/models/mixed/file/example.csv")
    head, row, *_ = (await source_of(example)).split("\r\n")
    cells = row.split(",")
    cells[head.split(",").index("note")] = '"=<script>alert(1)</script>"'
    body = f"{head}\n{','.join(cells)}\n".encode()
    job = await begun(kinds_client, body, "/models/mixed/file", "<b>rows</b>.csv")
    found = await ended(kinds_client, job)
    assert b"'=<script>" in await (await kinds_client.get(found["download"])).get_data()
    page = await source_of(await kinds_client.get(job, headers=HTML))
    assert "=&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page
    assert "b>.csv" in found["filename"]
    assert "<b>" not in page


async def test_long_cells_are_whole_in_the_result_and_cut_on_the_page(
    kinds_client: Client,
) -> None:
    example = await kinds_client.get("/models/mixed/file/example.csv")
    head, row, *_ = (await source_of(example)).split("\r\n")
    cells = row.split(",")
    cells[head.split(",").index("note")] = "n" * 100_000
    job = await begun(kinds_client, f"{head}\n{','.join(cells)}\n".encode(), "/models/mixed/file")
    found = await ended(kinds_client, job)
    result = await kinds_client.get(found["download"])
    assert "n" * 100_000 in await source_of(result)
    page = await page_of(await kinds_client.get(job, headers=HTML))
    assert f" {'n' * 80}… " in page


async def test_two_files_are_answered_at_once(slow: Client) -> None:
    jobs = [await begun(slow, numbers(25_000 + i), SLOW) for i in range(2)]
    assert [(await status(slow, job))["state"] for job in jobs] == ["running"] * 2
    found = [await ended(slow, job) for job in jobs]
    assert [(each["state"], each["rows"]) for each in found] == [("done", 25_000), ("done", 25_001)]


# A file with faults --------------------------------------------------------------


async def test_faults_of_the_first_rows_are_shown_with_their_rows(client: Client) -> None:
    answer = await send(client, HEADER + b"1,2\nx,2\n3\n" + b"y,4\n" * 30)
    assert answer.status_code == 400
    page = await page_of(answer)
    assert "There are 32 errors in the file" in page
    assert '3 X1 a number "x" 4 X2 2 cells in the row 1 5 X1 a number "y"' in page
    assert "And 12 more." in page
    assert not jobs_of(client)._jobs


async def test_wrong_names_are_faults_of_the_line_of_names(client: Client) -> None:
    page = await page_of(await send(client, b"X1,X3\n1,2\n"))
    assert " 1 X2 a number nothing " in page
    assert " 1 X3 one of the columns X1, X2 " in page


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "The file is empty."),
        (HEADER, "Expected at least one row, got none."),
        ("größe,X2\n1,2\n".encode("latin-1"), "Line 1: expected UTF-8 without NUL."),
        ("X1,X2\n1,2\n".encode("utf-16"), "Line 1: expected UTF-8 without NUL."),
        (HEADER + b"1,\xfc\n", "UTF-8 without NUL another encoding"),
    ],
)
async def test_what_is_no_table_is_said_beside_the_field(
    body: bytes, words: str, client: Client
) -> None:
    answer = await send(client, body)
    assert answer.status_code == 400
    assert words in await page_of(answer)
    told = await send(client, body, **JSON)
    assert told.status_code == 400
    assert (await told.get_json())["error"]


async def test_a_form_without_a_file_asks_for_one(client: Client) -> None:
    boundary = {"Content-Type": "multipart/form-data; boundary=xx", **HTML}
    chosen = b'--xx\r\nContent-Disposition: form-data; name="file"; filename=""\r\n\r\n\r\n--xx--'
    for body in (chosen, b"--xx--\r\n"):
        answer = await client.post(EXAM, data=body, headers=boundary)
        assert answer.status_code == 400
        assert "Choose a file." in await page_of(answer)
    cut = await client.post(EXAM, data=chosen[:-4], headers=boundary)
    assert cut.status_code == 400
    other = await client.post(EXAM, data=HEADER, headers={"Content-Type": "text/csv"})
    assert other.status_code == 415


@pytest.mark.parametrize(("value", "expected"), [(14, 400), (13, 500)])
async def test_a_model_that_fails_on_the_first_rows_begins_no_job(
    value: int, expected: int, slow: Client
) -> None:
    assert (await send(slow, numbers(3, value), SLOW)).status_code == expected
    assert not jobs_of(slow)._jobs


async def test_later_rows_that_the_model_fails_on_have_an_error(slow: Client) -> None:
    found = await ended(slow, await begun(slow, numbers(1000, 13, 7, 14), SLOW))
    assert (found["state"], found["rows"], found["errors"]) == ("done", 1003, 2)


# While it runs -------------------------------------------------------------------


async def test_a_page_looks_again_while_its_job_runs_until_it_is_stopped(slow: Client) -> None:
    job = await begun(slow, numbers(50_000), SLOW)
    running = await slow.get(job, headers=HTML)
    text = await source_of(running)
    assert '<meta http-equiv="refresh" content="2">' in text
    assert '<progress max="100" value="' in text
    assert f'action="{job}/stop"' in text
    assert "% of the file" in await page_of(running)
    assert (await slow.get(f"{job}/download")).status_code == 404
    found = jobs_of(slow).get("slow", job.rpartition("/")[2])
    answer = await slow.post(f"{job}/stop", headers=HTML)
    assert (answer.status_code, answer.headers["Location"]) == (303, job)
    last = await ended(slow, job)
    assert last["state"] == "stopped"
    assert 0 < last["rows"] < 50_000
    assert 0 < last["progress"] < 1
    assert found.table.closed
    assert found.result.closed
    assert "There is nothing to download." in await page_of(await slow.get(job, headers=HTML))
    assert (await slow.get(f"{job}/download")).status_code == 404
    assert (await slow.post(f"{job}/stop")).status_code == 303


async def test_more_jobs_than_may_be_are_refused(slow: Client) -> None:
    jobs = [await begun(slow, numbers(50_000), SLOW) for _ in range(2)]
    refused = await send(slow, numbers(1), SLOW)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    await slow.post(f"{jobs[0]}/stop")
    assert (await ended(slow, await begun(slow, numbers(1), SLOW)))["state"] == "done"


async def test_a_job_whose_disk_is_full_fails_in_words(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
    try:
        job = await begun(client, HEADER + b"1,2\n" * 50_000)
        found = await ended(client, job)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert found["state"] == "failed"
    assert "no room" in found["reason"]
    assert "no room" in await page_of(await client.get(job, headers=HTML))
    assert "temporary file" in caplog.text
    kept = jobs_of(client).get("exam", job.rpartition("/")[2])
    assert kept.table.closed
    assert kept.result.closed


async def test_a_result_beyond_its_bound_fails_in_words(bundled_root: Path) -> None:
    app = create_app(MODEL_STORE=bundled_root, RECIPES="", MAX_CSV_BYTES=100_000)
    async with started(app) as running:
        client = running.test_client()
        found = await ended(client, await begun(client, HEADER + b"1,2\n" * 20_000))
    assert (found["state"], found["reason"]) == ("failed", "The answer has more than 400000 bytes.")


# Limits --------------------------------------------------------------------------


async def test_a_file_beyond_the_limit_is_413_whatever_part_of_the_form_it_is(
    bundled_root: Path,
) -> None:
    app = create_app(MODEL_STORE=bundled_root, RECIPES="", MAX_CSV_BYTES=1000)
    async with started(app) as running:
        client = running.test_client()
        assert (await send(client, HEADER + b"1,2\n" * 240)).status_code == 303
        answer = await send(client, HEADER + b"1,2\n" * 260)
        assert answer.status_code == 413
        assert "1000 bytes" in await page_of(answer)
        other = {"other": FileStorage(io.BytesIO(b"x" * 70_000), "x")}
        assert (await client.post(EXAM, files=other)).status_code == 413


# How long it is kept -------------------------------------------------------------


async def test_a_result_is_kept_for_a_while(client: Client) -> None:
    jobs = jobs_of(client)
    jobs.kept = 0.2
    job = await begun(client, HEADER + b"1,2\n")
    kept = jobs.get("exam", job.rpartition("/")[2])
    await asyncio.sleep(0.4)
    answer = await client.get(job, headers=HTML)
    assert answer.status_code == 404
    assert "What was answered is kept for" in await page_of(answer)
    for path in (f"{job}/download", f"{EXAM}s/unknown"):
        assert (await client.get(path)).status_code == 404
    assert kept.result.closed


async def test_the_oldest_result_goes_where_there_are_more_than_may_be(slow: Client) -> None:
    jobs = [await begun(slow, numbers(i + 1), SLOW) for i in range(3)]
    assert [(await slow.get(job)).status_code for job in jobs] == [404, 200, 200]


async def test_a_job_is_found_by_its_own_model_and_id_alone(client: Client) -> None:
    job = await begun(client, HEADER + b"1,2\n")
    assert len(job.rpartition("/")[2]) == 22
    assert (await client.get(job.replace("exam", "iris"))).status_code == 404
    assert (await client.get(job[:-1])).status_code == 404


async def test_an_app_that_ends_stops_its_jobs_and_lets_their_files_go(slow_root: Path) -> None:
    app = create_app(MODEL_STORE=slow_root, RECIPES="")
    async with started(app) as running:
        client = running.test_client()
        done = await begun(client, numbers(1), SLOW)
        job = await begun(client, numbers(100_000), SLOW)
        jobs = context_of(app).jobs
        kept = [jobs.get("slow", each.rpartition("/")[2]) for each in (done, job)]
        assert [each.state for each in kept] == [State.DONE, State.RUNNING]
    assert [each.state for each in kept] == [State.DONE, State.STOPPED]
    assert all(each.table.closed and each.result.closed for each in kept)


async def test_a_server_that_was_told_to_end_begins_no_job(client: Client) -> None:
    registry_of(client).draining = True
    answer = await send(client, HEADER + b"1,2\n", **JSON)
    assert answer.status_code == 503
    assert (await answer.get_json())["error"] == "The server is stopping."


# Names of files ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "shown", "header"),
    [
        ("rows.csv", "rows.csv", 'filename="m-rows.csv"'),
        ("../../etc/passwd", "passwd", 'filename="m-passwd.csv"'),
        ("C:\\Users\\me\\rows.v2.CSV", "rows.v2.CSV", 'filename="m-rows.v2.csv"'),
        ('a"; filename="b.exe', 'a"; filename="b.exe', 'filename="m-a_filename_b.csv"'),
        ("a\r\nX-Evil: 1.csv", "aX-Evil: 1.csv", 'filename="m-aX-Evil_1.csv"'),
        ("\u202egpj.exe", "gpj.exe", 'filename="m-gpj.csv"'),
        ("größe 雪.csv", "größe 雪.csv", "filename*=UTF-8''m-gr%C3%B6%C3%9Fe_%E9%9B%AA.csv"),
        ("\0\x7f", "unnamed", 'filename="m-unnamed.csv"'),
        ("....", "....", 'filename="m.csv"'),
        ("x" * 300, "x" * 80, f'filename="m-{"x" * 80}.csv"'),
    ],
)
def test_the_name_of_a_file_becomes_safe(sent: str, shown: str, header: str) -> None:
    assert shown_filename(sent) == shown
    stem = re.sub(r"\.[^.]*$", "", shown)
    found = attachment(f"m-{stem}.csv")
    assert found.startswith("attachment; ")
    assert found.isascii()
    assert found.isprintable()
    assert found.endswith(header)


# Over a real port ----------------------------------------------------------------


@pytest.fixture(scope="module")
def server(bundled_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the model exam, which the last of these tests ends."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copytree(bundled_root / "exam", folder / "models" / "exam")
    settings = {"QUART_APP_MODEL_STORE": folder / "models", "QUART_APP_RECIPES": ""}
    with serving(cwd=folder, **settings) as running:
        running.wait_until_ready()
        yield running


def upload(server: Server, body: bytes) -> str:
    """The address of the job that the file began."""
    answer = httpx.post(server.url + EXAM, files={"file": ("rows.csv", body)}, timeout=60)
    assert answer.status_code == 303, answer.text
    return server.url + str(answer.headers["Location"])


def until_done(job: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while True:
        found: dict[str, Any] = httpx.get(job, headers=JSON).json()
        if found["state"] != "running":
            return found
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.process
def test_a_long_file_takes_no_more_memory_than_a_short_one(server: Server) -> None:
    until_done(upload(server, HEADER + b"61.1,17.3\n" * 5000))
    before = resident(server)
    job = upload(server, HEADER + b"61.1,17.3\n" * 100_000)
    found = until_done(job)
    assert (found["state"], found["rows"], found["errors"]) == ("done", 100_000, 0)
    lines = size = 0
    with httpx.stream("GET", f"{job}/download", timeout=60) as answer:
        for part in answer.iter_bytes():
            lines += part.count(b"\n")
            size += len(part)
    assert lines == 100_001
    head = httpx.head(f"{job}/download")
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(size))
    assert resident(server, "VmHWM") - before < 30 * 2**20
    assert len(open_files(server)) == 2, "more is open than the two results"


@pytest.mark.process
@pytest.mark.parametrize("end", [b"", b"\r\n--xx--\r\n"], ids=["uploading", "waiting"])
def test_a_client_that_goes_away_leaves_at_most_a_result(end: bytes, server: Server) -> None:
    form = b'--xx\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    body = form + HEADER + b"1,2\n" * 600_000 + end
    before = len(open_files(server))
    connection = begin(
        server,
        body,
        len(body) + (not end),
        path=EXAM,
        content_type="multipart/form-data; boundary=xx",
    )
    until(lambda: len(open_files(server)) == before + (2 if end else 1))
    connection.close()
    # One that has only closed its own side may still read the answer, and then ask for the result.
    until(lambda: len(open_files(server)) <= before + (1 if end else 0))


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.process
def test_a_server_with_a_running_job_ends_in_time(server: Server) -> None:
    job = upload(server, HEADER + b"1,2\n" * 10_000_000)
    assert httpx.get(job, headers=JSON).json()["state"] == "running"
    assert server.stop(signal.SIGTERM, timeout=15) == 0
