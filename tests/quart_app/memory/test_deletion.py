"""What is deleted is in no table, and in no file of the database."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from model_store.truth import Told
from quart_app.memory import deletion, truths
from quart_app.memory.database import Database, SQLite
from quart_app.memory.deletion import TABLES, Deleted
from quart_app.memory.store import Records

from .test_store import add, entry

# What a database does to it is waited for.
pytestmark = pytest.mark.process

REQUESTS = 2000


def files(database: Database) -> bytes:
    """All bytes that a database has of the records; a test of PostgreSQL is skipped where the role
    may not read them."""
    if isinstance(database, SQLite):
        found = sorted(database.file.parent.glob(f"{database.file.name}*"))
        return b"".join(Path(path).read_bytes() for path in found)
    with database.session() as session:
        if not session.execute(
            "SELECT has_function_privilege('pg_read_binary_file(text)', 'EXECUTE') AND "
            "pg_has_role('pg_checkpoint', 'USAGE')"
        )[0][0]:
            pytest.skip("this role may not read the files of PostgreSQL")
        session.execute("CHECKPOINT")
        names = "', '".join(TABLES)
        paths = session.execute(
            "WITH ours AS (SELECT c.* FROM pg_class AS c JOIN pg_namespace AS n "
            "ON n.oid = c.relnamespace WHERE n.nspname = current_schema() "
            f"AND c.relname IN ('{names}')) "
            "SELECT pg_relation_filepath(oid) FROM ours UNION ALL "
            "SELECT pg_relation_filepath(reltoastrelid) FROM ours WHERE reltoastrelid > 0 "
            "UNION ALL SELECT pg_relation_filepath(indexrelid) FROM pg_index "
            "WHERE indrelid IN (SELECT oid FROM ours)"
        )
        return b"".join(
            bytes(session.execute("SELECT pg_read_binary_file(?)", path)[0][0]) for path in paths
        )


MARKS = re.compile(rb"id\d{6}-|(?:secret|former|latter)\d{6}")


def left(database: Database, words: Iterable[str]) -> set[str]:
    """Those of the words, which are marks, that stand in a file."""
    return {found.decode() for found in MARKS.findall(files(database))}.intersection(words)


def fill(records: Records) -> list[str]:
    """Write requests of rows of many lengths, with a truth and a former one each; their ids."""
    seeded = random.Random(7)
    ids = [f"id{number:06d}-{seeded.getrandbits(64):016x}" for number in range(REQUESTS)]
    for start in range(0, REQUESTS, 100):
        entries = []
        for number in range(start, start + 100):
            # Of a length that databases keep within a page or apart, and cannot compress.
            rest = seeded.randbytes(seeded.choice([0, 2, 25, 200, 200, 4500])).hex()
            value = f"secret{number:06d}.{rest}"
            entries.append(
                entry(ids[number], at=1000.0 + number, columns=[[number / 2], [value]], labels=[0])
            )
        add(records, *entries)
    for former in (True, False):
        names = [("former" if former else "latter") + f"{number:06d}" for number in range(REQUESTS)]
        told = [Told(id, 0, name) for id, name in zip(ids, names, strict=True)]
        seeded.shuffle(told)
        truths.keep(records, "iris", told, 5000.0)
    return ids


def marks_of(numbers: Iterable[int]) -> set[str]:
    return {f"{word}{number:06d}" for number in numbers for word in ("secret", "former", "latter")}


def test_what_is_deleted_is_in_no_file(records: Records) -> None:
    ids = fill(records)
    seeded = random.Random(8)
    one, *others = seeded.sample(range(500, REQUESTS), 600)
    assert left(records.database, marks_of([one])) == marks_of([one])
    assert deletion.delete_ids(records, "iris", [ids[one]]) == Deleted(1, 2)
    assert deletion.delete_before(records, "iris", 1500.0) == Deleted(500, 1000)
    values = {f"secret{number:06d}" for number in others}
    assert deletion.delete_where(
        records, "iris", lambda each: str((each.inputs or {})["kind"]).partition(".")[0] in values
    ) == Deleted(599, 1198)
    gone = {one, *others, *range(500)}
    kept = sorted(set(range(REQUESTS)) - gone)
    everything = marks_of(range(REQUESTS)) | {f"id{number:06d}-" for number in range(REQUESTS)}
    assert left(records.database, everything) == marks_of(kept) | {
        f"id{number:06d}-" for number in kept
    }
    assert [each.id for each, _ in records.with_truth("iris")] == [ids[number] for number in kept]


def test_a_batch_that_is_still_in_the_journal_is_deleted_too(records: Records) -> None:
    add(records, entry("one", columns=[[1.0], ["secret000001"]]), entry("two"))
    assert left(records.database, ["secret000001"])
    assert deletion.delete_ids(records, "iris", ["one"]) == Deleted(1, 0)
    assert not left(records.database, ["secret000001"])
    assert [each.id for each in records.predictions("iris")] == ["two"]


def test_only_what_belongs_to_the_model_is_deleted(records: Records) -> None:
    add(records, entry("one", rows=2), entry("two", source=1, columns=[[1]], labels=[1]))
    truths.keep(records, "iris", [Told("one", 1, "a"), Told("early", 3, "b")], 1500.0)
    assert deletion.delete_ids(records, "iris", ["two"]) == Deleted(0, 0)
    assert deletion.delete_before(records, "exam", 900.0) == Deleted(0, 0)
    assert deletion.delete_where(records, "exam", lambda each: each.id == "one") == Deleted(0, 0)
    assert deletion.delete_where(records, "iris", lambda each: each.row == 1) == Deleted(1, 1)
    assert deletion.delete_before(records, "iris", 1400.0) == Deleted(1, 0)
    assert deletion.delete_before(records, "iris", 1600.0) == Deleted(0, 1)
    assert [each.id for each in records.predictions("exam")] == ["two"]


def test_of_requests_by_one_id_only_those_that_are_meant_are_deleted(records: Records) -> None:
    for at, kind in ((1000.0, "first"), (2000.0, "second"), (3000.0, "third")):
        add(records, entry("again", at=at, columns=[[1.0], [kind]]))
        truths.keep(records, "iris", [Told("again", 0, f"true of the {kind}")], at + 1)

    def kinds() -> list[object]:
        return [(each.inputs or {})["kind"] for each in records.predictions("iris")]

    # What was said of those before may be of the one that is meant.
    assert deletion.delete_where(
        records, "iris", lambda each: (each.inputs or {})["kind"] == "second"
    ) == Deleted(1, 2)
    assert kinds() == ["first", "third"]
    assert deletion.delete_before(records, "iris", 1500.0) == Deleted(1, 0)
    assert [truth for _, truth in records.with_truth("iris")] == ["true of the third"]
    assert deletion.delete_before(records, "iris", 9000.0) == Deleted(1, 1)
