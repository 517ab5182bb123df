"""Tables in CSV over HTTP: each row keeps its place, and the server its memory and its time."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import gzip
import http.client
import io
import os
import resource
import socket
import threading
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path
from typing import IO, Any, Final

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from quart.typing import TestClientProtocol as Client
from sklearn.base import BaseEstimator, RegressorMixin

from model_store import ModelStore
from quart_app import create_app
from quart_app.inference import NotReady, RequestTooLarge
from quart_app.middleware.spool import spool
from quart_app.middleware.table_places import DiskRoom

from ...conftest import Server, serving, started

EXAM = "/models/exam/predict"
CSV = {"Content-Type": "text/csv"}
HEADER = b"X1,X2\n"


class Moody(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Answers a row with itself; fails at rows that say so, and takes its time at others."""

    def fit(self, X: Any, y: Any) -> Moody:
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X: Any) -> Any:
        if (X[:, 0] == 13).any():
            raise RuntimeError("thirteen")
        if (X[:, 0] == 14).any():
            raise ValueError("fourteen")
        if (X[:, 0] == 15).any():
            time.sleep(1)
        return X[:, 0]


@pytest.fixture(scope="module")
def moody_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store with the model `moody`."""
    store = ModelStore(tmp_path_factory.mktemp("moody"))
    X = np.arange(8.0).reshape(-1, 1)
    store.publish("moody", Moody().fit(X, X[:, 0]), X, X[:, 0])
    return store.root


@pytest.fixture
async def moody(moody_root: Path) -> AsyncIterator[Client]:
    async with started(create_app(MODEL_STORE=moody_root, RECIPES="", DEADLINE=0.4)) as app:
        yield app.test_client()


async def post(client: Client, body: bytes, path: str = EXAM, **headers: str) -> Any:
    return await client.post(path, data=body, headers={**CSV, **headers})


async def rows_of(answer: Any, delimiter: str = ",") -> list[list[str]]:
    assert answer.status_code == 200, await answer.get_data()
    text = (await answer.get_data()).decode()
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))


async def faults_of(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 400
    found: list[dict[str, Any]] = (await answer.get_json())["details"]
    return found


# Answers -------------------------------------------------------------------------


async def test_each_row_comes_back_with_its_prediction_and_probabilities(client: Client) -> None:
    answer = await post(client, HEADER + b"61.1,17.3\n-1.5,90\n")
    assert answer.content_type == "text/csv; charset=utf-8"
    header, *rows = await rows_of(answer)
    assert header == ["X1", "X2", "prediction", "probability_0", "probability_1", "error"]
    assert [row[:2] for row in rows] == [["61.1", "17.3"], ["-1.5", "90"]]
    told = await (
        await client.post(EXAM, json=[{"X1": 61.1, "X2": 17.3}, {"X1": -1.5, "X2": 90}])
    ).get_json()
    for row, label, shares in zip(rows, told["predictions"], told["probabilities"], strict=True):
        assert row[2] == str(label)
        assert [float(cell) for cell in row[3:5]] == pytest.approx(list(shares.values()), 1e-12)
        assert row[5] == ""


@pytest.mark.parametrize("name", ["iris", "exam", "diabetes", "blood-donation", "titanic"])
async def test_a_table_of_every_bundled_model_is_answered_as_its_json(
    name: str, client: Client, bundled: ModelStore
) -> None:
    await agrees_with_json(name, client, bundled)


@pytest.mark.parametrize("name", ["mixed", "objects"])
async def test_columns_of_every_kind_are_answered_as_their_json(
    name: str, kinds_client: Client, kinds: ModelStore
) -> None:
    await agrees_with_json(name, kinds_client, kinds)


async def agrees_with_json(name: str, client: Client, store: ModelStore) -> None:
    """Hold the answer to the golden rows, many times over, to the one to them as JSON."""
    sample = store.load(store.verify(name)).sample.rows
    rows = [row for row in sample for _ in range(400)]
    written = io.StringIO(newline="")
    writer = csv.DictWriter(written, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    path = f"/models/{name}/predict"
    header, *answered = await rows_of(await post(client, written.getvalue().encode(), path))
    told = await (await client.post(path, json=sample)).get_json()
    assert len(answered) == len(rows)
    place = header.index("prediction")
    for position, row in enumerate(answered):
        label = told["predictions"][position // 400]
        if isinstance(label, float):
            assert float(row[place]) == pytest.approx(label, rel=1e-12)
        else:
            assert row[place] == str(label)
        if "probabilities" in told:
            shares = list(told["probabilities"][position // 400].values())
            assert [float(cell) for cell in row[place + 1 : -1]] == pytest.approx(shares, rel=1e-9)
        assert row[-1] == ""


async def test_a_version_has_the_same_table(client: Client) -> None:
    body = HEADER + b"61.1,17.3\n"
    one = await post(client, body, "/models/exam/versions/1/predict")
    assert await rows_of(one) == await rows_of(await post(client, body))


async def test_columns_may_stand_in_any_order_between_semicolons(client: Client) -> None:
    body = "\ufeffX2;X1\r\n17.3;61.1\r\n".encode()
    header, row = await rows_of(await post(client, body), ";")
    assert header[:3] == ["X2", "X1", "prediction"]
    assert row[:2] == ["17.3", "61.1"]


async def test_a_browser_that_posts_a_table_gets_a_table(client: Client) -> None:
    answer = await post(client, HEADER + b"1,2\n", Accept="text/html")
    assert answer.content_type == "text/csv; charset=utf-8"


async def test_words_for_missing_values_are_missing(client: Client, bundled: ModelStore) -> None:
    row = dict(bundled.load(bundled.verify("titanic")).sample.rows[0])
    answers = []
    for word in ("", "NA", "nan", "  "):
        names, cells = zip(*(row | {"age": word}).items(), strict=True)
        body = ",".join(names) + "\n" + ",".join(map(str, cells)) + "\n"
        _, found = await rows_of(await post(client, body.encode(), "/models/titanic/predict"))
        answers.append(found[len(names) :])
    assert all(found == answers[0] for found in answers)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_compressed_table_is_inflated(coding: str, client: Client) -> None:
    body = HEADER + b"61.1,17.3\n" * 3000
    packed = gzip.compress(body) if coding == "gzip" else zlib.compress(body)
    rows = await rows_of(await post(client, packed, **{"Content-Encoding": coding}))
    assert len(rows) == 3001
    cut = await post(client, packed[:-9], **{"Content-Encoding": coding})
    assert cut.status_code == 400


async def test_texts_that_a_spreadsheet_would_run_are_made_harmless(
    kinds_client: Client, kinds: ModelStore
) -> None:
    row = dict(kinds.verify("mixed").sample.rows[0]) | {"note": "=1+1", "age": -1.5}
    written = io.StringIO(newline="")
    writer = csv.DictWriter(written, list(row))
    writer.writeheader()
    writer.writerow(row)
    path = "/models/mixed/predict"
    header, found = await rows_of(await post(kinds_client, written.getvalue().encode(), path))
    answer = dict(zip(header, found, strict=True))
    assert (answer["note"], answer["age"], answer["error"]) == ("'=1+1", "-1.5", "")
    told = await (await kinds_client.post(path, json=row)).get_json()
    assert answer["prediction"] == str(told["prediction"])


# Faults --------------------------------------------------------------------------


async def test_all_faults_of_the_first_rows_are_told_with_row_and_column(client: Client) -> None:
    body = HEADER + b"1,2\nx,2\n1\n1,\n" + b"1,2\n" * 995 + b"3,=1\n" + b"late,1\n"
    found = await faults_of(await post(client, body))
    assert [(fault["row"], fault["column"]) for fault in found] == [
        (1, "X1"),
        (2, "X2"),
        (3, "X2"),
        (999, "X2"),
    ]
    assert found[0] == {"row": 1, "column": "X1", "expected": "a number", "got": '"x"'}


async def test_a_row_after_the_first_thousand_keeps_its_place(client: Client) -> None:
    body = HEADER + b"1,2\n" * 1000 + b"=x,2\n1,2,3\n" + b"1,2\n" * 1500 + b'7\n8,"9'
    rows = (await rows_of(await post(client, body)))[1:]
    assert len(rows) == 2504
    faulty = {i: row for i, row in enumerate(rows) if row[-1]}
    assert faulty == {
        1000: ["'=x", "2", "", "", "", 'X1: expected a number, got "=x"'],
        1001: ["1", "2", "", "", "", "X2: expected 2 cells in the row, got 3"],
        2502: ["7", "", "", "", "", "X2: expected 2 cells in the row, got 1"],
        2503: ["8", "", "", "", "", "X2: expected a closing quote, got the end of the file"],
    }
    assert all(row[2] for i, row in enumerate(rows) if i not in faulty)


async def test_more_faulty_rows_than_are_listed_all_keep_their_places(client: Client) -> None:
    body = HEADER + b"1,2\n" * 1000 + b"x,y\n" * 1999 + b"5,6\n"
    rows = (await rows_of(await post(client, body)))[1:]
    assert [bool(row[-1]) for row in rows] == [False] * 1000 + [True] * 1999 + [False]
    assert rows[2000][-1] == 'X1: expected a number, got "x"; X2: expected a number, got "y"'
    assert rows[-1][2]


async def test_names_that_are_not_those_of_the_model_are_told_once(client: Client) -> None:
    found = await faults_of(await post(client, b"X1,Y\n" + b"x,2\n" * 500))
    assert [(fault["row"], fault["column"]) for fault in found] == [(0, "X2"), (0, "Y")]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "Expected a line with the names"),
        (b"X1,X2\n", "Expected at least one row"),
        (b"X1,X1\n1,2\n", "Line 1"),
        (b"X1,X2\n" + b"1" * 2_000_000, "1048576 bytes"),
        (b"X1,X2\n1,\xff\n", "UTF-8"),
    ],
)
async def test_what_is_no_table_is_refused(body: bytes, said: str, client: Client) -> None:
    answer = await post(client, body)
    assert answer.status_code == 400
    assert said in (await answer.get_json())["error"]


async def test_another_charset_is_refused(client: Client) -> None:
    headers = {"Content-Type": "text/csv; charset=latin-1"}
    answer = await client.post(EXAM, data=HEADER + b"1,2\n", headers=headers)
    assert answer.status_code == 415


async def test_a_model_that_is_not_there_is_404(client: Client) -> None:
    assert (await post(client, HEADER + b"1,2\n", "/models/none/predict")).status_code == 404


# A model that fails, or is late --------------------------------------------------

MOODY = "/models/moody/predict"


def numbers(*late: int) -> bytes:
    """A table whose first thousand rows are fine."""
    return b"x0\n" + b"".join(b"%d\n" % n for n in (*[1] * 1000, *late))


async def test_a_later_row_that_the_model_cannot_answer_says_why(
    moody: Client, caplog: pytest.LogCaptureFixture
) -> None:
    rows = (await rows_of(await post(moody, numbers(2, 14, 3, 13, 4, 13), MOODY)))[1001:]
    assert [row[1] for row in rows] == ["2.0", "", "3.0", "", "4.0", ""]
    assert "with another value of x0 it has one." in rows[1][2]
    assert rows[3][2] == "The model failed on these values. It has been logged."
    assert rows[5][2] == rows[3][2]
    assert caplog.text.count("A row of a table failed") == 1


async def test_a_chunk_full_of_rows_without_an_answer_is_not_asked_for_one_by_one(
    moody: Client,
) -> None:
    rows = (await rows_of(await post(moody, numbers(*[14] * 1000, 5), MOODY)))[1001:]
    assert all("has no answer to these values" in row[2] for row in rows[:1000])
    assert rows[1000][1:] == ["5.0", ""]


@pytest.mark.parametrize(("value", "status"), [(13, 500), (14, 400), (15, 504)])
async def test_a_failure_on_the_first_rows_is_that_of_the_request(
    value: int, status: int, moody: Client
) -> None:
    assert (await post(moody, b"x0\n1\n%d\n" % value, MOODY)).status_code == status


async def test_a_first_row_without_an_answer_is_named_among_others(moody: Client) -> None:
    answer = await post(moody, b"x0\n1\n2\n14\n3\n", MOODY)
    sentence = (await answer.get_json())["error"]
    assert sentence.startswith("Row 2: ")
    assert sentence.endswith("; with another value of x0 it has one.")


async def test_a_late_chunk_keeps_its_place_and_the_next_has_a_deadline_of_its_own(
    moody_root: Path,
) -> None:
    app = create_app(MODEL_STORE=moody_root, RECIPES="", DEADLINE=0.8)
    body = numbers(15, *[2] * 999, *[3] * 1000)
    async with started(app) as running:
        rows = (await rows_of(await post(running.test_client(), body, MOODY)))[1:]
    assert all(row[2] == "" for row in rows[:1000])
    assert all("did not answer in time" in row[2] for row in rows[1000:2000])
    assert {row[1] for row in rows[2000:]} == {"3.0"}


async def test_a_table_waits_for_its_turn_where_the_queue_is_full(moody_root: Path) -> None:
    app = create_app(MODEL_STORE=moody_root, RECIPES="", MAX_QUEUE_SIZE=1)
    async with started(app) as running:
        client = running.test_client()
        slow = [asyncio.create_task(client.post(MOODY, json={"x0": 15}))]
        await asyncio.sleep(0.2)
        slow.append(asyncio.create_task(client.post(MOODY, json={"x0": 2})))
        await asyncio.sleep(0.1)
        rows = (await rows_of(await post(client, numbers(7), MOODY)))[1:]
        assert rows[1000] == ["7", "7.0", ""]
        for task in slow:
            assert (await task).status_code == 200


# Limits --------------------------------------------------------------------------


async def test_a_table_beyond_the_limit_is_413(bundled_root: Path) -> None:
    app = create_app(MODEL_STORE=bundled_root, RECIPES="", MAX_CSV_BYTES=1000)
    async with started(app) as running:
        client = running.test_client()
        assert (await post(client, HEADER + b"1,2\n" * 240)).status_code == 200
        assert (await post(client, HEADER + b"1,2\n" * 260)).status_code == 413
        bomb = gzip.compress(HEADER + b"1,2\n" * 10_000_000)
        answer = await post(client, bomb, **{"Content-Encoding": "gzip"})
        assert answer.status_code == 413
        assert (await client.post(EXAM, json={"X1": 1, "X2": 2})).status_code == 200


async def test_a_full_disk_is_503_and_is_logged(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        answer = await post(client, HEADER + b"1,2\n" * 50_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert answer.status_code == 503
    assert "no room" in (await answer.get_json())["error"]
    assert "temporary file" in caplog.text


async def parts_of(*parts: bytes, pause: float = 0) -> AsyncIterator[bytes]:
    for part in parts:
        await asyncio.sleep(pause)
        yield part


def spooled(
    parts: AsyncIterator[bytes], limit: int, seconds: float, room: DiskRoom | None = None
) -> Awaitable[IO[bytes]]:
    room = room or DiskRoom(10**7)
    return spool(parts, limit=limit, seconds=seconds, room=room, wait=asyncio.timeout_at)


async def test_a_spool_has_all_parts_from_the_beginning() -> None:
    parts = [bytes([n]) * 300_000 for n in range(10)]
    with await spooled(parts_of(*parts), limit=3_000_000, seconds=10) as file:
        assert file.read() == b"".join(parts)


async def test_a_spool_gives_more_time_for_more_bytes() -> None:
    second = b"x" * 64 * 1024
    with await spooled(parts_of(*[second] * 4, pause=0.2), limit=10**6, seconds=0.3) as file:
        assert len(file.read()) == 4 * len(second)
    with pytest.raises(TimeoutError):
        await spooled(parts_of(*[b"x"] * 4, pause=0.2), limit=10**6, seconds=0.3)


# Over a real port ----------------------------------------------------------------


async def test_files_take_room_together_until_they_are_closed() -> None:
    room = DiskRoom(1000)
    first = await spooled(parts_of(b"x" * 600), 700, 10, room)
    with pytest.raises(NotReady, match="1000 bytes together"):
        await spooled(parts_of(b"x" * 300, b"x" * 300), 700, 10, room)
    assert room.taken == 600
    with pytest.raises(RequestTooLarge):
        await spooled(parts_of(b"x" * 300, b"x" * 600), 700, 10, room)
    first.close()
    first.close()
    assert room.taken == 0
    with await spooled(parts_of(b"x" * 700), 700, 10, room) as second:
        assert second.read() == b"x" * 700


@contextlib.contextmanager
def serving_tables(root: Path, folder: Path) -> Iterator[Server]:
    """A server with small limits that keeps its temporary files in a folder of its own."""
    (folder / "tmp").mkdir()
    with serving(
        cwd=folder,
        TMPDIR=folder / "tmp",
        QUART_APP_MODEL_STORE=root,
        QUART_APP_RECIPES="",
        QUART_APP_DEADLINE=1,
        QUART_APP_MAX_TABLES=2,
        QUART_APP_MAX_CSV_BYTES=50_000_000,
    ) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture(scope="module")
def shared_server(bundled_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving_tables(bundled_root, tmp_path_factory.mktemp("tables")) as running:
        yield running


@pytest.fixture
def server(shared_server: Server) -> Iterator[Server]:
    """A server that is at no table, neither before nor afterwards."""
    yield shared_server
    until_none_is_open(shared_server)


def open_files(server: Server) -> list[str]:
    """The temporary files that the server has open, which no longer have a name."""
    folder = Path(f"/proc/{server.process.pid}/fd")
    found = []
    for entry in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(entry))
    return [name for name in found if "(deleted)" in name]


def resident(server: Server, key: str = "VmRSS") -> int:
    """The server's memory in bytes."""
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise AssertionError(key)


