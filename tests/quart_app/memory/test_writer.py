"""The thread that records goes on by itself, whatever becomes of the database."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_store import Manifest, ModelStore
from model_store.record_settings import RecordSettings
from quart_app.config import Config
from quart_app.inference import InferenceRequest
from quart_app.memory import bounds, waiting, writer
from quart_app.memory.bounds import Bounds
from quart_app.memory.database import Database
from quart_app.memory.store import Records
from quart_app.memory.waiting import Item, Waiting
from quart_app.memory.writer import Writer

from ...databases import execute, proxied
from ...mounts import mounted

# What a database does to it is waited for.
pytestmark = pytest.mark.process

PATIENCE = 20.0


@pytest.fixture(scope="module")
def exam(bundled_root: Path) -> Manifest:
    return ModelStore(bundled_root).manifest("exam")


class Writing:
    """A writer with its queue, which is given predictions one by one."""

    def __init__(self, url: str, manifest: Manifest, seconds: float, **settings: Any) -> None:
        self.queue = Waiting()
        self.records = Records(Database.at(url, seconds=seconds))
        self.writer = Writer(self.queue, self.records, Bounds(Config.read({}, **settings)))
        self.full = 0
        self._manifest = manifest
        self._count = 0

    def put(self, count: int = 1, at: float | None = None, rows: int = 1, **values: Any) -> None:
        """Predictions that were made at this moment, else now."""
        for _ in range(count):
            self._count += 1
            columns = {"X1": [float(self._count)] * rows, "X2": [1.0] * rows} | values
            item = Item(
                self._manifest,
                RecordSettings(),
                InferenceRequest(columns, rows=rows),
                f"{self._count:06}",
                time.time() if at is None else at,
                "champion",
                "json",
                1.0,
                labels=np.zeros(rows),
            )
            if not self.queue.put(item):
                self.full += rows

    def ids(self) -> list[str]:
        """The ids of the rows that are in the database."""
        return sorted({row.id for row in self.records.predictions("exam")})

    def put_until(self, holds: Callable[[], object]) -> None:
        """Predictions, a few at a time, until something holds."""

        def holds_now() -> object:
            self.put(20)
            return holds()

        until(holds_now)

    def until_kept(self, count: int) -> None:
        until(lambda: self.writer.kept >= count)


def until(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "it never held"
        time.sleep(0.02)


@contextlib.contextmanager
def writing(
    url: str, manifest: Manifest, seconds: float = 5.0, **settings: Any
) -> Iterator[Writing]:
    found = Writing(url, manifest, seconds, **settings)
    found.writer.start()
    try:
        yield found
    finally:
        found.writer.close()


def file_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


# What is usual ----------------------------------------------------------------------


def test_what_waits_is_written_in_batches_and_unpacked_when_there_is_time(
    url: str, exam: Manifest
) -> None:
    with writing(url, exam) as found:
        found.put(1_000)
        found.put(rows=300)
        found.until_kept(1_300)
        with found.records.session() as session:
            until(lambda: not found.records.backlog(session))
            rows = session.execute("SELECT count(*) FROM quart_app_predictions")
        assert rows == [(1_300,)]
        assert not found.writer.dropped


def test_at_the_end_what_waits_is_written(url: str, exam: Manifest) -> None:
    with writing(url, exam) as found:
        found.put(5_000)
    assert found.queue.rows == 0
    assert len(found.ids()) == 5_000


def test_what_cannot_be_written_down_is_counted_and_holds_up_nothing(
    url: str, exam: Manifest
) -> None:
    with writing(url, exam) as found:
        found.put(3)
        found.put(X1=[2**70])
        found.put(X1=[b"no number"])
        found.put(3)
        found.until_kept(7)
        assert found.writer.dropped == {"unfit": 1}
        assert len(found.ids()) == 7


def test_a_full_queue_takes_no_more_and_neither_does_one_of_long_texts(
    exam: Manifest, sqlite_url: str
) -> None:
    found = Writing(sqlite_url, exam, 1)  # nobody writes
    found.put(waiting.QUEUE_ROWS + 7)
    assert (found.queue.rows, found.full) == (waiting.QUEUE_ROWS, 7)
    found = Writing(sqlite_url, exam, 1)
    found.put(100, X1=["x" * (waiting.QUEUE_BYTES // 50)])
    assert found.queue.rows < 50


# Bounds -----------------------------------------------------------------------------


def test_what_is_too_old_or_too_many_goes_oldest_first(
    url: str, exam: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "LOOK", 0.1)
    monkeypatch.setattr(bounds, "STEP", 7)
    now = time.time()
    with writing(url, exam, RECORD_DAYS=1, RECORD_MAX_ROWS=100) as found:
        found.put(20, at=now - 2 * bounds.DAY)
        for number in range(130):
            found.put(at=now - 1000 + number)
        found.until_kept(150)
        until(lambda: found.writer.bounds.removed["age"] == 20)
        until(lambda: found.writer.bounds.removed["rows"] >= 30)
        execute(
            url,
            'INSERT INTO quart_app_truths (id, "row", at, model, truth) '
            "VALUES ('old', 0, 5, 'exam', '1')",
        )
        until(lambda: found.writer.bounds.removed["age"] == 21)
        assert found.ids() == [f"{number:06}" for number in range(51, 151)]


def test_a_disk_without_room_drops_what_comes_and_goes_on_when_there_is_some(
    sqlite_url: str, tmp_path: Path, exam: Manifest
) -> None:
    size = 4 * 1024 * 1024
    with (
        mounted(tmp_path / "data", "-t", "tmpfs", "-o", f"size={size}", "tmpfs") as folder,
        writing(sqlite_url, exam) as found,
    ):
        found.put(100)
        found.until_kept(100)
        (folder / "filler").write_bytes(bytes(size * 9 // 10))
        found.put_until(lambda: found.writer.dropped["disk"])
        assert found.queue.rows < waiting.QUEUE_ROWS
        (folder / "filler").unlink()
        kept = found.writer.kept
        found.put_until(lambda: found.writer.kept > kept)
        assert found.ids()


# A file that misbehaves -------------------------------------------------------------


def test_a_file_that_another_keeps_locked_is_waited_for(sqlite_url: str, exam: Manifest) -> None:
    with writing(sqlite_url, exam, seconds=0.2) as found:
        found.put(10)
        found.until_kept(10)
        with contextlib.closing(sqlite3.connect(file_of(sqlite_url))) as other:
            other.execute("BEGIN IMMEDIATE")
            found.put(500)
            time.sleep(1)
            assert found.writer.kept == 10
        found.until_kept(510)
        assert len(found.ids()) == 510
        assert not found.writer.dropped


@pytest.mark.parametrize("garbage", [b"", b"no database\n" * 10, b"\xa5" * 4_000_000], ids=len)
def test_a_file_that_was_overwritten_is_set_aside_and_made_anew(
    sqlite_url: str, exam: Manifest, garbage: bytes
) -> None:
    with writing(sqlite_url, exam) as found:
        found.put(300)
        found.until_kept(300)
        file_of(sqlite_url).write_bytes(garbage)
        found.put_until(lambda: rows_in(file_of(sqlite_url)))


def rows_in(file: Path) -> int:
    """The predictions that can be read of a file; none of one that is no database."""
    try:
        with contextlib.closing(sqlite3.connect(file, timeout=0.1)) as other:
            found = other.execute("SELECT count(*) FROM quart_app_predictions").fetchone()
            return int(found[0])
    except sqlite3.Error:
        return 0


def test_a_file_that_never_was_ours_is_left_as_it_is(
    sqlite_url: str, exam: Manifest, caplog: pytest.LogCaptureFixture
) -> None:
    file = file_of(sqlite_url)
    file.parent.mkdir()
    file.write_text("notes\n" * 1000)
    with writing(sqlite_url, exam) as found:
        found.put(10)
        until(lambda: "are not recorded for the time being" in caplog.text)
        time.sleep(0.5)
        assert file.read_text() == "notes\n" * 1000
        assert [each.name for each in file.parent.iterdir()] == [file.name]
        file.unlink()
        found.until_kept(10)


def test_a_file_or_a_table_that_was_removed_is_made_anew(sqlite_url: str, exam: Manifest) -> None:
    with writing(sqlite_url, exam) as found:
        found.put(10)
        found.until_kept(10)
        for file in file_of(sqlite_url).parent.iterdir():
            file.unlink()
        found.put(10)
        found.until_kept(20)
        assert len(found.ids()) == 10
        execute(sqlite_url, "DROP TABLE quart_app_journal")
        found.put(10)
        found.until_kept(30)
        assert len(found.ids()) == 20


# PostgreSQL that misbehaves ---------------------------------------------------------


async def test_a_server_that_hangs_or_is_gone_is_waited_for_and_used_again(
    postgres_url: str, exam: Manifest
) -> None:
    async with proxied(postgres_url) as (server, url):
        found = Writing(url, exam, seconds=0.5)
        found.writer.start()

        async def kept(count: int) -> None:
            await asyncio.to_thread(found.until_kept, count)

        found.put(10)
        await kept(10)
        server.flows.clear()
        found.put(waiting.QUEUE_ROWS + 5)
        await asyncio.sleep(2)
        assert (found.writer.kept, found.full) == (10, 5)
        server.flows.set()
        await kept(10 + waiting.QUEUE_ROWS)
        await server.close()
        found.put(10)
        await asyncio.sleep(0.5)
        await server.open()
        await kept(20 + waiting.QUEUE_ROWS)
        assert not found.writer.dropped
        await asyncio.to_thread(found.writer.close)


def test_connections_that_the_server_ended_are_replaced(postgres_url: str, exam: Manifest) -> None:
    with writing(postgres_url, exam) as found:
        found.put(10)
        found.until_kept(10)
        execute(
            postgres_url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE usename = current_user AND pid <> pg_backend_pid()",
        )
        found.put(10)
        found.until_kept(20)
        assert len(found.ids()) == 20


def test_at_the_end_a_database_that_does_not_answer_is_left_within_two_seconds(
    sqlite_url: str, exam: Manifest
) -> None:
    with writing(sqlite_url, exam, seconds=60) as found:
        found.put(10)
        found.until_kept(10)
        with contextlib.closing(sqlite3.connect(file_of(sqlite_url))) as other:
            other.execute("BEGIN IMMEDIATE")
            found.put(20)
            begun = time.monotonic()
            found.writer.close()
            assert time.monotonic() - begun < writer.LEAVE + 2
            assert found.writer.dropped == {"unwritten": 20}
