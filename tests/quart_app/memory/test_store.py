"""The records, on SQLite and on PostgreSQL alike: what was written in batches is read by row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from quart_app.memory import schema
from quart_app.memory.database import Database, RecordsUnavailable
from quart_app.memory.journal import Batch, Entry, Source, pack
from quart_app.memory.prediction import LONGEST_ID, Prediction, record_id
from quart_app.memory.store import Key, Records, Summed

from ...databases import execute

IRIS = Source("iris", 1, "d1", ("length", "kind"))
EXAM = Source("exam", 3, None, ("X1",))


def entry(id: str, at: float = 1000.0, rows: int = 1, **fields: Any) -> Entry:
    """A request that was answered, of rows that differ."""
    usual: dict[str, Any] = {
        "source": 0,
        "variant": "champion",
        "door": "json",
        "status": 200,
        "milliseconds": 1.5,
        "error": None,
        "columns": [[0.5 + row for row in range(rows)], ["a"] * rows],
        "labels": [f"class {row}" for row in range(rows)],
        "probabilities": [[0.25, 0.75]] * rows,
    }
    return Entry(id=id, at=at, rows=rows, **(usual | fields))


def add(records: Records, *entries: Entry, sources: Sequence[Source] = (IRIS, EXAM)) -> None:
    """Write one batch."""
    rows = sum(each.rows for each in entries)
    body = pack(Batch(list(sources), list(entries)))
    with records.session() as session:
        records.add(session, [(entries[0].at, rows, body)])


class Counting:
    """Summaries that count, beside the ids of what they were made of."""

    def of(self, key: Key, rows: Sequence[Prediction]) -> bytes | None:
        return msgspec.msgpack.encode([len(rows), sorted(row.id for row in rows)])

    def merged(self, first: bytes, second: bytes) -> bytes:
        one, other = map(msgspec.msgpack.decode, (first, second))
        return msgspec.msgpack.encode([one[0] + other[0], sorted(one[1] + other[1])])


def test_what_was_written_by_request_is_read_by_row(records: Records) -> None:
    add(
        records,
        entry("one", rows=2),
        entry("two", 1001.0, source=1, columns=[[7]], labels=[[1, 2.5]], probabilities=None),
    )
    first, second = records.predictions("iris")
    assert first == Prediction(
        id="one",
        at=1000.0,
        model="iris",
        version=1,
        digest="d1",
        door="json",
        milliseconds=1.5,
        inputs={"length": 0.5, "kind": "a"},
        outputs="class 0",
        probabilities=[0.25, 0.75],
    )
    assert (second.row, second.inputs) == (1, {"length": 1.5, "kind": "a"})
    (exam,) = records.predictions("exam")
    assert (exam.inputs, exam.outputs, exam.probabilities) == ({"X1": 7}, [1, 2.5], None)
    assert exam.digest is None


def test_a_failure_has_its_kind_and_neither_inputs_nor_outputs(records: Records) -> None:
    failed: dict[str, Any] = {"columns": None, "labels": None, "probabilities": None}
    add(records, entry("bad", status=400, error="invalid_rows", **failed))
    (found,) = records.predictions("iris")
    assert (found.status, found.error, found.inputs, found.outputs) == (
        400,
        "invalid_rows",
        None,
        None,
    )


def test_rows_come_in_the_order_of_their_moments_and_in_pieces(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quart_app.memory.store.PIECE", 7)
    add(records, *(entry(f"{number:03}", 1000.0 + number // 3, rows=2) for number in range(20)))
    found = list(records.predictions("iris"))
    assert [(row.id, row.row) for row in found] == [
        (f"{number:03}", row) for number in range(20) for row in (0, 1)
    ]
    assert list(records.predictions("iris", limit=9)) == found[:9]
    assert list(records.predictions("iris", after=found[8])) == found[9:]
    assert list(records.predictions("iris", 1002.0, 1004.0)) == found[12:24]
    assert list(records.predictions("exam")) == []


def test_of_requests_with_one_id_all_are_kept_and_the_last_has_the_truth(
    records: Records, url: str
) -> None:
    add(records, entry("same", labels=["old"]))
    add(records, entry("same", 1001.0, labels=["new"]))
    add(records, entry("same", 1001.0, labels=["new"]))  # written twice: a commit without an answer
    assert [row.outputs for row in records.predictions("iris")] == ["old", "new"]
    execute(
        url,
        'INSERT INTO quart_app_truths (id, "row", at, model, truth) '
        "VALUES ('same', 0, 1002, 'iris', '\"true\"')",
    )
    assert [row.outputs for row, _ in records.with_truth("iris")] == ["new"]
    assert [row.outputs for row, _ in records.scored("iris", 0, 2000, 9)] == ["new"]


def test_what_a_shadow_said_stands_beside_what_the_champion_said(records: Records) -> None:
    add(records, entry("one"), entry("one", variant="shadow", labels=["other"]))
    assert {(row.variant, row.outputs) for row in records.predictions("iris")} == {
        ("champion", "class 0"),
        ("shadow", "other"),
    }


def test_rows_whose_truth_is_known_come_with_it(records: Records, url: str) -> None:
    add(records, entry("one", rows=2), entry("two"))
    execute(
        url,
        'INSERT INTO quart_app_truths (id, "row", at, model, truth) '
        "VALUES ('one', 1, 5, 'iris', '\"class 1\"'), ('gone', 0, 5, 'iris', '1')",
    )
    ((row, truth),) = records.with_truth("iris")
    assert (row.id, row.row, truth) == ("one", 1, "class 1")


def test_summaries_are_merged_by_hour_version_and_variant(url: str) -> None:
    records = Records(Database.at(url, seconds=10), Counting())
    add(
        records,
        entry("a", 7199.0),
        entry("b", 7200.0, rows=2),
        entry("c", 7200.0, source=1, columns=[[7]]),
    )
    list(records.predictions("iris"))
    add(records, entry("d", 10799.5), entry("b", 7200.0, variant="shadow"), entry("t", summed=True))
    found = {summed.key: msgspec.msgpack.decode(summed.body) for summed in every(records, "iris")}
    assert found == {
        Key("iris", 1, "champion", 0): [1, ["t"]],
        Key("iris", 1, "champion", 1): [1, ["a"]],
        Key("iris", 1, "champion", 2): [3, ["b", "b", "d"]],
        Key("iris", 1, "shadow", 2): [1, ["b"]],
    }
    assert [summed.key.hour for summed in records.summaries("iris", 7300.0, 9000.0)] == [2, 2]
    assert "t" not in {row.id for row in records.predictions("iris")}


def every(records: Records, model: str) -> list[Summed]:
    return records.summaries(model, 0, math.inf)


def test_a_batch_that_cannot_be_read_holds_up_no_other(
    records: Records, caplog: pytest.LogCaptureFixture
) -> None:
    with records.session() as session:
        records.add(session, [(1.0, 1, b"\xc1 is no batch")])
    add(records, entry("one"))
    assert [row.id for row in records.predictions("iris")] == ["one"]
    assert "cannot be read" in caplog.text


def test_a_row_that_the_database_refuses_is_dropped_alone(
    records: Records, caplog: pytest.LogCaptureFixture
) -> None:
    add(records, entry("one"), entry("two", status=2**63), entry("three"))
    assert {row.id for row in records.predictions("iris")} == {"one", "three"}
    assert "cannot be kept" in caplog.text


def test_those_who_unpack_at_once_unpack_each_batch_once(url: str) -> None:
    records = Records(Database.at(url, seconds=20), Counting())
    for number in range(40):
        add(records, entry(f"{number}", 1000.0))
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(lambda _: list(records.predictions("iris")), range(4)):
            assert len(found) == 40
    (summed,) = every(records, "iris")
    assert msgspec.msgpack.decode(summed.body)[0] == 40


def test_tables_of_a_newer_program_are_left_alone(records: Records, url: str) -> None:
    add(records, entry("one"))
    execute(url, f"UPDATE quart_app_records_format SET number = {schema.FORMAT + 1}")
    with pytest.raises(RecordsUnavailable, match="upgrade quart-app"):
        list(records.predictions("iris"))


def test_those_who_make_the_tables_at_once_make_them_once(records: Records) -> None:
    def make(_: int) -> None:
        with records.session():
            pass

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(make, range(8)))
    with records.session() as session:
        assert session.execute("SELECT number FROM quart_app_records_format") == [(schema.FORMAT,)]


def test_an_id_that_no_index_takes_has_another_that_is_always_the_same() -> None:
    assert record_id("a" * LONGEST_ID) == "a" * LONGEST_ID
    for odd in ("a" * (LONGEST_ID + 1), "a\0b", "\ud800" * 300):
        kept = record_id(odd)
        assert kept == record_id(odd) != odd
        assert len(kept) < 40
        assert kept.isascii()
        assert kept.isprintable()