def begin(
    server: Server,
    body: bytes,
    length: int | None = None,
    *,
    path: str = EXAM,
    content_type: str = "text/csv",
) -> socket.socket:
    """A connection that has sent the beginning of a table."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    connection.sendall(
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {length or len(body)}\r\n\r\n".encode()
    )
    connection.sendall(body)
    return connection


def until_none_is_open(server: Server) -> None:
    deadline = time.monotonic() + 20
    while open_files(server):
        assert time.monotonic() < deadline, open_files(server)
        time.sleep(0.05)


@pytest.mark.process
def test_a_long_table_takes_no_more_memory_than_a_short_one(
    bundled_root: Path, tmp_path: Path
) -> None:
    # What others asked of it before would count as well.
    with serving_tables(bundled_root, tmp_path) as server:
        url = server.url + EXAM
        for _ in range(3):
            httpx.post(url, content=HEADER + b"61.1,17.3\n" * 5000, headers=CSV)
        before = resident(server)

        def body() -> Iterator[bytes]:
            yield HEADER
            for _ in range(200):
                yield b"61.1,17.3\n" * 1000

        lines = 0
        with httpx.stream("POST", url, content=body(), headers=CSV, timeout=60) as answer:
            assert answer.status_code == 200
            for part in answer.iter_bytes():
                lines += part.count(b"\n")
        assert lines == 200_001
        assert resident(server, "VmHWM") - before < 40 * 2**20
        until_none_is_open(server)
        assert list((server_folder(server)).iterdir()) == []


def server_folder(server: Server) -> Path:
    return Path(f"/proc/{server.process.pid}/cwd/tmp")


@pytest.mark.process
def test_a_client_that_goes_away_while_sending_leaves_no_file(server: Server) -> None:
    connection = begin(server, HEADER + b"1,2\n" * 600_000, 10_000_000)
    deadline = time.monotonic() + 20
    while not open_files(server):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    connection.close()
    until_none_is_open(server)


@pytest.mark.process
def test_a_client_that_goes_away_while_reading_ends_the_work(server: Server) -> None:
    connection = begin(server, HEADER + b"1,2\n" * 1_000_000)
    assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    assert open_files(server)
    connection.close()
    until_none_is_open(server)
    assert httpx.post(server.url + EXAM, json={"X1": 1, "X2": 2}).status_code == 200


@pytest.mark.process
def test_a_reader_who_pauses_holds_the_server_up_and_then_reads_all(server: Server) -> None:
    connection = begin(server, HEADER + b"1,2\n" * 500_000)
    response = http.client.HTTPResponse(connection)
    response.begin()
    read = response.read(1000)
    time.sleep(2)
    assert open_files(server), "the answer went on without its reader"
    first = resident(server)
    time.sleep(0.5)
    assert resident(server) - first < 10 * 2**20
    lines = read.count(b"\n")
    while part := response.read(2**20):
        lines += part.count(b"\n")
    assert lines == 500_001
    connection.close()


@pytest.mark.process
def test_a_table_that_comes_too_slowly_is_408(server: Server) -> None:
    connection = begin(server, HEADER, 1000)
    assert connection.recv(4096).startswith(b"HTTP/1.1 408")
    connection.close()
    until_none_is_open(server)


@pytest.mark.process
def test_a_table_beyond_the_limit_is_413_and_its_sender_reads_that(server: Server) -> None:
    answer = httpx.post(server.url + EXAM, content=b"1,2\n" * 13_000_000, headers=CSV, timeout=60)
    assert answer.status_code == 413
    until_none_is_open(server)


@pytest.mark.process
def test_more_tables_than_may_be_are_refused_and_may_come_again(server: Server) -> None:
    held = [begin(server, HEADER + b"1,2\n" * 1_000_000) for _ in range(2)]
    for connection in held:
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    refused = httpx.post(server.url + EXAM, content=HEADER + b"1,2\n", headers=CSV)
    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "5"
    assert httpx.post(server.url + EXAM, json={"X1": 1, "X2": 2}).status_code == 200
    for connection in held:
        connection.close()
    until_none_is_open(server)
    again = httpx.post(server.url + EXAM, content=HEADER + b"1,2\n", headers=CSV)
    assert again.status_code == 200


@pytest.mark.process
def test_others_are_answered_while_a_table_is(server: Server) -> None:
    body = HEADER + b"1,2\n" * 4_000_000
    reader = threading.Thread(
        target=httpx.post,
        args=[server.url + EXAM],
        kwargs={"content": body, "headers": CSV, "timeout": 120},
    )
    reader.start()
    while not open_files(server):
        time.sleep(0.01)
    for _ in range(10):
        assert httpx.post(server.url + EXAM, json={"X1": 1, "X2": 2}).status_code == 200
        assert httpx.get(server.url + "/health/live").status_code == 200
    assert reader.is_alive()
    reader.join()


# Parquet -------------------------------------------------------------------------

PARQUET: Final = {"Content-Type": "application/vnd.apache.parquet"}


def parquet_of(columns: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


@pytest.mark.process
async def test_a_table_in_parquet_is_answered_as_the_csv_of_it(client: Client) -> None:
    body = parquet_of({"X1": [61.1, 90.0], "X2": [17.3, 85.0]})
    answer = await client.post(EXAM, data=body, headers=PARQUET)
    rows = await rows_of(answer)
    assert rows == await rows_of(await post(client, b"X1,X2\n61.1,17.3\n90.0,85.0\n"))
    assert [row[2] for row in rows] == ["prediction", "0", "1"]


@pytest.mark.process
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"PAR1 and no more", "The Parquet file cannot be read."),
        (
            parquet_of({"X1": [[61.1]], "X2": [17.3]}),
            "The column X1 is of the type list<element: double>; expected numbers, texts, "
            "booleans or dates.",
        ),
    ],
)
async def test_what_is_no_table_in_parquet_is_refused(
    body: bytes, said: str, client: Client
) -> None:
    answer = await client.post(EXAM, data=body, headers=PARQUET)
    assert (answer.status_code, (await answer.get_json())["error"]) == (400, said)


@pytest.mark.process
async def test_a_page_of_parquet_that_inflates_without_end_ends_its_own_process_alone(
    client: Client,
) -> None:
    bomb = pa.array(["x" * 1_000_000]).dictionary_encode().take(pa.array([0] * 1000))
    file = io.BytesIO()
    table = pa.table({"X1": bomb.dictionary_decode(), "X2": [1.0] * 1000})
    pq.write_table(table, file, use_dictionary=False, compression="zstd", data_page_size=2**30)
    assert len(file.getvalue()) < 1_000_000
    answer = await client.post(EXAM, data=file.getvalue(), headers=PARQUET)
    assert answer.status_code == 400
    assert "Parquet file" in (await answer.get_json())["error"]
    assert (await post(client, b"X1,X2\n61.1,17.3\n")).status_code == 200
